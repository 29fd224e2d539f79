//! Requests over real sockets and TLS, against servers that misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{only_test, passed_alone};
use ddns_update_daemon::config::{ClientCertificate, Proxies, Proxy, Tls};
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::system::closer::Closer;
use ddns_update_daemon::transport::provider::HttpClient;
use ddns_update_daemon::updaters::{Failure, Reply, Request};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

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
fn a_ca_file_is_trusted_beside_or_instead_of_the_built_in_roots() {
    let ca = Authority::new();
    let port = serve_tls(ca.server("localhost", |_| {}));
    for builtin_roots in [true, false] {
        assert_eq!(fetch_tls(&ca.web(builtin_roots), "localhost", port).as_deref(), Ok("good"));
    }
    let by_address = serve_tls(ca.server("127.0.0.1", |_| {}));
    assert_eq!(fetch_tls(&ca.web(true), "127.0.0.1", by_address).as_deref(), Ok("good"));
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
fn certificates_that_prove_nothing_are_refused() {
    let ca = Authority::new();
    let fine = serve_tls(ca.server("localhost", |_| {}));
    let expired = serve_tls(ca.server("localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }));
    let early = serve_tls(ca.server("localhost", |params| params.not_before = date_time_ymd(4000, 1, 1)));
    let authority = serve_tls(ca.server("localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut tcp = listener.accept().unwrap().0;
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    for (web, host, port, why) in [
        (web(), "localhost", fine, "unknown issuer; for a CA of your own set ca_file"),
        (Authority::new().web(false), "localhost", fine, "not signed by the CA that it names"),
        (ca.web(true), "127.0.0.1", fine, "for another name"),
        (ca.web(true), "localhost", expired, "has expired, or this machine's clock is wrong"),
        (ca.web(true), "localhost", early, "not yet valid: check this machine's clock"),
        (ca.web(true), "localhost", authority, "with CA:FALSE"),
        (ca.web(true), "localhost", plain, "does not speak TLS"),
    ] {
        let told = fetch_tls(&web, host, port).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
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
fn a_head_of_60_kb_is_read() {
    let fields = format!("X: {}\r\n", "y".repeat(2000)).repeat(30);
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
        let _ = write!(stream, "HTTP/1.1 {status} x\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
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

/// Run by the test below with the system's roots in a file of its own.
#[test]
#[ignore = "needs its environment"]
fn with_system_roots() {
    let port = std::env::var("DDNS_TEST_PORT").unwrap().parse().unwrap();
    for (system_roots, builtin_roots, fine) in
        [(true, true, true), (false, true, false), (true, false, false)]
    {
        let extra_roots = (!builtin_roots).then(|| Authority::new().pem);
        let tls = Tls { system_roots, builtin_roots, extra_roots, ..Tls::default() };
        let answer = fetch_tls(&HttpClient::new(&tls).unwrap(), "localhost", port);
        assert_eq!(answer.is_ok(), fine, "{answer:?}");
    }
    let told = fetch_tls(&web(), "127.0.0.1", port).unwrap_err();
    assert!(told.contains("for another name"), "{told}");
}

#[test]
fn the_roots_of_the_system_are_asked_about_unknown_issuers() {
    let ca = Authority::new();
    let port = serve_tls(ca.server("localhost", |_| {}));
    let path = std::env::temp_dir().join(format!("ddns-system-roots-{}.pem", std::process::id()));
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&path, format!("{damaged}{}", ca.pem)).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.env("SSL_CERT_FILE", &path).env("DDNS_TEST_PORT", port.to_string());
    only_test(&mut child, module_path!(), "with_system_roots");
    let passed = passed_alone(&mut child);
    std::fs::remove_file(&path).unwrap();
    assert!(passed);
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

/// What a proxy of ours was told, and where it leads.
struct ProxyServer {
    port: u16,
    heads: mpsc::Receiver<String>,
}

/// A proxy that knows one user and leads everywhere to `target`.
fn proxy(target: u16) -> ProxyServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            let mut bytes = Vec::new();
            let mut byte = [0];
            while !bytes.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).is_ok_and(|count| count > 0) {
                bytes.push(byte[0]);
            }
            let head = String::from_utf8(bytes).unwrap();
            sender.send(head.clone()).unwrap();
            // base64 of "me:p@ss"
            let known = head.lines().filter_map(|line| line.split_once(": ")).any(|(name, value)| {
                name.eq_ignore_ascii_case("Proxy-Authorization") && value == "Basic bWU6cEBzcw=="
            });
            if !known {
                let _ = tcp.write_all(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n");
            } else if head.starts_with("CONNECT ") {
                tcp.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").unwrap();
                join(tcp, TcpStream::connect(("127.0.0.1", target)).unwrap());
            } else {
                let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    ProxyServer { port, heads }
}

fn join(mut here: TcpStream, mut there: TcpStream) {
    let (mut here_too, mut there_too) = (here.try_clone().unwrap(), there.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut here_too, &mut there_too));
    let _ = std::io::copy(&mut there, &mut here);
}

fn proxies(url: &str, exceptions: &[&str]) -> Proxies {
    let proxy = Some(Proxy::read(url).unwrap());
    let exceptions = exceptions.iter().map(|&entry| entry.to_owned()).collect();
    Proxies { http: proxy.clone(), https: proxy, exceptions, configured: true }
}

#[test]
fn a_proxy_leads_to_plain_servers_by_their_whole_url() {
    let server = proxy(0);
    let url = format!("http://me:p%40ss@127.0.0.1:{}", server.port);
    let session = HttpClient::with_proxies(&Tls::default(), proxies(&url, &[])).unwrap().connection(None);
    for _ in 0..2 {
        let mut request = get("http://ddns.invalid:8080/a?b=c".into());
        request.method = "POST";
        request.body = Some("x=y".into());
        assert_eq!(session.send(&request, PATIENT).unwrap().body, "ok");
        let head = server.heads.recv().unwrap();
        assert!(head.starts_with("POST http://ddns.invalid:8080/a?b=c HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\nhost: ddns.invalid:8080\r\n"), "{head}");
        drop(session.send(&get("http://other.invalid/".into()), PATIENT));
        assert!(server.heads.recv().unwrap().starts_with("GET http://other.invalid:80/ HTTP/1.1\r\n"));
    }
}

#[test]
fn a_proxy_leads_to_tls_servers_and_sees_nothing_of_the_request() {
    let ca = Authority::new();
    let server = proxy(serve_tls(ca.server("ddns.invalid", |_| {})));
    let tls = Tls { extra_roots: Some(ca.pem.clone()), ..Tls::default() };
    let url = format!("http://me:p%40ss@127.0.0.1:{}", server.port);
    let web = HttpClient::with_proxies(&tls, proxies(&url, &[])).unwrap();
    let reply = web.send(&get("https://ddns.invalid/secret-path".into()), PATIENT).unwrap();
    assert_eq!(reply.body, "good");
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("CONNECT ddns.invalid:443 HTTP/1.1\r\nHost: ddns.invalid:443\r\n"), "{head}");
    assert!(!head.contains("secret"), "{head}");
}

#[test]
fn the_way_to_a_proxy_may_be_tls_itself() {
    let ca = Authority::new();
    let target = serve_tls(ca.server("ddns.invalid", |_| {}));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = ca.server("127.0.0.1", |_| {});
    thread::spawn(move || {
        let plain = proxy(target);
        let tcp = listener.accept().unwrap().0;
        let mut inner = TcpStream::connect(("127.0.0.1", plain.port)).unwrap();
        inner.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        tcp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut outer = rustls::StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        let mut bytes = [0; 4096];
        loop {
            for outwards in [false, true] {
                let read = if outwards { inner.read(&mut bytes) } else { outer.read(&mut bytes) };
                match read {
                    Ok(0) => return,
                    Ok(count) if outwards => outer.write_all(&bytes[..count]).unwrap(),
                    Ok(count) => inner.write_all(&bytes[..count]).unwrap(),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        }
    });
    let tls = Tls { extra_roots: Some(ca.pem.clone()), ..Tls::default() };
    let web =
        HttpClient::with_proxies(&tls, proxies(&format!("https://me:p%40ss@127.0.0.1:{port}"), &[])).unwrap();
    let reply = web.send(&get("https://ddns.invalid/".into()), PATIENT);
    assert_eq!(reply.unwrap().body, "good");
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_secret() {
    let server = proxy(0);
    for (url, why) in [
        (
            format!("http://me:s3cret@127.0.0.1:{}", server.port),
            "the proxy wants other credentials (status 407)",
        ),
        (format!("http://127.0.0.1:{}", answering("HTTP/1.1 403 No\r\n\r\n")), "(status 403)"),
        (format!("http://127.0.0.1:{}", answering("220 mail.example\r\n\r\n")), "does not speak HTTP"),
        (format!("http://127.0.0.1:{}", answering("")), "the proxy closed the connection"),
    ] {
        let web = HttpClient::with_proxies(&Tls::default(), proxies(&url, &[])).unwrap();
        let failed = web.send(&get("https://ddns.invalid/secret".into()), PATIENT).unwrap_err();
        assert!(failed.why.starts_with("ddns.invalid through the proxy 127.0.0.1:"), "{}", failed.why);
        assert!(failed.why.contains(why) && !failed.maybe_done, "{}", failed.why);
        assert!(!failed.why.contains("s3cret") && !failed.why.contains("/secret"), "{}", failed.why);
    }
    let url = format!("http://me:s3cret@127.0.0.1:{}", server.port);
    let web = HttpClient::with_proxies(&Tls::default(), proxies(&url, &[])).unwrap();
    let failed = web.send(&get("http://ddns.invalid/".into()), PATIENT).unwrap_err();
    assert!(failed.why.contains("status 407") && !failed.maybe_done, "{}", failed.why);
}

#[test]
fn some_servers_are_reached_without_the_proxy() {
    let server = proxy(0);
    let url = format!("http://me:p%40ss@127.0.0.1:{}", server.port);
    let web = HttpClient::with_proxies(&Tls::default(), proxies(&url, &["invalid"])).unwrap();
    let direct = answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect");
    for host in ["127.0.0.1", "localhost"] {
        let reply = web.send(&get(format!("http://{host}:{direct}/")), PATIENT).unwrap();
        assert_eq!(reply.body, "direct", "this machine never needs a proxy");
    }
    let failed = web.send(&get("http://ddns.invalid/".into()), PATIENT).unwrap_err();
    assert!(failed.why.starts_with("ddns.invalid: its address could not be found"), "{}", failed.why);
    assert!(server.heads.try_recv().is_err());
}

/// A client's certificate and key.
fn client_certificate(ca: &Authority) -> ClientCertificate {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["client".to_owned()]).unwrap().signed_by(&key, &ca.issuer);
    ClientCertificate {
        certificate_file: None,
        certificate: certificate.unwrap().pem(),
        key_file: None,
        key: Secret::new(key.serialize_pem()),
    }
}

/// A server that talks only to clients with a certificate of `ca`.
fn mutual(ca: &Authority, versions: &[&'static SupportedProtocolVersion]) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca.issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    serve_tls(Arc::new(config))
}

#[test]
fn a_client_certificate_opens_a_server_that_wants_one() {
    let ca = Authority::new();
    let with = |client| {
        HttpClient::new(&Tls { extra_roots: Some(ca.pem.clone()), client, ..Tls::default() })
            .map_err(|error| error.to_string())
    };
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let port = mutual(&ca, versions);
        let ours = with(Some(client_certificate(&ca))).unwrap();
        assert_eq!(fetch_tls(&ours, "localhost", port).as_deref(), Ok("good"));
        let request = get(format!("https://localhost:{port}/"));
        let none = with(None).unwrap().send(&request, PATIENT).unwrap_err();
        let other = with(Some(client_certificate(&Authority::new()))).unwrap();
        let other = other.send(&request, PATIENT).unwrap_err();
        for failed in [none, other] {
            // The alert may be lost with the connection.
            let told = ["client certificate", "refused our TLS", "broke the connection off"];
            assert!(told.iter().any(|words| failed.why.contains(words)), "{}", failed.why);
        }
    }
    let mixed = ClientCertificate { key: client_certificate(&ca).key, ..client_certificate(&ca) };
    assert!(with(Some(mixed)).unwrap_err().contains("not that of client_cert's first certificate"));
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned();
    let damaged = ClientCertificate { key: Secret::new(damaged), ..client_certificate(&ca) };
    assert!(with(Some(damaged)).unwrap_err().contains("client_key"));
}
