//! One target: what it should hold, what it holds, and when to try; pure.

mod absence;
mod trouble;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::report::{Level, Report};
use super::{Now, nat};
use crate::address::Addresses;
use crate::backoff::{Random, TokenBucket};
use crate::config::Target;
use crate::config::placeholders::Needs;
use crate::engine::lan::lan_host;
use crate::engine::selection::{
    AddressKind, AddressValue, Origin, Selection, SourceStatus, needed, refusal, select,
};
use crate::engine::state::{Accepted, State, TargetState, id};
use crate::updaters::{Outcome, Task};
pub(super) use trouble::DAY;

/// How far the clock may have been put back, in seconds, before a stored time counts
/// as one of the future.
const SKEW: u64 = 60;

/// A target and where it stands.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct TargetStatus {
    config: Target,
    /// Its name in the state file.
    id: String,
    /// What is recorded of it.
    state: TargetState,
    /// It is a program, which is not tried for ever.
    program: bool,
    /// It may hold something that it was not known to accept.
    uncertain: bool,
    bucket: TokenBucket,
    not_before: Duration,
    in_flight: Option<Wanted>,
    /// The attempt in flight only checks what is there.
    checking: bool,
    /// When it was last known to hold what it should, or the program started.
    confirmed: Duration,
    /// It is to be sent at this start whatever it holds.
    owed: bool,
    /// Why it waits has been reported.
    complained: bool,
    /// When it was tried last in this run.
    tried: Option<Duration>,
    /// When the first of its failures in a row was, as far as in this run.
    failing: Duration,
    /// When a blocked one is tried again.
    blocked_until: Duration,
    /// A blocked one is tried because the daemon has started.
    start_try: bool,
    /// That the limit of attempts holds it back has been reported.
    limited: bool,
    /// Since when an address that it holds is definitely gone.
    gone: [Option<Duration>; 3],
    /// What the last update changed nothing about.
    unchanged: Option<Addresses>,
    /// Since when there is definitely no IPv4 and no IPv6 address for it.
    absent_since: [Option<Duration>; 2],
}

/// What a target should hold now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wanted {
    addresses: Addresses,
    /// Which kinds it speaks of; the others stay as they are.
    covers: Needs,
    /// Not before, because a family is given time to appear.
    ready: Duration,
    /// Its IPv4 address is the router's private one, which is told to nobody.
    private: bool,
}

/// Why there is nothing to send.
enum Waiting {
    /// A first answer is on its way.
    Pending,
    /// The sources cannot say; what they said of it is reported elsewhere.
    Unknown(String),
    /// The answer is no use to this target, and somebody should know.
    Useless(String),
}

impl TargetStatus {
    pub(super) fn new(config: &Target, program: bool, state: &State) -> Self {
        let id = id(&config.fingerprint);
        let remembered = state.targets.get(&id).cloned().unwrap_or_default();
        Self {
            id,
            uncertain: remembered.trying.is_some(),
            state: TargetState { name: config.name.clone(), ..remembered },
            owed: config.at_start,
            program,
            config: config.clone(),
            bucket: TokenBucket::ATTEMPTS,
            not_before: Duration::ZERO,
            in_flight: None,
            checking: false,
            confirmed: Duration::ZERO,
            complained: false,
            tried: None,
            failing: Duration::ZERO,
            blocked_until: Duration::ZERO,
            start_try: false,
            limited: false,
            gone: [None; 3],
            unchanged: None,
            absent_since: [None; 2],
        }
    }

    pub(super) fn entry(&self) -> usize {
        self.config.entry
    }

    /// Its line in the state file, once there is something to remember.
    pub(super) fn remember(&self) -> Option<(String, TargetState)> {
        let empty = TargetState { name: self.state.name.clone(), ..TargetState::default() };
        (self.state != empty).then(|| (self.id.clone(), self.state.clone()))
    }

    /// The mark that must be recorded before anything leaves for it, when there is
    /// none yet: what it is to hold, and its name in the state file. One that never
    /// accepted anything needs none: it is sent at the next start in any case.
    pub(super) fn mark(&mut self, sources: &[SourceStatus], now: Now) -> Option<(Addresses, &str)> {
        let accepted = self.state.accepted?;
        if self.state.trying.is_some() {
            return None;
        }
        let wanted = self.wanted(sources).ok()?;
        if !self.must_be_sent(&wanted, now) {
            return None;
        }
        let addresses = merge(accepted.addresses, wanted);
        self.state.trying = Some(addresses);
        Some((addresses, &self.id))
    }

    /// Whether the attempt in flight needs a [`Self::mark`].
    pub(super) fn is_unmarked(&self) -> bool {
        self.in_flight.is_some()
            && !self.checking
            && self.state.accepted.is_some()
            && self.state.trying.is_none()
    }

