//! How an engine begins: what the configuration and an earlier run's state make of it.

use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use super::account_pause::AccountPause;
use super::address_kind::AddressKind;
use super::ipv6_default::Ipv6Default;
use super::jobs::{Group, Manner};
use super::source_status::SourceStatus;
use super::state::State;
use super::target::{DAY, TargetStatus};
use super::{Engine, ONCE_PATIENCE};
use crate::backoff::Random;
use crate::config::Config;

impl Engine {
    /// An engine that has yet to poll for the first time. `seed` is for jitter.
    #[must_use]
    pub fn new(config: &Config, state: State, seed: u64) -> Self {
        let sources = sources(config, &state);
        let targets = config
            .targets
            .iter()
            .map(|target| TargetStatus::new(target, config.groups.get(target.group), &state))
            .collect();
        let groups = groups(config);
        let is_program = |group: &Group| group.manner == Manner::Program;
        let programs = (0..groups.len()).filter(|index| groups.get(*index).is_some_and(is_program)).collect();
        Self {
            interval: config.interval,
            sources,
            targets,
            groups,
            queue: BinaryHeap::new(),
            server_place_at: None,
            running: Vec::new(),
            place_at: None,
            programs,
            programs_at: None,
            awaited: 0,
            next_id: 0,
            reconsider: true,
            new_facts: false,
            unflushed: false,
            state: State { targets: BTreeMap::default(), ..state },
            random: Random::new(seed),
            actions: VecDeque::new(),
            round: 0,
            next_round: Duration::ZERO,
            way: config.way(),
            once: false,
            waits_until: None,
            remind_at: DAY,
            blind: false,
            news: false,
            asked: None,
        }
    }

    /// Forgets that some accounts want pauses: for dry runs, which send nothing.
    #[must_use]
    pub fn without_pauses(mut self) -> Self {
        for group in &mut self.groups {
            group.pause = AccountPause::default();
        }
        self
    }

    /// For a single run, which may be one of many.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self.waits_until = Some(ONCE_PATIENCE);
        self.sources.iter_mut().filter_map(|source| source.ipv6.as_mut()).for_each(Ipv6Default::once);
        self
    }
}

/// The sources, which know what they told before.
fn sources(config: &Config, state: &State) -> Vec<SourceStatus> {
    let named = |(index, source)| SourceStatus::new(source, config.source_name(index));
    let mut sources: Vec<_> = config.sources.iter().enumerate().map(named).collect();
    for (index, source) in sources.iter_mut().enumerate() {
        source.ipv6 = Ipv6Default::of(index, &source.label, &config.targets, state);
        let has_answered = state.has_answered.get(&source.label);
        for kind in AddressKind::ALL {
            if has_answered.is_some_and(|kinds| kinds.iter().any(|id| id == kind.id())) {
                source.has_spoken(kind);
            }
        }
    }
    sources
}

/// The groups with their targets; those at one server have its number in common.
fn groups(config: &Config) -> Vec<Group> {
    let mut servers = HashMap::new();
    let groups = config.groups.iter().enumerate().map(|(index, group)| {
        let server = group.server().map_or(index, |server| *servers.entry(server).or_insert(index));
        Group::new(group, server)
    });
    let mut groups: Vec<_> = groups.collect();
    for (index, target) in config.targets.iter().enumerate() {
        if let Some(group) = groups.get_mut(target.group) {
            group.members.push(index);
        }
    }
    for group in &mut groups {
        group.members.shrink_to_fit();
    }
    groups
}
