use super::*;
use crate::address::Prefix;
use crate::backoff::Backoff;
use crate::config::placeholders::Needs;

fn table<V, const N: usize>(pairs: [(&str, V); N]) -> BTreeMap<String, V> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn ipv4(text: &str) -> Addresses {
    Addresses { ipv4: Some(text.parse().unwrap()), ..Addresses::default() }
}

fn accepted(text: &str, at: u64) -> Accepted {
    Accepted { addresses: ipv4(text), at: Some(at) }
}

fn example() -> State {
    let addresses = Addresses {
        ipv4: Some([192, 0, 2, 1].into()),
        ipv6: None,
        ipv6_prefix: Prefix::new("2001:db8::".parse().unwrap(), 56),
    };
    let target = TargetState {
        name: "A home.example\t100%\n".into(),
        accepted: Some(Accepted { addresses, at: Some(1_790_000_000) }),
        trying: Some(Addresses { ipv6: Some("2001:db8::1".parse().unwrap()), ..addresses }),
        doubted: Some(Needs { ipv6: true, ..Needs::default() }),
        blocked: Some(Box::new(Blocked {
            why: "status 401".into(),
            banned: true,
            since: Some(4),
            tried: Some(7),
            started: Some(5),
            way: Some("abcd".into()),
        })),
        failed: Some(Box::new(Failed {
            why: "no route\t".into(),
            cause: Cause::Wish,
            sent: addresses,
            since: Some(1),
            tried: Some(2),
            tries: 3,
            until: Some(3),
            started: Some(6),
            waits: Backoff::parse("1.2.3").unwrap(),
        })),
        gone: Some(Box::new([Some(9), None, Some(8)])),
    };
    State {
        gateways: table([("upnp", LanUrl::parse("http://192.168.1.1:5000/x").unwrap())]),
        has_answered: table([("upnp", vec!["ipv4".into(), "ipv6".into()])]),
        ipv6_speakers: table([("upnp", Ipv6Speaker::Gateway), ("upnp:#2", Ipv6Speaker::Host)]),
        targets: table([("abc", target), ("def", TargetState::default())]),
        changes: vec![Change {
            at: Some(1_790_000_000),
            name: "A home.example\t100%\n".into(),
            old: Addresses::default(),
            new: addresses,
        }],
    }
}

fn file(lines: &str) -> String {
    format!("{TITLE}\n{lines}")
}

#[test]
fn what_is_written_is_read_again() {
    let state = example();
    assert_eq!(State::parse(&file(&state.write())), (state, 0));
    assert_eq!(State::parse(&file(&State::default().write())), (State::default(), 0));
}

#[test]
fn news_change_what_stands_before_them() {
    let lines = "target\ta\tname=x\taccepted=192.0.2.1,-,-\tat=5\n\
                 target\tb\tname=y\taccepted=192.0.2.1,-,-\tat=6\n\
                 # a line of the keeper\n\
                 trying\t192.0.2.2,-,-\ta b\n\
                 accepted\ta\t7\n";
    let (state, damaged) = State::parse(&file(lines));
    assert_eq!(damaged, 0);
    let target = |name: &str, accepted, trying| TargetState {
        name: name.into(),
        accepted,
        trying,
        ..TargetState::default()
    };
    let expected = [
        ("a".to_owned(), target("x", Some(accepted("192.0.2.2", 7)), None)),
        ("b".to_owned(), target("y", Some(accepted("192.0.2.1", 6)), Some(ipv4("192.0.2.2")))),
    ];
    assert_eq!(state.targets, BTreeMap::from(expected));
}

#[test]
fn a_check_is_accepted_without_having_been_tried() {
    let lines = "target\ta\tname=x\taccepted=192.0.2.1,-,-\tat=5\naccepted\ta\t9\n";
    let (state, damaged) = State::parse(&file(lines));
    assert_eq!((state.targets.get("a").unwrap().accepted, damaged), (Some(accepted("192.0.2.1", 9)), 0));
}

