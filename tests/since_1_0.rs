//! Configurations of 1.0 beside what 1.0.1 made of them.
//!
//! Each row was played with 1.0.1 (`cargo install ddns-update-daemon --version
//! 1.0.1`) against a gateway and a web server like these; what arrived there is
//! written down here. Where we differ on purpose, the row says what the
//! CHANGELOG calls it under "Behaves differently from 1.0".

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Folder};
use crate::support::gateway::Gateway;
use crate::support::wire::{Request, Server};

/// What is played.
struct Row {
    name: &'static str,
    /// What the web server answers; "good" if empty.
    answer: &'static str,
    /// In front of the router's address, in its URL.
    credentials: &'static str,
    /// In front of the program.
    launcher: &'static [&'static str],
    /// Behind `interval` and `router_ip`.
    config: &'static str,
    /// The router's address.
    router: &'static str,
    /// The address it has later.
    later: &'static str,
    /// What arrived at the web server and in the program's file with 1.0.1.
    recorded: &'static [&'static str],
    /// What does with us, and where the CHANGELOG says why.
    ours: Option<(&'static [&'static str], &'static str)>,
}

const ROW: Row = Row {
    answer: "",
    credentials: "",
    launcher: &[],
    name: "",
    config: "",
    router: "9.9.9.1",
    later: "",
    recorded: &[],
    ours: None,
};

const README: &str = r#"
[[urls]]
method = "get"
url = "http://PROVIDER/nic/update?myip={ipv4}&myipv6={ipv6}"
headers = {"x-a" = "value {ipv4}"}
body = ""
[[runs]]
cmd = ["/bin/sh", "-c", "echo \"$0 $1\" >> OUT", "{ipv4}", "{ipv6}"]
"#;

const PROGRAM: &str = "[[runs]]\ncmd = [\"/bin/sh\", \"-c\", \"echo run $0 >> OUT\", \"{ipv4}\"]\n";

