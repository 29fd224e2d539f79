//! The engine's invariants, with time as a value.

mod asked;
mod due;
mod families;
mod hanging;
mod hints;
mod ipv6_default;
#[cfg(all(feature = "tls", feature = "dyndns"))]
mod pauses;
mod programs;
mod records;
mod servers;
mod since_1_0;
mod sources;
mod status;
mod trouble;
mod verify;

use super::*;
use crate::address::{Addresses, Finding, Prefix};
use crate::config::placeholders::Needs;
use crate::config::{Config, Gateway, Run, Source, Target, UpdaterConfig, Url};
use crate::engine::state::TITLE;
use crate::secret::Secret;
use crate::updaters::run::Standing;
use crate::updaters::{Outcome, Task};
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);
const IPV4: Needs = Needs { ipv4: true, ipv6: false, ipv6_prefix: false };
const IPV6: Needs = Needs { ipv4: false, ipv6: true, ipv6_prefix: false };
const NONE: Needs = Needs { ipv4: false, ipv6: false, ipv6_prefix: false };

/// An engine, a clock that only the test moves, and everything it was told to do.
struct Bench {
    engine: Engine,
    now: Now,
    polls: Vec<usize>,
    hinted: usize,
    /// In flight: number, group, tasks.
    jobs: Vec<(u64, usize, Vec<Task>)>,
    overtaken: Vec<u64>,
    closed: Vec<u64>,
    /// What the last job was told.
    standing: Standing,
    reports: Vec<Report>,
    /// What a kill would leave.
    saved: State,
    /// The state file behind its title.
    file: String,
    /// Flushes of it.
    flushes: usize,
}

fn target(name: &str, group: usize, required: Needs) -> Target {
    Target {
        name: name.into(),
        host: Arc::default(),
        group,
        entry: 0,
        id: name.into(),
        required,
        optional: NONE,
        ipv4: [0].into(),
        ipv6: [0].into(),
        follows_gateway: false,
        agree: 1,
        allow_private: false,
        ipv6_suffix: None,
        refresh: None,
        verify: None,
        empty_when_absent: false,
        at_start: false,
        extra: NONE,
        both_families: false,
        any_address: false,
    }
}

fn config(sources: Vec<Source>, targets: Vec<Target>) -> Config {
    let groups = targets.iter().map(|target| target.group).max().map_or(0, |last| last + 1);
    Config {
        interval: 300 * SECOND,
        sources,
        groups: (0..groups).map(url).collect(),
        targets: targets.into_iter().map(Arc::new).collect(),
        ..Config::default()
    }
}

/// One at a server of its own.
fn url(server: usize) -> UpdaterConfig {
    let url = Secret::new(format!("http://x{server}/"));
    UpdaterConfig::Url(Box::new(Url { method: "GET", url, headers: Vec::new(), body: None, expect: None }))
}

fn program() -> UpdaterConfig {
    UpdaterConfig::Run(Box::new(Run { cmd: vec!["true".into()], timeout: SECOND, retry: true, wait: true }))
}

fn upnp() -> Source {
    Source::Upnp(Gateway::Any)
}

fn interface() -> Source {
    Source::Interface(None)
}

fn seen(ipv4: &str) -> Observation {
    Observation { ipv4: Finding::Known(ipv4.parse().unwrap()), ..Observation::unknown("not asked") }
}

fn seen6(ipv6: &str) -> Observation {
    Observation { ipv6: Finding::Known(ipv6.parse().unwrap()), ..Observation::unknown("not asked") }
}

fn published() -> Outcome {
    Outcome::Published { changed: true }
}

fn retry() -> Outcome {
    Outcome::Retry { why: "status 500".into(), after: None, reached: true }
}

fn blocked() -> Outcome {
    Outcome::Blocked { why: "status 401".into() }
}

impl Bench {
    fn new(config: &Config, state: State) -> Self {
        let now = Now { elapsed: Duration::ZERO, unix: Some(1_790_000_000) };
        let file = state.write();
        let engine = Engine::new(config, state, 1);
        let mut bench = Self {
            engine,
            now,
            polls: Vec::new(),
            hinted: 0,
            jobs: Vec::new(),
            overtaken: Vec::new(),
            closed: Vec::new(),
            standing: Standing::default(),
            reports: Vec::new(),
            saved: State::default(),
            file,
            flushes: 0,
        };
        bench.read();
        bench.handle(Event::Tick);
        bench
    }

