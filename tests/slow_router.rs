//! A router that takes 3 s for each answer works: for the daemon, for a single run, and
//! for `discover`.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Folder, Recorder};
use crate::support::gateway::{Gateway, Play, Plays};
use crate::support::wait_for;

/// For the description and each of the questions behind it.
const ANSWER: Duration = Duration::from_secs(3);

/// The description and the IPv4 address.
const SURVEY: Duration = Duration::from_secs(6);

const LIMIT: Duration = Duration::from_secs(15);

fn slow_gateway(address: &str) -> Gateway {
    let gateway = Gateway::start((Ipv4Addr::LOCALHOST, 0).into(), address);
    set(&gateway, address);
    gateway
}

/// Slow as before, with another address.
fn set(gateway: &Gateway, address: &str) {
    let play: Play = Arc::new(|ask, wire| {
        thread::sleep(ANSWER);
        wire.reply("200 OK", "", ask.body.as_bytes())
    });
    gateway.play(Plays { description: vec![Arc::clone(&play)], soap: vec![play], only: None }, address);
}

fn config(gateway: &Gateway, recorder: &Recorder, folder: &Folder) -> String {
    format!(
        "interval = 0.05\nstate_file = \"{}\"\nrouter_ip = \"{}\"\nipv4 = [\"upnp\"]\nipv6 = []\n\
         [[urls]]\nmethod = \"get\"\nurl = \"{}{{ipv4}}\"\n",
        folder.path("state/test.state").display(),
        gateway.url(),
        recorder.url(),
    )
}

#[test]
fn a_single_run_publishes_within_15_s() {
    let (gateway, recorder) = (slow_gateway("11.22.33.44"), Recorder::start(Ipv4Addr::LOCALHOST));
    let folder = Folder::new();
    let begun = Instant::now();
    let mut run = Daemon::start_with(&["--once", "-v"], &[], &folder, &config(&gateway, &recorder, &folder));
    let ended = wait_for(LIMIT + ANSWER, || run.ended());
    assert_eq!(ended.as_deref(), Some("exit status: 0"), "{}", folder.read("log"));
    assert!(begun.elapsed() >= SURVEY && begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    let sent: Vec<String> = recorder.sent().into_iter().map(|(_, address)| address).collect();
    assert_eq!(sent, ["11.22.33.44"]);
    assert_eq!(gateway.exchanges().len(), 2, "nothing was asked twice");
}

#[test]
fn the_daemon_publishes_within_15_s_and_sees_each_change() {
    let (gateway, recorder) = (slow_gateway("11.22.33.44"), Recorder::start(Ipv4Addr::LOCALHOST));
    let folder = Folder::new();
    let _daemon = Daemon::start(&[], &folder, &config(&gateway, &recorder, &folder));
    for address in ["11.22.33.44", "11.22.33.45"] {
        set(&gateway, address);
        let arrived = || recorder.sent().iter().any(|(_, sent)| sent == address).then_some(());
        assert_eq!(wait_for(LIMIT, arrived), Some(()), "{address}\n{}", folder.read("log"));
    }
    assert!(!folder.read("log").contains("did not answer in time"), "{}", folder.read("log"));
}

#[test]
fn discover_shows_it_and_tells_what_failed_as_what_it_is() {
    let gateway = slow_gateway("11.22.33.44");
    let discover = |url: &str| {
        Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon")).args(["discover", url]).output().unwrap()
    };
    let output = discover(&gateway.url());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("  IPv4        11.22.33.44\n"), "{text}");
    let url = gateway.url().replace("desc.xml", "other.xml");
    let output = discover(&url);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("{url}: it answered with HTTP status 404")), "{text}");
    drop(gateway);
    let output = discover(&url);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("{url}: cannot connect: connection refused")), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
