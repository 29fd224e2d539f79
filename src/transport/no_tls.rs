//! What stands in for `tls.rs` in a build that leaves TLS out: nothing is ever
//! secured.

use std::{fmt, io};

use crate::config;
use crate::features;
use crate::transport::connect::Stream;
use crate::transport::error::Error;

/// Why a way to servers cannot be had; without TLS, there is always one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WebError {}

impl fmt::Display for WebError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for WebError {}

/// What is wrong with TLS: it was left out. The configuration has no such URL; a
/// server may send us to one.
#[derive(Debug)]
pub(super) struct TlsError;

#[derive(Clone)]
pub(super) struct Trust;

impl Trust {
    #[expect(clippy::unnecessary_wraps, reason = "as in tls.rs")]
    pub(super) fn new(_: &config::Tls) -> Result<Self, WebError> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as in tls.rs")]
    pub(super) fn secure(&self, _: Box<dyn Stream>, _: &str) -> Result<Box<dyn Stream>, Error> {
        Err(Error::Tls(TlsError))
    }
}

pub(super) fn explain(_: &TlsError) -> String {
    features::left_out("tls").unwrap_or_else(|| "it needs TLS".to_owned())
}

pub(super) fn explain_io(_: &io::Error) -> Option<String> {
    None
}