    /// The sources it needs polled.
    pub(super) fn sources<'a>(&'a self, sources: &'a [SourceStatus]) -> impl Iterator<Item = usize> + 'a {
        self.kinds().flat_map(|kind| needed(sources, self.preferred(kind), kind, self.config.agree))
    }

    /// Whether it uses the source with this index for something nobody can tell.
    pub(super) fn misses(&self, sources: &[SourceStatus], source: usize) -> bool {
        self.kinds().any(|kind| {
            self.preferred(kind).contains(&source)
                && matches!(self.choice(sources, kind), Selection::Unknown(_))
        })
    }

    pub(super) fn choice(&self, sources: &[SourceStatus], kind: AddressKind) -> Selection {
        select(sources, self.preferred(kind), kind, self.config.agree)
    }

    fn preferred(&self, kind: AddressKind) -> &[usize] {
        if kind == AddressKind::Ipv4 { &self.config.ipv4 } else { &self.config.ipv6 }
    }

    fn kinds(&self) -> impl Iterator<Item = AddressKind> + '_ {
        let needs = self.config.required.or(self.config.optional).or(self.config.extra);
        AddressKind::ALL.into_iter().filter(move |kind| has(needs, *kind))
    }

    /// When it is to be sent; `None` when it holds what it should, or must not be.
    pub(super) fn due_at(&self, sources: &[SourceStatus], now: Now) -> Option<Duration> {
        if self.in_flight.is_some() {
            return None;
        }
        let wanted = self.wanted(sources).ok()?;
        self.is_stale(&wanted, now).then(|| {
            let mut bucket = self.bucket;
            bucket.next(now.elapsed).max(self.earliest(&wanted)).max(wanted.ready)
        })
    }

    /// Starts an attempt when one is due.
    pub(super) fn start(&mut self, sources: &[SourceStatus], now: Now) -> Option<Task> {
        if self.due_at(sources, now)? > now.elapsed {
            return None;
        }
        let wanted = self.wanted(sources).ok()?;
        self.bucket.next(now.elapsed);
        self.bucket.take();
        self.checking = !self.must_be_sent(&wanted, now);
        self.in_flight = Some(wanted);
        self.tried = Some(now.elapsed);
        self.begin_blocked(now);
        let mut addresses = wanted.addresses;
        addresses.ipv4 = addresses.ipv4.filter(|_| !wanted.private);
        let mut old = self.state.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        old.ipv4 = old.ipv4.filter(|old| !self.config.any_address || self.may_be_told((*old).into()));
        Some(Task { entry: self.config.entry, addresses, old })
    }

    /// Takes the outcome of an attempt. `None`: the updater forgot it, which
    /// counts as a failure.
    pub(super) fn finish(
        &mut self,
        outcome: Option<&Outcome>,
        now: Now,
        took: Duration,
        way: &str,
        random: &mut Random,
    ) -> Option<(String, Report)> {
        let wanted = self.in_flight.take()?;
        // A check sends what is there anyway, or nothing.
        self.uncertain |= !self.checking;
        let before = self.state.clone();
        let report = match outcome {
            Some(Outcome::Published { changed }) => self.published(wanted, *changed, now, took),
            Some(Outcome::Dropped { why }) => {
                let _ = self.published(wanted, false, now, took);
                Report::new(
                    Level::Error,
                    &self.config.name,
                    format!("{why}; it is not run again (retry = false)"),
                )
            }
            Some(outcome) => self.failed(outcome, wanted, now, random),
            None => {
                let forgotten = "the updater gave no outcome".to_owned();
                let outcome = Outcome::Retry { why: forgotten, after: None, reached: true };
                self.failed(&outcome, wanted, now, random)
            }
        };
        self.note_way(way);
        Some((self.news(&before), report))
    }

    /// The line of the state file for what has changed since `before`.
    fn news(&self, before: &TargetState) -> String {
        if *before == self.state {
            return String::new();
        }
        let tried = before.trying.or(before.accepted.map(|accepted| accepted.addresses));
        let mut short = before.clone();
        let accepted = self.state.accepted.filter(|accepted| Some(accepted.addresses) == tried);
        match accepted.filter(|accepted| short.accept(accepted.at).is_some() && short == self.state) {
            Some(accepted) if before.accepted.is_some() => TargetState::accepted_line(&self.id, accepted.at),
            _ => self.state.line(&self.id),
        }
    }

    fn published(&mut self, wanted: Wanted, changed: bool, now: Now, took: Duration) -> Report {
        let old = self.state.accepted.map(|accepted| accepted.addresses).unwrap_or_default();
        let addresses = merge(old, wanted);
        self.state.accepted = Some(Accepted { addresses, at: now.unix });
        self.state.trying = None;
        self.uncertain = false;
        (self.state.blocked, self.state.failed) = (None, None);
        self.not_before = now.elapsed;
        self.confirmed = now.elapsed;
        self.owed = false;
        if self.checking {
            return self.checked(addresses, changed);
        }
        let text = match (changed, old.is_empty()) {
            _ if wanted.private => format!(
                "sent, as the router has {addresses}; that is behind a second NAT, and changes beyond it \
                 cannot be seen"
            ),
            (true, true) => format!("set to {addresses}"),
            (true, false) => format!("{old} -> {addresses}"),
            (false, _) => format!("already {addresses}"),
        };
        let change = Some((old, addresses));
        let needless = !changed && self.config.refresh.is_none() && self.unchanged == Some(addresses);
        self.unchanged = (!changed).then_some(addresses);
        // Providers call that abuse, so nobody should do it without being told.
        let (level, text) = if needless {
            (Level::Warning, format!("{text}, as the time before: this update was needless"))
        } else {
            (Level::Info, text)
        };
        Report { change, took: Some(took), ..Report::new(level, &self.config.name, text) }
    }

    fn checked(&self, addresses: Addresses, changed: bool) -> Report {
        let (level, text) = if changed {
            (Level::Warning, format!("was changed by someone else; set to {addresses} again"))
        } else {
            (Level::Debug, format!("still {addresses}"))
        };
        Report::new(level, &self.config.name, text)
    }

    /// Whether something is to be done for it.
    fn is_stale(&self, wanted: &Wanted, now: Now) -> bool {
        self.must_be_sent(wanted, now) || self.check_is_due(now)
    }

    /// Whether what it holds is not what it should, or is not certain.
    fn must_be_sent(&self, wanted: &Wanted, now: Now) -> bool {
        let Some(accepted) = &self.state.accepted else { return true };
        let mut covers = wanted.covers.and(self.config.required.or(self.config.optional));
        // A private address that joins others is no news.
        covers.ipv4 &= !wanted.private || accepted.addresses.ipv4.is_some() || accepted.addresses.is_empty();
        let differs = merge(accepted.addresses, Wanted { covers, ..*wanted }) != accepted.addresses;
        differs || self.uncertain || self.owed || self.refresh_is_due(accepted, now)
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

    /// Its name and the reason, when it does not hold what it should.
    pub(super) fn behind(&self, sources: &[SourceStatus], now: Now) -> Option<(&str, String)> {
        let reason = match (&self.state.blocked, &self.state.failed, self.wanted(sources)) {
            (Some(blocked), _, _) => format!("blocked: {}", blocked.why),
            (_, Some(failed), _) => failed.why.clone(),
            (_, _, Err(Waiting::Unknown(why) | Waiting::Useless(why))) => why,
            (_, _, Err(Waiting::Pending)) => "its sources have not answered".to_owned(),
            (_, _, Ok(wanted)) if self.is_stale(&wanted, now) => "not sent".to_owned(),
            (_, _, Ok(_)) => return None,
        };
        Some((&self.config.name, reason))
    }

    /// The line that says why it waits, once for every time of waiting.
    pub(super) fn complaint(&mut self, sources: &[SourceStatus]) -> Option<Report> {
        let (level, why) = match self.wanted(sources) {
            Ok(_) => {
                self.complained = false;
                return None;
            }
            Err(Waiting::Pending) => return None,
            // Its source has said so already, or will when it stays like this.
            Err(Waiting::Unknown(_)) if self.kinds().any(|k| self.in_trouble(sources, k)) => return None,
            Err(Waiting::Unknown(why) | Waiting::Useless(why)) => (Level::Warning, why),
        };
        if std::mem::replace(&mut self.complained, true) {
            return None;
        }
        Some(Report::new(level, &self.config.name, format!("not updated: {why}")))
    }

    fn in_trouble(&self, sources: &[SourceStatus], kind: AddressKind) -> bool {
        let speaks = |source: &SourceStatus| source.in_trouble || source.early.is_some();
        self.preferred(kind).iter().any(|index| sources.get(*index).is_some_and(speaks))
    }

    fn may_be_told(&self, address: IpAddr) -> bool {
        refusal(address, self.config.allow_private).is_none()
    }

    fn wanted(&self, sources: &[SourceStatus]) -> Result<Wanted, Waiting> {
        let mut wanted = Wanted {
            addresses: Addresses::default(),
            covers: Needs::default(),
            ready: Duration::ZERO,
            private: false,
        };
        let mut refused = None;
        let mut private = None;
        for kind in self.kinds() {
            let required = has(self.config.required, kind);
            if required
                && self.is_absent(sources, kind)
                && let Some(from) = self.empty_from(kind)
            {
                wanted.ready = wanted.ready.max(from);
                wanted.cover(kind);
                continue;
            }
            match self.choice(sources, kind) {
                Selection::Known(value, source) => match self.publishable(sources, value, source) {
                    Ok((value, host)) => wanted.put(value, host),
                    Err(why) => {
                        let label = sources.get(source).map_or("", |source| source.label.as_str());
                        let why = format!("{label}: {why}");
                        if required {
                            return Err(Waiting::Useless(why));
                        }
                        private = private.or(self.private(sources, value, source));
                        refused.get_or_insert(why);
                    }
                },
                Selection::Pending => return Err(Waiting::Pending),
                Selection::Absent(_) if required && self.config.empty_when_absent => wanted.cover(kind),
                Selection::Absent(why) if required => return Err(Waiting::Useless(absent(kind, &why))),
                Selection::Unknown(why) if required => return Err(Waiting::Unknown(unknown(kind, &why))),
                Selection::Absent(_) | Selection::Unknown(_) => {}
            }
        }
        if let Some(value) = private {
            wanted.put(value, None);
            wanted.private = true;
        }
        if wanted.addresses.is_empty() {
            let unknown = || Waiting::Unknown("no address is known".to_owned());
            return Err(refused.map_or_else(unknown, Waiting::Useless));
        }
        Ok(wanted)
    }

    /// The router's private IPv4 address, for a target that tells it to nobody.
    fn private(&self, sources: &[SourceStatus], value: AddressValue, source: usize) -> Option<AddressValue> {
        let by_router = sources.get(source).is_some_and(|source| source.speaker == Origin::Gateway);
        let local = matches!(value, AddressValue::Ipv4(ipv4) if refusal(ipv4.into(), true).is_none());
        (self.config.any_address && by_router && local).then_some(value)
    }

    /// `value`, by the source with this index, and the host that it makes with the
    /// suffix; or why it is not published.
    fn publishable(
        &self,
        sources: &[SourceStatus],
        value: AddressValue,
        source: usize,
    ) -> Result<(AddressValue, Option<Ipv6Addr>), String> {
        let lan = sources.get(source).and_then(|source| source.lan);
        let host = match (value, self.config.ipv6_suffix) {
            (AddressValue::Prefix(prefix), Some(suffix)) => Some(lan_host(prefix, suffix, lan)?),
            _ => None,
        };
        let address = host.map_or_else(|| value.address(), Into::into);
        let speaker = sources.get(source).map(|source| source.speaker);
        let mut objection = nat::objection(address, speaker, self.config.allow_private);
        if objection.is_none() && !self.config.allow_private {
            objection = nat::contradiction(sources, &self.config.ipv4, value, source);
        }
        objection.map_or(Ok((value, host)), Err)
    }
}

