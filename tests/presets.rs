//! Every preset against a strict stand-in for its provider.
//!
//! The stand-in is made from `providers.toml`, read here by itself: it takes
//! requests for the preset's path with exactly its parameters, credentials and
//! header over a real connection, decodes them, and answers in the provider's
//! words. It stands in as a proxy, so each provider is asked under its real name;
//! TLS is the one thing that is left out here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config;
use ddns_update_daemon::config::{Tls, UpdaterConfig, presets};
use ddns_update_daemon::daemon::jobs::{Job, SharedClient};
use ddns_update_daemon::transport::provider::HttpClient;
use ddns_update_daemon::updaters::dyndns2::Dyndns;
use ddns_update_daemon::updaters::run::Standing;
use ddns_update_daemon::updaters::{Outcome, Reply, Request, Task, Updater};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

mod stand_in;

use stand_in::{Arrived, StandIn, base64_decoded, parameters};

const TABLE: &str = include_str!("../src/config/providers.toml");
/// Everything that has a meaning in URLs, and letters beyond ASCII.
const PASSWORD: &str = "p&a=s s%w/ö+r?d#{ip}:\"";
const USER: &str = "me+you@example.org";
const TOKEN: &str = "t0k&n=%2B+/";

/// A row of the table.
type Row = BTreeMap<String, String>;

fn rows() -> BTreeMap<String, Row> {
    let table = DeTable::parse(TABLE).unwrap();
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Array(list) => {
            list.iter().map(|value| value.get_ref().as_str().unwrap()).collect::<Vec<_>>().join("\n")
        }
        _ => "true".to_owned(),
    };
    let row = |row: &DeValue<'_>| {
        let row = row.as_table().unwrap().iter();
        row.map(|(key, value)| (key.get_ref().to_string(), text(value.get_ref()))).collect()
    };
    let rows = table.get_ref().iter().map(|(name, value)| (name.get_ref().to_string(), row(value.get_ref())));
    rows.filter(|(_, row): &(String, Row)| !row.contains_key("by")).collect()
}

fn mentions(row: &Row, name: &str) -> bool {
    let (plain, filled) = (format!("{{{name}}}"), format!("{{{name}|"));
    ["url", "url6", "form", "json", "basic", "header", "zone"]
        .iter()
        .filter_map(|key| row.get(*key))
        .any(|text| text.contains(&plain) || text.contains(&filled))
}

/// What the placeholders stand for in this test.
struct Values {
    host: String,
    label: String,
    zone: String,
    user: String,
    password: String,
}

impl Values {
    fn of(row: &Row) -> Self {
        let user_is_zone = row.get("zone").is_some_and(|zone| zone == "{username}");
        let zone = match row.get("zone") {
            Some(_) if user_is_zone => "zone.example".to_owned(),
            Some(zone) => zone.clone(),
            None => "zone.example".to_owned(),
        };
        Self {
            host: if row.contains_key("id") { "12345".to_owned() } else { format!("my-host.{zone}") },
            label: "my-host".to_owned(),
            user: if user_is_zone { zone.clone() } else { USER.to_owned() },
            password: PASSWORD.to_owned(),
            zone,
        }
    }

