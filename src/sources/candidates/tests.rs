//! Descriptions whose answers come as each test says.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use super::*;
use crate::address::Observation;

/// The external addresses are those of the registries' examples and rules: 11.0.0.0/8 is
/// global, 10.0.0.0/8 is not (RFC 1918).
const GLOBAL: Finding<Ipv4Addr> = Finding::Known(Ipv4Addr::new(11, 22, 33, 1));
const PRIVATE: Finding<Ipv4Addr> = Finding::Known(Ipv4Addr::new(10, 0, 0, 7));

fn no_address() -> Finding<Ipv4Addr> {
    Finding::Absent("the line is down".to_owned())
}

fn no_answer() -> Finding<Ipv4Addr> {
    Finding::Unknown("timed out".to_owned())
}

fn at(place: &str) -> LanUrl {
    LanUrl::parse(&format!("http://{place}/desc.xml")).unwrap()
}

/// What a gateway with one service that answered tells.
fn report(ipv4: Finding<Ipv4Addr>) -> GatewayReport {
    GatewayReport {
        device: None,
        services: Vec::new(),
        chosen: Some(0),
        observation: Observation { ipv4, ..Observation::unknown("") },
        ipv6_valid_seconds: None,
    }
}

/// The same, of one none of whose services answered.
fn silent(ipv4: Finding<Ipv4Addr>) -> GatewayReport {
    GatewayReport { chosen: None, ..report(ipv4) }
}

/// These places are asked, and no others are searched for.
fn asked(places: &[&str]) -> Candidates {
    let mut candidates = Candidates::new(Wanted { ipv4: true, ipv6: false }, None, Vec::new());
    candidates.asked = places.iter().map(|place| at(place)).collect();
    candidates
}

/// The place that is taken, or why none is. Nothing here waits as long as a minute.
fn best(candidates: &mut Candidates) -> Result<LanUrl, String> {
    let begun = Instant::now();
    let best = candidates.best(begun + Duration::from_secs(60), &|| false);
    assert!(begun.elapsed() < Duration::from_secs(30), "it waits for the whole poll");
    best.map(|(location, _, _)| location)
}

const PLACES: [&str; 4] = ["192.168.1.1:5000", "192.168.1.2:5000", "192.168.1.3:5000", "192.168.1.4:5000"];

#[test]
fn the_first_address_that_can_be_published_ends_the_search() {
    let mut candidates = asked(&PLACES);
    for (place, ipv4) in [(PLACES[0], PRIVATE), (PLACES[1], GLOBAL)] {
        candidates.sender.send((at(place), Ok(report(ipv4)), false)).unwrap();
    }
    assert_eq!(best(&mut candidates), Ok(at(PLACES[1])));
    let mut candidates = asked(&PLACES[..2]);
    assert!(!candidates.have_settled(), "nobody has answered");
    candidates.sender.send((at(PLACES[0]), Ok(report(PRIVATE)), false)).unwrap();
    assert!(!candidates.have_settled(), "another may tell more");
    candidates.sender.send((at(PLACES[1]), Ok(report(GLOBAL)), false)).unwrap();
    assert!(candidates.have_settled());
}

#[test]
fn one_that_cannot_be_published_waits_a_moment_for_a_better_one() {
    let mut candidates = asked(&PLACES[..2]);
    candidates.sender.send((at(PLACES[0]), Ok(report(PRIVATE)), false)).unwrap();
    assert_eq!(best(&mut candidates), Ok(at(PLACES[0])));
    let [unknown, none, private, global] = [no_answer(), no_address(), PRIVATE, GLOBAL];
    for (first, second, taken) in [
        (&unknown, &none, 1),
        (&none, &unknown, 0),
        (&none, &private, 1),
        (&private, &none, 0),
        (&private, &global, 1),
        (&private, &private, 0),
    ] {
        let mut candidates = asked(&PLACES[..2]);
        candidates.judge(at(PLACES[0]), Ok(report(first.clone())), false);
        candidates.judge(at(PLACES[1]), Ok(report(second.clone())), false);
        assert_eq!(best(&mut candidates), Ok(at(PLACES[taken])), "{first:?} {second:?}");
    }
}

#[test]
fn whether_a_gateway_is_slow_is_handed_on() {
    for slow in [true, false] {
        let mut candidates = asked(&PLACES[..1]);
        candidates.judge(at(PLACES[0]), Ok(report(GLOBAL)), slow);
        assert_eq!(candidates.best(Instant::now(), &|| false).unwrap().2, slow);
    }
}

