mod watched;

use super::*;
use std::fs::File;
use std::path::PathBuf;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ddns-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("x.state")
    }

    fn store(&self) -> Store {
        Store::new(self.file(), &self.0.join("x.toml"), Some(&self.0.join("run")))
    }

    /// What a start would read, and whether it would believe it.
    fn read(&self) -> (Option<String>, bool) {
        let loaded = self.store().look();
        let target = loaded.state.targets.get("a").cloned().unwrap_or_default();
        let address = target.accepted.and_then(|accepted| accepted.addresses.ipv4);
        let believed = target.trying.is_none();
        assert_eq!(loaded.problem.is_none(), believed, "{loaded:?}");
        (address.map(|address| address.to_string()), believed)
    }

    fn holds(&self, address: &str) {
        assert_eq!(self.read(), (Some(address.to_owned()), true));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn accepted(address: &str) -> String {
    format!("target\ta\tname=x\taccepted={address},-,-\tat=5\n")
}

fn kept(store: &mut Store, lines: &str) {
    store.append(lines, true, &|| lines.to_owned()).unwrap();
}

#[test]
fn a_state_is_kept_in_a_new_folder_and_read_again() {
    let scratch = Scratch::new("new");
    let mut store = Store::new(scratch.0.join("deeper/x.state"), Path::new("/no/x.toml"), None);
    assert_eq!(store.hold().unwrap().problem, None);
    kept(&mut store, &accepted("192.0.2.1"));
    let text = fs::read_to_string(store.path()).unwrap();
    let inode = System.at(store.path()).unwrap().inode;
    let head = format!("ddns-update-daemon state 2 certain\n# file {inode} of /no/x.toml\n# time ");
    assert!(text.starts_with(&head), "{text}");
    assert!(text.contains("\ntarget\ta\tname=x\taccepted=192.0.2.1,-,-\tat=5\n# time "), "{text}");
    drop(store);
    let loaded = Store::new(scratch.0.join("deeper/x.state"), Path::new("/no/x.toml"), None).look();
    assert_eq!((loaded.state.targets.len(), loaded.problem), (1, None));
    assert_eq!(fs::read_dir(scratch.0.join("deeper")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_start_with_nothing_new_writes_nothing() {
    let scratch = Scratch::new("same");
    kept(&mut held(&scratch), &accepted("192.0.2.1"));
    let before = System.at(&scratch.file()).unwrap();
    for _ in 0..3 {
        assert_eq!(held(&scratch).hold().unwrap_err().matches("in use").count(), 1);
    }
    assert_eq!(System.at(&scratch.file()).unwrap(), before);
    scratch.holds("192.0.2.1");
}

/// A store that holds the file; it must not have complained.
fn held(scratch: &Scratch) -> Store {
    let mut store = scratch.store();
    let problem = store.hold().unwrap().problem;
    assert_eq!(problem, None);
    store
}

#[test]
fn a_second_process_is_refused_with_both_configurations_until_the_first_ends() {
    let scratch = Scratch::new("lock");
    let first = held(&scratch);
    let mut second = Store::new(scratch.file(), Path::new("/no/other.toml"), None);
    let why = second.hold().unwrap_err();
    for part in ["x.state", "x.toml", "/no/other.toml"] {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(second.look().problem, None, "looking needs no lock");
    drop(first);
    second.hold().unwrap();
    let why = scratch.store().hold().unwrap_err();
    assert!(why.contains("with the configuration /no/other.toml"), "{why}");
}

#[test]
fn a_file_that_is_written_anew_stays_locked() {
    let scratch = Scratch::new("relock");
    let mut store = held(&scratch);
    store.write_whole(&|| accepted("192.0.2.1")).unwrap();
    assert!(scratch.store().hold().is_err());
    drop(store);
    scratch.store().hold().unwrap();
    scratch.holds("192.0.2.1");
}

#[test]
fn what_was_restored_is_not_believed() {
    let scratch = Scratch::new("restored");
    let (file, backup) = (scratch.file(), scratch.0.join("backup"));
    kept(&mut held(&scratch), &accepted("192.0.2.1"));
    fs::copy(&file, &backup).unwrap();
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    kept(&mut held(&scratch), &accepted("192.0.2.2"));
    scratch.holds("192.0.2.2");
    let newest = fs::read(&file).unwrap();
    let restore: [(&str, &dyn Fn()); 3] = [
        // mv backup state
        ("another file", &|| {
            fs::copy(&backup, scratch.0.join("copy")).unwrap();
            fs::rename(scratch.0.join("copy"), &file).unwrap();
        }),
        // cp backup state; the file system's clock must have moved on.
        ("the same file", &|| {
            std::thread::sleep(LATE * 2);
            fs::copy(&backup, &file).unwrap();
        }),
        // cp -p backup state
        ("the same file and time", &|| {
            std::thread::sleep(LATE * 2);
            fs::copy(&backup, &file).unwrap();
            File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        }),
    ];
    for (what, restore) in restore {
        restore();
        assert_eq!(scratch.read(), (Some("192.0.2.1".into()), false), "{what}");
        // A start writes it anew, and still does not believe it.
        let loaded = scratch.store().hold().unwrap();
        assert!(loaded.problem.unwrap().contains("was restored, copied or changed"), "{what}");
        assert!(scratch.store().look().state.targets.get("a").unwrap().trying.is_some(), "{what}");
        fs::write(&file, &newest).unwrap();
    }
}

#[test]
fn a_backup_that_comes_while_the_daemon_runs_is_replaced() {
    let scratch = Scratch::new("under");
    let mut store = held(&scratch);
    kept(&mut store, &accepted("192.0.2.1"));
    let backup = fs::read(scratch.file()).unwrap();
    kept(&mut store, &accepted("192.0.2.2"));
    fs::write(scratch.file(), &backup).unwrap();
    store.append("# news\n", true, &|| accepted("192.0.2.2")).unwrap();
    scratch.holds("192.0.2.2");
    fs::remove_file(scratch.file()).unwrap();
    store.append("# news\n", true, &|| accepted("192.0.2.2")).unwrap();
    scratch.holds("192.0.2.2");
}

#[test]
fn a_file_that_cannot_be_replaced_is_written_in_place() {
    let scratch = Scratch::new("place");
    let mut store = held(&scratch);
    kept(&mut store, &accepted("192.0.2.1"));
    // As a single file that is mounted: nothing can take its name.
    fs::create_dir_all(scratch.0.join("x.state.new/full")).unwrap();
    let inode = System.at(&scratch.file()).unwrap().inode;
    fs::write(scratch.file(), "nonsense").unwrap();
    store.append("# news\n", true, &|| accepted("192.0.2.2")).unwrap();
    assert_eq!(System.at(&scratch.file()).unwrap().inode, inode);
    scratch.holds("192.0.2.2");
    kept(&mut store, &accepted("192.0.2.3"));
    scratch.holds("192.0.2.3");
}

#[test]
fn a_record_that_cannot_be_kept_is_taken_back() {
    let scratch = Scratch::new("back");
    let mut store = held(&scratch);
    kept(&mut store, &accepted("192.0.2.1"));
    store.take_back().unwrap();
    assert_eq!(scratch.read(), (Some("192.0.2.1".into()), false));
    // Once there is room again, all of it is kept again.
    store.append("# news\n", true, &|| accepted("192.0.2.2")).unwrap();
    scratch.holds("192.0.2.2");
}

#[test]
fn a_note_in_the_runtime_folder_counts_until_the_file_is_kept_again() {
    let scratch = Scratch::new("note");
    kept(&mut held(&scratch), &accepted("192.0.2.1"));
    fs::create_dir(scratch.0.join("run")).unwrap();
    // That of another state file with this name.
    fs::write(scratch.0.join("run/x.doubted"), "").unwrap();
    scratch.holds("192.0.2.1");
    let note = scratch.0.join("run").join(runtime_name(&scratch.file()) + ".doubted");
    fs::write(&note, "").unwrap();
    assert_eq!(scratch.read(), (Some("192.0.2.1".into()), false));
    let mut store = scratch.store();
    assert!(store.hold().unwrap().problem.is_some());
    store.append("# news\n", true, &|| accepted("192.0.2.2")).unwrap();
    assert!(!note.exists());
}

#[test]
fn a_newer_format_is_kept() {
    let scratch = Scratch::new("newer");
    let text = "ddns-update-daemon state 3\nwhatever\n";
    fs::write(scratch.file(), text).unwrap();
    let mut store = scratch.store();
    let problem = store.hold().unwrap().problem.unwrap();
    assert!(problem.starts_with("it was written by a newer release"), "{problem}");
    let not_kept = store.append(&accepted("192.0.2.1"), true, &|| accepted("192.0.2.1")).unwrap_err();
    assert!(not_kept.stands, "{not_kept:?}");
    assert_eq!(fs::read_to_string(scratch.file()).unwrap(), text);
}

#[test]
fn the_first_format_is_read_and_replaced() {
    let scratch = Scratch::new("first");
    let lines = accepted("192.0.2.1");
    fs::write(scratch.file(), format!("ddns-update-daemon state 1\n{lines}")).unwrap();
    drop(held(&scratch));
    assert!(fs::read_to_string(scratch.file()).unwrap().starts_with(TITLE));
    scratch.holds("192.0.2.1");
}

#[test]
fn a_damaged_file_is_reported_replaced_and_put_aside() {
    let scratch = Scratch::new("damaged");
    fs::write(scratch.file(), b"\xff\xfe nonsense").unwrap();
    let problem = scratch.store().hold().unwrap().problem;
    assert_eq!(problem.as_deref(), Some("1 damaged line was left out; every address is sent once more"));
    assert!(fs::read_to_string(scratch.file()).unwrap().starts_with(TITLE));
    assert_eq!(fs::read(scratch.0.join("x.state.damaged")).unwrap(), b"\xff\xfe nonsense");
}

/// At each byte, as a kill or a power cut may leave it: what was accepted is
/// believed only when no request for another address can have left.
#[test]
fn a_cut_at_any_byte_never_leaves_an_address_that_may_be_wrong() {
    let scratch = Scratch::new("cut");
    let mut store = held(&scratch);
    kept(&mut store, &accepted("192.0.2.1"));
    store.append("trying\t192.0.2.2,-,-\ta\n", true, &String::new).unwrap();
    let marked = usize::try_from(store.held.as_ref().unwrap().seen.length).unwrap();
    store.append("accepted\ta\t6\n", false, &String::new).unwrap();
    drop(store);
    let text = fs::read(scratch.file()).unwrap();
    let answered = text.windows(13).position(|part| part == b"accepted\ta\t6\n").unwrap() + 13;
    for cut in marked..=text.len() {
        // A cut changes the file's time, too; that alone would not be enough.
        let (state, damaged) = State::parse(std::str::from_utf8(&text[..cut]).unwrap());
        let target = state.targets.get("a").unwrap();
        let address = target.accepted.unwrap().addresses.ipv4.unwrap().to_string();
        let expected = if cut < answered { ("192.0.2.1", true) } else { ("192.0.2.2", false) };
        assert_eq!(
            (address.as_str(), target.trying.is_some(), damaged),
            (expected.0, expected.1, 0),
            "{cut}"
        );
    }
}

#[test]
fn a_file_that_has_grown_is_written_anew_in_a_quiet_moment() {
    let scratch = Scratch::new("grown");
    let mut store = held(&scratch);
    let line = format!("# {}\n", "x".repeat(1000));
    for _ in 0..30 {
        store.append(&line, false, &String::new).unwrap();
    }
    let grown = System.at(&scratch.file()).unwrap();
    assert!(grown.length > 30_000 && store.is_to_be_written());
    // The end of a change.
    store.append("", true, &String::new).unwrap();
    assert_eq!(System.at(&scratch.file()).unwrap(), grown);
    store.append("", false, &|| accepted("192.0.2.1")).unwrap();
    assert!(fs::metadata(scratch.file()).unwrap().len() < 1000 && !store.is_to_be_written());
    scratch.holds("192.0.2.1");
    let kept = System.at(&scratch.file()).unwrap();
    store.append("", false, &String::new).unwrap();
    assert_eq!(System.at(&scratch.file()).unwrap(), kept, "nothing is new");
}

#[test]
fn a_file_that_grows_without_a_quiet_moment_is_written_anew_at_the_end_of_a_change() {
    let scratch = Scratch::new("busy");
    let mut store = held(&scratch);
    let line = format!("# {}\n", "x".repeat(1000));
    for _ in 0..60 {
        store.append(&line, false, &String::new).unwrap();
    }
    store.append("", true, &|| accepted("192.0.2.1")).unwrap();
    assert!(fs::metadata(scratch.file()).unwrap().len() < 1000);
    scratch.holds("192.0.2.1");
}

#[test]
fn a_long_file_is_not_written_anew_because_of_a_start() {
    let scratch = Scratch::new("long");
    let lines = format!("{}{}", accepted("192.0.2.1"), format!("# {}\n", "x".repeat(1000)).repeat(30));
    held(&scratch).write_whole(&|| lines.clone()).unwrap();
    let store = held(&scratch);
    assert!(System.at(&scratch.file()).unwrap().length > 30_000 && !store.is_to_be_written());
}

#[test]
fn who_only_looks_is_told_what_is_there_and_who_holds_it() {
    let scratch = Scratch::new("look");
    let store = scratch.store();
    let loaded = store.look();
    assert_eq!(
        (loaded.problem, loaded.state.targets.len(), store.is_held()),
        (None, 0, false),
        "not there yet"
    );
    let holder = held(&scratch);
    assert!(store.is_held());
    drop(holder);
    assert!(!store.is_held());
    fs::remove_file(scratch.file()).unwrap();
    fs::create_dir(scratch.file()).unwrap();
    assert_eq!(store.look().problem.as_deref(), Some("it is no plain file"));
    assert!(!store.is_held());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("mode");
    let mut store = held(&scratch);
    for _ in 0..2 {
        assert_eq!(fs::metadata(scratch.file()).unwrap().permissions().mode() & 0o777, 0o600);
        store.write_whole(&String::new).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_stays() {
    let scratch = Scratch::new("link");
    fs::create_dir(scratch.0.join("other")).unwrap();
    std::os::unix::fs::symlink("other/real", scratch.file()).unwrap();
    let mut store = held(&scratch);
    kept(&mut store, &accepted("192.0.2.1"));
    store.write_whole(&|| accepted("192.0.2.1")).unwrap();
    assert!(fs::symlink_metadata(scratch.file()).unwrap().is_symlink());
    assert!(fs::symlink_metadata(scratch.0.join("other/real")).unwrap().is_file());
    scratch.holds("192.0.2.1");
}

#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_left_alone() {
    let scratch = Scratch::new("pipe");
    assert!(std::process::Command::new("mkfifo").arg(scratch.file()).status().unwrap().success());
    let mut store = scratch.store();
    assert_eq!(store.hold().unwrap().problem.as_deref(), Some("it is no plain file"));
    let not_kept = store.append("x\n", true, &String::new).unwrap_err();
    assert_eq!(not_kept.why, "it is no plain file");
    assert!(!fs::metadata(scratch.file()).unwrap().is_file());
}
