//! `explain`: looks and decides as the daemon would, and tells each step; nothing is sent
//! and nothing stored.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::page::Page;
use crate::calendar;
use crate::config::{Config, Target};
use crate::daemon::jobs::{self, SharedClient};
use crate::engine::nat::refusal;
use crate::engine::state::State;
use crate::engine::status::{self, Address, Source, Status};
use crate::engine::{Action, Engine, Event, Now};
use crate::sources::Poller;
use crate::system::clock;
use crate::updaters::{Outcome, Task, Tested};

/// What was found out.
pub struct Explained {
    /// For people.
    pub text: String,
    /// Every target is current, or would be sent what it should hold, and no credential that
    /// was tested is at fault.
    pub is_whole: bool,
}

/// Asks the sources of `config` and decides; `online`: asks providers what they say of the
/// credentials, as far as that changes nothing.
#[must_use]
pub fn explain(config: &Config, state: &State, online: bool) -> Explained {
    let mut walk = Walk::new(config, state);
    let before = walk.engine.status(walk.now());
    walk.go();
    let after = walk.engine.status(walk.now());
    let mut page = Page::default();
    for (kind, name) in [("ipv4", "IPv4"), ("ipv6", "IPv6"), ("prefix", "IPv6 prefix")] {
        put_family(&mut page, config, &after, kind, name);
    }
    page.line("TARGETS");
    let client = SharedClient::new(config);
    let mut tested: BTreeMap<usize, Vec<Tested>> = BTreeMap::new();
    let mut is_whole = true;
    for (index, target) in config.targets.iter().enumerate() {
        let (Some(old), Some(new)) = (before.targets.get(index), after.targets.get(index)) else { continue };
        page.at(2, "", &format!("{} ({})", target.name, new.kind));
        is_whole &= put_decision(&mut page, old, new, walk.would.get(&index).map(String::as_str));
        if online && let Some(group) = config.groups.get(target.group) {
            let said = tested.entry(target.group).or_insert_with(|| jobs::test(group, &client));
            for line in said.iter() {
                is_whole &= line.is_ok();
                page.at(4, "", line.as_ref().unwrap_or_else(|fault| fault));
            }
        }
    }
    Explained { text: page.0, is_whole }
}

/// The engine at work, without anybody to send to.
struct Walk<'a> {
    config: &'a Config,
    engine: Engine,
    pollers: Vec<Option<Poller>>,
    began: Instant,
    /// What would be done, by target.
    would: BTreeMap<usize, String>,
}

impl<'a> Walk<'a> {
    fn new(config: &'a Config, state: &State) -> Self {
        let pollers = (0..config.sources.len())
            .map(|index| Poller::new(config, index, state).map(Poller::once))
            .collect();
        let engine = Engine::new(config, state.clone(), 0).once().without_pauses();
        Self { config, engine, pollers, began: Instant::now(), would: BTreeMap::new() }
    }

    fn now(&self) -> Now {
        Now::new(self.began.elapsed(), clock::unix_time())
    }

    /// Until everything has been decided.
    fn go(&mut self) {
        let mut events = vec![Event::Tick];
        loop {
            if events.is_empty() {
                let wait = self.engine.deadline().saturating_sub(self.began.elapsed());
                thread::sleep(wait);
                events.push(Event::Tick);
            }
            let (mut polls, mut ended) = (Vec::new(), Vec::new());
            for event in std::mem::take(&mut events) {
                self.engine.handle(self.now(), event);
                while let Some(action) = self.engine.action() {
                    match action {
                        Action::Poll { source, .. } => polls.push(source),
                        Action::Publish { job, group, tasks, .. } => {
                            ended.push(self.note(job, group, &tasks));
                        }
                        Action::Record { .. }
                        | Action::Overtake { .. }
                        | Action::Close { .. }
                        | Action::Report(_) => {}
                    }
                }
            }
            if polls.is_empty() && ended.is_empty() && self.engine.is_settled(self.now()) {
                return;
            }
            events = self.poll(&polls);
            events.extend(ended);
        }
    }

    /// Notes what a job would do, and lets it end well.
    fn note(&mut self, job: u64, group: usize, tasks: &[Task]) -> Event {
        for task in tasks {
            let is_it = |target: &std::sync::Arc<Target>| target.group == group && target.entry == task.entry;
            let target = self.config.targets.iter().position(is_it);
            if let (Some(target), Some(updater)) = (target, self.config.groups.get(group)) {
                self.would.insert(target, jobs::describe(updater, task));
            }
        }
        let outcomes = tasks.iter().map(|task| (task.entry, Outcome::Published { changed: false }));
        Event::Finished { job, outcomes: outcomes.collect(), took: Duration::ZERO }
    }

