//! Jobs against a Cloudflare in memory.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use serde_json::{Value, json};

mod batches;
mod faults;
mod names;
mod refusals;
mod token;
mod zones;

use std::mem;
use std::sync::Arc;

use super::session::{LIMITED, MAX_FAULTS, MAX_REQUESTS};
use super::*;
use crate::quote::Secrets;
use crate::secret::Secret;
use crate::updaters::{Failure, Reply, Request};

const TOKEN: &str = "Zq7Xv9Kw4Jb2Hf8Gd6Np3Rt5Ym1Uc0Qz7Xv9Kw4J";
const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// Zones and records, and a list of what was asked.
struct Fake {
    zones: Vec<(&'static str, &'static str)>,
    records: Vec<Value>,
    asked: Vec<String>,
    page_size: usize,
    created: usize,
}

impl Fake {
    fn new(records: &[(&str, &str, &str)]) -> Self {
        let mut fake = Self {
            zones: vec![(ZONE, "example.com")],
            records: Vec::new(),
            asked: Vec::new(),
            page_size: 100,
            created: 0,
        };
        for (kind, name, content) in records {
            fake.insert(
                json!({"type": kind, "name": name, "content": content, "ttl": 300, "proxied": false}),
            );
        }
        fake
    }

    fn insert(&mut self, mut record: Value) -> Value {
        self.created += 1;
        record["id"] = json!(format!("r{}", self.created));
        self.records.push(record.clone());
        record
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let path = request.url.strip_prefix("https://api.test/v4/").unwrap();
        self.asked.push(format!("{} {path}", request.method));
        assert_eq!(request.headers[0], ("Authorization".to_owned(), format!("Bearer {TOKEN}")));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let field = |name: &str| query.split('&').find_map(|part| part.strip_prefix(&format!("{name}=")));
        let page: usize = field("page").map_or(1, |page| page.parse().unwrap());
        let body = request.body.as_ref().map(|body| serde_json::from_str::<Value>(body).unwrap());
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method, parts.as_slice()) {
            ("GET", ["zones"]) => {
                let zones = self.zones.iter().filter(|zone| field("name").is_none_or(|name| name == zone.1));
                let zones = zones.map(|(id, name)| json!({"id": id, "name": name, "status": "active"}));
                self.page(zones.collect(), page)
            }
            ("GET", ["zones", zone, "dns_records"]) if self.zones.iter().any(|known| known.0 == *zone) => {
                let matches = |record: &&Value| {
                    field("type").is_none_or(|kind| record["type"] == kind)
                        && field("name.exact").is_none_or(|name| record["name"] == name)
                };
                self.page(self.records.iter().filter(matches).cloned().collect(), page)
            }
            ("POST", ["zones", _, "dns_records"]) => success(&self.insert(body.unwrap())),
            ("POST", ["zones", _, "dns_records", "batch"]) => self.batch(&body.unwrap()),
            ("PATCH", ["zones", _, "dns_records", id]) => match self.patch(id, &body.unwrap()) {
                Some(record) => success(&record),
                None => refusal(404, &[81044], "Record does not exist."),
            },
            _ => refusal(404, &[7003, 7000], "Could not route"),
        }
    }

    fn patch(&mut self, id: &str, fields: &Value) -> Option<Value> {
        let record = self.records.iter_mut().find(|record| record["id"] == id)?;
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        Some(record.clone())
    }

    /// All or nothing.
    fn batch(&mut self, body: &Value) -> Reply {
        let part = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let (patches, posts) = (part("patches"), part("posts"));
        assert!((2..=200).contains(&(patches.len() + posts.len())));
        let before = self.records.clone();
        let changed: Option<Vec<Value>> =
            patches.iter().map(|fields| self.patch(fields["id"].as_str().unwrap(), fields)).collect();
        let Some(changed) = changed else {
            self.records = before;
            return refusal(404, &[81044], "Record does not exist.");
        };
        let posted: Vec<Value> = posts.into_iter().map(|record| self.insert(record)).collect();
        success(&json!({"deletes": [], "patches": changed, "puts": [], "posts": posted}))
    }

    fn page(&self, entries: Vec<Value>, page: usize) -> Reply {
        let pages = entries.len().div_ceil(self.page_size).max(1);
        let shown: Vec<Value> =
            entries.into_iter().skip((page - 1) * self.page_size).take(self.page_size).collect();
        let info = json!({"page": page, "per_page": self.page_size, "total_pages": pages});
        let body =
            json!({"success": true, "errors": [], "messages": [], "result": shown, "result_info": info});
        Reply { status: 200, body: body.to_string(), ..Reply::default() }
    }

    fn content(&self, name: &str) -> Vec<&str> {
        let records = self.records.iter().filter(|record| record["name"] == name);
        records.map(|record| record["content"].as_str().unwrap()).collect()
    }
}

