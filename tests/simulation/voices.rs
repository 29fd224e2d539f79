//! Who may speak, as it looks from outside: what each source said last, and whose turn
//! it is. Conditions without which nothing may be sent; not a second choice.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Finding, Observation, Prefix};
use ddns_update_daemon::config::{Config, Source, Target};

/// How long a gateway that spoke for IPv6 must say that it cannot, and how long none must
/// be found, before this host speaks for it.
const WAIT: Duration = Duration::from_secs(180);

/// How long a single run waits for a source that is silent before the next one speaks:
/// it has 15 s in all.
const ONCE: Duration = Duration::from_secs(13);

/// What a source says now.
#[derive(Clone, Default, PartialEq)]
struct Said {
    addresses: Addresses,
    lan: Option<Prefix>,
    /// There is definitely no IPv6 address, and no prefix.
    absent: [bool; 2],
}

/// What is known of a gateway over restarts.
#[derive(Clone, Default)]
struct Known {
    /// It has actions for IPv6, as far as it ever said.
    actions: bool,
    /// It has told IPv6 addresses, and prefixes.
    has_told: [bool; 2],
    /// Something has answered.
    answered: bool,
}

#[derive(Clone, Default)]
struct Voice {
    is_host: bool,
    said: Said,
    known: Known,
    /// The same, as far as it was written down.
    kept: Known,
    /// Since when it says that it has no actions.
    lacks: Option<Duration>,
    /// When it told an IPv6 address, and a prefix, last in this run.
    told_at: [Option<Duration>; 2],
}

#[derive(Default)]
pub(crate) struct Voices {
    all: Vec<Voice>,
    interval: Duration,
    began: Duration,
    /// It is a single run.
    once: bool,
    /// What was written down may be lost.
    unsure: bool,
    pub(crate) wrong: Option<String>,
}

impl Voices {
    pub(crate) fn take_config(&mut self, config: &Config) {
        self.interval = config.interval;
        self.all.resize_with(config.sources.len(), Voice::default);
        for (voice, source) in self.all.iter_mut().zip(&config.sources) {
            voice.is_host = matches!(source, Source::Interface(_));
        }
    }

