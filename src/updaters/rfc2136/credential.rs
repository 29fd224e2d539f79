//! What a name server says to a signed question: whether it knows the key.

use std::collections::BTreeSet;

use super::explain::{self, Side};
use super::job::Job;
use crate::dns::answer::Verified;
use crate::updaters::{Outcome, Tested};

impl Job<'_, '_> {
    /// Asks for the start of each zone that is to be changed.
    pub(super) fn test(mut self) -> Vec<Tested> {
        let (mut said, mut seen) = (Vec::new(), BTreeSet::new());
        let config = self.config;
        for record in &config.records {
            let place = match self.place_of(&record.name) {
                Ok(place) => place,
                Err(outcome) => {
                    said.push(Err(why(outcome)));
                    continue;
                }
            };
            if !seen.insert(place.clone()) {
                continue;
            }
            let ((zone, server), key) = (&place, config.key.as_ref());
            let request = self.start_of(zone, Some(server), key);
            let line = match self.send(&request) {
                Err(failure) => Err(failure.why),
                Ok(answer) => {
                    match (&answer.verified, explain::zone_of(config, &answer.verified, Some(zone), zone)) {
                        (Verified::Answer { tsig_error: 0, .. }, Ok(_)) if key.is_some() => Ok(format!(
                            "{server} knows the zone {zone} and our key; whether the key may change it, only an update shows"
                        )),
                        (Verified::Answer { tsig_error: 0, .. }, Ok(_)) => {
                            Ok(format!("{server} knows the zone {zone}; there is no key to test"))
                        }
                        (Verified::Answer { tsig_error: 0, .. }, Err(why)) => Err(why),
                        (refused, _) => {
                            Err(why(Side { zone, server, key, now: answer.unix }.explain(refused).outcome))
                        }
                    }
                }
            };
            said.push(line);
        }
        said.dedup();
        said
    }
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry { why, .. }
        | Outcome::NeedsPerson { why }
        | Outcome::Blocked { why }
        | Outcome::Refused { why, .. } => why,
        Outcome::Dropped { .. } | Outcome::Published { .. } => String::new(),
    }
}
