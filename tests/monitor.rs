//! `[monitor]` and `metrics_file` of the running daemon, over real sockets.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::support::daemon::Daemon;
use crate::support::gateway::Plays;
use crate::support::scene::{LOCAL, SOON, Scene};
use crate::support::wait_for;
use serde_json::Value;

struct Monitored {
    scene: Scene,
    port: u16,
}

impl Deref for Monitored {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Monitored {
    fn new() -> Self {
        // Free a moment ago, and nobody else's soon.
        let port = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap().port();
        Self { scene: Scene::failing("500 No", b"good"), port }
    }

    fn start(&self, top: &str, monitor: &str) -> Daemon {
        self.start_with(&self.by_url(&format!("{top}\n{monitor}"), "me:s3cret@"))
    }

    fn start_monitored(&self) -> Daemon {
        let daemon =
            self.start("", &format!("[monitor]\nlisten = \"127.0.0.1:{}\"\nhosts = [\"ddns\"]\n", self.port));
        self.wait_log("[monitor] listens at 127.0.0.1:");
        daemon
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", self.port))
    }

    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        parts(&text)
    }

    fn wait(&self, path: &str, status: u16, text: &str) -> String {
        let fits = || Some(self.get(path)).filter(|(code, _, body)| *code == status && body.contains(text));
        let found = wait_for(SOON, || {
            thread::sleep(Duration::from_millis(50));
            fits()
        });
        found.unwrap_or_else(|| panic!("{path}: {:?}\n{}", self.get(path), self.log())).2
    }
}

/// Status, head and body.
fn parts(text: &str) -> (u16, String, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

fn signal(daemon: &Daemon, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &daemon.id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn every_page_tells_what_is_so() {
    let scene = Monitored::new();
    let daemon = scene.start_monitored();
    scene.wait("/ready", 200, "every target is current");
    assert_eq!(scene.get("/health").0, 200);
    let (code, head, page) = scene.get("/");
    assert!(code == 200 && page.starts_with("<!doctype html>") && page.ends_with("</script>\n"));
    assert!(head.contains("\r\nContent-Security-Policy: default-src 'none'; "), "{head}");
    assert!(head.contains("\r\nCache-Control: no-store\r\n") && head.contains("nosniff"), "{head}");
    let (_, head, body) = scene.get("/status.json");
    assert!(head.contains("\r\nContent-Type: application/json\r\n"));
    let status: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status["targets"][0]["holds"]["ipv4"], "11.22.33.44");
    let (_, head, metrics) = scene.get("/metrics");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    for line in [
        "ddns_target_up_to_date{target=\"home\"} 1",
        "ddns_target_updates_total{target=\"home\"} 1",
        "ddns_target_address_info{target=\"home\",family=\"ipv4\",address=\"11.22.33.44\"} 1",
        "ddns_polls_in_time 1",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}\n{metrics}");
    }
    assert!(!format!("{page}{body}{metrics}").contains("s3cret"));
    let (code, head, body) = scene.ask("HEAD /metrics HTTP/1.1\r\nHost: ddns\r\n\r\n");
    assert!(code == 200 && body.is_empty() && !head.contains("Content-Length: 0\r\n"), "{head}");

    // An outage of a provider is none of the daemon.
    scene.fails.store(true, Ordering::SeqCst);
    scene.gateway.play(Plays::default(), "11.22.33.55");
    signal(&daemon, "USR1");
    scene.wait("/ready", 503, "1 of 1 not current:\nhome\n");
    assert_eq!(scene.get("/health").0, 200);
    scene.wait("/metrics", 200, "ddns_target_up_to_date{target=\"home\"} 0");
    scene.fails.store(false, Ordering::SeqCst);
    signal(&daemon, "USR1");
    scene.wait("/ready", 200, "every target is current");
    scene.wait("/metrics", 200, "address=\"11.22.33.55\"} 1");
}

#[test]
fn names_that_are_not_ours_and_what_would_change_something_are_refused() {
    let scene = Monitored::new();
    let _daemon = scene.start_monitored();
    for (request, code) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: ddns\r\nHost: ddns\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: DDNS:80\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 200),
        ("POST /metrics HTTP/1.1\r\nHost: ddns\r\nContent-Length: 4\r\n\r\nabcd", 405),
        ("PUT / HTTP/1.1\r\nHost: ddns\r\n\r\n", 405),
        ("GET /etc/passwd HTTP/1.1\r\nHost: ddns\r\n\r\n", 404),
        ("GET /%2e%2e/ HTTP/1.1\r\nHost: ddns\r\n\r\n", 404),
        ("\u{16}\u{3}\u{1}\r\n\r\n", 400),
        ("GET / SPDY/3\r\nHost: ddns\r\n\r\n", 400),
    ] {
        assert_eq!(scene.ask(request).0, code, "{request:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: ddns\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert_eq!(scene.ask(&long).0, 400);
}

#[test]
fn a_flood_and_slow_readers_hold_up_neither_updates_nor_others_for_long() {
    let scene = Monitored::new();
    let mut daemon = scene.start_monitored();
    scene.wait("/ready", 200, "");
    // Some say nothing, some half a head, some never read their answer.
    let mut held = Vec::new();
    for index in 0..60 {
        let mut stream = scene.connect();
        let begin: &[u8] = match index % 3 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nHo",
            _ => b"GET /status.json HTTP/1.1\r\nHost: ddns\r\n\r\n",
        };
        let _refused = stream.write_all(begin);
        held.push(stream);
    }
    let began = Instant::now();
    scene.gateway.play(Plays::default(), "11.22.33.55");
    signal(&daemon, "USR1");
    scene.wait_log("11.22.33.44 -> 11.22.33.55");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap().count();
    assert!(threads < 30, "{threads}");
    // Those who hang are hung up on, and then others are served.
    let served = wait_for(SOON, || {
        let mut stream = scene.connect();
        let mut text = String::new();
        let request = b"GET /health HTTP/1.1\r\nHost: ddns\r\n\r\n";
        let _ = stream.write_all(request).and_then(|()| stream.read_to_string(&mut text));
        thread::sleep(Duration::from_millis(20));
        text.starts_with("HTTP/1.1 200 OK\r\n").then_some(())
    });
    assert!(served.is_some() && daemon.ended().is_none());
    assert!(
        daemon.peak_memory() < crate::support::daemon::memory_limit_kib(),
        "{} KiB",
        daemon.peak_memory()
    );
}

