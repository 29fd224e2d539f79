//! One publishing job: the conversation between a pure updater and the world.

#[cfg_attr(not(feature = "rfc2136"), path = "jobs/no_dns.rs")]
mod dns;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use self::dns::NameServer;
use crate::address::Family;
use crate::config::{Config, Proxies, Run, Tls, UpdaterConfig};
use crate::daemon::process;
use crate::quote::Secrets;
use crate::system::closer::Closer;
use crate::transport::provider;
use crate::transport::provider::{Connection, HttpClient};
use crate::transport::url::HttpUrl;
use crate::updaters::run::Standing;
use crate::updaters::{Failure, Outcome, Reply, Request, Task, Tested, Updater, run};

/// All requests of a job.
const JOB_TIMEOUT: Duration = Duration::from_secs(600);

/// Connections that wait for the next job of a change: those of all jobs at once.
const MAX_IDLE: usize = 16;

/// The updater of a group, with what it remembers between jobs.
pub enum Job {
    /// Talks to a web server.
    Web(Box<dyn Updater>),
    /// Talks to a name server.
    NameServer(Box<NameServer>),
    /// Runs a program.
    Run(Box<Run>),
}

impl Job {
    /// The updater for `group`.
    #[must_use]
    #[allow(clippy::match_same_arms, reason = "kinds that a build leaves out are all alike")]
    pub fn new(group: &UpdaterConfig) -> Self {
        match group {
            UpdaterConfig::Cloudflare(config) => Self::Web(config.updater()),
            UpdaterConfig::Url(config) => Self::Web(config.updater()),
            UpdaterConfig::Dyndns(config) => Self::Web(config.updater()),
            UpdaterConfig::Rfc2136(config) => Self::NameServer(NameServer::boxed(config)),
            UpdaterConfig::Run(config) => Self::Run(config.clone()),
        }
    }

    /// Does the job: a request ends by [`provider::TIMEOUT`], all of a job by
    /// [`JOB_TIMEOUT`], a program, which is told how the others stand, by its
    /// own timeout.
    pub fn perform(
        &mut self,
        tasks: Vec<Task>,
        client: &SharedClient,
        standing: &Standing,
    ) -> Vec<(usize, Outcome)> {
        let began = Instant::now();
        match self {
            Self::Web(updater) => {
                let mut kept = None;
                let outcomes = updater.update(tasks, &mut |request| {
                    client.send(&mut kept, request, JOB_TIMEOUT.saturating_sub(began.elapsed()))
                });
                // One that was given up serves nobody else.
                if let Some(kept) = kept.filter(|_| client.closer.check().is_ok()) {
                    client.leave(kept);
                }
                outcomes
            }
            Self::NameServer(updater) => updater.perform(&tasks, began, &client.closer),
            Self::Run(config) => {
                let outcome = |task: &Task| match client.closer.wait() {
                    Ok(()) => run_program(config, task, standing),
                    Err(why) => Outcome::Retry { why: why.to_string(), after: None, reached: false },
                };
                tasks.iter().map(|task| (task.entry, outcome(task))).collect()
            }
        }
    }

    /// Whether the next job needs to know of this one.
    #[must_use]
    pub fn remembers(&self) -> bool {
        match self {
            Self::Web(updater) => updater.remembers(),
            Self::NameServer(_) | Self::Run(_) => false,
        }
    }

    /// What a person should know of the last job, by entry.
    pub fn notes(&mut self) -> Vec<(usize, String)> {
        match self {
            Self::Web(updater) => updater.notes(),
            Self::NameServer(_) | Self::Run(_) => Vec::new(),
        }
    }
}

fn run_program(config: &Run, task: &Task, standing: &Standing) -> Outcome {
    match run::judge(process::run(&run::plan(config, task).telling(standing), config.timeout)) {
        Outcome::Retry { why, .. } if !config.retry => Outcome::Dropped { why },
        outcome => outcome,
    }
}

/// Nothing is sent after [`JOB_TIMEOUT`].
fn over() -> Failure {
    let why = format!("the servers took more than {} s in all", JOB_TIMEOUT.as_secs());
    Failure { why, maybe_done: false }
}

/// Nothing more may be sent.
fn stopped(why: &io::Error) -> Failure {
    Failure { why: why.to_string(), maybe_done: false }
}

/// The way to web servers, shared by all jobs; TLS is set up at its first use.
#[derive(Clone)]
pub struct SharedClient {
    tls: Tls,
    proxies: Proxies,
    secrets: Arc<Secrets>,
    client: Arc<OnceLock<Result<HttpClient, String>>>,
    closer: Closer,
    idle: Arc<Mutex<Vec<Kept>>>,
}

/// A connection that may serve the next request to the same server.
struct Kept {
    server: String,
    family: Option<Family>,
    connection: Connection,
}

