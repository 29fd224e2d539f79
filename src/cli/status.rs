//! The page that `status` prints; pure.

use std::fmt::Write as _;

use super::page::Page;
use crate::calendar;
use crate::engine::status::{Address, Held, Source, Status, Target, Time};

/// Reads what a daemon wrote.
#[must_use]
pub fn read(text: &str) -> Option<Status> {
    serde_json::from_str(text).ok()
}

/// What is known, at `now` by the clock of who reads it.
#[must_use]
pub fn to_text(status: &Status, now: u64) -> String {
    let mut page = Page::default();
    let (time, what) = if status.running {
        (status.running_since, "runs since")
    } else {
        (status.written, "runs no more; at")
    };
    let since = time.map_or_else(String::new, |time| format!(" {what} {}", point(time, now)));
    page.line(&format!("ddns-update-daemon {}{since}; times are UTC", status.version));
    page.line(&format!("configuration {}", status.config));
    page.line("");
    page.line("ADDRESSES");
    for (kind, name) in [("ipv4", "  IPv4"), ("ipv6", "  IPv6"), ("prefix", "  prefix")] {
        let told = |source| addresses(source, kind).map(move |address| (source, address));
        let all: Vec<_> = status.sources.iter().flat_map(told).collect();
        let used = all.iter().any(|(_, address)| address.used);
        for (source, address) in all.iter().filter(|(_, address)| address.used || !used) {
            page.at(10, name, &address_line(source, address, now));
        }
    }
    page.line("");
    page.line("SOURCES");
    for source in status.sources.iter().filter(|source| source.wanted || source.asked.is_some()) {
        page.at(2, "", &source_line(source, now, status.running));
    }
    page.line("");
    page.line("TARGETS");
    status.targets.iter().for_each(|target| put_target(&mut page, target, now, status.running));
    status.left_out.iter().for_each(|line| page.at(11, "  LEFT OUT", line));
    if !status.history.is_empty() {
        page.line("");
        page.line("CHANGES");
        for change in &status.history {
            let at = change.at.map_or("at an unknown time".to_owned(), |at| calendar::short(at.0));
            let text = format!("{}: {} -> {}", change.target, list(&change.old), list(&change.new));
            page.at(20, &format!("  {at}"), &text);
        }
    }
    page.line("");
    page.line(&sum(status));
    if !status.left_out.is_empty() {
        page.line("What is left out cannot work as it is written: mend the file, then reload.");
    }
    page.0
}

/// Whether every target holds what it should, and none is left out.
#[must_use]
pub fn is_current(status: &Status) -> bool {
    status.left_out.is_empty() && status.targets.iter().all(|target| target.state == "ok")
}

fn sum(status: &Status) -> String {
    let all = status.targets.len();
    match status.targets.iter().filter(|target| target.state != "ok").count() {
        0 if all == 1 => "The target is current.".to_owned(),
        0 => format!("All {all} targets are current."),
        1 if all == 1 => "The target is not current.".to_owned(),
        1 => format!("1 of {all} targets is not current."),
        behind => format!("{behind} of {all} targets are not current."),
    }
}

fn addresses<'a>(source: &'a Source, kind: &str) -> impl Iterator<Item = &'a Address> {
    source.addresses.iter().filter(move |address| address.kind == kind)
}

fn address_line(source: &Source, address: &Address, now: u64) -> String {
    let why = address.why.as_deref().unwrap_or_default();
    let value = address.value.as_deref();
    let said = match (address.state.as_str(), value) {
        ("known", value) => format!("{}, by {}", value.unwrap_or_default(), source.name),
        ("pending", _) => format!("not known yet: {} is being asked", source.name),
        (state, last) => {
            let state = if state == "absent" { "none" } else { state };
            let last = last.map_or_else(String::new, |last| format!(", it was {last}"));
            format!("{state}{last} ({}: {why})", source.name)
        }
    };
    match address.since {
        Some(since) => format!("{said}, since {}", point(since, now)),
        None => said,
    }
}

fn source_line(source: &Source, now: u64, running: bool) -> String {
    let mut text = source.name.clone();
    if let Some(gateway) = &source.gateway {
        let _ = write!(text, " ({gateway})");
    }
    text.push_str(": ");
    match source.asked {
        Some(asked) => {
            let _ = write!(text, "asked {} ago", calendar::age(now.saturating_sub(asked.0)));
        }
        None => text.push_str("not asked yet"),
    }
    if !running {
        return text;
    }
    if let Some(next) = source.next {
        let _ = write!(text, ", again {}", until(next, now));
    }
    match source.events.as_deref() {
        Some("yes") => text.push_str("; its events arrive"),
        // Says itself that there are none, and why.
        Some(why) => {
            let _ = write!(text, "; {why}");
        }
        None => {}
    }
    if let Some(heard) = source.last_event {
        let _ = write!(text, "; last announced {}", point(heard, now));
    }
    text
}

fn put_target(page: &mut Page, target: &Target, now: u64, running: bool) {
    let label = match target.state.as_str() {
        "ok" => "  ok",
        "retrying" => "  RETRY",
        "blocked" => "  BLOCKED",
        _ => "  WAITS",
    };
    page.at(11, label, &format!("{} ({})", target.name, target.kind));
    let mut line = format!("holds {}", list(&target.holds));
    if let Some(changed) = target.changed {
        let _ = write!(line, " since {}", point(changed, now));
    }
    if let Some(why) = &target.changed_because {
        let _ = write!(line, ": {why}");
    }
    page.at(11, "", &line);
    if let Some(trouble) = &target.trouble {
        let since = target.trouble_since;
        let since = since.map_or_else(String::new, |since| format!(", since {}", point(since, now)));
        let count = match target.failures {
            0 | 1 => String::new(),
            failures => format!(", {failures} times"),
        };
        page.at(11, "", &format!("{trouble}{since}{count}"));
    }
    if let Some(next) = target.next.filter(|_| running) {
        page.at(11, "", &format!("next try {}", until(next, now)));
    }
    if let Some(advice) = &target.advice {
        page.at(11, "", advice);
    }
}

fn list(held: &Held) -> String {
    let texts: Vec<&str> = held.texts().collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

/// `Fri 27 Nov 13:02 (1 h 15 min ago)`.
fn point(time: Time, now: u64) -> String {
    format!("{} ({} ago)", calendar::short(time.0), calendar::age(now.saturating_sub(time.0)))
}

fn until(time: Time, now: u64) -> String {
    match time.0.saturating_sub(now) {
        0 => "now".to_owned(),
        left => format!("in {}", calendar::age(left)),
    }
}
