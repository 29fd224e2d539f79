//! Where the state file is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The state file for the configuration at `config` when it names none:
/// in `$STATE_DIRECTORY` (systemd), else in the platform's state folder. Two
/// configurations have two files.
#[must_use]
pub fn default_path(config: &Path, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    folder(variable).join(format!("{}.state", marked(config, &absolute, usize::from(u8::MAX))))
}

/// Characters of a state file's name that the runtime files bear: a name ends at 255 bytes,
/// four may be one character, and more follows.
const MAX_STEM: usize = 50;

/// What the files of the daemon with this state file are called in the runtime folder:
/// two state files of one name in two folders have two.
#[must_use]
pub fn runtime_name(state: &Path) -> String {
    marked(state, &whole(state), MAX_STEM)
}

/// The name of a file, of at most so many characters, and the beginning of the SHA-256 of its
/// `whole` path.
fn marked(path: &Path, whole: &Path, longest: usize) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, whole.as_os_str().as_encoded_bytes());
    let mark = digest.as_ref().first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    format!("{:.longest$}-{mark:08x}", path.file_stem().unwrap_or_default().to_string_lossy())
}

/// The same file by a path from the root, through no link: of folders that are not made
/// yet, as it will be.
fn whole(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().skip(1).find_map(|folder| {
        let rest = path.strip_prefix(folder).ok()?;
        Some(fs::canonicalize(folder).ok()?.join(rest))
    });
    there.unwrap_or(path)
}

/// The state file at `path`, or else the only one there for a configuration of that
/// name: a service may have it under another path.
#[must_use]
pub fn same_or_alike(path: PathBuf) -> PathBuf {
    /// What stands before the mark, `-1234abcd.state`.
    fn beginning(path: &Path) -> Option<&str> {
        let (start, mark) = path.file_name()?.to_str()?.strip_suffix(".state")?.rsplit_once('-')?;
        (mark.len() == 8).then_some(start)
    }
    if path.exists() {
        return path;
    }
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut alike =
        paths.filter(|found| beginning(found).is_some_and(|start| beginning(&path) == Some(start)));
    match (alike.next(), alike.next()) {
        (Some(only), None) => only,
        _ => path,
    }
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

/// The folder that the next boot empties: `$RUNTIME_DIRECTORY` (systemd), else what
/// the platform has for it. Others may write to the last of them.
#[must_use]
pub fn runtime_folder(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let listed = set("RUNTIME_DIRECTORY").and_then(|folders| std::env::split_paths(&folders).next());
    let [ours, other] = ["/run", "/var/run"].map(|folder| Path::new(folder).join(NAME));
    let is_there = |folder: &PathBuf| cfg!(unix) && folder.is_dir();
    listed
        .or_else(|| Some(ours.clone()).filter(is_there))
        .or_else(|| Some(other).filter(is_there))
        .or_else(|| Some(ours).filter(|ours| cfg!(unix) && fs::create_dir(ours).is_ok()))
        .or_else(|| set("XDG_RUNTIME_DIR").map(PathBuf::from))
        .unwrap_or_else(std::env::temp_dir)
}

/// A name for a file that stands beside `path` for a while.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(|| OsString::from("state"), OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

/// Most links that are followed to the file.
const MAX_LINKS: u32 = 8;

/// The file that `path` leads to: what takes the name of a link would only replace
/// the link.
pub(super) fn resolved(path: PathBuf) -> PathBuf {
    let mut path = path;
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_state_of_a_configuration_of_that_name_is_taken_where_there_is_none() {
        let folder = std::env::temp_dir().join(format!("ddns-place-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let wanted = path("home-00000000.state");
        assert_eq!(same_or_alike(wanted.clone()), wanted);
        for other in
            ["home-1234abcd.state", "home-1234abcd.state.damaged", "home-2-1234abcd.state", "x.state"]
        {
            fs::write(path(other), "").unwrap();
        }
        assert_eq!(same_or_alike(wanted.clone()), path("home-1234abcd.state"));
        fs::write(path("home-2234abcd.state"), "").unwrap();
        assert_eq!(same_or_alike(wanted.clone()), wanted, "not guessed");
        fs::write(&wanted, "").unwrap();
        assert_eq!(same_or_alike(wanted.clone()), wanted);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn the_name_in_the_runtime_folder_depends_on_the_whole_path() {
        // printf %s /nowhere/a/home.state | sha256sum
        assert_eq!(runtime_name(Path::new("/nowhere/a/home.state")), "home-0bac2ab9");
        assert_eq!(runtime_name(Path::new("/nowhere/b/home.state")), "home-64f48c4d");
        // A name may have 255 bytes, and the longest of ours is this and `.4194304.new`.
        let long = Path::new("/nowhere").join("\u{20ac}".repeat(80)).with_extension("state");
        assert_eq!(runtime_name(&long).len(), 50 * "\u{20ac}".len() + "-01234567".len());
        let folder = std::env::temp_dir().join(format!("ddns-runtime-name-{}", std::process::id()));
        fs::create_dir_all(folder.join("real")).unwrap();
        std::os::unix::fs::symlink(folder.join("real"), folder.join("link")).unwrap();
        let real = folder.join("real/deeper/x.state");
        let name = runtime_name(&real);
        assert_eq!(runtime_name(&folder.join("link/deeper/x.state")), name);
        // It is the same once the folder is there.
        fs::create_dir(folder.join("real/deeper")).unwrap();
        for path in ["real/deeper/x.state", "link/deeper/x.state", "real/../link/deeper/x.state"] {
            assert_eq!(runtime_name(&folder.join(path)), name, "{path}");
        }
        fs::remove_dir_all(&folder).unwrap();
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
