//! `[[rfc2136]]`.

use std::path::Path;

use ddns_update_daemon::config::{Config, UpdaterConfig, parse};

use super::{IPV4, PREFIX, file, good, read};

/// An `[[rfc2136]]` section with one record.
fn name_server(keys: &str) -> String {
    format!("[[rfc2136]]\n{keys}\nrecords = [{{ name = \"a.home.example\", type = \"A\" }}]")
}

fn zone_of(config: &Config) -> &ddns_update_daemon::config::Rfc2136 {
    match &config.groups[0] {
        UpdaterConfig::Rfc2136(zone) => zone,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_of_a_name_server_get_full_names() {
    let config = good(
        r#"
        [[rfc2136]]
        server = "127.0.0.1:5353"
        zone = "Home.Example."
        ipv6_suffix = "::5"
        records = [{ name = "@", type = "A" }, { name = "nas", type = "AAAA" }, { name = "a.home.example", type = "A" },
                   { name = "*", type = "A" }, { name = "köln.b.home.example.", type = "A" }, { name = "*.köln", type = "A" },
                   { name = "_x", type = "A" }, { name = "home", type = "A" }]
        "#,
    );
    let names: Vec<String> = zone_of(&config).records.iter().map(|record| record.name.to_string()).collect();
    let expected = [
        "home.example",
        "nas.home.example",
        "a.home.example",
        "*.home.example",
        "xn--kln-sna.b.home.example",
        "*.xn--kln-sna.home.example",
        "_x.home.example",
        "home.home.example",
    ];
    assert_eq!(names, expected);
    assert_eq!(&*config.targets[1].name, "AAAA nas.home.example");
    assert_eq!((config.targets[0].required, config.targets[1].required), (IPV4, PREFIX));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn keys_of_a_name_server_come_from_the_file_or_beside_it() {
    for (keys, name, algorithm) in [
        ("key = \"k\"\nsecret = \"QUJD\"", "k", "hmac-sha256"),
        ("key = \"k.\"\nalgorithm = \"hmac-sha512\"\nsecret_file = \"b64\"", "k", "hmac-sha512"),
        ("key = \"one\"\nkey_file = \"bind.key\"", "one", "hmac-sha384"),
    ] {
        let text = name_server(keys);
        let files = |path: &Path| match path.to_str() {
            Some("folder/b64") => Ok("QUJD\n".to_owned()),
            _ => file(path),
        };
        let config = parse(&text, Path::new("folder/c.toml"), &files).unwrap();
        let key = zone_of(&config).key.clone().unwrap();
        assert_eq!(
            (key.name.to_string().as_str(), key.algorithm.name(), key.reveal()),
            (name, algorithm, &b"ABC"[..])
        );
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
    let fingerprint = |keys: &str| good(&name_server(keys)).targets[0].id.clone();
    let first = fingerprint("key = \"k\"\nsecret = \"QUJD\"");
    assert_ne!(first, fingerprint("key = \"k\"\nsecret = \"QUJE\""));
    assert_ne!(first, fingerprint("key = \"k\"\nsecret = \"QUJD\"\nalgorithm = \"hmac-sha384\""));
    assert_ne!(first, fingerprint("key = \"k\"\nsecret = \"QUJD\"\nserver = \"192.0.2.1\""));
}

#[test]
fn updates_without_a_key_are_warned_of() {
    let config = good(&name_server("server = \"192.0.2.53\"\nzone = \"home.example\""));
    assert!(
        config.warnings[0].contains("for the zone home.example has no key, which is unsafe"),
        "{:?}",
        config.warnings
    );
    assert!(good(&name_server("server = \"[::1]:5353\"")).warnings.is_empty());
}

#[test]
fn mistakes_with_name_servers_are_explained() {
    for (keys, problem) in [
        (
            "server = \"192.0.2.53/24\"",
            "2:10: server = \"192.0.2.53/24\": expected a name server's address or name",
        ),
        ("server = \"0.0.0.0\"", "2:10: server = \"0.0.0.0\": expected a name server's address"),
        ("zone = \"@\"", "2:8: zone = \"@\": expected a zone's full name"),
        ("key = \"k\"", "1:1: [[rfc2136]]: secret or secret_file is missing"),
        ("secret = \"QUJD\"", "1:1: [[rfc2136]]: key is missing"),
        (
            "key = \"k\"\nsecret = \"QUJ\u{e4}\"",
            "3:10: secret: expected a secret in base64, as tsig-keygen writes it",
        ),
        (
            "key = \"k\"\nsecret = \"...\"",
            "3:10: secret: expected a secret in base64; this is only a placeholder",
        ),
        ("key = \"k k\"\nsecret = \"QUJD\"", "2:7: key: a domain name holds no blanks"),
        (
            "key = \"k\"\nsecret = \"QUJD\"\nalgorithm = \"hmac-md5\"",
            "4:13: algorithm = \"hmac-md5\": expected an algorithm that is safe today: hmac-sha256, hmac-sha384, hmac-sha512",
        ),
        ("key_file = \"bind.key\"", "2:12: key_file: several keys are in this file: say which one by key"),
        ("key = \"x\"\nkey_file = \"bind.key\"", "3:12: key_file: no key in this file has the name"),
        (
            "key = \"two\"\nkey_file = \"bind.key\"",
            "3:12: key_file: expected an algorithm that is safe today",
        ),
        ("key_file = \"text\"", "2:12: key_file: this is no key file of BIND: expected a key statement"),
        (
            "key_file = \"bind.key\"\nsecret = \"QUJD\"",
            "3:1: \"secret\": key_file holds it too; keep one of the two",
        ),
        ("transport = \"udp\"", "2:13: transport = \"udp\": UDP needs a key"),
        ("ttl = 1000000", "2:7: ttl = 1000000: expected 0 to 604800 seconds"),
        ("when_absent = \"empty\"", "2:15: when_absent = \"empty\": a DNS record cannot be empty"),
        ("sever = \"a\"", "2:1: unknown key \"sever\" in [[rfc2136]]: did you mean \"server\"?"),
    ] {
        let error = read(&name_server(keys)).unwrap_err().to_string();
        assert!(
            error.lines().any(|line| line.starts_with(&format!("folder/c.toml:{problem}"))),
            "{keys}\n{error}"
        );
    }
    let record = |record: &str| {
        read(&format!("[[rfc2136]]\nserver = \"::1\"\nrecords = [{record}]")).unwrap_err().to_string()
    };
    assert!(record("{ name = \"nas\", type = \"A\" }").contains("expected a full name"));
    assert!(record("{ name = \"a.b\", type = \"a\" }").contains("in capitals"));
    for (name, advice) in [
        ("nas.lan", "nas.lan.home.example"),
        ("home.example.org", "home.example.org.home.example"),
        ("nashome.example", "nashome.example.home.example"),
        ("nas.", "nas.home.example"),
        ("*.a.b", "*.a.b.home.example"),
    ] {
        let text = format!(
            "[[rfc2136]]\nserver = \"::1\"\nzone = \"home.example\"\nrecords = [{{ name = \"{name}\", type = \"A\" }}]"
        );
        let error = read(&text).unwrap_err().to_string();
        let expected = format!(
            "name = \"{name}\": this name is not inside the zone home.example; for one that is, write it in full: \"{advice}\""
        );
        assert!(error.contains(&expected), "{error}");
    }
    let twice = "{ name = \"a.b\", type = \"A\" }, { name = \"A.b.\", type = \"A\" }";
    assert!(record(twice).contains("stand in this section already"), "{}", record(twice));
}
