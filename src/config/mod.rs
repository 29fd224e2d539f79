//! What the user asked for.
//!
//! These are the values that the rest of the program works with: checked,
//! complete, defaults filled in. Reading them from TOML is the business of the
//! files beside this one.

mod builder;
#[cfg(feature = "cloudflare")]
mod cloudflare;
mod defaults;
mod describe;
mod differences;
#[cfg(not(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136")))]
pub mod disabled;
#[cfg(feature = "dyndns")]
mod dyndns;
pub mod error;
mod files;
pub mod fingerprint;
pub mod idn;
mod load;
pub mod monitor;
pub mod notify;
pub mod placeholders;
#[cfg(feature = "dyndns")]
pub mod presets;
mod provider_url;
mod proxy;
mod read;
#[cfg(any(feature = "cloudflare", feature = "rfc2136"))]
mod record;
mod repeated;
#[cfg(feature = "rfc2136")]
mod rfc2136;
mod run;
mod section;
mod sources;
pub mod suggest;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod units;
mod url;

#[cfg(not(feature = "cloudflare"))]
use self::disabled as cloudflare;
#[cfg(not(feature = "dyndns"))]
use self::disabled as dyndns;
#[cfg(not(feature = "rfc2136"))]
use self::disabled as rfc2136;

pub use cloudflare::{Cloudflare, CloudflareRecord};
pub use describe::hidden_url;
pub use dyndns::Dyndns;
pub use error::ConfigError;
pub use files::ReadFile;
pub use load::load;
pub use read::parse;
pub use rfc2136::{Rfc2136, Rfc2136Record};
pub use sources::read_gateway;

pub use crate::transport::proxy::{Proxies, Proxy};
pub use crate::transport::trust::{ClientCertificate, Tls};

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::placeholders::Needs;
use crate::http::lan_url::LanUrl;
use crate::quote::Secrets;
use crate::secret::Secret;
use crate::transport::url::HttpUrl;

/// Names that are listed for who has misspelt one.
const SHOWN: usize = 20;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Time between two polls; at least a second.
    pub interval: Duration,
    /// Whether announcements of gateways and the kernel are listened for.
    pub events: bool,
    /// Every source that some target uses, each once.
    pub sources: Vec<Source>,
    /// How TLS servers are checked.
    pub tls: Tls,
    /// Through whom web servers are reached.
    pub proxies: Proxies,
    /// What the daemon shows of itself.
    pub showing: monitor::Showing,
    /// Who is told what happens.
    pub telling: notify::Telling,
    /// Updaters. The targets of one group are brought up to date in one job.
    pub groups: Vec<UpdaterConfig>,
    /// What is kept up to date.
    pub targets: Vec<Arc<Target>>,
    /// Where the state is kept; `None`: the platform's place.
    pub state_file: Option<PathBuf>,
    /// What no text from a server may show: the secrets of all sections, as the
    /// servers of two may know each other.
    pub secrets: Arc<Secrets>,
    /// What the user should know about this configuration, one sentence each.
    pub warnings: Vec<String>,
    /// Sections and records that cannot work and are left out, with place and
    /// reason: 1.0 accepted them and failed on them alone.
    pub left_out: Vec<String>,
    /// What behaves otherwise for this file than in 1.0, when 1.0 could read it.
    pub differences: Vec<&'static str>,
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
            showing: monitor::Showing::default(),
            telling: notify::Telling::default(),
            groups: Vec::new(),
            targets: Vec::new(),
            state_file: None,
            secrets: Arc::default(),
            warnings: Vec::new(),
            left_out: Vec::new(),
            differences: Vec::new(),
        }
    }
}

impl Config {
    /// The indexes of the targets that a person means by `name`; all without one.
    #[must_use]
    pub fn called(&self, name: Option<&str>) -> Vec<usize> {
        let is_meant = |target: &Target| name.is_none_or(|name| target.is_called(name));
        let targets = self.targets.iter().enumerate();
        targets.filter(|(_, target)| is_meant(target)).map(|(index, _)| index).collect()
    }

