//! What a person asks of the running daemon, by signals, and of its state where none runs.

use std::io;
use std::time::Duration;

use super::request::{Answer, Request, RequestKind};
use super::signals::{self, Signal};
use super::state_file::{NotKept, Store};
use super::teller::Teller;
use super::{Daemon, Message};
use crate::config::{self, Config};
use crate::engine::{Event, Level};

/// How long jobs under way may take before the configuration is read again: what is cut
/// off is sent once more.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for another such signal: for a moment of the new start, before
/// [`signals::catch`], signals end the process.
const SETTLE: Duration = Duration::from_millis(200);

impl Daemon<'_> {
    /// Lets itself be found and rung, from now on. A single run is neither.
    pub(super) fn listen(&mut self) {
        if self.mode.once || self.mode.dry_run {
            return;
        }
        let sender = self.sender.clone();
        let tell = move |signal| {
            // Fails only at the end of the program.
            let _ = sender.send(Message::Signal(signal));
        };
        let places = &mut self.places;
        let Some(caught) = places.signals.take() else { return };
        let watch = self.watch.as_ref().ok_or_else(|| io::Error::other("no thread could be started"));
        let result = watch
            .and_then(|watch| signals::listen(caught?, watch, tell))
            .and_then(|()| places.runtime.announce(places.store.config()));
        // Put there while a reload was under way.
        let _ = self.sender.send(Message::Signal(Signal::Request));
        if let Err(error) = result {
            let text = format!("`status`, `retry` and `update` cannot find this process: {error}");
            if error.kind() == io::ErrorKind::ResourceBusy {
                let hint = "perhaps two containers share that folder: give each a state_file of its own";
                self.log.say(Level::Warning, format!("{text}; {hint}"));
            } else {
                // In a container it may be all that can be had.
                self.log.say(Level::Debug, text);
            }
        } else {
            self.status_pace.due = Some(Duration::ZERO);
        }
    }

    /// The event that a signal leads to.
    pub(super) fn follow(&mut self, signal: Signal) -> Event {
        match signal {
            Signal::Reload => {
                self.check_reload();
                Event::Tick
            }
            Signal::Update => {
                self.log.say(Level::Info, "polling and sending, because of SIGUSR1");
                Event::Update { targets: (0..self.config.targets.len()).collect() }
            }
            Signal::Request => self.take_request(),
        }
    }

    fn take_request(&mut self) -> Event {
        let request = match self.places.runtime.take() {
            None => return Event::Tick,
            Some(Err(why)) => {
                self.log.say(Level::Warning, why);
                return Event::Tick;
            }
            Some(Ok(request)) => request,
        };
        let (answer, event) = self.judge(&request);
        let level = match (answer.done, request.kind) {
            // A program that watches asks again and again.
            (true, RequestKind::Status) => Level::Debug,
            (true, _) => Level::Info,
            (false, _) => Level::Warning,
        };
        self.log.say(level, format!("asked to {}: {}", request.kind.word(), answer.text));
        if let Err(error) = self.places.runtime.answer(&answer) {
            self.log
                .say(Level::Debug, format!("the answer could not be left in the runtime folder: {error}"));
        }
        event
    }

    fn judge(&mut self, request: &Request) -> (Answer, Event) {
        let id = request.id;
        if request.kind == RequestKind::Status {
            let (done, text) = match self.write_status() {
                Ok(()) => (true, "written".to_owned()),
                Err(error) => (false, format!("the status cannot be written: {error}")),
            };
            return (Answer { id, done, text }, Event::Tick);
        }
        let targets = self.config.called(request.name.as_deref());
        if targets.is_empty() {
            let name = request.name.as_deref().unwrap_or_default();
            return (Answer { id, done: false, text: self.config.no_such_target(name) }, Event::Tick);
        }
        let names = |targets: &[usize]| match request.name {
            None if targets.len() == self.config.targets.len() => "every target".to_owned(),
            _ => self.config.names(targets),
        };
        if request.kind == RequestKind::Retry {
            let text = format!("{}: nothing stands in the way any more", names(&targets));
            return (Answer { id, done: true, text }, Event::Retry { targets });
        }
        let known = self.engine.status(self.now()).targets;
        let is_blocked = |index: &usize| known.get(*index).is_some_and(|target| target.state == "blocked");
        let (blocked, sent): (Vec<usize>, Vec<usize>) = targets.iter().partition(|index| is_blocked(index));
        let mut parts = Vec::new();
        if !sent.is_empty() {
            parts.push(format!("{}: sent now, or after the pause of the account", names(&sent)));
        }
        if !blocked.is_empty() {
            parts
                .push(format!("{}: blocked, and not sent before: ddns-update-daemon retry", names(&blocked)));
        }
        (Answer { id, done: true, text: parts.join("; ") }, Event::Update { targets })
    }

    /// Reads the configuration; when it is whole, it takes the place of this one soon.
    fn check_reload(&mut self) {
        let problems = match config::load(self.places.config) {
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
            Ok(new) if new.targets.is_empty() => vec!["there is nothing to update".to_owned()],
            Ok(new) => new.left_out,
        };
        if problems.is_empty() {
            self.log.say(Level::Info, "reading the configuration again");
            self.reload_asked = Some(self.now().elapsed);
            return;
        }
        for problem in &problems {
            self.log.say(Level::Error, problem.as_str());
        }
        self.log.say(Level::Error, "the configuration is wrong: the one from before goes on");
        self.reload_asked = None;
    }

    /// When a reload that was asked for is to be looked at next.
    pub(super) fn reload_due(&self) -> Option<Duration> {
        let asked = self.reload_asked?;
        let settled = asked.saturating_add(SETTLE);
        Some(if settled > self.now().elapsed { settled } else { asked.saturating_add(PATIENCE) })
    }

    /// Whether a new start would cut nothing off, or waits for too long.
    pub(super) fn may_reload(&self) -> bool {
        let waited = self.reload_asked.map(|asked| self.now().elapsed.saturating_sub(asked));
        let idle = self.running.is_empty() && self.teller.as_ref().is_none_or(Teller::is_idle);
        waited.is_some_and(|waited| waited >= if idle { SETTLE } else { PATIENCE })
    }
}

/// Does for a daemon that does not run what [`Event::Retry`] does: the names of those
/// in whose way something stood.
pub fn free(config: &Config, mut store: Store, targets: &[usize]) -> Result<Vec<String>, String> {
    let mut state = store.hold()?.state;
    let (mut freed, mut lines) = (Vec::new(), String::new());
    for target in targets.iter().filter_map(|index| config.targets.get(*index)) {
        if let Some(known) = state.targets.get_mut(&*target.id)
            && known.free()
        {
            lines.push_str(&known.line(&target.id));
            freed.push(target.name.to_string());
        }
    }
    if !freed.is_empty() {
        let kept = store.append(&lines, true, &|| state.write());
        let path = store.path().display();
        kept.map_err(|NotKept { why, .. }| format!("the state file {path} cannot be changed: {why}"))?;
    }
    Ok(freed)
}
