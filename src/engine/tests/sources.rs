//! Several sources: who is believed, and what is said of NAT.

use std::net::Ipv6Addr;

use super::*;

fn echo() -> Source {
    Source::Echo("https://echo.example/".into())
}

/// A target with these sources of its IPv4 address, by preference.
fn bench_of(sources: Vec<Source>, agree: usize) -> Bench {
    let ipv4 = (0..sources.len()).collect();
    let target = Target { ipv4, agree, ..target("t", 0, IPV4) };
    Bench::new(&config(sources, vec![target]), State::default())
}

fn said(bench: &Bench, words: &str) -> bool {
    bench.reports.iter().any(|report| report.text.contains(words))
}

#[test]
fn double_nat_is_told_in_words() {
    let mut bench = bench_of(vec![upnp(), echo()], 1);
    bench.observe(0, seen("192.168.1.5"));
    assert!(bench.polls.is_empty() && bench.jobs.is_empty(), "the echo service is not even asked");
    assert!(said(&bench, "itself behind another router (double NAT)"), "{:?}", bench.reports);
    let mut bench = bench_of(vec![interface()], 1);
    bench.observe(0, seen("192.168.1.5"));
    assert!(said(&bench, "it is behind a router"), "{:?}", bench.reports);
    let mut bench = bench_of(vec![interface()], 1);
    bench.observe(0, seen("100.70.1.2"));
    let shared = "this host's address 100.70.1.2 is shared by a provider's customers (carrier-grade NAT (RFC 6598)); \
                  a public IPv4 record cannot reach it: use IPv6, or ask the provider for a public address; if a \
                  router is in between, let that be asked (\"upnp\")";
    assert!(said(&bench, shared), "{:?}", bench.reports);
}

#[test]
fn an_echo_service_does_not_overrule_a_router_behind_a_nat() {
    for (inner, words) in [("100.72.3.9", "shared by your provider"), ("10.0.0.2", "double NAT")] {
        let mut bench = bench_of(vec![echo(), upnp()], 1);
        assert_eq!(bench.polls, [0, 1], "the router is asked as well");
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty(), "the router may yet object");
        bench.observe(1, seen(inner));
        assert!(bench.jobs.is_empty());
        assert!(said(&bench, words) && said(&bench, "the internet sees 1.1.1.1"), "{:?}", bench.reports);
        for _ in 0..5 {
            bench.pass(300 * SECOND);
            bench.observe(0, seen("1.1.1.1"));
            bench.observe(1, Observation::unknown("timed out"));
            assert!(bench.jobs.is_empty(), "its last word counts");
        }
        bench.pass(300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        bench.observe(1, seen("1.1.1.1"));
        assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    }
}

