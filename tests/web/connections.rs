//! One connection for several requests, and when it is left.

use std::net::Ipv4Addr;
use std::sync::mpsc;

use super::*;

/// Answers all requests of one connection and tells how many there were.
fn serve_many(tls: Option<Arc<ServerConfig>>) -> (u16, thread::JoinHandle<usize>) {
    fn count(mut stream: impl Stream) -> usize {
        let mut count = 0;
        while read_request(&mut stream).is_some() {
            count += 1;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            stream.flush().unwrap();
        }
        count
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let tcp = listener.accept().unwrap().0;
        match tls.map(|tls| ServerConnection::new(tls).unwrap()) {
            None => count(tcp),
            Some(tls) => count(rustls::StreamOwned::new(tls, tcp)),
        }
    });
    (port, server)
}

/// Tells of each connection whether it went on with an earlier session.
fn serve_sessions(host: Ipv4Addr, tls: Arc<ServerConfig>) -> (u16, mpsc::Receiver<bool>) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, resumed) = mpsc::channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let server = ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut stream = rustls::StreamOwned::new(server, tcp.unwrap());
            read_request(&mut stream).unwrap();
            let kind = stream.conn.handshake_kind();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            stream.flush().unwrap();
            let _ = sender.send(kind == Some(rustls::HandshakeKind::Resumed));
        }
    });
    (port, resumed)
}

#[test]
fn the_sessions_of_four_servers_are_resumed() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let ca = Authority::new();
        let web = ca.web(false);
        let servers: Vec<_> = (1..=4)
            .map(|last| {
                let host = Ipv4Addr::new(127, 0, 0, last);
                let tls = ca.server_with(&host.to_string(), |_| {}, &[version]);
                (host, serve_sessions(host, tls))
            })
            .collect();
        for resumed in [false, true, true] {
            for (host, (port, told)) in &servers {
                fetch_tls(&web, &host.to_string(), *port).unwrap();
                assert_eq!(told.recv().unwrap(), resumed, "{host}, {version:?}");
            }
        }
    }
}

/// Tickets of this many bytes, in which nothing is.
#[derive(Debug)]
struct Tickets(usize);

impl rustls::server::ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        3600
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(vec![0; self.0])
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn tickets_of_more_than_32_kib_are_refused() {
    let ca = Authority::new();
    // Two of them come before the answer.
    for (size, fine) in [(15_000, true), (17_000, false)] {
        let mut tls = Arc::unwrap_or_clone(ca.server_with("localhost", |_| {}, &[&rustls::version::TLS13]));
        (tls.ticketer, tls.send_tls13_tickets) = (Arc::new(Tickets(size)), 2);
        let url = format!("https://localhost:{}/", serve_tls(Arc::new(tls)));
        match ca.web(false).send(&get(url), PATIENT) {
            Ok(reply) => assert!(fine && reply.body == "good", "{size}"),
            Err(Failure { why, maybe_done }) => {
                assert!(!fine && maybe_done, "{size}: {why}");
                assert!(why.contains("more than 32 KiB came without a part of an answer"), "{why}");
            }
        }
    }
}

#[test]
fn one_connection_serves_a_job() {
    let ca = Authority::new();
    for (tls, web, scheme) in [
        (None, web(), "http"),
        // With it come tickets for other sessions, unasked.
        (Some(ca.server("127.0.0.1", |_| {})), ca.web(false), "https"),
    ] {
        let (port, server) = serve_many(tls);
        let session = web.connection(None);
        for _ in 0..3 {
            let reply = session.send(&get(format!("{scheme}://127.0.0.1:{port}/")), PATIENT);
            assert_eq!(reply.unwrap().body, "ok");
        }
        drop(session);
        assert_eq!(server.join().unwrap(), 3, "{scheme}");
    }
}

#[test]
fn a_connection_is_left_when_its_answer_has_no_clear_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: trailer\r\n\r\n",
    ] {
        let port = answering(answer);
        let session = web().connection(None);
        for _ in 0..2 {
            let reply = session.send(&get(format!("http://127.0.0.1:{port}/")), PATIENT);
            assert_eq!(reply.unwrap().body, "ok", "{answer}");
        }
    }
}

/// Answers the first request of every connection and closes it at the second.
fn serve_once_a_connection() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            if let Some(request) = read_request(&mut tcp) {
                sender.send(request).unwrap();
                tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                if let Some(request) = read_request(&mut tcp) {
                    sender.send(request).unwrap();
                }
            }
        }
    });
    (port, requests)
}

#[test]
fn a_connection_that_went_stale_costs_a_reader_nothing_and_is_not_hidden_from_a_writer() {
    for (method, arrives, repeats) in
        [("GET", 3, true), ("HEAD", 3, true), ("PATCH", 2, false), ("POST", 2, false)]
    {
        let (port, requests) = serve_once_a_connection();
        let session = web().connection(None);
        let url = format!("http://127.0.0.1:{port}/");
        session.send(&get(url.clone()), PATIENT).unwrap();
        let second = session.send(&Request { method, ..get(url) }, PATIENT);
        match second {
            Ok(reply) => assert!(repeats && reply.status == 200, "{method}"),
            Err(failure) => assert!(!repeats && failure.maybe_done, "{method}: {}", failure.why),
        }
        drop(session);
        assert_eq!(requests.iter().take(arrives).count(), arrives, "{method}");
        assert!(requests.try_recv().is_err(), "{method}");
    }
}
