//! What befalls the world: storms of faults by chance, and calms in which every target
//! must come right.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::config::Source;

use super::{Coming, EPOCH, STATE, Sim};
use crate::disk::Health;
use crate::network::{Line, Manner, POOLS};
use crate::providers::Mood;
use crate::watch::{DAY, HOUR};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// How long a calm lasts: the longest patience, and some changes.
const CALM: Duration = Duration::from_secs(34 * 3600);
/// Changes of the address in a calm, and the time between two.
const CHANGES: u32 = 3;

impl Sim {
    pub(super) fn set_clock(&mut self, clock: i64) {
        self.clock = clock;
        self.watch.clock(clock != 0);
    }

    pub(super) fn count(&mut self, fault: &'static str) {
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
        self.second_up();
        (self.gateway.manner, self.gateway.lags) = (Manner::Well, None);
        self.providers.values_mut().for_each(|provider| provider.mood = Mood::Well);
        self.set_clock(0);
        self.disk.set_health(Health::Well);
        self.disk.stays();
        self.old_release();
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
            self.after(CALM - HOUR * 2 * (change + 1), Coming::Change { again: false });
        }
        if self.second.is_some() {
            self.after(CALM - HOUR * 5, Coming::Failover);
        }
        // Before the changes: a refresh of a day is due since.
        self.after(CALM - HOUR * 13 / 2, Coming::Check(None));
        self.after(CALM - HOUR * 13 / 2, Coming::AllSent);
        self.after(CALM - HOUR, Coming::AllAskedFor);
        self.after(CALM, Coming::Storm);
    }

    /// The address changes while all is well: a notice brings it within seconds, a poll
    /// within the interval.
    /// `again`: while requests with the one before are on their way, which hang now.
    pub(super) fn change(&mut self, again: bool) {
        if again {
            self.line.next = POOLS[0].iter().copied().find(|address| self.line.ipv4 != Some(*address));
        }
        self.line.go_down();
        self.after(SECOND, Coming::LineUp);
        let forced = again || !self.publisher.offers && self.chance.one_in(2);
        let hinted = forced || self.publisher.offers;
        if forced {
            self.hint(SECOND + SECOND / 20);
            if !again && self.chance.one_in(2) {
                let time = self.chance.millis(1060, 1600);
                return self.after(time, Coming::Change { again: true });
            }
        }
        let wait = match (hinted, again) {
            // What hangs is passed by after 5 s.
            (true, true) => 16 * SECOND,
            (true, false) => 10 * SECOND,
            (false, _) => self.plan.config.interval + 15 * SECOND,
        };
        self.after(SECOND + wait, Coming::Check(None));
    }

    /// Somebody says that the gateway has something new.
    pub(super) fn hint(&mut self, time: Duration) {
        self.hint_to(time, |source| matches!(source, Source::Upnp(_)));
    }

    /// The kernel says that addresses of this host have changed.
    fn kernel_tells(&mut self, time: Duration) {
        self.hint_to(time, |source| matches!(source, Source::Interface(_)));
    }

    fn hint_to(&mut self, time: Duration, is_meant: fn(&Source) -> bool) {
        let Some(run) = self.process.as_ref().map(|process| process.run) else { return };
        for source in 0..self.plan.config.sources.len() {
            if is_meant(&self.plan.config.sources[source]) {
                self.after(time, Coming::Hint { run, source });
            }
        }
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
        self.notify();
    }

    /// The second line has another address, if there is one and it was down.
    pub(super) fn second_up(&mut self) {
        if let Some(line) = self.second.as_mut().filter(|line| line.ipv4.is_none()) {
            line.come_up(&mut self.chance);
            let text = format!("the second line is up with {:?}", line.ipv4);
            self.note(|| text);
            self.notify();
        }
    }

    /// The first line is down for an hour, mostly with the second, which is back before:
    /// who names none moves to that.
    pub(super) fn failover(&mut self) {
        self.count("failover");
        self.line.go_down();
        let wait = self.plan.config.interval + 15 * SECOND;
        let mut back = Duration::ZERO;
        if let Some(second) = self.second.as_mut().filter(|_| !self.chance.one_in(3)) {
            second.go_down();
            back = wait;
            self.after(back, Coming::SecondUp);
        }
        self.notify();
        self.after(back + wait, Coming::Check(None));
        self.after(HOUR, Coming::LineUp);
        self.after(HOUR + wait, Coming::Check(None));
    }

    /// The gateway tells everybody who has subscribed, as far as it is well.
    fn notify(&mut self) {
        if matches!(self.gateway.manner, Manner::Rebooting | Manner::Silent) {
            return;
        }
        for notice in self.publisher.notices(self.now) {
            let mut head = notice.into_bytes();
            match if self.calm { 9 } else { self.chance.below(10) } {
                0 => {
                    self.count("event lost");
                    continue;
                }
                1 => {
                    self.count("event damaged");
                    let at = self.chance.below(head.len());
                    head[at] ^= 1 << self.chance.below(8);
                }
                _ => {}
            }
            let time = self.chance.millis(10, 300);
            self.after(time, Coming::Notice(head));
        }
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

    /// The provider takes IPv6 away, or gives it, until further notice.
    fn ipv6_comes_or_goes(&mut self) {
        if self.line.ipv4.is_none() {
            return;
        }
        self.count("IPv6 taken away, or given");
        self.line.has_ipv6 = !self.line.has_ipv6;
        self.line.delegate();
        self.advertise();
    }

    /// Another router stands there, with other abilities.
    fn router_replaced(&mut self) {
        self.count("router replaced");
        self.gateway.avm = !self.gateway.avm;
        self.publisher.forgets();
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
            16 if self.chance.one_in(6) => self.ipv6_comes_or_goes(),
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
        if let Some(second) = self.second.as_mut().filter(|line| line.ipv4.is_some())
            && self.chance.one_in(2)
        {
            second.go_down();
            self.count("second line renumbered");
            let down = self.chance.time(SECOND / 3, 2 * HOUR);
            return self.after(down, Coming::SecondUp);
        }
        if self.line.ipv4.is_none() {
            return;
        }
        self.count("line renumbered");
        if self.chance.one_in(4) {
            self.count("NAT-PMP lags");
            self.gateway.lags = self.line.wan();
        } else {
            self.gateway.lags = None;
        }
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
        if manner == Manner::Rebooting {
            self.publisher.forgets();
        }
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
        // A disk that kept nothing until the power went: what no program can see.
        if self.disk.has_note() {
            self.watch.is_unseen();
        }
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
        if self.set_aside.is_some() {
            return;
        }
        if let Some(backup) = self.backup.take() {
            self.count("state restored from a backup");
            self.kill();
            self.disk.set_time(Duration::from_secs(EPOCH) + self.now);
            self.disk.restore(path, backup);
            self.start();
            self.watch.remembers();
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
}
