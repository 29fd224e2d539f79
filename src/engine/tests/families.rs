//! What a target is sent of the two families and the prefix.

use super::*;

#[test]
fn a_target_with_both_families_waits_for_both() {
    let both = Target { required: IPV4.or(IPV6), ipv6: [1].into(), ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    bench.observe(1, seen6("2a00::1"));
    let sent = bench.sent(0).unwrap();
    assert!(sent.ipv4.is_some() && sent.ipv6.is_some());
}

#[test]
fn a_missing_family_is_sent_empty_only_on_demand() {
    let absent = Observation { ipv6: Finding::Absent("no IPv6".into()), ..seen("1.1.1.1") };
    let needs = IPV4.or(IPV6);
    for (empty_when_absent, jobs) in [(false, 0), (true, 1)] {
        let target = Target { required: needs, empty_when_absent, ..target("t", 0, NONE) };
        let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
        bench.observe(0, absent.clone());
        assert_eq!(bench.jobs.len(), jobs);
    }
    let target = Target { required: needs, empty_when_absent: true, ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty(), "unknown is not absent");
}

#[test]
fn an_optional_family_is_sent_when_known_and_never_taken_back() {
    let target = Target { required: NONE, optional: IPV4.or(IPV6), ipv6: [1].into(), ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![target]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty(), "the other source is still being asked");
    bench.observe(1, seen6("2a00::1"));
    bench.finish(0, published());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    bench.observe(1, Observation::unknown("gone"));
    assert!(bench.jobs.is_empty());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.observe(1, Observation::unknown("gone"));
    let sent = bench.sent(0).unwrap();
    assert_eq!((sent.ipv4, sent.ipv6), (Some([2, 2, 2, 2].into()), None), "only what a source vouches for");
}

#[test]
fn a_prefix_and_a_suffix_make_the_address() {
    let needs = Needs { ipv6_prefix: true, ..NONE };
    let suffix = Some("::5".parse().unwrap());
    let target = Target { required: needs, ipv6_suffix: suffix, ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    let prefix = Prefix::new("2a00:1:2:3::".parse().unwrap(), 56).unwrap();
    let delegated = Observation { ipv6_prefix: Finding::Known(prefix), ..Observation::unknown("no") };
    bench.observe(0, delegated.clone());
    assert!(bench.jobs.is_empty(), "nobody tells which subnet the LAN has");
    let lan = Prefix::new("2a00:1:2:1::".parse().unwrap(), 64);
    bench.pass(300 * SECOND);
    bench.observe(0, Observation { lan, ..delegated });
    assert_eq!(bench.sent(0).unwrap().ipv6, Some("2a00:1:2:1::5".parse().unwrap()));
}

#[test]
fn a_target_that_takes_either_family_tells_why_it_gets_neither() {
    let either = Target { optional: IPV4.or(IPV6), ..target("t", 0, NONE) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![either]), State::default());
    bench.observe(0, seen("100.72.3.9"));
    let lines: Vec<_> = bench.reports.iter().map(|report| report.text.as_str()).collect();
    assert!(lines.iter().any(|line| line.contains("carrier-grade NAT (RFC 6598)")), "{lines:?}");
}
