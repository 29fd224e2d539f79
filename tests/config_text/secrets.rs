//! What is never shown of a configuration, also of a damaged one, and that no text ends
//! the program.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::config::{UpdaterConfig, parse};
use ddns_update_daemon::engine::state::State;
use ddns_update_daemon::engine::{Engine, Now};
use ddns_update_daemon::quote::said;

use super::{EXAMPLES, example, file, good, read};

#[test]
fn what_may_be_a_secret_in_the_wrong_place_is_not_shown() {
    let secret = "k3y-0f-4-k1nd-abcdefghijklmnopqrstuvwxyz";
    for text in [
        "interval = \"SECRET\"",
        "SECRET = 5",
        "\"SECRET\" = 5",
        "method = \"SECRET\"",
        "[[urls]]\nurl = \"https://a.example\"\nmethod = \"SECRET\"",
        "[[urls]]\nurl = \"https://a.example\"\nheaders = { \"SECRET x\" = \"\" }",
        "[[urls]]\nurl = \"https://a.example\"\nexpect = [\"SECRET x\"]",
        "[[runs]]\ncmd = \"curl https://a.example/SECRET\"",
        "[[runs]]\ncmd = \"curl -u me:SECRET\"",
        "[[dyndns]]\nprovider = \"SECRET\"",
        "[[rfc2136]]\nalgorithm = \"SECRET\"",
        "ipv4 = [\"SECRET\"]",
        "router_ip = \"http://me:SECRET@192.168.1.1.1/\"",
        "state_file = [\"SECRET\"]",
        "x = SECRET",
        "SECRET",
        "[SECRET",
        "[SECRET]",
        "api_token = \"\"\"SECRET",
    ] {
        let told = read(&text.replace("SECRET", secret)).unwrap_err().to_string();
        for piece in ["k3y", "0f-4", "k1nd", "abcdefg"] {
            assert!(!told.contains(piece), "{text}: {told}");
        }
    }
}

/// Every place that can hold a secret holds one that begins with SENTINEL.
const SECRETS: &str = r#"
router_ip = "192.168.1.1"
proxy = "http://SENTINELp:SENTINELq@proxy.example:3128"
no_proxy = ["lan", "10.0.0.0/8"]
[tls]
ca_file = "ca.pem"
client_cert = "client.pem"
client_key = "-----BEGIN PRIVATE KEY-----\nSENTINELr\n-----END PRIVATE KEY-----"
[[cloudflare]]
api_token = "SENTINELa"
records = [{ name = "a", type = "A" }, { name = "a", type = "AAAA", ipv6_suffix = "::5", refresh = 2.5, verify = 7.5 }]
[[urls]]
method = "POST"
url = "https://SENTINELb:SENTINELc@a.example:81/path/{ipv4}?k=SENTINELd&ip={ipv4}&SENTINELe#SENTINELf"
headers = { X-Key = "SENTINELg", Authorization = "SENTINELh {ipv6}" }
body = "SENTINELi {ipv4}"
expect = ["good"]
agree = 2
ipv4 = ["upnp", "natpmp"]
[[urls]]
url = "https://b.example"
when_absent = "empty"
ipv6 = []
[[rfc2136]]
server = "ns1.example:5353"
zone = "home.example"
key = "k"
algorithm = "HMAC-SHA512."
secret = "SENTINELlmno"
transport = "udp"
records = [{ name = "a", type = "A" }, { name = "a", type = "AAAA", ipv6_suffix = "::5" }]
[[runs]]
cmd = ["curl", "https://SENTINELj@a.example/?k=SENTINELk", "say \"{ipv4}\"\t\\\u0001"]
timeout = 5
ipv6 = []
at_start = true
allow_private = true
"#;

#[test]
fn secrets_are_never_shown() {
    let config = good(SECRETS);
    assert!(!config.describe().contains("SENTINEL"), "{}", config.describe());
    let mut shown = config.clone();
    // Arguments of programs are for every user of the machine to see.
    shown.groups.retain(|group| !matches!(group, UpdaterConfig::Run(_)));
    assert!(!format!("{shown:?}").contains("SENTINEL"), "{shown:?}");
    assert!(!config.warnings.join("").contains("SENTINEL"), "{:?}", config.warnings);
}

#[test]
fn secrets_are_never_shown_however_the_file_is_damaged() {
    for index in (0..SECRETS.len()).filter(|index| SECRETS.is_char_boundary(*index)) {
        for damage in ["", "\"", "\n", "[", "é"] {
            let (before, behind) = SECRETS.split_at(index);
            for rest in [behind, behind.get(1..).unwrap_or_default()] {
                let text = format!("{before}{damage}{rest}");
                let told = match read(&text) {
                    Ok(config) => config.warnings.join("\n"),
                    Err(error) => error.to_string(),
                };
                assert!(!told.contains("SENTINEL"), "{index} {damage:?}: {told}");
            }
        }
    }
}