    fn simple(targets: usize) -> Self {
        let targets = (0..targets).map(|index| target(&format!("t{index}"), index, IPV4)).collect();
        Self::new(&config(vec![upnp()], targets), State::default())
    }

    fn handle(&mut self, event: Event) {
        let before = self.file.len();
        self.engine.handle(self.now, event);
        while let Some(action) = self.engine.action() {
            match action {
                Action::Poll { source, hinted } => {
                    self.polls.push(source);
                    self.hinted += usize::from(hinted);
                }
                Action::Publish { job, group, tasks, standing } => {
                    self.jobs.push((job, group, tasks));
                    self.standing = standing;
                }
                Action::Overtake { job } => self.overtaken.push(job),
                Action::Close { job } => self.closed.push(job),
                Action::Record { lines, flush } => {
                    self.file.push_str(&lines);
                    self.flushes += usize::from(flush);
                }
                Action::Report(report) => self.reports.push(report),
            }
        }
        // Read as often as it is written: thousands of events write nothing.
        if self.file.len() > before {
            self.read();
        }
    }

    /// What the state file says after all lines so far.
    fn read(&mut self) {
        let (saved, damaged) = State::parse(&format!("{TITLE}\n{}", self.file));
        assert_eq!(damaged, 0, "{}", self.file);
        self.saved = saved;
    }

    fn observe(&mut self, source: usize, observation: Observation) {
        assert!(self.polls.contains(&source), "source {source} was not asked");
        self.polls.retain(|poll| *poll != source);
        self.handle(Event::Observed { source, observation, gateway: None });
    }

    /// Ends the oldest job of the group.
    fn finish(&mut self, group: usize, outcome: Outcome) {
        let at = self.jobs.iter().position(|(_, g, _)| *g == group).expect("a job in flight");
        let (job, _, tasks) = self.jobs.remove(at);
        let outcomes = tasks.iter().map(|task| (task.entry, outcome.clone())).collect();
        self.handle(Event::Finished { job, outcomes, took: SECOND });
    }

    /// Moves to the next deadline.
    fn tick(&mut self) -> Duration {
        let at = self.engine.deadline();
        assert!(at > self.now.elapsed, "a deadline in the past is a busy loop");
        self.pass(at - self.now.elapsed);
        at
    }

    fn pass(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.unix = self.now.unix.map(|unix| unix + time.as_secs());
        self.handle(Event::Tick);
    }

    fn sent(&self, group: usize) -> Option<Addresses> {
        self.jobs.iter().rev().find(|(_, g, _)| *g == group).map(|(_, _, tasks)| tasks[0].addresses)
    }

    fn sent_ipv4(&self, group: usize) -> Option<String> {
        self.sent(group)?.ipv4.map(|address| address.to_string())
    }
}

#[test]
fn an_address_goes_from_a_poll_to_every_target() {
    let mut bench = Bench::simple(2);
    assert_eq!(bench.polls, [0]);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!((bench.sent_ipv4(0), bench.sent_ipv4(1)), (Some("1.1.1.1".into()), Some("1.1.1.1".into())));
    bench.finish(0, published());
    bench.finish(1, published());
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
    assert_eq!(bench.tick(), 300 * SECOND);
    assert_eq!(bench.polls, [0]);
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty(), "an unchanged address is not sent");
}

#[test]
fn unknown_and_absent_change_nothing() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    let absent = Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") };
    for observation in [Observation::unknown("timed out"), absent] {
        bench.tick();
        bench.observe(0, observation);
        assert!(bench.jobs.is_empty());
    }
    bench.pass(300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty(), "the record still holds it");
}

#[test]
fn what_must_not_be_published_is_refused_with_its_reason() {
    let mut bench = Bench::simple(1);
    for address in ["100.72.3.9", "192.168.1.1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "203.0.113.1"] {
        bench.observe(0, seen(address));
        assert!(bench.jobs.is_empty(), "{address}");
        bench.pass(300 * SECOND);
    }
    let lines: Vec<_> = bench.reports.iter().map(|report| report.text.as_str()).collect();
    assert_eq!(
        lines,
        ["not updated: upnp: your router's address 100.72.3.9 is shared by your provider's customers \
             (carrier-grade NAT (RFC 6598)); a public IPv4 record cannot reach you: use IPv6, or ask your \
             provider for a public address"]
    );
}

#[test]
fn a_private_target_takes_private_addresses_but_never_loopback() {
    let private = Target { allow_private: true, ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![private]), State::default());
    bench.observe(0, seen("127.0.0.1"));
    assert!(bench.jobs.is_empty());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("192.168.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("192.168.1.1".into()));
}