    /// Within what time sources give way to each other.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(900) + 4 * self.interval
    }

    pub(crate) fn starts(&mut self, now: Duration, once: bool) {
        (self.began, self.once) = (now, once);
        for voice in &mut self.all {
            let told_at = voice.kept.has_told.map(|told| told.then_some(now));
            let (is_host, kept) = (voice.is_host, voice.kept.clone());
            *voice = Voice { is_host, known: kept.clone(), kept, told_at, ..Voice::default() };
        }
    }

    /// Everything that was heard is written down.
    pub(crate) fn are_kept(&mut self) {
        self.all.iter_mut().for_each(|voice| voice.kept = voice.known.clone());
    }

    /// What was written down may be lost.
    pub(crate) fn forget(&mut self) {
        self.unsure = true;
        for voice in &mut self.all {
            voice.kept = Known::default();
        }
    }

    /// A poll has ended. Whether it says something else than before.
    pub(crate) fn hears(&mut self, now: Duration, source: usize, seen: &Observation, answered: bool) -> bool {
        let Some(voice) = self.all.get_mut(source) else { return false };
        let addresses = Addresses {
            ipv4: seen.ipv4.known(),
            ipv6: seen.ipv6.known(),
            ipv6_prefix: seen.ipv6_prefix.known(),
        };
        let absent =
            [matches!(seen.ipv6, Finding::Absent(_)), matches!(seen.ipv6_prefix, Finding::Absent(_))];
        let told = [addresses.ipv6.is_some() || absent[0], addresses.ipv6_prefix.is_some() || absent[1]];
        for (place, told) in told.into_iter().enumerate() {
            if told {
                voice.told_at[place] = Some(now);
                voice.known.has_told[place] = true;
            }
        }
        voice.known.answered |= answered;
        let wait = if self.once { ONCE } else { WAIT };
        match seen.offers_ipv6 {
            Some(true) => (voice.known.actions, voice.lacks) = (true, None),
            Some(false) => {
                let since = *voice.lacks.get_or_insert(now);
                voice.known.actions &= now < since + wait;
            }
            None => {}
        }
        let said = Said { addresses, lan: seen.lan.or(voice.said.lan), absent };
        let news = said != voice.said;
        voice.said = said;
        news
    }

    /// Whether each of these says that there is no IPv6 address.
    pub(crate) fn say_there_is_none(&self, sources: &[usize]) -> bool {
        let none = |source: &usize| self.all.get(*source).is_some_and(|voice| voice.said.absent[0]);
        !sources.is_empty() && sources.iter().all(none)
    }

    pub(crate) fn said(&self, source: usize) -> String {
        let mut text = String::new();
        if let Some(Said { addresses, absent, .. }) = self.all.get(source).map(|voice| &voice.said) {
            let _ = write!(text, "{addresses}, absent {absent:?}");
        }
        text
    }

    /// Judges what is to be sent to a target.
    pub(crate) fn judge(&mut self, now: Duration, target: &Target, addresses: &Addresses) {
        let name = &target.name;
        let said = |source: &usize| self.all.get(*source).map(|voice| &voice.said);
        let is_said = target.ipv4.iter().filter_map(said).any(|said| said.addresses.ipv4 == addresses.ipv4);
        if addresses.ipv4.is_some() && !is_said {
            self.wrong = Some(format!("{name}: {addresses} is sent, which no source says"));
        }
        let by_suffix = target.ipv6_suffix.is_some();
        for (place, is_sent) in
            [addresses.ipv6.is_some(), addresses.ipv6_prefix.is_some()].into_iter().enumerate()
        {
            if !is_sent {
                continue;
            }
            let kind = if by_suffix { 1 } else { place };
            let says = |voice: &Voice| match place {
                0 => voice.said.host(target.ipv6_suffix) == addresses.ipv6,
                _ => voice.said.addresses.ipv6_prefix == addresses.ipv6_prefix,
            };
            let mut tellers =
                target.ipv6.iter().filter_map(|source| self.all.get(*source)).filter(|v| says(v));
            match tellers.next() {
                None => {
                    self.wrong = Some(format!("{name}: {addresses} is sent, which no source for IPv6 says"));
                }
                Some(voice) if voice.is_host => {
                    if let Some(why) = self.not_the_host(now, target, kind) {
                        self.wrong = Some(format!("{name}: this host's {addresses} is sent, though {why}"));
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Why this host does not speak for a target, where the gateway stands before it.
    fn not_the_host(&self, now: Duration, target: &Target, kind: usize) -> Option<&'static str> {
        let gateway = target.ipv6.first().and_then(|source| self.all.get(*source))?;
        if gateway.is_host {
            return None;
        }
        let wait = if self.once { ONCE } else { WAIT };
        if target.follows_gateway {
            let nobody = !gateway.known.answered && gateway.lacks.is_none() && now < self.began + wait;
            return match gateway.known.actions {
                true => Some("the gateway speaks for IPv6"),
                false if nobody && !self.unsure && !gateway.kept.answered => {
                    Some("a gateway may be found yet")
                }
                false => None,
            };
        }
        let told_at = gateway.told_at[kind].filter(|_| !gateway.said.absent[kind])?;
        let gives_way = told_at + if self.once { ONCE } else { self.interval };
        (now < gives_way).then_some("the gateway has told one a moment ago")
    }
}

impl Said {
    /// The IPv6 address, of another host with a suffix.
    fn host(&self, suffix: Option<Ipv6Addr>) -> Option<Ipv6Addr> {
        let Some(suffix) = suffix else { return self.addresses.ipv6 };
        let prefix = self.addresses.ipv6_prefix?;
        let lan = if prefix.length() == 64 { Some(prefix) } else { self.lan };
        lan.map(|lan| lan.host(suffix))
    }
}
