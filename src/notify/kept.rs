//! What a new start must not forget: who was told of which failure, and what nobody has
//! taken yet; as text and back; pure. Lines of fields between tabs:
//!
//! ```text
//! behind  1795784520  A home.example.org  https://ntfy.sh
//! told    https://ntfy.sh  failure  A home.example.org  A home.example.org: not up ...
//! more    https://ntfy.sh  failure  7
//! ```
//!
//! A target that is behind, since when, and the sections that were told; a line that a
//! section is to be told; how many lines more there were. What does not fit, or is of a
//! target that there is not, is left out.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Happening, Notifier, Section, Trouble, bit};
use crate::config::Config;
use crate::engine::Now;

/// The longest text that is read: of 10,000 targets with long names.
pub const MAX_KEPT: u64 = 4 * 1024 * 1024;

/// What a section is called here: its label, and which of those that have it.
pub(super) fn keys(config: &Config) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for section in &config.telling.notify {
        let label = clean(&section.label());
        let alike = (1_usize..).map(|count| format!("{label} {count}"));
        let key = alike.into_iter().find(|key| !keys.contains(key));
        keys.extend(key);
    }
    keys
}

fn clean(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl Notifier {
    /// What there is to keep; empty: nothing.
    #[must_use]
    pub fn keep(&self, now: Now) -> String {
        let mut text = String::new();
        for trouble in &self.troubles {
            let since = now.unix.map(|unix| unix.saturating_sub(trouble.age(now).as_secs()));
            let since = since.map_or_else(|| "-".to_owned(), |since| since.to_string());
            let _ = write!(text, "behind\t{since}\t{}", clean(&trouble.name));
            for (index, section) in self.sections.iter().enumerate() {
                if trouble.told & bit(index) != 0 {
                    let _ = write!(text, "\t{}", section.key);
                }
            }
            text.push('\n');
        }
        for section in &self.sections {
            for (happening, waiting) in Happening::ALL.iter().zip(&section.waiting) {
                let (key, word) = (&section.key, happening.word());
                for (target, line) in &waiting.lines {
                    let _ = writeln!(text, "told\t{key}\t{word}\t{}\t{line}", clean(target));
                }
                if waiting.more > 0 {
                    let _ = writeln!(text, "more\t{key}\t{word}\t{}", waiting.more);
                }
            }
        }
        text
    }

    /// Takes what an earlier start kept. `targets`: those that there are.
    pub fn restore(&mut self, now: Now, text: &str, targets: &[&str]) {
        let targets: HashSet<&str> = targets.iter().copied().collect();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            match *fields.as_slice() {
                ["behind", since, name, ref told @ ..] if targets.contains(&name) => {
                    let age =
                        now.unix.zip(since.parse().ok()).map(|(unix, since)| unix.saturating_sub(since));
                    let told =
                        self.sections.iter().enumerate().filter(|(_, s)| told.contains(&s.key.as_str()));
                    let told = told.fold(0, |all, (index, _)| all | bit(index));
                    let before = Duration::from_secs(age.unwrap_or_default());
                    let (name, why) = (name.to_owned(), String::new());
                    self.troubles.push(Trouble { name, since: now.elapsed, before, why, told });
                }
                ["told", key, word, target, line] if targets.contains(&target) => {
                    let _ = self.section(key).map(|section| section.put_line(word, now, target, line));
                }
                ["more", key, word, count] => {
                    let waiting = self.section(key).and_then(|section| section.waiting.get_mut(place(word)?));
                    // Behind lines that are left out there is nobody to tell of.
                    let waiting = waiting.filter(|waiting| !waiting.lines.is_empty());
                    if let Some((waiting, count)) = waiting.zip(count.parse().ok()) {
                        waiting.more = count;
                    }
                }
                _ => {}
            }
        }
    }

    fn section(&mut self, key: &str) -> Option<&mut Section> {
        self.sections.iter_mut().find(|section| section.key == key)
    }
}

impl Section {
    fn put_line(&mut self, word: &str, now: Now, target: &str, line: &str) {
        let Some(happening) = place(word).and_then(|at| Happening::ALL.get(at)) else { return };
        let text = line.strip_prefix(target).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
        self.put(*happening, now, target, text);
    }
}

fn place(word: &str) -> Option<usize> {
    Happening::ALL.iter().position(|happening| happening.word() == word)
}
