//! What Cloudflare costs, and whether every request is one that its description
//! (`cloudflare.openapi.json`) allows.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config;
use ddns_update_daemon::config::CloudflareRecord;
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::updaters::cloudflare::Cloudflare;
use ddns_update_daemon::updaters::{Outcome, Reply, Request, Task, Updater};
use serde_json::{Value, json};

const BASE: &str = "https://api.cloudflare.com/client/v4";

/// The description of the calls, with every `$ref` replaced by what it names.
fn contract() -> Value {
    let file: Value = serde_json::from_str(include_str!("cloudflare.openapi.json")).unwrap();
    resolved(&file, &file)
}

fn resolved(file: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => match fields.get("$ref") {
            Some(name) => {
                let pointer = name.as_str().unwrap().strip_prefix('#').unwrap();
                resolved(file, file.pointer(pointer).unwrap())
            }
            None => fields.iter().map(|(name, field)| (name.clone(), resolved(file, field))).collect(),
        },
        Value::Array(entries) => entries.iter().map(|entry| resolved(file, entry)).collect(),
        plain => plain.clone(),
    }
}

/// What is wrong with `value`, for the words of JSON schema that the file uses.
fn objections(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut object = |wrong: bool, word: &str| {
        if wrong {
            found.push(format!("{at}: {word} {}", schema[word]));
        }
    };
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("type {other}"),
    };
    object(schema["type"].as_str().is_some_and(|name| !is(name)), "type");
    object(schema["enum"].as_array().is_some_and(|all| !all.contains(value)), "enum");
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        object(schema["minLength"].as_u64().is_some_and(|least| length < least), "minLength");
        object(schema["maxLength"].as_u64().is_some_and(|most| length > most), "maxLength");
        let hex = |text: &str| text.len() == 32 && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
        match schema["pattern"].as_str() {
            None => {}
            Some("^[0-9a-f]{32}$") => object(!hex(text), "pattern"),
            Some(other) => panic!("pattern {other}"),
        }
        match schema["format"].as_str() {
            Some("ipv4") => object(text.parse::<std::net::Ipv4Addr>().is_err(), "format"),
            Some("ipv6") => object(text.parse::<std::net::Ipv6Addr>().is_err(), "format"),
            _ => {}
        }
    }
    if let Some(number) = value.as_f64() {
        object(schema["minimum"].as_f64().is_some_and(|least| number < least), "minimum");
        object(schema["maximum"].as_f64().is_some_and(|most| number > most), "maximum");
    }
    if let Some(fields) = value.as_object() {
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        object(required.iter().any(|name| !fields.contains_key(name.as_str().unwrap())), "required");
        let least = schema["minProperties"].as_u64();
        object(least.is_some_and(|least| (fields.len() as u64) < least), "minProperties");
        let unknown = fields.keys().any(|name| schema["properties"][name].is_null());
        object(schema["additionalProperties"] == json!(false) && unknown, "additionalProperties");
    }
    for (word, one) in [("oneOf", true), ("anyOf", false)] {
        if let Some(all) = schema[word].as_array() {
            let fitting = all.iter().filter(|schema| objections(schema, value, at).is_empty()).count();
            if fitting == 0 || one && fitting > 1 {
                found.push(format!("{at}: {word}, {fitting} fit: {value}"));
            }
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        if !schema["properties"][name].is_null() {
            found.extend(objections(&schema["properties"][name], field, &format!("{at}.{name}")));
        }
    }
    if let Some(entries) = value.as_array() {
        let (least, most) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        let count = entries.len() as u64;
        if least.is_some_and(|least| count < least) || most.is_some_and(|most| count > most) {
            found.push(format!("{at}: {count} entries"));
        }
    }
    for (index, entry) in value.as_array().into_iter().flatten().enumerate() {
        if !schema["items"].is_null() {
            found.extend(objections(&schema["items"], entry, &format!("{at}[{index}]")));
        }
    }
    found
}

