//! Asking a gateway over HTTP and SOAP: UPnP Device Architecture 1.1, sections
//! 2 and 3; WANIPConnection:1 and :2.
//!
//! [`xml`], [`description`], [`envelope`] and [`actions`] turn bytes into values,
//! [`gateway`] decides which questions to ask. Control of anything is no part of
//! it.

pub mod actions;
pub mod description;
pub mod envelope;
pub mod gateway;
pub mod xml;
