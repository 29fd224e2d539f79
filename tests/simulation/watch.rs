//! The promises, each checked after every step. What is known here comes from outside
//! the engine: what gateways said, what providers were sent and answered.

use std::collections::BTreeMap;
use std::time::Duration;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::engine::{Level, Report};
use ddns_update_daemon::updaters::{Outcome, Task};

use crate::network::never;
use crate::plan::{Entry, Plan};
use crate::providers::Change;
use crate::secrets::Secrets;
use crate::voices::Voices;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long what a person has to mend waits.
const PERSON: Duration = Duration::from_secs(1800);

/// Attempts at one target in an hour: 30 at once after a quiet time, then one every two
/// minutes.
const AN_HOUR: usize = 61;
/// How much earlier than asked for an attempt may come: waits are written in whole
/// seconds.
const ROUNDING: Duration = Duration::from_secs(2);

/// What a target has been through.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(crate) struct Life {
    /// What its provider took last and the daemon learnt of.
    accepted: Option<Addresses>,
    /// Jobs under way, and whether an older one may have come after the newest.
    in_flight: Vec<u64>,
    doubt: bool,
    newest: u64,
    /// Until when its provider may come to one that was closed: 30 s.
    orphan_until: Option<Duration>,
    /// Something was sent since, or the daemon cannot know.
    uncertain: bool,
    /// When, and whether the clock was wrong then or since.
    accepted_at: Duration,
    odd_clock: bool,
    /// How often an unchanged address is sent, or looked at.
    pub(crate) again: Option<Duration>,
    /// It is sent at every start.
    pub(crate) at_start: bool,
    /// Somebody else has changed the record since.
    pub(crate) meddled: bool,
    /// What it accepted is written down, as far as it goes by rights.
    sure: bool,
    /// Why it may be sent what it has accepted: a power cut, a disk, a person.
    pub(crate) excuses: u32,
    /// A person asked for it to be sent, which has not happened yet.
    asked_for: bool,
    attempts: Vec<Duration>,
    /// Attempts with nothing but failures, and when the next may come.
    wish: Option<Duration>,
    /// The daemon may not know of it.
    forgotten: bool,
    /// The clock was wrong when it failed last.
    odd_wait: bool,
    not_before: Option<(Addresses, Duration)>,
    /// When a start last tried what a person had to mend.
    start_tried: Option<Duration>,
    /// When it was refused for good, and whether that was a ban.
    blocked: Option<Blocked>,
    last_outcome: Option<Outcome>,
    given_up: bool,
    /// It was sent something of which neither the disk nor the daemon can know.
    unseen: bool,
    /// It was refused for good, of which the daemon may or may not know.
    perhaps_blocked: bool,
    /// It was, until an acceptance or a `retry` that may not have reached the disk.
    was_blocked: bool,
    /// Since when an IPv6 address that it holds is definitely gone, and when that was told.
    gone: Option<Duration>,
    gone_told: Duration,
}

#[derive(Clone, Copy)]
struct Blocked {
    banned: bool,
    tried: Duration,
    started: Option<Duration>,
    told: Duration,
    reached: bool,
}

/// The judge.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) lives: BTreeMap<String, Life>,
    pub(crate) voices: Voices,
    pub(crate) secrets: Secrets,
    /// When this run of the daemon began, and whether it is a single run.
    began: Duration,
    once: bool,
    pub(crate) broken: Option<String>,
    odd_clock: bool,
    /// The disk may keep nothing.
    pub(crate) unkept: bool,
    /// Reports of this step, by subject.
    reported: Vec<String>,
}

impl Watch {
    fn fail(&mut self, text: String) {
        self.broken.get_or_insert(text);
    }

