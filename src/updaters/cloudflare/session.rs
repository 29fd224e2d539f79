//! The way to Cloudflare during one job: bounds, and what a refusal ends.

use std::time::Duration;

use super::api::Api;
use super::reply::{RefusalKind, Trouble};
use super::{needs_person, retry};
use crate::config;
use crate::updaters::{Ask, Outcome, Reply, Request};

/// After 429 without `Retry-After`: the API blocks for so long.
pub(super) const LIMITED: Duration = Duration::from_secs(5 * 60);
/// Half of what a user may send in five minutes, all programs together.
pub(super) const MAX_REQUESTS: usize = 600;
/// Bytes of all replies of a job.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Faults of the server in one job, before it is left in peace.
pub(super) const MAX_FAULTS: usize = 3;

/// What a request was about, where a refusal means something else for each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum About {
    Zones,
    Records,
}

/// Something cannot be done, and what ends with it.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) scope: Scope,
    pub(super) outcome: Outcome,
}

/// What ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scope {
    Record,
    /// All records of its zone.
    Zone,
    /// The same, but the zone was found by its name and may be found anew.
    LostZone,
    /// All that is left of the job.
    Job,
}

pub(super) struct Session<'s, 'a> {
    pub(super) api: Api<'s>,
    ask: &'s mut Ask<'a>,
    zone_given: bool,
    requests: usize,
    pub(super) bytes: usize,
    faults: usize,
    /// Whether changes are sent one by one, as batches were refused.
    pub(super) one_by_one: bool,
}

impl<'s, 'a> Session<'s, 'a> {
    pub(super) fn new(config: &'s config::Cloudflare, ask: &'s mut Ask<'a>) -> Self {
        let (api, zone_given) = (Api::new(config), config.zone_id.is_some());
        Self { api, ask, zone_given, requests: 0, bytes: 0, faults: 0, one_by_one: false }
    }

    /// Sends `request`, as long as the job is within its bounds.
    pub(super) fn reply(&mut self, request: &Request) -> Result<Reply, Trouble> {
        if self.requests >= MAX_REQUESTS || self.bytes >= MAX_BYTES {
            let said = "too many requests in one go; the rest follows".to_owned();
            return Err(Trouble { kind: RefusalKind::Enough, said, wait: None });
        }
        self.requests = self.requests.saturating_add(1);
        let reply = (self.ask)(request).map_err(Trouble::lost)?;
        self.bytes = self.bytes.saturating_add(reply.body.len());
        Ok(reply)
    }

    /// What `trouble` ends, and how.
    pub(super) fn stop(&mut self, trouble: Trouble, about: About) -> Stop {
        let Trouble { kind, said, wait } = trouble;
        let job = |outcome| Stop { scope: Scope::Job, outcome };
        let record = |outcome| Stop { scope: Scope::Record, outcome };
        match kind {
            // The line failed, not Cloudflare, even if it answered before: after a
            // reconnect the old connection is dead and a new one works at once.
            RefusalKind::Lost(_) => job(Outcome::Retry { why: said, after: None, reached: false }),
            RefusalKind::Enough => job(retry(said, Some(LIMITED))),
            RefusalKind::Malformed => job(blocked(format!(
                "what is configured does not have the form of an API token ({said}): copy the token again, whole and \
                 with nothing around it (the global API key is none); correct it"
            ))),
            RefusalKind::Token => job(blocked(format!(
                "Cloudflare refused the API token ({said}): it is wrong, expired or disabled; correct it"
            ))),
            // The filter may hold the next address.
            RefusalKind::Location => job(Outcome::Refused {
                why: format!(
                    "the API token may not be used from this address ({said}); take the client IP address filter off \
                     the token at Cloudflare"
                ),
                after: wait,
            }),
            RefusalKind::Limited => job(retry(
                format!("Cloudflare asks for fewer requests ({said})"),
                Some(wait.unwrap_or(LIMITED)),
            )),
            RefusalKind::Fault => self.fault(format!("Cloudflare has a fault ({said})"), wait),
            RefusalKind::Foreign => self.fault(
                format!("what answered is not Cloudflare, but perhaps a web filter or a login page ({said})"),
                wait,
            ),
            RefusalKind::Denied | RefusalKind::Forbidden => denied(kind, &said, wait, about),
            RefusalKind::Gone | RefusalKind::NoRecord => self.gone(&said, about),
            RefusalKind::Exists => record(needs_person(format!("another record is in the way ({said})"))),
            RefusalKind::Conflict => record(needs_person(format!(
                "another record, perhaps a CNAME, owns the name ({said}); delete it at Cloudflare"
            ))),
            RefusalKind::Setting => {
                record(blocked(format!("Cloudflare refused ttl, proxied or comment ({said}); correct it")))
            }
            RefusalKind::Other => record(needs_person(format!("Cloudflare refused the request ({said})"))),
        }
    }

    /// One record's fault is its own, three are the server's.
    fn fault(&mut self, why: String, wait: Option<Duration>) -> Stop {
        self.faults = self.faults.saturating_add(1);
        let scope = if self.faults >= MAX_FAULTS { Scope::Job } else { Scope::Record };
        Stop { scope, outcome: retry(why, wait) }
    }

    fn gone(&self, said: &str, about: About) -> Stop {
        match about {
            About::Zones => {
                let why = format!("Cloudflare knows no list of zones ({said}); check api_url");
                Stop { scope: Scope::Job, outcome: needs_person(why) }
            }
            About::Records if self.zone_given => {
                let why = format!("Cloudflare knows no zone with this zone_id ({said}); correct it");
                Stop { scope: Scope::Job, outcome: blocked(why) }
            }
            // A zone that moved to another account has a new id.
            About::Records => {
                let why = format!("the zone disappears as soon as it is found ({said})");
                Stop { scope: Scope::LostZone, outcome: needs_person(why) }
            }
        }
    }
}

/// Only a code that says so is taken for a word about the token; a rate limit or an
/// address filter refuses as well.
fn denied(kind: RefusalKind, said: &str, wait: Option<Duration>, about: About) -> Stop {
    let (scope, what, lacks) = match about {
        About::Zones => {
            (Scope::Job, "to show the zones", "lacks the permission Zone:Read; correct it or set zone_id")
        }
        About::Records => (
            Scope::Zone,
            "access to the zone's records",
            "lacks the permission DNS:Edit for this zone; correct it",
        ),
    };
    let outcome = match kind {
        RefusalKind::Denied => blocked(format!(
            "Cloudflare refused {what} ({said}): the API token is wrong or expired, or {lacks}"
        )),
        _ => retry(
            format!("Cloudflare refused {what} ({said}); if it goes on doing so, the token perhaps {lacks}"),
            wait,
        ),
    };
    Stop { scope, outcome }
}

pub(super) fn blocked(why: String) -> Outcome {
    Outcome::Blocked { why }
}
