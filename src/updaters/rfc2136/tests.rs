//! A name server made of two lists, and what the updater does with it.

mod zones;

use std::collections::BTreeMap;

use super::*;
use crate::address::Addresses;
use crate::config::Rfc2136Record;
use crate::dns::message::{Flags, Rdata, Record, UPDATE, class, kind};
use crate::dns::name::Name;
use crate::dns::tsig::{Algorithm, TsigError, error};

const NOW: u64 = 1_800_000_000;
const V4: [u8; 4] = [192, 0, 2, 7];

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn config(records: &[(&str, bool)]) -> config::Rfc2136 {
    config::Rfc2136 {
        server: crate::dns::server::Server::parse("192.0.2.53"),
        zone: Some(name("home.example")),
        key: Key::new(name("our.key"), Algorithm::Sha256, "c2VjcmV0"),
        ttl: 60,
        transport: Transport::Auto,
        records: records.iter().map(|(text, aaaa)| Rfc2136Record { name: name(text), aaaa: *aaaa }).collect(),
    }
}

fn tasks(count: usize) -> Vec<Task> {
    let addresses =
        Addresses { ipv4: Some(V4.into()), ipv6: Some("2001:db8::7".parse().unwrap()), ipv6_prefix: None };
    (0..count).map(|entry| Task { entry, addresses, old: Addresses::default() }).collect()
}

fn reply(message: &Message, code: u8, answers: Vec<Record>) -> Verified {
    let flags = Flags(message.flags.0 | 0x8400 | u16::from(code));
    let message = Message { flags, answers, authority: Vec::new(), ..message.clone() };
    Verified::Answer { message, tsig_error: 0, server_time: None }
}

/// A server that does as it should, or answers updates as it is told.
#[derive(Default)]
struct Server {
    held: BTreeMap<(Name, u16), Vec<Rdata>>,
    /// Instead of carrying out updates that touch a name: this answer.
    update: Option<(Name, Verified)>,
    /// Instead of answering signed questions: this.
    question: Option<Verified>,
    updates: Vec<Message>,
    questions: usize,
}

impl Server {
    fn answer(&mut self, request: &Request<'_>) -> Verified {
        let message = &request.message;
        if message.flags.opcode() == UPDATE {
            self.updates.push(message.clone());
            match &self.update {
                Some((name, judged)) if message.authority.iter().any(|r| r.name == *name) => {
                    return judged.clone();
                }
                _ => {}
            }
            for record in &message.authority {
                let set = self.held.entry((record.name.clone(), record.kind)).or_default();
                if record.class == class::ANY { set.clear() } else { set.push(record.data.clone()) }
            }
            return reply(message, 0, Vec::new());
        }
        self.questions += 1;
        if let (Some(judged), true) = (&self.question, request.key.is_some()) {
            return judged.clone();
        }
        let question = &message.questions[0];
        let of = |kind| {
            self.held.get(&(question.name.clone(), kind)).into_iter().flatten().map(move |data| (kind, data))
        };
        let answers = of(question.kind).chain(of(kind::CNAME)).map(|(kind, data)| Record {
            name: question.name.clone(),
            kind,
            class: class::IN,
            ttl: 60,
            data: data.clone(),
        });
        reply(message, 0, answers.collect())
    }

    fn run(&mut self, config: &config::Rfc2136) -> Vec<(usize, Outcome)> {
        run(config, |request, _| Ok(self.answer(request)))
    }
}

/// A job at `NOW` for every record; `answer` also gets the number of the request.
fn run(
    config: &config::Rfc2136,
    mut answer: impl FnMut(&Request<'_>, usize) -> Result<Verified, Failure>,
) -> Vec<(usize, Outcome)> {
    let mut requests = 0;
    let mut outcomes = update(config, &tasks(config.records.len()), &mut |request: &Request<'_>| {
        requests += 1;
        assert!(requests < 500 + 2 * config.records.len(), "it never ends");
        answer(request, requests - 1).map(|verified| Answer { verified, unix: NOW })
    });
    outcomes.sort_by_key(|(entry, _)| *entry);
    outcomes
}

