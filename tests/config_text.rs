//! What configuration texts mean, and what is said of wrong ones.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::config::{Config, ConfigError, Gateway, Source, Target, UpdaterConfig, parse};
use ddns_update_daemon::http::lan_url::LanUrl;

mod mistakes;
mod name_servers;
mod secrets;
mod sources;

const IPV4: Needs = Needs { ipv4: true, ipv6: false, ipv6_prefix: false };
const IPV6: Needs = Needs { ipv4: false, ipv6: true, ipv6_prefix: false };
const PREFIX: Needs = Needs { ipv4: false, ipv6: false, ipv6_prefix: true };
const NONE: Needs = Needs { ipv4: false, ipv6: false, ipv6_prefix: false };

/// The files that exist in these tests.
fn file(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some("folder/text" | "/text") => Ok("some-text\r\n\n".to_owned()),
        Some("folder/empty") => Ok("\n".to_owned()),
        Some("folder/key.pem" | "folder/client-key.pem") => {
            Ok("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned())
        }
        Some("folder/client.pem" | "folder/ca.pem" | "folder/air-gapped-ca.pem") => {
            Ok("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned())
        }
        Some("folder/bind.key") => {
            Ok("key \"one\" { algorithm hmac-sha384; secret \"QUJD\"; };\nkey two { algorithm hmac-md5; secret QUJD; };".to_owned())
        }
        _ => Err("there is no such file".to_owned()),
    }
}

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("folder/c.toml"), &file)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)).unwrap()
}

const EXAMPLES: [&str; 14] = [
    "quickstart.toml",
    "full.toml",
    "cloudflare.toml",
    "url-dyndns2.toml",
    "dyndns.toml",
    "air-gapped.toml",
    "1.0.toml",
    "rfc2136.toml",
    "url-desec.toml",
    "url-gandi.toml",
    "url-digitalocean.toml",
    "url-hetzner.toml",
    "url-porkbun.toml",
    "url-linode.toml",
];

#[test]
fn every_example_is_accepted_without_a_warning() {
    for name in EXAMPLES {
        let config = good(&example(name));
        assert_eq!(config.warnings, [""; 0], "{name}");
        assert!(!config.targets.is_empty(), "{name}");
    }
}

#[test]
fn the_quick_start_needs_ipv4_only_and_asks_the_router_first() {
    let config = good(&example("quickstart.toml"));
    let target = &config.targets[0];
    assert_eq!((target.required, target.allow_private, target.at_start), (IPV4, true, true));
    let sources: Vec<&Source> = target.ipv4.iter().map(|index| &config.sources[*index]).collect();
    assert_eq!(sources, [&Source::Upnp(Gateway::Any), &Source::Interface(None)]);
}

#[test]
fn files_of_1_0_keep_their_meaning() {
    let config = good(&example("1.0.toml"));
    assert_eq!(config.interval, Duration::from_secs(1800));
    let router: std::net::IpAddr = "192.168.1.1".parse().unwrap();
    let names: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["A @", "AAAA www", "url api.yourservice.example", "run myprog"]);
    assert_eq!(config.sources[0], Source::Upnp(Gateway::At(vec![router])));
    assert!(!config.sources.iter().any(|source| matches!(source, Source::NatPmp(_))));
    let both = Needs { ipv4: true, ipv6: true, ipv6_prefix: false };
    let required: Vec<Needs> = config.targets.iter().map(|target| target.required).collect();
    assert_eq!(required, [IPV4, IPV6, both, IPV4]);
    for text in [
        "interval = 0.5",
        "interval = 0x10",
        "interval = 30\n[cloudflare]\napi_token = \"t\"\nzone_id = \"z\"\nrecords = []",
        "interval = 30\nrouter_ip = \"127.0.0.1\"\n[[runs]]\ncmd = []",
        "interval = 30\nrouter_ip = \"http://192.168.178.1:49000/igd2desc.xml\"",
        "interval = 30\n[[urls]]\nurl = \"http://a.example\"\nmethod = \"options\"",
        "interval = 30\n[[runs]]\ncmd = [\"a\", \"{ipv6}\", \"\"]",
    ] {
        good(text);
    }
}

