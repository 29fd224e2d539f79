//! Which name is meant, which zone it is in, and which of several records is ours.

use super::*;

#[test]
fn names_are_relative_or_full_under_a_zone_id() {
    let names = ["@", "nas", "*.b", "full.example.com", "*", "_x"];
    let full = ["", "nas.", "*.b.", "full.", "*.", "_x."].map(|label| format!("{label}example.com"));
    let mut fake = Fake::new(&full.each_ref().map(|name| ("A", name.as_str(), "192.0.2.1")));
    for name in names {
        assert_eq!(run(&mut updater(Some(ZONE), vec![record(name)]), &mut fake, 1, 2), [CHANGED], "{name}");
    }
    let mut all = updater(Some(ZONE), names.map(record).to_vec());
    fake.asked.clear();
    assert_eq!(run(&mut all, &mut fake, 6, 3), vec![CHANGED; 6]);
    assert_eq!(fake.asked.len(), 3, "the zone's name, its list, the changes: {:?}", fake.asked);
}

#[test]
fn a_name_in_another_zone_is_never_made_one_of_this() {
    for (name, full) in [
        ("a.b", "a.b.example.com"),
        ("home.example.org", "home.example.org.example.com"),
        ("notexample.com", "notexample.com.example.com"),
    ] {
        let create = CloudflareRecord { create: true, ..record(name) };
        let mut fake = Fake::new(&[("A", "home.example.com", "192.0.2.1")]);
        // Known from the first job on, and so seen before anything is looked up.
        let mut updater = updater(Some(ZONE), vec![create, record("@")]);
        for count in [1, 2, 1] {
            let outcomes = run(&mut updater, &mut fake, count, 2);
            let Outcome::Blocked { why } = &outcomes[0] else { panic!("{outcomes:?}") };
            for part in [format!("{name:?}"), "\"example.com\"".to_owned(), format!("{full:?}")] {
                assert!(why.contains(&part), "{why}");
            }
        }
        assert!(fake.asked.iter().all(|asked| asked.starts_with("GET")));
    }
}

#[test]
fn a_record_that_came_out_under_another_name_is_told() {
    // What repeats anything but our name is not said back.
    for (name, told) in [
        ("nas.example.com.example.com", "nas.example.com.example.com"),
        ("nas.example.com.evil.example", "made it of another name"),
        ("evil.example", "made it of another name"),
    ] {
        let create = CloudflareRecord { create: true, ..record("nas.example.com") };
        let mut fake = Fake::new(&[]);
        let outcomes = run_with(&mut updater(None, vec![create]), &mut fake, tasks(1, 2), |request, fake| {
            (request.method == "POST").then(|| {
                let mut made = fake.insert(serde_json::from_str(request.body.as_ref().unwrap()).unwrap());
                made["name"] = json!(name);
                Ok(success(&made))
            })
        });
        assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains(told), "{outcomes:?}");
        assert!(!why(&outcomes[0]).contains("evil"), "{outcomes:?}");
    }
}

/// What a token with DNS:Edit alone may not do; `export` is what the zone's file says.
fn edit_only(export: &'static str) -> impl FnMut(&Request, &mut Fake) -> Option<Result<Reply, Failure>> {
    move |request, _| {
        if request.url.contains("/zones?") {
            return Some(Ok(refusal(403, &[9109], "Unauthorized to access requested resource")));
        }
        let asked = !export.is_empty() && request.url.ends_with("/export");
        assert!(!asked || request.max_reply == 4096, "the head of the file is enough");
        asked.then(|| Ok(Reply { status: 200, body: export.to_owned(), ..Reply::default() }))
    }
}

#[test]
fn with_a_zone_id_a_token_with_dns_edit_alone_is_enough() {
    let file = ";;\n;; Domain:     example.com.\n;; Exported:   2026-01-01 00:00:00\n;;\n";
    // The zone is told by its file, or by what the names of its records have in common.
    for (export, beside) in [(file, "mail.nas.example.com"), ("", "www.example.com")] {
        for (name, full) in [
            ("@", "example.com"),
            ("nas", "nas.example.com"),
            ("*", "*.example.com"),
            ("nas.example.com", "nas.example.com"),
            ("new.example.com", "new.example.com"),
        ] {
            let mut fake = Fake::new(&[("A", "nas.example.com", "192.0.2.1"), ("TXT", beside, "x")]);
            let create = CloudflareRecord { create: true, ..record(name) };
            let mut updater = updater(Some(ZONE), vec![create]);
            for last in [2, 3] {
                fake.asked.clear();
                let outcomes = run_with(&mut updater, &mut fake, tasks(1, last), edit_only(export));
                assert_eq!(outcomes, [CHANGED], "{name}");
                assert_eq!(fake.content(full), [format!("192.0.2.{last}")], "{name}");
            }
            assert_eq!(fake.asked.len(), 2, "the zone's name is known: {:?}", fake.asked);
        }
    }
}

