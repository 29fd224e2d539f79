//! Jobs without a server: replies are values.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::address::Family;
use crate::config::presets::{Preset, all, find};
use crate::quote::Secrets;
use crate::secret::Secret;
use crate::updaters::{Failure, Reply};

const NAMES: [&str; 3] = ["a.example.org", "b.example.org", "c.example.org"];

fn account(preset: Preset) -> config::Dyndns {
    config::Dyndns {
        preset: preset.into(),
        url: None,
        username: Some(Secret::new("me".into())),
        password: Some(Secret::new("hunter22".into())),
        token: Some(Secret::new("t0ken".into())),
        hostnames: NAMES.iter().map(|&name| name.into()).collect(),
    }
}

fn updater(provider: &str) -> Dyndns {
    Dyndns::new(account(find(&all(), provider).unwrap().clone()).into())
}

fn own() -> Dyndns {
    Dyndns::new(account(Preset::own("https://dyn.example/nic/update", true)).into())
}

fn addresses(ipv4: &str, ipv6: &str) -> Addresses {
    Addresses { ipv4: ipv4.parse().ok(), ipv6: ipv6.parse().ok(), ipv6_prefix: None }
}

fn both() -> Addresses {
    addresses("192.0.2.1", "2001:db8::1")
}

fn task(entry: usize, addresses: Addresses) -> Task {
    Task { entry, addresses, old: Addresses::default() }
}

fn answer(status: u16, body: &str) -> Reply {
    let secrets = Arc::new(Secrets::new(["me", "hunter22", "t0ken"]));
    Reply { status, body: body.into(), secrets, ..Reply::default() }
}

/// Performs a job; each request takes the next answer, the last one stays. The
/// URLs behind the host, and the outcomes.
fn perform(
    updater: &mut Dyndns,
    tasks: &[Task],
    answers: &[(u16, &str)],
) -> (Vec<String>, Vec<(usize, Outcome)>) {
    let mut urls = Vec::new();
    let outcomes = updater.update(tasks.to_vec(), &mut |request| {
        let (status, body) = answers[urls.len().min(answers.len() - 1)];
        urls.push(request.url.splitn(4, '/').nth(3).unwrap().to_owned());
        Ok(answer(status, body))
    });
    (urls, outcomes)
}

fn outcome(status: u16, body: &str) -> Outcome {
    perform(&mut updater("no-ip"), &[task(0, both())], &[(status, body)]).1.remove(0).1
}

const CHANGED: Outcome = Outcome::Published { changed: true };
const SAME: Outcome = Outcome::Published { changed: false };

#[test]
fn every_return_code_does_what_the_table_says() {
    for body in ["good", "good 192.0.2.1", "good 192.0.2.1,2001:db8::1\r\n", " good \n", "nochg\ngood"] {
        assert_eq!(outcome(200, body), CHANGED, "{body}");
    }
    assert_eq!(outcome(200, "nochg 192.0.2.1"), SAME);
    for body in ["good 192.0.2.1", "nochg 192.0.2.1"] {
        let outcome = outcome(404, body);
        assert!(matches!(outcome, Outcome::NeedsPerson { .. }), "only with a status of success: {outcome:?}");
    }
    for word in [
        "badauth",
        "!donator",
        "!active",
        "!yours",
        "notfqdn",
        "nohost",
        "numhost",
        "abuse",
        "badagent",
        "badsys",
        "good 127.0.0.1",
    ] {
        for status in [200, 401, 403, 500] {
            assert!(matches!(outcome(status, word), Outcome::Blocked { .. }), "{status} {word}");
        }
    }
    for (word, seconds) in [
        ("dnserr", 1800),
        ("911", 1800),
        ("servererror", 1800),
        ("w30s", 30),
        ("w5m", 300),
        ("w2h", 7200),
        ("w99h", 86400),
    ] {
        let wait = Some(Duration::from_secs(seconds));
        let outcome = outcome(500, word);
        assert!(matches!(outcome, Outcome::Retry { after, reached: true, .. } if after == wait), "{word}");
    }
    for body in
        ["", "Good", "goodbye", "<html>good</html>", "abuses", "OK", "good\n<html>", "nohost\n<html>", "wait"]
    {
        let outcome = outcome(200, body);
        assert!(matches!(outcome, Outcome::Retry { after: None, reached: true, .. }), "{body}");
        assert!(format!("{outcome:?}").contains("an answer that is not known"), "{outcome:?}");
    }
    assert!(matches!(outcome(500, "good"), Outcome::Retry { .. }), "a fault with a friendly word");
}

