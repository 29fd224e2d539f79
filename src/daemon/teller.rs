//! Sends what [`crate::notify`] decides, each message on a thread of its own.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::jobs::SharedClient;
use super::log::Log;
use super::{Daemon, Message, STACK, process};
use crate::calendar;
use crate::config::Config;
use crate::engine::{Engine, Level, Now, Report};
use crate::notify::message::{Means, PROGRAM_TIMEOUT, TIMEOUT, compose, ping};
use crate::notify::{Delivery, Notifier, Sent, Undelivered};
use crate::system::{clock, threads};
use crate::updaters::{Outcome, run};

pub(super) struct Teller<'a> {
    notifier: Notifier,
    config: &'a Config,
    client: SharedClient,
    log: Log,
    sender: Sender<Message>,
    /// Deliveries under way.
    under_way: usize,
    /// Those whose last delivery failed, by label.
    failing: Vec<String>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        config: &'a Config,
        client: &SharedClient,
        log: Log,
        sender: &Sender<Message>,
        seed: u64,
        kept: Option<String>,
    ) -> Option<Self> {
        let (client, sender) = (client.clone(), sender.clone());
        let mut notifier = Notifier::new(config, seed)?;
        let targets: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
        let now = Now::new(Duration::ZERO, clock::unix_time());
        notifier.restore(now, &kept.unwrap_or_default(), &targets);
        Some(Self { notifier, config, client, log, sender, under_way: 0, failing: Vec::new() })
    }

    /// Takes what the engine reports.
    pub(super) fn hear(&mut self, now: Now, report: &Report) {
        if report.change.as_ref().is_some_and(|(old, new)| old != new) {
            self.notifier.changed(now, &report.subject, &report.text);
        }
    }

    /// Sends what is due; `news`: something has happened.
    pub(super) fn work(&mut self, now: Now, news: bool, engine: &Engine) {
        if news {
            self.notifier.note();
        }
        if self.notifier.wants_a_look(now) {
            self.notifier.look(now, engine.behind(now), &|name| engine.holds(name));
        }
        while let Some(delivery) = self.notifier.delivery(now) {
            self.begin(delivery);
        }
    }

    fn begin(&mut self, delivery: Delivery) {
        let means = match &delivery {
            Delivery::Message { to, happening, text } => {
                self.config.telling.notify.get(*to).map(|to| compose(to, *happening, text))
            }
            Delivery::Ping { ok, text } => {
                self.config.telling.heartbeat.as_ref().map(|to| Means::Web(ping(to, *ok, text)))
            }
        };
        let Some(means) = means else { return };
        self.under_way = self.under_way.saturating_add(1);
        let (client, sender, told) = (self.client.clone(), self.sender.clone(), delivery.clone());
        let work = move || {
            let result = send(&client, &means);
            // Fails only at the end of the program.
            let _ = sender.send(Message::Told { delivery: told, result });
        };
        if let Err(error) = threads::start("notify", STACK, work) {
            let why = format!("no thread could be started: {error}");
            let result = Err(Undelivered { why, after: None, reached: false });
            let _ = self.sender.send(Message::Told { delivery, result });
        }
    }

    /// Takes what became of a delivery.
    pub(super) fn told(&mut self, now: Now, delivery: &Delivery, result: &Sent) {
        self.under_way = self.under_way.saturating_sub(1);
        let next = self.notifier.sent(now, delivery, result);
        let telling = &self.config.telling;
        let (label, what, told) = match delivery {
            Delivery::Message { to, happening, .. } => {
                let label = telling.notify.get(*to).map(|to| format!("notify {}", to.label()));
                (label, happening.word(), "told")
            }
            Delivery::Ping { .. } => {
                (telling.heartbeat.as_ref().map(|to| format!("heartbeat {}", to.label())), "ping", "sent")
            }
        };
        let label = label.unwrap_or_default();
        let known = self.failing.iter().position(|failing| *failing == label);
        let (level, text) = match (result, known) {
            (Ok(()), None) => (Level::Debug, format!("{what} {told}")),
            (Ok(()), Some(at)) => {
                self.failing.remove(at);
                (Level::Info, format!("{what} {told}; it works again"))
            }
            (Err(failed), known) => {
                if known.is_none() {
                    self.failing.push(label.clone());
                }
                let level = if known.is_none() || next.is_none() { Level::Warning } else { Level::Debug };
                let next = next.map_or_else(
                    || format!("it is not {told}"),
                    |wait| format!("next try in {}", calendar::age(wait.as_secs().max(1))),
                );
                (level, format!("{what} not {told}: {}; {next}", failed.why))
            }
        };
        self.log.write(&Report::new(level, &label, text));
    }

    pub(super) fn deadline(&self) -> Duration {
        self.notifier.deadline()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// For the end of a single run: tells what is left; whether all that is done.
    pub(super) fn conclude(&mut self, now: Now, engine: &Engine) -> bool {
        self.notifier.conclude(now);
        self.work(now, true, engine);
        self.notifier.is_settled()
    }
}

impl Daemon<'_> {
    /// Keeps what a later start is to know: news, or at an `end` all of it.
    pub(super) fn keep_notices(&mut self, end: bool) {
        let now = self.now();
        let Some(teller) = &mut self.teller else { return };
        let notifier = &mut teller.notifier;
        if let Some(text) = notifier.take_unkept(now).or_else(|| end.then(|| notifier.keep(now))) {
            // Where it cannot be kept, a failure is told once more.
            let _ = self.places.runtime.keep_notices(&text);
        }
    }
}

fn send(client: &SharedClient, means: &Means) -> Sent {
    let (why, after, reached) = match means {
        Means::Web(request) => match client.send_alone(request, TIMEOUT) {
            Ok(reply) if reply.redirect.is_some() => (reply.redirects(), None, true),
            Ok(reply) if (200..300).contains(&reply.status) => return Ok(()),
            Ok(reply) => (format!("status {}", reply.status), reply.retry_after, true),
            Err(failure) => (failure.why, None, failure.maybe_done),
        },
        Means::Program(plan) => match run::judge(process::run(plan, PROGRAM_TIMEOUT)) {
            Outcome::Retry { why, after, reached } => (why, after, reached),
            _ => return Ok(()),
        },
    };
    Err(Undelivered { why, after, reached })
}
