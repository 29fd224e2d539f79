//! Which address of an interface is chosen.

use super::*;

const UNTOLD: Routes = Routes { ipv4: DefaultRoute::NotTold, ipv6: DefaultRoute::NotTold };
const DOWN: Routes = Routes { ipv4: DefaultRoute::None, ipv6: DefaultRoute::None };

/// A route by this interface; the source is one that it names, if any.
fn by(interface: u32, named: Option<&str>) -> DefaultRoute {
    let source = named.map(|address| address.parse().unwrap());
    DefaultRoute::Known(Route { gateway: None, interface, source, by_route: named.is_some() })
}

fn at(interface: &str, address: &str) -> InterfaceAddress {
    InterfaceAddress {
        interface: interface.to_owned(),
        index: if interface == "eth0" { 2 } else { 3 },
        address: address.parse().unwrap(),
        prefix_length: if address.contains(':') { 64 } else { 24 },
        temporary: false,
        tentative: false,
        duplicate: false,
        deprecated: false,
        valid: None,
        preferred: None,
        made: Duration::ZERO,
        renewed: Duration::ZERO,
        up: true,
        loopback: interface == "lo",
        multicast: true,
        point_to_point: false,
    }
}

fn eth(address: &str) -> InterfaceAddress {
    at("eth0", address)
}

fn lasting(address: &str, preferred: u64) -> InterfaceAddress {
    let preferred = Some(Duration::from_secs(preferred));
    InterfaceAddress { preferred, valid: Some(Duration::from_secs(9000)), ..eth(address) }
}

fn poll(addresses: &[InterfaceAddress]) -> Observation {
    choose(addresses, Some("eth0"), &DOWN, &Addresses::default())
}

fn ipv4(text: &str) -> Finding<Ipv4Addr> {
    Finding::Known(text.parse().unwrap())
}

fn ipv6(text: &str) -> Finding<Ipv6Addr> {
    Finding::Known(text.parse().unwrap())
}

#[test]
fn a_global_ipv4_address_comes_before_a_private_one() {
    let addresses = [eth("169.254.1.1"), eth("192.168.1.2"), eth("1.1.1.1"), eth("1.0.0.1")];
    assert_eq!(poll(&addresses).ipv4, ipv4("1.1.1.1"));
    assert_eq!(poll(&addresses[..2]).ipv4, ipv4("192.168.1.2"));
    let why = "the interface \"eth0\" has no usable IPv4 address: link-local (RFC 3927)";
    assert_eq!(poll(&addresses[..1]).ipv4, Finding::Absent(why.to_owned()));
    let previous = Addresses { ipv4: Some([1, 0, 0, 1].into()), ..Addresses::default() };
    assert_eq!(choose(&addresses, Some("eth0"), &DOWN, &previous).ipv4, ipv4("1.0.0.1"));
}

/// One that held each against all others would take minutes.
#[test]
fn of_twenty_thousand_ipv4_addresses_the_first_is_chosen() {
    let address = |n: u32| eth(&Ipv4Addr::from_bits(0x0100_0000 + n).to_string());
    let addresses: Vec<_> = (1..=20_000).map(address).collect();
    assert_eq!(poll(&addresses).ipv4, ipv4("1.0.0.1"));
}

#[test]
fn only_lasting_ipv6_addresses_are_chosen() {
    let mut refused = vec![eth("fe80::1"), eth("2002:102:304::1")];
    refused.push(InterfaceAddress { temporary: true, ..eth("2a00::1") });
    refused.push(InterfaceAddress { deprecated: true, ..eth("2a00::2") });
    refused.push(InterfaceAddress { valid: Some(Duration::ZERO), ..eth("2a00::3") });
    refused.push(lasting("2a00::4", 0));
    assert!(matches!(poll(&refused).ipv6, Finding::Absent(_)));
    assert!(matches!(poll(&refused).ipv6_prefix, Finding::Absent(_)));
    refused.push(InterfaceAddress { tentative: true, duplicate: true, ..eth("2a00::7") });
    let Finding::Absent(why) = poll(&refused).ipv6 else { panic!("it can never be used") };
    assert!(why.contains("in use elsewhere") && !why.contains("not yet"), "{why}");
    let mut hopeful = refused.clone();
    hopeful.push(InterfaceAddress { tentative: true, ..eth("2a00::5") });
    assert!(matches!(poll(&hopeful).ipv6, Finding::Unknown(_)));
    refused.push(eth("fd00::1"));
    assert_eq!(poll(&refused).ipv6, ipv6("fd00::1"));
    // In global unicast space, though only documents have it.
    assert_eq!(poll(&[eth("fd00::1"), lasting("2001:db8::1", 100)]).ipv6, ipv6("2001:db8::1"));
    refused.push(eth("2a00::6"));
    assert_eq!(poll(&refused).ipv6, ipv6("2a00::6"));
}

