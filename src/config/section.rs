//! Reading a TOML table key by key: each key is taken with the type it must
//! have, and whatever is left at the end is refused.
//!
//! Only this file, `read.rs` and `differences.rs` know the toml library.

use std::iter;
use std::iter::Peekable;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::Problems;
use crate::config::suggest::{alike, home, is_usual, nearest};

/// Longer values and keys are not shown, and numbers are cut.
const MAX_SHOWN: usize = 60;
/// The longest word that is shown.
const MAX_WORD: usize = 20;
/// The longest with digits among its letters: `fe80`, `ipv6`, `sha256`.
const MAX_MIXED: usize = 6;

/// A table, and what has been asked of it so far.
pub(super) struct Section<'a> {
    pub(super) what: &'static str,
    at: usize,
    left: Vec<Value<'a>>,
    known: Vec<&'static str>,
    problems: &'a Problems<'a>,
}

/// Sections of a kind. Each is taken apart when its turn comes: what thousands at once take
/// of memory leaves holes between what stays.
pub(super) type Sections<'a> = Peekable<EachSection<'a>>;
type EachSection<'a> = Box<dyn Iterator<Item = Section<'a>> + 'a>;

/// A value, with its key and place for errors.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    key: &'a str,
    key_at: usize,
    at: usize,
    held: &'a DeValue<'a>,
    problems: &'a Problems<'a>,
}

impl<'a> Section<'a> {
    /// `what` names it in errors (`[tls]`); it is empty for the whole file.
    pub(super) fn new(
        what: &'static str,
        at: usize,
        table: &'a DeTable<'a>,
        problems: &'a Problems<'a>,
    ) -> Self {
        let mut left: Vec<Value<'a>> = table
            .iter()
            .map(|(key, value)| Value {
                key: key.get_ref(),
                key_at: key.span().start,
                at: value.span().start,
                held: value.get_ref(),
                problems,
            })
            .collect();
        left.sort_by_key(|value| value.key_at);
        Self { what, at, left, known: Vec::new(), problems }
    }

    /// Where it begins in the file.
    pub(super) fn begins(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let index = self.left.iter().position(|value| value.key == key)?;
        Some(self.left.remove(index))
    }

