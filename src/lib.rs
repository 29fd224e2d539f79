//! The map of the house.
//!
//! Floor 0 turns bytes into values and back: [`address`], [`http`], [`url`], [`dns`].
//! Floor 1 decides. Floor 2 touches the world. A file imports its own floor and
//! those below.
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
pub mod cli;
pub mod config;
pub mod daemon;
pub mod discover;
pub mod dns;
pub mod engine;
pub mod http;
pub mod jobs;
pub mod log;
pub mod natpmp;
pub mod nearest;
pub mod netlink;
pub mod platform;
pub mod process;
pub mod retry;
pub mod secret;
pub mod soap;
pub mod sources;
pub mod ssdp;
pub mod state;
pub mod store;
pub mod updaters;
pub mod url;
pub mod web;
pub mod xml;
