//! Where addresses come from.

pub mod interface;
