//! The engine's invariants under every sequence of events.
//!
//! The input is a script: each byte is an event, with the following bytes as its
//! arguments. A model beside the engine knows what sources vouch for and what
//! each target accepted.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use ddns_update_daemon::address::{Finding, Observation};
use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::config::{self, Config, Gateway, Run, Source, Target, UpdaterConfig, Url};
use ddns_update_daemon::engine::state::{State, TITLE};
use ddns_update_daemon::engine::{Action, Engine, Event, MAX_JOBS, Now};
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::updaters::{Outcome, Task};

/// A URL, a URL by two sources, a program by the agreement of both; a URL by an echo
/// service, looked at and refreshed; and an account that wants pauses.
const TARGETS: usize = 5;
const PROGRAM: usize = 2;
const AGED: usize = 3;
const PAUSED: usize = 4;
const INTERVAL: Duration = Duration::from_secs(60);
/// How old something accepted is when it is looked at.
const VERIFY: Duration = Duration::from_secs(1800);

/// A job in flight.
struct InFlight {
    job: u64,
    group: usize,
    tasks: Vec<Task>,
    began: Duration,
    closed: bool,
    overtaken: bool,
}

struct World {
    config: Config,
    engine: Engine,
    now: Now,
    /// What each source said last, while it stands.
    vouched: [Option<Ipv4Addr>; 3],
    polling: BTreeSet<usize>,
    jobs: Vec<InFlight>,
    /// The pause of the account, and when it ends.
    pause: Duration,
    paused: Duration,
    /// An older job of the target may have come after the newer one.
    doubt: [bool; TARGETS],
    /// The state file, how much of it would survive a power cut, and what both say.
    saved: String,
    durable: usize,
    says: State,
    durable_says: State,
    blocked: BTreeSet<usize>,
    /// When each target was tried last, and last because of a start.
    last_tries: [[u64; 2]; TARGETS],
    /// Whose last try reached nobody.
    unreached: [bool; TARGETS],
    not_before: [Duration; TARGETS],
    /// What was sent when a failure without a wish came last: another address need not
    /// wait.
    failed_with: [Option<Ipv4Addr>; TARGETS],
    attempts: [Vec<Duration>; TARGETS],
    /// When each source was polled because of a hint.
    hinted: [Vec<Duration>; 3],
    /// Sources with a hint that no poll has followed yet.
    hints: BTreeSet<usize>,
}

fn config() -> Config {
    let target = |index: usize| Target {
        name: format!("t{index}").into(),
        host: "".into(),
        group: index,
        entry: 0,
        id: format!("f{index}").into(),
        required: Needs { ipv4: true, ..Needs::default() },
        optional: Needs::default(),
        ipv4: match index {
            1 | PROGRAM => [0, 1].into(),
            AGED => [2].into(),
            _ => [0].into(),
        },
        ipv6: [].into(),
        follows_gateway: false,
        agree: if index == PROGRAM { 2 } else { 1 },
        allow_private: false,
        ipv6_suffix: None,
        refresh: (index == AGED).then_some(4 * VERIFY),
        verify: (index == AGED).then_some(VERIFY),
        empty_when_absent: false,
        at_start: false,
        extra: Needs::default(),
        both_families: false,
        any_address: false,
    };
    let run = UpdaterConfig::Run(Box::new(Run {
        cmd: vec!["true".into()],
        timeout: Duration::from_secs(1),
        retry: true,
        wait: true,
    }));
    let url = Secret::new("http://x/".into());
    let url = UpdaterConfig::Url(Box::new(Url {
        method: "GET",
        url,
        headers: Vec::new(),
        body: None,
        expect: None,
    }));
    Config {
        interval: INTERVAL,
        sources: vec![
            Source::Upnp(Gateway::Any),
            Source::Interface(None),
            Source::Echo("https://echo.example".into()),
        ],
        groups: vec![url.clone(), url.clone(), run, url, ACCOUNT.clone()],
        targets: (0..TARGETS).map(target).map(std::sync::Arc::new).collect(),
        ..Config::default()
    }
}

