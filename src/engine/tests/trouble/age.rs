//! Age: when what was accepted is sent or checked again, with a clock and without.

use super::*;

fn aging(refresh: bool) -> Config {
    let (refresh, verify) = if refresh { (Some(25 * DAY), None) } else { (None, Some(25 * DAY)) };
    config(vec![upnp()], vec![Target { refresh, verify, ..target("t0", 0, IPV4) }])
}

/// Whether the record of an address accepted at `at` is sent again by a start at
/// `unix` that has run for so long.
fn is_due(refresh: bool, at: Option<u64>, unix: Option<u64>, run: Duration) -> bool {
    let config = aging(refresh);
    let mut bench = Bench::new(&config, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.now.unix = at;
    bench.finish(0, published());
    let engine = Engine::new(&config, bench.saved.clone(), 1);
    let mut bench = start(engine, &bench, Duration::ZERO);
    bench.now.unix = unix;
    bench.pass(run);
    bench.observe(0, seen("1.1.1.1"));
    let due = !bench.jobs.is_empty();
    if due {
        bench.finish(0, published());
        bench.pass(300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty(), "once");
    }
    due
}

#[test]
fn age_counts_by_the_clock_or_by_running_time_and_what_is_not_known_is_due_once() {
    for refresh in [true, false] {
        for (at, unix, run, due) in [
            (Some(UNIX), Some(UNIX + 24 * 86_400), HOUR, false),
            (Some(UNIX), Some(UNIX + 25 * 86_400), HOUR, true),
            // Neither then nor now was the clock set.
            (None, None, 24 * DAY, false),
            (None, None, 25 * DAY, true),
            (Some(UNIX), None, 24 * DAY, false),
            (Some(UNIX), None, 25 * DAY, true),
            // The router started in 1970 and was set right afterwards.
            (None, Some(UNIX), HOUR, true),
            // The clock stood in 2037.
            (Some(2_114_380_800), Some(UNIX), HOUR, true),
            // Put back by some seconds.
            (Some(UNIX + 3630), Some(UNIX), HOUR, false),
            (Some(UNIX + 3660), Some(UNIX), HOUR, false),
            (Some(UNIX + 3661), Some(UNIX), HOUR, true),
        ] {
            assert_eq!(is_due(refresh, at, unix, run), due, "refresh {refresh} {at:?} {unix:?} {run:?}");
        }
    }
}
