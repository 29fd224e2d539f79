//! Failures: when a target is tried again, and what is told of it.

mod age;
mod person;

use super::*;
use crate::config::{Proxies, Proxy};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
const UNIX: u64 = 1_790_000_000;

fn one() -> Config {
    config(vec![upnp()], vec![target("t0", 0, IPV4)])
}

/// A later start, by the state that a kill left, so long after the first.
fn restart(bench: &Bench, config: &Config, after: Duration) -> Bench {
    start(Engine::new(config, bench.saved.clone(), 1), bench, after)
}

pub(super) fn once(bench: &Bench, config: &Config, after: Duration) -> Bench {
    start(Engine::new(config, bench.saved.clone(), 1).once(), bench, after)
}

fn start(engine: Engine, before: &Bench, after: Duration) -> Bench {
    start_at(engine, before, Some(UNIX + after.as_secs()))
}

fn start_at(engine: Engine, before: &Bench, unix: Option<u64>) -> Bench {
    let now = Now { elapsed: Duration::ZERO, unix };
    let (file, saved) = (before.saved.write(), before.saved.clone());
    let none = (Vec::new(), Vec::new(), Vec::new());
    let (polls, jobs, reports) = none;
    let (overtaken, closed, standing) = (Vec::new(), Vec::new(), Standing::default());
    let mut bench = Bench {
        engine,
        now,
        polls,
        hinted: 0,
        jobs,
        overtaken,
        closed,
        standing,
        reports,
        saved,
        file,
        flushes: 0,
    };
    bench.handle(Event::Tick);
    bench
}

fn blocked_by(why: &str) -> Bench {
    let mut bench = Bench::new(&one(), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, Outcome::Blocked { why: why.into() });
    bench
}

fn lines(bench: &Bench) -> Vec<&str> {
    bench.reports.iter().map(|report| report.text.as_str()).collect()
}

const WAY_OUT: &str = "tried again once a day, after a start of the daemon (once an hour at most), when its section, \
                       the proxy or [tls] changes, and at once by: ddns-update-daemon retry t0";

/// Lets time pass, answering every poll, until a job is there.
pub(super) fn until_sent(bench: &mut Bench, address: &str) -> Duration {
    let start = bench.now.elapsed;
    while bench.jobs.is_empty() {
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, seen(address));
        }
    }
    bench.now.elapsed - start
}

#[test]
fn a_blocked_target_is_tried_once_a_day_and_told_once_a_day() {
    let mut bench = blocked_by("status 401");
    assert_eq!(lines(&bench), [format!("blocked: status 401; {WAY_OUT}")]);
    assert_eq!(until_sent(&mut bench, "2.2.2.2"), DAY, "a new address is no reason");
    let told = bench.reports.iter().filter(|report| report.level == Level::Warning).count();
    assert_eq!(told, 1, "{:?}", bench.reports);
    bench.finish(0, blocked());
    assert_eq!(lines(&bench).last(), Some(&"still blocked, by the same answer"), "the way out was told");
    assert_eq!(until_sent(&mut bench, "2.2.2.2"), DAY);
    bench.finish(0, published());
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
    assert_eq!(bench.saved.targets.get("t0").unwrap().blocked, None);
}

#[test]
fn a_provider_that_is_down_for_a_day_is_a_line_for_each_of_its_few_tries() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, retry());
    while bench.now.elapsed < DAY {
        until_sent(&mut bench, "1.1.1.1");
        bench.finish(0, retry());
    }
    // After 30 s, 1, 2, 4, 8, 16 and 32 min, then hourly, and up to a quarter more.
    let told = bench.reports.len();
    assert!((26..=31).contains(&told), "{:?}", lines(&bench));
    assert!(bench.reports.iter().all(|report| report.level == Level::Warning));
    for (tries, line) in (1..).zip(lines(&bench)) {
        let failing = format!("; failing since 2026-09-21T14:13:20Z, {tries} times");
        let rest = line.strip_prefix("status 500; next try in ").unwrap_or_else(|| panic!("{line}"));
        let wait = if tries == 1 { Some(rest) } else { rest.strip_suffix(&failing) };
        let wait = wait.unwrap_or_else(|| panic!("{line}"));
        let unit = if tries < 3 { " s" } else { " min" };
        assert!(wait.ends_with(if tries < 8 { unit } else { "1 h" }), "{line}");
    }
    let shown = bench.engine.status(bench.now).targets.remove(0);
    let since = shown.trouble_since.map(|since| since.0);
    assert_eq!(
        (shown.state.as_str(), since, shown.failures),
        ("retrying", Some(UNIX), u32::try_from(told).unwrap())
    );
    until_sent(&mut bench, "1.1.1.1");
    bench.finish(0, published());
    assert_eq!(lines(&bench)[told..], ["set to 1.1.1.1"]);
}

