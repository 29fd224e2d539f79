//! Name servers of one's own: DNS UPDATE (RFC 2136), signed by TSIG (RFC 8945).
//!
//! ```text
//!  where?           what is there?      change        and now?
//!  SOA of the name  A and AAAA, each -> one UPDATE -> A and AAAA again
//!  (unless server   (equal: done)       for all
//!  and zone are given)
//! ```
//!
//! An update replaces the sets A and AAAA of a name, each by one address, and
//! touches nothing else. The record is read again afterwards, since servers
//! say NOERROR to what they ignore. Questions to the server are signed like
//! updates; a server that does not take signed questions is asked without a
//! signature after the update, and not before. The zone is found by a signed
//! question, too: of several views of it, the one that our key sees is ours.
//!
//! Left out: prerequisites, GSS-TSIG (Windows' "secure only"), SIG(0).

mod credential;
mod explain;
mod job;
mod record;

use std::collections::BTreeMap;

use self::job::Job;
use super::{Failure, Outcome, Task, Tested, needs_person};
use crate::config;
use crate::dns::answer::{Exchange, Sent, Verified};
use crate::dns::message::Message;
use crate::dns::name::Name;
use crate::dns::server::{Server, Transport};
use crate::dns::tsig::Key;
use crate::quote::{Secrets, said};

/// A clock before this (2024) has not been set yet.
const CLOCK_IS_SET: u64 = 1_704_067_200;

/// Codes of answers that mean something here (RFC 2136, section 2.2).
mod rcode {
    pub(super) const NOERROR: u8 = 0;
    pub(super) const FORMERR: u8 = 1;
    pub(super) const SERVFAIL: u8 = 2;
    pub(super) const NXDOMAIN: u8 = 3;
    pub(super) const NOTIMP: u8 = 4;
    pub(super) const REFUSED: u8 = 5;
    pub(super) const YXDOMAIN: u8 = 6;
    pub(super) const YXRRSET: u8 = 7;
    pub(super) const NXRRSET: u8 = 8;
    pub(super) const NOTAUTH: u8 = 9;
    pub(super) const NOTZONE: u8 = 10;
}

/// A message that a job wants sent.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// To whom; `None`: the system's resolver.
    pub server: Option<&'a Server>,
    /// Over what.
    pub transport: Transport,
    /// What it is signed with; `None`: it is not.
    pub key: Option<&'a Key>,
    /// The message; its id is for the sender to choose.
    pub message: Message,
}

impl Request<'_> {
    /// The bytes of the message with this id, signed at this second of the Unix
    /// epoch, and where they go.
    #[must_use]
    pub fn exchange(&self, id: u16, unix: u64) -> Exchange {
        let message = Message { id, ..self.message.clone() };
        let sent = Sent::new(&message, self.key, unix);
        Exchange { server: self.server.cloned(), transport: self.transport, sent }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it says, and whether that is proven.
    pub verified: Verified,
    /// When the request was signed, in seconds of the Unix epoch.
    pub unix: u64,
}

/// Sends one message and waits for its answer.
pub type Ask<'a> = dyn FnMut(&Request<'_>) -> Result<Answer, Failure> + 'a;

/// Brings the records of `tasks` up to date; an outcome for each, by its entry.
pub fn update(config: &config::Rfc2136, tasks: &[Task], ask: &mut Ask<'_>) -> Vec<(usize, Outcome)> {
    Job { config, ask, silent: BTreeMap::new(), outcomes: Vec::new() }.run(tasks)
}

impl config::Rfc2136 {
    /// What is known of its key, by questions that change nothing.
    pub fn test(&self, ask: &mut Ask<'_>) -> Vec<Tested> {
        Job { config: self, ask, silent: BTreeMap::new(), outcomes: Vec::new() }.test()
    }

    /// A name that a server told, as far as it may be shown: it can be our secret.
    fn shown(&self, name: &Name) -> String {
        let secrets = self.secrets();
        said(&name.to_string(), &Secrets::new(secrets.iter().map(String::as_str)), [])
    }

    /// What a job would do, for people.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        match &self.server {
            Some(server) => format!("set the record to {} at the name server {server}", task.addresses),
            None => format!("set the record to {} at its zone's primary name server", task.addresses),
        }
    }
}

#[cfg(test)]
mod tests;
