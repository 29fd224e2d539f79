//! The sockets: towards providers ([`provider`] and what it stands on), and
//! towards gateways ([`lan`]).

mod adapter;
mod connect;
#[cfg(feature = "tls")]
mod crypto_provider;
mod error;
pub mod fields;
pub mod lan;
pub mod provider;
mod resolver;
mod stream;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod tunnel;
pub mod url;
