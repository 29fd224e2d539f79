//! Targets that go to one server.

use super::*;
use crate::engine::servers::{MOST, SIDE_BY_SIDE, UNANSWERED};

/// As many targets at each of these servers, in turns.
fn at_servers(servers: usize, targets: usize) -> Bench {
    let groups: Vec<_> = (0..servers * targets).map(|n| url(n % servers)).collect();
    let targets = (0..groups.len()).map(|n| target(&format!("t{n}"), n, IPV4)).collect();
    let mut bench = Bench::new(&Config { groups, ..config(vec![upnp()], targets) }, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench
}

#[test]
fn four_at_one_server_at_once_and_those_of_one_server_together() {
    let mut bench = at_servers(10, 10);
    let mut most = 0;
    while let Some((_, group, _)) = bench.jobs.first() {
        for server in 0..10 {
            let jobs = bench.jobs.iter().filter(|(_, group, _)| group % 10 == server).count();
            assert!(jobs <= SIDE_BY_SIDE);
        }
        // Connections are left to the next job of the same server: it comes soon.
        let mut servers: Vec<_> = bench.jobs.iter().map(|(_, group, _)| group % 10).collect();
        servers.sort_unstable();
        servers.dedup();
        most = most.max(servers.len());
        bench.finish(*group, published());
    }
    assert!((4..=8).contains(&most), "{most}");
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
}

#[test]
fn what_is_not_answered_holds_up_nobody_and_sixteen_are_the_most() {
    let mut bench = at_servers(1, 40);
    assert_eq!(bench.jobs.len(), SIDE_BY_SIDE);
    // Three answer; the fourth hangs.
    for _ in 0..12 {
        let last = bench.jobs.last().unwrap().1;
        bench.finish(last, published());
        assert_eq!(bench.jobs.len(), SIDE_BY_SIDE);
    }
    for round in 1..10 {
        let before = bench.now.elapsed;
        if round < 4 {
            assert_eq!(bench.tick() - before, UNANSWERED);
        } else {
            bench.tick();
        }
        assert_eq!(bench.jobs.len(), ((round + 1) * SIDE_BY_SIDE).min(MOST), "{round}");
        if bench.polls.contains(&0) {
            bench.observe(0, seen("1.1.1.1"));
        }
    }
    while let Some((_, group, _)) = bench.jobs.last() {
        bench.finish(*group, published());
    }
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
}

#[test]
fn a_dead_server_keeps_nothing_from_another() {
    let mut bench = at_servers(1, 100);
    let groups: Vec<_> = (0..100).map(|_| url(0)).chain([url(1)]).collect();
    let targets = (0..101).map(|n| target(&format!("t{n}"), n, IPV4)).collect();
    bench = Bench::new(&Config { groups, ..config(vec![upnp()], targets) }, bench.saved);
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.sent(100).is_some());
}
