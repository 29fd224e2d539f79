//! One target: what it should hold, what it holds, and when to try; pure.

mod absence;
mod attempt;
mod choice;
mod shown;
mod trouble;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use self::absence::Absence;
use self::attempt::Attempt;
use self::wanted::{Waiting, Wanted, has, merge};
use super::Now;
use super::report::{Level, Report};
use crate::address::Addresses;
use crate::backoff::TokenBucket;
use crate::calendar;
use crate::config::placeholders::Needs;
use crate::config::{Target, UpdaterConfig};
use crate::engine::address_kind::AddressKind;
use crate::engine::nat::Why;
use crate::engine::source_status::SourceStatus;
use crate::engine::state::{Accepted, State, TargetState};
pub(super) use attempt::{Ended, HANGS};
pub(super) use trouble::DAY;

/// How far the clock may have been put back, in seconds, before a stored time counts
/// as one of the future.
const SKEW: u64 = 60;

/// A target and where it stands.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct TargetStatus {
    config: Arc<Target>,
    /// What is recorded of it.
    state: TargetState,
    kind: UpdateKind,
    /// What updates it, in a word.
    provider: &'static str,
    /// Of which kinds it may hold something that it was not known to accept.
    doubt: Needs,
    bucket: TokenBucket,
    not_before: Duration,
    /// Until when its provider asked us to wait, which may be sooner.
    wished: Duration,
    /// The newest attempt.
    in_flight: Option<Box<Attempt>>,
    /// An older one that has not ended either.
    overtaken: Option<Box<Attempt>>,
    /// When it was last known to hold what it should, or the program started.
    confirmed: Duration,
    /// It is to be sent whatever it holds: at this start, or because a person says so.
    owed: bool,
    /// Why it waits has been reported.
    complained: bool,
    /// That it holds what it should has been reported, or that it was sent.
    told_current: bool,
    /// When it was tried last in this run.
    tried: Option<Duration>,
    /// When the first of its failures in a row was, as far as in this run.
    failing: Duration,
    /// When a blocked one is tried again.
    blocked_until: Duration,
    /// A blocked one is tried because the daemon has started.
    start_try: bool,
    /// This run is a single one, which is no start.
    once: bool,
    /// That the limit of attempts holds it back has been reported, since the last attempt.
    limited: bool,
    /// Since when something is absent; nothing is, for most.
    absence: Option<Box<Absence>>,
    /// What the last update changed nothing about.
    unchanged: Option<Box<Addresses>>,
    /// When and why what it holds changed last in this run.
    changed: Option<(Duration, &'static str)>,
    /// Until when a closed request may still change what it holds; it is sent once more then.
    orphan_until: Option<Duration>,
    /// Jobs in this run that ended well for it.
    updates_ok: u64,
    /// And that did not.
    updates_failed: u64,
}

/// What its updater is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum UpdateKind {
    /// A program, which is not tried for ever.
    Program,
    /// Makes a record where there is none: two at once would make two.
    Creates,
    /// What is sent twice is there once.
    Repeatable,
}

impl TargetStatus {
    pub(super) fn new(config: &Arc<Target>, group: Option<&UpdaterConfig>, state: &State) -> Self {
        let remembered = state.targets.get(&*config.id).cloned().unwrap_or_default();
        let named = config.required.or(config.optional).or(config.extra);
        Self {
            doubt: remembered.doubt().and(named),
            state: TargetState { name: config.name.clone(), ..remembered },
            owed: config.at_start,
            kind: match group {
                Some(UpdaterConfig::Run(_)) => UpdateKind::Program,
                Some(UpdaterConfig::Cloudflare(_)) => UpdateKind::Creates,
                _ => UpdateKind::Repeatable,
            },
            provider: group.map_or("", UpdaterConfig::word),
            config: Arc::clone(config),
            bucket: TokenBucket::ATTEMPTS,
            not_before: Duration::ZERO,
            wished: Duration::ZERO,
            in_flight: None,
            overtaken: None,
            confirmed: Duration::ZERO,
            complained: false,
            told_current: false,
            tried: None,
            failing: Duration::ZERO,
            blocked_until: Duration::ZERO,
            start_try: false,
            once: false,
            limited: false,
            absence: None,
            unchanged: None,
            changed: None,
            orphan_until: None,
            updates_ok: 0,
            updates_failed: 0,
        }
    }

