//! Holds back and closes a connection that another thread waits for.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// Who has it can end all connections that are made for it, now and later.
#[derive(Clone, Default)]
pub struct Closer(Arc<(Mutex<Open>, Condvar)>);

#[derive(Default)]
struct Open {
    closed: bool,
    held: bool,
    /// The newest connection; a job has one at a time.
    stream: Weak<TcpStream>,
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}

impl Closer {
    /// Until [`Self::release`], connections are made and nothing is asked over them.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Ends [`Self::hold`].
    pub fn release(&self) {
        self.lock().held = false;
        self.0.1.notify_all();
    }

    /// Waits until it is not held.
    pub fn wait(&self) {
        drop(self.0.1.wait_while(self.lock(), |open| open.held && !open.closed));
    }

    /// From now on, nothing is sent and nothing is waited for.
    pub fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        if let Some(stream) = open.stream.upgrade() {
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.0.1.notify_all();
    }

    /// Whether [`Self::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes a connection that nothing has been sent over, or that rests.
    pub fn admit(&self, stream: &Arc<TcpStream>) -> io::Result<()> {
        let mut open = self.lock();
        if open.closed {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        open.stream = Arc::downgrade(stream);
        Ok(())
    }

    /// Gives its connection away: closing does not end it any more.
    pub fn give_up(&self) -> Option<Arc<TcpStream>> {
        std::mem::take(&mut self.lock().stream).upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
