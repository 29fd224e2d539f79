//! What the user is told, and when it is worth a line.

use std::time::Duration;

use crate::address::Addresses;
use crate::http::lan_url::LanUrl;

/// How important a line is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Something does not work until a person acts.
    Error,
    /// Something does not work at the moment.
    Warning,
    /// A change, a start.
    Info,
    /// For those who look for a fault.
    Debug,
}

/// One line for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Its importance.
    pub level: Level,
    /// The target or source that it is about.
    pub subject: String,
    /// What happened, without the subject.
    pub text: String,
    /// For a published address: what was there before, and what is there now.
    pub change: Option<(Addresses, Addresses)>,
    /// How long it took, where that is of interest.
    pub took: Option<Duration>,
}

impl Report {
    /// A line without details.
    #[must_use]
    pub fn new(level: Level, subject: &str, text: String) -> Self {
        Self { level, subject: subject.to_owned(), text, change: None, took: None }
    }
}

/// The line to write when another gateway answers than before: a new router, or
/// somebody who would like to be one.
pub(super) fn gateway_change(label: &str, before: Option<&LanUrl>, now: &LanUrl) -> Option<Report> {
    let before = before.filter(|before| before.host() != now.host())?;
    let text = format!("the gateway is {} now, it was {}", now.host(), before.host());
    Some(Report::new(Level::Warning, label, text))
}
