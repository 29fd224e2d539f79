//! Requests over real sockets and TLS, against servers that misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{only_test, passed_alone};
use ddns_update_daemon::config::{ClientCertificate, Tls};
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::system::closer::Closer;
use ddns_update_daemon::transport::provider::HttpClient;
use ddns_update_daemon::updaters::{Failure, Reply, Request};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

mod certificates;
mod connections;
mod proxies;

/// Enough for a busy machine; no test waits for it.
const PATIENT: Duration = Duration::from_secs(20);
/// For servers that never answer: enough to send a request.
const SHORT: Duration = Duration::from_millis(1500);
/// The same, with what a busy machine may add.
const SHORTLY: Duration = Duration::from_secs(8);

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Serves every connection with `handle`, which gets each request's text.
fn serve(tls: Option<Arc<ServerConfig>>, handle: impl Fn(&str, &mut dyn Stream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let tcp = tcp.unwrap();
            match &tls {
                None => conversation(tcp, &handle),
                Some(tls) => {
                    let server = ServerConnection::new(Arc::clone(tls)).unwrap();
                    conversation(rustls::StreamOwned::new(server, tcp), &handle);
                }
            }
        }
    });
    port
}

/// One request only; the connection is closed behind it.
fn conversation(mut stream: impl Stream, handle: &impl Fn(&str, &mut dyn Stream)) {
    if let Some(request) = read_request(&mut stream) {
        handle(&request, &mut stream);
    }
}

fn read_request(stream: &mut impl Stream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap().to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// Always the same answer.
fn answering(answer: impl Into<String>) -> u16 {
    let answer = answer.into();
    serve(None, move |_, stream| {
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn web() -> HttpClient {
    HttpClient::new(&Tls::default()).unwrap()
}

/// What these tests read of a body at most.
const MAX_REPLY: usize = 256 * 1024;

fn get(url: String) -> Request {
    Request {
        method: "GET",
        url,
        headers: Vec::new(),
        body: None,
        max_reply: MAX_REPLY,
        cut_will_do: false,
        family: None,
    }
}

fn fetch(port: u16, timeout: Duration) -> Result<Reply, Failure> {
    web().send(&get(format!("http://127.0.0.1:{port}/secret-path?token=secret")), timeout)
}

fn failure(port: u16, timeout: Duration) -> Failure {
    let failure = fetch(port, timeout).unwrap_err();
    assert!(failure.why.starts_with(&format!("127.0.0.1:{port}: ")), "{}", failure.why);
    assert!(!failure.why.contains("secret"), "{}", failure.why);
    failure
}

/// A test CA.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn web(&self, builtin_roots: bool) -> HttpClient {
        HttpClient::new(&Tls { extra_roots: Some(self.pem.clone()), builtin_roots, ..Tls::default() })
            .unwrap()
    }

    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        self.server_with(name, change, rustls::ALL_VERSIONS)
    }

    fn server_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

fn serve_tls(tls: Arc<ServerConfig>) -> u16 {
    serve(Some(tls), |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
        let _ = stream.flush();
    })
}

fn fetch_tls(web: &HttpClient, host: &str, port: u16) -> Result<String, String> {
    match web.send(&get(format!("https://{host}:{port}/")), PATIENT) {
        Ok(reply) => Ok(reply.body),
        Err(failure) => {
            assert!(!failure.maybe_done, "nothing was sent: {}", failure.why);
            Err(failure.why)
        }
    }
}

#[test]
fn an_exchange_over_tls_fits_a_small_stack() {
    let ca = Authority::new();
    let port = serve_tls(ca.server("localhost", |_| {}));
    let job = move || fetch_tls(&ca.web(true), "localhost", port);
    let job = thread::Builder::new().stack_size(256 * 1024).spawn(job).unwrap();
    assert_eq!(job.join().unwrap().as_deref(), Ok("good"));
}

#[test]
fn what_cannot_be_sent_is_told_without_its_secret() {
    let headers = vec![("X-Token".to_owned(), "s3cret\r\nX: y".to_owned())];
    for request in [
        Request { headers, ..get("http://127.0.0.1:9/".into()) },
        get("http://127.0.0.1:9/a b?s3cret".into()),
        get("s3cret".into()),
    ] {
        let failed = web().send(&request, PATIENT).unwrap_err();
        assert!(
            !failed.maybe_done && failed.why.ends_with("the URL or a header is not valid"),
            "{}",
            failed.why
        );
    }
}

#[test]
fn tls_1_2_still_works() {
    let ca = Authority::new();
    let port = serve_tls(ca.server_with("localhost", |_| {}, &[&rustls::version::TLS12]));
    assert_eq!(fetch_tls(&ca.web(true), "localhost", port).as_deref(), Ok("good"));
}

#[test]
fn nothing_was_sent_when_nobody_listens_or_the_name_is_unknown() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = failure(port, PATIENT);
    assert_eq!((refused.why.ends_with("connection refused"), refused.maybe_done), (true, false));
    let unknown = web().send(&get("http://no-such-name.invalid/secret".into()), PATIENT).unwrap_err();
    assert!(
        unknown.why.starts_with("no-such-name.invalid: its address could not be found"),
        "{}",
        unknown.why
    );
    assert!(!unknown.maybe_done);
}

