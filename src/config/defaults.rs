//! The keys that every target may carry, and where it gets them when it does
//! not: from its section, and that from the whole file.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::section::{Section, Value};
use super::sources::{Router, read_list};
use super::units::DAY;
use super::{Source, units};
use crate::address::Family;

/// A bound for sanity; a year is longer than any provider's patience.
pub(super) const MAX_DAYS: u32 = 366;

/// More must not differ between hosts of one network: bits behind a /48.
const SUFFIX_BITS: u32 = 80;

/// What a target has in defaults with others.
#[derive(Clone)]
pub(super) struct TargetDefaults<'a> {
    pub(super) ipv4: Vec<Source>,
    pub(super) ipv6: Vec<Source>,
    /// [`Self::ipv6`] is the default, of which one speaks alone.
    pub(super) follows_gateway: bool,
    pub(super) agree: usize,
    /// Where `agree` is said, for errors.
    pub(super) agree_at: Option<Value<'a>>,
    pub(super) allow_private: bool,
    pub(super) ipv6_suffix: Option<Ipv6Addr>,
    pub(super) refresh: Option<Duration>,
    pub(super) verify: Option<Duration>,
    pub(super) empty_when_absent: bool,
}

impl<'a> TargetDefaults<'a> {
    /// What holds when nothing is said.
    pub(super) fn defaults(router: &Router) -> Self {
        Self {
            ipv4: router.default_sources(Family::V4),
            ipv6: router.default_sources(Family::V6),
            follows_gateway: !matches!(router, Router::ThisHost),
            agree: 1,
            agree_at: None,
            // 1.0 could watch a host in a closed network.
            allow_private: matches!(router, Router::ThisHost),
            ipv6_suffix: None,
            refresh: None,
            verify: None,
            empty_when_absent: false,
        }
    }

    /// Takes what may stand at the top of the file.
    pub(super) fn take_top(&mut self, section: &mut Section<'a>, router: &Router) {
        let lists = [("ipv4", Family::V4), ("ipv6", Family::V6)];
        for (key, family) in lists {
            let list = section.take(key).and_then(|value| read_list(&value, family, router));
            if let Some(list) = list {
                *self.list_mut(family) = list;
                self.follows_gateway &= family == Family::V4;
            }
        }
        if let Some(value) = section.take("agree") {
            let expected = "expected how many of the sources must give the same address, at least 1";
            if let Some(agree) = value.integer(1..=u32::MAX, expected) {
                self.agree = usize::try_from(agree).unwrap_or(usize::MAX);
                self.agree_at = Some(value);
            }
        }
        if let Some(flag) = section.take("allow_private").and_then(|value| value.flag()) {
            self.allow_private = flag;
        }
    }

    /// Takes what may stand in a section of targets.
    pub(super) fn take(&mut self, section: &mut Section<'a>, router: &Router) {
        self.take_top(section, router);
        if let Some(suffix) = section.take("ipv6_suffix").and_then(|value| read_suffix(&value)) {
            self.ipv6_suffix = Some(suffix);
        }
        if let Some(refresh) = section.take("refresh").and_then(|value| read_refresh(&value)) {
            self.refresh = Some(refresh);
        }
        if let Some(value) = section.take("when_absent") {
            self.empty_when_absent = match value.text() {
                Some("empty") => true,
                Some(_) => value.refuse("expected \"empty\"").unwrap_or(false),
                None => false,
            };
        }
    }

    /// For targets that cannot be polled without being sent.
    pub(super) fn refuse_verify(section: &mut Section<'a>) {
        if section.has("verify")
            && let Some(value) = section.take("verify")
        {
            value.refuse_key::<()>("belongs to [cloudflare]; set refresh to send an unchanged address again");
        }
    }

    pub(super) fn list(&self, family: Family) -> &[Source] {
        match family {
            Family::V4 => &self.ipv4,
            Family::V6 => &self.ipv6,
        }
    }

    fn list_mut(&mut self, family: Family) -> &mut Vec<Source> {
        match family {
            Family::V4 => &mut self.ipv4,
            Family::V6 => &mut self.ipv6,
        }
    }
}

fn read_suffix(value: &Value<'_>) -> Option<Ipv6Addr> {
    let expected = "expected the host part of an IPv6 address, as in \"::211:32ff:fe12:3456\"";
    let Ok(suffix) = value.text()?.parse::<Ipv6Addr>() else { return value.refuse(expected) };
    if suffix.is_unspecified() {
        return value.refuse(expected);
    }
    if suffix.to_bits().checked_shr(SUFFIX_BITS) != Some(0) {
        return value.refuse("expected only the host part: the upper 48 bits come from the router's prefix");
    }
    Some(suffix)
}

fn read_refresh(value: &Value<'_>) -> Option<Duration> {
    let days = value.number()?;
    if !(1.0..=MAX_DAYS.into()).contains(&days) {
        return value.refuse(&format!("expected 1 to {MAX_DAYS} days"));
    }
    Some(units::time(days, DAY))
}
