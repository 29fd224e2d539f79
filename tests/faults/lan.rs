//! The faults that need a network: who answers a search, and from where.
//!
//! Each row gets a LAN of its own: a namespace for the gateway (and all
//! strangers), one for the daemon, and a cable. The test program runs itself
//! again inside the gateway's namespace; the daemon is started from there. All
//! of this needs root.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::faults::run::{Stage, Verdict};
use crate::support::gateway::Gateway;
use crate::support::ssdp::{Answer, Responder};
use crate::support::wire::Server;
use crate::support::{only_test, wait_for};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const ROGUE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 66);
const CLIENT: &str = "10.77.0.2/16";

/// A thousand more hosts, 10.77.8.0 and up.
const CROWD: &str = "10.77.8.0/22";
const CROWD_SIZE: u32 = 1000;

/// The address that strangers offer.
const POISON: &str = "66.66.66.66";

/// A search that is under way when the fault ends may first come to its end.
const SEARCH: Duration = Duration::from_secs(5);

/// Two polls that find nothing, with the poll between them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ports that no gateway uses, where a listener must stay alone.
const TRAP_PORTS: [u16; 3] = [22, 25, 9100];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    OtherHost,
    Name,
    Dead,
    DeadCrowd,
    DeadFirst,
    BadPort,
    Crowd,
    RogueFirst,
    RogueOnly,
    PortChange,
    Garbage,
    NoSsdp,
}

/// Name, fault, and whether the gateway must be found in spite of it.
const ROWS: [(&str, Fault, bool); 12] = [
    ("LOCATION at another host", Fault::OtherHost, true),
    ("LOCATION at a name", Fault::Name, true),
    ("8 dead LOCATIONs in its name", Fault::Dead, true),
    ("1,000 dead LOCATIONs in its name", Fault::DeadCrowd, true),
    ("8 dead LOCATIONs before its own", Fault::DeadFirst, true),
    ("LOCATION with a bad port", Fault::BadPort, false),
    ("1,000 answerers", Fault::Crowd, true),
    ("rogue first", Fault::RogueFirst, true),
    ("rogue only", Fault::RogueOnly, false),
    ("port change", Fault::PortChange, true),
    ("garbage datagrams", Fault::Garbage, true),
    ("no SSDP but HTTP works", Fault::NoSsdp, true),
];

/// The names of all rows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(name, ..)| *name)
}

/// Whether namespaces can be made here.
pub(crate) fn possible() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}

/// Runs a row inside a network of its own.
pub(crate) fn run(name: &str) -> Verdict {
    let network = Network::new();
    let mut again = Command::new("ip");
    again.args(["netns", "exec", &network.gateway]).arg(env::current_exe().unwrap());
    only_test(&mut again, module_path!(), "a_row_inside_its_network");
    let output = again.env("FAULTS_ROW", name).env("FAULTS_CLIENT", &network.client).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprint!("{err}");
    out.lines().find_map(read_verdict).unwrap_or_else(|| {
        let mut verdict = Verdict::new(name);
        verdict.problem(format!("the row came to no verdict: {}", err.lines().last().unwrap_or_default()));
        verdict
    })
}

const VERDICT: &str = "VERDICT\t";

fn write_verdict(v: &Verdict) -> String {
    let (longest, recovered) = (v.longest.as_millis(), v.recovered.as_millis());
    let (sent, problems, late) = (v.sent.join(" "), v.problems.join("; "), v.late.join("; "));
    format!(
        "\n{VERDICT}{}\t{}\t{}\t{sent}\t{longest}\t{}\t{recovered}\t{problems}\t{late}",
        v.name, v.polls, v.faulty, v.memory
    )
}

fn read_verdict(line: &str) -> Option<Verdict> {
    let cells: Vec<&str> = line.strip_prefix(VERDICT)?.split('\t').collect();
    let [name, polls, faulty, sent, longest, memory, recovered, problems, late] = cells[..] else {
        return None;
    };
    let list = |text: &str, separator| -> Vec<String> {
        text.split(separator).filter(|part: &&str| !part.is_empty()).map(str::to_owned).collect()
    };
    Some(Verdict {
        name: name.to_owned(),
        polls: polls.parse().ok()?,
        faulty: faulty.parse().ok()?,
        sent: list(sent, " "),
        longest: Duration::from_millis(longest.parse().ok()?),
        memory: memory.parse().ok()?,
        recovered: Duration::from_millis(recovered.parse().ok()?),
        problems: list(problems, "; "),
        late: list(late, "; "),
    })
}

/// Two namespaces with a cable between them; gone when dropped.
struct Network {
    gateway: String,
    client: String,
}

