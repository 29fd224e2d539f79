//! `[monitor]` and `metrics_file`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::describe::{TomlWriter, list, path, toml_string};
use super::files::Files;
use super::idn::ascii_name;
use super::section::{Section, Value};
use crate::features;

const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9853);

/// What the daemon shows of itself, and where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Showing {
    /// `[monitor]`.
    pub monitor: Option<Monitor>,
    /// Where the metrics are written for node_exporter.
    pub metrics_file: Option<PathBuf>,
}

/// The `[monitor]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Monitor {
    pub listen: Listen,
    /// Names besides localhost that may stand in Host, in ASCII.
    pub hosts: Vec<String>,
}

/// Where it listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// As it stands in the configuration.
impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Showing {
    pub(super) fn read(top: &mut Section<'_>, files: &Files<'_>) -> Self {
        let file = top.take("metrics_file");
        let monitor = top.take("monitor").and_then(|value| value.section("[monitor]"));
        if let Some(why) = features::left_out("monitor") {
            let _ = file.and_then(|value| value.refuse_key::<()>(&why));
            let _ = monitor.map(|section| section.refuse(&why));
            return Self::default();
        }
        Self { metrics_file: file.and_then(|value| files.path(&value)), monitor: monitor.and_then(read) }
    }

    /// The key at the top.
    pub(super) fn write_top(&self, page: &mut TomlWriter) {
        page.maybe("metrics_file", self.metrics_file.as_deref().map(path));
    }

    pub(super) fn write(&self, page: &mut TomlWriter) {
        if let Some(Monitor { listen, hosts }) = &self.monitor {
            page.header("[monitor]");
            page.entry("listen", toml_string(&listen.to_string()));
            page.maybe(
                "hosts",
                Some(hosts).filter(|hosts| !hosts.is_empty()).map(|hosts| list(hosts.iter().cloned())),
            );
        }
    }
}

fn read(mut section: Section<'_>) -> Option<Monitor> {
    let listen = section.take("listen").map_or(Some(Listen::Tcp(DEFAULT)), |value| read_listen(&value));
    let hosts = section
        .take("hosts")
        .map_or_else(|| Some(Vec::new()), |value| value.list()?.iter().map(read_host).collect());
    section.finish();
    Some(Monitor { listen: listen?, hosts: hosts? })
}

fn read_listen(value: &Value<'_>) -> Option<Listen> {
    let text = value.line()?;
    let expected = "expected an address with a port (\"127.0.0.1:9853\", \"[::1]:9853\") or a socket \
                    (\"unix:/run/ddns-update-daemon/monitor\")";
    if let Some(path) = text.strip_prefix("unix:") {
        let usable = cfg!(unix) && path.starts_with('/') && !path.ends_with('/');
        return if usable { Some(Listen::Unix(path.into())) } else { value.refuse(expected) };
    }
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    address.map(Listen::Tcp).or_else(|| value.refuse(expected))
}

fn read_host(value: &Value<'_>) -> Option<String> {
    match ascii_name(value.line()?.trim()) {
        Ok(name) if name != "@" && !name.contains('*') => Some(name),
        Ok(_) => value.refuse("expected a host's name"),
        Err(problem) => value.refuse(&problem),
    }
}
