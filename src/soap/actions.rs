//! What the answers to three actions mean: GetExternalIPAddress of
//! WANIPConnection and WANPPPConnection, and AVM's two actions for IPv6.
//!
//! A gateway's word counts only where it is complete and plain: an empty text, a
//! placeholder or a lifetime that makes no sense is "don't know". Addresses that
//! mean something inside a network only are still [`Finding::Known`]: whether to
//! publish them is for the configuration to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::description::Service;
use super::envelope::{Reply, ReplyError, number};
use crate::address::{Finding, Prefix, Scope, scope};
use crate::quote::quoted;

/// The action that tells the external IPv4 address.
pub const GET_EXTERNAL_IPV4: &str = "GetExternalIPAddress";

/// AVM's action for the IPv6 address of the router itself.
pub const GET_EXTERNAL_IPV6: &str = "X_AVM_DE_GetExternalIPv6Address";

/// AVM's action for the delegated IPv6 prefix.
pub const GET_IPV6_PREFIX: &str = "X_AVM_DE_GetIPv6Prefix";

/// The action that tells whether a connection is up.
pub const GET_STATUS: &str = "GetStatusInfo";

/// The lengths that a delegated prefix may have: a site gets no more than a /16,
/// and nothing longer than a /64 has room for host addresses.
const PREFIX_LENGTHS: std::ops::RangeInclusive<u8> = 16..=64;

/// What a gateway behind DS-Lite calls its address (RFC 6333, section 5.7).
const DS_LITE: [u8; 3] = [192, 0, 0];

/// The answer to an action, or why there is none.
pub type Answer = Result<Reply, ReplyError>;

/// The external IPv4 address by an answer of `service` to [`GET_EXTERNAL_IPV4`].
#[must_use]
pub fn external_ipv4(answer: &Answer, service: &Service) -> Finding<Ipv4Addr> {
    text(answer, "NewExternalIPAddress").and_then(|text| {
        if text.is_empty() {
            return Finding::Unknown(no_address(service));
        }
        let Ok(address) = text.parse::<Ipv4Addr>() else {
            return Finding::Unknown(format!("its answer {} is no IPv4 address", quoted(text)));
        };
        match scope(IpAddr::V4(address)) {
            Scope::Global | Scope::Local(_) => Finding::Known(address),
            Scope::Unusable(why) if is_ds_lite(address) => Finding::Absent(format!("{address} is {why}")),
            Scope::Unusable(why) => Finding::Unknown(format!("its answer {address} is {why}")),
        }
    })
}

/// An IPv6 address in an answer to [`GET_EXTERNAL_IPV4`].
#[must_use]
pub fn ipv6_instead(answer: &Answer) -> Option<Ipv6Addr> {
    let address: Ipv6Addr = argument(answer, "NewExternalIPAddress")?.parse().ok()?;
    (!matches!(scope(IpAddr::V6(address)), Scope::Unusable(_))).then_some(address)
}

/// Whether the connection is up by an answer to [`GET_STATUS`] (WANIPConnection:1,
/// section 2.2.3); `None` where it does not say so plainly.
#[must_use]
pub fn is_up(answer: &Answer) -> Option<bool> {
    match argument(answer, "NewConnectionStatus")? {
        "Connected" => Some(true),
        "Disconnected" | "Disconnecting" | "PendingDisconnect" | "Connecting" | "Authenticating"
        | "Unconfigured" => Some(false),
        _ => None,
    }
}

/// The router's own IPv6 address by an answer to [`GET_EXTERNAL_IPV6`].
#[must_use]
pub fn external_ipv6(answer: &Answer) -> Finding<Ipv6Addr> {
    ipv6(answer, "NewExternalIPv6Address", "address").and_then(|(address, _)| Finding::Known(address))
}

