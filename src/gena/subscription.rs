//! When to subscribe to a gateway's events, when to renew, and whether they
//! arrive at all; pure.
//!
//! ```text
//!   Idle --(gateway seen)--> Due --Subscribe--> Active --half the time--> Renew
//!                             ^-- later --refused   |                       |
//!                             ^-- at once ----------+-- other gateway, lost |
//!                             ^-- at once ------------------------------412-+
//! ```
//!
//! Time is the time since some start. Polling goes on whatever happens here;
//! when events are refused or do not arrive, the user is told so once.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::address::{Finding, Observation};
use crate::backoff::TokenBucket;
use crate::gena::message::{Sid, SubscribeError, SubscribeResponse};
use crate::http::lan_url::LanUrl;
use crate::http::request::ExchangeError;

/// How long the event that follows every subscription may take. In a house it
/// takes milliseconds.
const FIRST_EVENT: Duration = Duration::from_secs(10);

/// How long after a poll that found a change its event may still come.
const LATE_EVENT: Duration = Duration::from_secs(2);

/// The wait after a refused subscription; it doubles up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// Gateways without events cost a request every half hour.
const LONGEST_RETRY: Duration = Duration::from_secs(1800);

/// What a poll says about the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PollResult {
    /// Whether a gateway answered.
    pub reached: bool,
    /// Where it takes subscriptions.
    pub events: Option<LanUrl>,
    /// The address it told.
    pub ipv4: Option<Ipv4Addr>,
}

impl PollResult {
    /// What a poll came to.
    #[must_use]
    pub fn new(observation: &Observation, reached: bool, events: Option<LanUrl>) -> Self {
        let ipv4 = match observation.ipv4 {
            Finding::Known(address) => Some(address),
            Finding::Absent(_) | Finding::Unknown(_) => None,
        };
        Self { reached, events, ipv4 }
    }
}

/// What a [`Subscription`] has been told, so that nobody wakes it to tell it again.
#[derive(Debug, Default)]
pub struct Told(Option<PollResult>);

impl Told {
    /// Whether this poll says something new. After an event, or a restart of the
    /// gateway (`stirred`), it does, whatever it found.
    pub fn is_new(&mut self, seen: &PollResult, stirred: bool) -> bool {
        if !stirred && self.0.as_ref() == Some(seen) {
            return false;
        }
        self.0 = Some(seen.clone());
        true
    }
}

/// What to send now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NextRequest {
    /// A new subscription.
    Subscribe(LanUrl),
    /// A renewal.
    Renew(LanUrl, Sid),
    /// An end; its answer does not matter.
    Unsubscribe(LanUrl, Sid),
}

/// Why there is no subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The gateway said no.
    Refused(SubscribeError),
    /// It did not answer.
    Exchange(ExchangeError),
    /// Nothing here can take events.
    Here(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Exchange(error) => error.fmt(f),
            Self::Here(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

/// What to tell the user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// There is no subscription.
    None(String),
    /// There is one, and nothing comes.
    Silent,
    /// A change came without an event.
    Missed,
    /// They come after all.
    Arriving,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const THUS: &str = "changes are noticed by polling";
        match self {
            Self::None(why) => write!(f, "no events: {why}; {THUS}"),
            Self::Silent => {
                write!(f, "its events do not arrive (a firewall on this host may drop them); {THUS}")
            }
            Self::Missed => write!(f, "it sent no event for a change; {THUS}"),
            Self::Arriving => f.write_str("its events arrive"),
        }
    }
}

/// The subscription at one gateway, see [the module](self).
#[derive(Clone, Debug)]
pub struct Subscription {
    state: SubscriptionState,
    /// The one to end.
    old: Option<(LanUrl, Sid)>,
    /// The gateway may have forgotten us.
    lost: bool,
    /// Refusals in a row.
    refusals: u32,
    bucket: TokenBucket,
    last: Option<Ipv4Addr>,
    /// An event has come since the last poll, or since we asked for them.
    heard: bool,
    /// When the first event, or that of a change, is overdue.
    overdue: Option<(Duration, Status)>,
    in_trouble: bool,
    notices: Vec<Status>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum SubscriptionState {
    Idle,
    Due { url: LanUrl, at: Duration },
    Active { url: LanUrl, sid: Sid, renew_at: Duration },
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            state: SubscriptionState::Idle,
            old: None,
            lost: false,
            refusals: 0,
            bucket: TokenBucket::SUBSCRIPTIONS,
            last: None,
            heard: false,
            overdue: None,
            in_trouble: false,
            notices: Vec::new(),
        }
    }
}

impl Subscription {
    /// Takes what a poll found.
    pub fn seen(&mut self, now: Duration, seen: &PollResult) {
        if !seen.reached {
            self.lost = true;
            return;
        }
        match &seen.events {
            Some(url) if self.lost || !self.is_about(url) => self.begin(now, url),
            Some(_) => self.poll_for_a_missed_change(now, seen.ipv4),
            None => {
                self.state = SubscriptionState::Idle;
                self.trouble(Status::None("the gateway does not offer any".to_owned()));
            }
        }
        self.lost = false;
        self.last = seen.ipv4.or(self.last);
        self.heard = false;
    }

