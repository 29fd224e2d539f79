//! Jobs against a Cloudflare in memory.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use serde_json::{Value, json};

mod names;
mod refusals;

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
        | Outcome::Refused { why, .. }
        | Outcome::Dropped { why }
        | Outcome::Blocked { why } => why,
        Outcome::Published { .. } => panic!("published"),
    }
}

fn is_person_retry(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { after: Some(PERSON), reached: true, .. })
}

const CHANGED: Outcome = Outcome::Published { changed: true };
const UNCHANGED: Outcome = Outcome::Published { changed: false };

#[test]
fn a_zone_is_found_once_and_a_change_takes_two_requests() {
    let mut updater = updater(None, vec![record("a.nas.example.com")]);
    let mut fake =
        Fake::new(&[("A", "a.nas.example.com", "192.0.2.1"), ("AAAA", "a.nas.example.com", "2001:db8::9")]);
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [CHANGED]);
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
    assert!(is_person_retry(&outcomes[0]) && why(&outcomes[0]).contains("create = true"), "{outcomes:?}");
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
    assert!(is_person_retry(&outcomes[0]) && why(&outcomes[0]).contains("2 A records"), "{outcomes:?}");
    let marked = CloudflareRecord { comment: Some("line 1".into()), ..record("nas.example.com") };
    let mut updater = updater(None, vec![marked]);
    let outcomes = run(&mut updater, &mut fake, 1, 2);
    assert!(is_person_retry(&outcomes[0]) && why(&outcomes[0]).contains("line 1"), "{outcomes:?}");
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
    assert!(is_person_retry(&outcomes[1]) && why(&outcomes[1]).contains("\"two\""), "{outcomes:?}");
    assert_eq!(fake.content("home.example.com"), ["192.0.2.7", "192.0.2.99"]);
}

#[test]
fn a_full_name_under_a_zone_id_needs_no_right_to_read_zones() {
    let deny = |request: &Request, _: &mut Fake| {
        let zones = request.url.contains("/zones?");
        zones.then(|| Ok(refusal(403, &[9109], "Unauthorized to access requested resource")))
    };
    let records = ["nas.example.com", "nas", "gone.example.com"].map(record).to_vec();
    let mut fake = Fake::new(&[("A", "nas.example.com", "192.0.2.1")]);
    let outcomes = run_with(&mut updater(Some(ZONE), records), &mut fake, tasks(3, 2), deny);
    assert_eq!(outcomes[0], CHANGED);
    assert!(matches!(&outcomes[1], Outcome::Blocked { why } if why.contains("Zone:Read")), "{outcomes:?}");
    assert!(is_person_retry(&outcomes[2]) && why(&outcomes[2]).contains("Zone:Read"), "{outcomes:?}");
}