/// What a server says whose rules a preset has.
fn by_rules(status: u16, body: &str) -> Outcome {
    let mut preset = Preset::own("https://dyn.example/nic/update", true);
    let rules = |rules: &[&str]| rules.iter().map(|&rule| rule.to_owned()).collect();
    preset.answers.good = rules(&["OK", "was {ipv4} set", "updated*", "*success*"]);
    preset.answers.same = rules(&["SAME"]);
    preset.answers.stop = rules(&["*no such*"]);
    perform(
        &mut Dyndns::new(account(preset).into()),
        &[task(0, addresses("192.0.2.1", ""))],
        &[(status, body)],
    )
    .1
    .remove(0)
    .1
}

#[test]
fn a_rule_is_a_word_a_line_a_beginning_or_a_part() {
    for (body, expected) in [
        ("OK", Some(CHANGED)),
        ("  OK 192.0.2.1 and more\nthan that", Some(CHANGED)),
        ("OKAY", None),
        ("is OK", None),
        ("SAME", Some(SAME)),
        ("was 192.0.2.1 set", Some(CHANGED)),
        ("was 192.0.2.1 set  \nnow", Some(CHANGED)),
        ("was 192.0.2.1 set again", None),
        ("was 192.0.2.9 set", None),
        ("was", None),
        ("updated_at: 5", Some(CHANGED)),
        ("not updated", None),
        ("<p>What a SUCCESS this was</p>", Some(CHANGED)),
        // Words of dyndns2 that are not among them.
        ("good", None),
        ("nochg", None),
    ] {
        let outcome = by_rules(200, body);
        let unknown = matches!(&outcome, Outcome::Retry { why, .. } if why.contains("not known"));
        assert_eq!(Some(&outcome).filter(|_| !unknown), expected.as_ref(), "{body}");
    }
    assert!(matches!(by_rules(200, "OK, but no such name"), Outcome::Blocked { .. }), "a failure goes first");
    assert!(matches!(by_rules(500, "OK"), Outcome::Retry { .. }), "only with a status of success");
}

#[test]
fn where_any_answer_is_a_success_a_code_of_failure_is_none() {
    let mut preset = Preset::own("https://dyn.example/nic/update", true);
    preset.answers.any = true;
    let mut updater = Dyndns::new(account(preset).into());
    let mut outcome = |body| perform(&mut updater, &[task(0, both())], &[(200, body)]).1.remove(0).1;
    assert_eq!(outcome("all is well"), CHANGED);
    assert_eq!(outcome("good\nand some words"), CHANGED);
    assert!(matches!(outcome("nohost\nand some words"), Outcome::Blocked { .. }));
}

#[test]
fn a_redirect_that_is_not_followed_is_told_with_its_place() {
    let outcomes = updater("no-ip").update(vec![task(0, both())], &mut |_| {
        let redirect = Some("http://a.example, which gives up TLS".to_owned());
        Ok(Reply { status: 301, redirect, body: "good".to_owned(), ..Reply::default() })
    });
    let why = "the service redirects to http://a.example, which gives up TLS; this is not followed \
               (status 301, \"good\")";
    assert_eq!(outcomes, [(0, Outcome::NeedsPerson { why: why.to_owned() })]);
}

