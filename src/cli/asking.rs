//! `status`, `retry` and `update`: a person asks the running daemon, or does it in its place.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::is_path;
use crate::daemon::request::{Request, RequestKind};
use crate::daemon::runtime::{Running, running, statuses};
use crate::engine::status::Status;

/// Where systemd puts copies of the files that a service may read, under their names.
const CREDENTIALS: &str = "/run/credentials";

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
        let whole = fs::canonicalize(config).unwrap_or_else(|_| config.clone());
        if all.iter().any(|one| config_of(one) == whole) {
            all.retain(|one| config_of(one) == whole);
        } else {
            all.retain(|one| is_perhaps(config_of(one), config));
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

/// Whether the configuration of a daemon, by its path there, may be the one at `meant`: of
/// its name, and either with the same content or out of sight (gone, or in a container).
fn is_perhaps(theirs: &Path, meant: &Path) -> bool {
    // A copy may be older than the file that was changed since.
    let is_copy = || theirs.starts_with(CREDENTIALS);
    theirs.file_name() == meant.file_name() && (is_copy() || !theirs.exists() || is_same(theirs, meant))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let length = |path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len());
    // Whoever named the one may have named something endless.
    length(one).is_some_and(|length_of_one| length(other) == Some(length_of_one))
        && fs::read(one).is_ok_and(|text| fs::read(other).is_ok_and(|other| other == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Option<String>, Option<PathBuf>), OsString> {
        let words = line.split_whitespace().map(OsString::from);
        Asking::read(RequestKind::Retry, words).map(|asking| (asking.name, asking.config))
    }

    #[test]
    fn another_file_of_the_same_name_is_not_meant() {
        let folder = std::env::temp_dir().join(format!("ddns-asking-{}", std::process::id()));
        let path = |name: &str| folder.join(name);
        for (name, text) in [("a/x.toml", "1"), ("b/x.toml", "2"), ("c/x.toml", "1"), ("a/y.toml", "1")] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), text).unwrap();
        }
        let copy = PathBuf::from("/run/credentials/x.service/x.toml");
        for (theirs, meant, expected) in [
            (path("a/x.toml"), "b/x.toml", false),
            (path("a/x.toml"), "c/x.toml", true),
            (path("a/x.toml"), "a/y.toml", false),
            (path("a/x.toml"), "gone/x.toml", false),
            (path("gone/x.toml"), "b/x.toml", true),
            (path("gone/x.toml"), "a/y.toml", false),
            (copy.clone(), "b/x.toml", true),
            (copy, "a/y.toml", false),
        ] {
            assert_eq!(is_perhaps(&theirs, &path(meant)), expected, "{} {meant}", theirs.display());
        }
        fs::remove_dir_all(&folder).unwrap();
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
