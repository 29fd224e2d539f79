//! Jobs that talk to a name server.

use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

use crate::config;
use crate::dns::client;
use crate::dns::client::DnsError;
use crate::system::clock::unix_time;
use crate::updaters::rfc2136::{self, Answer, Request};
use crate::updaters::{Failure, Outcome, Task};

/// The updater of an `[[rfc2136]]` section.
pub struct NameServer(config::Rfc2136);

impl NameServer {
    pub(super) fn boxed(config: &config::Rfc2136) -> Box<Self> {
        Box::new(Self(config.clone()))
    }

    pub(super) fn perform(&mut self, tasks: &[Task]) -> Vec<(usize, Outcome)> {
        let resolvers = client::system_resolvers();
        let random = SystemRandom::new();
        rfc2136::update(&self.0, tasks, &mut |request: &Request<'_>| {
            let mut id = [0; 2];
            // A system without randomness still has TCP and signatures.
            let _ = random.fill(&mut id);
            let unix = unix_time();
            let exchange = request.exchange(u16::from_ne_bytes(id), unix);
            let start = Instant::now();
            let deadline = start.checked_add(client::TIMEOUT).unwrap_or(start);
            match client::exchange(&exchange, &resolvers, deadline) {
                Ok(verified) => Ok(Answer { verified, unix }),
                Err(error) => Err(failure(&error)),
            }
        })
    }
}

fn failure(error: &DnsError) -> Failure {
    Failure { maybe_done: error.maybe_done(), why: error.to_string() }
}
