//! Where addresses come from: one file for each kind of source.
//!
//! A source is a thin shell with a memory: `poll` asks once, within
//! [`POLL_TIMEOUT`] (an echo service has a time of its own), and says what it found.
//! It decides nothing about publishing.

mod candidates;
pub mod confirmation;
pub mod echo;
pub mod echo_answer;
pub mod echo_rate;
pub mod interface;
pub mod natpmp;
pub mod pcp;
pub mod upnp;

use std::cell::Cell;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::{Addresses, Observation};
use crate::config::{Config, Source};
use crate::engine::state::State;
use crate::http::lan_url::LanUrl;

/// The longest poll. A gateway in the house answers within a second or is not
/// well; the daemon polls again soon.
pub const POLL_TIMEOUT: Duration = Duration::from_millis(4500);

/// What a poll found.
#[derive(Clone, Debug)]
pub struct Poll {
    pub observation: Observation,
    /// The description of the gateway that told them, to be asked first next time.
    pub gateway: Option<LanUrl>,
    /// A sentence for the user, said once.
    pub advice: Option<String>,
}

impl Poll {
    fn of(observation: Observation) -> Self {
        Self { observation, gateway: None, advice: None }
    }

    fn failed(why: &str) -> Self {
        Self::of(Observation::unknown(why))
    }
}

/// A source of any kind.
pub struct Poller {
    label: String,
    kind: PollerKind,
    cut_short: bool,
}

enum PollerKind {
    Upnp(Box<upnp::Upnp>),
    NatPmp(natpmp::NatPmp),
    Pcp(pcp::Pcp),
    Interface(interface::Interface),
    Echo(Box<echo::Echo>),
}

impl Poller {
    /// The source with this index in [`Config::sources`], with what the state
    /// remembers for it.
    #[must_use]
    pub fn new(config: &Config, index: usize, state: &State) -> Option<Self> {
        let source = config.sources.get(index)?;
        let label = config.source_name(index);
        let kind = match source {
            Source::Upnp(gateway) => {
                let ipv6 = config.targets.iter().any(|target| target.ipv6.contains(&index));
                let remembered = state.gateways.get(&label).cloned();
                let held = held(config, index, state);
                let upnp = upnp::Upnp::new(gateway.clone(), ipv6, remembered, held);
                PollerKind::Upnp(Box::new(upnp.that_told_ipv6(state.has_told_ipv6(&label))))
            }
            Source::NatPmp(gateway) => PollerKind::NatPmp(natpmp::NatPmp::new(*gateway)),
            Source::Pcp(gateway) => PollerKind::Pcp(pcp::Pcp::new(*gateway)),
            Source::Interface(name) => {
                let held = held(config, index, state);
                PollerKind::Interface(interface::Interface::new(name.clone(), held))
            }
            Source::Echo(url) => {
                let families = echo::Families {
                    ipv4: config.targets.iter().any(|target| target.ipv4.contains(&index)),
                    ipv6: config.targets.iter().any(|target| target.ipv6.contains(&index)),
                };
                PollerKind::Echo(Box::new(echo::Echo::new(url, families, config)))
            }
        };
        Some(Self { label, kind, cut_short: false })
    }

    /// The same for a single run, which does not wait for long.
    #[must_use]
    pub fn once(mut self) -> Self {
        if let PollerKind::Upnp(upnp) = &mut self.kind {
            upnp.once();
        }
        self
    }

    /// Its name in the log.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether a poll waits for nobody outside.
    #[must_use]
    pub fn is_at_once(&self) -> bool {
        matches!(self.kind, PollerKind::Interface(_))
    }

    /// The gateway whose announcements concern it, after a poll.
    #[must_use]
    pub fn gateway(&self) -> Option<IpAddr> {
        match &self.kind {
            PollerKind::Upnp(upnp) => upnp.asked(),
            PollerKind::NatPmp(natpmp) => natpmp.asked(),
            PollerKind::Pcp(pcp) => pcp.asked(),
            PollerKind::Interface(_) | PollerKind::Echo(_) => None,
        }
    }

    /// Where its gateway takes subscriptions to events, after a poll.
    #[must_use]
    pub fn events(&self) -> Option<LanUrl> {
        match &self.kind {
            PollerKind::Upnp(upnp) => upnp.events(),
            PollerKind::NatPmp(_) | PollerKind::Pcp(_) | PollerKind::Interface(_) | PollerKind::Echo(_) => {
                None
            }
        }
    }

    /// Says whether events of its gateway have been seen to arrive.
    pub fn rely_on_events(&mut self, arrive: bool) {
        if let PollerKind::Upnp(upnp) = &mut self.kind {
            upnp.rely_on_events(arrive);
        }
    }

    /// What a poll finds that NAT-PMP confirms within 20 ms, where that is enough; `None`:
    /// poll.
    pub fn confirm(&mut self) -> Option<Poll> {
        match &mut self.kind {
            PollerKind::Upnp(upnp) => upnp.confirm(),
            PollerKind::NatPmp(_) | PollerKind::Pcp(_) | PollerKind::Interface(_) | PollerKind::Echo(_) => {
                None
            }
        }
    }