    /// Says that nothing is called so, and what there is.
    #[must_use]
    pub fn no_such_target(&self, name: &str) -> String {
        let all: Vec<usize> = (0..self.targets.len()).collect();
        format!("no target is called {name:?}; there are: {}", self.names(&all))
    }

    /// What the source with this index is called: as it is shown, with a number where that
    /// is alike for several (services at one host).
    #[must_use]
    pub fn source_name(&self, index: usize) -> String {
        let name = self.sources.get(index).map(Source::to_string).unwrap_or_default();
        let alike = self.sources.iter().take(index).filter(|source| source.to_string() == name).count();
        if alike == 0 { name } else { format!("{name} ({})", alike.saturating_add(1)) }
    }

    /// The names of these targets; of many, the first.
    #[must_use]
    pub fn names(&self, targets: &[usize]) -> String {
        let shown = targets.iter().take(SHOWN).filter_map(|index| self.targets.get(*index));
        let names: Vec<&str> = shown.map(|target| &*target.name).collect();
        let more = targets.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        names.join(", ") + &more
    }

    /// Changes when the proxy or the TLS settings do: what was refused by the old
    /// way may not be by the new one.
    #[must_use]
    pub fn way(&self) -> String {
        let url = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| proxy.url.reveal().to_owned());
        let fingerprint = fingerprint::Fingerprint::new("way")
            .maybe(url(&self.proxies.http))
            .maybe(url(&self.proxies.https))
            .list(self.proxies.exceptions.iter().map(String::as_str));
        self.tls.identify(fingerprint).finish().chars().take(16).collect()
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

/// As it stands in the configuration, without the path of a service's URL.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upnp(gateway) => write!(f, "upnp{gateway}"),
            Self::NatPmp(None) => f.write_str("natpmp"),
            Self::NatPmp(Some(address)) => write!(f, "natpmp:{address}"),
            Self::Pcp(None) => f.write_str("pcp"),
            Self::Pcp(Some(address)) => write!(f, "pcp:{address}"),
            Self::Interface(None) => f.write_str("interface"),
            Self::Interface(Some(name)) => write!(f, "interface:{name}"),
            // It may lead to a place of the user's own.
            Self::Echo(url) => f.write_str(&hidden_url(url)),
        }
    }
}

/// Which gateway to ask.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Gateway {
    /// The default route's; where the system tells no routes, the first that
    /// answers a search.
    Any,
    /// The one at one of these addresses.
    At(Vec<IpAddr>),
    /// The one with this description; it is not searched for.
    Description(LanUrl),
    /// The one that this name stands for when it is asked, at this URL if there is
    /// one, whose host is to be replaced.
    Named(String, Option<LanUrl>),
    /// One connection of a gateway that has several, by its number or name.
    Line(Box<Gateway>, String),
}

/// As it stands behind `upnp`.
impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::At(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                write!(f, ":{}", addresses.join(","))
            }
            Self::Description(url) => write!(f, ":{url}"),
            Self::Named(name, None) => write!(f, ":{name}"),
            Self::Named(_, Some(url)) => write!(f, ":http://{}{}", url.authority(), url.path()),
            Self::Line(gateway, line) if **gateway == Self::Any => write!(f, ":#{line}"),
            Self::Line(gateway, line) => write!(f, "{gateway}#{line}"),
        }
    }
}

/// One thing that is kept up to date.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Target {
    /// Its label in logs and state.
    pub name: Arc<str>,
    /// The host name that it keeps; empty where there is none.
    pub host: Arc<str>,
    /// Which of [`Config::groups`] updates it.
    pub group: usize,
    /// Which entry of the group it is.
    pub entry: usize,
    /// What it is called in the state file. Changes when what is sent, or where to, does in
    /// the configuration, secrets included; not with its name, sources or schedule (the
    /// beginning of a SHA-256 in hex digits; with `-2` and so on behind it when a target
    /// is configured repeatedly).
    pub id: Box<str>,
    /// It is not sent without these.
    pub required: Needs,
    /// It is also sent again when one of these is new.
    pub optional: Needs,
    /// Sources of its IPv4 address, by preference, as indexes of [`Config::sources`].
    pub ipv4: Arc<[usize]>,
    /// Sources of its IPv6 address and prefix, likewise.
    pub ipv6: Arc<[usize]>,
    /// Those are the default, the gateway and this host: the first speaks alone, or leaves
    /// it to the second.
    pub follows_gateway: bool,
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
    /// What it is given when known, without being a reason to send it.
    pub extra: Needs,
    /// Its placeholders name both families: one that is absent from the beginning
    /// is sent as an empty text, as in 1.0.
    pub both_families: bool,
    /// It says no address to anyone, so that it is also sent when the router has
    /// a private one that it has not been sent for.
    pub any_address: bool,
}

