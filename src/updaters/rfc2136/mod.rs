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
//! signature after the update, and not before.
//!
//! Left out: prerequisites, GSS-TSIG (Windows' "secure only"), SIG(0).

mod explain;
mod job;

use std::time::Duration;

use self::explain::Side;
use self::job::{Item, Job, Phase};
use super::{Failure, Outcome, Task};
use crate::config;
use crate::dns::answer::{Exchange, Sent, Verified};
use crate::dns::message::{Flags, Message, QUERY, Question, Rdata, Record, UPDATE, class, kind};
use crate::dns::name::Name;
use crate::dns::server::Transport;

/// After what only a person can mend, at the server or here. The server's
/// administrators do so without touching us.
const PERSON: Duration = Duration::from_secs(30 * 60);

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

/// One `[[rfc2136]]` section at work.
#[derive(Debug)]
pub struct Rfc2136 {
    config: config::Rfc2136,
    job: Job,
}

/// What the updater wants done next.
#[derive(Debug)]
pub enum Step {
    /// Exchange these messages and call again with what came back.
    Exchange(Exchange),
    /// Finished: an outcome for every task, by its entry.
    Done(Vec<(usize, Outcome)>),
}

/// What the next message needs from outside.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Seconds of the Unix epoch.
    pub unix: u64,
    /// A random number, new each time.
    pub id: u16,
}

impl config::Rfc2136 {
    /// What a job would do, for people.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        match &self.server {
            Some(server) => format!("set the record to {} at the name server {server}", task.addresses),
            None => format!("set the record to {} at its zone's primary name server", task.addresses),
        }
    }
}

impl Rfc2136 {
    /// An updater for this section.
    #[must_use]
    pub fn new(config: config::Rfc2136) -> Self {
        Self { config, job: Job::default() }
    }

    /// Begins a job and forgets an unfinished one.
    pub fn start(&mut self, tasks: Vec<Task>) {
        self.job = Job::new(&self.config, tasks);
    }

    /// The next exchange; call it with `None` first, then with what came back.
    pub fn next(&mut self, now: Now, reply: Option<Result<Verified, Failure>>) -> Step {
        match reply {
            Some(Err(failure)) => self.failed(&failure),
            Some(Ok(judged)) if self.job.lost.is_empty() => self.answered(now, judged),
            Some(Ok(judged)) => self.located(&judged),
            None => {}
        }
        if let Some(item) = self.job.lost.front() {
            return Step::Exchange(self.locate(&item.name, now));
        }
        loop {
            let Some(batch) = self.job.batches.front_mut() else {
                return Step::Done(std::mem::take(&mut self.job).outcomes);
            };
            if batch.items.is_empty() {
                self.job.batches.pop_front();
                continue;
            }
            match batch.asked() {
                Some(question) => return Step::Exchange(self.question(question, now)),
                None => batch.advance(),
            }
            if let Some(exchange) = self.update(now) {
                return Step::Exchange(exchange);
            }
        }
    }

    // -- messages -------------------------------------------------------------

    /// Asks where a name belongs: our server if it is given, else the resolver.
    fn locate(&self, name: &Name, now: Now) -> Exchange {
        let zone = self.config.zone.as_ref().unwrap_or(name);
        let recursion = self.config.server.is_none();
        let question = Question { name: zone.clone(), kind: kind::SOA, class: class::IN };
        let message = Message {
            id: now.id,
            flags: Flags::request(QUERY, recursion),
            questions: vec![question],
            ..Message::default()
        };
        Exchange {
            server: self.config.server.clone(),
            transport: if recursion { Transport::Udp } else { self.config.transport },
            sent: Sent::new(&message, None, now.unix),
        }
    }

    fn question(&self, question: Question, now: Now) -> Exchange {
        let flags = Flags::request(QUERY, false);
        let message = Message { id: now.id, flags, questions: vec![question], ..Message::default() };
        let batch = self.job.batches.front();
        let signed = batch.is_some_and(|batch| batch.signed_questions);
        self.send(&message, signed, now)
    }