const ROWS: &[Row] = &[
    Row {
        name: "the README's example on a line without IPv6",
        config: README,
        recorded: &["9.9.9.1 ", "GET /nic/update?myip=9.9.9.1&myipv6= x-a=value 9.9.9.1"],
        ..ROW
    },
    Row {
        name: "a section whose URL has no scheme stops alone",
        config: "[[urls]]\nurl = \"PROVIDER/x\"\n[[urls]]\nurl = \"http://PROVIDER/y?{ipv4}\"\n",
        recorded: &["GET /y?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "a section of ftp stops alone",
        config: "[[urls]]\nurl = \"ftp://PROVIDER/x\"\n[[urls]]\nurl = \"http://PROVIDER/y?{ipv4}\"\n",
        recorded: &["GET /y?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "an empty program stops alone",
        config: "[[runs]]\ncmd = [\"\"]\n[[runs]]\ncmd = []\n[[runs]]\ncmd = [\"{ipv4}\"]\n[[urls]]\nurl = \"http://PROVIDER/y?{ipv4}\"\n",
        recorded: &["GET /y?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "a URL without placeholders behind a second NAT",
        config: "[[urls]]\nurl = \"http://PROVIDER/notice\"\n",
        router: "192.168.178.20",
        later: "192.168.178.21",
        recorded: &["GET /notice", "GET /notice"],
        ..ROW
    },
    Row {
        name: "a program without placeholders behind a second NAT",
        config: "[[runs]]\ncmd = [\"/bin/sh\", \"-c\", \"echo run >> OUT\"]\n",
        router: "192.168.178.20",
        later: "192.168.178.21",
        recorded: &["run", "run"],
        ..ROW
    },
    Row {
        name: "a URL with a private address",
        config: "[[urls]]\nurl = \"http://PROVIDER/n?{ipv4}\"\n",
        router: "192.168.178.20",
        recorded: &["GET /n?192.168.178.20"],
        ours: Some((&[], "A private or shared address of the router is not published")),
        ..ROW
    },
    Row {
        name: "a program with {ipv4}, and another address later",
        config: PROGRAM,
        later: "9.9.9.2",
        recorded: &["run 9.9.9.1", "run 9.9.9.2"],
        ..ROW
    },
    Row {
        name: "methods and bodies",
        config: "[[urls]]\nmethod = \"put\"\nurl = \"http://PROVIDER/u\"\nbody = \"ip={ipv4}\"\n",
        recorded: &["PUT /u ip=9.9.9.1"],
        ..ROW
    },
    Row {
        name: "a post without a body",
        config: "[[urls]]\nmethod = \"post\"\nurl = \"http://PROVIDER/u?{ipv4}\"\n",
        recorded: &["POST /u?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "credentials in a URL, plain and with more than one @ and colon",
        config: "[[urls]]\nurl = \"http://me@x.example:p:w@PROVIDER/u?{ipv4}\"\n",
        recorded: &["GET /u?9.9.9.1 authorization=Basic bWVAeC5leGFtcGxlOnA6dw=="],
        ..ROW
    },
    Row {
        name: "credentials in a URL, percent-encoded",
        config: "[[urls]]\nurl = \"http://me:p%40ss%3A%25%23x@PROVIDER/u?{ipv4}\"\n",
        recorded: &["GET /u?9.9.9.1 authorization=Basic bWU6cEBzczolI3g="],
        ..ROW
    },
    Row {
        name: "credentials in a URL with umlauts",
        config: "[[urls]]\nurl = \"http://m\u{fc}:p\u{e4}@PROVIDER/u?{ipv4}\"\n",
        recorded: &["GET /u?9.9.9.1 authorization=Basic bcO8OnDDpA=="],
        ..ROW
    },
    Row {
        name: "a password without a user",
        config: "[[urls]]\nurl = \"http://:pw@PROVIDER/u?{ipv4}\"\n",
        recorded: &["GET /u?9.9.9.1 authorization=Basic OnB3"],
        ..ROW
    },
    Row {
        name: "dots in a path",
        config: "[[urls]]\nurl = \"http://PROVIDER/a/../b/%2e/u?/../{ipv4}\"\n",
        recorded: &["GET /b/u?/../9.9.9.1"],
        ..ROW
    },
    Row {
        name: "braces in a path, apostrophes in a query",
        config: "[[urls]]\nurl = \"http://PROVIDER/u{x}?{x}'{ipv4}'\"\n",
        recorded: &["GET /u%7Bx%7D?{x}%279.9.9.1%27"],
        ..ROW
    },
    Row {
        name: "a backslash in a path",
        config: "[[urls]]\nurl = 'http://PROVIDER/a\\u?{ipv4}'\n",
        recorded: &["GET /a/u?9.9.9.1"],
        ours: Some((&[], "a URL over two lines, with backslashes")),
        ..ROW
    },
    Row {
        name: "a body in chunks, by a header of the user's",
        config: "[[urls]]\nmethod = \"post\"\nurl = \"http://PROVIDER/u\"\nbody = \"{ipv4}\"\nheaders = { Transfer-Encoding = \"chunked\" }\n",
        recorded: &["POST /u transfer-encoding=chunked"],
        ..ROW
    },
    Row {
        name: "a router that tells an IPv6 address where IPv4 is asked for",
        config: "[[urls]]\nurl = \"http://PROVIDER/u?{ipv6}\"\n",
        router: "2a10:1::5",
        recorded: &["GET /u?2a10:1::5"],
        ..ROW
    },
    Row {
        name: "a user without a password",
        config: "[[urls]]\nurl = \"http://me@PROVIDER/u?{ipv4}\"\n",
        recorded: &["GET /u?9.9.9.1 authorization=Basic bWU6"],
        ..ROW
    },
    Row {
        name: "a header before the credentials of the URL",
        config: "[[urls]]\nurl = \"http://me:pw@PROVIDER/u?{ipv4}\"\nheaders = { authorization = \"Bearer x\" }\n",
        recorded: &["GET /u?9.9.9.1 authorization=Bearer x"],
        ..ROW
    },
    Row {
        name: "a router's URL with credentials, which are not sent",
        config: "[[urls]]\nurl = \"http://PROVIDER/u?{ipv4}\"\n",
        credentials: "me:p@",
        recorded: &["GET /u?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "RUST_LOG, which has no effect",
        config: "[[urls]]\nurl = \"http://PROVIDER/u?{ipv4}\"\n",
        launcher: &["env", "RUST_LOG=off"],
        recorded: &["GET /u?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "an answer that is cut",
        config: "[[urls]]\nurl = \"http://PROVIDER/u?{ipv4}\"\n",
        answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\ngood",
        recorded: &["GET /u?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "an answer with a status that leads nowhere",
        config: "[[urls]]\nurl = \"http://PROVIDER/u?{ipv4}\"\n",
        answer: "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n",
        recorded: &["GET /u?9.9.9.1"],
        ..ROW
    },
    Row {
        name: "braces that are no placeholders",
        config: "[[urls]]\nurl = \"http://PROVIDER/u?{{ipv4}}&{ipv5}&%7Bipv4%7D\"\n",
        recorded: &["GET /u?{9.9.9.1}&{ipv5}&%7Bipv4%7D"],
        ..ROW
    },
];

/// Who is told apart in what arrives.
fn line(request: &Request) -> String {
    // Of a body in chunks the server reads what comes with its head, or nothing: it is left out.
    let fields = ["authorization", "x-a", "transfer-encoding"].map(|name| (name, request.field(name)));
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    let mut words = vec![request.method.clone(), request.path.clone()];
    words.extend(fields.map(|(name, value)| format!("{name}={value}")));
    let whole = request.field("transfer-encoding").is_empty();
    words.extend(Some(request.body.clone()).filter(|body| whole && !body.is_empty()));
    words.join(" ")
}

/// What is wrong with a row, if anything.
fn play(row: &Row) -> Option<String> {
    let local = || SocketAddr::from(([127, 0, 0, 1], 0));
    let gateway = Gateway::start(local(), row.router);
    let url = gateway.url().replace("://", &format!("://{}", row.credentials));
    let answer = row.answer;
    let provider = Server::start(
        local(),
        Arc::new(move |_, wire| {
            if answer.is_empty() { wire.reply("200 OK", "", b"good") } else { wire.send(answer.as_bytes()) }
        }),
    );
    let folder = Folder::new();
    // A line without IPv6, also where this host has it: loopback has no address for others.
    let more = if row.config == README { "ipv6 = [\"interface:lo\"]\n" } else { "" };
    let config = format!("interval = 0.02\nrouter_ip = \"{}\"\n{more}{}", url, row.config)
        .replace("PROVIDER", &provider.address().to_string())
        .replace("OUT", &folder.path("out").display().to_string());
    let launcher: Vec<String> = row.launcher.iter().map(|word| (*word).to_owned()).collect();
    let daemon = Daemon::start(&launcher, &folder, &config);
    let arrived = || {
        let exchanges = provider.exchanges();
        let requests = exchanges.iter().filter(|exchange| !exchange.request.path.is_empty());
        let mut lines: Vec<String> = requests.map(|exchange| line(&exchange.request)).collect();
        lines.extend(folder.read("out").lines().map(str::to_owned));
        lines.sort();
        lines
    };
    let expected = row.ours.map_or(row.recorded, |(ours, _)| ours);
    let first = if row.later.is_empty() { expected.len() } else { expected.len() / 2 };
    let wait = |count: usize| {
        // Ten seconds pass before an absent family counts as such.
        crate::support::wait_for(Duration::from_secs(40), || (arrived().len() >= count).then_some(()));
    };
    wait(first);
    if !row.later.is_empty() {
        gateway.heal(row.later);
        wait(expected.len());
    }
    // What comes too often comes at one of the next polls.
    let polled = Instant::now();
    crate::support::wait_for(Duration::from_secs(20), || (gateway.polls(polled).len() > 2).then_some(()));
    drop(daemon);
    let arrived = arrived();
    assert!(row.launcher.is_empty() || folder.read("log").contains("set to 9.9.9.1"), "its log is as always");
    (arrived != expected).then(|| {
        format!("{}\n  expected {expected:?}\n  arrived  {arrived:?}\n{}", row.name, folder.read("log"))
    })
}

#[test]
fn files_of_1_0_do_what_1_0_1_did() {
    let players: Vec<_> = ROWS.iter().map(|row| thread::spawn(move || play(row))).collect();
    let count = players.len();
    let wrong: Vec<String> = players.into_iter().filter_map(|player| player.join().unwrap()).collect();
    crate::support::show(&format!("1.0: {count} rows played"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn programs_come_behind_requests() {
    let local = || SocketAddr::from(([127, 0, 0, 1], 0));
    let gateway = Gateway::start(local(), "9.9.9.1");
    let answered = Arc::new(AtomicBool::new(false));
    let provider = Server::start(local(), {
        let answered = Arc::clone(&answered);
        Arc::new(move |_, wire| {
            thread::sleep(Duration::from_millis(400));
            answered.store(true, Ordering::SeqCst);
            wire.reply("200 OK", "", b"good")
        })
    });
    let folder = Folder::new();
    let config = format!(
        "interval = 1\nrouter_ip = \"{}\"\n[[urls]]\nname = \"there\"\nurl = \"http://{}/u?{{ipv4}}\"\n{}",
        gateway.url(),
        provider.address(),
        PROGRAM
            .replace("echo run $0", "echo run $DDNS_OK")
            .replace("OUT", &folder.path("out").display().to_string())
    );
    let daemon = Daemon::start(&[], &folder, &config);
    let ran =
        crate::support::wait_for(Duration::from_secs(20), || (!folder.read("out").is_empty()).then_some(()));
    assert!(ran.is_some() && answered.load(Ordering::SeqCst), "{}", folder.read("log"));
    assert_eq!(folder.read("out"), "run there\n", "it learns the outcome");
    drop(daemon);
}

const URL: &str = "[[urls]]\nurl = \"http://a.example/{ipv4}\"\n";
const CLOUDFLARE: [&str; 2] = [
    "api_token = \"0123456789abcdefghijABCDEFGHIJ0123456789\"",
    "zone_id = \"0123456789abcdef0123456789abcdef\"",
];
const RECORD: &str = "name = \"a.example\"";

/// What 1.0.1 took: read, or refused with what the CHANGELOG calls it.
fn forms() -> Vec<(String, Option<&'static str>)> {
    let [token, zone] = CLOUDFLARE;
    let url = |more: &str| format!("interval = 5\n{URL}{more}");
    let mut forms = vec![
        (format!("\u{feff}{}", url("")), None),
        (url("").replace('\n', "\r\n"), None),
        (url("[urls.headers]\nX-A = \"1\"\n"), None),
        (url("headers.X-A = \"1\"\n"), None),
        (
            format!(
                "interval = 5\ncloudflare = {{ {token}, {zone}, records = [{{ {RECORD}, type = \"A\" }}] }}"
            ),
            None,
        ),
        (
            format!(
                "interval = 5\ncloudflare.{token}\ncloudflare.{zone}\n[[cloudflare.records]]\n{RECORD}\ntype = \"A\""
            ),
            None,
        ),
        (
            format!("interval = 5\n[cloudflare]\n{token}\n{zone}\nrecords = [[\"a.example\", \"A\"]]"),
            Some("lists in the place of sections"),
        ),
        (url("urll = \"\"\n"), Some("unknown keys")),
        (url("method = \"connect\"\n"), Some("the method CONNECT")),
        (url("headers = { X-A = \"1\", x-a = \"2\" }\n"), Some("a header given twice in two cases")),
    ];
    let methods = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];
    forms.extend(methods.map(|method| (url(&format!("method = \"{method}\"\n")), None)));
    let short = Some("intervals under a second");
    for (interval, refused) in
        [("0x1e", None), ("1_000", None), ("30.0", None), ("0.5", None), ("0", short), ("0.016", short)]
    {
        forms.push((format!("interval = {interval}\n{URL}"), refused));
    }
    let odd = Some("a router's address with leading zeros, short (`127.1`) or `0.0.0.0`");
    for (address, refused) in [
        ("HTTP://192.168.1.1:5000/x.xml", None),
        ("http://fritz.box:49000/igddesc.xml", None),
        ("fd00::1", None),
        ("192.168.001.001", odd),
        ("127.1", odd),
        ("0.0.0.0", odd),
    ] {
        forms.push((format!("interval = 5\nrouter_ip = \"{address}\"\n{URL}"), refused));
    }
    let lines = Some("a URL over two lines, with backslashes or with one slash behind `http:`");
    for url in ["'''http://a.example/\n{ipv4}'''", "'http://a.example\\{ipv4}'", "'http:/a.example/{ipv4}'"] {
        forms.push((format!("interval = 5\n[[urls]]\nurl = {url}\n"), lines));
    }
    forms
}

#[test]
fn what_1_0_took_is_read_or_refused_with_its_place() {
    let no_files = |_: &std::path::Path| Err(String::new());
    for (text, refused) in forms() {
        let read = ddns_update_daemon::config::parse(&text, std::path::Path::new("c.toml"), &no_files);
        match (read, refused) {
            (Ok(config), None) => assert_eq!((config.targets.len(), config.left_out.len()), (1, 0), "{text}"),
            (Err(error), Some(_)) => assert!(error.to_string().contains("c.toml:"), "{text}\n{error}"),
            (read, _) => panic!("{text}\n{:?}", read.map(|config| config.left_out)),
        }
    }
}

#[test]
fn every_difference_stands_in_the_changelog() {
    let changelog = include_str!("../CHANGELOG.md");
    let begins = changelog.find("### Behaves differently from 1.0").unwrap();
    let ends = changelog.find("### From 2.0.0").unwrap();
    let section = changelog.get(begins..ends).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    for row in ROWS {
        assert!(row.ours.is_none_or(|(_, why)| section.contains(why)), "{}", row.name);
    }
    for (text, refused) in forms() {
        assert!(refused.is_none_or(|why| section.contains(why)), "{text}");
    }
}

#[test]
fn examples_of_1_0_are_read() {
    // The README's example as it stood there, but for its `...` in headers, which is no TOML.
    let example = r#"
interval = 30
router_ip = "192.168.1.1"
[cloudflare]
api_token = "0123456789abcdefghijABCDEFGHIJ0123456789"
zone_id = "0123456789abcdef0123456789abcdef"
[[cloudflare.records]]
name = "@"
type = "A" # or "AAAA"
[[urls]]
method = "get"
url = "https://api.yourservice.com/nic/update?myip={ipv4}&myipv6={ipv6}"
headers = {"name" = "value"}
body = ""
[[runs]]
cmd = ["myprog", "{ipv4}"]
"#;
    let no_files = |_: &std::path::Path| Err(String::new());
    let read =
        |text: &str| ddns_update_daemon::config::parse(text, std::path::Path::new("c.toml"), &no_files);
    let config = read(example).unwrap();
    assert_eq!((config.targets.len(), config.left_out.len()), (3, 0));
    for other in ["\"127.0.0.1\"", "\"http://192.168.1.1:49000/igd2desc.xml\""] {
        assert!(read(&example.replace("\"192.168.1.1\"", other)).is_ok(), "{other}");
    }
    // As it stood there: 1.0 sent the words in pointed brackets and failed, alone.
    let token = "0123456789abcdefghijABCDEFGHIJ0123456789";
    let left = read(&example.replace(token, "<token>")).unwrap();
    assert_eq!((left.targets.len(), left.left_out.len()), (2, 1), "{:?}", left.left_out);
}
