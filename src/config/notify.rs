//! `[[notify]]` and `[heartbeat]`: who is told what, and how.

use std::time::Duration;

use super::describe::{HIDDEN, TomlWriter, list, toml_string};
use super::files::{Files, is_placeholder};
use super::idn::ascii_name;
use super::provider_url::{check, hide_in_arguments};
use super::section::{Section, Value};
use super::suggest::nearest;
use super::units::MINUTE;
use super::url::{read_headers, warn_of_plain_http};
use super::{hidden_url, run, units};
use crate::config::error::Problems;
use crate::secret::Secret;
use crate::transport::url::HttpUrl;

/// Minutes a failure must last, and minutes between two pings.
const DEFAULT_MINUTES: f64 = 60.0;
/// A year.
const MAX_MINUTES: f64 = 366.0 * 24.0 * 60.0;
/// More would be a mailing list.
const MAX_SECTIONS: usize = 16;
const TELEGRAM: &str = "https://api.telegram.org/";

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Happening {
    /// A target holds another address than before.
    Change,
    /// A target has not held what it should for some time.
    Failure,
    /// It does again.
    Recovery,
}

impl Happening {
    /// All of them; their places are their indexes.
    pub const ALL: [Self; 3] = [Self::Change, Self::Failure, Self::Recovery];

    /// As in `on = [...]`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Failure => "failure",
            Self::Recovery => "recovery",
        }
    }
}

/// In which form a service wants its messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    Ntfy,
    Gotify,
    Telegram,
    Discord,
    Slack,
    /// Standard input of a program that sends mail.
    Mail,
}

impl Preset {
    const NAMES: [(&str, Self); 6] = [
        ("ntfy", Self::Ntfy),
        ("gotify", Self::Gotify),
        ("telegram", Self::Telegram),
        ("discord", Self::Discord),
        ("slack", Self::Slack),
        ("mail", Self::Mail),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, preset)| *preset == self).map_or("", |(name, _)| name)
    }
}

/// A `[[notify]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notify {
    /// `None`: the text as it is.
    pub preset: Option<Preset>,
    /// Program and arguments; empty where it is a URL.
    pub cmd: Vec<String>,
    /// http or https; empty where it is a program.
    pub url: Secret,
    pub token: Option<Secret>,
    /// Telegram's `chat_id`.
    pub chat: String,
    /// Names and values.
    pub headers: Vec<(String, Secret)>,
    /// Which happenings are told, in the order of [`Happening::ALL`].
    pub on: [bool; 3],
    /// How long a failure lasts before it is told.
    pub after: Duration,
}

impl Notify {
    /// Its name in the log: the program, or scheme and host.
    #[must_use]
    pub fn label(&self) -> String {
        self.cmd.first().map_or_else(|| origin(self.url.reveal()), String::clone)
    }

    fn write(&self, page: &mut TomlWriter) {
        page.header("[[notify]]");
        page.maybe("preset", self.preset.map(|preset| toml_string(preset.name())));
        if self.cmd.is_empty() {
            page.entry("url", toml_string(&hidden_url(self.url.reveal())));
        } else {
            page.entry("cmd", list(hide_in_arguments(&self.cmd, HIDDEN).into_iter()));
        }
        page.maybe("token", self.token.as_ref().map(|_| toml_string(HIDDEN)));
        page.maybe("chat", Some(&self.chat).filter(|chat| !chat.is_empty()).map(|chat| toml_string(chat)));
        page.headers(&self.headers);
        let words = Happening::ALL.iter().zip(self.on).filter(|(_, on)| *on);
        page.entry("on", list(words.map(|(happening, _)| happening.word().to_owned())));
        page.entry("after", units::number(self.after, MINUTE));
    }
}

/// The `[heartbeat]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    pub url: Secret,
    /// Time between two pings.
    pub every: Duration,
}

impl Heartbeat {
    /// Its name in the log.
    #[must_use]
    pub fn label(&self) -> String {
        origin(self.url.reveal())
    }
}

