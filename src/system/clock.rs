//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by the system's clock, set or not; 0 before.
#[must_use]
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