/// What the description has against a request, its reply included.
fn objections_to(contract: &Value, request: &Request, reply: &Reply) -> Vec<String> {
    let rest = request.url.strip_prefix(BASE).unwrap();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let fits = |template: &str| {
        let (a, b): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a == b || a.starts_with('{') && *b != "batch")
    };
    let (template, operations) =
        contract["paths"].as_object().unwrap().iter().find(|(template, _)| fits(template)).unwrap();
    let operation = &operations[request.method.to_lowercase()];
    assert!(operation.is_object(), "{} {template}", request.method);
    let mut given: HashMap<String, &str> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|p| p.split_once('=').unwrap())
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    for (name, value) in template.split('/').zip(path.split('/')).filter(|(name, _)| name.starts_with('{')) {
        given.insert(name.trim_matches(['{', '}']).to_owned(), value);
    }
    let mut found = Vec::new();
    for (name, text) in given {
        let known =
            operation["parameters"].as_array().unwrap().iter().find(|known| known["name"] == name.as_str());
        let Some(known) = known else {
            found.push(format!("unknown parameter {name}"));
            continue;
        };
        let number = known["schema"]["type"] == "number";
        let value = if number { json!(text.parse::<u64>().unwrap()) } else { json!(text) };
        found.extend(objections(&known["schema"], &value, &name));
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema.is_null(), request.body.is_none(), "{} {path}", request.method);
    if let Some(body) = &request.body {
        found.extend(objections(schema, &serde_json::from_str(body).unwrap(), "body"));
    }
    let answered = &operation["responses"][reply.status.to_string()]["content"]["application/json"]["schema"];
    assert!(answered.is_object());
    found
}

/// Zones with records, in memory. Knows the calls that the daemon makes.
#[derive(Default)]
struct Fake {
    zones: Vec<(String, String)>,
    records: HashMap<String, Vec<Value>>,
    made: usize,
    requests: usize,
    largest_batch: usize,
}

impl Fake {
    fn add_zone(&mut self, name: &str) {
        let id = format!("{:032x}", 0xabc0 + self.zones.len());
        self.zones.push((id, name.to_owned()));
    }

    fn add(&mut self, name: &str, comment: Option<&str>) {
        let zone = self.zones.iter().find(|zone| name.ends_with(&zone.1)).unwrap().0.clone();
        let record = json!({"type": "A", "name": name, "content": "192.0.2.1", "comment": comment});
        self.create(&zone, record);
    }

    fn create(&mut self, zone: &str, mut record: Value) -> Value {
        self.made += 1;
        record["id"] = json!(format!("{:032x}", self.made));
        for (name, default) in [("ttl", json!(1)), ("proxied", json!(false))] {
            if record[name].is_null() {
                record[name] = default;
            }
        }
        self.records.entry(zone.to_owned()).or_default().push(record.clone());
        record
    }

    fn patch(&mut self, zone: &str, id: &str, fields: &Value) -> Value {
        let record =
            self.records.get_mut(zone).unwrap().iter_mut().find(|r| r["id"].as_str() == Some(id)).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        record.clone()
    }

    fn reply(&mut self, request: &Request) -> Reply {
        self.requests += 1;
        let rest = request.url.strip_prefix(BASE).unwrap();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let field = |name: &str| query.split('&').find_map(|p| p.strip_prefix(&format!("{name}=")));
        let body = request.body.as_ref().map(|body| serde_json::from_str::<Value>(body).unwrap());
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let result = match (request.method, parts.as_slice()) {
            ("GET", ["zones"]) => {
                let zones = self.zones.iter().filter(|zone| field("name").is_none_or(|name| name == zone.1));
                zones.map(|(id, name)| json!({"id": id, "name": name})).collect()
            }
            ("GET", ["zones", zone, "dns_records"]) => {
                let records = self.records.get(*zone).cloned().unwrap_or_default().into_iter();
                let wanted = |r: &Value| {
                    field("name.exact").is_none_or(|name| r["name"] == name)
                        && field("type").is_none_or(|kind| r["type"] == kind)
                };
                records.filter(wanted).collect()
            }
            ("POST", ["zones", zone, "dns_records"]) => self.create(zone, body.unwrap()),
            ("POST", ["zones", zone, "dns_records", "batch"]) => self.batch(zone, &body.unwrap()),
            ("PATCH", ["zones", zone, "dns_records", id]) => self.patch(zone, id, &body.unwrap()),
            other => panic!("{other:?}"),
        };
        page(&result, field("page"), field("per_page"))
    }

