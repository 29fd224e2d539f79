//! What the state file asks of the file system.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a lock is tried, and the rest between: who looks whether it is held has it for
/// a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_REST: Duration = Duration::from_millis(10);

/// The file system under a state file; the simulation has one of its own, which loses
/// what was not flushed.
pub trait Files {
    /// An open file.
    type File: OpenFile;
    /// What has this name, a link itself.
    fn at(&self, path: &Path) -> io::Result<Seen>;
    /// Refuses what is no plain file: opening a pipe waits for ever, and a device is
    /// not to be replaced.
    fn regular(&self, path: &Path) -> io::Result<()>;
    /// Opens it for reading.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens it for appending, and creates it when there is none.
    fn append_to(&self, path: &Path) -> io::Result<Self::File>;
    /// Creates a file that is not there.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Creates the folder and those above it.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Copies a file.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name, in the place of what had that.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Writes over the beginning of a file, durably; it takes no room on the disk.
    fn retitle(&self, path: &Path, title: &str) -> io::Result<()>;
    /// Gives a new file the owner of the one that it is to replace: a single run by
    /// root must not take the file from the daemon's user.
    fn keep_owner(&self, file: &Self::File, path: &Path);
    /// Makes a new name durable too. Some file systems and Windows refuse this on
    /// folders; the rename is atomic there all the same.
    fn sync_folder(&self, folder: Option<&Path>);
}

/// A file of [`Files`].
pub trait OpenFile {
    /// What it is now.
    fn seen(&self) -> Seen;
    /// The file system's own time of now, which an append is about to get.
    fn time(&self) -> Duration;
    /// Its first bytes, at most `limit`.
    fn read(&self, limit: u64) -> io::Result<Vec<u8>>;
    /// Adds bytes at its end.
    fn add(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// What was written survives a power cut, and with `all` its length and times.
    fn sync(&self, all: bool) -> io::Result<()>;
    /// Takes it for this process; `false`: another has it.
    fn lock(&self) -> bool;
}

/// The system's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Its number.
    pub inode: u64,
    /// Bytes.
    pub length: u64,
    /// When it was last changed in any way; nobody can set this time.
    pub changed: Duration,
    /// The user whose it is.
    pub owner: u32,
}

impl Seen {
    const NOTHING: Self = Self { inode: 0, length: 0, changed: Duration::ZERO, owner: 0 };

    #[cfg(unix)]
    fn from(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let seconds = Duration::from_secs(metadata.ctime().try_into().unwrap_or(0));
        let nanos = Duration::from_nanos(metadata.ctime_nsec().try_into().unwrap_or(0));
        let changed = seconds.saturating_add(nanos);
        Self { inode: metadata.ino(), length: metadata.len(), changed, owner: metadata.uid() }
    }

    /// There are neither inodes nor owners in std for other systems.
    #[cfg(not(unix))]
    fn from(metadata: &Metadata) -> Self {
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self { inode: 0, length: metadata.len(), changed: changed.unwrap_or_default(), owner: 0 }
    }

    /// Whether another user, who is not root, could have written it. Root believes
    /// what it finds where it was told to look: files that are mounted into
    /// containers belong to anyone.
    pub(super) fn is_foreign(&self) -> bool {
        #[cfg(unix)]
        let user = crate::daemon::process::user();
        #[cfg(not(unix))]
        let user = 0;
        self.is_foreign_to(user)
    }

    fn is_foreign_to(&self, user: u32) -> bool {
        user != 0 && self.owner != user && self.owner != 0
    }
}

impl OpenFile for File {
    fn seen(&self) -> Seen {
        self.metadata().map_or(Seen::NOTHING, |metadata| Seen::from(&metadata))
    }

    fn time(&self) -> Duration {
        let now = SystemTime::now();
        match self.set_modified(now) {
            Ok(()) => self.seen().changed,
            // Not our file.
            Err(_) => now.duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn sync(&self, all: bool) -> io::Result<()> {
        if all { self.sync_all() } else { self.sync_data() }
    }

    fn lock(&self) -> bool {
        for _ in 0..LOCK_TRIES {
            if !matches!(self.try_lock(), Err(TryLockError::WouldBlock)) {
                return true;
            }
            std::thread::sleep(LOCK_REST);
        }
        false
    }
}

impl Files for System {
    type File = File;

    fn at(&self, path: &Path) -> io::Result<Seen> {
        fs::symlink_metadata(path).map(|metadata| Seen::from(&metadata))
    }

    fn regular(&self, path: &Path) -> io::Result<()> {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is no plain file")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn append_to(&self, path: &Path) -> io::Result<File> {
        owner_only(&mut OpenOptions::new()).read(true).append(true).create(true).open(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        owner_only(&mut OpenOptions::new()).read(true).append(true).create_new(true).open(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::copy(from, to).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn retitle(&self, path: &Path, title: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(title.as_bytes())?;
        file.sync_all()
    }

    fn keep_owner(&self, file: &File, path: &Path) {
        #[cfg(unix)]
        if let Ok(metadata) = fs::metadata(path) {
            use std::os::unix::fs::MetadataExt as _;
            // Only root can.
            let _ = std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()));
        }
        #[cfg(not(unix))]
        let _ = (file, path);
    }

    fn sync_folder(&self, folder: Option<&Path>) {
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
    }
}

/// Readable by its owner alone: addresses and names are nobody else's business.
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_foreign_unless_that_or_we_are_root() {
        for (user, owner, foreign) in
            [(0, 0, false), (0, 1000, false), (1000, 1000, false), (1000, 0, false), (1000, 1001, true)]
        {
            let seen = Seen { owner, ..Seen::NOTHING };
            assert_eq!(seen.is_foreign_to(user), foreign, "{owner}'s, to {user}");
        }
    }

    #[test]
    fn what_may_become_a_plain_file_is_one() {
        let folder = std::env::temp_dir();
        let program = std::env::current_exe().unwrap();
        assert!(System.regular(&program).is_ok());
        assert!(System.regular(&folder.join("there-is-no-such-file")).is_ok());
        assert!(System.regular(&folder).is_err());
        #[cfg(unix)]
        assert!(System.regular(&program.join("below-a-file")).is_err());
    }
}
