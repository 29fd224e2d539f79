//! The way through a proxy.

use ddns_update_daemon::config::{Proxies, Proxy};
use std::sync::mpsc;

use super::*;

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
