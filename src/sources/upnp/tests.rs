//! Whom the source trusts, and the subnet of the LAN.

use super::lan_prefix::lan_of;
use super::*;
use crate::address::Prefix;
use crate::system::{InterfaceAddress, Route};

#[test]
fn the_default_gateway_is_believed_or_the_one_from_before() {
    let ip = |last: u8| IpAddr::from([192, 168, 1, last]);
    let by = |gateway| DefaultRoute::Known(Route { gateway, interface: 2, source: None, by_route: false });
    let only = |host| Trusted::Hosts(vec![host]);
    assert_eq!(trust(&by(Some(ip(1))), Some(ip(2))), only(ip(1)));
    assert_eq!(trust(&by(None), Some(ip(2))), only(ip(2)));
    assert_eq!(trust(&DefaultRoute::None, Some(ip(2))), only(ip(2)));
    assert_eq!(trust(&DefaultRoute::NotTold, Some(ip(2))), only(ip(2)));
    assert!(matches!(trust(&by(None), None), Trusted::Nobody(_)));
    assert!(matches!(trust(&DefaultRoute::None, None), Trusted::Nobody(_)));
    assert_eq!(trust(&DefaultRoute::NotTold, None), Trusted::First);
}

#[test]
fn the_lan_has_the_subnet_that_this_host_is_in_or_the_first_of_a_fritz_box() {
    let prefix = |text: &str, length| Prefix::new(text.parse().unwrap(), length).unwrap();
    let own = |address: &str| InterfaceAddress {
        interface: "eth0".to_owned(),
        index: 2,
        address: address.parse().unwrap(),
        prefix_length: 64,
        temporary: false,
        tentative: false,
        duplicate: false,
        deprecated: false,
        valid: None,
        preferred: None,
        made: Duration::ZERO,
        renewed: Duration::ZERO,
        up: true,
        loopback: false,
        multicast: true,
        point_to_point: false,
    };
    let delegated = prefix("2a00:1:2:1200::", 56);
    let here = [own("2a00:9::1"), own("2a00:1:2:1201::5")];
    for is_fritz in [true, false] {
        assert_eq!(lan_of(delegated, &here, is_fritz), Some(prefix("2a00:1:2:1201::", 64)));
    }
    assert_eq!(lan_of(delegated, &here[..1], true), Some(prefix("2a00:1:2:1200::", 64)));
    assert_eq!(lan_of(delegated, &here[..1], false), None);
}

#[test]
fn missing_ipv6_actions_are_asked_for_again_after_some_polls() {
    let mut actions = Ipv6Actions::after(true, Some(false), false);
    for _ in 1..IPV6_AGAIN {
        actions.count_poll();
        assert!(!actions.is_due());
    }
    actions.count_poll();
    assert!(actions.is_due());
    assert!(Ipv6Actions::after(true, Some(true), false).is_due());
    assert!(Ipv6Actions::after(true, Some(false), true).is_due(), "it may be about to start");
    assert!(!Ipv6Actions::after(false, Some(true), false).is_due());
}

#[test]
fn of_a_gateway_that_is_no_fritz_box_no_ipv6_is_expected() {
    // (is a FRITZ!Box, has told IPv6): what is made of an answer that leaves it open.
    for ((is_avm, told), open) in
        [((true, true), None), ((true, false), None), ((false, true), None), ((false, false), Some(false))]
    {
        assert_eq!(offers_ipv6(None, is_avm, told), open);
        assert_eq!(offers_ipv6(Some(true), is_avm, told), Some(true));
        assert_eq!(offers_ipv6(Some(false), is_avm, told), Some(false));
    }
}
