//! Properties of jobs at Cloudflare, whatever the other side answers.
//!
//! The input scripts the replies: each byte picks one, the following byte shapes
//! it. Some are what Cloudflare would say to the request at hand, so that jobs
//! get far; some are nonsense.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config;
use ddns_update_daemon::config::CloudflareRecord;
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::updaters::cloudflare::Cloudflare;
use ddns_update_daemon::updaters::{Failure, Outcome, Reply, Request, Task, Updater};
use serde_json::{Value, json};

const TOKEN: &str = "s3ntinel-t0ken";
const API: &str = "https://api.example/client/v4";
const ZONE: &str = "0123456789abcdef0123456789abcdef";
const IPV4: Ipv4Addr = Ipv4Addr::new(198, 41, 0, 4);
const IPV6: Ipv6Addr = Ipv6Addr::new(0x2600, 1, 0, 0, 0, 0, 0, 7);

fn record(name: &str, aaaa: bool, comment: Option<&str>, create: bool) -> CloudflareRecord {
    CloudflareRecord {
        name: name.to_owned(),
        aaaa,
        ttl: comment.map(|_| 300),
        proxied: comment.map(|_| true),
        comment: comment.map(str::to_owned),
        create,
    }
}

fn account(setting: u8) -> config::Cloudflare {
    config::Cloudflare {
        api_token: Secret::new(TOKEN.to_owned()),
        zone_id: (setting & 1 != 0).then(|| ZONE.to_owned()),
        api_url: API.to_owned(),
        records: vec![
            record("home.example.org", false, None, true),
            record("home.example.org", true, None, setting & 2 != 0),
            record(if setting & 4 != 0 { "nas" } else { "nas.sub.example.org" }, false, None, true),
            record("two.example.org", false, Some("ours"), true),
            record("two.example.org", false, Some("theirs"), true),
            record("*.example.com", true, None, true),
            record(if setting & 8 != 0 { "@" } else { "example.net" }, false, None, false),
        ],
    }
}

/// Every job ends within its bounds with one outcome for each task; nothing but
/// wanted content is ever sent, and nothing is published that was not accepted.
pub(super) fn cloudflare(data: &[u8]) {
    let [setting, script @ ..] = data else { return };
    let config = account(*setting);
    let mut updater = Cloudflare::new(config.clone());
    let mut script = script.iter().copied();
    // The second job starts from the zones of the first.
    for _ in 0..2 {
        run_job(&config, &mut updater, &mut script, *setting);
    }
}

fn run_job(
    config: &config::Cloudflare,
    updater: &mut Cloudflare,
    script: &mut impl Iterator<Item = u8>,
    setting: u8,
) {
    let addresses =
        Addresses { ipv4: Some(IPV4), ipv6: (setting & 16 == 0).then_some(IPV6), ipv6_prefix: None };
    // An entry that the configuration does not have is answered for, too.
    let entries: Vec<usize> = (0..config.records.len() + usize::from(setting & 32 != 0)).collect();
    let tasks = entries.iter().map(|&entry| Task { entry, addresses, old: Addresses::default() });
    let mut requests = 0;
    // Accepted changes, and records shown, by type and name.
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    let mut shown: usize = 0;
    let outcomes = updater.update(tasks.collect(), &mut |request| {
        requests += 1;
        assert!(requests <= 600, "a job is bounded");
        check_request(config, request);
        let reply = reply(request, script);
        let success = reply.as_ref().is_ok_and(|reply| says_success(&reply.body));
        if request.method == "GET" {
            shown += usize::from(success);
        } else if success {
            for (_, record) in changes(request) {
                *accepted.entry(key(&record)).or_default() += 1;
            }
        }
        reply
    });
    let mut answered: Vec<usize> = outcomes.iter().map(|(entry, _)| *entry).collect();
    answered.sort_unstable();
    assert_eq!(answered, entries, "one outcome for each task");
    // `@` may be any name, and takes what the others leave.
    let named =
        |(entry, _): &&(usize, Outcome)| config.records.get(*entry).is_none_or(|record| record.name != "@");
    for (entry, outcome) in outcomes.iter().filter(named).chain(outcomes.iter().filter(|one| !named(one))) {
        match outcome {
            Outcome::Published { changed: true } => {
                let record = &config.records[*entry];
                let label = record.name.split('.').next().expect("a label");
                let kind = if record.aaaa { "AAAA" } else { "A" };
                let prefix = if label == "@" { format!("{kind} ") } else { format!("{kind} {label}") };
                let left = accepted.iter_mut().find(|(key, left)| key.starts_with(&prefix) && **left > 0);
                *left.expect("it was accepted").1 -= 1;
            }
            Outcome::Published { changed: false } => assert!(shown > 0, "nobody showed the record"),
            Outcome::Retry { why, after, .. } => {
                check_words(why);
                assert!(after.is_none_or(|after| after <= Duration::from_secs(86_400)));
            }
            Outcome::NeedsPerson { why }
            | Outcome::Blocked { why }
            | Outcome::Refused { why, .. }
            | Outcome::Dropped { why } => {
                check_words(why);
            }
        }
    }
}

