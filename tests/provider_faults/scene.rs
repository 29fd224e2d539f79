//! The daemon beside a faulty provider, and what is judged of it.

use super::*;

/// One row at work.
pub(super) struct Scene<'a> {
    row: &'a Row,
    gateway: Gateway,
    provider: Provider,
    healthy: Recorder,
    folder: Folder,
    daemon: Daemon,
    verdict: Verdict,
}

impl<'a> Scene<'a> {
    pub(super) fn new(row: &'a Row) -> Self {
        let gateway = Gateway::start((Ipv4Addr::LOCALHOST, 0).into(), ADDRESSES[0]);
        let (provider, healthy) = (Provider::start(row), Recorder::start(Ipv4Addr::LOCALHOST));
        let folder = Folder::new();
        let config = config(row, &gateway, &provider, &healthy, &folder, "");
        let daemon = Daemon::start(&[], &folder, &config);
        let verdict = Verdict { name: row.name.clone(), ..Verdict::default() };
        Self { row, gateway, provider, healthy, folder, daemon, verdict }
    }

    fn problem(&mut self, what: impl Into<String>) {
        self.verdict.problems.push(what.into());
    }

    pub(super) fn play(mut self) -> Verdict {
        self.expect_at_healthy(ADDRESSES[0], Instant::now());
        if wait_for(PROMPTLY, || (self.provider.faulty() > 0).then_some(())).is_none() {
            self.problem("the fault was not met");
        }
        self.change_address(ADDRESSES[1]);
        self.provider.heal();
        self.change_address(ADDRESSES[2]);
        match self.row.outcome {
            Outcome::Recovers | Outcome::Waits => self.judge_recovery(),
            Outcome::Rests => self.judge_rest_and_recovery(),
            Outcome::Blocked => self.judge_silence(),
        }
        self.judge_bounds();
        self.verdict
    }

    fn change_address(&mut self, address: &str) {
        self.gateway.heal(address);
        self.expect_at_healthy(address, Instant::now());
    }

    fn expect_at_healthy(&mut self, address: &str, since: Instant) {
        let arrived = wait_for(2 * PROMPTLY, || {
            let sent = self.healthy.sent().into_iter().find(|(_, value)| value == address);
            let noted = self.folder.read("runs").contains(&format!("address {address}\n"));
            sent.filter(|_| noted)
        });
        let Some((at, _)) = arrived else {
            self.problem(format!("{address} did not reach the other targets"));
            return;
        };
        let took = at.saturating_duration_since(since);
        self.verdict.others = self.verdict.others.max(took);
        if took > PROMPTLY {
            self.problem(format!("{address} reached the others only after {} ms", took.as_millis()));
        }
    }

    /// The newest address arrives, and no sooner than was asked for.
    fn judge_recovery(&mut self) {
        let healed = Instant::now();
        let arrived = wait_for(RECOVERY, || {
            self.provider.accepted().into_iter().find(|(_, value)| value == ADDRESSES[2])
        });
        let Some((at, _)) = arrived else {
            self.problem("the newest address did not arrive after the fault");
            return;
        };
        self.verdict.recovered = Some(at.saturating_duration_since(healed));
        let exchanges = self.provider.server.exchanges();
        let faulty = exchanges.iter().position(|exchange| exchange.faulty);
        let answered = faulty.map(|index| (exchanges[index].started, exchanges.get(index + 1)));
        if let (Outcome::Waits, Some((started, Some(next)))) = (self.row.outcome, answered) {
            let waited = next.started.saturating_duration_since(started);
            if waited < RETRY_AFTER {
                self.problem(format!("it came again after {} ms", waited.as_millis()));
            }
        }
    }

    fn judge_rest_and_recovery(&mut self) {
        let before = self.provider.server.exchanges().len();
        self.expect_silence(before, "too soon");
        self.restart("2");
        self.judge_recovery();
    }

    /// Not a word, whatever changes, until a start is a reason to try once: what was
    /// mended at the provider is seen then.
    fn judge_silence(&mut self) {
        let exchanges = self.provider.server.exchanges();
        let before = exchanges.iter().position(|exchange| exchange.faulty).map_or(0, |index| index + 1);
        self.expect_silence(before, "although it is blocked");
        self.restart("");
        let found = wait_for(2 * PROMPTLY, || {
            self.provider.accepted().into_iter().find(|(_, value)| value == ADDRESSES[2])
        });
        if found.is_none() {
            self.problem("a start was no reason to try once");
        }
        if self.healthy.sent().len() != ADDRESSES.len() {
            self.problem("a restart sent an address again");
        }
    }

