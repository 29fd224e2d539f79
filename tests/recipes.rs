//! The recipes of `examples/` for providers' JSON interfaces, against a server
//! that takes nothing else than what the provider documents.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::{Config, parse};
use ddns_update_daemon::daemon::jobs::{Job, SharedClient};
use ddns_update_daemon::updaters::run::Standing;
use ddns_update_daemon::updaters::{Outcome, Task};
use serde_json::{Value, json};

/// One request as the provider documents it.
struct Expected {
    method: &'static str,
    path: &'static str,
    /// The header that holds the token, if it is not in the body.
    authorization: Option<&'static str>,
    body: Value,
    /// Status and text of the answer.
    answer: (u16, &'static str),
}

const IPV4: &str = "192.0.2.7";
const IPV6: &str = "2001:db8::7";
const BEARER: Option<&str> = Some("Bearer put-your-token-here");

fn expected(
    method: &'static str,
    path: &'static str,
    authorization: Option<&'static str>,
    body: Value,
    answer: (u16, &'static str),
) -> Expected {
    Expected { method, path, authorization, body, answer }
}

/// Every recipe: its file, the provider's host, and what must arrive.
fn recipes() -> Vec<(&'static str, &'static str, Vec<Expected>)> {
    let desec = json!([
        {"subname": "home", "type": "A", "ttl": 3600, "records": [IPV4]},
        {"subname": "home", "type": "AAAA", "ttl": 3600, "records": [IPV6]},
    ]);
    let gandi = |ip: &str| json!({"rrset_values": [ip], "rrset_ttl": 300});
    let ocean = |kind: &str, ip: &str| json!({"type": kind, "name": "home", "data": ip});
    let hetzner = |ip: &str| json!({"records": [{"value": ip}]});
    let porkbun = |ip: &str| json!({"apikey": "pk1_put-yours-here", "secretapikey": "sk1_put-yours-here", "content": ip, "ttl": "600"});
    let gandi_says = (201, "{\"message\": \"DNS Record Created\"}");
    let hetzner_says = (201, "{\"action\": {\"id\": 1, \"status\": \"running\"}}");
    let porkbun_says = (200, "{\"status\": \"SUCCESS\"}");
    let token = Some("Token put-your-token-here");
    let basic = Some("Basic put-yours-here");
    let namecom = |kind: &str, ip: &str| json!({"host": "home", "type": kind, "answer": ip, "ttl": 300});
    let luadns =
        |kind: &str, ip: &str| json!({"name": "home.example.org.", "type": kind, "content": ip, "ttl": 300});
    vec![
        (
            "url-desec.toml",
            "https://desec.io",
            vec![expected("PUT", "/api/v1/domains/example.org/rrsets/", token, desec, (200, "[]"))],
        ),
        (
            "url-gandi.toml",
            "https://api.gandi.net",
            [
                ("A", IPV4, "/v5/livedns/domains/example.org/records/home/A"),
                ("AAAA", IPV6, "/v5/livedns/domains/example.org/records/home/AAAA"),
            ]
            .map(|(_, ip, path)| expected("PUT", path, BEARER, gandi(ip), gandi_says))
            .into(),
        ),
        (
            "url-digitalocean.toml",
            "https://api.digitalocean.com",
            [
                ("A", IPV4, "/v2/domains/example.org/records/3352896"),
                ("AAAA", IPV6, "/v2/domains/example.org/records/3352897"),
            ]
            .map(|(kind, ip, path)| {
                expected("PUT", path, BEARER, ocean(kind, ip), (200, "{\"domain_record\": {}}"))
            })
            .into(),
        ),
        (
            "url-hetzner.toml",
            "https://api.hetzner.cloud",
            [
                (IPV4, "/v1/zones/example.org/rrsets/home/A/actions/set_records"),
                (IPV6, "/v1/zones/example.org/rrsets/home/AAAA/actions/set_records"),
            ]
            .map(|(ip, path)| expected("POST", path, BEARER, hetzner(ip), hetzner_says))
            .into(),
        ),
        (
            "url-porkbun.toml",
            "https://api.porkbun.com",
            [
                (IPV4, "/api/json/v3/dns/editByNameType/example.org/A/home"),
                (IPV6, "/api/json/v3/dns/editByNameType/example.org/AAAA/home"),
            ]
            .map(|(ip, path)| expected("POST", path, None, porkbun(ip), porkbun_says))
            .into(),
        ),
        (
            "url-name.com.toml",
            "https://api.name.com",
            [
                ("A", IPV4, "/v4/domains/example.org/records/456"),
                ("AAAA", IPV6, "/v4/domains/example.org/records/457"),
            ]
            .map(|(kind, ip, path)| expected("PUT", path, basic, namecom(kind, ip), (200, "{\"id\": 456}")))
            .into(),
        ),
        (
            "url-luadns.toml",
            "https://api.luadns.com",
            [("A", IPV4, "/v1/zones/123/records/456"), ("AAAA", IPV6, "/v1/zones/123/records/457")]
                .map(|(kind, ip, path)| {
                    expected("PUT", path, basic, luadns(kind, ip), (200, "{\"id\": 456}"))
                })
                .into(),
        ),
        (
            "url-linode.toml",
            "https://api.linode.com",
            [(IPV4, "/v4/domains/123/records/456"), (IPV6, "/v4/domains/123/records/457")]
                .map(|(ip, path)| {
                    expected("PUT", path, BEARER, json!({"target": ip}), (200, "{\"id\": 456}"))
                })
                .into(),
        ),
    ]
}

/// Serves what is expected; what else arrives is refused and told.
fn serve(expected: Vec<Expected>, odd: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            answer(tcp.unwrap(), &expected, &odd);
        }
    });
    port
}

