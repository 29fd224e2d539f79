//! What an answer means: the return codes of dyndns2
//! (`help.dyn.com/remote-access-api/return-codes`), and a preset's own rules.
//!
//! Words are compared whole: "good" in an HTML page is no success. What is not
//! known is a failure.

use std::time::Duration;

use super::request::Values;
use crate::address::Addresses;
use crate::config::Dyndns;
use crate::config::presets::Preset;
use crate::quote;
use crate::updaters::body::{sentence, tells_failure};
use crate::updaters::url::wait;
use crate::updaters::{Failure, Outcome, Reply, or_person};

/// After 429 without `Retry-After`.
const LIMITED: Duration = Duration::from_secs(5 * 60);
/// Lines of an answer that are looked at; the longest list of names is 20.
const MAX_LINES: usize = 32;

/// Whom an answer speaks of.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Of each name in the request, in its order.
    Names(Vec<Outcome>),
    /// Of the account: it holds for whatever would be sent next, too.
    Account(Outcome),
    /// There are too many names in the request.
    OneByOne,
}

/// One return code.
struct Code {
    outcome: Outcome,
    account: bool,
    too_many: bool,
}

/// What was sent, for the judgement of the answer.
pub(super) struct Sent<'a> {
    pub(super) config: &'a Dyndns,
    pub(super) hosts: &'a [&'a str],
    pub(super) addresses: &'a Addresses,
}

impl Sent<'_> {
    pub(super) fn judge(&self, reply: Result<Reply, Failure>) -> Verdict {
        let reply = match reply {
            Ok(reply) => reply,
            Err(Failure { why, maybe_done: false }) => {
                return Verdict::Account(Outcome::Retry { why, after: None, reached: false });
            }
            // The provider may have counted it.
            Err(Failure { why, maybe_done: true }) => {
                return Verdict::Account(retry(format!("could not confirm: {why}"), None));
            }
        };
        let said = format!("status {}, {}", reply.status, self.quote(&reply, &sentence(&reply.body)));
        if reply.status == 429 {
            let after = Some(reply.retry_after.unwrap_or(LIMITED));
            return Verdict::Account(retry(format!("the service asks for fewer requests ({said})"), after));
        }
        self.by_rule(&reply, &said)
            .or_else(|| self.by_code(&reply, &said))
            .unwrap_or_else(|| self.by_status(&reply, &said))
    }

    /// What the preset's own rules say.
    fn by_rule(&self, reply: &Reply, said: &str) -> Option<Verdict> {
        let answers = &self.preset().answers;
        let matches = |rules: &[String]| rules.iter().any(|rule| self.matches(rule, &reply.body));
        let outcome = if matches(&answers.stop) || answers.nohost == Some(reply.status) {
            blocked(format!("the service refused the name or the credentials ({said}); correct them"))
        } else if matches(&answers.later) {
            let pause = self.preset().pause;
            let after = if pause.is_zero() { self.preset().fault } else { pause };
            let why = format!("the service refused the update ({said}); check the name and the credentials");
            return Some(Verdict::Account(retry(why, Some(after))));
        } else if is_success(reply) && matches(&answers.same) {
            Outcome::Published { changed: false }
        } else if is_success(reply) && matches(&answers.good) {
            Outcome::Published { changed: true }
        } else {
            return None;
        };
        Some(Verdict::Names(self.hosts.iter().map(|_| outcome.clone()).collect()))
    }

    fn matches(&self, rule: &str, body: &str) -> bool {
        let values = Values { config: self.config, hosts: self.hosts, addresses: self.addresses };
        let Some(rule) = values.fill(rule, str::to_owned) else { return false };
        let body = body.trim_start();
        let line = body.lines().next().unwrap_or_default().trim_end();
        match (rule.strip_prefix('*'), rule.strip_suffix('*')) {
            (Some(rest), Some(_)) => contains(body, rest.trim_end_matches('*')),
            (None, Some(start)) => body.starts_with(start),
            _ if rule.contains(' ') => line == rule,
            _ => line.split_ascii_whitespace().next() == Some(rule.as_str()),
        }
    }

    /// What dyndns2's codes say: a line for each name, or one for the account;
    /// some servers give one name a line for each address.
    fn by_code(&self, reply: &Reply, said: &str) -> Option<Verdict> {
        let lines = reply.body.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_LINES);
        let codes: Vec<Option<Code>> = lines.map(|line| self.code(line, reply, said)).collect();
        if codes.first()?.is_none() {
            return None;
        }
        if codes.iter().flatten().any(|code| code.too_many) && self.hosts.len() > 1 {
            return Some(Verdict::OneByOne);
        }
        if let Some(code) = codes.iter().flatten().find(|code| code.account) {
            return Some(Verdict::Account(code.outcome.clone()));
        }
        let first = codes.first()?.as_ref()?.outcome.clone();
        let codes: Option<Vec<Outcome>> = codes.into_iter().map(|code| Some(code?.outcome)).collect();
        let Some(codes) = codes else {
            // Where any answer is a success, a known failure with words behind it is none.
            let failed = self.preset().answers.any && !matches!(first, Outcome::Published { .. });
            return failed.then(|| Verdict::Names(vec![first; self.hosts.len()]));
        };
        if codes.len() == self.hosts.len() {
            return Some(Verdict::Names(codes));
        }
        let all = codes.into_iter().reduce(worse)?;
        let failed = !matches!(all, Outcome::Published { .. });
        if self.hosts.len() == 1 || failed {
            return Some(Verdict::Names(self.hosts.iter().map(|_| all.clone()).collect()));
        }
        None
    }

    /// `None`: this line is no code.
    fn code(&self, line: &str, reply: &Reply, said: &str) -> Option<Code> {
        let mut words = line.split_ascii_whitespace();
        let word = words.next()?;
        let own = !self.preset().answers.good.is_empty();
        let outcome = match word {
            // Never what was sent: it cannot be published.
            "good" if words.next() == Some("127.0.0.1") => blocked(format!(
                "the service ignored the request, as it does with clients that break its rules ({said}); ask it why"
            )),
            "good" if is_success(reply) && !own => Outcome::Published { changed: true },
            "nochg" if is_success(reply) && !own => Outcome::Published { changed: false },
            "dnserr" => {
                retry(format!("the service has a fault in its DNS ({said})"), Some(self.preset().fault))
            }
            "911" | "servererror" => retry(
                format!("the service has a fault or is being maintained ({said})"),
                Some(self.preset().fault),
            ),
            word => match (wait(word), refusal(word)) {
                (Some(time), _) => retry(format!("the service asks us to wait ({said})"), Some(time)),
                (None, refusal) => {
                    let (what, todo) = refusal?;
                    blocked(format!("{what} ({said}); {todo}"))
                }
            },
        };
        let whole = matches!(word, "badauth" | "badagent" | "badsys") && !self.has_users_of_names();
        let account = whole || matches!(outcome, Outcome::Retry { .. });
        Some(Code { outcome, account, too_many: word == "numhost" })
    }

    fn by_status(&self, reply: &Reply, said: &str) -> Verdict {
        let answers = &self.preset().answers;
        let empty = reply.body.trim().is_empty();
        let any = answers.any && !tells_failure(&reply.body, self.addresses);
        if is_success(reply) && (any || (answers.empty && empty)) {
            return Verdict::Names(self.hosts.iter().map(|_| Outcome::Published { changed: true }).collect());
        }
        let outcome = match reply.status {
            200..=299 => retry(format!("an answer that is not known ({said})"), reply.retry_after),
            // Who means it says badauth.
            401 | 403 => Outcome::Refused {
                why: format!(
                    "the request was refused ({said}): check the credentials; a web filter, a login page or a proxy in \
                     between says this, too"
                ),
                after: reply.retry_after,
            },
            300..=399 => or_person(
                format!("the service {}; this is not followed ({said})", reply.redirects()),
                reply.retry_after,
            ),
            400..=499 => or_person(
                format!("the service refused the request ({said}); check the section"),
                reply.retry_after,
            ),
            _ => retry(format!("the service has a fault ({said})"), reply.retry_after),
        };
        let names = matches!(reply.status, 401 | 403) && self.has_users_of_names();
        if names { Verdict::Names(vec![outcome; self.hosts.len()]) } else { Verdict::Account(outcome) }
    }

    fn preset(&self) -> &Preset {
        &self.config.preset
    }

    /// Whether each name has a user of its own.
    fn has_users_of_names(&self) -> bool {
        self.preset().basic.as_deref().is_some_and(|user| user.contains("{host}"))
    }

    /// What a server says, without what it may say back to us.
    fn quote(&self, reply: &Reply, text: &str) -> String {
        let addresses: Vec<String> = self.addresses.texts().collect();
        let names = self.hosts.iter().copied().chain(addresses.iter().map(String::as_str));
        quote::said(text, &reply.secrets, names)
    }
}