#[test]
fn one_failing_target_does_not_hold_the_other() {
    let mut bench = Bench::simple(2);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, retry());
    bench.finish(1, published());
    let at = bench.tick();
    assert!((30 * SECOND..=38 * SECOND).contains(&at), "{at:?}");
    assert_eq!(bench.jobs.iter().map(|(_, group, _)| *group).collect::<Vec<_>>(), [0]);
}

#[test]
fn the_newest_address_follows_the_job_in_flight() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    for address in ["2.2.2.2", "3.3.3.3"] {
        bench.handle(Event::Hint { source: 0 });
        bench.pass(2 * SECOND);
        bench.observe(0, seen(address));
    }
    assert_eq!(bench.jobs.len(), 1, "at most one job in flight");
    bench.finish(0, published());
    assert_eq!(bench.sent_ipv4(0), Some("3.3.3.3".into()));
}

#[test]
fn a_lost_answer_makes_the_target_uncertain() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.finish(0, retry());
    bench.pass(10 * SECOND);
    bench.pass(290 * SECOND);
    // The retry is under way or due; back to the first address.
    if !bench.jobs.is_empty() {
        bench.finish(0, retry());
    }
    bench.observe(0, seen("1.1.1.1"));
    bench.pass(7200 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "2.2.2.2 may have arrived");
}

#[test]
fn restarts_with_an_unchanged_address_send_nothing() {
    let targets = vec![target("t0", 0, IPV4)];
    let mut bench = Bench::new(&config(vec![upnp()], targets.clone()), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    for _ in 0..5 {
        let saved = bench.saved.clone();
        bench = Bench::new(&config(vec![upnp()], targets.clone()), saved.clone());
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty());
        bench.saved = saved;
    }
}

#[test]
fn a_kill_during_a_job_repeats_it() {
    let targets = vec![target("t0", 0, IPV4)];
    let mut bench = Bench::new(&config(vec![upnp()], targets.clone()), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    // Killed here; the address returns before the next start.
    let mut bench = Bench::new(&config(vec![upnp()], targets), bench.saved.clone());
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn records_of_a_group_go_in_one_job() {
    let targets = (0..3).map(|n| Target { entry: n, ..target(&format!("t{n}"), 0, IPV4) }).collect();
    let mut bench = Bench::new(&config(vec![upnp()], targets), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.jobs.len(), 1);
    assert_eq!(bench.jobs[0].2.len(), 3);
    bench.jobs.clear();
    let outcomes = vec![(0, published()), (1, retry())];
    bench.handle(Event::Finished { job: 0, outcomes, took: SECOND });
    assert_eq!(bench.engine.behind(bench.now).count(), 2, "an entry without outcome has failed");
    bench.pass(60 * SECOND);
    assert_eq!(bench.jobs[0].2.iter().map(|task| task.entry).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn at_most_sixteen_jobs_run_at_once() {
    let mut bench = Bench::simple(40);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.jobs.len(), MAX_JOBS);
    assert!(bench.engine.deadline() > bench.now.elapsed, "no busy loop while jobs run");
    for done in 0..40 {
        let group = bench.jobs[0].1;
        bench.finish(group, published());
        assert!(bench.jobs.len() <= MAX_JOBS, "{done}");
    }
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
}

#[test]
fn an_idle_daemon_sleeps_until_the_next_poll() {
    let mut bench = Bench::simple(3);
    bench.observe(0, seen("1.1.1.1"));
    for group in 0..3 {
        bench.finish(group, published());
    }
    for _ in 0..100 {
        let before = bench.now.elapsed;
        assert_eq!(bench.tick() - before, 300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
    }
}

#[test]
fn another_gateway_is_worth_a_warning() {
    let mut bench = Bench::simple(1);
    for (url, lines) in
        [("http://192.168.1.1:5000/", 0), ("http://192.168.1.1:6000/", 0), ("http://192.168.1.9/", 1)]
    {
        bench.polls.clear();
        let gateway = Some(LanUrl::parse(url).unwrap());
        bench.handle(Event::Observed { source: 0, observation: seen("1.1.1.1"), gateway });
        bench.pass(300 * SECOND);
        assert_eq!(bench.reports.iter().filter(|r| r.level == Level::Warning).count(), lines, "{url}");
    }
}

const HINT: Event = Event::Hint { source: 0 };