#[test]
fn a_status_without_a_code_is_judged_by_itself() {
    for (status, wait) in
        [(401, None), (403, None), (302, None), (400, None), (404, None), (429, Some(300)), (500, None)]
    {
        match outcome(status, "<html>") {
            Outcome::NeedsPerson { .. } => assert!([302, 400, 404].contains(&status), "{status}"),
            Outcome::Retry { after, .. } | Outcome::Refused { after, .. } => {
                assert_eq!(after, wait.map(Duration::from_secs), "{status}");
            }
            other => panic!("{status}: {other:?}"),
        }
        let wish = Some(Duration::from_secs(2));
        let asked = updater("no-ip").update(vec![task(0, both())], &mut |_| {
            Ok(Reply { status, retry_after: wish, body: String::new(), ..Reply::default() })
        });
        assert!(
            matches!(asked[0].1, Outcome::Retry { after, .. } | Outcome::Refused { after, .. } if after == wish),
            "{status}: {asked:?}"
        );
    }
    let gone = perform(&mut updater("desec"), &[task(0, both())], &[(404, "")]).1.remove(0).1;
    assert!(matches!(gone, Outcome::Blocked { .. }));
}

#[test]
fn an_unreached_server_may_be_tried_again_soon() {
    let lost = |maybe_done| {
        let mut requests = 0;
        let outcomes = own().update(vec![task(0, both()), task(1, both())], &mut |_| {
            requests += 1;
            Err(Failure { why: "timed out".into(), maybe_done })
        });
        assert_eq!(requests, 1, "nothing more is sent");
        outcomes
    };
    let retry = |why: &str, reached| Outcome::Retry { why: why.into(), after: None, reached };
    assert_eq!(lost(false), [(0, retry("timed out", false)), (1, retry("timed out", false))]);
    assert_eq!(lost(true)[1], (1, retry("could not confirm: timed out", true)));
}

#[test]
fn families_go_by_the_providers_own_way() {
    let urls = |provider: &str, addresses| {
        perform(&mut updater(provider), &[task(0, addresses)], &[(200, "good"), (200, "good")]).0
    };
    assert_eq!(urls("no-ip", both()), ["nic/update?hostname=a.example.org&myip=192.0.2.1,2001:db8::1"]);
    assert_eq!(
        urls("no-ip", addresses("", "2001:db8::1")),
        ["nic/update?hostname=a.example.org&myip=2001:db8::1"]
    );
    assert_eq!(
        urls("infomaniak", both()),
        [
            "nic/update?hostname=a.example.org&myip=192.0.2.1",
            "nic/update?hostname=a.example.org&myip=2001:db8::1"
        ]
    );
    assert_eq!(
        urls("desec", addresses("192.0.2.1", "")),
        ["?hostname=a.example.org&myipv4=192.0.2.1&myipv6=preserve"]
    );
    assert_eq!(
        urls("core-networks", both()),
        [
            "?hostname=a.example.org&myip=192.0.2.1&keepipv6=1",
            "?hostname=a.example.org&myip=2001:db8::1&keepipv4=1"
        ]
    );
    assert_eq!(
        urls("gigahost", addresses("192.0.2.1", "")),
        ["api/v0/dns/dyndns?hostname=a.example.org&myip=192.0.2.1"]
    );
}

#[test]
fn ipv6_alone_goes_where_it_can_be_sent_over_ipv6() {
    let urls = |provider: &str, addresses| {
        let mut urls = Vec::new();
        updater(provider).update(vec![task(0, addresses)], &mut |request| {
            urls.push(request.url.clone());
            Ok(answer(200, "good"))
        });
        urls
    };
    let alone = addresses("", "2001:db8::1");
    for (provider, both, ipv6) in [
        (
            "dynu",
            "https://api.dynu.com/nic/update?hostname=a.example.org&myip=192.0.2.1&myipv6=2001:db8::1",
            "https://api-ipv6.dynu.com/nic/update?hostname=a.example.org&myip=no&myipv6=2001:db8::1",
        ),
        (
            "nsupdate.info",
            "https://ipv4.nsupdate.info/nic/update?hostname=a.example.org&myip=192.0.2.1,2001:db8::1",
            "https://ipv6.nsupdate.info/nic/update?hostname=a.example.org&myip=2001:db8::1",
        ),
    ] {
        assert_eq!(urls(provider, self::both()), [both]);
        assert_eq!(urls(provider, alone), [ipv6]);
    }
}

