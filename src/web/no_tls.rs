//! What stands in for `tls.rs` in a build that leaves TLS out: nothing is ever
//! secured.

use std::fmt;

use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Transport};

use crate::config;

/// Why a way to servers cannot be had; without TLS, there is always one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WebError {}

impl fmt::Display for WebError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for WebError {}

#[derive(Clone)]
pub(super) struct Trust;

impl Trust {
    #[expect(clippy::unnecessary_wraps, reason = "as in tls.rs")]
    pub(super) fn new(_: &config::Tls) -> Result<Self, WebError> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as in tls.rs")]
    pub(super) fn secure(
        &self,
        _: &ConnectionDetails,
        _: Box<dyn Transport>,
        _: &str,
    ) -> Result<Box<dyn Transport>, Error> {
        Err(Error::TlsRequired)
    }
}

pub(super) fn explain(_: &Error) -> Option<String> {
    None
}