    pub(super) fn entry(&self) -> usize {
        self.config.entry
    }

    /// Its line in the state file, once there is something to remember.
    pub(super) fn remember(&self) -> Option<(String, TargetState)> {
        let empty = TargetState { name: self.state.name.clone(), ..TargetState::default() };
        (self.state != empty).then(|| (self.config.id.to_string(), self.state.clone()))
    }

    /// The mark that must be recorded before anything leaves for it, when there is
    /// none yet: what it is to hold, and its name in the state file. One that never
    /// accepted anything needs none: it is sent at the next start in any case.
    pub(super) fn mark(&mut self, sources: &[SourceStatus], now: Now) -> Option<(Addresses, &str)> {
        let accepted = self.state.accepted?;
        if !self.state.is_unmarked() {
            return None;
        }
        let wanted = self.wanted(sources).ok()?;
        // What the limit of attempts holds back may be over before it is sent.
        let mut bucket = self.bucket;
        let held_back = self.in_flight.is_none() && bucket.next(now.elapsed) > now.elapsed;
        if held_back || !self.must_be_sent(&wanted, now) {
            return None;
        }
        let addresses = merge(accepted.addresses, wanted);
        (self.state.trying, self.state.doubted) = (Some(addresses), None);
        Some((addresses, &self.config.id))
    }

    /// Takes a mark back, as it holds again what it should before anything was sent: its
    /// line of the state file.
    pub(super) fn unmark(&mut self, sources: &[SourceStatus], now: Now) -> Option<String> {
        let settled = self.doubt.is_empty() && self.orphan_until.is_none();
        let idle = self.in_flight.is_none() && self.overtaken.is_none() && settled;
        if !idle || self.state.trying.is_none() {
            return None;
        }
        let stands = self.wanted(sources).is_ok_and(|wanted| !self.must_be_sent(&wanted, now));
        self.state.trying.take_if(|_| stands)?;
        Some(self.state.line(&self.config.id))
    }

