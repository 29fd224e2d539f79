//! What befalls the world: storms of faults by chance, and calms in which every target
//! must come right.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::Source;
use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::engine::Event;

use super::{Coming, EPOCH, STATE, Sim};
use crate::disk::Health;
use crate::host::suffix;
use crate::network::{Line, Manner, lan, local, router};
use crate::plan::{Entry, Ipv6};
use crate::providers::{Held, Mood};
use crate::watch::{DAY, HOUR};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What a target names that needs no IPv6.
const IPV4: Needs = Needs { ipv4: true, ipv6: false, ipv6_prefix: false };

/// How long a calm lasts: the longest patience, and some changes.
const CALM: Duration = Duration::from_secs(34 * 3600);
/// Changes of the address in a calm, and the time between two.
const CHANGES: u32 = 3;

impl Sim {
    pub(super) fn set_clock(&mut self, clock: i64) {
        self.clock = clock;
        self.watch.clock(clock != 0);
    }

    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
        self.note(|| format!("FAULT: {fault}"));
    }

    pub(super) fn storm(&mut self) {
        self.calm = false;
        self.note(|| "a storm begins".to_owned());
        let length = self.chance.time(6 * HOUR, 4 * DAY).min(self.end.saturating_sub(self.now + CALM + HOUR));
        if length < HOUR {
            return;
        }
        self.after(length, Coming::Calm);
        self.after(MINUTE, Coming::Fault);
    }

    pub(super) fn calm(&mut self) {
        self.calm = true;
        self.note(|| "it is calm".to_owned());
        self.line.behind = None;
        if self.line.ipv4.is_none() || self.line.ipv6.is_some() != self.line.has_ipv6 {
            self.line_up();
        }
        self.gateway.manner = Manner::Well;
        self.providers.values_mut().for_each(|provider| provider.mood = Mood::Well);
        self.set_clock(0);
        self.disk.set_health(Health::Well);
        self.disk.stays();
        if self.process.as_ref().is_some_and(|process| process.once) {
            self.kill();
        }
        self.single_runs = 0;
        self.start();
        if self.chance.one_in(3) {
            self.retry(None);
        }
        let names: Vec<String> = self.plan.entries.iter().map(|entry| entry.name.clone()).collect();
        for name in names {
            let patience = self.watch.patience(self.now, &name);
            self.after(patience, Coming::Check(Some(name)));
        }
        for change in 0..CHANGES {
            self.after(CALM - HOUR * 2 * (change + 1), Coming::Change);
        }
        self.after(CALM - HOUR, Coming::AllAskedFor);
        self.after(CALM, Coming::Storm);
    }

    /// A person says `retry`, for one target or all.
    fn retry(&mut self, name: Option<&str>) {
        if self.process.as_ref().is_none_or(|process| process.once) {
            return;
        }
        self.count("a person says retry");
        let targets = self.plan.config.called(name);
        for target in targets.iter().filter_map(|index| self.plan.config.targets.get(*index)) {
            self.watch.is_freed(&target.name);
        }
        self.handle(Event::Retry { targets });
    }

    /// A person says `update`, for one target or all.
    fn update(&mut self, name: Option<&str>) {
        if self.process.as_ref().is_none_or(|process| process.once) {
            return;
        }
        self.count("a person says update");
        let targets = self.plan.config.called(name);
        for target in targets.iter().filter_map(|index| self.plan.config.targets.get(*index)) {
            self.watch.is_asked_for(&target.name);
        }
        self.handle(Event::Update { targets });
    }

    pub(super) fn all_asked_for(&mut self) {
        if self.calm {
            self.update(None);
            self.after(2 * MINUTE, Coming::AllSent);
        }
    }

    pub(super) fn all_sent(&mut self) {
        let mut entries = self.plan.entries.iter().filter(|entry| self.can_be_told(entry));
        let unsent = entries.find(|entry| self.watch.is_unsent(&entry.name));
        if let Some(entry) = unsent.filter(|_| self.calm) {
            let text = format!("{}: a person asked for it, and it is not sent", entry.name);
            self.watch.broken.get_or_insert(text);
        }
    }

    /// The address changes while all is well: a notice brings it within seconds, a poll
    /// within the interval.
    pub(super) fn change(&mut self) {
        self.line.go_down();
        self.after(SECOND, Coming::LineUp);
        let hinted = self.chance.one_in(2);
        let wait = if hinted { 10 * SECOND } else { self.plan.config.interval + 15 * SECOND };
        if hinted {
            self.hint(SECOND + SECOND / 20);
        }
        self.after(SECOND + wait, Coming::Check(None));
    }

    /// Somebody says that the gateway has something new.
    fn hint(&mut self, time: Duration) {
        self.hint_to(time, |source| matches!(source, Source::Upnp(_)));
    }

    /// The kernel says that addresses of this host have changed.
    fn kernel_tells(&mut self, time: Duration) {
        self.hint_to(time, |source| matches!(source, Source::Interface(_)));
    }

    fn hint_to(&mut self, time: Duration, is_meant: fn(&Source) -> bool) {
        let Some(run) = self.process.as_ref().map(|process| process.run) else { return };
        if let Some(source) = self.plan.config.sources.iter().position(is_meant) {
            self.after(time, Coming::Hint { run, source });
        }
    }

    /// Whether targets hold what they should.
    pub(super) fn check(&mut self, name: Option<&str>) {
        if !self.calm {
            return;
        }
        let entries = self.plan.entries.iter().filter(|entry| name.is_none_or(|name| entry.name == name));
        let entries = entries.filter(|entry| !self.watch.has_given_up(&entry.name));
        let wrong = entries.filter_map(|entry| {
            let held = self.providers.get(&entry.host)?.records.get(&entry.record).copied();
            let held = held.unwrap_or_default();
            let truth = self.truth(entry, held)?;
            (held != truth).then_some((entry, held, truth))
        });
        if let Some((entry, held, truth)) = wrong.into_iter().next() {
            let text = format!("{}: holds {held:?} and not {truth:?} long after all was well", entry.name);
            self.watch.broken.get_or_insert(text);
        }
        let mut entries = self.plan.entries.iter().filter(|entry| name.is_none() && self.can_be_told(entry));
        let late = entries.find(|entry| self.watch.is_overdue(self.now, &entry.name));
        if let Some(entry) = late {
            self.watch.broken.get_or_insert(format!("{}: its refresh is late", entry.name));
        }
    }

    /// Whether its sources know all that a target names.
    fn can_be_told(&self, entry: &Entry) -> bool {
        let can_tell = self.plan.ipv6 != Ipv6::Upnp || self.gateway.avm;
        entry.names == IPV4 || (self.line.has_ipv6 && can_tell)
    }

    /// What a target should hold that holds this; `None`: it is sent nothing.
    fn truth(&self, entry: &Entry, held: Held) -> Option<Held> {
        let delegated = self.line.ipv6;
        let gateway =
            || Addresses { ipv6: delegated.map(router), ipv6_prefix: delegated, ..Addresses::default() };
        let host = || Addresses {
            ipv6: self.host.lan().map(local),
            ipv6_prefix: self.host.lan(),
            ..Addresses::default()
        };
        let by_gateway = self.gateway.avm && !matches!(self.plan.ipv6, Ipv6::Interface);
        let told = match self.plan.ipv6 {
            // It cannot tell, for ever.
            Ipv6::Upnp if !self.gateway.avm => None,
            Ipv6::List if delegated.is_none() => None,
            _ if by_gateway => Some(gateway()),
            // Unknown as soon as one was published.
            _ if self.host.lan().is_none() => None,
            _ => Some(host()),
        };
        let names = entry.names;
        let is_known = !(names.ipv6 || names.ipv6_prefix)
            || told.is_some_and(|told| told.ipv6.is_some() || entry.empties);
        if !is_known && entry.all_or_nothing {
            return None;
        }
        let told = told.filter(|told| told.ipv6.is_some() || (entry.empties && entry.all_or_nothing));
        let mut truth = held;
        if names.ipv4 {
            truth.ipv4 = self.line.reachable();
        }
        if let Some(told) = told {
            let other = || told.ipv6_prefix.map(lan).map(|lan| lan.host(suffix()));
            if names.ipv6 {
                truth.ipv6 = if entry.has_suffix { other() } else { told.ipv6 };
            }
            if names.ipv6_prefix {
                truth.ipv6_prefix = told.ipv6_prefix;
            }
        }
        Some(truth)
    }

    pub(super) fn line_up(&mut self) {
        self.line.come_up(&mut self.chance);
        if !self.calm && self.chance.one_in(8) && self.line.ipv6.take().is_some() {
            self.count("line without IPv6");
        }
        let Line { ipv4, behind, ipv6, .. } = &self.line;
        let text = format!("the line is up with {ipv4:?}, behind {behind:?}, {ipv6:?}");
        self.note(|| text);
        self.advertise();
    }

    /// The router tells the LAN what it has now, three times, and the kernel the daemon.
    fn advertise(&mut self) {
        let takes_back = self.chance.one_in(2);
        if !takes_back && self.line.has_ipv6 {
            self.count("prefix forgotten by the router");
        }
        self.host.hears(self.line.ipv6, takes_back, self.now);
        if self.calm || !self.chance.one_in(4) {
            for seconds in [0, 1, 3] {
                self.kernel_tells(SECOND * seconds + SECOND / 50);
            }
        }
    }

    /// The provider delegates another prefix, and IPv4 stays.
    fn prefix_changes(&mut self) {
        if self.line.ipv6.is_none() {
            return;
        }
        self.count("prefix renumbered");
        self.line.delegate();
        self.advertise();
        if self.chance.one_in(2) {
            self.hint(SECOND / 50);
        }
    }

    /// Another router stands there, with other abilities.
    fn router_replaced(&mut self) {
        self.count("router replaced");
        self.gateway.avm = !self.gateway.avm;
    }

    pub(super) fn provider_well(&mut self, host: &str) {
        let now = self.now;
        if let Some(provider) = self.providers.get_mut(host).filter(|provider| now >= provider.until) {
            provider.mood = Mood::Well;
        }
    }

    /// One fault, and the time to the next.
    pub(super) fn fault(&mut self) {
        if self.calm {
            return;
        }
        match self.chance.below(36) / 2 {
            16 => self.prefix_changes(),
            17 if self.chance.one_in(4) => self.router_replaced(),
            0..=2 => self.renumbers(),
            3 | 4 => self.gateway_fails(),
            5..=7 => self.provider_fails(),
            8 => self.is_killed(),
            9 => self.power_cut(),
            10 => self.hints_flood(),
            11 => self.disk_fails(),
            12 => self.backup(),
            13 => self.clock_jumps(),
            15 => self.line_flaps(),
            _ => self.person(),
        }
        let next = self.chance.time(MINUTE / 2, 3 * HOUR);
        self.after(next, Coming::Fault);
    }

    fn renumbers(&mut self) {
        if self.line.ipv4.is_none() {
            return;
        }
        self.count("line renumbered");
        self.line.go_down();
        let down = self.chance.time(SECOND / 3, 2 * HOUR);
        if self.chance.one_in(6) {
            self.count("line behind the provider's NAT");
            self.line.behind = Some([100, 64, 7, 9].into());
        } else {
            self.line.behind = None;
        }
        self.after(down, Coming::LineUp);
        if self.chance.one_in(2) {
            self.hint(down + SECOND / 50);
        }
    }

    /// The line comes and goes for an hour, and each time somebody says so.
    fn line_flaps(&mut self) {
        self.count("line flaps");
        for number in 0..120 {
            self.after(30 * SECOND * number, Coming::LineDown);
            self.after(30 * SECOND * number + 2 * SECOND, Coming::LineUp);
            self.hint(30 * SECOND * number + 3 * SECOND);
        }
    }

    fn gateway_fails(&mut self) {
        let (name, manner) = Manner::bad(&mut self.chance, &self.line);
        self.count(name);
        let time = self.chance.time(10 * SECOND, DAY / 2);
        (self.gateway.manner, self.gateway.until) = (manner, self.now + time);
        self.after(time, Coming::GatewayWell);
    }

    fn provider_fails(&mut self) {
        let hosts: Vec<String> = self.providers.keys().cloned().collect();
        let host = hosts[self.chance.below(hosts.len())].clone();
        let (name, mood) = Mood::bad(&mut self.chance);
        self.count(name);
        let time = self.chance.time(10 * SECOND, 2 * DAY);
        if let Some(provider) = self.providers.get_mut(&host) {
            (provider.mood, provider.until) = (mood, self.now + time);
        }
        self.after(time, Coming::ProviderWell(host));
    }

    fn is_killed(&mut self) {
        let kills = if self.chance.one_in(5) { 20 } else { 1 };
        self.count(if kills > 1 { "crash loop" } else { "killed" });
        for _ in 0..kills {
            self.kill();
            self.start();
        }
    }

    /// The power is cut now, or in the middle of the writes to come.
    fn power_cut(&mut self) {
        if self.process.is_none() {
            return;
        }
        if self.chance.one_in(2) {
            let (writes, torn) = (self.chance.below(12) as u32, self.chance.below(400));
            self.disk.cut_after(writes, torn);
        } else {
            self.power_fails();
        }
    }

    pub(super) fn power_fails(&mut self) {
        self.count("power cut");
        self.kill();
        self.disk.boot(&mut self.chance);
        self.watch.forgets();
        if self.chance.one_in(2) {
            self.count("clock of 1970");
            let unix = i64::try_from(self.unix()).unwrap();
            self.set_clock(self.clock - unix);
            let time = self.chance.time(SECOND, DAY);
            self.after(time, Coming::ClockRight);
        }
        let time = self.chance.time(SECOND, HOUR);
        self.after(time, Coming::Start);
    }

    fn disk_fails(&mut self) {
        let (name, health) = self.chance.pick(&[
            ("disk full", Health::Full),
            ("disk read-only", Health::ReadOnly),
            ("disk failing", Health::Failing),
        ]);
        self.count(name);
        self.disk.set_health(health);
        self.disk_failed = true;
        let time = self.chance.time(10 * SECOND, DAY / 2);
        self.after(time, Coming::DiskWell);
    }

    /// A backup is made, or put back while the daemon does not run.
    fn backup(&mut self) {
        let path = Path::new(STATE);
        if let Some(backup) = self.backup.take() {
            self.count("state restored from a backup");
            self.kill();
            self.disk.set_time(Duration::from_secs(EPOCH) + self.now);
            self.disk.restore(path, backup);
            self.start();
        } else {
            self.backup = self.disk.copy_of(path);
        }
    }

    /// The clock is put forward or back.
    fn clock_jumps(&mut self) {
        self.count("clock jumps");
        let by = i64::try_from(self.chance.time(MINUTE, 400 * DAY).as_secs()).unwrap();
        let by = if self.chance.one_in(2) { by } else { -by };
        self.set_clock(by);
        let time = self.chance.time(MINUTE, DAY);
        self.after(time, Coming::ClockRight);
    }

    fn hints_flood(&mut self) {
        self.count("flood of forged hints");
        for number in 0..60 {
            self.hint(SECOND / 3 * number);
            self.kernel_tells(SECOND / 3 * number);
        }
    }

    /// A person does something.
    fn person(&mut self) {
        let names: Vec<String> = self.plan.entries.iter().map(|entry| entry.name.clone()).collect();
        let name = names[self.chance.below(names.len())].clone();
        let name = Some(name.as_str()).filter(|_| self.chance.one_in(2));
        match self.chance.below(8) {
            0 => self.retry(name),
            1 => self.update(name),
            2 => {
                self.count("configuration read again");
                if let Some(run) =
                    self.process.as_ref().filter(|process| !process.once).map(|process| process.run)
                {
                    self.after(SECOND / 1000, Coming::Reload { run, by: self.now + 10 * SECOND });
                }
            }
            3 => {
                self.count("five single runs");
                self.kill();
                self.single_runs = 5;
                self.start();
            }
            4 | 5 => self.meddle(),
            _ => self.edit(),
        }
    }

    /// Somebody else changes a record that is looked at now and then.
    fn meddle(&mut self) {
        let looked_at = |entry: &&Entry| {
            self.plan.config.targets.get(entry.target).is_some_and(|target| target.verify.is_some())
        };
        let Some(entry) = self.plan.entries.iter().find(looked_at).cloned() else { return };
        let held =
            self.providers.get_mut(&entry.host).and_then(|provider| provider.records.get_mut(&entry.record));
        let Some(held) = held else { return };
        if entry.names.ipv4 && held.ipv4.is_some() {
            held.ipv4 = Some([203, 0, 113, 7].into());
        } else if entry.names.ipv6 && held.ipv6.is_some() {
            held.ipv6 = Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into());
        }
        self.watch.is_meddled_with(&entry.name);
        self.count("record changed by someone else");
    }

    /// A person edits the file and starts the daemon anew.
    fn edit(&mut self) {
        self.count("file edited");
        self.kill();
        let section = self.sketch.edit(&mut self.chance);
        self.plan = self.sketch.plan();
        self.take_plan();
        let records = self.sketch.records(section);
        for entry in self.plan.entries.iter().filter(|entry| records.contains(&entry.record)) {
            self.watch.mended(&entry.name);
        }
        self.start();
    }
}
