//! One job, from the wanted addresses to an outcome for each record.

use std::collections::BTreeMap;

use super::explain::{self, Side};
use super::record::{PendingRecord, batches, replacement};
use super::{Answer, Ask, Request, needs_person, rcode};
use crate::config;
use crate::dns::answer::Verified;
use crate::dns::message::{Flags, Message, QUERY, Question, Rdata, class, kind};
use crate::dns::name::Name;
use crate::dns::server::{Server, Transport};
use crate::dns::tsig::Key;
use crate::updaters::{Failure, Outcome, Task};

/// A zone, and the server where it is changed.
type Place = (Name, Server);

/// A job at work.
pub(super) struct Job<'a, 'b> {
    pub(super) config: &'a config::Rfc2136,
    pub(super) ask: &'a mut Ask<'b>,
    /// Whom nobody could ask, and why (`None`: the system's resolver). They are not
    /// asked again in this job: every other record would wait for them as long.
    pub(super) silent: BTreeMap<Option<Server>, String>,
    pub(super) outcomes: Vec<(usize, Outcome)>,
}

impl Job<'_, '_> {
    pub(super) fn run(mut self, tasks: &[Task]) -> Vec<(usize, Outcome)> {
        let mut records = Vec::new();
        for task in tasks {
            match PendingRecord::of(self.config, task) {
                Ok(record) => records.push(record),
                Err(why) => self.outcomes.push((task.entry, needs_person(why.to_owned()))),
            }
        }
        // A and AAAA of one name stand together, and so change together.
        records.sort_by(|one, other| (&one.name, one.entry).cmp(&(&other.name, other.entry)));
        for (place, records) in self.locate(records) {
            for batch in batches(records) {
                self.publish(&place, batch);
            }
        }
        self.outcomes
    }

    fn end(&mut self, records: impl IntoIterator<Item = PendingRecord>, outcome: &Outcome) {
        self.outcomes.extend(records.into_iter().map(|record| (record.entry, outcome.clone())));
    }

    pub(super) fn send(&mut self, request: &Request<'_>) -> Result<Answer, Failure> {
        let server = request.server.cloned();
        if let Some(why) = self.silent.get(&server) {
            return Err(Failure { why: why.clone(), maybe_done: false });
        }
        let answer = (self.ask)(request);
        if let Err(failure) = &answer {
            self.silent.insert(server, failure.why.clone());
        }
        answer
    }

    fn transport(&self, signed: bool) -> Transport {
        match (&self.config.key, self.config.transport) {
            // Without a key, only a connection tells that the server is where we sent to.
            (None, _) => Transport::Tcp,
            (Some(_), Transport::Udp) if !signed => Transport::Auto,
            (Some(_), transport) => transport,
        }
    }

    // -- where ----------------------------------------------------------------

    /// The records of each place, which is asked for once a name.
    fn locate(&mut self, records: Vec<PendingRecord>) -> BTreeMap<Place, Vec<PendingRecord>> {
        let mut found: BTreeMap<Place, Vec<PendingRecord>> = BTreeMap::new();
        let mut last: Option<(Name, Result<Place, Outcome>)> = None;
        for record in records {
            let asked = self.config.zone.as_ref().unwrap_or(&record.name).clone();
            let place = match last.take() {
                Some((name, place)) if name == asked => place,
                _ => self.place_of(&record.name),
            };
            match &place {
                Ok(place) => found.entry(place.clone()).or_default().push(record),
                Err(outcome) => self.outcomes.push((record.entry, outcome.clone())),
            }
            last = Some((asked, place));
        }
        found
    }

