//! Where threads are started.
//!
//! std makes the whole of a start anew for every closure: more than a kB each,
//! 18 kB in all. A box is one type for all of them.

use std::io;
use std::thread;

/// What a thread does. It owns what it needs and answers over a
/// channel; nobody waits for its end.
pub type Work = Box<dyn FnOnce() + Send>;

/// Starts a thread with a stack of so many bytes.
pub fn start(name: &str, stack: usize, work: Work) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_works_under_its_name() {
        let (sender, receiver) = channel();
        let work = move || sender.send(thread::current().name().map(str::to_owned)).unwrap();
        start("test", 64 * 1024, Box::new(work)).unwrap();
        assert_eq!(receiver.recv().unwrap().as_deref(), Some("test"));
        assert!(receiver.recv().is_err(), "it ends, and what it owns with it");
    }
}
