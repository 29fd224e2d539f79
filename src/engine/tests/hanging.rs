//! A line change in the middle of a request.

use super::*;

fn accepted(groups: Vec<UpdaterConfig>) -> Bench {
    let targets = (0..groups.len()).map(|n| target(&format!("t{n}"), n, IPV4)).collect();
    let mut bench = Bench::new(&Config { groups, ..config(vec![upnp()], targets) }, State::default());
    bench.observe(0, seen("1.1.1.1"));
    while let Some((_, group, _)) = bench.jobs.first() {
        bench.finish(*group, published());
    }
    bench.now.elapsed += 3600 * SECOND;
    bench.handle(Event::Tick);
    bench.observe(0, seen("2.2.2.2"));
    bench
}

/// A poll that finds another address, so long after the last event.
fn change(bench: &mut Bench, after: Duration, address: &str) {
    bench.pass(after);
    if !bench.polls.contains(&0) {
        bench.handle(Event::Hint { source: 0 });
        bench.pass(Duration::from_millis(50));
    }
    bench.observe(0, seen(address));
}

fn trying(bench: &Bench) -> Option<String> {
    bench.saved.targets.get("t0")?.trying.map(|addresses| addresses.to_string())
}

#[test]
fn a_newer_address_is_sent_within_five_seconds_beside_a_request_that_hangs() {
    let mut bench = accepted(vec![url(0)]);
    let began = bench.now.elapsed;
    change(&mut bench, SECOND, "3.3.3.3");
    assert_eq!(bench.jobs.len(), 1, "the first may still answer");
    while bench.jobs.len() < 2 {
        bench.tick();
    }
    assert_eq!(bench.now.elapsed - began, 5 * SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("3.3.3.3".into()));
    // One that has hung for long is overtaken at once, and no third is sent.
    change(&mut bench, 60 * SECOND, "4.4.4.4");
    bench.pass(60 * SECOND);
    assert_eq!(bench.jobs.len(), 2);
    assert!(bench.closed.is_empty());
    // The first ends: the third may go beside the second.
    bench.finish(0, retry());
    assert_eq!(bench.jobs.len(), 2);
    assert_eq!(bench.sent_ipv4(0), Some("4.4.4.4".into()));
}

#[test]
fn what_hangs_sends_nothing_more_from_the_moment_that_the_newer_address_is_sent() {
    let mut bench = accepted(vec![url(0)]);
    let (began, first) = (bench.now.elapsed, bench.jobs[0].0);
    change(&mut bench, SECOND, "3.3.3.3");
    while bench.overtaken.is_empty() {
        assert_eq!(bench.jobs.len(), 1);
        bench.tick();
    }
    assert_eq!((bench.now.elapsed - began, bench.jobs.len()), (5 * SECOND, 2));
    let newer = bench.jobs.pop().unwrap().0;
    bench.handle(Event::Finished { job: newer, outcomes: vec![(0, published())], took: SECOND });
    // A third beside the same first one.
    change(&mut bench, 60 * SECOND, "4.4.4.4");
    assert_eq!((bench.jobs.len(), bench.overtaken), (2, vec![first]), "once");
}

#[test]
fn what_hangs_for_one_target_may_go_on_when_another_is_sent_beside_it() {
    let ipv6 = Target { entry: 1, ..target("t1", 0, IPV6) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target("t0", 0, IPV4), ipv6]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    let both = |ipv4| Observation { ipv4: seen(ipv4).ipv4, ..seen6("2001:4860::1") };
    let observe = |bench: &mut Bench, observation| {
        bench.pass(20 * SECOND);
        bench.handle(Event::Hint { source: 0 });
        bench.pass(SECOND);
        bench.observe(0, observation);
    };
    observe(&mut bench, both("1.1.1.1"));
    assert_eq!((bench.jobs.len(), bench.overtaken.len()), (2, 0));
    let (job, ..) = bench.jobs.pop().unwrap();
    bench.handle(Event::Finished { job, outcomes: vec![(1, published())], took: SECOND });
    observe(&mut bench, both("2.2.2.2"));
    assert_eq!((bench.jobs.len(), &bench.overtaken), (2, &vec![bench.jobs[0].0]), "a newer one of its own");
}

