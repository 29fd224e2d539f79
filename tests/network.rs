//! This host's network as the kernel shows it, and searches, in network
//! namespaces of their own: nothing leaves the machine, nothing on it changes.
//!
//! A test makes namespaces and runs itself again inside one of them. That needs
//! root and iproute2; without them the tests are left out.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use crate::support::{only_test, passed_alone};
use ddns_update_daemon::address::{Addresses, Family, Finding};
use ddns_update_daemon::sources::interface::Interface;
use ddns_update_daemon::ssdp::message::GROUP;
use ddns_update_daemon::ssdp::search;
use ddns_update_daemon::ssdp::search::Search;
use ddns_update_daemon::system;
use ddns_update_daemon::system::{Changes, DefaultRoute, InterfaceAddress};

/// Set in the processes that run inside a namespace; its value is their task.
const INSIDE: &str = "DDNS_TEST_INSIDE";

/// A network namespace that goes when this does.
struct Namespace(String);

impl Namespace {
    /// `None` where this user cannot make one.
    fn new(label: &str) -> Option<Self> {
        let name = format!("ddns-{}-{label}", process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
        if made.is_ok_and(|status| status.success()) {
            let namespace = Self(name);
            namespace.ip("link set lo up");
            return Some(namespace);
        }
        assert!(env::var_os("CI").is_none(), "network namespaces need root and iproute2");
        println!("left out: network namespaces need root and iproute2");
        None
    }

    fn ip(&self, command: &str) {
        let mut ip = Command::new("ip");
        let status = ip.args(["-n", &self.0]).args(command.split(' ')).status().unwrap();
        assert!(status.success(), "ip {command}");
    }

    fn ips(&self, commands: &[&str]) {
        for command in commands {
            self.ip(command);
        }
    }

    /// This program in this namespace, running only `test`.
    fn command(&self, test: &str, task: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(env::current_exe().unwrap());
        only_test(command.env(INSIDE, task), module_path!(), test);
        command
    }

    fn run(&self, test: &str) {
        assert!(passed_alone(&mut self.command(test, "test")), "{test} failed inside its namespace");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ipv6(text: &str) -> Finding<Ipv6Addr> {
    Finding::Known(text.parse().unwrap())
}

/// Changes something in the namespace that this process is in.
fn change(command: &str) {
    assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success(), "ip {command}");
}

fn setting(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv6/conf/v0/{name}"), value).unwrap();
}

#[test]
fn the_kernel_tells_addresses_and_routes() {
    if inside() {
        return addresses_and_routes();
    }
    let Some(host) = Namespace::new("host") else { return };
    host.ip("link add v0 type veth peer name v1");
    host.run("the_kernel_tells_addresses_and_routes");
}

fn addresses_and_routes() {
    assert_eq!(system::known_default_route(), DefaultRoute::None, "nobody listens yet");
    let mut changes = Changes::listen().unwrap();
    assert_eq!(system::known_default_route(), DefaultRoute::None);
    assert_eq!(system::default_route(Family::V4), DefaultRoute::None);
    assert_eq!(system::default_route(Family::V6), DefaultRoute::None);
    setting("use_tempaddr", "2");
    for command in [
        "link set v0 up",
        "link set v1 up",
        "addr add 192.168.77.2/24 dev v0",
        "addr add 10.9.9.1 peer 10.9.9.2/32 dev v1",
        "addr add 2001:db8:7::1/64 dev v0 nodad",
        "addr add 2001:db8:7::2/64 dev v0 nodad valid_lft 900 preferred_lft 0",
        "addr add 2001:db8:7::3/64 dev v0 nodad valid_lft 900 preferred_lft 500",
        "addr add 2001:db8:7::4/64 dev v0 nodad valid_lft 900 preferred_lft 600 mngtmpaddr",
        "route add default via 192.168.77.1 metric 50",
        "route add default dev v1 metric 60",
        "-6 route add default via fe80::1 dev v0",
    ] {
        change(command);
    }
    // So many checks keep the last address tentative until the test has ended.
    setting("dad_transmits", "1000");
    change("addr add 2001:db8:7::5/64 dev v0");

    let DefaultRoute::Known(route) = system::default_route(Family::V4) else { panic!("no IPv4 route") };
    assert_eq!(system::known_default_route(), DefaultRoute::None, "what was told is not read yet");
    assert!(changes.take().unwrap() && !changes.take().unwrap());
    assert_eq!(system::known_default_route(), DefaultRoute::Known(route));
    // A rule is told, too.
    change("rule add to 198.41.0.4 blackhole");
    assert!(changes.take().unwrap());
    assert_eq!(system::known_default_route(), DefaultRoute::None);
    change("rule del to 198.41.0.4 blackhole");
    assert!(changes.take().unwrap());
    assert_eq!(system::known_default_route(), DefaultRoute::Known(route));
    let both = (DefaultRoute::Known(route), system::default_route(Family::V6));
    assert_eq!(system::default_routes(), both);
    let interface = index("v0");
    assert_eq!((route.gateway, route.interface), (Some(ip("192.168.77.1")), interface));
    assert_eq!((route.source, route.by_route), (Some(ip("192.168.77.2")), true));
    let DefaultRoute::Known(route) = system::default_route(Family::V6) else { panic!("no IPv6 route") };
    assert_eq!((route.gateway, route.interface), (Some(ip("fe80::1")), interface));
    assert!(!route.by_route && route.source.is_some());
    assert_eq!(system::source_towards(ip("198.51.100.1")), Some(ip("192.168.77.2")));
    flags(&system::addresses().unwrap());
    choices();
    of_two_routers_the_one_that_is_there(&mut changes);
}

/// Of two IPv6 routers the kernel takes one that answers, and says nothing when that changes.
fn of_two_routers_the_one_that_is_there(changes: &mut Changes) {
    change("addr add 2001:db8:8::1/64 dev v1 nodad");
    change("-6 route append default via fe80::2 dev v1");
    while changes.take().unwrap() {}
    let mut source = Interface::new(None, Addresses::default());
    let mut found = Vec::new();
    for (dead, alive) in [("fe80::1 dev v0", "fe80::2 dev v1"), ("fe80::2 dev v1", "fe80::1 dev v0")] {
        change(&format!("-6 neigh replace {alive} lladdr 02:00:00:00:00:09 nud permanent"));
        change(&format!("-6 neigh replace {dead} lladdr 02:00:00:00:00:09 nud failed"));
        assert!(!changes.take().unwrap(), "the kernel tells of no change");
        found.push(source.poll().ipv6);
    }
    assert_eq!(found[0], ipv6("2001:db8:8::1"));
    assert!(matches!(found[1], Finding::Known(address) if address.segments()[2] == 7), "{found:?}");
}

/// The number of an interface that has an address.
fn index(interface: &str) -> u32 {
    let all = system::addresses().unwrap();
    all.iter().find(|entry| entry.interface == interface).unwrap().index
}

/// Lines that reconnect, policy rules, routes for one source: the kernel is asked,
/// and no other interface steps in.
#[test]
fn the_kernel_chooses_the_line() {
    if inside() {
        return lines();
    }
    let Some(host) = Namespace::new("lines") else { return };
    for name in ["wan1", "wan2", "wg0", "docker0"] {
        host.ip(&format!("link add {name} type veth peer name p{name}"));
        host.ip(&format!("link set p{name} up"));
    }
    host.run("the_kernel_chooses_the_line");
}

fn lines() {
    for command in [
        "link set wan1 up",
        "link set wan2 up",
        "link set wg0 up",
        "link set docker0 up",
        "addr add 172.17.0.1/16 dev docker0",
        "addr add 2600:9::5/64 dev wg0 nodad",
        "addr add 11.99.88.77/24 dev wan2",
    ] {
        change(command);
    }
    let poll = || Interface::new(None, Addresses::default()).poll();
    let why =
        |family| format!("this host has no {family} route to the internet; \"interface:NAME\" needs none");
    assert_eq!(poll().ipv4, Finding::Unknown(why("IPv4")));
    assert_eq!(poll().ipv6, Finding::Unknown(why("IPv6")));

    // PPPoE and its like: a default route without a gateway.
    change("addr add 11.22.33.44 peer 11.22.33.1 dev wan1");
    change("route add default dev wan1");
    let DefaultRoute::Known(route) = system::default_route(Family::V4) else { panic!("no route") };
    assert_eq!((route.gateway, route.interface), (None, index("wan1")));
    assert_eq!(poll().ipv4, Finding::Known([11, 22, 33, 44].into()));
    // A second address, which the route names.
    change("addr add 11.22.33.45/32 dev wan1");
    change("route replace default dev wan1 src 11.22.33.45");
    assert_eq!(poll().ipv4, Finding::Known([11, 22, 33, 45].into()));
    // mwan3 and its like: the main table is not asked first.
    change("route add default via 11.99.88.1 dev wan2 table 2");
    change("rule add from all lookup 2 prio 1000");
    assert_eq!(poll().ipv4, Finding::Known([11, 99, 88, 77].into()));
    change("rule del prio 1000");
    change("route del default");
    assert_eq!(poll().ipv4, Finding::Unknown(why("IPv4")));

    // netifd and its like: every default route is for one source.
    change("addr add 2600:1::44/64 dev wan1 nodad valid_lft 7000 preferred_lft 3600");
    change("-6 route add default from 2600:1::/64 via fe80::1 dev wan1 metric 512");
    assert_eq!(poll().ipv6, ipv6("2600:1::44"));
    change("addr add 2600:1::45/64 dev wan1 nodad");
    change("-6 route add default via fe80::1 dev wan1 src 2600:1::45");
    assert_eq!(poll().ipv6, ipv6("2600:1::45"));
}

fn flags(all: &[InterfaceAddress]) {
    let of = |text| all.iter().find(|entry| entry.address == ip(text)).unwrap();
    let lo = of("127.0.0.1");
    assert_eq!((lo.interface.as_str(), lo.loopback, lo.multicast), ("lo", true, false));
    let v4 = of("192.168.77.2");
    assert_eq!((v4.interface.as_str(), v4.prefix_length, v4.up, v4.multicast), ("v0", 24, true, true));
    assert_eq!((v4.valid, v4.preferred), (None, None));
    assert_eq!(of("10.9.9.1").interface, "v1");
    assert!(!all.iter().any(|entry| entry.address == ip("10.9.9.2")));
    assert!(of("2001:db8:7::2").deprecated);
    let third = of("2001:db8:7::3");
    assert!(third.preferred.is_some_and(|left| left.as_secs() > 400 && left.as_secs() <= 500));
    assert!(!third.tentative && !third.deprecated && !third.temporary);
    assert!(of("2001:db8:7::5").tentative);
    assert_eq!(all.iter().filter(|entry| entry.temporary).count(), 1);
}

fn choices() {
    let mut default = Interface::new(None, Addresses::default());
    let mut poll = || default.poll();
    let first = poll();
    assert_eq!(first.ipv4, Finding::Known(Ipv4Addr::new(192, 168, 77, 2)));
    assert_eq!(first.ipv6, ipv6("2001:db8:7::1"));
    assert_eq!(first.ipv6_prefix.known().unwrap().to_string(), "2001:db8:7::/64");
    change("addr del 2001:db8:7::1/64 dev v0");
    assert_eq!(poll().ipv6, ipv6("2001:db8:7::4"));
    change("addr add 2001:db8:7::6/64 dev v0 nodad");
    assert_eq!(poll().ipv6, ipv6("2001:db8:7::4"), "the choice stays");
    change("addr change 2001:db8:7::4/64 dev v0 valid_lft 900 preferred_lft 0");
    assert_eq!(poll().ipv6, ipv6("2001:db8:7::6"));
    let mut missing = Interface::new(Some("ppp0".to_owned()), Addresses::default());
    assert!(matches!(missing.poll().ipv4, Finding::Unknown(_)));
}

/// A router in a namespace of its own, with a cable to the client.
struct Router {
    namespace: Namespace,
    responder: Child,
}

impl Router {
    /// `number` is its place in its addresses.
    fn new(client: &Namespace, number: u8, task: &str) -> Option<Self> {
        let namespace = Namespace::new(&format!("r{number}"))?;
        client.ip(&format!("link add c{number} type veth peer name lan0 netns {}", namespace.0));
        client.ips(&[
            &format!("addr add 192.168.{number}.2/24 dev c{number}"),
            &format!("link set c{number} up"),
        ]);
        namespace.ips(&[&format!("addr add 192.168.{number}.1/24 dev lan0"), "link set lan0 up"]);
        let mut command = namespace.command("answers_searches", &format!("{task} 192.168.{number}.1"));
        let mut responder = command.stdout(Stdio::piped()).spawn().unwrap();
        wait_for_ready(&mut responder);
        Some(Self { namespace, responder })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // `ip netns exec` becomes the program, so this is the responder itself.
        drop(self.responder.kill());
        drop(self.responder.wait());
    }
}

fn wait_for_ready(child: &mut Child) {
    use io::{BufRead, BufReader};
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")), "the responder did not start");
}

/// Not a test but the fake routers of one.
#[test]
#[ignore = "started by other tests"]
fn answers_searches() {
    let Ok(task) = env::var(INSIDE) else { return };
    let (task, address) = task.split_once(' ').unwrap();
    let address: Ipv4Addr = address.parse().unwrap();
    let socket = UdpSocket::bind(("0.0.0.0", GROUP.port())).unwrap();
    socket.join_multicast_v4(GROUP.ip(), &address).unwrap();
    println!("ready");
    io::stdout().flush().unwrap();
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).unwrap();
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let st = request.lines().find_map(|line| line.strip_prefix("ST: ")).unwrap().to_owned();
        let places = if task == "flood" { 0..2000 } else { 0..1 };
        for place in places {
            let location = format!("http://{address}:5000/{place}.xml");
            let answer = format!("HTTP/1.1 200 OK\r\nST: {st}\r\nLOCATION: {location}\r\n\r\n");
            // A full queue loses datagrams, as networks do.
            drop(socket.send_to(answer.as_bytes(), client));
        }
    }
}

