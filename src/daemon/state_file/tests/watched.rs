//! What is asked of the disk, on one that notes it and can fail.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// What the disk was asked to make durable, and how it misbehaves.
#[derive(Default)]
struct Disk {
    synced: Vec<String>,
    unreadable: bool,
    /// So many more times the file system's clock is asked a second too early.
    early: u32,
}

#[derive(Clone, Default)]
struct Watched(Rc<RefCell<Disk>>);

struct WatchedFile(File, Rc<RefCell<Disk>>);

impl Watched {
    fn file(&self, file: io::Result<File>) -> io::Result<WatchedFile> {
        file.map(|file| WatchedFile(file, Rc::clone(&self.0)))
    }

    fn store(&self, path: PathBuf) -> Store<Self> {
        Store::on(self.clone(), path, "/no/x.toml".into(), None)
    }

    fn synced(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().synced)
    }
}

impl OpenFile for WatchedFile {
    fn seen(&self) -> Seen {
        self.0.seen()
    }
    fn time(&self) -> Duration {
        let early = &mut self.1.borrow_mut().early;
        let time = self.0.time();
        let Some(left) = early.checked_sub(1) else { return time };
        *early = left;
        time - Duration::from_secs(1)
    }
    fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.1.borrow().unreadable { Err(io::Error::other("bad sector")) } else { self.0.read(limit) }
    }
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.add(bytes)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        OpenFile::set_len(&self.0, length)
    }
    fn sync(&self, all: bool) -> io::Result<()> {
        self.1.borrow_mut().synced.push("file".to_owned());
        self.0.sync(all)
    }
    fn lock(&self) -> bool {
        OpenFile::lock(&self.0)
    }
}

impl Files for Watched {
    type File = WatchedFile;
    fn at(&self, path: &Path) -> io::Result<Seen> {
        System.at(path)
    }
    fn regular(&self, path: &Path) -> io::Result<()> {
        System.regular(path)
    }
    fn open(&self, path: &Path) -> io::Result<WatchedFile> {
        self.file(System.open(path))
    }
    fn append_to(&self, path: &Path) -> io::Result<WatchedFile> {
        self.file(System.append_to(path))
    }
    fn create(&self, path: &Path) -> io::Result<WatchedFile> {
        self.file(System.create(path))
    }
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        System.create_folder(path)
    }
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.copy(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        System.remove(path)
    }
    fn retitle(&self, path: &Path, title: &str) -> io::Result<()> {
        System.retitle(path, title)
    }
    fn keep_owner(&self, file: &WatchedFile, path: &Path) {
        System.keep_owner(&file.0, path);
    }
    fn sync_folder(&self, folder: Option<&Path>) {
        let name = folder.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        self.0.borrow_mut().synced.push(name.unwrap_or_default());
        System.sync_folder(folder);
    }
}

#[test]
fn a_mark_is_durable_and_so_is_the_name_of_a_file_that_is_new() {
    let (scratch, disk) = (Scratch::new("flush"), Watched::default());
    let mut store = disk.store(scratch.0.join("states/x.state"));
    store.hold().unwrap();
    assert_eq!(disk.synced(), [""; 0]);
    store.append("# acceptance\n", false, &String::new).unwrap();
    assert_eq!(disk.synced(), [""; 0], "flash is spared");
    store.append("# mark\n", true, &String::new).unwrap();
    assert_eq!(disk.synced(), ["file", "states"]);
    store.append("# mark\n", true, &String::new).unwrap();
    assert_eq!(disk.synced(), ["file"], "it has its name");
    store.write_whole(&String::new).unwrap();
    assert_eq!(disk.synced(), ["file", "states"], "all of it, and then the name");
    // A file that was there is no new name.
    drop(store);
    let mut store = disk.store(scratch.0.join("states/x.state"));
    store.hold().unwrap();
    store.append("# mark\n", true, &String::new).unwrap();
    assert_eq!(disk.synced(), ["file"]);
}

#[test]
fn a_time_that_came_too_late_is_written_again() {
    let (scratch, disk) = (Scratch::new("late"), Watched::default());
    let mut store = disk.store(scratch.file());
    store.hold().unwrap();
    disk.0.borrow_mut().early = 1;
    store.append(&accepted("192.0.2.1"), false, &String::new).unwrap();
    scratch.holds("192.0.2.1");
    disk.0.borrow_mut().early = 2;
    store.write_whole(&|| accepted("192.0.2.2")).unwrap();
    scratch.holds("192.0.2.2");
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_written_anew() {
    let (scratch, disk) = (Scratch::new("sector"), Watched::default());
    kept(&mut held(&scratch), &accepted("192.0.2.1"));
    disk.0.borrow_mut().unreadable = true;
    let mut store = disk.store(scratch.file());
    assert_eq!(store.look().problem.as_deref(), Some("bad sector"));
    let loaded = store.hold().unwrap();
    assert_eq!((loaded.problem.as_deref(), loaded.state.targets.len()), (Some("bad sector"), 0));
    let text = fs::read_to_string(scratch.file()).unwrap();
    assert!(text.starts_with(TITLE) && !text.contains("192.0.2.1"), "{text}");
}