#[test]
fn the_address_before_is_sent_again_beside_a_request_that_hangs() {
    let mut bench = accepted(vec![url(0)]);
    let began = bench.now.elapsed;
    change(&mut bench, SECOND, "1.1.1.1");
    while bench.jobs.len() < 2 {
        bench.tick();
    }
    assert_eq!(bench.now.elapsed - began, 5 * SECOND, "the first may have changed the record");
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    let newer = bench.jobs.pop().unwrap().0;
    bench.handle(Event::Finished { job: newer, outcomes: vec![(0, published())], took: SECOND });
    assert_eq!(trying(&bench).as_deref(), Some("1.1.1.1"), "a start would not believe it");
    bench.finish(0, retry());
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()), "and once more, as the first may have come last");
    bench.finish(0, published());
    assert_eq!((bench.jobs.len(), bench.engine.behind(bench.now).count()), (0, 0));
    assert_eq!(trying(&bench), None);
}

#[test]
fn a_poll_takes_no_mark_back_while_an_older_request_may_still_arrive() {
    let mut bench = accepted(vec![url(0)]);
    change(&mut bench, 10 * SECOND, "3.3.3.3");
    let newer = bench.jobs.pop().unwrap().0;
    bench.handle(Event::Finished { job: newer, outcomes: vec![(0, published())], took: SECOND });
    change(&mut bench, 60 * SECOND, "3.3.3.3");
    assert_eq!(trying(&bench).as_deref(), Some("3.3.3.3"), "a start would not believe it");
}

#[test]
fn the_newer_address_is_sent_once_more_unless_the_older_request_reached_nobody() {
    let unreached = || Outcome::Retry { why: "no route".into(), after: None, reached: false };
    for (outcome, doubt) in [(published(), true), (retry(), true), (blocked(), true), (unreached(), false)] {
        for older_first in [true, false] {
            let mut bench = accepted(vec![url(0)]);
            change(&mut bench, 10 * SECOND, "3.3.3.3");
            assert_eq!(bench.jobs.len(), 2);
            if older_first {
                bench.finish(0, outcome.clone());
                assert_eq!(bench.jobs.len(), 1, "the newer one is not told by the older");
            }
            let newer = bench.jobs.pop().unwrap().0;
            let outcomes = vec![(0, published())];
            bench.handle(Event::Finished { job: newer, outcomes, took: SECOND });
            if !older_first {
                assert_eq!(bench.engine.behind(bench.now).count(), 0);
                assert_eq!(trying(&bench).as_deref(), Some("3.3.3.3"), "a start would not believe it");
                bench.finish(0, outcome.clone());
            }
            assert_eq!(bench.jobs.len(), usize::from(doubt), "{outcome:?} {older_first}");
            if doubt {
                assert_eq!(bench.sent_ipv4(0), Some("3.3.3.3".into()));
                assert_eq!(trying(&bench).as_deref(), Some("3.3.3.3"));
                bench.finish(0, Outcome::Published { changed: false });
            }
            assert_eq!(bench.engine.behind(bench.now).count(), 0);
            assert_eq!(trying(&bench), None, "{outcome:?} {older_first}");
            assert!(bench.reports.iter().all(|report| report.level > Level::Warning), "{:?}", bench.reports);
        }
    }
}

#[test]
fn a_request_that_ends_in_time_leaves_no_wake_behind() {
    let mut bench = accepted(vec![url(0)]);
    let began = bench.now.elapsed;
    change(&mut bench, SECOND, "3.3.3.3");
    assert_eq!(bench.engine.deadline(), began + 5 * SECOND, "it would be overtaken then");
    bench.finish(0, published());
    assert_eq!(bench.sent_ipv4(0), Some("3.3.3.3".into()));
    assert!(bench.engine.deadline() > began + 60 * SECOND, "{:?}", bench.engine.deadline() - began);
}

