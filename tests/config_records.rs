//! One entry for several names and both families: `names`, `types`.

use std::path::Path;

use ddns_update_daemon::config::{Config, ConfigError, UpdaterConfig, parse};

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("c.toml"), &|_| Err("there is no such file".to_owned()))
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn labels(config: &Config) -> Vec<&str> {
    config.targets.iter().map(|target| &*target.name).collect()
}

const CLOUDFLARE: &str = "[cloudflare]\napi_token = \"t\"\n[[cloudflare.records]]\n";
const RFC2136: &str = "[[rfc2136]]\nserver = \"127.0.0.1\"\nzone = \"home.example\"\n[[rfc2136.records]]\n";

#[test]
fn one_entry_is_a_target_for_each_name_and_type() {
    let config = good(&format!(
        "{CLOUDFLARE}names = [\"a.example.org\", \"b.example.org\"]\ntypes = [\"A\", \"AAAA\"]\nttl = 120\n\
         ipv6_suffix = \"::5\"\n[[cloudflare.records]]\nname = \"c.example.org\"\ntype = \"A\"\n"
    ));
    let names =
        ["A a.example.org", "AAAA a.example.org", "A b.example.org", "AAAA b.example.org", "A c.example.org"];
    assert_eq!(labels(&config), names);
    assert_eq!(config.targets.iter().map(|target| target.entry).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(config.called(Some("a.example.org")), [0, 1]);
    let UpdaterConfig::Cloudflare(account) = &config.groups[0] else { panic!() };
    let records: Vec<_> =
        account.records.iter().map(|record| (record.name.as_str(), record.aaaa, record.ttl)).collect();
    assert_eq!(records[1], ("a.example.org", true, Some(120)));
    // The host part is of the IPv6 address alone.
    let (v4, v6) = (&config.targets[0], &config.targets[1]);
    assert!(v4.ipv6_suffix.is_none() && v4.required.ipv4 && !v4.required.ipv6_prefix);
    assert!(v6.ipv6_suffix.is_some() && v6.required.ipv6_prefix && !v6.required.ipv4);
    let config = good(&format!("{RFC2136}names = [\"nas\", \"@\"]\ntypes = [\"AAAA\", \"A\"]\n"));
    assert_eq!(
        labels(&config),
        ["AAAA nas.home.example", "A nas.home.example", "AAAA home.example", "A home.example"]
    );
}

#[test]
fn it_is_the_same_as_an_entry_for_each() {
    for head in [CLOUDFLARE, RFC2136] {
        let records = head.lines().last().unwrap();
        let one = good(&format!("{head}name = \"a.home.example\"\ntypes = [\"A\", \"AAAA\"]\n"));
        let two = good(&format!(
            "{head}name = \"a.home.example\"\ntype = \"A\"\n{records}\nname = \"a.home.example\"\ntype = \"AAAA\"\n"
        ));
        assert_eq!(one, two);
        assert_eq!(one.describe(), two.describe());
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (entry, problem) in [
        ("name = \"a.home.example\"", "type is missing"),
        ("type = \"A\"", "name is missing"),
        (
            "name = \"a.home.example\"\nnames = [\"b.home.example\"]\ntype = \"A\"",
            "\"names\": \"name\" is given too; keep one of the two",
        ),
        (
            "name = \"a.home.example\"\ntype = \"A\"\ntypes = [\"A\"]",
            "\"types\": \"type\" is given too; keep one of the two",
        ),
        ("names = []\ntype = \"A\"", "names = [...]: expected at least one entry"),
        ("name = \"a.home.example\"\ntypes = \"A\"", "types = \"A\": expected a list: [\"...\", \"...\"]"),
        ("name = \"a.home.example\"\ntypes = [\"A\", \"A\"]", "types = \"A\": this type is listed twice"),
        (
            "name = \"a.home.example\"\ntypes = [\"A\", \"MX\"]",
            "types = \"MX\": expected \"A\" (IPv4) or \"AAAA\" (IPv6)",
        ),
        ("names = [\"a.home.example\", \"a b\"]\ntype = \"A\"", "names = \"a b\": "),
        (
            "name = \"a.home.example\"\ntypes = [\"A\"]\nipv6_suffix = \"::5\"",
            "ipv6_suffix belongs to records of type AAAA",
        ),
    ] {
        for head in [CLOUDFLARE, RFC2136] {
            // A name that is none stops its record alone, at Cloudflare.
            let said =
                read(&format!("{head}{entry}\n")).map_or_else(|e| e.to_string(), |c| c.left_out.join("\n"));
            assert!(said.contains(problem), "{head}{entry}\n{said}");
        }
    }
    let twice = format!("{RFC2136}names = [\"nas\", \"nas.home.example\"]\ntype = \"A\"\n");
    assert!(
        read(&twice).unwrap_err().to_string().contains("this name and type stand in this section already")
    );
}
