//! Faults, limits and lost answers: what is waited for and what is not believed.

use super::*;

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
    assert!(needs_a_person(&outcomes[0]), "{outcomes:?}");
}