#[test]
fn where_none_is_of_use_the_first_reason_is_told() {
    let mut candidates = asked(&PLACES);
    for (place, answer) in [
        (PLACES[0], Err("connection refused".to_owned())),
        (PLACES[1], Ok(silent(no_answer()))),
        (PLACES[2], Ok(silent(GLOBAL))),
        (PLACES[3], Ok(silent(no_address()))),
    ] {
        candidates.sender.send((at(place), answer, false)).unwrap();
    }
    assert_eq!(best(&mut candidates), Err("http://192.168.1.1:5000/desc.xml: connection refused".to_owned()));
    assert!(!candidates.is_worth_waiting());
    assert_eq!(candidates.into_failed(), PLACES.map(at));

    for (answer, why) in [
        (Ok(silent(no_answer())), "timed out"),
        (Ok(silent(GLOBAL)), "it describes no internet connection"),
        (Ok(silent(no_address())), "it describes no internet connection"),
    ] {
        let mut candidates = asked(&PLACES[..1]);
        candidates.sender.send((at(PLACES[0]), answer, false)).unwrap();
        assert_eq!(best(&mut candidates), Err(format!("http://192.168.1.1:5000/desc.xml: {why}")));
    }
}

#[test]
fn one_that_has_not_answered_is_told_and_comes_last_in_the_next_search() {
    let mut candidates = asked(&PLACES[..2]);
    let why = candidates.best(Instant::now(), &|| false).unwrap_err();
    assert_eq!(why, "http://192.168.1.1:5000/desc.xml: it has not answered yet");
    assert!(candidates.is_worth_waiting());
    candidates.judge(at(PLACES[1]), Err("no".to_owned()), false);
    assert!(candidates.is_worth_waiting(), "one of the two may still answer");
    assert_eq!(candidates.into_failed(), [at(PLACES[1]), at(PLACES[0])]);
    // Two slow ones of 15 s each at one place; after that the search begins anew.
    let mut candidates = asked(&PLACES[..1]);
    candidates.started = Instant::now().checked_sub(Duration::from_secs(31)).unwrap();
    assert!(!candidates.is_worth_waiting());
}

#[test]
fn nobody_that_answers_is_told_with_those_who_are_not_believed() {
    let mut candidates = asked(&[]);
    assert!(!candidates.is_worth_waiting() && !candidates.have_settled());
    let why = best(&mut candidates).unwrap_err();
    assert!(why.starts_with("no router answered the search; is UPnP switched on in it?"), "{why}");
    let why = candidates.explain(&[[192, 168, 1, 9].into(), [192, 168, 1, 8].into()]);
    for host in ["192.168.1.9", "192.168.1.8"] {
        assert!(why.contains(&format!("; {host} answered, but is not the router that is believed")), "{why}");
        assert!(why.contains(&format!("router_ip = \"{host}\"")), "{why}");
    }
}

#[test]
fn no_more_than_sixty_four_places_that_failed_are_remembered() {
    let mut candidates = asked(&[]);
    for port in 1..=70 {
        candidates.judge(at(&format!("192.168.1.1:{}", 5000 + port)), Err("no".to_owned()), false);
    }
    let failed = candidates.into_failed();
    assert_eq!((failed.len(), failed.last()), (64, Some(&at("192.168.1.1:5064"))));
}

#[test]
fn places_are_asked_once_and_those_at_one_port_one_after_the_other() {
    // They take connections and never answer.
    let servers = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [one, other] = servers.each_ref().map(|server| server.local_addr().unwrap().to_string());
    let mut candidates = asked(&[]);
    let (first, second) = (at(&one), LanUrl::parse(&format!("http://{one}/second.xml")).unwrap());
    for location in [&first, &first, &second, &at(&other)] {
        candidates.try_first(location.clone());
    }
    assert_eq!(candidates.asked, [first.clone(), second.clone(), at(&other)]);
    assert_eq!(candidates.queues.len(), 2, "one for each port");
    // What anyone in the network can forge does not stand before it.
    candidates.ask(LanUrl::parse(&format!("http://{one}/third.xml")).unwrap(), Delivery::Multicast);
    assert_eq!(candidates.queues.len(), 3);
    candidates.judge(at(&other), Err("no".to_owned()), false);
    assert_eq!(candidates.queues.len(), 2, "nobody is left to be asked there");
    candidates.judge(first, Err("no".to_owned()), false);
    assert_eq!(candidates.queues.len(), 2);
}

#[test]
fn where_a_gateway_is_known_nobody_else_is_believed() {
    let (ipv4, ipv6) = (IpAddr::from([192, 168, 1, 1]), IpAddr::from(Ipv6Addr::LOCALHOST));
    for (gateways, only) in [(&[ipv4][..], true), (&[ipv6, ipv4], true), (&[], false)] {
        let search = search_for(gateways, &[], None).unwrap();
        assert_eq!(search.senders.only_gateway, only, "{gateways:?}");
    }
    let why = search_for(&[ipv6], &[], None).unwrap_err();
    assert!(why.contains("set router_ip to its IPv4 address"), "{why}");
}

#[test]
fn an_answer_is_slow_that_takes_longer_than_a_second() {
    for (answered, millis, slow) in [(true, 1000, false), (true, 1001, true), (false, 4000, false)] {
        assert_eq!(is_slow(answered, Duration::from_millis(millis)), slow, "{millis} ms");
    }
}
