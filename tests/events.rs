//! Subscriptions and their events over real sockets, with gateways on loopback
//! addresses of their own.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ddns_update_daemon::gena::listener::{Listener, MAX_CONNECTIONS, OnEvent};
use ddns_update_daemon::gena::message::{Expected, Sid};
use ddns_update_daemon::gena::subscriber::{Clock, Subscriber};
use ddns_update_daemon::gena::subscription::{PollResult, Status};
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::system::watch::Watch;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::support::daemon::{Daemon, Folder};
use crate::support::gateway::{GET_IPV4, description, response, service_entry};
use crate::support::wait_for;
use crate::support::wire::Server;

const LONG: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(200);
const GRANTED: &str = "HTTP/1.1 200 OK\r\nSID: uuid:1\r\nTIMEOUT: Second-1800\r\nContent-Length: 0\r\n\r\n";

/// A gateway that takes subscriptions, and a subscriber that subscribes there.
struct World {
    address: Ipv4Addr,
    url: LanUrl,
    subscriber: Subscriber,
    requests: Receiver<(String, TcpStream)>,
    hints: Receiver<()>,
    notices: Receiver<Status>,
}

impl World {
    /// `speed`: how much faster than real time renewals come.
    fn new(last: u8, speed: u32) -> Self {
        let address = Ipv4Addr::new(127, 53, 60, last);
        let server = TcpListener::bind((address, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let text = head(&mut stream);
                if sender.send((text, stream)).is_err() {
                    return;
                }
            }
        });
        let (on_event, hints) = on_event();
        let (sender, notices) = mpsc::channel();
        let say = move |notice: &Status| drop(sender.send(notice.clone()));
        let subscriber = Subscriber::start(Clock::new(speed), Watch::start().unwrap(), on_event, say);
        let url = LanUrl::parse(&format!("http://{address}:{port}/evt")).unwrap();
        let world = Self { address, url, subscriber, requests, hints, notices };
        world.poll();
        world
    }

    /// A poll reaches the gateway.
    fn poll(&self) {
        let ipv4 = Some(Ipv4Addr::new(1, 1, 1, 1));
        self.subscriber.polled(PollResult { reached: true, events: Some(self.url.clone()), ipv4 });
    }

    /// The next request.
    fn asked(&self) -> (String, TcpStream) {
        self.requests.recv_timeout(LONG).expect("a request")
    }

    /// Takes the subscription and grants it; returns where events are to go.
    fn grant(&self, answer: &str) -> (SocketAddr, String) {
        let (request, mut stream) = self.asked();
        stream.write_all(answer.as_bytes()).unwrap();
        callback(&request)
    }

    fn hinted(&self) {
        self.hints.recv_timeout(LONG).expect("a hint");
    }

    fn connect(&self, to: SocketAddr) -> TcpStream {
        connect_from(self.address, to)
    }
}

fn on_event() -> (OnEvent, Receiver<()>) {
    let (sender, hints): (Sender<()>, _) = mpsc::channel();
    let on_event = move || sender.send(()).unwrap_or_default();
    (Arc::new(on_event), hints)
}

fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let fd: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&fd, &SocketAddr::new(from.into(), 0)).unwrap();
    connect(&fd, &to).unwrap();
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn head(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains("\r\n\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "a whole head: {text}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

fn callback(request: &str) -> (SocketAddr, String) {
    let (_, rest) = request.split_once("CALLBACK: <http://").expect("a callback");
    let (socket, path) = rest.split_once('>').unwrap().0.split_once('/').unwrap();
    (socket.parse().unwrap(), path.to_owned())
}

fn event(to: SocketAddr, path: &str, sid: &str) -> String {
    format!(
        "NOTIFY /{path} HTTP/1.1\r\nHOST: {to}\r\nCONTENT-TYPE: text/xml\r\nCONTENT-LENGTH: 4\r\n\
         NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: {sid}\r\nSEQ: 0\r\n\r\n<x/>"
    )
}

/// Sends a request and returns what comes back until the end.
fn send(mut stream: TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    // A connection that is hung up on has no answer.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn sid() -> Expected {
    Expected::Of(Sid::parse("uuid:1").unwrap())
}

/// A listener for events of a gateway at this address.
fn listener(gateway: Ipv4Addr) -> (Listener, SocketAddr, String, Receiver<()>) {
    let (on_event, hints) = on_event();
    let local = IpAddr::from([127, 53, 61, 1]);
    let listener =
        Listener::open(local, gateway.into(), [5; 16], &Watch::start().unwrap(), on_event).unwrap();
    listener.expect(sid());
    let callback = listener.callback().clone();
    (listener, callback.socket, callback.path, hints)
}

#[test]
fn an_event_is_answered_at_once_and_is_a_hint() {
    let world = World::new(1, 1);
    let (to, path) = world.grant(GRANTED);
    assert_eq!(path.len(), 32);
    let times = [(); 3].map(|()| {
        let started = Instant::now();
        let answer = send(world.connect(to), &event(to, &path, "uuid:1"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        world.hinted();
        started.elapsed()
    });
    // A busy machine may hold one of them up.
    assert!(times.into_iter().min() < Some(Duration::from_secs(1)), "{times:?}");
    assert!(world.notices.try_recv().is_err(), "nothing to complain of");
}

#[test]
fn an_event_may_overtake_the_answer() {
    let world = World::new(2, 1);
    let (request, mut stream) = world.asked();
    assert!(request.starts_with("SUBSCRIBE /evt HTTP/1.1\r\n"), "{request}");
    let (to, path) = callback(&request);
    let answer = send(world.connect(to), &event(to, &path, "uuid:1"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    world.hinted();
    stream.write_all(GRANTED.as_bytes()).unwrap();
}

#[test]
fn an_answer_without_length_on_an_open_connection_is_enough() {
    let world = World::new(3, 1);
    let (request, mut stream) = world.asked();
    stream.write_all(b"HTTP/1.1 200 OK\r\nSID: uuid:1\r\nTIMEOUT: Second-300\r\n\r\n").unwrap();
    let (to, path) = callback(&request);
    let started = Instant::now();
    // Hung up on is who comes while the connections before are still being closed.
    let answer = |sid| loop {
        let answer = send(world.connect(to), &event(to, &path, sid));
        assert!(started.elapsed() < LONG, "it waits without end");
        if !answer.is_empty() {
            return answer;
        }
    };
    // From when on its name is known shows the refusal of another.
    while answer("uuid:2").starts_with("HTTP/1.1 200") {}
    // Who waits for a body gives up in the end, and then knows of none.
    let answer = answer("uuid:1");
    assert!(answer.starts_with("HTTP/1.1 200"), "it waited for a body: {answer}");
    drop(stream);
}

#[test]
fn renewals_come_at_half_time_and_a_forgotten_subscription_is_made_anew() {
    let world = World::new(4, 1000);
    world.grant(GRANTED);
    for _ in 0..3 {
        let (renewal, mut stream) = world.asked();
        assert!(renewal.contains("\r\nSID: uuid:1\r\n") && !renewal.contains("CALLBACK"), "{renewal}");
        stream.write_all(GRANTED.as_bytes()).unwrap();
    }
    let (_, mut stream) = world.asked();
    stream.write_all(b"HTTP/1.1 412 Precondition Failed\r\n\r\n").unwrap();
    drop(stream);
    world.hinted();
    world.grant(GRANTED);
}

#[test]
fn zero_seconds_do_not_make_it_renew_without_end() {
    let world = World::new(5, 100);
    let started = Instant::now();
    world.grant("HTTP/1.1 200 OK\r\nSID: uuid:1\r\nTIMEOUT: Second-0\r\n\r\n");
    for _ in 0..2 {
        world.asked().1.write_all(b"HTTP/1.1 200 OK\r\nSID: uuid:1\r\nTIMEOUT: Second-0\r\n\r\n").unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(1200), "a minute apart, a hundred times as fast");
}

#[test]
fn infinite_subscriptions_are_renewed_all_the_same() {
    let world = World::new(6, 1000);
    world.grant("HTTP/1.1 200 OK\r\nSID: uuid:1\r\nTIMEOUT: Second-infinite\r\n\r\n");
    assert!(world.asked().0.contains("SID: uuid:1"));
}

#[test]
fn after_a_restart_it_subscribes_anew() {
    let world = World::new(7, 1);
    world.grant(GRANTED);
    world.subscriber.gateway_restarted();
    world.poll();
    let (renewal, mut stream) = world.asked();
    assert!(renewal.contains("\r\nSID: uuid:1\r\n"), "{renewal}");
    stream.write_all(b"HTTP/1.1 412 Precondition Failed\r\n\r\n").unwrap();
    drop(stream);
    world.grant(GRANTED);
}

#[test]
fn events_that_do_not_arrive_are_spoken_of_once() {
    let world = World::new(8, 100);
    let (to, path) = world.grant(GRANTED);
    assert_eq!(world.notices.recv_timeout(LONG), Ok(Status::Silent));
    send(world.connect(to), &event(to, &path, "uuid:1"));
    assert_eq!(world.notices.recv_timeout(LONG), Ok(Status::Arriving));
}

#[test]
fn a_refusal_is_spoken_of_once_and_tried_again_later() {
    let world = World::new(9, 1000);
    for _ in 0..3 {
        world.grant("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    }
    assert!(matches!(world.notices.recv_timeout(LONG), Ok(Status::None(_))));
    assert!(world.notices.try_recv().is_err());
}

#[test]
fn what_is_not_our_event_is_no_hint() {
    type Make = fn(SocketAddr, &str) -> String;
    let cases: [(Make, &str); 7] = [
        (|to, path| event(to, path, "uuid:2"), "412"),
        (|to, _| event(to, "0123", "uuid:1"), "404"),
        (|to, path| event(to, path, "uuid:1").replace("NOTIFY", "POST"), "405"),
        (|to, path| event(to, path, "uuid:1").replace(&to.to_string(), "evil.example"), "404"),
        (|_, _| "GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
        (|_, _| "\u{1}\r\n\r\n".to_owned(), "400"),
        (|_, path| format!("NOTIFY /{path} HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000)), "400"),
    ];
    let gateway = Ipv4Addr::new(127, 53, 60, 20);
    // To each a listener of its own: more connections than it serves are a hint,
    // and on a busy machine those before are still being closed.
    for (make, status) in cases {
        let (_listener, to, path, hints) = listener(gateway);
        let text = make(to, &path);
        let answer = send(connect_from(gateway, to), &text);
        assert_eq!(answer.get(9..12), Some(status), "{text}: {answer}");
        assert!(hints.try_recv().is_err(), "{text}");
    }
    let (listener, to, path, hints) = listener(gateway);
    let good = event(to, &path, "uuid:1");
    let stranger = Ipv4Addr::new(127, 53, 60, 99);
    assert_eq!(send(connect_from(stranger, to), &good), "", "hung up on unread");
    listener.expect(Expected::None);
    assert!(send(connect_from(gateway, to), &good).contains(" 412 "));
    assert!(hints.try_recv().is_err());
    listener.expect(sid());
    assert!(send(connect_from(gateway, to), &good).contains(" 200 "));
    assert!(hints.recv_timeout(LONG).is_ok());
}

#[test]
fn connections_that_say_nothing_hide_no_event() {
    let gateway = Ipv4Addr::new(127, 53, 60, 21);
    let (_listener, to, path, hints) = listener(gateway);
    let mut mute: Vec<_> = (1..MAX_CONNECTIONS).map(|_| connect_from(gateway, to)).collect();
    for stream in &mut mute {
        stream.write_all(b"NOTIFY /").unwrap();
    }
    assert!(send(connect_from(gateway, to), &event(to, &path, "uuid:1")).contains(" 200 "));
    hints.recv_timeout(LONG).unwrap();
    // With every place taken, whoever of the gateway's comes counts. On a busy
    // machine the first may have lost theirs by now, so others come on.
    let started = Instant::now();
    let mut more = Vec::new();
    while hints.recv_timeout(SOON).is_err() {
        assert!(started.elapsed() < LONG, "no hint of {} connections", more.len());
        more.extend([(); 2].map(|()| connect_from(gateway, to)));
    }
    // And nobody keeps a place for long.
    let mut rest = Vec::new();
    assert_eq!(mute[0].read_to_end(&mut rest).unwrap_or(0), 0);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let gateway = Ipv4Addr::new(127, 53, 60, 22);
    let (_listener, to, path, hints) = listener(gateway);
    let mut stream = connect_from(gateway, to);
    stream.write_all(event(to, &path, "uuid:1").as_bytes()).unwrap();
    hints.recv_timeout(LONG).unwrap();
    let started = Instant::now();
    let sent = (0..100_000).take_while(|_| stream.write_all(&[b'x'; 1024]).is_ok()).count();
    assert!(sent < 100_000 && started.elapsed() < Duration::from_secs(10), "{sent}");
}

#[test]
fn a_listener_ends_when_it_is_dropped() {
    let (listener, to, ..) = listener(Ipv4Addr::new(127, 53, 60, 23));
    drop(listener);
    let started = Instant::now();
    while TcpStream::connect_timeout(&to, LONG).is_ok() {
        assert!(started.elapsed() < LONG, "its port stays open");
        thread::yield_now();
    }
}

/// A gateway tells all that it has as soon as somebody subscribes. That costs the address
/// once more, over one connection, and not the description and what follows from it.
#[test]
fn the_first_event_after_a_subscription_costs_no_second_survey() {
    let (service, folder) = (service_entry("WANIPConnection:1", 0), Folder::new());
    let page = description(std::slice::from_ref(&service));
    let gateway = Server::start(
        (Ipv4Addr::LOCALHOST, 0).into(),
        Arc::new(move |request, wire| {
            let address = response(&service.0, GET_IPV4, &[("NewExternalIPAddress", "11.22.33.44")]);
            match request.method.as_str() {
                "GET" => wire.reply("200 OK", "", page.as_bytes()),
                "SUBSCRIBE" => {
                    wire.reply("200 OK", "SID: uuid:1\r\nTIMEOUT: Second-1800\r\n", b"")?;
                    let (to, path) = callback(&request.head);
                    let answer = send(TcpStream::connect(to)?, &event(to, &path, "uuid:1"));
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                    Ok(())
                }
                _ if request.field("SOAPAction").contains(GET_IPV4) => {
                    wire.reply("200 OK", "", address.as_bytes())
                }
                _ => wire.reply("500 Internal Server Error", "", b""),
            }
        }),
    );
    let config = format!(
        "interval = 60\nstate_file = \"{}\"\nipv4 = [\"upnp:http://{}/desc.xml\"]\nipv6 = []\n\
         [[runs]]\ncmd = [\"true\", \"{{ipv4}}\"]\n",
        folder.path("state/test.state").display(),
        gateway.address()
    );
    let _daemon = Daemon::start(&[], &folder, &config);
    let told = || folder.read("log").matches(": IPv4 11.22.33.44").count();
    wait_for(LONG, || (told() == 2).then_some(()))
        .unwrap_or_else(|| panic!("the poll that the event asked for\n{}", folder.read("log")));
    assert!(folder.read("log").contains("polling, because of an event of the gateway"));
    let all = gateway.exchanges();
    let asked = |is_it: &dyn Fn(&str, &str) -> bool| {
        all.iter().filter(|e| is_it(&e.request.method, e.request.field("SOAPAction"))).count()
    };
    assert_eq!(asked(&|method, _| method == "GET"), 1, "the description");
    assert_eq!(asked(&|_, action| action.contains(GET_IPV4)), 2);
    assert_eq!(asked(&|method, action| method == "POST" && !action.contains(GET_IPV4)), 0);
}
