//! What befalls the world: storms of faults by chance, and calms in which every target
//! must come right.

use std::path::Path;
use std::time::Duration;

use super::{Coming, EPOCH, STATE, Sim};
use crate::disk::Health;
use crate::network::Manner;
use crate::providers::Mood;
use crate::watch::{DAY, HOUR};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

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
        if self.line.ipv4.is_none() {
            self.line_up();
        }
        self.gateway.manner = Manner::Well;
        self.providers.values_mut().for_each(|provider| provider.mood = Mood::Well);
        self.set_clock(0);
        self.disk.set_health(Health::Well);
        self.disk.stays();
        self.start();
        let names: Vec<String> = self.plan.entries.iter().map(|entry| entry.name.clone()).collect();
        for name in names {
            let patience = self.watch.patience(self.now, &name);
            self.after(patience, Coming::Check(Some(name)));
        }
        for change in 0..CHANGES {
            self.after(CALM - HOUR * 2 * (change + 1), Coming::Change);
        }
        self.after(CALM, Coming::Storm);
    }

    /// The address changes while all is well: a notice brings it within seconds, a poll
    /// within the interval.
    pub(super) fn change(&mut self) {
        self.line.ipv4 = None;
        self.after(SECOND, Coming::LineUp);
        let hinted = self.chance.one_in(2);
        let wait = if hinted { 10 * SECOND } else { self.plan.config.interval + 15 * SECOND };
        if hinted {
            self.hint(SECOND + SECOND / 20);
        }
        self.after(SECOND + wait, Coming::Check(None));
    }

    fn hint(&mut self, time: Duration) {
        let Some(run) = self.process.as_ref().map(|process| process.run) else { return };
        self.after(time, Coming::Hint { run, source: 0 });
    }

    /// Whether targets hold what they should.
    pub(super) fn check(&mut self, name: Option<&str>) {
        if !self.calm {
            return;
        }
        let truth = self.line.reachable();
        let entries = self.plan.entries.iter().filter(|entry| name.is_none_or(|name| entry.name == name));
        let entries = entries.filter(|entry| !self.watch.has_given_up(&entry.name));
        let held = |host: &String, record: &String| self.providers.get(host)?.records.get(record)?.ipv4;
        let wrong = entries.map(|entry| (&entry.name, held(&entry.host, &entry.record)));
        if let Some((name, held)) = wrong.into_iter().find(|(_, held)| *held != truth) {
            let text = format!("{name}: holds {held:?} and not {truth:?} long after all was well");
            self.watch.broken.get_or_insert(text);
        }
        if let Some(text) = self.watch.overdue(self.now).filter(|_| name.is_none()) {
            self.watch.broken.get_or_insert(text);
        }
    }

    pub(super) fn line_up(&mut self) {
        let chance = &mut self.chance;
        self.line.come_up(chance);
        let line = &self.line;
        let text = format!("the line is up with {:?}, behind {:?}", line.ipv4, line.behind);
        self.note(|| text);
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
        match self.chance.below(31) / 2 {
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
        self.line.ipv4 = None;
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
        }
    }

    /// A person edits the file and starts the daemon anew.
    fn person(&mut self) {
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