/// What is told, and whether only a person can help.
fn why(outcome: &Outcome) -> (&str, bool) {
    match outcome {
        Outcome::Retry { why, after: None, .. } => (why, false),
        Outcome::NeedsPerson { why } => (why, true),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_addresses_change_in_one_message_and_nothing_else_does() {
    let mut server = Server::default();
    let nas = name("nas.home.example");
    server.held.insert((nas.clone(), 16), vec![Rdata::Raw(b"\x01t".to_vec())]);
    server
        .held
        .insert((nas.clone(), kind::A), vec![Rdata::A([1, 1, 1, 1].into()), Rdata::A([2, 2, 2, 2].into())]);
    let config = config(&[("nas.home.example", false), ("nas.home.example", true)]);
    let changed = Outcome::Published { changed: true };
    assert_eq!(server.run(&config), [(0, changed.clone()), (1, changed)]);
    assert_eq!((server.updates.len(), server.questions), (1, 4));
    assert_eq!(server.held[&(nas.clone(), kind::A)], [Rdata::A(V4.into())]);
    assert_eq!(server.held[&(nas.clone(), 16)].len(), 1);
    let sections: Vec<_> = server.updates[0].authority.iter().map(|r| (r.kind, r.class, r.ttl)).collect();
    assert_eq!(sections, [(1, 255, 0), (1, 1, 60), (28, 255, 0), (28, 1, 60)]);
    // And again: nothing to do.
    let same = Outcome::Published { changed: false };
    assert_eq!(server.run(&config), [(0, same.clone()), (1, same)]);
    assert_eq!(server.updates.len(), 1);
}

#[test]
fn many_records_are_sent_in_parts_that_divide_no_name() {
    let names: Vec<String> = (0..200).map(|index| format!("h{index}.home.example")).collect();
    let records: Vec<_> =
        names.iter().flat_map(|name| [(name.as_str(), false), (name.as_str(), true)]).collect();
    let mut server = Server::default();
    let outcomes = server.run(&config(&records));
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Published { changed: true }));
    // Two lines for each record: one deletes, one adds.
    let sizes: Vec<usize> = server.updates.iter().map(|update| update.authority.len()).collect();
    assert_eq!(sizes, [500, 300]);
    for update in &server.updates {
        assert!(update.authority.chunks(4).all(|pair| pair[0].name == pair[3].name));
    }
}

#[test]
fn a_message_of_the_longest_names_fits() {
    let labels = format!("{}.{0}.{0}", "a".repeat(60));
    let names: Vec<String> = (0..200).map(|index| format!("h{index:03}.{labels}.home.example")).collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), false)).collect();
    let mut server = Server::default();
    server.run(&config(&records));
    let sizes: Vec<usize> = server.updates.iter().map(|update| update.to_bytes().len()).collect();
    assert_eq!(server.updates.iter().map(|update| update.authority.len()).sum::<usize>(), 400);
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size < 60_100), "{sizes:?}");
}

/// A server can repeat our secret where a name belongs.
#[test]
fn of_an_alias_nothing_is_shown_that_may_be_our_secret() {
    let mut server = Server::default();
    let target = name("c2VjcmV0.xyz.example");
    server.held.insert((name("alias.home.example"), kind::CNAME), vec![Rdata::Cname(target)]);
    let outcomes = server.run(&config(&[("alias.home.example", false)]));
    assert!(why(&outcomes[0].1).0.contains("alias (CNAME) for \"….xyz.example\""), "{outcomes:?}");
}

