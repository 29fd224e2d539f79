//! What stands in for `dns.rs` in a build that leaves DNS UPDATE out.

use std::time::Instant;

use crate::config;
use crate::system::closer::Closer;
use crate::updaters::{Outcome, Task, Tested};

/// What cannot be, as there is no section for it.
pub enum NameServer {}

impl NameServer {
    pub(super) fn boxed(config: &config::Rfc2136) -> Box<Self> {
        match *config {}
    }

    pub(super) fn perform(&mut self, _: &[Task], _: Instant, _: &Closer) -> Vec<(usize, Outcome)> {
        match *self {}
    }
}

pub(super) fn test(config: &config::Rfc2136) -> Vec<Tested> {
    match *config {}
}