    /// Whether the attempt in flight needs a [`Self::mark`].
    pub(super) fn is_unmarked(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|attempt| !attempt.checking) && self.state.is_unmarked()
    }

    /// When it is to be sent; `None` when it holds what it should, or must not be.
    pub(super) fn due_at(&self, sources: &[SourceStatus], now: Now) -> Option<Duration> {
        let wanted = self.wanted(sources).ok()?;
        let free = self.free_at(&wanted)?;
        let asked = if self.is_stale(&wanted, now) { Duration::ZERO } else { self.orphan_until? };
        let mut bucket = self.bucket;
        Some(bucket.next(now.elapsed).max(self.earliest(&wanted)).max(wanted.ready).max(free).max(asked))
    }

    /// Whether something is to be done for it.
    fn is_stale(&self, wanted: &Wanted, now: Now) -> bool {
        self.must_be_sent(wanted, now) || self.check_is_due(now)
    }

    /// Whether what it holds is not what it should, or is not certain.
    fn must_be_sent(&self, wanted: &Wanted, now: Now) -> bool {
        let Some(accepted) = &self.state.accepted else { return true };
        let mut covers = wanted.covers;
        // A private address that joins others is no news.
        covers.ipv4 &= !wanted.private || accepted.addresses.ipv4.is_some() || accepted.addresses.is_empty();
        // What is under way may yet take the place of what it accepted.
        let sent = self.in_flight.iter().filter(|attempt| !attempt.checking);
        let doubt = sent.fold(self.doubt, |doubt, attempt| doubt.or(attempt.wanted.covers));
        let doubtful = !doubt.and(covers).is_empty();
        let news = Wanted { covers, ..*wanted }.for_reasons();
        let differs = merge(accepted.addresses, news) != accepted.addresses;
        let overdue = self.orphan_until.is_some_and(|until| until <= now.elapsed);
        differs || doubtful || overdue || self.owed || self.refresh_is_due(accepted, now)
    }

    fn check_is_due(&self, now: Now) -> bool {
        let accepted = self.state.accepted.as_ref();
        self.config.verify.is_some_and(|every| accepted.is_some_and(|last| self.is_old(last, every, now)))
    }

    fn refresh_is_due(&self, accepted: &Accepted, now: Now) -> bool {
        self.config.refresh.is_some_and(|every| self.is_old(accepted, every, now))
    }

    /// Whether `every` has passed since it was accepted: by the clock, or by the time
    /// that this program has run, whichever comes first. A stored time that is missing
    /// or in the future tells nothing, so that it is old, once.
    fn is_old(&self, accepted: &Accepted, every: Duration, now: Now) -> bool {
        let by_clock = match (accepted.at, now.unix) {
            (Some(at), Some(unix)) => {
                at > unix.saturating_add(SKEW) || unix.saturating_sub(at) >= every.as_secs()
            }
            (None, Some(_)) => true,
            (_, None) => false,
        };
        by_clock || now.elapsed.saturating_sub(self.confirmed) >= every
    }

    /// The reason, when it does not hold what it should.
    pub(super) fn behind<'a>(&'a self, sources: &'a [SourceStatus], now: Now) -> Option<Why<'a>> {
        Some(match (&self.state.blocked, &self.state.failed, self.wanted(sources)) {
            (Some(blocked), _, _) => Box::new(|| format!("blocked: {}", blocked.why)),
            (_, Some(failed), _) => Box::new(|| failed.why.clone()),
            (_, _, Err(Waiting::Unknown(why) | Waiting::Useless(why))) => why,
            (_, _, Err(Waiting::Pending)) => Box::new(|| "its sources have not answered".to_owned()),
            (_, _, Ok(wanted)) if self.is_stale(&wanted, now) => Box::new(|| "not sent".to_owned()),
            (_, _, Ok(_)) => return None,
        })
    }

    pub(super) fn is_program(&self) -> bool {
        self.kind == UpdateKind::Program
    }

    pub(super) fn label(&self) -> &str {
        &self.config.name
    }

    /// What it accepted last.
    pub(super) fn holds(&self) -> Option<Addresses> {
        self.state.accepted.map(|accepted| accepted.addresses)
    }

    /// Whether it holds what it should; `None`: it has not failed either.
    pub(super) fn stands(&self, sources: &[SourceStatus], now: Now) -> Option<bool> {
        if self.state.blocked.is_some() || self.state.failed.is_some() {
            return Some(false);
        }
        self.behind(sources, now).is_none().then_some(true)
    }

    /// The line that says why it waits, once for every time of waiting.
    pub(super) fn complaint(&mut self, sources: &[SourceStatus]) -> Option<Report> {
        let why = match self.wanted(sources) {
            Ok(_) => {
                self.complained = false;
                return None;
            }
            Err(Waiting::Pending) => return None,
            // Its source has said so already, or will when it stays like this.
            Err(Waiting::Unknown(_)) if self.kinds().any(|k| self.in_trouble(sources, k)) => return None,
            Err(Waiting::Unknown(why) | Waiting::Useless(why)) => why,
        };
        if std::mem::replace(&mut self.complained, true) {
            return None;
        }
        Some(Report::new(Level::Warning, &self.config.name, format!("not updated: {}", why())))
    }

    fn in_trouble(&self, sources: &[SourceStatus], kind: AddressKind) -> bool {
        let speaks = |source: &SourceStatus| source.in_trouble || source.early.is_some();
        self.preferred(sources, kind).iter().any(|index| sources.get(*index).is_some_and(speaks))
    }
}

/// A wait as people say it.
fn rough(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds => calendar::age(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_targets_fit_a_router() {
        // What is rare lies elsewhere, and the configuration is there once.
        assert!(size_of::<TargetStatus>() <= 448, "{}", size_of::<TargetStatus>());
    }
}