    /// Polls these sources side by side.
    fn poll(&mut self, wanted: &[usize]) -> Vec<Event> {
        let pollers = self.pollers.iter_mut().enumerate().filter(|(index, _)| wanted.contains(index));
        let pollers = pollers.filter_map(|(index, poller)| Some((index, poller.as_mut()?)));
        thread::scope(|scope| {
            let polls: Vec<_> = pollers
                .map(|(source, poller)| (source, scope.spawn(move || poller.poll(false, &|| false))))
                .collect();
            let ended = polls.into_iter().filter_map(|(source, poll)| Some((source, poll.join().ok()?)));
            let event = |(source, poll): (usize, crate::sources::Poll)| Event::Observed {
                source,
                observation: poll.observation,
                gateway: poll.gateway,
            };
            ended.map(event).collect()
        })
    }
}

/// What each source said of one kind of address, and what is believed.
fn put_family(page: &mut Page, config: &Config, status: &Status, kind: &str, name: &str) {
    let told = |source| addresses(source, kind).map(move |address| (source, address));
    let all: Vec<_> = status.sources.iter().flat_map(told).collect();
    if all.is_empty() {
        return;
    }
    page.line(name);
    let allowed = config.targets.iter().any(|target| target.allow_private);
    let mut chosen = Vec::new();
    for (number, (source, address)) in (1..).zip(&all) {
        let value = address.value.as_deref().unwrap_or_default();
        let refused = refused(value, allowed);
        let gateway = source.gateway.as_ref().map_or_else(String::new, |gateway| format!(" ({gateway})"));
        let why = address.why.as_deref().unwrap_or_default();
        let said = match address.state.as_str() {
            "known" => format!("says {value}"),
            "absent" => format!("says that there is none: {why}"),
            "unknown" => format!("cannot tell: {why}"),
            _ if source.asked.is_some() => "did not answer".to_owned(),
            _ => "not asked, as one before it speaks".to_owned(),
        };
        page.at(4, &format!("  {number}"), &format!("{}{gateway} {said}", source.name));
        match (address.state.as_str(), refused) {
            ("known", Some(why)) => page.at(4, "", &format!("refused: it is {why}")),
            ("known", None) if !address.used => page.at(4, "", "not used: one before it speaks"),
            ("known", None) => chosen.push(value),
            _ => {}
        }
    }
    chosen.dedup();
    let nothing = || format!("no {name} address is published");
    let result = if chosen.is_empty() { nothing() } else { chosen.join(", ") };
    page.at(5, "  =>", &result);
    page.line("");
}

fn addresses<'a>(source: &'a Source, kind: &str) -> impl Iterator<Item = &'a Address> {
    source.addresses.iter().filter(move |address| address.kind == kind)
}

fn refused(value: &str, allow_private: bool) -> Option<&'static str> {
    let address: IpAddr = value.split('/').next()?.parse().ok()?;
    refusal(address, allow_private)
}

/// Whether the target is current or would be.
fn put_decision(page: &mut Page, old: &status::Target, new: &status::Target, would: Option<&str>) -> bool {
    let held: Vec<&str> = old.holds.texts().collect();
    // What it may hold by others is not known here.
    let held = if held.is_empty() {
        "nothing was sent yet".to_owned()
    } else {
        format!("it holds {}", held.join(", "))
    };
    let since = old.changed.or(old.confirmed);
    let since = since.map_or_else(String::new, |since| format!(" since {}", calendar::short(since.0)));
    if let Some(would) = would {
        page.at(4, "", &format!("would {would}; {held}{since}"));
        return true;
    }
    let trouble = new.trouble.as_deref().unwrap_or_default();
    let next = new.next.map_or_else(String::new, |next| format!("; next try {}", calendar::short(next.0)));
    match new.state.as_str() {
        "ok" => page.at(4, "", &format!("nothing to do: {held}{since}")),
        "blocked" => page.at(4, "", &format!("nothing is sent: blocked: {trouble}{next}")),
        "retrying" => page.at(4, "", &format!("nothing is sent yet: {trouble}{next}")),
        _ => page.at(4, "", &format!("nothing is sent: {trouble}; {held}")),
    }
    if let Some(advice) = &new.advice {
        page.at(4, "", advice);
    }
    new.state == "ok"
}
