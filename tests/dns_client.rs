//! The DNS client against servers on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use ddns_update_daemon::dns::answer::{Exchange, Sent, Verified};
use ddns_update_daemon::dns::client::{DnsError, exchange};
use ddns_update_daemon::dns::message::{Flags, Message, QUERY, Question, class, kind};
use ddns_update_daemon::dns::name::Name;
use ddns_update_daemon::dns::server::{Server, Transport};
use ddns_update_daemon::dns::tsig::{Algorithm, Key, Signature, sign_answer};
use ddns_update_daemon::system::clock::unix_time;
use ddns_update_daemon::system::closer::Closer;

fn key() -> Key {
    Key::new(Name::from_text("our.key").unwrap(), Algorithm::Sha384, "c2VjcmV0").unwrap()
}

fn question(server: SocketAddr, transport: Transport, key: Option<&Key>) -> Exchange {
    let question =
        Question { name: Name::from_text("home.example").unwrap(), kind: kind::SOA, class: class::IN };
    let flags = Flags::request(QUERY, false);
    let message = Message { id: 7, flags, questions: vec![question], ..Message::default() };
    let sent = Sent::new(&message, key, unix_time());
    Exchange { server: Server::parse(&server.to_string()), transport, sent }
}

/// The right answer to a message, with these flags.
fn answer(request: &[u8], flags: u16) -> Vec<u8> {
    let mut message = Message::parse(request).unwrap();
    message.flags = Flags(0x8000 | flags);
    let signature = message.additional.pop().map(|record| Signature::parse(&record).unwrap().unwrap());
    match signature {
        Some(signature) => sign_answer(&key(), &message, &signature.mac, unix_time(), (0, b"")),
        None => message.to_bytes(),
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// A TCP server that sends what `reply` makes of a message, in pieces, and keeps
/// the connection open unless that is nothing.
fn over_tcp(reply: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    serve_tcp(listener, reply);
    address
}

fn serve_tcp(listener: TcpListener, reply: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message).unwrap();
            let bytes = reply(&message);
            for piece in bytes.chunks(7) {
                stream.write_all(piece).unwrap();
                stream.flush().unwrap();
            }
            if !bytes.is_empty() {
                open.push(stream);
            }
        }
    });
}

/// A UDP server that sends these to each message.
fn serve_udp(socket: UdpSocket, mut reply: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).unwrap();
            for datagram in reply(&buffer[..length]) {
                socket.send_to(&datagram, client).unwrap();
            }
        }
    });
}

fn over_udp(reply: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    serve_udp(socket, reply);
    address
}

/// A port where both can be served.
fn both() -> (TcpListener, UdpSocket, SocketAddr) {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(address) {
            return (tcp, udp, address);
        }
    }
}

fn within(milliseconds: u64) -> Instant {
    Instant::now().checked_add(Duration::from_millis(milliseconds)).unwrap()
}

fn is_answer(result: &Result<Verified, DnsError>) -> bool {
    matches!(result, Ok(Verified::Answer { tsig_error: 0, .. }))
}

#[test]
fn messages_to_one_server_go_over_one_connection() {
    // The second connection is there because the first was closed after three.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        [3, 2].map(|messages| {
            let mut stream = listener.accept().unwrap().0;
            for _ in 0..messages {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut message = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut message).unwrap();
                stream.write_all(&framed(&answer(&message, 0))).unwrap();
            }
        })
    });
    let mut kept = None;
    for _ in 0..5 {
        let result = exchange(
            &question(address, Transport::Tcp, Some(&key())),
            &[],
            &mut kept,
            &Closer::default(),
            within(5000),
        );
        assert!(is_answer(&result), "{result:?}");
    }
    server.join().unwrap();
}

#[test]
fn an_answer_over_tcp_is_read_to_its_end() {
    let server = over_tcp(|message| framed(&answer(message, 0)));
    for key in [None, Some(key())] {
        let result = exchange(
            &question(server, Transport::Auto, key.as_ref()),
            &[],
            &mut None,
            &Closer::default(),
            within(5000),
        );
        assert!(is_answer(&result), "{result:?}");
    }
}

#[test]
fn a_connection_that_ends_or_stalls_or_talks_nonsense_is_told_apart() {
    let ended = over_tcp(|_| Vec::new());
    let result =
        exchange(&question(ended, Transport::Auto, None), &[], &mut None, &Closer::default(), within(5000));
    assert!(matches!(result, Err(DnsError::Closed(_))), "{result:?}");
    let stalled = over_tcp(|message| framed(&answer(message, 0))[..9].to_vec());
    let start = Instant::now();
    let result =
        exchange(&question(stalled, Transport::Auto, None), &[], &mut None, &Closer::default(), within(300));
    assert!(matches!(result, Err(DnsError::Silent(_))), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(3));
    let strange = over_tcp(|_| framed(b"HTTP/1.1 400 Bad Request"));
    let result =
        exchange(&question(strange, Transport::Auto, None), &[], &mut None, &Closer::default(), within(5000));
    assert!(matches!(result, Err(DnsError::NotAnAnswer(_))), "{result:?}");
    for error in [DnsError::Closed(ended), DnsError::Silent(ended), DnsError::NotAnAnswer(ended)] {
        assert!(error.maybe_done());
    }
}