/// What a target holds is either what it held before, with or without the mark,
/// or what it accepted: at no byte something else.
#[test]
fn a_cut_at_any_byte_is_never_half_believed() {
    let old = file("target\ta\tname=x\taccepted=192.0.2.1,-,-\tat=5\n");
    let text = format!("{old}trying\t192.0.2.211,-,-\ta\naccepted\ta\t1790000000\n");
    let (marked, done) = (old.len() + "trying\t192.0.2.211,-,-\ta\n".len(), text.len());
    for cut in 0..=text.len() {
        let (state, damaged) = State::parse(text.get(..cut).unwrap());
        let target = state.targets.get("a").cloned().unwrap_or_default();
        let expected = match cut {
            cut if cut < old.len() => (None, None),
            cut if cut < marked => (Some(accepted("192.0.2.1", 5)), None),
            cut if cut < done => (Some(accepted("192.0.2.1", 5)), Some(ipv4("192.0.2.211"))),
            _ => (Some(accepted("192.0.2.211", 1_790_000_000)), None),
        };
        assert_eq!((target.accepted, target.trying), expected, "cut at {cut}");
        let untitled = (1..=TITLE.len()).contains(&cut);
        assert!(damaged == 0 || untitled && damaged == 1, "cut at {cut}: {damaged}");
    }
}

#[test]
fn after_a_damaged_line_no_target_is_believed_to_be_current() {
    let lines = "nonsense\ntarget\tabc\tname=x\taccepted=1.2.3\n\
                 target\tdef\tname=y\taccepted=1.2.3.4,-,-\tblocked=no\n\
                 trying\t1.2.3.5,-,-\tunheard-of\naccepted\tdef\t12x\n";
    let (state, damaged) = State::parse(&file(lines));
    assert_eq!(damaged, 4);
    assert_eq!(state.targets.keys().collect::<Vec<_>>(), ["def"]);
    let target = state.targets.get("def").unwrap();
    assert_eq!(target.trying, Some(ipv4("1.2.3.4")));
    assert_eq!(target.blocked.as_ref().map(|blocked| blocked.why.as_str()), Some("no"));
}

#[test]
fn a_file_that_says_so_is_not_believed() {
    assert_eq!(TITLE.len(), DOUBTED.len());
    let lines = "target\tabc\tname=y\taccepted=1.2.3.4,-,-\n";
    let (state, damaged) = State::parse(&format!("{DOUBTED}\n{lines}"));
    assert_eq!((state.targets.get("abc").unwrap().trying, damaged), (Some(ipv4("1.2.3.4")), 0));
    assert_eq!(State::parse(&file(lines)).0.targets.get("abc").unwrap().trying, None);
}

#[test]
fn the_first_format_is_read() {
    let fingerprint = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let text = format!(
        "ddns-update-daemon state 1\ngateway\tupnp\thttp://192.168.1.1:5000/x\n\
         has_answered\tupnp\tipv4\n\
         target\t{fingerprint}\tname=x\taccepted=192.0.2.1,-,-\tat=5\n\
         target\t{fingerprint}-2\tname=x\ttrying=192.0.2.1,-,-\n"
    );
    let (state, damaged) = State::parse(&text);
    assert_eq!(damaged, 0);
    assert_eq!(state.targets.get("0123456789abcdef").unwrap().accepted, Some(accepted("192.0.2.1", 5)));
    assert_eq!(state.targets.get("0123456789abcdef-2").unwrap().trying, Some(ipv4("192.0.2.1")));
    assert_eq!(id(fingerprint), "0123456789abcdef");
    assert_eq!(state.gateways.len(), 1);
}

#[test]
fn the_title_tells_whose_file_it_is() {
    for (text, format) in [
        ("ddns-update-daemon state 2 certain\n", Format::Current),
        ("ddns-update-daemon state 2 doubted\r\n", Format::Current),
        ("ddns-update-daemon state 1\n", Format::First),
        ("ddns-update-daemon state 3\n", Format::Newer),
        ("ddns-update-daemon state 10 certain\n", Format::Newer),
        ("ddns-update-daemon state 2 cert", Format::Unknown),
        ("interval = 5\n", Format::Unknown),
        ("", Format::Unknown),
    ] {
        assert_eq!(Format::of(text), format, "{text:?}");
    }
}

