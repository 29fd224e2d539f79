//! The sockets: towards providers ([`provider`] and what it stands on), and
//! towards gateways ([`lan`]).

mod adapter;
mod connect;
#[cfg(feature = "tls")]
mod crypto_provider;
mod error;
pub mod fields;
pub mod lan;
mod long_replies;
pub mod message;
pub mod provider;
pub mod proxy;
pub mod redirect;
mod resolver;
mod stream;
#[cfg(feature = "tls")]
mod system_roots;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
pub mod trust;
mod tunnel;
pub mod url;
#[cfg(feature = "tls")]
mod verifier;
