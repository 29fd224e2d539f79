//! What a person asks for: `retry` and `update`.

use super::*;

fn accepted() -> Bench {
    let mut bench = Bench::simple(2);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.finish(1, published());
    bench.pass(60 * SECOND);
    bench
}

#[test]
fn retry_frees_a_blocked_target_at_once_and_no_other() {
    let mut bench = Bench::simple(2);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, Outcome::Blocked { why: "abuse".into() });
    bench.finish(1, retry());
    bench.handle(Event::Retry { targets: vec![0] });
    assert_eq!(bench.jobs.iter().map(|(_, group, _)| *group).collect::<Vec<_>>(), [0]);
    assert_eq!(bench.saved.targets.get("t0").unwrap().blocked, None, "nothing stands in its way");
    assert!(bench.saved.targets.get("t1").unwrap().failed.is_some());
    bench.finish(0, published());
    bench.handle(Event::Retry { targets: vec![0, 1, 7] });
    assert_eq!(bench.jobs.iter().map(|(_, group, _)| *group).collect::<Vec<_>>(), [1]);
}

#[test]
fn retry_of_what_is_well_sends_and_writes_nothing() {
    let mut bench = accepted();
    let before = bench.file.clone();
    bench.handle(Event::Retry { targets: vec![0, 1] });
    assert!(bench.jobs.is_empty());
    assert_eq!(bench.file, before);
}

#[test]
fn update_polls_and_then_sends_an_unchanged_address() {
    let mut bench = accepted();
    bench.handle(Event::Update { targets: vec![1] });
    assert_eq!((&bench.polls[..], bench.jobs.len()), (&[0][..], 0));
    assert!(!bench.engine.is_settled(bench.now), "--once waits for it");
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(1), Some("1.1.1.1".into()));
    assert_eq!(bench.jobs.len(), 1);
    for _ in 0..2 {
        bench.finish(1, Outcome::Published { changed: false });
        assert!(bench.reports.iter().all(|report| report.level >= Level::Info), "{:?}", bench.reports);
        bench.handle(Event::Update { targets: vec![1] });
        bench.observe(0, seen("1.1.1.1"));
    }
    bench.finish(1, published());
    assert!(bench.jobs.is_empty() && bench.engine.is_settled(bench.now));
}

#[test]
fn update_waits_five_seconds_at_most_for_a_router_that_does_not_answer() {
    let mut bench = accepted();
    bench.handle(Event::Update { targets: vec![0] });
    let asked = bench.now.elapsed;
    while bench.jobs.is_empty() {
        bench.tick();
    }
    assert_eq!(bench.now.elapsed - asked, 5 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn update_ends_a_back_off_but_neither_a_wish_nor_a_refusal() {
    let wish = Outcome::Retry { why: "busy".into(), after: Some(900 * SECOND), reached: true };
    let refused = Outcome::Blocked { why: "nohost".into() };
    for (outcome, sent) in [(retry(), true), (wish, false), (refused, false)] {
        let mut bench = Bench::simple(1);
        bench.observe(0, seen("1.1.1.1"));
        bench.finish(0, outcome.clone());
        bench.reports.clear();
        bench.handle(Event::Update { targets: vec![0] });
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(!bench.jobs.is_empty(), sent, "{outcome:?}");
        let told = bench.reports.iter().any(|report| report.level == Level::Warning);
        assert_eq!(told, !sent, "who asks is told why not: {:?}", bench.reports);
    }
}

#[test]
fn a_target_is_meant_by_its_label_or_its_host_name() {
    let record = Target { host: "home.example.org".into(), ..target("A home.example.org", 0, IPV4) };
    for name in ["A home.example.org", "home.example.org", "HOME.example.org."] {
        assert!(record.is_called(name), "{name}");
    }
    for name in ["a home.example.org", "example.org", ""] {
        assert!(!record.is_called(name), "{name}");
    }
    let call = |name: &str, host: &str| Target { host: host.into(), ..target(name, 0, IPV4) }.retry_call();
    assert_eq!(call("A home.example.org", "home.example.org"), "ddns-update-daemon retry home.example.org");
    assert_eq!(call("run logger", ""), "ddns-update-daemon retry 'run logger'");
    for name in ["it's", "a/b", "home.toml", "-x"] {
        assert_eq!(call(name, ""), "ddns-update-daemon retry", "{name}");
    }
    assert_eq!(call("zone", "*.example.org"), "ddns-update-daemon retry '*.example.org'");
}
