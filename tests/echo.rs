//! Echo services over real sockets and TLS, well and ill.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ddns_update_daemon::address::{Finding, Observation};
use ddns_update_daemon::config::{Config, Tls};
use ddns_update_daemon::sources::echo::{Echo, Families};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const IPV4: Families = Families { ipv4: true, ipv6: false };
const IPV6: Families = Families { ipv4: false, ipv6: true };
const ADDRESS: Ipv4Addr = Ipv4Addr::new(8, 8, 4, 4);

/// A service, and how many requests it got.
struct Service {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Service {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn echo(&self, path: &str, families: Families) -> Echo {
        Echo::new(&format!("http://127.0.0.1:{}{path}", self.port), families, &Config::default())
    }

    fn poll(&self, path: &str) -> Observation {
        self.echo(path, IPV4).poll()
    }
}

/// Serves every connection with `handle`, after one request.
fn serve(listener: TcpListener, handle: impl Fn(TcpStream, &AtomicUsize) + Send + 'static) -> Service {
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            handle(tcp.unwrap(), &count);
        }
    });
    Service { port, asked }
}

fn read_request(stream: &mut impl Read) -> bool {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return false;
        }
        bytes.push(byte[0]);
    }
    true
}

/// Answers every request with these bytes.
fn answering(at: &str, answer: String) -> Service {
    serve(TcpListener::bind(at).unwrap(), move |mut tcp, asked| {
        if read_request(&mut tcp) {
            asked.fetch_add(1, Ordering::SeqCst);
            let _ = tcp.write_all(answer.as_bytes());
        }
    })
}

fn page(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
}

fn telling(body: &str) -> Service {
    answering("127.0.0.1:0", page("200 OK", "", body))
}

fn why<T: Debug>(finding: Finding<T>) -> String {
    match finding {
        Finding::Unknown(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_is_believed() {
    let service = telling("8.8.4.4\n");
    let seen = service.poll("/");
    assert_eq!(seen.ipv4, Finding::Known(ADDRESS));
    assert_eq!(why(seen.ipv6), "not asked");
    assert_eq!(service.asked(), 1, "once for each wanted family");
    let trace = telling("fl=1\nh=x\nip=8.8.4.4\nwarp=off\n");
    assert_eq!(trace.poll("/cdn-cgi/trace").ipv4, Finding::Known(ADDRESS));
    assert!(why(trace.poll("/").ipv4).contains("is not one address"));
}

#[test]
fn what_is_no_address_is_unknown() {
    for (body, words) in [
        ("", "is not one address"),
        ("nonsense \0\u{7f}", "is not one address"),
        ("<html><body>Current IP Address: 8.8.4.4</body></html>", "is not one address"),
        ("8.8.4.4\n8.8.8.8\n", "is not one address"),
        ("2a00:1450::1", "of the other family"),
        ("127.0.0.1", "loopback"),
        ("0.0.0.0", "no address"),
    ] {
        let told = why(telling(body).poll("/").ipv4);
        assert!(told.contains(words), "{body:?}: {told}");
    }
    let private = telling("192.168.1.5").poll("/").ipv4;
    assert_eq!(private, Finding::Known([192, 168, 1, 5].into()), "the engine refuses it with its reason");
}

#[test]
fn other_statuses_and_redirects_are_unknown() {
    for (status, fields, words) in [
        ("404 Not Found", "", "status 404"),
        ("429 Slow Down", "Retry-After: 900\r\n", "status 429"),
        ("500 Oops", "", "status 500"),
        ("204 Nothing", "", "status 204"),
        ("302 Found", "Location: http://localhost:1/\r\n", "another host (status 302)"),
    ] {
        let body = if status.starts_with("204") { "" } else { "8.8.4.4" };
        let told = why(answering("127.0.0.1:0", page(status, fields, body)).poll("/").ipv4);
        assert!(told.contains(words), "{status}: {told}");
    }
}

#[test]
fn a_huge_answer_is_not_read() {
    let service = serve(TcpListener::bind("127.0.0.1:0").unwrap(), |mut tcp, _| {
        read_request(&mut tcp);
        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while tcp.write_all(&[b' '; 8192]).is_ok() {}
    });
    assert_eq!(why(service.poll("/").ipv4), "its answer is longer than an address");
}

#[test]
fn a_silent_service_ends_by_its_time() {
    let service = serve(TcpListener::bind("127.0.0.1:0").unwrap(), |mut tcp, _| {
        read_request(&mut tcp);
        let _ = tcp.read(&mut [0]);
    });
    let began = Instant::now();
    assert!(why(service.poll("/").ipv4).contains("no complete answer within"));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn polls_in_quick_succession_ask_once() {
    for service in [telling("8.8.4.4"), telling("nonsense")] {
        let mut echo = service.echo("/", IPV4);
        let first = echo.poll();
        for _ in 0..20 {
            assert_eq!(echo.poll(), first);
        }
        assert_eq!(service.asked(), 1);
    }
}

#[test]
fn a_connection_has_the_family_that_is_asked_for() {
    let service = telling("8.8.4.4");
    let seen = service.echo("/", IPV6).poll();
    assert!(why(seen.ipv6).contains("has no address of the family"));
    assert_eq!(service.asked(), 0, "not over IPv4");
    // One name, one port, another answer for each family.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let port = listener.local_addr().unwrap().port();
    let Ok(four) = TcpListener::bind(("127.0.0.1", port)) else { return };
    let answer = |body: &str| {
        let text = page("200 OK", "", body);
        move |mut tcp: TcpStream, _: &AtomicUsize| {
            if read_request(&mut tcp) {
                let _ = tcp.write_all(text.as_bytes());
            }
        }
    };
    let _six = serve(listener, answer("2a00:1450::1"));
    let _four = serve(four, answer("8.8.4.4"));
    let both = Families { ipv4: true, ipv6: true };
    let seen = Echo::new(&format!("http://localhost:{port}/"), both, &Config::default()).poll();
    assert_eq!(seen.ipv4, Finding::Known(ADDRESS));
    // Not every machine's hosts file knows ::1 by this name.
    if let Finding::Known(address) = seen.ipv6 {
        assert_eq!(address, "2a00:1450::1".parse::<Ipv6Addr>().unwrap());
    }
}

#[test]
fn tls_is_checked() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let tls = Arc::new(tls);
    let service = serve(TcpListener::bind("127.0.0.1:0").unwrap(), move |tcp, _| {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&tls)).unwrap(), tcp);
        if read_request(&mut stream) {
            let _ = stream.write_all(page("200 OK", "", "8.8.4.4").as_bytes());
        }
    });
    let url = format!("https://127.0.0.1:{}/", service.port);
    let tls = Tls { extra_roots: Some(pem), ..Tls::default() };
    let trusting = Config { tls, ..Config::default() };
    assert_eq!(Echo::new(&url, IPV4, &trusting).poll().ipv4, Finding::Known(ADDRESS));
    assert!(why(Echo::new(&url, IPV4, &Config::default()).poll().ipv4).contains("unknown issuer"));
}
