//! One seed: the world, the daemon in it, and what befalls both.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use ddns_update_daemon::daemon::state_file::Store;
use ddns_update_daemon::engine::{Engine, Event, Now};
use ddns_update_daemon::updaters::Task;

use crate::chance::Chance;
use crate::disk::{Disk, Health};
use crate::events::{Events, Publisher};
use crate::host::Host;
use crate::network::{Gateway, Line, Manner};
use crate::plan::{Plan, Sketch};
use crate::polls::{Polled, Poller};
use crate::providers::Provider;
use crate::turns::{Answer, Job, Question, Work};
use crate::watch::{DAY, Watch};

mod checks;
mod daemon;
mod faults;
mod persons;

/// When the simulated world begins, in seconds of the Unix epoch.
const EPOCH: u64 = 1_790_000_000;
/// Where the state is kept.
const STATE: &str = "/var/lib/sim.state";
/// Of an answer that needs no line.
const TOLD: u64 = u64::MAX;
/// Of the answer to a job that was closed.
const CLOSED: u64 = u64::MAX - 1;
/// How long after its connection was closed a request may still arrive.
const ORPHAN: Duration = Duration::from_secs(30);
/// Lines of the trace that a failing seed shows.
const SHOWN: usize = 60;

/// What is going to happen.
enum Coming {
    Polled {
        run: u64,
        source: usize,
        polled: Box<Polled>,
    },
    Hint {
        run: u64,
        source: usize,
    },
    /// The subscription to the gateway's events wants something.
    Alarm {
        run: u64,
        source: usize,
        at: Duration,
    },
    /// A request that should be an event comes to this host.
    Notice(Vec<u8>),
    /// A request arrives where it goes.
    Arrives {
        run: u64,
        job: u64,
        question: Box<Question>,
        session: u64,
    },
    Answered {
        run: u64,
        job: u64,
        answer: Answer,
        session: u64,
    },
    Start,
    LineDown,
    LineUp,
    /// The second line.
    SecondUp,
    /// The first line is down for a while, though all is well.
    Failover,
    GatewayWell,
    ProviderWell(String),
    ClockRight,
    DiskWell,
    Fault,
    Storm,
    Calm,
    /// The address changes while all is well.
    Change {
        again: bool,
    },
    /// A person says `update` while all is well, and it must have been sent.
    AllAskedFor,
    AllSent,
    /// The configuration is read again, when no job is under way or after a while.
    Reload {
        run: u64,
        asked: Duration,
    },
    /// The state of this release is put back.
    OldRelease,
    /// This target, or all, must be right from now on.
    Check(Option<String>),
}

/// The daemon as a process.
struct Process {
    run: u64,
    began: Duration,
    engine: Engine,
    store: Store<Disk>,
    works: Vec<Option<Work>>,
    jobs: BTreeMap<u64, Running>,
    pollers: Vec<Poller>,
    /// By source; a single run wants none.
    events: BTreeMap<usize, Events>,
    /// `--once`.
    once: bool,
}

struct Running {
    group: usize,
    tasks: Vec<Task>,
    job: Job,
    /// It sends nothing more.
    closed: bool,
    /// Neither, and what it has sent may still be answered.
    overtaken: bool,
}

pub(crate) struct Sim {
    pub(crate) chance: Chance,
    now: Duration,
    end: Duration,
    coming: BinaryHeap<Reverse<(Duration, u64)>>,
    what: BTreeMap<u64, Coming>,
    sequence: u64,
    sketch: Sketch,
    plan: Plan,
    line: Line,
    second: Option<Line>,
    gateway: Gateway,
    publisher: Publisher,
    host: Host,
    providers: BTreeMap<String, Provider>,
    disk: Disk,
    /// Something may not have been kept since the daemon started last.
    disk_failed: bool,
    backup: Option<Vec<u8>>,
    /// The state, while one of a newer release stands in its place.
    set_aside: Option<Vec<u8>>,
    /// How far the clock is off, in seconds.
    clock: i64,
    process: Option<Process>,
    runs: u64,
    /// When jobs were closed, by run and number.
    closed: BTreeMap<(u64, u64), Duration>,
    /// How many single runs are to follow before the daemon starts.
    single_runs: u32,
    /// How often a person waits for something to be sent, to read the configuration again.
    reloads_wanted: u32,
    watch: Watch,
    /// No faults at present.
    calm: bool,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
    verbose: bool,
    pub(crate) digest: u64,
}

