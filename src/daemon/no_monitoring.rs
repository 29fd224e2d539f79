//! Stands in for `monitoring.rs` in builds without it: nothing is shown.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::log::Log;
use super::{Daemon, Message};
use crate::config::Config;

#[derive(Default)]
pub(super) struct MetricsFile {
    pub(super) due: Option<Duration>,
}

pub(super) fn open(_: &Config, _: &Sender<Message>, _: Log) {}

#[allow(clippy::unused_self, reason = "the full build uses it")]
impl Daemon<'_> {
    pub(super) fn keep_metrics(&self, _: bool) {}
}