#[test]
fn the_ipv6_address_that_lasts_longest_wins_and_then_stays() {
    let addresses = [lasting("2a00::1", 100), lasting("2a00::2", 200)];
    assert_eq!(poll(&addresses).ipv6, ipv6("2a00::2"));
    assert_eq!(poll(&[lasting("2a00::1", 100), eth("2a00::9")]).ipv6, ipv6("2a00::9"));
    let previous = Addresses { ipv6: "2a00::1".parse().ok(), ..Addresses::default() };
    let again = |addresses: &[_]| choose(addresses, Some("eth0"), &DOWN, &previous).ipv6;
    assert_eq!(again(&addresses), ipv6("2a00::1"));
    assert_eq!(again(&[lasting("2a00::1", 0), lasting("2a00::2", 200)]), ipv6("2a00::2"));
    assert_eq!(again(&[lasting("2a00::2", 200)]), ipv6("2a00::2"));
    let local = Addresses { ipv6: "fd00::1".parse().ok(), ..Addresses::default() };
    let addresses = [eth("fd00::1"), lasting("2a00::1", 1)];
    assert_eq!(choose(&addresses, Some("eth0"), &DOWN, &local).ipv6, ipv6("2a00::1"));
}

#[test]
fn the_prefix_is_the_one_of_the_address() {
    let prefix = |length| {
        let entry = InterfaceAddress { prefix_length: length, ..eth("2a00:1:2:3::5") };
        poll(&[entry]).ipv6_prefix.known().unwrap().to_string()
    };
    assert_eq!(prefix(64), "2a00:1:2:3::/64");
    assert_eq!(prefix(56), "2a00:1:2::/56");
    let wider = InterfaceAddress { temporary: true, prefix_length: 56, ..eth("2a00:1:2:7::9") };
    let own = poll(&[wider, eth("2a00:1:2:3::5")]).ipv6_prefix.known().unwrap().to_string();
    assert_eq!(own, "2a00:1:2:3::/64", "whatever another address has");
}

#[test]
fn a_single_address_and_a_line_tell_no_network_of_the_lan() {
    let lease = InterfaceAddress { prefix_length: 128, ..eth("2a00:1:2:3::5") };
    let why = "2a00:1:2:3::5 is a single address (DHCPv6), which tells no network".to_owned();
    assert_eq!(poll(std::slice::from_ref(&lease)).ipv6_prefix, Finding::Unknown(why));
    let beside = InterfaceAddress { temporary: true, ..eth("2a00:1:2:3::77") };
    let prefix = poll(&[lease, beside]).ipv6_prefix.known().unwrap().to_string();
    assert_eq!(prefix, "2a00:1:2:3::/64");
    let line = InterfaceAddress { point_to_point: true, ..eth("2a00:1:2:3::5") };
    assert!(matches!(poll(&[line]).ipv6_prefix, Finding::Unknown(_)));
}

#[test]
fn each_family_may_have_its_own_default_interface() {
    let addresses = [eth("1.1.1.1"), eth("2a00::1"), at("tun0", "1.0.0.1"), at("tun0", "2a00::2")];
    let routes = Routes { ipv4: by(2, None), ipv6: by(3, None) };
    let observation = choose(&addresses, None, &routes, &Addresses::default());
    assert_eq!((observation.ipv4, observation.ipv6), (ipv4("1.1.1.1"), ipv6("2a00::2")));
}

/// A second line and a tunnel stay up while the first reconnects.
#[test]
fn a_host_without_any_global_address_has_no_ipv6() {
    let ipv6 = |addresses: &[_], previous: Option<&str>| {
        let ipv6 = previous.map(|text| text.parse().unwrap());
        choose(addresses, None, &DOWN, &Addresses { ipv6, ..Addresses::default() }).ipv6
    };
    let local = [at("eth0", "192.168.1.2"), at("eth0", "fe80::2"), at("eth0", "fd00::2")];
    assert!(matches!(ipv6(&local, None), Finding::Absent(_)));
    assert!(matches!(ipv6(&local, Some("2a00::1")), Finding::Unknown(_)), "the line may be down");
    let [first, second, _] = local;
    let all = [first, second, at("eth1", "2a00::2")];
    assert!(matches!(ipv6(&all, None), Finding::Unknown(_)), "it has one, and no route");
}

