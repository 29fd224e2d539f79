//! An account as a value, and as it is shown.

use std::sync::Arc;
use std::time::Duration;

use crate::config::describe::{HIDDEN, TomlWriter, hidden_url, toml_string};
use crate::config::fingerprint::Fingerprint;
use crate::config::presets::Preset;
use crate::config::repeated::in_url;
use crate::config::{Config, UpdaterConfig};
use crate::secret::Secret;

/// An account of a dyndns2 service or one of its cousins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dyndns {
    /// How it is asked; for a server of the user's own made from its URL.
    pub preset: Arc<Preset>,
    /// The URL as it stands in the configuration, for a server of the user's own.
    pub url: Option<Arc<Secret>>,
    pub username: Option<Secret>,
    pub password: Option<Secret>,
    pub token: Option<Secret>,
    /// The names in ASCII, lower case, without a dot at the end; one may be empty
    /// where the credentials decide the name.
    pub hostnames: Vec<Arc<str>>,
}

impl Dyndns {
    /// The shortest time between two updates.
    pub(in crate::config) fn pause(&self) -> Duration {
        self.preset.pause
    }

    /// The URL that leads to the server.
    pub(in crate::config) fn server(&self) -> &str {
        &self.preset.url
    }

    /// What must not be shown of an answer.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        // A name is shown; it is the user's where each name has a user of its own.
        let user =
            self.username.iter().filter(|user| !self.hostnames.iter().any(|name| **name == *user.reveal()));
        let given = [&self.password, &self.token].into_iter().flatten().chain(user);
        let url = self.url.iter().flat_map(|url| in_url(url.reveal()));
        given.map(|secret| secret.reveal().to_owned()).chain(url).collect()
    }

    /// Writes all accounts of `config` as TOML, their secrets hidden: a section
    /// for each name, in the order of the targets; those of one account are one
    /// group again.
    #[expect(clippy::unused_self, reason = "a build without dyndns2 has none to write")]
    pub(in crate::config) fn write_all(&self, config: &Config, page: &mut TomlWriter) {
        for target in &config.targets {
            let Some(UpdaterConfig::Dyndns(account)) = config.groups.get(target.group) else { continue };
            page.header("[[dyndns]]");
            page.entry("name", toml_string(&target.name));
            account.write(page, account.hostnames.get(target.entry).map_or("", |name| &**name));
            config.write_common(page, Some(target));
        }
    }

    fn write(&self, page: &mut TomlWriter, hostname: &str) {
        match &self.url {
            Some(url) => page.entry("url", toml_string(&hidden_url(url.reveal()))),
            None => page.entry("provider", toml_string(&self.preset.name)),
        }
        page.maybe("hostname", (!hostname.is_empty()).then(|| toml_string(hostname)));
        let shown = |user: &str| if is_domain_of(user, hostname) { user } else { HIDDEN }.to_owned();
        page.maybe("username", self.username.as_ref().map(|user| toml_string(&shown(user.reveal()))));
        page.maybe("password", self.password.as_ref().map(|_| toml_string(HIDDEN)));
        page.maybe("token", self.token.as_ref().map(|_| toml_string(HIDDEN)));
    }
}

/// Whether a user is the domain that a host name is in, or is the name itself, as
/// some providers want it.
fn is_domain_of(user: &str, hostname: &str) -> bool {
    hostname.strip_suffix(user).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Of the account; its presets may get better without being another one.
pub(super) fn fingerprint(account: &Dyndns) -> Fingerprint {
    Fingerprint::new("dyndns")
        .text(&account.preset.name)
        .maybe(account.url.as_ref().map(|url| url.reveal()))
        .maybe(account.username.as_ref().map(Secret::reveal))
        .maybe(account.password.as_ref().map(Secret::reveal))
        .maybe(account.token.as_ref().map(Secret::reveal))
}
