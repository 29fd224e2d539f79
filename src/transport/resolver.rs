//! Looks names up for ureq within a deadline.
//!
//! ureq's own resolver starts a thread with `thread::spawn`, 2 MiB of stack, and
//! panics where the system gives it none. It does not know of our proxies, either.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

use super::error::not_sent;
use super::proxy::Proxies;
use super::url::HttpUrl;
use crate::system::resolve::{ResolveError, look_up};

/// As many as ureq has room for.
const MAX_ADDRESSES: usize = 16;

/// The addresses of a server, or those of the proxy that leads to it.
#[derive(Debug)]
pub(super) struct Names(pub(super) Arc<Proxies>);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let url = uri.to_string();
        let server = HttpUrl::parse(&url).ok_or_else(|| Error::BadUri(String::new()))?;
        let proxy = server.proxy(&self.0);
        let (host, port) =
            proxy.map_or((server.bare_host(), server.port()), |proxy| (&proxy.host, proxy.port));
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => look_up(host, port, *timeout.after).map_err(not_found)?,
        };
        let mut addresses = self.empty();
        config.ip_family().keep_wanted(found.into_iter()).take(MAX_ADDRESSES).for_each(|a| addresses.push(a));
        if addresses.is_empty() {
            return Err(not_sent(io::Error::from(io::ErrorKind::AddrNotAvailable).into()));
        }
        Ok(addresses)
    }
}

fn not_found(error: ResolveError) -> Error {
    not_sent(match error {
        ResolveError::NotFound => Error::HostNotFound,
        ResolveError::Late => Error::Timeout(Timeout::Resolve),
        ResolveError::Thread(error) => error.into(),
    })
}