    /// A template's text, nothing encoded; `None` when an address is missing.
    fn fill(&self, template: &str, sent: &Addresses) -> Option<String> {
        let all: Vec<String> = [sent.ipv4.map(IpAddr::from), sent.ipv6.map(IpAddr::from)]
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let (ipv4, ipv6) = (sent.ipv4.map(|ip| ip.to_string()), sent.ipv6.map(|ip| ip.to_string()));
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').unwrap();
            let kind = if ipv4.is_some() { "A" } else { "AAAA" };
            let (name, otherwise) = name.split_once('|').unwrap_or((name, ""));
            let value = match name {
                "host" => self.host.clone(),
                "label" | "sub" => self.label.clone(),
                "apex" => "false".to_owned(),
                "type" => kind.to_owned(),
                "zone" => self.zone.clone(),
                "username" => self.user.clone(),
                "password" => self.password.clone(),
                "token" | "raw_token" => TOKEN.to_owned(),
                "ipv4" if ipv4.is_none() && otherwise.is_empty() => return None,
                "ipv6" if ipv6.is_none() && otherwise.is_empty() => return None,
                "ipv4" => ipv4.clone().unwrap_or_else(|| otherwise.to_owned()),
                "ipv6" => ipv6.clone().unwrap_or_else(|| otherwise.to_owned()),
                "ip" => all.first()?.clone(),
                "ips" => all.join(","),
                other => panic!("{other}"),
            };
            filled += before;
            filled += &value;
            rest = after;
        }
        Some(filled + rest)
    }

    fn section(&self, provider: &str, row: &Row, more: &str) -> String {
        let mut text = format!("[[dyndns]]\nprovider = \"{provider}\"\n{more}\n");
        if ["host", "label", "sub"].iter().any(|name| mentions(row, name)) {
            let _ = writeln!(text, "hostname = \"{}\"", self.host);
        }
        for (key, name, value) in [
            ("username", "username", self.user.as_str()),
            ("password", "password", &self.password),
            ("token", "token", TOKEN),
            ("token", "raw_token", TOKEN),
        ] {
            if mentions(row, name) {
                let _ = writeln!(text, "{key} = '{value}'");
            }
        }
        text
    }
}

/// What must arrive for `sent`; in each request one family, where they are split.
fn expected(row: &Row, values: &Values, sent: &Addresses) -> Arrived {
    let ipv6_only = sent.ipv4.is_none();
    let url = row.get("url6").filter(|_| ipv6_only).unwrap_or(&row["url"]);
    let (_, behind) = url.split_once("://").unwrap();
    let (host, path) = behind.split_once('/').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let fill = |template: &str| {
        let filled = |text: &str| values.fill(text, sent);
        parameters(template, false)
            .into_iter()
            .filter_map(|(key, value)| match value {
                Some(value) => Some((filled(&key)?, Some(filled(&value)?))),
                None => Some((filled(&key)?, None)),
            })
            .collect()
    };
    let mut headers = BTreeMap::new();
    if let Some(basic) = row.get("basic") {
        headers.insert("authorization".to_owned(), format!("Basic {}", values.fill(basic, sent).unwrap()));
    }
    if let Some(line) = row.get("header") {
        let (name, value) = line.split_once(": ").unwrap();
        headers.insert(name.to_ascii_lowercase(), values.fill(value, sent).unwrap());
    }
    Arrived {
        method: row.get("method").cloned().unwrap_or_else(|| "GET".to_owned()),
        host: host.strip_suffix(":80").unwrap_or(host).to_owned(),
        path: format!("/{}", values.fill(path, sent).unwrap()),
        // Sent as it is: escaped only where a query could not hold it.
        query: if query.contains("{raw_token}") {
            vec![(format!("t0k%26n=%252B+/&address={}", values.fill("{ip}", sent).unwrap()), None)]
        } else {
            fill(query)
        },
        form: fill(row.get("form").map_or("", String::as_str)),
        json: row.get("json").map(|json| filled(serde_json::from_str(json).unwrap(), values, sent)),
        headers,
    }
}

/// JSON with the placeholders of its texts filled in.
fn filled(template: Value, values: &Values, sent: &Addresses) -> Value {
    let each = |value| filled(value, values, sent);
    match template {
        Value::String(text) => Value::String(values.fill(&text, sent).unwrap()),
        Value::Array(list) => list.into_iter().map(each).collect(),
        Value::Object(object) => object.into_iter().map(|(key, value)| (key, each(value))).collect(),
        other => other,
    }
}

