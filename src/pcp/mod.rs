//! Asking a gateway for its external address by a mapping: PCP, RFC 6887.

pub mod client;
pub mod message;
