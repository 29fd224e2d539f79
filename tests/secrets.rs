//! Secrets are shown nowhere, whatever servers say back: every place of a
//! configuration that can hold one, times what the program writes, times answers
//! that repeat them in every spelling.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::daemon::Folder;
use crate::support::wire::Server;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// What is planted. No four characters in a row stand in any word of ours; those of
/// letters alone would pass for words, and the server of each section repeats all.
const PLANTED: [(&str, &str); 12] = [
    ("path", "pZq4xKvJ7w"),
    ("query", "qXj9zWkV3m"),
    ("user", "uKz5qXwJ8v"),
    ("password", "wVxfjQzKgp"),
    ("header", "hQkrvZjXbw"),
    ("body", "bXwtkJqZnv"),
    ("token", "tJvmxQkZfw"),
    ("dyndns", "dZxnwKjQcv"),
    ("tsig", "sWqljXvZrk"),
    ("proxy", "xKjcvQwZmq"),
    ("argument", "aVzlkXqJnw"),
    ("telling", "mXqpvKzJhw"),
];

fn planted(name: &str) -> &'static str {
    PLANTED.iter().find(|(known, _)| *known == name).unwrap().1
}

type Spelling = fn(&str) -> String;

fn each(secret: &str, form: fn(u8) -> String) -> String {
    secret.bytes().map(form).collect()
}

/// How a server may repeat a secret.
const SPELLINGS: [(&str, Spelling); 12] = [
    ("as it is", str::to_owned),
    ("in capitals", |secret| secret.to_ascii_uppercase()),
    ("backwards", |secret| secret.chars().rev().collect()),
    ("base64", |secret| STANDARD.encode(secret)),
    ("base64 behind a user", |secret| URL_SAFE_NO_PAD.encode(format!("me:{secret}"))),
    ("percent", |secret| each(secret, |byte| format!("%{byte:02x}"))),
    ("HTML, decimal", |secret| each(secret, |byte| format!("&#{byte};"))),
    ("HTML, hexadecimal", |secret| each(secret, |byte| format!("&#x{byte:X};"))),
    ("JSON", |secret| each(secret, |byte| format!("\\u{byte:04x}"))),
    ("hexadecimal", |secret| each(secret, |byte| format!("{byte:02x}"))),
    ("letter by letter", |secret| each(secret, |byte| format!("{} ", char::from(byte)))),
    ("in halves with dots", |secret| format!("{}.{}", &secret[..5], &secret[5..])),
];

