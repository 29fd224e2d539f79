//! Which address a host part has in the LAN; pure.

use std::net::Ipv6Addr;

use crate::address::Prefix;

/// The address of a host of the LAN with this `suffix`. The subnet is the whole prefix
/// if it has 64 bits, else the one that the suffix names, else `lan`.
pub(super) fn lan_host(prefix: Prefix, suffix: Ipv6Addr, lan: Option<Prefix>) -> Result<Ipv6Addr, String> {
    let subnet = suffix.to_bits().checked_shr(64).unwrap_or(0);
    let is_within = |lan: &Prefix| Prefix::new(lan.address(), prefix.length()) == Some(prefix);
    let fits = Prefix::new(suffix, prefix.length()).is_some_and(|upper| upper.address().is_unspecified());
    match (prefix.length(), subnet, lan.filter(is_within)) {
        (64, ..) => Ok(prefix.host(suffix)),
        (65.., ..) => Err(format!("{prefix} is no network of a LAN, which has 64 bits")),
        (_, 1.., _) if !fits => Err(format!("the subnet in ipv6_suffix is none of {prefix}")),
        (_, 1.., _) => Ok(prefix.host(suffix)),
        (_, _, Some(lan)) => Ok(lan.host(suffix)),
        (_, _, None) => {
            let [.., a, b, c, d] = suffix.segments();
            Err(format!(
                "which subnet of {prefix} the LAN has is not known; write it into ipv6_suffix, as in \
                 \"::1:{a:x}:{b:x}:{c:x}:{d:x}\""
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_the_lan_is_in_the_subnet_that_the_lan_has() {
        let prefix = |text: &str, length| Prefix::new(text.parse().unwrap(), length).unwrap();
        let suffix = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let delegated = prefix("2a00:1:2:1200::", 56);
        let lan = Some(prefix("2a00:1:2:1201::", 64));
        let nas = suffix("::211:32ff:fe12:3456");
        let host = |text: &str| Ok(suffix(text));
        assert_eq!(lan_host(delegated, nas, lan), host("2a00:1:2:1201:211:32ff:fe12:3456"));
        let written = suffix("::7:211:32ff:fe12:3456");
        assert_eq!(lan_host(delegated, written, lan), host("2a00:1:2:1207:211:32ff:fe12:3456"));
        assert_eq!(lan_host(prefix("2a00:1:2:3::", 64), nas, None), host("2a00:1:2:3:211:32ff:fe12:3456"));
        // Unknown, another delegation's, beyond the prefix, a lease.
        assert!(lan_host(delegated, nas, None).unwrap_err().contains("\"::1:211:32ff:fe12:3456\""));
        assert!(lan_host(delegated, nas, Some(prefix("2a00:1:2:1301::", 64))).is_err());
        assert!(lan_host(delegated, suffix("::107:0:0:0:1"), lan).is_err());
        assert!(lan_host(prefix("2a00:1:2:3::5", 128), nas, None).is_err());
    }
}
