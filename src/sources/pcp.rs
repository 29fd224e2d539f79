//! The IPv4 address by a PCP mapping that lives for a moment (RFC 6887).
//!
//! Only where the user lists it: it opens a port of this host, though one
//! where nobody listens, and some gateways suffer from being asked.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::address::{Family, Finding, Observation, usable};
use crate::natpmp;
use crate::pcp::client;
use crate::pcp::client::PcpFailure;
use crate::pcp::message::PcpError;
use crate::system;

/// The shortest time from a failure to the next try: the daemon polls again
/// every few seconds, which weak gateways take for an attack.
const REST: Duration = Duration::from_secs(30);

/// A gateway that is asked by PCP.
pub struct Pcp {
    gateway: Option<IpAddr>,
    asked: Option<IpAddr>,
    failed: Option<(Instant, String)>,
}

impl Pcp {
    /// The gateway at this address; `None`: the default route's.
    #[must_use]
    pub fn new(gateway: Option<IpAddr>) -> Self {
        Self { gateway, asked: None, failed: None }
    }

    /// The gateway that was asked last.
    #[must_use]
    pub fn asked(&self) -> Option<IpAddr> {
        self.asked
    }

    /// Asks once, unless it has failed a moment ago.
    pub fn poll(&mut self, deadline: Instant) -> Observation {
        let ipv4 = match &self.failed {
            Some((at, why)) if at.elapsed() < REST => Finding::Unknown(why.clone()),
            _ => self.ask(deadline),
        };
        Observation { ipv4, ..Observation::unknown("PCP tells no IPv6 address") }
    }

    fn ask(&mut self, deadline: Instant) -> Finding<Ipv4Addr> {
        let gateway = self.gateway.or_else(|| system::default_route(Family::V4).gateway());
        let Some(IpAddr::V4(gateway)) = gateway else {
            return Finding::Unknown("no default gateway is known; write pcp:ADDRESS".to_owned());
        };
        self.asked = Some(gateway.into());
        self.failed = None;
        match client::external_address(gateway, deadline) {
            Ok(granted) => usable("PCP", granted.address),
            // It answered at once, so there is time to ask in its own language.
            Err(PcpFailure::Answer(PcpError::Version(0))) => by_natpmp(gateway, deadline),
            Err(error) => {
                let why = format!("gateway {gateway}: {error}");
                self.failed = Some((Instant::now(), why.clone()));
                Finding::Unknown(why)
            }
        }
    }
}

fn by_natpmp(gateway: Ipv4Addr, deadline: Instant) -> Finding<Ipv4Addr> {
    match natpmp::client::external_address(gateway.into(), deadline) {
        Ok(answer) => answer.finding(),
        Err(error) => Finding::Unknown(format!("gateway {gateway}: {error}")),
    }
}
