//! Rows of 1.0 that need a network of their own; what 1.0.1 did there is said beside each.
//!
//! A test makes network namespaces and runs itself again inside one of them. That needs
//! root and iproute2; without them the tests are left out.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use ddns_update_daemon::ssdp::message::GROUP;

use crate::support::daemon::{Daemon, Folder, Recorder};
use crate::support::gateway::Gateway;
use crate::support::{only_test, passed_alone, show, wait_for};

/// Set in the processes that run inside a namespace.
const INSIDE: &str = "DDNS_TEST_INSIDE";

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 79, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 79, 1);
const SOON: Duration = Duration::from_secs(20);

fn ip(words: &str) -> bool {
    let status = Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// This program in a namespace, running only `test`.
fn inside(namespace: &str, test: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(env::current_exe().unwrap());
    only_test(command.env(INSIDE, test), module_path!(), test);
    command
}

/// Whether this process is the host of `test`; otherwise it makes a host and a router that
/// are wired together, and runs the test there.
fn is_host(test: &str, more: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let [host, router] = ["host", "router"].map(|who| format!("ddns-{}-{test:.9}-{who}", process::id()));
    if !ip(&format!("netns add {host}")) {
        assert!(env::var_os("CI").is_none(), "network namespaces need root and iproute2");
        show("LEFT OUT: network namespaces need root and iproute2");
        return false;
    }
    for command in [
        &format!("netns add {router}"),
        &format!("-n {host} link set lo up"),
        &format!("-n {host} link add lan0 type veth peer name lan0 netns {router}"),
        &format!("-n {host} link set lan0 up"),
        &format!("-n {router} link set lan0 up"),
        &format!("-n {host} addr add {HOST}/24 dev lan0"),
        &format!("-n {router} addr add {ROUTER}/24 dev lan0"),
    ] {
        assert!(ip(command), "ip {command}");
    }
    for command in more {
        assert!(ip(&format!("-n {host} {command}")), "ip {command}");
    }
    let mut answering = inside(&router, "is_the_router").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(answering.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")), "the router did not start");
    let passed = passed_alone(&mut inside(&host, test));
    // `ip netns exec` becomes the program, so this is the router itself.
    drop((answering.kill(), answering.wait()));
    assert!(ip(&format!("netns del {host}")) && ip(&format!("netns del {router}")));
    assert!(passed, "{test} failed inside its network");
    false
}

/// Not a test but the router of the others, which calls itself by a name in LOCATION.
#[test]
#[ignore = "started by other tests"]
fn is_the_router() {
    if env::var_os(INSIDE).is_none() {
        return;
    }
    let gateway = Gateway::start((ROUTER, 0).into(), "9.9.9.1");
    let location = gateway.url().replace(&ROUTER.to_string(), "fritz.box");
    let socket = UdpSocket::bind(("0.0.0.0", GROUP.port())).unwrap();
    socket.join_multicast_v4(GROUP.ip(), &ROUTER).unwrap();
    println!("ready");
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).unwrap();
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let Some(st) = request.lines().find_map(|line| line.strip_prefix("ST: ")) else { continue };
        let answer =
            format!("HTTP/1.1 200 OK\r\nST: {st}\r\nUSN: uuid:1::{st}\r\nLOCATION: {location}\r\n\r\n");
        drop(socket.send_to(answer.as_bytes(), client));
    }
}

/// Starts the daemon with a URL that tells the address; what it sent, once `until` holds.
fn sent(top: &str, until: impl Fn(&[String], &str) -> bool) -> (Vec<String>, String) {
    let (recorder, folder) = (Recorder::start(HOST), Folder::new());
    let config = format!("interval = 0.02\n{top}[[urls]]\nurl = \"{}{{ipv4}}\"\n", recorder.url());
    let daemon = Daemon::start(&[], &folder, &config);
    let told =
        || (recorder.sent().into_iter().map(|(_, address)| address).collect::<Vec<_>>(), folder.read("log"));
    let held = wait_for(SOON, || Some(told()).filter(|(sent, log)| until(sent, log)));
    drop(daemon);
    held.unwrap_or_else(|| panic!("{:?}", told()))
}

#[test]
fn of_two_addresses_of_this_host_the_public_one_is_sent() {
    let route = format!("route add default via {ROUTER}");
    let more = ["addr add 9.9.9.7/32 dev lan0", &route];
    if !is_host("of_two_addresses_of_this_host_the_public_one_is_sent", &more) {
        return;
    }
    // 1.0.1 sent the first: 192.168.79.2.
    let (sent, log) = sent("router_ip = \"127.0.0.1\"\n", |sent, _| !sent.is_empty());
    assert_eq!(sent, ["9.9.9.7"], "{log}");
}

#[test]
fn a_router_that_names_itself_is_found_without_router_ip() {
    let route = format!("route add default via {ROUTER}");
    if !is_host("a_router_that_names_itself_is_found_without_router_ip", &[&route]) {
        return;
    }
    // As 1.0.1 where the name is known; here nobody knows it.
    let (sent, log) = sent("", |sent, _| !sent.is_empty());
    assert_eq!(sent, ["9.9.9.1"], "{log}");
}

#[test]
fn without_a_default_route_the_line_to_write_is_told() {
    if !is_host("without_a_default_route_the_line_to_write_is_told", &[]) {
        return;
    }
    // 1.0.1 took whoever answered.
    let (sent_of_any, _) =
        sent("", |_, log| log.contains("no default route, so no gateway; router_ip = \"ADDRESS\" names one"));
    let line = format!("router_ip = \"{ROUTER}\"");
    assert!(sent_of_any.is_empty(), "{sent_of_any:?}");
    let (of_named, log) = sent(&format!("{line}\n"), |sent, _| !sent.is_empty());
    assert_eq!(of_named, ["9.9.9.1"], "{log}");
    // A loopback router means this host: 1.0.1 sent its first address.
    let this = "router_ip = \"127.0.0.1\"\n";
    let (of_host, _) =
        sent(this, |_, log| log.contains("IPv4 route to the internet; \"interface:NAME\" needs none"));
    assert!(of_host.is_empty(), "{of_host:?}");
    let (of_interface, log) =
        sent(&format!("{this}ipv4 = [\"interface:lan0\"]\n"), |sent, _| !sent.is_empty());
    assert_eq!(of_interface, [HOST.to_string()], "{log}");
}