#[test]
fn another_file_is_not_read_as_state() {
    assert_eq!(State::parse("interval = 5\n"), (State::default(), 1));
    assert_eq!(State::parse("ddns-update-daemon state 3\n"), (State::default(), 1));
    assert_eq!(State::parse(""), (State::default(), 0));
}

#[test]
fn the_last_changes_are_kept_once_for_all_targets() {
    let mut state = State::default();
    let change = |old: u8, new: u8, name: &str| Change {
        at: Some(7),
        name: name.into(),
        old: ipv4(&format!("192.0.2.{old}")),
        new: ipv4(&format!("192.0.2.{new}")),
    };
    let line = state.note_change(change(1, 2, "a"));
    assert_eq!(line.as_deref(), Some("changed\t7\t192.0.2.1,-,-\t192.0.2.2,-,-\ta\n"));
    assert_eq!(state.note_change(change(1, 2, "b")), None, "the same news for another target");
    let ipv6 = Addresses { ipv6: Some("2001:db8::1".parse().unwrap()), ..Addresses::default() };
    let other = Change { new: ipv6, old: Addresses::default(), ..change(1, 2, "c") };
    assert!(state.note_change(other).is_some());
    assert_eq!(state.note_change(change(1, 2, "d")), None, "another kind in between");
    assert!(state.note_change(change(2, 1, "a")).is_some() && state.note_change(change(1, 2, "a")).is_some());
    for new in 3..40 {
        assert!(state.note_change(change(new - 1, new, "a")).is_some());
    }
    assert_eq!((state.changes.len(), &state.changes[0]), (20, &change(19, 20, "a")));
    assert_eq!(State::parse(&file(&state.write())), (state, 0));
    for wrong in
        ["changed\tx\t-,-,-\t-,-,-\ta\n", "changed\t7\t-,-,-\ta\n", "changed\t7\t-,-,-\t-,-,-\ta\tb\n"]
    {
        assert_eq!(State::parse(&file(wrong)).1, 1, "{wrong:?}");
    }
}

#[test]
fn what_is_freed_or_accepted_keeps_the_rest() {
    let both =
        TargetState { blocked: Some(Box::default()), failed: Some(Box::default()), ..TargetState::default() };
    for (mut target, freed) in [
        (both.clone(), true),
        (TargetState { failed: None, ..both.clone() }, true),
        (TargetState { blocked: None, ..both }, true),
        (TargetState::default(), false),
    ] {
        assert_eq!(target.free(), freed);
        assert_eq!(target, TargetState::default());
    }
    // Since when one family is gone is no matter of the other.
    let gone = Some(Box::new([None, Some(5), None]));
    let mut target = TargetState {
        accepted: Some(accepted("192.0.2.1", 4)),
        gone: gone.clone(),
        ..TargetState::default()
    };
    assert_eq!(target.accept(Some(7)), Some(()));
    assert_eq!((target.gone, target.accepted), (gone, Some(accepted("192.0.2.1", 7))));
}

#[test]
fn a_target_is_named_by_the_ascii_of_a_fingerprint() {
    for (id, damaged) in [("0123456789abcdef-2", 0), ("t", 0), ("\u{e9}", 1)] {
        assert_eq!(State::parse(&file(&format!("target\t{id}\tname=x\n"))).1, damaged, "{id}");
    }
}

#[test]
fn only_what_is_written_so_is_read_as_an_escape() {
    for (text, plain) in [("a%09b", "a\tb"), ("100%25", "100%"), ("%e9", "%e9"), ("%", "%"), ("%4", "%4")] {
        assert_eq!(unescape(text), plain);
    }
}

#[test]
fn who_speaks_for_ipv6_has_a_word() {
    for speaker in [Ipv6Speaker::Gateway, Ipv6Speaker::Host] {
        assert_eq!(Ipv6Speaker::parse(speaker.id()), Some(speaker));
    }
    assert_eq!(Ipv6Speaker::parse("router"), None);
}
