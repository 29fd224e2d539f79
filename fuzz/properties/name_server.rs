//! A job at a name server that answers anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::{Rfc2136, Rfc2136Record};
use ddns_update_daemon::dns::answer::Verified;
use ddns_update_daemon::dns::message::{Flags, Message, Rdata, Record, UPDATE, class, kind};
use ddns_update_daemon::dns::name::Name;
use ddns_update_daemon::dns::server::{Server, Transport};
use ddns_update_daemon::dns::tsig::{Algorithm, Key, TsigError};
use ddns_update_daemon::updaters::rfc2136::{Answer, Request, update};
use ddns_update_daemon::updaters::{Failure, Outcome, Task};

const IPV4: Ipv4Addr = Ipv4Addr::new(11, 22, 33, 44);
const IPV6: Ipv6Addr = Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0, 0, 5);

fn name(text: &str) -> Name {
    Name::from_text(text).expect("a name")
}

/// Each byte is an answer. Nothing but our records is touched, with the key if there is
/// one; it ends; and nothing counts as done that no server has said.
pub(super) fn rfc2136(data: &[u8]) {
    let [setting, script @ ..] = data else { return };
    let record = |text, aaaa| Rfc2136Record { name: name(text), aaaa };
    let key = Key::new(name("our.key"), Algorithm::Sha256, "c2VjcmV0");
    let config = Rfc2136 {
        server: Server::parse("192.0.2.53").filter(|_| setting & 1 == 0),
        zone: (setting & 2 == 0).then(|| name("home.example")),
        key: key.filter(|_| setting & 4 == 0),
        ttl: 60,
        transport: Transport::Auto,
        records: vec![
            record("a.home.example", false),
            record("a.home.example", true),
            record("b.home.example", false),
        ],
    };
    let wanted = |aaaa: bool| if aaaa { Rdata::Aaaa(IPV6) } else { Rdata::A(IPV4) };
    let addresses = Addresses { ipv4: Some(IPV4), ipv6: Some(IPV6), ipv6_prefix: None };
    let tasks: Vec<Task> = (0..3).map(|entry| Task { entry, addresses, old: Addresses::default() }).collect();
    let mut script = script.iter().copied();
    let (mut held, mut agreed) = (BTreeMap::<(Name, u16), Rdata>::new(), BTreeSet::new());
    let mut requests = 0;
    let mut outcomes = update(&config, &tasks, &mut |request: &Request<'_>| {
        requests += 1;
        assert!(requests <= 40, "it never ends");
        let byte = script.next().unwrap_or(0);
        let asked = &request.message;
        let updates = asked.flags.opcode() == UPDATE;
        for change in asked.authority.iter().filter(|_| updates) {
            let aaaa = change.kind == kind::AAAA;
            assert!(aaaa || change.kind == kind::A, "only addresses are touched");
            assert!(config.records.contains(&Rfc2136Record { name: change.name.clone(), aaaa }), "not ours");
            let data = if change.class == class::ANY { Rdata::Raw(Vec::new()) } else { wanted(aaaa) };
            assert_eq!(change.data, data);
        }
        assert!(!updates || request.key.is_some() == config.key.is_some(), "signed as it is configured");
        let rcode = if byte & 8 == 0 { 0 } else { byte >> 4 };
        match byte & 7 {
            6 => return Err(Failure { why: "silence".to_owned(), maybe_done: byte & 8 != 0 }),
            7 => {
                let tsig_error = Some(u16::from(byte >> 4));
                let verified =
                    Verified::Unproven { rcode, tsig_error, truncated: false, why: TsigError::Mac };
                return Ok(Answer { verified, unix: 1_800_000_000 });
            }
            _ => {}
        }
        let mut answers = Vec::new();
        if updates && rcode == 0 {
            for change in asked.authority.iter().filter(|change| change.class == class::IN) {
                agreed.insert((change.name.clone(), change.kind));
                // Some say so and do nothing.
                if byte & 7 != 5 {
                    held.insert((change.name.clone(), change.kind), change.data.clone());
                }
            }
        } else if let (Some(question), 0) = (asked.questions.first(), rcode) {
            let soa = Rdata::Soa {
                primary: name("ns.home.example"),
                rname: name("me.home.example"),
                numbers: [0; 20],
            };
            let found = match (question.kind, byte & 7) {
                (kind::SOA, 5) => None,
                (kind::SOA, _) => Some(soa),
                (kind::A, 4) => Some(Rdata::A(Ipv4Addr::new(11, 0, 0, byte))),
                (_, 5) => Some(Rdata::Cname(name("else.example"))),
                _ => held.get(&(question.name.clone(), question.kind)).cloned(),
            };
            let kind = if byte & 7 == 5 { kind::CNAME } else { question.kind };
            let owner = if question.kind == kind::SOA { name("home.example") } else { question.name.clone() };
            answers.extend(found.map(|data| Record { name: owner, kind, class: class::IN, ttl: 60, data }));
        }
        let flags = Flags(asked.flags.0 | 0x8400 | u16::from(rcode));
        let message = Message { flags, answers, authority: Vec::new(), ..asked.clone() };
        let verified = Verified::Answer { message, tsig_error: 0, server_time: None };
        Ok(Answer { verified, unix: 1_800_000_000 })
    });
    outcomes.sort_by_key(|(entry, _)| *entry);
    assert_eq!(outcomes.iter().map(|(entry, _)| *entry).collect::<Vec<_>>(), [0, 1, 2], "one for each");
    for ((_, outcome), record) in outcomes.iter().zip(&config.records) {
        let key = (record.name.clone(), if record.aaaa { kind::AAAA } else { kind::A });
        let done = agreed.contains(&key) || held.get(&key) == Some(&wanted(record.aaaa));
        assert!(done || !matches!(outcome, Outcome::Published { .. }), "nobody has said that it is done");
    }
}