#[test]
fn a_search_reaches_every_network_and_survives_a_flood() {
    if inside() {
        return searches();
    }
    let Some(client) = Namespace::new("client") else { return };
    let Some(gateway) = Router::new(&client, 1, "answer") else { return };
    let _quiet = Router::new(&client, 2, "answer");
    let _flood = Router::new(&client, 3, "flood");
    client.ip("route add default via 192.168.1.1");
    assert!(gateway.namespace.0.contains("r1"));
    client.run("a_search_reaches_every_network_and_survives_a_flood");
}

fn hosts(search: Search, time: Duration) -> Vec<String> {
    let deadline = Instant::now().checked_add(time).unwrap();
    let mut answers = search::start(search, deadline);
    let mut found = Vec::new();
    while let Some((location, _)) = answers.next(deadline) {
        found.push(location.host().to_string());
    }
    found
}

fn searches() {
    let addresses = system::addresses().unwrap();
    let gateway: Vec<IpAddr> = system::default_route(Family::V4).gateway().into_iter().collect();
    assert_eq!(gateway, [ip("192.168.1.1")]);
    let new = |gateways, only| Search::new(gateways, only, &addresses, system::default_source());
    let second = Duration::from_secs(1);
    // Known gateway, unknown gateway, and nobody else wanted.
    for gateways in [&gateway[..], &[]] {
        let found = hosts(new(gateways, false), second);
        for router in ["192.168.1.1", "192.168.2.1", "192.168.3.1"] {
            assert!(found.iter().any(|host| host == router), "{router} is not in {found:?}");
        }
        assert!(found.len() <= 8, "{found:?}");
    }
    assert_eq!(hosts(new(&gateway, true), second), ["192.168.1.1"]);
    // Where the system tells no interface, multicast leaves by the default route.
    assert_eq!(hosts(Search::default(), second), ["192.168.1.1"]);
    ends_early(new(&gateway, false));
}

/// Once the first answer is there, nobody waits for the others.
fn ends_early(search: Search) {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let minute = Instant::now().checked_add(Duration::from_secs(60)).unwrap();
    let mut answers = search::start(search, minute);
    assert!(answers.next(minute).is_some());
    drop(answers);
    let limit = Instant::now().checked_add(Duration::from_secs(5)).unwrap();
    while threads() > before {
        assert!(Instant::now() < limit, "the search goes on though nobody waits");
        thread::sleep(Duration::from_millis(5));
    }
}
