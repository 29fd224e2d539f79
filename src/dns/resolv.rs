//! Which resolvers this host uses: resolv.conf(5). Pure.

use std::net::{IpAddr, SocketAddr};

/// The port of name servers.
pub const PORT: u16 = 53;
/// As many as the C library asks.
const MAX_RESOLVERS: usize = 3;

/// The resolvers that the text of a resolv.conf names. Addresses with a scope
/// (`fe80::1%eth0`) are passed over.
#[must_use]
pub fn resolvers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next()).flatten()
        })
        .filter_map(|word| word.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, PORT))
        .take(MAX_RESOLVERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_found_among_other_lines() {
        let text = "# nameserver 192.0.2.9\nsearch a.example\n nameserver\t192.0.2.1 # ours\nnameserver 2001:db8::1\n\
                    nameserver fe80::1%eth0\nnameserver\nnameservers 192.0.2.8\nnameserver x\noptions edns0\n";
        let found: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(resolvers(""), []);
        assert_eq!(resolvers(&"nameserver 192.0.2.1\n".repeat(9)).len(), 3);
    }
}
