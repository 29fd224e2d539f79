//! A gateway, a dyndns2 server, a running daemon and a person who asks it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::daemon::{Daemon, Folder};
use super::gateway::Gateway;
use super::wait_for;
use super::wire::Server;

pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A gateway, a provider that gives another answer when told to, and their folder.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) provider: Server,
    pub(crate) folder: Folder,
    pub(crate) fails: Arc<AtomicBool>,
}

impl Scene {
    /// One that refuses the name.
    pub(crate) fn new() -> Self {
        Self::failing("200 OK", b"nohost")
    }

    /// One that fails with this status and body.
    pub(crate) fn failing(status: &'static str, body: &'static [u8]) -> Self {
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let provider = Server::start(
            LOCAL,
            Arc::new(move |_, wire| {
                let fails = failing.load(Ordering::SeqCst);
                let (status, body) = if fails { (status, body) } else { ("200 OK", b"good".as_slice()) };
                wire.reply(status, "", body)
            }),
        );
        Self { gateway: Gateway::start(LOCAL, "11.22.33.44"), provider, folder: Folder::new(), fails }
    }

    /// A configuration with `sections` that sends the address by a URL of `user` (with its
    /// @); SIGUSR1 makes the daemon poll, nothing else does.
    pub(crate) fn by_url(&self, sections: &str, user: &str) -> String {
        format!(
            "interval = 60\nevents = false\nstate_file = \"{}\"\nipv4 = [\"upnp:{}\"]\nipv6 = []\n{sections}\n\
             [[urls]]\nname = \"home\"\nurl = \"http://{user}{}/?ip={{ipv4}}\"\n",
            self.folder.path("state/test.state").display(),
            self.gateway.url(),
            self.provider.address()
        )
    }

    pub(crate) fn config(&self, host: &str) -> String {
        format!(
            "interval = 60\nstate_file = \"{}\"\nipv4 = [\"upnp:{}\"]\nipv6 = []\n[[dyndns]]\n\
             url = \"http://{}/update?host={{host}}&ip={{ip}}\"\nhostname = \"{host}\"\n",
            self.folder.path("state/test.state").display(),
            self.gateway.url(),
            self.provider.address()
        )
    }

    pub(crate) fn start(&self) -> Daemon {
        self.start_with(&self.config("home.example.org"))
    }

    pub(crate) fn start_with(&self, config: &str) -> Daemon {
        Daemon::start(&[], &self.folder, config)
    }

    /// With a configuration that is there.
    pub(crate) fn start_file(&self, config: &Path) -> Daemon {
        Daemon::start_file(&["-v"], &[], &self.folder, config)
    }

    pub(crate) fn call(&self, words: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon"))
            .args(words)
            .env("RUNTIME_DIRECTORY", self.folder.path("run"))
            .current_dir(self.folder.path("run"))
            .output()
            .unwrap();
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (status.code().unwrap(), text)
    }

    pub(crate) fn sent(&self) -> usize {
        self.provider.exchanges().iter().filter(|exchange| !exchange.request.path.is_empty()).count()
    }

    pub(crate) fn wait_sent(&self, count: usize) {
        let sent = wait_for(SOON, || (self.sent() >= count).then_some(()));
        assert!(sent.is_some(), "{} of {count} requests\n{}", self.sent(), self.log());
    }

    pub(crate) fn wait_log(&self, text: &str) {
        let found = wait_for(SOON, || self.log().contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} is not in the log\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        self.folder.read("log")
    }

    /// The daemon's file of this kind in the runtime folder.
    pub(crate) fn runtime_file(&self, kind: &str) -> PathBuf {
        let files = fs::read_dir(self.folder.path("run")).unwrap().map(|entry| entry.unwrap().path());
        let mut pids = files.filter(|path| path.extension().is_some_and(|extension| extension == "pid"));
        let (pid, others) = (pids.next(), pids.count());
        assert_eq!(others, 0, "which daemon's?");
        pid.unwrap_or_else(|| self.folder.path("run/none")).with_extension(kind)
    }

    pub(crate) fn config_path(&self) -> String {
        self.folder.path("config.toml").display().to_string()
    }
}

pub(crate) fn signal(daemon: &Daemon, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &daemon.id().to_string()]).status();
    assert!(status.unwrap().success());
}
