//! Programs come behind the requests of the same moment, as in 1.0: what they do may
//! need the new address in the DNS. A request that hangs holds them up for [`PATIENCE`].

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a program waits for requests at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts jobs that send requests; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<(Mutex<usize>, Condvar)>);

/// One of them, until it is dropped.
pub(super) struct UnderWay(Requests);

impl Requests {
    pub(super) fn begin(&self) -> UnderWay {
        let mut count = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add(1);
        drop(count);
        UnderWay(self.clone())
    }

    /// Waits until there are none, or long enough.
    pub(super) fn wait(&self) {
        let (count, fewer) = &*self.0;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(fewer.wait_timeout_while(count, PATIENCE, |count| *count > 0));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let (count, fewer) = &*self.0.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        fewer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_program_waits_for_requests_but_not_for_one_that_hangs() {
        let requests = Requests::default();
        let began = Instant::now();
        requests.wait();
        assert!(began.elapsed() < PATIENCE, "there are none");
        let short = requests.begin();
        let waiting = thread::spawn({
            let requests = requests.clone();
            move || requests.wait()
        });
        drop(short);
        waiting.join().unwrap();
        let hangs = requests.begin();
        let began = Instant::now();
        requests.wait();
        assert!(began.elapsed() >= PATIENCE);
        drop(hangs);
    }
}
