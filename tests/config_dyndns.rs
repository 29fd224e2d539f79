//! `[[dyndns]]` sections: what they mean, and what is said of wrong ones.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::config::{Config, ConfigError, Dyndns, UpdaterConfig, parse};

const NONE: Needs = Needs { ipv4: false, ipv6: false, ipv6_prefix: false };
const IPV4: Needs = Needs { ipv4: true, ..NONE };
const IPV6: Needs = Needs { ipv6: true, ..NONE };
const BOTH: Needs = Needs { ipv4: true, ipv6: true, ipv6_prefix: false };

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("c.toml"), &|path| match path.to_str() {
        Some("secret") => Ok("from a file\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    })
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn accounts(config: &Config) -> Vec<&Dyndns> {
    let mut accounts = Vec::new();
    for group in &config.groups {
        if let UpdaterConfig::Dyndns(account) = group {
            accounts.push(account.as_ref());
        }
    }
    accounts
}

/// A section of `provider` with what most of them need.
fn section(provider: &str, more: &str) -> String {
    format!("[[dyndns]]\nprovider = \"{provider}\"\nhostname = \"a.example.org\"\n{more}\n")
}

const USER: &str = "username = \"me\"\npassword = \"pw\"";

/// Sections, and what is said of them behind the name of the file.
const MISTAKES: &[(&str, &str)] = &[
    ("hostname = \"a.b\"", "1:1: [[dyndns]]: provider or url is missing"),
    ("provider = \"noip\"", "2:12: provider = \"noip\": no such provider: did you mean \"no-ip\"?"),
    (
        "provider = \"frobnicate\"",
        "2:12: provider = \"frobnicate\": no such provider; see `ddns-update-daemon providers`, or give the url of any dyndns2 server",
    ),
    (
        "provider = \"no-ip\"\nurl = \"https://a.b/\"",
        "3:1: \"url\": \"provider\" is given too; keep one of the two",
    ),
    (
        "provider = \"no-ip\"\nhostname = \"a.b\"\nusername = \"me\"",
        "1:1: [[dyndns]]: password or password_file is missing",
    ),
    ("provider = \"no-ip\"\nusername = \"me\"\npassword = \"pw\"", "1:1: [[dyndns]]: hostname is missing"),
    (
        "provider = \"sitelutions\"\nusername = \"me\"\npassword = \"pw\"",
        "1:1: [[dyndns]]: hostname is missing: the record's id",
    ),
    (
        "provider = \"namecheap\"\nhostname = \"a.b\"\npassword = \"pw\"",
        "1:1: [[dyndns]]: username is missing: the domain",
    ),
    (
        "provider = \"namecheap\"\nhostname = \"a.b\"\npassword = \"pw\"\nusername = \"b.org\"",
        "3:12: hostname = \"a.b\": this name is not inside b.org, the domain that username names; for one that is, \
         write it in full: \"a.b.b.org\"",
    ),
    (
        "provider = \"duckdns\"\nhostname = \"a\"\ntoken = \"t\"\nusername = \"me\"",
        "5:1: \"username\": duckdns has no use for this; it needs hostname, token",
    ),
    (
        "provider = \"duckdns\"\nhostname = \"a\"\npassword = \"t\"\ntoken=\"t\"",
        "4:1: \"password\": duckdns has no use for this; it needs hostname, token",
    ),
    (
        "provider = \"duckdns\"\nhostname = \"a\"\ntoken = \"t\"\n\"hunter\" = \"password\"",
        "5:1: unknown key \"…\" in [[dyndns]]: expected provider, url, username, password, password_file, token, token_file, name, when_absent, ipv4, ipv6, agree, allow_private, ipv6_suffix, refresh, hostname, hostnames",
    ),
    (
        "provider = \"ovh\"\nhostname = \"a.b\"\npassword = \"pw\"\nusername = \"\\u0007hunter\"",
        "5:12: username: expected no line breaks or control characters",
    ),
    (
        "provider = \"duckdns\"\nhostname = \"a\"\ntoken = \"<token>\"",
        "4:9: token: expected a token; this is only a placeholder for one",
    ),
    (
        "provider = \"duckdns\"\nhostname = \"a\"\ntoken = \"to ken\"",
        "4:9: token: expected a token without blanks and special characters",
    ),
    (
        "provider = \"duckdns\"\nhostname = \"a\"\ntoken_file = \"missing.txt\"",
        "4:14: token_file = \"missing.txt\": there is no such file",
    ),
    (
        "provider = \"dynu\"\nhostname = \"a\"\nusername = \"me\"\npassword = \"pw\"",
        "3:12: hostname = \"a\": expected a full host name, as in \"home.example.org\"",
    ),
    (
        "provider = \"no-ip\"\nhostnames = []\nusername = \"me\"\npassword = \"pw\"",
        "3:13: hostnames = [...]: expected at least one name",
    ),
    (
        "provider = \"no-ip\"\nhostnames = [\"a.b\", \"A.B.\"]\nusername = \"me\"\npassword = \"pw\"",
        "3:21: hostnames = \"A.B.\": this name is listed twice",
    ),
    (
        "provider = \"inwx\"\nhostnames = [\"a.b\", \"c.d\"]\nusername = \"me\"\npassword = \"pw\"",
        "3:21: hostnames = \"c.d\": expected only one name: the credentials decide it",
    ),
    (
        "provider = \"dynu\"\nhostname = \"a.b\"\nusername = \"m:e\"\npassword = \"pw\"",
        "4:12: username: a user name with a colon cannot be sent (RFC 7617)",
    ),
    (
        "provider = \"no-ip\"\nhostname = \"a.b\"\nusername = \"me\"\npassword = \"p\\nw\"",
        "5:12: password: expected no line breaks or control characters",
    ),
    (
        "provider = \"changeip\"\nhostname = \"a.b\"\nusername = \"me\"\npassword = \"pw\"\nipv4 = []",
        "1:1: [[dyndns]]: it needs IPv4, which ipv4 = [] switches off",
    ),
    (
        "provider = \"changeip\"\nhostname = \"a.b\"\nusername = \"me\"\npassword = \"pw\"\nipv6_suffix = \"::1\"",
        "1:1: [[dyndns]]: ipv6_suffix is of no use here: only IPv4 addresses are sent",
    ),
    (
        "provider = \"dhis\"\nhostname = \"a.b\"\nusername = \"me\"\npassword = \"pw\"\nipv6_suffix = \"::1\"",
        "1:1: [[dyndns]]: ipv6_suffix is of no use here: dhis takes the address that asks",
    ),
    (
        "provider = \"no-ip\"\nhostname = \"a.b\"\nusername = \"me\"\npassword = \"pw\"\nwhen_absent = \"empty\"",
        "6:15: when_absent = \"empty\": a DNS record cannot be empty; leave this key out",
    ),
    (
        "provider = \"no-ip\"\nhostname = \"a.b\"\nuser_name = \"me\"\nusername = \"me\"\npassword = \"pw\"",
        "4:1: unknown key \"user_name\" in [[dyndns]]: did you mean \"username\"?",
    ),
    ("url = \"dyn.example\"\nhostname = \"a.b\"", "2:7: url: expected a URL: https://..."),
    (
        "url = \"https://me:pw@dyn.example/\"\nhostname = \"a.b\"",
        "2:7: url: expected no credentials in it; give username and password",
    ),
    (
        "url = \"https://dyn.example/?h={host}\"\nhostname = \"a.b\"",
        "2:7: url: expected {ip}, {ips}, {ipv4} or {ipv6}: where the address belongs",
    ),
    (
        "url = \"https://dyn.example/?h={hostname}&ip={ip}\"\nhostname = \"a.b\"",
        "2:7: url: expected only {username}, {host}, {ip}, {ips}, {ipv4}, {ipv6}, {password}, {token} in braces",
    ),
    (
        "url = \"https://dyn.example/\"\nhostname = \"a.b\"\ntoken = \"t\"",
        "4:1: \"token\": url has no place for this",
    ),
    (
        "url = \"https://dyn.example/\"\nhostname = \"a.b\"\nusername = \"me\"",
        "1:1: [[dyndns]]: password or password_file is missing",
    ),
];

#[test]
fn every_mistake_is_told_with_its_place_and_remedy() {
    for (text, expected) in MISTAKES {
        let error = read(&format!("[[dyndns]]\n{text}")).unwrap_err().to_string();
        assert_eq!(error, format!("c.toml:{expected}"), "{text}");
    }
    let error = read("[dyndns]\nprovider = \"no-ip\"").unwrap_err().to_string();
    assert_eq!(error, "c.toml:1:1: dyndns: expected [[dyndns]] sections, found a single section");
}

#[test]
fn a_target_needs_the_families_that_its_provider_knows() {
    for (provider, more, required, optional) in [
        ("no-ip", "", NONE, BOTH),
        ("no-ip", "ipv6 = []", IPV4, NONE),
        ("no-ip", "ipv4 = []", IPV6, NONE),
        ("changeip", "", IPV4, NONE),
        ("ovh", "", NONE, BOTH),
        ("no-ip", "ipv6_suffix = \"::5\"", NONE, Needs { ipv4: true, ipv6: false, ipv6_prefix: true }),
    ] {
        let config = good(&section(provider, &format!("{USER}\n{more}")));
        let target = &config.targets[0];
        assert_eq!((target.required, target.optional), (required, optional), "{provider} {more}");
    }
    // The token is that of one record.
    for (more, required) in [("", IPV4), ("ipv4 = []", IPV6)] {
        let config = good(&format!("[[dyndns]]\nprovider = \"freedns\"\ntoken = \"t\"\n{more}"));
        assert_eq!((config.targets[0].required, config.targets[0].optional), (required, NONE));
        assert_eq!(&*config.targets[0].name, "freedns");
    }
}

#[test]
fn sections_with_the_same_credentials_are_one_account() {
    let text = [
        section("no-ip", USER),
        section("dynu", USER),
        section("no-ip", "username = \"me\"\npassword = \"other\"").replace("a.example", "b.example"),
        section("no-ip", USER).replace("a.example", "c.example"),
        "[[dyndns]]\nprovider = \"no-ip\"\nhostnames = [\"D.example.org.\", \"k\u{f6}ln.example\"]\nname = \"x\"\n".to_owned() + USER,
    ];
    let config = good(&text.concat());
    let names: Vec<_> = accounts(&config).iter().map(|account| account.hostnames.join(" ")).collect();
    assert_eq!(
        names,
        ["a.example.org c.example.org d.example.org xn--kln-sna.example", "a.example.org", "b.example.org"]
    );
    let places: Vec<_> = config.targets.iter().map(|t| (&*t.name, t.group, t.entry)).collect();
    assert_eq!(
        places,
        [
            ("a.example.org", 0, 0),
            ("a.example.org (2)", 1, 0),
            ("b.example.org", 2, 0),
            ("c.example.org", 0, 1),
            ("x d.example.org", 0, 2),
            ("x xn--kln-sna.example", 0, 3),
        ]
    );
}

#[test]
fn refresh_and_pause_are_the_providers_unless_the_user_knows_better() {
    let refresh = |provider: &str, more: &str| {
        let config = good(&section(provider, &format!("{USER}\n{more}")));
        config.targets[0].refresh.map(|time| time.as_secs() / 86_400)
    };
    assert_eq!(refresh("no-ip", ""), None);
    assert_eq!(refresh("strato", ""), Some(25));
    assert_eq!(refresh("strato", "refresh = 10"), Some(10));
    assert_eq!(refresh("no-ip", "refresh = 28"), Some(28));
    assert_eq!(good(&section("easydns", USER)).groups[0].pause(), Duration::from_secs(600));
    assert_eq!(good(&section("no-ip", USER)).groups[0].pause(), Duration::ZERO);
}

#[test]
fn a_fingerprint_changes_with_what_is_sent_and_with_nothing_else() {
    let fingerprint = |more: &str| good(&section("no-ip", more)).targets[0].id.clone();
    let plain = fingerprint(USER);
    for same in ["name = \"x\"", "refresh = 9", "agree = 1", "ipv6 = []"] {
        assert_eq!(fingerprint(&format!("{USER}\n{same}")), plain, "{same}");
    }
    assert_ne!(fingerprint("username = \"me\"\npassword = \"pw2\""), plain);
    assert_ne!(fingerprint("username = \"you\"\npassword = \"pw\""), plain);
    assert_ne!(fingerprint("username = \"me\"\npassword_file = \"secret\""), plain);
    assert_ne!(good(&section("dynu", USER)).targets[0].id, plain);
}

#[test]
fn credentials_in_the_clear_are_worth_a_warning() {
    let warnings =
        |url: &str| good(&format!("[[dyndns]]\nurl = \"{url}\"\nhostname = \"a.b\"\n{USER}")).warnings;
    assert_eq!(
        warnings("http://dyn.example/nic/update"),
        ["dyn.example: the credentials travel unencrypted"]
    );
    assert!(warnings("http://127.0.0.1:8000/nic/update").is_empty());
    assert!(warnings("https://dyn.example/nic/update").is_empty());
}

/// Every place that can hold a secret holds one that begins with SENTINEL.
const SECRETS: &str = r#"
[[dyndns]]
provider = "no-ip"
hostnames = ["b.example.org", "a.example.org"]
username = "SENTINELu"
password = "SENTINELa"
name = "mine"
[[dyndns]]
provider = "freedns"
token = "SENTINELb"
ipv4 = []
ipv6_suffix = "::7"
[[dyndns]]
provider = "no-ip"
hostname = "c.example.org"
username = "SENTINELu"
password = "SENTINELa"
ipv6 = []
[[dyndns]]
url = "https://a.example/?k=SENTINELc&h={host}&p={password}&ip={ips}"
hostname = "d.example.org"
username = "example.org"
password = "SENTINELd"
"#;

#[test]
fn secrets_are_never_shown() {
    let config = good(SECRETS);
    assert!(!config.describe().contains("SENTINEL"), "{}", config.describe());
    assert!(!format!("{config:?}").contains("SENTINEL"), "{config:?}");
    for index in 0..SECRETS.len() {
        for damage in ["", "\"", "["] {
            let (before, behind) = SECRETS.split_at(index);
            let text = format!("{before}{damage}{}", behind.get(1..).unwrap_or_default());
            let told = match read(&text) {
                Ok(config) => config.warnings.join("\n"),
                Err(error) => error.to_string(),
            };
            assert!(!told.contains("SENTINEL"), "{index} {damage:?}: {told}");
        }
    }
}

#[test]
fn a_user_is_shown_only_where_it_is_the_domain() {
    for (user, shown) in [("b", "b"), ("a.b", "a.b"), ("me", "<hidden>"), (".b", "<hidden>")] {
        let text = format!("[[dyndns]]\nprovider = \"no-ip\"\nhostname = \"a.b\"\nusername = \"{user}\"");
        let config = good(&format!("{text}\npassword = \"pw\""));
        assert!(config.describe().contains(&format!("username = \"{shown}\"")), "{}", config.describe());
    }
}

#[test]
fn a_password_in_a_url_of_ones_own_needs_no_user() {
    let config = good("[[dyndns]]\nurl = \"https://dyn.example/?p={password}&ip={ip}\"\npassword = \"pw\"");
    assert_eq!(accounts(&config)[0].preset.basic, None);
}

#[test]
fn a_description_reads_as_the_same_configuration() {
    let config = good(SECRETS);
    let mut text = config.describe();
    let query = ["?k=SENTINELc&h=", "&p=", "&ip="];
    let account = ["SENTINELu", "SENTINELa"];
    let before = [account, account].concat().into_iter().chain(["SENTINELb"]).chain(account);
    for hidden in before.chain(query).chain(["SENTINELd"]) {
        text = text.replacen("<hidden>", hidden, 1);
    }
    assert_eq!(good(&text), config, "{text}");
}

#[test]
fn thousands_of_names_are_read_quickly() {
    let names: Vec<String> = (0..9000).map(|name| format!("\"h{name}.example.org\"")).collect();
    let list = format!("[[dyndns]]\nprovider = \"dyn\"\n{USER}\nhostnames = [{}]\n", names.join(", "));
    assert_eq!(good(&list).targets.len(), 9000);
    let sections: String = (0..2000).map(|_| section("no-ip", USER)).collect();
    assert_eq!(accounts(&good(&sections)).len(), 1);
}
