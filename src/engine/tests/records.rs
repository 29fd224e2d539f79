//! What is recorded, and how often it must reach the disk.

use super::*;

#[test]
fn what_a_target_held_is_told_though_it_may_not_be_published_any_more() {
    let held = "target\tt0\tname=t0\taccepted=10.0.0.1,-,-\tat=5\n";
    let (state, damaged) = State::parse(&format!("{TITLE}\n{held}"));
    assert_eq!(damaged, 0);
    let mut bench = Bench::new(&config(vec![upnp()], vec![target("t0", 0, IPV4)]), state);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.jobs[0].2[0].old.ipv4, Some([10, 0, 0, 1].into()));
}

/// Targets with a section each, as the IDs and names of a real file are.
fn many(count: usize) -> Bench {
    let target = |n: usize| Target {
        id: format!("{n:016x}").into(),
        name: format!("host{n}.example.org").into(),
        ..target("t", n, IPV4)
    };
    Bench::new(&config(vec![upnp()], (0..count).map(target).collect()), State::default())
}

fn finish_all(bench: &mut Bench) {
    while let Some((_, group, _)) = bench.jobs.first() {
        bench.finish(*group, published());
    }
}

#[test]
fn a_change_of_many_targets_costs_two_flushes_and_a_hundred_bytes_each() {
    for count in [1, 10, 300] {
        let mut bench = many(count);
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(bench.flushes, 0, "what was never accepted needs no mark");
        finish_all(&mut bench);
        assert_eq!(bench.flushes, 1);
        assert!(bench.file.len() <= 2048 + 100 * count, "{}", bench.file.len());
        let before = bench.file.len();
        bench.pass(300 * SECOND);
        bench.observe(0, seen("2.2.2.2"));
        assert_eq!(bench.flushes, 2, "one for all marks");
        for n in 0..count {
            let target = bench.saved.targets.get(&id(n));
            assert!(
                target.is_some_and(|target| target.trying.is_some()),
                "{n} is marked before anything leaves"
            );
        }
        finish_all(&mut bench);
        assert_eq!(bench.flushes, 3);
        assert!(bench.file.len() - before <= 2048 + 100 * count, "{}", bench.file.len() - before);
        bench.pass(300 * SECOND);
        bench.observe(0, seen("2.2.2.2"));
        assert_eq!(bench.flushes, 3, "a poll that finds nothing costs none");
    }
}

fn id(n: usize) -> String {
    format!("{n:016x}")
}