    /// The one message that brings every item of the batch up to date.
    fn update(&self, now: Now) -> Option<Exchange> {
        let batch = self.job.batches.front().filter(|batch| batch.phase == Phase::Update)?;
        if batch.items.is_empty() {
            return None;
        }
        let zone = Question { name: batch.zone.clone(), kind: kind::SOA, class: class::IN };
        let message = Message {
            id: now.id,
            flags: Flags::request(UPDATE, false),
            questions: vec![zone],
            authority: batch.items.iter().flat_map(|item| replace(item, self.config.ttl)).collect(),
            ..Message::default()
        };
        Some(self.send(&message, true, now))
    }

    fn send(&self, message: &Message, signed: bool, now: Now) -> Exchange {
        let key = self.config.key.as_ref().filter(|_| signed);
        let server = self.job.batches.front().map(|batch| batch.server.clone());
        let transport = match (&self.config.key, self.config.transport) {
            // Without a key, only a connection tells that the server is where we sent to.
            (None, _) => Transport::Tcp,
            (Some(_), Transport::Udp) if !signed => Transport::Auto,
            (Some(_), transport) => transport,
        };
        Exchange { server, transport, sent: Sent::new(message, key, now.unix) }
    }

    // -- answers --------------------------------------------------------------

    /// Nothing came back.
    fn failed(&mut self, failure: &Failure) {
        let outcome = |why| Outcome::Retry { why, after: None, reached: false };
        if !self.job.lost.is_empty() {
            self.job.end_lost(&outcome(failure.why.clone()));
            return;
        }
        let Some(batch) = self.job.batches.front() else { return };
        let why = match (batch.phase, &batch.doubt) {
            (Phase::Check(_), Some(doubt)) => doubt.clone(),
            (Phase::Check(_), None) => {
                format!("the server accepted it, but could not be asked again: {}", failure.why)
            }
            (Phase::Update, _) if failure.maybe_done => format!("{}; it may have been done", failure.why),
            (Phase::Query(_) | Phase::Update, _) => failure.why.clone(),
        };
        let server = batch.server.clone();
        self.job.end_batch(&outcome(why));
        // The others would wait for the same server as long.
        self.job.end_server(&server, &outcome(failure.why.clone()));
    }

    /// The answer to where a name belongs.
    fn located(&mut self, judged: &Verified) {
        let Some(name) = self.job.lost.front().map(|item| item.name.clone()) else { return };
        match explain::zone_of(judged, self.config.zone.as_ref(), &name) {
            Ok((zone, primary)) => match self.config.server.clone().or(primary) {
                Some(server) => self.job.place(self.config.zone.is_some(), &zone, &server),
                None => {
                    let why = format!("the zone {zone} names no primary server; set server");
                    self.job.end_name(&name, &person(why));
                }
            },
            Err(why) => self.job.end_name(&name, &person(why)),
        }
    }

    fn answered(&mut self, now: Now, judged: Verified) {
        match self.job.batches.front().map(|batch| batch.phase) {
            Some(Phase::Query(_)) => self.queried(judged),
            Some(Phase::Update) => self.updated(now, &judged),
            Some(Phase::Check(_)) => self.checked(judged),
            None => {}
        }
    }

    /// What is there, before the update.
    fn queried(&mut self, judged: Verified) {
        let Some(batch) = self.job.batches.front_mut() else { return };
        let Some(item) = batch.item() else { return };
        match (held(judged, item), batch.signed_questions) {
            (Held::Alias(target), _) => {
                let why = explain::alias(&item.name, &target);
                self.job.end_item(person(why));
            }
            (Held::Addresses { right: true, ours: true }, _) => {
                self.job.end_item(Outcome::Published { changed: false });
            }
            // The update will tell what is wrong with our signature.
            (Held::Nothing, true) => {
                batch.signed_questions = false;
                batch.phase = Phase::Update;
            }
            _ => batch.step(),
        }
    }

