//! Descriptions that may be the gateway's: each is asked as it comes, and the
//! first that is usable ends the search.
//!
//! Descriptions at one address and port are asked one after the other, since many
//! gateways serve one client at a time; those at different ones side by side, so
//! that a mute one holds up nobody. An answer to the unicast search does not wait
//! behind those to the multicast search, which anyone can forge. What has not been
//! answered when a poll ends is waited for by the next one, so that a slow gateway
//! is not asked twice at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::address::{Finding, Scope, scope};
use crate::http::lan_url::LanUrl;
use crate::http::request::Request;
use crate::soap::gateway::{self, GatewayReport, StopAt, Wanted};
use crate::ssdp::message::Delivery;
use crate::ssdp::search;
use crate::ssdp::search::{Answers, Search};
use crate::system::threads;
use crate::system::{self, InterfaceAddress};
use crate::transport::lan;

/// Reading a description and asking a few services needs little.
const STACK: usize = 128 * 1024;

/// How long to wait for a better answer once a gateway has told something that
/// cannot be published: another connection or another device may tell more.
const GRACE: Duration = Duration::from_millis(700);

/// How often answers to the search are looked at while a description is read.
const SLICE: Duration = Duration::from_millis(20);

/// How long a search lasts at least when there are news: whoever is there has
/// answered by then.
const ENOUGH: Duration = Duration::from_millis(500);

/// How long the gateway that is known is asked before others are searched for: a search
/// wakes all devices of the network, and slows down the one that is about to answer.
const HEAD_START: Duration = Duration::from_millis(150);

/// How often news are looked for.
const NEWS_SLICE: Duration = Duration::from_millis(50);

/// The time for one description with all its services: five answers of a gateway
/// that takes 3 s for each.
pub(super) const CANDIDATE_TIME: Duration = Duration::from_secs(15);

/// The time for one answer: a third more than a slow gateway takes. Less than a poll
/// has, so that the poll tells it, and one that has come to again is asked anew soon.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(4);

/// How long candidates may wait for their answers before the search begins anew: two
/// slow ones at one place.
const PENDING_TIME: Duration = Duration::from_secs(30);

/// The most places remembered that failed.
const MAX_FAILED: usize = 64;

/// An answer that takes longer is slow; a tenth of this is usual.
const SLOW: Duration = Duration::from_secs(1);

/// A usable gateway: its description, what it told, and whether it was slow.
pub(super) type Found = (LanUrl, GatewayReport, bool);

type Verdict = (LanUrl, Result<GatewayReport, String>, bool);

/// The candidates of one search, or of some that follow each other.
pub(super) struct Candidates {
    started: Instant,
    wanted: Wanted,
    line: Option<String>,
    answers: Option<Answers>,
    /// A few: the search passes on no more.
    queues: Vec<((SocketAddr, Delivery), Sender<LanUrl>)>,
    sender: Sender<Verdict>,
    verdicts: Receiver<Verdict>,
    /// Those that have not been judged.
    asked: Vec<LanUrl>,
    failed: Vec<LanUrl>,
    best: Option<Found>,
    failure: Option<String>,
}

impl Candidates {
    /// None yet. What `failed` in the search before comes last.
    pub(super) fn new(wanted: Wanted, line: Option<String>, failed: Vec<LanUrl>) -> Self {
        let (sender, verdicts) = channel();
        Self {
            started: Instant::now(),
            wanted,
            line,
            answers: None,
            queues: Vec::new(),
            sender,
            verdicts,
            asked: Vec::new(),
            failed,
            best: None,
            failure: None,
        }
    }

    /// Whether somebody has been asked and has time left to answer, so that the next
    /// poll goes on.
    pub(super) fn is_worth_waiting(&self) -> bool {
        self.is_waiting() && self.started.elapsed() < PENDING_TIME
    }

    fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The places of no use, for [`Self::new`].
    pub(super) fn into_failed(mut self) -> Vec<LanUrl> {
        self.failed.append(&mut self.asked);
        self.failed
    }

    /// Asks this description without waiting for the search.
    pub(super) fn try_first(&mut self, location: LanUrl) {
        self.ask(location, Delivery::Unicast);
    }

    /// Whether one that is asked already turns out to be usable, so that nobody has to
    /// be searched for.
    pub(super) fn have_settled(&mut self) -> bool {
        let until = Instant::now().checked_add(HEAD_START);
        while self.is_waiting()
            && !self.is_over()
            && let Some(left) = until.map(|until| until.saturating_duration_since(Instant::now()))
            && let Ok((location, result, slow)) = self.verdicts.recv_timeout(left)
        {
            self.judge(location, result, slow);
        }
        self.best.as_ref().is_some_and(|(_, found, _)| is_usable(found))
    }

