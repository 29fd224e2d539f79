//! Gateways with two lines, gateways that are known by a name, and NAT-PMP that lies
//! beside a gateway, over real sockets.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Folder, Recorder};
use crate::support::gateway::{GET_IPV4, Gateway, description, response, soap_fault};
use crate::support::ssdp::{Answer, Responder};
use crate::support::wait_for;
use crate::support::wire::Server;
use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config;
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::sources::upnp::Upnp;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A poll of 1.2 s, one exchange, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(8);

/// Some polls of 1.2 s.
const A_WHILE: Duration = Duration::from_secs(5);

const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

/// A router that starts anew: it answers nothing yet.
const GONE: &str = "gone";

/// Address and status of each line.
type Lines = Arc<Mutex<[(&'static str, &'static str); 2]>>;

fn two_lines(lines: &Lines) -> Server {
    let lines = Arc::clone(lines);
    let script = move |request: &crate::support::wire::Request, wire: &mut crate::support::wire::Wire<'_>| {
        let services = [1, 2].map(|line| (SERVICE.to_owned(), format!("/line/{line}")));
        let (address, status) = lines.lock().unwrap()[usize::from(request.path.ends_with('2'))];
        let action = request.field("SOAPAction").trim_matches('"').split('#').next_back().unwrap_or_default();
        let (code, body) = match action {
            _ if status == GONE => ("404 Not Found", String::new()),
            "" => ("200 OK", description(&services)),
            GET_IPV4 => ("200 OK", response(SERVICE, action, &[("NewExternalIPAddress", address)])),
            "GetStatusInfo" => ("200 OK", response(SERVICE, action, &[("NewConnectionStatus", status)])),
            _ => ("500 Internal Server Error", soap_fault("401", "Invalid Action")),
        };
        wire.reply(code, "", body.as_bytes())
    };
    Server::start((HERE, 0).into(), Arc::new(script))
}

/// A URL for each of the sources, one recorder each.
fn config(folder: &Folder, sources: &[(&str, &Recorder)]) -> String {
    let state = folder.path("state/test.state");
    let mut config = format!("interval = 0.02\nipv6 = []\nstate_file = \"{}\"\n", state.display());
    for (source, recorder) in sources {
        let url = recorder.url();
        write!(config, "[[urls]]\nmethod = \"get\"\nipv4 = [\"{source}\"]\nurl = \"{url}{{ipv4}}\"\n")
            .unwrap();
    }
    config
}

fn addresses(recorder: &Recorder) -> Vec<String> {
    recorder.sent().into_iter().map(|(_, address)| address).collect()
}

fn expect(recorder: &Recorder, sent: &[&str], folder: &Folder) {
    let _in_time = wait_for(SOON, || (addresses(recorder).len() >= sent.len()).then_some(()));
    assert_eq!(addresses(recorder), sent, "{}", folder.read("log"));
}

#[test]
fn the_line_that_is_up_is_published_and_a_failover_is_seen() {
    // A line that is down goes on to name its address.
    let lines: Lines = Arc::new(Mutex::new([("11.22.33.1", "Connected"), ("11.22.33.2", "Disconnected")]));
    let (server, folder) = (two_lines(&lines), Folder::new());
    let source = format!("upnp:http://{}/desc.xml", server.address());
    let (any, second) = (Recorder::start(HERE), Recorder::start(HERE));
    let named = format!("{source}#2");
    let _daemon = Daemon::start(&[], &folder, &config(&folder, &[(&source, &any), (&named, &second)]));
    expect(&any, &["11.22.33.1"], &folder);
    // Nor is what it names published for a target that names it.
    let told =
        || folder.read("log").contains("this connection of it is down, and another one is up").then_some(());
    assert_eq!(wait_for(SOON, told), Some(()), "{}", folder.read("log"));
    expect(&second, &[], &folder);
    *lines.lock().unwrap() = [("11.22.33.1", "Disconnected"), ("11.22.33.2", "Connected")];
    expect(&any, &["11.22.33.1", "11.22.33.2"], &folder);
    expect(&second, &["11.22.33.2"], &folder);
    *lines.lock().unwrap() = [("11.22.33.3", "Connected"), ("11.22.33.2", "Disconnected")];
    expect(&any, &["11.22.33.1", "11.22.33.2", "11.22.33.3"], &folder);
    // Both are down, as some polls see, and the second is back first.
    *lines.lock().unwrap() = [("11.22.33.3", "Disconnected"), ("11.22.33.2", "Disconnected")];
    let asked = server.exchanges().len();
    let _in_time = wait_for(SOON, || (server.exchanges().len() > asked + 8).then_some(()));
    *lines.lock().unwrap() = [("11.22.33.3", "Disconnected"), ("11.22.33.2", "Connected")];
    expect(&any, &["11.22.33.1", "11.22.33.2", "11.22.33.3", "11.22.33.2"], &folder);
    // A target that names its line hears of no other.
    expect(&second, &["11.22.33.2"], &folder);
}

