//! The disk under the real state file: it fills up, becomes read-only, is restored from a
//! backup, and forgets what was not flushed when the power is cut between any two writes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ddns_update_daemon::daemon::state_file::{Files, OpenFile, Seen};

use crate::chance::Chance;

/// What is left behind by the next boot: a folder in memory.
const RUNTIME: &str = "/run";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Health {
    Well,
    /// Nothing can be added; what is there can be written over.
    Full,
    ReadOnly,
    /// Every write fails.
    Failing,
}

#[derive(Clone, Default)]
struct Node {
    data: Vec<u8>,
    /// What survives a power cut.
    durable: Vec<u8>,
    changed: Duration,
    locked: bool,
}

struct Inner {
    now: Duration,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    nodes: BTreeMap<u64, Node>,
    next: u64,
    health: Health,
    /// After how many more writes the power is cut.
    left: Option<u32>,
    dead: bool,
    /// How much of a write that does not succeed is done, by length.
    torn: usize,
}

/// The disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct Disk(Rc<RefCell<Inner>>);

pub(crate) struct SimFile {
    disk: Disk,
    inode: u64,
    holds: RefCell<bool>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            now: Duration::ZERO,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            next: 100,
            health: Health::Well,
            left: None,
            dead: false,
            torn: 0,
        })))
    }

    pub(crate) fn set_time(&self, now: Duration) {
        self.0.borrow_mut().now = now;
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.0.borrow_mut().health = health;
    }

    pub(crate) fn is_well(&self) -> bool {
        self.0.borrow().health == Health::Well
    }

    /// Whether a note in memory says that the state was not kept.
    pub(crate) fn has_note(&self) -> bool {
        self.0.borrow().names.keys().any(|path| path.starts_with(RUNTIME))
    }

    /// The power is cut after so many more writes.
    pub(crate) fn cut_after(&self, writes: u32, torn: usize) {
        let mut inner = self.0.borrow_mut();
        (inner.left, inner.torn) = (Some(writes), torn);
    }

    /// The power is not cut after all.
    pub(crate) fn stays(&self) {
        self.0.borrow_mut().left = None;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// What the next boot finds.
    pub(crate) fn boot(&self, chance: &mut Chance) {
        let mut inner = self.0.borrow_mut();
        if chance.one_in(2) {
            inner.names = inner.durable_names.clone();
        }
        inner.names.retain(|path, _| !path.starts_with(RUNTIME));
        for node in inner.nodes.values_mut() {
            node.locked = false;
            if node.data.starts_with(&node.durable) {
                let unflushed = node.data.len() - node.durable.len();
                node.data.truncate(node.durable.len() + chance.below(unflushed + 1));
            } else if chance.one_in(2) {
                node.data = node.durable.clone();
            }
            node.durable = node.data.clone();
        }
        inner.durable_names = inner.names.clone();
        (inner.left, inner.dead) = (None, false);
        let known: Vec<u64> = inner.names.values().copied().collect();
        inner.nodes.retain(|inode, _| known.contains(inode));
    }

    /// A copy of a file, for a backup.
    pub(crate) fn copy_of(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.0.borrow();
        inner.names.get(path).and_then(|inode| inner.nodes.get(inode)).map(|node| node.data.clone())
    }

    /// A backup is put back.
    pub(crate) fn restore(&self, path: &Path, data: Vec<u8>) {
        let mut inner = self.0.borrow_mut();
        let now = inner.now;
        let inode = inner.inode(path);
        let node = inner.nodes.entry(inode).or_default();
        (node.data, node.changed) = (data, now);
        node.durable = node.data.clone();
        inner.durable_names = inner.names.clone();
    }

    fn file(&self, inode: u64) -> SimFile {
        SimFile { disk: self.clone(), inode, holds: RefCell::new(false) }
    }
}

impl Inner {
    /// The file of this name, created if there is none.
    fn inode(&mut self, path: &Path) -> u64 {
        let (next, now) = (self.next, self.now);
        let inode = *self.names.entry(path.to_owned()).or_insert(next);
        if inode == next {
            self.next += 1;
            self.nodes.insert(inode, Node { changed: now, ..Node::default() });
        }
        inode
    }

    /// Whether a write may be done. `grows`: it takes room.
    fn may(&mut self, volatile: bool, grows: bool) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            self.dead |= *left == 0;
            *left = left.saturating_sub(1);
        }
        match self.health {
            _ if self.dead => Err(io::Error::other("the power is cut")),
            _ if volatile => Ok(()),
            Health::Full if grows => Err(io::ErrorKind::StorageFull.into()),
            Health::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Health::Failing => Err(io::Error::other("Input/output error (os error 5)")),
            Health::Well | Health::Full => Ok(()),
        }
    }

    fn found(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn seen(&self, inode: u64) -> Seen {
        let node = self.nodes.get(&inode);
        let (length, changed) = node.map(|node| (node.data.len() as u64, node.changed)).unwrap_or_default();
        Seen { inode, length, changed, owner: 0 }
    }
}

