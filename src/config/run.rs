//! `[[runs]]`: programs.

use std::time::Duration;

use super::builder::{Builder, NewTarget};
use super::defaults::TargetDefaults;
use super::fingerprint::Fingerprint;
use super::section::{Section, Value};
use super::sources::Router;
use super::suggest::warn_of_typos;
use super::{Run, UpdaterConfig};
use crate::config::error::Problems;
use crate::config::placeholders::{Needs, mentioned};
use crate::config::url::{from_prefix, names_both};

/// Ten minutes: enough for a certificate by a DNS challenge.
const DEFAULT_TIMEOUT: u32 = 600;

/// A day; whoever needs longer starts a service of its own.
const MAX_TIMEOUT: u32 = 86_400;

/// Reads one section; `first_other`: where the first section begins that is none of
/// these.
pub(super) fn read<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    first_other: Option<usize>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    // As in 1.0, which went through the file from its beginning.
    let is_first = first_other.is_some_and(|other| section.begins() < other);
    let mut defaults = defaults.clone();
    TargetDefaults::refuse_verify(&mut section);
    defaults.take(&mut section, router);
    let label = section.take("name").and_then(|value| value.line());
    let cmd = section.require("cmd").and_then(|value| read_cmd(&value));
    let expected = format!("expected 1 to {MAX_TIMEOUT} seconds");
    let timeout = section.take("timeout").and_then(|value| value.integer(1..=MAX_TIMEOUT, &expected));
    let timeout = Duration::from_secs(timeout.unwrap_or(DEFAULT_TIMEOUT).into());
    let at_start = section.take("at_start").and_then(|value| value.flag()).unwrap_or(false);
    let retry = section.take("retry").and_then(|value| value.flag()).unwrap_or(true);
    let wait = section.take("wait").and_then(|value| value.flag()).unwrap_or(!is_first);
    match cmd {
        Some(cmd) if cmd.is_empty() => {
            problems.warn("a [[runs]] section with an empty cmd runs nothing".into());
        }
        Some(cmd) => {
            let name = label.map_or_else(|| default_name(&cmd), str::to_owned);
            warn_of_typos(&name, cmd.iter().map(String::as_str), problems);
            let draft = NewTarget { at_start, ..draft(name, &cmd, &defaults) };
            builder.add(&section, &defaults, draft);
            builder.groups.push(UpdaterConfig::Run(Box::new(Run { cmd, timeout, retry, wait })));
        }
        None => {}
    }
    section.finish();
}

fn draft(name: String, cmd: &[String], defaults: &TargetDefaults<'_>) -> NewTarget {
    let mut required = cmd.iter().map(|argument| mentioned(argument)).fold(Needs::default(), Needs::or);
    // They are in its environment; only what its arguments name makes it run, or
    // everything where they name nothing.
    let mut all = Needs { ipv4: true, ipv6: true, ipv6_prefix: true };
    if defaults.ipv6_suffix.is_some() {
        required = from_prefix(required);
        all = from_prefix(all);
    }
    let any_address = required == Needs::default();
    let (optional, extra) = if any_address { (all, Needs::default()) } else { (Needs::default(), all) };
    let fingerprint = Fingerprint::new("run")
        .list(cmd.iter().map(String::as_str))
        .maybe(defaults.ipv6_suffix)
        .flag(defaults.empty_when_absent)
        .finish();
    let both_families = names_both(required);
    NewTarget {
        name,
        fingerprint,
        required,
        optional,
        extra,
        both_families,
        any_address,
        ..NewTarget::default()
    }
}

fn default_name(cmd: &[String]) -> String {
    let program = cmd.first().map_or("", String::as_str);
    let file = program.rsplit(['/', '\\']).next().unwrap_or(program);
    format!("run {}", file.replace(char::is_control, "?"))
}

pub(super) fn read_cmd(value: &Value<'_>) -> Option<Vec<String>> {
    let entries = value.list()?;
    let cmd: Vec<&str> = entries.iter().map(read_argument).collect::<Option<_>>()?;
    if let (Some(program), Some(entry)) = (cmd.first(), entries.first()) {
        if program.is_empty() {
            return entry.stop("expected a program");
        }
        if mentioned(program) != Needs::default() {
            return entry.stop("the program itself cannot hold placeholders; its arguments can");
        }
    }
    Some(cmd.into_iter().map(str::to_owned).collect())
}

fn read_argument<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.text()?;
    // No operating system can pass it on.
    if text.contains('\0') { value.stop_hidden("expected no NUL character") } else { Some(text) }
}