/// A folder with a configuration and the servers that it speaks of.
struct Scene {
    folder: Folder,
    server: Server,
    spelling: Arc<Mutex<(Spelling, &'static str)>>,
}

impl Scene {
    fn new() -> Self {
        let spelling: Arc<Mutex<(Spelling, &'static str)>> = Arc::new(Mutex::new((str::to_owned, "")));
        let said = Arc::clone(&spelling);
        let server = Server::start(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            Arc::new(move |request, wire| {
                if request.path.ends_with("/ip") {
                    return wire.reply("200 OK", "", b"9.9.9.1");
                }
                let (spell, status) = *said.lock().unwrap();
                let words: Vec<String> = PLANTED.iter().map(|(_, secret)| spell(secret)).collect();
                let words = words.join(" ");
                let body = if request.path.starts_with("/client") {
                    let text = words.replace('\\', "\\\\");
                    format!("{{\"success\":false,\"errors\":[{{\"code\":1000,\"message\":\"{text}\"}}]}}")
                } else {
                    words
                };
                // One after the other in a name, which no text of the server's own holds.
                let labels: Vec<String> = PLANTED.iter().map(|(_, secret)| spell(secret)).collect();
                let labels = labels.join(".").replace(|c: char| !c.is_ascii_alphanumeric(), ".");
                let elsewhere = format!("Location: https://{labels}.example/{labels}\r\n");
                let fields = if status.starts_with('3') { elsewhere.as_str() } else { "" };
                wire.reply(status, fields, body.as_bytes())
            }),
        );
        let scene = Self { folder: Folder::new(), server, spelling };
        scene.write("config.toml", &scene.config());
        scene
    }

    fn config(&self) -> String {
        let at = self.server.address();
        let p = planted;
        format!(
            "ipv4 = [\"http://{at}/{path}/ip\"]\nipv6 = []\nproxy = \"http://me:{proxy}@{at}\"\n\
             [[notify]]\npreset = \"gotify\"\nurl = \"http://{user}:{password}@{at}/{path}?{query}\"\n\
             token = \"{telling}\"\nheaders = {{ X-Key = \"{header}\" }}\non = [\"failure\"]\n\
             [heartbeat]\nurl = \"http://{user}:{password}@{at}/{telling}?{query}\"\n\
             [cloudflare]\napi_token = \"{token}\"\napi_url = \"http://{at}/client/{path}\"\n\
             zone_id = \"0123456789abcdef0123456789abcdef\"\n\
             records = [{{ name = \"home.example\", type = \"A\" }}]\n\
             [[urls]]\nmethod = \"post\"\n\
             url = \"http://{user}:{password}@{at}/{path}/{{ipv4}}?k={query}&{query}\"\n\
             headers = {{ X-Key = \"{header}\", Authorization = \"Bearer {header}\" }}\n\
             body = '{{\"key\": \"{body}\", \"ip\": \"{{ipv4}}\"}}'\n\
             [[urls]]\nurl = \"http://far.example/{path}?{query}={{ipv4}}\"\n\
             [[dyndns]]\nurl = \"http://{at}/{path}?k={{token}}&h={{host}}&ip={{ip}}\"\n\
             hostname = \"home.example\"\ntoken = \"{dyndns}\"\n\
             [[dyndns]]\nurl = \"http://{at}/nic/update\"\nhostname = \"nas.example\"\n\
             username = \"me\"\npassword = \"{password}\"\n\
             [[rfc2136]]\nserver = \"127.0.0.1:1\"\nzone = \"home.example\"\nkey = \"k\"\nsecret = \"{tsig}\"\n\
             records = [{{ name = \"nas\", type = \"A\" }}]\n\
             [[runs]]\ncmd = [\"/bin/false\", \"{{ipv4}}\", \"--token={argument}\", \"-u\", \"me:{argument}\", \
             \"https://{user}:{password}@a.example/{path}?{query}\", \"Authorization: Bearer {header}\"]\n",
            proxy = p("proxy"),
            token = p("token"),
            user = p("user"),
            password = p("password"),
            path = p("path"),
            query = p("query"),
            header = p("header"),
            body = p("body"),
            dyndns = p("dyndns"),
            tsig = STANDARD.encode(p("tsig")),
            argument = p("argument"),
            telling = p("telling"),
        )
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path(name), text).unwrap();
        fs::set_permissions(self.folder.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Everything that the program writes when it is called like this.
    fn call(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_ddns-update-daemon"))
            .args(arguments)
            .env_clear()
            .env("STATE_DIRECTORY", self.folder.path("state"))
            .current_dir(self.folder.path("."))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        for file in fs::read_dir(self.folder.path("state")).unwrap() {
            text.push_str(&fs::read_to_string(file.unwrap().path()).unwrap_or_default());
        }
        text
    }
}

/// How many pieces of secrets were looked for in `text`. Fails at the first that
/// is there.
fn search(text: &str, what: &str) -> usize {
    let mut searched = 0;
    // State files hold digests, in which any four digits may stand.
    let lower = text.to_ascii_lowercase();
    for (name, secret) in PLANTED {
        let lines = [
            secret.to_ascii_lowercase(),
            secret.to_ascii_lowercase().chars().rev().collect(),
            STANDARD.encode(secret).trim_end_matches('=').to_ascii_lowercase(),
            each(secret, |byte| format!("%{byte:02x}")),
            each(secret, |byte| format!("&#{byte};")),
            each(secret, |byte| format!("\\u{byte:04x}")),
        ];
        for (line, size) in lines.iter().zip([4, 4, 6, 9, 9, 18]) {
            for at in 0..=line.len() - size {
                searched += 1;
                let piece = &line[at..at + size];
                assert!(!lower.contains(piece), "{what}: {piece:?} of the secret in {name}:\n{text}");
            }
        }
    }
    searched
}

#[test]
fn no_output_holds_a_secret_whatever_servers_say() {
    let look = |text: &str, what: &str| {
        assert!(!text.is_empty(), "{what}");
        search(text, what)
    };
    let scene = Scene::new();
    let quiet = [
        ["--check", "config.toml"].as_slice(),
        &["--once", "--dry-run", "-v", "config.toml"],
        &["--once", "--dry-run", "-v", "--log-format", "json", "config.toml"],
        &["explain", "config.toml"],
    ]
    .map(|arguments| look(&scene.call(arguments), &arguments.join(" ")));
    let mut answers = Vec::new();
    for (name, spell) in SPELLINGS {
        for status in ["200 OK", "307 Temporary Redirect", "400 Bad Request", "500 Internal Server Error"] {
            answers.extend(["text", "json"].map(|format| (name, spell, status, format)));
        }
    }
    // Each waits for the quick retries of a single run, so all of them at once.
    let searched: Vec<usize> = thread::scope(|scope| {
        let play = |(name, spell, status, format): (_, Spelling, _, _)| {
            let scene = Scene::new();
            *scene.spelling.lock().unwrap() = (spell, status);
            let mut text = scene.call(&["--once", "-v", "--log-format", format, "config.toml"]);
            if status.starts_with("40") {
                text += &scene.call(&["explain", "--online", "config.toml"]);
            }
            assert!(text.contains('…') || status == "200 OK", "{name} {status}: {text}");
            look(&text, &format!("{name}, {status}, {format}"))
        };
        let running: Vec<_> = answers.into_iter().map(|answer| scope.spawn(move || play(answer))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let texts = quiet.len() + searched.len();
    let searched: usize = quiet.iter().chain(&searched).sum();
    crate::support::show(&format!(
        "secrets: {} planted, {texts} outputs, {} spellings, {searched} pieces looked for, 0 found",
        PLANTED.len(),
        SPELLINGS.len()
    ));
}

#[test]
fn no_mistake_in_a_file_shows_a_secret() {
    let scene = Scene::new();
    let good = scene.config();
    let (mut searched, mut texts) = (0, 0);
    for (from, to) in [
        ("api_token =", "api_tokn ="),
        ("[cloudflare]", "[cloudfare]"),
        ("headers =", "header ="),
        ("body =", "bodi ="),
        ("secret =", "algorithm ="),
        ("token = \"", "password = \""),
        ("username = \"", "hostname = \""),
        ("username = \"", "provider = \""),
        ("api_token = \"", "zone_id = \""),
        ("proxy = \"http", "router_ip = \"https"),
        ("proxy = \"http", "proxy = \"socks5"),
        ("cmd = [", "cmd = [5, "),
        ("headers = {", "headers = \"{"),
        ("api_token = \"", "api_token = "),
        ("zone = ", "zone = 5 "),
        ("password = \"", "\""),
        ("token = \"", "token = [\""),
        ("url = \"http", "url = \"htp"),
        ("method = \"post\"\nurl = ", "method = "),
        ("[cloudflare]", "[TOKEN]"),
        ("[heartbeat]", "[heartbeat.TOKEN]"),
        ("[[urls]]", "[[TOKEN]]"),
        ("hostname = \"home.example\"\ntoken = ", "TOKEN = "),
        ("secret = ", "TOKEN = \"secret\" #"),
    ] {
        let text = good.replacen(from, &to.replace("TOKEN", planted("token")), 1);
        assert_ne!(text, good, "{from}");
        scene.write("wrong.toml", &text);
        let told = scene.call(&["--check", "wrong.toml"]);
        assert!(told.contains("wrong.toml"), "{to}: {told}");
        searched += search(&told, to);
        texts += 1;
    }
    // No mistake, but what stands in it is shown by nothing either.
    scene.write("good.toml", &good.replacen("proxy = \"http", "router_ip = \"http", 1));
    searched += search(&scene.call(&["--check", "good.toml"]), "credentials in router_ip");
    crate::support::show(&format!("secrets: {texts} mistakes, {searched} pieces looked for, 0 found"));
}
