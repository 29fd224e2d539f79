//! The state file on disk: held against a second daemon, read, added to, and
//! written anew now and then.
//!
//! News are appended, so that a change costs bytes for itself and not for the
//! whole file; a flush covers all that was appended before. When the news outgrow
//! the rest, the file is written anew beside itself, flushed, and takes the name: in a
//! quiet moment, so that no change costs more than others.
//!
//! Lines that begin with `#` are ours. The first names the file's own inode and the
//! configuration, every append ends with the file's time:
//!
//! ```text
//! # file 1234 of /etc/ddns.toml
//! # time 1790000000.123
//! ```
//!
//! A file whose inode or time of change is another was restored from a backup, or
//! written by somebody else: what it says of targets is not believed. The time is
//! the file system's own, so no jump of the clock matters.
//!
//! Where nothing can be added (full, read-only), the record is taken back: the
//! title says `doubted`, or the file is emptied or removed, or a note in the
//! runtime folder says so until the next boot.

mod disk;
mod place;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::disk::{Files, OpenFile, Seen, System};
pub use self::place::{default_path, runtime_folder, runtime_name, same_or_alike};
use crate::engine::state::{DOUBTED, Format, MAX_STATE, State, TITLE};

/// The file is to be written anew once it is longer than so many times what was last
/// written whole, and this.
const GROWTH: u64 = 4;
const ROOM: u64 = 16 * 1024;
/// No quiet moment is waited for once it is so many times as long as that.
const OVERDUE: u64 = 2;

/// How long after its time an append may reach the file: some ticks of the file
/// system's clock, and less than a restore takes. On a busy machine the time is
/// written again, so many times at most.
const LATE: Duration = Duration::from_millis(15);
const AGAIN: u32 = 8;
/// How coarse the times of a file system may be (FAT).
const COARSE: Duration = Duration::from_secs(2);

/// The state file, its lock, and whether what it says may be believed.
pub struct Store<F: Files = System> {
    files: F,
    path: PathBuf,
    /// The configuration that it is kept for.
    config: PathBuf,
    /// Where a note is left when the file cannot be changed at all.
    note: Option<PathBuf>,
    held: Option<Held<F::File>>,
    /// Why nothing is ever written there.
    refused: Option<String>,
}

/// The open file.
struct Held<File> {
    file: File,
    /// As it was after our last write.
    seen: Seen,
    /// How long it was when it was last written whole.
    whole: u64,
    /// It does not hold what is known: the next write replaces it.
    stale: bool,
    /// Its name is new and may not be on the disk.
    unnamed: bool,
    /// The last time that was written into it.
    time: Duration,
}

/// What a state file says.
#[derive(Debug, Default)]
pub struct Loaded {
    pub state: State,
    pub problem: Option<String>,
}

/// Why a state is not kept.
#[derive(Debug)]
pub struct NotKept {
    pub why: String,
    /// What the file said before could not be taken back either.
    pub stands: bool,
}

impl Store {
    /// The state file at `path` for the configuration at `config`; `runtime` is a
    /// folder that the next boot empties.
    #[must_use]
    pub fn new(path: PathBuf, config: &Path, runtime: Option<&Path>) -> Self {
        let config = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
        let path = place::resolved(path);
        let note = runtime.map(|folder| folder.join(runtime_name(&path) + ".doubted"));
        Self::on(System, path, config, note)
    }
}

impl<F: Files> Store<F> {
    /// The same, on this file system, for names that lead through no link.
    #[must_use]
    pub fn on(files: F, path: PathBuf, config: PathBuf, note: Option<PathBuf>) -> Self {
        Self { files, path, config, note, held: None, refused: None }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration that it is kept for.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What it says, for those who only look.
    #[must_use]
    pub fn look(&self) -> Loaded {
        match self.files.regular(&self.path).and_then(|()| self.files.open(&self.path)) {
            Ok(file) => self.read(&file).loaded,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Loaded::default(),
            Err(error) => Loaded { problem: Some(error.to_string()), ..Loaded::default() },
        }
    }

    /// Whether a process holds the file, as far as this user may know.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let file = self.files.regular(&self.path).and_then(|()| self.files.open(&self.path));
        file.is_ok_and(|file| !file.lock())
    }

