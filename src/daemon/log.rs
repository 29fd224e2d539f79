//! The log: one line a happening, on standard error.
//!
//! Plain text, with priorities for journald when systemd reads along, JSON on request.
//! A time stands in front where nobody else writes one, as journald and procd do.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::address::Addresses;
use crate::calendar;
use crate::engine::{Level, Report};
use crate::system::clock::unix_time;

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Text,
    /// One JSON object a line.
    Json,
    /// Text with the priorities of sd-daemon(3).
    Journal,
}

/// Where reports go.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    level: Level,
    format: Format,
    /// Lines of text begin with the time.
    timed: bool,
    /// The level is coloured.
    coloured: bool,
}

impl Log {
    /// A log that drops what is less important than `level`.
    #[must_use]
    pub fn new(level: Level, format: Format) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_terminal = std::io::stderr().is_terminal();
        let journald = format == Format::Text && set("JOURNAL_STREAM") && !is_terminal;
        let format = if journald { Format::Journal } else { format };
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let coloured = is_terminal && !dumb && !set("NO_COLOR");
        Self { level, format, timed: !is_child_of_procd(), coloured }
    }

    /// The same without times: for a command that a person waits for.
    #[must_use]
    pub fn without_times(self) -> Self {
        Self { timed: false, ..self }
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
            Format::Text | Format::Journal => self.text(report, unix_time()),
            Format::Json => json(report, unix_time()),
        };
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// A line that is about the program itself.
    pub fn say(self, level: Level, text: impl Into<String>) {
        self.write(&Report::new(level, "", text.into()));
    }

    fn text(self, report: &Report, unix: u64) -> String {
        let mut line = String::new();
        if self.format == Format::Journal {
            // Writing to a String cannot fail.
            let _ = write!(line, "<{}>", priority(report.level));
        } else {
            if self.timed {
                line = calendar::iso(unix) + " ";
            }
            let (word, colour) = match report.level {
                Level::Error => ("error:", 31),
                Level::Warning => ("warning:", 33),
                Level::Info | Level::Debug => ("", 0),
            };
            match (word, self.coloured) {
                ("", _) => {}
                (word, true) => drop(write!(line, "\x1b[{colour}m{word}\x1b[0m ")),
                (word, false) => drop(write!(line, "{word} ")),
            }
        }
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

/// Whether our lines go to procd (OpenWrt), which has the time from its syslog.
fn is_child_of_procd() -> bool {
    #[cfg(unix)]
    let parent = std::os::unix::process::parent_id();
    #[cfg(not(unix))]
    let parent = 0;
    parent == 1 && std::fs::read("/proc/1/comm").is_ok_and(|name| name == b"procd\n")
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

    fn log(format: Format) -> Log {
        Log { level: Level::Debug, format, timed: false, coloured: false }
    }

    #[test]
    fn text_is_for_people_or_for_journald() {
        let [plain, journal] = [Format::Text, Format::Journal].map(log);
        assert_eq!(plain.text(&change(), 0), "A home.example: set to 1.2.3.4 (230 ms)\n");
        assert_eq!(journal.text(&change(), 0), "<6>A home.example: set to 1.2.3.4 (230 ms)\n");
        let error = Report::new(Level::Error, "", "no".into());
        assert_eq!(plain.text(&error, 0), "error: no\n");
        assert_eq!(journal.text(&error, 0), "<3>no\n");
    }

    #[test]
    fn the_time_stands_in_front_and_a_terminal_shows_the_level() {
        let error = Report::new(Level::Error, "x", "no".into());
        let timed = Log { timed: true, ..log(Format::Text) };
        assert_eq!(timed.text(&error, 1_795_784_520), "2026-11-27T13:02:00Z error: x: no\n");
        let journal = Log { timed: true, coloured: true, ..log(Format::Journal) };
        assert_eq!(journal.text(&error, 1_795_784_520), "<3>x: no\n");
        let coloured = Log { coloured: true, ..log(Format::Text) };
        assert_eq!(coloured.text(&error, 0), "\x1b[31merror:\x1b[0m x: no\n");
        let warning = Report::new(Level::Warning, "", "hm".into());
        assert_eq!(coloured.text(&warning, 0), "\x1b[33mwarning:\x1b[0m hm\n");
        assert_eq!(coloured.text(&change(), 0), "A home.example: set to 1.2.3.4 (230 ms)\n");
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
        assert_eq!(log(Format::Text).text(&forged, 0), "x: a error: b [2J\n");
    }

    #[test]
    fn less_important_lines_are_dropped() {
        let quiet = Log { level: Level::Warning, ..log(Format::Text) };
        assert!(quiet.wants(Level::Error) && quiet.wants(Level::Warning));
        assert!(!quiet.wants(Level::Info));
    }
}