/// What a seed came to.
pub(crate) struct Verdict {
    pub(crate) broken: Option<String>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) digest: u64,
    pub(crate) trace: Vec<String>,
}

/// Plays `days` from `seed`.
pub(crate) fn play(seed: u64, days: u32, verbose: bool) -> Verdict {
    let mut sim = Sim::new(seed, DAY * days, verbose);
    while sim.watch.broken.is_none() && sim.step() {}
    if let Some(broken) = &sim.watch.broken {
        let broken = format!("{broken} (after {})", shown(sim.now));
        sim.note(|| broken.clone());
        return Verdict { broken: Some(broken), faults: sim.faults, digest: sim.digest, trace: sim.trace };
    }
    Verdict { broken: None, faults: sim.faults, digest: sim.digest, trace: sim.trace }
}

fn shown(now: Duration) -> String {
    let seconds = now.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    format!("{days}d{hours:02}:{:02}:{:02}.{:03}", seconds / 60 % 60, seconds % 60, now.subsec_millis())
}

impl Sim {
    fn new(seed: u64, end: Duration, verbose: bool) -> Self {
        let mut chance = Chance::new(seed);
        let sketch = Sketch::new(&mut chance);
        let plan = sketch.plan();
        let line = Line::new(&mut chance);
        let second = plan.has_two_lines.then(|| Line::second(&mut chance));
        let avm = chance.one_in(2);
        let publisher = Publisher::new(!chance.one_in(3));
        let mut host = Host::default();
        host.hears(line.ipv6, true, Duration::ZERO);
        let mut sim = Self {
            chance,
            now: Duration::ZERO,
            end,
            coming: BinaryHeap::new(),
            what: BTreeMap::new(),
            sequence: 0,
            sketch,
            plan,
            line,
            second,
            gateway: Gateway::new("192.168.1.1", avm),
            publisher,
            host,
            providers: BTreeMap::new(),
            disk: Disk::new(),
            disk_failed: false,
            backup: None,
            set_aside: None,
            clock: 0,
            process: None,
            runs: 0,
            closed: BTreeMap::new(),
            single_runs: 0,
            reloads_wanted: 0,
            watch: Watch::default(),
            calm: false,
            faults: BTreeMap::new(),
            trace: Vec::new(),
            verbose,
            digest: 0xcbf2_9ce4_8422_2325,
        };
        sim.take_plan();
        sim.at(Duration::ZERO, Coming::Start);
        sim.at(Duration::from_secs(10), Coming::Storm);
        sim
    }

    /// Providers and secrets as the configuration says.
    fn take_plan(&mut self) {
        for (host, secret) in &self.plan.providers {
            self.providers.entry(host.clone()).or_insert_with(Provider::new).secrets.insert(secret.clone());
            self.watch.secrets.add(secret);
        }
        self.watch.voices.take_config(&self.plan.config);
        for entry in &self.plan.entries {
            let target = self.plan.config.targets.get(entry.target);
            let again = target.and_then(|target| target.refresh.into_iter().chain(target.verify).min());
            let life = self.watch.lives.entry(entry.name.clone()).or_default();
            (life.again, life.at_start) = (again, target.is_some_and(|target| target.at_start));
        }
    }

    fn at(&mut self, time: Duration, what: Coming) {
        self.sequence += 1;
        self.coming.push(Reverse((time, self.sequence)));
        self.what.insert(self.sequence, what);
    }

