//! Listening for changes: events and announcements of the gateway, notices of
//! the kernel.
//!
//! Whatever comes in is a hint to poll and nothing more. One thread waits for all
//! channels ([`Watch`]); what comes from somebody else than the gateway of a source
//! is dropped unread. However much comes, one hint for each source is under way
//! at a time: the next is passed on only after a poll has begun. A channel that
//! cannot be opened is done without, since polling goes on underneath.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::address::Family;
use crate::config::{Config, Source};
use crate::daemon::log::Log;
use crate::engine::{Level, Report};
use crate::gena::subscriber::{Clock, Subscriber};
use crate::gena::subscription::{PollResult, Status};
use crate::natpmp::message as natpmp;
use crate::sources::{Poll, Poller};
use crate::ssdp::message::{self as ssdp, Notify};
use crate::ssdp::presence::Presence;
use crate::system;
use crate::system::multicast::Group;
use crate::system::watch::{Channel, PAUSE, Watch};
use crate::system::{Changes, DefaultRoute, MulticastSource};

/// Passes a hint on: the source it is about and where it comes from.
type Pass = Box<dyn Fn(usize, &'static str) + Send + Sync>;

/// Every channel, open as long as the program runs.
#[derive(Default)]
pub struct Channels {
    hints: Arc<Hints>,
    keepers: Arc<Vec<Option<Subscriber>>>,
    groups: Vec<Group>,
}

/// One hint for each source.
#[derive(Default)]
struct Hints {
    pass: Option<Pass>,
    sources: Vec<SourceState>,
}

/// What is known of a source here.
#[derive(Default)]
struct SourceState {
    hinted: AtomicBool,
    /// The host whose announcements count.
    gateway: Mutex<Option<IpAddr>>,
    /// Its announcements can be heard, as far as is known.
    joined: AtomicBool,
    /// An event of it has come.
    event_came: AtomicBool,
    /// Why its events do not arrive.
    trouble: Mutex<Option<String>>,
}

impl Channels {
    /// Opens what the sources of `config` need; `pass` is called for each hint.
    #[must_use]
    pub fn open(
        config: &Config,
        watch: &Watch,
        log: Log,
        pass: impl Fn(usize, &'static str) + Send + Sync + 'static,
    ) -> Self {
        let sources = config.sources.iter().map(|_| SourceState::default()).collect();
        let hints = Arc::new(Hints { pass: Some(Box::new(pass)), sources });
        let keepers =
            config.sources.iter().enumerate().map(|(index, source)| keep(index, source, watch, &hints, log));
        let keepers = Arc::new(keepers.collect::<Vec<_>>());
        let kernel: Vec<_> = config.sources.iter().map(|s| matches!(s, Source::Interface(_))).collect();
        let mut groups = Vec::new();
        if kernel.contains(&false) {
            groups.extend(announcements(&hints, watch, log));
            groups.extend(notifications(&hints, &keepers, watch, log));
        }
        // Without it, polling notices changes.
        let told = Changes::listen().and_then(|changes| {
            let route = system::default_route(Family::V4);
            watch.add(Box::new(Kernel { changes, route, hints: Arc::clone(&hints), is_asked: kernel }))
        });
        if let Err(error) = told {
            log.say(Level::Debug, format!("changes of interfaces are not listened for: {error}"));
        }
        Self { hints, keepers, groups }
    }

    /// A poll begins: what is said about the source from now on is news again.
    pub fn poll_begins(&self, source: usize) {
        if let Some(place) = self.hints.sources.get(source) {
            place.hinted.store(false, Ordering::Relaxed);
        }
    }

    /// Whether somebody has spoken since.
    #[must_use]
    pub fn has_news(&self, source: usize) -> bool {
        self.hints.sources.get(source).is_some_and(|place| place.hinted.load(Ordering::Relaxed))
    }

    /// Whether events of its gateway have been seen to arrive.
    #[must_use]
    pub fn events_arrive(&self, source: usize) -> bool {
        let came = |place: &SourceState| place.event_came.load(Ordering::Relaxed);
        self.hints.sources.get(source).is_some_and(came) && self.trouble(source).is_none()
    }

    /// Why the events of its gateway do not arrive, if so.
    #[must_use]
    pub fn trouble(&self, source: usize) -> Option<String> {
        let place = self.hints.sources.get(source)?;
        place.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A poll has ended: from now on its gateway is listened to.
    pub fn poll_ended(&self, source: usize, poller: &Poller, poll: &Poll) {
        let Some(place) = self.hints.sources.get(source) else { return };
        let gateway = poller.gateway();
        *place.gateway.lock().unwrap_or_else(PoisonError::into_inner) = gateway;
        let reached = poll.observation.ipv4.known().is_some() || poll.gateway.is_some();
        if !reached || !place.joined.load(Ordering::Relaxed) {
            self.join(gateway);
        }
        place.joined.store(reached, Ordering::Relaxed);
        if let Some(Some(subscriber)) = self.keepers.get(source) {
            subscriber.polled(PollResult::new(&poll.observation, poll.gateway.is_some(), poller.events()));
        }
    }

    /// Joins the groups on the interface that leads to the gateway.
    fn join(&self, gateway: Option<IpAddr>) {
        let local = gateway.and_then(system::source_towards);
        if let (Some(IpAddr::V4(sender)), Some(IpAddr::V4(local))) = (gateway, local) {
            for group in &self.groups {
                group.join(MulticastSource { local, sender });
            }
        }
    }
}

impl Hints {
    fn give(&self, source: usize, channel: &'static str) {
        let Some(place) = self.sources.get(source) else { return };
        if !place.hinted.swap(true, Ordering::Relaxed)
            && let Some(pass) = &self.pass
        {
            pass(source, channel);
        }
    }

    /// The sources that ask this gateway.
    fn of_gateway(&self, sender: IpAddr) -> Vec<usize> {
        let is_its = |place: &SourceState| {
            *place.gateway.lock().unwrap_or_else(PoisonError::into_inner) == Some(sender)
        };
        self.sources.iter().enumerate().filter(|(_, place)| is_its(place)).map(|(index, _)| index).collect()
    }
}

/// The subscription at the gateway of a source, if it can have one.
fn keep(index: usize, source: &Source, watch: &Watch, hints: &Arc<Hints>, log: Log) -> Option<Subscriber> {
    let Source::Upnp(_) = source else { return None };
    let (hints, label) = (Arc::clone(hints), source.to_string());
    let ours = Arc::clone(&hints);
    let say = move |notice: &Status| {
        log.write(&Report::new(Level::Info, &label, notice.to_string()));
        let trouble = Some(notice).filter(|notice| **notice != Status::Arriving);
        if let Some(place) = ours.sources.get(index) {
            *place.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble.map(Status::to_string);
        }
    };
    let hint = Arc::new(move || {
        if let Some(place) = hints.sources.get(index) {
            place.event_came.store(true, Ordering::Relaxed);
        }
        hints.give(index, "an event of the gateway");
    });
    Some(Subscriber::start(Clock::new(1), watch.clone(), hint, say))
}

/// NAT-PMP and PCP.
fn announcements(hints: &Arc<Hints>, watch: &Watch, log: Log) -> Option<Group> {
    let hints = Arc::clone(hints);
    let hear = move |sender: IpAddr, datagram: &[u8]| {
        let sources = hints.of_gateway(sender);
        if !sources.is_empty() && natpmp::is_announcement(datagram) {
            for source in sources {
                hints.give(source, "an announcement of the gateway");
            }
        }
    };
    let group = Group::open(natpmp::ANNOUNCEMENTS, natpmp::MAX_DATAGRAM, watch, Box::new(hear));
    noted(group, "NAT-PMP announcements", log)
}

/// SSDP.
fn notifications(
    hints: &Arc<Hints>,
    keepers: &Arc<Vec<Option<Subscriber>>>,
    watch: &Watch,
    log: Log,
) -> Option<Group> {
    let (hints, keepers) = (Arc::clone(hints), Arc::clone(keepers));
    let mut presence = Presence::default();
    let hear = move |sender: IpAddr, datagram: &[u8]| {
        let sources = hints.of_gateway(sender);
        if sources.is_empty() || !Notify::parse(datagram, sender).is_ok_and(|notify| presence.hear(&notify)) {
            return;
        }
        for source in sources {
            if let Some(Some(subscriber)) = keepers.get(source) {
                subscriber.gateway_restarted();
            }
            hints.give(source, "the gateway has started");
        }
    };
    noted(Group::open(ssdp::GROUP, ssdp::MAX_DATAGRAM, watch, Box::new(hear)), "SSDP announcements", log)
}

fn noted(group: std::io::Result<Group>, what: &str, log: Log) -> Option<Group> {
    if let Err(error) = &group {
        log.say(Level::Debug, format!("{what} are not listened for: {error}"));
    }
    group.ok()
}

/// What the kernel tells. Whoever polls interfaces polls again after every change; a
/// new default route concerns those who ask gateways, too.
struct Kernel {
    changes: Changes,
    route: DefaultRoute,
    hints: Arc<Hints>,
    /// The sources that ask it.
    is_asked: Vec<bool>,
}

impl Channel for Kernel {
    #[cfg(unix)]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.changes.fd()
    }

    fn take(&mut self) -> bool {
        match self.changes.take() {
            Ok(false) => return true,
            Ok(true) => {}
            Err(_) => thread::sleep(PAUSE),
        }
        let now = system::default_route(Family::V4);
        let moved = std::mem::replace(&mut self.route, now) != now;
        for (source, is_asked) in self.is_asked.iter().enumerate() {
            if *is_asked {
                self.hints.give(source, "the kernel");
            } else if moved {
                self.hints.give(source, "a new default route");
            }
        }
        if moved {
            for place in &self.hints.sources {
                place.joined.store(false, Ordering::Relaxed);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_flood_is_one_hint_until_a_poll_begins() {
        let (sender, passed) = mpsc::channel();
        let pass: Pass = Box::new(move |source, _| sender.send(source).unwrap());
        let sources = (0..2).map(|_| SourceState::default()).collect();
        let channels =
            Channels { hints: Arc::new(Hints { pass: Some(pass), sources }), ..Channels::default() };
        let flood = || (0..1000).for_each(|_| channels.hints.give(0, "a test"));
        assert!(!channels.has_news(0));
        flood();
        channels.hints.give(9, "a test");
        assert!(channels.has_news(0) && !channels.has_news(1));
        assert_eq!(passed.try_iter().collect::<Vec<_>>(), [0]);
        channels.poll_begins(0);
        assert!(!channels.has_news(0));
        flood();
        channels.hints.give(1, "a test");
        assert_eq!(passed.try_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn events_arrive_once_one_has_come_and_while_nothing_is_wrong() {
        let sources = vec![SourceState::default()];
        let channels = Channels { hints: Arc::new(Hints { pass: None, sources }), ..Channels::default() };
        let place = &channels.hints.sources[0];
        assert!(!channels.events_arrive(0) && !channels.events_arrive(9));
        place.event_came.store(true, Ordering::Relaxed);
        assert!(channels.events_arrive(0));
        *place.trouble.lock().unwrap() = Some("silent".to_owned());
        assert!(!channels.events_arrive(0));
    }

    #[test]
    fn only_the_gateway_of_a_source_speaks_for_it() {
        let gateway = Some(IpAddr::from([192, 168, 1, 1]));
        let sources: Vec<SourceState> = (0..3).map(|_| SourceState::default()).collect();
        let hints = Hints { pass: None, sources };
        assert_eq!(hints.of_gateway([192, 168, 1, 1].into()), [0; 0], "nobody is known yet");
        for index in [0, 2] {
            *hints.sources[index].gateway.lock().unwrap() = gateway;
        }
        assert_eq!(hints.of_gateway([192, 168, 1, 1].into()), [0, 2]);
        assert_eq!(hints.of_gateway([192, 168, 1, 66].into()), [0; 0]);
    }
}
