//! The IPv4 address as the gateway tells it by NAT-PMP (RFC 6886, section 3.2).

use std::net::IpAddr;
use std::time::Instant;

use crate::address::{Family, Finding, Observation};
use crate::natpmp;
use crate::system;

/// A gateway that is asked by NAT-PMP.
pub struct NatPmp {
    gateway: Option<IpAddr>,
    asked: Option<IpAddr>,
}

impl NatPmp {
    /// The gateway at this address; `None`: the default route's.
    #[must_use]
    pub fn new(gateway: Option<IpAddr>) -> Self {
        Self { gateway, asked: None }
    }

    /// Whom it asked last.
    #[must_use]
    pub fn asked(&self) -> Option<IpAddr> {
        self.asked
    }

    /// Asks once.
    pub fn poll(&mut self, deadline: Instant) -> Observation {
        let gateway = self.gateway.or_else(|| system::default_route(Family::V4).gateway());
        self.asked = gateway;
        let Some(gateway) = gateway else {
            return Observation::unknown("no default gateway is known; write natpmp:ADDRESS");
        };
        let ipv4 = match natpmp::client::external_address(gateway, deadline) {
            Ok(answer) => answer.finding(),
            Err(error) => Finding::Unknown(format!("gateway {gateway}: {error}")),
        };
        Observation { ipv4, ..Observation::unknown("NAT-PMP tells no IPv6 address") }
    }
}
