//! Which TLS servers are trusted, and how we show who we are: the `[tls]` section.

use std::path::PathBuf;

use crate::secret::Secret;

/// The `[tls]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Where `extra_roots` came from.
    pub ca_file: Option<PathBuf>,
    /// The PEM text of `ca_file`.
    pub extra_roots: Option<String>,
    /// Whether Mozilla's roots are trusted.
    pub builtin_roots: bool,
    /// Whether the roots of the system are asked about issuers that Mozilla's do not
    /// know; never without those.
    pub system_roots: bool,
    /// How we show who we are, where a server asks.
    pub client: Option<ClientCertificate>,
}

/// A certificate of ours, for servers that ask for one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificate {
    /// Where `certificate` came from, unless from the configuration itself.
    pub certificate_file: Option<PathBuf>,
    /// Our certificate and those above it, in PEM form.
    pub certificate: String,
    /// Where `key` came from, unless from the configuration itself.
    pub key_file: Option<PathBuf>,
    /// The private key in PEM form.
    pub key: Secret,
}

impl Default for Tls {
    fn default() -> Self {
        Self { extra_roots: None, ca_file: None, builtin_roots: true, system_roots: true, client: None }
    }
}
