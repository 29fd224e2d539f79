//! Threads that nobody joins.

use std::io;
use std::thread;

/// Starts one with a name and so many bytes of stack.
pub fn start(name: &str, stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    boxed(name, stack, Box::new(work))
}

/// What std does to start a thread is in the program once, not once for each kind of work.
fn boxed(name: &str, stack: usize, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(work).map(drop)
}
