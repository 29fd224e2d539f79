//! What may be published: address scopes, with the RFC of every range.
//!
//! The tables follow the IANA special-purpose address registries (RFC 6890 and
//! its updates). Everything here is a pure function of an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may be published, and if not, why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Global unicast: reachable from the internet.
    Global,
    /// Means something inside a network only; published where the
    /// configuration says `allow_private`.
    Local(&'static str),
    /// Never a host's address that others could use.
    Unusable(&'static str),
}

/// An address family.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4, A records.
    V4,
    /// IPv6, AAAA records.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An IPv6 prefix as a provider delegates it, for example `2001:db8:1::/56`.
/// The bits behind `length` are zero.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Prefix {
    address: Ipv6Addr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits (at most 128) that holds `address`.
    #[must_use]
    pub fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        let mask = Self::mask(length)?;
        Some(Self { address: Ipv6Addr::from_bits(address.to_bits() & mask), length })
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// Its length in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The address of the host with this `suffix` in the prefix: prefix bits
    /// from the prefix, the others from the suffix.
    #[must_use]
    pub fn host(&self, suffix: Ipv6Addr) -> Ipv6Addr {
        let mask = Self::mask(self.length).unwrap_or(u128::MAX);
        Ipv6Addr::from_bits(self.address.to_bits() | (suffix.to_bits() & !mask))
    }

    fn mask(length: u8) -> Option<u128> {
        let host_bits = 128_u32.checked_sub(u32::from(length))?;
        Some(u128::MAX.checked_shl(host_bits).unwrap_or(0))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What a source says of one thing we asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding<T> {
    /// This is it.
    Known(T),
    /// There is definitely none, with the reason (for people).
    Absent(String),
    /// Cannot tell, with the reason (for people). Changes nothing.
    Unknown(String),
}

impl<T> Finding<T> {
    /// What `next` makes of the value.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Finding<U>) -> Finding<U> {
        match self {
            Self::Known(value) => next(value),
            Self::Absent(why) => Finding::Absent(why),
            Self::Unknown(why) => Finding::Unknown(why),
        }
    }
}

impl<T: Copy> Finding<T> {
    /// The value, when there is one.
    #[must_use]
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Absent(_) | Self::Unknown(_) => None,
        }
    }
}

/// What one poll of a source found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Observation {
    /// The external IPv4 address.
    pub ipv4: Finding<Ipv4Addr>,
    /// The IPv6 address.
    pub ipv6: Finding<Ipv6Addr>,
    /// The delegated IPv6 prefix.
    pub ipv6_prefix: Finding<Prefix>,
    /// Which /64 of a shorter one the LAN has, as far as is known.
    pub lan: Option<Prefix>,
    /// Whether the gateway can tell IPv6 addresses, as far as this poll shows.
    pub offers_ipv6: Option<bool>,
}

impl Observation {
    /// Nothing could be learnt, all for one reason.
    #[must_use]
    pub fn unknown(why: &str) -> Self {
        Self {
            ipv4: Finding::Unknown(why.to_owned()),
            ipv6: Finding::Unknown(why.to_owned()),
            ipv6_prefix: Finding::Unknown(why.to_owned()),
            lan: None,
            offers_ipv6: None,
        }
    }
}

/// The addresses that a target gets, or got.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Addresses {
    /// For A records and `{ipv4}`.
    pub ipv4: Option<Ipv4Addr>,
    /// For AAAA records and `{ipv6}`.
    pub ipv6: Option<Ipv6Addr>,
    /// For `{ipv6_prefix}`.
    pub ipv6_prefix: Option<Prefix>,
}

impl Addresses {
    /// Each of them, written out.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let parts = [
            self.ipv4.map(|address| address.to_string()),
            self.ipv6.map(|address| address.to_string()),
            self.ipv6_prefix.map(|prefix| prefix.to_string()),
        ];
        parts.into_iter().flatten()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.texts().collect();
        if texts.is_empty() { f.write_str("nothing") } else { f.write_str(&texts.join(", ")) }
    }
}

/// What an address that a gateway usable by `protocol` is worth: one that no host can
/// have is no answer.
#[must_use]
pub fn usable(protocol: &str, address: Ipv4Addr) -> Finding<Ipv4Addr> {
    match scope_v4(address) {
        Scope::Global | Scope::Local(_) => Finding::Known(address),
        Scope::Unusable(why) => Finding::Unknown(format!("{protocol}: {address} is {why}")),
    }
}

