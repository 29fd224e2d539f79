//! The addresses as a service on the internet sees them, asked over HTTP once
//! for each wanted family.
//!
//! Only where the user lists it. It sees the address that a connection of this
//! host comes from: behind carrier-grade NAT nobody can be reached there, and
//! with privacy extensions its IPv6 address lasts a day. The engine asks the
//! router about the first, where one is listed.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{Family, Finding, Observation};
use crate::backoff::Random;
use crate::config::Config;
use crate::sources::echo_answer;
use crate::sources::echo_answer::MAX_ANSWER;
use crate::sources::echo_rate::{EchoRateLimit, JITTER, Turn};
use crate::transport::provider::HttpClient;

/// The time for one answer. A daemon that starts with the system may meet a name
/// server that is still waking up.
const TIME: Duration = Duration::from_secs(10);

/// Enough for a TLS exchange.
const STACK: usize = 256 * 1024;

/// Families that somebody wants to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Families {
    /// An IPv4 address.
    pub ipv4: bool,
    /// An IPv6 address.
    pub ipv6: bool,
}

/// An echo service.
pub struct Echo {
    service: Arc<Service>,
    start: Instant,
    random: Random,
    limit: EchoRateLimit,
    last: Observation,
}

/// What it takes to ask.
struct Service {
    url: String,
    families: Families,
    web: Result<HttpClient, String>,
}

/// What an ask over one family came to.
struct Heard<A> {
    finding: Finding<A>,
    reached: bool,
    wish: Option<Duration>,
}

impl Echo {
    /// The service at `url`, which is asked for these families.
    #[must_use]
    pub fn new(url: &str, families: Families, config: &Config) -> Self {
        let web = HttpClient::new(&config.tls);
        let web = web.map(|web| web.hiding(Arc::clone(&config.secrets))).map_err(|error| error.to_string());
        Self {
            service: Arc::new(Service { url: url.to_owned(), families, web }),
            start: Instant::now(),
            random: Random::new(RandomState::new().hash_one(url)),
            limit: EchoRateLimit::default(),
            last: Observation::unknown("not asked"),
        }
    }

    /// Asks, when it is time to ask again; otherwise the last answer stands.
    pub fn poll(&mut self) -> Observation {
        let most = u64::try_from(JITTER.as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(self.random.next_u64().checked_rem(most).unwrap_or(0));
        match self.limit.turn(self.start.elapsed(), jitter) {
            Turn::Ask(wait) => {
                thread::sleep(wait);
                self.ask();
            }
            Turn::Repeat => {}
            Turn::Hold => return Observation::unknown("it asked us to wait (Retry-After)"),
        }
        self.last.clone()
    }

    fn ask(&mut self) {
        let at = self.start.elapsed();
        // Side by side: a broken IPv6 must not hold up an IPv4 address.
        let service = Arc::clone(&self.service);
        let work = move || service.ask_ipv6();
        let thread = thread::Builder::new().name("echo".to_owned()).stack_size(STACK).spawn(work);
        let ipv4 = self.service.ask_ipv4();
        let ipv6 = thread.ok().and_then(|thread| thread.join().ok());
        let ipv6 = ipv6.unwrap_or_else(|| unheard("no thread could be started"));
        if ipv4.reached || ipv6.reached {
            self.limit.reached(at, ipv4.wish.max(ipv6.wish));
        } else {
            self.limit.missed(at);
        }
        let prefix = Finding::Unknown("an echo service tells no IPv6 prefix".to_owned());
        let (ipv4, ipv6, ipv6_prefix) = (ipv4.finding, ipv6.finding, prefix);
        self.last = Observation { ipv4, ipv6, ipv6_prefix, lan: None, offers_ipv6: None };
    }
}

impl Service {
    fn ask_ipv4(&self) -> Heard<Ipv4Addr> {
        if !self.families.ipv4 {
            return unheard("not asked");
        }
        self.ask_over(Family::V4, |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    fn ask_ipv6(&self) -> Heard<Ipv6Addr> {
        if !self.families.ipv6 {
            return unheard("not asked");
        }
        self.ask_over(Family::V6, |address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        })
    }

    fn ask_over<A>(&self, family: Family, of_family: fn(IpAddr) -> Option<A>) -> Heard<A> {
        let web = match &self.web {
            Ok(web) => web,
            Err(why) => return unheard(why),
        };
        let page = match web.read(&self.url, family, MAX_ANSWER.saturating_add(1), TIME) {
            Ok(page) => page,
            Err(failure) => {
                let finding = Finding::Unknown(failure.why);
                return Heard { finding, reached: failure.maybe_done, wish: None };
            }
        };
        let finding = match page.status {
            200 => match echo_answer::read(&page.body, path(&self.url), family).map(of_family) {
                Ok(Some(address)) => Finding::Known(address),
                Ok(None) => Finding::Unknown("its answer is of the other family".to_owned()),
                Err(error) => Finding::Unknown(error.to_string()),
            },
            status @ 300..400 => Finding::Unknown(format!(
                "it {} (status {status}), where we do not go: list the URL that answers",
                page.redirects()
            )),
            status => Finding::Unknown(format!("it answered with status {status}")),
        };
        Heard { finding, reached: true, wish: page.retry_after }
    }
}

fn unheard<A>(why: &str) -> Heard<A> {
    Heard { finding: Finding::Unknown(why.to_owned()), reached: false, wish: None }
}

/// The path of a URL that has been checked.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}