    /// The daemon starts.
    pub(crate) fn starts(&mut self, now: Duration, once: bool) {
        (self.began, self.once) = (now, once);
        self.voices.starts(now, once);
        for life in self.lives.values_mut() {
            life.attempts.clear();
            life.in_flight.clear();
            life.newest = 0;
            life.asked_for = life.at_start;
            if life.at_start {
                life.excuses = life.excuses.max(1);
            }
            // Times that no clock told, or that none tells now, mean nothing.
            if self.odd_clock || life.odd_wait {
                life.forgets();
            }
        }
    }

    /// The power was cut or the clock is wrong: waits may be forgotten, and what was
    /// accepted may be sent once more.
    pub(crate) fn forgets(&mut self) {
        self.voices.forget();
        for life in self.lives.values_mut() {
            life.forgets();
            life.excuses = 1;
        }
    }

    /// An older state is put back, and with it what stood in the way then.
    pub(crate) fn remembers(&mut self) {
        self.forgets();
        self.lives.values_mut().for_each(|life| life.perhaps_blocked = true);
    }

    /// The clock is wrong, or right again.
    pub(crate) fn clock(&mut self, odd: bool) {
        self.odd_clock = odd;
        self.lives.values_mut().for_each(|life| life.odd_clock |= odd);
    }

    /// A sentence for the log.
    pub(crate) fn says(&mut self, text: &str) {
        if let Some(piece) = self.secrets.find(text) {
            let text = format!("{piece}, of a secret, stands in the log: {text}");
            self.fail(text);
        }
    }

    /// A job is about to begin.
    pub(crate) fn publishes(&mut self, now: Duration, job: u64, entry: &Entry, task: &Task) {
        let Entry { name, given, .. } = entry;
        if let Some(why) = self.voices.wrong.take() {
            self.fail(why);
        }
        if let Some(why) = never(&task.addresses, entry.line) {
            self.fail(format!("{name}: {} is sent, {why}", task.addresses));
        }
        let Addresses { ipv4, ipv6, ipv6_prefix } = task.addresses;
        if (ipv4.is_some() && !given.ipv4)
            || (ipv6.is_some() && !given.ipv6)
            || (ipv6_prefix.is_some() && !given.ipv6_prefix)
        {
            self.fail(format!("{name}: {} is sent, which it does not name", task.addresses));
        }
        let (began, once, mut wrong) = (self.began, self.once, None);
        let life = self.lives.entry(name.to_owned()).or_default();
        life.attempts.push(now);
        life.asked_for = false;
        let within = life.attempts.iter().rev().take_while(|at| **at + HOUR > now).count();
        if within > AN_HOUR {
            wrong = Some(format!("{name}: {within} attempts in an hour"));
        }
        let aged =
            life.again.is_some_and(|every| life.odd_clock || now + ROUNDING >= life.accepted_at + every);
        if life.accepted == Some(task.addresses) && !life.uncertain && !aged {
            match life.excuses.checked_sub(1) {
                Some(left) => life.excuses = left,
                None => wrong = Some(format!("{name}: {} is repeated without a reason", task.addresses)),
            }
        }
        if let Some(until) = life.wish.take().filter(|until| !life.forgotten && now + ROUNDING < *until) {
            wrong =
                Some(format!("{name}: tried {:?} before the time that its provider asked for", until - now));
        }
        if let Some((sent, until)) = life.not_before.take()
            && sent == task.addresses
            && now + ROUNDING < until
        {
            // A start tries what a person may have mended.
            let person = matches!(life.last_outcome, Some(Outcome::NeedsPerson { .. }));
            let by_start = person && until < began + PERSON && !once;
            let rested = life.start_tried.is_none_or(|at| now + ROUNDING >= at + HOUR);
            if !by_start || !rested {
                wrong = Some(format!("{name}: tried {:?} before its back-off ended", until - now));
            }
            life.start_tried = Some(now);
        }
        if let Some(blocked) = &mut life.blocked {
            let wait = if blocked.reached { DAY } else { HOUR };
            if now + ROUNDING < blocked.tried + wait {
                let by_start = blocked.tried < began;
                let rested = blocked.started.is_none_or(|at| now + ROUNDING >= at + HOUR);
                if !by_start || !rested || blocked.banned || once {
                    wrong = Some(format!("{name}: a blocked target is tried too often"));
                }
                blocked.started = Some(now);
            }
            // Whether it still knows will be told by the outcome.
            (blocked.tried, blocked.reached, blocked.told) = (now, true, now);
        }
        life.in_flight.push(job);
        if life.in_flight.len() > 2 {
            wrong = Some(format!("{name}: three attempts at once"));
        }
        life.orphan_until.take_if(|until| now >= *until);
        (life.uncertain, life.doubt, life.given_up) = (true, false, false);
        if let Some(wrong) = wrong {
            self.fail(wrong);
        }
    }

