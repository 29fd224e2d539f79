//! The records that a job is about, as they are at Cloudflare.

use std::collections::{HashMap, HashSet};

use super::api::{LIST_REPLY, NAMED_A_PAGE, RECORDS_A_PAGE};
use super::reply::Record;
use super::session::{About, Scope, Session, Stop};
use super::{MAX_PAGES, needs_person, reply};
use crate::config;

/// Bytes of the pages of one zone; beyond, each record is looked up by its name.
const MAX_LIST: usize = 8 * 1024 * 1024;
/// Records kept of one name and type.
const MAX_ALIKE: usize = 100;
/// Records kept in a job beyond the first of each name, all names together; a name that
/// takes more is left as it is.
const MAX_SPARE: usize = 500;
/// Pages of one name and type, in case that a server does not heed the question.
const MAX_NAMED_PAGES: usize = 5;

/// Name and AAAA.
pub(super) type Key = (String, bool);

impl Record {
    fn key(&self) -> Key {
        (self.name.clone(), self.aaaa)
    }
}

/// The records of one zone, as far as they are wanted.
#[derive(Debug, Default)]
pub(super) struct Records<'c> {
    /// By what was looked up; empty where there is none.
    known: HashMap<Key, Vec<Record>>,
    /// The comments that the configuration knows; others are not kept.
    comments: HashSet<&'c str>,
    /// Whether all of the zone was read.
    pub(super) complete: bool,
}

impl<'c> Records<'c> {
    pub(super) fn new(config: &'c config::Cloudflare) -> Self {
        let comments = config.records.iter().filter_map(|record| record.comment.as_deref()).collect();
        Self { comments, ..Self::default() }
    }

    /// Whether `key` was looked up.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.known.contains_key(key)
    }

    /// The records of `key`, as far as known.
    pub(super) fn get(&self, key: &Key) -> &[Record] {
        self.known.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes over what a change made of a record, if its name and type were looked up.
    pub(super) fn set(&mut self, record: Record) {
        let record = self.without_foreign_comment(record);
        let Some(alike) = self.known.get_mut(&record.key()) else { return };
        alike.retain(|known| known.id != record.id);
        alike.push(record);
    }

    /// The record without a comment that nobody asks for, which may be as long as a reply.
    fn without_foreign_comment(&self, record: Record) -> Record {
        let known = self.comments.contains(record.comment.as_str());
        Record { comment: if known { record.comment } else { String::new() }, ..record }
    }

    /// Reads the list of the zone, unless it is too long for what is wanted of it.
    pub(super) fn list(
        &mut self,
        zone: &str,
        wanted: &HashSet<Key>,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Stop> {
        self.complete = self.list_all(zone, wanted, session)?;
        if self.complete {
            for key in wanted {
                self.known.entry(key.clone()).or_default();
            }
        } else {
            self.known.clear();
        }
        Ok(())
    }

    /// Whether that was done; otherwise each record is to be looked up by its name.
    fn list_all(
        &mut self,
        zone: &str,
        wanted: &HashSet<Key>,
        session: &mut Session<'_, '_>,
    ) -> Result<bool, Stop> {
        let mut left = MAX_LIST;
        for number in 1..=MAX_PAGES {
            let reply = session.reply(&session.api.records(zone, number));
            let length = reply.as_ref().map_or(0, |reply| reply.body.len());
            let is_wanted = |record: &Record| wanted.contains(&record.key());
            let page = reply.and_then(|reply| reply::records(&reply, RECORDS_A_PAGE, is_wanted));
            let page = match page {
                Ok(page) => page,
                // Cut off: its records are too large for pages of our size.
                Err(_) if length >= LIST_REPLY => return Ok(false),
                Err(trouble) => match session.stop(trouble, About::Records) {
                    Stop { scope: Scope::Record, .. } => return Ok(false),
                    stop => return Err(stop),
                },
            };
            left = left.saturating_sub(length);
            self.keep(page.entries);
            if self.are_too_many() {
                return Ok(false);
            }
            if page.last {
                return Ok(true);
            }
            let dear = page.pages.is_some_and(|pages| pages.saturating_sub(number) > wanted.len());
            if dear || left == 0 {
                break;
            }
        }
        Ok(false)
    }

    /// Looks up the records of `key`, known or not.
    pub(super) fn find(&mut self, zone: &str, key: &Key, session: &mut Session<'_, '_>) -> Result<(), Stop> {
        self.known.remove(key);
        let mut number = 1;
        loop {
            let reply = session.reply(&session.api.records_named(zone, &key.0, key.1, number));
            let is_wanted = |record: &Record| record.key() == *key;
            let page = reply.and_then(|reply| reply::records(&reply, NAMED_A_PAGE, is_wanted));
            let page = page.map_err(|trouble| session.stop(trouble, About::Records))?;
            self.keep(page.entries);
            let too_many = self.are_too_many();
            if page.last && !too_many {
                self.known.entry(key.clone()).or_default();
                return Ok(());
            }
            number = number.saturating_add(1);
            if number > MAX_NAMED_PAGES || too_many {
                self.known.remove(key);
                let why = format!("Cloudflare shows no end of records for {:?}; nothing was changed", key.0);
                return Err(Stop { scope: Scope::Record, outcome: needs_person(why) });
            }
        }
    }

    fn are_too_many(&self) -> bool {
        self.known.values().map(|alike| alike.len().saturating_sub(1)).sum::<usize>() > MAX_SPARE
    }

    /// Each record once: a list shifts when someone deletes one meanwhile.
    fn keep(&mut self, records: Vec<Record>) {
        for record in records {
            let record = self.without_foreign_comment(record);
            let alike = self.known.entry(record.key()).or_default();
            if alike.len() < MAX_ALIKE && alike.iter().all(|known| known.id != record.id) {
                alike.push(record);
            }
        }
    }
}