/// What of a URL may be shown in a line.
fn origin(url: &str) -> String {
    let Ok(parts) = HttpUrl::split(url) else { return HIDDEN.to_owned() };
    parts.with_path("").write(parts.host, None, None).trim_end_matches('/').to_owned()
}

/// Who is told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Telling {
    pub notify: Vec<Notify>,
    pub heartbeat: Option<Heartbeat>,
}

impl Telling {
    /// Takes both kinds of section.
    pub(super) fn read<'a>(top: &mut Section<'a>, files: &Files<'_>, problems: &'a Problems<'a>) -> Self {
        let sections: Vec<_> = top.take_sections("notify", "[[notify]]", true).collect();
        if let Some(section) = sections.get(MAX_SECTIONS) {
            section.refuse(&format!("expected at most {MAX_SECTIONS} such sections"));
        }
        let notify =
            sections.into_iter().filter_map(|section| read_notify(section, files, problems)).collect();
        let heartbeat = top.take("heartbeat").and_then(|value| value.section("[heartbeat]"));
        Self { notify, heartbeat: heartbeat.and_then(|section| read_heartbeat(section, files)) }
    }

    pub(super) fn write(&self, page: &mut TomlWriter) {
        self.notify.iter().for_each(|notify| notify.write(page));
        if let Some(heartbeat) = &self.heartbeat {
            page.header("[heartbeat]");
            page.entry("url", toml_string(&hidden_url(heartbeat.url.reveal())));
            page.entry("every", units::number(heartbeat.every, MINUTE));
        }
    }
}

fn read_notify(mut section: Section<'_>, files: &Files<'_>, problems: &Problems<'_>) -> Option<Notify> {
    let preset = section.take("preset").map(|value| read_preset(&value));
    let wrong_preset = preset == Some(None);
    let preset = preset.flatten();
    let has_url = section.has("url") || section.has("url_file");
    let inline = section.has("url") || section.has("token");
    let problem = contradiction(preset, &section);
    let cmd = section.take("cmd").and_then(|value| run::read_cmd(&value));
    let mut url = read_url(&mut section, files);
    let token = read_token(&mut section, files);
    let chat = section.take("chat").and_then(|value| value.line_or_integer());
    let headers = section.take("headers").map_or_else(Vec::new, |value| read_headers(&value, files));
    let on = section.take("on").map_or(Some([true; 3]), |value| read_on(&value));
    let after = read_minutes(&mut section, "after");
    let is_empty = cmd.as_ref().is_some_and(Vec::is_empty);
    let problem = problem.or(is_empty.then_some("cmd is empty; expected a program"));
    if let Some(problem) = problem.filter(|_| !wrong_preset) {
        section.refuse(problem);
    }
    if preset == Some(Preset::Telegram) && !has_url {
        url = Some(TELEGRAM.to_owned());
    }
    section.finish();
    let (cmd, url) = (cmd.unwrap_or_default(), url.unwrap_or_default());
    if cmd.is_empty() && url.is_empty() {
        return None;
    }
    if inline {
        files.saw_inline_secret();
    }
    warn_of_plain_http("[[notify]]", &url, &headers, problems);
    Some(Notify {
        preset,
        cmd,
        url: Secret::new(url),
        token,
        chat: chat.unwrap_or_default().to_owned(),
        headers,
        on: on?,
        after: after?,
    })
}

