//! Simulated weeks: the real configuration, engine, updaters and state text in a world
//! of faults by chance, from one seed, with every promise checked after every step.
//!
//! Each seed is the same to the letter every time. `tests/soak` plays as many as asked:
//!
//! ```text
//! SIMULATION_SEEDS=0..200 SIMULATION_DAYS=28 cargo test --test simulation -- --nocapture
//! ```

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::match_same_arms,
    clippy::panic,
    clippy::similar_names,
    clippy::string_slice,
    clippy::unchecked_time_subtraction,
    clippy::unwrap_used,
    reason = "a test may panic; that is how it fails"
)]

mod chance;
mod cloudflare;
mod disk;
mod events;
mod host;
mod name_server;
mod network;
mod plan;
mod polls;
mod providers;
mod secrets;
mod sim;
mod turns;
mod voices;
mod watch;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use ddns_update_daemon::daemon::state_file::Store;

/// Seeds and days where nobody says otherwise.
const SEEDS: Range<u64> = 0..2;
const DAYS: u32 = 28;

fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds() -> Range<u64> {
    let text = std::env::var("SIMULATION_SEEDS").unwrap_or_default();
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or(SEEDS)
}

/// Keeps this thread, and those of the jobs that it will begin, on one CPU: they take
/// turns, and a turn that is handed to another CPU costs half as much again.
#[cfg(target_os = "linux")]
fn take_cpu(number: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let mut own = CpuSet::new();
    cpus.nth(number).into_iter().for_each(|cpu| own.set(cpu));
    // Where it may not, it is as right and takes longer.
    let _ = sched_setaffinity(None, &own);
}

#[cfg(not(target_os = "linux"))]
fn take_cpu(_: usize) {}

#[test]
fn every_promise_holds_in_every_seed() {
    let (seeds, days) = (seeds(), asked("SIMULATION_DAYS").unwrap_or(DAYS));
    let verbose = std::env::var_os("SIMULATION_TRACE").is_some();
    let (next, began) = (AtomicU64::new(seeds.start), Instant::now());
    let faults = Mutex::new(BTreeMap::<&'static str, u64>::new());
    let failed = Mutex::new(Vec::new());
    let work = |number| {
        take_cpu(number);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || !failed.lock().unwrap().is_empty() {
                return;
            }
            let verdict = sim::play(seed, days, verbose);
            for (fault, count) in verdict.faults {
                *faults.lock().unwrap().entry(fault).or_default() += count;
            }
            if verbose || verdict.broken.is_some() {
                println!("{}", verdict.trace.join("\n"));
            }
            if let Some(broken) = verdict.broken {
                failed.lock().unwrap().push((seed, broken));
            }
        }
    };
    thread::scope(|scope| {
        for number in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(move || work(number));
        }
    });
    let count = next.into_inner().min(seeds.end) - seeds.start;
    println!("{count} seeds of {days} days in {:.1} s", began.elapsed().as_secs_f64());
    for (fault, count) in faults.into_inner().unwrap() {
        println!("{count:8}  {fault}");
    }
    let failed = failed.into_inner().unwrap();
    let lines: Vec<String> = failed
        .iter()
        .map(|(seed, broken)| {
            format!("seed {seed}: {broken}\nagain: SIMULATION_SEEDS={seed}..{} SIMULATION_TRACE=1 cargo test --test simulation every -- --nocapture", seed + 1)
        })
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn a_seed_plays_the_same_to_the_letter_again() {
    let digests: Vec<u64> = (0..2).map(|_| sim::play(7, 7, false).digest).collect();
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], sim::play(8, 7, false).digest);
}