#[test]
fn a_service_that_takes_the_asking_address_is_asked_from_the_right_family() {
    let families = |provider: &str, addresses| {
        let mut families = Vec::new();
        updater(provider).update(vec![task(0, addresses)], &mut |request| {
            families.push(request.family);
            Ok(answer(200, "192.0.2.1 2001:db8::1"))
        });
        families
    };
    assert_eq!(families("mythic-beasts", both()), [Some(Family::V4), Some(Family::V6)]);
    assert_eq!(families("mythic-beasts", addresses("", "2001:db8::1")), [Some(Family::V6)]);
    assert_eq!(families("dy.fi", addresses("192.0.2.1", "")), [Some(Family::V4)]);
    assert_eq!(families("no-ip", both()), [None]);
}

#[test]
fn of_two_requests_only_the_new_family_is_sent() {
    let mut updater = updater("infomaniak");
    let good = [(200, "good")];
    assert_eq!(perform(&mut updater, &[task(0, both())], &good).0.len(), 2);
    assert!(updater.remembers() && updater.notes().is_empty(), "the next job is to know what was sent");
    let moved = addresses("192.0.2.2", "2001:db8::1");
    let (urls, outcomes) = perform(&mut updater, &[task(0, moved)], &good);
    assert_eq!(urls, ["nic/update?hostname=a.example.org&myip=192.0.2.2"]);
    assert_eq!(outcomes, [(0, CHANGED)]);
    // The engine asks for it once more: a refresh.
    assert_eq!(perform(&mut updater, &[task(0, moved)], &good).0.len(), 2);
    // The first family gets through, the second does not.
    let moved = addresses("192.0.2.3", "2001:db8::3");
    let (urls, outcomes) = perform(&mut updater, &[task(0, moved)], &[(200, "good"), (200, "911")]);
    assert!(urls.len() == 2 && matches!(outcomes[..], [(0, Outcome::Retry { .. })]));
    let (urls, outcomes) = perform(&mut updater, &[task(0, moved)], &good);
    assert_eq!(urls, ["nic/update?hostname=a.example.org&myip=2001:db8::3"]);
    assert_eq!(outcomes, [(0, CHANGED)]);
    // What got lost on its way back is not relied on.
    let lost = addresses("192.0.2.4", "2001:db8::3");
    perform(&mut updater, &[task(0, lost)], &[(500, "")]);
    let back = addresses("192.0.2.3", "2001:db8::5");
    assert_eq!(perform(&mut updater, &[task(0, back)], &good).0.len(), 2);
}

#[test]
fn names_go_one_by_one_unless_the_provider_takes_lists() {
    let tasks: Vec<Task> = (0..3).map(|entry| task(entry, both())).collect();
    let (urls, outcomes) =
        perform(&mut updater("no-ip"), &tasks, &[(200, "good"), (200, "nohost"), (200, "nochg")]);
    assert_eq!(urls.len(), 3);
    assert!(matches!(&outcomes[..], [(0, CHANGED), (1, Outcome::Blocked { .. }), (2, SAME)]));
    let (urls, outcomes) = perform(&mut updater("dyn"), &tasks, &[(200, "good x\nnohost\nnochg x\n")]);
    assert_eq!(
        urls,
        ["v3/update?hostname=a.example.org,b.example.org,c.example.org&myip=192.0.2.1,2001:db8::1"]
    );
    assert!(matches!(&outcomes[..], [(0, CHANGED), (1, Outcome::Blocked { .. }), (2, SAME)]));
    let (_, outcomes) = perform(&mut updater("dyn"), &tasks, &[(200, "good x\ngood x")]);
    assert!(
        outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Retry { .. })),
        "a line is missing"
    );
}