    /// Asks once. `hinted`: something is said to have changed. A search ends early
    /// when there are `news`: somebody has spoken since. The one after it takes its
    /// time, else a flood of hints would cut short every search.
    pub fn poll(&mut self, hinted: bool, news: &dyn Fn() -> bool) -> Poll {
        let deadline = Instant::now().checked_add(POLL_TIMEOUT).unwrap_or_else(Instant::now);
        let (patient, ended) = (self.cut_short, Cell::new(false));
        let end = || {
            ended.set(!patient && news());
            ended.get()
        };
        let poll = match &mut self.kind {
            PollerKind::Upnp(upnp) => upnp.poll(hinted, deadline, &end),
            PollerKind::NatPmp(natpmp) => Poll::of(natpmp.poll(deadline)),
            PollerKind::Pcp(pcp) => Poll::of(pcp.poll(deadline)),
            PollerKind::Interface(interface) => Poll::of(interface.poll()),
            PollerKind::Echo(echo) => Poll::of(echo.poll()),
        };
        self.cut_short = ended.get();
        poll
    }
}

/// What the targets of this source were sent last, so that the choice among several
/// addresses of an interface, or several lines of a router, survives a restart. One that
/// is refused goes on to hold what it got before.
fn held(config: &Config, index: usize, state: &State) -> Addresses {
    let uses = config.targets.iter().filter(|t| t.ipv4.contains(&index) || t.ipv6.contains(&index));
    let mut held: Vec<_> = uses.filter_map(|target| state.targets.get(&*target.id)?.accepted).collect();
    held.sort_by_key(|accepted| Reverse(accepted.at));
    let mut last = Addresses::default();
    for Addresses { ipv4, ipv6, ipv6_prefix } in held.into_iter().map(|accepted| accepted.addresses) {
        last.ipv4 = last.ipv4.or(ipv4);
        last.ipv6 = last.ipv6.or(ipv6);
        last.ipv6_prefix = last.ipv6_prefix.or(ipv6_prefix);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of this configuration, as they are after a start with this state.
    fn config() -> Config {
        let text =
            "ipv4 = [\"upnp\"]\nipv6 = [\"interface\"]\n[[urls]]\nurl = \"http://a.example/{ipv4}/{ipv6}\"\n";
        crate::config::parse(text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap()
    }

    #[test]
    fn a_source_bears_its_name_and_has_asked_nobody_yet() {
        let (config, state) = (config(), State::default());
        let pollers: Vec<Poller> = (0..3).map_while(|index| Poller::new(&config, index, &state)).collect();
        let shown: Vec<_> = pollers.iter().map(|poller| (poller.label(), poller.is_at_once())).collect();
        assert_eq!(shown, [("upnp", false), ("interface", true)]);
        assert!(pollers.iter().all(|poller| poller.gateway().is_none() && poller.events().is_none()));
    }

    #[test]
    fn a_source_knows_what_its_targets_hold_whichever_family_it_tells() {
        let config = config();
        let accepted = "accepted=192.0.2.1,2001:db8::1,-\tat=5\n";
        let id = &config.targets[0].id;
        let (state, damaged) =
            State::parse(&format!("{}\ntarget\t{id}\tname=x\t{accepted}", crate::engine::state::TITLE));
        assert_eq!(damaged, 0);
        for (index, ipv4, ipv6) in
            [(0, "192.0.2.1", "2001:db8::1"), (1, "192.0.2.1", "2001:db8::1"), (2, "none", "none")]
        {
            let expected = Addresses { ipv4: ipv4.parse().ok(), ipv6: ipv6.parse().ok(), ipv6_prefix: None };
            assert_eq!(held(&config, index, &state), expected, "{index}");
        }
        assert_eq!(held(&config, 0, &State::default()), Addresses::default());
    }

    /// The first is refused since, and the second has IPv6 alone.
    #[test]
    fn what_was_sent_last_counts_of_several_targets() {
        let text = ["{ipv4}", "{ipv6}", "{ipv4}#"]
            .map(|needs| format!("[[urls]]\nurl = \"http://a.example/{needs}\"\n"));
        let text = format!("ipv4 = [\"upnp\"]\nipv6 = [\"upnp\"]\n{}", text.concat());
        let config =
            crate::config::parse(&text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap();
        let sent = ["192.0.2.1,2001:db8::1,-\tat=5", "-,2001:db8::2,-\tat=9", "192.0.2.3,-,-\tat=7"];
        let lines: Vec<_> = config.targets.iter().zip(sent).collect();
        let lines =
            lines.iter().map(|(target, sent)| format!("target\t{}\tname=x\taccepted={sent}\n", target.id));
        let text = format!("{}\n{}", crate::engine::state::TITLE, lines.collect::<String>());
        let (state, damaged) = State::parse(&text);
        assert_eq!(damaged, 0);
        let expected =
            Addresses { ipv4: "192.0.2.3".parse().ok(), ipv6: "2001:db8::2".parse().ok(), ipv6_prefix: None };
        assert_eq!(held(&config, 0, &state), expected);
    }
}
