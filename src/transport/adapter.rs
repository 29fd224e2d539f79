//! A connection as ureq wants it, with what ureq does not do for plain HTTP
//! through a proxy: the whole URL in the first line of every request (RFC 9112,
//! section 3.2.2). ureq would send CONNECT, which many proxies allow for port 443
//! alone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::error::not_sent;
use super::stream::Stream;
use crate::system::closer::Closer;

#[derive(Debug)]
pub(super) struct Adapter {
    stream: Box<dyn Stream>,
    buffers: LazyBuffers,
    /// Whether TLS leads to the server itself.
    tls: bool,
    /// What stands before the path in a request to a proxy.
    absolute: Option<String>,
    /// Whether the next bytes to leave begin a request.
    begins: bool,
    /// Of the job that it serves.
    closer: Arc<Mutex<Closer>>,
}

impl Adapter {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        tls: bool,
        absolute: Option<String>,
        closer: Arc<Mutex<Closer>>,
        config: &Config,
    ) -> Self {
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Self { stream, buffers, tls, absolute, begins: true, closer }
    }
}

impl Transport for Adapter {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let begins = mem::take(&mut self.begins);
        if begins {
            // A job may have been overtaken since it began to connect.
            let closer = self.closer.lock().unwrap_or_else(PoisonError::into_inner).clone();
            closer.wait().map_err(|error| not_sent(error.into()))?;
        }
        self.stream.set_deadline(deadline(timeout));
        let mut bytes = self.buffers.output().get(..amount).unwrap_or_default();
        if let Some(server) = self.absolute.as_deref().filter(|_| begins) {
            let method =
                bytes.iter().position(|byte| *byte == b' ').map_or(0, |space| space.saturating_add(1));
            let (method, rest) = bytes.split_at_checked(method).unwrap_or_default();
            self.stream.write_all(&[method, server.as_bytes()].concat())?;
            bytes = rest;
        }
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.begins = true;
        self.stream.set_deadline(deadline(timeout));
        let amount =
            self.stream.read(self.buffers.input_append_buf()).map_err(|error| match error.kind() {
                // ureq would take these for the end of an answer that tells no length.
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
                    ErrorKind::BrokenPipe.into()
                }
                _ => error,
            })?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.is_open()
    }

    fn is_tls(&self) -> bool {
        self.tls
    }
}

/// The end of a time that ureq gives.
pub(super) fn deadline(timeout: NextTimeout) -> Instant {
    let now = Instant::now();
    now.checked_add(*timeout.after).unwrap_or(now)
}