fn is_success(reply: &Reply) -> bool {
    (200..=299).contains(&reply.status)
}

/// Letter case does not count.
fn contains(body: &str, text: &str) -> bool {
    body.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
}

/// A failure decides; of two successes a change.
pub(super) fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (&one, &other) {
        (Outcome::Blocked { .. }, _) => one,
        (_, Outcome::Blocked { .. }) => other,
        (Outcome::Refused { .. } | Outcome::Dropped { .. }, _) => one,
        (_, Outcome::Refused { .. } | Outcome::Dropped { .. }) => other,
        (Outcome::Retry { .. }, _) => one,
        (_, Outcome::Retry { .. }) => other,
        (Outcome::NeedsPerson { .. }, _) => one,
        (_, Outcome::NeedsPerson { .. }) => other,
        (Outcome::Published { changed: one }, Outcome::Published { changed: other }) => {
            Outcome::Published { changed: *one || *other }
        }
    }
}

/// Codes after which nothing is sent until a person acts, and how.
fn refusal(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "badauth" => ("the service refused the credentials", "correct them"),
        "!donator" => {
            ("the service wants a feature to be paid for, such as this name or IPv6", "do without it or pay")
        }
        "!active" => {
            ("the service says that the name is not active", "activate it there and change the section")
        }
        "!yours" => ("the name belongs to another user", "correct it"),
        "notfqdn" => ("the service wants a full host name", "correct it"),
        "nohost" => ("the service does not know the name in this account", "correct it, or create it there"),
        "numhost" => ("the service takes no request for so many names", "ask it why"),
        "abuse" => ("the service has blocked the name", "unblock it there and change the section"),
        "badagent" => ("the service refuses this program or the method", "ask it why"),
        "badsys" => ("the service refuses a parameter", "check provider or url"),
        _ => return None,
    })
}

fn retry(why: String, after: Option<Duration>) -> Outcome {
    Outcome::Retry { why, after, reached: true }
}

fn blocked(why: String) -> Outcome {
    Outcome::Blocked { why }
}
