//! What a server's refusal means, and what to check.
//!
//! The same code means different things at different servers (seen at BIND,
//! Knot and PowerDNS): an unsigned refusal names everything that it may be.

use super::record::PendingRecord;
use super::{CLOCK_IS_SET, Outcome, needs_person, rcode};
use crate::config;
use crate::dns::answer::Verified;
use crate::dns::message::Rdata;
use crate::dns::name::Name;
use crate::dns::server::{Host, Server};
use crate::dns::tsig::{Key, TsigError, error};

/// What anything about a signature can be due to.
const CHECKS: &str = "check the key's name, algorithm and secret, and the clocks of both sides";

/// Who talks to whom about what.
pub(super) struct Side<'a> {
    pub(super) zone: &'a Name,
    pub(super) server: &'a Server,
    pub(super) key: Option<&'a Key>,
    /// Seconds of the Unix epoch.
    pub(super) now: u64,
}

/// A refusal.
pub(super) struct Refused {
    pub(super) outcome: Outcome,
    /// Whether it may be due to one of several records.
    pub(super) of_one: bool,
}

impl Side<'_> {
    /// What an answer other than success means.
    pub(super) fn explain(&self, judged: &Verified) -> Refused {
        let refused = self.meaning(judged);
        match refused.outcome {
            // Routers without a battery learn the time soon after they start.
            Outcome::Retry { why, .. } | Outcome::NeedsPerson { why }
                if self.key.is_some() && self.now < CLOCK_IS_SET =>
            {
                let why = format!("{why}; this machine's clock is not set yet");
                Refused { outcome: Outcome::Retry { why, after: None, reached: true }, ..refused }
            }
            _ => refused,
        }
    }

    fn meaning(&self, judged: &Verified) -> Refused {
        match judged {
            Verified::Answer { tsig_error: error::BADTIME, server_time: Some(theirs), .. } => {
                Refused { outcome: needs_person(self.clock(*theirs)), of_one: false }
            }
            Verified::Answer { tsig_error, .. } if *tsig_error != 0 => self.signature(*tsig_error, true),
            Verified::Answer { message, .. } => self.code(message.flags.rcode()),
            Verified::Unproven { tsig_error: Some(code), .. } if *code != 0 => self.signature(*code, false),
            Verified::Unproven { why: TsigError::Time(seconds), .. } => {
                let why = format!(
                    "the answer of {} is signed at a time {} away from this machine's: set the clocks of both, \
                     with NTP for example",
                    self.server,
                    words(*seconds)
                );
                Refused { outcome: needs_person(why), of_one: false }
            }
            Verified::Unproven { rcode, why, .. } => self.unproven(*rcode, *why),
            Verified::NotAnAnswer => {
                let why = format!("what {} sent is no answer", self.server);
                Refused { outcome: Outcome::Retry { why, after: None, reached: true }, of_one: false }
            }
        }
    }

    /// The server says something of our signature.
    fn signature(&self, code: u16, proven: bool) -> Refused {
        let (key, server, zone) = (self.key(), self.server, self.zone);
        let (why, of_one) = match code {
            error::BADSIG => (
                format!(
                    "{server} finds our signature wrong (BADSIG): check the secret of {key}, and its algorithm"
                ),
                false,
            ),
            error::BADKEY => (
                format!(
                    "{server} does not take {key} for this (BADKEY): check the key's name and algorithm, and its \
                     rights in the zone {zone} (Knot says this for missing rights, too)"
                ),
                true,
            ),
            error::BADTIME => (
                format!(
                    "{server} says that the clocks differ too much (BADTIME): set both, with NTP for example"
                ),
                false,
            ),
            error::BADTRUNC => {
                (format!("{server} wants longer signatures than {key} makes (BADTRUNC)"), false)
            }
            code => (format!("{server} refuses the signature by {key} with error {code}"), false),
        };
        let why = if proven { why } else { format!("{why}; the refusal itself is not signed") };
        Refused { outcome: needs_person(why), of_one }
    }

    /// An answer that is not signed as it must be, and says nothing of our signature.
    fn unproven(&self, rcode: u8, why: TsigError) -> Refused {
        let (key, server, name) = (self.key(), self.server, name(rcode));
        let why = match why {
            TsigError::Missing => return self.unsigned(rcode),
            TsigError::OtherKey => {
                format!("{server} answered ({name}), but signed with another key than {key}")
            }
            _ => format!(
                "the answer of {server} ({name}) bears a signature that {key} does not make: {CHECKS}; if they \
                 are right, somebody is in between"
            ),
        };
        Refused { outcome: needs_person(why), of_one: false }
    }

    /// An answer without any signature.
    fn unsigned(&self, rcode: u8) -> Refused {
        let (key, server, zone) = (self.key(), self.server, self.zone);
        let (why, of_one) = match rcode {
            rcode::REFUSED => (
                format!(
                    "{server} refused without a signature ({}): {CHECKS}, and whether {key} may update the \
                     zone {zone} (PowerDNS says no more than this to any of them)",
                    name(rcode)
                ),
                true,
            ),
            rcode::NOTAUTH => (
                format!(
                    "{server} says, without a signature, that it is not responsible (NOTAUTH): check server and \
                     zone ({zone}); if they are right, {CHECKS}"
                ),
                false,
            ),
            rcode::NOERROR => (
                format!(
                    "{server} answered without a signature, which proves nothing: does it know {key}? {CHECKS}"
                ),
                false,
            ),
            rcode::NOTZONE => (self.refusal(rcode), true),
            rcode::NOTIMP | rcode::FORMERR | rcode::SERVFAIL => return self.code(rcode),
            _ => (format!("{server} answered {} without a signature: {CHECKS}", name(rcode)), false),
        };
        Refused { outcome: needs_person(why), of_one }
    }

    /// The code of a proven answer.
    fn code(&self, code: u8) -> Refused {
        let outcome = match code {
            rcode::SERVFAIL => Outcome::Retry { why: self.refusal(code), after: None, reached: true },
            _ => needs_person(self.refusal(code)),
        };
        Refused { outcome, of_one: matches!(code, rcode::REFUSED | rcode::NOTZONE) }
    }

    /// What a code means when nothing is wrong with the signature.
    pub(super) fn refusal(&self, code: u8) -> String {
        let (server, zone, name) = (self.server, self.zone, name(code));
        match (code, self.key) {
            (rcode::REFUSED, Some(_)) => format!(
                "{server} knows {}, but refuses the update ({name}): check the key's rights for this name and type \
                 in the zone {zone} (update-policy or allow-update of BIND, acl of Knot, TSIG-ALLOW-DNSUPDATE of \
                 PowerDNS)",
                self.key()
            ),
            (rcode::REFUSED, None) => format!(
                "{server} refuses updates of the zone {zone} without a key ({name}): set key and secret, or let the \
                 server take updates from this address (a zone of Windows that takes \"secure only\" updates \
                 cannot be updated from here)"
            ),
            (rcode::NOTAUTH, _) => format!(
                "{server} is not responsible for the zone {zone} ({name}): check server and zone{}",
                if self.key.is_some() {
                    ""
                } else {
                    "; without a key, Knot says this to whom it wants a key from"
                }
            ),
            (rcode::NOTZONE, _) => {
                format!("the name is not inside the zone {zone}, says {server} ({name}): check zone and name")
            }
            (rcode::NOTIMP, _) => {
                format!("{server} does not know DNS UPDATE ({name}): is it the zone's primary?")
            }
            (rcode::SERVFAIL, _) => format!("{server} has a fault of its own ({name})"),
            (rcode::FORMERR, _) => format!("{server} does not understand the update ({name})"),
            _ => format!(
                "{server} answered {name} to the update of the zone {zone}, and does not hold the address"
            ),
        }
    }

    /// Both clocks, from an answer that is proven.
    fn clock(&self, theirs: u64) -> String {
        let direction = if self.now > theirs { "ahead of" } else { "behind" };
        format!(
            "this machine's clock is {} {direction} that of {} (BADTIME): set the one that is wrong, with NTP for \
             example",
            words(self.now.abs_diff(theirs)),
            self.server
        )
    }

    fn key(&self) -> String {
        self.key
            .map_or("no key".to_owned(), |key| format!("the key \"{}\" ({})", key.name, key.algorithm.name()))
    }
}