#[test]
fn a_wait_is_told_as_people_say_it() {
    for (asked, told) in
        [(100, "100 s"), (130, "2 min"), (3600, "1 h"), (5400, "1 h 30 min"), (86_400, "1 d")]
    {
        let mut bench = Bench::simple(1);
        bench.observe(0, seen("1.1.1.1"));
        bench.finish(0, Outcome::Retry { why: "busy".into(), after: Some(asked * SECOND), reached: true });
        assert_eq!(lines(&bench), [format!("busy; next try in {told}")]);
    }
}

#[test]
fn a_start_tells_and_tries_a_blocked_target_but_once_an_hour_at_most() {
    let first = blocked_by("status 401");
    let mut bench = restart(&first, &one(), 10 * SECOND);
    assert_eq!(lines(&bench), [format!("blocked: status 401; {WAY_OUT}")]);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.sent_ipv4(0), Some("1.1.1.1".into()));
    // Killed before the answer: that it was tried is known all the same.
    let mut again = restart(&bench, &one(), 20 * SECOND);
    again.observe(0, seen("1.1.1.1"));
    assert!(again.jobs.is_empty(), "a restart loop hammers nobody");
    assert_eq!(again.reports.len(), 1, "but it is told");
    let mut sooner = restart(&again, &one(), HOUR - 20 * SECOND);
    sooner.observe(0, seen("1.1.1.1"));
    assert!(sooner.jobs.is_empty());
    let mut later = restart(&again, &one(), HOUR + 20 * SECOND);
    later.observe(0, seen("1.1.1.1"));
    assert_eq!(later.jobs.len(), 1);
}

#[test]
fn a_daily_try_of_a_blocked_target_is_one_flush() {
    let held = "target\tt0\tname=t0\taccepted=1.1.1.1,-,-\tat=5\n";
    for known in ["", held] {
        let state = State::parse(&format!("{TITLE}\n{known}")).0;
        let mut bench = Bench::new(&one(), state);
        bench.observe(0, seen("2.2.2.2"));
        bench.finish(0, blocked());
        let mut before = 0;
        while bench.jobs.is_empty() {
            before = bench.flushes;
            bench.tick();
            if bench.polls.contains(&0) {
                bench.observe(0, seen("2.2.2.2"));
            }
        }
        assert_eq!(bench.flushes, before + 1, "{known:?}");
    }
}

#[test]
fn only_a_wait_that_the_provider_asked_for_outlasts_a_new_address_after_a_start() {
    let asked = Outcome::Retry { why: "wait".into(), after: Some(600 * SECOND), reached: true };
    for (outcome, waits) in [(asked, 540), (Outcome::Refused { why: "403".into(), after: None }, 10)] {
        let mut first = Bench::new(&one(), State::default());
        first.observe(0, seen("1.1.1.1"));
        first.finish(0, retry());
        let tried = until_sent(&mut first, "1.1.1.1");
        first.finish(0, outcome.clone());
        let mut bench = restart(&first, &one(), tried + 60 * SECOND);
        bench.observe(0, seen("2.2.2.2"));
        let waited = until_sent(&mut bench, "2.2.2.2");
        assert_eq!(waited.as_secs().div_ceil(10) * 10, waits, "{outcome:?}");
    }
}

#[test]
fn a_ban_is_not_tried_because_of_a_start() {
    for word in ["abuse", "badagent"] {
        let first = blocked_by(&format!("the service refuses (status 200, \"{word}\"); ask it why"));
        let mut bench = restart(&first, &one(), 2 * HOUR);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty(), "{word}");
        assert!(lines(&bench)[0].ends_with(
            "tried again once a day, when its section, the proxy or [tls] changes, and at once by: \
                 ddns-update-daemon retry t0"
        ));
        let mut next_day = restart(&first, &one(), DAY);
        next_day.observe(0, seen("1.1.1.1"));
        assert_eq!(next_day.jobs.len(), 1);
    }
}