#[test]
fn a_zone_that_cannot_be_named_is_not_guessed() {
    // It could be a zone of three labels as well.
    let records = [("@", true), ("nas", true), ("new.home.example.com", true)];
    let records = records.map(|(name, create)| CloudflareRecord { create, ..record(name) }).to_vec();
    let mut fake = Fake::new(&[("A", "home.example.com", "192.0.2.1")]);
    let outcomes = run_with(&mut updater(Some(ZONE), records), &mut fake, tasks(3, 2), edit_only(""));
    for outcome in &outcomes {
        assert!(why(outcome).contains("Zone:Read"), "{outcome:?}");
    }
    assert!(why(&outcomes[0]).contains("write the full name"), "{outcomes:?}");
    assert_eq!(fake.content("home.example.com"), ["192.0.2.1"]);
    assert_eq!(fake.records.len(), 1);
}

#[test]
fn unicode_capitals_and_final_dots_are_the_same_name() {
    for shown in
        ["köln.example.com", "KÖLN.Example.COM", "xn--kln-sna.example.com.", "XN--KLN-SNA.example.com"]
    {
        let mut fake = Fake::new(&[("A", shown, "192.0.2.1")]);
        let mut updater =
            updater(Some(ZONE), vec![CloudflareRecord { create: true, ..record("xn--kln-sna.example.com") }]);
        let every = |request: &Request, fake: &mut Fake| {
            let all = Request {
                url: request.url.replace("name.exact=xn--kln-sna.example.com&", ""),
                ..request.clone()
            };
            (request.method == "GET").then(|| Ok(fake.answer(&all)))
        };
        assert_eq!(run_with(&mut updater, &mut fake, tasks(1, 2), every), [CHANGED], "{shown}");
        assert_eq!(fake.records.len(), 1);
        assert_eq!(fake.records[0]["content"], "192.0.2.2");
    }
}

/// A task whose last accepted address ended in `old`.
fn after(old: u8, last: u8) -> Vec<Task> {
    let old = Addresses { ipv4: Some([192, 0, 2, old].into()), ..Addresses::default() };
    tasks(1, last).into_iter().map(|task| Task { old, ..task }).collect()
}

#[test]
fn of_several_records_the_one_that_was_ours_is_changed() {
    let three = [1, 2, 3].map(|last| format!("192.0.2.{last}"));
    let three = three.each_ref().map(|content| ("A", "nas.example.com", content.as_str()));
    let go = |record: CloudflareRecord, old| {
        let mut fake = Fake::new(&three);
        let outcomes = run_with(&mut updater(None, vec![record]), &mut fake, after(old, 9), |_, _| None);
        (outcomes, fake)
    };
    let plain = record("nas.example.com");
    let marked = CloudflareRecord { comment: Some("line 1".into()), ..plain.clone() };
    for record in [plain.clone(), marked] {
        let (outcomes, fake) = go(record, 2);
        assert_eq!(outcomes, [CHANGED]);
        assert_eq!(fake.content("nas.example.com"), ["192.0.2.1", "192.0.2.9", "192.0.2.3"]);
    }
    let (outcomes, fake) = go(plain, 7);
    assert!(
        needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("192.0.2.1, 192.0.2.2, 192.0.2.3"),
        "{outcomes:?}"
    );
    assert_eq!(fake.content("nas.example.com"), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
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
    for outcome in &outcomes[1..] {
        assert!(why(outcome).contains("the token may not read the zone's name"), "{outcome:?}");
    }
    assert!(needs_a_person(&outcomes[2]) && why(&outcomes[2]).contains("Zone:Read"), "{outcomes:?}");
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
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("Zone:Read"), "{outcomes:?}");
    fake.zones.push(("other", "example.com"));
    let outcomes = run(&mut updater(None, vec![record("nas.example.com")]), &mut fake, 1, 2);
    assert!(needs_a_person(&outcomes[0]) && why(&outcomes[0]).contains("2 active zones"), "{outcomes:?}");
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
    assert!(needs_a_person(&run_with(&mut updater, &mut fake, tasks(1, 3), missing_above)[0]));
    assert_eq!(run_with(&mut updater, &mut fake, tasks(1, 3), missing_above), [CHANGED]);
}
