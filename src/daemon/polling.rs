//! Sources, the threads that ask them, and what makes them ask.

use std::fmt::Write as _;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hints::Channels;
use super::log::Log;
use super::{Message, STACK};
use crate::address::Finding;
use crate::config::Config;
use crate::engine::{Level, Report};
use crate::sources;
use crate::system::threads;
use crate::system::watch::Watch;

/// A source, and where it is asked.
pub(super) struct Asked {
    asking: Arc<Mutex<Asking>>,
    /// To the thread that polls whenever it is told to, hinted or not; `None`: the kernel,
    /// which answers at once.
    elsewhere: Option<Sender<bool>>,
}

impl Asked {
    /// What ends at once is asked here: another thread would cost more than the poll.
    pub(super) fn poll(&self, hinted: bool) {
        let Some(ask) = &self.elsewhere else {
            locked(&self.asking).poll(hinted);
            return;
        };
        let confirmed = !hinted && self.asking.try_lock().is_ok_and(|mut asking| asking.confirm());
        if !confirmed {
            // The thread lives as long as the program.
            let _ = ask.send(hinted);
        }
    }
}

fn locked(asking: &Mutex<Asking>) -> MutexGuard<'_, Asking> {
    asking.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A source with whoever wants to hear of it.
pub(super) struct Asking {
    source: usize,
    poller: sources::Poller,
    sender: Sender<Message>,
    channels: Arc<Channels>,
    log: Log,
}

impl Asking {
    /// Polls once; `None`: nobody wants to hear of it any more.
    fn poll(&mut self, hinted: bool) -> Option<()> {
        let start = Instant::now();
        self.poller.rely_on_events(self.channels.events_arrive(self.source));
        let poll = self.poller.poll(hinted, &|| self.channels.has_news(self.source));
        self.tell(&poll, start)
    }

    /// Polls once if that takes next to no time.
    fn confirm(&mut self) -> bool {
        let start = Instant::now();
        self.poller.rely_on_events(self.channels.events_arrive(self.source));
        self.poller.confirm().is_some_and(|poll| self.tell(&poll, start).is_some())
    }

    fn tell(&self, poll: &sources::Poll, start: Instant) -> Option<()> {
        if self.log.wants(Level::Debug) {
            self.log.write(&debug_line(self.poller.label(), poll, start.elapsed()));
        }
        if let Some(advice) = &poll.advice {
            self.log.write(&Report::new(Level::Info, self.poller.label(), advice.clone()));
        }
        self.sender.send(Message::Observed { source: self.source, poll: poll.clone() }).ok()?;
        self.channels.poll_ended(self.source, &self.poller, poll);
        Some(())
    }
}

/// Opens what hints come from; none in a single run, or where the user says so.
pub(super) fn open_channels(
    config: &Config,
    watch: Option<&Watch>,
    sender: &Sender<Message>,
    log: Log,
) -> Channels {
    let Some(watch) = watch.filter(|_| config.events) else { return Channels::default() };
    let sender = sender.clone();
    Channels::open(config, watch, log, move |source, channel| {
        // Fails only at the end of the program.
        let _ = sender.send(Message::Hint { source, channel });
    })
}

/// Makes a source ready to be asked.
pub(super) fn start_source(
    poller: sources::Poller,
    source: usize,
    sender: &Sender<Message>,
    channels: &Arc<Channels>,
    log: Log,
) -> Asked {
    let is_at_once = poller.is_at_once();
    let asking = Asking { source, poller, sender: sender.clone(), channels: Arc::clone(channels), log };
    let asking = Arc::new(Mutex::new(asking));
    let elsewhere = (!is_at_once).then(|| {
        let (ask, asked) = channel();
        let asking = Arc::clone(&asking);
        spawn(
            "source",
            move || while asked.recv().is_ok_and(|hinted| locked(&asking).poll(hinted).is_some()) {},
        );
        ask
    });
    Asked { asking, elsewhere }
}

fn debug_line(label: &str, poll: &sources::Poll, took: Duration) -> Report {
    let observation = &poll.observation;
    let mut text = format!("IPv4 {}, IPv6 {}", said(&observation.ipv4), said(&observation.ipv6));
    if let Finding::Known(prefix) = observation.ipv6_prefix {
        let _ = write!(text, ", prefix {prefix}");
    }
    if let Some(gateway) = &poll.gateway {
        let _ = write!(text, ", from {gateway}");
    }
    Report { took: Some(took), ..Report::new(Level::Debug, label, text) }
}

fn said<T: ToString>(finding: &Finding<T>) -> String {
    match finding {
        Finding::Known(value) => value.to_string(),
        Finding::Absent(why) => format!("none ({why})"),
        Finding::Unknown(why) => format!("unknown ({why})"),
    }
}

/// Starts the thread of a source. One that cannot be started means a system without
/// memory; the supervisor starts us again, and the state makes that harmless.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = threads::start(name, STACK, work) {
        eprintln!("error: no thread could be started: {error}");
        std::process::abort();
    }
}