#[test]
fn a_clock_that_is_put_back_makes_no_wait_longer() {
    let mut first = Bench::new(&one(), State::default());
    first.observe(0, seen("1.1.1.1"));
    first.finish(0, Outcome::Retry { why: "status 500".into(), after: None, reached: true });
    let mut saved = first.saved.clone();
    let failed = saved.targets.get_mut("t0").unwrap().failed.as_mut().unwrap();
    (failed.tried, failed.until) = (Some(UNIX + 6 * 3600), Some(UNIX + 6 * 3600 + 30));
    let mut bench = start_at(Engine::new(&one(), saved, 1), &first, Some(UNIX));
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    bench.pass(30 * SECOND);
    assert_eq!(bench.jobs.len(), 1);
}

#[test]
fn a_wish_that_ends_the_try_of_a_blocked_target_outlives_starts() {
    let first = blocked_by("status 401");
    let mut bench = restart(&first, &one(), 10 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    let wish = Some(5 * HOUR);
    bench.finish(0, Outcome::Retry { why: "status 503".into(), after: wish, reached: true });
    for (after, jobs) in [(2 * HOUR, 0), (5 * HOUR - 10 * SECOND, 0), (5 * HOUR + 20 * SECOND, 1)] {
        let mut later = restart(&bench, &one(), after);
        later.observe(0, seen("2.2.2.2"));
        assert_eq!(later.jobs.len(), jobs, "{after:?}");
    }
}

#[test]
fn a_blocked_target_is_taken_up_when_the_clock_is_set_after_the_start() {
    let first = blocked_by("status 401");
    for (banned, after, tried) in [(false, 2 * HOUR, true), (true, 2 * HOUR, false), (true, DAY, true)] {
        let mut saved = first.saved.clone();
        saved.targets.get_mut("t0").unwrap().blocked.as_mut().unwrap().banned = banned;
        let mut bench = start_at(Engine::new(&one(), saved, 1), &first, None);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty(), "no clock tells when it was tried last");
        bench.now.unix = Some(UNIX + after.as_secs());
        bench.pass(60 * SECOND);
        assert_eq!(bench.jobs.len(), usize::from(tried), "{banned} {after:?}");
    }
}

#[test]
fn a_single_run_tries_a_blocked_target_only_a_day_later_and_tells_it() {
    let first = blocked_by("status 401");
    // A further single run is no start of the daemon.
    let told = "blocked: status 401; tried again once a day, when its section, the proxy or [tls] changes, and at \
                once by: ddns-update-daemon retry t0";
    for (after, jobs) in [(10 * SECOND, 0), (23 * HOUR, 0), (24 * HOUR, 1)] {
        let mut bench = once(&first, &one(), after);
        assert_eq!(lines(&bench), [told]);
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(bench.jobs.len(), jobs, "{after:?}");
        assert!(jobs == 1 || bench.engine.is_settled(bench.now));
        assert_eq!(bench.engine.behind(bench.now).count(), 1);
    }
}

#[test]
fn a_change_of_its_section_or_of_the_proxy_frees_a_blocked_target() {
    let first = blocked_by("abuse");
    let mut section = one();
    Arc::get_mut(&mut section.targets[0]).unwrap().id = "other".into();
    let mut proxy = one();
    let url = Secret::new("http://proxy.example:3128".into());
    let (host, port) = ("proxy.example".into(), 3128);
    let https = Some(Proxy { url, tls: false, host, port, credentials: None });
    proxy.proxies = Proxies { https, ..Proxies::default() };
    for changed in [section, proxy] {
        let mut bench = restart(&first, &changed, 10 * SECOND);
        assert!(bench.reports.is_empty());
        bench.observe(0, seen("1.1.1.1"));
        assert_eq!(bench.jobs.len(), 1);
    }
}