impl Network {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("ddns-faults-{}-{number}-{end}", std::process::id());
        let network = Self { gateway: name("gw"), client: name("pc") };
        let (gw, pc) = (&network.gateway, &network.client);
        ip(&format!("netns add {gw}"));
        ip(&format!("netns add {pc}"));
        ip(&format!("link add lan0 netns {gw} type veth peer name eth0 netns {pc}"));
        for step in [
            format!("{gw} link set lo up"),
            format!("{gw} addr add {GATEWAY}/16 dev lan0"),
            format!("{gw} addr add {ROGUE}/16 dev lan0"),
            format!("{gw} link set lan0 up"),
            format!("{gw} route add local {CROWD} dev lo"),
            format!("{gw} route add 224.0.0.0/4 dev lan0"),
            format!("{pc} link set lo up"),
            format!("{pc} addr add {CLIENT} dev eth0"),
            format!("{pc} link set eth0 up"),
            format!("{pc} route add default via {GATEWAY}"),
        ] {
            ip(&format!("-n {step}"));
        }
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.gateway, &self.client] {
            let _already_gone = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "started by the rows of this file, inside a network of their own"]
fn a_row_inside_its_network() {
    let (Ok(name), Ok(client)) = (env::var("FAULTS_ROW"), env::var("FAULTS_CLIENT")) else { return };
    let (name, fault, works) = ROWS.into_iter().find(|(row, ..)| *row == name).unwrap();
    let verdict = Lan::new(name, fault, &client).play(works);
    println!("{}", write_verdict(&verdict));
}

/// The gateway's side of the cable.
struct Lan {
    fault: Fault,
    stage: Stage,
    /// Serves the documents of a gateway too, everywhere but at the gateway's.
    rogue: Gateway,
    traps: Vec<Server>,
    responder: Responder,
}

impl Lan {
    fn new(name: &str, fault: Fault, client: &str) -> Self {
        let mut stage = Stage::new(name, GATEWAY);
        stage.launcher = ["ip", "netns", "exec", client].map(str::to_owned).into();
        stage.slack = SEARCH;
        if fault != Fault::NoSsdp {
            stage.gateway_lines = String::new();
        }
        let rogue = Gateway::start(rogue_place(fault, &stage.gateway), POISON);
        let trap =
            |port| Server::start((GATEWAY, port).into(), Arc::new(|_, wire| wire.reply("200 OK", "", b"")));
        Self { fault, stage, rogue, traps: TRAP_PORTS.map(trap).into(), responder: Responder::start(GATEWAY) }
    }

    fn play(mut self, works: bool) -> Verdict {
        self.begin_fault("11.22.33.44");
        self.stage.start_daemon();
        self.meet_fault("11.22.33.44", works);
        self.end_fault("11.22.33.45");
        // Once more, now that the daemon knows the gateway: only a reboot makes
        // it search again.
        self.reboot();
        self.begin_fault("11.22.33.46");
        self.meet_fault("11.22.33.46", works);
        self.end_fault("11.22.33.47");
        self.judge_strangers();
        self.stage.finish()
    }

    fn begin_fault(&mut self, address: &str) {
        self.stage.gateway.heal(address);
        let (to_unicast, to_multicast) = self.faulty_answers();
        self.responder.say(to_unicast, to_multicast);
    }

    fn meet_fault(&mut self, address: &str, works: bool) {
        if works {
            self.stage.expect_arrival(address);
        } else {
            self.stage.tolerate(address);
            let met = wait_for(PATIENCE, || (self.responder.polls() >= 2).then_some(()));
            if met.is_none() {
                self.stage.verdict.late("it did not search twice");
            }
        }
        // The last of a crowd may still be on its way.
        let all = self.faulty_answers().1.len();
        if wait_for(SEARCH, || (self.responder.sent() >= all).then_some(())).is_none() {
            self.stage.verdict.late(format!("only {} answers were sent", self.responder.sent()));
        }
        self.stage.verdict.polls += self.responder.polls();
        self.stage.verdict.faulty += self.responder.sent();
    }

    fn end_fault(&mut self, address: &str) {
        self.stage.gateway.heal(address);
        let truth = if self.fault == Fault::NoSsdp { Vec::new() } else { vec![self.truth()] };
        self.responder.say(truth.clone(), truth);
        self.stage.expect_arrival(address);
    }

    /// The gateway comes back at another port, except where it could not be
    /// found there.
    fn reboot(&mut self) {
        let old = self.stage.gateway.port();
        self.stage.gateway.power_off();
        let port = if self.fault == Fault::NoSsdp { old } else { 0 };
        self.stage.gateway.power_on((GATEWAY, port).into());
        self.rogue.power_off();
        self.rogue.power_on(rogue_place(self.fault, &self.stage.gateway));
    }

