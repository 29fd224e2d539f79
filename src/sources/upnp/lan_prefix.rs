//! The subnet of a delegated prefix that the LAN has.

use std::net::IpAddr;

use crate::address::{Finding, Observation, Prefix};
use crate::system;
use crate::system::InterfaceAddress;

/// Adds the subnet that the LAN has, where more than one is delegated.
pub(super) fn with_lan(found: Observation, is_fritz: bool) -> Observation {
    let lan = match found.ipv6_prefix {
        Finding::Known(prefix) if prefix.length() < LAN_BITS => {
            lan_of(prefix, &system::addresses().unwrap_or_default(), is_fritz)
        }
        _ => None,
    };
    Observation { lan, ..found }
}

const LAN_BITS: u8 = 64;

/// The subnet of `prefix` that this host is in, as it is in the LAN; else the first,
/// if that is what this gateway gives its LAN.
pub(super) fn lan_of(prefix: Prefix, own: &[InterfaceAddress], is_fritz: bool) -> Option<Prefix> {
    let usable = own.iter().filter(|entry| !entry.deprecated && !entry.tentative && !entry.point_to_point);
    let mut networks = usable.filter_map(|entry| match entry.address {
        IpAddr::V6(address) if Prefix::new(address, prefix.length()) == Some(prefix) => {
            Prefix::new(address, LAN_BITS)
        }
        _ => None,
    });
    networks.next().or_else(|| Prefix::new(prefix.address(), LAN_BITS).filter(|_| is_fritz))
}
