//! The IPv6 prefix of a stand-in for an AVM router: what it says is published
//! only while it is valid.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ddns_update_daemon::address::{Addresses, Finding, Observation};
use ddns_update_daemon::config::Gateway;
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::sources::upnp::Upnp;

const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

/// What the router has at the moment.
#[derive(Clone)]
struct Delegated {
    prefix: &'static str,
    valid: u32,
    preferred: u32,
}

/// A router, and what it has.
fn router(delegated: &Arc<Mutex<Delegated>>) -> LanUrl {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let delegated = Arc::clone(delegated);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let delegated = delegated.lock().unwrap().clone();
            serve(tcp.unwrap(), &delegated);
        }
    });
    LanUrl::parse(&format!("http://127.0.0.1:{port}/igddesc.xml")).unwrap()
}

fn serve(mut tcp: TcpStream, delegated: &Delegated) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(12).any(|window| window == b"</s:Envelope") && !request.starts_with(b"GET ") {
        match tcp.read(&mut buffer) {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let body = if request.starts_with("GET ") { description() } else { answer(&request, delegated) };
    let _ = write!(tcp, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

fn description() -> String {
    let service = format!(
        "<serviceList><service><serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1\
         </serviceId><controlURL>/igdupnp/control/WANIPConn1</controlURL><eventSubURL>/e</eventSubURL>\
         <SCPDURL>/s.xml</SCPDURL></service></serviceList>"
    );
    let device = |kind: &str, inner: &str| {
        let kind = format!("<deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>");
        format!("<device>{kind}<friendlyName>x</friendlyName>{inner}</device>")
    };
    let connection = device("WANConnectionDevice", &service);
    let wan = device("WANDevice", &format!("<deviceList>{connection}</deviceList>"));
    let root = device("InternetGatewayDevice", &format!("<deviceList>{wan}</deviceList>"));
    format!("<root xmlns=\"urn:schemas-upnp-org:device-1-0\">{root}</root>")
}

fn answer(request: &str, delegated: &Delegated) -> String {
    let Delegated { prefix, valid, preferred } = delegated;
    let (valid, preferred) = (valid.to_string(), preferred.to_string());
    let lifetimes = [("NewValidLifetime", valid.as_str()), ("NewPreferedLifetime", preferred.as_str())];
    let address = format!("{prefix}1");
    let (action, arguments) = if request.contains("X_AVM_DE_GetIPv6Prefix") {
        ("X_AVM_DE_GetIPv6Prefix", vec![("NewIPv6Prefix", *prefix), ("NewPrefixLength", "56")])
    } else if request.contains("X_AVM_DE_GetExternalIPv6Address") {
        let found = vec![("NewExternalIPv6Address", address.as_str()), ("NewPrefixLength", "64")];
        ("X_AVM_DE_GetExternalIPv6Address", found)
    } else {
        ("GetExternalIPAddress", vec![("NewExternalIPAddress", "8.8.4.4")])
    };
    let mut inside = String::new();
    for (name, value) in arguments.into_iter().chain(lifetimes) {
        write!(inside, "<{name}>{value}</{name}>").unwrap();
    }
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <u:{action}Response xmlns:u=\"{SERVICE}\">{inside}</u:{action}Response></s:Body></s:Envelope>"
    )
}

fn poll(source: &mut Upnp) -> Observation {
    let deadline = Instant::now().checked_add(Duration::from_secs(5)).unwrap();
    source.poll(false, deadline, &|| false).observation
}

#[test]
fn a_prefix_is_known_only_while_it_is_valid() {
    let delegated =
        Arc::new(Mutex::new(Delegated { prefix: "2a00:1:2:300::", valid: 7200, preferred: 3600 }));
    let mut source = Upnp::new(Gateway::Description(router(&delegated)), true, None, Addresses::default());
    let known = |seen: &Observation| match &seen.ipv6_prefix {
        Finding::Known(prefix) => prefix.to_string(),
        Finding::Absent(why) => format!("none: {why}"),
        Finding::Unknown(why) => format!("unknown: {why}"),
    };
    assert_eq!(known(&poll(&mut source)), "2a00:1:2:300::/56");
    for (valid, preferred) in [(0, 0), (0, 3600), (7200, 0)] {
        *delegated.lock().unwrap() = Delegated { prefix: "2a00:1:2:300::", valid, preferred };
        let seen = poll(&mut source);
        assert!(known(&seen).ends_with("is no longer valid"), "{valid} {preferred}: {}", known(&seen));
        assert!(matches!(seen.ipv6, Finding::Unknown(_)), "{valid} {preferred}");
    }
    *delegated.lock().unwrap() = Delegated { prefix: "2a00:9:9:900::", valid: 7200, preferred: 3600 };
    assert_eq!(known(&poll(&mut source)), "2a00:9:9:900::/56");
}
