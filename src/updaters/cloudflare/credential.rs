//! What a token may do, by questions that change nothing.

use std::collections::BTreeSet;

use super::reply::{self, RefusalKind, Trouble};
use super::session::{About, Session, Stop};
use super::zones::Zones;
use crate::config;
use crate::updaters::{Ask, Outcome, Tested};

pub(super) fn test(config: &config::Cloudflare, ask: &mut Ask<'_>) -> Vec<Tested> {
    let mut session = Session::new(config, ask);
    let (mut zones, mut said) = (Zones::new(config), Vec::new());
    let verified = session.reply(&session.api.token_status());
    said.push(match verified.and_then(|reply| reply::is_active(&reply)) {
        Ok(true) => Ok("the token is active".to_owned()),
        Ok(false) => Err("the token is not active: it is disabled or expired; correct it".to_owned()),
        // Those of an account are asked for elsewhere; what they may do counts.
        Err(trouble) => Ok(format!("the token is not confirmed as one of a user ({})", trouble.said)),
    });
    let about = if config.zone_id.is_some() { About::Records } else { About::Zones };
    let mut seen = BTreeSet::new();
    for record in &config.records {
        let zone = match &config.zone_id {
            Some(_) => Ok(0),
            None => zones.find(&record.name, &mut session),
        };
        match zone {
            Ok(zone) if !seen.insert(zone) => {}
            Ok(zone) => said.push(zone_line(about, &zones, zone, &mut session)),
            Err(Stop { outcome, .. }) => said.push(Err(why(&outcome))),
        }
    }
    said.dedup();
    said
}

fn zone_line(about: About, zones: &Zones, zone: usize, session: &mut Session<'_, '_>) -> Tested {
    let id = zones.id(zone).unwrap_or_default();
    let name = zones.name(zone).map_or_else(|| "with the configured zone_id".to_owned(), str::to_owned);
    let asked = session.reply(&session.api.zone(id));
    let mut rights = asked.and_then(|reply| reply::may_edit(&reply));
    // With its id, a zone need not be shown: DNS:Edit alone is enough.
    if let (About::Records, Err(Trouble { kind: RefusalKind::Denied | RefusalKind::Forbidden, .. })) =
        (about, &rights)
    {
        let asked = session.reply(&session.api.records(id, 1));
        rights = asked.and_then(|reply| reply::names(&reply)).map(|_| None);
    }
    match rights {
        Ok(Some(true)) => Ok(format!("the zone {name}: found, and the token may edit its DNS")),
        Ok(Some(false)) => Err(format!(
            "the zone {name}: found, but the token may not edit its DNS: give it the permission DNS:Edit"
        )),
        Ok(None) => Ok(format!("the zone {name}: found; whether the token may edit its DNS is not said")),
        Err(trouble) => Err(format!("the zone {name}: {}", why(&session.stop(trouble, about).outcome))),
    }
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Retry { why, .. }
        | Outcome::NeedsPerson { why }
        | Outcome::Blocked { why }
        | Outcome::Refused { why, .. } => why.clone(),
        Outcome::Dropped { .. } | Outcome::Published { .. } => String::new(),
    }
}