#[test]
fn a_socket_of_the_file_system_does_as_well_and_is_taken_over() {
    let scene = Monitored::new();
    let path = scene.folder.path("run/monitor");
    let section = format!("[monitor]\nlisten = \"unix:{}\"\n", path.display());
    let ask = || {
        let mut stream = UnixStream::connect(&path).ok()?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let mut daemon = scene.start("", &section);
    let text = wait_for(SOON, ask).unwrap();
    assert!(text.ends_with("it lives and polls in time\n"), "{text}");
    daemon.stop();
    assert!(path.exists());
    let _daemon = scene.start("", &section);
    assert!(wait_for(SOON, ask).is_some(), "{}", scene.log());
    // A file that is no socket is left alone.
    let other = scene.folder.path("run/file");
    fs::write(&other, "x").unwrap();
    let second = Monitored::new();
    let _daemon = second.start("", &format!("[monitor]\nlisten = \"unix:{}\"\n", other.display()));
    second.wait_log("[monitor] cannot listen at unix:");
    second.wait_log("set to 11.22.33.44");
    assert_eq!(fs::read_to_string(&other).unwrap(), "x");
}

#[test]
fn an_address_that_is_not_to_be_had_yet_is_told_once_and_tried_at_every_poll() {
    let scene = Monitored::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, scene.port)).unwrap();
    let daemon = scene.start("", &format!("[monitor]\nlisten = \"127.0.0.1:{}\"\n", scene.port));
    scene.wait_log("[monitor] cannot listen at 127.0.0.1:");
    scene.wait_log("set to 11.22.33.44");
    signal(&daemon, "USR1");
    scene.wait_log("set to 11.22.33.44 again");
    drop(taken);
    signal(&daemon, "USR1");
    scene.wait_log("[monitor] listens at 127.0.0.1:");
    assert_eq!(scene.get("/health").0, 200);
    assert_eq!(scene.log().matches("cannot listen").count(), 1, "{}", scene.log());
}

#[test]
fn the_metrics_file_is_whole_and_written_once_a_minute_at_most() {
    let scene = Monitored::new();
    let path = scene.folder.path("ddns.prom");
    let config = scene.by_url(&format!("metrics_file = \"{}\"\n", path.display()), "");
    // As the packages' service has it; who reads the file is another user.
    let strict = ["sh", "-c", "umask 077; exec \"$@\"", "sh"].map(str::to_owned);
    let daemon = Daemon::start(&strict, &scene.folder, &config);
    let text = wait_for(SOON, || fs::read_to_string(&path).ok()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(text.starts_with("# HELP ddns_build_info ") && text.ends_with('\n'));
    scene.wait_log("set to 11.22.33.44");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    signal(&daemon, "USR1");
    scene.wait_log("set to 11.22.33.44 again");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    let names: Vec<_> =
        fs::read_dir(scene.folder.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{names:?}");
}

#[test]
fn a_single_run_writes_the_metrics_at_its_end() {
    let scene = Monitored::new();
    let path = scene.folder.path("ddns.prom");
    drop(scene.start(&format!("metrics_file = \"{}\"\n", path.display()), ""));
    let _ = fs::remove_file(&path);
    let output = Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon"))
        .args(["--once".as_ref(), scene.folder.path("config.toml").as_os_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read_to_string(&path).unwrap().contains("ddns_target_up_to_date{target=\"home\"} 1\n"));
}

/// Every name that the dashboard asks for is one that a daemon tells.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let scene = Monitored::new();
    let _daemon = scene.start_monitored();
    scene.wait("/ready", 200, "");
    let (_, _, metrics) = scene.get("/metrics");
    let told: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana.json");
    let board: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            queries.push(target["expr"].as_str().unwrap());
        }
    }
    queries.push(board["templating"]["list"][1]["query"].as_str().unwrap());
    let words =
        queries.iter().flat_map(|query| query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("ddns_")).collect();
    assert!(asked.len() >= 8, "{asked:?}");
    assert_eq!(asked.difference(&told).collect::<Vec<_>>(), Vec::<&&str>::new());
}
