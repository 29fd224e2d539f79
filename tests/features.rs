//! What a build of any set of features does: it works with what it has, and of
//! what it leaves out it says so. tests/features runs this for every set.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic; that is how it fails"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What TLS begins with; a request is text.
const HANDSHAKE: u8 = 22;

const TLS: bool = cfg!(feature = "tls");
const CLOUDFLARE: bool = cfg!(feature = "cloudflare");
const DYNDNS: bool = cfg!(feature = "dyndns");
const RFC2136: bool = cfg!(feature = "rfc2136");
const MONITOR: bool = cfg!(feature = "monitor");

/// A part's configuration, whether this build has it, and what is said if not.
const PARTS: &[(&str, bool, &str)] = &[
    (
        "# x\n[tls]\nca_file = \"/none\"\n",
        TLS,
        "2:1: [tls]: this build leaves TLS out (feature \"tls\"); use the full build",
    ),
    (
        "\n\n[cloudflare]\napi_token = \"secret\"\n[[cloudflare.records]]\nname = \"a.example.org\"\ntype = \"A\"\n",
        CLOUDFLARE,
        "3:1: [cloudflare]: this build leaves Cloudflare out (feature \"cloudflare\"); use the full build",
    ),
    (
        "[[dyndns]]\nurl = \"http://127.0.0.1/update\"\nhostname = \"a.example.org\"\n",
        DYNDNS,
        "1:1: [[dyndns]]: this build leaves dyndns2 services out (feature \"dyndns\"); use the full build",
    ),
    (
        "[[rfc2136]]\nserver = \"127.0.0.1\"\n[[rfc2136.records]]\nname = \"a.example.org\"\ntype = \"A\"\n",
        RFC2136,
        "1:1: [[rfc2136]]: this build leaves DNS UPDATE out (feature \"rfc2136\"); use the full build",
    ),
    (
        "[monitor]\nlisten = \"127.0.0.1:9853\"\n[[urls]]\nurl = \"http://127.0.0.1/?ip={ipv4}\"\n",
        MONITOR,
        "1:1: [monitor]: this build leaves the monitor out (feature \"monitor\"); use the full build",
    ),
    (
        "metrics_file = \"x.prom\"\n[[urls]]\nurl = \"http://127.0.0.1/?ip={ipv4}\"\n",
        MONITOR,
        "1:1: \"metrics_file\": this build leaves the monitor out (feature \"monitor\"); use the full build",
    ),
    (
        "[[urls]]\nurl = \"https://ddns.example/?ip={ipv4}\"\n",
        TLS,
        "2:7: url: https:// is out of reach: this build leaves TLS out (feature \"tls\"); use the full build",
    ),
    (
        "ipv4 = [\"https://echo.example/\"]\n[[urls]]\nurl = \"http://127.0.0.1/?ip={ipv4}\"\n",
        TLS,
        "1:9: ipv4: https:// is out of reach: this build leaves TLS out (feature \"tls\"); use the full build",
    ),
    (
        "proxy = \"https://proxy.example\"\n",
        TLS,
        "1:9: proxy: https:// is out of reach: this build leaves TLS out (feature \"tls\"); use the full build",
    ),
    (
        "[[dyndns]]\nprovider = \"duckdns\"\ntoken = \"secret\"\nhostname = \"a\"\n",
        DYNDNS && TLS,
        if DYNDNS {
            "2:12: provider = \"duckdns\": https:// is out of reach: \
             this build leaves TLS out (feature \"tls\"); use the full build"
        } else {
            "1:1: [[dyndns]]: this build leaves dyndns2 services out (feature \"dyndns\"); use the full build"
        },
    ),
];

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Runs the program with this configuration.
    fn run(&self, option: &str, config: &str) -> Output {
        fs::write(self.0.join("config.toml"), config).unwrap();
        program(&[option, "config.toml"], &self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn program(arguments: &[&str], folder: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_ddns-update-daemon");
    Command::new(program).args(arguments).current_dir(folder).env_clear().output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_part_is_there_or_refused_by_its_place() {
    let folder = Folder::new("parts");
    for (config, here, refusal) in PARTS {
        let said = stderr(&folder.run("--check", config));
        assert_eq!(said.contains("this build leaves"), !here, "{config}\n{said}");
        let line = format!("config.toml:{refusal}\n");
        assert!(*here || said.contains(&line), "{config}\n{said}");
        assert!(!said.contains("secret\""), "{said}");
    }
}

#[test]
fn what_is_refused_ends_the_program() {
    let folder = Folder::new("refused");
    for (config, ..) in PARTS.iter().filter(|(_, here, _)| !here) {
        for option in ["--check", "--once"] {
            assert_eq!(folder.run(option, config).status.code(), Some(2), "{config}");
        }
    }
}

/// A server on the loopback that gives every request to `answer`; the requests'
/// targets come out of the channel.
fn serve(answer: fn(&str, SocketAddr) -> String) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let target = read_request(&stream);
            let answer = answer(&target, address);
            // Told first: the program may have ended before we go on.
            if sender.send(target).is_err() || stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

fn read_request(stream: &TcpStream) -> String {
    let mut first = [0];
    if stream.peek(&mut first).is_ok() && first == [HANDSHAKE] {
        return "a handshake of TLS".to_owned();
    }
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    // The rest of the head, up to the empty line.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn page(status: &str, field: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{field}Content-Length: {length}\r\n\r\n{body}")
}

#[test]
fn every_build_updates_a_local_provider_by_http() {
    let folder = Folder::new("local");
    let (address, requests) =
        serve(|target, _| page("200 OK", "", if target == "/ip" { "1.2.3.4" } else { "good 1.2.3.4" }));
    let config = format!(
        "ipv4 = [\"http://{address}/ip\"]\nipv6 = []\nstate_file = \"state\"\n\
         [[urls]]\nname = \"home\"\nurl = \"http://{address}/update?ip={{ipv4}}\"\n"
    );
    for time in 1..=2 {
        let output = folder.run("--once", &config);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("home: set to 1.2.3.4"), time == 1, "{}", stderr(&output));
    }
    let seen: Vec<String> = requests.try_iter().collect();
    assert_eq!(seen, ["/ip", "/update?ip=1.2.3.4", "/ip"], "the state is kept");
}

#[test]
fn a_redirect_to_https_is_explained() {
    let folder = Folder::new("redirect");
    let (address, _requests) = serve(|target, address| match target {
        "/ip" => page("200 OK", "", "1.2.3.4"),
        _ => page("301 Moved Permanently", &format!("Location: https://{address}/\r\n"), ""),
    });
    let config = format!(
        "ipv4 = [\"http://{address}/ip\"]\nipv6 = []\nstate_file = \"state\"\n\
         [[urls]]\nurl = \"http://{address}/update?ip={{ipv4}}\"\n"
    );
    let output = folder.run("--once", &config);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let why = if TLS { "it does not speak TLS on this port" } else { "this build leaves TLS out" };
    assert!(stderr(&output).contains(why), "{}", stderr(&output));
}

#[test]
fn the_effective_configuration_reads_as_one() {
    let folder = Folder::new("effective");
    let config = "[[urls]]\nurl = \"http://127.0.0.1/?ip={ipv4}\"\n[[runs]]\ncmd = [\"true\"]\n";
    let first = folder.run("--check", config);
    let text = String::from_utf8(first.stdout).unwrap();
    assert_eq!(text.contains("[tls]"), TLS, "{text}");
    let second = folder.run("--check", &text);
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    assert_eq!(String::from_utf8(second.stdout).unwrap(), text);
}

#[test]
fn providers_are_listed_where_they_are_known() {
    let output = program(&["providers"], Path::new("."));
    let listed = String::from_utf8_lossy(&output.stdout).contains("duckdns");
    let left_out = "error: this build leaves dyndns2 services out (feature \"dyndns\"); use the full build\n";
    assert_eq!(listed, DYNDNS);
    assert_eq!(output.status.code(), Some(if DYNDNS { 0 } else { 2 }));
    assert_eq!(stderr(&output), if DYNDNS { "" } else { left_out });
}

#[test]
fn the_version_tells_a_smaller_build() {
    let output = program(&["--version"], Path::new("."));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], concat!("ddns-update-daemon ", env!("CARGO_PKG_VERSION")));
    if TLS && CLOUDFLARE && DYNDNS && RFC2136 {
        assert_eq!(lines.len(), 1, "{text}");
        return;
    }
    let parts = [("tls", TLS), ("cloudflare", CLOUDFLARE), ("dyndns", DYNDNS), ("rfc2136", RFC2136)];
    for (feature, here) in parts {
        assert_eq!((lines[1].contains(feature), lines[2].contains(feature)), (here, !here), "{text}");
    }
    assert!(lines[1].starts_with("features: ") && lines[2].starts_with("left out: "), "{text}");
}
