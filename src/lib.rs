//! The rooms of the house, from the ground up; a file imports its own floor and
//! those below (`tests/house.rs` sees to it):
//!
//! - [`address`] (what may be published), [`backoff`], [`calendar`], [`quote`], [`secret`]
//! - [`http`] (messages and URLs of gateways), [`natpmp`], [`system`] (routes,
//!   interfaces, threads)
//! - [`ssdp`], [`soap`], [`gena`], [`pcp`], [`dns`]: one protocol each;
//!   [`transport`]: the sockets towards providers and gateways
//! - [`config`]: TOML to values, every refusal with its line
//! - [`updaters`]: what to send to a provider, what its answer means
//! - [`engine`]: what to do next; pure
//! - [`sources`]: where addresses come from; [`notify`]: who is told what, and when;
//!   [`monitor`]: what may be asked over HTTP
//! - [`daemon`], the loop and its threads, and [`cli`]
//!
//! Updaters and sources do not know each other: they meet in the engine. The way
//! of an address: a source polls, the engine compares with what every target
//! accepted last, a job runs the updater, the outcome goes back to the engine and
//! into the state file.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::unchecked_time_subtraction,
        clippy::needless_pass_by_value,
        reason = "a test may panic; that is how it fails"
    )
)]

pub mod address;
pub mod backoff;
pub mod calendar;
pub mod cli;
pub mod config;
pub mod daemon;
#[cfg(feature = "rfc2136")]
pub mod dns;
pub mod engine;
pub mod features;
pub mod gena;
pub mod http;
#[cfg(feature = "monitor")]
pub mod monitor;
pub mod natpmp;
pub mod notify;
pub mod pcp;
pub mod quote;
pub mod secret;
pub mod soap;
pub mod sources;
pub mod ssdp;
pub mod system;
pub mod transport;
pub mod updaters;
