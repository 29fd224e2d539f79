//! One fault against the running daemon: the scenario and the verdict.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Folder, Recorder, memory_limit_kib, noting_program};
use crate::support::gateway::{Gateway, Place, Play, Plays};
use crate::support::wait_for;
use crate::support::wire::{Exchange, Server};

/// Minutes, and what they are.
pub(crate) const INTERVAL: &str = "0.02";
const POLL: Duration = Duration::from_millis(1200);

/// What a busy machine may add to a poll.
const MARGIN: Duration = Duration::from_millis(1800);

/// The daemon gives a poll five seconds; the rest is for the scheduler.
const LONGEST_LOOK: Duration = Duration::from_millis(5250);

/// Until the fault has been met often enough: per play, and in any case.
const PATIENCE: Duration = Duration::from_secs(8);

/// What the daemon has to make of a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expect {
    /// What the gateway says under the fault must not be sent.
    Refused,
    /// The gateway says the truth in an odd way: sent or not, both are right.
    Tolerated,
    /// Must be understood.
    Works,
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) expect: Expect,
    pub(crate) description: Vec<Play>,
    pub(crate) soap: Vec<Play>,
    /// Plays for SOAP while the description is faulty.
    pub(crate) beside: Vec<Play>,
    /// Plays for SOAP leave other actions alone.
    pub(crate) only: Option<&'static str>,
    pub(crate) ipv6: bool,
    /// Some faulty answer must have got as many bytes out: the fault is real.
    pub(crate) least_bytes: u64,
    /// Some poll must have taken as long: the fault is real.
    pub(crate) least_poll: Duration,
    /// Nobody may connect to this one.
    pub(crate) trap: Option<Server>,
}

impl Row {
    pub(crate) fn new(name: &'static str, expect: Expect) -> Self {
        Self {
            name,
            expect,
            description: Vec::new(),
            soap: Vec::new(),
            beside: Vec::new(),
            only: None,
            ipv6: false,
            least_bytes: 0,
            least_poll: Duration::ZERO,
            trap: None,
        }
    }

    fn phases(&self) -> Vec<Plays> {
        let (pages, beside) = (self.description.clone(), self.beside.clone());
        let description = Plays { description: pages, soap: beside, only: None };
        let soap = Plays { soap: self.soap.clone(), only: self.only, ..Plays::default() };
        let both = (!self.description.is_empty(), !self.soap.is_empty());
        match both {
            // The first phase is there from the start, the others come later.
            (true, true) => vec![description.clone(), soap, description],
            (true, false) => vec![description.clone(), description],
            (false, _) => vec![soap.clone(), soap],
        }
    }

    /// The `index`-th address that the gateway really has.
    fn truth(&self, index: usize) -> String {
        if self.ipv6 { format!("2a01:4f8:1:2::{:x}", index + 1) } else { format!("11.22.33.{}", index + 44) }
    }

    fn poison(&self) -> &'static str {
        if self.ipv6 { "2a01:4f8:bad::bad" } else { "66.66.66.66" }
    }
}

/// What came of a row.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    pub(crate) polls: usize,
    pub(crate) faulty: usize,
    pub(crate) sent: Vec<String>,
    pub(crate) longest: Duration,
    pub(crate) memory: u64,
    pub(crate) recovered: Duration,
    pub(crate) problems: Vec<String>,
    /// What was not seen in time, which a busy machine may have done.
    pub(crate) late: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(crate) fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    pub(crate) fn late(&mut self, what: impl Into<String>) {
        self.late.push(what.into());
    }

    pub(crate) fn is_good(&self) -> bool {
        self.problems.is_empty() && self.late.is_empty()
    }

    /// Everything that was wrong.
    fn complaints(&self) -> String {
        [&self.problems[..], &self.late].concat().join("; ")
    }

    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        let verdict = if self.is_good() { "ok".to_owned() } else { self.complaints() };
        write!(
            line,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.name,
            self.polls,
            self.faulty,
            self.sent.join(" "),
            self.longest.as_millis(),
            self.memory,
            self.recovered.as_millis(),
            verdict.replace('|', "/").replace('\n', " "),
        )
        .unwrap();
        line
    }
}

/// The heading of the table.
pub(crate) const HEADING: &str = "\
| fault | polls during fault | faulty answers | what was sent | longest poll (ms) | VmHWM (KiB) | right again after (ms) | verdict |
| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |";

/// Everything that takes part in a scenario.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) recorder: Recorder,
    pub(crate) folder: Folder,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) launcher: Vec<String>,
    /// The top of the configuration: which gateway to ask.
    pub(crate) gateway_lines: String,
    pub(crate) placeholder: &'static str,
    /// How long something may be under way that began during the fault and
    /// leaves no trace at the gateway.
    pub(crate) slack: Duration,
    pub(crate) verdict: Verdict,
    expected: Vec<(String, bool)>,
}