#[test]
fn an_alias_is_recognised_before_and_after_the_update() {
    let mut server = Server::default();
    let alias = name("alias.home.example");
    server.held.insert((alias.clone(), kind::CNAME), vec![Rdata::Cname(name("other.example"))]);
    let config = config(&[("alias.home.example", false)]);
    let outcomes = server.run(&config);
    assert!(why(&outcomes[0].1).0.contains("alias (CNAME) for \"other.example\""), "{outcomes:?}");
    assert!(server.updates.is_empty());
    // A server that takes no signed questions is asked only afterwards.
    server.question =
        Some(Verified::Unproven { rcode: 9, tsig_error: Some(17), truncated: false, why: TsigError::Mac });
    let ok = reply(&Message { flags: Flags::request(UPDATE, false), ..Message::default() }, 0, Vec::new());
    for code in [ok, refusal(5)] {
        server.update = Some((alias.clone(), code));
        let outcomes = server.run(&config);
        assert!(why(&outcomes[0].1).0.contains("CNAME"), "{outcomes:?}");
    }
    assert_eq!(server.updates.len(), 2);
}

fn refusal(code: u8) -> Verified {
    reply(&Message { flags: Flags::request(UPDATE, false), ..Message::default() }, code, Vec::new())
}

fn unproven(rcode: u8, tsig_error: Option<u16>, why: TsigError) -> Verified {
    Verified::Unproven { rcode, tsig_error, truncated: false, why }
}

#[test]
fn every_refusal_says_what_to_check() {
    let ahead = Verified::Answer {
        message: Message { flags: Flags(0xa809), ..Message::default() },
        tsig_error: error::BADTIME,
        server_time: Some(NOW - 3600),
    };
    let behind = Verified::Answer {
        message: Message { flags: Flags(0xa809), ..Message::default() },
        tsig_error: error::BADTIME,
        server_time: Some(NOW + 200_000),
    };
    let cases: [(Verified, &[&str]); 23] = [
        (unproven(9, Some(16), TsigError::Mac), &["BADSIG", "check the secret", "\"our.key\"", "not signed"]),
        (unproven(9, Some(17), TsigError::Mac), &["BADKEY", "name and algorithm", "rights", "home.example"]),
        (unproven(9, Some(18), TsigError::Mac), &["BADTIME", "clocks", "not signed"]),
        (unproven(9, Some(22), TsigError::Mac), &["BADTRUNC"]),
        (unproven(9, Some(99), TsigError::Mac), &["error 99"]),
        (ahead, &["clock is 1 h 0 min ahead of that of 192.0.2.53"]),
        (behind, &["clock is 2 d 7 h behind that of 192.0.2.53"]),
        (
            unproven(5, None, TsigError::Missing),
            &["REFUSED", "name, algorithm and secret", "clocks", "PowerDNS"],
        ),
        (unproven(9, None, TsigError::Missing), &["NOTAUTH", "server and zone", "home.example"]),
        (unproven(0, None, TsigError::Missing), &["proves nothing"]),
        (unproven(10, None, TsigError::Missing), &["not inside the zone"]),
        (unproven(4, None, TsigError::Missing), &["does not know DNS UPDATE"]),
        (unproven(8, None, TsigError::Missing), &["NXRRSET", "secret"]),
        (unproven(0, Some(0), TsigError::OtherKey), &["another key"]),
        (unproven(0, Some(0), TsigError::Mac), &["does not make", "in between"]),
        (unproven(0, Some(0), TsigError::Time(400)), &["6 min 40 s away", "NTP"]),
        (unproven(0, None, TsigError::Damaged), &["does not make"]),
        (refusal(5), &["REFUSED", "rights", "update-policy", "TSIG-ALLOW-DNSUPDATE"]),
        (refusal(9), &["NOTAUTH", "not responsible for the zone home.example"]),
        (refusal(10), &["NOTZONE", "not inside the zone home.example"]),
        (refusal(4), &["NOTIMP", "DNS UPDATE"]),
        (refusal(1), &["FORMERR"]),
        (refusal(8), &["NXRRSET", "does not hold the address"]),
    ];
    for (judged, words) in cases {
        let update = Some((name("nas.home.example"), judged.clone()));
        let mut server = Server { update, ..Server::default() };
        let outcomes = server.run(&config(&[("nas.home.example", false)]));
        let (text, needs_person) = why(&outcomes[0].1);
        assert!(needs_person, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
        assert!(!text.contains("c2VjcmV0"));
    }
}

#[test]
fn a_clock_that_is_not_set_yet_is_waited_for() {
    let config = config(&[("nas.home.example", false)]);
    let outcomes = update(&config, &tasks(1), &mut |_: &Request<'_>| {
        Ok(Answer { verified: unproven(5, None, TsigError::Missing), unix: 60 })
    });
    let (text, needs_person) = why(&outcomes[0].1);
    assert!(text.ends_with("this machine's clock is not set yet") && !needs_person, "{text}");
}

