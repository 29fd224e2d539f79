//! The loop that waits, and the threads that act: performs what the engine asks
//! for.
//!
//! The main thread owns the engine, the clock and the state file, asks the kernel for
//! addresses of interfaces, and asks by NAT-PMP whether anything has changed. Each other
//! source has a thread that sleeps until it is asked to poll, since it keeps what it knows of
//! its gateway between polls. Each publishing job is a thread that ends with the job. One
//! thread waits for signals and for the channels of [`hints`]. All of them answer over one
//! channel.

mod asked;
pub mod hints;
pub mod jobs;
pub mod log;
#[cfg_attr(not(feature = "monitor"), path = "no_monitoring.rs")]
mod monitoring;
mod polling;
pub mod process;
pub mod request;
pub mod runtime;
pub mod signals;
pub mod state_file;
mod status;
mod teller;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

pub use asked::{PATIENCE, free};

use crate::config::Config;
use crate::daemon::hints::Channels;
use crate::daemon::jobs::{Job, SharedClient};
use crate::daemon::log::Log;
use crate::daemon::monitoring::MetricsFile;
use crate::daemon::polling::{Asked, open_channels, start_source};
use crate::daemon::runtime::Runtime;
use crate::daemon::signals::Signal;
use crate::daemon::state_file::{NotKept, Store};
use crate::daemon::teller::Teller;
use crate::engine::state::State;
use crate::engine::{Action, Engine, Event, Level, Now, Report};
use crate::notify::{Delivery, Sent};
use crate::sources;
use crate::system::clock;
use crate::system::closer::Closer;
use crate::system::threads;
use crate::system::watch::Watch;
use crate::updaters::run::Standing;
use crate::updaters::{Outcome, Task};

/// Enough for a TLS exchange, the deepest thing a thread does here.
const STACK: usize = 256 * 1024;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How the daemon is to run.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// End when every target has been dealt with.
    pub once: bool,
    /// Send and store nothing.
    pub dry_run: bool,
}

/// The end of a run, which `--once` tells by its exit status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Everything has been dealt with, and every target is current.
    Current,
    /// At least one target is not current.
    Behind,
    /// The configuration is to be read again, and is whole.
    Reload,
}

/// What is kept beside the configuration, and where.
pub struct Places<'a> {
    /// The configuration file, as it was called.
    pub config: &'a Path,
    pub store: Store,
    /// The files of the runtime folder.
    pub runtime: Runtime,
    /// `None` in a single run.
    pub signals: Option<std::io::Result<signals::Caught>>,
}

/// What a thread has to say.
enum Message {
    Signal(Signal),
    Observed {
        source: usize,
        poll: sources::Poll,
    },
    Hint {
        source: usize,
        channel: &'static str,
    },
    Finished {
        job: u64,
        group: usize,
        updater: Job,
        outcomes: Vec<(usize, Outcome)>,
        took: Duration,
    },
    Told {
        delivery: Delivery,
        result: Sent,
    },
    #[cfg(feature = "monitor")]
    Status(Sender<crate::engine::status::Status>),
}

/// Runs until killed, with `once` until everything has been dealt with, or until the
/// configuration is to be read again. `asked`: targets to be sent although they hold
/// what they should, by their indexes.
#[must_use]
pub fn run(config: &Config, mut places: Places<'_>, mode: Mode, asked: Vec<usize>, log: Log) -> Ended {
    let store = &mut places.store;
    let loaded = if mode.dry_run { Ok(store.look()) } else { store.hold() };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(why) => {
            log.say(Level::Error, why);
            return Ended::Behind;
        }
    };
    if let Some(problem) = loaded.problem {
        log.say(Level::Warning, format!("the state file {}: {problem}", store.path().display()));
    }
    announce(config, store, log);
    let mut daemon = Daemon::new(config, loaded.state, places, mode, log);
    daemon.listen();
    if !mode.once && !mode.dry_run {
        daemon.monitor();
    }
    daemon.handle(Event::Tick);
    if !asked.is_empty() {
        daemon.handle(Event::Update { targets: asked });
    }
    while !(mode.once && daemon.is_settled()) {
        if daemon.may_reload() {
            daemon.keep_notices(true);
            return Ended::Reload;
        }
        match daemon.wait() {
            Some(event) => daemon.handle(event),
            None => break,
        }
    }
    if daemon.conclude() { Ended::Current } else { Ended::Behind }
}

