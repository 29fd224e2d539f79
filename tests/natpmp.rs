//! The NAT-PMP client against gateways on loopback addresses of their own.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ddns_update_daemon::natpmp::client::{Kept, NatPmpError, external_address};
use ddns_update_daemon::natpmp::message::{ExternalAddress, MessageError, PORT, REQUEST, ResultCode};

/// A gateway that replies to its first requests with these datagrams, several
/// to each, and then falls silent.
fn gateway(last: u8, replies: Vec<Vec<Vec<u8>>>) -> IpAddr {
    let address = Ipv4Addr::new(127, 53, 51, last);
    let socket = UdpSocket::bind((address, PORT)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 16];
        for datagrams in replies {
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer.get(..length), Some(&REQUEST[..]));
            for datagram in datagrams {
                socket.send_to(&datagram, client).unwrap();
            }
        }
        // Keeps the port open.
        while socket.recv_from(&mut buffer).is_ok() {}
    });
    address.into()
}

fn answer() -> ExternalAddress {
    ExternalAddress { result: ResultCode::Success, epoch: 9, address: Ipv4Addr::new(203, 0, 113, 5) }
}

fn within(time: u64) -> Instant {
    Instant::now().checked_add(Duration::from_millis(time)).unwrap()
}

#[test]
fn an_answer_is_returned_at_once() {
    let gateway = gateway(1, vec![vec![answer().to_bytes()]]);
    assert_eq!(external_address(gateway, within(5000)).unwrap(), answer());
}

#[test]
fn a_lost_request_is_repeated_and_junk_is_passed_over() {
    let junk = vec![vec![], vec![0], vec![0, 0], vec![0, 129, 0, 0, 0, 0, 0, 0], vec![0; 2000]];
    let good = [junk, vec![answer().to_bytes()]].concat();
    let gateway = gateway(2, vec![vec![], good]);
    assert_eq!(external_address(gateway, within(60_000)).unwrap(), answer());
}