    /// Where `name` is changed: as the configuration says, else as the resolver does.
    pub(super) fn place_of(&mut self, name: &Name) -> Result<Place, Outcome> {
        let given = self.config.zone.as_ref();
        let (zone, server) = match (given, &self.config.server) {
            (zone, Some(server)) => (zone.cloned(), server.clone()),
            (zone, None) => {
                let answer = self.send(&self.start_of(zone.unwrap_or(name), None, None));
                let answer = answer.map_err(|failure| unreached(failure.why))?;
                let (zone, primary) =
                    explain::zone_of(self.config, &answer.verified, zone, name).map_err(needs_person)?;
                let none = || needs_person(format!("the zone {zone} names no primary server; set server"));
                let primary = primary.ok_or_else(none)?;
                (Some(zone), primary)
            }
        };
        match zone {
            Some(zone) if given.is_some() || self.config.key.is_none() => Ok((zone, server)),
            zone => Ok((self.zone_seen(&server, name, zone)?, server)),
        }
    }

    /// The zone of `name` in the view of the server that our key sees. Of a server
    /// that takes no signed questions: what the resolver said, or what it tells anybody.
    fn zone_seen(&mut self, server: &Server, name: &Name, told: Option<Name>) -> Result<Name, Outcome> {
        let keys = [self.config.key.as_ref(), None];
        let (mut told, mut zone) = (told, Err(String::new()));
        for key in keys.into_iter().skip(usize::from(self.config.key.is_none())) {
            let answer = self.send(&self.start_of(name, Some(server), key));
            let answer = answer.map_err(|failure| unreached(failure.why))?;
            zone = explain::zone_of(self.config, &answer.verified, None, name).map(|(zone, _)| zone);
            zone = zone.or_else(|why| told.take().ok_or(why));
            if zone.is_ok() {
                break;
            }
        }
        zone.map_err(needs_person)
    }

    /// Asks for the start (SOA) of the zone of `name`; without a server, the
    /// system's resolver.
    pub(super) fn start_of<'r>(
        &self,
        name: &Name,
        server: Option<&'r Server>,
        key: Option<&'r Key>,
    ) -> Request<'r> {
        let question = Question { name: name.clone(), kind: kind::SOA, class: class::IN };
        let flags = Flags::request(QUERY, server.is_none());
        Request {
            server,
            transport: if server.is_none() { Transport::Udp } else { self.transport(key.is_some()) },
            key,
            message: Message { flags, questions: vec![question], ..Message::default() },
        }
    }

    // -- what is there, change it, and now? -------------------------------------

    /// Brings the records of one message up to date.
    fn publish(&mut self, place: &Place, records: Vec<PendingRecord>) {
        let (mut signed, mut outdated) = (true, Vec::new());
        let mut records = records.into_iter();
        while let Some(record) = records.next() {
            match self.held(place, &record, signed) {
                Ok(Held::Alias(target)) => {
                    let why = explain::alias(self.config, &record.name, &target);
                    self.end([record], &needs_person(why));
                }
                Ok(Held::Addresses { right: true, ours: true }) => {
                    self.end([record], &Outcome::Published { changed: false });
                }
                Ok(Held::Addresses { .. }) => outdated.push(record),
                // The update will tell what is wrong with our signature.
                Ok(Held::Nothing) => {
                    signed = false;
                    outdated.push(record);
                    outdated.extend(records.by_ref());
                }
                Err(failure) => {
                    outdated.push(record);
                    return self.end(outdated.into_iter().chain(records), &unreached(failure.why));
                }
            }
        }
        if !outdated.is_empty() {
            self.update(place, outdated, signed);
        }
    }

    fn update(&mut self, place: &Place, records: Vec<PendingRecord>, signed: bool) {
        let (zone, server) = place;
        let config = self.config;
        let message = replacement(zone, &records, config.ttl);
        let (transport, key) = (self.transport(true), config.key.as_ref());
        let answer = match self.send(&Request { server: Some(server), transport, key, message }) {
            Ok(answer) => answer,
            Err(Failure { why, maybe_done }) => {
                let outcome =
                    if maybe_done { unsure(format!("{why}; it may have been done")) } else { unreached(why) };
                return self.end(records, &outcome);
            }
        };
        let side = Side { zone, server, key, now: answer.unix };
        match accepted(&answer.verified) {
            Some(rcode::NOERROR) => return self.check(place, records, signed, None),
            // PowerDNS refuses an address beside an alias. And perhaps the first of two
            // messages of ours was at work: query.
            Some(code) if is_worth_a_query(code, records.len()) => {
                return self.check(place, records, signed, Some(&side.refusal(code)));
            }
            _ => {}
        }
        let refused = side.explain(&answer.verified);
        if !refused.of_one || records.len() == 1 {
            return self.end(records, &refused.outcome);
        }
        // One that is refused does not keep the others back.
        for record in records {
            self.update(place, vec![record], signed);
        }
    }

    /// What is there, after the update; `doubt` says why it may not be the address.
    fn check(&mut self, place: &Place, records: Vec<PendingRecord>, mut signed: bool, doubt: Option<&str>) {
        let (zone, server) = place;
        for record in records {
            let mut held = self.held(place, &record, signed);
            if signed && matches!(held, Ok(Held::Nothing)) {
                signed = false;
                held = self.held(place, &record, signed);
            }
            let outcome = match (held, doubt) {
                (Err(_), Some(doubt)) => unsure(doubt.to_owned()),
                (Err(Failure { why, .. }), None) => {
                    unsure(format!("the server accepted it, but could not be asked again: {why}"))
                }
                (Ok(Held::Alias(target)), _) => {
                    needs_person(explain::alias(self.config, &record.name, &target))
                }
                // A server that accepts and answers no questions of ours may do so.
                (Ok(Held::Addresses { right: true, .. }), _) | (Ok(Held::Nothing), None) => {
                    Outcome::Published { changed: true }
                }
                (Ok(_), Some(doubt)) => needs_person(doubt.to_owned()),
                (Ok(Held::Addresses { .. }), None) => {
                    let why = explain::ignored(server, zone, &record);
                    Outcome::Retry { why, after: None, reached: true }
                }
            };
            self.end([record], &outcome);
        }
    }

    /// What the server holds for `record`.
    fn held(&mut self, (_, server): &Place, record: &PendingRecord, signed: bool) -> Result<Held, Failure> {
        let message = Message {
            flags: Flags::request(QUERY, false),
            questions: vec![record.question()],
            ..Message::default()
        };
        let key = self.config.key.as_ref().filter(|_| signed);
        let request = Request { server: Some(server), transport: self.transport(signed), key, message };
        self.send(&request).map(|answer| held(&answer.verified, record))
    }
}

