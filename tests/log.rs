//! What the log of the real program looks like.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::scene::{SOON, Scene};
use crate::support::wait_for;
use crate::support::wire::Server;

/// `2026-11-27T13:02:00Z`, by its form.
fn is_time(word: &str) -> bool {
    let form: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-00T00:00:00Z" && word.starts_with("20")
}

#[test]
fn lines_begin_with_the_time_where_nobody_else_writes_one() {
    let scene = Scene::new();
    let mut daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    daemon.stop();
    let log = scene.log();
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(is_time(time) && !rest.contains('\u{1b}'), "{line}");
    }
    // It starts again with what is current.
    let mut daemon = scene.start();
    let told = wait_for(SOON, || {
        let lines = scene.log();
        let line = lines.lines().find(|line| line.contains("home.example.org: current since "))?;
        Some(line.to_owned())
    });
    let told = told.unwrap();
    let (since, address) = told.split_once("current since ").unwrap().1.split_once(": ").unwrap();
    assert!(is_time(since) && address == "11.22.33.44", "{told}");
    daemon.stop();
    let before = scene.log().len();
    let config = scene.config("home.example.org");
    let options = ["--log-format", "journal"];
    let _daemon = Daemon::start_with(&options, &[], &scene.folder, &config);
    let told = wait_for(SOON, || scene.log().split_off(before).contains("current since").then_some(()));
    assert!(told.is_some(), "{}", scene.log());
    assert!(scene.log().split_off(before).lines().all(|line| line.starts_with('<')), "{}", scene.log());
}

#[test]
fn a_command_that_a_person_waits_for_shows_no_times() {
    let scene = Scene::new();
    let (status, text) = scene.call(&["--check", "/nowhere/x.toml"]);
    assert_eq!(status, 2);
    assert!(text.starts_with("error: "), "{text}");
}

#[test]
fn a_start_that_fails_is_told_in_the_form_that_was_asked_for() {
    let scene = Scene::new();
    for (options, begin) in [
        (&["--log-format", "json"][..], "{\"level\":\"error\","),
        (&["--log-format", "journal"], "<3>/nowhere"),
        (&[], "20"),
    ] {
        let (status, text) = scene.call(&[options, &["/nowhere/x.toml"]].concat());
        assert!(status == 2 && text.starts_with(begin), "{text}");
    }
    let (_, text) = scene.call(&["stauts"]);
    assert!(
        text.ends_with("stauts: there is no such file; did you mean the command \"status\"?\n"),
        "{text}"
    );
    let (_, text) = scene.call(&["help"]);
    assert!(text.ends_with("help: there is no such file; for commands see --help\n"), "{text}");
}

/// A provider that listens on this port, once it does.
fn provider(at: SocketAddr) -> Server {
    Server::start(at, Arc::new(|_, wire| wire.reply("200 OK", "", b"good")))
}

#[test]
fn a_single_run_waits_for_the_quick_tries_that_it_announces() {
    let scene = Scene::new();
    let place = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let ours = scene.provider.address().to_string();
    let config = scene.config("home.example.org").replace(&ours, &place.to_string());
    let mut run = Daemon::start_with(&["--once"], &[], &scene.folder, &config);
    scene.wait_log("next try in ");
    let _provider = provider(place);
    let ended = wait_for(SOON, || run.ended());
    assert_eq!(ended.as_deref(), Some("exit status: 0"), "{}", scene.log());
    assert!(scene.log().contains("set to 11.22.33.44"), "{}", scene.log());
}

#[test]
fn a_failure_that_lasts_tells_since_when_and_what_is_not_current() {
    let scene = Scene::new();
    let place = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let ours = scene.provider.address().to_string();
    let config = scene.config("home.example.org").replace(&ours, &place.to_string());
    let mut run = Daemon::start_with(&["--once", "-q"], &[], &scene.folder, &config);
    let ended = wait_for(3 * SOON, || run.ended());
    let log = scene.log();
    assert_eq!(ended.as_deref(), Some("exit status: 1"), "{log}");
    let last = log.lines().rfind(|line| line.contains("next try in")).unwrap();
    let (_, rest) = last.split_once("; failing since ").unwrap();
    let (since, count) = rest.split_once(", ").unwrap();
    assert!(is_time(since) && count == "4 times", "{log}");
    assert!(log.contains("warning: home.example.org: not current: "), "{log}");
}

#[test]
fn what_a_provider_refuses_ends_a_single_run_at_once() {
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let config = scene.config("home.example.org");
    let mut run = Daemon::start_with(&["--once"], &[], &scene.folder, &config);
    let ended = wait_for(Duration::from_secs(5), || run.ended());
    assert_eq!(ended.as_deref(), Some("exit status: 1"), "{}", scene.log());
}