    /// Searches as well, until the deadline. Only answers of these `gateways` count,
    /// where any is known.
    pub(super) fn search(&mut self, gateways: &[IpAddr], deadline: Instant) -> Result<(), &'static str> {
        let addresses = system::addresses().unwrap_or_default();
        let search = search_for(gateways, &addresses, system::default_source())?;
        let mut answers = search::start(search, deadline);
        answers.avoid(&std::mem::take(&mut self.failed));
        self.answers = Some(answers);
        Ok(())
    }

    /// The first usable gateway, or the best there is at the deadline. With `news`,
    /// a gateway may just have started that has missed our questions: the next
    /// search finds it sooner than this one.
    pub(super) fn best(&mut self, mut deadline: Instant, news: &dyn Fn() -> bool) -> Result<Found, String> {
        let started = Instant::now();
        let mut has_grace = false;
        self.failure = None;
        while Instant::now() < deadline && !self.is_over() {
            if self.is_waiting() {
                self.await_verdict();
            } else if started.elapsed() >= ENOUGH && news() {
                break;
            } else {
                let slice = Instant::now().checked_add(NEWS_SLICE).unwrap_or(deadline);
                self.await_answer(deadline.min(slice));
            }
            if self.best.is_some() && !has_grace {
                has_grace = true;
                deadline = deadline.min(Instant::now().checked_add(GRACE).unwrap_or(deadline));
            }
        }
        let strangers = self.answers.take().map(|answers| answers.strangers().to_vec()).unwrap_or_default();
        self.best.take().ok_or_else(|| self.explain(&strangers))
    }

    fn explain(&self, strangers: &[IpAddr]) -> String {
        let mut why = match (self.asked.first(), &self.failure) {
            (_, Some(why)) => why.clone(),
            (Some(location), None) => format!("{location}: it has not answered yet"),
            (None, None) => {
                "no router answered the search; is UPnP switched on in it? router_ip may name it".to_owned()
            }
        };
        for host in strangers {
            let host = host.to_string();
            why.extend(["; ", &host, " answered, but is not the router that is believed: if it is yours, "]);
            why.extend(["write router_ip = \"", &host, "\""]);
        }
        why
    }

    fn is_over(&self) -> bool {
        let usable = self.best.as_ref().is_some_and(|(_, found, _)| is_usable(found));
        usable || (!self.is_waiting() && self.answers.is_none())
    }

    fn await_verdict(&mut self) {
        if let Ok((location, result, slow)) = self.verdicts.recv_timeout(SLICE) {
            self.judge(location, result, slow);
        }
        self.await_answer(Instant::now());
    }

    fn await_answer(&mut self, until: Instant) {
        match self.answers.as_mut().map(|answers| answers.next(until)) {
            Some(Some((location, way))) => self.ask(location, way),
            // It ended before its time: nobody is left to answer.
            Some(None) if Instant::now() < until => self.answers = None,
            Some(None) | None => {}
        }
    }

    fn ask(&mut self, location: LanUrl, way: Delivery) {
        if self.asked.contains(&location) {
            return;
        }
        self.asked.push(location.clone());
        let place = (location.socket(), way);
        let queue = self.queues.iter().find(|(known, _)| *known == place).map(|(_, queue)| queue.clone());
        let queue = queue.unwrap_or_else(|| {
            let queue = worker(self.wanted, self.line.clone(), self.sender.clone());
            self.queues.push((place, queue.clone()));
            queue
        });
        // A worker that could not be started leaves its candidates unjudged.
        let _ = queue.send(location);
    }

    fn judge(&mut self, location: LanUrl, result: Result<GatewayReport, String>, slow: bool) {
        self.asked.retain(|asked| *asked != location);
        let asked = &self.asked;
        self.queues.retain(|((place, _), _)| asked.iter().any(|location| location.socket() == *place));
        let why = match result {
            Ok(found) if found.chosen.is_some() => {
                if self.best.as_ref().is_none_or(|(_, best, _)| rank(&found) > rank(best)) {
                    self.best = Some((location, found, slow));
                }
                return;
            }
            // It has services, and none of them answers; all for one reason, mostly.
            Ok(found) => match found.observation.ipv4 {
                Finding::Unknown(why) => why,
                Finding::Known(_) | Finding::Absent(_) => "it describes no internet connection".to_owned(),
            },
            Err(why) => why,
        };
        self.failure.get_or_insert_with(|| format!("{location}: {why}"));
        if let Some(answers) = &mut self.answers {
            answers.failed(&location);
        }
        if self.failed.len() < MAX_FAILED {
            self.failed.push(location);
        }
    }
}

/// Only answers of these `gateways` count, where any is known.
fn search_for(
    gateways: &[IpAddr],
    addresses: &[InterfaceAddress],
    source: Option<IpAddr>,
) -> Result<Search, &'static str> {
    let is_known = !gateways.is_empty();
    if is_known && gateways.iter().all(IpAddr::is_ipv6) {
        return Err("a router cannot be searched for by its IPv6 address: \
             set router_ip to its IPv4 address or to the URL of its description");
    }
    Ok(Search::new(gateways, is_known, addresses, source))
}

/// Silence is a failure of its own.
fn is_slow(answered: bool, took: Duration) -> bool {
    answered && took > SLOW
}

/// Asks the descriptions at one address and port, in the order they come.
fn worker(wanted: Wanted, line: Option<String>, verdicts: Sender<Verdict>) -> Sender<LanUrl> {
    let (queue, locations) = channel::<LanUrl>();
    let work = move || {
        while let Ok(location) = locations.recv() {
            let started = Instant::now();
            let deadline = started.checked_add(CANDIDATE_TIME).unwrap_or(started);
            let (mut ask, mut slow) = (lan::asker(deadline, ANSWER_TIME), false);
            let mut ask = |request: &Request| {
                let begun = Instant::now();
                let answer = ask(request);
                slow |= is_slow(answer.is_ok(), begun.elapsed());
                answer
            };
            let found = gateway::survey(&location, line.as_deref(), wanted, StopAt::UntilGlobal, &mut ask);
            let result = found.map_err(|error| error.to_string());
            if verdicts.send((location, result, slow)).is_err() {
                return;
            }
        }
    };
    let _ = threads::start("candidate", STACK, work);
    queue
}

/// Nothing better can come: it told an address that can be published.
fn is_usable(found: &GatewayReport) -> bool {
    rank(found) == 3
}

fn rank(found: &GatewayReport) -> u8 {
    match found.observation.ipv4 {
        Finding::Known(address) if scope(address.into()) == Scope::Global => 3,
        Finding::Known(_) => 2,
        Finding::Absent(_) => 1,
        Finding::Unknown(_) => 0,
    }
}

#[cfg(test)]
mod tests;
