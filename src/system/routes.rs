//! The routing tables that Linux shows as text: proc_pid_net(5), `route` and
//! `ipv6_route`.
//!
//! Pure functions of the text. Tables of policy routing are not shown there.

use std::net::{IpAddr, Ipv4Addr};

use super::DefaultRoute;

/// Flags of a route: in use.
const RTF_UP: u32 = 0x1;
/// It has a gateway.
const RTF_GATEWAY: u32 = 0x2;
/// It refuses what takes it.
const RTF_REJECT: u32 = 0x200;

/// The IPv4 default route with the lowest metric in `/proc/net/route`; of
/// equals the first.
#[must_use]
pub fn ipv4_default(table: &str) -> Option<DefaultRoute> {
    table.lines().skip(1).filter_map(ipv4_line).min_by_key(|(metric, _)| *metric).map(|(_, route)| route)
}

fn ipv4_line(line: &str) -> Option<(u32, DefaultRoute)> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[interface, destination, gateway, flags, _references, _uses, metric, mask, ..] = columns.as_slice()
    else {
        return None;
    };
    let flags = hex(flags)?;
    if hex(destination)? != 0 || hex(mask)? != 0 || flags & RTF_UP == 0 || flags & RTF_REJECT != 0 {
        return None;
    }
    // The kernel prints the four bytes of the address as one number.
    let gateway = IpAddr::V4(Ipv4Addr::from(hex(gateway)?.to_ne_bytes()));
    let gateway = (flags & RTF_GATEWAY != 0 && !gateway.is_unspecified()).then_some(gateway);
    Some((metric.parse().ok()?, DefaultRoute { gateway, interface: interface.to_owned() }))
}

/// The interface of the IPv6 default route with the lowest metric in
/// `/proc/net/ipv6_route`; of equals the first.
#[must_use]
pub fn ipv6_default_interface(table: &str) -> Option<String> {
    table.lines().filter_map(ipv6_line).min_by_key(|(metric, _)| *metric).map(|(_, name)| name.to_owned())
}

fn ipv6_line(line: &str) -> Option<(u32, &str)> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[destination, length, _, source_length, _, metric, _, _, flags, interface] = columns.as_slice()
    else {
        return None;
    };
    let everything = destination.bytes().all(|byte| byte == b'0') && length == "00" && source_length == "00";
    let flags = hex(flags)?;
    // The kernel keeps a refusing route on lo for when there is no other.
    if !everything || flags & RTF_UP == 0 || flags & RTF_REJECT != 0 || interface == "lo" {
        return None;
    }
    Some((hex(metric)?, interface))
}

fn hex(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    fn route(interface: &str, gateway: [u8; 4], flags: &str, metric: u32) -> String {
        let gateway = u32::from_ne_bytes(gateway);
        format!("{interface}\t00000000\t{gateway:08X}\t{flags}\t0\t0\t{metric}\t00000000\t0\t0\t0 \n")
    }

    fn read(lines: &[String]) -> Option<DefaultRoute> {
        ipv4_default(&format!("{HEADER}{}", lines.concat()))
    }

    fn found(gateway: Option<[u8; 4]>, interface: &str) -> DefaultRoute {
        DefaultRoute { gateway: gateway.map(IpAddr::from), interface: interface.to_owned() }
    }

    #[test]
    fn the_lowest_metric_wins_and_of_equals_the_first() {
        let lines = [
            route("wlan0", [10, 0, 0, 1], "0003", 600),
            route("eth0", [192, 168, 1, 1], "0003", 100),
            route("eth1", [192, 168, 2, 1], "0003", 100),
        ];
        assert_eq!(read(&lines), Some(found(Some([192, 168, 1, 1]), "eth0")));
    }

    #[test]
    fn a_point_to_point_line_has_no_gateway() {
        assert_eq!(read(&[route("ppp0", [0; 4], "0001", 0)]), Some(found(None, "ppp0")));
    }

    #[test]
    fn other_routes_are_no_default() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[route("eth0", [10, 0, 0, 1], "0002", 0)]), None);
        assert_eq!(read(&[route("eth0", [10, 0, 0, 1], "0203", 0)]), None);
        let subnet = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n".to_owned();
        // Two halves of the internet are no default route, though a VPN likes them.
        let half = "tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n".to_owned();
        assert_eq!(read(&[subnet, half]), None);
        for junk in ["eth0", "eth0 x 0 0003 0 0 0 0", "eth0 0 0 0003 0 0 -1 0", "é é é é é é é é é"]
        {
            assert_eq!(read(&[format!("{junk}\n")]), None, "{junk}");
        }
    }

    #[test]
    fn a_gateway_is_in_host_byte_order() {
        let gateway = if cfg!(target_endian = "big") { "C0A80101" } else { "0101A8C0" };
        let line = format!("eth0\t00000000\t{gateway}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        assert_eq!(read(&[line]), Some(found(Some([192, 168, 1, 1]), "eth0")));
    }

    fn ipv6_route(length: &str, metric: &str, flags: &str, interface: &str) -> String {
        let zero = "0".repeat(32);
        let gateway = "fe800000000000000000000000000001";
        format!("{zero} {length} {zero} 00 {gateway} {metric} 00000001 00000000 {flags} {interface:>8}\n")
    }

    #[test]
    fn the_ipv6_default_is_found_behind_other_routes() {
        let table = [
            ipv6_route("40", "00000100", "00000001", "eth7"),
            ipv6_route("00", "00000400", "00450003", "eth1"),
            ipv6_route("00", "00000064", "00450003", "eth0"),
            ipv6_route("00", "ffffffff", "00200200", "lo"),
        ]
        .concat();
        assert_eq!(ipv6_default_interface(&table).as_deref(), Some("eth0"));
        assert_eq!(ipv6_default_interface(&ipv6_route("00", "1", "00200200", "eth0")), None);
        assert_eq!(ipv6_default_interface("junk\n\n"), None);
    }
}
