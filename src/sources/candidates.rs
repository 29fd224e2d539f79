//! Descriptions that may be the gateway's: each is asked as it comes, and the
//! first that is usable ends the search.
//!
//! Descriptions at one address and port are asked one after the other, since
//! many gateways serve one client at a time; those at different ones side by
//! side, so that a mute one holds up nobody.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{Finding, Scope, scope};
use crate::http::lan_url::LanUrl;
use crate::soap::gateway::{GatewayReport, StopAt, Survey, Wanted};
use crate::ssdp::search;
use crate::ssdp::search::{Answers, Search};
use crate::system;
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

/// How often news are looked for.
const NEWS_SLICE: Duration = Duration::from_millis(50);

/// The time for one description with all its services.
const CANDIDATE_TIME: Duration = Duration::from_millis(2500);

type Verdict = (LanUrl, Result<GatewayReport, String>);

/// The candidates of one search.
pub(super) struct Candidates {
    wanted: Wanted,
    deadline: Instant,
    answers: Option<Answers>,
    /// A few: the search passes on no more.
    queues: Vec<(SocketAddr, Sender<LanUrl>)>,
    verdict_sender: Sender<Verdict>,
    verdicts: Receiver<Verdict>,
    asked: Vec<LanUrl>,
    judged: usize,
    best: Option<(LanUrl, GatewayReport)>,
    failure: Option<String>,
}

impl Candidates {
    /// None yet; all is over at the deadline.
    pub(super) fn new(wanted: Wanted, deadline: Instant) -> Self {
        let (verdict_sender, verdicts) = channel();
        Self {
            wanted,
            deadline,
            answers: None,
            queues: Vec::new(),
            verdict_sender,
            verdicts,
            asked: Vec::new(),
            judged: 0,
            best: None,
            failure: None,
        }
    }

    /// Asks this description without waiting for the search.
    pub(super) fn try_first(&mut self, location: LanUrl) {
        self.ask(location);
    }

    /// Searches as well. Only answers of `gateway` count, when it is known.
    pub(super) fn search(&mut self, gateway: Option<IpAddr>) -> Result<(), &'static str> {
        let gateway = match gateway {
            Some(IpAddr::V6(_)) => {
                return Err("a router cannot be searched for by its IPv6 address: \
                     set router_ip to its IPv4 address or to the URL of its description");
            }
            Some(IpAddr::V4(gateway)) => Some(gateway),
            None => None,
        };
        let addresses = system::addresses().unwrap_or_default();
        let search = Search::new(gateway, gateway.is_some(), &addresses);
        self.answers = Some(search::start(search, self.deadline));
        Ok(())
    }

    /// The first usable gateway, or the best there is when the time is up. With
    /// `news`, a gateway may just have started that has missed our questions: the
    /// next search finds it sooner than this one.
    pub(super) fn best(mut self, news: &dyn Fn() -> bool) -> Result<(LanUrl, GatewayReport), String> {
        let started = Instant::now();
        while Instant::now() < self.deadline && !self.is_over() {
            if self.judged < self.asked.len() {
                self.await_verdict();
            } else if started.elapsed() >= ENOUGH && news() {
                break;
            } else {
                let slice = Instant::now().checked_add(NEWS_SLICE).unwrap_or(self.deadline);
                self.await_answer(self.deadline.min(slice));
            }
        }
        let silence = "no router answered the search; is UPnP switched on in it? router_ip may name it";
        self.best.ok_or_else(|| self.failure.unwrap_or_else(|| silence.to_owned()))
    }

    fn is_over(&self) -> bool {
        let usable = self.best.as_ref().is_some_and(|(_, found)| is_usable(found));
        usable || (self.judged == self.asked.len() && self.answers.is_none())
    }

    fn await_verdict(&mut self) {
        if let Ok(verdict) = self.verdicts.recv_timeout(SLICE) {
            self.judge(verdict);
        }
        self.await_answer(Instant::now());
    }

    fn await_answer(&mut self, until: Instant) {
        match self.answers.as_mut().map(|answers| answers.next(until)) {
            Some(Some(answer)) => self.ask(answer.location),
            // It ended before its time: nobody is left to answer.
            Some(None) if Instant::now() < until => self.answers = None,
            Some(None) | None => {}
        }
    }

    fn ask(&mut self, location: LanUrl) {
        if self.asked.contains(&location) {
            return;
        }
        self.asked.push(location.clone());
        let socket = location.socket();
        let queue = self.queues.iter().find(|(known, _)| *known == socket).map(|(_, queue)| queue.clone());
        let queue = queue.unwrap_or_else(|| {
            let queue = worker(self.wanted, self.deadline, self.verdict_sender.clone());
            self.queues.push((socket, queue.clone()));
            queue
        });
        // A worker that could not be started leaves its candidates unjudged.
        let _ = queue.send(location);
    }

    fn judge(&mut self, (location, result): Verdict) {
        self.judged = self.judged.saturating_add(1);
        match result {
            Ok(found) if found.chosen.is_some() => {
                let better = self.best.as_ref().is_none_or(|(_, best)| rank(&found) > rank(best));
                if self.best.is_none() {
                    let grace = Instant::now().checked_add(GRACE).unwrap_or(self.deadline);
                    self.deadline = self.deadline.min(grace);
                }
                if better {
                    self.best = Some((location, found));
                }
            }
            Ok(_) => self.failure = Some(format!("{location} describes no internet connection")),
            Err(why) => self.failure = Some(format!("{location}: {why}")),
        }
    }
}

/// Asks the descriptions at one address and port, in the order they come.
fn worker(wanted: Wanted, deadline: Instant, verdicts: Sender<Verdict>) -> Sender<LanUrl> {
    let (queue, locations) = channel::<LanUrl>();
    let work = move || {
        while let Ok(location) = locations.recv() {
            let until = Instant::now().checked_add(CANDIDATE_TIME).unwrap_or(deadline).min(deadline);
            let survey = Survey::of_description(location.clone(), wanted, StopAt::UntilGlobal);
            let surveyed = lan::run(survey, until, CANDIDATE_TIME);
            let result = surveyed.result.map_err(|error| error.to_string());
            if verdicts.send((location, result)).is_err() {
                return;
            }
        }
    };
    let _ = thread::Builder::new().name("candidate".to_owned()).stack_size(STACK).spawn(work);
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