#[test]
fn a_closed_port_ends_it_at_once() {
    let started = Instant::now();
    let error = external_address(IpAddr::from([127, 53, 51, 3]), within(60_000)).unwrap_err();
    assert!(matches!(error, NatPmpError::Closed), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn silence_ends_at_the_deadline() {
    let gateway = gateway(4, vec![]);
    let started = Instant::now();
    let error = external_address(gateway, within(300)).unwrap_err();
    assert!(matches!(error, NatPmpError::Silent), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_gateway_of_another_version_is_not_asked_again() {
    let gateway = gateway(5, vec![vec![vec![2, 128, 0, 1, 0, 0, 0, 0]]]);
    let error = external_address(gateway, within(60_000)).unwrap_err();
    assert!(matches!(error, NatPmpError::Message(MessageError::Version { version: 2, .. })), "{error}");
}

#[test]
fn a_flood_of_junk_ends_before_the_deadline() {
    let gateway = gateway(6, vec![vec![vec![1]; 200]; 4]);
    let error = external_address(gateway, within(600_000)).unwrap_err();
    assert!(matches!(error, NatPmpError::Message(MessageError::Length(1))), "{error}");
}

/// A gateway with these clocks at its answers, the port that each question came from, and
/// how often it answers the same.
fn clocks(last: u8, epochs: &'static [(u32, u8)]) -> (IpAddr, Receiver<u16>) {
    let address = Ipv4Addr::new(127, 53, 51, last);
    let socket = UdpSocket::bind((address, PORT)).unwrap();
    let (sender, ports) = channel();
    thread::spawn(move || {
        for (epoch, times) in epochs {
            let (_, client) = socket.recv_from(&mut [0; 16]).unwrap();
            sender.send(client.port()).unwrap();
            for _ in 0..*times {
                socket.send_to(&ExternalAddress { epoch: *epoch, ..answer() }.to_bytes(), client).unwrap();
            }
        }
    });
    (address.into(), ports)
}

#[test]
fn who_asks_again_asks_over_one_socket() {
    let (gateway, ports) = clocks(8, &[(9, 1), (9, 1), (10, 1)]);
    let mut kept = Kept::default();
    for _ in 0..3 {
        assert_eq!(kept.external_address(gateway, within(5000)).unwrap().address, answer().address);
    }
    let ports: Vec<u16> = ports.iter().collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
}

/// An answer of before, which somebody may have sent too early, is none.
#[test]
fn an_answer_whose_clock_went_back_is_asked_for_over_another_socket() {
    let (gateway, ports) = clocks(9, &[(900, 1), (3, 1), (4, 1), (5, 1)]);
    let mut kept = Kept::default();
    for epoch in [900, 4, 5] {
        assert_eq!(kept.external_address(gateway, within(5000)).unwrap().epoch, epoch);
    }
    let ports: Vec<u16> = ports.iter().collect();
    assert_eq!(ports.len(), 4);
    assert!(ports[0] == ports[1] && ports[1] != ports[2] && ports[2] == ports[3], "{ports:?}");
}

#[test]
fn a_gateway_whose_clock_does_not_go_on_is_asked_over_a_new_socket_each_time() {
    let epochs = &[(900, 1), (3, 1), (800, 1), (2, 1), (700, 1), (1, 1), (600, 1), (500, 1), (501, 1)];
    let (gateway, ports) = clocks(13, epochs);
    let mut kept = Kept::default();
    for epoch in [900, 800, 700, 600, 500, 501] {
        assert_eq!(kept.external_address(gateway, within(5000)).unwrap().epoch, epoch);
    }
    let ports: Vec<u16> = ports.iter().collect();
    let over_the_same: Vec<bool> = ports.windows(2).map(|pair| pair[0] == pair[1]).collect();
    assert_eq!(over_the_same, [true, false, true, false, true, false, false, false], "{ports:?}");
}

#[test]
fn a_socket_to_which_a_second_answer_may_come_is_not_kept() {
    let (gateway, ports) = clocks(10, &[(9, 0), (9, 2), (9, 1)]);
    let mut kept = Kept::default();
    for _ in 0..2 {
        kept.external_address(gateway, within(5000)).unwrap();
    }
    let ports: Vec<u16> = ports.iter().collect();
    assert!(ports[0] == ports[1] && ports[1] != ports[2], "{ports:?}");
}

#[test]
fn who_has_little_time_asks_over_the_socket_that_is_kept() {
    let (gateway, ports) = clocks(11, &[(9, 1), (9, 1), (9, 0), (9, 1), (9, 1)]);
    let mut kept = Kept::default();
    let at_once = |kept: &mut Kept| kept.answers_within(Duration::from_secs(1));
    assert_eq!(at_once(&mut kept), None, "nothing is kept yet");
    kept.external_address(gateway, within(5000)).unwrap();
    assert_eq!(at_once(&mut kept), Some(answer()));
    assert_eq!(at_once(&mut kept), None, "the third question was lost");
    assert_eq!(at_once(&mut kept), None, "and what comes late is not for the fourth");
    kept.external_address(gateway, within(5000)).unwrap();
    assert_eq!(at_once(&mut kept), Some(answer()));
    let ports: Vec<u16> = ports.iter().collect();
    assert!(ports[0] == ports[1] && ports[1] == ports[2] && ports[2] != ports[3], "{ports:?}");
    assert_eq!((ports.len(), ports[3]), (5, ports[4]));
}

#[test]
fn who_has_little_time_leaves_a_slow_gateway_to_others() {
    let address = Ipv4Addr::new(127, 53, 51, 12);
    let socket = UdpSocket::bind((address, PORT)).unwrap();
    let (sender, asked) = channel();
    thread::spawn(move || {
        while let Ok((_, client)) = socket.recv_from(&mut [0; 16]) {
            sender.send(()).unwrap();
            // Longer than that.
            thread::sleep(Duration::from_millis(60));
            socket.send_to(&answer().to_bytes(), client).unwrap();
        }
    });
    let mut kept = Kept::default();
    for _ in 0..2 {
        kept.external_address(address.into(), within(5000)).unwrap();
        asked.recv().unwrap();
        assert_eq!(kept.answers_within(Duration::from_millis(20)), None);
    }
    assert!(asked.try_recv().is_err(), "only those with time asked it");
}
