//! The map of the house.
//!
//! Floor 0 turns bytes into values and back; it is pure and bounded:
//! [`address`] (what may be published), [`decimal`], [`parts`] (what this build
//! has), [`table`] (a small map), [`http`], [`xml`], [`url`],
//! [`ssdp::message`], [`soap::description`], [`soap::envelope`],
//! [`soap::actions`], [`soap::event`], [`natpmp::message`], [`natpmp::pcp`],
//! [`netlink::message`], [`dns::message`], [`dns::tsig`], [`dns::answer`].
//!
//! Floor 1 decides; it reads no clock and opens nothing: [`config`], [`cli`],
//! [`engine`] (what to do next), [`retry`] (when), [`state`] (what each target
//! holds), [`soap::survey`] (what to ask a gateway), [`soap::subscription`] (when
//! to ask for its events), [`updaters`] (what to send to a provider).
//!
//! Floor 2 touches the world, thinly: [`ssdp::search`], [`soap::client`],
//! [`soap::listener`], [`natpmp::client`], [`natpmp::pcp_client`],
//! [`dns::client`], [`platform`], [`sources`] (where addresses come from),
//! [`hints`] (who says that they may have changed), [`web`] and [`process`] (where
//! they go), [`resolve`], [`store`], [`log`], [`jobs`], [`discover`], [`threads`] and
//! [`channel`] (how they run side by side), and [`daemon`], the loop.
//!
//! A file imports its own floor and those below; `tests/house.rs` sees to it.
//! Updaters and sources do not know each other: they meet in the engine.
//!
//! The way of an address: a source looks, the engine compares with what every
//! target accepted last, a job runs the updater, the outcome goes back to the
//! engine and into the state file.
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
pub mod channel;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decimal;
pub mod discover;
#[cfg(feature = "rfc2136")]
pub mod dns;
pub mod engine;
pub mod hints;
pub mod http;
pub mod jobs;
pub mod log;
pub mod natpmp;
pub mod nearest;
pub mod netlink;
pub mod parts;
pub mod platform;
pub mod process;
pub mod resolve;
pub mod retry;
pub mod secret;
pub mod soap;
pub mod sources;
pub mod ssdp;
pub mod state;
pub mod store;
pub mod table;
pub mod threads;
pub mod updaters;
pub mod url;
pub mod web;
pub mod xml;