#[test]
fn every_source_is_described_as_it_is_read() {
    let ipv4 = "ipv4 = [\"upnp\", \"natpmp:192.168.1.1\", \"pcp\", \"pcp:192.168.1.1\", \"interface:eth0\", \
                \"https://1.1.1.1/cdn-cgi/trace\", \"http://192.168.1.2:8080/ip\"]\n";
    let ipv6 = "ipv6 = [\"interface\", \"https://echo.example/\", \"http://[fd00::1]/\"]\n";
    let config = good(&format!("{ipv4}{ipv6}[[runs]]\ncmd = [\"x\", \"{{ipv4}}\", \"{{ipv6}}\"]\n"));
    let described = config.describe();
    assert!(described.contains(ipv6) && described.contains("\"https://1.1.1.1/<hidden>\""), "{described}");
    assert_eq!(good(&put_back(&described, &["cdn-cgi/trace", "ip"])).sources, config.sources);
}

/// Their paths are nobody's business, also when a server repeats them; their names, by
/// which state and metrics know them, are no less different.
#[test]
fn services_at_one_host_have_names_of_their_own() {
    let lists = "ipv4 = [\"https://echo.example/four/hushhush\"]\nipv6 = [\"https://echo.example/six\"]\n";
    let config = good(&format!("{lists}[[runs]]\ncmd = [\"x\", \"{{ipv4}}\", \"{{ipv6}}\"]\n"));
    let names = ["https://echo.example/<hidden>", "https://echo.example/<hidden> (2)"];
    assert_eq!([0, 1].map(|index| config.source_name(index)), names);
    let engine = Engine::new(&config, State::default(), 1);
    let status = engine.status(Now::new(Duration::ZERO, 0));
    assert_eq!(status.sources.iter().map(|source| &*source.name).collect::<Vec<_>>(), names);
    assert_eq!(said("no hushhush", &config.secrets, []), "\"no …\"");
}

/// The description with the hidden values put back, in their order.
fn put_back(described: &str, hidden: &[&str]) -> String {
    let mut pieces = described.split("<hidden>");
    let first = pieces.next().unwrap_or_default().to_owned();
    assert_eq!(described.matches("<hidden>").count(), hidden.len(), "{described}");
    pieces.zip(hidden).fold(first, |text, (piece, hidden)| text + hidden + piece)
}

#[test]
fn a_description_reads_as_the_same_configuration() {
    let config = good(SECRETS);
    let hidden = [
        "SENTINELp:SENTINELq",
        "-----BEGIN PRIVATE KEY-----\\nSENTINELr\\n-----END PRIVATE KEY-----",
        "SENTINELa",
        "SENTINELb:SENTINELc",
        "path/",
        "?k=SENTINELd&ip=",
        "&SENTINELe",
        "SENTINELg",
        "SENTINELh {ipv6}",
        "SENTINELi {ipv4}",
        "SENTINELlmno",
        "SENTINELj",
        "?k=SENTINELk",
    ];
    let text = put_back(&config.describe(), &hidden);
    // Its paths are complete: it is not to be found in the folder again.
    let again = parse(&text, Path::new("c.toml"), &file).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again, config, "{text}");
    for name in EXAMPLES {
        let described = good(&example(name)).describe();
        toml::de::DeTable::parse(&described).unwrap_or_else(|error| panic!("{error}\n{described}"));
    }
}

#[test]
fn no_text_makes_it_panic_or_slow() {
    let full = example("full.toml");
    let lines: Vec<&str> = full.split_inclusive('\n').collect();
    for end in 0..lines.len() {
        let _ = read(&lines[..end].concat());
    }
    // What stands before a section does not change how it is read.
    let sections: Vec<String> =
        lines.chunk_by(|_, line| !line.starts_with('[')).map(<[&str]>::concat).collect();
    for section in &sections {
        for end in 0..section.len() {
            let _ = read(section.get(..end).unwrap_or_default());
        }
    }
    // Numbers of a linear congruential generator choose what to exchange.
    let split = |text: &'_ str| text.split_inclusive([' ', '\n', '"', '[', ']']).map(str::to_owned).collect();
    let (mut state, words): (u32, Vec<String>) = (1, split(&full));
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(state >> 8).unwrap() % below
    };
    for section in sections.iter().cycle().take(2000) {
        let mut mixed: Vec<String> = split(section);
        for _ in 0..4 {
            let (to, from) = (next(mixed.len()), next(words.len()));
            mixed[to].clone_from(&words[from]);
        }
        let _ = read(&mixed.concat());
    }
    for text in ["[".repeat(100_000), "a.".repeat(50_000), "x = {".repeat(50_000), "a = 1\n".repeat(50_000)] {
        assert!(read(&text).is_err());
    }
    let keys: Vec<String> = (0..50_000_u32).map(|n| format!("urlz{n} = 1\n")).collect();
    assert!(read(&keys.concat()).unwrap_err().to_string().ends_with("and 49990 more"));
}