    fn after(&mut self, time: Duration, what: Coming) {
        self.at(self.now + time, what);
    }

    /// Writes a line of the trace.
    fn note(&mut self, text: impl FnOnce() -> String) {
        let line = format!("{} {}", shown(self.now), text());
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if !self.verbose && self.trace.len() >= SHOWN * 2 {
            self.trace.drain(..SHOWN);
        }
        self.trace.push(line);
    }

    fn unix(&self) -> u64 {
        let right = i64::try_from(EPOCH + self.now.as_secs()).unwrap();
        u64::try_from(right + self.clock).unwrap_or(0)
    }

    fn engine_now(&self) -> Now {
        let began = self.process.as_ref().map_or(self.now, |process| process.began);
        Now::new(self.now - began, self.unix())
    }

    /// The next thing that happens; `false` at the end.
    fn step(&mut self) -> bool {
        let next = self.coming.peek().map(|Reverse((time, _))| *time);
        let tick = self.process.as_ref().map(|process| process.began + process.engine.deadline());
        let time = next.into_iter().chain(tick).min().unwrap_or(self.end);
        if time >= self.end {
            return false;
        }
        self.now = self.now.max(time);
        if next.is_some_and(|next| tick.is_none_or(|tick| next <= tick)) {
            let Reverse((_, sequence)) = self.coming.pop().expect("it was there");
            if let Some(what) = self.what.remove(&sequence) {
                self.happens(what);
            }
        } else {
            self.handle(Event::Tick);
            let deadline = self.process.as_ref().map(|process| process.began + process.engine.deadline());
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.watch.broken.get_or_insert("a deadline in the past is a busy loop".to_owned());
            }
        }
        if self.disk.is_dead() {
            self.power_fails();
        }
        self.single_run_ends();
        self.watch.step(self.now);
        true
    }

    fn happens(&mut self, what: Coming) {
        match what {
            Coming::Polled { run, source, polled } if self.is_run(run) => self.polled(source, *polled),
            Coming::Hint { run, source } if self.is_run(run) => self.handle(Event::Hint { source }),
            Coming::Alarm { run, source, at } if self.is_run(run) => self.alarm(source, at),
            Coming::Notice(head) => self.notice_comes(&head),
            Coming::Arrives { run, job, question, session } => self.arrives(run, job, &question, session),
            Coming::Answered { run, job, answer, session } if self.is_run(run) => {
                self.answered(job, answer, session);
            }
            Coming::Start => self.start(),
            Coming::LineDown if !self.calm => self.line.go_down(),
            Coming::LineUp if self.line.ipv4.is_none() => self.line_up(),
            Coming::SecondUp => self.second_up(),
            Coming::Failover => self.failover(),
            Coming::GatewayWell if self.now >= self.gateway.until => self.gateway.manner = Manner::Well,
            Coming::ProviderWell(host) => self.provider_well(&host),
            Coming::ClockRight => self.set_clock(0),
            Coming::DiskWell => self.disk.set_health(Health::Well),
            Coming::Fault => self.fault(),
            Coming::Storm => self.storm(),
            Coming::Calm => self.calm(),
            Coming::Change { again } => self.change(again),
            Coming::AllAskedFor => self.all_asked_for(),
            Coming::OldRelease => self.old_release(),
            Coming::AllSent => self.all_sent(),
            Coming::Reload { run, asked } if self.is_run(run) => self.reload(run, asked),
            Coming::Check(name) => self.check(name.as_deref()),
            // Of a run that has ended, or mended before.
            Coming::Polled { .. }
            | Coming::Hint { .. }
            | Coming::Alarm { .. }
            | Coming::Answered { .. }
            | Coming::Reload { .. }
            | Coming::LineDown
            | Coming::LineUp
            | Coming::GatewayWell => {}
        }
    }
}