#[test]
fn without_a_route_nothing_is_known_and_no_other_interface_steps_in() {
    let addresses = [at("wwan0", "11.99.88.77"), at("wg0", "2a00::5")];
    let observation = choose(&addresses, None, &DOWN, &Addresses::default());
    let why =
        |family| format!("this host has no {family} route to the internet; \"interface:NAME\" needs none");
    assert_eq!(observation.ipv4, Finding::Unknown(why("IPv4")));
    assert_eq!(observation.ipv6, Finding::Unknown(why("IPv6")));
}

#[test]
fn where_routes_are_not_told_any_interface_that_is_up_will_do() {
    let down = InterfaceAddress { up: false, ..at("eth1", "1.1.1.1") };
    let addresses = [at("lo", "1.0.0.9"), down, at("eth2", "1.0.0.1")];
    let observation = choose(&addresses, None, &UNTOLD, &Addresses::default());
    assert_eq!(observation.ipv4, ipv4("1.0.0.1"));
    assert_eq!(observation.ipv6, Finding::Absent("this host has no IPv6 address".to_owned()));
}

#[test]
fn the_source_that_the_route_names_wins_on_whatever_interface_it_is() {
    let addresses = [eth("1.1.1.1"), eth("1.0.0.1"), eth("2a00::1"), at("lo", "2a00::2")];
    let routes = Routes { ipv4: by(2, Some("1.0.0.1")), ipv6: by(2, Some("2a00::2")) };
    let previous =
        Addresses { ipv4: Some([1, 1, 1, 1].into()), ipv6: "2a00::1".parse().ok(), ..Addresses::default() };
    let observation = choose(&addresses, None, &routes, &previous);
    assert_eq!((observation.ipv4, observation.ipv6), (ipv4("1.0.0.1"), ipv6("2a00::2")));
    // What the kernel would choose by itself changes with each new address.
    let chosen = match by(2, Some("2a00::2")) {
        DefaultRoute::Known(route) => DefaultRoute::Known(Route { by_route: false, ..route }),
        told => told,
    };
    let routes = Routes { ipv6: chosen, ..routes };
    assert_eq!(choose(&addresses, None, &routes, &previous).ipv6, ipv6("2a00::1"));
}

#[test]
fn a_route_for_one_source_alone_is_found_by_asking_with_it() {
    let mut addresses = [at("wg0", "2a00:9::5"), at("br0", "fd00::1"), eth("2a00:1::44")];
    addresses[1].index = 4;
    let for_wan = |source: Ipv6Addr| source.segments()[1] == 1 || source.is_unique_local();
    let route = route_of_a_source(&addresses, for_wan);
    let DefaultRoute::Known(route) = route else { panic!("{route:?}") };
    assert_eq!((route.interface, route.source), (2, Some("2a00:1::44".parse().unwrap())));
    assert_eq!(route_of_a_source(&addresses, |_| false), DefaultRoute::None);
    let unusable = [
        InterfaceAddress { up: false, ..eth("2a00:1::44") },
        InterfaceAddress { temporary: true, ..eth("2a00:1::45") },
    ];
    assert_eq!(route_of_a_source(&unusable, |_| true), DefaultRoute::None);
    let inside = |source: Ipv6Addr| source.is_unique_local();
    assert_eq!(route_of_a_source(&addresses, inside), DefaultRoute::None, "that way leads to no internet");
}

fn renewed(address: &str, made: u64, renewed: u64) -> InterfaceAddress {
    let (made, renewed) = (Duration::from_secs(made), Duration::from_secs(renewed));
    InterfaceAddress { made, renewed, ..lasting(address, 3000) }
}

