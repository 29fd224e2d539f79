//! Which of a gateway's lines may tell the address.
//!
//! A line that is down goes on to name the address that it had. Some gateways call all their
//! lines down at all times, so that what none that is up tells is believed in the end; but a
//! gateway that is just connecting, or that starts together with this host after a power cut,
//! says the same.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::soap::description::Service;
use crate::soap::gateway::GatewayReport;

/// How long a gateway has to bring a line up before one that is down is believed.
const PATIENCE: Duration = Duration::from_secs(3 * 60);

/// The same in a single run, which waits 13 s for all addresses: one of the polls after 1, 2
/// and 4 s more comes behind it.
const ONCE_PATIENCE: Duration = Duration::from_secs(5);

/// Why a line is not believed.
pub(super) const ALL_DOWN: &str =
    "none of its connections is up, and what one that is down names may be an earlier address";

/// How long no line has been up.
pub(super) struct Lines {
    /// What was told last, in this run or the one before: where it is told again, nothing is
    /// waited for.
    held: Option<Ipv4Addr>,
    patience: Duration,
    down_since: Option<Instant>,
}

impl Lines {
    pub(super) fn new(held: Option<Ipv4Addr>) -> Self {
        Self { held, patience: PATIENCE, down_since: None }
    }

    pub(super) fn once(&mut self) {
        self.patience = ONCE_PATIENCE;
    }

    /// A poll has told this address.
    pub(super) fn told(&mut self, address: Option<Ipv4Addr>) {
        self.held = address.or(self.held);
    }

    /// Whether what a survey found counts, where the line `in_use` told the address so far.
    /// One that is down, too, never takes its place.
    pub(super) fn may_tell(&mut self, found: &GatewayReport, in_use: Option<&Service>, now: Instant) -> bool {
        let Some(down) = found.chosen().filter(|chosen| chosen.up == Some(false)) else {
            self.down_since = None;
            return true;
        };
        let since = *self.down_since.get_or_insert(now);
        match in_use {
            Some(service) => *service == down.service,
            None => {
                let is_held = self.held.is_some() && down.ipv4.known() == self.held;
                is_held || now.saturating_duration_since(since) >= self.patience
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Finding, Observation};
    use crate::http::lan_url::LanUrl;
    use crate::soap::description::ServiceType;
    use crate::soap::gateway::ServiceAnswer;

    const BEFORE: Ipv4Addr = Ipv4Addr::new(8, 8, 4, 4);

    fn line(number: u8) -> Service {
        Service {
            service_type: ServiceType::parse("urn:schemas-upnp-org:service:WANIPConnection:1").unwrap(),
            name: "WANIPConn1".to_owned(),
            control: LanUrl::parse(&format!("http://192.168.1.1/{number}")).unwrap(),
            event: None,
        }
    }

    fn told_by(number: u8, up: Option<bool>) -> GatewayReport {
        let ipv4 = Finding::Known(BEFORE);
        GatewayReport {
            device: None,
            services: vec![ServiceAnswer { service: line(number), ipv4, ipv6: None, up, answered: true }],
            chosen: Some(0),
            observation: Observation::unknown("not looked at"),
            ipv6_valid_seconds: None,
        }
    }

    #[test]
    fn a_line_that_is_not_down_tells_the_address() {
        let mut lines = Lines::new(None);
        for up in [Some(true), None] {
            for in_use in [None, Some(&line(1)), Some(&line(2))] {
                assert!(lines.may_tell(&told_by(1, up), in_use, Instant::now()));
            }
        }
    }

    #[test]
    fn of_lines_that_are_down_only_the_one_in_use_goes_on_to_tell() {
        let (mut lines, began) = (Lines::new(Some(BEFORE)), Instant::now());
        for minutes in [0, 1, 3, 60] {
            let now = began + Duration::from_secs(60 * minutes);
            assert!(lines.may_tell(&told_by(1, Some(false)), Some(&line(1)), now));
            assert!(!lines.may_tell(&told_by(1, Some(false)), Some(&line(2)), now));
        }
    }

    #[test]
    fn a_router_that_calls_all_lines_down_is_believed_after_three_minutes() {
        let (mut lines, mut single, began) = (Lines::new(None), Lines::new(None), Instant::now());
        single.once();
        let at = |seconds| began + Duration::from_secs(seconds);
        let believed = |lines: &mut Lines, now| lines.may_tell(&told_by(1, Some(false)), None, now);
        for (seconds, expected, expected_single) in
            [(0, false, false), (4, false, false), (5, false, true), (179, false, true), (180, true, true)]
        {
            assert_eq!(believed(&mut lines, at(seconds)), expected, "{seconds} s");
            assert_eq!(believed(&mut single, at(seconds)), expected_single, "{seconds} s, once");
        }
        // One that came up begins it anew.
        assert!(lines.may_tell(&told_by(2, Some(true)), None, at(181)));
        assert!(!believed(&mut lines, at(400)));
    }

    #[test]
    fn a_line_that_is_down_is_believed_at_once_where_it_names_what_was_told_last() {
        let (began, other) = (Instant::now(), Ipv4Addr::new(8, 8, 8, 8));
        let believed = |lines: &mut Lines| lines.may_tell(&told_by(1, Some(false)), None, began);
        let mut lines = Lines::new(Some(BEFORE));
        assert!(believed(&mut lines));
        lines.told(None);
        assert!(believed(&mut lines), "an unknown address changes nothing");
        // Another line was in use meanwhile.
        lines.told(Some(other));
        assert!(!believed(&mut lines));
        assert!(!believed(&mut Lines::new(Some(other))));
    }
}
