//! How many requests a provider gets, whatever it answers: engine and updater
//! together, in simulated time.
//!
//! The bounds are those that README states.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ddns_update_daemon::address::{Finding, Observation};
use ddns_update_daemon::backoff::Random;
use ddns_update_daemon::config::{Config, UpdaterConfig, parse};
use ddns_update_daemon::engine::state::State;
use ddns_update_daemon::engine::{Action, Engine, Event, Now};
use ddns_update_daemon::updaters::dyndns2::Dyndns;
use ddns_update_daemon::updaters::{Failure, Outcome, Reply, Task, Updater};

const HOUR: Duration = Duration::from_secs(3600);
const RUN: Duration = Duration::from_secs(12 * 3600);
const NAMES: usize = 3;

/// One update of the account: when, of how many names, in how many requests,
/// and whether anybody was reached.
struct Update {
    at: Duration,
    names: BTreeSet<usize>,
    requests: usize,
    reached: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Accepts {
    Nothing,
    /// As the dice say.
    Something,
    /// Everything, at once.
    All,
}

/// A provider and a network that do what the dice say.
struct World {
    random: Random,
    /// The address changes at every poll.
    flaps: bool,
    /// What the provider may answer; the last ones only if `blocks`.
    blocks: bool,
    accepts: Accepts,
    /// Out while it is at work.
    updater: Option<Dyndns>,
    updates: Vec<Update>,
}

const FAULTS: [(u16, &str); 8] = [
    (200, "911"),
    (200, "dnserr"),
    (500, ""),
    (429, ""),
    (404, "<html>"),
    (200, "what?"),
    (200, "w1s"),
    (302, ""),
];
const REFUSALS: [(u16, &str); 4] = [(401, "badauth"), (200, "nohost"), (200, "numhost"), (403, "abuse")];

impl World {
    fn dice(&mut self, sides: u64) -> usize {
        usize::try_from(self.random.next_u64() % sides).unwrap()
    }

    fn answer(&mut self) -> Result<Reply, Failure> {
        if self.accepts == Accepts::All {
            return Ok(Reply { status: 200, body: "good".into(), ..Reply::default() });
        }
        let (status, body) = match self.dice(10) {
            0..=2 => return Err(Failure { why: "no route".into(), maybe_done: self.dice(2) == 0 }),
            3..=4 if self.accepts == Accepts::Something => (200, ["good", "nochg"][self.dice(2)]),
            5 if self.blocks => REFUSALS[self.dice(4)],
            _ => FAULTS[self.dice(8)],
        };
        let wish = [None, Some(Duration::ZERO), Some(Duration::from_secs(5))][self.dice(3)];
        Ok(Reply { status, retry_after: wish, body: body.into(), ..Reply::default() })
    }

    fn publish(&mut self, at: Duration, tasks: &[Task]) -> Vec<(usize, Outcome)> {
        let (mut requests, mut reached) = (0, false);
        let mut updater = self.updater.take().unwrap();
        let outcomes = updater.update(tasks.to_vec(), &mut |_| {
            requests += 1;
            let answer = self.answer();
            reached |= !matches!(answer, Err(Failure { maybe_done: false, .. }));
            answer
        });
        self.updater = Some(updater);
        let names = tasks.iter().map(|task| task.entry).collect();
        self.updates.push(Update { at, names, requests, reached });
        outcomes
    }