/// The router lost power and came back with another prefix (RFC 8978).
#[test]
fn the_prefix_that_is_still_renewed_wins() {
    let previous = Addresses { ipv6: "2a00:a::1".parse().ok(), ..Addresses::default() };
    let choice = |addresses: &[_]| choose(addresses, Some("eth0"), &DOWN, &previous).ipv6;
    let old = || renewed("2a00:a::1", 100, 500);
    for (what, other, expected) in [
        ("it has just come", renewed("2a00:b::1", 600, 600), "2a00:a::1"),
        ("it was renewed since, the old one was not", renewed("2a00:b::1", 600, 604), "2a00:b::1"),
        ("both were renewed by turns", renewed("2a00:b::1", 450, 604), "2a00:a::1"),
        ("the old one is silent for too long", renewed("2a00:b::1", 450, 2301), "2a00:b::1"),
        (
            "nobody renews what has no limit",
            InterfaceAddress { valid: None, ..renewed("2a00:b::1", 600, 604) },
            "2a00:a::1",
        ),
        ("it cannot be published", renewed("fd00::1", 600, 604), "2a00:a::1"),
    ] {
        assert_eq!(choice(&[old(), other]), ipv6(expected), "{what}");
    }
    assert_eq!(choice(&[old()]), ipv6("2a00:a::1"), "there is no better one");
    let fixed = InterfaceAddress { valid: None, ..old() };
    assert_eq!(choice(&[fixed, renewed("2a00:b::1", 600, 604)]), ipv6("2a00:a::1"), "nobody has to renew it");
}

/// Whoever advertises a prefix of his own, and for ever, comes after the router.
#[test]
fn a_prefix_that_came_later_moves_nothing_while_the_first_is_renewed() {
    let other = InterfaceAddress { preferred: None, ..renewed("2a00:b::1", 700, 1000) };
    for (what, first, expected) in [
        ("renewed since", renewed("2a00:a::1", 100, 900), "2a00:a::1"),
        ("not renewed since", renewed("2a00:a::1", 100, 600), "2a00:b::1"),
        ("asked at the same time: the choice stays", renewed("2a00:a::1", 695, 900), "2a00:b::1"),
        ("deprecated", InterfaceAddress { deprecated: true, ..renewed("2a00:a::1", 100, 900) }, "2a00:b::1"),
    ] {
        let addresses = [first, other.clone()];
        // Moved there while the first was gone, or nothing was published yet.
        for previous in ["2a00:b::1", "2a00:c::1"] {
            let previous = Addresses { ipv6: previous.parse().ok(), ..Addresses::default() };
            let choice = choose(&addresses, Some("eth0"), &DOWN, &previous).ipv6;
            assert_eq!(choice, ipv6(expected), "{what}");
        }
    }
}

#[test]
fn an_address_whose_sibling_was_deprecated_comes_last() {
    let previous = Addresses { ipv6: "2a00:a::1".parse().ok(), ..Addresses::default() };
    let choice = |addresses: &[_]| choose(addresses, Some("eth0"), &DOWN, &previous).ipv6;
    let sibling = InterfaceAddress { deprecated: true, ..lasting("2a00:a::2", 0) };
    let addresses = [eth("2a00:a::1"), sibling.clone(), lasting("2a00:b::1", 3000)];
    assert_eq!(choice(&addresses), ipv6("2a00:b::1"));
    assert_eq!(choice(&addresses[..2]), ipv6("2a00:a::1"), "there is no better one");
    let flagged = InterfaceAddress { deprecated: true, ..eth("2a00:a::2") };
    for sibling in [flagged, lasting("2a00:a::2", 0)] {
        assert_eq!(choice(&[eth("2a00:a::1"), sibling, lasting("2a00:b::1", 3000)]), ipv6("2a00:b::1"));
    }
    // Privacy addresses are deprecated every day.
    let daily = InterfaceAddress { temporary: true, ..sibling };
    assert_eq!(choice(&[eth("2a00:a::1"), daily, lasting("2a00:b::1", 3000)]), ipv6("2a00:a::1"));
}

#[test]
fn an_interface_that_is_not_there_tells_nothing() {
    let missing = choose(&[eth("1.1.1.1")], Some("ppp0"), &DOWN, &Addresses::default());
    let why = "there is no interface \"ppp0\" with an address".to_owned();
    assert_eq!((missing.ipv4, missing.ipv6), (Finding::Unknown(why.clone()), Finding::Unknown(why)));
    let down = InterfaceAddress { up: false, ..eth("1.1.1.1") };
    assert!(matches!(poll(&[down]).ipv4, Finding::Unknown(_)));
    let nameless = InterfaceAddress { interface: String::new(), ..eth("1.1.1.1") };
    let Finding::Unknown(why) = poll(std::slice::from_ref(&nameless)).ipv4 else { panic!("which one?") };
    assert!(why.contains("does not tell interfaces apart"), "{why}");
    assert_eq!(choose(&[nameless], None, &UNTOLD, &Addresses::default()).ipv4, ipv4("1.1.1.1"));
}
