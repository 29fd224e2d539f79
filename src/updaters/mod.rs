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

use std::fmt;
use std::time::Duration;

use crate::address::{Addresses, Family};

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
        /// The earliest next attempt, by the server's wish or because only a
        /// person can help; otherwise the back-off decides.
        after: Option<Duration>,
        /// Whether a server answered. If none did, the line may just have come
        /// up, and a quick retry is harmless.
        reached: bool,
    },
    /// Will not work until a person changes the configuration.
    Blocked {
        /// What happened and what to correct, without the target's name.
        why: String,
    },
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

    /// What a person should know of the last job, by entry; each is told once.
    fn notes(&mut self) -> Vec<(usize, String)> {
        Vec::new()
    }
}

/// An HTTP request to a provider. `Debug` shows neither query, headers nor body.
#[derive(Clone, Eq, PartialEq)]
pub struct Request {
    /// The method in capitals.
    pub method: &'static str,
    /// The absolute URL, http or https.
    pub url: String,
    /// Header fields besides those that every request has.
    pub headers: Vec<(String, String)>,
    /// The body, when there is one.
    pub body: Option<String>,
    /// The longest reply of use, in bytes; it is cut there. Replies that are no
    /// success are cut at [`SHORT_REPLY`] in any case.
    pub max_reply: usize,
    /// The only family that the connection may use, for servers that take the
    /// address it comes from.
    pub family: Option<Family>,
}

/// A reply of one word, with room for a page of HTML around it.
pub const SHORT_REPLY: usize = 64 * 1024;

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit_once('@').map_or(shown, |(_, host_and_path)| host_and_path);
        f.debug_struct("Request").field("method", &self.method).field("url", &shown).finish_non_exhaustive()
    }
}

/// A provider's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks us to wait (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
    /// The body, bytes that are not UTF-8 replaced; cut at the request's limit.
    pub body: String,
}

/// Why there is no reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What happened, for people; no secret in it.
    pub why: String,
    /// Whether the request may have arrived all the same.
    pub maybe_done: bool,
}