#[test]
fn a_tls_handshake_that_never_ends_is_given_up_on_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let began = Instant::now();
    let failed = web().send(&get(format!("https://127.0.0.1:{port}/")), SHORT).unwrap_err();
    assert_eq!((failed.why.contains("within 1.5 s"), failed.maybe_done), (true, false), "{}", failed.why);
    assert!(began.elapsed() < SHORTLY);
}

#[test]
fn a_tls_handshake_that_ends_after_the_job_was_overtaken_sends_nothing() {
    let authority = Authority::new();
    let tls = authority.server("localhost", |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closer = Closer::default();
    let web = authority.web(false).ended_by(closer.clone());
    let job = thread::spawn(move || web.send(&get(format!("https://localhost:{port}/")), PATIENT));
    let (mut stream, _) = listener.accept().unwrap();
    // It has begun: before, it would not begin.
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    closer.overtake();
    let mut server = ServerConnection::new(tls).unwrap();
    while server.is_handshaking() {
        server.complete_io(&mut stream).unwrap();
    }
    let mut asked = Vec::new();
    // It leaves without a word, or without close_notify.
    let _ = rustls::Stream::new(&mut server, &mut stream).read_to_end(&mut asked);
    assert_eq!(asked, b"");
    assert!(!job.join().unwrap().unwrap_err().maybe_done);
}

#[test]
fn silence_and_slow_bytes_end_by_the_deadline() {
    let silent = serve(None, |_, stream| drop(stream.read(&mut [0])));
    let dripping = |head: &'static str| {
        serve(None, move |_, stream| {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(b"x").and_then(|()| stream.flush()).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        })
    };
    for port in [
        silent,
        dripping("HTTP/1.1 200 OK\r\nX: "),
        dripping("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
    ] {
        let began = Instant::now();
        let failed = failure(port, SHORT);
        assert!(failed.why.contains("no complete answer within 1.5 s"), "{}", failed.why);
        assert!(failed.maybe_done);
        assert!(began.elapsed() < SHORTLY);
    }
}

#[test]
fn a_huge_body_is_cut_and_a_huge_head_refused() {
    let huge = serve(None, |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
        let chunk = [b'x'; 8192];
        for _ in 0..12_800 {
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
    });
    assert_eq!(fetch(huge, PATIENT).unwrap().body.len(), MAX_REPLY);
    let endless = serve(None, |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-Header: and another one\r\n").is_ok() {}
    });
    let failed = failure(endless, PATIENT);
    assert!(failed.maybe_done && !failed.why.contains("within"), "{}", failed.why);
    let line = serve(None, |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(failure(line, PATIENT).why, format!("127.0.0.1:{line}: the head of its answer is too long"));
}

#[test]
fn a_connection_that_breaks_is_no_answer() {
    for answer in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood"] {
        let failed = failure(answering(answer), PATIENT);
        assert!(failed.maybe_done, "{}", failed.why);
    }
    assert!(failure(answering("220 mail.example ESMTP\r\n\r\n"), PATIENT).why.ends_with("not proper HTTP"));
}