/// Fails unless exactly what is expected has arrived.
fn check(provider: &str, arrived: &Arrived, expected: &Arrived) {
    assert_eq!(arrived.method, expected.method, "{provider}");
    assert_eq!((&arrived.host, &arrived.path), (&expected.host, &expected.path), "{provider}");
    assert_eq!(arrived.query, expected.query, "{provider}");
    assert_eq!(arrived.form, expected.form, "{provider}");
    assert_eq!(arrived.json, expected.json, "{provider}");
    let agent = &arrived.headers["user-agent"];
    assert!(agent.starts_with("ddns-update-daemon/") && agent.contains("(+https://"), "{agent}");
    for name in ["authorization", "x-forwarded-for", "x-auth-token"] {
        let value = arrived.headers.get(name).map(|value| match value.strip_prefix("Basic ") {
            Some(code) => format!("Basic {}", base64_decoded(code)),
            None => value.clone(),
        });
        assert_eq!(value.as_ref(), expected.headers.get(name), "{provider}: {name}");
    }
    if !expected.form.is_empty() {
        assert_eq!(arrived.headers["content-type"], "application/x-www-form-urlencoded", "{provider}");
    }
}

/// An answer of the provider that means what `kind` says, made from its rules.
fn words(row: &Row, kind: &str, values: &Values, sent: &Addresses) -> Option<String> {
    let rule = match (row.get(kind), kind) {
        (Some(rules), _) => rules.lines().next().unwrap().to_owned(),
        (None, "good") if row.contains_key("empty") => return Some(String::new()),
        (None, "good") => "good".to_owned(),
        (None, "same") if !row.contains_key("good") => "nochg".to_owned(),
        (None, "stop") => "badauth".to_owned(),
        (None, _) => return None,
    };
    let filled = values.fill(&rule, sent).unwrap();
    Some(match (filled.strip_prefix('*'), filled.strip_suffix('*')) {
        (Some(rest), _) => format!("<p>{}</p>\nmore", rest.trim_end_matches('*')),
        (None, Some(start)) => format!("{start}and so on"),
        _ if filled.contains(' ') => filled,
        _ => format!("{filled} and more\r\n"),
    })
}

fn addresses(ipv4: &str, ipv6: &str) -> Addresses {
    Addresses { ipv4: ipv4.parse().ok(), ipv6: ipv6.parse().ok(), ipv6_prefix: None }
}

fn knows_ipv6(row: &Row) -> bool {
    row.contains_key("url6") || ["ip", "ips", "ipv6"].iter().any(|name| mentions(row, name))
}

/// The requests that these addresses take.
fn parts(row: &Row, all: &Addresses) -> Vec<Addresses> {
    let both = ["{ipv6", "{ips"].iter().any(|name| row["url"].contains(name));
    if mentions(row, "ip") || (row.contains_key("url6") && !both) {
        let ipv4 = all.ipv4.map(|ip| addresses(&ip.to_string(), ""));
        let ipv6 = all.ipv6.map(|ip| addresses("", &ip.to_string()));
        return ipv4.into_iter().chain(ipv6).collect();
    }
    vec![*all]
}

fn account(section: &str) -> Arc<config::Dyndns> {
    let config = config::parse(section, Path::new("c.toml"), &|_| Err(String::new()));
    let config = config.unwrap_or_else(|error| panic!("{error}\n{section}"));
    let UpdaterConfig::Dyndns(account) = &config.groups[0] else { panic!("{section}") };
    Arc::clone(account)
}

fn task(addresses: Addresses) -> Task {
    Task { entry: 0, addresses, old: Addresses::default() }
}

