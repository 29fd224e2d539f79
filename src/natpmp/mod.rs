//! Asking a gateway for its external address in two bytes: NAT-PMP, RFC 6886.

pub mod client;
pub mod message;
