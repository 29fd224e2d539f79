use super::*;
use crate::config::notify::{Heartbeat, Notify, Telling};
use crate::secret::Secret;

const UNIX: u64 = 1_795_784_520; // 2026-11-27T13:02:00Z

fn at(seconds: u64) -> Now {
    Now::new(Duration::from_secs(seconds), UNIX + seconds)
}

fn to(on: [bool; 3], after: u64) -> Notify {
    Notify {
        preset: None,
        cmd: Vec::new(),
        url: Secret::new("https://n.example/".to_owned()),
        token: None,
        chat: String::new(),
        headers: Vec::new(),
        on,
        after: Duration::from_secs(after),
    }
}

fn notifier(notify: Vec<Notify>, every: Option<u64>) -> Notifier {
    let url = || Secret::new("https://hc.example/x".to_owned());
    let heartbeat = every.map(|every| Heartbeat { url: url(), every: Duration::from_secs(every) });
    let config = Config { telling: Telling { notify, heartbeat }, ..Config::default() };
    Notifier::new(&config, 1).unwrap()
}

fn look(notifier: &mut Notifier, now: u64, behind: &[(&str, &str)]) {
    let held = Addresses { ipv4: Some([1, 2, 3, 4].into()), ..Addresses::default() };
    notifier.look(at(now), behind.iter().map(|(name, why)| (*name, (*why).to_owned())), &|_| Some(held));
}

/// Looks whenever that is due until `end`; what was delivered when.
fn play(
    notifier: &mut Notifier,
    from: u64,
    end: u64,
    behind: &[(&str, &str)],
    result: &Sent,
) -> Vec<(u64, String)> {
    let mut told = Vec::new();
    for now in from..end {
        if notifier.wants_a_look(at(now)) {
            look(notifier, now, behind);
        }
        while let Some(delivery) = notifier.delivery(at(now)) {
            notifier.sent(at(now), &delivery, result);
            match delivery {
                Delivery::Message { happening, text, .. } => {
                    told.push((now, format!("{}: {text}", happening.word())));
                }
                Delivery::Ping { ok, text } => told.push((now, format!("{ok}: {text}"))),
            }
        }
    }
    told
}

const GOOD: Sent = Ok(());

fn bad() -> Sent {
    Err(Undelivered { why: "status 500".to_owned(), after: None, reached: true })
}

#[test]
fn nobody_to_tell_is_nothing_to_do() {
    assert!(Notifier::new(&Config::default(), 1).is_none());
}

#[test]
fn a_failure_is_told_once_when_it_has_lasted_and_so_is_its_end() {
    let mut n = notifier(vec![to([true; 3], 60)], None);
    n.note();
    let down = [("A x", "timed out")];
    assert_eq!(
        play(&mut n, 0, 10_000, &down, &GOOD),
        [(
            61,
            "failure: A x: not up to date since 2026-11-27T13:02:00Z: timed out; it holds 1.2.3.4".to_owned()
        )]
    );
    n.note();
    assert_eq!(
        play(&mut n, 10_000, 20_000, &[], &GOOD),
        [(10_001, "recovery: A x: up to date again: 1.2.3.4".to_owned())]
    );
    assert_eq!(n.deadline(), Duration::MAX);
}

#[test]
fn a_short_failure_is_told_to_nobody() {
    let mut n = notifier(vec![to([true; 3], 60)], None);
    n.note();
    assert_eq!(play(&mut n, 0, 59, &[("A x", "timed out")], &GOOD), []);
    n.note();
    assert_eq!(play(&mut n, 59, 1000, &[], &GOOD), []);
}

#[test]
fn each_section_has_its_own_time_and_wishes() {
    let mut n = notifier(vec![to([false, true, false], 10), to([false, false, true], 30)], None);
    n.note();
    let told = play(&mut n, 0, 100, &[("A x", "no")], &GOOD);
    assert_eq!(told.iter().map(|(now, _)| *now).collect::<Vec<_>>(), [11]);
    n.note();
    let told = play(&mut n, 100, 200, &[], &GOOD);
    assert_eq!(told, [(101, "recovery: A x: up to date again: 1.2.3.4".to_owned())]);
}