#[test]
fn a_mark_stays_while_any_of_two_requests_may_have_been_carried_out() {
    let mut bench = accepted(vec![url(0)]);
    change(&mut bench, 10 * SECOND, "3.3.3.3");
    let newer = bench.jobs.pop().unwrap().0;
    bench.handle(Event::Finished { job: newer, outcomes: vec![(0, retry())], took: SECOND });
    bench.finish(0, Outcome::Retry { why: "no route".into(), after: None, reached: false });
    assert!(trying(&bench).is_some(), "the newer one may have been");
}

#[test]
fn twenty_targets_at_a_dead_server_delay_others_by_five_seconds_at_most() {
    let mut bench = accepted((0..100).map(url).collect());
    assert_eq!(bench.jobs.len(), MAX_JOBS);
    let began = bench.now.elapsed;
    for (waited, jobs) in [(5, 32), (10, 48), (15, MOST_JOBS), (20, MOST_JOBS)] {
        while bench.now.elapsed < began + waited * SECOND {
            let at = bench.engine.deadline().min(began + waited * SECOND);
            bench.pass(at - bench.now.elapsed);
        }
        assert_eq!(bench.jobs.len(), jobs, "{waited} s");
    }
    while let Some((_, group, _)) = bench.jobs.first() {
        bench.finish(*group, published());
    }
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
}