/// The first line is never up, as a cable that nobody plugged in; its old address is no
/// one's now.
#[test]
fn a_line_that_is_down_does_not_take_over_from_one_that_reconnects() {
    let lines: Lines = Arc::new(Mutex::new([("11.22.33.1", "Disconnected"), ("0.0.0.0", "Connecting")]));
    let (server, folder, recorder) = (two_lines(&lines), Folder::new(), Recorder::start(HERE));
    let source = format!("upnp:http://{}/desc.xml", server.address());
    let _daemon = Daemon::start(&[], &folder, &config(&folder, &[(&source, &recorder)]));
    let set = |second| *lines.lock().unwrap() = [("11.22.33.1", "Disconnected"), second];
    let told = |count: usize| {
        let told = || folder.read("log").matches("no connection of it that is up").count() >= count;
        assert_eq!(wait_for(SOON, || told().then_some(())), Some(()), "{}", folder.read("log"));
    };
    // As after a power cut, when all start together.
    told(1);
    set(("11.22.33.2", "Connected"));
    expect(&recorder, &["11.22.33.2"], &folder);
    // The line in use goes on to tell, though it is the second that is down.
    let before = folder.read("log").matches("no connection of it that is up").count();
    set(("11.22.33.3", "Disconnected"));
    expect(&recorder, &["11.22.33.2", "11.22.33.3"], &folder);
    set(("0.0.0.0", "Connecting"));
    told(before + 1);
    let polls = || {
        let asked = server.exchanges().len();
        let _in_time = wait_for(SOON, || (server.exchanges().len() > asked + 12).then_some(()));
    };
    polls();
    // A poll in between in which nobody has an address.
    *lines.lock().unwrap() = [("0.0.0.0", "Disconnected"), ("0.0.0.0", "Connecting")];
    polls();
    set(("0.0.0.0", "Connecting"));
    polls();
    set(("11.22.33.4", "Connected"));
    expect(&recorder, &["11.22.33.2", "11.22.33.3", "11.22.33.4"], &folder);
}

/// What was published at the start of the daemon is not what is published now.
#[test]
fn a_router_that_starts_anew_does_not_bring_the_line_of_before_back() {
    let (first, second) = ("11.22.33.1", "11.22.33.2");
    let lines: Lines = Arc::new(Mutex::new([(first, "Connected"), (second, "Disconnected")]));
    let (server, folder, recorder) = (two_lines(&lines), Folder::new(), Recorder::start(HERE));
    let config = config(&folder, &[(&format!("upnp:http://{}/desc.xml", server.address()), &recorder)]);
    let set = |both| *lines.lock().unwrap() = both;
    let told = |text: &str| {
        let told = || folder.read("log").contains(text).then_some(());
        assert_eq!(wait_for(SOON, told), Some(()), "{}", folder.read("log"));
    };
    let mut before = Daemon::start(&[], &folder, &config);
    expect(&recorder, &[first], &folder);
    before.stop();
    let _daemon = Daemon::start(&[], &folder, &config);
    set([(first, "Disconnected"), (second, "Connected")]);
    expect(&recorder, &[first, second], &folder);
    set([(first, GONE), (second, GONE)]);
    told("HTTP status 404");
    set([(first, "Disconnected"), ("0.0.0.0", "Connecting")]);
    told("no connection of it that is up");
    set([(first, "Disconnected"), ("11.22.33.3", "Connected")]);
    expect(&recorder, &[first, second, "11.22.33.3"], &folder);
}

