//! Finding gateways: the discovery part of UPnP (SSDP).

pub mod message;
pub mod search;
pub mod sieve;