    /// Whether a key is there and was not taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|value| value.key == key)
    }

    /// Takes a key that must be there.
    pub(super) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let found = self.take(key);
        if found.is_none() {
            self.refuse(&format!("{key} is missing"));
        }
        found
    }

    /// Takes the `[[what]]` of a key, if there are any; with `single`, also a `[what]`.
    pub(super) fn take_sections(
        &mut self,
        key: &'static str,
        what: &'static str,
        single: bool,
    ) -> Sections<'a> {
        let found = self.take(key).map(|value| value.sections(what, single));
        found.unwrap_or_else(|| Box::new(iter::empty())).peekable()
    }

    /// Takes everything: for tables whose keys are the user's.
    pub(super) fn take_all(self) -> Vec<Value<'a>> {
        self.left
    }

    /// Notes a problem with the section as a whole.
    pub(super) fn refuse(&self, problem: &str) {
        self.problems.add(self.at, format!("{}: {problem}", self.what));
    }

    /// Refuses the keys that nobody took.
    pub(super) fn finish(self) {
        for value in &self.left {
            let known = || self.known.iter().copied();
            let meant = nearest(value.key, known()).or_else(|| alike(value.key, known()));
            // Any other word may be a secret in the wrong place, or be the wrong way round.
            let swapped = value.held.as_str().is_some_and(|text| self.known.contains(&text));
            let plain = !swapped && (meant.is_some() || is_usual(value.key));
            let key = if plain { value.key } else { "…" };
            let advice = match (meant, home(value.key).filter(|home| *home != self.what)) {
                (Some(meant), _) => format!("did you mean {meant:?}?"),
                (None, Some("")) => "it belongs to the top of the file, before the first section".to_owned(),
                (None, Some(home)) => format!("it belongs in {home}"),
                (None, None) => format!("expected {}", self.known.join(", ")),
            };
            let place = match self.what {
                "" => String::new(),
                what => format!(" in {what}"),
            };
            self.problems.add(value.key_at, format!("unknown key {key:?}{place}: {advice}"));
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    /// Notes a problem, showing the value. Not for secrets.
    pub(super) fn refuse<T>(&self, problem: &str) -> Option<T> {
        self.problems.add(self.at, format!("{} = {}: {problem}", shown_key(self.key), shown(self.held)));
        None
    }

    /// Notes a problem without showing the value.
    pub(super) fn refuse_hidden<T>(&self, problem: &str) -> Option<T> {
        self.problems.add(self.at, format!("{}: {problem}", shown_key(self.key)));
        None
    }

    /// Notes a problem with the key.
    pub(super) fn refuse_key<T>(&self, problem: &str) -> Option<T> {
        self.problems.add(self.key_at, format!("{:?}: {problem}", shown_key(self.key)));
        None
    }

    /// Like [`Self::refuse`], for what stops this section alone.
    pub(super) fn stop<T>(&self, problem: &str) -> Option<T> {
        self.problems.stop(self.at, format!("{} = {}: {problem}", shown_key(self.key), shown(self.held)));
        None
    }

    /// Like [`Self::refuse_hidden`], for what stops this section alone.
    pub(super) fn stop_hidden<T>(&self, problem: &str) -> Option<T> {
        self.problems.stop(self.at, format!("{}: {problem}", shown_key(self.key)));
        None
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.held.as_str().or_else(|| self.refuse("expected text in quotes"))
    }

    /// A text that must not be shown.
    pub(super) fn hidden_text(&self) -> Option<&'a str> {
        self.held
            .as_str()
            .or_else(|| self.refuse_hidden(&format!("expected text in quotes, found {}", kind(self.held))))
    }

    /// A text without control characters and not empty.
    pub(super) fn line(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.is_empty() {
            return self.refuse("expected some text");
        }
        if text.chars().any(char::is_control) {
            return self.refuse("expected no line breaks or control characters");
        }
        Some(text)
    }

    /// The same, or a whole number.
    pub(super) fn line_or_integer(&self) -> Option<&'a str> {
        match self.held {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
            _ => self.line(),
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.held.as_bool().or_else(|| self.refuse(&self.bare("expected true or false")))
    }

    /// A whole number in `range`; `expected` says what it means.
    pub(super) fn integer(&self, range: RangeInclusive<u32>, expected: &str) -> Option<u32> {
        let number = self.held.as_integer();
        let number = number.and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        number.filter(|number| range.contains(number)).or_else(|| self.refuse(expected))
    }

    /// A number, whole or not, but neither infinite nor NaN.
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self.held {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                // Every i32 is one, and no key allows more.
                number.map(|n| i32::try_from(n).map_or(if n < 0 { f64::MIN } else { f64::MAX }, f64::from))
            }
            _ => None,
        };
        number
            .filter(|number: &f64| number.is_finite())
            .or_else(|| self.refuse(&self.bare("expected a number")))
    }

    /// What is expected, for who has put it in quotes.
    fn bare(&self, expected: &str) -> String {
        format!("{expected}{}", if self.held.is_str() { ", without quotes" } else { "" })
    }

    pub(super) fn is_list(&self) -> bool {
        self.held.is_array()
    }

    /// The entries of a list; each bears the list's key.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let Some(array) = self.held.as_array() else {
            return self.refuse("expected a list: [\"...\", \"...\"]");
        };
        Some(array.iter().map(|value| self.entry(value)).collect())
    }

    fn entry(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { at: value.span().start, held: value.get_ref(), ..*self }
    }

    pub(super) fn section(&self, what: &'static str) -> Option<Section<'a>> {
        match self.held {
            DeValue::Table(table) => Some(Section::new(what, self.at, table, self.problems)),
            other => self.refuse_hidden(&format!("expected {what}, found {}", kind(other))),
        }
    }

    /// `[[what]]`; with `single`, also `[what]`.
    fn sections(self, what: &'static str, single: bool) -> EachSection<'a> {
        match self.held {
            DeValue::Table(_) if single => Box::new(self.section(what).into_iter()),
            DeValue::Array(array) => {
                Box::new(array.iter().filter_map(move |value| self.entry(value).section(what)))
            }
            other => {
                self.refuse_hidden::<()>(&format!("expected {what} sections, found {}", kind(other)));
                Box::new(iter::empty())
            }
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a single section",
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if looks_secret(text) => "\"…\"".to_owned(),
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => cut(&number.to_string()),
        DeValue::Float(number) => cut(&number.to_string()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        // What is in them might be secret.
        DeValue::Array(_) => "[...]".to_owned(),
        DeValue::Table(_) => "{...}".to_owned(),
    }
}

/// A key as it is written, unless it may be a value in the wrong place.
fn shown_key(key: &str) -> String {
    if looks_secret(key) { "…".to_owned() } else { key.to_owned() }
}

/// Whether a text could be a secret in the wrong place: long, with letters and
/// digits in one word, or a URL with credentials.
fn looks_secret(text: &str) -> bool {
    let long = |word: &str| match (word.len(), word.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        (length, true) => length > MAX_WORD,
        (length, false) => length > MAX_MIXED,
    };
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    text.chars().count() > MAX_SHOWN
        || (text.len() > 1 && text.contains('@'))
        || text.contains("://")
        || words.any(long)
}

fn cut(text: &str) -> String {
    let mut kept: String = text.chars().take(MAX_SHOWN).collect();
    if kept.len() < text.len() {
        kept.push_str("...");
    }
    kept
}