    fn truth(&self) -> Answer {
        Answer::gateway(GATEWAY, &self.stage.gateway.url())
    }

    /// What searches by unicast get, and searches by multicast.
    fn faulty_answers(&self) -> (Vec<Answer>, Vec<Answer>) {
        let port = self.stage.gateway.port();
        let from_gateway = |location: String| Answer::gateway(GATEWAY, &location);
        let rogue = Answer::gateway(ROGUE, &format!("http://{ROGUE}:{port}/desc.xml"));
        let same = |answers: Vec<Answer>| (answers.clone(), answers);
        match self.fault {
            Fault::OtherHost => same(vec![from_gateway(format!("http://{ROGUE}:{port}/desc.xml"))]),
            Fault::Name => same(vec![
                from_gateway(format!("http://gateway.lan:{port}/desc.xml")),
                from_gateway(format!("http://localhost:{port}/desc.xml")),
            ]),
            Fault::Dead => (vec![self.truth()], dead(8)),
            Fault::DeadCrowd => (vec![self.truth()], dead(1000)),
            Fault::DeadFirst => (Vec::new(), dead(8).into_iter().chain([self.truth()]).collect()),
            Fault::BadPort => {
                let ports = ["0", "22", "25", "9100", "-1", "65536", "x", "80x"];
                same(ports.map(|port| from_gateway(format!("http://{GATEWAY}:{port}/desc.xml"))).into())
            }
            Fault::Crowd => (vec![self.truth()], self.crowd()),
            Fault::RogueFirst => (Vec::new(), vec![rogue, self.truth().after(Duration::from_millis(300))]),
            Fault::RogueOnly => (Vec::new(), vec![rogue]),
            Fault::PortChange => same(vec![self.truth()]),
            Fault::Garbage => same(self.garbage()),
            Fault::NoSsdp => (Vec::new(), Vec::new()),
        }
    }

    fn crowd(&self) -> Vec<Answer> {
        let first = u32::from(Ipv4Addr::new(10, 77, 8, 1));
        let hosts = (first..first + CROWD_SIZE).map(Ipv4Addr::from);
        let port = self.rogue.port();
        let mut crowd: Vec<Answer> =
            hosts.map(|host| Answer::gateway(host, &format!("http://{host}:{port}/desc.xml"))).collect();
        crowd.push(self.truth());
        crowd
    }

    fn garbage(&self) -> Vec<Answer> {
        let place = self.stage.gateway.url();
        let datagrams: Vec<Vec<u8>> = vec![
            Vec::new(),
            vec![0; 60_000],
            (0..=255).collect(),
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION:\r\n\r\n".to_vec(),
            format!("HTTP/1.1 404 Not Found\r\nLOCATION: {place}\r\n\r\n").into_bytes(),
            format!("HTTP/1.1 200 OK\r\nLOCATION: http://{ROGUE}/\r\nLOCATION: {place}\r\n\r\n").into_bytes(),
            format!("HTTP/1.1 200 OK\r\nLOCATION: http://{GATEWAY}/{}\r\n\r\n", "a".repeat(9000))
                .into_bytes(),
            format!("HTTP/1.1 200 OK\r\nLOCATION: http://{GATEWAY}/a b\r\n\r\n").into_bytes(),
            b"HTTP/1.1 200 OK\r\nLOCATION: http://[::1]:1900/desc.xml\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nLOCATION: file:///etc/passwd\r\n\r\n".to_vec(),
        ];
        let answer = |bytes| Answer { from: GATEWAY, pause: Duration::ZERO, bytes };
        datagrams.into_iter().map(answer).chain([self.truth()]).collect()
    }

    /// A datagram must not send the daemon to a third host or to a mail server.
    fn judge_strangers(&mut self) {
        let visits = self.rogue.exchanges().iter().filter(|visit| !visit.request.path.is_empty()).count();
        if visits > 0 {
            self.stage.verdict.problem(format!("it asked strangers {visits} times"));
        }
        let trapped: usize = self.traps.iter().map(|trap| trap.exchanges().len()).sum();
        if trapped > 0 {
            self.stage.verdict.problem(format!("it connected {trapped} times to a port of other services"));
        }
    }
}

/// Answers in the gateway's name that lead to closed ports of it.
fn dead(count: u16) -> Vec<Answer> {
    let location = |number| format!("http://{GATEWAY}:{}/desc.xml", 20_000 + number);
    (0..count).map(|number| Answer::gateway(GATEWAY, &location(number))).collect()
}

/// Where strangers listen: at the port of the gateway, or a whole crowd at once.
fn rogue_place(fault: Fault, gateway: &Gateway) -> SocketAddr {
    if fault == Fault::Crowd { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (ROGUE, gateway.port()).into() }
}
