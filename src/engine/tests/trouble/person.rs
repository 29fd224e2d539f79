//! What nothing but a person can mend.

use super::*;

#[test]
fn what_needs_a_person_is_tried_every_half_hour() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, Outcome::NeedsPerson { why: "no such zone".into() });
    assert_eq!(lines(&bench).last().map(|line| &**line), Some("no such zone; next try in 30 min"));
    for _ in 1..=50 {
        assert_eq!(until_sent(&mut bench, "1.1.1.1"), 1800 * SECOND);
        bench.finish(0, Outcome::NeedsPerson { why: "no such zone".into() });
    }
}

#[test]
fn a_start_tries_what_needs_a_person_but_once_an_hour_at_most() {
    let person = || Outcome::NeedsPerson { why: "no such zone".into() };
    let is_tried = |bench: &mut Bench| {
        bench.observe(0, seen("1.1.1.1"));
        !bench.jobs.is_empty()
    };
    let mut first = Bench::new(&one(), State::default());
    first.observe(0, seen("1.1.1.1"));
    first.finish(0, person());
    let mut single = once(&first, &one(), 10 * SECOND);
    assert!(!is_tried(&mut single), "a single run may be one of many");
    let mut killed = restart(&first, &one(), 20 * SECOND);
    assert_eq!(lines(&killed), [""; 0], "the try will tell");
    assert!(is_tried(&mut killed));
    // Before the answer: that it was tried is known all the same.
    let mut again = restart(&killed, &one(), 30 * SECOND);
    assert!(!is_tried(&mut again), "a restart loop hammers nobody");
    assert_eq!(lines(&again), ["no such zone; next try in 29 min"]);
    assert!((1770..=1790).contains(&until_sent(&mut again, "1.1.1.1").as_secs()));
    again.finish(0, person());
    let mut sooner = restart(&again, &one(), HOUR - 20 * SECOND);
    assert!(!is_tried(&mut sooner), "half an hour after the last");
    until_sent(&mut sooner, "1.1.1.1");
    sooner.finish(0, person());
    let mut later = restart(&sooner, &one(), HOUR + 30 * SECOND);
    assert!(is_tried(&mut later));
    later.finish(0, person());
    assert_eq!(until_sent(&mut later, "1.1.1.1"), 1800 * SECOND);
}

#[test]
fn the_try_of_a_start_that_ends_in_a_block_was_one_of_a_start() {
    let mut first = Bench::new(&one(), State::default());
    first.observe(0, seen("1.1.1.1"));
    first.finish(0, Outcome::NeedsPerson { why: "no such zone".into() });
    let mut second = restart(&first, &one(), 10 * SECOND);
    second.observe(0, seen("1.1.1.1"));
    second.finish(0, blocked());
    for (after, tried) in [(20 * SECOND, false), (HOUR + 20 * SECOND, true)] {
        let mut third = restart(&second, &one(), after);
        third.observe(0, seen("1.1.1.1"));
        assert_eq!(!third.jobs.is_empty(), tried, "{after:?}");
    }
}
