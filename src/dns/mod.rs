//! Telling a name server: DNS messages (RFC 1035), UPDATE (RFC 2136) and TSIG
//! (RFC 8945).
//!
//! [`client`] alone touches the network; the other files are pure.

pub mod answer;
pub mod base64;
pub mod client;
pub mod message;
pub mod name;
pub mod resolv;
pub mod server;
pub mod tsig;
