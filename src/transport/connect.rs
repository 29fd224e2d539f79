//! Connects for ureq: TCP, the proxy, TLS.
//!
//! Ours, since ureq tries addresses one after the other, lets a proxy answer
//! CONNECT for as long as it likes, and has its own roots or those of a file,
//! never both.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::adapter::{Adapter, deadline};
use super::error::not_sent;
use super::proxy::Proxies;
use super::stream::{Stream, Tcp};
use super::url::HttpUrl;
use super::{tls, tunnel};
use crate::system::closer::Closer;
use crate::system::race::Failed;

/// Connects to servers.
pub(super) struct Connect {
    pub(super) trust: tls::Trust,
    pub(super) proxies: Arc<Proxies>,
    /// Addresses that lately did not answer.
    pub(super) failed: Arc<Failed>,
    /// How many connections were made.
    pub(super) made: Arc<AtomicUsize>,
    /// Of the job that the connection serves.
    pub(super) closer: Arc<Mutex<Closer>>,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connect")
    }
}

impl Connector for Connect {
    type Out = Adapter;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Adapter>, Error> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Some(self.reach(details).map_err(not_sent)?))
    }
}

impl Connect {
    fn reach(&self, details: &ConnectionDetails) -> Result<Adapter, Error> {
        let url = details.uri.to_string();
        let server = HttpUrl::parse(&url).ok_or_else(|| Error::BadUri(String::new()))?;
        let proxy = server.proxy(&self.proxies);
        let until = deadline(details.timeout);
        let closer = self.closer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tcp = Tcp::connect(&details.addrs, until, &self.failed, &closer)?;
        let mut stream: Box<dyn Stream> = Box::new(tcp);
        if let Some(proxy) = proxy {
            if proxy.tls {
                stream = self.trust.secure(stream, &proxy.host)?;
            }
            if server.https {
                tunnel::open(&mut *stream, &server.authority(), tunnel::authorization(proxy).as_deref())?;
            }
        }
        if server.https {
            stream = self.trust.secure(stream, server.bare_host())?;
        }
        let absolute = proxy.filter(|_| !server.https).map(|_| format!("http://{}", server.authority()));
        Ok(Adapter::new(stream, server.https, absolute, Arc::clone(&self.closer), details.config))
    }
}