fn check_words(why: &str) {
    assert!(!why.contains(TOKEN), "{why}");
    assert!(!why.chars().any(char::is_control) && why.len() < 1500, "{why}");
}

fn key(record: &Value) -> String {
    format!("{} {}", record["type"].as_str().expect("a type"), record["name"].as_str().expect("a name"))
}

/// The records that a request writes, and whether each is created.
fn changes(request: &Request) -> Vec<(bool, Value)> {
    let Some(body) = &request.body else { return Vec::new() };
    let body: Value = serde_json::from_str(body).expect("JSON");
    if !request.url.ends_with("/batch") {
        return vec![(request.method == "POST", body)];
    }
    let parts = body.as_object().expect("an object");
    assert!(parts.keys().all(|part| part == "patches" || part == "posts"), "never deletes, never replaces");
    let records = parts.iter().flat_map(|(part, records)| {
        let records = records.as_array().expect("an array").iter();
        records.map(move |record| (part == "posts", record.clone()))
    });
    let records: Vec<_> = records.collect();
    assert!((2..=200).contains(&records.len()), "a batch is of some, and of no more than any plan takes");
    records
        .into_iter()
        .map(|(created, mut record)| {
            let id = record.as_object_mut().expect("an object").remove("id");
            assert_eq!(id.is_some(), !created, "an id says which record to change");
            (created, record)
        })
        .collect()
}

fn check_request(config: &config::Cloudflare, request: &Request) {
    assert!(matches!(request.method, "GET" | "PATCH" | "POST"), "never deletes, never replaces");
    let path = request.url.strip_prefix(API).expect("the API's own URL");
    assert!(path.starts_with("/zones") && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    assert!(!path.contains("..") && !path.contains("//") && !path.contains('#') && !path.contains(TOKEN));
    assert!(request.headers.contains(&("Authorization".to_owned(), format!("Bearer {TOKEN}"))));
    assert!(!format!("{request:?}").contains(TOKEN));
    assert_eq!(request.body.is_some(), request.method != "GET");
    for (created, record) in changes(request) {
        check_record(config, &record, created);
    }
}

fn check_record(config: &config::Cloudflare, body: &Value, created: bool) {
    let allowed = ["type", "name", "content", "ttl", "proxied", "comment"];
    assert!(body.as_object().expect("an object").keys().all(|key| allowed.contains(&key.as_str())));
    let content = if body["type"] == "A" { IPV4.to_string() } else { IPV6.to_string() };
    assert_eq!(body["content"], content);
    let name = body["name"].as_str().expect("a name");
    let mine = |record: &CloudflareRecord| {
        record.name == "@"
            || name == record.name
            || name.strip_prefix(&record.name).is_some_and(|rest| rest.starts_with('.'))
    };
    assert!(config.records.iter().any(mine), "{name}");
    for setting in ["ttl", "proxied", "comment"] {
        let known = [json!(300), json!(true), json!("ours"), json!("theirs")];
        let default = created && (body[setting] == 1 || body[setting] == false);
        assert!(body[setting].is_null() || default || known.contains(&body[setting]));
    }
}

fn says_success(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|body| body["success"] == true)
}