#[test]
fn an_unsigned_refusal_over_tcp_is_reported() {
    let server = over_tcp(|message| {
        let mut message = Message::parse(message).unwrap();
        message.flags = Flags(0x8005);
        message.additional.clear();
        framed(&message.to_bytes())
    });
    let result = exchange(
        &question(server, Transport::Auto, Some(&key())),
        &[],
        &mut None,
        &Closer::default(),
        within(5000),
    );
    assert!(matches!(result, Ok(Verified::Unproven { rcode: 5, tsig_error: None, .. })), "{result:?}");
}

#[test]
fn udp_is_used_where_tcp_is_closed() {
    let server = over_udp(|message| vec![answer(message, 0)]);
    let result = exchange(
        &question(server, Transport::Auto, Some(&key())),
        &[],
        &mut None,
        &Closer::default(),
        within(5000),
    );
    assert!(is_answer(&result), "{result:?}");
    let result = exchange(
        &question(server, Transport::Tcp, Some(&key())),
        &[],
        &mut None,
        &Closer::default(),
        within(5000),
    );
    assert!(matches!(&result, Err(error @ DnsError::Unreachable(..)) if !error.maybe_done()), "{result:?}");
}

#[test]
fn a_lost_datagram_is_sent_again_as_it_was() {
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let server = over_udp(move |message| {
        seen.push(message.to_vec());
        if seen.len() < 2 {
            return Vec::new();
        }
        assert_eq!(seen[0], seen[1]);
        vec![answer(message, 0)]
    });
    let result = exchange(
        &question(server, Transport::Udp, Some(&key())),
        &[],
        &mut None,
        &Closer::default(),
        within(8000),
    );
    assert!(is_answer(&result), "{result:?}");
}

#[test]
fn what_was_cut_short_is_asked_again_over_tcp() {
    for key in [None, Some(key())] {
        let (tcp, udp, address) = both();
        serve_tcp(tcp, |message| framed(&answer(message, 0)));
        serve_udp(udp, |message| vec![answer(message, 0x0200)]);
        let result = exchange(
            &question(address, Transport::Udp, key.as_ref()),
            &[],
            &mut None,
            &Closer::default(),
            within(5000),
        );
        let Ok(Verified::Answer { message, .. }) = result else { panic!("{result:?}") };
        assert!(!message.flags.is_truncated());
    }
}

#[test]
fn forged_answers_are_passed_over_until_the_time_is_up() {
    let forge = |message: &[u8]| {
        let mut forged = Message::parse(message).unwrap();
        forged.flags = Flags(0x8000);
        let echoed = forged.to_bytes();
        forged.additional.clear();
        let mut other_id = forged.clone();
        other_id.id = 8;
        vec![forged.to_bytes(), other_id.to_bytes(), echoed, vec![0; 11], vec![0xff; 1500]]
    };
    let server = over_udp(move |message| {
        let mut all = forge(message);
        all.push(answer(message, 0));
        all
    });
    let result = exchange(
        &question(server, Transport::Udp, Some(&key())),
        &[],
        &mut None,
        &Closer::default(),
        within(5000),
    );
    assert!(is_answer(&result), "{result:?}");
    let server = over_udp(forge);
    let start = Instant::now();
    let result = exchange(
        &question(server, Transport::Udp, Some(&key())),
        &[],
        &mut None,
        &Closer::default(),
        within(400),
    );
    assert!(matches!(result, Ok(Verified::Unproven { .. })), "{result:?}");
    assert!(start.elapsed() >= Duration::from_millis(390));
}

#[test]
fn resolvers_are_asked_in_turn() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = silent.local_addr().unwrap();
    drop(silent);
    let resolver = over_udp(|message| vec![answer(message, 0)]);
    let mut exchange_with_none = question(resolver, Transport::Udp, None);
    exchange_with_none.server = None;
    let result =
        exchange(&exchange_with_none, &[closed, resolver], &mut None, &Closer::default(), within(5000));
    assert!(is_answer(&result), "{result:?}");
    let result = exchange(&exchange_with_none, &[], &mut None, &Closer::default(), within(5000));
    assert!(matches!(result, Err(DnsError::NoResolver)), "{result:?}");
}

#[test]
fn a_server_can_be_named() {
    let server = over_tcp(|message| framed(&answer(message, 0)));
    let mut named = question(server, Transport::Auto, None);
    named.server = Server::parse(&format!("localhost:{}", server.port()));
    let result = exchange(&named, &[], &mut None, &Closer::default(), within(5000));
    assert!(is_answer(&result), "{result:?}");
    named.server = Server::parse("no-such-host.invalid");
    let result = exchange(&named, &[], &mut None, &Closer::default(), within(2000));
    assert!(matches!(result, Err(DnsError::NoAddress(_))), "{result:?}");
}

