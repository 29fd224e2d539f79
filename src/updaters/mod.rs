//! Where addresses go: one file for each kind of updater.
//!
//! An updater is pure: it turns wanted addresses and a server's replies into
//! requests and outcomes. `transport/` and `daemon/process.rs` perform what it asks for.

mod body;
#[cfg(feature = "cloudflare")]
pub mod cloudflare;
#[cfg(not(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136")))]
mod disabled;
#[cfg(feature = "dyndns")]
pub mod dyndns2;
#[cfg(feature = "rfc2136")]
pub mod rfc2136;
pub mod run;
pub mod url;

use std::time::Duration;

use crate::address::Addresses;
pub use crate::transport::message::{Failure, Reply, Request, SHORT_REPLY};

/// What a question about credentials that changes nothing told, for people; an error is a
/// fault of theirs, or in the way of asking.
pub type Tested = Result<String, String>;

/// How the attempt to bring one target up to date ended; what it means for the
/// schedule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The target holds the address; `changed` unless it already did.
    Published {
        /// Whether anything had to be changed for it.
        changed: bool,
    },
    /// May work later.
    Retry {
        /// What happened and what to do about it, without the target's name.
        why: String,
        /// The earliest next attempt, by the server's wish; otherwise the back-off
        /// decides.
        after: Option<Duration>,
        /// Whether a server answered, or may have done what was asked. If neither, the
        /// line may just have come up, and a quick retry is harmless.
        reached: bool,
    },
    /// Nothing but a person can help, there or here: tried every half hour and by a start,
    /// as nobody tells when that is done, and for a new address like one that failed.
    NeedsPerson {
        /// What happened and what to do about it, without the target's name.
        why: String,
    },
    /// Refused, but not in the provider's own words: perhaps by a web filter, a
    /// login page, a proxy, an address filter or a limit.
    Refused {
        /// What happened and what to do about it, without the target's name.
        why: String,
        /// The earliest next attempt, by the server's wish.
        after: Option<Duration>,
    },
    /// Failed, and is not to be tried again for this address.
    Dropped {
        /// What happened, without the target's name.
        why: String,
    },
    /// Refused in the provider's own words: will not work until a person acts.
    Blocked {
        /// What happened and what to correct, without the target's name.
        why: String,
    },
}

impl Outcome {
    /// Whether the provider has banned this program or the name, and would take
    /// more tries for more abuse (dyndns2).
    #[must_use]
    pub fn is_ban(&self) -> bool {
        let words = |why: &String| {
            why.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w == "abuse" || w == "badagent")
        };
        matches!(self, Self::Blocked { why } if words(why))
    }
}

fn needs_person(why: String) -> Outcome {
    Outcome::NeedsPerson { why }
}

/// Where the server does not say when to come again.
#[cfg_attr(not(feature = "dyndns"), allow(dead_code))]
fn or_person(why: String, wish: Option<Duration>) -> Outcome {
    match wish {
        Some(_) => Outcome::Retry { why, after: wish, reached: true },
        None => needs_person(why),
    }
}

/// One target's part of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Task {
    /// Which entry of the group, counted from 0 as in the configuration.
    pub entry: usize,
    /// What it should hold.
    pub addresses: Addresses,
    /// What it held before, as far as known.
    pub old: Addresses,
}

/// Sends one request to a provider and waits for its reply: the shell by its
/// sockets, a test from a table.
pub type Ask<'a> = dyn FnMut(&Request) -> Result<Reply, Failure> + 'a;

/// An updater that talks to a web server.
pub trait Updater: Send {
    /// Brings the targets of one job up to date; an outcome for every task, by its
    /// entry.
    fn update(&mut self, tasks: Vec<Task>, ask: &mut Ask<'_>) -> Vec<(usize, Outcome)>;

    /// Whether the next job needs to know of this one.
    fn remembers(&self) -> bool {
        true
    }

    /// What a person should know of the last job, by entry; each is told once.
    fn notes(&mut self) -> Vec<(usize, String)> {
        Vec::new()
    }
}
