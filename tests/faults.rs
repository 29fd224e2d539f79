//! Every fault that a gateway can have, against the running daemon.
//!
//! A row of the table is one class of faults. Whatever the gateway does, the
//! daemon must go on, send nothing wrong, stay small, and be right again within
//! one poll of the fault's end. The table goes to `target/faults-table.md`.
//!
//! `FAULTS_ONLY=text` runs the rows with that text in their names;
//! `FAULTS_BINARY=path` tests another build of the program.

mod lan;
mod plays;
mod rows;
mod run;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

use run::{HEADING, Verdict};

/// How many rows run at once. They mostly wait.
const CREWS: usize = 20;

/// How many of those run at once that were late among the others.
const FEW: usize = 2;

type Job = Box<dyn Fn() -> Verdict + Send + Sync>;

#[test]
fn the_daemon_outlives_every_fault_of_a_gateway() {
    let only = env::var("FAULTS_ONLY").unwrap_or_default();
    let mut jobs: Vec<Job> = Vec::new();
    for row in rows::rows().into_iter().filter(|row| row.name.contains(&only)) {
        jobs.push(Box::new(move || run::run(&row)));
    }
    let names: Vec<&str> = lan::names().filter(|name| name.contains(&only)).collect();
    if lan::possible() {
        for name in names {
            jobs.push(Box::new(move || lan::run(name)));
        }
    } else {
        crate::support::show(&format!("LEFT OUT, they need root for network namespaces: {names:?}"));
        assert!(env::var_os("CI").is_none() || names.is_empty(), "CI must run all rows, as root");
    }
    let all: Vec<usize> = (0..jobs.len()).collect();
    let mut verdicts: Vec<Verdict> = perform(&jobs, &all, CREWS);
    // A busy machine makes some late, and not the same ones again with less to
    // do. What is wrong otherwise is wrong for good.
    let late: Vec<usize> = all
        .into_iter()
        .filter(|n| verdicts[*n].problems.is_empty() && !verdicts[*n].late.is_empty())
        .collect();
    for (n, again) in late.iter().zip(perform(&jobs, &late, FEW)) {
        crate::support::show(&format!("played again, since it was late: {}", verdicts[*n].line()));
        verdicts[*n] = again;
    }
    let table: Vec<String> = verdicts.iter().map(Verdict::line).collect();
    let table = format!("{HEADING}\n{}\n", table.join("\n"));
    crate::support::show(&table);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults-table.md");
    fs::write(file, &table).unwrap();
    let failed: Vec<&str> = verdicts.iter().filter(|v| !v.is_good()).map(|v| v.name.as_str()).collect();
    assert!(failed.is_empty(), "{} of {} rows failed: {failed:?}", failed.len(), verdicts.len());
}

/// Performs those of the jobs, several at once; the verdicts come in their order.
fn perform(jobs: &[Job], which: &[usize], crews: usize) -> Vec<Verdict> {
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..crews {
            scope.spawn(|| {
                while let Some(job) = which.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = jobs[*job]();
                    verdicts.lock().unwrap().push((job, verdict));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap();
    verdicts.sort_by_key(|(job, _)| *job);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}
