//! At most two long replies at once: together they bound the memory that
//! providers can make us take.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Long replies that may be under way at once.
const MOST: usize = 2;

/// Counts them; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct LongReplies(Arc<(Mutex<usize>, Condvar)>);

impl LongReplies {
    /// Waits until there is room for another; `None` if there is none by `until`.
    pub(super) fn begin(&self, until: Instant) -> Option<LongReply> {
        let (count, fewer) = &*self.0;
        let left = until.saturating_duration_since(Instant::now());
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = fewer.wait_timeout_while(count, left, |count| *count >= MOST);
        let (mut count, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *count = count.saturating_add(1);
        drop(count);
        Some(LongReply(self.clone()))
    }
}

/// One that is under way, until this is dropped.
pub(super) struct LongReply(LongReplies);

impl Drop for LongReply {
    fn drop(&mut self) {
        let (count, fewer) = &*self.0.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        fewer.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_waits_for_the_end_of_one() {
        let replies = LongReplies::default();
        let first = replies.begin(Instant::now());
        let second = replies.begin(Instant::now());
        assert!(first.is_some() && second.is_some() && replies.begin(Instant::now()).is_none());
        drop(first);
        assert!(replies.begin(Instant::now()).is_some());
    }
}