#[test]
fn a_success_that_is_cut_counts_where_that_will_do() {
    let ask = |answer: &'static str| {
        let url = format!("http://127.0.0.1:{}/", answering(answer));
        web().send(&Request { cut_will_do: true, ..get(url) }, PATIENT)
    };
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngood", "good"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ngood", "good"),
    ] {
        assert_eq!(ask(answer).unwrap().body, body, "{answer}");
    }
    for answer in ["HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\ngood", "HTTP/1.1 200 OK\r\nContent"] {
        assert!(ask(answer).unwrap_err().maybe_done, "{answer}");
    }
}

#[test]
fn a_head_of_14_kb_is_read() {
    let fields = format!("X: {}\r\n", "y".repeat(2000)).repeat(7);
    let port = serve(None, move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 4\r\n\r\ngood");
        let _ = stream.write_all(head.as_bytes());
    });
    assert_eq!(fetch(port, PATIENT).unwrap().body, "good");
}

#[test]
fn a_head_of_a_hundred_fields_is_read_and_no_longer_one() {
    for (more, read) in [(99, true), (100, false)] {
        let fields = "X: y\r\n".repeat(more);
        let port = answering(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 4\r\n\r\ngood"));
        match fetch(port, PATIENT) {
            Ok(reply) => assert!(read && reply.body == "good"),
            Err(failed) => {
                assert!(!read && failed.why.ends_with(": the head of its answer is too long"), "{failed:?}");
            }
        }
    }
}

#[test]
fn a_status_is_an_answer_and_names_its_wait() {
    let reply = |answer: &str| fetch(answering(answer), PATIENT).unwrap();
    let limited = reply("HTTP/1.1 429 Slow down\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((limited.status, limited.retry_after), (429, Some(Duration::from_secs(77))));
    let dated = reply(
        "HTTP/1.1 503 x\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n\r\nlater",
    );
    assert_eq!((dated.retry_after, dated.body.as_str()), (Some(Duration::from_secs(60)), "later"));
    assert_eq!(reply("HTTP/1.1 204 No\r\n\r\n").body, "");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n";
    assert_eq!(reply(chunked).body, "good");
}

#[test]
fn redirects_are_followed_on_the_same_host_only() {
    let (sender, heads) = mpsc::channel();
    let other = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    let port = serve(None, move |request, stream| {
        sender.send(request.to_owned()).unwrap();
        let (status, target) = match request.split(' ').nth(1).unwrap() {
            "/a" => (302, "/b".to_owned()),
            "/b" => (302, "c".to_owned()),
            "/c" => (302, "?d".to_owned()),
            "/loop" => (302, "/loop".to_owned()),
            "/kept" => (308, "/end".to_owned()),
            "/port" => (307, format!("http://127.0.0.1:{other}/x")),
            "/away" => (302, "http://localhost:9/secret?token=secret".to_owned()),
            _ => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
                return;
            }
        };
        // It closes, and says so: a POST is not repeated over another connection.
        let end = "Connection: close\r\nContent-Length: 0\r\n\r\n";
        let _ = write!(stream, "HTTP/1.1 {status} x\r\nLocation: {target}\r\n{end}");
    });
    let reply = |method, path: &str| {
        let body = (method == "POST").then(|| "ip=192.0.2.1".to_owned());
        let request = Request { method, body, ..get(format!("http://me:pw@127.0.0.1:{port}{path}")) };
        web().send(&request, PATIENT).unwrap()
    };
    let status = |method, path: &str| reply(method, path).status;
    assert_eq!(status("GET", "/a"), 200);
    assert_eq!(status("HEAD", "/a"), 200);
    assert_eq!(status("POST", "/a"), 302);
    let seen = heads.try_iter().last().unwrap();
    assert!(seen.contains("authorization: basic ") && seen.ends_with("ip=192.0.2.1"), "{seen}");
    assert_eq!(status("POST", "/kept"), 200);
    let seen = heads.try_iter().last().unwrap();
    assert!(seen.starts_with("post /end ") && seen.contains("authorization: basic "), "{seen}");
    assert!(seen.ends_with("ip=192.0.2.1"), "{seen}");
    assert_eq!(reply("POST", "/port").body, "other");
    let told = reply("GET", "/away").redirect.unwrap();
    assert_eq!(told, "http://localhost:9, another host");
    let _ = heads.try_iter().count();
    let looped = reply("GET", "/loop");
    assert_eq!(
        (looped.status, looped.redirect.unwrap()),
        (302, "another place, after 10 redirects".to_owned())
    );
    assert_eq!(heads.try_iter().count(), 11);
}

#[test]
fn credentials_of_a_url_are_decoded() {
    let (sender, requests) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).is_ok_and(|count| count > 0) {
                head.push(byte[0]);
            }
            sender.send(String::from_utf8(head).unwrap()).unwrap();
            let _ = tcp.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    for (user, basic) in [
        // By `base64` of "me:p@w%x", "mü:ä", "me:" and "me:p@w:x".
        ("me:p%40w%25x", "bWU6cEB3JXg="),
        ("m%C3%BC:%c3%a4", "bcO8OsOk"),
        ("me", "bWU6"),
        ("me:p@w:x", "bWU6cEB3Ong="),
    ] {
        web().send(&get(format!("http://{user}@127.0.0.1:{port}/")), PATIENT).unwrap();
        let head = requests.recv().unwrap();
        assert!(head.contains(&format!("uthorization: Basic {basic}\r\n")), "{user}: {head}");
    }
}

