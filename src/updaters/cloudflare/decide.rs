//! Deciding: what a record needs, from what is known of it. Pure.

use super::api::kind_name;
use super::reply::Record;
use super::session::blocked;
use super::{Item, is_within, needs_person};
use crate::config::idn::is_relative;
use crate::updaters::Outcome;

/// Contents that are told of several records.
const MAX_TOLD: usize = 5;

/// What is to be done about an item.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// Nothing: this is its outcome.
    Done(Outcome),
    /// The record with this id is to be changed.
    Change(String),
    /// A record is to be created.
    Create,
}

/// `alike` have the item's name and type. Never a guess: a record is ours by its
/// comment, because there is no other, or because it holds what was sent last.
pub(super) fn decide(item: &Item<'_>, alike: &[Record]) -> Decision {
    match ours(item, alike) {
        Ok(Some(record)) if holds(record, item) => Decision::Done(Outcome::Published { changed: false }),
        Ok(Some(record)) => Decision::Change(record.id.clone()),
        Ok(None) if item.record.create => Decision::Create,
        Ok(None) => Decision::Done(missing(item)),
        Err(Unclear) => Decision::Done(unclear(item, alike)),
    }
}

/// Nothing says which of several records is ours.
struct Unclear;

/// Our record; `None`: there is none, or only such as belong to other entries.
fn ours<'r>(item: &Item<'_>, alike: &'r [Record]) -> Result<Option<&'r Record>, Unclear> {
    let own = item.record.comment.as_deref();
    if let Some(comment) = own {
        let mut bearing = alike.iter().filter(|record| record.comment == comment);
        match (bearing.next(), bearing.next()) {
            (Some(ours), None) => return Ok(Some(ours)),
            (Some(_), Some(_)) => return Err(Unclear),
            (None, _) => {}
        }
    }
    let is_free =
        |record: &&Record| own == Some(&*record.comment) || !item.taken.contains(&record.comment.as_str());
    let free: Vec<&Record> = alike.iter().filter(is_free).collect();
    match free.as_slice() {
        [] => Ok(None),
        // Beside the record of another entry, one without our comment may be anyone's.
        &[only] if alike.len() == 1 || own.is_none() => Ok(Some(only)),
        several => {
            let mut sent = several.iter().filter(|record| item.old.is_some() && record.content == item.old);
            match (sent.next(), sent.next()) {
                (Some(ours), None) => Ok(Some(ours)),
                _ => Err(Unclear),
            }
        }
    }
}

/// Whether `record` holds the item's address and configured settings.
fn holds(record: &Record, item: &Item<'_>) -> bool {
    let wanted = item.record;
    let proxied = wanted.proxied.unwrap_or(record.proxied);
    record.content == Some(item.address)
        && proxied == record.proxied
        && wanted.comment.as_ref().is_none_or(|comment| *comment == record.comment)
        // The TTL of a proxied record is always automatic.
        && (proxied || wanted.ttl.is_none_or(|ttl| Some(u64::from(ttl)) == record.ttl))
}

fn missing(item: &Item<'_>) -> Outcome {
    let (kind, name) = (kind_name(item.record.aaaa), &item.name);
    needs_person(format!(
        "the zone has no {kind} record {name:?}; create it at Cloudflare, or set create = true"
    ))
}

fn unclear(item: &Item<'_>, alike: &[Record]) -> Outcome {
    let todo = match &item.record.comment {
        Some(comment) => format!("exactly one of them must bear the comment {comment:?}"),
        None => "set comment here to that of the right one, or delete the others".to_owned(),
    };
    let contents: Vec<String> =
        alike.iter().filter_map(|record| record.content).take(MAX_TOLD).map(|ip| ip.to_string()).collect();
    let more = if alike.len() > contents.len() { ", ..." } else { "" };
    let (count, kind, name) = (alike.len(), kind_name(item.record.aaaa), &item.name);
    let why = format!(
        "the zone has {count} {kind} records {name:?} ({}{more}) and none holds what was sent last; none was changed; \
         {todo}",
        contents.join(", ")
    );
    needs_person(why)
}

/// The full name of `name` in `zone`, if it can be there: `@` is the zone, a name of one
/// label (or a wildcard of one) is completed, any other must be inside.
pub(super) fn full_name(name: &str, zone: &str) -> Option<String> {
    if name == "@" {
        Some(zone.to_owned())
    } else if is_within(name, zone) {
        Some(name.to_owned())
    } else if is_relative(name) {
        Some(format!("{name}.{zone}"))
    } else {
        None
    }
}

/// `name` belongs to another zone than the one of zone_id, as far as the name of that is
/// shown.
pub(super) fn outside(name: &str, zone: &str) -> Outcome {
    blocked(format!(
        "{name:?} is not inside \"{zone}\", the zone that zone_id names; correct zone_id or the name, which for a \
         record of that zone is written in full: \"{name}.{zone}\""
    ))
}
