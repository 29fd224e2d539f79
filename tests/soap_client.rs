//! `transport::lan` against peers on loopback that behave well, badly or not at
//! all.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ddns_update_daemon::address::Finding;
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::request::ExchangeError;
use ddns_update_daemon::http::{HttpError, Response};
use ddns_update_daemon::soap::envelope::{MAX_DESCRIPTION, get};
use ddns_update_daemon::soap::gateway::{StopAt, Wanted, survey};
use ddns_update_daemon::transport::lan::{asker, exchange};

/// Long enough for any machine; tests that expect an answer do not wait for it.
const AMPLE: Duration = Duration::from_secs(20);

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(150);

/// A peer that handles as many connections as there are handlers, and returns
/// the requests.
struct Peer {
    url: LanUrl,
    thread: JoinHandle<Vec<String>>,
}

type Handler = Box<dyn FnOnce(&mut TcpStream) + Send>;

impl Peer {
    fn new(handlers: Vec<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = LanUrl::parse(&format!("http://127.0.0.1:{port}/root.xml")).unwrap();
        let thread = thread::spawn(move || {
            let handle = |handler: Handler| {
                let mut stream = listener.accept().unwrap().0;
                let request = read_request(&mut stream);
                handler(&mut stream);
                request
            };
            handlers.into_iter().map(handle).collect()
        });
        Self { url, thread }
    }

    fn get(&self, time: Duration) -> Result<Response, ExchangeError> {
        exchange(&get(self.url.clone()), Instant::now() + time)
    }

    fn requests(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// One read: the whole request must come in one piece.
fn read_request(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

fn says(text: &'static str) -> Handler {
    Box::new(move |stream| stream.write_all(text.as_bytes()).unwrap())
}

/// Sends `start`, then `piece` again and again until the other side has enough.
fn repeats(start: &'static str, piece: String, pause: Duration) -> Handler {
    Box::new(move |stream| {
        stream.write_all(start.as_bytes()).unwrap();
        while stream.write_all(piece.as_bytes()).is_ok() {
            thread::sleep(pause);
        }
    })
}

/// Waits until the other side closes.
fn stays_mute(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}

#[test]
fn an_answer_of_known_length_is_not_waited_for_any_longer() {
    let peer = Peer::new(vec![Box::new(|stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 4\r\n\r\nbody")
            .unwrap();
        stays_mute(stream);
    })]);
    let response = peer.get(AMPLE).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"body".as_slice()));
    assert!(peer.requests()[0].starts_with("GET /root.xml HTTP/1.1\r\nHost: 127.0.0.1:"));
}

#[test]
fn chunks_are_joined() {
    let peer = Peer::new(vec![Box::new(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n").unwrap();
        stream.write_all(b"2\r\ndy\r\n0\r\n\r\n").unwrap();
        stays_mute(stream);
    })]);
    assert_eq!(peer.get(AMPLE).unwrap().body, b"body");
    peer.requests();
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let peer = Peer::new(vec![says("HTTP/1.0 200 OK\r\n\r\nbody")]);
    assert_eq!(peer.get(AMPLE).unwrap().body, b"body");
    peer.requests();
}

#[test]
fn an_answer_shorter_than_announced_is_handed_on_when_the_peer_closes() {
    let peer = Peer::new(vec![says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody")]);
    assert_eq!(peer.get(AMPLE).unwrap().body, b"body");
    peer.requests();
}

#[test]
fn a_mute_peer_costs_no_more_than_the_deadline() {
    let peer = Peer::new(vec![Box::new(stays_mute)]);
    let start = Instant::now();
    assert_eq!(peer.get(SHORT), Err(ExchangeError::Timeout));
    assert!(start.elapsed() >= SHORT && start.elapsed() < AMPLE);
    assert_eq!(peer.requests().len(), 1);
}

#[test]
fn a_slow_drip_costs_no_more_than_the_deadline() {
    let peer = Peer::new(vec![repeats("HTTP/1.1 200 OK\r\n\r\n", "x".into(), Duration::from_millis(2))]);
    let start = Instant::now();
    assert_eq!(peer.get(SHORT), Err(ExchangeError::Timeout));
    assert!(start.elapsed() < AMPLE);
    assert_eq!(peer.requests().len(), 1);
}

#[test]
fn endless_answers_are_cut_off() {
    for (start, piece, error) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "x".repeat(4096), HttpError::BodyTooLong),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            format!("1;{}\r\nx\r\n", "x".repeat(250)).repeat(16),
            HttpError::BodyTooLong,
        ),
        ("HTTP/1.1 200 OK\r\n", "A: b\r\n".repeat(512), HttpError::HeadTooLong),
    ] {
        let peer = Peer::new(vec![repeats(start, piece, Duration::ZERO)]);
        assert_eq!(peer.get(AMPLE), Err(ExchangeError::Http(error)));
        peer.requests();
    }
}

