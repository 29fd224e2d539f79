//! Jobs that talk to a name server.

use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

use crate::config;
use crate::dns::client;
use crate::dns::client::DnsError;
use crate::updaters::rfc2136::Rfc2136;
use crate::updaters::{Failure, Outcome, Task, rfc2136};

/// The updater of an `[[rfc2136]]` section.
pub struct NameServer(Rfc2136);

impl NameServer {
    pub(super) fn boxed(config: &config::Rfc2136) -> Box<Self> {
        Box::new(Self(Rfc2136::new(config.clone())))
    }

    pub(super) fn perform(&mut self, tasks: Vec<Task>) -> Vec<(usize, Outcome)> {
        self.0.start(tasks);
        converse(&mut self.0)
    }
}

fn converse(updater: &mut Rfc2136) -> Vec<(usize, Outcome)> {
    let resolvers = client::system_resolvers();
    let random = SystemRandom::new();
    let mut answer = None;
    loop {
        let mut id = [0; 2];
        // A system without randomness still has TCP and signatures.
        let _ = random.fill(&mut id);
        let now = rfc2136::Now { unix: client::unix_time(), id: u16::from_ne_bytes(id) };
        match updater.next(now, answer.take()) {
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
