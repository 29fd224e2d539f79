//! The records to bring up to date, and the messages that do it (RFC 2136, section 2.5).

use std::net::IpAddr;

use crate::config;
use crate::dns::message::{Flags, Message, Question, Rdata, Record, UPDATE, class, kind};
use crate::dns::name::Name;
use crate::updaters::Task;

/// Records in one message: its answer may repeat them all, twice as many with what
/// they replace, and we read 512.
const MAX_RECORDS: usize = 250;

/// Their bytes; leaves room for the zone and a signature.
const MAX_BYTES: usize = 60_000;

/// One record to bring up to date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PendingRecord {
    pub(super) entry: usize,
    pub(super) name: Name,
    pub(super) address: IpAddr,
}

impl PendingRecord {
    pub(super) fn of(config: &config::Rfc2136, task: &Task) -> Result<Self, &'static str> {
        let record = config.records.get(task.entry).ok_or("there is no such record in the configuration")?;
        let Task { addresses, .. } = task;
        let address =
            if record.aaaa { addresses.ipv6.map(IpAddr::V6) } else { addresses.ipv4.map(IpAddr::V4) };
        let address = address.ok_or("there is no address for it")?;
        Ok(Self { entry: task.entry, name: record.name.clone(), address })
    }

    pub(super) fn kind(&self) -> u16 {
        if self.address.is_ipv4() { kind::A } else { kind::AAAA }
    }

    pub(super) fn data(&self) -> Rdata {
        match self.address {
            IpAddr::V4(address) => Rdata::A(address),
            IpAddr::V6(address) => Rdata::Aaaa(address),
        }
    }

    pub(super) fn question(&self) -> Question {
        Question { name: self.name.clone(), kind: self.kind(), class: class::IN }
    }

    /// Deletes the set of addresses and adds the one.
    pub(super) fn replacement(&self, ttl: u32) -> [Record; 2] {
        let (name, kind) = (self.name.clone(), self.kind());
        let none = Rdata::Raw(Vec::new());
        let delete = Record { name: name.clone(), kind, class: class::ANY, ttl: 0, data: none };
        [delete, Record { name, kind, class: class::IN, ttl, data: self.data() }]
    }
}

/// Parts that fit a message; none divides a name.
pub(super) fn batches(records: Vec<PendingRecord>) -> Vec<Vec<PendingRecord>> {
    let mut batches: Vec<Vec<PendingRecord>> = Vec::new();
    let mut bytes = 0_usize;
    for record in records {
        // Name, type, class, time to live and length, twice, and the address once.
        let more = record.name.wire().len().saturating_mul(2).saturating_add(36);
        bytes = bytes.saturating_add(more);
        let fits = |batch: &&mut Vec<PendingRecord>| {
            (batch.len() < MAX_RECORDS && bytes <= MAX_BYTES)
                || batch.last().is_some_and(|last| last.name == record.name)
        };
        match batches.last_mut().filter(fits) {
            Some(batch) => batch.push(record),
            None => {
                bytes = more;
                batches.push(vec![record]);
            }
        }
    }
    batches
}

/// The one message that brings all of `records` up to date.
pub(super) fn replacement(zone: &Name, records: &[PendingRecord], ttl: u32) -> Message {
    Message {
        flags: Flags::request(UPDATE, false),
        questions: vec![Question { name: zone.clone(), kind: kind::SOA, class: class::IN }],
        authority: records.iter().flat_map(|record| record.replacement(ttl)).collect(),
        ..Message::default()
    }
}
