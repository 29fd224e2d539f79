//! Stands in for `monitoring.rs` in builds without it: nothing is shown.

use std::time::Duration;

use super::Daemon;

#[derive(Default)]
pub(super) struct MetricsFile {
    pub(super) due: Option<Duration>,
}

#[allow(clippy::unused_self, reason = "the full build uses it")]
impl Daemon<'_> {
    pub(super) fn keep_metrics(&self, _: bool) {}

    pub(super) fn monitor(&self) {}

    pub(super) fn keep_listening(&self) {}
}