    fn expect_silence(&mut self, before: usize, when: &str) {
        let spoke = wait_for(SILENCE, || (self.provider.server.exchanges().len() > before).then_some(()));
        if spoke.is_some() {
            self.problem(format!("it spoke {when}"));
        }
    }

    fn restart(&mut self, secret_end: &str) {
        self.verdict.memory = self.verdict.memory.max(self.daemon.peak_memory());
        let config = config(self.row, &self.gateway, &self.provider, &self.healthy, &self.folder, secret_end);
        self.daemon.stop();
        self.daemon = Daemon::start(&[], &self.folder, &config);
    }

    fn judge_bounds(&mut self) {
        if let Some(how) = self.daemon.ended() {
            self.problem(format!("the daemon ended: {how}"));
        }
        self.verdict.memory = self.verdict.memory.max(self.daemon.peak_memory());
        let limit = memory_limit_kib();
        if !(1..=limit).contains(&self.verdict.memory) {
            self.problem(format!("VmHWM is {} KiB, expected 1 to {limit}", self.verdict.memory));
        }
        let exchanges = self.provider.server.exchanges();
        self.verdict.faulty = self.provider.faulty();
        let longest = exchanges.iter().map(|exchange| exchange.end() - exchange.started).max();
        self.verdict.longest = longest.unwrap_or_default();
        if self.verdict.longest > LONGEST_CALL {
            self.problem("a call took too long");
        }
        self.judge_values();
        self.judge_secrets();
        if !self.verdict.problems.is_empty() {
            let log = self.folder.read("log");
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!("--- {}: {}\n{}", self.row.name, self.verdict.problems.join("; "), tail.join("\n"));
        }
    }

    /// Nobody may ever have been sent anything but the gateway's addresses.
    fn judge_values(&mut self) {
        let sent: Vec<String> = self.healthy.sent().into_iter().map(|(_, value)| value).collect();
        if sent != ADDRESSES {
            self.problem(format!("the healthy target got {sent:?}"));
        }
        let accepted = self.provider.accepted();
        if let Some((_, wrong)) = accepted.iter().find(|(_, value)| !ADDRESSES.contains(&value.as_str())) {
            self.problem(format!("the faulty target got {wrong:?}"));
        }
    }

    /// No secret in the log, in any file of state, or around child processes.
    fn judge_secrets(&mut self) {
        let mut files = vec![self.folder.path("log"), self.folder.path("runs")];
        collect_files(&self.folder.path("state"), &mut files);
        for file in files {
            let bytes = fs::read(&file).unwrap_or_default();
            if file.ends_with("runs") && bytes.is_empty() {
                self.problem("no child process was seen");
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Some(line) = text.lines().find(|line| line.contains(SENTINEL)) {
                self.problem(format!("a secret is in {}: {line}", file.display()));
            }
        }
    }
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect_files(&path, files) } else { files.push(path) }
    }
}

/// The configuration; its secrets end in `end`.
fn config(
    row: &Row,
    gateway: &Gateway,
    provider: &Provider,
    healthy: &Recorder,
    folder: &Folder,
    end: &str,
) -> String {
    let place = provider.server.address();
    let target = match row.kind {
        Kind::Url => format!(
            "[[urls]]\nmethod = \"{}\"\n\
             url = \"http://{place}/{SENTINEL}path/update?token={SENTINEL}query{end}&ip={{ipv4}}\"\n\
             headers = {{ Authorization = \"Bearer {SENTINEL}header\" }}\n\
             {}expect = [\"good\", \"nochg\"]\n",
            row.method,
            if row.method == "get" { "" } else { URL_BODY },
        ),
        Kind::Cloudflare => format!(
            "[cloudflare]\napi_token = \"{SENTINEL}token-0123456789abcdefghijkl{end}\"\n\
             zone_id = \"023e105f4ecef8ad9ca31a8372d0c353\"\napi_url = \"http://{place}/client/v4\"\n\
             [[cloudflare.records]]\nname = \"home.example.org\"\ntype = \"A\"\n"
        ),
    };
    let program =
        "tr \"\\0\" \" \" < /proc/$$/cmdline; tr \"\\0\" \" \" < /proc/$PPID/cmdline; env; echo address $0";
    format!(
        "interval = 0.02\nrouter_ip = \"{}\"\nipv4 = [\"upnp\"]\nipv6 = [\"upnp\"]\nstate_file = \"{}\"\n\
         {target}\
         [[urls]]\nmethod = \"get\"\nurl = \"{}{{ipv4}}\"\n\
         [[runs]]\ncmd = [\"/bin/sh\", \"-c\", '({program}) >> \"{}\"', \"{{ipv4}}\"]\nwait = false\n",
        gateway.url(),
        folder.path("state/state").display(),
        healthy.url(),
        folder.path("runs").display(),
    )
}