    fn batch(&mut self, zone: &str, body: &Value) -> Value {
        let part = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let (patches, posts) = (part("patches"), part("posts"));
        self.largest_batch = self.largest_batch.max(patches.len() + posts.len());
        let patches: Vec<Value> =
            patches.iter().map(|fields| self.patch(zone, fields["id"].as_str().unwrap(), fields)).collect();
        let posts: Vec<Value> = posts.into_iter().map(|record| self.create(zone, record)).collect();
        json!({"deletes": [], "patches": patches, "puts": [], "posts": posts})
    }
}

fn page(result: &Value, page: Option<&str>, size: Option<&str>) -> Reply {
    let number = |text: Option<&str>, default| text.map_or(default, |text| text.parse::<usize>().unwrap());
    let (page, size) = (number(page, 1), number(size, 100));
    let mut body = json!({"success": true, "errors": [], "messages": [], "result": result});
    if let Some(all) = body["result"].as_array() {
        let shown: Vec<Value> = all.iter().skip((page - 1) * size).take(size).cloned().collect();
        let pages = all.len().div_ceil(size);
        body["result_info"] = json!({"page": page, "per_page": size, "total_pages": pages});
        body["result"] = json!(shown);
    }
    Reply { status: 200, body: body.to_string(), ..Reply::default() }
}

fn record(name: &str, comment: Option<&str>) -> CloudflareRecord {
    CloudflareRecord {
        name: name.to_owned(),
        aaaa: false,
        ttl: Some(300),
        proxied: Some(false),
        comment: comment.map(str::to_owned),
        create: true,
    }
}

fn updater(records: Vec<CloudflareRecord>) -> Cloudflare {
    Cloudflare::new(config::Cloudflare {
        api_token: Secret::new("token".to_owned()),
        zone_id: None,
        api_url: BASE.to_owned(),
        records,
    })
}

/// A job with an address that ends in `last`; what it cost.
fn job(updater: &mut Cloudflare, fake: &mut Fake, count: usize, last: u8, contract: Option<&Value>) -> usize {
    let addresses = Addresses { ipv4: Some([192, 0, 2, last].into()), ..Addresses::default() };
    let before = fake.requests;
    let tasks = (0..count).map(|entry| Task { entry, addresses, old: Addresses::default() });
    let outcomes = updater.update(tasks.collect(), &mut |request| {
        let answer = fake.reply(request);
        if let Some(contract) = contract {
            let found = objections_to(contract, request, &answer);
            assert!(found.is_empty(), "{} {}: {found:?}", request.method, request.url);
        }
        Ok(answer)
    });
    assert_eq!(outcomes.len(), count);
    assert!(outcomes.iter().all(|(_, o)| matches!(o, Outcome::Published { .. })), "{outcomes:?}");
    fake.requests - before
}

/// `count` records in `zones` zones; of them `missing` are to be created.
fn bench(count: usize, zones: usize, missing: usize) -> (Cloudflare, Fake) {
    let mut fake = Fake::default();
    (0..zones).for_each(|zone| fake.add_zone(&format!("zone{zone}.example")));
    let names: Vec<String> = (0..count).map(|n| format!("h{n}.zone{}.example", n % zones)).collect();
    names.iter().skip(missing).for_each(|name| fake.add(name, None));
    (0..zones).for_each(|zone| fake.add(&format!("www.zone{zone}.example"), Some("someone else's")));
    (updater(names.iter().map(|name| record(name, None)).collect()), fake)
}