#[test]
fn a_failure_repeats_no_mark_and_an_acceptance_is_recorded_before_it_is_told() {
    let mut bench = Bench::simple(2);
    bench.observe(0, seen("1.1.1.1"));
    finish_all(&mut bench);
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.flushes = 0;
    bench.finish(0, retry());
    bench.finish(1, published());
    assert_eq!(bench.saved.targets.get("t1").unwrap().accepted.unwrap().addresses.to_string(), "2.2.2.2");
    assert_eq!(bench.flushes, 1, "the one at the end");
    bench.pass(60 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    assert_eq!(bench.flushes, 1, "its mark is still on the disk");
    bench.finish(0, published());
    assert_eq!(bench.flushes, 2);
    assert!(bench.saved.targets.get("t0").unwrap().trying.is_none());
}

#[test]
fn the_order_of_records_and_actions() {
    let config = config(vec![upnp()], vec![target("t0", 0, IPV4)]);
    let accepted = "target\tt0\tname=t0\taccepted=1.1.1.1,-,-\tat=5\n";
    let (state, _) = State::parse(&format!("{TITLE}\n{accepted}"));
    let mut engine = Engine::new(&config, state, 1);
    let mut now = Now { elapsed: Duration::ZERO, unix: Some(1_790_000_000) };
    let mut said = |event, elapsed| {
        now.elapsed = elapsed;
        engine.handle(now, event);
        let told = |action| match action {
            Action::Poll { .. } => "poll".to_owned(),
            Action::Record { lines, flush } => format!("record {flush} {lines}"),
            Action::Publish { .. } => "publish".to_owned(),
            Action::Overtake { .. } => "overtake".to_owned(),
            Action::Close { .. } => "close".to_owned(),
            Action::Report(report) => report.text,
        };
        std::iter::from_fn(|| engine.action()).map(told).collect::<Vec<_>>()
    };
    assert_eq!(said(Event::Tick, Duration::ZERO), ["poll"]);
    let observed = Event::Observed { source: 0, observation: seen("2.2.2.2"), gateway: None };
    let facts = "has_answered\tupnp\tipv4\n";
    assert_eq!(
        said(observed, SECOND),
        [format!("record true {facts}trying\t2.2.2.2,-,-\tt0\n"), "publish".into()]
    );
    let finished = Event::Finished { job: 0, outcomes: vec![(0, published())], took: SECOND };
    let change = "changed\t1790000000\t1.1.1.1,-,-\t2.2.2.2,-,-\tt0\n";
    assert_eq!(
        said(finished, 2 * SECOND),
        [&format!("record false accepted\tt0\t1790000000\n{change}"), "1.1.1.1 -> 2.2.2.2", "record true "]
    );
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
#[test]
fn a_mark_for_nothing_is_taken_back() {
    // The pause of their account holds back all but the first.
    let mut bench = Bench::new(&pauses::account_with_pauses(), State::default());
    for _ in 0..3 {
        told(&mut bench, 0, seen("1.1.1.1"));
        bench.finish(0, published());
        bench.pass(800 * SECOND);
    }
    let marked =
        |bench: &Bench| bench.saved.targets.values().filter(|target| target.trying.is_some()).count();
    assert_eq!((bench.saved.targets.len(), marked(&bench)), (3, 0));
    told(&mut bench, 0, seen("2.2.2.2"));
    assert_eq!(marked(&bench), 3, "one flush for all");
    bench.finish(0, published());
    // The address comes back before the others were sent anything.
    told(&mut bench, 0, seen("1.1.1.1"));
    assert_eq!(marked(&bench), 0, "a restart owes the others nothing");
}

#[test]
fn what_the_limit_of_attempts_holds_back_is_marked_when_it_is_sent() {
    let second = Target { ipv4: [1].into(), ..target("t1", 1, IPV4) };
    let mut bench =
        Bench::new(&config(vec![upnp(), interface()], vec![target("t0", 0, IPV4), second]), State::default());
    told(&mut bench, 1, seen("9.9.9.9"));
    bench.finish(1, published());
    let address = |n: u8| if n.is_multiple_of(2) { "1.1.1.1" } else { "2.2.2.2" };
    for n in 0..30 {
        told(&mut bench, 0, seen(address(n)));
        bench.finish(0, published());
    }
    // Held back, when the other one is sent: killed now, and back at what it accepted,
    // it owes nothing.
    told(&mut bench, 0, seen("1.1.1.1"));
    told(&mut bench, 1, seen("8.8.8.8"));
    let mark = |bench: &Bench, id: &str| bench.saved.targets[id].trying.map(|trying| trying.to_string());
    assert_eq!((mark(&bench, "t0"), mark(&bench, "t1").as_deref()), (None, Some("8.8.8.8")));
    bench.finish(1, published());
    assert!(trouble::until_sent(&mut bench, "1.1.1.1") > 60 * SECOND);
    assert_eq!(mark(&bench, "t0").as_deref(), Some("1.1.1.1"), "the last of its attempts is marked, too");
}

/// A target of both families, each by a source of its own, as accepted.
fn both() -> (Config, Bench) {
    let target =
        Target { required: NONE, optional: IPV4.or(IPV6), ipv6: [1].into(), ..target("t0", 0, NONE) };
    let config = config(vec![upnp(), interface()], vec![target]);
    let mut bench = Bench::new(&config, State::default());
    told(&mut bench, 0, seen("1.1.1.1"));
    told(&mut bench, 1, seen6("2a00::1"));
    bench.finish(0, published());
    (config, bench)
}

fn told(bench: &mut Bench, source: usize, observation: Observation) {
    bench.handle(Event::Observed { source, observation, gateway: None });
}

#[test]
fn what_one_family_was_sent_says_nothing_of_the_other() {
    let (_, mut bench) = both();
    bench.pass(300 * SECOND);
    // 2.2.2.2 may have arrived, and then only the other family is known.
    told(&mut bench, 0, seen("2.2.2.2"));
    told(&mut bench, 1, seen6("2a00::1"));
    bench.finish(0, retry());
    for _ in 0..5 {
        bench.pass(300 * SECOND);
        told(&mut bench, 0, Observation::unknown("silent"));
        told(&mut bench, 1, seen6("2a00::2"));
        if bench.sent(0).is_some() {
            bench.finish(0, published());
        }
    }
    assert_eq!(bench.saved.targets["t0"].accepted.unwrap().addresses.ipv6, Some("2a00::2".parse().unwrap()));
    told(&mut bench, 0, seen("1.1.1.1"));
    bench.pass(300 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "it may hold 2.2.2.2");
    bench.finish(0, published());
    assert!(bench.saved.targets["t0"].trying.is_none());
}

#[test]
fn a_doubted_state_is_doubted_for_each_family_until_it_is_sent() {
    let (config, bench) = both();
    let mut saved = bench.saved.clone();
    saved.doubt();
    let mut bench = Bench::new(&config, saved);
    told(&mut bench, 0, Observation::unknown("silent"));
    told(&mut bench, 1, seen6("2a00::1"));
    for _ in 0..4 {
        bench.pass(60 * SECOND);
        told(&mut bench, 0, Observation::unknown("silent"));
    }
    assert_eq!(bench.sent(0).unwrap().ipv4, None);
    bench.finish(0, published());
    assert!(bench.saved.targets["t0"].trying.is_some(), "a restart doubts the other one still");
    told(&mut bench, 0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    bench.finish(0, published());
    assert!(bench.saved.targets["t0"].trying.is_none());
}
