//! The engine's invariants, with time as a value.

mod asked;
mod due;
mod hanging;
mod ipv6_default;
#[cfg(all(feature = "tls", feature = "dyndns"))]
mod pauses;
mod programs;
mod records;
mod servers;
mod since_1_0;
mod sources;
mod trouble;

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
fn a_source_that_never_answered_gives_way_at_once() {
    let both = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    assert_eq!(bench.polls, [0]);
    bench.observe(0, Observation::unknown("no gateway"));
    assert_eq!(bench.polls, [1]);
    bench.observe(1, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn a_source_that_has_answered_keeps_its_place_for_three_polls() {
    let both = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    let mut polls = 0;
    while !bench.polls.contains(&1) {
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, Observation::unknown("timed out"));
        }
        polls = bench.now.elapsed.as_secs() / 300;
        assert!(polls < 9);
    }
    assert_eq!(polls, 3);
    bench.observe(1, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    bench.finish(0, published());
    bench.tick();
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "it takes its place back");
}

#[test]
fn definitely_none_passes_only_to_another_kind_of_source() {
    let all = Target { ipv4: [0, 1, 2].into(), ..target("t", 0, IPV4) };
    let sources = vec![upnp(), Source::NatPmp(None), interface()];
    let mut bench = Bench::new(&config(sources, vec![all]), State::default());
    bench.observe(0, Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") });
    assert_eq!(bench.polls, [2], "the same gateway does not overrule itself");
    bench.observe(2, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn several_sources_must_agree_where_the_user_says_so() {
    let both = Target { ipv4: [0, 1].into(), agree: 2, ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    bench.observe(1, seen("2.2.2.2"));
    assert!(bench.jobs.is_empty());
    assert!(bench.reports.iter().any(|report| report.text.contains("fewer than 2 sources agree")));
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.polls.clear();
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
}

#[test]
fn a_failing_source_is_looked_at_again_within_seconds() {
    let mut bench = Bench::simple(1);
    bench.observe(0, Observation::unknown("timed out"));
    let mut times = Vec::new();
    for _ in 0..6 {
        times.push(bench.tick().as_secs());
        bench.observe(0, Observation::unknown("timed out"));
    }
    assert_eq!(times, [1, 3, 7, 12, 17, 22]);
    bench.tick();
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    let levels: Vec<_> = bench.reports.iter().map(|report| report.level).collect();
    assert_eq!(levels, [Level::Warning, Level::Info], "one line at the start of trouble, one at its end");
}

#[test]
fn a_target_with_both_families_waits_for_both() {
    let both = Target { required: IPV4.or(IPV6), ipv6: [1].into(), ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    bench.observe(1, seen6("2a00::1"));
    let sent = bench.sent(0).unwrap();
    assert!(sent.ipv4.is_some() && sent.ipv6.is_some());
}

#[test]
fn a_missing_family_is_sent_empty_only_on_demand() {
    let absent = Observation { ipv6: Finding::Absent("no IPv6".into()), ..seen("1.1.1.1") };
    let needs = IPV4.or(IPV6);
    for (empty_when_absent, jobs) in [(false, 0), (true, 1)] {
        let target = Target { required: needs, empty_when_absent, ..target("t", 0, NONE) };
        let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
        bench.observe(0, absent.clone());
        assert_eq!(bench.jobs.len(), jobs);
    }
    let target = Target { required: needs, empty_when_absent: true, ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty(), "unknown is not absent");
}

#[test]
fn an_optional_family_is_sent_when_known_and_never_taken_back() {
    let target = Target { required: NONE, optional: IPV4.or(IPV6), ipv6: [1].into(), ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![target]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty(), "the other source is still being asked");
    bench.observe(1, seen6("2a00::1"));
    bench.finish(0, published());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    bench.observe(1, Observation::unknown("gone"));
    assert!(bench.jobs.is_empty());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.observe(1, Observation::unknown("gone"));
    let sent = bench.sent(0).unwrap();
    assert_eq!((sent.ipv4, sent.ipv6), (Some([2, 2, 2, 2].into()), None), "only what a source vouches for");
}

#[test]
fn a_prefix_and_a_suffix_make_the_address() {
    let needs = Needs { ipv6_prefix: true, ..NONE };
    let suffix = Some("::5".parse().unwrap());
    let target = Target { required: needs, ipv6_suffix: suffix, ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    let prefix = Prefix::new("2a00:1:2:3::".parse().unwrap(), 56).unwrap();
    let delegated = Observation { ipv6_prefix: Finding::Known(prefix), ..Observation::unknown("no") };
    bench.observe(0, delegated.clone());
    assert!(bench.jobs.is_empty(), "nobody tells which subnet the LAN has");
    let lan = Prefix::new("2a00:1:2:1::".parse().unwrap(), 64);
    bench.pass(300 * SECOND);
    bench.observe(0, Observation { lan, ..delegated });
    assert_eq!(bench.sent(0).unwrap().ipv6, Some("2a00:1:2:1::5".parse().unwrap()));
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

fn verified(unix: Option<u64>) -> Bench {
    let target = Target { verify: Some(6 * 3600 * SECOND), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    bench.now.unix = unix;
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.reports.clear();
    bench
}

#[test]
fn an_unchanged_record_is_checked_after_hours_even_without_a_clock() {
    for unix in [None, Some(1_790_000_000)] {
        let mut bench = verified(unix);
        bench.pass(5 * 3600 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty());
        bench.pass(3600 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
        bench.finish(0, Outcome::Published { changed: false });
        bench.pass(300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty(), "the next check is hours away");
        let lines: Vec<_> = bench.reports.iter().map(|r| (r.level, r.text.as_str())).collect();
        assert_eq!(lines, [(Level::Debug, "still 1.1.1.1")]);
    }
}

#[test]
fn what_was_changed_behind_our_back_is_worth_a_warning() {
    let mut bench = verified(None);
    bench.pass(6 * 3600 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, retry());
    assert!(bench.saved.targets.get("t").unwrap().trying.is_none(), "a restart owes nothing");
    bench.pass(60 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "a failed check is repeated");
    bench.finish(0, published());
    let last = bench.reports.last().unwrap();
    assert_eq!(last.text, "was changed by someone else; set to 1.1.1.1 again");
    assert_eq!(last.level, Level::Warning);
}

#[test]
fn a_program_that_runs_now_and_then_checks_by_the_clock() {
    let bench = verified(Some(1_790_000_000));
    let target = Target { verify: Some(6 * 3600 * SECOND), ..target("t", 0, IPV4) };
    for (hours, jobs) in [(5, 0), (7, 1)] {
        let mut next = Bench::new(&config(vec![upnp()], vec![target.clone()]), bench.saved.clone());
        next.now.unix = Some(1_790_000_000 + hours * 3600);
        next.observe(0, seen("1.1.1.1"));
        assert_eq!(next.jobs.len(), jobs, "after {hours} h");
    }
}

#[test]
fn a_router_that_starts_in_1970_recovers_once_its_clock_is_set() {
    let mut bench = Bench::simple(1);
    bench.now.unix = None;
    bench.observe(0, seen("1.1.1.1"));
    let why = "api.example: its certificate is not yet valid: check this machine's clock";
    for _ in 0..5 {
        bench.finish(0, Outcome::Retry { why: why.into(), after: None, reached: false });
        while bench.jobs.is_empty() {
            bench.tick();
            if !bench.polls.is_empty() {
                bench.observe(0, seen("1.1.1.1"));
            }
        }
    }
    bench.now.unix = Some(1_790_000_000);
    bench.finish(0, published());
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
    assert_eq!(bench.saved.targets.get("t0").unwrap().accepted.as_ref().unwrap().at, Some(1_790_000_000));
}

#[test]
fn at_start_sends_once_at_every_start() {
    let targets = vec![Target { at_start: true, ..target("t", 0, IPV4) }];
    let mut saved = State::default();
    for _ in 0..2 {
        let mut bench = Bench::new(&config(vec![upnp()], targets.clone()), saved);
        bench.observe(0, seen("1.1.1.1"));
        bench.finish(0, published());
        bench.pass(300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty());
        saved = bench.saved;
    }
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

#[test]
fn a_second_update_in_a_row_that_changed_nothing_is_worth_a_warning() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, Outcome::Published { changed: false });
    assert_eq!(bench.reports.last().map(|report| report.level), Some(Level::Info));
    // An answer gets lost, and the address is back by then.
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.finish(0, retry());
    bench.pass(300 * SECOND);
    if !bench.jobs.is_empty() {
        bench.finish(0, retry());
    }
    bench.observe(0, seen("1.1.1.1"));
    bench.pass(7200 * SECOND);
    bench.finish(0, Outcome::Published { changed: false });
    let last = bench.reports.last().unwrap();
    assert_eq!(last.level, Level::Warning);
    assert_eq!(last.text, "already 1.1.1.1, as the time before: this update was needless");
}

#[test]
fn a_target_that_takes_either_family_tells_why_it_gets_neither() {
    let either = Target { optional: IPV4.or(IPV6), ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![either]), State::default());
    bench.observe(0, seen("100.72.3.9"));
    let lines: Vec<_> = bench.reports.iter().map(|report| report.text.as_str()).collect();
    assert!(lines.iter().any(|line| line.contains("carrier-grade NAT (RFC 6598)")), "{lines:?}");
}

/// One source that was seen and published, ten minutes after a quiet start.
fn quiet() -> Bench {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    for _ in 0..2 {
        bench.tick();
        bench.observe(0, seen("1.1.1.1"));
    }
    bench
}

const HINT: Event = Event::Hint { source: 0 };

#[test]
fn a_hint_after_a_quiet_time_is_followed_at_once() {
    let mut bench = quiet();
    bench.handle(HINT);
    assert_eq!((bench.polls.as_slice(), bench.hinted), (&[0][..], 1), "at once");
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    bench.finish(0, published());
    bench.tick();
    assert_eq!(bench.now.elapsed.as_secs(), 900, "then nothing until the next poll");
}

#[test]
fn the_two_events_of_a_change_cost_two_polls_and_more_of_them_no_more() {
    let mut bench = quiet();
    let start = bench.now.elapsed;
    bench.handle(HINT);
    bench.observe(0, Observation::unknown("no address"));
    bench.pass(Duration::from_millis(40));
    bench.handle(HINT);
    bench.handle(HINT);
    assert!(bench.polls.is_empty());
    assert_eq!(bench.tick() - start, Duration::from_millis(90));
    assert_eq!((bench.polls.as_slice(), bench.hinted), (&[0][..], 2));
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    // The line that is back after two seconds is not held up by what went before.
    bench.finish(0, published());
    bench.pass(2 * SECOND);
    bench.handle(HINT);
    assert_eq!((bench.polls.as_slice(), bench.hinted), (&[0][..], 3));
}

#[test]
fn a_poll_that_comes_too_early_is_repeated_quickly_and_quietly() {
    let mut bench = quiet();
    bench.handle(HINT);
    bench.tick();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let before = bench.now.elapsed;
        bench.observe(0, Observation::unknown("no address"));
        waits.push((bench.tick() - before).as_millis());
        if waits.len() == 4 {
            assert!(bench.reports.iter().all(|report| report.level == Level::Info), "{:?}", bench.reports);
        }
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 2000, 4000]);
    assert_eq!(bench.reports.iter().filter(|report| report.level == Level::Warning).count(), 1);
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
}

#[test]
fn a_hint_during_a_poll_leads_to_another() {
    let mut bench = quiet();
    bench.handle(HINT);
    bench.tick();
    bench.handle(HINT);
    bench.pass(SECOND);
    assert_eq!(bench.polls, [0], "one at a time");
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.polls, [0], "the first may have been too early");
    assert!(bench.engine.deadline() > bench.now.elapsed);
}

#[test]
fn a_flood_of_hints_costs_three_polls_and_then_one_in_two_seconds() {
    for answer in [seen("1.1.1.1"), Observation::unknown("no address")] {
        let mut bench = quiet();
        bench.hinted = 0;
        let mut polls = 0;
        for _ in 0..10_000 {
            bench.handle(HINT);
            bench.pass(Duration::from_millis(1));
            if !bench.polls.is_empty() {
                polls += 1;
                bench.observe(0, answer.clone());
            }
        }
        assert!((7..=8).contains(&bench.hinted), "{}", bench.hinted);
        // When it also fails: four quick ones in six seconds, and the ordinary ones.
        assert!(polls <= 8 + 8 + 4, "{polls}");
        assert!(bench.engine.deadline() > bench.now.elapsed);
    }
}

/// The line goes down and comes back every four seconds; both are told twice.
#[test]
fn reconnects_that_follow_each_other_are_each_seen_at_once() {
    let mut bench = quiet();
    for change in 0..25 {
        let address = format!("1.1.2.{change}");
        for found in [Observation::unknown("no address"), seen(&address)] {
            for time in [100, 100] {
                bench.handle(HINT);
                poll_for(&mut bench, time, &found);
            }
            assert!(found.ipv4.known().is_none() || bench.sent_ipv4(0) == Some(address.clone()), "{change}");
            if !bench.jobs.is_empty() {
                bench.finish(0, published());
            }
            poll_for(&mut bench, 2000, &found);
        }
    }
}

/// Milliseconds pass, in which every poll finds the same.
fn poll_for(bench: &mut Bench, time: u64, found: &Observation) {
    for _ in 0..time / 10 {
        if !bench.polls.is_empty() {
            bench.observe(0, found.clone());
        }
        bench.pass(Duration::from_millis(10));
    }
}

/// A gateway that lies in its answers, too.
#[test]
fn a_flood_of_hints_that_are_true_costs_twice_as_much() {
    let mut bench = quiet();
    bench.hinted = 0;
    let mut number = 0;
    for _ in 0..10_000 {
        bench.handle(HINT);
        bench.pass(Duration::from_millis(1));
        if !bench.polls.is_empty() {
            number += 1;
            bench.observe(0, seen(&format!("1.1.3.{number}")));
        }
    }
    assert!((14..=16).contains(&bench.hinted), "{}", bench.hinted);
}

#[test]
fn a_change_in_a_flood_is_seen_within_two_seconds() {
    let mut bench = quiet();
    let (mut address, mut changed_at, mut worst) = ("1.1.1.1", Duration::ZERO, Duration::ZERO);
    for step in 0..60_000_u32 {
        if step % 7919 == 7918 {
            address = if address == "1.1.1.1" { "2.2.2.2" } else { "1.1.1.1" };
            changed_at = bench.now.elapsed;
        }
        bench.handle(HINT);
        bench.pass(Duration::from_millis(1));
        if !bench.polls.is_empty() {
            bench.observe(0, seen(address));
        }
        if bench.jobs.first().is_some_and(|(_, _, tasks)| tasks[0].addresses.ipv4 == address.parse().ok()) {
            worst = worst.max(bench.now.elapsed - changed_at);
            bench.finish(0, published());
        }
    }
    assert!(worst > Duration::ZERO && worst <= 2 * SECOND + Duration::from_millis(50), "{worst:?}");
}

#[test]
fn a_hint_about_one_protocol_concerns_the_others_of_the_gateway() {
    let both = Target { ipv4: [0, 1, 2].into(), agree: 3, ..target("t", 0, IPV4) };
    let mut bench =
        Bench::new(&config(vec![upnp(), Source::NatPmp(None), interface()], vec![both]), State::default());
    for source in 0..3 {
        bench.observe(source, seen("1.1.1.1"));
    }
    bench.finish(0, published());
    bench.handle(HINT);
    assert_eq!(bench.polls, [0, 1], "the kernel has hints of its own");
}

#[test]
fn hints_about_a_source_that_nobody_needs_wait_until_somebody_does() {
    let either = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![either]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.handle(Event::Hint { source: 1 });
    bench.handle(Event::Hint { source: 9 });
    assert_eq!(bench.tick(), 300 * SECOND);
    assert_eq!(bench.polls, [0]);
}
