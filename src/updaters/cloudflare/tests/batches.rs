//! Many records: one request changes several, and lists of zones and records are read once.

use super::*;

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
    assert!(needs_a_person(&outcomes[77]) && changes(&fake) <= 17, "{}", changes(&fake));
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
    assert!(needs_a_person(&outcomes[1]), "{outcomes:?}");
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
        needs_a_person(&outcomes[7]) && why(&outcomes[7]).contains("2 active zones"),
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
