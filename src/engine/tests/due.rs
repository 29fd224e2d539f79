//! When a target is due, and when it is not.

use super::trouble::until_sent;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn one_with(target: Target) -> Bench {
    Bench::new(&config(vec![upnp()], vec![target]), State::default())
}

fn either() -> Target {
    Target { optional: IPV4.or(IPV6), ..target("t0", 0, NONE) }
}

fn none6(ipv4: &str) -> Observation {
    Observation { ipv6: Finding::Absent("no IPv6".into()), ..seen(ipv4) }
}

fn later(bench: &mut Bench, observation: Observation) {
    bench.pass(300 * SECOND);
    bench.observe(0, observation);
}

#[test]
fn a_family_that_joins_is_sent_and_one_that_was_never_held_is_not_missed() {
    let mut bench = one_with(either());
    bench.observe(0, seen6("2a00::1"));
    bench.finish(0, published());
    later(&mut bench, Observation { ipv6: seen6("2a00::1").ipv6, ..seen("1.1.1.1") });
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    let mut bench = one_with(either());
    bench.observe(0, none6("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "it does not need the other");
    bench.finish(0, published());
    while bench.now.elapsed < 50 * HOUR {
        later(&mut bench, none6("1.1.1.1"));
    }
    assert!(bench.reports.iter().all(|report| report.level == Level::Info), "{:?}", bench.reports);
}

#[test]
fn a_private_address_that_joins_others_is_no_news_and_is_told_to_nobody() {
    let any = Target { any_address: true, ..either() };
    let mut bench = one_with(any.clone());
    bench.observe(0, seen6("2a00::1"));
    bench.finish(0, published());
    later(&mut bench, Observation { ipv6: seen6("2a00::1").ipv6, ..seen("192.168.178.20") });
    assert!(bench.jobs.is_empty());
    // Nor later, as the one before.
    for (target, first, told) in
        [(any, "192.168.178.20", None), (target("t0", 0, IPV4), "1.1.1.1", Some([1, 1, 1, 1].into()))]
    {
        let mut bench = one_with(target);
        bench.observe(0, seen(first));
        bench.finish(0, published());
        later(&mut bench, seen("2.2.2.2"));
        assert_eq!(bench.jobs[0].2[0].old.ipv4, told, "{first}");
    }
}

#[test]
fn this_hosts_ipv4_address_is_one_for_a_target_that_names_both() {
    let both = Target { required: IPV4.or(IPV6), both_families: true, ..target("t0", 0, NONE) };
    let both = Target { ipv4: [1].into(), ..both };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default());
    bench.observe(1, seen("1.1.1.1"));
    bench.observe(0, seen6("2a00::1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
}

#[test]
fn what_waits_after_a_failure_does_not_leave_with_another_of_its_section() {
    let second = Target { entry: 1, ..target("t1", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target("t0", 0, IPV4), second]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    let job = bench.jobs.remove(0).0;
    bench.handle(Event::Finished { job, outcomes: vec![(0, retry()), (1, published())], took: SECOND });
    bench.pass(2 * SECOND);
    bench.handle(Event::Hint { source: 0 });
    bench.pass(SECOND);
    bench.observe(0, seen("2.2.2.2"));
    let entries: Vec<_> = bench.jobs[0].2.iter().map(|task| task.entry).collect();
    assert_eq!(entries, [1], "a provider that failed is left alone for ten seconds");
    assert_eq!(
        [(0, 0), (0, 1), (1, 0)].map(|(group, entry)| bench.engine.label(group, entry)),
        ["t0", "t1", ""]
    );
}

#[test]
fn a_provider_that_fails_gains_nothing_by_new_addresses_but_a_line_does() {
    let unreached = || Outcome::Retry { why: "no route".into(), after: None, reached: false };
    let waits = |outcome: &dyn Fn() -> Outcome| {
        let mut bench = Bench::simple(1);
        bench.observe(0, seen("1.1.1.1"));
        for _ in 0..5 {
            bench.finish(0, outcome());
            until_sent(&mut bench, "1.1.1.1");
        }
        bench.handle(Event::Hint { source: 0 });
        bench.pass(3 * SECOND);
        bench.observe(0, seen("2.2.2.2"));
        bench.finish(0, outcome());
        until_sent(&mut bench, "2.2.2.2");
        bench.finish(0, outcome());
        let from = bench.now.elapsed;
        until_sent(&mut bench, "2.2.2.2");
        bench.now.elapsed.checked_sub(from).unwrap()
    };
    // The seventh failure in a row: 30 s doubled six times is 32 minutes.
    assert!(waits(&retry) >= 1920 * SECOND);
    // The second of a new line: within a second or two.
    assert!(waits(&unreached) <= 2 * SECOND, "{:?}", waits(&unreached));
}

#[test]
fn a_blocked_try_that_reached_nobody_is_repeated_in_an_hour_and_another_in_a_day() {
    for (reached, hours) in [(false, 1), (true, 24)] {
        let mut bench = Bench::simple(1);
        bench.observe(0, seen("1.1.1.1"));
        bench.finish(0, blocked());
        assert_eq!(until_sent(&mut bench, "1.1.1.1").as_secs() / 3600, 24);
        bench.finish(0, Outcome::Retry { why: "no answer".into(), after: None, reached });
        assert_eq!(until_sent(&mut bench, "1.1.1.1").as_secs() / 3600, hours, "{reached}");
    }
}

#[test]
fn a_program_is_tried_for_a_day_before_it_is_given_up() {
    let config = Config { groups: vec![program()], ..config(vec![upnp()], vec![target("t0", 0, IPV4)]) };
    let mut bench = Bench::new(&config, State::default());
    bench.observe(0, seen("1.1.1.1"));
    let mut tries = 0;
    while bench.reports.iter().all(|report| report.level > Level::Error) {
        tries += 1;
        bench.finish(0, retry());
        if bench.reports.iter().all(|report| report.level > Level::Error) {
            until_sent(&mut bench, "1.1.1.1");
        }
    }
    let hours = bench.now.elapsed.as_secs() / 3600;
    assert!((24..=25).contains(&hours) && (25..=35).contains(&tries), "{hours} h, {tries} tries");
}

#[test]
fn a_program_waits_neither_for_a_check_nor_for_the_pause_of_an_account() {
    let checked = Target { verify: Some(HOUR), ..target("t0", 0, IPV4) };
    let own = Target { ipv4: [1].into(), ..target("t1", 1, IPV4) };
    let groups = vec![url(0), program()];
    let both = config(vec![upnp(), interface()], vec![checked, own]);
    let mut bench = Bench::new(&Config { groups, ..both }, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.observe(1, seen("3.3.3.3"));
    bench.finish(0, published());
    bench.finish(1, published());
    bench.pass(HOUR);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.jobs.len(), 1, "the check");
    bench.observe(1, seen("4.4.4.4"));
    assert_eq!(bench.sent_ipv4(1), Some("4.4.4.4".into()), "at once");
}

#[test]
fn why_what_it_holds_changed_is_shown() {
    let because = |bench: &Bench| bench.engine.status(bench.now).targets.remove(0).changed_because;
    let checked = Target { verify: Some(HOUR), refresh: Some(40 * HOUR), ..target("t0", 0, IPV4) };
    let mut bench = one_with(checked);
    assert_eq!(because(&bench), None);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    assert_eq!(because(&bench).as_deref(), Some("first sent"));
    later(&mut bench, seen("2.2.2.2"));
    bench.finish(0, published());
    assert_eq!(because(&bench).as_deref(), Some("the address changed"));
    for (wait, changed, why, told) in [
        (HOUR, false, "the address changed", "still 2.2.2.2"),
        (HOUR, true, "somebody else had changed it", "was changed by someone else; set to 2.2.2.2 again"),
        (40 * HOUR, true, "somebody else had changed it", "set to 2.2.2.2 again"),
    ] {
        bench.pass(wait);
        bench.observe(0, seen("2.2.2.2"));
        bench.finish(0, Outcome::Published { changed });
        assert_eq!(
            (because(&bench).as_deref(), bench.reports.last().unwrap().text.as_str()),
            (Some(why), told)
        );
    }
    let shown = bench.engine.status(bench.now).targets.remove(0);
    assert_eq!((shown.updates_ok, shown.updates_failed), (5, 0));
    assert_eq!(
        bench.engine.holds("t0"),
        Some(Addresses { ipv4: Some([2, 2, 2, 2].into()), ..Addresses::default() })
    );
    assert_eq!(bench.engine.holds("t1"), None);
}

#[test]
fn a_state_file_that_is_written_anew_says_what_its_lines_said() {
    let targets = (0..3).map(|n| target(&format!("t{n}"), n, IPV4)).chain([target("t3", 3, IPV6)]).collect();
    let mut bench = Bench::new(&config(vec![upnp()], targets), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.finish(1, retry());
    bench.finish(2, blocked());
    let (state, damaged) = State::parse(&format!("{TITLE}\n{}", bench.engine.snapshot()));
    assert_eq!((damaged, state.targets.len()), (0, 3), "of the last there is nothing to remember");
    assert_eq!(state.targets, bench.saved.targets);
}

#[test]
fn where_the_gateway_was_found_is_written_down_with_the_next_news() {
    let mut bench = Bench::simple(1);
    for (address, root) in
        [("1.1.1.1", "http://192.168.1.1:5000/a.xml"), ("2.2.2.2", "http://192.168.1.1:5001/b.xml")]
    {
        let gateway = LanUrl::parse(root).unwrap();
        bench.pass(300 * SECOND);
        bench.handle(Event::Observed {
            source: 0,
            observation: seen(address),
            gateway: Some(gateway.clone()),
        });
        bench.finish(0, published());
        assert_eq!(bench.saved.gateways.get("upnp"), Some(&gateway));
    }
}

#[test]
fn what_is_current_at_the_start_is_a_line_for_each_of_twenty() {
    for (targets, once, level) in
        [(20, false, Level::Info), (21, false, Level::Debug), (1, true, Level::Debug)]
    {
        let config = config(vec![upnp()], (0..targets).map(|n| target(&format!("t{n}"), n, IPV4)).collect());
        let mut before = Bench::new(&config, State::default());
        before.observe(0, seen("1.1.1.1"));
        while let Some((_, group, _)) = before.jobs.first() {
            before.finish(*group, published());
        }
        let mut bench = Bench::new(&config, before.saved.clone());
        if once {
            bench = trouble::once(&before, &config, HOUR);
        }
        bench.observe(0, seen("1.1.1.1"));
        let told: Vec<_> =
            bench.reports.iter().filter(|report| report.text.starts_with("current since 2026-")).collect();
        assert_eq!(told.len(), targets, "{:?}", bench.reports);
        assert!(told.iter().all(|report| report.level == level), "{targets} {once}");
    }
}

#[test]
fn each_mark_has_the_addresses_of_its_target() {
    let targets = vec![target("t0", 0, IPV4), target("t1", 1, IPV6), target("t2", 2, IPV4)];
    let mut bench = Bench::new(&config(vec![upnp()], targets), State::default());
    let both = |ipv4, ipv6| Observation { ipv6: seen6(ipv6).ipv6, ..seen(ipv4) };
    bench.observe(0, both("1.1.1.1", "2a00::1"));
    (0..3).for_each(|group| bench.finish(group, published()));
    later(&mut bench, both("2.2.2.2", "2a00::2"));
    let marks = ["t0", "t1", "t2"].map(|id| bench.saved.targets[id].trying.unwrap().to_string());
    assert_eq!(marks, ["2.2.2.2", "2a00::2", "2.2.2.2"]);
}

#[test]
fn a_router_is_behind_another_one_only_by_a_private_address() {
    let mut bench = one_with(target("t0", 0, IPV4));
    bench.observe(0, seen("198.18.0.1"));
    let told = &bench.reports[0].text;
    assert!(told.ends_with("198.18.0.1 is not publicly reachable: benchmarking (RFC 2544)"), "{told}");
    let own = Target { ipv4: [1].into(), ..target("t0", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![own]), State::default());
    bench.observe(1, seen("198.18.0.1"));
    let told = &bench.reports[0].text;
    assert!(told.ends_with("198.18.0.1 is not publicly reachable: benchmarking (RFC 2544)"), "{told}");
}
