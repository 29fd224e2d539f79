//! What is shown of it all, with times as the clock has them.

use super::*;
use crate::engine::state::Change;
use crate::engine::status::{Status, Time};

const START: u64 = 1_790_000_000;

fn shown(bench: &Bench) -> Status {
    bench.engine.status(bench.now)
}

/// So many seconds after the start.
fn at(seconds: u64) -> Time {
    Time(START + seconds)
}

/// A target that asks the router for both families, and this host for nothing.
fn bench() -> Bench {
    let both = Target { optional: IPV6, ..target("t", 0, IPV4) };
    Bench::new(&config(vec![upnp(), interface()], vec![both]), State::default())
}

#[test]
fn a_status_shows_who_said_what_and_since_when() {
    let mut bench = bench();
    let source = shown(&bench).sources.swap_remove(0);
    assert_eq!((source.asked, source.next, source.polls), (Some(at(0)), None, 1), "it is being asked");
    assert!(source.addresses.iter().all(|address| address.state == "pending" && address.since.is_none()));
    bench.pass(2 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    let status = shown(&bench);
    assert_eq!(
        (status.running_since, status.written, status.polls_in_time),
        (Some(at(0)), Some(at(2)), true)
    );
    let [source, unused] = status.sources.as_slice() else { panic!("{status:?}") };
    assert_eq!((source.name.as_str(), source.wanted, source.next), ("upnp", true, Some(at(300))));
    let addresses: Vec<_> = source.addresses.iter().map(|a| (&*a.kind, &*a.state, a.since, a.used)).collect();
    assert_eq!(addresses, [("ipv4", "known", Some(at(2)), true), ("ipv6", "unknown", Some(at(2)), false)]);
    assert_eq!(source.addresses[0].value.as_deref(), Some("1.1.1.1"));
    assert_eq!(source.addresses[1].why.as_deref(), Some("not asked"));
    assert_eq!((unused.wanted, unused.asked, unused.next), (false, None, None));
    assert!(unused.addresses.is_empty(), "nobody asks this host for anything");
}

#[test]
fn a_status_shows_what_a_target_holds_and_why_it_changed() {
    let mut bench = bench();
    bench.pass(2 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    let target = shown(&bench).targets.remove(0);
    assert_eq!((&*target.state, target.trouble.as_deref()), ("waiting", Some("it is being sent")));
    assert_eq!((target.changed, target.holds.ipv4), (None, None));
    bench.pass(3 * SECOND);
    bench.finish(0, published());
    let status = shown(&bench);
    let target = &status.targets[0];
    assert_eq!((&*target.state, target.trouble.as_deref()), ("ok", None));
    assert_eq!((target.changed, target.changed_because.as_deref()), (Some(at(5)), Some("first sent")));
    assert_eq!((target.confirmed, target.holds.ipv4.as_deref()), (Some(at(5)), Some("1.1.1.1")));
    let [change] = status.history.as_slice() else { panic!("{status:?}") };
    assert_eq!((change.at, &*change.target, change.new.ipv4.as_deref()), (Some(at(5)), "t", Some("1.1.1.1")));
    assert_eq!(bench.reports.last().and_then(|report| report.took), Some(SECOND), "how long the answer took");
}

/// A start 1,000 s after a change of the IPv4 address, and 500 s after one of the IPv6
/// address, that were accepted.
fn after_two_changes() -> Bench {
    let of = |ipv4: &str, ipv6: &str| Addresses {
        ipv4: ipv4.parse().ok(),
        ipv6: ipv6.parse().ok(),
        ipv6_prefix: None,
    };
    let (first, second, third) =
        (of("2.2.2.2", ""), of("1.1.1.1", "2001:4860::1"), of("1.1.1.1", "2001:4860::2"));
    let change = |ago, old, new| Change { at: Some(START - ago), name: "t".to_owned(), old, new };
    let mut state = State::default();
    for line in [change(1000, first, second), change(500, second, third)] {
        state.note_change(line);
    }
    let accepted = "target\tt\tname=t\taccepted=1.1.1.1,2001:4860::2,-\tat=1789999900\n";
    let (told, damaged) = State::parse(&format!("{TITLE}\n{accepted}"));
    assert_eq!(damaged, 0);
    state.targets = told.targets;
    let both = Target { optional: IPV6, ..target("t", 0, IPV4) };
    Bench::new(&config(vec![upnp()], vec![both]), state)
}

#[test]
fn what_has_been_so_since_an_earlier_run_is_shown_since_then() {
    let both = || Observation { ipv6: Finding::Known("2001:4860::2".parse().unwrap()), ..seen("1.1.1.1") };
    // So late an answer is news, not what has been so all the time.
    for (late, ipv4, ipv6) in [(2, START - 1000, START - 500), (120, START + 120, START + 120)] {
        let mut bench = after_two_changes();
        bench.pass(late * SECOND);
        bench.observe(0, both());
        let status = shown(&bench);
        let since: Vec<_> = status.sources[0].addresses.iter().filter_map(|address| address.since).collect();
        assert_eq!(since, [Time(ipv4), Time(ipv6)], "{late}");
        let target = &status.targets[0];
        assert_eq!((&*target.state, target.changed), ("ok", Some(Time(START - 500))));
    }
    // What the router does not tell any more it does not tell since a moment ago.
    let mut bench = after_two_changes();
    bench.pass(2 * SECOND);
    bench.observe(0, Observation { ipv4: Finding::Absent("none".to_owned()), ..both() });
    assert_eq!(shown(&bench).sources[0].addresses[0].since, Some(at(2)));
}

#[test]
fn a_poll_is_late_two_minutes_after_its_time() {
    let mut bench = bench();
    let in_time = |bench: &Bench, elapsed: u64| {
        bench.engine.polls_in_time(Now { elapsed: Duration::from_secs(elapsed), ..bench.now })
    };
    assert_eq!([120, 121].map(|elapsed| in_time(&bench, elapsed)), [true, false], "it does not end");
    bench.pass(2 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!([420, 421].map(|elapsed| in_time(&bench, elapsed)), [true, false], "the next does not begin");
}

#[test]
fn what_a_source_says_anew_is_news() {
    let mut bench = bench();
    bench.engine.take_news();
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.engine.take_news() && !bench.engine.take_news(), "once");
    bench.finish(0, published());
    bench.pass(300 * SECOND);
    bench.engine.take_news();
    bench.observe(0, seen("1.1.1.1"));
    assert!(!bench.engine.take_news(), "nothing is new");
}