/// One that takes a request every ten minutes.
/// Read once: every script starts with it.
static ACCOUNT: LazyLock<UpdaterConfig> = LazyLock::new(|| {
    let text = "[[dyndns]]\nprovider = \"easydns\"\nusername = \"me\"\npassword = \"t\"\nhostnames = [\"a.example\"]";
    let read = config::parse(text, Path::new("c.toml"), &|_| Err(String::new()));
    read.expect("a configuration").groups.remove(0)
});

/// Runs the script and checks the invariants after every event.
pub(super) fn engine(data: &[u8]) {
    let config = config();
    let mut world = World {
        engine: Engine::new(&config, State::default(), 1),
        config,
        now: Now { elapsed: Duration::ZERO, unix: Some(1_790_000_000) },
        vouched: [None; 3],
        polling: BTreeSet::new(),
        jobs: Vec::new(),
        pause: Duration::ZERO,
        paused: Duration::ZERO,
        doubt: [false; TARGETS],
        saved: format!("{TITLE}\n"),
        durable: TITLE.len() + 1,
        says: State::default(),
        durable_says: State::default(),
        blocked: BTreeSet::new(),
        last_tries: Default::default(),
        unreached: [false; TARGETS],
        not_before: [Duration::ZERO; TARGETS],
        failed_with: [None; TARGETS],
        attempts: Default::default(),
        hinted: Default::default(),
        hints: BTreeSet::new(),
    };
    world.pause = world.config.groups[PAUSED].pause();
    assert!(world.pause >= Duration::from_secs(600));
    world.handle(Event::Tick);
    let mut script = data.iter().copied();
    while let Some(byte) = script.next() {
        let argument = script.next().unwrap_or(0);
        world.step(byte, argument);
    }
    world.check_rates();
}

impl World {
    fn step(&mut self, byte: u8, argument: u8) {
        match byte % 8 {
            0 | 1 => self.observe(argument),
            2 | 3 => self.finish(argument),
            4 => self.pass(argument),
            5 => self.restart(argument),
            _ => self.hint(argument),
        }
    }

    /// The oldest poll ends.
    fn observe(&mut self, argument: u8) {
        let Some(source) = self.polling.pop_first() else { return };
        let finding = match argument % 8 {
            0..4 => Finding::Known(Ipv4Addr::new(11, 22, 33, argument % 4)),
            4 => Finding::Known(Ipv4Addr::new(100, 64, 0, 1)),
            5 => Finding::Absent("none".into()),
            _ => Finding::Unknown("unknown".into()),
        };
        self.vouched[source] = finding.known();
        let observation = Observation { ipv4: finding, ..Observation::unknown("no") };
        self.handle(Event::Observed { source, observation, gateway: None });
    }

    /// The oldest job ends.
    fn finish(&mut self, argument: u8) {
        if self.jobs.is_empty() {
            return;
        }
        let InFlight { job, group, tasks, closed, .. } = self.jobs.remove(0);
        let outcome = match argument % 6 {
            0..3 => Outcome::Published { changed: true },
            3 => Outcome::Retry { why: "later".into(), after: None, reached: argument > 100 },
            4 => Outcome::Retry {
                why: "wait".into(),
                after: Some(Duration::from_secs(u64::from(argument))),
                reached: true,
            },
            _ => Outcome::Blocked { why: "no".into() },
        };
        let outcomes = if argument == 255 { Vec::new() } else { vec![(tasks[0].entry, outcome.clone())] };
        let reached = !matches!(outcomes[..], [(_, Outcome::Retry { reached: false, .. })]);
        if group == PAUSED && reached {
            self.paused = self.now.elapsed + self.pause;
        }
        if self.jobs.iter().any(|other| other.group == group) {
            // A newer one is under way, which says more.
            self.doubt[group] |= reached && !self.holds(group, &tasks);
            self.handle(Event::Finished { job, outcomes, took: Duration::ZERO });
            return;
        }
        if let (Outcome::Retry { after, .. }, false) = (&outcome, closed) {
            self.not_before[group] = self.now.elapsed + after.unwrap_or(Duration::from_millis(1));
            self.failed_with[group] = tasks[0].addresses.ipv4.filter(|_| after.is_none());
        }
        self.unreached[group] = matches!(outcome, Outcome::Retry { reached: false, .. });
        if matches!(outcome, Outcome::Published { .. }) {
            self.blocked.remove(&group);
            // Failures and refusals begin anew.
            self.last_tries[group][1] = 0;
            (self.not_before[group], self.failed_with[group]) = (Duration::ZERO, None);
        }
        if matches!(outcome, Outcome::Blocked { .. }) {
            self.blocked.insert(group);
        }
        self.handle(Event::Finished { job, outcomes, took: Duration::ZERO });
    }

