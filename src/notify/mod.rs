//! Who is told what, and when; pure. The shell (`daemon/teller.rs`) sends.
//!
//! Each section keeps one message of each kind, a line for each target. A failure or a
//! recovery stays until it is delivered, tried at waits that grow to an hour; a change
//! is tried twice; [`kept`] is what a new start knows of it. Nothing here holds up an
//! update: what is to be told is read off the engine after it has decided.

pub mod kept;
pub mod message;

use std::fmt::Write as _;
use std::time::Duration;

use crate::address::Addresses;
use crate::backoff::{Backoff, Random};
use crate::calendar;
use crate::config::Config;
use crate::config::notify::Happening;
use crate::engine::Now;
use message::cut;

/// Targets that a message names; of the others, their number.
const MAX_LINES: usize = 20;
/// Bytes of a line, and of a message (Discord takes 2000 characters).
const MAX_LINE: usize = 400;
const MAX_TEXT: usize = 1900;
/// How long a message waits for others: a new address reaches several targets.
const SETTLE: Duration = Duration::from_secs(1);
/// How often the targets are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// How often a change is tried; later it is no news.
const CHANGE_TRIES: u32 = 2;
/// When a change is tried once more.
const AGAIN: Duration = Duration::from_secs(10);
/// A target that was behind for less is no failed ping.
const BLIP: Duration = Duration::from_secs(5 * 60);

/// What is to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// A message for the section with this index.
    Message { to: usize, happening: Happening, text: String },
    /// A ping: whether all is well, and how things are.
    Ping { ok: bool, text: String },
}

/// What became of a delivery.
pub type Sent = Result<(), Undelivered>;

/// Why nobody was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
    /// What happened, for people.
    pub why: String,
    /// How long to wait, by the server's wish.
    pub after: Option<Duration>,
    /// Whether a server may have taken it; if not, the line may just have come up.
    pub reached: bool,
}

/// What is to be told.
pub struct Notifier {
    sections: Vec<Section>,
    heartbeat: Option<Pings>,
    /// Targets that do not hold what they should, in the order of the file.
    troubles: Vec<Trouble>,
    targets: usize,
    /// Something has happened since the last look.
    news: bool,
    looked: Option<Duration>,
    /// [`Self::keep`] says otherwise than before.
    unkept: bool,
    random: Random,
}

struct Trouble {
    name: String,
    since: Duration,
    /// How long it had lasted by then, in an earlier start.
    before: Duration,
    why: String,
    /// The sections that were told, a bit each.
    told: u16,
}

struct Section {
    /// Its name for an earlier and a later start.
    key: String,
    on: [bool; 3],
    after: Duration,
    waiting: [Waiting; 3],
    /// What is under way, and how many of its lines.
    sending: Option<(usize, usize)>,
    backoff: Backoff,
    not_before: Duration,
}

/// A message that is not delivered yet.
#[derive(Default)]
struct Waiting {
    /// Targets and what is said of them.
    lines: Vec<(String, String)>,
    more: usize,
    due: Duration,
    tries: u32,
}

struct Pings {
    every: Duration,
    next: Duration,
    /// The first waits until everything has been sent, or for a while.
    first: bool,
    /// A target that was behind for less is no failure.
    long: Duration,
    sending: bool,
    backoff: Backoff,
}

impl Notifier {
    /// `None` where nobody is to be told. `seed` is for jitter.
    #[must_use]
    pub fn new(config: &Config, seed: u64) -> Option<Self> {
        let telling = &config.telling;
        let sections = telling.notify.iter().zip(kept::keys(config)).map(|(to, key)| Section {
            key,
            on: to.on,
            after: to.after,
            waiting: Default::default(),
            sending: None,
            backoff: Backoff::default(),
            not_before: Duration::ZERO,
        });
        let heartbeat = telling.heartbeat.as_ref().map(|to| Pings {
            every: to.every,
            next: to.every.min(BLIP),
            first: true,
            long: to.every.min(BLIP),
            sending: false,
            backoff: Backoff::default(),
        });
        (!telling.notify.is_empty() || heartbeat.is_some()).then(|| Self {
            sections: sections.collect(),
            heartbeat,
            troubles: Vec::new(),
            targets: config.targets.len(),
            news: false,
            looked: None,
            unkept: false,
            random: Random::new(seed),
        })
    }

    /// Something has happened: it is time to [`Self::look`], though not at once.
    pub fn note(&mut self) {
        self.news = true;
    }

    /// A target holds another address; `text` says which.
    pub fn changed(&mut self, now: Now, target: &str, text: &str) {
        for section in &mut self.sections {
            section.put(Happening::Change, now, target, text);
        }
        self.unkept = true;
    }

    /// Whether [`Self::look`] is due.
    #[must_use]
    pub fn wants_a_look(&self, now: Now) -> bool {
        self.look_at() <= now.elapsed
    }