/// A difference of clocks as people say it.
fn words(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The name of a code (RFC 1035, section 4.1.1; RFC 2136, section 2.2).
fn name(code: u8) -> String {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
        "NOTAUTH", "NOTZONE",
    ];
    NAMES.get(usize::from(code)).map_or_else(|| format!("code {code}"), |name| (*name).to_owned())
}

/// A name that stands for another cannot hold addresses.
pub(super) fn alias(config: &config::Rfc2136, name: &Name, target: &Name) -> String {
    format!(
        "{name} is an alias (CNAME) for {} and so cannot hold an address: remove the CNAME record, or update the \
         name that it leads to",
        config.shown(target)
    )
}

/// NOERROR, and nothing changed.
pub(super) fn ignored(server: &Server, zone: &Name, record: &PendingRecord) -> String {
    format!(
        "{server} accepted the update of {}, but does not show {}: does it show another view of the zone {zone}, \
         or is it a secondary that is still waiting?",
        record.name, record.address
    )
}

/// The zone that `name` belongs to and its primary server, if it names one.
pub(super) fn zone_of(
    config: &config::Rfc2136,
    judged: &Verified,
    zone: Option<&Name>,
    name: &Name,
) -> Result<(Name, Option<Server>), String> {
    let Verified::Answer { message, .. } = judged else {
        return Err(format!("the zone of {name} could not be found; set server and zone"));
    };
    let wanted = zone.unwrap_or(name);
    for record in &message.answers {
        if let (Rdata::Cname(target), true) = (&record.data, record.name == *wanted) {
            return Err(alias(config, name, target));
        }
    }
    let start = message.answers.iter().chain(&message.authority).find_map(|record| match &record.data {
        // With the zone given, only its own start will do.
        Rdata::Soa { primary, .. }
            if zone.map_or(name.is_within(&record.name), |zone| *zone == record.name) =>
        {
            Some((record.name.clone(), primary))
        }
        _ => None,
    });
    let Some((found, primary)) = start else {
        let code = self::name(message.flags.rcode());
        return Err(match zone {
            Some(zone) => {
                format!("the primary server of the zone {zone} could not be found ({code}); set server")
            }
            None => format!("the zone of {name} could not be found ({code}); set zone"),
        });
    };
    let server = Server::parse(&primary.to_string()).filter(|server| matches!(server.host, Host::Name(_)));
    Ok((found, server))
}
