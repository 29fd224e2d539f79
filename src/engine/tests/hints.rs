//! Hints: how soon a poll follows one, and what a flood of them costs.

use super::*;

/// One source that was seen and published, ten minutes after a quiet start.
fn quiet() -> Bench {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    for _ in 0..2 {
        bench.tick();
        bench.observe(0, seen("1.1.1.1"));
    }
    bench
}

#[test]
fn a_hint_after_a_quiet_time_is_followed_at_once() {
    let mut bench = quiet();
    bench.handle(HINT);
    assert_eq!((bench.polls.as_slice(), bench.hinted), (&[0][..], 1), "at once");
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    bench.finish(0, published());
    bench.tick();
    assert_eq!(bench.now.elapsed.as_secs(), 900, "then nothing until the next poll");
}

#[test]
fn the_two_events_of_a_change_cost_two_polls_and_more_of_them_no_more() {
    let mut bench = quiet();
    let start = bench.now.elapsed;
    bench.handle(HINT);
    bench.observe(0, Observation::unknown("no address"));
    bench.pass(Duration::from_millis(40));
    bench.handle(HINT);
    bench.handle(HINT);
    assert!(bench.polls.is_empty());
    assert_eq!(bench.tick() - start, Duration::from_millis(90));
    assert_eq!((bench.polls.as_slice(), bench.hinted), (&[0][..], 2));
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    // The line that is back after two seconds is not held up by what went before.
    bench.finish(0, published());
    bench.pass(2 * SECOND);
    bench.handle(HINT);
    assert_eq!((bench.polls.as_slice(), bench.hinted), (&[0][..], 3));
}

#[test]
fn a_poll_that_comes_too_early_is_repeated_quickly_and_quietly() {
    let mut bench = quiet();
    bench.handle(HINT);
    bench.tick();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let before = bench.now.elapsed;
        bench.observe(0, Observation::unknown("no address"));
        waits.push((bench.tick() - before).as_millis());
        if waits.len() == 4 {
            assert!(bench.reports.iter().all(|report| report.level == Level::Info), "{:?}", bench.reports);
        }
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 2000, 4000]);
    assert_eq!(bench.reports.iter().filter(|report| report.level == Level::Warning).count(), 1);
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
}

#[test]
fn a_hint_during_a_poll_leads_to_another() {
    let mut bench = quiet();
    bench.handle(HINT);
    bench.tick();
    bench.handle(HINT);
    bench.pass(SECOND);
    assert_eq!(bench.polls, [0], "one at a time");
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.polls, [0], "the first may have been too early");
    assert!(bench.engine.deadline() > bench.now.elapsed);
}

#[test]
fn a_flood_of_hints_costs_three_polls_and_then_one_in_two_seconds() {
    for answer in [seen("1.1.1.1"), Observation::unknown("no address")] {
        let mut bench = quiet();
        bench.hinted = 0;
        let mut polls = 0;
        for _ in 0..10_000 {
            bench.handle(HINT);
            bench.pass(Duration::from_millis(1));
            if !bench.polls.is_empty() {
                polls += 1;
                bench.observe(0, answer.clone());
            }
        }
        assert!((7..=8).contains(&bench.hinted), "{}", bench.hinted);
        // When it also fails: four quick ones in six seconds, and the ordinary ones.
        assert!(polls <= 8 + 8 + 4, "{polls}");
        assert!(bench.engine.deadline() > bench.now.elapsed);
    }
}

/// The line goes down and comes back every four seconds; both are told twice.
#[test]
fn reconnects_that_follow_each_other_are_each_seen_at_once() {
    let mut bench = quiet();
    for change in 0..25 {
        let address = format!("1.1.2.{change}");
        for found in [Observation::unknown("no address"), seen(&address)] {
            for time in [100, 100] {
                bench.handle(HINT);
                poll_for(&mut bench, time, &found);
            }
            assert!(found.ipv4.known().is_none() || bench.sent_ipv4(0) == Some(address.clone()), "{change}");
            if !bench.jobs.is_empty() {
                bench.finish(0, published());
            }
            poll_for(&mut bench, 2000, &found);
        }
    }
}

/// Milliseconds pass, in which every poll finds the same.
fn poll_for(bench: &mut Bench, time: u64, found: &Observation) {
    for _ in 0..time / 10 {
        if !bench.polls.is_empty() {
            bench.observe(0, found.clone());
        }
        bench.pass(Duration::from_millis(10));
    }
}

/// A gateway that lies in its answers, too.
#[test]
fn a_flood_of_hints_that_are_true_costs_twice_as_much() {
    let mut bench = quiet();
    bench.hinted = 0;
    let mut number = 0;
    for _ in 0..10_000 {
        bench.handle(HINT);
        bench.pass(Duration::from_millis(1));
        if !bench.polls.is_empty() {
            number += 1;
            bench.observe(0, seen(&format!("1.1.3.{number}")));
        }
    }
    assert!((14..=16).contains(&bench.hinted), "{}", bench.hinted);
}

#[test]
fn a_change_in_a_flood_is_seen_within_two_seconds() {
    let mut bench = quiet();
    let (mut address, mut changed_at, mut worst) = ("1.1.1.1", Duration::ZERO, Duration::ZERO);
    for step in 0..60_000_u32 {
        if step % 7919 == 7918 {
            address = if address == "1.1.1.1" { "2.2.2.2" } else { "1.1.1.1" };
            changed_at = bench.now.elapsed;
        }
        bench.handle(HINT);
        bench.pass(Duration::from_millis(1));
        if !bench.polls.is_empty() {
            bench.observe(0, seen(address));
        }
        if bench.jobs.first().is_some_and(|(_, _, tasks)| tasks[0].addresses.ipv4 == address.parse().ok()) {
            worst = worst.max(bench.now.elapsed - changed_at);
            bench.finish(0, published());
        }
    }
    assert!(worst > Duration::ZERO && worst <= 2 * SECOND + Duration::from_millis(50), "{worst:?}");
}

#[test]
fn a_hint_about_one_protocol_concerns_the_others_of_the_gateway() {
    let both = Target { ipv4: [0, 1, 2].into(), agree: 3, ..target("t", 0, IPV4) };
    let mut bench =
        Bench::new(&config(vec![upnp(), Source::NatPmp(None), interface()], vec![both]), State::default());
    for source in 0..3 {
        bench.observe(source, seen("1.1.1.1"));
    }
    bench.finish(0, published());
    bench.handle(HINT);
    assert_eq!(bench.polls, [0, 1], "the kernel has hints of its own");
}

#[test]
fn hints_about_a_source_that_nobody_needs_wait_until_somebody_does() {
    let either = Target { ipv4: [0, 1].into(), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp(), interface()], vec![either]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.handle(Event::Hint { source: 1 });
    bench.handle(Event::Hint { source: 9 });
    assert_eq!(bench.tick(), 300 * SECOND);
    assert_eq!(bench.polls, [0]);
}
