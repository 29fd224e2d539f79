//! Jobs in lock-step: each is the real straight function on a thread of its own, which
//! moves only when it is given the answer that it waits for.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use ddns_update_daemon::config::{Rfc2136, Run, UpdaterConfig};
use ddns_update_daemon::dns::message::Message;
use ddns_update_daemon::dns::server::Server;
use ddns_update_daemon::dns::tsig::Key;
use ddns_update_daemon::updaters::rfc2136::{self, Answer as DnsAnswer};
use ddns_update_daemon::updaters::run::{self, Ended, Plan};
use ddns_update_daemon::updaters::{Failure, Outcome, Reply, Request, Task, Updater};

/// What a job wants from the world.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Web(Request),
    Dns(DnsQuestion),
    Run(Plan, Duration),
}

#[derive(Clone, Debug)]
pub(crate) struct DnsQuestion {
    pub(crate) server: Option<Server>,
    pub(crate) key: Option<Key>,
    pub(crate) message: Message,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Web(Result<Reply, Failure>),
    Dns(Result<DnsAnswer, Failure>),
    Run(Ended),
}

/// The updater of a group, with what it remembers between jobs.
pub(crate) enum Work {
    Web(Box<dyn Updater>),
    NameServer(Rfc2136),
    Run(Box<Run>),
}

/// What a job does next.
pub(crate) enum Step {
    Asks(Box<Question>),
    Ends(Work, Vec<(usize, Outcome)>, Vec<(usize, String)>),
}

/// A job under way, on a thread of its own.
pub(crate) struct Job {
    turns: Sender<Turn>,
    steps: Receiver<Step>,
}

/// What a thread goes on with.
enum Turn {
    Begin(Work, Vec<Task>),
    Answer(Answer),
}

thread_local! {
    /// The thread of a job that has ended: most have only one beside them.
    static IDLE: Cell<Option<Job>> = const { Cell::new(None) };
}

impl Work {
    pub(crate) fn new(group: &UpdaterConfig) -> Self {
        match group {
            UpdaterConfig::Cloudflare(config) => Self::Web(config.updater()),
            UpdaterConfig::Url(config) => Self::Web(config.updater()),
            UpdaterConfig::Dyndns(config) => Self::Web(config.updater()),
            UpdaterConfig::Rfc2136(config) => Self::NameServer((**config).clone()),
            UpdaterConfig::Run(config) => Self::Run(config.clone()),
        }
    }

    fn perform(
        &mut self,
        tasks: Vec<Task>,
        ask: &mut dyn FnMut(Question) -> Option<Answer>,
    ) -> Vec<(usize, Outcome)> {
        let gone = || Failure { why: "killed".to_owned(), maybe_done: false };
        match self {
            Self::Web(updater) => {
                updater.update(tasks, &mut |request| match ask(Question::Web(request.clone())) {
                    Some(Answer::Web(reply)) => reply,
                    _ => Err(gone()),
                })
            }
            Self::NameServer(config) => rfc2136::update(config, &tasks, &mut |request| {
                let question = DnsQuestion {
                    server: request.server.cloned(),
                    key: request.key.cloned(),
                    message: request.message.clone(),
                };
                match ask(Question::Dns(question)) {
                    Some(Answer::Dns(answer)) => answer,
                    _ => Err(gone()),
                }
            }),
            Self::Run(config) => {
                let mut outcome = |task: &Task| {
                    let ended = match ask(Question::Run(run::plan(config, task), config.timeout)) {
                        Some(Answer::Run(ended)) => ended,
                        _ => Ended::Failed("killed".to_owned()),
                    };
                    match run::judge(ended) {
                        Outcome::Retry { why, .. } if !config.retry => Outcome::Dropped { why },
                        outcome => outcome,
                    }
                };
                tasks.iter().map(|task| (task.entry, outcome(task))).collect()
            }
        }
    }
}

impl Job {
    /// Begins a job and lets it go on to its first question.
    pub(crate) fn begin(work: Work, tasks: Vec<Task>) -> (Self, Step) {
        let job = IDLE.take().unwrap_or_else(Self::waiting);
        let step = job.turn(Turn::Begin(work, tasks));
        (job, step)
    }

    /// Gives the answer, and lets it go on to the next question.
    pub(crate) fn go_on(&self, answer: Answer) -> Step {
        self.turn(Turn::Answer(answer))
    }

    /// It has ended: its thread takes another one.
    pub(crate) fn ends(self) {
        IDLE.set(Some(self));
    }

    /// A thread that waits for a job.
    fn waiting() -> Self {
        let (turns, taken) = channel::<Turn>();
        let (sender, steps) = channel();
        let body = move || {
            let mut ask = |question| {
                sender.send(Step::Asks(Box::new(question))).ok()?;
                match taken.recv() {
                    Ok(Turn::Answer(answer)) => Some(answer),
                    _ => None,
                }
            };
            while let Ok(Turn::Begin(mut work, tasks)) = taken.recv() {
                let outcomes = work.perform(tasks, &mut ask);
                let notes = if let Work::Web(updater) = &mut work { updater.notes() } else { Vec::new() };
                if sender.send(Step::Ends(work, outcomes, notes)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().stack_size(512 * 1024).spawn(body).expect("a thread");
        Self { turns, steps }
    }

    fn turn(&self, turn: Turn) -> Step {
        self.turns.send(turn).expect("a job waits for its turn");
        self.steps.recv().expect("a job panicked")
    }
}