#[test]
fn a_relative_name_without_a_zone_is_explained() {
    let mut fake = Fake::new(&[]);
    for name in ["@", "nas"] {
        let outcomes = run(&mut updater(None, vec![record(name)]), &mut fake, 1, 2);
        assert!(
            matches!(&outcomes[0], Outcome::Blocked { why } if why.contains("set zone_id")),
            "{outcomes:?}"
        );
    }
    assert!(fake.asked.is_empty());
    let outcomes = run(&mut updater(None, vec![record("nas.example.org")]), &mut fake, 1, 2);
    assert!(is_person_retry(&outcomes[0]) && why(&outcomes[0]).contains("Zone:Read"), "{outcomes:?}");
    fake.zones.push(("other", "example.com"));
    let outcomes = run(&mut updater(None, vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(is_person_retry(&outcomes[0]) && why(&outcomes[0]).contains("2 active zones"), "{outcomes:?}");
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
    let mut patches = 0;
    let outcomes = run_with(&mut updater, &mut fake, tasks(1, 3), |request, _| {
        patches += usize::from(request.method == "PATCH");
        (request.method == "PATCH").then(|| Ok(refusal(404, &[81044], "Record does not exist.")))
    });
    assert!(matches!(outcomes[0], Outcome::Retry { .. }));
    assert_eq!(patches, 2);
}

#[test]
fn a_zone_that_moved_is_found_again() {
    let mut updater = updater(None, vec![record("nas.example.com")]);
    let mut fake = Fake::new(&[("A", "nas.example.com", "192.0.2.1")]);
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [CHANGED]);
    fake.zones = vec![("moved", "example.com")];
    assert_eq!(run(&mut updater, &mut fake, 1, 3), [CHANGED]);
    assert_eq!(fake.content("nas.example.com"), ["192.0.2.3"]);
}

#[test]
fn a_zone_that_splits_off_is_found_once_its_record_is_missed() {
    let mut updater = updater(None, vec![record("nas.home.example.com")]);
    let mut fake = Fake::new(&[("A", "nas.home.example.com", "192.0.2.1")]);
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [CHANGED]);
    fake.zones.push(("split", "home.example.com"));
    let missing_above =
        |request: &Request, fake: &mut Fake| request.url.contains(ZONE).then(|| Ok(fake.page(Vec::new(), 1)));
    assert!(is_person_retry(&run_with(&mut updater, &mut fake, tasks(1, 3), missing_above)[0]));
    assert_eq!(run_with(&mut updater, &mut fake, tasks(1, 3), missing_above), [CHANGED]);
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
fn refused_credentials_end_the_job_for_all() {
    for (status, codes) in [
        (400, &[6003, 6111][..]),
        (400, &[6003, 6103]),
        (403, &[9109]),
        (401, &[10000]),
        (403, &[10000]),
        (400, &[9103]),
        (403, &[9106]),
        (401, &[1000]),
        (404, &[7003, 7000]),
        (400, &[7003, 7000]),
    ] {
        let (outcomes, count) = refused("GET", &refusal(status, codes, "no"));
        assert_eq!(count, 1, "{codes:?}");
        for outcome in outcomes {
            assert!(
                matches!(&outcome, Outcome::Blocked { why } if why.contains(&codes[0].to_string())),
                "{outcome:?}"
            );
        }
    }
    let (outcomes, count) = refused("POST PATCH", &refusal(403, &[10000], "Authentication error"));
    assert_eq!(count, 2, "the batch, and one change that tells why");
    assert!(outcomes.iter().all(|outcome| why(outcome).contains("DNS:Edit")), "{outcomes:?}");
}

#[test]
fn one_zone_that_the_token_may_not_edit_does_not_stop_another() {
    let records = ["a.example.com", "a.example.org", "b.example.com"].map(record).to_vec();
    let mut fake = Fake::new(&[("A", "a.example.org", "192.0.2.1")]);
    fake.zones.push(("org", "example.org"));
    let outcomes = run_with(&mut updater(None, records), &mut fake, tasks(3, 2), |request, _| {
        let denied = request.url.contains(ZONE);
        denied.then(|| Ok(refusal(403, &[10000], "Authentication error")))
    });
    assert!(matches!(outcomes[0], Outcome::Blocked { .. }) && matches!(outcomes[2], Outcome::Blocked { .. }));
    assert_eq!(outcomes[1], CHANGED);
}

#[test]
fn other_refusals_concern_one_record() {
    for (status, code, person) in [
        (400, 81053, true),
        (400, 1004, true),
        (400, 9005, true),
        (400, 9006, true),
        (400, 4711, true),
        (400, 9020, false),
        (400, 9021, false),
    ] {
        let (outcomes, count) = refused("POST PATCH", &refusal(status, &[code], "no"));
        assert_eq!(count, 3, "each is tried: {code}");
        for outcome in outcomes {
            assert_eq!(is_person_retry(&outcome), person, "{code} {outcome:?}");
            assert_eq!(matches!(outcome, Outcome::Blocked { .. }), !person, "{code}");
        }
    }
    let (_, count) = refused("POST PATCH", &refusal(400, &[81058], "An identical record already exists."));
    assert_eq!(count, 5, "each is looked up again and tried once more");
}

#[test]
fn limits_and_faults_are_waited_for() {
    let mut limited = refusal(429, &[10429], "More than 1200 requests per 300 seconds reached");
    let waits = |reply: &Reply, seconds: Option<u64>| {
        let (outcomes, count) = refused("GET", reply);
        let wait = seconds.map(Duration::from_secs);
        for outcome in outcomes {
            assert!(
                matches!(outcome, Outcome::Retry { after, reached: true, .. } if after == wait),
                "{outcome:?}"
            );
        }
        count
    };
    assert_eq!(waits(&limited, Some(300)), 1);
    limited.retry_after = Some(Duration::from_secs(30));
    assert_eq!(waits(&limited, Some(30)), 1);
    let plain = |status, body: &str| Reply { status, body: body.to_owned(), ..Reply::default() };
    assert_eq!(waits(&plain(429, "error code: 1015"), Some(300)), 1);
    assert_eq!(waits(&refusal(500, &[10001], "Internal error"), None), 2);
    for body in ["<html>503</html>", "", "{", "null", "[]", "{\"success\":1}", "{\"success\":true}"] {
        assert_eq!(waits(&plain(200, body), None), 2, "{body}");
        assert_eq!(waits(&plain(503, body), None), 2, "{body}");
    }
    let odd =
        "{\"success\":true,\"result\":[{\"type\":\"A\",\"id\":\"../x\",\"name\":\"a\",\"content\":\"b\"}]}";
    assert_eq!(waits(&plain(200, odd), None), 2);
}

#[test]
fn three_faults_end_a_job() {
    let names: Vec<String> = (0..9).map(|n| format!("h{n}.example.com")).collect();
    let mut updater = updater(Some(ZONE), names.iter().map(|name| record(name)).collect());
    let mut count = 0;
    let outcomes = run_with(&mut updater, &mut Fake::new(&[]), tasks(9, 2), |_, _| {
        count += 1;
        Some(Ok(refusal(500, &[10001], "Internal error")))
    });
    assert_eq!((count, outcomes.len()), (MAX_FAULTS, 9));
}

#[test]
fn a_lost_answer_to_a_change_could_not_be_confirmed() {
    let lose = |method: &'static str, maybe_done| {
        let names = ["a.example.com", "b.example.com"];
        let mut fake = Fake::new(&[("A", names[0], "192.0.2.1"), ("A", names[1], "192.0.2.1")]);
        run_with(
            &mut updater(Some(ZONE), names.map(record).to_vec()),
            &mut fake,
            tasks(2, 2),
            move |request, _| {
                method
                    .contains(request.method)
                    .then(|| Err(Failure { why: "api.test: gone".into(), maybe_done }))
            },
        )
    };
    // A quick retry finds a line that has just come back.
    let retry = |why: &str| Outcome::Retry { why: why.into(), after: None, reached: false };
    assert_eq!(lose("GET", true), vec![retry("api.test: gone"); 2]);
    assert_eq!(lose("POST", false), vec![retry("api.test: gone"); 2]);
    // What may have been done is not sent again in a rush.
    let unsure = |why: &str| Outcome::Retry { why: why.into(), after: None, reached: true };
    assert_eq!(lose("POST", true), vec![unsure("could not confirm: api.test: gone"); 2]);
    let refuse_batches = |request: &Request, _: &mut Fake| match request.method {
        "POST" => Some(Ok(refusal(403, &[10000], "no"))),
        "PATCH" => Some(Err(Failure { why: "api.test: gone".into(), maybe_done: true })),
        _ => None,
    };
    let mut fake = Fake::new(&[("A", "a.example.com", "192.0.2.1"), ("A", "b.example.com", "192.0.2.1")]);
    let records = ["a.example.com", "b.example.com"].map(record).to_vec();
    let outcomes = run_with(&mut updater(Some(ZONE), records), &mut fake, tasks(2, 2), refuse_batches);
    let unsure = unsure("could not confirm: api.test: gone");
    assert_eq!(outcomes, [unsure, retry("api.test: gone")]);
}