    /// Takes the file for this process and says what is in it. The error names who
    /// has it.
    pub fn hold(&mut self) -> Result<Loaded, String> {
        let file = match self.open() {
            Ok(file) => file,
            Err(error) => {
                if self.files.regular(&self.path).is_err() {
                    self.refused = Some(error.to_string());
                }
                return Ok(Loaded { problem: Some(error.to_string()), ..Loaded::default() });
            }
        };
        if !file.lock() {
            return Err(self.held_by_another(&file));
        }
        // Whoever held it a moment ago may have written it anew under this name.
        let seen = file.seen();
        if self.files.at(&self.path).is_ok_and(|named| named.inode != seen.inode) {
            return self.hold();
        }
        let found = self.read(&file);
        if found.newer {
            self.refused.clone_from(&found.loaded.problem);
        }
        let unnamed = seen.length == 0;
        let mut held = Held { whole: seen.length, stale: found.stale, unnamed, ..Held::new(file) };
        let differs = found.config.as_deref() != Some(self.config.as_path());
        if !held.stale && self.refused.is_none() && differs {
            let title = if seen.length == 0 { format!("{TITLE}\n") } else { String::new() };
            held.stale = held.append(&(title + &self.header(seen))).is_err();
        }
        if found.unknown {
            // Perhaps it never was a state file.
            let _ = self.files.copy(&self.path, &place::beside(&self.path, ".damaged"));
        }
        let rewrite = held.stale && self.refused.is_none();
        self.held = Some(held);
        if rewrite {
            // When it fails, the next write tries again.
            let _ = self.write_whole(&|| found.loaded.state.write());
        }
        Ok(found.loaded)
    }

    fn open(&self) -> io::Result<F::File> {
        self.files.regular(&self.path)?;
        if let Some(folder) = self.folder() {
            self.files.create_folder(folder)?;
        }
        // What may only be read is held as well.
        self.files.append_to(&self.path).or_else(|error| self.files.open(&self.path).map_err(|_| error))
    }

    fn held_by_another(&self, file: &F::File) -> String {
        let other = self.read(file).config;
        let other = other.map_or_else(|| "another process".into(), |config| config.display().to_string());
        format!(
            "the state file {} is in use by a running ddns-update-daemon with the configuration {other}, so {} \
             cannot be run beside it: two would publish over each other",
            self.path.display(),
            self.config.display()
        )
    }