/// What somebody says who sends NAT-PMP answers from the gateway's address, now.
type Told = Arc<Mutex<Ipv4Addr>>;

/// Answers each question of NAT-PMP at `host` with what `told` is then, as long as the
/// test runs.
fn forged_natpmp(host: Ipv4Addr, told: &Told) {
    let (socket, told) = (UdpSocket::bind((host, 5351)).unwrap(), Arc::clone(told));
    thread::spawn(move || {
        let mut question = [0; 16];
        while let Ok((_, peer)) = socket.recv_from(&mut question) {
            let head = [0, 128, 0, 0, 0, 0, 18, 103];
            let answer = [&head[..], &told.lock().unwrap().octets()].concat();
            socket.send_to(&answer, peer).unwrap();
        }
    });
}

const POISON: Ipv4Addr = Ipv4Addr::new(66, 66, 66, 66);

/// A gateway at an address of its own, so that its NAT-PMP is nobody else's.
fn gateway_at(last: u8, told: &Told) -> Gateway {
    let host = Ipv4Addr::new(127, 0, 9, last);
    forged_natpmp(host, told);
    Gateway::start((host, 0).into(), "11.22.33.1")
}

#[test]
fn forged_natpmp_delays_a_change_by_some_polls_and_tells_no_address() {
    let told: Told = Arc::new(Mutex::new(POISON));
    let (gateway, folder, recorder) = (gateway_at(1, &told), Folder::new(), Recorder::start(HERE));
    let source = format!("upnp:{}", gateway.url());
    let _daemon =
        Daemon::start(&[], &folder, &format!("events = false\n{}", config(&folder, &[(&source, &recorder)])));
    expect(&recorder, &["11.22.33.1"], &folder);
    // The worst that it can say: that nothing has changed.
    *told.lock().unwrap() = Ipv4Addr::new(11, 22, 33, 1);
    gateway.heal("11.22.33.2");
    expect(&recorder, &["11.22.33.1", "11.22.33.2"], &folder);
    *told.lock().unwrap() = POISON;
    assert_eq!(wait_for(A_WHILE, || (addresses(&recorder).len() > 2).then_some(())), None);
}

#[test]
fn natpmp_as_a_source_is_believed_unless_another_has_to_agree() {
    let told: Told = Arc::new(Mutex::new(POISON));
    let (gateway, folder) = (gateway_at(2, &told), Folder::new());
    let (alone, both) = (Recorder::start(HERE), Recorder::start(HERE));
    let natpmp = "natpmp:127.0.9.2";
    let pair = format!("upnp:{}\", \"{natpmp}", gateway.url());
    let text = config(&folder, &[(natpmp, &alone), (&pair, &both)]);
    let text = text.replacen(
        &format!("{natpmp}\"]\nurl = \"{}", both.url()),
        &format!("{natpmp}\"]\nagree = 2\nurl = \"{}", both.url()),
        1,
    );
    let _daemon = Daemon::start(&[], &folder, &text);
    expect(&alone, &["66.66.66.66"], &folder);
    assert_eq!(wait_for(A_WHILE, || addresses(&both).first().cloned()), None);
    assert!(folder.read("log").contains("fewer than 2 sources agree"), "{}", folder.read("log"));
    *told.lock().unwrap() = Ipv4Addr::new(11, 22, 33, 1);
    expect(&both, &["11.22.33.1"], &folder);
}