/// What a section of this preset lacks, or has too much.
fn contradiction(preset: Option<Preset>, section: &Section<'_>) -> Option<&'static str> {
    let has_url = section.has("url") || section.has("url_file");
    let has_cmd = section.has("cmd");
    let has_token = section.has("token") || section.has("token_file");
    let (has_chat, has_headers) = (section.has("chat"), section.has("headers"));
    match preset {
        _ if has_url && has_cmd => Some("url and cmd are both given; keep one of the two"),
        Some(Preset::Mail) if !has_cmd => {
            Some("cmd is missing, a program that sends mail: [\"sendmail\", \"-i\", \"me@example.org\"]")
        }
        None if !has_url && !has_cmd => Some("url, url_file or cmd is missing"),
        Some(Preset::Telegram) if !has_token || !has_chat => Some(
            "Telegram needs token (or token_file), as @BotFather gives it, and chat, the number of the chat",
        ),
        Some(Preset::Gotify) if !has_token => {
            Some("Gotify needs token (or token_file), that of an application")
        }
        Some(Preset::Ntfy | Preset::Gotify | Preset::Discord | Preset::Slack) if !has_url => {
            Some("url or url_file is missing")
        }
        Some(_) if has_cmd && preset != Some(Preset::Mail) => Some("a program needs no preset but \"mail\""),
        _ if has_cmd && (has_token || has_headers) => Some("a program is given no token and no headers"),
        None | Some(Preset::Discord | Preset::Slack) if has_token => Some(
            "token is for ntfy, Gotify and Telegram; others have theirs in url, or in headers = { Authorization = \"...\" }",
        ),
        _ if has_chat && preset != Some(Preset::Telegram) => Some("chat is for Telegram"),
        _ => None,
    }
}

fn read_token(section: &mut Section<'_>, files: &Files<'_>) -> Option<Secret> {
    let found = files.text(section, "token", "token_file")?;
    let token = found.text.trim();
    let plain = !is_placeholder(token) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Some(Secret::new(token.to_owned())) } else { found.value.refuse_hidden("expected a token") }
}

fn read_heartbeat(mut section: Section<'_>, files: &Files<'_>) -> Option<Heartbeat> {
    let given = section.has("url") || section.has("url_file");
    if section.has("url") {
        files.saw_inline_secret();
    }
    let url = read_url(&mut section, files);
    if !given {
        section.refuse("url or url_file is missing");
    }
    let every = read_minutes(&mut section, "every");
    section.finish();
    Some(Heartbeat { url: Secret::new(url?), every: every? })
}

fn read_url(section: &mut Section<'_>, files: &Files<'_>) -> Option<String> {
    let found = files.text(section, "url", "url_file")?;
    if is_placeholder(&found.text) || found.text.contains('{') {
        return found.value.refuse_hidden("expected a URL without placeholders");
    }
    check(&found.text, ascii_name).map_or_else(|problem| found.value.refuse_hidden(&problem), Some)
}

fn read_preset(value: &Value<'_>) -> Option<Preset> {
    let text = value.text()?;
    let names = Preset::NAMES.map(|(name, _)| name);
    let found = Preset::NAMES.iter().find(|(name, _)| *name == text).map(|(_, preset)| *preset);
    found.or_else(|| match nearest(text, names) {
        Some(meant) => value.refuse(&format!("did you mean {meant:?}?")),
        None => value.refuse(&format!("expected one of {}; or leave it out", names.join(", "))),
    })
}

fn read_on(value: &Value<'_>) -> Option<[bool; 3]> {
    let mut on = [false; 3];
    for entry in value.list()? {
        let text = entry.text()?;
        let known = Happening::ALL.iter().zip(&mut on).find(|(happening, _)| happening.word() == text);
        match known {
            Some((_, on)) => *on = true,
            None => return entry.refuse("expected \"change\", \"failure\" or \"recovery\""),
        }
    }
    if on == [false; 3] {
        value.refuse("expected at least one of \"change\", \"failure\", \"recovery\"")
    } else {
        Some(on)
    }
}

fn read_minutes(section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
    let Some(value) = section.take(key) else { return Some(units::time(DEFAULT_MINUTES, MINUTE)) };
    let minutes = value.number()?;
    let time = units::time(minutes, MINUTE);
    if time < Duration::from_secs(1) || minutes > MAX_MINUTES {
        return value.refuse("expected minutes: at least 1 second (0.0167 minutes), at most a year");
    }
    Some(time)
}