#[test]
fn a_change_that_shows_another_address_is_no_success() {
    let mut fake = Fake::new(&[("A", "a.example.com", "192.0.2.1")]);
    let mut updater = updater(Some(ZONE), vec![record("a.example.com")]);
    let outcomes = run_with(&mut updater, &mut fake, tasks(1, 2), |request, fake| {
        (request.method == "PATCH").then(|| Ok(success(&fake.records[0])))
    });
    assert!(is_person_retry(&outcomes[0]), "{outcomes:?}");
}

/// Records of one zone, all to be changed.
fn many(count: usize) -> (Cloudflare, Fake) {
    let names: Vec<String> = (0..count).map(|n| format!("h{n}.example.com")).collect();
    let rows: Vec<(&str, &str, &str)> = names.iter().map(|name| ("A", name.as_str(), "192.0.2.1")).collect();
    (updater(Some(ZONE), names.iter().map(|name| record(name)).collect()), Fake::new(&rows))
}

fn changes(fake: &Fake) -> usize {
    fake.asked.iter().filter(|asked| !asked.starts_with("GET")).count()
}

#[test]
fn where_the_plan_refuses_batches_the_changes_are_sent_one_by_one() {
    for reply in [
        refusal(403, &[10000], "Authentication error"),
        refusal(404, &[7003, 7000], "Could not route"),
        refusal(400, &[4711], "Not on this plan"),
        Reply { status: 405, body: "<html>".into(), ..Reply::default() },
    ] {
        let (mut updater, mut fake) = many(250);
        fake.page_size = 500;
        let mut batches = 0;
        let outcomes = run_with(&mut updater, &mut fake, tasks(250, 2), |request, _| {
            let batch = request.url.ends_with("/batch");
            batches += usize::from(batch);
            batch.then(|| Ok(reply.clone()))
        });
        assert_eq!((outcomes, batches, changes(&fake)), (vec![CHANGED; 250], 1, 250));
    }
}