fn answer(mut tcp: TcpStream, expected: &[Expected], odd: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(tcp.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let Some(start) = lines.first().cloned() else { return };
    let field = |name: &str| {
        let named = |line: &&String| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        lines
            .iter()
            .find(named)
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
    };
    let mut body = vec![0; field("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let fits = |one: &&Expected| {
        start == format!("{} {} HTTP/1.1", one.method, one.path)
            && field("content-type").as_deref() == Some("application/json")
            && field("authorization").as_deref() == one.authorization
            && field("user-agent").is_some_and(|agent| agent.starts_with("ddns-update-daemon/"))
            && serde_json::from_slice::<Value>(&body).is_ok_and(|body| body == one.body)
    };
    let (status, text) = if let Some(one) = expected.iter().find(fits) {
        one.answer
    } else {
        odd.lock().unwrap().push(format!("{lines:?} {}", String::from_utf8_lossy(&body)));
        (401, "{\"message\": \"bad put-your-token-here pk1_put-yours-here\"}")
    };
    let _ = write!(
        tcp,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
}

fn read(recipe: &str, host: &str, port: u16, change: impl Fn(String) -> String) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(recipe);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(host), "{recipe}");
    let text = change(text.replace(host, &format!("http://127.0.0.1:{port}")));
    let config = parse(&text, &path, &|_| Err("no file is needed".to_owned()));
    config.unwrap_or_else(|error| panic!("{error}"))
}

fn perform(config: &Config) -> Vec<Outcome> {
    let addresses =
        Addresses { ipv4: Some(IPV4.parse().unwrap()), ipv6: Some(IPV6.parse().unwrap()), ipv6_prefix: None };
    let task = Task { entry: 0, addresses, old: Addresses::default() };
    let connection = SharedClient::new(config);
    let outcomes = config
        .groups
        .iter()
        .flat_map(|group| Job::new(group).perform(vec![task], &connection, &Standing::default()));
    outcomes.map(|(_, outcome)| outcome).collect()
}

#[test]
fn every_recipe_sends_what_its_provider_documents() {
    for (recipe, host, expected) in recipes() {
        let count = expected.len();
        let odd = Arc::default();
        let port = serve(expected, Arc::clone(&odd));
        let config = read(recipe, host, port, |text| text);
        assert!(config.warnings.is_empty(), "{recipe}: {:?}", config.warnings);
        let outcomes = perform(&config);
        assert!(odd.lock().unwrap().is_empty(), "{recipe}: {odd:?}");
        assert_eq!(outcomes, vec![Outcome::Published { changed: true }; count], "{recipe}");
        let v4_only = |target: &&Arc<ddns_update_daemon::config::Target>| target.required.ipv4;
        assert_eq!(config.targets.iter().filter(v4_only).count(), 1, "{recipe}: one request needs IPv4");
    }
}

#[test]
fn a_refusal_is_tried_again_and_tells_no_secret() {
    for (recipe, host, expected) in recipes() {
        let port = serve(expected, Arc::default());
        let wrong = |text: String| text.replace("here", "here-s3cret");
        for outcome in perform(&read(recipe, host, port, wrong)) {
            let told = format!("{outcome:?}");
            assert!(
                matches!(outcome, Outcome::Retry { after: None, .. } | Outcome::Refused { after: None, .. }),
                "{recipe}: {told}"
            );
            assert!(
                !told.contains("s3cret") && !told.contains("Bearer put") && !told.contains("Basic put"),
                "{recipe}: {told}"
            );
        }
    }
}