    /// A request has reached a provider: for `entry`, which names all of these families.
    pub(crate) fn asked(&mut self, entry: Option<&Entry>, change: &Change) {
        let Change { name, addresses, .. } = change;
        let Some(entry) = entry else {
            return self.fail(format!("{name}: {addresses} is asked for, and nobody names that"));
        };
        let life = self.lives.get(&entry.name).filter(|life| life.sure && !entry.empties);
        let held = life.and_then(|life| life.accepted).unwrap_or_default();
        let loses = (change.names.ipv4 && addresses.ipv4.is_none() && held.ipv4.is_some())
            || (change.names.ipv6 && addresses.ipv6.is_none() && held.ipv6.is_some());
        if loses {
            self.fail(format!("{name}: {held} is taken away by an update with {addresses}"));
        }
        if addresses.is_empty() && !entry.empties {
            self.fail(format!("{name}: an update without an address"));
        }
        if let Some(why) = never(addresses, entry.line) {
            self.fail(format!("{name}: {addresses} has reached the provider, {why}"));
        }
    }

    /// The engine is about to learn how an attempt ended.
    pub(crate) fn ends(
        &mut self,
        now: Duration,
        job: u64,
        name: &str,
        sent: Addresses,
        outcome: &Outcome,
        closed: bool,
    ) {
        let life = self.lives.entry(name.to_owned()).or_default();
        let newest = life.in_flight.iter().all(|other| *other <= job) && job >= life.newest;
        life.in_flight.retain(|other| *other != job);
        life.newest = life.newest.max(job);
        let unreached = matches!(outcome, Outcome::Retry { reached: false, .. });
        if !newest {
            (life.doubt, life.uncertain) = (life.doubt || !unreached, life.uncertain || !unreached);
            return;
        }
        if closed && matches!(outcome, Outcome::Retry { .. }) {
            life.orphan_until = life.orphan_until.max((!unreached).then(|| now + Duration::from_secs(30)));
            return;
        }
        match outcome {
            Outcome::Published { .. } | Outcome::Dropped { .. } => {
                *life = Life {
                    accepted: Some(sent),
                    accepted_at: now,
                    uncertain: life.doubt || life.orphan_until.is_some() || !life.in_flight.is_empty(),
                    odd_clock: self.odd_clock,
                    again: life.again,
                    at_start: life.at_start,
                    // An older request may come behind it.
                    sure: life.in_flight.is_empty(),
                    given_up: matches!(outcome, Outcome::Dropped { .. }),
                    excuses: life.excuses,
                    attempts: std::mem::take(&mut life.attempts),
                    in_flight: std::mem::take(&mut life.in_flight),
                    orphan_until: life.orphan_until,
                    newest: job,
                    was_blocked: life.blocked.is_some()
                        || life.perhaps_blocked
                        || (life.was_blocked && self.unkept),
                    ..Life::default()
                };
            }
            Outcome::Blocked { .. } => {
                let (banned, started) = (outcome.is_ban(), life.blocked.and_then(|blocked| blocked.started));
                life.start_tried = None;
                life.blocked = Some(Blocked { banned, tried: now, started, told: now, reached: true });
            }
            Outcome::Retry { after, reached, .. } => {
                if let (Some(blocked), false) = (&mut life.blocked, *reached) {
                    (blocked.reached, blocked.tried) = (false, now);
                }
                let least = if *reached { Duration::from_secs(30) } else { Duration::from_millis(500) };
                life.waits(now, sent, *after, least);
            }
            Outcome::Refused { after, .. } => life.waits(now, sent, *after, Duration::from_secs(30)),
            // As the README says of a name server.
            Outcome::NeedsPerson { .. } => life.waits(now, sent, None, PERSON),
        }
        life.odd_wait = self.odd_clock;
        life.last_outcome = Some(outcome.clone());
    }