#[test]
fn one_bad_record_of_a_batch_stands_in_the_way_of_no_other() {
    let (mut updater, mut fake) = many(200);
    fake.page_size = 500;
    let conflict = |request: &Request, fake: &mut Fake| {
        let bad = request.method != "GET" && request.body.as_ref().unwrap().contains("h77.example.com");
        bad.then(|| {
            fake.asked.push("PATCH refused".into());
            Ok(refusal(400, &[81053], "An A, AAAA, or CNAME record with that host already exists."))
        })
    };
    let outcomes = run_with(&mut updater, &mut fake, tasks(200, 2), conflict);
    for (index, outcome) in outcomes.iter().enumerate() {
        assert_eq!(*outcome == CHANGED, index != 77, "{index}");
    }
    assert!(is_person_retry(&outcomes[77]) && changes(&fake) <= 17, "{}", changes(&fake));
}

#[test]
fn a_record_that_went_away_from_a_batch_is_looked_up_again() {
    let (mut updater, mut fake) = many(5);
    let mut first = true;
    let outcomes = run_with(&mut updater, &mut fake, tasks(5, 2), |request, fake| {
        if request.method == "POST" && mem::take(&mut first) {
            fake.records[3]["id"] = json!("new");
        }
        None
    });
    assert_eq!(outcomes, vec![CHANGED; 5]);
    assert_eq!(fake.content("h3.example.com"), ["192.0.2.2"]);
}

#[test]
fn a_fault_or_a_limit_concerns_the_whole_batch() {
    for (reply, count) in [
        (refusal(429, &[10429], "More than 1200 requests"), 1),
        (refusal(400, &[6003, 6111], "Invalid request headers"), 1),
        (refusal(500, &[10001], "Internal error"), 3),
    ] {
        let (mut updater, mut fake) = many(800);
        let mut asked = 0;
        let outcomes = run_with(&mut updater, &mut fake, tasks(800, 2), |request, _| {
            (request.method != "GET").then(|| {
                asked += 1;
                Ok(reply.clone())
            })
        });
        assert_eq!((outcomes.len(), asked), (800, count));
        assert!(outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Published { .. })));
    }
}

#[test]
fn a_batch_that_shows_another_address_is_no_success() {
    let (mut updater, mut fake) = many(2);
    let outcomes = run_with(&mut updater, &mut fake, tasks(2, 2), |request, fake| {
        (request.method == "POST").then(|| {
            fake.answer(request);
            fake.records[1]["content"] = json!("192.0.2.66");
            Ok(success(&json!({"patches": fake.records, "posts": []})))
        })
    });
    assert_eq!(outcomes[0], CHANGED);
    assert!(is_person_retry(&outcomes[1]), "{outcomes:?}");
}

#[test]
fn records_of_several_zones_make_a_batch_each() {
    let names = ["a.example.com", "a.example.org", "b.example.com", "b.example.org", "c.example.net"];
    let mut updater = updater(None, names.map(record).to_vec());
    let mut fake = Fake::new(&names.map(|name| ("A", name, "192.0.2.1")));
    fake.zones.extend([("org", "example.org"), ("net", "example.net")]);
    assert_eq!(run(&mut updater, &mut fake, 5, 2), vec![CHANGED; 5]);
    let changes: Vec<&String> = fake.asked.iter().filter(|asked| !asked.starts_with("GET")).collect();
    let batch = format!("POST zones/{ZONE}/dns_records/batch");
    assert_eq!(changes, [&batch, "POST zones/org/dns_records/batch", "PATCH zones/net/dns_records/r5"]);
}

