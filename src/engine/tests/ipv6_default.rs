//! The default of IPv6: the gateway's address or this host's, never a mixture.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use super::*;
use crate::engine::state::{Accepted, Ipv6Speaker, TargetState};

const BOX: &str = "2a00:b::1";
const HOST: &str = "2a00:a::1";
const MINUTE: Duration = Duration::from_secs(60);

/// A target that follows its gateway.
fn follower(required: Needs) -> Target {
    Target { ipv6: [0, 1].into(), follows_gateway: true, ..target("t", 0, required) }
}

fn bench_with(target: Target, state: State) -> Bench {
    Bench::new(&config(vec![upnp(), interface()], vec![target]), state)
}

fn bench() -> Bench {
    bench_with(follower(IPV6), State::default())
}

/// A poll of the gateway that has its actions, by what it tells.
fn fritz(ipv6: Finding<Ipv6Addr>) -> Observation {
    Observation { ipv6, offers_ipv6: Some(true), ..seen("1.1.1.1") }
}

fn known(text: &str) -> Finding<Ipv6Addr> {
    Finding::Known(text.parse().unwrap())
}

fn silent() -> Observation {
    Observation::unknown("no router answered")
}

/// It answers, but has no actions for IPv6.
fn plain() -> Observation {
    Observation { offers_ipv6: Some(false), ..seen("1.1.1.1") }
}

#[test]
fn what_is_not_known_of_ipv4_is_not_explained_by_ipv6() {
    let mut bench = bench_with(follower(IPV4), State::default());
    bench.answer(0, silent());
    let why = bench.engine.behind(bench.now).next().map(|(_, why)| why);
    assert_eq!(
        why.as_deref(),
        Some("it needs an IPv4 address, which is not known: upnp: no router answered")
    );
}

/// What was sent last and not yet answered.
fn sent6(bench: &Bench) -> Option<String> {
    bench.sent(0)?.ipv6.map(|address| address.to_string())
}

impl Bench {
    /// Answers a poll; only a gateway that answers has a description.
    fn answer(&mut self, source: usize, observation: Observation) {
        assert!(self.polls.contains(&source), "source {source} was not asked");
        self.polls.retain(|poll| *poll != source);
        let answered = source == 0 && observation != silent();
        let gateway = answered.then(|| LanUrl::parse("http://192.168.1.1:5000/root.xml").unwrap());
        self.handle(Event::Observed { source, observation, gateway });
    }

    /// Lets time pass, in which gateway and host answer whenever they are asked.
    fn live(&mut self, time: Duration, gateway: &Observation, host: &Observation) {
        let end = self.now.elapsed + time;
        loop {
            while let Some(source) = self.polls.first().copied() {
                self.answer(source, if source == 0 { gateway.clone() } else { host.clone() });
            }
            let next = self.engine.deadline();
            if next > end {
                self.pass(end - self.now.elapsed);
                return;
            }
            self.pass(next - self.now.elapsed);
        }
    }

    fn said(&self, words: &str) -> usize {
        self.reports.iter().filter(|report| report.text.contains(words)).count()
    }
}

#[test]
fn the_silence_of_a_gateway_that_speaks_is_not_filled() {
    let mut bench = bench();
    bench.answer(0, fritz(known(BOX)));
    assert_eq!(sent6(&bench), Some(BOX.into()));
    bench.finish(0, published());
    let reboot = [silent(), fritz(Finding::Unknown("it knows no IPv6 address".into())), silent()];
    for gateway in reboot {
        bench.live(60 * MINUTE, &gateway, &seen6(HOST));
        assert!(bench.jobs.is_empty(), "{gateway:?}");
    }
    assert!(bench.polls.iter().all(|source| *source == 0), "this host is not even asked");
    bench.live(60 * MINUTE, &fritz(known(BOX)), &seen6(HOST));
    assert!(bench.jobs.is_empty(), "the record holds it");
    assert_eq!(bench.said("the router speaks for IPv6 (AAAA), as it has actions for it"), 1);
    assert_eq!(bench.said("this host's interface speaks"), 0);
    // It definitely has no address: that is its word, too.
    let none = fritz(Finding::Absent("the router has no IPv6 address".into()));
    bench.live(60 * MINUTE, &none, &seen6(HOST));
    assert!(bench.jobs.is_empty());
}