    fn updated(&mut self, now: Now, judged: &Verified) {
        let Some(batch) = self.job.batches.front_mut() else { return };
        let side =
            Side { zone: &batch.zone, server: &batch.server, key: self.config.key.as_ref(), now: now.unix };
        if let Verified::Answer { message, tsig_error: 0, .. } = judged {
            match message.flags.rcode() {
                rcode::NOERROR => {
                    batch.phase = Phase::Check(0);
                    return;
                }
                // PowerDNS refuses an address beside an alias. And perhaps the first
                // of two messages of ours was at work: query.
                code if is_worth_a_query(code, batch.items.len()) => {
                    batch.phase = Phase::Check(0);
                    batch.doubt = Some(side.refusal(code));
                    return;
                }
                _ => {}
            }
        }
        let refused = side.explain(judged);
        if refused.of_one && batch.items.len() > 1 {
            self.job.split();
        } else {
            self.job.end_batch(&refused.outcome);
        }
    }

    /// What is there, after the update.
    fn checked(&mut self, judged: Verified) {
        let Some(batch) = self.job.batches.front_mut() else { return };
        let Some(item) = batch.item() else { return };
        let outcome = match (held(judged, item), &batch.doubt) {
            (Held::Nothing, _) if batch.signed_questions => {
                batch.signed_questions = false;
                return;
            }
            (Held::Alias(target), _) => person(explain::alias(&item.name, &target)),
            // A server that accepts and answers no questions of ours may do so.
            (Held::Addresses { right: true, .. }, _) | (Held::Nothing, None) => {
                Outcome::Published { changed: true }
            }
            (_, Some(doubt)) => person(doubt.clone()),
            (Held::Addresses { .. }, None) => Outcome::Retry {
                why: explain::ignored(&batch.server, &batch.zone, item),
                after: None,
                reached: true,
            },
        };
        self.job.end_item(outcome);
    }
}

fn is_worth_a_query(code: u8, items: usize) -> bool {
    match code {
        rcode::NXDOMAIN | rcode::YXDOMAIN | rcode::YXRRSET | rcode::NXRRSET => true,
        rcode::REFUSED => items == 1,
        _ => false,
    }
}

fn person(why: String) -> Outcome {
    Outcome::Retry { why, after: Some(PERSON), reached: true }
}

/// Deletes the set of addresses and adds the one.
fn replace(item: &Item, ttl: u32) -> [Record; 2] {
    let (name, kind) = (item.name.clone(), item.kind());
    let delete = Record { name: name.clone(), kind, class: class::ANY, ttl: 0, data: Rdata::Raw(Vec::new()) };
    [delete, Record { name, kind, class: class::IN, ttl, data: item.data() }]
}

/// What a server says is there.
enum Held {
    /// Addresses, or none.
    Addresses {
        /// Whether it is the wanted one alone.
        right: bool,
        /// Whether the server is responsible for it.
        ours: bool,
    },
    /// The name stands for another one.
    Alias(Name),
    /// It does not say.
    Nothing,
}

fn held(judged: Verified, item: &Item) -> Held {
    let Verified::Answer { message, tsig_error: 0, .. } = judged else { return Held::Nothing };
    if !matches!(message.flags.rcode(), rcode::NOERROR | rcode::NXDOMAIN) {
        return Held::Nothing;
    }
    let about = || message.answers.iter().filter(|record| record.name == item.name);
    for record in about() {
        if let Rdata::Cname(target) = &record.data {
            return Held::Alias(target.clone());
        }
    }
    let wanted = item.data();
    let mut addresses = about().filter(|record| record.kind == item.kind()).map(|record| &record.data);
    let right = addresses.next() == Some(&wanted) && addresses.next().is_none();
    Held::Addresses { right, ours: message.flags.is_authoritative() }
}

#[cfg(test)]
mod tests;
