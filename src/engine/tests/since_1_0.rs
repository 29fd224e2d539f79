//! What 1.0 did and its users rely on.

use super::*;

fn no_ipv6() -> Observation {
    Observation { ipv6: Finding::Absent("no IPv6".into()), ..seen("1.1.1.1") }
}

fn both() -> Target {
    Target { required: IPV4.or(IPV6), both_families: true, ..target("t", 0, NONE) }
}

#[test]
fn a_family_absent_from_the_beginning_becomes_empty_after_a_while() {
    let mut bench = Bench::new(&config(vec![upnp()], vec![both()]), State::default());
    bench.observe(0, no_ipv6());
    assert!(bench.jobs.is_empty() && !bench.engine.is_settled(bench.now));
    bench.pass(9 * SECOND);
    assert!(bench.jobs.is_empty());
    bench.pass(SECOND);
    let sent = bench.sent(0).unwrap();
    assert_eq!((sent.ipv4, sent.ipv6), (Some([1, 1, 1, 1].into()), None));
    bench.finish(0, published());
    assert!(bench.engine.is_settled(bench.now));
    // It comes, is sent, and goes: from then on it is missed.
    bench.pass(300 * SECOND);
    bench.observe(0, Observation { ipv6: Finding::Known("2a00::1".parse().unwrap()), ..seen("1.1.1.1") });
    assert!(bench.sent(0).unwrap().ipv6.is_some());
    bench.finish(0, published());
    bench.pass(300 * SECOND);
    bench.observe(0, Observation { ipv4: Finding::Known([2, 2, 2, 2].into()), ..no_ipv6() });
    bench.pass(100 * SECOND);
    assert!(bench.jobs.is_empty());
    assert!(bench.reports.iter().any(|report| report.text.contains("needs an IPv6 address")));
}

#[test]
fn a_family_that_is_unknown_or_comes_in_time_is_waited_for() {
    let mut bench = Bench::new(&config(vec![upnp()], vec![both()]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.pass(200 * SECOND);
    assert!(bench.jobs.is_empty(), "unknown is not absent");
    let mut bench = Bench::new(&config(vec![upnp()], vec![both()]), State::default());
    bench.observe(0, no_ipv6());
    bench.pass(5 * SECOND);
    bench.handle(Event::Hint { source: 0 });
    bench.pass(SECOND);
    bench.observe(0, Observation { ipv6: Finding::Known("2a00::1".parse().unwrap()), ..seen("1.1.1.1") });
    assert!(bench.sent(0).unwrap().ipv6.is_some());
}

#[test]
fn the_only_family_of_a_target_is_taken_away_where_its_section_says_so() {
    let here = || Observation { ipv6: Finding::Known("2a00::1".parse().unwrap()), ..seen("1.1.1.1") };
    for (empty_when_absent, needs) in [(true, IPV6), (false, IPV6), (true, IPV4.or(IPV6))] {
        let both_families = needs.ipv4;
        let target = Target { required: needs, both_families, empty_when_absent, ..target("t", 0, NONE) };
        let config = config(vec![upnp()], vec![target]);
        let mut bench = Bench::new(&config, State::default());
        bench.observe(0, here());
        bench.finish(0, published());
        bench.pass(300 * SECOND);
        bench.observe(0, Observation { ipv6: Finding::Unknown("busy".into()), ..seen("1.1.1.1") });
        bench.pass(300 * SECOND);
        assert!(bench.jobs.is_empty(), "unknown is not absent");
        // A line that is down has neither.
        let nothing = || Finding::Absent("down".into());
        let down = Observation { ipv4: Finding::Absent("down".into()), ipv6: nothing(), ..here() };
        bench.observe(0, if both_families { down } else { no_ipv6() });
        assert!(bench.jobs.is_empty());
        bench.pass(11 * SECOND);
        if !empty_when_absent || both_families {
            assert!(bench.jobs.is_empty());
            continue;
        }
        assert_eq!(bench.sent(0), Some(Addresses::default()));
        bench.finish(0, published());
        assert_eq!(bench.reports.last().unwrap().text, "2a00::1 -> nothing");
        let mut again = Bench::new(&config, bench.saved.clone());
        again.observe(0, no_ipv6());
        again.pass(60 * SECOND);
        assert!(again.jobs.is_empty(), "it is known to hold nothing");
        let mut backup = bench.saved.clone();
        backup.doubt();
        let mut restored = Bench::new(&config, backup);
        restored.observe(0, no_ipv6());
        restored.pass(11 * SECOND);
        assert_eq!(restored.sent(0), Some(Addresses::default()), "a restored state may be wrong");
        restored.finish(0, published());
        assert_eq!(restored.saved.targets["t"].trying, None, "now it is known");
        again.pass(300 * SECOND);
        again.observe(0, here());
        assert!(again.sent(0).unwrap().ipv6.is_some());
    }
}

#[test]
fn what_was_ever_sent_is_not_taken_back_after_a_restart() {
    let addresses = Addresses { ipv6: Some("2a00::1".parse().unwrap()), ..Addresses::default() };
    for trying in [false, true] {
        let held = state::TargetState {
            name: "t".into(),
            accepted: (!trying).then_some(state::Accepted { addresses, at: None }),
            trying: trying.then_some(addresses),
            ..state::TargetState::default()
        };
        let mut state = State::default();
        state.targets.insert("t".to_owned(), held);
        let mut bench = Bench::new(&config(vec![upnp()], vec![both()]), state);
        bench.observe(0, no_ipv6());
        bench.pass(60 * SECOND);
        assert!(bench.jobs.is_empty());
    }
}

#[test]
fn addresses_of_the_own_network_are_no_ipv6() {
    for (address, sent) in [("fd00::1", true), ("2a00::1", false)] {
        let mut target = both();
        target.ipv6 = [1].into();
        let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![target]), State::default());
        bench.observe(0, seen("1.1.1.1"));
        bench.observe(1, seen6(address));
        if sent {
            assert!(bench.jobs.is_empty());
            bench.pass(10 * SECOND);
        }
        assert_eq!(bench.sent(0).unwrap().ipv6.is_none(), sent, "{address}");
    }
}

