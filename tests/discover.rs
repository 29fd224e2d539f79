//! `discover`, where UPnP answers, where only NAT-PMP does, and where nobody does.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Output};
use std::thread;

use crate::support::gateway::Gateway;

fn discover(words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon")).arg("discover").args(words).output().unwrap();
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let fits = |line: &str| line.chars().count() <= 80 || !line.trim().contains(' ');
    assert!(out.lines().all(fits), "{out}");
    (status.code().unwrap(), out, err)
}

/// Each of `lines` is there, in this order.
#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    let mut rest = text;
    for line in lines {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("{line:?} is not in\n{text}")).1;
    }
}

/// A gateway that speaks NAT-PMP, and says so to who asks by PCP (RFC 6886, section 3.5).
fn natpmp(at: Ipv4Addr, address: [u8; 4]) {
    let socket = UdpSocket::bind((at, 5351)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1100];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let answer = match &buffer[..length] {
                [0, 0] => [&[0, 128, 0, 0, 0, 0, 0, 9], &address[..]].concat(),
                _ => vec![0, 128, 0, 1, 0, 0, 0, 9],
            };
            socket.send_to(&answer, from).unwrap();
        }
    });
}

#[test]
fn what_upnp_tells_ends_with_the_line_to_write() {
    let gateway = Gateway::start((Ipv4Addr::LOCALHOST, 0).into(), "11.22.33.44");
    let (status, text, _) = discover(&[&gateway.url()]);
    assert_eq!(status, 0, "{text}");
    assert_lines(
        &text,
        &["  IPv4        11.22.33.44\n", "  PCP ", "this host\n", "IPv4 works by UPnP", "ipv4 = [\"upnp"],
    );
    gateway.heal("100.64.8.9");
    let (status, text, _) = discover(&[&gateway.url()]);
    assert_eq!(status, 0, "{text}");
    assert_lines(&text, &["carrier-grade NAT", "100.64.8.9 is not published", "    ipv4 = []\n"]);
    let (status, text, _) = discover(&["--json", &gateway.url()]);
    assert!(status == 0 && text.starts_with('[') && text.contains("\"publishable\": false"), "{text}");
}

#[test]
fn a_gateway_with_nat_pmp_alone_is_found() {
    natpmp(Ipv4Addr::new(127, 0, 53, 51), [11, 22, 33, 44]);
    let (status, text, err) = discover(&["127.0.53.51"]);
    assert_eq!((status, err.as_str()), (0, ""), "{text}");
    assert_lines(
        &text,
        &[
            "127.0.53.51, the gateway\n  UPnP        no answer that is of use\n  NAT-PMP     11.22.33.44\n",
            "  PCP         not spoken, NAT-PMP is\n",
            "IPv4 works by NAT-PMP, which any host in the network can forge",
            "\n    ipv4 = [\"natpmp:127.0.53.51\"]\n",
        ],
    );
}

#[test]
fn where_nobody_answers_it_tells_what_was_tried_and_what_to_do() {
    let (status, text, err) = discover(&["127.0.53.52"]);
    assert_eq!((status, err.as_str()), (1, "error: no gateway answered\n"), "{text}");
    assert_lines(
        &text,
        &[
            "What was tried from 127.0.0.1:\n  search to all (239.255.255.250) no answer of that router in 2.5 s\n",
            "  search to 127.0.53.52           no answer that is of use\n",
            "  NAT-PMP                         the gateway does not speak NAT-PMP\n",
            "  PCP                             the gateway does not speak PCP\n",
            "The most likely reasons:\n  1. ",
            "UPnP is off in the router",
            "A firewall on this host",
            "  4. The router has none of these protocols.\n",
            "    ipv4 = [\"https://api.ipify.org\"]\n",
        ],
    );
    assert!(!text.contains(", the gateway"), "what was tried is told once: {text}");
}