/// Over TLS, closed by TCP alone.
#[test]
fn an_answer_without_a_proper_end_counts_when_its_first_line_is_whole() {
    let ca = Authority::new();
    for (answer, body) in [
        ("HTTP/1.0 200 OK\r\n\r\ngood 192.0.2.1\n", Some("good 192.0.2.1\n")),
        ("HTTP/1.0 200 OK\r\n\r\ngood\r\nnoch", Some("good\r\nnoch")),
        ("HTTP/1.0 200 OK\r\n\r\ngood 192.0.", None),
        ("HTTP/1.0 200 OK\r\n\r\n", None),
        ("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\ngood\n", None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ngood\n", None),
    ] {
        let port = serve(Some(ca.server("127.0.0.1", |_| {})), move |_, stream| {
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.flush();
        });
        match (ca.web(true).send(&get(format!("https://127.0.0.1:{port}/")), PATIENT), body) {
            (Ok(reply), Some(body)) => assert_eq!(reply.body, body),
            (Err(failed), None) => assert!(failed.maybe_done, "{}", failed.why),
            (answer, _) => panic!("{answer:?} for {body:?}"),
        }
    }
}

#[test]
fn every_method_arrives_with_its_body_and_headers() {
    let (sender, requests) = mpsc::channel();
    let port = serve(None, move |request, stream| {
        sender.send(request.to_owned()).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    });
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        for body in [None, Some("ip=192.0.2.1".to_owned())] {
            let headers = vec![("X-Token".to_owned(), "t".to_owned())];
            let url = format!("http://me:pw@127.0.0.1:{port}/x?ip=2001:db8::1");
            let request = Request { method, headers, body: body.clone(), ..get(url) };
            assert_eq!(web().send(&request, PATIENT).unwrap().status, 204, "{method}");
            let seen = requests.recv().unwrap();
            assert_eq!(seen.ends_with("\r\n\r\nip=192.0.2.1"), body.is_some(), "{seen}");
            assert!(
                seen.starts_with(&format!("{} /x?ip=2001:db8::1 http/1.1\r\n", method.to_lowercase())),
                "{seen}"
            );
            assert!(seen.contains("\r\nx-token: t\r\n") && seen.contains("authorization: basic "), "{seen}");
            assert!(seen.contains("\r\nuser-agent: ddns-update-daemon/"), "{seen}");
            assert!(!seen.contains("accept-encoding"), "{seen}");
        }
    }
}