fn success(result: &Value) -> Reply {
    let body = json!({"success": true, "errors": [], "messages": [], "result": result}).to_string();
    Reply { status: 200, body, ..Reply::default() }
}

/// The codes behind the first are chained.
fn refusal(status: u16, codes: &[u64], message: &str) -> Reply {
    let chain: Vec<Value> = codes[1..].iter().map(|code| json!({"code": code, "message": "more"})).collect();
    let errors = json!([{"code": codes[0], "message": message, "error_chain": chain}]);
    let body = json!({"success": false, "errors": errors, "messages": [], "result": null}).to_string();
    Reply { status, body, secrets: Arc::new(Secrets::new([TOKEN])), ..Reply::default() }
}

fn record(name: &str) -> CloudflareRecord {
    CloudflareRecord {
        name: name.to_owned(),
        aaaa: false,
        ttl: None,
        proxied: None,
        comment: None,
        create: false,
    }
}

fn updater(zone_id: Option<&str>, records: Vec<CloudflareRecord>) -> Cloudflare {
    Cloudflare::new(config::Cloudflare {
        api_token: Secret::new(TOKEN.to_owned()),
        zone_id: zone_id.map(str::to_owned),
        api_url: "https://api.test/v4".to_owned(),
        records,
    })
}

fn tasks(count: usize, last: u8) -> Vec<Task> {
    let addresses = Addresses {
        ipv4: Some([192, 0, 2, last].into()),
        ipv6: Some("2001:db8::1".parse().unwrap()),
        ipv6_prefix: None,
    };
    (0..count).map(|entry| Task { entry, addresses, old: Addresses::default() }).collect()
}

/// A whole job; `twist` may answer instead of the fake.
fn run_with(
    updater: &mut Cloudflare,
    fake: &mut Fake,
    tasks: Vec<Task>,
    mut twist: impl FnMut(&Request, &mut Fake) -> Option<Result<Reply, Failure>>,
) -> Vec<Outcome> {
    let mut asked = 0;
    let mut outcomes = updater.update(tasks, &mut |request| {
        asked += 1;
        assert!(asked <= 2000, "the job never ends");
        twist(request, fake).unwrap_or_else(|| Ok(fake.answer(request)))
    });
    outcomes.sort_by_key(|(entry, _)| *entry);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn run(updater: &mut Cloudflare, fake: &mut Fake, count: usize, last: u8) -> Vec<Outcome> {
    run_with(updater, fake, tasks(count, last), |_, _| None)
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Retry { why, .. }
        | Outcome::NeedsPerson { why }
        | Outcome::Refused { why, .. }
        | Outcome::Dropped { why }
        | Outcome::Blocked { why } => why,
        Outcome::Published { .. } => panic!("published"),
    }
}

fn needs_a_person(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::NeedsPerson { .. })
}

const CHANGED: Outcome = Outcome::Published { changed: true };
const UNCHANGED: Outcome = Outcome::Published { changed: false };

#[test]
fn a_zone_is_found_once_and_a_change_takes_two_requests() {
    let mut updater = updater(None, vec![record("a.nas.example.com")]);
    let mut fake =
        Fake::new(&[("A", "a.nas.example.com", "192.0.2.1"), ("AAAA", "a.nas.example.com", "2001:db8::9")]);
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [CHANGED]);
    assert!(updater.remembers() && updater.notes().is_empty(), "the next job is to know the zone");
    let zone = "zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records";
    let find = format!("GET {zone}?type=A&name.exact=a.nas.example.com&per_page=100");
    assert_eq!(
        fake.asked,
        [
            "GET zones?name=a.nas.example.com&status=active",
            "GET zones?name=nas.example.com&status=active",
            "GET zones?name=example.com&status=active",
            &find,
            &format!("PATCH {zone}/r1"),
        ]
    );
    fake.asked.clear();
    assert_eq!(run(&mut updater, &mut fake, 1, 3), [CHANGED]);
    assert_eq!(fake.asked, [find.clone(), format!("PATCH {zone}/r1")]);
    fake.asked.clear();
    assert_eq!(run(&mut updater, &mut fake, 1, 3), [UNCHANGED]);
    assert_eq!(fake.asked, [find]);
    assert_eq!(fake.content("a.nas.example.com"), ["192.0.2.3", "2001:db8::9"]);
}