#[test]
fn a_fault_of_the_server_is_tried_again_soon() {
    let mut server = Server { update: Some((name("nas.home.example"), refusal(2))), ..Server::default() };
    let outcomes = server.run(&config(&[("nas.home.example", false)]));
    let (text, needs_person) = why(&outcomes[0].1);
    assert!(text.contains("SERVFAIL") && !needs_person, "{text}");
}

#[test]
fn a_record_that_is_refused_does_not_keep_others_back() {
    for judged in [refusal(5), refusal(10), unproven(9, Some(17), TsigError::Mac)] {
        let mut server = Server { update: Some((name("b.home.example"), judged)), ..Server::default() };
        let config =
            config(&[("a.home.example", false), ("b.home.example", false), ("c.home.example", true)]);
        let outcomes = server.run(&config);
        assert_eq!(outcomes[0].1, Outcome::Published { changed: true });
        assert!(why(&outcomes[1].1).1);
        assert_eq!(outcomes[2].1, Outcome::Published { changed: true });
        assert_eq!(server.updates.len(), 4);
    }
}

#[test]
fn an_update_that_was_at_work_already_is_well() {
    let mut server = Server { update: Some((name("nas.home.example"), refusal(8))), ..Server::default() };
    let config = config(&[("nas.home.example", false)]);
    let nas = (name("nas.home.example"), kind::A);
    let outcomes = run(&config, |request, _| {
        let answer = server.answer(request);
        if !server.updates.is_empty() {
            server.held.insert(nas.clone(), vec![Rdata::A(V4.into())]);
        }
        Ok(answer)
    });
    assert_eq!(outcomes, [(0, Outcome::Published { changed: true })]);
}

#[test]
fn a_silent_server_costs_one_exchange_for_all() {
    let config = config(&[("a.home.example", false), ("b.home.example", true)]);
    for (answered, words) in
        [(0, "gone"), (2, "gone; it may have been done"), (3, "could not be asked again")]
    {
        let mut server = Server::default();
        let mut requests = 0;
        let outcomes = run(&config, |request, number| {
            requests = number + 1;
            match number {
                number if number < answered => Ok(server.answer(request)),
                _ => Err(Failure { why: "gone".into(), maybe_done: true }),
            }
        });
        assert_eq!(requests, answered + 1);
        assert_eq!(outcomes.len(), 2);
        for (_, outcome) in &outcomes {
            // What may have been done is not sent again in a rush.
            let unsure = answered > 0;
            assert!(
                matches!(outcome, Outcome::Retry { reached, after: None, .. } if *reached == unsure),
                "{outcome:?}"
            );
            assert!(why(outcome).0.contains(words), "{outcome:?}");
        }
    }
}

#[test]
fn what_a_server_accepts_and_does_not_show_is_not_believed() {
    let mut server = Server { update: Some((name("nas.home.example"), refusal(0))), ..Server::default() };
    let config = config(&[("nas.home.example", false)]);
    let outcomes = server.run(&config);
    assert!(
        why(&outcomes[0].1)
            .0
            .contains("accepted the update of nas.home.example, but does not show 192.0.2.7")
    );
}