    fn look_at(&self) -> Duration {
        let rested = self.looked.map_or(Duration::ZERO, |looked| looked.saturating_add(LOOK));
        let by_news = if self.news { rested } else { Duration::MAX };
        let ripe = self.troubles.iter().flat_map(|trouble| {
            let untold = move |(index, section): (usize, &Section)| {
                (trouble.told & bit(index) == 0)
                    .then(|| trouble.since.saturating_add(section.after.saturating_sub(trouble.before)))
            };
            self.sections.iter().enumerate().filter_map(untold)
        });
        ripe.min().unwrap_or(Duration::MAX).min(by_news)
    }

    /// Compares what the targets hold with what they should: `behind` names those where
    /// that differs, and why; `holds` tells what one holds.
    pub fn look<'a>(
        &mut self,
        now: Now,
        behind: impl Iterator<Item = (&'a str, String)>,
        holds: &dyn Fn(&str) -> Option<Addresses>,
    ) {
        (self.news, self.looked) = (false, Some(now.elapsed));
        let mut before = std::mem::take(&mut self.troubles);
        // Both are in the order of the file, so what is looked for is near the end.
        before.reverse();
        for (name, why) in behind {
            let new = || Trouble {
                name: name.to_owned(),
                since: now.elapsed,
                before: Duration::ZERO,
                why: String::new(),
                told: 0,
            };
            let known = before.iter().rposition(|trouble| trouble.name == name);
            let mut trouble = known.map_or_else(new, |at| before.remove(at));
            for (index, section) in self.sections.iter_mut().enumerate() {
                if trouble.age(now) >= section.after && trouble.told & bit(index) == 0 {
                    trouble.told |= bit(index);
                    self.unkept = true;
                    let held = holds(name).map(|held| format!("; it holds {held}")).unwrap_or_default();
                    let text = format!("not up to date{}: {why}{held}", since(now, trouble.age(now)));
                    section.put(Happening::Failure, now, name, &text);
                }
            }
            trouble.why = why;
            self.troubles.push(trouble);
        }
        for trouble in before.into_iter().rev() {
            let name = &trouble.name;
            let held = holds(name).map(|held| format!(": {held}")).unwrap_or_default();
            let text = format!("up to date again{held}");
            for (index, section) in self.sections.iter_mut().enumerate() {
                if trouble.told & bit(index) != 0 {
                    self.unkept = true;
                    section.put(Happening::Recovery, now, name, &text);
                    // What failed because the line was down may work now.
                    section.not_before = section.not_before.min(now.elapsed.saturating_add(SETTLE));
                }
            }
        }
        if let Some(pings) = self.heartbeat.as_mut().filter(|pings| pings.first && self.troubles.is_empty()) {
            pings.next = pings.next.min(now.elapsed);
        }
    }

    /// The next thing to send, if it is time for one.
    pub fn delivery(&mut self, now: Now) -> Option<Delivery> {
        for (to, section) in self.sections.iter_mut().enumerate() {
            let Some(at) = section.next().filter(|(due, _)| *due <= now.elapsed).map(|(_, at)| at) else {
                continue;
            };
            let (Some(waiting), Some(happening)) = (section.waiting.get(at), Happening::ALL.get(at)) else {
                continue;
            };
            section.sending = Some((at, waiting.lines.len()));
            return Some(Delivery::Message { to, happening: *happening, text: waiting.text() });
        }
        let text = self.heartbeat.as_ref().filter(|pings| !pings.sending && pings.next <= now.elapsed);
        let (ok, text) = text.map(|pings| self.standing(now, pings.long))?;
        let pings = self.heartbeat.as_mut()?;
        (pings.sending, pings.first) = (true, false);
        pings.next = now.elapsed.saturating_add(pings.every);
        Some(Delivery::Ping { ok, text })
    }

    /// Whether no target has been behind for `long`, and how many are not.
    fn standing(&self, now: Now, long: Duration) -> (bool, String) {
        let lasting = |trouble: &Trouble| trouble.age(now) >= long;
        let current = self.targets.saturating_sub(self.troubles.len());
        let mut text = format!("{current} of {} targets up to date", self.targets);
        for Trouble { name, why, .. } in self.troubles.iter().take(MAX_LINES) {
            let _ = write!(text, "\n{name}: {}", cut(why, MAX_LINE));
        }
        (!self.troubles.iter().any(lasting), cut(&text, MAX_TEXT).to_owned())
    }

    /// Takes what became of a delivery; when it is tried again, where it is.
    pub fn sent(&mut self, now: Now, delivery: &Delivery, result: &Sent) -> Option<Duration> {
        match delivery {
            Delivery::Message { to, .. } => {
                self.unkept = true;
                let section = self.sections.get_mut(*to)?;
                section.sent(now, result, &mut self.random)
            }
            Delivery::Ping { .. } => {
                let pings = self.heartbeat.as_mut()?;
                pings.sending = false;
                let Err(failed) = result else {
                    pings.backoff = Backoff::default();
                    return None;
                };
                let wait = pings.backoff.failed(failed.reached, failed.after, &mut self.random);
                pings.next = pings.next.min(now.elapsed.saturating_add(wait));
                Some(pings.next.saturating_sub(now.elapsed))
            }
        }
    }

