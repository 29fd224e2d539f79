//! The files by which a person's commands find the running daemon: in the folder that
//! the next boot empties, named after the state file and a hash of its path
//! ([`runtime_name`]), so that no two daemons share them.
//!
//! ```text
//! home-1234abcd.pid       number, its namespace, configuration; locked while it runs
//! home-1234abcd.request   what is asked, put there before the signal
//! home-1234abcd.answer    what became of it
//! home-1234abcd.status.json   what it knows and did
//! home-1234abcd.notices   who was told what ([`crate::notify::kept`])
//! ```
//!
//! Who may not read the state file sees by the lock of the first that a daemon runs: its
//! process holds both. `status` looks at the state's own lock where it finds no such file.
//!
//! Others may write to the last of the folders. So a file counts only when it belongs
//! to this user or to root, links are not followed, and no more is read than it may hold.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::process;
use super::request::{Answer, Request, RequestKind};
use super::state_file::runtime_name;
use crate::engine::status::Status;
use crate::notify::kept::MAX_KEPT;

/// The longest of these files.
const MAX_FILE: u64 = 4096;
/// The longest status: of 10,000 targets with long names and troubles.
const MAX_STATUS: u64 = 32 * 1024 * 1024;
/// Files of the folder that are looked at.
const MAX_FILES: usize = 10_000;
/// What others than the daemon's user may do with its pid file and its status.
const GROUP_READS: u32 = 0o640;
/// How long a running daemon may take to answer, and to write its status.
const PATIENCE: Duration = Duration::from_secs(5);
const STATUS_PATIENCE: Duration = Duration::from_secs(1);
/// How often the answer is looked for.
const TICK: Duration = Duration::from_millis(20);
/// How often the daemon tries to lock its file: who looks whether it runs has it for a
/// moment.
const LOCK_TRIES: u32 = 50;

/// The files of one daemon.
pub struct Runtime {
    folder: PathBuf,
    stem: String,
    /// Locked as long as this process runs.
    held: Option<File>,
    /// Another process has it locked: the files are its own.
    is_anothers: bool,
}

pub struct Running {
    pub process: u32,
    pub config: PathBuf,
    runtime: Runtime,
}

impl Runtime {
    /// The files in `folder` of the daemon with this state file.
    #[must_use]
    pub fn new(folder: &Path, state: &Path) -> Self {
        Self::called(folder, runtime_name(state))
    }

