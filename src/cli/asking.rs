//! `status`, `retry` and `update`: a person asks the running daemon, or does it in its place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::is_path;
use crate::daemon::request::{Request, RequestKind};
use crate::daemon::runtime::{Running, running, statuses};
use crate::engine::status::Status;

/// Which daemon is meant.
pub enum Found {
    /// This one.
    One(Running),
    /// None; the configurations of others.
    None(Vec<PathBuf>),
    /// One of several.
    Several(Vec<Running>),
}

/// What `retry` and `update` work with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asking {
    pub kind: RequestKind,
    /// A label or host name; `None`: every target.
    pub name: Option<String>,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

impl Asking {
    /// Reads what follows the command; the error is one argument too many.
    pub(super) fn read(kind: RequestKind, words: impl Iterator<Item = OsString>) -> Result<Self, OsString> {
        let mut asking = Self { kind, name: None, config: None };
        for word in words {
            let text = word.to_string_lossy().into_owned();
            match (is_path(&text), &asking.name, &asking.config) {
                (true, _, None) => asking.config = Some(PathBuf::from(word)),
                // Nobody means every target by a name that is empty.
                (false, None, _) if !text.is_empty() => asking.name = Some(text),
                _ => return Err(word),
            }
        }
        Ok(asking)
    }

    /// For a running daemon.
    #[must_use]
    pub fn request(&self) -> Request {
        Request { id: std::process::id(), kind: self.kind, name: self.name.clone() }
    }

    /// The daemon that is meant: the one with this configuration, which a service may
    /// have under another path, or the only one.
    #[must_use]
    pub fn find(&self, folder: &Path) -> Found {
        let mut all = running(folder);
        let configs = configs(&all);
        self.keep_meant(&mut all, |daemon| &daemon.config);
        match (all.pop(), all.is_empty()) {
            (None, _) => Found::None(configs),
            (Some(one), true) => Found::One(one),
            (Some(last), false) => Found::Several(all.into_iter().chain([last]).collect()),
        }
    }
}

/// The configurations of these daemons.
#[must_use]
pub fn configs(daemons: &[Running]) -> Vec<PathBuf> {
    daemons.iter().map(|daemon| daemon.config.clone()).collect()
}

impl Asking {
    /// Keeps those of `all` that are meant.
    fn keep_meant<T>(&self, all: &mut Vec<T>, config_of: impl Fn(&T) -> &Path) {
        let Some(config) = &self.config else { return };
        let whole = std::fs::canonicalize(config).unwrap_or_else(|_| config.clone());
        if all.iter().any(|one| config_of(one) == whole) {
            all.retain(|one| config_of(one) == whole);
        } else {
            all.retain(|one| config_of(one).file_name() == config.file_name());
        }
    }

    /// What a daemon that is meant, and is not found, wrote last.
    #[must_use]
    pub fn last_status(&self, folder: &Path) -> Option<Status> {
        let texts = statuses(folder).into_iter().flatten();
        let mut all: Vec<Status> = texts.filter_map(|text| super::status::read(&text)).collect();
        self.keep_meant(&mut all, |status| Path::new(&status.config));
        all.into_iter().max_by_key(|status| status.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Option<String>, Option<PathBuf>), OsString> {
        let words = line.split_whitespace().map(OsString::from);
        Asking::read(RequestKind::Retry, words).map(|asking| (asking.name, asking.config))
    }

    #[test]
    fn what_looks_like_a_path_is_the_configuration() {
        let (name, config) = (|name: &str| Some(name.to_owned()), |path: &str| Some(PathBuf::from(path)));
        for (line, expected) in [
            ("", (None, None)),
            ("home.example.org", (name("home.example.org"), None)),
            ("home.toml", (None, config("home.toml"))),
            ("./home", (None, config("./home"))),
            ("home.example.org /etc/x", (name("home.example.org"), config("/etc/x"))),
            ("/etc/x home.example.org", (name("home.example.org"), config("/etc/x"))),
        ] {
            assert_eq!(read(line), Ok(expected), "{line}");
        }
        for (line, one) in [("a b", "b"), ("a.toml b.toml", "b.toml"), ("a b.toml c", "c")] {
            assert_eq!(read(line), Err(OsString::from(one)), "{line}");
        }
    }
}