    /// What is to be kept for a later start, where that is news.
    pub fn take_unkept(&mut self, now: Now) -> Option<String> {
        std::mem::take(&mut self.unkept).then(|| self.keep(now))
    }

    /// When there is something to do.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let pings = self.heartbeat.as_ref().filter(|pings| !pings.sending).map(|pings| pings.next);
        let messages = self.sections.iter().filter_map(Section::next).map(|(due, _)| due);
        messages.chain(pings).fold(self.look_at(), Duration::min)
    }

    /// For the end of a single run: pings once, by how things are now.
    pub fn conclude(&mut self, now: Now) {
        self.looked = None;
        if let Some(pings) = self.heartbeat.as_mut().filter(|pings| pings.first) {
            (pings.next, pings.long) = (now.elapsed, Duration::ZERO);
        }
    }

    /// For the end of a single run: whether nothing is under way, and nothing waits that
    /// has not been tried.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let told = |section: &Section| {
            section.sending.is_none()
                && section.waiting.iter().all(|kind| kind.lines.is_empty() || kind.tries > 0)
        };
        self.sections.iter().all(told)
            && self.heartbeat.as_ref().is_none_or(|pings| !pings.first && !pings.sending)
    }
}

impl Trouble {
    fn age(&self, now: Now) -> Duration {
        now.elapsed.saturating_sub(self.since).saturating_add(self.before)
    }
}

impl Section {
    /// Keeps a line about a target until it is told; a newer one takes its place.
    fn put(&mut self, happening: Happening, now: Now, target: &str, text: &str) {
        let at = happening as usize;
        if self.on.get(at) != Some(&true) {
            return;
        }
        let sending = self.sending.filter(|(kind, _)| *kind == at).map_or(0, |(_, lines)| lines);
        let Some(waiting) = self.waiting.get_mut(at) else { return };
        let mut place = 0_usize;
        // What is under way is told in any case.
        waiting.lines.retain(|(name, _)| {
            place = place.saturating_add(1);
            place <= sending || name != target
        });
        if waiting.lines.len() <= sending {
            waiting.due = now.elapsed.saturating_add(SETTLE);
        }
        if waiting.lines.len() < MAX_LINES {
            let line = format!("{target}: {text}").replace(char::is_control, " ");
            waiting.lines.push((target.to_owned(), cut(&line, MAX_LINE).to_owned()));
        } else {
            waiting.more = waiting.more.saturating_add(1);
        }
    }

    /// Which message is due next, and when: a failure before the recovery from it.
    fn next(&self) -> Option<(Duration, usize)> {
        let due = |(at, kind): (usize, &Waiting)| {
            (!kind.lines.is_empty()).then(|| (kind.due.max(self.not_before), at))
        };
        let order = self.waiting.iter().enumerate().filter_map(due);
        if self.sending.is_some() { None } else { order.min_by_key(|(due, at)| (*due, *at)) }
    }

    fn sent(&mut self, now: Now, result: &Sent, random: &mut Random) -> Option<Duration> {
        let (at, lines) = self.sending.take()?;
        let waiting = self.waiting.get_mut(at)?;
        let Err(failed) = result else {
            waiting.drop_told(lines);
            (self.backoff, self.not_before) = (Backoff::default(), now.elapsed);
            return None;
        };
        waiting.tries = waiting.tries.saturating_add(1);
        if at == Happening::Change as usize {
            if waiting.tries >= CHANGE_TRIES {
                waiting.drop_told(lines);
                return None;
            }
            waiting.due = now.elapsed.saturating_add(AGAIN);
            return Some(AGAIN);
        }
        let wait = self.backoff.failed(failed.reached, failed.after, random);
        self.not_before = now.elapsed.saturating_add(wait);
        Some(wait)
    }
}

impl Waiting {
    fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|(_, line)| line.as_str()).collect();
        let more = if self.more > 0 { format!("\nand {} more", self.more) } else { String::new() };
        let room = MAX_TEXT.saturating_sub(more.len());
        format!("{}{more}", cut(&lines.join("\n"), room))
    }

    fn drop_told(&mut self, lines: usize) {
        self.lines.drain(..lines.min(self.lines.len()));
        (self.more, self.tries) = (0, 0);
    }
}

fn bit(section: usize) -> u16 {
    u32::try_from(section).ok().and_then(|section| 1_u16.checked_shl(section)).unwrap_or_default()
}

/// Since when, by the clock where that is set.
fn since(now: Now, age: Duration) -> String {
    let age = age.as_secs();
    match now.unix {
        Some(unix) => format!(" since {}", calendar::iso(unix.saturating_sub(age))),
        None => format!(" for {}", calendar::age(age)),
    }
}

#[cfg(test)]
mod tests;
