//! What the user is told, and when it is worth a line.

use std::time::Duration;

use crate::address::{Addresses, Finding};
use crate::engine::selection::{AddressKind, SourceStatus};
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

/// The line to write when a source starts to fail, and when it is well again.
pub(super) fn trouble(source: &mut SourceStatus, failing: bool) -> Option<Report> {
    if failing == source.in_trouble {
        return None;
    }
    source.in_trouble = failing;
    let (level, text) = if failing {
        (
            Level::Warning,
            format!("{}; polling again every few seconds, what is published stays", reason(source)),
        )
    } else {
        (Level::Info, "answers again".to_owned())
    };
    Some(Report::new(level, &source.label, text))
}

/// The line to write when another gateway answers than before: a new router, or
/// somebody who would like to be one.
pub(super) fn gateway_change(label: &str, before: Option<&LanUrl>, now: &LanUrl) -> Option<Report> {
    let before = before.filter(|before| before.host() != now.host())?;
    let text = format!("the gateway is {} now, it was {}", now.host(), before.host());
    Some(Report::new(Level::Warning, label, text))
}

/// The first reason among those that matter.
fn reason(source: &SourceStatus) -> &str {
    let unknown = |kind: AddressKind| match &source.answers(kind).last {
        Some(Finding::Unknown(why)) => Some((source.answers(kind).has_answered, why.as_str())),
        _ => None,
    };
    let mut reasons: Vec<_> = AddressKind::ALL.into_iter().filter_map(unknown).collect();
    reasons.sort_by_key(|(has_answered, _)| !has_answered);
    reasons.first().map_or("does not answer", |(_, why)| why)
}