/// The delegated prefix by an answer to [`GET_IPV6_PREFIX`].
#[must_use]
pub fn ipv6_prefix(answer: &Answer) -> Finding<Prefix> {
    ipv6(answer, "NewIPv6Prefix", "prefix").and_then(|(address, suffix)| {
        let length = argument(answer, "NewPrefixLength").and_then(number::<u8>);
        // The text may carry the length too ("2001:db8::/56"); both must agree.
        let agrees = suffix.is_none_or(|suffix| number(suffix) == length);
        let length = length.filter(|length| agrees && PREFIX_LENGTHS.contains(length));
        match length.and_then(|length| Prefix::new(address, length)) {
            Some(prefix) => Finding::Known(prefix),
            None => Finding::Unknown("the length of its IPv6 prefix makes no sense".to_owned()),
        }
    })
}

/// For how many seconds the address or prefix in an answer of AVM's actions
/// stays valid.
#[must_use]
pub fn valid_seconds(answer: &Answer) -> Option<u32> {
    argument(answer, "NewValidLifetime").and_then(number)
}

fn argument<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.as_ref().ok()?.argument(name)
}

fn text<'a>(answer: &'a Answer, name: &str) -> Finding<&'a str> {
    match answer.as_ref().map(|reply| reply.argument(name)) {
        Ok(Some(text)) => Finding::Known(text),
        Ok(None) => Finding::Unknown(format!("its answer has no single {name}")),
        Err(why) => Finding::Unknown(why.to_string()),
    }
}

fn no_address(service: &Service) -> String {
    let why = "it knows no external IPv4 address (not connected, or behind another router)";
    if service.is_avm() {
        format!(
            "{why}; a FRITZ!Box tells it only with \"Transmit status information over UPnP\" \
             (Home Network > Network > Network Settings) switched on"
        )
    } else {
        why.to_owned()
    }
}

fn is_ds_lite(address: Ipv4Addr) -> bool {
    let [network @ .., host] = address.octets();
    network == DS_LITE && host < 8
}

/// The IPv6 address in the argument `name`, and what stood behind its slash.
fn ipv6<'a>(answer: &'a Answer, name: &str, what: &str) -> Finding<(Ipv6Addr, Option<&'a str>)> {
    text(answer, name).and_then(|text| {
        let (address, suffix) =
            text.split_once('/').map_or((text, None), |(address, rest)| (address, Some(rest)));
        if matches!(address, "" | "::") {
            return match valid_seconds(answer) {
                Some(0) => Finding::Absent(format!("the router has no IPv6 {what}")),
                _ => Finding::Unknown(format!("it knows no IPv6 {what}")),
            };
        }
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return Finding::Unknown(format!("its answer {} is no IPv6 {what}", quoted(text)));
        };
        match (scope(IpAddr::V6(address)), check_lifetimes(answer)) {
            (Scope::Unusable(why), _) => Finding::Unknown(format!("its answer {address} is {why}")),
            (_, Err(why)) => Finding::Unknown(format!("the IPv6 {what} {address} {why}")),
            (_, Ok(())) => Finding::Known((address, suffix)),
        }
    })
}

