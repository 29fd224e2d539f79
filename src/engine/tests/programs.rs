//! Programs: their order, whom they wait for, and what they are told.

use super::*;

fn run(wait: bool) -> UpdaterConfig {
    UpdaterConfig::Run(Box::new(Run { cmd: vec!["true".into()], timeout: 600 * SECOND, retry: true, wait }))
}

/// `t0`, `t1` and so on, each a section of its own.
fn bench(groups: Vec<UpdaterConfig>) -> Bench {
    let targets = (0..groups.len()).map(|n| target(&format!("t{n}"), n, IPV4)).collect();
    let mut bench = Bench::new(&Config { groups, ..config(vec![upnp()], targets) }, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench
}

fn groups(bench: &Bench) -> Vec<usize> {
    bench.jobs.iter().map(|(_, group, _)| *group).collect()
}

/// Lets time pass, tick by tick.
fn pass(bench: &mut Bench, time: Duration) {
    let until = bench.now.elapsed + time;
    while bench.now.elapsed < until {
        let at = bench.engine.deadline().min(until);
        bench.pass(at - bench.now.elapsed);
    }
}

#[test]
fn programs_run_one_after_the_other_in_the_order_of_the_file() {
    let mut bench = bench(vec![run(true), run(true), run(true)]);
    assert_eq!(groups(&bench), [0]);
    bench.finish(0, retry());
    assert_eq!(groups(&bench), [1], "one that failed is not waited for");
    pass(&mut bench, 29 * SECOND);
    assert!(!groups(&bench).contains(&2));
    pass(&mut bench, SECOND);
    assert!(groups(&bench).contains(&1) && groups(&bench).contains(&2), "{:?}", groups(&bench));
}

#[test]
fn a_program_waits_for_the_first_answers_of_others_and_learns_them() {
    let mut bench = bench(vec![url(0), url(1), url(2), run(true)]);
    assert_eq!(groups(&bench), [0, 1, 2]);
    bench.finish(0, published());
    bench.finish(1, retry());
    assert_eq!(groups(&bench), [2]);
    pass(&mut bench, 4 * SECOND);
    assert_eq!(groups(&bench), [2]);
    pass(&mut bench, SECOND);
    assert_eq!(groups(&bench), [2, 3], "five seconds at most");
    let Standing { ok, failed, pending } = bench.standing.clone();
    assert_eq!((ok, failed, pending), (vec!["t0".into()], vec!["t1".into()], vec!["t2".into()]));
}

#[test]
fn a_program_does_not_wait_longer_than_it_must() {
    let mut bench = bench(vec![url(0), url(1), run(true)]);
    bench.finish(0, published());
    bench.finish(1, Outcome::Blocked { why: "nohost".into() });
    assert_eq!(groups(&bench), [2], "at once");
    assert_eq!(bench.standing.failed, ["t1"]);
    bench.finish(2, published());
    // What is blocked, or waits after a failure, is waited for no more.
    bench.pass(20 * SECOND);
    bench.handle(Event::Hint { source: 0 });
    bench.pass(SECOND);
    bench.observe(0, seen("2.2.2.2"));
    assert_eq!(groups(&bench), [0]);
    bench.finish(0, published());
    assert_eq!(groups(&bench), [2]);
}

#[test]
fn one_that_does_not_wait_starts_at_once() {
    let mut bench = bench(vec![url(0), run(true), run(false), run(false)]);
    assert_eq!(groups(&bench), [0, 2]);
    bench.finish(2, published());
    assert_eq!(groups(&bench), [0, 3]);
    bench.finish(0, published());
    assert_eq!(groups(&bench), [3], "after the one before");
    bench.finish(3, published());
    assert_eq!(groups(&bench), [1]);
}

#[test]
fn twenty_targets_at_a_dead_server_do_not_delay_a_program() {
    let sections = (0..40).map(url).chain([run(false), run(true)]).collect();
    let mut bench = bench(sections);
    assert!(groups(&bench).contains(&40));
    bench.finish(40, published());
    pass(&mut bench, 5 * SECOND);
    assert!(groups(&bench).contains(&41));
}
