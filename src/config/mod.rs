//! What the user asked for.
//!
//! These are the values that the rest of the program works with: checked,
//! complete, defaults filled in. Reading them from TOML is the business of the
//! files beside this one.

mod builder;
mod cloudflare;
mod common;
mod describe;
mod dyndns;
mod files;
mod fingerprint;
mod key_file;
mod load;
mod names;
mod problems;
mod programs;
mod provider_url;
mod proxy;
mod read;
mod requests;
mod rfc2136;
mod section;
mod sources;
mod typos;

pub use describe::hidden_url;
pub use files::ReadFile;
pub use load::load;
pub use problems::ConfigError;
pub use proxy::{Proxies, Proxy};
pub use read::parse;
pub use sources::read_gateway;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::dns::name::Name;
use crate::dns::server::{Server, Transport};
use crate::dns::tsig::Key;
use crate::secret::Secret;
use crate::updaters::placeholders::Needs;
use crate::updaters::providers::Preset;
use crate::url::LanUrl;

/// A whole configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Time between two looks; at least a second.
    pub interval: Duration,
    /// Whether announcements of gateways and the kernel are listened for.
    pub events: bool,
    /// Every source that some target uses, each once.
    pub sources: Vec<Source>,
    /// How TLS servers are checked.
    pub tls: Tls,
    /// Through whom web servers are reached.
    pub proxies: Proxies,
    /// Updaters. The targets of one group are brought up to date in one job.
    pub groups: Vec<Group>,
    /// What is kept up to date.
    pub targets: Vec<Target>,
    /// Where the state is kept; `None`: the platform's place.
    pub state_file: Option<PathBuf>,
    /// What the user should know about this configuration, one sentence each.
    pub warnings: Vec<String>,
}

/// What is in force where the file says nothing.
impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5 * 60),
            events: true,
            sources: Vec::new(),
            tls: Tls::default(),
            proxies: Proxies::default(),
            groups: Vec::new(),
            targets: Vec::new(),
            state_file: None,
            warnings: Vec::new(),
        }
    }
}

/// Where addresses come from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// A gateway, asked by UPnP.
    Upnp(Gateway),
    /// A gateway, asked by NAT-PMP; `None`: the default route's.
    NatPmp(Option<IpAddr>),
    /// A gateway, asked by PCP, which needs a port mapping for a moment; `None`:
    /// the default route's.
    Pcp(Option<IpAddr>),
    /// This host's own addresses; `None`: of the default route's interface.
    Interface(Option<String>),
    /// A service on the internet that answers with the address it sees; its
    /// URL, without credentials and query. Plain http towards private
    /// addresses only.
    Echo(String),
}

/// As it stands in the configuration.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upnp(Gateway::Any) => f.write_str("upnp"),
            Self::Upnp(Gateway::At(address)) => write!(f, "upnp:{address}"),
            Self::Upnp(Gateway::Description(url)) => write!(f, "upnp:{url}"),
            Self::NatPmp(None) => f.write_str("natpmp"),
            Self::NatPmp(Some(address)) => write!(f, "natpmp:{address}"),
            Self::Pcp(None) => f.write_str("pcp"),
            Self::Pcp(Some(address)) => write!(f, "pcp:{address}"),
            Self::Interface(None) => f.write_str("interface"),
            Self::Interface(Some(name)) => write!(f, "interface:{name}"),
            Self::Echo(url) => f.write_str(url),
        }
    }
}

/// Which gateway to ask.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Gateway {
    /// The default route's, or the first that answers a search.
    Any,
    /// The one at this address.
    At(IpAddr),
    /// The one with this description; it is not searched for.
    Description(LanUrl),
}

/// The `[tls]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Where `extra_roots` came from.
    pub ca_file: Option<PathBuf>,
    /// The PEM text of `ca_file`.
    pub extra_roots: Option<String>,
    /// Whether Mozilla's roots are trusted.
    pub builtin_roots: bool,
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
        Self { extra_roots: None, ca_file: None, builtin_roots: true, client: None }
    }
}

