//! One publishing job: the conversation between a pure updater and the world.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::config::{Config, Group, Run, Tls, hidden_url};
use crate::process;
use crate::updaters::cloudflare::Cloudflare;
use crate::updaters::dyndns2::Dyndns;
use crate::updaters::url::Url;
use crate::updaters::{Failure, Outcome, Reply, Request, Step, Task};
use crate::updaters::{placeholders, run};
use crate::web::{self, Session, Web};

/// The updater of a group, with what it remembers between jobs.
pub enum Updater {
    /// Records at Cloudflare.
    Cloudflare(Box<Cloudflare>),
    /// A request of the user's own.
    Url(Box<Url>),
    /// An account of a dyndns2 service.
    Dyndns(Box<Dyndns>),
    /// A program.
    Run(Run),
}

impl Updater {
    /// The updater for `group`.
    #[must_use]
    pub fn new(group: &Group) -> Self {
        match group {
            Group::Cloudflare(config) => Self::Cloudflare(Box::new(Cloudflare::new(config.clone()))),
            Group::Url(config) => Self::Url(Box::new(Url::new(config.clone()))),
            Group::Dyndns(config) => Self::Dyndns(Box::new(Dyndns::new((**config).clone()))),
            Group::Run(config) => Self::Run(config.clone()),
        }
    }

    /// Does the job, which takes as long as it takes: a request ends by
    /// [`web::TIMEOUT`], a program by its own timeout, and both are few.
    pub fn perform(&mut self, tasks: Vec<Task>, connection: &Connection) -> Vec<(usize, Outcome)> {
        match self {
            Self::Cloudflare(cloudflare) => {
                cloudflare.start(tasks);
                converse(|reply| cloudflare.next(reply), connection)
            }
            Self::Dyndns(dyndns) => {
                dyndns.start(&tasks);
                converse(|reply| dyndns.next(reply), connection)
            }
            // A group of this kind has one entry.
            Self::Url(url) => tasks
                .into_iter()
                .flat_map(|task| {
                    url.start(task);
                    converse(|reply| url.next(reply), connection)
                })
                .collect(),
            Self::Run(config) => tasks.iter().map(|task| (task.entry, run_program(config, task))).collect(),
        }
    }
}

type Answer = Option<Result<Reply, Failure>>;

fn converse(mut next: impl FnMut(Answer) -> Step, connection: &Connection) -> Vec<(usize, Outcome)> {
    // Connections are kept for the length of a job only: the next one is days away.
    let mut session = None;
    let mut answer = None;
    loop {
        match next(answer) {
            Step::Send(request) => answer = Some(connection.send(&mut session, &request)),
            Step::Done(outcomes) => return outcomes,
        }
    }
}

fn run_program(config: &Run, task: &Task) -> Outcome {
    run::judge(process::run(&run::plan(config, task), config.timeout))
}

/// The way to web servers, shared by all jobs; TLS is set up at its first use.
#[derive(Clone)]
pub struct Connection {
    tls: Tls,
    web: Arc<OnceLock<Result<Web, String>>>,
}

impl Connection {
    /// For the servers that `config` trusts.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { tls: config.tls.clone(), web: Arc::default() }
    }

    fn send(&self, session: &mut Option<Session>, request: &Request) -> Result<Reply, Failure> {
        let web = self.web.get_or_init(|| Web::new(&self.tls).map_err(|error| error.to_string()));
        match web {
            Ok(web) => session.get_or_insert_with(|| web.session()).send(request, web::TIMEOUT),
            Err(why) => Err(Failure { why: why.clone(), maybe_done: false }),
        }
    }
}

/// What the job would do, for `--dry-run`; secrets stay hidden.
#[must_use]
pub fn describe(group: &Group, task: &Task) -> String {
    match group {
        Group::Cloudflare(cloudflare) => {
            format!("set the record to {} at {}", task.addresses, cloudflare.api_url)
        }
        Group::Url(url) => {
            let shown = placeholders::fill(&hidden_url(url.url.reveal()), &task.addresses);
            format!("send {} {shown}", url.method)
        }
        Group::Run(run) => {
            format!("run {:?} with {}", run.cmd.first().map_or("", String::as_str), task.addresses)
        }
        Group::Dyndns(account) => {
            let preset = account.preset.name.as_str();
            let whose = if preset.is_empty() { "a dyndns2 server" } else { preset };
            format!("send {} to {whose}", task.addresses)
        }
    }
}