/// What a job is told when everything is answered with `kind`.
fn perform(
    stand_in: &StandIn,
    web: &HttpClient,
    (name, row): (&str, &Row),
    account: &Arc<config::Dyndns>,
    sent: Addresses,
    kind: &str,
) -> Option<Outcome> {
    let values = Values::of(row);
    words(row, kind, &values, &sent)?;
    let mut parts = parts(row, &sent).into_iter();
    let mut updater = Dyndns::new(Arc::clone(account));
    let mut outcomes = updater.update(vec![task(sent)], &mut |request| {
        let part = parts.next().unwrap_or_else(|| panic!("{name}: one request too many"));
        let answer = (200, words(row, kind, &values, &part).expect("the same for each family"));
        let (answered, arrived) = stand_in.carry(request, answer, web);
        check(name, &arrived, &expected(row, &values, &part));
        Ok(answered)
    });
    let left = parts.count();
    assert!(left == 0 || kind == "stop" || kind == "later", "{name}: {left} requests missing");
    Some(outcomes.remove(0).1)
}

fn families(row: &Row) -> Vec<Addresses> {
    let (ipv4, ipv6) = ("192.0.2.77", "2001:db8:1::77");
    match (knows_ipv6(row), row.contains_key("record")) {
        (true, false) => vec![addresses(ipv4, ipv6), addresses(ipv4, ""), addresses("", ipv6)],
        (true, true) => vec![addresses(ipv4, ""), addresses("", ipv6)],
        (false, _) => vec![addresses(ipv4, "")],
    }
}

#[test]
fn every_preset_asks_as_its_provider_wants_and_understands_the_answer() {
    let stand_in = StandIn::start();
    let web = stand_in.web();
    let rows = rows();
    assert_eq!(rows.len(), presets::all().len());
    for (name, row) in &rows {
        for sent in families(row) {
            let more = if sent.ipv4.is_none() { "ipv4 = []" } else { "" };
            let account = account(&Values::of(row).section(name, row, more));
            let judged = |kind| perform(&stand_in, &web, (name, row), &account, sent, kind);
            assert_eq!(judged("good"), Some(Outcome::Published { changed: true }), "{name}");
            let same = judged("same");
            assert!(
                same.is_none() || same == Some(Outcome::Published { changed: false }),
                "{name}: {same:?}"
            );
            assert!(matches!(judged("stop"), Some(Outcome::Blocked { .. })), "{name}");
            let later = judged("later");
            assert!(matches!(later, None | Some(Outcome::Retry { after: Some(_), .. })), "{name}: {later:?}");
        }
    }
}

#[test]
fn every_preset_knows_the_return_codes() {
    for (name, row) in &rows() {
        let account = account(&Values::of(row).section(name, row, ""));
        let sent = families(row)[0];
        let outcome = |status, body: &str| {
            let mut updater = Dyndns::new(Arc::clone(&account));
            let reply = Reply { status, body: body.to_owned(), ..Reply::default() };
            updater.update(vec![task(sent)], &mut |_| Ok(reply.clone())).remove(0).1
        };
        for word in [
            "badauth", "!donator", "!active", "!yours", "notfqdn", "nohost", "numhost", "abuse", "badagent",
            "badsys",
        ] {
            assert!(matches!(outcome(200, word), Outcome::Blocked { .. }), "{name}: {word}");
        }
        for word in ["dnserr", "911", "w10m"] {
            assert!(matches!(outcome(200, word), Outcome::Retry { after: Some(_), .. }), "{name}: {word}");
        }
        for status in [401, 403] {
            assert!(matches!(outcome(status, "<html>"), Outcome::Refused { after: None, .. }), "{name}");
        }
        assert!(matches!(outcome(429, ""), Outcome::Retry { after: Some(_), .. }), "{name}");
        for (status, body) in [(500, "good"), (503, ""), (302, "good"), (200, "<html>Welcome</html>")] {
            let outcome = outcome(status, body);
            assert!(!matches!(outcome, Outcome::Published { .. }), "{name}: {status} {body}");
        }
        let empty = row.contains_key("empty") || row.contains_key("any");
        assert_eq!(matches!(outcome(200, ""), Outcome::Published { .. }), empty, "{name}");
    }
}

