//! A queue from any number of threads to one, who waits for what comes.
//!
//! Why not std's `mpsc`: it brings three kinds of queue for every type of
//! message, 36 kB of machine code for ours. Here values wait boxed in one queue
//! that does not know their type, so a new type of message costs next to nothing.
//! A message is a poll or a job, so the box costs nothing that counts.

use std::any::Any;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nobody will receive it.
#[derive(Debug, Eq, PartialEq)]
pub struct SendError;

/// Why nothing was received.
#[derive(Debug, Eq, PartialEq)]
pub enum RecvError {
    /// Nothing came in time.
    Timeout,
    /// Nothing is left, and nobody is there to send more.
    Disconnected,
}

/// The end that sends; the channel ends when the last of its clones is dropped.
pub struct Sender<T> {
    end: Arc<SendingEnd>,
    values: PhantomData<fn(T)>,
}

/// The end that receives; what is sent after it is dropped comes back as an error.
pub struct Receiver<T> {
    end: ReceivingEnd,
    values: PhantomData<fn() -> T>,
}

/// A new channel.
#[must_use]
pub fn channel<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(Queue::default());
    let sender = Sender { end: Arc::new(SendingEnd(Arc::clone(&queue))), values: PhantomData };
    (sender, Receiver { end: ReceivingEnd(queue), values: PhantomData })
}

impl<T: Send + 'static> Sender<T> {
    /// Sends without ever waiting.
    pub fn send(&self, value: T) -> Result<(), SendError> {
        self.end.0.push(Box::new(value))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { end: Arc::clone(&self.end), values: PhantomData }
    }
}

impl<T: 'static> Receiver<T> {
    /// Waits as long as there is somebody to send.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.end.0.pop(None).and_then(unpacked)
    }

    /// Waits at most so long.
    pub fn recv_timeout(&self, wait: Duration) -> Result<T, RecvError> {
        // What is beyond the end of the clock never comes.
        self.end.0.pop(Instant::now().checked_add(wait)).and_then(unpacked)
    }
}

/// Only a `Sender<T>` puts anything in, so it always is one.
fn unpacked<T: 'static>(parcel: Parcel) -> Result<T, RecvError> {
    parcel.downcast().map(|value| *value).map_err(|_| RecvError::Disconnected)
}

type Parcel = Box<dyn Any + Send>;

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Parcel>,
    /// One of the ends is gone; the other finds out by this.
    closed: bool,
}

impl Queue {
    /// Nothing that could panic runs under the lock, so the state is always whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, parcel: Parcel) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SendError);
        }
        state.waiting.push_back(parcel);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn pop(&self, until: Option<Instant>) -> Result<Parcel, RecvError> {
        let mut state = self.lock();
        loop {
            if let Some(parcel) = state.waiting.pop_front() {
                return Ok(parcel);
            }
            if state.closed {
                return Err(RecvError::Disconnected);
            }
            let Some(until) = until else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RecvError::Timeout);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct SendingEnd(Arc<Queue>);

impl Drop for SendingEnd {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

struct ReceivingEnd(Arc<Queue>);

impl Drop for ReceivingEnd {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let unread = std::mem::take(&mut state.waiting);
        // Dropping a value may do anything, even send: not under the lock.
        drop(state);
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(30);

    #[test]
    fn values_come_in_the_order_they_were_sent() {
        let (sender, receiver) = channel();
        (0..1000).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        let all: Vec<i32> = std::iter::from_fn(|| receiver.recv().ok()).collect();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvError::Disconnected));
    }

    #[test]
    fn a_wait_ends_with_its_time_and_not_before() {
        let (sender, receiver) = channel::<String>();
        let start = Instant::now();
        assert_eq!(receiver.recv_timeout(SHORT), Err(RecvError::Timeout));
        assert!(start.elapsed() >= SHORT);
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvError::Timeout));
        sender.send("late".to_owned()).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::ZERO).as_deref(), Ok("late"));
    }

    #[test]
    fn who_waits_is_woken_by_a_value() {
        for wait in [LONG, Duration::MAX] {
            let (sender, receiver) = channel();
            let thread = thread::spawn(move || receiver.recv_timeout(wait));
            thread::sleep(SHORT);
            sender.send(7).unwrap();
            assert_eq!(thread.join().unwrap(), Ok(7));
        }
    }

    #[test]
    fn who_waits_is_woken_by_the_end_of_the_last_sender() {
        for wait in [None, Some(LONG), Some(Duration::MAX)] {
            let (sender, receiver) = channel::<()>();
            let receive = move || wait.map_or_else(|| receiver.recv(), |wait| receiver.recv_timeout(wait));
            let thread = thread::spawn(receive);
            let other = sender.clone();
            drop(sender);
            thread::sleep(SHORT);
            assert!(!thread.is_finished(), "one sender is left");
            drop(other);
            assert_eq!(thread.join().unwrap(), Err(RecvError::Disconnected));
        }
    }

    #[test]
    fn without_a_receiver_sending_fails_and_keeps_nothing() {
        let (sender, receiver) = channel();
        let value = Arc::new(());
        sender.send(Arc::clone(&value)).unwrap();
        drop(receiver);
        assert_eq!(sender.send(Arc::clone(&value)), Err(SendError));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn many_senders_lose_nothing() {
        let (sender, receiver) = channel();
        for thread in 0..8 {
            let sender = sender.clone();
            thread::spawn(move || (0..1000).for_each(|n| sender.send((thread, n)).unwrap()));
        }
        drop(sender);
        let mut next = [0; 8];
        while let Ok((thread, n)) = receiver.recv() {
            assert_eq!(n, next[thread], "each sender's values keep their order");
            next[thread] += 1;
        }
        assert_eq!(next, [1000; 8]);
    }

    #[test]
    fn a_panic_elsewhere_does_not_close_the_channel() {
        let (sender, receiver) = channel();
        let queue = Arc::clone(&receiver.end.0);
        let panics = thread::spawn(move || {
            let _state = queue.lock();
            panic!("as the test wants it");
        });
        assert!(panics.join().is_err() && receiver.end.0.state.is_poisoned());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvError::Timeout));
    }
}
