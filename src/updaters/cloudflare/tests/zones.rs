//! Which lists are read, and what a zone that goes away ends.

use super::*;

/// How many requests were for a list of zones, and how many for a list of records.
fn lists(fake: &Fake) -> (usize, usize) {
    let count = |part: &str| fake.asked.iter().filter(|asked| asked.contains(part)).count();
    (count("zones?status=active&per_page"), count("dns_records?per_page"))
}

/// Hosts in one zone, to be found by their names.
fn hosts(count: usize) -> (Cloudflare, Fake) {
    let (Cloudflare { config, .. }, fake) = many(count);
    (updater(None, config.records), fake)
}

#[test]
fn up_to_three_records_are_looked_up_by_their_names() {
    for (count, read) in [(3, (0, 0)), (4, (1, 1))] {
        let (mut updater, mut fake) = hosts(count);
        assert_eq!(run(&mut updater, &mut fake, count, 2), vec![CHANGED; count]);
        assert_eq!(lists(&fake), read, "{:?}", fake.asked);
    }
}

#[test]
fn a_zone_that_is_known_is_not_looked_for_among_all_zones() {
    let (mut updater, mut fake) = hosts(10);
    assert_eq!(run(&mut updater, &mut fake, 1, 2), [CHANGED]);
    assert_eq!(run(&mut updater, &mut fake, 10, 3), vec![CHANGED; 10]);
    assert_eq!(lists(&fake).0, 0, "{:?}", fake.asked);
    // Beside it nine are somewhere else.
    let names: Vec<String> = (1..10).map(|n| format!("h{n}.example.org")).collect();
    let mut records = vec![record("h0.example.com")];
    records.extend(names.iter().map(|name| record(name)));
    let mut updater = tests::updater(None, records);
    for name in &names {
        fake.insert(json!({"type": "A", "name": name, "content": "192.0.2.1", "proxied": false}));
    }
    fake.zones.push(("org", "example.org"));
    assert_eq!(run(&mut updater, &mut fake, 1, 4), [CHANGED]);
    assert_eq!(run(&mut updater, &mut fake, 10, 5), vec![CHANGED; 10]);
    assert_eq!(lists(&fake).0, 1, "{:?}", fake.asked);
}

#[test]
fn a_list_of_zones_with_more_pages_than_there_are_records_is_not_read_on() {
    // Of ten records, which are ten requests where there is no list.
    for (pages, read) in [(11, 11), (12, 1)] {
        let (mut updater, mut fake) = hosts(10);
        let mut asked = 0;
        let outcomes = run_with(&mut updater, &mut fake, tasks(10, 2), |request, fake| {
            request.url.contains("zones?status=active&per_page").then(|| {
                asked += 1;
                let mut reply = fake.page(vec![json!({"id": "other", "name": "example.net"})], 1);
                let told = format!("\"page\":{asked},\"per_page\":100,\"total_pages\":{pages}");
                reply.body = reply.body.replace("\"page\":1,\"per_page\":100,\"total_pages\":1", &told);
                Ok(reply)
            })
        });
        assert_eq!(asked, read);
        for outcome in outcomes {
            // A list that was read to its end is believed.
            assert_eq!((outcome == CHANGED, needs_a_person(&outcome)), (read == 1, read > 1), "{outcome:?}");
        }
    }
}

#[test]
fn a_zone_that_a_list_shows_twice_is_one_zone() {
    let (mut updater, mut fake) = hosts(10);
    let outcomes = run_with(&mut updater, &mut fake, tasks(10, 2), |request, _| {
        // Somebody adds a zone between the two pages, and the last of the first comes again.
        let page = ["&page=1", "&page=2"].iter().position(|page| request.url.ends_with(page))?;
        request.url.contains("zones?status=active&per_page").then(|| {
            let info = json!({"page": page + 1, "total_pages": 2});
            let zones = [json!({"id": ZONE, "name": "example.com"})];
            let body = json!({"success": true, "result": zones, "result_info": info}).to_string();
            Ok(Reply { status: 200, body, ..Reply::default() })
        })
    });
    assert_eq!(outcomes, vec![CHANGED; 10]);
}

#[test]
fn a_zone_that_goes_away_before_a_record_is_created_is_found_again() {
    let create = CloudflareRecord { create: true, ..record("nas.example.com") };
    let mut fake = Fake::new(&[]);
    let outcomes = run_with(&mut updater(None, vec![create]), &mut fake, tasks(1, 2), |request, fake| {
        (request.method == "POST" && request.url.contains(ZONE)).then(|| {
            fake.zones = vec![("moved", "example.com")];
            Ok(refusal(404, &[7003, 7000], "Could not route"))
        })
    });
    assert_eq!(outcomes, [CHANGED]);
    assert_eq!(fake.content("nas.example.com"), ["192.0.2.2"]);
}

#[test]
fn a_limit_that_one_zone_meets_holds_for_all() {
    let names = ["a.example.com", "a.example.org"];
    let mut fake = Fake::new(&names.map(|name| ("A", name, "192.0.2.1")));
    fake.zones.push(("org", "example.org"));
    let mut updater = updater(None, names.map(record).to_vec());
    let mut changes = 0;
    let outcomes = run_with(&mut updater, &mut fake, tasks(2, 2), |request, _| {
        (request.method == "PATCH").then(|| {
            changes += 1;
            Ok(refusal(429, &[10429], "More than 1200 requests per 300 seconds reached"))
        })
    });
    assert_eq!(changes, 1, "the second zone is left in peace");
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Retry { after: Some(LIMITED), .. }), "{outcome:?}");
    }
}

#[test]
fn pages_that_were_cut_off_are_no_faults_of_the_server() {
    // Three faults would end the job.
    let names: Vec<String> = ["com", "org", "net"]
        .iter()
        .flat_map(|end| (0..4).map(move |n| format!("h{n}.example.{end}")))
        .collect();
    let rows: Vec<(&str, &str, &str)> = names.iter().map(|name| ("A", name.as_str(), "192.0.2.1")).collect();
    let mut fake = Fake::new(&rows);
    fake.zones.extend([("org", "example.org"), ("net", "example.net")]);
    let mut updater = updater(None, names.iter().map(|name| record(name)).collect());
    let outcomes = run_with(&mut updater, &mut fake, tasks(12, 2), |request, _| {
        let list = request.url.contains("dns_records?per_page");
        assert!(!list || request.max_reply == 1_048_576, "500 records with all their fields take a third");
        list.then(|| Ok(Reply { status: 200, body: "{".repeat(request.max_reply), ..Reply::default() }))
    });
    assert_eq!(outcomes, vec![CHANGED; 12]);
}

#[test]
fn of_a_list_with_a_thousand_zones_of_one_name_a_few_are_kept() {
    let mut fake = Fake::new(&[]);
    fake.zones = (0..1000).map(|n| (&*format!("z{n}").leak(), "example.com")).collect();
    let mut updater =
        updater(None, ["a", "b", "c", "d"].map(|n| record(&format!("{n}.example.com"))).to_vec());
    let outcomes = run(&mut updater, &mut fake, 4, 2);
    assert!(
        outcomes.iter().all(|outcome| needs_a_person(outcome) && why(outcome).contains("5 active zones")),
        "{outcomes:?}"
    );
}