/// The scope of `address`.
#[must_use]
pub fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

type Row<A> = (A, u32, Scope);

/// The first row that holds the address decides.
const IPV4: &[Row<[u8; 4]>] = &[
    ([0, 0, 0, 0], 8, Scope::Unusable("no address, \"this network\" (RFC 791)")),
    ([10, 0, 0, 0], 8, Scope::Local("a private address (RFC 1918)")),
    ([100, 64, 0, 0], 10, Scope::Local("carrier-grade NAT (RFC 6598)")),
    ([127, 0, 0, 0], 8, Scope::Unusable("loopback (RFC 1122)")),
    ([169, 254, 0, 0], 16, Scope::Unusable("link-local (RFC 3927)")),
    ([172, 16, 0, 0], 12, Scope::Local("a private address (RFC 1918)")),
    ([192, 0, 0, 0], 29, Scope::Unusable("DS-Lite, no IPv4 address of its own (RFC 6333)")),
    ([192, 0, 0, 0], 24, Scope::Unusable("IETF protocol assignments (RFC 6890)")),
    ([192, 0, 2, 0], 24, Scope::Local("documentation (RFC 5737)")),
    ([192, 31, 196, 0], 24, Scope::Unusable("AS112 (RFC 7535)")),
    ([192, 52, 193, 0], 24, Scope::Unusable("AMT (RFC 7450)")),
    ([192, 88, 99, 0], 24, Scope::Unusable("6to4 relay anycast (RFC 7526)")),
    ([192, 168, 0, 0], 16, Scope::Local("a private address (RFC 1918)")),
    ([192, 175, 48, 0], 24, Scope::Unusable("AS112 (RFC 7534)")),
    ([198, 18, 0, 0], 15, Scope::Local("benchmarking (RFC 2544)")),
    ([198, 51, 100, 0], 24, Scope::Local("documentation (RFC 5737)")),
    ([203, 0, 113, 0], 24, Scope::Local("documentation (RFC 5737)")),
    ([224, 0, 0, 0], 4, Scope::Unusable("multicast (RFC 5771)")),
    ([255, 255, 255, 255], 32, Scope::Unusable("broadcast (RFC 919)")),
    ([240, 0, 0, 0], 4, Scope::Unusable("reserved (RFC 1112)")),
];

/// Only `2000::/3` is in use as global unicast; what of the rest has a name of
/// its own is listed for the sake of the reason.
const IPV6: &[Row<[u16; 8]>] = &[
    ([0; 8], 128, Scope::Unusable("no address (RFC 4291)")),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Scope::Unusable("loopback (RFC 4291)")),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, Scope::Unusable("an IPv4-mapped address (RFC 4291)")),
    ([0; 8], 96, Scope::Unusable("an IPv4-compatible address (RFC 4291)")),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Scope::Unusable("NAT64 (RFC 6052)")),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Scope::Unusable("NAT64 (RFC 8215)")),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Scope::Unusable("discard-only (RFC 6666)")),
    ([0x100, 0, 0, 1, 0, 0, 0, 0], 64, Scope::Unusable("dummy prefix (RFC 9780)")),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Scope::Unusable("Teredo (RFC 4380)")),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Scope::Local("benchmarking (RFC 5180)")),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Scope::Unusable("IETF protocol assignments (RFC 2928)")),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Scope::Local("documentation (RFC 3849)")),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Scope::Unusable("6to4 (RFC 3056)")),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, Scope::Unusable("AS112 (RFC 7534)")),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Scope::Local("documentation (RFC 9637)")),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Scope::Global),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Scope::Unusable("segment routing (RFC 9602)")),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Scope::Local("a unique local address (RFC 4193)")),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Scope::Unusable("link-local (RFC 4291)")),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Scope::Unusable("site-local (RFC 3879)")),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Scope::Unusable("multicast (RFC 4291)")),
];

