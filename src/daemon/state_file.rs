//! The state file on disk: found, read, and replaced in one step.
//!
//! A power cut at any moment leaves either the old file or the new one: the new
//! text goes to a temporary file beside it, is flushed to the disk, and takes the
//! name. The file is written only when its text has changed, which spares flash.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::engine::state::{MAX_STATE, State};

/// A state file.
pub struct Store {
    path: PathBuf,
    written: Option<String>,
}

impl Store {
    /// The state file at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, written: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; an empty state when there is none. The text says what was
    /// wrong with a file that could not be read, or not wholly.
    pub fn load(&mut self) -> (State, Option<String>) {
        match self.read() {
            Ok(text) => {
                let (state, damaged) = State::parse(&text);
                let problem = (damaged > 0).then(|| format!("{damaged} damaged lines were left out"));
                self.written = (damaged == 0).then_some(text);
                (state, problem)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (State::default(), None),
            Err(error) => (State::default(), Some(error.to_string())),
        }
    }

    fn read(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_STATE).unwrap_or(u64::MAX);
        File::open(&self.path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Replaces the file, durably, unless it already holds `text`.
    pub fn save(&mut self, text: &str) -> io::Result<()> {
        if self.written.as_deref() == Some(text) {
            return Ok(());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
        }
        let temporary = self.temporary();
        let mut file = create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, &self.path)?;
        sync_folder(folder.unwrap_or(Path::new(".")));
        self.written = Some(text.to_owned());
        Ok(())
    }

    fn temporary(&self) -> PathBuf {
        let mut name = self.path.file_name().map_or_else(|| OsString::from("state"), OsString::from);
        name.push(".new");
        self.path.with_file_name(name)
    }
}

/// Readable by its owner alone: addresses and names are nobody else's business.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the new name durable too. Some file systems and Windows refuse this on
/// folders; the rename is atomic there all the same.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// The state file for the configuration at `config` when it names none:
/// in `$STATE_DIRECTORY` (systemd), else in the platform's state folder. Two
/// configurations have two files.
#[must_use]
pub fn default_path(config: &Path, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let digest = ring::digest::digest(&ring::digest::SHA256, absolute.as_os_str().as_encoded_bytes());
    let mark = digest.as_ref().first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let stem = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    folder(variable).join(format!("{stem}-{mark:08x}.state"))
}

const NAME: &str = "ddns-update-daemon";

fn folder(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // systemd lists several folders with colons; the first is ours. On Windows a
    // colon is part of a path.
    let listed = variable("STATE_DIRECTORY").filter(|value| !value.is_empty());
    if let Some(first) = listed.and_then(|folders| std::env::split_paths(&folders).next()) {
        return first;
    }
    if cfg!(windows) {
        let base = set("LOCALAPPDATA").or_else(|| set("PROGRAMDATA")).unwrap_or_else(|| PathBuf::from("."));
        return base.join(NAME);
    }
    let home = set("HOME");
    if cfg!(target_os = "macos") {
        return home.map_or_else(
            || PathBuf::from("/var/db").join(NAME),
            |home| home.join("Library/Application Support").join(NAME),
        );
    }
    let root = home.as_deref().is_none_or(|home| home == Path::new("/root") || home == Path::new("/"));
    match (set("XDG_STATE_HOME"), home) {
        (Some(state), _) => state.join(NAME),
        (None, Some(home)) if !root => home.join(".local/state").join(NAME),
        (None, _) => PathBuf::from("/var/lib").join(NAME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ddns-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_state_is_stored_in_a_new_folder_and_read_again() {
        let folder = scratch("new");
        let mut store = Store::new(folder.join("deeper/x.state"));
        assert_eq!(store.load(), (State::default(), None));
        let text = State::default().write();
        store.save(&text).unwrap();
        assert_eq!(fs::read_to_string(store.path()).unwrap(), text);
        assert_eq!(Store::new(store.path().to_owned()).load(), (State::default(), None));
        assert_eq!(fs::read_dir(folder.join("deeper")).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_unchanged_text_is_not_written_again() {
        let folder = scratch("same");
        let mut store = Store::new(folder.join("x.state"));
        store.save("text").unwrap();
        fs::remove_file(store.path()).unwrap();
        store.save("text").unwrap();
        assert!(!store.path().exists());
        store.save("other").unwrap();
        assert!(store.path().exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_damaged_file_is_reported_and_replaced() {
        let folder = scratch("damaged");
        fs::create_dir_all(&folder).unwrap();
        let mut store = Store::new(folder.join("x.state"));
        fs::write(store.path(), b"\xff\xfe nonsense").unwrap();
        assert_eq!(store.load(), (State::default(), Some("1 damaged lines were left out".into())));
        store.save("").unwrap();
        assert_eq!(fs::read(store.path()).unwrap(), b"");
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = scratch("mode");
        let mut store = Store::new(folder.join("x.state"));
        store.save("text").unwrap();
        assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_default_place_depends_on_the_configuration_and_the_platform() {
        let path = |pairs: &[(&str, &str)], config: &str| {
            let find =
                |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| OsString::from(v));
            default_path(Path::new(config), find).to_string_lossy().into_owned()
        };
        let named =
            path(&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("HOME", "/home/x")], "/no/home.toml");
        assert!(named.starts_with("/var/lib/a/home-"), "{named}");
        assert!(
            path(&[("HOME", "/home/x")], "c.toml").starts_with("/home/x/.local/state/ddns-update-daemon/c-")
        );
        assert!(path(&[("HOME", "/root")], "c.toml").starts_with("/var/lib/ddns-update-daemon/c-"));
        assert!(path(&[], "c.toml").starts_with("/var/lib/ddns-update-daemon/c-"));
        assert!(
            path(&[("HOME", "/home/x"), ("XDG_STATE_HOME", "/s")], "c.toml").starts_with("/s/ddns-update")
        );
        assert_ne!(path(&[], "/no/a/c.toml"), path(&[], "/no/b/c.toml"));
    }
}
