//! What a refusal means, and what a person is told to do about it.

use super::*;

/// The outcome of one record whose every request of `method` is answered by `reply`.
fn outcome(method: &'static str, reply: &Reply) -> Outcome {
    let mut fake = Fake::new(&[("A", "a.example.com", "192.0.2.1")]);
    let mut updater = updater(Some(ZONE), vec![record("a.example.com")]);
    let answer = |request: &Request, _: &mut Fake| (request.method == method).then(|| Ok(reply.clone()));
    run_with(&mut updater, &mut fake, tasks(1, 2), answer).remove(0)
}

#[test]
fn each_code_comes_with_its_cure() {
    let location = "Cannot use the access token from location: 192.0.2.7";
    let cname = "A CNAME record with that host already exists.";
    for (method, status, codes, said, blocked, cure) in [
        ("GET", 400, &[6003, 6111][..], "Invalid request headers", true, "copy the token again"),
        ("GET", 400, &[6003, 6103], "Invalid request headers", true, "global API key"),
        ("GET", 400, &[6003], "Invalid request headers", true, "copy the token again"),
        ("GET", 401, &[1000], "Invalid API Token", true, "expired or disabled"),
        ("GET", 403, &[9109], "Invalid access token", true, "DNS:Edit"),
        ("GET", 403, &[9109], location, false, "client IP address filter"),
        ("GET", 403, &[10000], "Authentication error", true, "DNS:Edit"),
        ("GET", 400, &[9106], "Missing headers", true, "refused the API token"),
        ("GET", 403, &[971], "Please wait and consider throttling", false, "fewer requests"),
        ("GET", 400, &[97_100], "Please wait", false, "fewer requests"),
        ("PATCH", 400, &[81_053], "An A, AAAA, or CNAME record", false, "delete it at Cloudflare"),
        ("PATCH", 400, &[81_054], cname, false, "delete it at Cloudflare"),
        ("PATCH", 400, &[9021], "TTL must be between", true, "ttl"),
        ("GET", 400, &[10001], "Unable to complete operation", false, "Cloudflare has a fault"),
    ] {
        let outcome = outcome(method, &refusal(status, codes, said));
        assert_eq!(matches!(outcome, Outcome::Blocked { .. }), blocked, "{codes:?} {outcome:?}");
        // An address is none of our words.
        let told = said.split(": ").next().unwrap_or_default();
        assert!(why(&outcome).contains(told), "{codes:?} {outcome:?}");
        assert!(why(&outcome).contains(cure), "{codes:?} {outcome:?}");
    }
}

/// The filter may hold the next address: its own back-off, which a new one ends.
#[test]
fn an_address_filter_is_a_refusal_and_no_wish() {
    let said = refusal(403, &[9109], "Cannot use the access token from location: 192.0.2.7");
    assert!(matches!(outcome("GET", &said), Outcome::Refused { after: None, .. }));
    let wait = Some(Duration::from_secs(7));
    let outcome = outcome("GET", &Reply { retry_after: wait, ..said });
    assert!(matches!(outcome, Outcome::Refused { after, .. } if after == wait), "{outcome:?}");
}

/// The room that comments take.
fn room_of_comments(records: &Records<'_>) -> usize {
    let all = ["a", "b"].map(|name| records.get(&(format!("{name}.example.com"), false)));
    all.iter().flat_map(|alike| alike.iter()).map(|record| record.comment.capacity()).sum()
}

#[test]
fn what_nobody_asks_for_of_a_record_is_not_kept() {
    let marked = CloudflareRecord { comment: Some("ours".into()), ..record("a.example.com") };
    let Cloudflare { config, .. } = updater(Some(ZONE), vec![marked, record("b.example.com")]);
    let long = "c".repeat(100_000);
    let page = |name: &str, comment: &str| {
        success(&json!([{"id": "r1", "type": "A", "name": name, "content": "192.0.2.1", "comment": comment}]))
    };
    let mut ask = |request: &Request| {
        let ours = request.url.contains("=a.");
        Ok(if ours { page("a.example.com", "ours") } else { page("b.example.com", &long) })
    };
    let mut session = Session::new(&config, &mut ask);
    let mut records = Records::new(&config);
    for name in ["a.example.com", "b.example.com"] {
        records.find(ZONE, &(name.to_owned(), false), &mut session).unwrap();
    }
    assert_eq!(records.get(&("a.example.com".to_owned(), false))[0].comment, "ours");
    assert!(room_of_comments(&records) < 100, "{}", room_of_comments(&records));
    // Nor of the answer to a change.
    let [shown] = &reply::batch(&success(&json!({"patches": [
        {"id": "r1", "type": "A", "name": "b.example.com", "content": "192.0.2.1", "comment": long}
    ]})))
    .unwrap()
    .0[..] else {
        panic!("one record")
    };
    records.set(shown.clone());
    assert!(room_of_comments(&records) < 100, "{}", room_of_comments(&records));
    let elsewhere = (long, false);
    records.set(reply::Record { name: elsewhere.0.clone(), ..shown.clone() });
    assert!(!records.knows(&elsewhere), "nobody looked it up");
}