#[test]
fn many_targets_are_one_message_with_a_limit() {
    let mut n = notifier(vec![to([true; 3], 60)], None);
    let names: Vec<String> = (0..30).map(|index| format!("A n{index}")).collect();
    for name in &names {
        n.changed(at(5), name, "1.2.3.4 -> 5.6.7.8");
    }
    let told = play(&mut n, 5, 100, &[], &GOOD);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, 6);
    assert!(told[0].1.starts_with("change: A n0: 1.2.3.4 -> 5.6.7.8\nA n1: "), "{}", told[0].1);
    assert!(told[0].1.ends_with("\nA n19: 1.2.3.4 -> 5.6.7.8\nand 10 more"), "{}", told[0].1);
}

#[test]
fn a_message_has_a_length_and_no_control_characters() {
    let mut n = notifier(vec![to([true; 3], 60)], None);
    for index in 0..30 {
        n.changed(at(0), &format!("t{index}"), &"\x1b\n\u{e4}".repeat(500));
    }
    let told = play(&mut n, 0, 10, &[], &GOOD);
    assert!(told[0].1.len() <= MAX_TEXT + "change: ".len() && told[0].1.ends_with("and 10 more"));
    assert!(!told[0].1.contains('\x1b'));
}

#[test]
fn failure_and_recovery_are_kept_until_delivered_a_change_is_tried_twice() {
    let mut n = notifier(vec![to([true; 3], 60)], None);
    n.changed(at(0), "A y", "set to 1.2.3.4");
    n.note();
    let day = 24 * 3600;
    let told = play(&mut n, 0, day, &[("A x", "no")], &bad());
    let changes: Vec<u64> =
        told.iter().filter(|(_, text)| text.starts_with("change")).map(|(now, _)| *now).collect();
    assert_eq!(changes, [1, 11]);
    let tries: Vec<u64> =
        told.iter().filter(|(_, text)| text.starts_with("failure")).map(|(now, _)| *now).collect();
    assert!((24..=40).contains(&tries.len()), "{tries:?}");
    assert!(tries.windows(2).all(|pair| (30..=3600).contains(&(pair[1] - pair[0]))), "{tries:?}");
    n.note();
    let told = play(&mut n, day, day + 10, &[], &GOOD);
    let words: Vec<&str> = told.iter().map(|(_, text)| text.split(':').next().unwrap()).collect();
    // A recovery wakes what waits.
    assert_eq!(words, ["failure", "recovery"]);
}

#[test]
fn what_the_server_asks_for_is_waited() {
    let mut n = notifier(vec![to([true; 3], 10)], None);
    n.note();
    let wish = Err(Undelivered {
        why: "status 429".to_owned(),
        after: Some(Duration::from_secs(500)),
        reached: true,
    });
    let told = play(&mut n, 0, 600, &[("A x", "no")], &wish);
    assert_eq!(told.iter().map(|(now, _)| *now).collect::<Vec<_>>(), [11, 511]);
}

#[test]
fn one_at_a_time_and_what_comes_meanwhile_is_told_after_it() {
    let mut n = notifier(vec![to([true; 3], 60)], None);
    n.changed(at(0), "A x", "1 -> 2");
    let first = n.delivery(at(1)).unwrap();
    n.changed(at(1), "A x", "2 -> 3");
    assert_eq!(n.delivery(at(100)), None);
    n.sent(at(100), &first, &GOOD);
    let Some(Delivery::Message { text, .. }) = n.delivery(at(100)) else { panic!() };
    assert_eq!(text, "A x: 2 -> 3");
}

#[test]
fn the_first_ping_waits_until_all_is_well() {
    let mut n = notifier(Vec::new(), Some(3600));
    n.note();
    assert_eq!(play(&mut n, 0, 20, &[("A x", "its sources have not answered")], &GOOD), []);
    n.note();
    let ok = "true: 0 of 0 targets up to date".to_owned();
    assert_eq!(play(&mut n, 20, 8000, &[], &GOOD), [(20, ok.clone()), (3620, ok.clone()), (7220, ok)]);
}