    fn called(folder: &Path, stem: String) -> Self {
        Self { folder: folder.to_owned(), stem, held: None, is_anothers: false }
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.stem))
    }

    /// Whether this process can be found.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.held.is_some()
    }

    /// Puts the status in the place of the last one; its group may read it.
    pub fn write_status(&self, status: &Status) -> io::Result<()> {
        // Of thousands of targets it is long, so it is never a text in memory.
        self.replace("status.json", GROUP_READS, |file| {
            let mut file = BufWriter::new(file);
            status.write_json(&mut file)?;
            file.flush()
        })
    }

    /// What an earlier start of this daemon kept for this one.
    #[must_use]
    pub fn notices(&self) -> Option<String> {
        read(&self.path("notices"), process::user(), MAX_KEPT).ok()
    }

    /// Keeps it for the next start.
    pub fn keep_notices(&self, text: &str) -> io::Result<()> {
        if self.is_anothers {
            Err(ErrorKind::ResourceBusy.into())
        } else if text.is_empty() {
            fs::remove_file(self.path("notices"))
        } else {
            self.replace("notices", 0o600, |mut file| file.write_all(text.as_bytes()))
        }
    }

    fn replace(&self, kind: &str, mode: u32, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let new = self.folder.join(format!("{}.{}.new", self.stem, std::process::id()));
        let _ = fs::remove_file(&new);
        let options = &mut OpenOptions::new();
        let written = private(options.write(true).create_new(true))
            .open(&new)
            .and_then(|file| write(&file).and_then(|()| set_mode(&file, mode)))
            .and_then(|()| fs::rename(&new, self.path(kind)));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Says that this process runs with this configuration; `ResourceBusy`: another does.
    pub fn announce(&mut self, config: &Path) -> io::Result<()> {
        let path = self.path("pid");
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let mut file = match ours(&path, process::user()) {
            Ok(_) => options.open(&path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                private(options.create_new(true)).open(&path)?
            }
            Err(error) => return Err(error),
        };
        if !lock(&file) {
            self.is_anothers = true;
            let why = format!("another process holds {}", path.display());
            return Err(io::Error::new(ErrorKind::ResourceBusy, why));
        }
        let who = format!("{}\n{}\n", std::process::id(), process::namespace());
        // What an earlier process left unanswered is old; a reload is the same process.
        if !read(&path, process::user(), MAX_FILE).is_ok_and(|before| before.starts_with(&who)) {
            let _ = fs::remove_file(self.path("request"));
        }
        file.set_len(0)?;
        set_mode(&file, GROUP_READS)?;
        let config = config.to_string_lossy().replace(char::is_control, "?");
        file.write_all(format!("{who}{config}\n").as_bytes())?;
        self.held = Some(file);
        Ok(())
    }

    /// The request that somebody has put there, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Result<Request, String>> {
        let path = self.path("request");
        let text = match read(&path, process::user(), MAX_FILE) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            text => text,
        };
        let _ = fs::remove_file(&path);
        let wrong = |why: &str| format!("the request {} is left aside: {why}", path.display());
        Some(match text {
            Ok(text) => Request::parse(&text).ok_or_else(|| wrong("it is none")),
            Err(error) => Err(wrong(&error.to_string())),
        })
    }

    /// Leaves the answer for who asked.
    pub fn answer(&self, answer: &Answer) -> io::Result<()> {
        let path = self.path("answer");
        let _ = fs::remove_file(&path);
        self.put(&path, &answer.write(), None)
    }

    /// Puts a whole file there under a name that is free.
    fn put(&self, path: &Path, text: &str, owner: Option<u32>) -> io::Result<()> {
        let new = self.folder.join(format!("{}.{}.new", self.stem, std::process::id()));
        let _ = fs::remove_file(&new);
        let written =
            private(OpenOptions::new().write(true).create_new(true)).open(&new).and_then(|mut file| {
                give(&file, owner);
                file.write_all(text.as_bytes())?;
                fs::hard_link(&new, path)
            });
        let _ = fs::remove_file(&new);
        written
    }
}

/// The daemons that run, as far as this user may know.
#[must_use]
pub fn running(folder: &Path) -> Vec<Running> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(MAX_FILES);
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "pid"));
    paths.filter_map(|path| look(folder, &path)).collect()
}

/// The daemon that holds this state file, if it runs.
#[must_use]
pub fn with_state(folder: &Path, state: &Path) -> Option<Running> {
    look(folder, &Runtime::new(folder, state).path("pid"))
}

/// What the daemons of this folder wrote last, those among them that run no more.
#[must_use]
pub fn statuses(folder: &Path) -> Vec<io::Result<String>> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(MAX_FILES);
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = paths.filter(|path| path.to_string_lossy().ends_with(".status.json"));
    paths.map(|path| read_status(&path)).collect()
}

fn read_status(path: &Path) -> io::Result<String> {
    read(path, keeper(path), MAX_STATUS)
}

/// Who alone can write to the folder of this file, or else this user.
fn keeper(path: &Path) -> u32 {
    let user = process::user();
    let folder = || path.parent().and_then(owner_at);
    if ours(path, user).is_ok() { user } else { folder().unwrap_or(user) }
}