/// Somebody who takes what is sent over UDP and never answers, over TCP neither.
fn silent() -> (TcpListener, UdpSocket, SocketAddr, Vec<TcpStream>) {
    let (tcp, udp, address) = both();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
    }
    (tcp, udp, address, waiting)
}

#[test]
fn a_dead_address_of_several_costs_less_than_two_seconds() {
    for transport in [Transport::Auto, Transport::Tcp, Transport::Udp] {
        let dead = silent();
        let (tcp, udp, alive) = both();
        serve_tcp(tcp, |message| framed(&answer(message, 0)));
        serve_udp(udp, |message| vec![answer(message, 0)]);
        let mut exchange_with_none = question(alive, transport, None);
        exchange_with_none.server = None;
        for _ in 0..2 {
            let began = Instant::now();
            let result = exchange(
                &exchange_with_none,
                &[dead.2, alive],
                &mut None,
                &Closer::default(),
                within(20_000),
            );
            assert!(is_answer(&result), "{transport:?}: {result:?}");
            assert!(began.elapsed() < Duration::from_secs(2), "{transport:?}: {:?}", began.elapsed());
        }
        // Who did not answer is not asked again while another does.
        dead.1.set_nonblocking(true).unwrap();
        let datagrams = (0..9).take_while(|_| dead.1.recv(&mut [0; 512]).is_ok()).count();
        assert_eq!(datagrams, usize::from(transport == Transport::Udp));
    }
}

#[test]
fn an_overtaken_exchange_over_udp_sends_nothing_more_and_takes_the_answer() {
    let (_, server, address) = both();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let closer = Closer::default();
    let other = closer.clone();
    let job = thread::spawn(move || {
        exchange(&question(address, Transport::Udp, Some(&key())), &[], &mut None, &other, within(20_000))
    });
    let mut buffer = [0; 2048];
    let (length, client) = server.recv_from(&mut buffer).unwrap();
    closer.overtake();
    // The first two repetitions would come after 2 s and after 6 s.
    server.set_read_timeout(Some(Duration::from_millis(6500))).unwrap();
    let mut again = [0; 2048];
    assert!(server.recv_from(&mut again).is_err(), "the old message was sent again");
    server.send_to(&answer(&buffer[..length], 0), client).unwrap();
    assert!(is_answer(&job.join().unwrap()));
}

#[test]
fn an_overtaken_exchange_over_tcp_repeats_nothing() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (tcp, udp, other) = both();
    let addresses = [silent.local_addr().unwrap(), other];
    let mut to_both = question(other, Transport::Auto, Some(&key()));
    to_both.server = None;
    let closer = Closer::default();
    let overtaken = closer.clone();
    let job = thread::spawn(move || exchange(&to_both, &addresses, &mut None, &overtaken, within(20_000)));
    let (mut stream, _) = silent.accept().unwrap();
    stream.read_exact(&mut [0; 20]).unwrap();
    closer.overtake();
    drop(stream);
    let result = job.join().unwrap();
    assert!(matches!(&result, Err(error @ DnsError::Closed(_)) if error.maybe_done()), "{result:?}");
    udp.set_nonblocking(true).unwrap();
    assert!(udp.recv(&mut [0; 512]).is_err());
    // Whoever connected there left again without a word.
    tcp.set_nonblocking(true).unwrap();
    if let Ok((mut stream, _)) = tcp.accept() {
        stream.set_nonblocking(false).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_connection_that_comes_about_after_overtaking_sends_nothing() {
    let (tcp, udp, address) = both();
    let closer = Closer::default();
    let other = closer.clone();
    let job = thread::spawn(move || {
        exchange(&question(address, Transport::Udp, Some(&key())), &[], &mut None, &other, within(20_000))
    });
    let mut buffer = [0; 2048];
    let (length, client) = udp.recv_from(&mut buffer).unwrap();
    closer.overtake();
    // Asks for the same over TCP.
    udp.send_to(&answer(&buffer[..length], 0x0200), client).unwrap();
    let (mut stream, _) = tcp.accept().unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let result = job.join().unwrap();
    assert!(matches!(&result, Err(error @ DnsError::CutShort(_)) if error.maybe_done()), "{result:?}");
    let result = exchange(&question(address, Transport::Udp, None), &[], &mut None, &closer, within(20_000));
    assert!(matches!(&result, Err(error @ DnsError::Stopped(_)) if !error.maybe_done()), "{result:?}");
}

#[test]
fn what_went_over_a_kept_connection_may_have_been_done_though_no_other_comes_about() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        drop(listener);
        for answered in [true, false] {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message).unwrap();
            if answered {
                stream.write_all(&framed(&answer(&message, 0))).unwrap();
            }
        }
    });
    let mut kept = None;
    let mut ask = || {
        let asked = question(address, Transport::Auto, Some(&key()));
        exchange(&asked, &[], &mut kept, &Closer::default(), within(5000))
    };
    assert!(is_answer(&ask()));
    let result = ask();
    server.join().unwrap();
    assert!(matches!(&result, Err(DnsError::Closed(_))), "{result:?}");
}
