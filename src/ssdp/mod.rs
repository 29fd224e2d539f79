//! Finding gateways, and hearing of their restarts: the discovery part of UPnP
//! (SSDP).

pub mod filter;
pub mod message;
pub mod presence;
pub mod search;
