//! Zone and primary that the configuration leaves out, found by the SOA.

use super::*;

/// What a resolver says of where `owner` begins.
fn soa(message: &Message, owner: &str, primary: &str) -> Verified {
    let data = Rdata::Soa { primary: name(primary), rname: Name::root(), numbers: [0; 20] };
    let start = Record { name: name(owner), kind: kind::SOA, class: class::IN, ttl: 9, data };
    let flags = Flags(0x8183);
    let message = Message { flags, authority: vec![start], ..message.clone() };
    Verified::Answer { message, tsig_error: 0, server_time: None }
}

#[test]
fn zone_and_primary_are_found_by_the_soa() {
    let records = [("a.home.example", false), ("a.home.example", true), ("b.sub.home.example", false)];
    let config = config::Rfc2136 { server: None, zone: None, key: None, ..config(&records) };
    let (mut server, mut asked) = (Server::default(), Vec::new());
    let outcomes = run(&config, |request, _| {
        let name = &request.message.questions[0].name;
        let Some(to) = request.server else {
            assert!(request.key.is_none() && request.transport == Transport::Udp);
            // A resolver is to look for it: RD (RFC 1035, section 4.1.1).
            assert_eq!(request.message.flags, Flags(0x0100));
            asked.push(name.to_string());
            let sub = name.to_string().ends_with("sub.home.example");
            let start =
                if sub { ("sub.home.example", "ns2.example") } else { ("home.example", "ns1.example") };
            return Ok(soa(&request.message, start.0, start.1));
        };
        let sub = name.to_string().ends_with("sub.home.example");
        assert_eq!(to.to_string(), if sub { "ns2.example" } else { "ns1.example" });
        Ok(server.answer(request))
    });
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Published { changed: true }));
    assert_eq!(asked, ["a.home.example", "b.sub.home.example"]);
    let mut zones: Vec<_> = server
        .updates
        .iter()
        .map(|update| (update.questions[0].name.to_string(), update.authority.len()))
        .collect();
    zones.sort();
    assert_eq!(zones, [("home.example".to_owned(), 4), ("sub.home.example".to_owned(), 2)]);
}

/// The zone that updates name, and how many requests the job took; who asks with our
/// key sees `seen`, others another zone.
fn zone_in_view(config: &config::Rfc2136, seen: Result<&str, u8>) -> (String, usize) {
    let (mut server, mut requests) = (Server::default(), 0);
    run(config, |request, _| {
        requests += 1;
        if request.message.questions[0].kind != kind::SOA || request.message.flags.opcode() == UPDATE {
            return Ok(server.answer(request));
        }
        Ok(match (request.key.is_some(), seen) {
            (true, Ok(zone)) => soa(&request.message, zone, "ns1.example"),
            (true, Err(code)) => unproven(code, None, TsigError::Missing),
            (false, _) => soa(&request.message, "lan.home.example", "ns1.example"),
        })
    });
    (server.updates[0].questions[0].name.to_string(), requests)
}

#[test]
fn of_two_views_the_zone_of_the_one_that_our_key_sees_counts() {
    let inside = config(&[("nas.lan.home.example", false)]);
    for server in [inside.server.clone(), None] {
        let config = config::Rfc2136 { server: server.clone(), zone: None, ..inside.clone() };
        // The resolver, our view, the record, the update and the record.
        let requests = 4 + usize::from(server.is_none());
        assert_eq!(zone_in_view(&config, Ok("home.example")), ("home.example".to_owned(), requests));
        // Who takes no signed questions is asked without, unless the resolver said it.
        assert_eq!(zone_in_view(&config, Err(9)), ("lan.home.example".to_owned(), 5));
    }
}

#[test]
fn a_zone_that_is_not_found_or_names_no_primary_is_explained() {
    let lost = config::Rfc2136 { server: None, zone: None, ..config(&[("a.home.example", false)]) };
    for (owner, primary, words) in [
        ("other.example", "ns1.example", "the zone of a.home.example could not be found"),
        ("home.example", ".", "names no primary server; set server"),
    ] {
        let outcomes = run(&lost, |request, _| Ok(soa(&request.message, owner, primary)));
        assert!(why(&outcomes[0].1).0.contains(words), "{outcomes:?}");
    }
    // With the zone given, only its own start counts, and one question is enough.
    let records = [("a.home.example", false), ("b.home.example", false)];
    let zone = config::Rfc2136 { server: None, ..config(&records) };
    let (mut server, mut asked) = (Server::default(), 0);
    let outcomes = run(&zone, |request, _| {
        if request.server.is_some() {
            return Ok(server.answer(request));
        }
        asked += 1;
        assert_eq!(request.message.questions[0].name, name("home.example"));
        Ok(soa(&request.message, "home.example", "ns1.example"))
    });
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Published { changed: true }));
    assert_eq!((asked, server.updates.len()), (1, 1));
}

#[test]
fn a_resolver_that_is_silent_is_asked_once() {
    let records = [("a.home.example", false), ("b.home.example", false), ("c.home.example", true)];
    let lost = config::Rfc2136 { server: None, zone: None, ..config(&records) };
    let mut requests = 0;
    let outcomes = run(&lost, |_, _| {
        requests += 1;
        Err(Failure { why: "no route".into(), maybe_done: false })
    });
    assert_eq!((requests, outcomes.len()), (1, 3));
    assert!(outcomes.iter().all(|(_, outcome)| why(outcome) == ("no route", false)));
}
