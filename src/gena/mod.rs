//! Hearing of a gateway's changes: events, UPnP Device Architecture 1.1,
//! section 4.
//!
//! [`message`] turns bytes into values, [`subscription`] decides when to ask for
//! events, [`listener`] hears them, and [`subscriber`] keeps that up.

pub mod listener;
pub mod message;
pub mod subscriber;
pub mod subscription;
