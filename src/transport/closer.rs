//! Closes a connection that another thread waits for.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Who has it can end all connections that are made for it, now and later.
#[derive(Clone, Default)]
pub struct Closer(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    closed: bool,
    /// The newest connection; a job has one at a time.
    stream: Weak<TcpStream>,
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}

impl Closer {
    /// From now on, nothing is sent and nothing is waited for.
    pub fn close(&self) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.closed = true;
        if let Some(stream) = open.stream.upgrade() {
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether [`Self::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Takes a connection that nothing has been sent over.
    pub(super) fn admit(&self, stream: &Arc<TcpStream>) -> io::Result<()> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.closed {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        open.stream = Arc::downgrade(stream);
        Ok(())
    }
}