    fn observe(&mut self) -> Observation {
        let last = if self.flaps { u8::try_from(self.dice(250)).unwrap() + 1 } else { 1 };
        if self.flaps && self.accepts != Accepts::All && self.dice(8) == 0 {
            return Observation::unknown("asleep");
        }
        let ipv6 = format!("2001:4860::{last:x}").parse().unwrap();
        Observation {
            ipv4: Finding::Known([8, 8, 8, last].into()),
            ipv6: Finding::Known(ipv6),
            ..Observation::unknown("")
        }
    }
}

fn config(provider: &str, interval: f64) -> Config {
    let names: Vec<String> = (0..NAMES).map(|name| format!("\"h{name}.example.org\"")).collect();
    let text = format!(
        "interval = {interval}\nipv4 = [\"upnp\"]\nipv6 = [\"upnp\"]\n[[dyndns]]\nprovider = \"{provider}\"\n\
         hostnames = [{}]\nusername = \"me\"\npassword = \"pw\"",
        names.join(", ")
    );
    parse(&text, Path::new("c.toml"), &|_| Err(String::new())).unwrap()
}

/// Runs a daemon for half a day.
fn run(provider: &str, seed: u64, [flaps, succeeds, blocks]: [bool; 3]) -> (Config, Vec<Update>) {
    let random = Random::new(seed);
    let accepts = if succeeds { Accepts::Something } else { Accepts::Nothing };
    let world = World { random, flaps, blocks, accepts, updater: None, updates: Vec::new() };
    let config = config(provider, if flaps { 0.5 } else { 5.0 });
    let updates = play(&config, world, seed);
    (config, updates)
}

fn play(config: &Config, mut world: World, seed: u64) -> Vec<Update> {
    let UpdaterConfig::Dyndns(account) = &config.groups[0] else { panic!() };
    world.updater = Some(Dyndns::new(Arc::clone(account)));
    let mut engine = Engine::new(config, State::default(), seed);
    let mut elapsed = Duration::ZERO;
    let mut waiting: Vec<(Duration, Event)> = vec![(elapsed, Event::Tick)];
    while elapsed < RUN {
        let next = waiting.iter().map(|(at, _)| *at).min();
        let deadline = engine.deadline();
        let at = next.map_or(deadline, |next| next.min(deadline));
        elapsed = at.max(elapsed);
        let ready = waiting.iter().position(|(at, _)| *at <= elapsed);
        let event = ready.map_or(Event::Tick, |ready| waiting.remove(ready).1);
        engine.handle(Now { elapsed, unix: None }, event);
        while let Some(action) = engine.action() {
            match action {
                Action::Poll { source, .. } => {
                    let observation = world.observe();
                    waiting.push((elapsed, Event::Observed { source, observation, gateway: None }));
                }
                Action::Publish { job, tasks, .. } => {
                    let outcomes = world.publish(elapsed, &tasks);
                    let most = if world.accepts == Accepts::All { 100 } else { 5000 };
                    let took = Duration::from_millis(u64::try_from(world.dice(most)).unwrap());
                    waiting.push((elapsed + took, Event::Finished { job, outcomes, took }));
                }
                Action::Record { .. } | Action::Close { .. } | Action::Report(_) => {}
                Action::Overtake { .. } => panic!("an account takes one request at a time"),
            }
        }
    }
    world.updates
}

/// The most that `count` says of the updates in any hour.
fn busiest_hour(updates: &[Update], count: impl Fn(&Update) -> usize) -> usize {
    let hours = updates.iter().enumerate().map(|(first, start)| {
        updates[first..].iter().take_while(|update| update.at < start.at + HOUR).map(&count).sum()
    });
    hours.max().unwrap_or(0)
}

const PROVIDERS: [&str; 5] = ["no-ip", "infomaniak", "dyn", "easydns", "ovh"];

#[test]
fn while_the_address_stays_a_name_costs_thirteen_updates_an_hour_at_most_and_soon_two() {
    for provider in PROVIDERS {
        for seed in 0..10 {
            for blocks in [false, true] {
                let (_, updates) = run(provider, seed, [false, true, blocks]);
                for name in 0..NAMES {
                    let count = |update: &Update| usize::from(update.names.contains(&name));
                    // Three quick ones, seven of the back-off, three at the time that the
                    // provider asked for.
                    assert!(busiest_hour(&updates, count) <= 13, "{provider} {seed}");
                    // Then hourly, or every half hour where only a person can help.
                    let half_hours = usize::try_from(RUN.as_secs() / 1800).unwrap();
                    assert!(updates.iter().map(count).sum::<usize>() <= 13 + half_hours, "{provider} {seed}");
                }
            }
        }
    }
}

#[test]
fn a_flapping_address_costs_at_most_sixty_updates_an_hour_for_each_name() {
    for provider in PROVIDERS {
        for seed in 0..4 {
            for (succeeds, blocks) in [(true, false), (true, true), (false, false)] {
                let (_, updates) = run(provider, seed, [true, succeeds, blocks]);
                for name in 0..NAMES {
                    let count = |update: &Update| usize::from(update.names.contains(&name));
                    let most = busiest_hour(&updates, count);
                    assert!(most <= 61, "{provider} {seed}: {most}");
                }
                // A request for each family of each name at most, and once more
                // when a list of names was too long.
                for update in &updates {
                    assert!(update.requests <= 2 * update.names.len() + 1, "{provider} {seed}");
                }
            }
        }
    }
}

/// Without the limit, these are 3000 updates an hour.
#[test]
fn an_address_that_changes_all_the_time_costs_thirty_updates_an_hour_after_the_first_thirty() {
    let world = World {
        random: Random::new(1),
        flaps: true,
        blocks: false,
        accepts: Accepts::All,
        updater: None,
        updates: Vec::new(),
    };
    let updates = play(&config("no-ip", 0.02), world, 1);
    assert!((58..=60).contains(&busiest_hour(&updates, |_| 1)), "the first hour");
    let burst = updates.iter().take_while(|update| update.at < Duration::from_secs(60)).count();
    assert_eq!(burst, 30);
    assert!((29..=30).contains(&busiest_hour(&updates[burst..], |_| 1)), "every other");
    for pair in updates.windows(2) {
        let held = pair[1].at.saturating_sub(pair[0].at);
        assert!(held <= Duration::from_secs(122), "a change is held back for {held:?}");
    }
}

#[test]
fn an_account_that_wants_pauses_gets_them_and_every_name_gets_its_turn() {
    let mut busy = 0;
    for seed in 0..5 {
        for succeeds in [false, true] {
            let (config, updates) = run("easydns", seed, [true, succeeds, false]);
            let pause = config.groups[0].pause();
            assert_eq!(pause, Duration::from_secs(600));
            let reached: Vec<_> = updates.iter().filter(|update| update.reached).collect();
            for pair in reached.windows(2) {
                assert!(pair[1].at >= pair[0].at + pause, "{seed}");
            }
            assert!(updates.iter().all(|update| update.names.len() == 1), "{seed}");
            assert!(busiest_hour(&updates, |update| usize::from(update.reached)) <= 7);
            for name in 0..NAMES {
                let turns = updates.iter().filter(|update| update.names.contains(&name)).count();
                assert!(turns >= 8, "{seed}: {turns}");
            }
            busy = busy.max(reached.len());
        }
    }
    assert!(busy > 30, "the account is in use: {busy}");
}
