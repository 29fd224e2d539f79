//! Keeps a subscription at a gateway alive: the thread behind [`Subscription`].
//!
//! It sleeps until a poll tells it something, an event comes or a renewal is due.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::listener::{Listener, OnEvent};
use super::subscription::{Failure, NextRequest, PollResult, Status, Subscription, Told};
use crate::gena::message::{Expected, Sid, SubscribeResponse, SubscriptionRequest};
use crate::http::lan_url::LanUrl;
use crate::system;
use crate::system::threads;
use crate::system::watch::Watch;
use crate::transport::lan;

/// The time for one exchange: no poll waits for it.
const TIME: Duration = Duration::from_secs(5);

const STACK: usize = 128 * 1024;

/// The time that renewals go by. Tests let it run faster.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    speed: u32,
}

impl Clock {
    /// A clock that starts at 0 and runs so many times as fast as real time.
    #[must_use]
    pub fn new(speed: u32) -> Self {
        Self { started: Instant::now(), speed }
    }

    fn now(self) -> Duration {
        self.started.elapsed().saturating_mul(self.speed)
    }

    fn until(self, at: Duration) -> Duration {
        at.saturating_sub(self.now()).checked_div(self.speed).unwrap_or_default()
    }
}

enum Input {
    Polled(PollResult),
    Event,
}

/// A subscription that is kept up as long as the program runs.
pub struct Subscriber {
    notes: Sender<Input>,
    restarted: Arc<AtomicBool>,
    told: Mutex<Told>,
    event_came: Arc<AtomicBool>,
}

impl Subscriber {
    /// Waits for the first poll. `hint` is called for every event, `say` for what
    /// the user should know.
    #[must_use]
    pub fn start(clock: Clock, watch: Watch, hint: OnEvent, say: impl Fn(&Status) + Send + 'static) -> Self {
        let (sender, notes) = channel();
        let restarted = Arc::new(AtomicBool::new(false));
        let event_came = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            subscription: Subscription::default(),
            listener: None,
            watch,
            clock,
            notes,
            sender: sender.clone(),
            event_noted: Arc::new(AtomicBool::new(false)),
            event_came: Arc::clone(&event_came),
            restarted: Arc::clone(&restarted),
            hint,
        };
        // Without it, polling notices changes.
        let _ = threads::start("subscription", STACK, move || work.run(&say));
        Self { notes: sender, restarted, told: Mutex::default(), event_came }
    }

    /// Says what a poll found. The thread is not woken to hear the same again.
    pub fn polled(&self, seen: PollResult) {
        let stirred =
            self.event_came.swap(false, Ordering::Relaxed) || self.restarted.load(Ordering::Relaxed);
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).is_new(&seen, stirred) {
            // The thread lives as long as the program.
            let _ = self.notes.send(Input::Polled(seen));
        }
    }

    /// Says that the gateway seems to have restarted. The next poll that reaches it
    /// sees to the subscription.
    pub fn gateway_restarted(&self) {
        self.restarted.store(true, Ordering::Relaxed);
    }
}

struct Work {
    subscription: Subscription,
    listener: Option<Listener>,
    watch: Watch,
    clock: Clock,
    notes: Receiver<Input>,
    sender: Sender<Input>,
    /// An event is among the notes: a flood must not fill them.
    event_noted: Arc<AtomicBool>,
    /// An event has come since the last poll.
    event_came: Arc<AtomicBool>,
    restarted: Arc<AtomicBool>,
    hint: OnEvent,
}

impl Work {
    fn run(&mut self, say: &impl Fn(&Status)) {
        loop {
            while let Some(step) = self.subscription.step(self.clock.now()) {
                self.perform(step);
            }
            while let Some(notice) = self.subscription.notice() {
                say(&notice);
            }
            match self.wait() {
                Ok(Input::Polled(seen)) => {
                    self.subscription.seen(self.clock.now(), &seen);
                    if seen.reached && self.restarted.swap(false, Ordering::Relaxed) {
                        self.subscription.gateway_restarted(self.clock.now());
                    }
                }
                Ok(Input::Event) => {
                    self.event_noted.store(false, Ordering::Relaxed);
                    self.subscription.event_came();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn wait(&self) -> Result<Input, RecvTimeoutError> {
        match self.subscription.deadline() {
            Some(at) => self.notes.recv_timeout(self.clock.until(at)),
            None => self.notes.recv().map_err(Into::into),
        }
    }

    fn perform(&mut self, step: NextRequest) {
        let result = match step {
            NextRequest::Unsubscribe(url, sid) => {
                // It expires by itself if the gateway does not hear this.
                let _ = exchange(url, SubscriptionRequest::Unsubscribe(sid), None);
                return;
            }
            NextRequest::Renew(url, sid) => {
                exchange(url, SubscriptionRequest::Renew(sid.clone()), Some(&sid))
            }
            NextRequest::Subscribe(url) => self.subscribe(url),
        };
        self.expect(match &result {
            Ok(granted) => Expected::Of(granted.sid.clone()),
            Err(_) => Expected::None,
        });
        if self.subscription.answered(self.clock.now(), result) {
            (self.hint)();
        }
    }

    fn subscribe(&mut self, url: LanUrl) -> Result<SubscribeResponse, Failure> {
        self.listen(url.host()).map_err(Failure::Here)?;
        let callback = self.listener.as_ref().map(|listener| listener.callback().clone());
        let callback = callback.ok_or_else(|| Failure::Here("nothing listens".to_owned()))?;
        self.expect(Expected::Pending);
        exchange(url, SubscriptionRequest::Subscribe(callback), None)
    }

    fn expect(&self, expected: Expected) {
        if let Some(listener) = &self.listener {
            listener.expect(expected);
        }
    }

    /// Listens where the gateway can reach us: before it is asked to try.
    fn listen(&mut self, gateway: IpAddr) -> Result<(), String> {
        let local = system::source_towards(gateway).ok_or("there is no route to the gateway")?;
        if self.listener.as_ref().is_some_and(|listener| listener.serves(local, gateway)) {
            return Ok(());
        }
        self.listener = None;
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no random numbers")?;
        let opened = Listener::open(local, gateway, random, &self.watch, self.on_event());
        self.listener = Some(opened.map_err(|error| format!("cannot listen on {local}: {error}"))?);
        Ok(())
    }

    fn on_event(&self) -> OnEvent {
        let (hint, pending) = (Arc::clone(&self.hint), Arc::clone(&self.event_noted));
        let (notes, came) = (self.sender.clone(), Arc::clone(&self.event_came));
        Arc::new(move || {
            came.store(true, Ordering::Relaxed);
            hint();
            if !pending.swap(true, Ordering::Relaxed) {
                // Fails when nobody waits for events any more.
                let _ = notes.send(Input::Event);
            }
        })
    }
}

fn exchange(
    url: LanUrl,
    ask: SubscriptionRequest,
    known: Option<&Sid>,
) -> Result<SubscribeResponse, Failure> {
    let now = Instant::now();
    let deadline = now.checked_add(TIME).unwrap_or(now);
    let response = lan::exchange(&ask.to(url), deadline).map_err(Failure::Exchange)?;
    SubscribeResponse::parse(&response, known).map_err(Failure::Refused)
}
