//! The daemon as a child process, and the targets that it feeds.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::wire::{Exchange, Server};

/// What the kernel may show as the daemon's peak of resident memory, in KiB.
/// Release builds are what users run; debug builds carry their line tables and
/// unoptimised frames. A build named by `FAULTS_BINARY` counts as a release.
pub(crate) fn memory_limit_kib() -> u64 {
    let debug = cfg!(debug_assertions) && std::env::var_os("FAULTS_BINARY").is_none();
    if debug { 24 * 1024 } else { 8 * 1024 }
}

/// A folder of its own, removed when dropped unless the test failed.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("faults-{}-{number}", std::process::id());
        // In memory: the daemon waits until its state is on the disk, and a disk that
        // is busy with something else may take half a minute for it.
        let memory = Path::new("/dev/shm");
        let path = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) }.join(name);
        fs::create_dir_all(path.join("state")).unwrap();
        fs::create_dir_all(path.join("run")).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of a file, empty when there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read(self.path(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _left_behind = fs::remove_dir_all(&self.0);
        }
    }
}

/// The running daemon; it is killed when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it behind `launcher` (such as `ip netns exec NAME`), which must
    /// replace itself by the program. Standard error goes to `log` in `folder`.
    pub(crate) fn start(launcher: &[String], folder: &Folder, config: &str) -> Self {
        Self::start_with(&["-v"], launcher, folder, config)
    }

    /// The same with these options.
    pub(crate) fn start_with(options: &[&str], launcher: &[String], folder: &Folder, config: &str) -> Self {
        // Only ours to read, as a file with secrets should be.
        let _none_yet = fs::remove_file(folder.path("config.toml"));
        let mut file = File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(folder.path("config.toml"))
            .unwrap();
        file.write_all(config.as_bytes()).unwrap();
        Self::start_file(options, launcher, folder, &folder.path("config.toml"))
    }

    /// With a configuration that is there.
    pub(crate) fn start_file(options: &[&str], launcher: &[String], folder: &Folder, config: &Path) -> Self {
        let log = File::options().create(true).append(true).open(folder.path("log")).unwrap();
        let program = std::env::var("FAULTS_BINARY")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_ddns-update-daemon").to_owned());
        let mut words = launcher.iter().map(OsStr::new).chain([OsStr::new(&program), config.as_os_str()]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .args(options)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUNTIME_DIRECTORY", folder.path("run"))
            .current_dir(folder.path("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().unwrap().map(|status| status.to_string())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and waits for its end.
    pub(crate) fn stop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }

    /// The most memory it ever had resident, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A provider that records what it is sent and says `good`.
pub(crate) struct Recorder(Server);

impl Recorder {
    pub(crate) fn start(host: Ipv4Addr) -> Self {
        Self(Server::start(
            SocketAddr::from((host, 0)),
            Arc::new(|_, wire| wire.reply("200 OK", "", b"good")),
        ))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/update?ip=", self.0.address())
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.0.exchanges()
    }

    /// When which address arrived, requests that are still coming in left out.
    pub(crate) fn sent(&self) -> Vec<(Instant, String)> {
        let exchanges = self.exchanges();
        let whole = exchanges.iter().filter(|exchange| !exchange.request.path.is_empty());
        whole
            .map(|exchange| {
                let value = exchange.request.path.split_once("ip=").map_or("no address", |(_, value)| value);
                (exchange.started, value.to_owned())
            })
            .collect()
    }
}

/// A `[[runs]]` section whose program notes its argument and its environment in
/// the file `runs` of `folder`.
pub(crate) fn noting_program(folder: &Folder, placeholder: &str, variable: &str) -> String {
    let file = folder.path("runs");
    let file = file.display();
    format!(
        "[[runs]]\ncmd = [\"/bin/sh\", \"-c\", 'echo \"$0 ${variable}\" >> \"{file}\"', \"{placeholder}\"]\n"
    )
}
