//! What is asked of a source, and what it may tell; pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{Family, Prefix};

/// What is asked of a source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AddressKind {
    Ipv4,
    Ipv6,
    /// The IPv6 prefix.
    Prefix,
}

impl AddressKind {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Prefix];

    /// Its name in the state file.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Prefix => "prefix",
        }
    }

    /// The family it belongs to.
    pub(super) fn family(self) -> Family {
        match self {
            Self::Ipv4 => Family::V4,
            Self::Ipv6 | Self::Prefix => Family::V6,
        }
    }

    /// Its name in a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Prefix => "IPv6 prefix",
        }
    }
}

/// An address or prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AddressValue {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// An IPv6 prefix.
    Prefix(Prefix),
}

impl AddressValue {
    /// The address, of a prefix its first one.
    pub(super) fn address(self) -> IpAddr {
        match self {
            Self::Ipv4(address) => address.into(),
            Self::Ipv6(address) => address.into(),
            Self::Prefix(prefix) => prefix.address().into(),
        }
    }
}