#[test]
fn a_target_of_the_same_section_goes_beside_a_request_that_hangs() {
    let ipv6 = Target { entry: 1, ..target("t1", 0, IPV6) };
    let mut bench = Bench::new(&config(vec![upnp()], vec![target("t0", 0, IPV4), ipv6]), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.pass(20 * SECOND);
    bench.handle(Event::Hint { source: 0 });
    bench.pass(SECOND);
    bench.observe(0, Observation { ipv4: seen("1.1.1.1").ipv4, ..seen6("2001:4860::1") });
    assert_eq!(bench.jobs.iter().map(|(_, _, tasks)| tasks[0].entry).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_program_is_neither_doubled_nor_closed() {
    let mut bench = accepted(vec![program()]);
    change(&mut bench, 10 * SECOND, "3.3.3.3");
    bench.pass(300 * SECOND);
    assert_eq!((bench.jobs.len(), bench.closed.len(), bench.overtaken.len()), (1, 0, 0));
    bench.finish(0, published());
    assert_eq!((bench.sent_ipv4(0), bench.overtaken.len()), (Some("3.3.3.3".into()), 0));
}

#[cfg(feature = "cloudflare")]
#[test]
fn a_record_that_is_being_made_is_not_made_twice() {
    let text = "[cloudflare]\napi_token = \"t\"\n[[cloudflare.records]]\nname = \"a.example.org\"\ntype = \"A\"\n\
                ipv4 = [\"upnp\"]";
    let config = crate::config::parse(text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap();
    let mut bench = Bench::new(&config, State::default());
    bench.observe(0, seen("1.1.1.1"));
    change(&mut bench, 10 * SECOND, "2.2.2.2");
    bench.pass(60 * SECOND);
    assert_eq!(bench.jobs.len(), 1);
    bench.finish(0, published());
    change(&mut bench, 10 * SECOND, "3.3.3.3");
    assert_eq!(bench.jobs.len(), 2, "a record that is there is changed beside");
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
fn account(provider: &str) -> Bench {
    let text = format!(
        "ipv4 = [\"upnp\"]\nipv6 = []\n[[dyndns]]\nprovider = \"{provider}\"\nusername = \"me\"\n\
         password = \"pw\"\nhostnames = [\"a.example.org\"]"
    );
    let config =
        crate::config::parse(&text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap();
    assert_eq!(config.proxies, crate::config::Proxies::default());
    let mut bench = Bench::new(&config, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
#[test]
fn an_account_that_takes_one_request_at_a_time_has_the_old_one_closed() {
    let mut bench = account("no-ip");
    change(&mut bench, SECOND, "2.2.2.2");
    assert!(bench.closed.is_empty());
    while bench.closed.is_empty() {
        bench.tick();
    }
    assert_eq!((bench.now.elapsed, bench.jobs.len()), (5 * SECOND, 1));
    assert!(bench.overtaken.is_empty());
    let closed = Outcome::Retry { why: "timed out".into(), after: None, reached: true };
    bench.finish(0, closed);
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()), "at once, without a back-off");
    assert!(bench.reports.iter().all(|report| report.level == Level::Debug), "{:?}", bench.reports);
    bench.finish(0, published());
    assert_eq!((bench.jobs.len(), bench.engine.behind(bench.now).count()), (0, 0));
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
#[test]
fn what_follows_a_closed_request_is_sent_once_more_when_that_can_do_nothing_more() {
    let mut bench = account("no-ip");
    bench.finish(0, published());
    change(&mut bench, SECOND, "2.2.2.2");
    change(&mut bench, 10 * SECOND, "3.3.3.3");
    assert_eq!(bench.closed.len(), 1);
    let closed = bench.now.elapsed;
    bench.finish(0, Outcome::Retry { why: "timed out".into(), after: None, reached: true });
    bench.finish(0, published());
    let trying = |bench: &Bench| bench.saved.targets.values().next()?.trying.map(|all| all.to_string());
    assert_eq!(trying(&bench).as_deref(), Some("3.3.3.3"), "a start would not believe it");
    change(&mut bench, 2 * SECOND, "3.3.3.3");
    assert_eq!(trying(&bench).as_deref(), Some("3.3.3.3"), "nor after a poll");
    while bench.jobs.is_empty() {
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, seen("3.3.3.3"));
        }
    }
    assert_eq!((bench.now.elapsed - closed, bench.sent_ipv4(0)), (30 * SECOND, Some("3.3.3.3".into())));
    bench.finish(0, published());
    assert_eq!((bench.jobs.len(), trying(&bench)), (0, None));
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
#[test]
fn what_is_closed_and_does_not_end_is_not_waited_for() {
    let mut bench = account("no-ip");
    change(&mut bench, 10 * SECOND, "2.2.2.2");
    assert_eq!((bench.closed.len(), bench.jobs.len()), (1, 1));
    bench.pass(SECOND);
    assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    assert!(bench.overtaken.is_empty());
    bench.finish(0, Outcome::Retry { why: "no such name".into(), after: None, reached: false });
    bench.finish(0, published());
    assert_eq!((bench.jobs.len(), bench.engine.behind(bench.now).count()), (0, 0));
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
#[test]
fn what_was_closed_before_it_reached_anybody_is_followed_by_one_request() {
    let mut bench = account("no-ip");
    change(&mut bench, 10 * SECOND, "2.2.2.2");
    assert_eq!(bench.closed.len(), 1);
    bench.finish(0, Outcome::Retry { why: "no route".into(), after: None, reached: false });
    bench.finish(0, published());
    bench.pass(60 * SECOND);
    assert!(bench.jobs.is_empty(), "it can do nothing later");
}

#[cfg(all(feature = "tls", feature = "dyndns"))]
#[test]
fn a_closed_request_counts_for_the_pause_of_its_account() {
    let mut bench = account("easydns");
    change(&mut bench, 10 * SECOND, "2.2.2.2");
    assert_eq!(bench.closed.len(), 1);
    bench.finish(0, Outcome::Retry { why: "timed out".into(), after: None, reached: true });
    assert!(bench.jobs.is_empty());
    let start = bench.now.elapsed;
    while bench.jobs.is_empty() {
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, seen("2.2.2.2"));
        }
    }
    assert!((600 * SECOND..=750 * SECOND).contains(&(bench.now.elapsed - start)));
}