    /// Anybody may say anything about a source, at any time and any number of times.
    fn hint(&mut self, argument: u8) {
        let source = usize::from(argument % 4);
        self.hints.extend((source < 3).then_some(source));
        for _ in 0..=argument / 64 {
            self.now.elapsed += Duration::from_millis(u64::from(argument / 3));
            self.handle(Event::Hint { source });
        }
    }

    fn pass(&mut self, argument: u8) {
        let until = self.engine.deadline();
        let step = match argument % 4 {
            0..3 => until.saturating_sub(self.now.elapsed),
            _ => Duration::from_secs(u64::from(argument) * 10),
        };
        self.now.elapsed += step;
        self.now.unix = self.now.unix.map(|unix| unix + step.as_secs());
        self.handle(Event::Tick);
    }

    /// Killed, or cut off from its power, and started again.
    fn restart(&mut self, argument: u8) {
        match argument % 16 {
            0 => {}
            8 => {
                // Any part of what was not flushed is lost.
                let lost = (self.saved.len() - self.durable) * usize::from(argument / 16) / 15;
                let cut = self.saved.len() - lost;
                self.saved.truncate(cut);
                let whole = self.saved.rfind('\n').map_or(0, |end| end + 1);
                self.saved.truncate(whole);
            }
            _ => return,
        }
        self.says = parsed(&self.saved);
        let state = self.says.clone();
        self.blocked.retain(|index| {
            state.targets.get(&format!("f{index}")).is_some_and(|target| target.blocked.is_some())
        });
        self.engine = Engine::new(&self.config, state, 1);
        self.now.elapsed = Duration::ZERO;
        self.vouched = [None; 3];
        self.polling.clear();
        self.jobs.clear();
        self.paused = Duration::ZERO;
        self.doubt = [false; TARGETS];
        self.not_before = [Duration::ZERO; TARGETS];
        self.attempts = Default::default();
        self.hinted = Default::default();
        self.hints.clear();
        self.handle(Event::Tick);
    }

    fn handle(&mut self, event: Event) {
        self.engine.handle(self.now, event);
        while let Some(action) = self.engine.action() {
            match action {
                Action::Poll { source, hinted } => {
                    assert!(self.polling.insert(source), "two polls at once");
                    self.hints.remove(&source);
                    self.hinted[source].extend(hinted.then_some(self.now.elapsed));
                }
                Action::Record { lines, flush } => {
                    self.saved.push_str(&lines);
                    self.says = parsed(&self.saved);
                    if flush {
                        (self.durable, self.durable_says) = (self.saved.len(), self.says.clone());
                    }
                }
                Action::Report(_) => {}
                Action::Overtake { job } => {
                    let job = self.jobs.iter_mut().find(|known| known.job == job).expect("it is in flight");
                    assert!(
                        ![PAUSED, PROGRAM].contains(&job.group) && !job.overtaken,
                        "once, and no program"
                    );
                    job.overtaken = true;
                }
                Action::Close { job } => {
                    let job = self.jobs.iter_mut().find(|known| known.job == job).expect("it is in flight");
                    assert!(job.group == PAUSED && !job.closed, "only an account takes one at a time");
                    job.closed = true;
                }
                Action::Publish { job, group, tasks, .. } => self.publish(job, group, tasks),
            }
        }
        assert!(self.jobs.len() <= MAX_JOBS);
        self.check_certain();
        let deadline = self.engine.deadline();
        assert!(deadline > self.now.elapsed, "a deadline in the past is a busy loop");
        assert!(deadline <= self.now.elapsed + INTERVAL, "a poll is never forgotten");
        // The first source is one that somebody always needs.
        let waits = self.hints.contains(&0) && !self.polling.contains(&0);
        assert!(!waits || deadline <= self.now.elapsed + Duration::from_secs(2), "a hint is never lost");
    }