/// The code of an answer with which nothing is wrong.
fn accepted(verified: &Verified) -> Option<u8> {
    match verified {
        Verified::Answer { message, tsig_error: 0, .. } => Some(message.flags.rcode()),
        _ => None,
    }
}

fn is_worth_a_query(code: u8, records: usize) -> bool {
    match code {
        rcode::NXDOMAIN | rcode::YXDOMAIN | rcode::YXRRSET | rcode::NXRRSET => true,
        rcode::REFUSED => records == 1,
        _ => false,
    }
}

/// Nobody answered.
fn unreached(why: String) -> Outcome {
    Outcome::Retry { why, after: None, reached: false }
}

/// It may have been done: no quick retry.
fn unsure(why: String) -> Outcome {
    Outcome::Retry { why, after: None, reached: true }
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

fn held(verified: &Verified, record: &PendingRecord) -> Held {
    let Verified::Answer { message, tsig_error: 0, .. } = verified else { return Held::Nothing };
    if !matches!(message.flags.rcode(), rcode::NOERROR | rcode::NXDOMAIN) {
        return Held::Nothing;
    }
    let about = || message.answers.iter().filter(|answer| answer.name == record.name);
    let alias = about().find_map(|answer| match &answer.data {
        Rdata::Cname(target) => Some(target.clone()),
        _ => None,
    });
    if let Some(target) = alias {
        return Held::Alias(target);
    }
    let wanted = record.data();
    let mut addresses = about().filter(|answer| answer.kind == record.kind()).map(|answer| &answer.data);
    let right = addresses.next() == Some(&wanted) && addresses.next().is_none();
    Held::Addresses { right, ours: message.flags.is_authoritative() }
}
