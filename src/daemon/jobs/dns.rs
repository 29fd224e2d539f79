//! Jobs that talk to a name server.

use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

use super::{JOB_TIMEOUT, over, stopped};
use crate::config;
use crate::dns::client;
use crate::dns::client::DnsError;
use crate::dns::message::UPDATE;
use crate::system::clock::unix_time;
use crate::system::closer::Closer;
use crate::updaters::rfc2136::{self, Answer, Request};
use crate::updaters::{Failure, Outcome, Task, Tested};

/// The updater of an `[[rfc2136]]` section.
pub struct NameServer(config::Rfc2136);

impl NameServer {
    pub(super) fn boxed(config: &config::Rfc2136) -> Box<Self> {
        Box::new(Self(config.clone()))
    }

    /// `began`: when the job did; nothing is changed while `closer` holds it.
    pub(super) fn perform(
        &mut self,
        tasks: &[Task],
        began: Instant,
        closer: &Closer,
    ) -> Vec<(usize, Outcome)> {
        rfc2136::update(&self.0, tasks, &mut asking(began, closer))
    }
}

/// Asks the servers of `config` what changes nothing.
pub(super) fn test(config: &config::Rfc2136) -> Vec<Tested> {
    config.test(&mut asking(Instant::now(), &Closer::default()))
}

/// The way to name servers.
fn asking(began: Instant, closer: &Closer) -> impl FnMut(&Request<'_>) -> Result<Answer, Failure> {
    let resolvers = client::system_resolvers();
    let random = SystemRandom::new();
    let mut kept = None;
    move |request| {
        let left = JOB_TIMEOUT.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(over());
        }
        if request.message.flags.opcode() == UPDATE {
            closer.wait().map_err(|why| stopped(&why))?;
        }
        let mut id = [0; 2];
        // A system without randomness still has TCP and signatures.
        let _ = random.fill(&mut id);
        let unix = unix_time();
        let exchange = request.exchange(u16::from_ne_bytes(id), unix);
        let start = Instant::now();
        let deadline = start.checked_add(left.min(client::TIMEOUT)).unwrap_or(start);
        match client::exchange(&exchange, &resolvers, &mut kept, closer, deadline) {
            Ok(verified) => Ok(Answer { verified, unix }),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &DnsError) -> Failure {
    Failure { maybe_done: error.maybe_done(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Addresses;

    #[test]
    fn a_job_without_time_sends_nothing_more() {
        let text = "[[rfc2136]]\nserver = \"192.0.2.1\"\nzone = \"example.org\"\n[[rfc2136.records]]\n\
                    name = \"a.example.org\"\ntype = \"A\"";
        let config = config::parse(text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap();
        let Some(config::UpdaterConfig::Rfc2136(section)) = config.groups.first() else { panic!() };
        let addresses = Addresses { ipv4: Some([192, 0, 2, 9].into()), ..Addresses::default() };
        let task = Task { entry: 0, addresses, old: Addresses::default() };
        let long_ago = Instant::now().checked_sub(JOB_TIMEOUT).expect("a machine that runs for ten minutes");
        let outcomes = NameServer::boxed(section).perform(&[task], long_ago, &Closer::default());
        let [(0, Outcome::Retry { why, reached: false, .. })] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert!(why.contains("the servers took more than 600 s in all"), "{why}");
    }
}