/// Whether a word on the command line is the path of a configuration, and no name.
#[must_use]
pub fn is_path(word: &str) -> bool {
    word.contains(['/', std::path::MAIN_SEPARATOR])
        || Path::new(word).extension().is_some_and(|e| e == "toml")
}

impl Target {
    /// Whether a person who says `name` means it: its label, or its host name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let host = |text: &str| text.trim_end_matches('.').to_lowercase();
        *self.name == *name || (!self.host.is_empty() && host(&self.host) == host(name))
    }

    /// The call that has it tried again now.
    #[must_use]
    pub fn retry_call(&self) -> String {
        // What a shell and our own command line take for a name.
        let name = if self.host.is_empty() { &*self.name } else { &*self.host };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let call = "ddns-update-daemon retry";
        match name {
            name if is_path(name) || name.contains(['\'', '\\']) || name.starts_with('-') => call.to_owned(),
            name if name.chars().all(plain) => format!("{call} {name}"),
            name => format!("{call} '{name}'"),
        }
    }
}

/// An updater with what it needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UpdaterConfig {
    /// A `[cloudflare]` section; its records are the entries.
    Cloudflare(Box<Cloudflare>),
    /// A `[[urls]]` section; one entry.
    Url(Box<Url>),
    /// The `[[dyndns]]` sections of one account; its names are the entries.
    Dyndns(Arc<Dyndns>),
    /// An `[[rfc2136]]` section; its records are the entries.
    Rfc2136(Box<Rfc2136>),
    /// A `[[runs]]` section; one entry.
    Run(Box<Run>),
}

/// A `[[urls]]` section. Every text may hold placeholders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    /// In capitals.
    pub method: &'static str,
    /// http or https.
    pub url: Secret,
    pub headers: Vec<(String, Secret)>,
    pub body: Option<Secret>,
    /// First words of an accepted answer; `None`: any 2xx without a known
    /// failure word.
    pub expect: Option<Vec<String>>,
}

impl UpdaterConfig {
    /// Its kind in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Cloudflare(_) => "cloudflare",
            Self::Url(_) => "url",
            Self::Dyndns(_) => "dyndns",
            Self::Rfc2136(_) => "rfc2136",
            Self::Run(_) => "program",
        }
    }

    /// The shortest time between two updates of the account.
    #[must_use]
    pub fn pause(&self) -> Duration {
        match self {
            Self::Dyndns(account) => account.pause(),
            Self::Cloudflare(_) | Self::Url(_) | Self::Rfc2136(_) | Self::Run(_) => Duration::ZERO,
        }
    }

    /// Scheme, host and port of the web server that it goes to, where other sections may
    /// go to the same.
    #[must_use]
    pub fn server(&self) -> Option<String> {
        let url = match self {
            Self::Url(url) => url.url.reveal(),
            Self::Dyndns(account) => account.server(),
            Self::Cloudflare(_) | Self::Rfc2136(_) | Self::Run(_) => return None,
        };
        HttpUrl::split(url).ok().map(|url| url.server())
    }
}

/// A `[[runs]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// Program and arguments; arguments may hold placeholders.
    pub cmd: Vec<String>,
    /// When the process group is ended.
    pub timeout: Duration,
    /// Whether it is run again for the same address when it fails.
    pub retry: bool,
    /// Whether it comes after the first answers of the other targets and after the
    /// programs before it.
    pub wait: bool,
}