#[test]
fn a_ping_fails_when_something_has_failed_for_a_while() {
    let mut n = notifier(Vec::new(), Some(3600));
    n.note();
    let down = [("A x", "timed out")];
    let told = play(&mut n, 0, 4000, &down, &GOOD);
    assert_eq!(
        told,
        [300, 3900].map(|now| (now, "false: 0 of 0 targets up to date\nA x: timed out".to_owned()))
    );
}

#[test]
fn a_ping_that_fails_is_repeated_before_the_next() {
    let mut n = notifier(Vec::new(), Some(3600));
    n.note();
    let told = play(&mut n, 0, 200, &[], &bad());
    let times: Vec<u64> = told.iter().map(|(now, _)| *now).collect();
    assert_eq!(times[0], 0);
    assert!((2..=4).contains(&times.len()) && times[1] >= 30, "{times:?}");
}

#[test]
fn a_single_run_pings_at_its_end() {
    let mut n = notifier(Vec::new(), Some(3600));
    n.note();
    look(&mut n, 1, &[("A x", "status 500")]);
    assert!(!n.is_settled());
    n.conclude(at(2));
    look(&mut n, 2, &[("A x", "status 500")]);
    let ping = n.delivery(at(2)).unwrap();
    assert_eq!(
        ping,
        Delivery::Ping { ok: false, text: "0 of 0 targets up to date\nA x: status 500".to_owned() }
    );
    assert!(!n.is_settled());
    n.sent(at(3), &ping, &GOOD);
    assert!(n.is_settled());
}

/// What `before` knows, in a new start at its second 0, an hour later.
fn started_anew(before: &Notifier, now: u64, notify: Vec<Notify>, targets: &[&str]) -> Notifier {
    let mut after = notifier(notify, None);
    after.restore(Now::new(Duration::ZERO, UNIX + 3600), &before.keep(at(now)), targets);
    after
}

#[test]
fn a_new_start_knows_since_when_and_who_was_told() {
    let sections = || vec![to([true; 3], 60), to([true; 3], 7200)];
    let mut n = notifier(sections(), None);
    n.note();
    play(&mut n, 0, 100, &[("A x", "no"), ("A gone", "no")], &GOOD);
    let kept =
        "behind\t1795784520\tA x\thttps://n.example 1\nbehind\t1795784520\tA gone\thttps://n.example 1\n";
    assert_eq!(n.keep(at(100)), kept);
    let mut n = started_anew(&n, 100, sections(), &["A x"]);
    n.note();
    let told = play(&mut n, 0, 3700, &[("A x", "no")], &GOOD);
    let (when, text) = &told[0];
    assert_eq!((told.len(), *when), (1, 3601), "the first was told before: {told:?}");
    // An hour before, by a clock that begins at 13:02 again.
    assert!(text.starts_with("failure: A x: not up to date since 2026-11-27T12:02:00Z: no"), "{text}");
    n.note();
    let told = play(&mut n, 3700, 3800, &[], &GOOD);
    assert_eq!(told.len(), 2, "both are told its end, and nothing of what is gone: {told:?}");
}

#[test]
fn what_was_not_delivered_is_told_after_a_new_start() {
    let sections = || vec![to([true; 3], 60)];
    let mut n = notifier(sections(), None);
    n.note();
    let names: Vec<String> = (0..25).map(|index| format!("A n{index}")).collect();
    let down: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "no")).collect();
    let undelivered = play(&mut n, 0, 62, &down, &bad());
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    // Nothing of targets that there are not, as those of another configuration.
    let mut other = started_anew(&n, 62, sections(), &["A x"]);
    assert_eq!((play(&mut other, 0, 10, &[], &GOOD), other.keep(at(10)).as_str()), (Vec::new(), ""));
    let mut n = started_anew(&n, 62, sections(), &targets);
    let told = play(&mut n, 0, 10, &down, &GOOD);
    assert_eq!((told[0].0, &told[0].1), (1, &undelivered[0].1));
    assert_eq!(told.len(), 1);
    let mut n = notifier(sections(), None);
    // A section that is gone, and lines that are none.
    n.restore(at(0), "told\tgone\tfailure\tA x\tA x: y\nmore\t\nbehind\n\t\t\n\u{1b}", &["A x"]);
    assert_eq!(n.keep(at(0)), "");
}