impl Files for Disk {
    type File = SimFile;

    fn at(&self, path: &Path) -> io::Result<Seen> {
        let inner = self.0.borrow();
        Ok(inner.seen(inner.found(path)?))
    }

    fn regular(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let inode = self.0.borrow().found(path)?;
        Ok(self.file(inode))
    }

    fn append_to(&self, path: &Path) -> io::Result<SimFile> {
        let mut inner = self.0.borrow_mut();
        let new = !inner.names.contains_key(path);
        if new || inner.health == Health::ReadOnly {
            inner.may(path.starts_with(RUNTIME), new)?;
        }
        let inode = inner.inode(path);
        Ok(self.file(inode))
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut inner = self.0.borrow_mut();
        inner.may(path.starts_with(RUNTIME), false)?;
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = inner.inode(path);
        Ok(self.file(inode))
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.may(false, true)?;
        let data = inner.found(from).map(|inode| inner.nodes[&inode].data.clone())?;
        let inode = inner.inode(to);
        inner.nodes.entry(inode).or_default().data = data;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.may(false, false)?;
        let inode = inner.found(from)?;
        inner.names.remove(from);
        inner.names.insert(to.to_owned(), inode);
        let now = inner.now;
        inner.nodes.entry(inode).or_default().changed = now;
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.found(path)?;
        inner.may(path.starts_with(RUNTIME), false)?;
        inner.names.remove(path);
        Ok(())
    }

    fn retitle(&self, path: &Path, title: &str) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let inode = inner.found(path)?;
        inner.may(false, false)?;
        let now = inner.now;
        let node = inner.nodes.entry(inode).or_default();
        let end = title.len().min(node.data.len());
        node.data.splice(..end, title.bytes());
        (node.durable, node.changed) = (node.data.clone(), now);
        Ok(())
    }

    fn keep_owner(&self, _: &SimFile, _: &Path) {}

    fn sync_folder(&self, _: Option<&Path>) {
        let mut inner = self.0.borrow_mut();
        if inner.may(false, false).is_ok() {
            inner.durable_names = inner.names.clone();
        }
    }
}

impl OpenFile for SimFile {
    fn seen(&self) -> Seen {
        self.disk.0.borrow().seen(self.inode)
    }

    fn time(&self) -> Duration {
        self.disk.0.borrow().now
    }

    fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let inner = self.disk.0.borrow();
        let data = inner.nodes.get(&self.inode).map(|node| node.data.clone()).unwrap_or_default();
        Ok(data.into_iter().take(limit as usize).collect())
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.0.borrow_mut();
        let volatile =
            inner.names.iter().any(|(path, inode)| *inode == self.inode && path.starts_with(RUNTIME));
        let was_dead = inner.dead;
        let may = inner.may(volatile, true);
        let (now, torn) = (inner.now, inner.torn);
        let done = match &may {
            Ok(()) => bytes.len(),
            // The write that the power cut hits, and the one that fills the disk, are
            // done in part.
            Err(error) if !was_dead && (inner.dead || error.kind() == io::ErrorKind::StorageFull) => {
                torn % (bytes.len() + 1)
            }
            Err(_) => 0,
        };
        let node = inner.nodes.entry(self.inode).or_default();
        node.data.extend(&bytes[..done]);
        if done > 0 {
            node.changed = now;
        }
        may
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.0.borrow_mut();
        inner.may(false, false)?;
        let now = inner.now;
        let node = inner.nodes.entry(self.inode).or_default();
        node.data.truncate(length as usize);
        node.changed = now;
        Ok(())
    }

    fn sync(&self, _: bool) -> io::Result<()> {
        let mut inner = self.disk.0.borrow_mut();
        inner.may(false, false)?;
        let node = inner.nodes.entry(self.inode).or_default();
        node.durable = node.data.clone();
        Ok(())
    }

    fn lock(&self) -> bool {
        let mut inner = self.disk.0.borrow_mut();
        let node = inner.nodes.entry(self.inode).or_default();
        if node.locked && !*self.holds.borrow() {
            return false;
        }
        node.locked = true;
        *self.holds.borrow_mut() = true;
        true
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if *self.holds.borrow()
            && let Some(node) = self.disk.0.borrow_mut().nodes.get_mut(&self.inode)
        {
            node.locked = false;
        }
    }
}
