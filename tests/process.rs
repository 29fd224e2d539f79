//! Programs are started, fed and ended as promised.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Folder};
use crate::support::gateway::Gateway;
use crate::support::wire::{Request, Server, Wire};
use crate::support::{show, wait_for};
use ddns_update_daemon::daemon::process;
use ddns_update_daemon::updaters::run::{Ended, Plan};

const LONG: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Plan {
    Plan { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], env: Vec::new(), input: None }
}

fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("process-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&file);
    file
}

#[test]
fn the_exit_status_is_told() {
    assert_eq!(process::run(&shell("exit 0"), LONG), Ended::Exited(0));
    assert_eq!(process::run(&shell("exit 7"), LONG), Ended::Exited(7));
    assert_eq!(process::run(&shell("kill -9 $$"), LONG), Ended::Signalled(9));
}

#[test]
fn a_program_that_cannot_start_is_told_apart() {
    let plan =
        |program: &str| Plan { program: program.into(), args: Vec::new(), env: Vec::new(), input: None };
    assert_eq!(process::run(&plan("/nowhere/at/all"), LONG), Ended::NotFound);
    assert_eq!(process::run(&plan("no-program-of-this-name"), LONG), Ended::NotFound);
    let file = scratch("plain");
    fs::write(&file, "no program").unwrap();
    assert_eq!(process::run(&plan(file.to_str().unwrap()), LONG), Ended::NotExecutable);
}

#[test]
fn arguments_reach_the_program_without_a_shell_and_variables_are_set_or_removed() {
    let file = scratch("env");
    let script =
        r#"printf '%s|%s|%s|%s' "$1" "$DDNS_IPV4" "${DDNS_IPV6-unset}" "${HOME+set}" > "$2"; cat >> "$2""#;
    let mut plan = shell(script);
    plan.args.extend(["sh".into(), "$(id);`id` 'x'".into(), file.to_str().unwrap().into()]);
    plan.env = vec![("DDNS_IPV4", Some("192.0.2.1".into())), ("DDNS_IPV6", None), ("HOME", Some("/".into()))];
    assert_eq!(process::run(&plan, LONG), Ended::Exited(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "$(id);`id` 'x'|192.0.2.1|unset|set");
}

#[test]
fn a_timeout_ends_grandchildren_even_those_that_ignore_the_request() {
    let file = scratch("pids");
    let script = format!(
        "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $! $$ > {0}.new; mv {0}.new {0}; wait",
        file.display()
    );
    let began = Instant::now();
    let limit = Duration::from_secs(1);
    assert_eq!(process::run(&shell(&script), limit), Ended::TimedOut(limit));
    assert!(began.elapsed() >= Duration::from_secs(3) && began.elapsed() < Duration::from_secs(8));
    for pid in fs::read_to_string(&file).unwrap().split_whitespace() {
        wait_for_end(pid);
    }
}

#[test]
fn an_obedient_program_is_not_kept_waiting() {
    let began = Instant::now();
    let limit = Duration::from_millis(200);
    assert_eq!(process::run(&shell("exec sleep 60"), limit), Ended::TimedOut(limit));
    assert!(began.elapsed() < Duration::from_secs(2));
}

/// A killed grandchild stays a zombie until its new parent reaps it.
/// docs/footprint.md, "Threads".
#[cfg(target_os = "linux")]
#[test]
fn the_default_sources_need_four_threads_where_nothing_happens() {
    let (config, state) = (scratch("threads.toml"), scratch("threads.state"));
    let text = format!(
        "state_file = {state:?}\nrouter_ip = \"http://127.0.53.7:9/nobody.xml\"\n[[runs]]\ncmd = [\"true\", \"{{ipv4}}\"]\n"
    );
    fs::write(&config, text).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon"))
        .arg(&config)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let tasks = PathBuf::from(format!("/proc/{}/task", daemon.id()));
    let threads = || {
        let tasks = fs::read_dir(&tasks).unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
        names.sort();
        names
    };
    let (until, expected) =
        (Instant::now() + LONG, ["channels", "ddns-update-dae", "source", "subscription"]);
    while threads() != expected && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let found = threads();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(found, expected);
}

/// A limit such as systemd's `TasksMax`, of a user here: one job has a thread, the others
/// fail and follow.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_threads_delays_an_update_and_ends_nothing() {
    let folder = Folder::new();
    let script = format!(
        "chown -R 61234 {} && exec prlimit --nproc=5:5 setpriv --reuid=61234 --clear-groups \"$@\"",
        folder.path("").display()
    );
    let launcher = ["sh", "-c", &script, "sh"].map(str::to_owned);
    let program = [env!("CARGO_BIN_EXE_ddns-update-daemon"), "--version"];
    let possible = Command::new("sh").args(&launcher[1..]).args(program).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "another user needs root, prlimit and setpriv");
        return show("left out: another user needs root, prlimit and setpriv");
    }
    let log = folder.path("log");
    let server = move |_: &Request, wire: &mut Wire<'_>| {
        let log = || fs::read_to_string(&log).unwrap_or_default();
        wait_for(LONG, || log().contains("no thread could be started").then_some(()));
        wire.reply("200 OK", "", b"good")
    };
    let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), Arc::new(server));
    let gateway = Gateway::start((Ipv4Addr::LOCALHOST, 0).into(), "11.22.33.1");
    let state = folder.path("state/test.state");
    let mut config = format!("ipv4 = [\"upnp:{}\"]\nipv6 = []\nstate_file = {state:?}\n", gateway.url());
    for number in 1..=3 {
        let url = format!("http://{}/{number}?ip={{ipv4}}", server.address());
        write!(config, "[[urls]]\nmethod = \"get\"\nurl = \"{url}\"\n").unwrap();
    }
    let mut daemon = Daemon::start(&launcher, &folder, &config);
    let all = || {
        let mut paths: Vec<String> = server.exchanges().into_iter().map(|one| one.request.path).collect();
        paths.sort();
        paths.dedup();
        (paths == ["/1?ip=11.22.33.1", "/2?ip=11.22.33.1", "/3?ip=11.22.33.1"]).then_some(())
    };
    assert_eq!(wait_for(LONG, all), Some(()), "{}", folder.read("log"));
    assert_eq!(daemon.ended(), None);
}

fn wait_for_end(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let state = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        let state = String::from_utf8(state.stdout).unwrap();
        if state.trim().is_empty() || state.starts_with('Z') {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} still runs: {state}");
        std::thread::yield_now();
    }
}
