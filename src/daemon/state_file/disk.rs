//! What the state file asks of the file system.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) inode: u64,
    pub(super) length: u64,
    /// When it was last changed in any way; nobody can set this time.
    pub(super) changed: Duration,
    owner: u32,
}

impl Seen {
    pub(super) fn of(file: &File) -> Self {
        file.metadata().map_or(Self::NOTHING, |metadata| Self::from(&metadata))
    }

    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|metadata| Self::from(&metadata))
    }

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
        user != 0 && self.owner != user && self.owner != 0
    }
}

/// The file system's own time of now, which an append is about to get.
pub(super) fn time(file: &File) -> Duration {
    let now = SystemTime::now();
    match file.set_modified(now) {
        Ok(()) => Seen::of(file).changed,
        // Not our file.
        Err(_) => now.duration_since(UNIX_EPOCH).unwrap_or_default(),
    }
}

/// Refuses what is no plain file: opening a pipe waits for ever, and a device is
/// not to be replaced.
pub(super) fn regular(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is no plain file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Readable by its owner alone: addresses and names are nobody else's business.
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Opens it for appending, and creates it when there is none.
pub(super) fn append_to(path: &Path) -> io::Result<File> {
    owner_only(&mut OpenOptions::new()).read(true).append(true).create(true).open(path)
}

/// Creates a file that is not there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    owner_only(&mut OpenOptions::new()).read(true).append(true).create_new(true).open(path)
}

/// Writes over the beginning of a file, durably; it takes no room on the disk.
pub(super) fn retitle(path: &Path, title: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(title.as_bytes())?;
    file.sync_all()
}

/// Gives a new file the owner of the one that it is to replace: a single run by
/// root must not take the file from the daemon's user.
pub(super) fn keep_owner(file: &File, path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(path) {
        use std::os::unix::fs::MetadataExt as _;
        // Only root can.
        let _ = std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()));
    }
    #[cfg(not(unix))]
    let _ = (file, path);
}

/// Makes a new name durable too. Some file systems and Windows refuse this on
/// folders; the rename is atomic there all the same.
pub(super) fn sync_folder(folder: Option<&Path>) {
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}