#[test]
fn a_server_of_the_users_own_is_asked_at_its_url() {
    let stand_in = StandIn::start();
    let text = format!(
        "[[dyndns]]\nurl = \"http://127.0.0.1:{}/nic/update\"\nhostnames = [\"a.example\", \"b.example\"]\n\
         username = '{USER}'\npassword = '{PASSWORD}'",
        stand_in.port
    );
    let config = config::parse(&text, Path::new("c.toml"), &|_| Err(String::new())).unwrap();
    let tasks: Vec<Task> =
        (0..2).map(|entry| Task { entry, ..task(addresses("192.0.2.7", "2001:db8::7")) }).collect();
    for answer in ["good 192.0.2.7", "nochg 2001:db8::7", "nohost"] {
        stand_in.answers.send((200, answer.to_owned())).unwrap();
    }
    let outcomes =
        Job::new(&config.groups[0]).perform(tasks, &SharedClient::new(&config), &Standing::default());
    assert!(
        matches!(&outcomes[..], [(0, Outcome::Published { changed: true }), (1, Outcome::Blocked { .. })]),
        "{outcomes:?}"
    );
    for (host, ip) in [("a.example", "192.0.2.7"), ("a.example", "2001:db8::7"), ("b.example", "192.0.2.7")] {
        let arrived = stand_in.arrived.recv().unwrap();
        assert_eq!((arrived.method.as_str(), arrived.path.as_str()), ("GET", "/nic/update"));
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        assert_eq!(arrived.query, [pair("hostname", host), pair("myip", ip)]);
        let code = arrived.headers["authorization"].strip_prefix("Basic ").unwrap();
        assert_eq!(base64_decoded(code), format!("{USER}:{PASSWORD}"));
    }
    assert!(stand_in.arrived.try_recv().is_err(), "the refused name's other family is not sent");
}

/// Answers that were written down without a look at the presets' rules.
#[test]
fn every_preset_understands_its_providers_words() {
    let table = DeTable::parse(include_str!("provider_answers.toml")).unwrap();
    let rows = rows();
    let mut read: Vec<&str> = Vec::new();
    for (names, answers) in table.get_ref() {
        let answers = answers.get_ref().as_table().unwrap();
        for name in names.get_ref().split(' ') {
            let row = rows.get(name).unwrap_or_else(|| panic!("{name} is no preset"));
            let values = Values::of(row);
            let account = account(&values.section(name, row, ""));
            let sent = addresses("192.0.2.77", "");
            let outcome = |key: &str, status| {
                let body = answers.get(key)?.get_ref().as_str().unwrap();
                let body = body.replace("{ip}", "192.0.2.77").replace("{host}", &values.host);
                let mut updater = Dyndns::new(Arc::clone(&account));
                let reply = Reply { status, body, ..Reply::default() };
                Some(updater.update(vec![task(sent)], &mut |_| Ok(reply.clone())).remove(0).1)
            };
            assert_eq!(outcome("good", 200), Some(Outcome::Published { changed: true }), "{name}");
            let same = outcome("same", 200);
            assert!(
                same.is_none() || same == Some(Outcome::Published { changed: false }),
                "{name}: {same:?}"
            );
            let status = answers.get("status").map_or("200", |status| match status.get_ref() {
                DeValue::Integer(number) => number.as_str(),
                _ => panic!("{name}"),
            });
            let refused = outcome("refused", status.parse().unwrap()).unwrap();
            let means = match refused {
                Outcome::Blocked { .. } => "blocked",
                Outcome::Refused { .. } => "refused",
                Outcome::Retry { .. } | Outcome::NeedsPerson { .. } => "later",
                Outcome::Published { .. } | Outcome::Dropped { .. } => "success",
            };
            let expected = answers.get("means").map_or("blocked", |means| means.get_ref().as_str().unwrap());
            assert_eq!(means, expected, "{name}: {refused:?}");
            read.push(name);
        }
    }
    let missing: Vec<_> = rows.keys().filter(|name| !read.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "tests/provider_answers.toml lacks {missing:?}");
    assert_eq!(read.len(), rows.len(), "a name stands twice in tests/provider_answers.toml");
}