fn reply(request: &Request, script: &mut impl Iterator<Item = u8>) -> Result<Reply, Failure> {
    let (Some(kind), Some(shape)) = (script.next(), script.next()) else {
        return Err(Failure { why: "the connection failed".to_owned(), maybe_done: true });
    };
    let (status, body) = match kind % 16 {
        0..10 => (200, fitting(request, shape)),
        10 => (if shape & 1 == 0 { 200 } else { 500 }, nonsense(shape)),
        11 => {
            let code = [1000, 6003, 7003, 9109, 10000, 81044, 81053, 81057, 9020, 10001, 971, 6111]
                [usize::from(shape % 12)];
            let status = [400, 401, 403, 404, 429, 500, 200][usize::from(shape >> 4) % 7];
            let message = format!("no {TOKEN}\r\n\u{1b}[1m");
            (status, json!({"success": false, "errors": [{"code": code, "message": message}]}))
        }
        12 => {
            return Err(Failure { why: "it did not answer in time".to_owned(), maybe_done: shape & 1 == 0 });
        }
        13 => (200, json!({"success": true, "result": null})),
        14 => {
            return Ok(Reply { status: 502, body: format!("<html>{TOKEN}"), ..Reply::default() });
        }
        _ => {
            let body = json!({"success": false, "errors": []}).to_string();
            return Ok(Reply {
                status: 429,
                retry_after: Some(Duration::from_secs(shape.into())),
                body,
                ..Reply::default()
            });
        }
    };
    Ok(Reply { status, body: body.to_string(), ..Reply::default() })
}

/// Something like what Cloudflare would say.
fn fitting(request: &Request, shape: u8) -> Value {
    let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    if let Some(body) = &request.body {
        let mut result: Value = serde_json::from_str(body).expect("JSON");
        if request.url.ends_with("/batch") {
            return json!({"success": true, "result": batched(result, shape)});
        }
        result["id"] = json!(format!("r{}", shape >> 4));
        match shape % 8 {
            0 => result["content"] = json!("192.0.2.99"),
            1 => result = Value::Null,
            _ => {}
        }
        return json!({"success": true, "result": result});
    }
    // Lists that go on for as long as anyone asks.
    let info = if shape & 64 != 0 { json!({"page": 1, "total_pages": 1_000_000}) } else { Value::Null };
    let result = if path.ends_with("/zones") {
        let strange =
            ["example.org", "example.org&x=y", "a b\r\n", "\u{e4}.example"][usize::from(shape >> 1) % 4];
        let name = parameter("name").unwrap_or_else(|| strange.to_owned());
        let zone = json!({"id": ZONE, "name": name});
        match shape % 4 {
            0 => json!([]),
            3 => json!([zone, {"id": "second", "name": name}]),
            _ => json!([zone]),
        }
    } else {
        let name = parameter("name.exact").unwrap_or_else(|| "home.example.org".to_owned());
        let kind = parameter("type").unwrap_or_else(|| "A".to_owned());
        let right = if kind == "A" { IPV4.to_string() } else { IPV6.to_string() };
        let content = if shape & 1 == 0 { right } else { "192.0.2.98".to_owned() };
        let comment = ["", "ours", "theirs", TOKEN][usize::from(shape >> 1) % 4];
        let one = |id: &str| json!({"id": id, "type": kind, "name": name, "content": content, "comment": comment, "ttl": 300, "proxied": true});
        match shape >> 3 & 7 {
            0 => json!([]),
            1 => json!([one("a"), one("b")]),
            2 => json!([one("a"), {"id": "t", "type": "TXT"}]),
            3 => json!([one("a/../b")]),
            _ => json!([one("a")]),
        }
    };
    json!({"success": true, "result": result, "result_info": info})
}

/// A batch that was done, or somehow was not.
fn batched(mut result: Value, shape: u8) -> Value {
    for record in result["posts"].as_array_mut().into_iter().flatten() {
        record["id"] = json!("new");
    }
    match shape % 8 {
        0 => result["patches"] = json!([{"id": "a", "type": "A", "name": "x", "content": "192.0.2.99"}]),
        1 => result = Value::Null,
        2 => result["posts"] = json!([]),
        _ => {}
    }
    result
}

fn nonsense(shape: u8) -> Value {
    match shape >> 1 & 7 {
        0 => json!([]),
        1 => json!({"success": "true", "result": []}),
        2 => json!({"success": true}),
        3 => json!({"success": true, "result": [[], 1, null]}),
        4 => json!({"success": true, "result": {"id": 5}}),
        5 => json!({"success": false, "errors": {"code": 1}}),
        6 => json!({"success": true, "result": [{"id": "", "name": "x", "type": "A", "content": ""}]}),
        _ => Value::Null,
    }
}