#[test]
fn the_cost_does_not_grow_with_the_records_but_with_the_batches() {
    let mut table = String::from(
        "| records | zones | first change | next change | nothing to change |\n| --- | --- | --- | --- | --- |\n",
    );
    // The first change also finds the zones: by name, or from their list.
    for (count, zones, most) in [
        (1, 1, [4, 2, 1]),
        (2, 1, [6, 3, 2]),
        (10, 1, [3, 2, 1]),
        (200, 1, [3, 2, 1]),
        (1000, 1, [9, 8, 3]),
        (1000, 4, [13, 12, 4]),
        (2000, 1, [16, 15, 5]),
    ] {
        let (mut updater, mut fake) = bench(count, zones, 0);
        let cost = [2, 3, 3].map(|last| job(&mut updater, &mut fake, count, last, None));
        writeln!(table, "| {count} | {zones} | {} | {} | {} |", cost[0], cost[1], cost[2]).unwrap();
        assert!(cost.iter().zip(most).all(|(cost, most)| *cost <= most), "{count} records: {cost:?}");
        assert!(fake.largest_batch <= 200);
        let all = fake.records.values().flatten();
        let (ours, others): (Vec<_>, Vec<_>) = all.partition(|record| record["content"] == "192.0.2.3");
        assert_eq!((ours.len(), others.len()), (count, zones), "what is not ours stays");
    }
    println!("{table}");
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cloudflare-table.md");
    std::fs::write(place, table).unwrap();
}

#[test]
fn every_request_is_one_that_the_description_allows() {
    let contract = contract();
    for (count, missing) in [(1, 0), (1, 1), (2, 1), (2, 0), (10, 3), (450, 201)] {
        let (mut updater, mut fake) = bench(count, 1, missing);
        job(&mut updater, &mut fake, count, 2, Some(&contract));
    }
    let mut fake = Fake::default();
    fake.add_zone("zone0.example");
    let lines = [Some("line one"), Some("line two")].map(|line| record("home.zone0.example", line));
    let mut updater = updater(lines.to_vec());
    job(&mut updater, &mut fake, 2, 2, Some(&contract));
    assert_eq!(fake.made, 2);
}

#[test]
fn the_check_against_the_description_sees_what_is_wrong() {
    let contract = contract();
    let zone = format!("{BASE}/zones/{:032x}/dns_records", 1);
    let request = |url: String, body: Value| Request {
        method: "POST",
        url,
        headers: Vec::new(),
        body: Some(body.to_string()),
        max_reply: 1,
        cut_will_do: false,
        family: None,
    };
    let fine = Reply { status: 200, body: String::new(), ..Reply::default() };
    let right = json!({"type": "A", "name": "a", "content": "192.0.2.1"});
    for (url, body, objected) in [
        (zone.clone() + "/batch", json!({}), true),
        (zone.clone() + "/batch", json!({"patches": [{"type": "A", "content": "192.0.2.1"}]}), true),
        (zone.clone() + "/batch", json!({"posts": [{"type": "A", "name": "a", "content": "::1"}]}), true),
        (zone.clone() + "/batch", json!({"posts": []}), true),
        (zone.clone() + "/batch", json!({"posts": vec![right.clone(); 200]}), false),
        (zone.clone() + "/batch", json!({"posts": vec![right.clone(); 201]}), true),
        (zone.clone(), right, false),
        (zone.clone(), json!({"type": "A", "name": "a", "content": "192.0.2.1", "ttl": 5}), true),
        (zone, json!({"type": "A", "name": "a", "content": "192.0.2.1", "odd": 1}), true),
    ] {
        assert_eq!(
            !objections_to(&contract, &request(url, body.clone()), &fine).is_empty(),
            objected,
            "{body}"
        );
    }
}