    /// The engine has learnt it: a failure must have been told.
    pub(crate) fn ended(&mut self, name: &str, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Published { .. })
            && !self.reported.iter().any(|subject| subject == name)
        {
            self.fail(format!("{name}: failed and nothing was said"));
        }
    }

    /// A line of the log.
    pub(crate) fn reports(&mut self, now: Duration, report: &Report) {
        self.says(&report.text);
        self.says(&report.subject);
        if report.level <= Level::Warning
            && let Some(blocked) = self.lives.get_mut(&report.subject).and_then(|life| life.blocked.as_mut())
        {
            blocked.told = now;
        }
        if report.text.contains("for a day or more")
            && let Some(life) = self.lives.get_mut(&report.subject)
        {
            life.gone_told = now;
        }
        if report.text.contains("it is not run again for this address")
            && let Some(life) = self.lives.get_mut(&report.subject)
        {
            (life.given_up, life.wish, life.not_before) = (true, None, None);
        }
        self.reported.push(report.subject.clone());
    }

    /// A source has answered: what is gone for a day while a record holds it is told.
    pub(crate) fn notes_absence(&mut self, now: Duration, plan: &Plan) {
        let mut silent = None;
        for entry in plan.entries.iter().filter(|entry| entry.names.ipv6 && !entry.has_suffix) {
            let Some(target) = plan.config.targets.get(entry.target) else { continue };
            let Some(life) = self.lives.get_mut(&entry.name) else { continue };
            let held = life.sure && life.accepted.is_some_and(|accepted| accepted.ipv6.is_some());
            let gone = held && self.voices.say_there_is_none(&target.ipv6);
            life.gone = gone.then(|| life.gone.unwrap_or(now));
            let since = life.gone.map(|since| since.max(self.began).max(life.gone_told));
            if since.is_some_and(|since| now > since + DAY + HOUR / 4) {
                silent =
                    Some(format!("{}: its IPv6 address is gone for a day, and nothing was said", entry.name));
            }
        }
        if let Some(text) = silent {
            self.fail(text);
        }
    }

    /// After every step.
    pub(crate) fn step(&mut self, now: Duration) {
        self.reported.clear();
        let began = self.began;
        let silent = self.lives.iter().find(|(_, life)| {
            life.blocked.is_some_and(|blocked| now > blocked.told.max(began) + DAY + Duration::from_secs(60))
        });
        if let Some((name, _)) = silent {
            let text = format!("{name}: blocked, and nothing was said for a day");
            self.fail(text);
        }
        let untold = self.lives.iter().find(|(_, life)| {
            life.blocked.is_some_and(|blocked| blocked.told < began && now > began + Duration::from_secs(1))
        });
        if let Some((name, _)) = untold {
            let text = format!("{name}: blocked, and nothing was said at the start");
            self.fail(text);
        }
    }

    /// The configuration is read again: what is under way may end for ten seconds.
    pub(crate) fn is_read_again(&mut self, waited: Duration) {
        let cut = self.lives.iter().find(|(_, life)| !life.in_flight.is_empty());
        if let Some((name, _)) = cut.filter(|_| waited < Duration::from_secs(10)) {
            let text = format!("{name}: a request is cut off as the configuration is read again");
            self.fail(text);
        }
    }

    /// A person has done something about a target: what was waited for counts no more.
    pub(crate) fn mended(&mut self, name: &str) {
        if let Some(life) = self.lives.get_mut(name) {
            (life.wish, life.not_before, life.blocked) = (None, None, None);
            (life.excuses, life.start_tried, life.sure) = (life.excuses + 1, None, false);
        }
    }

    /// A person has said `retry`: nothing stands in its way any more.
    pub(crate) fn is_freed(&mut self, name: &str) {
        if let Some(life) = self.lives.get_mut(name) {
            life.was_blocked |= life.blocked.is_some() || life.perhaps_blocked;
            (life.wish, life.not_before, life.blocked) = (None, None, None);
            (life.last_outcome, life.start_tried, life.perhaps_blocked) = (None, None, false);
        }
    }

    /// A person has said `update`: it is sent whatever it holds, but a refusal holds, and
    /// so does a provider's wish.
    pub(crate) fn is_asked_for(&mut self, name: &str) {
        if let Some(life) = self.lives.get_mut(name) {
            (life.not_before, life.excuses, life.asked_for) = (None, 1, true);
        }
    }

    /// Whether a person has asked for it to be sent, and nothing stands in the way.
    pub(crate) fn is_unsent(&self, name: &str) -> bool {
        self.lives.get(name).is_some_and(|life| {
            let free = life.blocked.is_none() && !life.perhaps_blocked && life.wish.is_none();
            free && life.accepted.is_some() && life.asked_for
        })
    }

    /// Somebody else changes the record of a target that looks at it now and then.
    pub(crate) fn is_meddled_with(&mut self, name: &str) {
        if let Some(life) = self.lives.get_mut(name) {
            life.meddled = true;
        }
    }

    /// What was kept of all of them was so in memory alone, which is gone.
    pub(crate) fn is_unseen(&mut self) {
        self.lives.values_mut().for_each(|life| life.unseen = true);
    }

    /// Whether nobody can expect it to be right: a program that failed for a day, as was
    /// told, or [`Self::is_unseen`].
    pub(crate) fn is_excused(&self, name: &str) -> bool {
        self.lives.get(name).is_some_and(|life| life.given_up || life.unseen)
    }

    /// Whether a target that holds what it should was not refreshed in its time.
    pub(crate) fn is_overdue(&self, now: Duration, name: &str) -> bool {
        self.lives.get(name).is_some_and(|life| {
            let well = life.accepted.is_some() && life.last_outcome.is_none() && life.blocked.is_none();
            let late = life.again.is_some_and(|every| now > life.accepted_at + every + HOUR / 4);
            well && late && !life.given_up
        })
    }

    /// Within what time a target must be right, once nothing fails any more.
    pub(crate) fn patience(&self, now: Duration, name: &str) -> Duration {
        let polls = self.voices.patience();
        let Some(life) = self.lives.get(name) else { return polls };
        let retry = match &life.last_outcome {
            Some(Outcome::Blocked { .. }) => DAY,
            Some(Outcome::Refused { .. }) => Duration::from_secs(7 * 3600 + 1800),
            Some(Outcome::Retry { .. } | Outcome::NeedsPerson { .. }) => HOUR + HOUR / 4,
            _ => Duration::ZERO,
        };
        let blocked = if life.blocked.is_some() || life.perhaps_blocked { DAY } else { Duration::ZERO };
        let wish = life.wish.unwrap_or_default().saturating_sub(now);
        let looks = life.again.filter(|_| life.meddled).unwrap_or_default();
        retry.max(blocked).max(wish).max(looks) + polls
    }
}

impl Life {
    fn forgets(&mut self) {
        (self.forgotten, self.not_before, self.start_tried) = (true, None, None);
        self.sure = false;
        self.perhaps_blocked |= self.blocked.take().is_some() || self.was_blocked;
    }

    fn waits(&mut self, now: Duration, sent: Addresses, after: Option<Duration>, least: Duration) {
        self.forgotten = false;
        self.wish = after.map(|after| now + after.clamp(Duration::from_secs(1), DAY));
        self.not_before = Some((sent, now + least)).filter(|_| after.is_none());
    }
}