    fn folder(&self) -> Option<&Path> {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty())
    }

    fn read(&self, file: &F::File) -> Found {
        let limit = u64::try_from(MAX_STATE).unwrap_or(u64::MAX);
        let seen = file.seen();
        let bytes = match file.read(limit) {
            Ok(bytes) => bytes,
            Err(error) => {
                let loaded = Loaded { problem: Some(error.to_string()), ..Loaded::default() };
                return Found { loaded, stale: true, ..Found::default() };
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let (state, damaged) = State::parse(&text);
        let mut loaded = Loaded { state, problem: None };
        let (mark, config) = own_lines(&text);
        let restored = Format::of(&text) == Format::Current && !mark.is_some_and(|mark| seen.is(mark));
        let doubt = if Format::of(&text) == Format::Newer {
            let why = "it was written by a newer release and is kept as it is; set state_file to another, \
                       or run that release";
            return Found {
                loaded: Loaded { problem: Some(why.into()), ..loaded },
                newer: true,
                ..Found::default()
            };
        } else if damaged > 0 {
            Some(format!("{damaged} damaged line{} left out", if damaged == 1 { " was" } else { "s were" }))
        } else if text.starts_with(DOUBTED) || self.has_note() {
            Some("it could not be kept up to date".to_owned())
        } else if bytes.len() >= MAX_STATE {
            Some("it is too long".to_owned())
        } else if restored || seen.is_foreign() {
            Some("it was restored, copied or changed by someone else".to_owned())
        } else {
            None
        };
        if let Some(doubt) = &doubt {
            loaded.state.doubt();
            loaded.problem = Some(format!("{doubt}; every address is sent once more"));
        }
        let unknown = Format::of(&text) == Format::Unknown && !text.is_empty();
        let outdated = doubt.is_some() || !(text.is_empty() || text.ends_with('\n') && mark.is_some());
        Found { loaded, config, stale: outdated, newer: false, unknown }
    }

    fn header(&self, seen: Seen) -> String {
        let config = self.config.to_string_lossy().replace(char::is_control, "?");
        format!("# file {} of {config}\n", seen.inode)
    }

    /// Whether it is to be written anew when there is nothing else to do, as it has grown
    /// or could not be kept: [`Self::append`] of nothing, without a flush.
    #[must_use]
    pub fn is_to_be_written(&self) -> bool {
        self.refused.is_none() && self.held.as_ref().is_some_and(|held| held.stale || held.has_outgrown(1))
    }

    /// Adds lines, and with `flush` sees to it that they and all before them
    /// survive a power cut. Where nothing can be added, the file is written anew
    /// with what `whole` says.
    pub fn append(&mut self, lines: &str, flush: bool, whole: &dyn Fn() -> String) -> Result<(), NotKept> {
        if let Some(why) = &self.refused {
            return Err(NotKept { why: why.clone(), stands: true });
        }
        let added = match &mut self.held {
            Some(held) if held.is_current(&self.files, &self.path) => {
                held.append(lines).and_then(|()| match flush {
                    _ if lines.is_empty() && held.has_outgrown(if flush { OVERDUE } else { 1 }) => {
                        Err(io::ErrorKind::FileTooLarge.into())
                    }
                    true => held.flush(&self.files, self.path.parent()),
                    false => Ok(()),
                })
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        if added.is_ok() {
            return Ok(());
        }
        self.write_whole(whole).map_err(|error| {
            let stands = self.take_back().is_err();
            NotKept { why: error.to_string(), stands }
        })
    }

    /// Writes the file anew: beside itself where that can be, since at any moment
    /// either the old or the new one is there; a file that cannot be replaced (one
    /// that is mounted) in place, doubted until all of it is on the disk.
    fn write_whole(&mut self, text: &dyn Fn() -> String) -> io::Result<()> {
        if let Some(folder) = self.folder() {
            self.files.create_folder(folder)?;
        }
        let mut held = self.replace(text).or_else(|error| self.overwrite(text).map_err(|_| error))?;
        held.whole = held.seen.length;
        self.held = Some(held);
        if self.has_note() {
            let _ = self.note.as_ref().map(|note| self.files.remove(note));
        }
        Ok(())
    }

    fn replace(&self, text: &dyn Fn() -> String) -> io::Result<Held<F::File>> {
        let temporary = place::beside(&self.path, ".new");
        let _ = self.files.remove(&temporary);
        let written = self.files.create(&temporary).and_then(|file| {
            self.files.keep_owner(&file, &self.path);
            // Held before it has the name.
            let _ = file.lock();
            let mut held = Held::new(file);
            let header = self.header(held.seen);
            held.file.add(format!("{TITLE}\n{header}{}", text()).as_bytes())?;
            held.file.sync(true)?;
            // Taking the name counts as a change of the file.
            held.append("# written anew\n")?;
            self.files.rename(&temporary, &self.path)?;
            held.seen = held.file.seen();
            if held.is_late() {
                held.append("# renamed\n")?;
            }
            Ok(held)
        });
        match &written {
            Ok(_) => self.files.sync_folder(self.folder()),
            Err(_) => {
                let _ = self.files.remove(&temporary);
            }
        }
        written
    }

    fn overwrite(&self, text: &dyn Fn() -> String) -> io::Result<Held<F::File>> {
        let mut file = self.files.append_to(&self.path)?;
        let _ = file.lock();
        file.set_len(0)?;
        let header = self.header(file.seen());
        file.add(format!("{DOUBTED}\n{header}{}", text()).as_bytes())?;
        file.sync(true)?;
        self.files.retitle(&self.path, TITLE)?;
        let mut held = Held::new(file);
        held.append("# written in place\n")?;
        Ok(held)
    }

    /// Sees to it that nobody believes the file.
    fn take_back(&mut self) -> io::Result<()> {
        if let Some(held) = &mut self.held {
            held.stale = true;
        }
        if matches!(self.files.at(&self.path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        let emptied = || {
            self.files.append_to(&self.path).and_then(|file| file.set_len(0).and_then(|()| file.sync(true)))
        };
        self.files
            .retitle(&self.path, DOUBTED)
            .or_else(|_| emptied())
            .or_else(|_| self.files.remove(&self.path).map(|()| self.files.sync_folder(self.folder())))
            .or_else(|error| {
                let note = self.note.as_ref().ok_or(error)?;
                let text = format!("{} could not be kept up to date\n", self.path.display());
                let _ = self.files.remove(note);
                self.files.create(note).and_then(|mut file| file.add(text.as_bytes()))
            })
    }

    /// Whether a note of ours says that the file is not to be believed. Anyone may
    /// write to a folder for temporary files.
    fn has_note(&self) -> bool {
        let seen = self.note.as_ref().and_then(|note| self.files.at(note).ok());
        seen.is_some_and(|seen| !seen.is_foreign())
    }
}

#[derive(Default)]
struct Found {
    loaded: Loaded,
    /// The configuration that it was kept for last.
    config: Option<PathBuf>,
    /// It must be written anew before anything is added.
    stale: bool,
    newer: bool,
    unknown: bool,
}

/// Inode and time that the file says of itself, and its configuration.
fn own_lines(text: &str) -> (Option<(u64, Duration)>, Option<PathBuf>) {
    let (mut inode, mut time, mut config) = (None, None, None);
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if let Some((number, path)) = line.strip_prefix("# file ").and_then(|rest| rest.split_once(" of ")) {
            (inode, config) = (number.parse().ok(), Some(PathBuf::from(path)));
        } else if let Some(stamp) = line.strip_prefix("# time ") {
            time = stamp.split_once('.').and_then(|(seconds, millis)| {
                let whole = Duration::from_secs(seconds.parse().ok()?);
                whole.checked_add(Duration::from_millis(millis.parse().ok().filter(|_| millis.len() == 3)?))
            });
        }
    }
    (inode.zip(time), config)
}

impl<File: OpenFile> Held<File> {
    fn new(file: File) -> Self {
        let seen = file.seen();
        Self { file, seen, whole: 0, stale: false, unnamed: false, time: Duration::ZERO }
    }

    /// Whether it still has its name and holds what we wrote.
    fn is_current(&self, files: &impl Files, path: &Path) -> bool {
        !self.stale && files.at(path).is_ok_and(|seen| seen == self.seen)
    }

    fn has_outgrown(&self, times: u64) -> bool {
        self.seen.length > self.whole.saturating_mul(GROWTH).saturating_add(ROOM).saturating_mul(times)
    }

    /// Whether it was changed later than the time in it says.
    fn is_late(&self) -> bool {
        self.seen.changed > self.time.saturating_add(LATE)
    }

    /// Adds lines and the time, which is repeated when it came late.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        let mut lines = lines.to_owned();
        for _ in 0..AGAIN {
            if lines.is_empty() {
                break;
            }
            self.time = self.file.time();
            let (seconds, millis) = (self.time.as_secs(), self.time.subsec_millis());
            let _ = writeln!(lines, "# time {seconds}.{millis:03}");
            if let Err(error) = self.file.add(lines.as_bytes()) {
                // Half a line must not become the beginning of another.
                self.stale = true;
                let _ = self.file.set_len(self.seen.length);
                return Err(error);
            }
            self.seen = self.file.seen();
            lines = if self.is_late() { "# late\n".to_owned() } else { String::new() };
        }
        Ok(())
    }

    fn flush(&mut self, files: &impl Files, folder: Option<&Path>) -> io::Result<()> {
        self.file.sync(false)?;
        if std::mem::take(&mut self.unnamed) {
            files.sync_folder(folder.filter(|folder| !folder.as_os_str().is_empty()));
        }
        Ok(())
    }
}

impl Seen {
    /// Whether the file is what it says of itself.
    fn is(&self, (inode, time): (u64, Duration)) -> bool {
        let (first, last) = (time.saturating_sub(COARSE), time.saturating_add(LATE));
        // Milliseconds are cut off.
        self.inode == inode && (first..=last.saturating_add(Duration::from_millis(1))).contains(&self.changed)
    }
}
