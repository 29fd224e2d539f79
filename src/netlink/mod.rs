//! Asking the Linux kernel for its interfaces and addresses (rtnetlink).

pub mod message;