/// Says which sections are left out; the rest goes on without them.
pub fn tell_left_out(config: &Config, log: Log) {
    for line in &config.left_out {
        log.say(Level::Error, format!("{line}; this is left out, the rest works"));
    }
}

/// Says what stands in the way of targets by the state file; asks and sends nothing.
pub fn tell_state(config: &Config, store: &Store, log: Log) {
    let mut engine = Engine::new(config, store.look().state, 0);
    engine.handle(Now::new(Duration::ZERO, clock::unix_time()), Event::Tick);
    while let Some(action) = engine.action() {
        if let Action::Report(report) = action {
            log.write(&report);
        }
    }
}

/// The one line of a healthy start.
fn announce(config: &Config, store: &Store, log: Log) {
    let sources: Vec<String> = (0..config.sources.len()).map(|index| config.source_name(index)).collect();
    let interval = config.interval;
    let every = if interval < Duration::from_secs(120) {
        format!("{} s", interval.as_secs_f64())
    } else {
        format!("{} min", interval.as_secs_f64() / 60.0)
    };
    log.say(
        Level::Info,
        format!(
            "version {}: asking {} every {every} for {} target{}",
            env!("CARGO_PKG_VERSION"),
            sources.join(", "),
            config.targets.len(),
            if config.targets.len() == 1 { "" } else { "s" },
        ),
    );
    log.say(Level::Debug, format!("state is kept in {}", store.path().display()));
}

struct Daemon<'a> {
    config: &'a Config,
    engine: Engine,
    start: Instant,
    places: Places<'a>,
    mode: Mode,
    log: Log,
    polls: Vec<Option<Asked>>,
    /// None in a single run.
    watch: Option<Watch>,
    channels: Arc<Channels>,
    /// Those that remember something, between their jobs; others are made for each.
    updaters: Vec<Option<Job>>,
    client: SharedClient,
    /// The jobs in flight.
    running: HashMap<u64, Closer>,
    sender: Sender<Message>,
    messages: Receiver<Message>,
    /// The state file holds what is known.
    is_kept: bool,
    /// When to say again what is left out of the configuration.
    remind_at: Duration,
    /// When it was asked to read the configuration again.
    reload_asked: Option<Duration>,
    /// `None` where nobody is to be told.
    teller: Option<Teller<'a>>,
    status_pace: status::Pace,
    metrics: MetricsFile,
}

impl<'a> Daemon<'a> {
    fn new(config: &'a Config, state: State, places: Places<'a>, mode: Mode, log: Log) -> Self {
        let (sender, messages) = channel();
        let watch = if mode.once { None } else { Watch::start().ok() };
        let channels = Arc::new(open_channels(config, watch.as_ref(), &sender, log));
        let begin = |source| {
            let poller = sources::Poller::new(config, source, &state)?;
            let poller = if mode.once { poller.once() } else { poller };
            Some(start_source(poller, source, &sender, &channels, log))
        };
        let polls = (0..config.sources.len()).map(begin).collect();
        let engine = Engine::new(config, state, seed());
        let engine = if mode.once { engine.once() } else { engine };
        let client = SharedClient::new(config);
        let kept = places.runtime.notices();
        let teller = Teller::new(config, &client, log, &sender, seed(), kept).filter(|_| !mode.dry_run);
        Self {
            config,
            engine: if mode.dry_run { engine.without_pauses() } else { engine },
            start: Instant::now(),
            places,
            mode,
            log,
            polls,
            watch,
            channels,
            updaters: config.groups.iter().map(|_| None).collect(),
            client,
            running: HashMap::new(),
            sender,
            messages,
            is_kept: true,
            remind_at: DAY,
            reload_asked: None,
            teller,
            status_pace: status::Pace::default(),
            metrics: MetricsFile::default(),
        }
    }

    fn now(&self) -> Now {
        Now::new(self.start.elapsed(), clock::unix_time())
    }