#[test]
fn a_router_may_have_a_name_and_a_connection_of_its_own() {
    let sources = |text: &str| {
        let config = good(&format!("{text}\n[[runs]]\ncmd = [\"a\", \"{{ipv4}}\"]"));
        config.sources[0].to_string()
    };
    for (router, source) in [
        ("fritz.box", "upnp:fritz.box"),
        ("http://fritz.box:49000/igddesc.xml", "upnp:http://fritz.box:49000/igddesc.xml"),
        ("http://192.168.1.1:80/x", "upnp:http://192.168.1.1:80/x"),
        ("http://192.168.1.1:135/x", "upnp:http://192.168.1.1:135/x"),
    ] {
        assert_eq!(sources(&format!("router_ip = \"{router}\"")), source);
        assert_eq!(sources(&format!("ipv4 = [\"upnp:{router}\"]")), source);
    }
    // 1.0 took these, and sent no credentials.
    for (router, source) in [
        ("http://me:p@w@192.168.1.1:5000/x?y#z", "upnp:http://192.168.1.1:5000/x?y"),
        ("http://me@fritz.box/x", "upnp:http://fritz.box/x"),
    ] {
        assert_eq!(sources(&format!("router_ip = \"{router}\"")), source);
    }
    for source in ["upnp:#2", "upnp:192.168.1.1#WANIPConn2", "upnp:http://192.168.1.1:80/x#2"] {
        assert_eq!(sources(&format!("ipv4 = [\"{source}\"]")), source);
    }
    assert_eq!(sources("router_ip = \"192.168.1.1\"\nipv4 = [\"upnp:#2\"]"), "upnp:192.168.1.1#2");
    let problem = read("ipv4 = [\"upnp:192.168.1.1#\"]\n[[runs]]\ncmd = [\"a\"]").unwrap_err();
    assert!(problem.to_string().contains("as in \"#2\""), "{problem}");
}

#[test]
fn an_empty_file_is_a_configuration_with_nothing_to_do() {
    let config = good("");
    assert_eq!(config.interval, Duration::from_secs(300));
    assert!(config.events && config.tls.builtin_roots && config.sources.is_empty());
    assert_eq!(
        config.warnings,
        [
            "nothing to update: there is no [[cloudflare.records]], [[urls]], [[dyndns]], [[rfc2136.records]] or [[runs]] section"
        ]
    );
}

#[test]
fn targets_need_what_they_mention() {
    let all = Needs { ipv4: true, ipv6: true, ipv6_prefix: true };
    let both = Needs { ipv6_prefix: false, ..all };
    let v4_and_prefix = Needs { ipv6: false, ..all };
    for (section, required, optional) in [
        ("[[urls]]\nurl = \"https://a.example/\"", NONE, both),
        ("[[urls]]\nurl = \"https://a.example/\"\nipv6 = []", NONE, IPV4),
        ("[[urls]]\nurl = \"https://a.example/{ipv6}\"", IPV6, NONE),
        ("[[urls]]\nurl = \"https://a.example/\"\nbody = \"{ipv6_prefix}\"", PREFIX, NONE),
        ("[[urls]]\nurl = \"https://a.example/\"\nheaders = { a = \"{ipv4}\" }", IPV4, NONE),
        ("[[urls]]\nurl = \"https://a.example/{ipv6}\"\nipv6_suffix = \"::1\"", PREFIX, NONE),
        ("[[urls]]\nurl = \"https://a.example/\"\nipv6_suffix = \"::1\"", NONE, v4_and_prefix),
        ("[[runs]]\ncmd = [\"a\"]", NONE, all),
        ("[[runs]]\ncmd = [\"a\", \"{ipv6}\"]", IPV6, all),
        ("[[runs]]\ncmd = [\"a\"]\nipv6 = []", NONE, IPV4),
    ] {
        let target = &good(section).targets[0];
        assert_eq!((target.required, target.optional.or(target.extra)), (required, optional), "{section}");
    }
}

