//! The PCP client against gateways on loopback addresses of their own.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use ddns_update_daemon::address::Finding;
use ddns_update_daemon::natpmp::message::{ExternalAddress, PORT, REQUEST, ResultCode};
use ddns_update_daemon::pcp::client::{PcpFailure, Told, external_address};
use ddns_update_daemon::pcp::message::{PcpError, Refusal};
use ddns_update_daemon::sources::pcp::Pcp;

const LONG: Duration = Duration::from_secs(20);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(11, 22, 33, 44);

/// A gateway that answers each request with what `reply` makes of it, and the
/// requests that it got.
fn gateway(
    last: u8,
    reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (Ipv4Addr, Receiver<Vec<u8>>) {
    let address = Ipv4Addr::new(127, 68, 87, last);
    let socket = UdpSocket::bind((address, PORT)).unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 1200];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            let request = &buffer[..length];
            if sender.send(request.to_vec()).is_err() {
                return;
            }
            for datagram in reply(request) {
                socket.send_to(&datagram, client).unwrap();
            }
        }
    });
    (address, requests)
}

/// The answer of a gateway to a MAP request.
fn answer(request: &[u8], result: u8) -> Vec<u8> {
    let mut bytes = request.to_vec();
    bytes[1] |= 0x80;
    bytes[3] = result;
    bytes[8..24].fill(0);
    bytes[44..60].copy_from_slice(&ADDRESS.to_ipv6_mapped().octets());
    bytes
}

fn lifetime(request: &[u8]) -> u8 {
    request[7]
}

/// The requests so far, without those that are asked again: on a busy machine
/// the first answer comes too late now and then.
fn asked(requests: &Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut asked: Vec<_> = requests.try_iter().collect();
    asked.dedup();
    asked
}

fn within(time: u64) -> Instant {
    Instant::now().checked_add(Duration::from_millis(time)).unwrap()
}

#[test]
fn a_mapping_tells_the_address_and_is_removed_at_once() {
    let (gateway, requests) = gateway(1, |request| vec![answer(request, 0)]);
    assert_eq!(external_address(gateway, within(5000)).unwrap(), Told { address: ADDRESS, removed: true });
    let [map, removal] = asked(&requests).try_into().unwrap();
    assert_eq!((lifetime(&map), lifetime(&removal)), (120, 0));
    assert_eq!(map[8..42], removal[8..42], "client, nonce, protocol and port are the same");
    let port = u16::from_be_bytes([map[40], map[41]]);
    assert!(port >= 1024, "{port}: miniupnpd stalls over a port that it may not map");
    assert_eq!(map[8..24], Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
    assert!(external_address(gateway, within(5000)).is_ok());
    let next = requests.try_iter().find(|request| lifetime(request) > 0).unwrap();
    assert_ne!(next[24..36], map[24..36], "every poll has a nonce of its own");
}

#[test]
fn junk_and_answers_to_others_are_passed_over() {
    let (gateway, _requests) = gateway(2, |request| {
        let mut foreign = answer(request, 0);
        foreign[30] ^= 1;
        foreign[59] = 99;
        vec![vec![], vec![2], foreign, vec![0; 2000], answer(request, 0)]
    });
    assert_eq!(external_address(gateway, within(5000)).unwrap(), Told { address: ADDRESS, removed: true });
}

#[test]
fn a_removal_that_is_lost_is_repeated() {
    let seen = std::sync::atomic::AtomicU8::new(0);
    let (gateway, requests) = gateway(3, move |request| {
        let removals = u8::from(lifetime(request) == 0);
        let before = seen.fetch_add(removals, std::sync::atomic::Ordering::SeqCst);
        if removals == 1 && before == 0 { vec![] } else { vec![answer(request, 0)] }
    });
    assert!(external_address(gateway, within(9000)).unwrap().removed);
    let lifetimes: Vec<u8> = requests.try_iter().map(|request| lifetime(&request)).collect();
    assert!(lifetimes.starts_with(&[120]) && lifetimes.ends_with(&[0, 0]), "{lifetimes:?}");
}

#[test]
fn silence_ends_by_the_deadline_with_a_removal() {
    let (gateway, requests) = gateway(4, |_| vec![]);
    let began = Instant::now();
    let error = external_address(gateway, within(1200)).unwrap_err();
    assert!(matches!(error, PcpFailure::Silent), "{error}");
    assert!(began.elapsed() < Duration::from_millis(3500), "less than all waits together");
    // The gateway may have to read them yet.
    let mut asked = std::iter::from_fn(|| requests.recv_timeout(LONG).ok()).map(|r| lifetime(&r));
    assert_eq!(asked.next(), Some(120));
    assert!(asked.any(|lifetime| lifetime == 0));
}

#[test]
fn a_refusal_is_final_and_explained() {
    let (gateway, requests) = gateway(5, |request| vec![answer(request, 12)]);
    let error = external_address(gateway, within(60_000)).unwrap_err();
    assert!(matches!(error, PcpFailure::Answer(PcpError::Refused(Refusal(12)))), "{error}");
    assert!(error.to_string().contains("container"), "{error}");
    assert_eq!(asked(&requests).len(), 1, "there is nothing to remove");
}

#[test]
fn a_closed_port_ends_it_at_once() {
    let error = external_address(Ipv4Addr::new(127, 68, 87, 7), within(60_000)).unwrap_err();
    assert!(matches!(error, PcpFailure::Closed), "{error}");
}

#[test]
fn a_flood_of_junk_ends_before_the_deadline() {
    let (gateway, _requests) = gateway(8, |_| vec![vec![1]; 200]);
    let error = external_address(gateway, within(600_000)).unwrap_err();
    assert!(matches!(error, PcpFailure::Answer(PcpError::Length(1))), "{error}");
}

#[test]
fn a_gateway_that_speaks_natpmp_only_is_asked_in_that() {
    let (gateway, requests) = gateway(9, |request| {
        let address = ExternalAddress { result: ResultCode::Success, epoch: 9, address: ADDRESS };
        vec![if request == REQUEST { address.to_bytes() } else { vec![0, 0x81, 0, 1, 0, 0, 0, 9] }]
    });
    let seen = Pcp::new(Some(IpAddr::from(gateway))).poll(within(5000));
    assert_eq!(seen.ipv4, Finding::Known(ADDRESS));
    assert_eq!(asked(&requests).len(), 2);
}

#[test]
fn a_gateway_that_refuses_is_left_in_peace_for_a_while() {
    let (gateway, requests) = gateway(10, |request| vec![answer(request, 8)]);
    let mut pcp = Pcp::new(Some(IpAddr::from(gateway)));
    for _ in 0..5 {
        let seen = pcp.poll(within(5000));
        assert!(matches!(seen.ipv4, Finding::Unknown(why) if why.contains("no room")));
    }
    assert_eq!(asked(&requests).len(), 1);
}