fn scope_v4(address: Ipv4Addr) -> Scope {
    IPV4.iter()
        .find(|(network, length, _)| {
            let differing = address.to_bits() ^ u32::from_be_bytes(*network);
            differing.leading_zeros() >= *length
        })
        .map_or(Scope::Global, |(_, _, scope)| *scope)
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    IPV6.iter()
        .find(|(network, length, _)| {
            let differing = address.to_bits() ^ Ipv6Addr::from(*network).to_bits();
            differing.leading_zeros() >= *length
        })
        .map_or(Scope::Unusable("not yet assigned as global unicast (RFC 4291)"), |(_, _, scope)| *scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Scope {
        scope(text.parse().unwrap())
    }

    #[test]
    fn ordinary_addresses_are_global() {
        for text in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "198.20.0.0",
        ] {
            assert_eq!(of(text), Scope::Global, "{text}");
        }
        for text in ["2001:200::1", "2003::1", "2a00:1450::1", "2606:4700::1", "3ffe::1", "2620:4f:8001::1"] {
            assert_eq!(of(text), Scope::Global, "{text}");
        }
    }

    /// By the special-purpose registries of IANA.
    #[test]
    fn every_range_begins_and_ends_where_its_registry_says() {
        use Scope::{Local, Unusable};
        let (private, documentation) =
            (Local("a private address (RFC 1918)"), Local("documentation (RFC 5737)"));
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Unusable("no address, \"this network\" (RFC 791)")),
            ("10.0.0.0", "10.255.255.255", private),
            ("100.64.0.0", "100.127.255.255", Local("carrier-grade NAT (RFC 6598)")),
            ("127.0.0.0", "127.255.255.255", Unusable("loopback (RFC 1122)")),
            ("169.254.0.0", "169.254.255.255", Unusable("link-local (RFC 3927)")),
            ("172.16.0.0", "172.31.255.255", private),
            ("192.0.0.0", "192.0.0.7", Unusable("DS-Lite, no IPv4 address of its own (RFC 6333)")),
            ("192.0.0.8", "192.0.0.255", Unusable("IETF protocol assignments (RFC 6890)")),
            ("192.0.2.0", "192.0.2.255", documentation),
            ("192.31.196.0", "192.31.196.255", Unusable("AS112 (RFC 7535)")),
            ("192.52.193.0", "192.52.193.255", Unusable("AMT (RFC 7450)")),
            ("192.88.99.0", "192.88.99.255", Unusable("6to4 relay anycast (RFC 7526)")),
            ("192.168.0.0", "192.168.255.255", private),
            ("192.175.48.0", "192.175.48.255", Unusable("AS112 (RFC 7534)")),
            ("198.18.0.0", "198.19.255.255", Local("benchmarking (RFC 2544)")),
            ("198.51.100.0", "198.51.100.255", documentation),
            ("203.0.113.0", "203.0.113.255", documentation),
            ("224.0.0.0", "239.255.255.255", Unusable("multicast (RFC 5771)")),
            ("240.0.0.0", "255.255.255.254", Unusable("reserved (RFC 1112)")),
            ("255.255.255.255", "255.255.255.255", Unusable("broadcast (RFC 919)")),
        ] {
            let bits = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
            for within in [bits(first), bits(last)] {
                assert_eq!(scope_v4(Ipv4Addr::from_bits(within)), expected, "{first} {last}");
            }
            for beside in [bits(first).checked_sub(1), bits(last).checked_add(1)].into_iter().flatten() {
                assert_ne!(scope_v4(Ipv4Addr::from_bits(beside)), expected, "{first} {last}");
            }
        }
        let unassigned = Unusable("not yet assigned as global unicast (RFC 4291)");
        for (first, last, expected) in [
            ("::", "::", Unusable("no address (RFC 4291)")),
            ("::1", "::1", Unusable("loopback (RFC 4291)")),
            ("::2", "::ffff:ffff", Unusable("an IPv4-compatible address (RFC 4291)")),
            ("::ffff:0:0", "::ffff:ffff:ffff", Unusable("an IPv4-mapped address (RFC 4291)")),
            ("64:ff9b::", "64:ff9b::ffff:ffff", Unusable("NAT64 (RFC 6052)")),
            ("64:ff9b:1::", "64:ff9b:1:*", Unusable("NAT64 (RFC 8215)")),
            ("100::", "100::ffff:ffff:ffff:ffff", Unusable("discard-only (RFC 6666)")),
            ("100:0:0:1::", "100:0:0:1:*", Unusable("dummy prefix (RFC 9780)")),
            ("1fff:*", "1fff:*", unassigned),
            ("2000::", "2000:*", Scope::Global),
            ("2001::", "2001:0:*", Unusable("Teredo (RFC 4380)")),
            ("2001:1::", "2001:1:*", Unusable("IETF protocol assignments (RFC 2928)")),
            ("2001:2::", "2001:2:0:*", Local("benchmarking (RFC 5180)")),
            ("2001:2:1::", "2001:1ff:*", Unusable("IETF protocol assignments (RFC 2928)")),
            ("2001:db8::", "2001:db8:*", Local("documentation (RFC 3849)")),
            ("2002::", "2002:*", Unusable("6to4 (RFC 3056)")),
            ("2620:4f:8000::", "2620:4f:8000:*", Unusable("AS112 (RFC 7534)")),
            ("3fff::", "3fff:fff:*", Local("documentation (RFC 9637)")),
            ("3fff:1000::", "3fff:*", Scope::Global),
            ("4000::", "5eff:*", unassigned),
            ("5f00::", "5f00:*", Unusable("segment routing (RFC 9602)")),
            ("fc00::", "fdff:*", Local("a unique local address (RFC 4193)")),
            ("fe80::", "febf:*", Unusable("link-local (RFC 4291)")),
            ("fec0::", "feff:*", Unusable("site-local (RFC 3879)")),
            ("ff00::", "ffff:*", Unusable("multicast (RFC 4291)")),
        ] {
            // `*`: the rest is all ones.
            let whole = |text: &str| match text.strip_suffix('*') {
                Some(head) => format!("{head}{}", vec!["ffff"; 8 - head.matches(':').count()].join(":")),
                None => text.to_owned(),
            };
            let bits = |text: &str| whole(text).parse::<Ipv6Addr>().unwrap().to_bits();
            for within in [bits(first), bits(last)] {
                assert_eq!(scope_v6(Ipv6Addr::from_bits(within)), expected, "{first} {last}");
            }
            let beside = [bits(first).checked_sub(1), bits(last).checked_add(1)].into_iter().flatten();
            for beside in beside.filter(|_| expected != unassigned) {
                assert_ne!(scope_v6(Ipv6Addr::from_bits(beside)), expected, "{first} {last}");
            }
        }
    }

    #[test]
    fn the_reason_names_the_range() {
        assert_eq!(of("100.72.3.9"), Scope::Local("carrier-grade NAT (RFC 6598)"));
        assert_eq!(of("192.168.1.5"), Scope::Local("a private address (RFC 1918)"));
        assert_eq!(of("192.0.0.2"), Scope::Unusable("DS-Lite, no IPv4 address of its own (RFC 6333)"));
        assert_eq!(of("255.255.255.255"), Scope::Unusable("broadcast (RFC 919)"));
        assert_eq!(of("::ffff:1.2.3.4"), Scope::Unusable("an IPv4-mapped address (RFC 4291)"));
        assert_eq!(of("4000::1"), Scope::Unusable("not yet assigned as global unicast (RFC 4291)"));
    }

    #[test]
    fn a_prefix_and_a_suffix_make_a_host() {
        let prefix = Prefix::new("2001:db8:1:ff00::5".parse().unwrap(), 56).unwrap();
        assert_eq!(prefix.to_string(), "2001:db8:1:ff00::/56");
        assert_eq!(
            prefix.host("::211:32ff:fe12:3456".parse().unwrap()),
            "2001:db8:1:ff00:211:32ff:fe12:3456".parse::<Ipv6Addr>().unwrap()
        );
        assert_eq!(
            prefix.host("2a00::1".parse().unwrap()),
            "2001:db8:1:ff00::1".parse::<Ipv6Addr>().unwrap()
        );
        assert_eq!(Prefix::new(Ipv6Addr::LOCALHOST, 129), None);
        assert_eq!(
            Prefix::new(Ipv6Addr::LOCALHOST, 128).unwrap().host(Ipv6Addr::UNSPECIFIED),
            Ipv6Addr::LOCALHOST
        );
        assert_eq!(
            Prefix::new(Ipv6Addr::LOCALHOST, 0).unwrap().host(Ipv6Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST
        );
    }
}
