//! Collecting targets: unique names, fingerprints and sources.

use std::collections::HashMap;
use std::sync::Arc;

use super::defaults::TargetDefaults;
use super::section::Section;
use super::sources::MAX_SOURCES;
use super::{Source, Target, UpdaterConfig};
use crate::address::Family;
use crate::config::error::Problems;
use crate::config::fingerprint::id;
use crate::config::placeholders::Needs;

/// More than any network has; state and memory stay small.
const MAX_TARGETS: usize = 10_000;

/// Longer names are cut: they stand in every log line.
const MAX_NAME: usize = 100;

/// What is special about one target.
#[derive(Default)]
pub(super) struct NewTarget {
    pub(super) name: String,
    pub(super) host: Arc<str>,
    pub(super) entry: usize,
    pub(super) fingerprint: String,
    pub(super) required: Needs,
    pub(super) optional: Needs,
    pub(super) at_start: bool,
    pub(super) extra: Needs,
    pub(super) both_families: bool,
    pub(super) any_address: bool,
}

/// A configuration's targets as far as they are read.
pub(super) struct Builder<'a> {
    problems: &'a Problems<'a>,
    pub(super) groups: Vec<UpdaterConfig>,
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) sources: Vec<Source>,
    names: HashMap<String, usize>,
    fingerprints: HashMap<String, usize>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(problems: &'a Problems<'a>) -> Self {
        Self {
            problems,
            groups: Vec::new(),
            targets: Vec::new(),
            sources: Vec::new(),
            names: HashMap::new(),
            fingerprints: HashMap::new(),
        }
    }

    /// Adds a target of the group that is pushed next; `section` is where
    /// problems with it are noted.
    pub(super) fn add(&mut self, section: &Section<'_>, defaults: &TargetDefaults<'_>, draft: NewTarget) {
        self.add_to(self.groups.len(), section, defaults, draft);
    }

    /// The same for the group with this index.
    pub(super) fn add_to(
        &mut self,
        group: usize,
        section: &Section<'_>,
        defaults: &TargetDefaults<'_>,
        mut draft: NewTarget,
    ) {
        if self.targets.len() >= MAX_TARGETS {
            section.refuse(&format!("expected at most {MAX_TARGETS} records, urls and runs"));
            return;
        }
        draft.name = self.unique_name(&draft.name);
        check_families(section, defaults, &mut draft);
        self.check_agree(section, defaults, &draft);
        let needed = draft.required.or(draft.optional).or(draft.extra);
        let ipv4 = self.indexes(section, if needed.ipv4 { &defaults.ipv4 } else { &[] });
        let ipv6 = needed.ipv6 || needed.ipv6_prefix;
        let ipv6 = self.indexes(section, if ipv6 { &defaults.ipv6 } else { &[] });
        let (ipv4, ipv6) = (self.shared(ipv4), self.shared(ipv6));
        let fingerprint = self.unique_fingerprint(&draft);
        // Most are called as their host, or have none as the one before.
        let name = if *draft.name == *draft.host { Arc::clone(&draft.host) } else { draft.name.into() };
        let last = self.targets.last().map(|last| &last.host).filter(|last| **last == draft.host);
        self.targets.push(Arc::new(Target {
            name,
            host: last.map_or(draft.host, Arc::clone),
            group,
            entry: draft.entry,
            id: id(&fingerprint).into(),
            required: draft.required,
            optional: draft.optional,
            ipv4,
            follows_gateway: defaults.follows_gateway && ipv6.len() > 1,
            ipv6,
            agree: defaults.agree,
            allow_private: defaults.allow_private,
            ipv6_suffix: defaults.ipv6_suffix,
            refresh: defaults.refresh,
            verify: defaults.verify,
            empty_when_absent: defaults.empty_when_absent,
            at_start: draft.at_start,
            extra: draft.extra,
            both_families: draft.both_families,
            any_address: draft.any_address,
        }));
    }

    /// Most targets have the sources of the one before.
    fn shared(&self, indexes: Vec<usize>) -> Arc<[usize]> {
        let last = self.targets.last().into_iter().flat_map(|last| [&last.ipv4, &last.ipv6]);
        last.into_iter().find(|last| ***last == *indexes).map_or_else(|| indexes.into(), Arc::clone)
    }

    fn indexes(&mut self, section: &Section<'_>, list: &[Source]) -> Vec<usize> {
        let mut indexes = Vec::new();
        for source in list {
            let known = self.sources.iter().position(|known| known == source);
            indexes.push(known.unwrap_or(self.sources.len()));
            if known.is_none() && self.sources.len() >= MAX_SOURCES {
                section.refuse(&format!("expected at most {MAX_SOURCES} different sources in all"));
                return Vec::new();
            }
            if known.is_none() {
                self.sources.push(source.clone());
            }
        }
        indexes
    }

    fn check_agree(&self, section: &Section<'_>, defaults: &TargetDefaults<'_>, draft: &NewTarget) {
        for (family, required, optional) in families(draft) {
            let listed = defaults.list(family).len();
            if listed == 0 || defaults.agree <= listed {
                if family == Family::V6 && defaults.follows_gateway && defaults.agree > 1 {
                    self.warn_of_one_speaker(defaults.agree, draft);
                }
                continue;
            }
            let problem = match listed {
                1 => format!("expected 1: there is only one {family} source"),
                _ => format!("expected 1 to {listed}: there are {listed} {family} sources"),
            };
            match defaults.agree_at {
                Some(value) if required => value.refuse(&problem).unwrap_or(()),
                // Never without its place, as the default suits every list.
                None if required => section.refuse(&problem),
                _ if optional => {
                    let NewTarget { name, .. } = draft;
                    let agree = defaults.agree;
                    self.problems.warn(format!(
                        "{name}: its {family} address stays unknown: agree = {agree}, but {listed} listed"
                    ));
                }
                _ => {}
            }
        }
    }

    /// One that sent its IPv4 address all the same must go on.
    fn warn_of_one_speaker(&self, agree: usize, draft: &NewTarget) {
        let NewTarget { name, .. } = draft;
        let reasons = draft.required.or(draft.optional);
        if reasons.ipv6 || reasons.ipv6_prefix {
            self.problems.warn(format!(
                "{name}: its IPv6 address stays unknown: agree = {agree}, but by default either the router or this \
                 host speaks for IPv6; list the sources that must agree, as in ipv6 = [\"upnp\", \"interface\"]"
            ));
        }
    }

    fn unique_name(&mut self, wanted: &str) -> String {
        let wanted: String = wanted.chars().take(MAX_NAME).collect();
        let mut name = wanted.clone();
        while self.names.contains_key(&name) {
            let count = self.names.entry(wanted.clone()).or_insert(1);
            *count = count.saturating_add(1);
            name = format!("{wanted} ({count})");
        }
        self.names.insert(name.clone(), 1);
        name
    }

    fn unique_fingerprint(&mut self, draft: &NewTarget) -> String {
        let count = self.fingerprints.entry(draft.fingerprint.clone()).or_insert(0);
        *count = count.saturating_add(1);
        if *count == 1 {
            return draft.fingerprint.clone();
        }
        self.problems.warn(format!("{}: this target is configured {count} times", draft.name));
        format!("{}-{count}", draft.fingerprint)
    }
}

fn families(draft: &NewTarget) -> [(Family, bool, bool); 2] {
    let (required, optional) = (draft.required, draft.optional.or(draft.extra));
    [
        (Family::V4, required.ipv4, optional.ipv4),
        (Family::V6, required.ipv6 || required.ipv6_prefix, optional.ipv6 || optional.ipv6_prefix),
    ]
}

/// Refuses a target that can never be sent, and forgets optional families that
/// are switched off.
fn check_families(section: &Section<'_>, defaults: &TargetDefaults<'_>, draft: &mut NewTarget) {
    for (family, required, _) in families(draft) {
        if defaults.list(family).is_empty() && required {
            let key = if family == Family::V4 { "ipv4" } else { "ipv6" };
            section.refuse(&format!("it needs {family}, which {key} = [] switches off"));
        }
    }
    for needs in [&mut draft.optional, &mut draft.extra] {
        needs.ipv4 &= !defaults.ipv4.is_empty();
        needs.ipv6 &= !defaults.ipv6.is_empty();
        needs.ipv6_prefix &= !defaults.ipv6.is_empty();
    }
    if draft.required.or(draft.optional) == Needs::default() {
        section.refuse("ipv4 = [] and ipv6 = [] leave nothing to send");
    }
}