impl Stage {
    pub(crate) fn new(name: &str, host: Ipv4Addr) -> Self {
        let gateway = Gateway::start(SocketAddr::from((host, 0)), "11.22.33.43");
        let gateway_lines = format!("router_ip = \"{}\"", gateway.url());
        Self {
            gateway,
            recorder: Recorder::start(host),
            folder: Folder::new(),
            daemon: None,
            launcher: Vec::new(),
            gateway_lines,
            placeholder: "{ipv4}",
            slack: Duration::ZERO,
            verdict: Verdict::new(name),
            expected: Vec::new(),
        }
    }

    pub(crate) fn start_daemon(&mut self) {
        let variable = if self.placeholder == "{ipv6}" { "DDNS_IPV6" } else { "DDNS_IPV4" };
        let config = format!(
            "interval = {INTERVAL}\n{}\nipv4 = [\"upnp\"]\nipv6 = [\"upnp\"]\nstate_file = \"{}\"\n\
             [[urls]]\nmethod = \"get\"\nurl = \"{}{}\"\n{}",
            self.gateway_lines,
            self.folder.path("state/state").display(),
            self.recorder.url(),
            self.placeholder,
            noting_program(&self.folder, self.placeholder, variable),
        );
        self.daemon = Some(Daemon::start(&self.launcher, &self.folder, &config));
    }

    /// Under the fault `address` may be sent.
    pub(crate) fn tolerate(&mut self, address: &str) {
        self.expected.push((address.to_owned(), false));
    }

    /// Waits until `met` says that the fault was met, through two polls at least.
    pub(crate) fn meet_fault(&mut self, plays: usize, mut met: impl FnMut(&Self) -> bool) {
        let since = Instant::now();
        let limit = PATIENCE * u32::try_from(plays + 2).unwrap();
        let found = wait_for(limit, || {
            let polls = self.gateway.polls(since).len();
            (self.is_dead() || (polls >= 2 && met(self))).then_some(())
        });
        self.verdict.polls += self.gateway.polls(since).len();
        if found.is_none() {
            self.verdict.late(format!("the fault was not met in {} s", limit.as_secs()));
        }
    }

    /// Waits until `address` has arrived at both targets and notes how long it
    /// took since the last bit of the fault was over.
    pub(crate) fn expect_arrival(&mut self, address: &str) {
        let changed = Instant::now();
        self.expected.push((address.to_owned(), true));
        let arrival = |stage: &Self| {
            let noted = format!("{address} {address}\n");
            let sent = stage.recorder.sent().into_iter().find(|(_, value)| value == address);
            sent.filter(|_| stage.folder.read("runs").contains(&noted))
        };
        let found = wait_for(LONGEST_LOOK + POLL + 2 * MARGIN, || {
            let found = arrival(self);
            (self.is_dead() || found.is_some()).then_some(found)
        });
        let Some((arrived, _)) = found.flatten() else {
            self.verdict.late(format!("{address} did not arrive"));
            return;
        };
        let exchanges = self.gateway.exchanges();
        let faulty = exchanges.iter().filter(|exchange| exchange.faulty && exchange.started < changed);
        let over = faulty.map(|exchange| exchange.end().max(changed)).max().unwrap_or(changed);
        let took = arrived.saturating_duration_since(over);
        self.verdict.recovered = self.verdict.recovered.max(took);
        if took > self.slack + POLL + MARGIN {
            self.verdict.late(format!("{address} arrived only after {} ms", took.as_millis()));
        }
    }

    /// Whether the daemon has ended, which no fault may cause.
    fn is_dead(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| daemon.ended().is_some())
    }

    /// Judges what holds for every fault, and clears the stage.
    pub(crate) fn finish(mut self) -> Verdict {
        let exchanges = self.gateway.exchanges();
        self.verdict.faulty += exchanges.iter().filter(|exchange| exchange.faulty).count();
        if let Some(mut daemon) = self.daemon.take() {
            if let Some(how) = daemon.ended() {
                self.verdict.problem(format!("the daemon ended: {how}"));
            } else {
                self.judge_memory(daemon.peak_memory());
            }
        }
        self.judge_sent();
        let log = self.folder.read("log");
        self.judge_time(&log, &exchanges);
        if log.contains("panicked") {
            self.verdict.problem("the daemon panicked");
        }
        if !self.verdict.is_good() {
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!("--- {}: {}\n{}", self.verdict.name, self.verdict.complaints(), tail.join("\n"));
        }
        self.verdict
    }

    /// The daemon says how long each poll took; the gateway saw how long it
    /// stayed on the line.
    fn judge_time(&mut self, log: &str, exchanges: &[Exchange]) {
        let polls: Vec<Duration> = log.lines().filter_map(poll_time).collect();
        let lines = exchanges.iter().map(|exchange| exchange.end() - exchange.started);
        self.verdict.longest = polls.iter().copied().chain(lines).max().unwrap_or_default();
        if self.verdict.longest > LONGEST_LOOK {
            self.verdict.late(format!("a poll took {} ms", self.verdict.longest.as_millis()));
        }
        if polls.is_empty() {
            self.verdict.problem("the log tells of no poll");
        }
    }

    fn judge_memory(&mut self, peak: u64) {
        self.verdict.memory = peak;
        let limit = memory_limit_kib();
        if !(1..=limit).contains(&peak) {
            self.verdict.problem(format!("VmHWM is {peak} KiB, expected 1 to {limit}"));
        }
    }

    fn judge_sent(&mut self) {
        let sent: Vec<String> = self.recorder.sent().into_iter().map(|(_, value)| value).collect();
        self.compare("sent to the URL", &sent);
        let runs = self.folder.read("runs");
        let arguments: Vec<String> = runs.lines().map(|line| first_of_two(line).to_owned()).collect();
        self.compare("given to the program", &arguments);
        self.verdict.sent = sent;
    }

    /// What was sent must be what was expected, in order, each once; those that
    /// are not required may be missing.
    fn compare(&mut self, what: &str, sent: &[String]) {
        let mut rest = self.expected.iter();
        if let Some(wrong) = sent.iter().find(|value| !rest.any(|(wanted, _)| wanted == *value)) {
            self.verdict.problem(format!("{what}: {wrong:?} in {sent:?}"));
        }
        let missing = self.expected.iter().filter(|(wanted, required)| *required && !sent.contains(wanted));
        for (missing, _) in missing {
            self.verdict.late(format!("not {what}: {missing:?}"));
        }
    }
}