    /// The gateway seems to have restarted: a renewal shows whether it knows us
    /// still, and one that refused us may have changed its mind.
    pub fn gateway_restarted(&mut self, now: Duration) {
        match &mut self.state {
            SubscriptionState::Idle => {}
            SubscriptionState::Due { at, .. } => *at = self.bucket.next(now).min(*at),
            SubscriptionState::Active { renew_at, .. } => *renew_at = now.min(*renew_at),
        }
    }

    /// An event came.
    pub fn event_came(&mut self) {
        self.heard = true;
        self.overdue = None;
        if std::mem::take(&mut self.in_trouble) {
            self.notices.push(Status::Arriving);
        }
    }

    /// What to send now, if anything; its answer goes to [`Self::answered`].
    pub fn step(&mut self, now: Duration) -> Option<NextRequest> {
        if let Some((url, sid)) = self.old.take() {
            return Some(NextRequest::Unsubscribe(url, sid));
        }
        if let Some((_, notice)) = self.overdue.take_if(|(at, _)| *at <= now) {
            self.trouble(notice);
        }
        match &self.state {
            SubscriptionState::Due { url, at } if *at <= now => {
                let url = url.clone();
                self.bucket.next(now);
                self.bucket.take();
                self.heard = false;
                Some(NextRequest::Subscribe(url))
            }
            SubscriptionState::Active { url, sid, renew_at } if *renew_at <= now => {
                Some(NextRequest::Renew(url.clone(), sid.clone()))
            }
            SubscriptionState::Idle | SubscriptionState::Due { .. } | SubscriptionState::Active { .. } => {
                None
            }
        }
    }

    /// Takes the answer to a subscription or renewal. Returns whether to poll
    /// the gateway at once: it has forgotten us, and who knows since when.
    pub fn answered(&mut self, now: Duration, answer: Result<SubscribeResponse, Failure>) -> bool {
        match (std::mem::replace(&mut self.state, SubscriptionState::Idle), answer) {
            (SubscriptionState::Idle, _) => false,
            (SubscriptionState::Due { url, .. }, Ok(granted)) => {
                self.refusals = 0;
                let by = now.saturating_add(FIRST_EVENT);
                self.overdue = (!self.heard).then_some((by, Status::Silent));
                self.keep(now, url, granted);
                false
            }
            (SubscriptionState::Active { url, .. }, Ok(granted)) => {
                self.keep(now, url, granted);
                false
            }
            (SubscriptionState::Active { url, .. }, Err(Failure::Refused(SubscribeError::Precondition))) => {
                self.state = SubscriptionState::Due { url, at: self.bucket.next(now) };
                true
            }
            (SubscriptionState::Due { url, .. } | SubscriptionState::Active { url, .. }, Err(failure)) => {
                self.trouble(Status::None(failure.to_string()));
                self.overdue = None;
                let factor = 1_u32.checked_shl(self.refusals).unwrap_or(u32::MAX);
                self.refusals = self.refusals.saturating_add(1).min(8);
                let wait = FIRST_RETRY.saturating_mul(factor).min(LONGEST_RETRY);
                self.state = SubscriptionState::Due { url, at: now.saturating_add(wait) };
                false
            }
        }
    }

    /// When [`Self::step`] is to be called again.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if self.old.is_some() {
            return Some(Duration::ZERO);
        }
        let at = match &self.state {
            SubscriptionState::Idle => None,
            SubscriptionState::Due { at, .. } | SubscriptionState::Active { renew_at: at, .. } => Some(*at),
        };
        at.into_iter().chain(self.overdue.as_ref().map(|(at, _)| *at)).min()
    }

    /// The next thing to tell the user.
    pub fn notice(&mut self) -> Option<Status> {
        (!self.notices.is_empty()).then(|| self.notices.remove(0))
    }

    fn is_about(&self, wanted: &LanUrl) -> bool {
        match &self.state {
            SubscriptionState::Idle => false,
            SubscriptionState::Due { url, .. } | SubscriptionState::Active { url, .. } => url == wanted,
        }
    }

    /// Subscribes anew. An old subscription at the same place is ended, so that
    /// they do not heap up there.
    fn begin(&mut self, now: Duration, wanted: &LanUrl) {
        let state = SubscriptionState::Due { url: wanted.clone(), at: self.bucket.next(now) };
        if let SubscriptionState::Active { url, sid, .. } = std::mem::replace(&mut self.state, state) {
            self.old = (url == *wanted).then_some((url, sid));
        }
        self.refusals = 0;
        self.overdue = None;
    }

    fn keep(&mut self, now: Duration, url: LanUrl, granted: SubscribeResponse) {
        let half = granted.timeout.checked_div(2).unwrap_or(granted.timeout);
        self.state = SubscriptionState::Active { url, sid: granted.sid, renew_at: now.saturating_add(half) };
    }

    fn poll_for_a_missed_change(&mut self, now: Duration, ipv4: Option<Ipv4Addr>) {
        let changed = ipv4.is_some() && self.last.is_some() && ipv4 != self.last;
        let active = matches!(self.state, SubscriptionState::Active { .. });
        if changed && active && !self.heard && self.overdue.is_none() {
            self.overdue = Some((now.saturating_add(LATE_EVENT), Status::Missed));
        }
    }

    fn trouble(&mut self, notice: Status) {
        if !std::mem::replace(&mut self.in_trouble, true) {
            self.notices.push(notice);
        }
    }
}

#[cfg(test)]
mod tests;