#[test]
fn what_tells_no_address_is_sent_for_a_private_one_of_the_router() {
    let target = Target { optional: IPV4.or(IPV6), any_address: true, ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target.clone()]), State::default());
    bench.observe(0, seen("192.168.178.20"));
    assert_eq!(bench.sent(0).unwrap(), Addresses::default(), "it is told to nobody");
    bench.finish(0, published());
    assert!(bench.reports.iter().any(|report| report.text.contains("cannot be seen")));
    bench.pass(300 * SECOND);
    bench.observe(0, seen("192.168.178.20"));
    assert!(bench.jobs.is_empty());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("192.168.178.21"));
    bench.finish(0, published());
    let state = bench.saved.clone();
    let mut bench = Bench::new(&config(vec![upnp()], vec![target.clone()]), state);
    bench.observe(0, seen("192.168.178.21"));
    assert!(bench.jobs.is_empty(), "a restart sends nothing");
    bench.pass(300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent(0).unwrap().ipv4, Some([1, 1, 1, 1].into()));
    // Whatever tells an address, and the addresses of a host, stay as they are.
    let told = Target { any_address: false, ..target.clone() };
    let mut bench = Bench::new(&config(vec![upnp()], vec![told]), State::default());
    bench.observe(0, seen("192.168.178.20"));
    assert!(bench.jobs.is_empty());
    let mut bench = Bench::new(&config(vec![interface()], vec![target]), State::default());
    bench.observe(0, seen("192.168.178.20"));
    assert!(bench.jobs.is_empty());
}

#[test]
fn what_is_only_given_along_is_no_reason_to_run() {
    let target = Target { required: IPV4, extra: IPV6, ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    let with = |ipv6: &str| Observation { ipv6: Finding::Known(ipv6.parse().unwrap()), ..seen("1.1.1.1") };
    bench.observe(0, with("2a00::1"));
    assert_eq!(bench.sent(0).unwrap().ipv6, Some("2a00::1".parse().unwrap()));
    bench.finish(0, published());
    for ipv6 in ["2a00::2", "2a00::3"] {
        bench.pass(300 * SECOND);
        bench.observe(0, with(ipv6));
        assert!(bench.jobs.is_empty());
    }
    bench.pass(300 * SECOND);
    let other = Observation { ipv4: Finding::Known([2, 2, 2, 2].into()), ..with("2a00::4") };
    bench.observe(0, other);
    assert_eq!(bench.sent(0).unwrap().ipv6, Some("2a00::4".parse().unwrap()));
}