impl Wanted {
    /// `host`: what the target's suffix makes of a prefix.
    fn put(&mut self, value: AddressValue, host: Option<Ipv6Addr>) {
        match value {
            AddressValue::Ipv4(address) => {
                self.addresses.ipv4 = Some(address);
                self.cover(AddressKind::Ipv4);
            }
            AddressValue::Ipv6(address) => {
                self.addresses.ipv6 = Some(address);
                self.cover(AddressKind::Ipv6);
            }
            AddressValue::Prefix(prefix) => {
                self.addresses.ipv6_prefix = Some(prefix);
                self.cover(AddressKind::Prefix);
                if let Some(host) = host {
                    self.put(AddressValue::Ipv6(host), None);
                }
            }
        }
    }

    fn cover(&mut self, kind: AddressKind) {
        match kind {
            AddressKind::Ipv4 => self.covers.ipv4 = true,
            AddressKind::Ipv6 => self.covers.ipv6 = true,
            AddressKind::Prefix => self.covers.ipv6_prefix = true,
        }
    }
}

/// What a target holds once it has taken `wanted`.
fn merge(old: Addresses, wanted: Wanted) -> Addresses {
    let Wanted { addresses: new, covers, .. } = wanted;
    Addresses {
        ipv4: if covers.ipv4 { new.ipv4 } else { old.ipv4 },
        ipv6: if covers.ipv6 { new.ipv6 } else { old.ipv6 },
        ipv6_prefix: if covers.ipv6_prefix { new.ipv6_prefix } else { old.ipv6_prefix },
    }
}

fn has(needs: Needs, kind: AddressKind) -> bool {
    match kind {
        AddressKind::Ipv4 => needs.ipv4,
        AddressKind::Ipv6 => needs.ipv6,
        AddressKind::Prefix => needs.ipv6_prefix,
    }
}

fn absent(kind: AddressKind, why: &str) -> String {
    format!("it needs an {}, and there is none: {why}", kind.words())
}

fn unknown(kind: AddressKind, why: &str) -> String {
    format!("it needs an {}, which is not known: {why}", kind.words())
}

/// A wait as people say it.
fn rough(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}