#[test]
fn too_many_names_are_sent_one_by_one_from_then_on() {
    let tasks: Vec<Task> = (0..3).map(|entry| task(entry, both())).collect();
    let mut updater = updater("dyn");
    let (urls, outcomes) = perform(&mut updater, &tasks, &[(200, "numhost"), (200, "good")]);
    assert_eq!((urls.len(), outcomes), (4, vec![(0, CHANGED), (1, CHANGED), (2, CHANGED)]));
    assert_eq!(perform(&mut updater, &tasks, &[(200, "nochg")]).0.len(), 3);
    let (urls, outcomes) = perform(&mut updater, &tasks[..1], &[(200, "numhost")]);
    assert!(urls.len() == 1 && matches!(outcomes[..], [(0, Outcome::Blocked { .. })]));
}

#[test]
fn refused_credentials_are_not_tried_again_with_the_next_name() {
    let tasks: Vec<Task> = (0..3).map(|entry| task(entry, both())).collect();
    for (status, body) in [(200, "badauth"), (401, ""), (403, "<html>"), (200, "badagent")] {
        let (urls, outcomes) = perform(&mut own(), &tasks, &[(status, body)]);
        assert_eq!(urls.len(), 1, "{body}");
        assert_eq!(outcomes.len(), 3);
        let blocked = |(_, outcome): &(usize, Outcome)| matches!(outcome, Outcome::Blocked { .. });
        assert!(outcomes.iter().all(|outcome| blocked(outcome) == (status == 200)), "{status}");
    }
    // There each name is a user of its own.
    assert_eq!(perform(&mut updater("nsupdate.info"), &tasks, &[(401, "badauth")]).0.len(), 3);
    // A refused name says nothing of the others, but of its other family.
    assert_eq!(perform(&mut own(), &tasks, &[(200, "nohost"), (200, "good")]).0.len(), 5);
    for word in ["911", "dnserr", "w1h"] {
        let (urls, outcomes) = perform(&mut own(), &tasks, &[(200, word)]);
        assert_eq!(urls.len(), 1);
        assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Retry { .. })));
    }
}

#[test]
fn own_urls_get_the_usual_parameters_or_have_their_own() {
    for (url, with_user, expected) in [
        ("https://dyn.example/nic/update", true, "nic/update?hostname=a.example.org&myip=192.0.2.1"),
        ("https://dyn.example/u?x=1", false, "u?x=1&hostname=a.example.org&myip=192.0.2.1"),
        (
            "https://dyn.example/{token}/{host}?4={ipv4}&6={ipv6|none}",
            false,
            "t0ken/a.example.org?4=192.0.2.1&6=none",
        ),
        ("https://dyn.example/?h={host}&ip={ips}", true, "?h=a.example.org&ip=192.0.2.1"),
    ] {
        let mut updater = Dyndns::new(account(Preset::own(url, with_user)).into());
        updater.update(vec![task(0, addresses("192.0.2.1", ""))], &mut |request| {
            assert_eq!(request.url, format!("https://dyn.example/{expected}"));
            assert_eq!(request.headers.len(), usize::from(with_user), "{url}");
            Ok(answer(200, "good"))
        });
    }
}

#[test]
fn no_secret_comes_back_in_an_outcome() {
    for body in ["hunter22", "badauth t0ken", "bWU6aHVudGVyMjI= is wrong", "error hunter22"] {
        for status in [200, 302, 401, 404, 429, 500] {
            let told = format!("{:?}", outcome(status, body));
            for secret in ["hunter22", "t0ken", "bWU6"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
    let updater = updater("no-ip");
    assert!(!format!("{updater:?}").contains("hunter22"));
}