#[test]
fn a_change_holds_only_what_is_configured() {
    let mut sent = Vec::new();
    let plain = record("nas.example.com");
    let full = CloudflareRecord {
        ttl: Some(60),
        proxied: Some(false),
        comment: Some("ddns".into()),
        aaaa: true,
        ..plain.clone()
    };
    let mut updater = updater(Some(ZONE), vec![plain, full]);
    let mut fake =
        Fake::new(&[("A", "nas.example.com", "192.0.2.1"), ("AAAA", "nas.example.com", "2001:db8::2")]);
    let outcomes = run_with(&mut updater, &mut fake, tasks(2, 9), |request, _| {
        sent.extend(request.body.clone());
        None
    });
    assert_eq!(outcomes, [CHANGED, CHANGED]);
    assert_eq!(sent.len(), 1, "two changes are one call");
    let sent = serde_json::from_str::<Value>(&sent[0]).unwrap();
    let plain = json!({"id": "r1", "type": "A", "name": "nas.example.com", "content": "192.0.2.9"});
    let full = json!({"id": "r2", "type": "AAAA", "name": "nas.example.com", "content": "2001:db8::1", "ttl": 60,
                      "proxied": false, "comment": "ddns"});
    assert_eq!(sent, json!({"patches": [plain, full]}));
    // Where the path names the record, the body does not.
    let mut sent = Vec::new();
    run_with(&mut updater, &mut fake, tasks(1, 8), |request, _| {
        sent.extend(request.body.clone());
        None
    });
    let sent: Vec<Value> = sent.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(sent, [json!({"type": "A", "name": "nas.example.com", "content": "192.0.2.8"})]);
}

#[test]
fn addresses_are_compared_as_addresses_and_settings_as_settings() {
    let aaaa = CloudflareRecord { aaaa: true, ..record("nas.example.com") };
    let written_long = [("AAAA", "NAS.example.com", "2001:0db8:0:0::0001")];
    let outcome = |record: CloudflareRecord, proxied: bool| {
        let mut fake = Fake::new(&written_long);
        fake.records[0]["proxied"] = json!(proxied);
        // The name must match our filter, and arrive in capitals.
        run_with(&mut updater(Some(ZONE), vec![record]), &mut fake, tasks(1, 1), |request, fake| {
            let all =
                Request { url: request.url.replace("name.exact=nas", "name.exact=NAS"), ..request.clone() };
            Some(Ok(fake.answer(&all)))
        })
    };
    assert_eq!(outcome(aaaa.clone(), false), [UNCHANGED]);
    assert_eq!(outcome(CloudflareRecord { ttl: Some(300), ..aaaa.clone() }, false), [UNCHANGED]);
    assert_eq!(outcome(CloudflareRecord { ttl: Some(60), ..aaaa.clone() }, false), [CHANGED]);
    assert_eq!(outcome(CloudflareRecord { ttl: Some(60), ..aaaa.clone() }, true), [UNCHANGED]);
    assert_eq!(outcome(CloudflareRecord { proxied: Some(true), ..aaaa.clone() }, false), [CHANGED]);
    assert_eq!(outcome(CloudflareRecord { comment: Some("x".into()), ..aaaa }, false), [CHANGED]);
}

#[test]
fn a_missing_record_is_created_only_when_told() {
    let mut fake = Fake::new(&[("A", "other.example.com", "192.0.2.1")]);
    let outcomes = run(&mut updater(None, vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("create = true"), "{outcomes:?}");
    let create = CloudflareRecord { create: true, ..record("nas.example.com") };
    let mut updater = updater(None, vec![create]);
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [CHANGED]);
    let mut made = fake.records[1].clone();
    made.as_object_mut().unwrap().remove("id");
    let name = "nas.example.com";
    assert_eq!(made, json!({"type": "A", "name": name, "content": "192.0.2.2", "ttl": 1, "proxied": false}));
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [UNCHANGED]);
}

