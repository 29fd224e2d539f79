//! Web services that take addresses: dyndns2 and requests of the user's own making.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddns_update_daemon::address::{Addresses, Prefix};
use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::transport::provider::TIMEOUT;
use ddns_update_daemon::updaters::run::{Ended, Plan};
use ddns_update_daemon::updaters::{Failure, Reply, Request};

use crate::chance::Chance;
use crate::cloudflare;
use crate::secrets::{SPELLINGS, spelled};

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    Well,
    Slow,
    /// A status without a wish.
    Status(u16),
    /// A status with a wish, in seconds.
    Wishing(u16, u64),
    /// A word of dyndns2 that passes.
    Word(&'static str),
    /// A word of dyndns2 that needs a person.
    Refusing(&'static str),
    /// A page that tells of a failure, in whatever form.
    Nonsense(&'static str),
    /// Does what is asked, and its answer says nothing.
    Mumbling(&'static str),
    /// Does what is asked, and nobody learns of it.
    TakesSilently,
    /// Does nothing and says nothing.
    Silent,
    /// Nobody listens.
    Closed,
}

const NONSENSE: [&str; 5] = [
    "<html><body>Welcome</body></html>",
    "{\"error\":\"maintenance\"}",
    "ERROR: try again",
    "<?xml version=\"1.0\"?><interface-response><ErrCount>1</ErrCount></interface-response>",
    "KO",
];

impl Mood {
    pub(crate) fn bad(chance: &mut Chance) -> (&'static str, Self) {
        match chance.below(10) {
            0 => ("provider slow", Self::Slow),
            1 => ("provider failing", Self::Status(chance.pick(&[500, 502, 503, 504, 404, 400]))),
            2 => (
                "provider wishing",
                Self::Wishing(chance.pick(&[429, 503]), chance.pick(&[0, 1, 2, 60, 3600, 90_000])),
            ),
            3 => ("provider's passing word", Self::Word(chance.pick(&["911", "dnserr", "w30m"]))),
            4 => {
                ("provider banning", Self::Refusing(chance.pick(&["abuse", "badauth", "nohost", "badagent"])))
            }
            5 if chance.one_in(3) => {
                ("provider mumbles", Self::Mumbling(chance.pick(&["", "\u{0}\u{1}\u{2}", "1"])))
            }
            5 => ("provider's nonsense", Self::Nonsense(chance.pick(&NONSENSE))),
            6 => ("provider takes and is silent", Self::TakesSilently),
            7 => ("provider silent", Self::Silent),
            8 => ("web filter", Self::Status(chance.pick(&[401, 403]))),
            _ => ("provider closed", Self::Closed),
        }
    }
}

/// What a name holds, of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// By the provider's own notation.
    pub(crate) ipv6_prefix: Option<Prefix>,
}

/// What a request asks to be changed: families that it does not name stay.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) addresses: Addresses,
    pub(crate) names: Needs,
}

impl Held {
    pub(crate) fn take(&mut self, change: &Change) {
        let Change { addresses, names, .. } = change;
        self.ipv4 = if names.ipv4 { addresses.ipv4 } else { self.ipv4 };
        self.ipv6 = if names.ipv6 { addresses.ipv6 } else { self.ipv6 };
        self.ipv6_prefix = if names.ipv6_prefix { addresses.ipv6_prefix } else { self.ipv6_prefix };
    }
}

pub(crate) struct Provider {
    pub(crate) mood: Mood,
    pub(crate) records: BTreeMap<String, Held>,
    /// One of these has to stand in a request.
    pub(crate) secrets: BTreeSet<String>,
    /// When its mood passes.
    pub(crate) until: Duration,
}

/// What became of a request.
pub(crate) struct Served {
    pub(crate) changes: Vec<Change>,
    pub(crate) took: Duration,
    pub(crate) reply: Result<Reply, Failure>,
}

impl Provider {
    pub(crate) fn new() -> Self {
        Self { mood: Mood::Well, records: BTreeMap::new(), secrets: BTreeSet::new(), until: Duration::ZERO }
    }

    pub(crate) fn serve(&mut self, request: &Request, chance: &mut Chance) -> Served {
        let took = match self.mood {
            Mood::Slow => chance.time(Duration::from_secs(1), Duration::from_secs(28)),
            Mood::TakesSilently | Mood::Silent => TIMEOUT,
            _ => chance.millis(20, 400),
        };
        let does = matches!(self.mood, Mood::Well | Mood::Slow | Mood::TakesSilently | Mood::Mumbling(_));
        let does = does && self.may(request);
        let is_cloudflare = request.url.contains("/client/v4/");
        let (reply, changes) = if is_cloudflare {
            let done = cloudflare::serve(&mut self.records, request, does);
            (done.reply, done.changes)
        } else {
            let asked = read(request);
            let word = match &asked {
                Some(change) if does => self.take(change),
                Some(_) if !self.may(request) => "badauth".to_owned(),
                Some(_) => String::new(),
                None => "notfqdn".to_owned(),
            };
            (plain(200, word), asked.into_iter().collect())
        };
        // Some show what was asked for, secrets and all, in whatever spelling.
        let echo = spelled(self.secret_in(request).unwrap_or_default(), chance.below(SPELLINGS));
        let reply = match self.mood {
            Mood::Well | Mood::Slow => Ok(reply),
            Mood::Mumbling(_) if is_cloudflare => Ok(reply),
            Mood::Refusing(word) if is_cloudflare && word == "abuse" => {
                Ok(cloudflare::refusal(429, 971, &format!("Please wait, {echo}")))
            }
            Mood::Refusing(_) if is_cloudflare => {
                Ok(cloudflare::refusal(403, 9109, &format!("Invalid access token {echo}")))
            }
            Mood::Word(_) if is_cloudflare => Ok(cloudflare::refusal(400, 10001, &format!("{echo}: error"))),
            Mood::Status(status) => {
                Ok(plain(status, format!("no {echo}: {} {:?}", request.url, request.headers)))
            }
            Mood::Wishing(status, wish) => Ok(Reply {
                retry_after: Some(Duration::from_secs(wish)),
                ..plain(status, "later".to_owned())
            }),
            Mood::Word(word) | Mood::Refusing(word) => Ok(plain(200, word.to_owned())),
            Mood::Nonsense(body) => Ok(plain(200, body.replace("try again", &echo))),
            Mood::Mumbling(body) => Ok(plain(200, body.to_owned())),
            Mood::TakesSilently | Mood::Silent => {
                Err(Failure { why: "it did not answer in time".to_owned(), maybe_done: true })
            }
            Mood::Closed => Err(Failure { why: "connection refused".to_owned(), maybe_done: false }),
        };
        Served { changes, took, reply }
    }

    /// A program, which keeps the address in a place of its own.
    pub(crate) fn run(&mut self, plan: &Plan, limit: Duration, chance: &mut Chance) -> (Duration, Ended) {
        let ended = match self.mood {
            Mood::Well | Mood::Slow | Mood::Mumbling(_) => Ended::Exited(0),
            Mood::TakesSilently | Mood::Silent => Ended::TimedOut(limit),
            Mood::Closed => Ended::NotFound,
            Mood::Refusing(_) => Ended::NotExecutable,
            Mood::Word(_) => Ended::Signalled(9),
            _ => Ended::Exited(1),
        };
        if matches!(ended, Ended::Exited(0)) || self.mood == Mood::TakesSilently {
            let parameters = plan.args[1].split('&').filter_map(|text| text.split_once('='));
            let change = changed(plan.args[0].clone(), parameters);
            self.records.entry(change.name.clone()).or_default().take(&change);
        }
        (if ended == Ended::TimedOut(limit) { limit } else { chance.millis(1, 3000) }, ended)
    }

    fn may(&self, request: &Request) -> bool {
        self.secret_in(request).is_some()
    }

    /// The secret of its own that a request shows.
    fn secret_in(&self, request: &Request) -> Option<&str> {
        let plain = |value: &String| match value.strip_prefix("Basic ") {
            Some(coded) => String::from_utf8(STANDARD.decode(coded).unwrap_or_default()).unwrap_or_default(),
            None => value.clone(),
        };
        let mut texts: Vec<String> = request.headers.iter().map(|(_, value)| plain(value)).collect();
        texts.push(request.url.clone());
        let mut secrets = self.secrets.iter().map(String::as_str);
        secrets.find(|secret| texts.iter().any(|text| text.contains(secret)))
    }

    fn take(&mut self, change: &Change) -> String {
        let held = self.records.entry(change.name.clone()).or_default();
        let before = *held;
        held.take(change);
        let word = if *held == before { "nochg" } else { "good" };
        change.addresses.texts().next().map_or_else(|| word.to_owned(), |address| format!("{word} {address}"))
    }
}

fn plain(status: u16, body: String) -> Reply {
    Reply { status, body, ..Reply::default() }
}

/// What a request asks for.
fn read(request: &Request) -> Option<Change> {
    let (_, query) = request.url.split_once('?')?;
    let parameters = || query.split('&').filter_map(|parameter| parameter.split_once('='));
    let (_, name) = parameters().find(|(key, _)| matches!(*key, "host" | "hostname"))?;
    Some(changed(name.to_owned(), parameters()))
}

fn changed<'a>(name: String, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Change {
    let (mut addresses, mut names) = (Addresses::default(), Needs::default());
    for (key, value) in parameters {
        let value = value.replace("%3A", ":").replace("%2F", "/");
        match key {
            "ip" => (names.ipv4, addresses.ipv4) = (true, value.parse().ok()),
            "ip6" => (names.ipv6, addresses.ipv6) = (true, value.parse().ok()),
            "prefix" => (names.ipv6_prefix, addresses.ipv6_prefix) = (true, prefix(&value)),
            "myip" => {
                for value in value.split(',') {
                    addresses.ipv4 = value.parse().ok().or(addresses.ipv4);
                    addresses.ipv6 = value.parse().ok().or(addresses.ipv6);
                }
                (names.ipv4, names.ipv6) = (addresses.ipv4.is_some(), addresses.ipv6.is_some());
            }
            _ => {}
        }
    }
    Change { name, addresses, names }
}

fn prefix(text: &str) -> Option<Prefix> {
    let (address, length) = text.split_once('/')?;
    Prefix::new(address.parse().ok()?, length.parse().ok()?)
}