    /// The next event, at the latest when the engine has something to do.
    fn wait(&mut self) -> Option<Event> {
        let now = self.now();
        if now.elapsed >= self.remind_at {
            self.remind_at = now.elapsed.saturating_add(DAY);
            tell_left_out(self.config, self.log);
        }
        let told = self.teller.as_ref().map(Teller::deadline);
        let deadlines =
            [self.reload_due(), told, self.status_pace.due, self.metrics.due].into_iter().flatten();
        let deadline = deadlines.fold(self.engine.deadline(), Duration::min);
        let wait = deadline.saturating_sub(now.elapsed);
        match self.messages.recv_timeout(wait) {
            Ok(Message::Observed { source, poll }) => {
                Some(Event::Observed { source, observation: poll.observation, gateway: poll.gateway })
            }
            Ok(Message::Finished { job, group, mut updater, outcomes, took }) => {
                self.running.remove(&job);
                for (entry, text) in updater.notes() {
                    self.log.write(&Report::new(Level::Info, self.engine.label(group, entry), text));
                }
                if let Some(place) = self.updaters.get_mut(group) {
                    *place = Some(updater).filter(Job::remembers);
                }
                Some(Event::Finished { job, outcomes, took })
            }
            Ok(Message::Hint { source, channel }) => {
                let text = format!("polling, because of {channel}");
                self.log.write(&Report::new(Level::Debug, &self.config.source_name(source), text));
                Some(Event::Hint { source })
            }
            Ok(Message::Signal(signal)) => Some(self.follow(signal)),
            #[cfg(feature = "monitor")]
            Ok(Message::Status(reply)) => {
                // Fails when nobody waits any more.
                let _ = reply.send(self.status());
                Some(Event::Tick)
            }
            Ok(Message::Told { delivery, result }) => {
                let now = self.now();
                let _ = self.teller.as_mut().map(|teller| teller.told(now, &delivery, &result));
                Some(Event::Tick)
            }
            Err(RecvTimeoutError::Timeout) => Some(Event::Tick),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn handle(&mut self, event: Event) {
        let happened = !matches!(event, Event::Tick | Event::Hint { .. });
        let polled = matches!(event, Event::Observed { .. });
        let mut quiet = polled;
        self.engine.handle(self.now(), event);
        // The mark that is to be on the disk before the jobs behind it ask anything: they
        // connect meanwhile.
        let mut mark = None;
        let mut news = self.engine.take_news();
        while let Some(action) = self.engine.action() {
            let is_news =
                matches!(action, Action::Record { .. } | Action::Publish { .. } | Action::Report(_));
            (news, quiet) = (news || is_news, quiet && !is_news);
            match action {
                Action::Poll { source, hinted } => {
                    self.channels.poll_begins(source);
                    if let Some(Some(asked)) = self.polls.get(source) {
                        asked.poll(hinted);
                    }
                }
                Action::Record { lines, flush: true } if !lines.is_empty() => {
                    self.keep_mark(mark.replace((lines, Vec::new())));
                }
                Action::Record { lines, flush } => {
                    self.keep_mark(mark.take());
                    self.record(&lines, flush);
                }
                Action::Publish { job, group, tasks, standing } => {
                    let closer = Closer::default();
                    if let Some((_, held)) = &mut mark {
                        closer.hold();
                        held.push(closer.clone());
                    }
                    self.publish(job, closer, group, tasks, standing);
                }
                Action::Overtake { job } => self.running.get(&job).into_iter().for_each(Closer::overtake),
                Action::Close { job } => self.running.get(&job).into_iter().for_each(Closer::close),
                // Nothing has changed in a dry run; what would have is said.
                Action::Report(report) if self.mode.dry_run && report.change.is_some() => {}
                Action::Report(report) => {
                    self.log.write(&report);
                    let now = self.now();
                    let _ = self.teller.as_mut().map(|teller| teller.hear(now, &report));
                }
            }
        }
        self.keep_mark(mark);
        if polled {
            self.keep_listening();
        }
        if self.running.is_empty() {
            self.client.rest();
            // A poll that found nothing: a disk that failed may be well again.
            if quiet && self.places.store.is_to_be_written() {
                self.record("", false);
            }
        }
        self.tell(happened, news);
    }

    /// Tells people and files what is new: `news` that the engine has, or that something
    /// `happened` to it.
    fn tell(&mut self, happened: bool, news: bool) {
        let now = self.now();
        if let Some(teller) = &mut self.teller {
            teller.work(now, happened, &self.engine);
        }
        self.keep_notices(false);
        self.keep_status(news);
        self.keep_metrics(news || happened);
    }

    fn keep_mark(&mut self, mark: Option<(String, Vec<Closer>)>) {
        if let Some((lines, held)) = mark {
            self.record(&lines, true);
            held.iter().for_each(Closer::release);
        }
    }

    /// Whether a single run has done everything, and told it.
    fn is_settled(&mut self) -> bool {
        let now = self.now();
        let told = |teller: &mut Teller<'_>| teller.conclude(now, &self.engine);
        self.engine.is_settled(now) && self.teller.as_mut().is_none_or(told)
    }

    /// A state that cannot be kept costs a repeated update after a restart, no
    /// more, as long as nobody believes the old one: said once.
    fn record(&mut self, lines: &str, flush: bool) {
        if self.mode.dry_run {
            return;
        }
        let engine = &self.engine;
        let result = self.places.store.append(lines, flush, &|| engine.snapshot());
        if let (Err(NotKept { why, stands }), true) = (&result, self.is_kept) {
            let path = self.places.store.path().display();
            let (level, effect) = if *stands {
                (Level::Error, "what it says is out of date, and a restart may believe it")
            } else {
                (Level::Warning, "a restart sends every address again")
            };
            let text = format!(
                "the state cannot be kept in {path}: {why}; {effect} (make room, correct its permissions, or set state_file)"
            );
            self.log.say(level, text);
        }
        self.is_kept = result.is_ok();
    }

    fn publish(&mut self, job: u64, closer: Closer, group: usize, tasks: Vec<Task>, standing: Standing) {
        let new = || self.config.groups.get(group).map(Job::new);
        let kept = self.updaters.get_mut(group).and_then(Option::take);
        let Some(mut updater) = kept.or_else(new) else { return };
        if self.mode.dry_run {
            let outcomes = self.pretend(group, &tasks);
            let message = Message::Finished { job, group, updater, outcomes, took: Duration::ZERO };
            let _ = self.sender.send(message);
            return;
        }
        let entries: Vec<usize> = tasks.iter().map(|task| task.entry).collect();
        let client = self.client.ended_by(&closer);
        self.running.insert(job, closer);
        let sender = self.sender.clone();
        let work = move || {
            let start = Instant::now();
            let outcomes = updater.perform(tasks, &client, &standing);
            let took = start.elapsed();
            let _ = sender.send(Message::Finished { job, group, updater, outcomes, took });
        };
        if let Err(error) = threads::start("job", STACK, work) {
            // A limit on threads, or no memory: the others go on.
            let why = format!("no thread could be started: {error}");
            let failed = Outcome::Retry { why, after: None, reached: false };
            let outcomes = entries.into_iter().map(|entry| (entry, failed.clone())).collect();
            if let Some(updater) = self.config.groups.get(group).map(Job::new) {
                let message = Message::Finished { job, group, updater, outcomes, took: Duration::ZERO };
                let _ = self.sender.send(message);
            }
        }
    }

    /// Says what would be sent.
    fn pretend(&self, group: usize, tasks: &[Task]) -> Vec<(usize, Outcome)> {
        for task in tasks {
            let name = self.engine.label(group, task.entry);
            let what = self.config.groups.get(group).map(|group| jobs::describe(group, task));
            let text = format!("dry run: would {}", what.unwrap_or_default());
            self.log.write(&Report::new(Level::Info, name, text));
        }
        tasks.iter().map(|task| (task.entry, Outcome::Published { changed: false })).collect()
    }

    /// For `--once`: says which targets are not current.
    fn conclude(&mut self) -> bool {
        self.keep_notices(true);
        self.metrics.due = Some(Duration::ZERO);
        self.keep_metrics(false);
        let mut current = self.is_kept;
        if !current {
            self.log.say(Level::Error, "the state is not kept: the next run cannot know what was sent");
        }
        for (name, why) in self.engine.behind(self.now()) {
            current = false;
            self.log.write(&Report::new(Level::Warning, name, format!("not current: {why}")));
        }
        current
    }
}

/// Jitter needs no secret: the time and the process differ from start to start.
fn seed() -> u64 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(time.subsec_nanos()) ^ (u64::from(std::process::id()) << 32)
}