#[test]
fn several_records_are_never_guessed_among() {
    let two = [("A", "nas.example.com", "192.0.2.1"), ("A", "nas.example.com", "192.0.2.2")];
    let mut fake = Fake::new(&two);
    let outcomes = run(&mut updater(None, vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("2 A records"), "{outcomes:?}");
    assert!(why(&outcomes[0]).contains("(192.0.2.1, 192.0.2.2)"), "{outcomes:?}");
    let marked = CloudflareRecord { comment: Some("line 1".into()), ..record("nas.example.com") };
    let mut updater = updater(None, vec![marked]);
    let outcomes = run(&mut updater, &mut fake, 1, 2);
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("line 1"), "{outcomes:?}");
    assert!(fake.asked.iter().all(|asked| asked.starts_with("GET")));
    fake.records[1]["comment"] = json!("line 1");
    assert_eq!(run(&mut updater, &mut fake, 1, 9), [CHANGED]);
    assert_eq!(fake.content("nas.example.com"), ["192.0.2.1", "192.0.2.9"]);
}

#[test]
fn two_lines_share_a_name_by_their_comments() {
    let line = |comment: &str| CloudflareRecord {
        comment: Some(comment.to_owned()),
        create: true,
        ..record("home.example.com")
    };
    let mut updater = updater(None, vec![line("one"), line("two")]);
    let mut fake = Fake::new(&[("A", "home.example.com", "192.0.2.1")]);
    assert_eq!(run(&mut updater, &mut fake, 2, 7), [CHANGED, CHANGED]);
    assert_eq!(fake.content("home.example.com"), ["192.0.2.7", "192.0.2.7"]);
    let comments: Vec<&Value> = fake.records.iter().map(|record| &record["comment"]).collect();
    assert_eq!(comments, ["one", "two"]);
    assert_eq!(run(&mut updater, &mut fake, 2, 7), [UNCHANGED, UNCHANGED]);
}

#[test]
fn beside_the_record_of_another_entry_one_without_our_comment_may_be_anyones() {
    let line =
        |comment: &str| CloudflareRecord { comment: Some(comment.to_owned()), ..record("home.example.com") };
    let mut fake =
        Fake::new(&[("A", "home.example.com", "192.0.2.1"), ("A", "home.example.com", "192.0.2.99")]);
    fake.records[0]["comment"] = json!("one");
    let outcomes = run(&mut updater(None, vec![line("one"), line("two")]), &mut fake, 2, 7);
    assert_eq!(outcomes[0], CHANGED);
    assert!(needs_a_person(&outcomes[1]) && why(&outcomes[1]).contains("\"two\""), "{outcomes:?}");
    assert_eq!(fake.content("home.example.com"), ["192.0.2.7", "192.0.2.99"]);
}

#[test]
fn many_records_are_listed_page_by_page() {
    let names: Vec<String> = (0..250).map(|n| format!("h{n}.example.com")).collect();
    let rows: Vec<(&str, &str, &str)> = names.iter().map(|name| ("A", name.as_str(), "192.0.2.1")).collect();
    let mut fake = Fake::new(&rows);
    let records = names.iter().map(|name| record(name)).collect();
    let mut updater = updater(Some(ZONE), records);
    assert_eq!(run(&mut updater, &mut fake, 250, 2), vec![CHANGED; 250]);
    assert_eq!(fake.asked.len(), 3 + 2, "pages of the list, batches");
    fake.asked.clear();
    assert_eq!(run(&mut updater, &mut fake, 250, 2), vec![UNCHANGED; 250]);
    assert_eq!(fake.asked.len(), 3);
}

#[test]
fn a_list_without_end_and_a_job_without_end_are_bounded() {
    let names: Vec<String> = (0..700).map(|n| format!("h{n}.example.com")).collect();
    let mut updater = updater(Some(ZONE), names.iter().map(|name| record(name)).collect());
    let mut fake = Fake::new(&[]);
    let mut requests = 0;
    let outcomes = run_with(&mut updater, &mut fake, tasks(700, 2), |request, fake| {
        requests += 1;
        request.url.contains("&page=").then(|| {
            let other =
                json!({"id": format!("x{requests}"), "type": "A", "name": "x", "content": "192.0.2.1"});
            let mut reply = fake.page(vec![other; 1], 1);
            reply.body = reply.body.replace("\"total_pages\":1", "\"total_pages\":1000000");
            Ok(reply)
        })
    });
    assert_eq!(requests, MAX_REQUESTS);
    assert_eq!(outcomes.len(), 700);
    assert!(matches!(outcomes[699], Outcome::Retry { after: Some(LIMITED), .. }));
}