#[test]
fn a_refusal_that_is_not_the_protocols_blocks_nothing() {
    let refused = || Outcome::Refused { why: "refused (status 403)".into(), after: None };
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    let (mut tries, mut last) = (0, Duration::ZERO);
    while bench.now.elapsed < DAY + 2 * HOUR {
        bench.finish(0, refused());
        last = until_sent(&mut bench, "1.1.1.1");
        tries += 1;
        assert!(tries > 1 || (30 * SECOND..=38 * SECOND).contains(&last), "{last:?}");
    }
    assert!((24..=33).contains(&tries), "{tries}");
    assert!((6 * HOUR..=8 * HOUR).contains(&last), "{last:?}");
    bench.finish(0, published());
    assert_eq!(bench.engine.behind(bench.now).count(), 0);
}

#[test]
fn a_new_address_is_a_new_try() {
    let unreached = Outcome::Retry { why: "no route".into(), after: None, reached: false };
    let asked = |after| Outcome::Retry { why: "busy".into(), after: Some(after), reached: true };
    // The outcome, how long ago that was, and when the new address is sent.
    let cases = [
        (unreached, SECOND, Duration::ZERO),
        (retry(), 3 * SECOND, 7 * SECOND),
        (retry(), 11 * SECOND, Duration::ZERO),
        (asked(900 * SECOND), 11 * SECOND, 889 * SECOND),
        // By the sixth in a row our own wait is two minutes: what was asked for counts.
        (asked(2 * SECOND), 3 * SECOND, 7 * SECOND),
        (asked(60 * SECOND), 11 * SECOND, 49 * SECOND),
        // Half an hour is ours, not the provider's.
        (Outcome::NeedsPerson { why: "a portal".into() }, 3 * SECOND, 7 * SECOND),
    ];
    for (outcome, ago, wait) in cases {
        let mut bench = Bench::simple(1);
        bench.observe(0, seen("1.1.1.1"));
        for _ in 0..5 {
            bench.finish(0, outcome.clone());
            until_sent(&mut bench, "1.1.1.1");
        }
        bench.finish(0, outcome.clone());
        bench.handle(HINT);
        bench.pass(ago);
        bench.observe(0, seen("2.2.2.2"));
        let waited = if bench.jobs.is_empty() { until_sent(&mut bench, "2.2.2.2") } else { Duration::ZERO };
        assert_eq!(waited, wait, "{outcome:?}");
        assert_eq!(bench.sent_ipv4(0), Some("2.2.2.2".into()));
    }
}

#[test]
fn waits_survive_five_single_runs() {
    let wish = Outcome::Retry { why: "busy".into(), after: Some(900 * SECOND), reached: true };
    let mut bench = Bench::new(&one(), State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, wish);
    for run in 1..=5 {
        bench = once(&bench, &one(), 60 * run * SECOND);
        let left = 15 - run;
        assert_eq!(lines(&bench), [format!("busy; next try in {left} min")]);
        bench.observe(0, seen("1.1.1.1"));
        assert!(bench.jobs.is_empty() && bench.engine.is_settled(bench.now), "run {run}");
        assert_eq!(bench.engine.behind(bench.now).next().map(|(_, why)| why).as_deref(), Some("busy"));
    }
    bench = once(&bench, &one(), 900 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.jobs.len(), 1);
    // What a wrong clock wrote holds nothing up.
    let mut back = once(&bench, &one(), Duration::ZERO);
    back.now.unix = Some(UNIX - 10_000_000);
    assert!(back.jobs.is_empty());
}

#[test]
fn a_single_run_ends_though_its_provider_always_asks_for_a_moment() {
    let bench = Bench::simple(1);
    let mut bench = once(&bench, &one(), Duration::ZERO);
    bench.observe(0, seen("1.1.1.1"));
    let (mut tries, began) = (0, bench.now.elapsed);
    while !bench.engine.is_settled(bench.now) {
        if bench.jobs.is_empty() {
            bench.tick();
        } else {
            tries += 1;
            let after = Some(7 * SECOND);
            bench.finish(0, Outcome::Retry { why: "status 429".into(), after, reached: true });
        }
    }
    // Its wish counts three times in a row, then our own wait, which is no part of a single run.
    assert_eq!((tries, bench.now.elapsed - began), (4, 21 * SECOND));
}

