//! Every fault that a gateway can have, against the running daemon.
//!
//! A row of the table is one class of faults. Whatever the gateway does, the
//! daemon must go on, send nothing wrong, stay small, and be right again within
//! one poll of the fault's end. The table goes to `target/faults-table.md`.
//!
//! `FAULTS_ONLY=text` runs the rows with that text in their names;
//! `FAULTS_BINARY=path` tests another build of the program.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
#![allow(clippy::string_slice, reason = "the documents that are cut here are our own")]

#[path = "faults/lan.rs"]
mod lan;
#[path = "faults/plays.rs"]
mod plays;
#[path = "faults/rows/mod.rs"]
mod rows;
#[path = "faults/run.rs"]
mod run;
#[allow(dead_code, reason = "shared with the tests of providers; each uses a part")]
mod support;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::{env, fs, thread};

use run::{HEADING, Verdict};

/// How many rows run at once. They mostly wait.
const CREWS: usize = 20;

type Job = Box<dyn FnOnce() -> Verdict + Send>;

#[test]
fn the_daemon_outlives_every_fault_of_a_gateway() {
    let only = env::var("FAULTS_ONLY").unwrap_or_default();
    let mut jobs: VecDeque<(usize, Job)> = VecDeque::new();
    for row in rows::rows().into_iter().filter(|row| row.name.contains(&only)) {
        jobs.push_back((jobs.len(), Box::new(move || run::run(&row))));
    }
    let names: Vec<&str> = lan::names().filter(|name| name.contains(&only)).collect();
    if lan::possible() {
        for name in names {
            jobs.push_back((jobs.len(), Box::new(move || lan::run(name))));
        }
    } else {
        support::show(&format!("LEFT OUT, they need root for network namespaces: {names:?}"));
        assert!(env::var_os("CI").is_none() || names.is_empty(), "CI must run all rows, as root");
    }
    let verdicts = perform(jobs);
    let table: Vec<String> = verdicts.iter().map(Verdict::line).collect();
    let table = format!("{HEADING}\n{}\n", table.join("\n"));
    support::show(&table);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults-table.md");
    fs::write(file, &table).unwrap();
    let failed: Vec<&str> =
        verdicts.iter().filter(|v| !v.problems.is_empty()).map(|v| v.name.as_str()).collect();
    assert!(failed.is_empty(), "{} of {} rows failed: {failed:?}", failed.len(), verdicts.len());
}

/// Performs the jobs, several at once; the verdicts come in the jobs' order.
fn perform(jobs: VecDeque<(usize, Job)>) -> Vec<Verdict> {
    let (jobs, verdicts) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..CREWS {
            scope.spawn(|| {
                loop {
                    let next = jobs.lock().unwrap().pop_front();
                    let Some((index, job)) = next else { return };
                    let verdict = job();
                    verdicts.lock().unwrap().push((index, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap();
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}