#[test]
fn a_record_that_went_away_is_looked_up_again_once() {
    let create = CloudflareRecord { create: true, ..record("nas.example.com") };
    let mut fake = Fake::new(&[("A", "nas.example.com", "192.0.2.1")]);
    let mut updater = updater(Some(ZONE), vec![create]);
    let mut first = true;
    let outcomes = run_with(&mut updater, &mut fake, tasks(1, 2), |request, fake| {
        let now = request.method == "PATCH" && mem::take(&mut first);
        now.then(|| {
            fake.records[0]["id"] = json!("new");
            Ok(refusal(404, &[81044], "Record does not exist."))
        })
    });
    assert_eq!(outcomes, [CHANGED]);
    assert_eq!(fake.content("nas.example.com"), ["192.0.2.2"]);
    // The code counts, whatever the status.
    let mut patches = 0;
    let outcomes = run_with(&mut updater, &mut fake, tasks(1, 3), |request, _| {
        patches += usize::from(request.method == "PATCH");
        (request.method == "PATCH").then(|| Ok(refusal(400, &[81044], "Record does not exist.")))
    });
    assert!(matches!(outcomes[0], Outcome::Retry { .. }));
    assert_eq!(patches, 2);
}

#[test]
fn an_identical_record_that_appears_meanwhile_is_success() {
    let create = CloudflareRecord { create: true, ..record("nas.example.com") };
    for code in [81057, 81058] {
        let mut fake = Fake::new(&[]);
        let outcomes =
            run_with(&mut updater(None, vec![create.clone()]), &mut fake, tasks(1, 2), |request, fake| {
                (request.method == "POST").then(|| {
                    fake.answer(request);
                    Ok(refusal(400, &[code], "exists"))
                })
            });
        assert_eq!(outcomes, [UNCHANGED]);
    }
}

/// Records of one zone, all to be changed.
fn many(count: usize) -> (Cloudflare, Fake) {
    let names: Vec<String> = (0..count).map(|n| format!("h{n}.example.com")).collect();
    let rows: Vec<(&str, &str, &str)> = names.iter().map(|name| ("A", name.as_str(), "192.0.2.1")).collect();
    (updater(Some(ZONE), names.iter().map(|name| record(name)).collect()), Fake::new(&rows))
}

/// One record and the same refusal to every request from `method` on.
fn refused(method: &str, reply: &Reply) -> (Vec<Outcome>, usize) {
    let names = ["a.example.com", "b.example.com"];
    let mut fake = Fake::new(&[("A", names[0], "192.0.2.1"), ("A", names[1], "192.0.2.1")]);
    let mut count = 0;
    let outcomes = run_with(
        &mut updater(Some(ZONE), names.map(record).to_vec()),
        &mut fake,
        tasks(2, 2),
        |request, _| {
            method.contains(request.method).then(|| {
                count += 1;
                Ok(reply.clone())
            })
        },
    );
    (outcomes, count)
}

#[test]
fn the_token_is_never_told() {
    for (status, codes) in
        [(400, &[6003][..]), (403, &[9109]), (400, &[81053]), (400, &[1]), (429, &[1]), (500, &[1])]
    {
        for method in ["GET", "POST", "POST PATCH"] {
            let (outcomes, _) = refused(method, &refusal(status, codes, &format!("bad token {TOKEN}")));
            assert!(!format!("{outcomes:?}").contains(TOKEN), "{outcomes:?}");
        }
    }
    // Nor where a name is expected, in lower case.
    let told = TOKEN.to_lowercase();
    let named = json!({"id": "r9", "type": "A", "name": format!("{told}.com"), "content": "192.0.2.2"});
    let create = CloudflareRecord { create: true, ..record("nas.example.com") };
    let outcomes =
        run_with(&mut updater(None, vec![create]), &mut Fake::new(&[]), tasks(1, 2), |request, _| {
            (request.method == "POST").then(|| Ok(success(&named)))
        });
    assert!(why(&outcomes[0]).contains("made it of another name"), "{outcomes:?}");
    let mut fake = Fake::new(&[]);
    let zone = format!("{told}.org").leak();
    fake.zones = vec![(ZONE, zone)];
    let outcomes = run(&mut updater(Some(ZONE), vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(why(&outcomes[0]).contains("is not inside \"….org\""), "{outcomes:?}");
    let mut updater = updater(None, vec![record("nas.example.com")]);
    let mut shown = format!("{updater:?}");
    run_with(&mut updater, &mut Fake::new(&[]), tasks(1, 1), |request, _| {
        shown = format!("{shown}{request:?}");
        None
    });
    assert!(!shown.contains(TOKEN), "{shown}");
}