/// The time in a log line on a poll, as in `upnp: IPv4 11.22.33.44 (3 ms)`.
fn poll_time(line: &str) -> Option<Duration> {
    // Where nobody else writes the time, the log does.
    let line = line.split_once("Z ").map_or(line, |(_, rest)| rest);
    let (_, rest) = line.strip_prefix("upnp")?.rsplit_once('(')?;
    Some(Duration::from_millis(rest.strip_suffix(" ms)")?.parse().ok()?))
}

/// The word that a line holds twice, or the whole line.
fn first_of_two(line: &str) -> &str {
    line.split_once(' ').filter(|(a, b)| a == b).map_or(line, |(word, _)| word)
}

/// Runs a row whose gateway is at loopback.
pub(crate) fn run(row: &Row) -> Verdict {
    let mut stage = Stage::new(row.name, Ipv4Addr::LOCALHOST);
    if row.ipv6 {
        stage.placeholder = "{ipv6}";
    }
    if row.expect == Expect::Works {
        play_variants(row, &mut stage);
    } else {
        play_faults(row, &mut stage);
    }
    judge_row(row, &mut stage);
    stage.finish()
}

fn play_faults(row: &Row, stage: &mut Stage) {
    let mut truths = (0..).map(|index| row.truth(index));
    for (index, plays) in row.phases().into_iter().enumerate() {
        let mut address = row.poison().to_owned();
        if row.expect == Expect::Tolerated {
            address = truths.next().unwrap();
            stage.tolerate(&address);
        }
        let place = if plays.description.is_empty() { Place::Soap } else { Place::Description };
        if place == Place::Description {
            stage.gateway.play_elsewhere(plays.clone(), &address);
        } else {
            stage.gateway.play(plays.clone(), &address);
        }
        if index == 0 {
            stage.start_daemon();
        }
        let count = plays.description.len().max(plays.soap.len());
        stage.meet_fault(count, |stage| stage.gateway.served(place).iter().all(|served| *served > 0));
        let truth = truths.next().unwrap();
        stage.gateway.heal(&truth);
        stage.expect_arrival(&truth);
    }
}

fn play_variants(row: &Row, stage: &mut Stage) {
    let count = row.description.len().max(row.soap.len());
    for index in 0..=count {
        let one = |plays: &[Play]| plays.get(index).cloned().into_iter().collect::<Vec<_>>();
        let plays = Plays { description: one(&row.description), soap: one(&row.soap), only: row.only };
        let truth = row.truth(index);
        stage.gateway.play_elsewhere(plays, &truth);
        if index == 0 {
            stage.start_daemon();
        }
        let since = Instant::now();
        stage.expect_arrival(&truth);
        let served = [Place::Description, Place::Soap].map(|place| stage.gateway.served(place));
        if served.iter().flatten().any(|count| *count == 0) {
            stage.verdict.late(format!("variant {index} was not asked for"));
        }
        if index < count {
            stage.verdict.polls += stage.gateway.polls(since).len();
        }
    }
}

fn judge_row(row: &Row, stage: &mut Stage) {
    let exchanges = stage.gateway.exchanges();
    let faulty = exchanges.iter().filter(|exchange| exchange.faulty);
    let most = faulty.clone().map(|exchange| exchange.bytes).max().unwrap_or(0);
    if most < row.least_bytes {
        stage.verdict.late(format!("no faulty answer got more than {most} bytes out"));
    }
    let longest = faulty.map(|exchange| exchange.end() - exchange.started).max().unwrap_or_default();
    if longest < row.least_poll {
        stage.verdict.late(format!("no faulty answer held longer than {} ms", longest.as_millis()));
    }
    let visits = row.trap.as_ref().map_or(0, |trap| trap.exchanges().len());
    if visits > 0 {
        stage.verdict.problem(format!("it connected {visits} times to a third host"));
    }
}