#[test]
fn without_cloudflares_own_word_nothing_is_blocked() {
    let page = "<html><title>Attention Required! | Cloudflare</title>error code: 1015</html>";
    let wait = Some(Duration::from_secs(7));
    for status in [401, 403, 407, 451] {
        for body in [
            page,
            "",
            "null",
            "{\"success\":false,\"errors\":{\"code\":10000}}",
            "{\"errors\":[{\"code\":10000}]}",
        ] {
            let reply = Reply { status, retry_after: wait, body: body.to_owned(), ..Reply::default() };
            let outcome = outcome("GET", &reply);
            assert!(
                matches!(outcome, Outcome::Retry { after, .. } if after == wait),
                "{status} {body} {outcome:?}"
            );
        }
        if status < 407 {
            for codes in [&[0][..], &[4711]] {
                let outcome =
                    outcome("GET", &refusal(status, codes, "Actor requires permission to list zones"));
                assert!(matches!(outcome, Outcome::Retry { after: None, reached: true, .. }), "{outcome:?}");
                assert!(why(&outcome).contains("permission to list zones"), "{outcome:?}");
            }
        }
    }
}

#[test]
fn who_answers_in_cloudflares_place_is_told() {
    let page = |status| Reply { status, body: "<html>".to_owned(), ..Reply::default() };
    let said = |reply: &Reply| why(&outcome("GET", reply)).to_owned();
    for (status, filter) in [(200, true), (404, true), (499, true), (500, false), (503, false)] {
        let said = said(&page(status));
        let expected = if filter {
            format!(
                "what answered is not Cloudflare, but perhaps a web filter or a login page (status {status})"
            )
        } else {
            format!("Cloudflare has a fault (status {status}, an unexpected answer)")
        };
        assert_eq!(said, expected);
    }
    let redirect = Reply { redirect: Some("http://login.example/".to_owned()), ..page(302) };
    let said = said(&redirect);
    assert!(said.contains("login.example") && said.contains("this is not followed"), "{said}");
}

#[test]
fn a_fault_or_a_limit_blocks_nothing_whatever_its_codes_say() {
    for status in [429, 500, 503] {
        for codes in [&[10000][..], &[9109], &[6003, 6111], &[1000], &[9021]] {
            let outcome = outcome("GET", &refusal(status, codes, "Authentication error"));
            assert!(matches!(outcome, Outcome::Retry { .. }), "{status} {codes:?} {outcome:?}");
        }
    }
}

#[test]
fn a_refusal_of_more_than_twenty_reasons_is_not_cloudflares_and_blocks_nothing() {
    let reasons = |count| json!(vec![json!({"code": 10000, "message": "Authentication error"}); count]);
    for (count, blocks) in [(20, true), (21, false)] {
        for errors in [reasons(count), json!([{"code": 4711, "error_chain": reasons(count)}])] {
            let body = json!({"success": false, "errors": errors}).to_string();
            let outcome = outcome("GET", &Reply { status: 403, body, ..Reply::default() });
            assert_eq!(matches!(outcome, Outcome::Blocked { .. }), blocks, "{count} {outcome:?}");
            assert_ne!(why(&outcome).contains("not Cloudflare"), blocks, "{count} {outcome:?}");
        }
    }
}