    fn publish(&mut self, job: u64, group: usize, tasks: Vec<Task>) {
        let older: Vec<_> = self.jobs.iter().filter(|other| other.group == group).collect();
        assert!(older.len() <= 1, "more than two jobs for one target");
        for older in older {
            assert_ne!(group, PROGRAM, "a program beside itself");
            assert_eq!(older.closed, group == PAUSED, "two requests of an account at once");
            assert!(older.closed || older.overtaken, "the older address may come after the newer");
            assert!(self.now.elapsed >= older.began + Duration::from_secs(5), "the older one does not hang");
        }
        self.doubt[group] = false;
        self.check_blocked(group);
        assert_eq!(tasks.len(), 1);
        let address = tasks[0].addresses.ipv4.expect("never empty");
        let new = self.failed_with[group].is_some_and(|failed| failed != address);
        assert!(new || self.now.elapsed >= self.not_before[group], "a failure postpones");
        assert_eq!(address.octets()[0], 11, "never what must not be published");
        let voices = self.vouched.iter().filter(|vouched| **vouched == Some(address)).count();
        assert!(voices >= if group == PROGRAM { 2 } else { 1 }, "nobody vouches for it");
        assert!(group != PAUSED || self.now.elapsed >= self.paused, "its account wants a pause");
        let known = self.durable_says.targets.get(&format!("f{group}"));
        if let Some(accepted) = known.filter(|known| known.trying.is_none()).and_then(|known| known.accepted)
        {
            // It is looked at, and sent if it is another.
            let held = accepted.addresses.ipv4 == Some(address);
            assert!(held && group == AGED, "after a power cut the old address would be believed");
        }
        self.attempts[group].push(self.now.elapsed);
        self.jobs.push(InFlight {
            job,
            group,
            tasks,
            began: self.now.elapsed,
            closed: false,
            overtaken: false,
        });
    }

    /// While something is under way, or an older request may have come after a newer
    /// one, no start would believe what was accepted.
    fn check_certain(&self) {
        for group in 0..TARGETS {
            let known = self.says.targets.get(&format!("f{group}"));
            let certain = known.is_some_and(|known| known.accepted.is_some() && known.trying.is_none());
            let checks = |job: &&InFlight| self.holds(group, &job.tasks);
            let open = self.jobs.iter().filter(|job| job.group == group).any(|job| !checks(&job))
                || self.doubt[group];
            assert!(!(certain && open), "a start would believe what is not certain");
        }
    }

    /// Whether a target has accepted what is sent.
    fn holds(&self, group: usize, tasks: &[Task]) -> bool {
        let known = self.says.targets.get(&format!("f{group}")).and_then(|known| known.accepted);
        known.is_some_and(|accepted| accepted.addresses.ipv4 == tasks[0].addresses.ipv4)
    }

    /// A blocked target is tried once a day, or once after a start, but not twice in an
    /// hour because of starts.
    fn check_blocked(&mut self, group: usize) {
        let unix = self.now.unix.expect("always set here");
        let [tried, started] = &mut self.last_tries[group];
        // A try that reached nobody is none.
        let wait = if self.unreached[group] { 3600 } else { 86_400 };
        if self.blocked.contains(&group) && unix + 60 < *tried + wait {
            assert!(unix >= *started + 3600, "a blocked target is tried too often");
            *started = unix;
        }
        *tried = unix;
    }

    /// Never more than the burst and the steady rate allow: polls because of hints
    /// in any minute, attempts in any hour.
    fn check_rates(&self) {
        for (hinted, limit) in self.hinted.iter().zip([2 * (3 + 30), 10 + 120 + 3 + 30, 2 * (3 + 30)]) {
            for (index, start) in hinted.iter().enumerate() {
                let end = *start + Duration::from_secs(60);
                let within = hinted.iter().skip(index).take_while(|at| **at < end).count();
                assert!(within <= limit, "{within} polls because of hints in a minute");
            }
        }

        for attempts in &self.attempts {
            for (index, start) in attempts.iter().enumerate() {
                let end = *start + Duration::from_secs(3600);
                let within = attempts.iter().skip(index).take_while(|at| **at < end).count();
                assert!(within <= 61, "{within} attempts in an hour");
            }
        }
    }
}

fn parsed(text: &str) -> State {
    let (state, damaged) = State::parse(text);
    assert_eq!(damaged, 0);
    state
}
