//! `[cloudflare]`: tokens in the wrong place, and names that no zone can hold.

use std::path::Path;

use ddns_update_daemon::config::{Config, ConfigError, UpdaterConfig, parse};

const TOKEN: &str = "Ab3_0123456789abcdefghijABCDEFGHIJ-01234";

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("c.toml"), &|_| Ok(format!("{TOKEN}\n")))
}

/// What is said of a configuration, behind the name of its file.
fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string().replace("c.toml:", "")
}

fn with_token(token: &str) -> String {
    format!(
        "[cloudflare]\napi_token = {token:?}\n[[cloudflare.records]]\nname = \"a.example.org\"\ntype = \"A\"\n"
    )
}

/// Records of type A with these names, in one zone whose id is given.
fn with_names(zone_id: &str, names: &[&str]) -> String {
    let records = names.iter().map(|name| format!("{{ name = {name:?}, type = \"A\" }}")).collect::<Vec<_>>();
    format!("[cloudflare]\napi_token = {TOKEN:?}\n{zone_id}\nrecords = [{}]\n", records.join(", "))
}

const ZONE: &str = "zone_id = \"0123456789abcdef0123456789abcdef\"";

#[test]
fn a_token_in_the_wrong_place_is_told() {
    let global = "0123456789abcdef0123456789abcdef01234";
    for (token, said) in [
        ("YOUR_TOKEN", "placeholder"),
        ("YOUR_API_TOKEN", "placeholder"),
        ("your-cloudflare-token", "placeholder"),
        ("put-your-token-here", "placeholder"),
        ("CLOUDFLARE_API_TOKEN", "placeholder"),
        ("<token>", "placeholder"),
        ("xxxxxxxx", "placeholder"),
        ("${CF_TOKEN}", "a variable"),
        ("$CF_TOKEN", "a variable"),
        ("%CF_TOKEN%", "a variable"),
        ("{{ token }}", "a variable"),
        ("{token}", "a variable"),
        ("[token]", "a variable"),
        ("/run/secrets/cloudflare", "a path; the file that holds the token is given as api_token_file"),
        ("./token", "a path"),
        ("C:\\token.txt", "a path"),
        (global, "the global API key"),
        ("Bearer abc", "with the word Bearer, which is written without that"),
        ("abc def", "blanks"),
    ] {
        let refusal = refusal(&with_token(token));
        assert!(
            refusal.starts_with("2:13: api_token: expected an API token") && refusal.contains(said),
            "{refusal}"
        );
        assert!(!refusal.contains(token), "{refusal}");
    }
    for token in [
        TOKEN,
        "t",
        "token",
        "0123456789abcdefghijABCDEFGHIJ0123456789",
        "0123456789abcdef0123456789abcdef0123",
    ] {
        assert!(read(&with_token(token)).is_ok(), "{token}");
    }
}

#[test]
fn a_name_that_cannot_be_in_the_zone_is_told() {
    assert_eq!(
        refusal(&with_names(ZONE, &["home.example.org", "a.b"])),
        "4:64: name = \"a.b\": \"a.b\" and \"home.example.org\" cannot both be inside the zone that zone_id names; only one \
         label is completed, any other name is written in full"
    );
    for name in ["nas.", "*.x.", "org."] {
        let refusal = refusal(&with_names(ZONE, &[name]));
        assert!(refusal.contains("without the dot at its end"), "{refusal}");
    }
    let names = [
        "@",
        "nas",
        "*",
        "_x",
        "*.x",
        "Home.Example.ORG.",
        "*.example.org",
        "example.org",
        "a.b.example.org",
    ];
    let config = read(&with_names(ZONE, &names)).unwrap_or_else(|error| panic!("{error}"));
    let UpdaterConfig::Cloudflare(account) = &config.groups[0] else { panic!("Cloudflare") };
    assert_eq!(account.records[5].name, "home.example.org");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    // Without a zone_id each finds its own zone, but nothing completes a relative one.
    let config = read(&with_names("", &["a.example.org", "a.example.net", "nas", "*.x"])).unwrap();
    assert_eq!(
        config
            .warnings
            .iter()
            .filter(|warning| warning.contains("is relative, to what is not known"))
            .count(),
        2
    );
}
