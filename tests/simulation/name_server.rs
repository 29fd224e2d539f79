//! A name server of one's own that takes DNS UPDATE.

use std::collections::BTreeMap;
use std::time::Duration;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::dns::answer::Sent;
use ddns_update_daemon::dns::client::TIMEOUT;
use ddns_update_daemon::dns::message::{Flags, Message, Rdata, Record, UPDATE, class, kind};
use ddns_update_daemon::dns::name::Name;
use ddns_update_daemon::dns::tsig;
use ddns_update_daemon::updaters::Failure;
use ddns_update_daemon::updaters::rfc2136::Answer;

use crate::chance::Chance;
use crate::providers::{Change, Held, Mood};
use crate::turns::DnsQuestion;

const REFUSED: u16 = 5;
const SERVFAIL: u16 = 2;
const NOTAUTH: u16 = 9;

/// What became of a message.
pub(crate) struct Served {
    pub(crate) changes: Vec<Change>,
    pub(crate) took: Duration,
    pub(crate) answer: Result<Answer, Failure>,
}

/// `unix`: what the daemon's clock says; the server's says `right`.
pub(crate) fn serve(
    records: &mut BTreeMap<String, Held>,
    mood: Mood,
    question: &DnsQuestion,
    (unix, right): (u64, u64),
    chance: &mut Chance,
) -> Served {
    let message = Message { id: chance.number() as u16, ..question.message.clone() };
    let sent = Sent::new(&message, question.key.as_ref(), unix);
    let asked = Message::parse(&sent.bytes).expect("our own message is one");
    let changes = changes(&asked);
    let failed = |why: &str, maybe_done| Err(Failure { why: why.to_owned(), maybe_done });
    let late = unix.abs_diff(right) > 300 && question.key.is_some();
    let does = matches!(mood, Mood::Well | Mood::Slow | Mood::TakesSilently | Mood::Mumbling(_)) && !late;
    if does {
        for change in &changes {
            records.entry(change.name.clone()).or_default().take(change);
        }
    }
    let took = match mood {
        Mood::Slow => chance.time(Duration::from_secs(1), Duration::from_secs(28)),
        Mood::TakesSilently | Mood::Silent | Mood::Nonsense(_) => TIMEOUT,
        _ => chance.millis(2, 200),
    };
    let updates = asked.flags.opcode() == UPDATE;
    let rcode = match mood {
        Mood::Closed => return Served { changes, took, answer: failed("connection refused", false) },
        Mood::TakesSilently | Mood::Silent | Mood::Nonsense(_) => {
            return Served { changes, took, answer: failed("it did not answer in time", true) };
        }
        Mood::Status(_) => SERVFAIL,
        Mood::Wishing(..) | Mood::Word(_) if updates => REFUSED,
        Mood::Refusing(_) => NOTAUTH,
        _ => 0,
    };
    let flags = Flags(asked.flags.0 | 0x8400 | rcode);
    let answers = if rcode == 0 && !updates { answers(records, &asked) } else { Vec::new() };
    let authority = if rcode == 0 && !updates && answers.is_empty() { vec![soa()] } else { Vec::new() };
    let reply = Message { flags, answers, authority, additional: Vec::new(), ..asked.clone() };
    let mac =
        asked.additional.last().and_then(tsig::Signature::parse).and_then(Result::ok).map(|found| found.mac);
    let bytes = match (&question.key, mac) {
        (Some(key), Some(mac)) if late => {
            let flags = Flags(asked.flags.0 | 0x8400 | NOTAUTH);
            let other = [&[0, 0][..], &(right as u32).to_be_bytes()].concat();
            let reply = Message { flags, answers: Vec::new(), ..reply };
            tsig::sign_answer(key, &reply, &mac, unix, (tsig::error::BADTIME, &other))
        }
        (Some(key), Some(_)) if matches!(mood, Mood::Refusing(_)) => {
            // A key that is not known signs nothing.
            let signature = tsig::Signature {
                key: key.name.clone(),
                algorithm: Name::from_text("hmac-sha256").unwrap(),
                time: unix,
                fudge: tsig::FUDGE,
                mac: Vec::new(),
                original_id: reply.id,
                error: tsig::error::BADKEY,
                other: Vec::new(),
            };
            let mut reply = reply;
            reply.additional.push(signature.to_record());
            reply.to_bytes()
        }
        (Some(key), Some(mac)) => tsig::sign_answer(key, &reply, &mac, unix, (0, &[])),
        _ => reply.to_bytes(),
    };
    Served { changes, took, answer: Ok(Answer { verified: sent.judge(&bytes, unix), unix }) }
}

/// The zone's, which says where a name without a record would be.
fn soa() -> Record {
    let name = |text: &str| Name::from_text(text).unwrap();
    let (primary, rname) = (name("ns.example.org"), name("someone.example.org"));
    let data = Rdata::Soa { primary, rname, numbers: [0; 20] };
    Record { name: name("example.org"), kind: kind::SOA, class: class::IN, ttl: 60, data }
}

/// What an update sets.
fn changes(asked: &Message) -> Vec<Change> {
    let updates = asked.flags.opcode() == UPDATE;
    let set = |record: &Record| {
        let (mut addresses, mut names) = (Addresses::default(), Needs::default());
        match record.data {
            Rdata::A(ipv4) => (names.ipv4, addresses.ipv4) = (true, Some(ipv4)),
            Rdata::Aaaa(ipv6) => (names.ipv6, addresses.ipv6) = (true, Some(ipv6)),
            _ => return None,
        }
        Some(Change { name: record.name.to_string(), addresses, names })
    };
    asked.authority.iter().filter(|record| updates && record.class == class::IN).filter_map(set).collect()
}

fn answers(records: &BTreeMap<String, Held>, asked: &Message) -> Vec<Record> {
    let Some(question) = asked.questions.first() else { return Vec::new() };
    let record =
        |data| Record { name: question.name.clone(), kind: question.kind, class: class::IN, ttl: 60, data };
    let held = records.get(&question.name.to_string()).copied().unwrap_or_default();
    let data = match question.kind {
        kind::A => held.ipv4.map(Rdata::A),
        kind::AAAA => held.ipv6.map(Rdata::Aaaa),
        _ => None,
    };
    data.map(record).into_iter().collect()
}
