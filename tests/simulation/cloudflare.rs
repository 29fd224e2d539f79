//! Cloudflare's API, as far as its documentation says what we use of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::updaters::{Reply, Request};
use serde_json::{Value, json};

use crate::providers::{Change, Held};

const ZONE: &str = "0123456789abcdef0123456789abcdef";

/// What became of a request: the answer, and what it asked to be changed.
pub(crate) struct Done {
    pub(crate) reply: Reply,
    pub(crate) changes: Vec<Change>,
}

fn id(kind: &str, name: &str) -> String {
    let mut text: String = format!("{kind}{name}").bytes().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(32);
    text
}

/// The records of a name.
fn entries(name: &str, held: Held) -> impl Iterator<Item = Value> {
    let all = [("A", held.ipv4.map(IpAddr::from)), ("AAAA", held.ipv6.map(IpAddr::from))];
    all.into_iter().filter_map(move |(kind, content)| Some(entry(kind, name, content?)))
}

fn entry(kind: &str, name: &str, content: IpAddr) -> Value {
    json!({"id": id(kind, name), "type": kind, "name": name, "content": content.to_string(), "ttl": 1, "proxied": false, "comment": null})
}

fn answer(status: u16, result: &Value) -> Reply {
    let count = result.as_array().map_or(0, Vec::len);
    let info = json!({"page": 1, "per_page": 100, "count": count, "total_count": count, "total_pages": 1});
    let body = json!({"success": true, "errors": [], "messages": [], "result": result, "result_info": info});
    Reply { status, body: body.to_string(), ..Reply::default() }
}

/// A refusal in the API's own form.
pub(crate) fn refusal(status: u16, code: u64, text: &str) -> Reply {
    let body = json!({"success": false, "errors": [{"code": code, "message": text}], "messages": [], "result": null});
    Reply { status, body: body.to_string(), ..Reply::default() }
}

/// Does what `request` asks, or with `does` unset only reads what that would be.
pub(crate) fn serve(records: &mut BTreeMap<String, Held>, request: &Request, does: bool) -> Done {
    let path = request.url.split("/client/v4/").nth(1).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').collect();
    let body: Value =
        request.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let mut changes = Vec::new();
    let mut take = |body: &Value| {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let content = body["content"].as_str().and_then(|text| text.parse().ok());
        let (mut addresses, mut names) = (Addresses::default(), Needs::default());
        match content {
            Some(IpAddr::V4(ipv4)) => (names.ipv4, addresses.ipv4) = (true, Some(ipv4)),
            Some(IpAddr::V6(ipv6)) => (names.ipv6, addresses.ipv6) = (true, Some(ipv6)),
            None => {}
        }
        let change = Change { name: name.clone(), addresses, names };
        if does {
            records.entry(name.clone()).or_default().take(&change);
        }
        changes.push(change);
        let kind = if names.ipv4 { "A" } else { "AAAA" };
        content.map_or(Value::Null, |content| entry(kind, &name, content))
    };
    let reply = match (request.method, parts.as_slice()) {
        ("GET", ["zones"]) => answer(200, &json!([{"id": ZONE, "name": "example.org", "status": "active"}])),
        ("GET", ["zones", ZONE, "dns_records"]) => {
            let name = query.split('&').find_map(|part| part.strip_prefix("name.exact="));
            let kind = query.split('&').find_map(|part| part.strip_prefix("type="));
            let found = records.iter().filter(|(known, _)| name.is_none_or(|name| name == **known));
            let found = found.flat_map(|(name, held)| entries(name, *held));
            answer(200, &found.filter(|entry| kind.is_none_or(|kind| entry["type"] == kind)).collect())
        }
        ("PATCH", ["zones", ZONE, "dns_records", _]) => {
            let entry = take(&body);
            answer(200, &entry)
        }
        ("POST", ["zones", ZONE, "dns_records"]) => {
            let entry = take(&body);
            answer(200, &entry)
        }
        ("POST", ["zones", ZONE, "dns_records", "batch"]) => {
            let mut part = |key: &str| -> Vec<Value> {
                body[key].as_array().into_iter().flatten().map(&mut take).collect()
            };
            let (patches, posts) = (part("patches"), part("posts"));
            answer(200, &json!({"patches": patches, "posts": posts, "puts": [], "deletes": []}))
        }
        _ => refusal(404, 7003, "Could not route"),
    };
    Done { reply, changes }
}