/// Both lifetimes must be there and not be over (protocol by AVM, which spells
/// one of them with a single "r").
fn check_lifetimes(answer: &Answer) -> Result<(), &'static str> {
    let preferred = argument(answer, "NewPreferedLifetime")
        .or_else(|| argument(answer, "NewPreferredLifetime"))
        .and_then(number::<u32>);
    match (valid_seconds(answer), preferred) {
        (Some(1..), Some(1..)) => Ok(()),
        (Some(_), Some(_)) => Err("is no longer valid"),
        _ => Err("comes without the time for which it is valid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::lan_url::LanUrl;
    use crate::soap::description::ServiceType;

    fn service(control: &str) -> Service {
        Service {
            service_type: ServiceType::parse("urn:schemas-upnp-org:service:WANIPConnection:1").unwrap(),
            name: String::new(),
            control: LanUrl::parse(control).unwrap(),
            event: None,
        }
    }

    fn answer(action: &str, arguments: &[(&str, &str)]) -> Answer {
        let arguments: Vec<_> =
            arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
        let arguments = arguments.concat();
        let body =
            format!("<Envelope><Body><{action}Response>{arguments}</{action}Response></Body></Envelope>");
        Reply::parse(200, body.as_bytes(), action)
    }

    fn ipv4(text: &str) -> Finding<Ipv4Addr> {
        let answer = answer(GET_EXTERNAL_IPV4, &[("NewExternalIPAddress", text)]);
        external_ipv4(&answer, &service("http://192.168.1.1:5000/ctl"))
    }

    fn ipv6(text: &str, valid: &str, preferred: &str) -> Finding<Ipv6Addr> {
        external_ipv6(&answer(
            GET_EXTERNAL_IPV6,
            &[
                ("NewExternalIPv6Address", text),
                ("NewPrefixLength", "64"),
                ("NewValidLifetime", valid),
                ("NewPreferedLifetime", preferred),
            ],
        ))
    }

    fn prefix(text: &str, length: &str, valid: &str) -> Finding<Prefix> {
        ipv6_prefix(&answer(
            GET_IPV6_PREFIX,
            &[
                ("NewIPv6Prefix", text),
                ("NewPrefixLength", length),
                ("NewValidLifetime", valid),
                ("NewPreferedLifetime", "451"),
            ],
        ))
    }

    fn unknown<T: std::fmt::Debug>(finding: Finding<T>) -> String {
        match finding {
            Finding::Unknown(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_is_a_strict_dotted_quad() {
        assert_eq!(ipv4(" 8.8.4.4 "), Finding::Known(Ipv4Addr::new(8, 8, 4, 4)));
        for text in [
            "8.8.4",
            "8.8.4.4.",
            "8.8.4.04",
            "8.8.4.256",
            "8.8.4.4/24",
            "8.8.4.4:80",
            "+8.8.4.4",
            "8. 8.4.4",
            "134744068",
            "0x8.8.4.4",
            "2001:db8::1",
            "::ffff:8.8.4.4",
            "(null)",
            "\u{ff18}.8.4.4",
        ] {
            assert!(unknown(ipv4(text)).contains("is no IPv4 address"), "{text}");
        }
    }

    #[test]
    fn addresses_of_a_network_of_its_own_are_known() {
        for text in ["192.168.1.5", "100.64.250.247", "203.0.113.9"] {
            assert_eq!(ipv4(text), Finding::Known(text.parse().unwrap()));
        }
    }

    #[test]
    fn placeholders_are_unknown_with_their_reason() {
        for (text, why) in [
            ("0.0.0.0", "its answer 0.0.0.0 is no address, \"this network\" (RFC 791)"),
            ("127.0.0.1", "its answer 127.0.0.1 is loopback (RFC 1122)"),
            ("169.254.7.7", "its answer 169.254.7.7 is link-local (RFC 3927)"),
            ("255.255.255.255", "its answer 255.255.255.255 is broadcast (RFC 919)"),
            ("", "it knows no external IPv4 address (not connected, or behind another router)"),
        ] {
            assert_eq!(unknown(ipv4(text)), why);
        }
    }

    #[test]
    fn ds_lite_is_definitely_no_address() {
        for text in ["192.0.0.2", "192.0.0.7"] {
            assert!(matches!(ipv4(text), Finding::Absent(why) if why.contains("DS-Lite")), "{text}");
        }
        assert!(matches!(ipv4("192.0.0.8"), Finding::Unknown(_)));
    }

    #[test]
    fn an_empty_address_of_a_fritz_box_names_the_setting() {
        let answer = answer(GET_EXTERNAL_IPV4, &[("NewExternalIPAddress", "")]);
        let avm = service("http://192.168.178.1:49000/igdupnp/control/WANIPConn1");
        assert!(unknown(external_ipv4(&answer, &avm)).contains("Transmit status information over UPnP"));
    }

    #[test]
    fn failures_are_unknown() {
        let gateway = service("http://192.168.1.1/ctl");
        let missing = external_ipv4(&answer(GET_EXTERNAL_IPV4, &[]), &gateway);
        assert_eq!(unknown(missing), "its answer has no single NewExternalIPAddress");
        let refused = Err(ReplyError::Fault { code: Some(401), description: String::new() });
        assert_eq!(unknown(external_ipv6(&refused)), "it does not offer this (error 401)");
        assert_eq!(unknown(ipv6_prefix(&refused)), "it does not offer this (error 401)");
        assert_eq!(
            unknown(external_ipv4(&Err(ReplyError::Unexpected), &gateway)),
            "its answer is to something else"
        );
    }

    #[test]
    fn an_ipv6_address_needs_its_lifetimes() {
        let known = Finding::Known("2003:db8::1".parse().unwrap());
        assert_eq!(ipv6("2003:db8::1", "501", "451"), known);
        assert_eq!(ipv6("2003:db8::1/64", "501", "451"), known);
        for (valid, preferred) in [("0", "0"), ("501", "0"), ("0", "451")] {
            assert!(unknown(ipv6("2003:db8::1", valid, preferred)).contains("no longer valid"));
        }
        for (valid, preferred) in
            [("", "451"), ("501", ""), ("8 minutes", "1"), ("-1", "1"), ("+1", "1"), ("99999999999", "1")]
        {
            assert!(unknown(ipv6("2003:db8::1", valid, preferred)).contains("without the time"), "{valid}");
        }
    }

    #[test]
    fn an_empty_ipv6_address_without_lifetime_is_none() {
        assert!(
            matches!(ipv6("", "0", "0"), Finding::Absent(why) if why == "the router has no IPv6 address")
        );
        assert!(matches!(ipv6("::", "0", "0"), Finding::Absent(_)));
        assert!(matches!(ipv6("", "501", "451"), Finding::Unknown(_)));
        assert!(matches!(ipv6("", "", ""), Finding::Unknown(_)));
        assert!(
            matches!(prefix("", "0", "0"), Finding::Absent(why) if why == "the router has no IPv6 prefix")
        );
        assert!(matches!(prefix("::/0", "0", "0"), Finding::Absent(_)));
    }

    #[test]
    fn other_ipv6_texts_are_unknown() {
        for text in ["fe80::1", "fe80::1%2", "::1", "2001:db8", "192.0.2.1", "[2003::1]", "2002::1", "x"] {
            assert!(matches!(ipv6(text, "501", "451"), Finding::Unknown(_)), "{text}");
        }
        assert!(matches!(ipv6("fd00::1", "501", "451"), Finding::Known(_)));
    }

    #[test]
    fn a_prefix_may_carry_its_length_in_the_text() {
        let expected = Prefix::new("2003:8406:7600::".parse().unwrap(), 56).unwrap();
        for text in ["2003:8406:7600::", "2003:8406:7600::/56", "2003:8406:7600::ff"] {
            assert_eq!(prefix(text, "56", "501"), Finding::Known(expected), "{text}");
        }
        for (text, length) in [
            ("2003:8406:7600::/57", "56"),
            ("2003:8406:7600::/", "56"),
            ("2003:8406:7600::/56", ""),
            ("2003:8406:7600::", ""),
            ("2003:8406:7600::", "0"),
            ("2003:8406:7600::", "15"),
            ("2003:8406:7600::", "65"),
            ("2003:8406:7600::", "256"),
        ] {
            assert!(unknown(prefix(text, length, "501")).contains("makes no sense"), "{text} {length}");
        }
    }

    #[test]
    fn the_lifetime_is_told() {
        assert_eq!(valid_seconds(&answer("X", &[("NewValidLifetime", "501")])), Some(501));
        assert_eq!(valid_seconds(&answer("X", &[("NewValidLifetime", "soon")])), None);
        assert_eq!(valid_seconds(&Err(ReplyError::Unexpected)), None);
    }
}