#[test]
fn the_limit_of_attempts_is_told_and_holds_a_change_back_for_two_minutes_at_most() {
    let mut bench = Bench::simple(1);
    let mut address = 0_u8;
    let mut next = |bench: &mut Bench| {
        address += 1;
        bench.handle(HINT);
        bench.pass(2 * SECOND);
        bench.polls.retain(|poll| *poll != 0);
        let observation = seen(&format!("1.1.1.{address}"));
        bench.handle(Event::Observed { source: 0, observation, gateway: None });
        format!("1.1.1.{address}")
    };
    for _ in 0..30 {
        next(&mut bench);
        bench.finish(0, published());
    }
    let last = next(&mut bench);
    assert!(bench.jobs.is_empty());
    let line = bench.reports.last().unwrap();
    assert_eq!(line.level, Level::Warning);
    assert!(line.text.starts_with(&format!("{last} is sent in ")), "{}", line.text);
    assert!(line.text.ends_with("the limit of 30 updates an hour holds it back"), "{}", line.text);
    let reports = bench.reports.len();
    assert!(until_sent(&mut bench, &last) <= 120 * SECOND);
    assert_eq!(bench.reports.len(), reports, "once");
    bench.finish(0, published());
    let another = next(&mut bench);
    assert!(bench.reports.last().unwrap().text.starts_with(&format!("{another} is sent in ")), "told anew");
    until_sent(&mut bench, &another);
    bench.finish(0, published());
    bench.pass(600 * SECOND);
    next(&mut bench);
    assert_eq!(bench.jobs.len(), 1, "after ten quiet minutes nothing is held back");
}

#[test]
fn a_family_that_is_gone_for_a_day_while_a_record_holds_it_is_told_daily() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    let absent = Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") };
    let told =
        |bench: &Bench| lines(bench).iter().filter(|line| line.starts_with("there has been no IPv4")).count();
    while bench.now.elapsed < 4 * DAY {
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, absent.clone());
        }
    }
    assert_eq!(told(&bench), 3);
    // A start remembers since when, and says so at its first look; not while nobody knows.
    let mut bench = restart(&bench, &one(), 4 * DAY);
    bench.observe(0, Observation::unknown("timed out"));
    assert_eq!(told(&bench), 0);
    bench.tick();
    bench.observe(0, absent.clone());
    assert_eq!(told(&bench), 1);
    bench.tick();
    bench.observe(0, seen("1.1.1.1"));
    assert_eq!(bench.saved.targets.get("t0").unwrap().gone, None);
}

#[test]
fn a_short_absence_is_not_written_down() {
    let mut bench = Bench::simple(1);
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, published());
    let (before, since) = (bench.file.clone(), bench.now.unix);
    let absent = Observation { ipv4: Finding::Absent("DS-Lite".into()), ..Observation::unknown("no") };
    for _ in 0..12 {
        bench.pass(300 * SECOND);
        bench.observe(0, absent.clone());
    }
    assert_eq!(bench.file, before, "55 minutes");
    bench.pass(300 * SECOND);
    bench.observe(0, absent);
    let gone = bench.saved.targets.get("t0").unwrap().gone.as_deref().copied().unwrap_or_default();
    assert_eq!(gone, [since.map(|unix| unix + 300), None, None]);
}

#[test]
fn a_program_is_given_up_after_a_day_or_at_once_where_its_section_says_so() {
    let mut bench = Bench::new(&Config { groups: vec![program()], ..one() }, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.finish(0, Outcome::Dropped { why: "status 3".into() });
    assert_eq!(bench.reports.last().unwrap().text, "status 3; it is not run again (retry = false)");
    bench.pass(300 * SECOND);
    bench.observe(0, seen("1.1.1.1"));
    assert!(bench.jobs.is_empty());
    bench.pass(300 * SECOND);
    bench.observe(0, seen("2.2.2.2"));
    while bench.now.elapsed < 2 * DAY {
        if !bench.jobs.is_empty() {
            bench.finish(0, retry());
        }
        bench.tick();
        if bench.polls.contains(&0) {
            bench.observe(0, seen("2.2.2.2"));
        }
    }
    assert!(bench.jobs.is_empty());
    let last = bench.reports.iter().rev().find(|report| report.level == Level::Error).unwrap();
    assert_eq!(last.text, "status 500; it is not run again for this address, after a day");
}
