//! The map of the house.
//!
//! Floor 0 turns bytes into values and back: [`address`], [`http`], [`url`].
//! Floor 1 decides. Floor 2 touches the world. A file imports its own floor and
//! those below.
#![forbid(unsafe_code)]

pub mod address;
pub mod config;
pub mod http;
pub mod secret;
pub mod soap;
pub mod updaters;
pub mod url;
pub mod xml;
