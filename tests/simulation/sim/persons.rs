//! What persons do: they ask, edit, start and mend.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::daemon::state_file::Store;
use ddns_update_daemon::engine::Event;

use super::faults::{MINUTE, SECOND};
use super::{Coming, EPOCH, STATE, Sim};
use crate::plan::Entry;
use crate::watch::HOUR;

/// What a release to come may write.
const NEWER: &[u8] = b"ddns-update-daemon state 3 certain\nsomething\tnew\n";

impl Sim {
    /// A person says `retry`, for one target or all.
    pub(super) fn retry(&mut self, name: Option<&str>) {
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
    pub(super) fn update(&mut self, name: Option<&str>) {
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
            let text = format!("{}: it was asked for, and it is not sent", entry.name);
            self.watch.broken.get_or_insert(text);
        }
    }

    /// A person does something.
    pub(super) fn person(&mut self) {
        let names: Vec<String> = self.plan.entries.iter().map(|entry| entry.name.clone()).collect();
        let name = names[self.chance.below(names.len())].clone();
        let name = Some(name.as_str()).filter(|_| self.chance.one_in(2));
        match self.chance.below(10) {
            8 => self.second_daemon(),
            9 => self.newer_release(),
            0 => self.retry(name),
            1 => self.update(name),
            2 => {
                self.count("configuration read again");
                // The time that the request takes is what matters then.
                if name.is_some() {
                    self.reloads_wanted += 1;
                } else {
                    self.ask_reload();
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

    pub(super) fn ask_reload(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|process| !process.once) {
            let run = process.run;
            self.after(SECOND / 1000, Coming::Reload { run, asked: self.now });
        }
    }

    /// Somebody starts a second daemon on the same state, which is refused.
    pub(super) fn second_daemon(&mut self) {
        if self.process.is_none() || self.disk_failed || !self.disk.is_well() || self.set_aside.is_some() {
            return;
        }
        self.count("second daemon");
        let other = "/etc/other.toml";
        let mut store =
            Store::on(self.disk.clone(), STATE.into(), other.into(), Some("/run/other/x.doubted".into()));
        match store.hold() {
            Err(why) if why.contains(STATE) && why.contains(other) && why.contains("/etc/sim.toml") => {}
            refused => {
                let text = format!("a second daemon: {:?}", refused.map(|loaded| loaded.problem));
                self.watch.broken.get_or_insert(text);
            }
        }
    }

    /// A newer release has run, and this one again: it must leave that one's state alone.
    pub(super) fn newer_release(&mut self) {
        let Some(state) = self.disk.copy_of(Path::new(STATE)).filter(|_| self.set_aside.is_none()) else {
            return;
        };
        self.count("state of a newer release");
        self.kill();
        self.set_aside = Some(state);
        self.disk.set_time(Duration::from_secs(EPOCH) + self.now);
        self.disk.restore(Path::new(STATE), NEWER.to_vec());
        self.start();
        let time = self.chance.time(MINUTE, 6 * HOUR);
        self.after(time, Coming::OldRelease);
    }

    pub(super) fn old_release(&mut self) {
        let Some(state) = self.set_aside.take() else { return };
        self.kill();
        if self.disk.copy_of(Path::new(STATE)).as_deref() != Some(NEWER) {
            self.watch.broken.get_or_insert("the state of a newer release is not what it was".to_owned());
        }
        self.disk.set_time(Duration::from_secs(EPOCH) + self.now);
        self.disk.restore(Path::new(STATE), state);
        self.start();
        self.watch.remembers();
    }

    /// Somebody else changes a record that is looked at now and then.
    pub(super) fn meddle(&mut self) {
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
    pub(super) fn edit(&mut self) {
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