/// One thing that is kept up to date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Its label in logs and state.
    pub name: String,
    /// Which of [`Config::groups`] updates it.
    pub group: usize,
    /// Which entry of the group it is.
    pub entry: usize,
    /// Changes when what is sent, or where to, does in the configuration, secrets
    /// included; not with its name, sources or schedule (SHA-256 in hex digits;
    /// with `-2` and so on behind it when a target is configured repeatedly).
    pub fingerprint: String,
    /// It is not sent without these.
    pub required: Needs,
    /// It is also sent again when one of these is new.
    pub optional: Needs,
    /// Sources of its IPv4 address, by preference, as indexes of [`Config::sources`].
    pub ipv4: Vec<usize>,
    /// Sources of its IPv6 address and prefix, likewise.
    pub ipv6: Vec<usize>,
    /// How many of them must give the same address; at least 1.
    pub agree: usize,
    /// Whether addresses outside global unicast space may be published.
    pub allow_private: bool,
    /// Its IPv6 address is the router's prefix with this host part.
    pub ipv6_suffix: Option<Ipv6Addr>,
    /// When to send an unchanged address again.
    pub refresh: Option<Duration>,
    /// When to check an unchanged record, which is sent only if it differs.
    pub verify: Option<Duration>,
    /// Whether a required address that definitely does not exist is sent as an
    /// empty text.
    pub empty_when_absent: bool,
    /// Whether it is also sent at every start.
    pub at_start: bool,
}

/// An updater with what it needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Group {
    /// A `[cloudflare]` section; its records are the entries.
    Cloudflare(Cloudflare),
    /// A `[[urls]]` section; one entry.
    Url(Url),
    /// The `[[dyndns]]` sections of one account; its names are the entries.
    Dyndns(Box<Dyndns>),
    /// An `[[rfc2136]]` section; its records are the entries.
    Rfc2136(Rfc2136),
    /// A `[[runs]]` section; one entry.
    Run(Run),
}

/// A `[cloudflare]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cloudflare {
    /// The API token.
    pub api_token: Secret,
    /// The zone's id; `None`: found from the records' names.
    pub zone_id: Option<String>,
    /// The API's base URL, without a slash at its end.
    pub api_url: String,
    /// The records.
    pub records: Vec<CloudflareRecord>,
}

/// A `[[cloudflare.records]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloudflareRecord {
    /// `@`, relative or full, in ASCII (IDN already in punycode), lower case,
    /// without a dot at its end.
    pub name: String,
    /// AAAA instead of A.
    pub aaaa: bool,
    /// Seconds; 1 means automatic. Sent only when given.
    pub ttl: Option<u32>,
    /// Sent only when given.
    pub proxied: Option<bool>,
    /// Sent only when given; it also says which of several records is ours.
    pub comment: Option<String>,
    /// Whether a missing record is created.
    pub create: bool,
}

/// A `[[urls]]` section. Every text may hold placeholders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    /// In capitals.
    pub method: &'static str,
    /// http or https.
    pub url: Secret,
    /// Names and values.
    pub headers: Vec<(String, Secret)>,
    /// The body.
    pub body: Option<Secret>,
    /// First words of an accepted answer; `None`: any 2xx without a known
    /// failure word.
    pub expect: Option<Vec<String>>,
}

impl Group {
    /// The shortest time between two updates of the account.
    #[must_use]
    pub fn pause(&self) -> Duration {
        match self {
            Self::Dyndns(account) => account.preset.pause,
            Self::Cloudflare(_) | Self::Url(_) | Self::Rfc2136(_) | Self::Run(_) => Duration::ZERO,
        }
    }
}

/// An account of a dyndns2 service or one of its cousins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dyndns {
    /// How it is asked; for a server of the user's own made from its URL.
    pub preset: Preset,
    /// The URL as it stands in the configuration, for a server of the user's own.
    pub url: Option<Secret>,
    /// The user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The token.
    pub token: Option<Secret>,
    /// The names in ASCII, lower case, without a dot at the end; one may be empty
    /// where the credentials decide the name.
    pub hostnames: Vec<String>,
}

/// An `[[rfc2136]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rfc2136 {
    /// The zone's primary; `None`: the one that the zone names.
    pub server: Option<Server>,
    /// The zone; `None`: found from the records' names.
    pub zone: Option<Name>,
    /// What updates are signed with; `None`: they are not.
    pub key: Option<Key>,
    /// Seconds.
    pub ttl: u32,
    /// Over what the server is asked.
    pub transport: Transport,
    /// The records; none occurs twice.
    pub records: Vec<Rfc2136Record>,
}

/// An `[[rfc2136.records]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rfc2136Record {
    /// The full name.
    pub name: Name,
    /// AAAA instead of A.
    pub aaaa: bool,
}

/// A `[[runs]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// Program and arguments; arguments may hold placeholders.
    pub cmd: Vec<String>,
    /// When the process group is ended.
    pub timeout: Duration,
}