#[test]
fn a_gateway_without_actions_leaves_it_to_this_host() {
    let mut bench = bench();
    bench.answer(0, plain());
    bench.answer(1, seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()), "at once");
    bench.finish(0, published());
    // While it reboots, this host goes on to speak.
    bench.live(60 * MINUTE, &silent(), &seen6("2a00:a::2"));
    assert_eq!(sent6(&bench), Some("2a00:a::2".into()));
    assert_eq!(
        bench.said("this host's interface speaks for IPv6 (AAAA), as the router has no actions for it"),
        1
    );
    // A FRITZ!Box takes its place.
    bench.finish(0, published());
    bench.live(6 * MINUTE, &fritz(known(BOX)), &seen6("2a00:a::2"));
    assert_eq!(sent6(&bench), Some(BOX.into()));
}

#[test]
fn without_a_gateway_this_host_speaks_after_three_minutes() {
    let mut bench = bench();
    bench.live(179 * SECOND, &silent(), &seen6(HOST));
    assert!(bench.jobs.is_empty());
    assert_eq!(bench.said("speaks for IPv6"), 0);
    bench.live(2 * SECOND, &silent(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
    assert_eq!(
        bench.said("this host's interface speaks for IPv6 (AAAA), as no router was found in 180 s"),
        1
    );
    bench.finish(0, published());
    // After a restart it goes on at once.
    let mut bench = bench_with(follower(IPV6), bench.saved.clone());
    bench.answer(0, silent());
    bench.answer(1, seen6("2a00:a::2"));
    assert_eq!(sent6(&bench), Some("2a00:a::2".into()));
}

#[test]
fn a_gateway_that_is_found_but_does_not_say_is_waited_for() {
    let open = seen("1.1.1.1");
    let mut state = State::default();
    state.gateways.insert("upnp".into(), LanUrl::parse("http://192.168.1.1/root.xml").unwrap());
    for (state, gateway) in [(State::default(), open), (state, silent())] {
        let mut bench = bench_with(follower(IPV6), state);
        bench.live(60 * MINUTE, &gateway, &seen6(HOST));
        assert!(bench.jobs.is_empty(), "{gateway:?}");
        assert!(bench.engine.behind(bench.now).any(|(_, why)| why.contains("is not known yet")));
        bench.live(6 * MINUTE, &plain(), &seen6(HOST));
        assert_eq!(sent6(&bench), Some(HOST.into()));
    }
}

#[test]
fn who_spoke_last_goes_on_after_a_restart() {
    let mut first = bench();
    first.answer(0, fritz(known(BOX)));
    first.finish(0, published());
    assert_eq!(first.saved.ipv6_speakers.get("upnp"), Some(&Ipv6Speaker::Gateway));
    let mut bench = bench_with(follower(IPV6), first.saved.clone());
    bench.live(60 * MINUTE, &silent(), &seen6(HOST));
    assert!(bench.jobs.is_empty());
    assert!(bench.engine.behind(bench.now).any(|(_, why)| why.contains("does not fill in for it")));
    let lines: Vec<_> = bench.reports.iter().filter(|report| report.text.contains("speaks for")).collect();
    assert_eq!(lines.iter().map(|line| line.level).collect::<Vec<_>>(), [Level::Debug], "the user knows it");
}

#[test]
fn a_gateway_that_spoke_is_believed_to_have_no_actions_after_three_minutes() {
    let mut bench = bench();
    bench.answer(0, fritz(known(BOX)));
    bench.finish(0, published());
    // It starts, and does not know its actions yet.
    bench.pass(5 * MINUTE);
    bench.live(170 * SECOND, &plain(), &seen6(HOST));
    bench.live(MINUTE, &silent(), &seen6(HOST));
    bench.live(170 * SECOND, &plain(), &seen6(HOST));
    assert!(bench.jobs.is_empty());
    bench.live(5 * MINUTE, &fritz(known(BOX)), &seen6(HOST));
    assert!(bench.jobs.is_empty());
    // Another router has taken its place.
    bench.live(8 * MINUTE + 5 * SECOND, &plain(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
    assert_eq!(bench.said("this host's interface speaks"), 1);
}

#[test]
fn a_single_run_waits_fifteen_seconds() {
    let again = |bench: &mut Bench, gateway: &Observation| {
        bench.engine =
            Engine::new(&config(vec![upnp(), interface()], vec![follower(IPV6)]), bench.saved.clone(), 1)
                .once();
        (bench.now.elapsed, bench.polls) = (Duration::ZERO, Vec::new());
        bench.handle(Event::Tick);
        bench.live(12 * SECOND, gateway, &seen6(HOST));
    };
    let mut bench = bench();
    again(&mut bench, &silent());
    assert!(bench.jobs.is_empty() && !bench.engine.is_settled(bench.now));
    bench.live(2 * SECOND, &silent(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
    bench.finish(0, published());
    assert!(bench.engine.is_settled(bench.now));
    // The next run knows who speaks, and waits for nothing.
    again(&mut bench, &silent());
    assert!(bench.engine.is_settled(bench.now) && bench.jobs.is_empty());
    // A box appears, and is replaced.
    again(&mut bench, &fritz(known(BOX)));
    bench.finish(0, published());
    again(&mut bench, &plain());
    assert!(bench.jobs.is_empty() && !bench.engine.is_settled(bench.now));
    bench.live(2 * SECOND, &plain(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
    // Nobody needs an answer to be found for what names IPv4 alone.
    let four = Target { required: IPV4, extra: IPV6, ipv4: [1].into(), ..follower(NONE) };
    let mut bench = bench_with(four.clone(), State::default());
    bench.engine = Engine::new(&config(vec![upnp(), interface()], vec![four]), State::default(), 1).once();
    bench.polls.clear();
    bench.handle(Event::Tick);
    bench.answer(1, seen("1.1.1.1"));
    bench.answer(0, silent());
    bench.finish(0, published());
    assert!(bench.engine.is_settled(bench.now));
}

#[test]
fn what_a_source_has_told_in_a_single_run_stands_for_its_length() {
    let written = Target { follows_gateway: false, ..follower(IPV6) };
    for told in [true, false] {
        let mut bench = bench_with(written.clone(), State::default());
        bench.engine =
            Engine::new(&config(vec![upnp(), interface()], vec![written.clone()]), State::default(), 1)
                .once();
        (bench.now.elapsed, bench.polls) = (Duration::ZERO, Vec::new());
        bench.handle(Event::Tick);
        bench.answer(0, if told { fritz(known(BOX)) } else { silent() });
        if told {
            bench.finish(0, published());
        }
        let asked = |source, observation| Event::Observed { source, observation, gateway: None };
        bench.handle(asked(0, silent()));
        bench.live(15 * SECOND, &silent(), &seen6(HOST));
        bench.handle(asked(1, seen6(HOST)));
        assert_eq!(bench.jobs.is_empty(), told, "it told one: {told}");
    }
}

#[test]
fn only_a_list_that_the_user_wrote_crosses_the_line() {
    let written = Target { follows_gateway: false, ..follower(IPV6) };
    let mut bench = bench_with(written, State::default());
    bench.answer(0, fritz(known(BOX)));
    bench.finish(0, published());
    bench.live(10 * MINUTE, &silent(), &seen6(HOST));
    assert!(bench.jobs.is_empty(), "its place is kept for three polls");
    bench.live(10 * MINUTE, &silent(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
    bench.finish(0, published());
    bench.live(6 * MINUTE, &fritz(known(BOX)), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(BOX.into()), "in its order");
    assert_eq!(bench.said("speaks for IPv6"), 0);
}

#[test]
fn what_names_no_ipv6_address_is_not_touched_by_one() {
    let four = Target { required: IPV4, extra: IPV6, ..follower(NONE) };
    let any = Target { optional: IPV4.or(IPV6), any_address: true, ..follower(NONE) };
    for target in [four, any] {
        let mut bench = bench_with(target, State::default());
        bench.answer(0, plain());
        bench.answer(1, seen6(HOST));
        let sent = bench.sent(0).unwrap();
        assert_eq!(sent.ipv4, Some([1, 1, 1, 1].into()));
        assert_eq!(sent.ipv6, Some(HOST.parse().unwrap()), "a program has it in its environment");
        bench.finish(0, published());
        for other in ["2a00:a::2", "2a00:a::3"] {
            bench.live(10 * MINUTE, &plain(), &seen6(other));
            assert!(bench.jobs.is_empty(), "{other}");
        }
        // Also not in a back-off.
        let other = Observation { ipv4: Finding::Known([2, 2, 2, 2].into()), ..plain() };
        bench.live(6 * MINUTE, &other, &seen6(HOST));
        for _ in 0..4 {
            bench.finish(0, retry());
            while bench.jobs.is_empty() {
                let next = bench.engine.deadline() - bench.now.elapsed;
                bench.live(next, &other, &seen6(HOST));
            }
        }
        bench.finish(0, retry());
        bench.handle(Event::Hint { source: 1 });
        bench.live(MINUTE, &other, &seen6("2a00:a::9"));
        assert!(bench.jobs.is_empty(), "a failure is not forgotten for it");
    }
}

#[test]
fn what_names_no_address_follows_the_router_as_in_1_0() {
    let any = Target { optional: IPV4.or(IPV6), any_address: true, ..follower(NONE) };
    let mut bench = bench_with(any.clone(), State::default());
    for address in [BOX, "2a00:b::2"] {
        bench.live(6 * MINUTE, &fritz(known(address)), &seen6(HOST));
        assert_eq!(sent6(&bench), Some(address.into()));
        bench.finish(0, published());
    }
    // This host's address alone sends nothing.
    let mut bench = bench_with(any, State::default());
    bench.live(10 * MINUTE, &silent(), &seen6(HOST));
    assert!(bench.jobs.is_empty());
    assert!(
        bench.engine.behind(bench.now).any(|(_, why)| why.contains("is no reason to send what names none"))
    );
}

#[test]
fn the_prefix_is_told_by_the_same_one() {
    let nas =
        Target { ipv6_suffix: Some("::5".parse().unwrap()), ..follower(Needs { ipv6_prefix: true, ..NONE }) };
    let prefix = |text: &str, length| Finding::Known(Prefix::new(text.parse().unwrap(), length).unwrap());
    let lan = |text: &str| Prefix::new(text.parse().unwrap(), 64);
    let by_box = Observation {
        ipv6_prefix: prefix("2a00:b::", 56),
        lan: lan("2a00:b:0:1::"),
        ..fritz(Finding::Unknown("no".into()))
    };
    let by_host = Observation { ipv6_prefix: prefix("2a00:a::", 64), ..seen6(HOST) };
    let mut bench = bench_with(nas.clone(), State::default());
    bench.answer(0, by_box);
    assert_eq!(sent6(&bench), Some("2a00:b:0:1::5".into()));
    bench.finish(0, published());
    bench.live(60 * MINUTE, &silent(), &by_host);
    assert!(bench.jobs.is_empty());
    let mut bench = bench_with(nas, State::default());
    bench.answer(0, plain());
    bench.answer(1, by_host);
    assert_eq!(sent6(&bench), Some("2a00:a::5".into()));
}

#[test]
fn a_state_that_does_not_say_who_spoke_shows_it() {
    let held = |ipv6: Option<&str>| {
        let addresses = Addresses { ipv6: ipv6.map(|text| text.parse().unwrap()), ..Addresses::default() };
        let accepted = Some(Accepted { addresses, at: Some(1_790_000_000) });
        BTreeMap::from([(
            "t".to_owned(),
            TargetState { name: "t".into(), accepted, ..TargetState::default() },
        )])
    };
    // What the router has ever told, what the target holds; who goes on to speak while
    // the router is silent.
    for (told, held, by_host) in [
        (vec!["ipv4", "ipv6"], held(Some(BOX)), false),
        (vec!["ipv4", "prefix"], held(Some(BOX)), false),
        (vec!["ipv4"], held(Some("2a00:a::9")), true),
        (vec!["ipv4"], held(None), false),
    ] {
        let mut state = State { targets: held, ..State::default() };
        state.gateways.insert("upnp".into(), LanUrl::parse("http://192.168.1.1/root.xml").unwrap());
        state.has_answered.insert("upnp".into(), told.iter().map(|kind| (*kind).to_owned()).collect());
        let mut bench = bench_with(follower(IPV6), state);
        bench.live(60 * MINUTE, &silent(), &seen6(HOST));
        assert_eq!(sent6(&bench).is_some(), by_host, "{told:?}");
    }
}

#[test]
fn a_source_that_nobody_misses_any_more_has_not_answered_again() {
    let written = Target { follows_gateway: false, ..follower(IPV6) };
    let mut bench = bench_with(written, State::default());
    bench.answer(0, fritz(known(BOX)));
    bench.finish(0, published());
    bench.live(30 * MINUTE, &silent(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
    assert_eq!(bench.said("answers again"), 0);
    bench.live(6 * MINUTE, &fritz(known(BOX)), &seen6(HOST));
    assert_eq!(bench.said("answers again"), 1);
}

#[test]
fn who_tells_an_ipv6_address_speaks_whatever_its_actions_say() {
    for offers_ipv6 in [None, Some(false)] {
        let mut bench = bench();
        bench.answer(0, Observation { offers_ipv6, ..fritz(known(BOX)) });
        assert_eq!(sent6(&bench), Some(BOX.into()), "{offers_ipv6:?}");
    }
}

#[test]
fn a_single_run_waits_thirteen_seconds_from_what_a_slow_gateway_shows() {
    let mut before = bench();
    before.answer(0, fritz(known(BOX)));
    before.finish(0, published());
    let config = config(vec![upnp(), interface()], vec![follower(IPV6)]);
    let mut bench = trouble::once(&before, &config, 300 * SECOND);
    bench.pass(5 * SECOND);
    bench.answer(0, plain());
    bench.live(12 * SECOND, &plain(), &seen6(HOST));
    assert!(bench.jobs.is_empty() && !bench.engine.is_settled(bench.now));
    bench.live(2 * SECOND, &plain(), &seen6(HOST));
    assert_eq!(sent6(&bench), Some(HOST.into()));
}

#[test]
fn that_no_router_was_found_is_said_after_the_wait_and_written_down() {
    let addresses = Addresses { ipv6: Some(HOST.parse().unwrap()), ..Addresses::default() };
    let held = TargetState {
        name: "t".into(),
        accepted: Some(Accepted { addresses, at: Some(1_790_000_000) }),
        ..TargetState::default()
    };
    let targets = BTreeMap::from([("t".to_owned(), held)]);
    let has_answered = BTreeMap::from([("interface".to_owned(), vec!["ipv6".to_owned()])]);
    let mut bench = bench_with(follower(IPV6), State { has_answered, targets, ..State::default() });
    bench.live(170 * SECOND, &silent(), &seen6("2a00:a::2"));
    assert_eq!(bench.said("as no router was found"), 0);
    assert_eq!(
        bench.saved.ipv6_speakers.get("upnp"),
        Some(&Ipv6Speaker::Host),
        "with the mark of what it sends"
    );
    bench.live(5 * MINUTE, &silent(), &seen6("2a00:a::2"));
    assert_eq!(bench.said("as no router was found in 180 s"), 1);
}
