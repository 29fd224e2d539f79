//! What stands in for `tls.rs` in a build that leaves TLS out: nothing is ever
//! secured.

use std::{fmt, io};

use ureq::Error;

use super::stream::Stream;
use super::trust::Tls;
use crate::features;

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

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS is left out")
    }
}

impl std::error::Error for TlsError {}

#[derive(Clone)]
pub(super) struct Trust;

impl Trust {
    #[expect(clippy::unnecessary_wraps, reason = "as in tls.rs")]
    pub(super) fn new(_: &Tls) -> Result<Self, WebError> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as in tls.rs")]
    pub(super) fn secure(&self, _: Box<dyn Stream>, _: &str) -> Result<Box<dyn Stream>, Error> {
        Err(Error::Other(Box::new(TlsError)))
    }
}

pub(super) fn explain(_: &TlsError) -> String {
    features::left_out("tls").unwrap_or_else(|| "it needs TLS".to_owned())
}

pub(super) fn explain_io(_: &io::Error) -> Option<String> {
    None
}