#[test]
fn a_value_from_a_cache_is_not_taken_for_the_zones_own() {
    let mut updates = 0;
    run(&config(&[("nas.home.example", false)]), |request, _| {
        let message = &request.message;
        updates += usize::from(message.flags.opcode() == UPDATE);
        let record = Record {
            name: name("nas.home.example"),
            kind: kind::A,
            class: class::IN,
            ttl: 9,
            data: Rdata::A(V4.into()),
        };
        let flags = Flags(message.flags.0 | 0x8000);
        let message = Message { flags, answers: vec![record], authority: Vec::new(), ..message.clone() };
        Ok(Verified::Answer { message, tsig_error: 0, server_time: None })
    });
    assert_eq!(updates, 1);
}

#[test]
fn without_a_key_everything_goes_over_tcp_and_unsigned() {
    let config = config::Rfc2136 { key: None, ..config(&[("nas.home.example", false)]) };
    let mut server = Server::default();
    let outcomes = run(&config, |request, _| {
        assert!(request.key.is_none() && request.transport == Transport::Tcp);
        Ok(server.answer(request))
    });
    assert_eq!(outcomes, [(0, Outcome::Published { changed: true })]);
    server.held.clear();
    server.update = Some((name("nas.home.example"), refusal(5)));
    let outcomes = server.run(&config);
    assert!(why(&outcomes[0].1).0.contains("secure only"), "{outcomes:?}");
}

/// UDP comes first there, but not for what anyone could answer.
#[test]
fn with_udp_what_is_not_signed_goes_over_tcp_all_the_same() {
    let config = config::Rfc2136 { transport: Transport::Udp, ..config(&[("nas.home.example", false)]) };
    let mut server = Server { question: Some(refusal(5)), ..Server::default() };
    let mut ways = Vec::new();
    let outcomes = run(&config, |request, _| {
        ways.push((request.key.is_some(), request.transport));
        Ok(server.answer(request))
    });
    assert_eq!(outcomes, [(0, Outcome::Published { changed: true })]);
    ways.sort_by_key(|(signed, _)| *signed);
    ways.dedup();
    assert_eq!(ways, [(false, Transport::Auto), (true, Transport::Udp)]);
}

#[test]
fn a_message_has_the_id_that_its_sender_chose() {
    let config = config(&[("nas.home.example", false)]);
    for key in [None, config.key.as_ref()] {
        let request = Request { server: None, transport: Transport::Udp, key, message: Message::default() };
        assert_eq!(request.exchange(0x1234, NOW).sent.bytes[..2], [0x12, 0x34]);
    }
}

#[test]
fn a_test_of_the_key_asks_once_a_zone_and_updates_nothing() {
    let zone = name("home.example");
    let config = config(&[("nas.home.example", false), ("www.home.example", true)]);
    let test = |server: &mut Server, config: &config::Rfc2136| {
        config.test(&mut |request| Ok(Answer { verified: server.answer(request), unix: NOW }))
    };
    let mut server = Server::default();
    let soa =
        Rdata::Soa { primary: name("ns.home.example"), rname: name("you.home.example"), numbers: [0; 20] };
    server.held.insert((zone, kind::SOA), vec![soa]);
    let said = test(&mut server, &config);
    let well = "192.0.2.53 knows the zone home.example and our key; whether the key may change it, only an update shows";
    assert_eq!(said, [Ok(well.to_owned())]);
    assert_eq!((server.questions, server.updates.len()), (1, 0));
    let message = Message { flags: Flags(0x8409), ..Message::default() };
    server.question = Some(Verified::Answer { message, tsig_error: error::BADSIG, server_time: None });
    let said = test(&mut server, &config);
    assert!(matches!(&said[..], [Err(why)] if why.contains("BADSIG") && why.contains("secret")), "{said:?}");
    server.question = None;
    let one = config::Rfc2136 { key: None, records: config.records[..1].to_vec(), ..config.clone() };
    let said = test(&mut server, &one);
    assert_eq!(said, [Ok("192.0.2.53 knows the zone home.example; there is no key to test".to_owned())]);
    let mut strange = Server::default();
    let said = test(&mut strange, &config);
    assert!(matches!(&said[..], [Err(why)] if why.contains("home.example could not be found")), "{said:?}");
}