#[test]
fn what_is_null_or_missing_in_an_envelope_is_nothing() {
    let zone = json!({"id": ZONE, "name": "example.com", "status": "active"});
    let of = |result: &Value| json!({"success": true, "errors": null, "messages": null, "result": result, "result_info": null});
    let nas = json!({"id": "r1", "type": "A", "name": "nas.example.com", "content": "192.0.2.1", "ttl": null, "proxied": null, "comment": null, "tags": []});
    let mut updater = updater(None, vec![record("nas.example.com")]);
    let mut last = String::new();
    let outcomes = run_with(&mut updater, &mut Fake::new(&[]), tasks(1, 2), |request, _| {
        let body = match (request.method, request.url.contains("/dns_records")) {
            ("GET", false) if request.url.contains("=example.com&") => of(&json!([zone])),
            ("GET", false) => json!({"success": true, "result": []}),
            ("GET", true) => of(&json!([nas])),
            _ => json!({"success": true}),
        };
        last = request.method.to_owned();
        Some(Ok(Reply { status: 200, body: body.to_string(), ..Reply::default() }))
    });
    assert_eq!((outcomes, last.as_str()), (vec![CHANGED], "PATCH"));
    let outcome = outcome(
        "GET",
        &Reply { status: 400, body: "{\"success\":false,\"errors\":null}".into(), ..Reply::default() },
    );
    assert!(
        matches!(&outcome, Outcome::NeedsPerson { why } if why.contains("no reason given")),
        "{outcome:?}"
    );
}

/// A page of a list without end: every record of it is large, and none is ours.
fn endless(page: usize, entries: usize, length: usize) -> Reply {
    let name = "x".repeat(length);
    let record = |n| json!({"id": format!("{page}x{n}"), "type": "A", "name": format!("n{page}-{n}.{name}"), "content": "192.0.2.1"});
    success(&(0..entries).map(record).collect())
}

#[test]
fn a_list_is_bounded_in_bytes_and_a_reply_in_entries() {
    let (mut updater, mut fake) = many(20);
    let mut pages = 0;
    let outcomes = run_with(&mut updater, &mut fake, tasks(20, 2), |request, _| {
        let list = request.url.contains("dns_records?per_page");
        pages += usize::from(list);
        list.then(|| Ok(endless(pages, 500, 1800)))
    });
    assert_eq!(outcomes, vec![CHANGED; 20]);
    assert!((5..=9).contains(&pages), "about 1 MB each, 8 MiB in sum: {pages}");

    let mut pages = 0;
    let outcomes = run_with(&mut updater, &mut fake, tasks(20, 3), |request, _| {
        let list = request.url.contains("dns_records?per_page");
        pages += usize::from(list);
        list.then(|| Ok(endless(pages, 1001, 1)))
    });
    assert_eq!((outcomes, pages), (vec![CHANGED; 20], 1), "more entries than were asked for are none");
}

#[test]
fn beside_the_first_of_each_name_no_more_than_five_hundred_are_kept() {
    let (mut updater, mut fake) = many(20);
    for name in 0..19 {
        for other in 1..100 {
            let (name, content) = (format!("h{name}.example.com"), format!("198.51.100.{other}"));
            fake.insert(json!({"type": "A", "name": name, "content": content, "proxied": false}));
        }
    }
    let outcomes = run(&mut updater, &mut fake, 20, 2);
    let told = |words| outcomes[..19].iter().filter(|outcome| why(outcome).contains(words)).count();
    assert_eq!((told("100 A records"), told("no end")), (5, 14), "{outcomes:?}");
    assert_eq!(outcomes[19], CHANGED, "a name with one record is not the worse for it");
}

#[test]
fn of_one_name_no_more_than_a_hundred_are_kept() {
    let mut fake = Fake::new(&vec![("A", "nas.example.com", "192.0.2.1"); 450]);
    let outcomes = run(&mut updater(Some(ZONE), vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("100 A records"), "{outcomes:?}");
    assert!(why(&outcomes[0]).contains("192.0.2.1, ...)"), "not all of them are told: {outcomes:?}");
    assert_eq!(fake.asked.len(), 5);
    fake.records.extend(fake.records.clone());
    fake.asked.clear();
    let outcomes = run(&mut updater(Some(ZONE), vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("no end"), "{outcomes:?}");
    assert_eq!(fake.asked.len(), 5);
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
            assert_eq!(needs_a_person(&outcome), person, "{code} {outcome:?}");
            assert_eq!(matches!(outcome, Outcome::Blocked { .. }), !person, "{code}");
        }
    }
    let (_, count) = refused("POST PATCH", &refusal(400, &[81058], "An identical record already exists."));
    assert_eq!(count, 5, "each is looked up again and tried once more");
}
