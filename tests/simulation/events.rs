//! The gateway's events: who has subscribed to them, and the daemon's side, which is the
//! real one but for its socket.

use std::time::Duration;

use ddns_update_daemon::gena::message::{
    Callback, Expected, NotifyCheck, SubscribeResponse, SubscriptionRequest, check_notify,
};
use ddns_update_daemon::gena::subscription::{Failure, NextRequest, PollResult, Status, Subscription, Told};
use ddns_update_daemon::http::ResponseReader;
use ddns_update_daemon::http::request::{ExchangeError, Request};

use crate::chance::Chance;
use crate::network::Manner;

/// For how long the gateway grants a subscription.
const LEASE: Duration = Duration::from_secs(1800);

/// The gateway's side.
pub(crate) struct Publisher {
    /// It has events at all.
    pub(crate) offers: bool,
    leases: Vec<Lease>,
    count: u64,
}

struct Lease {
    sid: String,
    callback: String,
    until: Duration,
}

impl Publisher {
    pub(crate) fn new(offers: bool) -> Self {
        Self { offers, leases: Vec::new(), count: 0 }
    }

    /// It has restarted.
    pub(crate) fn forgets(&mut self) {
        self.leases.clear();
    }

    /// The heads of what it sends to everybody who has subscribed.
    pub(crate) fn notices(&mut self, now: Duration) -> Vec<String> {
        self.leases.retain(|lease| now < lease.until);
        self.leases.iter().map(Lease::notice).collect()
    }

    /// Answers, and sends the event that follows every subscription.
    fn serve(&mut self, request: &Request, manner: Manner, now: Duration) -> (String, Option<String>) {
        let field =
            |name: &str| request.fields.iter().find(|(known, _)| *known == name).map(|(_, text)| text);
        let granted = |sid: &str| format!("HTTP/1.1 200 OK\r\nSID: {sid}\r\nTIMEOUT: Second-1800\r\n\r\n");
        if !self.offers || manner == Manner::Refusing {
            return ("HTTP/1.1 501 Not Implemented\r\n\r\n".to_owned(), None);
        }
        if let Some(sid) = field("SID") {
            let lease = self.leases.iter_mut().find(|lease| lease.sid == *sid && now < lease.until);
            let Some(lease) = lease else {
                return ("HTTP/1.1 412 Precondition Failed\r\n\r\n".to_owned(), None);
            };
            lease.until = if request.method == "SUBSCRIBE" { now + LEASE } else { now };
            return (granted(sid), None);
        }
        self.count += 1;
        let callback = field("CALLBACK").expect("a subscription names it");
        let callback = callback.trim_matches(['<', '>']).to_owned();
        let lease = Lease { sid: format!("uuid:sim-{}", self.count), callback, until: now + LEASE };
        let answer = (granted(&lease.sid), Some(lease.notice()));
        self.leases.push(lease);
        answer
    }
}

impl Lease {
    fn notice(&self) -> String {
        let (host, path) = self.callback.trim_start_matches("http://").split_once('/').expect("a URL");
        format!(
            "NOTIFY /{path} HTTP/1.1\r\nHOST: {host}\r\nNT: upnp:event\r\nNTS: upnp:propchange\r\n\
             SID: {}\r\nSEQ: 0\r\n\r\n",
            self.sid
        )
    }
}

/// The daemon's side.
pub(crate) struct Events {
    subscription: Subscription,
    told: Told,
    callback: Callback,
    expected: Expected,
    /// An event has come since the last poll.
    stirred: bool,
    came: bool,
    in_trouble: bool,
    /// When it is to be woken.
    pub(crate) alarm: Option<Duration>,
}

/// What the daemon does by itself at some time.
pub(crate) struct Stepped {
    /// Events that the gateway sends because of it.
    pub(crate) notices: Vec<String>,
    pub(crate) hint: bool,
    pub(crate) said: Vec<Status>,
}

impl Events {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let mut random = [0; 16];
        random[..8].copy_from_slice(&chance.number().to_be_bytes());
        Self {
            subscription: Subscription::default(),
            told: Told::default(),
            callback: Callback::new("192.168.1.9:49152".parse().unwrap(), random),
            expected: Expected::None,
            stirred: false,
            came: false,
            in_trouble: false,
            alarm: None,
        }
    }

    /// Whether events have been seen to arrive.
    pub(crate) fn arrive(&self) -> bool {
        self.came && !self.in_trouble
    }

    /// A poll has ended, `now` after the daemon's start.
    pub(crate) fn polled(&mut self, now: Duration, seen: &PollResult) {
        if self.told.is_new(seen, std::mem::take(&mut self.stirred)) {
            self.subscription.seen(now, seen);
        }
    }

    /// A request has come to the callback: whether it is an event.
    pub(crate) fn takes(&mut self, head: &[u8]) -> bool {
        let is_event = check_notify(head, &self.callback, &self.expected) == NotifyCheck::Event;
        if is_event {
            (self.stirred, self.came) = (true, true);
            self.subscription.event_came();
        }
        is_event
    }

    /// Sends what is due, `now` after the daemon's start, when the world is at `world`.
    pub(crate) fn step(
        &mut self,
        now: Duration,
        world: Duration,
        publisher: &mut Publisher,
        manner: Manner,
    ) -> Stepped {
        let mut stepped = Stepped { notices: Vec::new(), hint: false, said: Vec::new() };
        while let Some(step) = self.subscription.step(now) {
            let (url, request, known) = match step {
                NextRequest::Subscribe(url) => {
                    self.expected = Expected::Pending;
                    (url, SubscriptionRequest::Subscribe(self.callback.clone()), None)
                }
                NextRequest::Renew(url, sid) => (url, SubscriptionRequest::Renew(sid.clone()), Some(sid)),
                NextRequest::Unsubscribe(url, sid) => {
                    publisher.serve(&SubscriptionRequest::Unsubscribe(sid).to(url), manner, world);
                    continue;
                }
            };
            let result = if matches!(manner, Manner::Rebooting | Manner::Silent) {
                Err(Failure::Exchange(ExchangeError::Timeout))
            } else {
                let (answer, notice) = publisher.serve(&request.to(url), manner, world);
                stepped.notices.extend(notice);
                let response = ResponseReader::new(None).push(answer.as_bytes());
                let response = response.unwrap().expect("a whole head");
                SubscribeResponse::parse(&response, known.as_ref()).map_err(Failure::Refused)
            };
            self.expected = match &result {
                Ok(granted) => Expected::Of(granted.sid.clone()),
                Err(_) => Expected::None,
            };
            stepped.hint |= self.subscription.answered(now, result);
        }
        while let Some(status) = self.subscription.notice() {
            self.in_trouble = status != Status::Arriving;
            stepped.said.push(status);
        }
        stepped
    }

    /// When it is to be woken, where that is news.
    pub(crate) fn next_alarm(&mut self) -> Option<Duration> {
        let next = self.subscription.deadline();
        let news = next.filter(|_| next != self.alarm);
        self.alarm = next;
        news
    }
}
