//! What is sent again without a change: checks by the clock, and at the start.

use super::*;

fn verified(unix: Option<u64>) -> Bench {
    let target = Target { verify: Some(6 * 3600 * SECOND), ..target("t", 0, IPV4) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target]), State::default());
    bench.now.unix = unix;
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    bench.reports.clear();
    bench
}

#[test]
fn an_unchanged_record_is_checked_after_hours_even_without_a_clock() {
    for unix in [None, Some(1_790_000_000)] {
        let mut bench = verified(unix);
        bench.pass(5 * 3600 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty());
        bench.pass(3600 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
        bench.finish(0, Outcome::Published { changed: false });
        bench.pass(300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty(), "the next check is hours away");
        let lines: Vec<_> = bench.reports.iter().map(|r| (r.level, r.text.as_str())).collect();
        assert_eq!(lines, [(Level::Debug, "still 1.1.1.1")]);
    }
}

#[test]
fn what_was_changed_behind_our_back_is_worth_a_warning() {
    let mut bench = verified(None);
    bench.pass(6 * 3600 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, retry());
    assert!(bench.saved.targets.get("t").unwrap().trying.is_none(), "a restart owes nothing");
    bench.pass(60 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "a failed check is repeated");
    bench.finish(0, published());
    let last = bench.reports.last().unwrap();
    assert_eq!(last.text, "was changed by someone else; set to 1.1.1.1 again");
    assert_eq!(last.level, Level::Warning);
}

#[test]
fn a_program_that_runs_now_and_then_checks_by_the_clock() {
    let bench = verified(Some(1_790_000_000));
    let target = Target { verify: Some(6 * 3600 * SECOND), ..target("t", 0, IPV4) };
    for (hours, jobs) in [(5, 0), (7, 1)] {
        let mut next = Bench::new(&config(vec![upnp()], vec![target.clone()]), bench.saved.clone());
        next.now.unix = Some(1_790_000_000 + hours * 3600);
        next.observe(0, seen("1.1.1.1"));
        assert_eq!(next.jobs.len(), jobs, "after {hours} h");
    }
}

#[test]
fn a_router_that_starts_in_1970_recovers_once_its_clock_is_set() {
    let mut bench = Bench::simple(1);
    bench.now.unix = None;
    bench.observe(0, seen("1.1.1.1"));
    let why = "api.example: its certificate is not yet valid: check this machine's clock";
    for _ in 0..5 {
        bench.finish(0, Outcome::Retry { why: why.into(), after: None, reached: false });
        while bench.jobs.is_empty() {
            bench.tick();
            if !bench.polls.is_empty() {
                bench.observe(0, seen("1.1.1.1"));
            }
        }
    }
    bench.now.unix = Some(1_790_000_000);
    bench.finish(0, published());
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
    assert_eq!(bench.saved.targets.get("t0").unwrap().accepted.as_ref().unwrap().at, Some(1_790_000_000));
}

#[test]
fn at_start_sends_once_at_every_start() {
    let targets = vec![Target { at_start: true, ..target("t", 0, IPV4) }];
    let mut saved = State::default();
    for _ in 0..2 {
        let mut bench = Bench::new(&config(vec![upnp()], targets.clone()), saved);
        bench.observe(0, seen("1.1.1.1"));
        bench.finish(0, published());
        bench.pass(300 * SECOND);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty());
        saved = bench.saved;
    }
}

#[test]
fn a_second_update_in_a_row_that_changed_nothing_is_worth_a_warning() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, Outcome::Published { changed: false });
    assert_eq!(bench.reports.last().map(|report| report.level), Some(Level::Info));
    // An answer gets lost, and the address is back by then.
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    bench.finish(0, retry());
    bench.pass(300 * SECOND);
    if !bench.jobs.is_empty() {
        bench.finish(0, retry());
    }
    bench.observe(0, seen("1.1.1.1"));
    bench.pass(7200 * SECOND);
    bench.finish(0, Outcome::Published { changed: false });
    let last = bench.reports.last().unwrap();
    assert_eq!(last.level, Level::Warning);
    assert_eq!(last.text, "already 1.1.1.1, as the time before: this update was needless");
}