/// Cut at each write of it and at each byte of that write, and at each end.
#[test]
fn a_power_cut_while_a_grown_state_is_written_anew_loses_nothing() {
    let (path, lines) = ("/var/x.state", "target\ta\tname=x\taccepted=192.0.2.2,-,-\tat=5\n");
    let whole = || lines.to_owned();
    let mut ends = [0, 0];
    for (cut, torn, seed) in
        (0..10_u32).flat_map(|cut| (0..140_usize).map(move |torn| (cut, torn, u64::from(cut) + torn as u64)))
    {
        let disk = disk::Disk::new();
        let store = || Store::on(disk.clone(), path.into(), "/etc/x.toml".into(), None);
        let mut held = store();
        assert_eq!(held.hold().unwrap().problem, None);
        held.append(&format!("{}{lines}", "# much\n".repeat(3000)), true, &whole).unwrap();
        assert!(held.is_to_be_written());
        disk.cut_after(cut, torn);
        ends[usize::from(held.append("", false, &whole).is_ok())] += 1;
        disk.boot(&mut chance::Chance::new(seed));
        let loaded = store().hold().unwrap();
        let target = loaded.state.targets.get("a").unwrap_or_else(|| panic!("lost: {cut} {torn}"));
        let address = target.accepted.unwrap().addresses.ipv4.unwrap();
        assert_eq!(address.to_string(), "192.0.2.2", "{cut} {torn}");
        assert_eq!(target.trying.is_none(), loaded.problem.is_none(), "{cut} {torn}");
    }
    assert!(ends.iter().all(|times| *times > 100), "{ends:?}");
}

/// Of what is not flushed, a power cut may take any part.
#[test]
fn what_is_flushed_outlives_a_power_cut() {
    let line = |address: u8| format!("target\ta\tname=x\taccepted=192.0.2.{address},-,-\tat=5\n");
    for (flush, kept) in [(true, 100..=100), (false, 1..=99)] {
        let kept_by = |seed: &u64| {
            let disk = disk::Disk::new();
            let store = || Store::on(disk.clone(), "/var/x.state".into(), "/etc/x.toml".into(), None);
            let mut held = store();
            held.hold().unwrap();
            held.append(&line(1), true, &|| line(1)).unwrap();
            held.append(&line(2), flush, &|| line(2)).unwrap();
            disk.boot(&mut chance::Chance::new(*seed));
            let loaded = store().hold().unwrap();
            let accepted = loaded.state.targets.get("a").and_then(|target| target.accepted).unwrap();
            accepted.addresses.ipv4 == Some([192, 0, 2, 2].into())
        };
        let times = (0..100).filter(kept_by).count();
        assert!(kept.contains(&times), "{flush}: {times}");
    }
}

#[test]
fn what_a_failing_disk_did_not_keep_is_written_when_it_is_well() {
    let line = |address: u8| format!("target\ta\tname=x\taccepted=192.0.2.{address},-,-\tat=5\n");
    let disk = disk::Disk::new();
    let store = || {
        Store::on(disk.clone(), "/var/x.state".into(), "/etc/x.toml".into(), Some("/run/x.doubted".into()))
    };
    let mut held = store();
    held.hold().unwrap();
    held.append(&line(1), true, &|| line(1)).unwrap();
    assert!(!held.is_to_be_written());
    disk.set_health(disk::Health::Failing);
    for lines in [&line(2), ""] {
        assert!(!held.append(lines, false, &|| line(2)).unwrap_err().stands, "a note says so");
        assert!(held.is_to_be_written());
    }
    disk.set_health(disk::Health::Well);
    held.append("", false, &|| line(2)).unwrap();
    assert!(!held.is_to_be_written());
    drop(held);
    // The note lies in memory and goes with the power.
    disk.boot(&mut chance::Chance::new(1));
    let loaded = store().hold().unwrap();
    let accepted = loaded.state.targets.get("a").unwrap().accepted.unwrap();
    assert_eq!(accepted.addresses.ipv4, Some([192, 0, 2, 2].into()));
}

#[test]
fn every_broken_copy_still_fits() {
    let text = include_str!("broken.toml");
    let table = toml::de::DeTable::parse(text).unwrap().into_inner();
    let copies = table.get("copy").and_then(|copies| copies.get_ref().as_array()).unwrap();
    assert!(copies.len() >= 20, "{}", copies.len());
    let page = include_str!("../../docs/simulation.md");
    for copy in copies {
        let copy = copy.get_ref().as_table().unwrap();
        let name = copy.get("name").and_then(|name| name.get_ref().as_str()).unwrap();
        assert!(page.contains(&format!("\n| {name} | ")), "{name}: no row says what caught it");
        let more = copy.get("and").map(|more| more.get_ref().as_table().unwrap());
        for change in [copy].into_iter().chain(more) {
            let key = |name: &str| change.get(name).and_then(|value| value.get_ref().as_str()).unwrap();
            let path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), key("file"));
            let source = std::fs::read_to_string(path).unwrap();
            assert_eq!(source.matches(key("old")).count(), 1, "{} in {}", key("old"), key("file"));
            assert_ne!(key("old"), key("new"));
        }
    }
}