fn look(folder: &Path, path: &Path) -> Option<Running> {
    let user = keeper(path);
    let metadata = ours(path, user).ok()?;
    let file = File::open(path).ok()?;
    // Who runs holds it.
    if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let text = read(path, user, MAX_FILE).ok()?;
    let mut lines = text.strip_suffix('\n')?.splitn(3, '\n');
    let number = lines.next()?.parse().ok()?;
    // The first process of a jail is another than ours.
    let process = process::number_here(number, lines.next()?)?;
    let config = lines.next()?;
    // A file must not lead to somebody else's process.
    if process::owner_of(process).is_some_and(|user| user != owner(&metadata)) {
        return None;
    }
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    Some(Running { process, config: PathBuf::from(config), runtime: Runtime::called(folder, stem) })
}

impl Running {
    /// What it wrote last.
    pub fn status(&self) -> io::Result<String> {
        read_status(&self.runtime.path("status.json"))
    }

    /// Puts the request there, rings, and waits for the answer.
    pub fn ask(&self, request: &Request) -> Result<Answer, String> {
        let (path, user) = (self.runtime.path("request"), owner_at(&self.runtime.path("pid")));
        let failed = |error: io::Error| format!("process {} cannot be asked: {error}", self.process);
        let patience = if request.kind == RequestKind::Status { STATUS_PATIENCE } else { PATIENCE };
        let until = Instant::now().checked_add(patience).unwrap_or_else(Instant::now);
        while let Err(error) = self.runtime.put(&path, &request.write(), user) {
            if error.kind() != ErrorKind::AlreadyExists {
                return Err(failed(error));
            }
            // Somebody else is asking.
            if Instant::now() > until {
                let _ = fs::remove_file(&path);
                return Err(failed(error));
            }
            thread::sleep(TICK);
        }
        process::ring(self.process).map_err(failed)?;
        loop {
            let path = self.runtime.path("answer");
            let answer = read(&path, user.unwrap_or_else(process::user), MAX_FILE).ok();
            if let Some(answer) = answer.and_then(|text| Answer::parse(&text)).filter(|a| a.id == request.id)
            {
                return Ok(answer);
            }
            if Instant::now() > until {
                let _ = fs::remove_file(self.runtime.path("request"));
                return Err(format!("process {} did not answer in {} s", self.process, patience.as_secs()));
            }
            thread::sleep(TICK);
        }
    }
}

/// Whether no other process holds it.
fn lock(file: &File) -> bool {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(TICK),
            // File systems without locks are not in memory.
            _ => return true,
        }
    }
    false
}

/// The text of a small file of `user` or root.
fn read(path: &Path, user: u32, longest: u64) -> io::Result<String> {
    let seen = ours(path, user)?;
    let file = File::open(path)?;
    if !is_same(&seen, &file.metadata()?) {
        return Err(io::Error::other("it was replaced"));
    }
    let mut bytes = Vec::new();
    file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > longest {
        return Err(io::Error::other("it is too long"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text"))
}

/// A plain file, not a link to one, of `user` or root; root, who asks daemons of other
/// users, believes any where only they can write.
fn ours(path: &Path, user: u32) -> io::Result<Metadata> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let by = owner(&metadata);
    let folder_of = |by| path.parent().is_some_and(|folder| owner_at(folder) == Some(by));
    if by == user || by == 0 || user == 0 && folder_of(by) {
        Ok(metadata)
    } else {
        Err(io::Error::other("it belongs to another user"))
    }
}

fn owner_at(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| owner(&metadata))
}

#[cfg(unix)]
fn owner(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Readable by its owner alone.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

/// Whatever the umask is.
#[cfg(unix)]
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Only root can.
#[cfg(unix)]
fn give(file: &File, owner: Option<u32>) {
    let _ = std::os::unix::fs::fchown(file, owner, None);
}

/// There are no owners in std for other systems, where nobody is rung either.
#[cfg(not(unix))]
fn owner(_: &Metadata) -> u32 {
    0
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(not(unix))]
pub(super) fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn give(_: &File, _: Option<u32>) {}