#[test]
fn records_inherit_from_their_section_and_that_from_the_file() {
    let config = good(
        "ipv4 = [\"natpmp\", \"upnp\"]
        agree = 2
        [[cloudflare]]
        api_token_file = \"text\"
        refresh = 7
        ipv6_suffix = \"::7\"
        [[cloudflare.records]]
        name = \"*.WWW.Example.Org.\"
        type = \"A\"
        [[cloudflare.records]]
        name = \"@\"
        type = \"AAAA\"
        ipv6 = [\"interface\"]
        agree = 1
        refresh = 1.5
        allow_private = true
        [[cloudflare]]
        api_token_file = \"/text\"
        records = [{ name = \"@\", type = \"A\", create = false, proxied = true, ttl = 1, comment = \"c\" }]",
    );
    let [first, second, third] = &config.targets[..] else { panic!() };
    assert_eq!((&*first.name, first.group, first.entry), ("A *.www.example.org", 0, 0));
    assert_eq!(
        (first.agree, first.ipv6_suffix, first.refresh),
        (2, None, Some(Duration::from_secs(604_800)))
    );
    assert_eq!((second.required, second.agree, second.allow_private), (PREFIX, 1, true));
    assert_eq!(second.refresh, Some(Duration::from_secs(129_600)));
    assert_eq!((&*third.name, third.group, third.entry), ("A @", 1, 0));
    let UpdaterConfig::Cloudflare(account) = &config.groups[1] else { panic!() };
    assert_eq!(account.api_token.reveal(), "some-text");
    let record = &account.records[0];
    assert_eq!((record.ttl, record.proxied, record.create), (Some(1), Some(true), false));
}

#[test]
fn names_and_fingerprints_are_unique_and_duplicates_are_mentioned() {
    let config = good(&"[[runs]]\ncmd = [\"/bin/a\"]\n".repeat(3));
    let names: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["run a", "run a (2)", "run a (3)"]);
    let [first, second, third] = &config.targets[..] else { panic!() };
    assert_eq!(*second.id, *format!("{}-2", first.id));
    assert_eq!(*third.id, *format!("{}-3", first.id));
    assert_eq!(
        config.warnings,
        ["run a (2): this target is configured 2 times", "run a (3): this target is configured 3 times"]
    );
}

#[test]
fn a_fingerprint_changes_with_what_is_sent_and_with_nothing_else() {
    let of = |text: &str| good(text).targets[0].id.clone();
    let record = |account: &str, record: &str| {
        of(&format!("[cloudflare]\n{account}\nrecords = [{{ type = \"AAAA\", {record} }}]"))
    };
    let base = record("api_token = \"t\"", "name = \"a\"");
    for (account, fields) in [
        ("api_token = \"u\"", "name = \"a\""),
        ("api_token = \"t\"\nzone_id = \"z\"", "name = \"a\""),
        ("api_token = \"t\"\napi_url = \"https://b.example\"", "name = \"a\""),
        ("api_token = \"t\"", "name = \"b\""),
        ("api_token = \"t\"", "name = \"a\", ttl = 1"),
        ("api_token = \"t\"", "name = \"a\", proxied = false"),
        ("api_token = \"t\"", "name = \"a\", comment = \"c\""),
        ("api_token = \"t\"", "name = \"a\", create = false"),
        ("api_token = \"t\"", "name = \"a\", ipv6_suffix = \"::1\""),
    ] {
        assert_ne!(record(account, fields), base, "{account} {fields}");
    }
    let same = "name = \"a\", refresh = 9, ipv6 = [\"interface\", \"upnp\"], agree = 2, create = true";
    assert_eq!(record("api_token = \"t\"", same), base);
    let run = |rest: &str| of(&format!("[[runs]]\ncmd = [\"a\"]\n{rest}"));
    assert_eq!(run("name = \"x\"\ntimeout = 9\nat_start = true"), run(""));
    assert_ne!(run("when_absent = \"empty\""), run(""));
    let url = |rest: &str| of(&format!("[[urls]]\nurl = \"https://a.example/\"\n{rest}"));
    for rest in ["method = \"put\"", "body = \"b\"", "headers = { a = \"\" }", "expect = [\"a\"]"] {
        assert_ne!(url(rest), url(""), "{rest}");
    }
}

#[test]
fn warnings_tell_what_works_but_is_hardly_wanted() {
    for (text, warning) in [
        ("[[runs]]\ncmd = []\n[[runs]]\ncmd = [\"a\"]", "a [[runs]] section with an empty cmd runs nothing"),
        (
            "[[runs]]\ncmd = [\"a\", \"{ip4}\"]",
            "run a: something in braces is almost {ipv4}, and is sent as it is",
        ),
        (
            "[[urls]]\nurl = \"http://u:p@a.example/{ipv4}\"",
            "url a.example: its credentials travel unencrypted; use https:// if the server has it",
        ),
        (
            "agree = 2\nipv4 = [\"upnp\", \"natpmp\"]\nipv6 = [\"upnp\"]\n[[runs]]\ncmd = [\"a\"]",
            "run a: its IPv6 address stays unknown: agree = 2, but 1 listed",
        ),
    ] {
        assert_eq!(good(text).warnings, [warning], "{text}");
    }
    assert!(good("[[urls]]\nurl = \"http://u:p@127.0.0.1/{ipv4}\"").warnings.is_empty());
}

#[test]
fn what_1_0_failed_on_at_run_time_stops_its_section_alone() {
    let works = "[[runs]]\ncmd = [\"works\"]\n";
    for (text, expected) in [
        ("[[urls]]\nurl = \"a.example?token=pw\"\n", "2:7: url: expected a URL: https://..."),
        ("[[urls]]\nurl = \"ftp://a.example\"\n", "2:7: url: expected https:// or http:// at its beginning"),
        ("[[urls]]\nurl = \"https://\"\n", "2:7: url: the host is neither a name nor an address"),
        ("[[runs]]\ncmd = [\"\"]\n", "2:8: cmd = \"\": expected a program"),
        (
            "[[runs]]\ncmd = [\"{ipv4}\"]\n",
            "2:8: cmd = \"{ipv4}\": the program itself cannot hold placeholders; its arguments can",
        ),
        (
            "[cloudflare]\napi_token = \"<token>\"\nrecords = [{ name = \"a\", type = \"A\" }]\n",
            "2:13: api_token: expected an API token; this is only a placeholder for one",
        ),
        (
            "[cloudflare]\napi_token = \"t\"\nzone_id = \"<zone ID>\"\nrecords = [{ name = \"a\", type = \"A\" }]\n",
            "3:11: zone_id: expected a zone id as Cloudflare's overview page of the zone shows it, or none at all",
        ),
    ] {
        let config = good(&format!("{text}{works}"));
        assert_eq!(config.left_out, [format!("folder/c.toml:{expected}")], "{text}");
        let names: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
        assert_eq!(names, ["run works"], "{text}");
        assert_eq!(config.groups.len(), 1, "{text}");
        let alone = read(text).err().map(|error| error.to_string());
        assert_eq!(alone, Some(format!("folder/c.toml:{expected}")), "{text}");
    }
    let record = "records = [{ name = \"a..b\", type = \"A\" }, { name = \"c\", type = \"A\" }]";
    let config = good(&format!("[cloudflare]\napi_token = \"t\"\n{record}"));
    assert_eq!((config.targets.len(), config.left_out.len()), (1, 1), "{:?}", config.left_out);
    // What 1.0 refused, and what it did not know, stops the whole file.
    for wrong in [
        "[[urls]]\nurl = 5",
        "[[runs]]\ncmd = [\"a\"]\ntimeout = 0",
        "[[urls]]\nurl = \"https://a.example\"\nurk = 1",
        "[tls]\nca_file = \"missing\"",
    ] {
        assert!(read(&format!("{works}{wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn intervals_of_any_length_are_taken() {
    for (text, minutes) in [("600000", 600_000), ("999999999", 52_704_000), ("1e9", 52_704_000)] {
        let config = good(&format!("interval = {text}"));
        assert_eq!(config.interval, Duration::from_secs(minutes * 60), "{text}");
        assert_eq!(good(&config.describe()).interval, config.interval);
    }
}

#[test]
fn loopback_means_this_host_in_a_closed_network_too() {
    for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
        let config = good(&format!("router_ip = \"{address}\"\n[[runs]]\ncmd = [\"a\"]"));
        assert_eq!(config.sources, [Source::Interface(None)], "{address}");
        assert!(config.targets[0].allow_private, "{address}");
    }
    let config = good("router_ip = \"127.0.0.1\"\nallow_private = false\n[[runs]]\ncmd = [\"a\"]");
    assert!(!config.targets[0].allow_private);
    assert!(!good("[[runs]]\ncmd = [\"a\"]").targets[0].allow_private);
}

#[test]
fn a_program_runs_for_what_its_arguments_name() {
    let target = |cmd: &str| good(&format!("[[runs]]\ncmd = [\"a\", \"{cmd}\"]")).targets.remove(0);
    let all = Needs { ipv4: true, ipv6: true, ipv6_prefix: true };
    let named = target("{ipv4}");
    assert_eq!((named.required, named.optional, named.extra), (IPV4, NONE, all));
    assert!(!named.any_address && !named.both_families);
    let any = target("x");
    assert_eq!((any.required, any.optional, any.extra), (NONE, all, NONE));
    assert!(any.any_address);
    assert!(target("{ipv4} {ipv6}").both_families);
    let url = |url: &str| good(&format!("[[urls]]\nurl = \"https://a.example/{url}\"")).targets.remove(0);
    assert!(url("{ipv4}{ipv6}").both_families && url("").any_address && !url("{ipv6}").both_families);
}

#[test]
fn a_file_of_1_0_is_told_what_differs() {
    let differences = |text: &str| good(text).differences.len();
    assert_eq!(differences(&example("1.0.toml")), 7);
    assert_eq!(differences("interval = 5\n[[runs]]\ncmd = [\"a\"]"), 4);
    // Each with its cure, and where it applies only.
    let told = |text: &str| good(&format!("interval = 5\n{text}")).differences.join("\n");
    let url = "[[urls]]\nurl = \"http://a.example/{ipv4}\"";
    let any = ["2>&1", "at_start = true"];
    for (text, cures) in [
        (
            "[[runs]]\ncmd = [\"a\"]",
            &["retry = false", "10 minutes", "timeout", "router_ip = \"192.168.1.1\""][..],
        ),
        (
            &format!("router_ip = \"192.168.1.1\"\n{url}"),
            &["120 s", "[[runs]]", "allow_private", "when_absent"],
        ),
        (&format!("router_ip = \"127.0.0.1\"\n{url}"), &["120 s", "ipv4 = [\"interface:eth0\"]"]),
        ("[[runs]]\ncmd = [\"a\", \"{ipv6}\"]", &["retry = false", "ipv6 = [\"upnp\"]"]),
    ] {
        let told = told(text);
        for cure in any.iter().chain(cures) {
            assert!(told.contains(cure), "{text}: {cure}\n{told}");
        }
        assert_eq!(told.contains("ipv6 = "), text.contains("{ipv6}"), "{told}");
        assert_eq!(told.contains("interface:eth0"), text.contains("127.0.0.1"), "{told}");
        // A loopback address implies allow_private.
        let named = text.contains("{ip");
        assert_eq!(told.contains("allow_private"), named && !text.contains("127.0.0.1"), "{told}");
        assert_eq!(told.contains("when_absent"), named, "{told}");
        assert_eq!(told.contains("router_ip"), !text.contains("router_ip"), "{told}");
    }
    // Without interval, which 1.0 wanted, or with a key that it did not know.
    for newer in [
        "[[runs]]\ncmd = [\"a\"]",
        "interval = 5\nevents = true\n[[runs]]\ncmd = [\"a\"]",
        "interval = 5\n[[runs]]\ncmd = [\"a\"]\ntimeout = 5",
        "interval = 5\n[[dyndns]]\nprovider = \"duckdns\"\nhostname = \"a.duckdns.org\"\ntoken = \"t\"",
        "interval = 5",
    ] {
        assert_eq!(differences(newer), 0, "{newer}");
    }
}

#[test]
fn there_are_limits_to_what_one_file_holds() {
    let many = "[[runs]]\ncmd = [\"a\"]\n".repeat(10_001);
    let error = read(&many).unwrap_err().to_string();
    assert!(error.ends_with("[[runs]]: expected at most 10000 records, urls and runs"), "{error}");
    let sources: Vec<String> = (0..65)
        .map(|n| format!("[[runs]]\ncmd = [\"a\"]\nipv4 = [\"interface:e{n}\"]\nipv6 = []\n"))
        .collect();
    let error = read(&sources.concat()).unwrap_err().to_string();
    assert!(error.ends_with("[[runs]]: expected at most 64 different sources in all"), "{error}");
}

#[test]
fn a_program_waits_unless_it_stands_first_or_says_so() {
    let run = "[[runs]]\ncmd = [\"true\"]\n";
    let url = "[[urls]]\nurl = \"http://127.0.0.1/?{ipv4}\"\n";
    let hasty = format!("{run}wait = false\n");
    let patient = format!("{run}wait = true\n");
    for (text, expected) in [
        (format!("{run}{url}{run}"), vec![false, true]),
        (format!("{url}{run}{run}"), vec![true, true]),
        (format!("{url}{run}{hasty}"), vec![true, false]),
        (format!("{patient}{url}"), vec![true]),
        (format!("{run}{run}"), vec![true, true]),
    ] {
        let config = good(&text);
        let waits: Vec<bool> = config
            .groups
            .iter()
            .filter_map(|group| match group {
                UpdaterConfig::Run(run) => Some(run.wait),
                _ => None,
            })
            .collect();
        assert_eq!(waits, expected, "{text}");
    }
    let UpdaterConfig::Run(run) = &good(run).groups[0] else { panic!("no program") };
    assert_eq!((run.timeout, run.retry), (Duration::from_secs(600), true));
}