#[test]
fn the_zones_of_many_records_are_listed_once() {
    let names: Vec<String> = (0..60).map(|n| format!("h.z{n}.example")).collect();
    let zones: Vec<(String, String)> = (0..60).map(|n| (format!("id{n}"), format!("z{n}.example"))).collect();
    let rows: Vec<(&str, &str, &str)> = names.iter().map(|name| ("A", name.as_str(), "192.0.2.1")).collect();
    let mut fake = Fake::new(&rows);
    fake.zones =
        zones.iter().map(|(id, name)| (id.clone().leak() as &str, name.clone().leak() as &str)).collect();
    fake.page_size = 50;
    let mut updater = updater(None, names.iter().map(|name| record(name)).collect());
    assert_eq!(run(&mut updater, &mut fake, 60, 2), vec![CHANGED; 60]);
    assert_eq!(fake.asked.len(), 2 + 60 + 60, "two pages of zones; then each is its own zone");
    fake.asked.clear();
    assert_eq!(run(&mut updater, &mut fake, 60, 2), vec![UNCHANGED; 60]);
    assert_eq!(fake.asked.len(), 60);
    fake.zones.push(("other", "z7.example"));
    let mut updater = tests::updater(None, names.iter().map(|name| record(name)).collect());
    let outcomes = run(&mut updater, &mut fake, 60, 2);
    assert!(
        is_person_retry(&outcomes[7]) && why(&outcomes[7]).contains("2 active zones"),
        "{:?}",
        outcomes[7]
    );
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == UNCHANGED).count(), 59);
}

#[test]
fn two_lines_of_many_names_take_a_batch_each() {
    let line = |name: &str, comment: &str| CloudflareRecord {
        comment: Some(comment.to_owned()),
        create: true,
        ..record(name)
    };
    let names = ["a.example.com", "b.example.com", "c.example.com"];
    let records = names.iter().flat_map(|name| [line(name, "one"), line(name, "two")]).collect();
    let mut updater = updater(Some(ZONE), records);
    let mut fake = Fake::new(&names.map(|name| ("A", name, "192.0.2.1")));
    fake.insert(json!({"type": "A", "name": "a.example.com", "content": "192.0.2.99", "comment": "mail"}));
    fake.insert(json!({"type": "A", "name": "a.example.com", "content": "192.0.2.1", "comment": "two"}));
    fake.records[0]["comment"] = json!("one");
    assert_eq!(run(&mut updater, &mut fake, 6, 7), vec![CHANGED; 6]);
    assert_eq!(changes(&fake), 2);
    assert_eq!(fake.content("a.example.com"), ["192.0.2.7", "192.0.2.99", "192.0.2.7"], "one is not ours");
    assert_eq!(fake.content("b.example.com"), ["192.0.2.7", "192.0.2.7"]);
}

#[test]
fn a_zone_much_larger_than_what_is_ours_is_not_read() {
    let (_, mut fake) = many(1200);
    let names = ["h1.example.com", "h2.example.com", "h3.example.com", "h4.example.com"];
    let mut updater = updater(Some(ZONE), names.map(record).to_vec());
    assert_eq!(run(&mut updater, &mut fake, 4, 2), vec![CHANGED; 4]);
    assert_eq!(fake.asked.len(), 1 + 4 + 1, "a page, a look-up for each, a batch: {:?}", fake.asked);
}

#[test]
fn a_page_that_was_cut_off_is_no_reason_to_give_up() {
    let (mut updater, mut fake) = many(5);
    let outcomes = run_with(&mut updater, &mut fake, tasks(5, 2), |request, _| {
        let list = request.url.contains("&page=");
        list.then(|| Ok(Reply { status: 200, body: "{".repeat(request.max_reply), ..Reply::default() }))
    });
    assert_eq!(outcomes, vec![CHANGED; 5]);
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
    let mut updater = updater(None, vec![record("nas.example.com")]);
    let mut shown = format!("{updater:?}");
    run_with(&mut updater, &mut Fake::new(&[]), tasks(1, 1), |request, _| {
        shown = format!("{shown}{request:?}");
        None
    });
    assert!(!shown.contains(TOKEN), "{shown}");
}