#[test]
fn routers_without_a_status_or_with_a_wrong_one_lose_nothing() {
    let runs = ["", "Unconfigured", "PendingDisconnect", "Disconnected"].map(|status| {
        let lines: Lines = Arc::new(Mutex::new([("11.22.33.1", status), ("", status)]));
        let (server, folder, recorder) = (two_lines(&lines), Folder::new(), Recorder::start(HERE));
        let source = format!("upnp:http://{}/desc.xml", server.address());
        let config = config(&folder, &[(&source, &recorder)]);
        // A single run waits for a line to come up, but not for long.
        let daemon = Daemon::start_with(&["--once"], &[], &folder, &config);
        (status, server, folder, recorder, config, daemon)
    });
    for (status, _server, folder, recorder, config, mut daemon) in runs {
        let ended = wait_for(2 * SOON, || daemon.ended());
        assert_eq!(ended.as_deref(), Some("exit status: 0"), "{status}: {}", folder.read("log"));
        assert_eq!(addresses(&recorder), ["11.22.33.1"], "{status}");
        let waits = || folder.read("log").matches("no connection of it that is up").count();
        let waited = waits();
        assert_eq!(waited > 0, !status.is_empty(), "{status}: {}", folder.read("log"));
        // What is published already is believed at once.
        let _again = Daemon::start(&[], &folder, &config);
        let polled = || folder.read("log").contains("IPv4 11.22.33.1").then_some(());
        assert_eq!(wait_for(SOON, polled), Some(()), "{status}: {}", folder.read("log"));
        assert_eq!(waits(), waited, "{status}: {}", folder.read("log"));
    }
}

/// Starts the daemon where the name `box.example` has the address that `hosts` says;
/// `None` where this user cannot.
fn with_hosts(folder: &Folder, host: &str) -> Option<Vec<String>> {
    fs::write(folder.path("hosts"), format!("{host} box.example\n")).unwrap();
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", folder.path("hosts").display());
    let launcher = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned);
    let possible = Command::new("unshare").args(&launcher[1..]).arg("true").status();
    if possible.is_ok_and(|status| status.success()) {
        return Some(launcher.into());
    }
    assert!(std::env::var_os("CI").is_none(), "a mount namespace needs root");
    crate::support::show("left out: a mount namespace needs root");
    None
}

#[test]
fn a_router_by_name_is_resolved_at_each_poll_and_has_to_be_near() {
    let (gateway, folder) = (Gateway::start((HERE, 0).into(), "11.22.33.1"), Folder::new());
    let Some(launcher) = with_hosts(&folder, "127.0.0.1") else { return };
    let recorder = Recorder::start(HERE);
    let source = format!("upnp:http://box.example:{}/desc.xml", gateway.port());
    let _daemon = Daemon::start(&launcher, &folder, &config(&folder, &[(&source, &recorder)]));
    expect(&recorder, &["11.22.33.1"], &folder);
    let first = gateway.exchanges().first().map(|exchange| exchange.request.field("Host").to_owned());
    assert_eq!(first, Some(format!("box.example:{}", gateway.port())));
    // A name that leads out of the house is not followed; what is published stays.
    fs::write(folder.path("hosts"), "8.8.8.8 box.example\n").unwrap();
    gateway.heal("11.22.33.2");
    let refused = || folder.read("log").contains("box.example has no private IPv4 address").then_some(());
    assert_eq!(wait_for(SOON, refused), Some(()), "{}", folder.read("log"));
    assert_eq!(wait_for(A_WHILE, || (addresses(&recorder).len() > 1).then_some(())), None);
    fs::write(folder.path("hosts"), "127.0.0.1 box.example\n").unwrap();
    expect(&recorder, &["11.22.33.1", "11.22.33.2"], &folder);
}

/// Where nobody else answers SSDP or NAT-PMP.
const ALONE: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 3);

#[test]
fn a_remembered_gateway_that_answers_is_asked_before_any_search() {
    let responder = Responder::at(ALONE);
    let mut first = Gateway::start((ALONE, 0).into(), "11.22.33.1");
    let second = Gateway::start((ALONE, 0).into(), "11.22.33.2");
    responder.say(vec![Answer::gateway(ALONE, &second.url())], Vec::new());
    let mut upnp = Upnp::new(
        config::Gateway::At(vec![ALONE.into()]),
        false,
        LanUrl::parse(&first.url()).ok(),
        Addresses::default(),
    );
    let mut told = || {
        let deadline = Instant::now() + SOON;
        upnp.poll(false, deadline, &|| false).observation.ipv4.known().map(|address| address.to_string())
    };
    assert_eq!(told().as_deref(), Some("11.22.33.1"));
    assert_eq!(responder.polls(), 0);
    // One that is gone, or tells nothing to publish, keeps nobody from being found.
    first.power_off();
    assert_eq!(told().as_deref(), Some("11.22.33.2"));
    assert_eq!(responder.polls(), 1);
}
