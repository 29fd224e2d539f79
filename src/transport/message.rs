//! What is sent to a provider and what comes back, as those see it who ask.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Family;
use crate::quote::Secrets;

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
    /// Whether a success counts whose body ends too early: the reply is what came of it.
    pub cut_will_do: bool,
    /// The only family that the connection may use, for servers that take the
    /// address it comes from.
    pub family: Option<Family>,
}

/// A reply of one word, with room for a page of HTML around it. There may be as many as
/// there are jobs, each from another server, beside the heads of their answers.
pub const SHORT_REPLY: usize = 32 * 1024;

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit_once('@').map_or(shown, |(_, host_and_path)| host_and_path);
        f.debug_struct("Request").field("method", &self.method).field("url", &shown).finish_non_exhaustive()
    }
}

/// A provider's answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks us to wait (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
    /// Where a redirect that is not followed leads, and why it is not: half a sentence
    /// without a secret.
    pub redirect: Option<String>,
    /// The body, bytes that are not UTF-8 replaced; cut at the request's limit.
    pub body: String,
    /// What must not be shown of it.
    pub secrets: Arc<Secrets>,
}

impl Reply {
    /// Where a redirect that is not followed leads, in words.
    #[must_use]
    pub fn redirects(&self) -> String {
        format!("redirects to {}", self.redirect.as_deref().unwrap_or("another place"))
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What happened, for people; no secret in it.
    pub why: String,
    /// Whether the request may have arrived all the same.
    pub maybe_done: bool,
}