impl SharedClient {
    /// For the servers that `config` trusts.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (tls, proxies) = (config.tls.clone(), config.proxies.clone());
        let secrets = Arc::clone(&config.secrets);
        Self {
            tls,
            proxies,
            secrets,
            client: Arc::default(),
            closer: Closer::default(),
            idle: Arc::default(),
        }
    }

    /// The same for one job, which `closer` can end.
    #[must_use]
    pub fn ended_by(&self, closer: &Closer) -> Self {
        Self { closer: closer.clone(), ..self.clone() }
    }

    /// Sends it for who has no job.
    pub(super) fn send_alone(&self, request: &Request, timeout: Duration) -> Result<Reply, Failure> {
        self.send(&mut None, request, timeout)
    }

    /// Sends it, unless of the job's time nothing is `left`.
    fn send(&self, kept: &mut Option<Kept>, request: &Request, left: Duration) -> Result<Reply, Failure> {
        if left.is_zero() {
            return Err(over());
        }
        self.closer.check().map_err(|why| stopped(&why))?;
        let set_up = || {
            let client = HttpClient::with_proxies(&self.tls, self.proxies.clone());
            client.map(|client| client.hiding(Arc::clone(&self.secrets))).map_err(|error| error.to_string())
        };
        let client = self.client.get_or_init(set_up);
        let client = client.as_ref().map_err(|why| Failure { why: why.clone(), maybe_done: false })?;
        let server = HttpUrl::parse(&request.url).map(|url| url.server()).unwrap_or_default();
        let fits = |kept: &Kept| kept.server == server && kept.family == request.family;
        if let Some(other) = kept.take_if(|kept| !fits(kept)) {
            self.leave(other);
        }
        if kept.is_none() {
            let mut idle = self.idle();
            *kept = idle.iter().rposition(fits).map(|place| idle.remove(place));
            drop(idle);
            if let Some(kept) = kept {
                let free = kept.connection.lend(&self.closer).and_then(|()| self.closer.wait());
                free.map_err(|why| stopped(&why))?;
            }
        }
        let connect = || client.ended_by(self.closer.clone()).connection(request.family);
        let new = || Kept { server, family: request.family, connection: connect() };
        let reply = kept.get_or_insert_with(new).connection.send(request, provider::TIMEOUT.min(left));
        kept.take_if(|_| reply.is_err());
        // Whatever else stood in its way.
        let told = |failure: Failure| self.closer.check().err().map_or(failure, |why| stopped(&why));
        reply.map_err(|failure| if failure.maybe_done { failure } else { told(failure) })
    }

    /// Leaves a connection to the next job of the same change.
    fn leave(&self, kept: Kept) {
        // Nobody closes what is idle.
        let _ = kept.connection.lend(&Closer::default());
        let mut idle = self.idle();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push(kept);
    }

    /// Closes the connections that wait for a job: the next change is days away.
    pub fn rest(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the job would do, for `--dry-run`; secrets stay hidden.
#[must_use]
#[allow(clippy::match_same_arms, reason = "kinds that a build leaves out are all alike")]
pub fn describe(group: &UpdaterConfig, task: &Task) -> String {
    match group {
        UpdaterConfig::Cloudflare(config) => config.intent(task),
        UpdaterConfig::Url(config) => config.intent(task),
        UpdaterConfig::Rfc2136(config) => config.intent(task),
        UpdaterConfig::Run(config) => config.intent(task),
        UpdaterConfig::Dyndns(config) => config.intent(task),
    }
}

/// Tests the credentials of `group` where its provider has a way that changes nothing.
#[must_use]
pub fn test(group: &UpdaterConfig, client: &SharedClient) -> Vec<Tested> {
    let cannot = |what: &str| vec![Ok(format!("{what} cannot be tested without an update"))];
    match group {
        UpdaterConfig::Cloudflare(config) => {
            config.test(&mut |request| client.send_alone(request, provider::TIMEOUT))
        }
        UpdaterConfig::Rfc2136(config) => dns::test(config),
        UpdaterConfig::Dyndns(_) => cannot("credentials of dyndns2"),
        UpdaterConfig::Url(_) => cannot("a URL"),
        UpdaterConfig::Run(_) => cannot("a program"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136"))]
    use crate::address::Addresses;

    #[cfg(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136"))]
    #[test]
    fn a_dry_run_tells_what_would_be_sent_and_no_secret() {
        let text = "ipv4 = [\"upnp\"]\nipv6 = []\n\
            [cloudflare]\napi_token = \"s3cret\"\n[[cloudflare.records]]\nname = \"a.example.org\"\ntype = \"A\"\n\
            [[dyndns]]\nprovider = \"no-ip\"\nusername = \"me\"\npassword = \"s3cret\"\nhostnames = [\"b.example.org\"]\n\
            [[rfc2136]]\nserver = \"192.0.2.53\"\nkey = \"k\"\nsecret = \"czNjcmV0\"\n\
            [[rfc2136.records]]\nname = \"c.example.org\"\ntype = \"A\"\n\
            [[urls]]\nurl = \"http://d.example/s3cret?ip={ipv4}\"\n\
            [[runs]]\ncmd = [\"program\", \"{ipv4}\"]\n";
        let config =
            crate::config::parse(text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap();
        let addresses = Addresses { ipv4: Some([192, 0, 2, 7].into()), ..Addresses::default() };
        let task = Task { entry: 0, addresses, old: Addresses::default() };
        let told: Vec<String> = config.groups.iter().map(|group| describe(group, &task)).collect();
        for line in [
            "set the record to 192.0.2.7 at the name server 192.0.2.53",
            "send 192.0.2.7 to no-ip",
            "run \"program\" with 192.0.2.7",
        ] {
            assert!(told.iter().any(|told| told == line), "{told:?}");
        }
        for part in
            ["set the record to 192.0.2.7 at https://api.cloudflare.com", "send GET http://d.example/"]
        {
            assert!(told.iter().any(|told| told.starts_with(part)), "{told:?}");
        }
        assert!(!told.concat().contains("s3cret") && told.len() == 5, "{told:?}");
    }

    #[test]
    fn a_job_without_time_sends_nothing_more() {
        let connection = SharedClient::new(&Config::default());
        let request = Request {
            method: "GET",
            url: "http://127.0.0.1:9/".to_owned(),
            headers: Vec::new(),
            body: None,
            max_reply: 0,
            cut_will_do: false,
            family: None,
        };
        let failure = connection.send(&mut None, &request, Duration::ZERO).unwrap_err();
        assert_eq!(failure.why, "the servers took more than 600 s in all");
        assert!(!failure.maybe_done && connection.client.get().is_none());
    }
}
