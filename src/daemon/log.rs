//! The log: one line a happening, on standard error.
//!
//! Plain text for consoles and procd, with priorities for journald when systemd
//! reads along, JSON on request. Times are added only in JSON: journald, procd
//! and syslog have their own.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::address::Addresses;
use crate::engine::{Level, Report};
use crate::system::clock::unix_time;

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Text,
    /// One JSON object a line.
    Json,
}

/// Where reports go.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    level: Level,
    format: Format,
    journald: bool,
}

impl Log {
    /// A log that drops what is less important than `level`.
    #[must_use]
    pub fn new(level: Level, format: Format) -> Self {
        let journald = std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
        Self { level, format, journald }
    }

    /// Whether somebody wants to read lines of `level`.
    #[must_use]
    pub fn wants(self, level: Level) -> bool {
        level <= self.level
    }

    /// Writes a line; one that cannot be written is lost, since there is nobody
    /// to tell.
    pub fn write(self, report: &Report) {
        if !self.wants(report.level) {
            return;
        }
        let line = match self.format {
            Format::Text => self.text(report),
            Format::Json => json(report, unix_time()),
        };
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// A line that is about the program itself.
    pub fn say(self, level: Level, text: impl Into<String>) {
        self.write(&Report::new(level, "", text.into()));
    }

    fn text(self, report: &Report) -> String {
        let mut line = match (self.journald, report.level) {
            (true, level) => format!("<{}>", priority(level)),
            (false, Level::Error) => "error: ".to_owned(),
            (false, Level::Warning) => "warning: ".to_owned(),
            (false, Level::Info | Level::Debug) => String::new(),
        };
        if !report.subject.is_empty() {
            line.push_str(&printable(&report.subject));
            line.push_str(": ");
        }
        line.push_str(&printable(&report.text));
        if let Some(took) = report.took {
            let _ = write!(line, " ({} ms)", took.as_millis());
        }
        line.push('\n');
        line
    }
}

/// The numbers of sd-daemon(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// Without control characters: a line from the network must stay one line, and
/// must not speak to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A line of JSON; keys in the order of the alphabet.
#[derive(Serialize)]
struct Line<'a> {
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Shown>,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    time: u64,
}

/// Addresses, as far as known.
#[derive(Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<Ipv6Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6_prefix: Option<String>,
}

impl Shown {
    fn new(addresses: &Addresses) -> Self {
        Self {
            ipv4: addresses.ipv4,
            ipv6: addresses.ipv6,
            ipv6_prefix: addresses.ipv6_prefix.map(|prefix| prefix.to_string()),
        }
    }
}

fn json(report: &Report, unix: u64) -> String {
    let level = match report.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let line = Line {
        level,
        message: &report.text,
        ms: report.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        new: report.change.as_ref().map(|(_, new)| Shown::new(new)),
        old: report.change.as_ref().map(|(old, _)| Shown::new(old)),
        subject: &report.subject,
        time: unix,
    };
    // Text and numbers cannot fail.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn change() -> Report {
        let new = Addresses { ipv4: Some([1, 2, 3, 4].into()), ..Addresses::default() };
        Report {
            change: Some((Addresses::default(), new)),
            took: Some(Duration::from_millis(230)),
            ..Report::new(Level::Info, "A home.example", "set to 1.2.3.4".into())
        }
    }

    fn log(journald: bool) -> Log {
        Log { level: Level::Debug, format: Format::Text, journald }
    }

    #[test]
    fn text_is_for_people_or_for_journald() {
        assert_eq!(log(false).text(&change()), "A home.example: set to 1.2.3.4 (230 ms)\n");
        assert_eq!(log(true).text(&change()), "<6>A home.example: set to 1.2.3.4 (230 ms)\n");
        let error = Report::new(Level::Error, "", "no".into());
        assert_eq!(log(false).text(&error), "error: no\n");
        assert_eq!(log(true).text(&error), "<3>no\n");
    }

    #[test]
    fn json_holds_old_and_new() {
        assert_eq!(
            json(&change(), 7),
            "{\"level\":\"info\",\"message\":\"set to 1.2.3.4\",\"ms\":230,\"new\":{\"ipv4\":\"1.2.3.4\"},\"old\":{},\
             \"subject\":\"A home.example\",\"time\":7}\n"
        );
    }

    #[test]
    fn a_line_stays_one_line() {
        let forged = Report::new(Level::Info, "x", "a\nerror: b\x1b[2J".into());
        assert_eq!(log(false).text(&forged), "x: a error: b [2J\n");
    }

    #[test]
    fn less_important_lines_are_dropped() {
        let quiet = Log { level: Level::Warning, ..log(false) };
        assert!(quiet.wants(Level::Error) && quiet.wants(Level::Warning));
        assert!(!quiet.wants(Level::Info));
    }
}