#[test]
fn an_echo_service_does_not_overrule_ds_lite() {
    let mut bench = bench_of(vec![upnp(), echo()], 1);
    bench.observe(0, Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") });
    bench.observe(1, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    assert!(said(&bench, "no IPv4 address of its own: DS-Lite"), "{:?}", bench.reports);
}

#[test]
fn an_echo_service_alone_is_believed_and_so_is_one_beside_a_dead_router() {
    let mut bench = bench_of(vec![echo()], 1);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    let mut bench = bench_of(vec![upnp(), echo()], 1);
    bench.observe(0, Observation::unknown("no router"));
    bench.observe(1, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn echo_services_that_agree_do_not_outvote_a_router_behind_a_nat() {
    let other = Source::Echo("https://other.example/".into());
    let mut bench = bench_of(vec![echo(), other, upnp()], 2);
    bench.observe(0, seen("1.1.1.1"));
    bench.observe(1, seen("1.1.1.1"));
    bench.observe(2, seen("100.72.3.9"));
    assert!(bench.jobs.is_empty());
    assert!(said(&bench, "shared by your provider"), "{:?}", bench.reports);
}

#[test]
fn disagreement_with_an_echo_service_is_explained() {
    for (inner, words) in [("100.72.3.9", "shared by your provider"), ("2.2.2.2", "a VPN")] {
        let mut bench = bench_of(vec![upnp(), echo()], 2);
        bench.observe(0, seen(inner));
        bench.observe(1, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty());
        assert!(said(&bench, "fewer than 2 sources agree") && said(&bench, words), "{:?}", bench.reports);
    }
}

#[test]
fn three_kinds_of_sources_do_not_flap_when_the_first_fails_for_a_moment() {
    let mut bench = bench_of(vec![upnp(), interface(), echo()], 1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    for round in 0..40 {
        bench.pass(300 * SECOND);
        let healthy = round % 3 == 2;
        bench.observe(0, if healthy { seen("1.1.1.1") } else { Observation::unknown("timed out") });
        assert!(!bench.polls.contains(&1) && !bench.polls.contains(&2), "round {round}");
        assert!(bench.jobs.is_empty(), "round {round}");
    }
    // Gone for good: the next in line is believed, and passed over when it has none.
    for _ in 0..4 {
        bench.pass(300 * SECOND);
        bench.polls.retain(|source| *source != 0);
        bench.handle(Event::Observed { source: 0, observation: Observation::unknown("gone"), gateway: None });
    }
    bench.observe(1, Observation { ipv4: Finding::Absent("none".into()), ..Observation::unknown("no") });
    bench.observe(2, seen("3.3.3.3"));
    assert_eq!(bench.sent_ipv4(0), Some("3.3.3.3".into()));
}

#[test]
fn a_single_run_waits_for_a_silent_source_and_falls_back_within_15_s() {
    let sources = || vec![upnp(), echo()];
    let target = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut before = Bench::new(&config(sources(), vec![target.clone()]), State::default());
    before.observe(0, seen("1.1.1.1"));
    before.finish(0, published());
    let mut bench = trouble::once(&before, &config(sources(), vec![target]), 300 * SECOND);
    let mut asked = 0;
    while bench.polls != [1] {
        assert!(!bench.engine.is_settled(bench.now), "at {:?}", bench.now.elapsed);
        if bench.polls == [0] {
            asked += 1;
            bench.observe(0, Observation::unknown("it has not answered yet"));
        } else {
            bench.tick();
        }
    }
    assert!(asked >= 4, "a slow one is waited for: {asked}");
    assert!(bench.now.elapsed <= 13 * SECOND, "{:?}", bench.now.elapsed);
    bench.polls.clear();
    bench.pass(5 * SECOND);
    assert_eq!(bench.polls, [0], "it is polled again meanwhile");
    bench.polls.push(1);
    bench.observe(1, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    assert!(!bench.engine.is_settled(bench.now));
    bench.finish(0, published());
    assert!(bench.engine.is_settled(bench.now), "nobody waits for the silent one");
}

#[test]
fn a_silent_source_does_not_answer_again_because_another_speaks() {
    let mut bench = bench_of(vec![upnp(), echo()], 1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    while bench.polls != [1] {
        if bench.polls == [0] {
            bench.observe(0, Observation::unknown("timed out"));
        } else {
            bench.tick();
        }
    }
    assert!(said(&bench, "timed out; polling again"), "{:?}", bench.reports);
    bench.observe(1, seen("1.1.1.1"));
    assert!(!said(&bench, "answers again"), "{:?}", bench.reports);
    for _ in 0..3 {
        bench.pass(300 * SECOND);
        bench.observe(0, Observation::unknown("timed out"));
    }
    assert!(!said(&bench, "answers again"), "{:?}", bench.reports);
    bench.pass(300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    let said: Vec<_> = bench.reports.iter().filter(|report| report.text == "answers again").collect();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].subject, "upnp");
}

#[test]
fn a_new_prefix_moves_all_its_records_in_one_go() {
    let needs = Needs { ipv6_prefix: true, ..NONE };
    let record = |entry: usize| {
        let suffix = Some(Ipv6Addr::from_bits(u128::try_from(entry).unwrap() + 1));
        Target { entry, ipv6_suffix: suffix, ..target(&format!("t{entry}"), 0, needs) }
    };
    let mut bench = Bench::new(&config(vec![upnp()], (0..4).map(record).collect()), State::default());
    for network in ["2a00:1:2:300::", "2a00:9:9:900::"] {
        let prefix = Prefix::new(network.parse().unwrap(), 56).unwrap();
        let lan = Prefix::new(prefix.address(), 64);
        let ipv6_prefix = Finding::Known(prefix);
        bench.observe(0, Observation { ipv6_prefix, lan, ..Observation::unknown("no") });
        assert_eq!(bench.jobs.len(), 1, "one job for all");
        let (_, _, tasks) = &bench.jobs[0];
        let sent: Vec<_> = tasks.iter().map(|task| task.addresses.ipv6.unwrap()).collect();
        let hosts: Vec<_> = (1..5).map(|host| prefix.host(Ipv6Addr::from_bits(host))).collect();
        assert_eq!(sent, hosts);
        bench.finish(0, published());
        bench.pass(300 * SECOND);
    }
}

#[test]
fn a_source_that_has_never_answered_does_not_answer_again() {
    let mut bench = bench_of(vec![upnp(), echo()], 1);
    bench.observe(0, Observation::unknown("timed out"));
    bench.observe(1, Observation::unknown("no answer"));
    assert!(said(&bench, "timed out"), "{:?}", bench.reports);
    while !bench.polls.contains(&1) {
        bench.polls.retain(|source| *source != 0);
        bench.tick();
    }
    bench.observe(1, seen("1.1.1.1"));
    bench.reports.retain(|report| report.subject == "upnp");
    assert!(!said(&bench, "answers again"), "{:?}", bench.reports);
}

#[test]
fn a_source_answers_again_when_it_tells_all_that_it_has_ever_told() {
    // It has told IPv4 alone, or both; what it tells in the end, IPv4 alone, is all of it or not.
    for told_both in [false, true] {
        let four = target("t4", 0, IPV4);
        let six = Target { ipv6: [0, 1].into(), ..target("t6", 1, IPV6) };
        let mut bench = Bench::new(&config(vec![upnp(), echo()], vec![four, six]), State::default());
        let ipv6 = if told_both { seen6("2a00:b::1").ipv6 } else { Observation::unknown("none").ipv6 };
        bench.observe(0, Observation { ipv6, ..seen("1.1.1.1") });
        while !said(&bench, "timed out; polling again") || !bench.polls.contains(&1) {
            if bench.polls.contains(&0) {
                bench.observe(0, Observation::unknown("timed out"));
            } else {
                bench.tick();
            }
        }
        bench.observe(1, seen6("2a00:a::1"));
        assert!(!said(&bench, "answers again"), "{:?}", bench.reports);
        while !bench.polls.contains(&0) {
            bench.tick();
        }
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(said(&bench, "answers again"), !told_both, "{:?}", bench.reports);
    }
}

#[test]
fn a_source_that_never_answered_gives_way_at_once() {
    let both = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    assert_eq!(bench.polls, [0]);
    bench.observe(0, Observation::unknown("no gateway"));
    assert_eq!(bench.polls, [1]);
    bench.observe(1, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn a_source_that_has_answered_keeps_its_place_for_three_polls() {
    let both = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    let mut polls = 0;
    while !bench.polls.contains(&1) {
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, Observation::unknown("timed out"));
        }
        polls = bench.now.elapsed.as_secs() / 300;
        assert!(polls < 9);
    }
    assert_eq!(polls, 3);
    bench.observe(1, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    bench.finish(0, published());
    bench.tick();
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "it takes its place back");
}

#[test]
fn definitely_none_passes_only_to_another_kind_of_source() {
    let all = Target { ipv4: [0, 1, 2].into(), ..target("t", 0, IPV4) };
    let sources = vec![upnp(), Source::NatPmp(None), interface()];
    let mut bench = Bench::new(&config(sources, vec![all]), State::default());
    bench.observe(0, Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") });
    assert_eq!(bench.polls, [2], "the same gateway does not overrule itself");
    bench.observe(2, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn several_sources_must_agree_where_the_user_says_so() {
    let both = Target { ipv4: [0, 1].into(), agree: 2, ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    bench.observe(1, seen("2.2.2.2"));
    assert!(bench.jobs.is_empty());
    assert!(bench.reports.iter().any(|report| report.text.contains("fewer than 2 sources agree")));
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.polls.clear();
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
}

#[test]
fn a_failing_source_is_looked_at_again_within_seconds() {
    let mut bench = Bench::simple(1);
    bench.observe(0, Observation::unknown("timed out"));
    let mut times = Vec::new();
    for _ in 0..6 {
        times.push(bench.tick().as_secs());
        bench.observe(0, Observation::unknown("timed out"));
    }
    assert_eq!(times, [1, 3, 7, 12, 17, 22]);
    bench.tick();
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    let levels: Vec<_> = bench.reports.iter().map(|report| report.level).collect();
    assert_eq!(levels, [Level::Warning, Level::Info], "one line at the start of trouble, one at its end");
}

#[test]
fn where_upnp_cannot_tell_nat_pmp_of_the_same_gateway_speaks() {
    let mut bench = bench_of(vec![upnp(), Source::NatPmp(None)], 1);
    bench.observe(0, Observation::unknown("no UPnP"));
    bench.observe(1, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    // What the gateway says there is none of it does not tell by another protocol.
    let mut bench = bench_of(vec![upnp(), Source::NatPmp(None), interface()], 1);
    bench.observe(0, Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") });
    assert_eq!(bench.polls, [2]);
}

#[test]
fn where_two_have_to_agree_each_is_asked_that_may_make_them_two() {
    let mut bench = bench_of(vec![upnp(), Source::NatPmp(None), interface()], 2);
    let absent = || Observation { ipv4: Finding::Absent("none".into()), ..Observation::unknown("no") };
    bench.observe(0, absent());
    for round in 0..3 {
        bench.polls.sort_unstable();
        assert_eq!(bench.polls, if round == 0 { vec![1, 2] } else { vec![0, 1, 2] });
        for (source, seen) in [(1, seen("1.1.1.1")), (2, seen("1.1.1.1")), (0, absent())] {
            if bench.polls.contains(&source) {
                bench.observe(source, seen);
            }
        }
        assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
        bench.pass(300 * SECOND);
    }
}

#[test]
fn only_a_source_whose_failure_leaves_somebody_without_an_address_is_asked_again_soon() {
    let lists = |name: &str, group, ipv4: &[usize]| Target { ipv4: ipv4.into(), ..target(name, group, IPV4) };
    let targets = vec![lists("a", 0, &[0]), lists("b", 1, &[1, 2])];
    let mut bench = Bench::new(&config(vec![upnp(), interface(), echo()], targets), State::default());
    bench.observe(0, Observation::unknown("timed out"));
    bench.observe(1, Observation::unknown("no link"));
    bench.observe(2, seen("1.1.1.1"));
    let again = bench.engine.deadline();
    assert!(again < 60 * SECOND, "{again:?}");
    // What another one says moves nothing.
    bench.pass(again / 2);
    bench.handle(Event::Observed { source: 2, observation: seen("1.1.1.1"), gateway: None });
    assert_eq!(bench.engine.deadline(), again);
    bench.tick();
    assert_eq!(bench.polls, [0], "for the other there is somebody who speaks");
}

#[test]
fn a_single_run_waits_for_a_poll_that_a_hint_has_caused() {
    let config = config(vec![upnp()], vec![target("t", 0, IPV4)]);
    let mut bench = trouble::once(&Bench::new(&config, State::default()), &config, 300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    bench.handle(Event::Hint { source: 0 });
    bench.pass(SECOND);
    bench.finish(0, published());
    assert_eq!((bench.polls.as_slice(), bench.engine.behind(bench.now).count()), (&[0][..], 0));
    assert!(!bench.engine.is_settled(bench.now), "it may tell another address");
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.engine.is_settled(bench.now));
}

#[test]
fn what_two_sources_that_disagree_mean_is_told_of_a_router_alone() {
    use crate::engine::nat::explain_disagreement;
    use crate::engine::source_status::Origin;
    let [one, other] = ["1.1.1.1", "2.2.2.2"].map(|ip| ip.parse().unwrap());
    for (teller, told, explained) in
        [(Origin::Gateway, other, true), (Origin::Gateway, one, false), (Origin::Kernel, other, false)]
    {
        let why = explain_disagreement(&[(one, Origin::Echo), (told, teller)]);
        assert_eq!(why.is_some(), explained, "{told} {why:?}");
    }
}
