//! One publishing job: the conversation between a pure updater and the world.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

use crate::address::Family;
use crate::config::{self, Config, Group, Proxies, Run, Tls, hidden_url};
use crate::dns::client::{self, DnsError};
use crate::process;
use crate::updaters::cloudflare::Cloudflare;
use crate::updaters::dyndns2::Dyndns;
use crate::updaters::rfc2136::{self, Rfc2136};
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
    /// Records at a name server.
    Rfc2136(Box<Rfc2136>),
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
            Group::Rfc2136(config) => Self::Rfc2136(Box::new(Rfc2136::new(config.clone()))),
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
            Self::Rfc2136(rfc2136) => {
                rfc2136.start(tasks);
                converse_by_dns(rfc2136)
            }
            Self::Run(config) => tasks.iter().map(|task| (task.entry, run_program(config, task))).collect(),
        }
    }
}

type Answer = Option<Result<Reply, Failure>>;

fn converse(mut next: impl FnMut(Answer) -> Step, connection: &Connection) -> Vec<(usize, Outcome)> {
    // Connections are kept for the length of a job only: the next one is days away.
    let mut kept = None;
    let mut answer = None;
    loop {
        match next(answer) {
            Step::Send(request) => answer = Some(connection.send(&mut kept, &request)),
            Step::Done(outcomes) => return outcomes,
        }
    }
}

fn converse_by_dns(rfc2136: &mut Rfc2136) -> Vec<(usize, Outcome)> {
    let resolvers = client::system_resolvers();
    let random = SystemRandom::new();
    let mut answer = None;
    loop {
        let mut id = [0; 2];
        // A system without randomness still has TCP and signatures.
        let _ = random.fill(&mut id);
        let now = rfc2136::Now { unix: client::unix_time(), id: u16::from_ne_bytes(id) };
        match rfc2136.next(now, answer.take()) {
            rfc2136::Step::Exchange(exchange) => {
                let start = Instant::now();
                let deadline = start.checked_add(client::TIMEOUT).unwrap_or(start);
                let came = client::exchange(&exchange, &resolvers, deadline);
                let failure =
                    |error: DnsError| Failure { maybe_done: error.maybe_done(), why: error.to_string() };
                answer = Some(came.map_err(failure));
            }
            rfc2136::Step::Done(outcomes) => return outcomes,
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
    proxies: Proxies,
    web: Arc<OnceLock<Result<Web, String>>>,
}

/// Connections of a job that may serve its next request.
struct Kept {
    family: Option<Family>,
    session: Session,
}

impl Connection {
    /// For the servers that `config` trusts.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { tls: config.tls.clone(), proxies: config.proxies.clone(), web: Arc::default() }
    }

    fn send(&self, kept: &mut Option<Kept>, request: &Request) -> Result<Reply, Failure> {
        let set_up = || Web::with_proxies(&self.tls, self.proxies.clone()).map_err(|error| error.to_string());
        let web = self.web.get_or_init(set_up);
        let web = web.as_ref().map_err(|why| Failure { why: why.clone(), maybe_done: false })?;
        kept.take_if(|kept| kept.family != request.family);
        let new = || Kept { family: request.family, session: web.session(request.family) };
        kept.get_or_insert_with(new).session.send(request, web::TIMEOUT)
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
        Group::Rfc2136(config::Rfc2136 { server: Some(server), .. }) => {
            format!("set the record to {} at the name server {server}", task.addresses)
        }
        Group::Rfc2136(_) => {
            format!("set the record to {} at its zone's primary name server", task.addresses)
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
