//! The daemon's side: its process, and the way of each request to where it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use ddns_update_daemon::config::Source;
use ddns_update_daemon::daemon::PATIENCE;
use ddns_update_daemon::daemon::state_file::Store;
use ddns_update_daemon::engine::{Action, Engine, Event};
use ddns_update_daemon::gena::subscription::PollResult;
use ddns_update_daemon::transport::provider::TIMEOUT;
use ddns_update_daemon::updaters::{Failure, Task};

use super::{CLOSED, Coming, EPOCH, ORPHAN, Process, Running, STATE, Sim, TOLD};
use crate::events::Events;
use crate::name_server;
use crate::plan::Entry;
use crate::polls::{House, Polled, Poller};
use crate::turns::{Answer, Job, Question, Step, Work};

impl Sim {
    pub(super) fn is_run(&self, run: u64) -> bool {
        self.process.as_ref().is_some_and(|process| process.run == run)
    }

    pub(super) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.runs += 1;
        let config = &self.plan.config;
        self.disk.set_time(Duration::from_secs(EPOCH) + self.now);
        let mut store = Store::on(
            self.disk.clone(),
            STATE.into(),
            "/etc/sim.toml".into(),
            Some("/run/sim/x.doubted".into()),
        );
        let loaded = match store.hold() {
            Ok(loaded) => loaded,
            Err(why) => {
                self.watch.broken.get_or_insert(format!("the daemon cannot start: {why}"));
                return;
            }
        };
        let pollers = (0..config.sources.len()).map(|index| Poller::new(config, index, &loaded.state));
        let pollers = pollers.collect();
        let engine = Engine::new(config, loaded.state, self.chance.number());
        let once = self.single_runs > 0;
        let engine = if once { engine.once() } else { engine };
        let gateways =
            config.sources.iter().enumerate().filter(|(_, source)| matches!(source, Source::Upnp(_)));
        let gateways = gateways.map(|(index, _)| index).filter(|_| !once);
        self.process = Some(Process {
            run: self.runs,
            began: self.now,
            engine,
            store,
            works: config.groups.iter().map(|group| Some(Work::new(group))).collect(),
            jobs: BTreeMap::new(),
            pollers,
            events: gateways.map(|source| (source, Events::new(&mut self.chance))).collect(),
            once,
        });
        let what = if once { "a single run" } else { "the daemon" };
        self.note(|| format!("{what} starts; its state: {:?}", loaded.problem));
        if loaded.problem.is_some() || self.disk_failed {
            self.watch.forgets();
        }
        self.disk_failed = !self.disk.is_well();
        self.watch.starts(self.now, once);
        self.handle(Event::Tick);
    }

    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    /// A single run ends when there is nothing to be done, and the next one begins.
    pub(super) fn single_run_ends(&mut self) {
        let now = self.engine_now();
        if self.process.as_ref().is_some_and(|process| process.once && process.engine.is_settled(now)) {
            self.note(|| "a single run ends".to_owned());
            self.kill();
            self.single_runs -= 1;
            self.after(Duration::from_secs(1), Coming::Start);
        }
    }

    /// The configuration is read again, in which the jobs under way may end.
    pub(super) fn reload(&mut self, run: u64, asked: Duration) {
        let busy = self.process.as_ref().is_some_and(|process| !process.jobs.is_empty());
        if busy && self.now < asked + PATIENCE {
            return self.after(Duration::from_millis(100), Coming::Reload { run, asked });
        }
        self.watch.is_read_again(self.now - asked);
        self.kill();
        self.start();
    }

    pub(super) fn handle(&mut self, event: Event) {
        let now = self.engine_now();
        let Some(process) = &mut self.process else { return };
        let mut quiet = matches!(event, Event::Observed { .. });
        process.engine.handle(now, event);
        while let Some(action) = self.process.as_mut().and_then(|process| process.engine.action()) {
            quiet &= matches!(action, Action::Poll { .. } | Action::Overtake { .. } | Action::Close { .. });
            match action {
                // Without power nothing more is done.
                _ if self.disk.is_dead() => return,
                Action::Poll { source, hinted } => self.poll(source, hinted),
                Action::Record { lines, flush } => self.record(&lines, flush),
                Action::Publish { job, group, tasks, .. } => self.publish(job, group, tasks),
                Action::Overtake { job } => self.overtake(job),
                Action::Close { job } => self.close(job),
                Action::Report(report) => {
                    self.note(|| format!("{:?} {}: {}", report.level, report.subject, report.text));
                    self.watch.reports(self.now, &report);
                }
            }
        }
        let grown = |process: &Process| process.jobs.is_empty() && process.store.is_to_be_written();
        if quiet && self.process.as_ref().is_some_and(grown) {
            self.record("", false);
            self.note(|| "the state file is written anew".to_owned());
        }
    }

    fn poll(&mut self, source: usize, hinted: bool) {
        let Some(process) = &mut self.process else { return };
        let (gateway, line, second) = (&self.gateway, &self.line, self.second.as_ref());
        let house = House { gateway, line, second, host: &self.host, now: self.now };
        let events = process.events.get(&source).is_some_and(Events::arrive);
        let polled = process.pollers[source].poll(&house, hinted, events, &mut self.chance);
        if polled.confirmed {
            *self.faults.entry("poll confirmed by NAT-PMP").or_default() += 1;
        }
        let Some(process) = &mut self.process else { return };
        let run = process.run;
        self.after(polled.took, Coming::Polled { run, source, polled: Box::new(polled) });
    }

    pub(super) fn polled(&mut self, source: usize, polled: Polled) {
        let Polled { observation, gateway, events, is_gateway, .. } = polled;
        if self.watch.voices.hears(self.now, source, &observation, gateway.is_some()) {
            let said = self.watch.voices.said(source);
            self.note(|| format!("source {source} says {said}"));
        }
        let seen = is_gateway.then(|| PollResult::new(&observation, gateway.is_some(), events));
        self.handle(Event::Observed { source, observation, gateway });
        if let (Some(seen), Some(process)) = (seen, &mut self.process)
            && let Some(events) = process.events.get_mut(&source)
        {
            events.polled(self.now - process.began, &seen);
            self.events_step(source);
        }
        self.watch.notes_absence(self.now, &self.plan);
    }

    /// What the subscription to events wants now.
    fn events_step(&mut self, source: usize) {
        let Some(process) = &mut self.process else { return };
        let (run, began) = (process.run, process.began);
        let Some(events) = process.events.get_mut(&source) else { return };
        let stepped = events.step(self.now - began, self.now, &mut self.publisher, self.gateway.manner);
        if let Some(at) = events.next_alarm() {
            self.at((began + at).max(self.now), Coming::Alarm { run, source, at });
        }
        for status in stepped.said {
            self.note(|| format!("events: {status}"));
        }
        for notice in stepped.notices {
            self.after(Duration::from_millis(20), Coming::Notice(notice.into_bytes()));
        }
        if stepped.hint {
            self.after(Duration::ZERO, Coming::Hint { run, source });
        }
    }

    pub(super) fn alarm(&mut self, source: usize, at: Duration) {
        let events = self.process.as_ref().and_then(|process| process.events.get(&source));
        if events.is_some_and(|events| events.alarm == Some(at)) {
            self.events_step(source);
        }
    }

    /// Whether it is from the gateway this daemon has subscribed at is seen by its head.
    pub(super) fn notice_comes(&mut self, head: &[u8]) {
        let Some(process) = &mut self.process else { return };
        let run = process.run;
        let meant =
            process.events.iter_mut().find_map(|(source, events)| events.takes(head).then_some(*source));
        if let Some(source) = meant {
            self.after(Duration::ZERO, Coming::Hint { run, source });
            self.events_step(source);
        }
    }

    fn record(&mut self, lines: &str, flush: bool) {
        let Some(process) = &mut self.process else { return };
        self.disk.set_time(Duration::from_secs(EPOCH) + self.now);
        let engine = &process.engine;
        let kept = process.store.append(lines, flush, &|| engine.snapshot());
        if kept.is_ok() {
            self.watch.voices.are_kept();
        }
        if let Err(why) = &kept {
            self.disk_failed = true;
            let text = format!("the state is not kept: {} (stands: {})", why.why, why.stands);
            self.note(|| text);
        }
    }

    fn name_of(&self, group: usize, entry: usize) -> String {
        let targets = &self.plan.config.targets;
        let found = targets.iter().find(|target| target.group == group && target.entry == entry);
        found.map(|target| target.name.to_string()).expect("a task is some target's")
    }

    fn publish(&mut self, number: u64, group: usize, tasks: Vec<Task>) {
        for task in &tasks {
            let name = self.name_of(group, task.entry);
            let target =
                self.plan.config.targets.iter().find(|target| *target.name == *name).expect("it is there");
            self.watch.voices.judge(self.now, target, &task.addresses);
            self.note(|| format!("{name}: {} is to be sent", task.addresses));
            let entry = self.plan.entries.iter().find(|entry| entry.name == name).expect("it is there");
            self.watch.publishes(self.now, number, entry, task);
        }
        let Some(process) = &mut self.process else { return };
        let same = |older: &&Running| {
            let has = |task: &Task| tasks.iter().any(|newer| newer.entry == task.entry);
            older.group == group && older.tasks.iter().any(has)
        };
        if process.jobs.values().filter(same).any(|older| !older.closed && !older.overtaken) {
            self.watch.broken.get_or_insert("an older job goes on beside a newer address".to_owned());
        }
        // A second job beside one that hangs takes a new updater.
        let work = process.works[group].take().unwrap_or_else(|| Work::new(&self.plan.config.groups[group]));
        let (job, step) = Job::begin(work, tasks.clone());
        process.jobs.insert(number, Running { group, tasks, job, closed: false, overtaken: false });
        self.goes_on(number, step);
        if std::mem::take(&mut self.reloads_wanted) > 0 {
            self.ask_reload();
        }
    }

    /// A newer address is sent beside a job: from now on it asks nobody.
    fn overtake(&mut self, number: u64) {
        let running = self.process.as_mut().and_then(|process| process.jobs.get_mut(&number));
        if let Some(running) = running {
            running.overtaken = true;
            *self.faults.entry("job overtaken").or_default() += 1;
        }
    }

    /// The connection of a job is closed: whoever waits learns nothing, and nothing more
    /// is sent.
    fn close(&mut self, number: u64) {
        let Some(process) = &mut self.process else { return };
        let Some(running) = process.jobs.get_mut(&number) else { return };
        running.closed = true;
        let failure = Failure { why: "the connection was closed".to_owned(), maybe_done: true };
        let (run, answer) = (process.run, Answer::Web(Err(failure)));
        self.closed.insert((run, number), self.now);
        self.after(Duration::from_millis(1), Coming::Answered { run, job: number, answer, session: CLOSED });
    }

    /// By which line the house reaches the internet now: the first that is up.
    fn way(&self) -> Option<u64> {
        let mut up = [Some(&self.line), self.second.as_ref()].into_iter().flatten();
        up.find(|line| line.ipv4.is_some()).map(|line| line.session)
    }

    /// Whether what went out by a line at that time can come back.
    fn is_carried(&self, session: u64) -> bool {
        [Some(&self.line), self.second.as_ref()].into_iter().flatten().any(|line| line.carries(session))
    }

    /// What a job does next.
    fn goes_on(&mut self, number: u64, step: Step) {
        let way = self.way();
        let session = way.unwrap_or_default();
        let Some(process) = &mut self.process else { return };
        let run = process.run;
        let closed = process.jobs.get(&number).is_some_and(|running| running.closed);
        let stopped = process.jobs.get(&number).is_some_and(|running| running.closed || running.overtaken);
        match step {
            Step::Asks(question) => {
                if stopped {
                    let answer = failed(
                        &question,
                        Failure { why: "nothing more may be sent".to_owned(), maybe_done: false },
                    );
                    self.after(
                        Duration::ZERO,
                        Coming::Answered { run, job: number, answer, session: CLOSED },
                    );
                } else if way.is_none() && matches!(*question, Question::Web(_) | Question::Dns(_)) {
                    let why = "no route to the internet".to_owned();
                    let answer = failed(&question, Failure { why, maybe_done: false });
                    let time = if self.chance.one_in(3) {
                        Duration::from_secs(10)
                    } else {
                        Duration::from_millis(3)
                    };
                    self.after(time, Coming::Answered { run, job: number, answer, session: TOLD });
                } else {
                    let mut time = self.chance.millis(2, 40);
                    let fault = if self.calm { 25 } else { self.chance.below(25) };
                    if fault == 0 {
                        *self.faults.entry("request late").or_default() += 1;
                        time = self.chance.time(Duration::from_secs(1), Duration::from_secs(50));
                    } else if fault == 1 {
                        // By a proxy that asks twice, with one answer.
                        *self.faults.entry("request doubled").or_default() += 1;
                        let question = question.clone();
                        self.after(time, Coming::Arrives { run: 0, job: number, question, session });
                    }
                    self.after(time, Coming::Arrives { run, job: number, question, session });
                }
            }
            Step::Ends(work, outcomes, notes) => {
                let Some(Running { group, tasks, job, .. }) = process.jobs.remove(&number) else { return };
                job.ends();
                process.works[group] = Some(work);
                for (_, note) in notes {
                    self.watch.says(&note);
                }
                for task in &tasks {
                    let name = self.name_of(group, task.entry);
                    match outcomes.iter().find(|(entry, _)| *entry == task.entry) {
                        Some((_, outcome)) => {
                            self.note(|| format!("{name}: {outcome:?}"));
                            self.watch.unkept = self.disk_failed;
                            self.watch.ends(self.now, number, &name, task.addresses, outcome, closed);
                        }
                        None => {
                            let text = format!("{name}: its job gave no outcome");
                            self.watch.broken.get_or_insert(text);
                        }
                    }
                }
                self.handle(Event::Finished {
                    job: number,
                    outcomes: outcomes.clone(),
                    took: Duration::ZERO,
                });
                for (entry, outcome) in outcomes.into_iter().filter(|_| !self.disk.is_dead()) {
                    let name = self.name_of(group, entry);
                    self.watch.ended(&name, &outcome);
                }
            }
        }
    }

    /// A request arrives where it goes, also when who sent it is no more.
    pub(super) fn arrives(&mut self, run: u64, job: u64, question: &Question, session: u64) {
        let lost = || Failure { why: "it did not answer in time".to_owned(), maybe_done: true };
        // No system goes on delivering for longer what was closed.
        if self.closed.get(&(run, job)).is_some_and(|at| self.now > *at + ORPHAN) {
            return;
        }
        let far = !matches!(question, Question::Run(..));
        if far && !self.is_carried(session) {
            let answer = failed(question, lost());
            return self.after(TIMEOUT, Coming::Answered { run, job, answer, session: TOLD });
        }
        let host = match question {
            Question::Web(request) => request.url.split('/').nth(2).unwrap_or_default().to_owned(),
            Question::Dns(question) => question.server.as_ref().map(ToString::to_string).unwrap_or_default(),
            Question::Run(plan, _) => plan.program.clone(),
        };
        let clocks = (self.unix(), EPOCH + self.now.as_secs());
        let Some(provider) = self.providers.get_mut(&host) else {
            self.watch.broken.get_or_insert(format!("{host} is asked, which is nobody's provider"));
            return;
        };
        let (chance, mood) = (&mut self.chance, provider.mood);
        let (changes, took, answer) = match question {
            Question::Web(request) => {
                let served = provider.serve(request, chance);
                (served.changes, served.took, Answer::Web(served.reply))
            }
            Question::Dns(question) => {
                let served = name_server::serve(&mut provider.records, mood, question, clocks, chance);
                (served.changes, served.took, Answer::Dns(served.answer))
            }
            Question::Run(plan, limit) => {
                let (took, ended) = provider.run(plan, *limit, chance);
                (Vec::new(), took, Answer::Run(ended))
            }
        };
        for change in changes {
            self.note(|| format!("{}: {} arrives at {host} ({mood:?})", change.name, change.addresses));
            let is_its = |entry: &&Entry| {
                let names = entry.names.or(change.names) == entry.names;
                entry.record == change.name && entry.host == host && names
            };
            self.watch.asked(self.plan.entries.iter().find(is_its), &change);
        }
        let session = if matches!(question, Question::Run(..)) { TOLD } else { session };
        self.after(took, Coming::Answered { run, job, answer, session });
    }

    pub(super) fn answered(&mut self, number: u64, answer: Answer, session: u64) {
        let lost = !matches!(session, TOLD | CLOSED) && !self.is_carried(session);
        let Some(process) = &mut self.process else { return };
        let Some(running) = process.jobs.get(&number).filter(|running| !running.closed || session == CLOSED)
        else {
            return;
        };
        if lost {
            // The flow is forgotten: nothing answers any more.
            *self.faults.entry("answer lost").or_default() += 1;
            let failure = Failure { why: "it did not answer in time".to_owned(), maybe_done: true };
            let (run, answer) = (process.run, instead(&answer, failure));
            return self.after(TIMEOUT, Coming::Answered { run, job: number, answer, session: TOLD });
        }
        let step = running.job.go_on(answer);
        self.goes_on(number, step);
    }
}

/// A failure in the place of an answer.
fn instead(answer: &Answer, failure: Failure) -> Answer {
    match answer {
        Answer::Web(_) => Answer::Web(Err(failure)),
        Answer::Dns(_) => Answer::Dns(Err(failure)),
        Answer::Run(_) => unreachable!("programs need no line"),
    }
}

/// The answer to `question` that is none.
fn failed(question: &Question, failure: Failure) -> Answer {
    match question {
        Question::Web(_) => Answer::Web(Err(failure)),
        Question::Dns(_) => Answer::Dns(Err(failure)),
        Question::Run(..) => unreachable!("programs need no line"),
    }
}