#[test]
fn an_announced_length_beyond_the_limit_is_refused_at_once() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_DESCRIPTION + 1);
    let peer = Peer::new(vec![Box::new(move |stream| {
        stream.write_all(head.as_bytes()).unwrap();
        stays_mute(stream);
    })]);
    assert_eq!(peer.get(AMPLE), Err(ExchangeError::Http(HttpError::BodyTooLong)));
    peer.requests();
}

#[test]
fn a_peer_that_stumbles_over_the_version_is_asked_again() {
    let good = || says("HTTP/1.0 200 OK\r\n\r\nbody");
    for first in [
        says("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n"),
        says("what?\r\n\r\n"),
        says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        says(""),
    ] {
        let peer = Peer::new(vec![first, good()]);
        assert_eq!(peer.get(AMPLE).unwrap().body, b"body");
        let requests = peer.requests();
        assert!(requests[0].contains(" HTTP/1.1\r\n") && requests[1].contains(" HTTP/1.0\r\n"));
    }
}

#[test]
fn a_peer_is_not_asked_a_third_time() {
    let peer = Peer::new(vec![says(""), says("")]);
    assert_eq!(peer.get(AMPLE), Err(ExchangeError::Http(HttpError::Truncated)));
    assert_eq!(peer.requests().len(), 2);
}

#[test]
fn redirects_and_failures_are_answers_like_any_other() {
    for head in [
        "HTTP/1.1 301 Moved\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ] {
        let peer = Peer::new(vec![says(head)]);
        assert!(matches!(peer.get(AMPLE).unwrap().status, 301 | 404));
        assert_eq!(peer.requests().len(), 1);
    }
}

#[test]
fn a_closed_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = LanUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = exchange(&get(url), Instant::now() + AMPLE).unwrap_err();
    assert_eq!(error, ExchangeError::Connect(ErrorKind::ConnectionRefused));
    assert_eq!(error.to_string(), "cannot connect: connection refused");
}

#[test]
fn after_the_deadline_nobody_is_asked() {
    let peer = Peer::new(vec![]);
    assert_eq!(peer.get(Duration::ZERO), Err(ExchangeError::Timeout));
    peer.requests();
}

#[test]
fn a_survey_runs_over_sockets() {
    let peer = Peer::new(vec![
        says(
            "HTTP/1.1 200 OK\r\n\r\n<root><device><service>\
             <serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
             <controlURL>/ctl</controlURL></service></device></root>",
        ),
        says(
            "HTTP/1.1 200 OK\r\n\r\n<Envelope><Body><GetExternalIPAddressResponse>\
             <NewExternalIPAddress>8.8.4.4</NewExternalIPAddress>\
             </GetExternalIPAddressResponse></Body></Envelope>",
        ),
    ]);
    let wanted = Wanted { ipv4: true, ipv6: false };
    let mut ask = asker(Instant::now() + AMPLE, AMPLE);
    let report = survey(&peer.url, None, wanted, StopAt::UntilGlobal, &mut ask).unwrap();
    assert_eq!(report.observation.ipv4, Finding::Known(Ipv4Addr::new(8, 8, 4, 4)));
    let requests = peer.requests();
    assert!(requests[1].starts_with("POST /ctl HTTP/1.1\r\n"));
    assert!(requests[1].ends_with("</s:Envelope>\r\n"), "head and body come in one piece");
}

#[test]
fn one_mute_service_leaves_time_for_the_next() {
    let services: &'static str = concat!(
        "HTTP/1.1 200 OK\r\n\r\n<root><device>",
        "<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType>",
        "<controlURL>/ppp</controlURL></service>",
        "<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>",
        "<controlURL>/ip</controlURL></service></device></root>"
    );
    let answer: &'static str = concat!(
        "HTTP/1.1 200 OK\r\n\r\n<Envelope><Body><GetExternalIPAddressResponse>",
        "<NewExternalIPAddress>8.8.4.4</NewExternalIPAddress>",
        "</GetExternalIPAddressResponse></Body></Envelope>"
    );
    let status = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let peer = Peer::new(vec![says(services), Box::new(stays_mute), says(answer), says(status)]);
    let wanted = Wanted { ipv4: true, ipv6: false };
    let mut ask = asker(Instant::now() + AMPLE, Duration::from_secs(1));
    let report = survey(&peer.url, None, wanted, StopAt::UntilGlobal, &mut ask).unwrap();
    assert_eq!(report.chosen().unwrap().service.control.path(), "/ip");
    assert_eq!(report.services[0].ipv4, Finding::Unknown("it did not answer in time".to_owned()));
    peer.requests();
}
