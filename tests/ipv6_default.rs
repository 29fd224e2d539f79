//! Who speaks for IPv6 where no sources are listed: the daemon in a network of its own,
//! on a host with a global IPv6 address.
//!
//! A test makes a network namespace and runs itself again inside it. That needs root and
//! iproute2; without them the tests are left out.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Folder, Recorder};
use crate::support::gateway::{GET_IPV6, Gateway, Plays};
use crate::support::{only_test, passed_alone, show, wait_for};

/// Set in the processes that run inside a namespace.
const INSIDE: &str = "DDNS_TEST_INSIDE";

const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);
const HOST: &str = "2a0f:ff00:77:a::2";
const BOX: &str = "2a0f:ff00:77:b::1";
const OTHER: &str = "2a0f:ff00:77:b::2";

const SOON: Duration = Duration::from_secs(40);

/// A host with an address of either family, whose IPv4 gateway is not there.
const NETWORK: [&str; 7] = [
    "link set lo up",
    "link add lan0 type veth peer name far",
    "link set lan0 up",
    "link set far up",
    "addr add 192.168.77.2/24 dev lan0",
    "addr add 2a0f:ff00:77:a::2/64 dev lan0 nodad",
    "-6 route add default via fe80::1 dev lan0",
];

/// Whether this process is inside the network of `test`; otherwise it makes one, and
/// runs the test there.
fn is_inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let name = format!("ddns-{}-{test}", process::id());
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
    if !ip(&format!("netns add {name}")).is_ok_and(|status| status.success()) {
        assert!(env::var_os("CI").is_none(), "network namespaces need root and iproute2");
        show("LEFT OUT: network namespaces need root and iproute2");
        return false;
    }
    for command in NETWORK.iter().chain(["route add default via 192.168.77.1"].iter()) {
        assert!(ip(&format!("-n {name} {command}")).unwrap().success(), "ip {command}");
    }
    let mut inner = Command::new("ip");
    inner.args(["netns", "exec", &name]).arg(env::current_exe().unwrap());
    only_test(inner.env(INSIDE, test), module_path!(), test);
    let passed = passed_alone(&mut inner);
    drop(ip(&format!("netns del {name}")));
    assert!(passed, "{test} failed inside its network");
    false
}

/// One AAAA, looked after every 1.2 s.
fn config(gateway: Option<&Gateway>, recorder: &Recorder) -> String {
    let router = gateway.map(|gateway| format!("router_ip = \"{}\"\n", gateway.url())).unwrap_or_default();
    format!("interval = 0.02\n{router}[[urls]]\nname = \"six\"\nurl = \"{}{{ipv6}}\"\n", recorder.url())
}

fn sent(recorder: &Recorder) -> Vec<String> {
    recorder.sent().into_iter().map(|(_, address)| address).collect()
}

fn wait_for_sent(recorder: &Recorder, expected: &[&str], folder: &Folder) {
    wait_for(SOON, || (sent(recorder) == expected).then_some(()));
    assert_eq!(sent(recorder), expected, "{}", folder.read("log"));
}

/// Lets the gateway be asked some times more than it takes to give way to another source.
fn some_polls(gateway: &Gateway) {
    let since = Instant::now();
    let polled = wait_for(SOON, || (gateway.polls(since).len() > 5).then_some(()));
    assert!(polled.is_some(), "it is not asked any more");
}

#[test]
fn the_silence_of_a_fritz_box_is_not_filled() {
    if !is_inside("the_silence_of_a_fritz_box_is_not_filled") {
        return;
    }
    let (recorder, folder) = (Recorder::start(Ipv4Addr::LOCALHOST), Folder::new());
    let mut gateway = Gateway::start(SocketAddr::from((HERE, 0)), "9.9.9.1");
    gateway.heal(BOX);
    let text = config(Some(&gateway), &recorder);
    let mut daemon = Daemon::start(&[], &folder, &text);
    wait_for_sent(&recorder, &[BOX], &folder);
    // It answers, but closes the line at questions about IPv6.
    let closed = Plays { soap: vec![Arc::new(|_, _| Ok(()))], only: Some(GET_IPV6), ..Plays::default() };
    gateway.play(closed, BOX);
    some_polls(&gateway);
    // It does not answer at all, and the daemon starts anew.
    let at = SocketAddr::from((HERE, gateway.port()));
    gateway.power_off();
    std::thread::sleep(Duration::from_secs(8));
    daemon.stop();
    let daemon = Daemon::start(&[], &folder, &text);
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(sent(&recorder), [BOX], "{}", folder.read("log"));
    gateway.power_on(at);
    gateway.heal(OTHER);
    wait_for_sent(&recorder, &[BOX, OTHER], &folder);
    drop(daemon);
    let log = folder.read("log");
    assert_eq!(log.matches("speaks for IPv6 (AAAA), as it has actions for it").count(), 1, "{log}");
    assert!(log.contains("upnp") && log.contains("the router speaks for IPv6 (AAAA), as before"), "{log}");
    assert!(!log.contains("this host's interface speaks"), "{log}");
}

#[test]
fn a_gateway_without_ipv6_leaves_it_to_this_host() {
    if !is_inside("a_gateway_without_ipv6_leaves_it_to_this_host") {
        return;
    }
    let (recorder, folder) = (Recorder::start(Ipv4Addr::LOCALHOST), Folder::new());
    let mut gateway = Gateway::start(SocketAddr::from((HERE, 0)), "9.9.9.1");
    let daemon = Daemon::start(&[], &folder, &config(Some(&gateway), &recorder));
    wait_for_sent(&recorder, &[HOST], &folder);
    gateway.power_off();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(sent(&recorder), [HOST]);
    drop(daemon);
    let log = folder.read("log");
    let line = "this host's interface speaks for IPv6 (AAAA), as the router has no actions for it";
    assert_eq!(log.matches(line).count(), 1, "{log}");
}

#[test]
fn a_single_run_without_a_gateway_takes_this_hosts_address() {
    if !is_inside("a_single_run_without_a_gateway_takes_this_hosts_address") {
        return;
    }
    let (recorder, folder) = (Recorder::start(Ipv4Addr::LOCALHOST), Folder::new());
    let file = folder.path("config.toml");
    std::fs::write(&file, config(None, &recorder)).unwrap();
    let run = || {
        let started = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon"));
        let output = command.arg("--once").arg(&file).current_dir(folder.path("state")).env_clear().output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), started.elapsed())
    };
    let (code, log, took) = run();
    assert_eq!((code, sent(&recorder)), (Some(0), vec![HOST.to_owned()]), "{log}");
    assert!((Duration::from_secs(10)..Duration::from_secs(25)).contains(&took), "{took:?}");
    assert_eq!(
        log.matches("this host's interface speaks for IPv6 (AAAA), as no router was found").count(),
        1,
        "{log}"
    );
    // The next one knows it, and has nothing to say.
    let (code, log, took) = run();
    assert_eq!((code, sent(&recorder).len()), (Some(0), 1), "{log}");
    assert!(took < Duration::from_secs(10) && !log.contains("speaks for IPv6"), "{took:?}: {log}");
}
