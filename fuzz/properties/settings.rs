//! Properties of what the user writes: the configuration and the command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ddns_update_daemon::cli::{Command, LogFormat, Shown, Verbosity, Work, parse};
use ddns_update_daemon::config;
use ddns_update_daemon::config::{Config, UpdaterConfig, is_path};
use ddns_update_daemon::daemon::request::{Request, RequestKind};
use ddns_update_daemon::dns::tsig::Key;

const FILE: &str = "/folder/c.toml";

/// Stands in every file that a configuration may name.
const IN_FILE: &str = "s3ntinel-of-a-file";

/// Stands for secrets in the text itself.
const IN_TEXT: &str = "S3NT1N3L";

fn read_file(path: &Path) -> Result<String, String> {
    let name = path.to_string_lossy();
    if name.contains("ca") {
        return Ok("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned());
    }
    if name.contains("url") {
        return Ok(format!("https://me:{IN_FILE}@ddns.example/?pw={IN_FILE}&ip={{ipv4}}\n"));
    }
    if name.contains("text") { Ok(format!("{IN_FILE}\n")) } else { Err("there is no such file".to_owned()) }
}

/// A configuration is refused with a place for every problem, or it is complete
/// and consistent, and described as one that reads the same; no word of a secret
/// in either.
pub(super) fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match config::parse(&text, Path::new(FILE), &read_file) {
        Err(error) => check_error(&text, &error.to_string(), &format!("{error:?}")),
        Ok(config) => {
            check_consistent(&config);
            check_hidden(&text, &config);
            check_described(&config);
        }
    }
}

fn check_error(text: &str, error: &str, debug: &str) {
    assert!(!error.is_empty() && error.lines().count() <= 11);
    for line in error.lines() {
        let rest = line.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':')).expect("the file");
        if rest.starts_with(" and ") {
            continue;
        }
        let place: Vec<usize> =
            rest.split(':').take(2).map(|number| number.parse().expect("a place")).collect();
        assert!((1..=text.split('\n').count()).contains(&place[0]) && place[1] >= 1);
    }
    for shown in [error, debug] {
        assert!(text.contains(IN_FILE) || !shown.contains(IN_FILE), "{shown}");
        assert!(!only_in_secret_places(text) || !shown.contains(IN_TEXT), "{shown}");
    }
}

/// Whether the sentinel stands only behind keys whose values are secret, as far
/// as a reader that knows nothing of TOML can tell.
fn only_in_secret_places(text: &str) -> bool {
    let secret = ["api_token", "url", "body", "zone_id", "api_url"];
    let lines = text.lines().filter(|line| line.contains(IN_TEXT));
    let behind = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        let whole = value.len() > 1
            && value.starts_with('"')
            && value.ends_with('"')
            && !value[1..value.len() - 1].contains(['"', '\\']);
        (secret.contains(&key.trim()) && whole).then_some(())
    };
    // Texts of several lines could make a line mean anything, lists too.
    !text.contains("\"\"\"")
        && !text.contains("'''")
        && !text.contains('\r')
        && lines.into_iter().all(|line| behind(line).is_some())
}

fn check_consistent(config: &Config) {
    assert!(config.interval >= Duration::from_secs(1));
    assert!(config.sources.len() <= 64);
    let unique: BTreeSet<&str> = config.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(unique.len(), config.targets.len(), "names are unique");
    let unique: BTreeSet<&str> = config.targets.iter().map(|target| &*target.id).collect();
    assert_eq!(unique.len(), config.targets.len(), "fingerprints are unique");
    let entries: usize = config.groups.iter().map(entries_of).sum();
    assert_eq!(entries, config.targets.len(), "every entry has its target");
    for target in &config.targets {
        let entries = entries_of(&config.groups[target.group]);
        assert!(target.entry < entries && target.agree >= 1);
        assert!(target.ipv4.iter().chain(&*target.ipv6).all(|source| *source < config.sources.len()));
        let needed = target.required.or(target.optional);
        assert!(needed.ipv4 || needed.ipv6 || needed.ipv6_prefix);
        assert!(!target.required.ipv4 || target.ipv4.len() >= target.agree);
        let ipv6 = target.required.ipv6 || target.required.ipv6_prefix;
        assert!(!ipv6 || target.ipv6.len() >= target.agree);
        assert!(!target.name.chars().any(char::is_control) && target.name.chars().count() < 130);
    }
    for group in &config.groups {
        match group {
            UpdaterConfig::Cloudflare(account) => {
                assert!(!account.api_token.reveal().is_empty());
                assert!(account.api_url.starts_with("https://") || account.api_url.starts_with("http://"));
                assert!(
                    account.records.iter().all(|record| record.name.is_ascii() && !record.name.is_empty())
                );
            }
            UpdaterConfig::Url(request) => {
                assert!(request.url.reveal().bytes().all(|byte| byte.is_ascii_graphic()));
                let values = request.headers.iter().map(|(_, value)| value.reveal());
                assert!(values.into_iter().all(|value| !value.contains(['\r', '\n', '\0'])));
            }
            UpdaterConfig::Dyndns(account) => {
                assert!(
                    !account.hostnames.is_empty() && account.hostnames.iter().all(|name| name.is_ascii())
                );
            }
            UpdaterConfig::Rfc2136(zone) => {
                assert!(zone.key.as_ref().is_none_or(|key| !key.reveal().is_empty()));
                for (index, record) in zone.records.iter().enumerate() {
                    assert!(!zone.records[..index].contains(record), "no record occurs twice");
                    assert!(zone.zone.as_ref().is_none_or(|zone| record.name.is_within(zone)));
                }
            }
            UpdaterConfig::Run(run) => assert!(!run.cmd.is_empty() && !run.cmd[0].is_empty()),
        }
    }
}

fn entries_of(group: &UpdaterConfig) -> usize {
    match group {
        UpdaterConfig::Cloudflare(account) => account.records.len(),
        UpdaterConfig::Dyndns(account) => account.hostnames.len(),
        UpdaterConfig::Rfc2136(zone) => zone.records.len(),
        UpdaterConfig::Url(_) | UpdaterConfig::Run(_) => 1,
    }
}

/// When every sentinel of the text ended up as a secret, nothing shows one.
fn check_hidden(text: &str, config: &Config) {
    let count = |text: &str| text.matches(IN_TEXT).count();
    let secrets: usize = config
        .groups
        .iter()
        .map(|group| match group {
            UpdaterConfig::Cloudflare(account) => count(account.api_token.reveal()),
            UpdaterConfig::Url(request) => {
                let headers = request.headers.iter().map(|(_, value)| count(value.reveal())).sum::<usize>();
                headers
                    + request.body.as_ref().map_or(0, |body| count(body.reveal()))
                    + in_url(request.url.reveal())
            }
            UpdaterConfig::Dyndns(account) => {
                let secrets = [&account.password, &account.token].into_iter().flatten();
                let url = account.url.as_ref().map_or(0, |url| in_url(url.reveal()));
                secrets.map(|secret| count(secret.reveal())).sum::<usize>() + url
            }
            // The secret of a key is no text any more.
            UpdaterConfig::Rfc2136(_) | UpdaterConfig::Run(_) => 0,
        })
        .sum();
    let shown = format!("{config:?}\n{}\n{}", config.describe(), config.warnings.join("\n"));
    // TOML may write one text in many ways, comments and path included.
    if secrets == count(text) {
        assert!(!shown.contains(IN_TEXT), "{shown}");
    }
    if !text.contains(IN_FILE) {
        assert!(!shown.contains(IN_FILE), "{shown}");
    }
}

/// Sentinels in a URL, but for its host.
fn in_url(url: &str) -> usize {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, place) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    [user, place].into_iter().map(|text| text.matches(IN_TEXT).count()).sum()
}

fn check_described(config: &Config) {
    let described = config.describe();
    // Of all hidden values, only these must not look like a placeholder.
    let mut restored = described.clone();
    for key in ["api_token", "token", "username", "password"] {
        restored = restored.replace(&format!("{key} = \"<hidden>\""), &format!("{key} = \"restored\""));
    }
    let again = config::parse(&restored, Path::new(FILE), &read_file);
    let again = again.unwrap_or_else(|error| panic!("{error} in\n{restored}"));
    assert_eq!(again.interval, config.interval);
    let names = |config: &Config| -> Vec<String> {
        config.targets.iter().map(|target| target.name.to_string()).collect()
    };
    assert_eq!(names(&again), names(config));
    assert_eq!(again.describe().contains("<hidden>"), described.contains("<hidden>"));
    if !described.contains("<hidden>") {
        let quiet = |config: &Config| Config { warnings: Vec::new(), ..config.clone() };
        assert_eq!(quiet(&again), quiet(config), "{described}");
    }
}

/// A command is what the words say, read a second time in the simplest way; a
/// refusal is one line that points to the help.
pub(super) fn cli(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(request) = Request::parse(&text) {
        assert_eq!(Request::parse(&request.write()), Some(request));
    }
    let words: Vec<&str> = text.split('\n').collect();
    let call = match parse(words.iter().map(OsString::from).collect()) {
        Ok(call) => call,
        Err(error) => {
            let error = error.to_string();
            return assert!(error.ends_with("; see --help") && !error.contains('\n'), "{error}");
        }
    };
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let (options, behind) = words.split_at(end);
    let letters = options.iter().filter_map(|word| word.strip_prefix('-')).filter(|word| word.len() > 1);
    let letters = letters.filter(|word| word.chars().all(|letter| "vqhV".contains(letter)));
    let letters: Vec<String> = letters.flat_map(str::chars).map(|letter| format!("-{letter}")).collect();
    // Help is given wherever it is asked for.
    let plain = |word: &&str| word.strip_prefix("--log-format=").unwrap_or(word).to_owned();
    let has = |one: &str, other: &str| {
        options.iter().map(plain).chain(letters.iter().cloned()).any(|word| word == one || word == other)
    };
    match call.command {
        Command::Help => return assert!(has("-h", "--help")),
        Command::Version => return assert!(has("-V", "--version")),
        Command::Run(work) => {
            assert!(!has("--once", "--check"));
            check_work(&work, &words, has("--dry-run", "--dry-run"));
        }
        Command::Once(work) => {
            assert!(has("--once", "--once"));
            check_work(&work, &words, has("--dry-run", "--dry-run"));
        }
        Command::Check { config } => {
            assert!(has("--check", "--check") && !has("--once", "--dry-run"));
            check_path(&config, &words);
        }
        Command::Ask(asking) => {
            assert!(options.contains(&asking.kind.word()) && !has("--once", "--dry-run"));
            let said = |word: &str| words.contains(&word);
            assert!(asking.name.as_deref().is_none_or(|name| said(name) && !is_path(name)));
            asking.config.iter().for_each(|path| check_path(path, &words));
            let request = asking.request();
            // What a terminal or a log would take for more than a name is refused.
            let plain = asking.name.iter().all(|name| !name.contains(char::is_control));
            assert_eq!(Request::parse(&request.write()), plain.then_some(request));
        }
        Command::Explain { config, online } => {
            assert!(options.contains(&"explain") && online == has("--online", "--online"));
            check_path(&config, &words);
        }
        Command::Status { asking, shown } => {
            assert!(options.contains(&"status") && !has("--once", "--dry-run") && !has("--check", "--check"));
            assert_eq!(
                (shown == Shown::Json, shown == Shown::Alive),
                (has("--json", "--json"), has("--alive", "--alive"))
            );
            assert_eq!((asking.kind, &asking.name), (RequestKind::Status, &None));
            asking.config.iter().for_each(|path| check_path(path, &words));
        }
        Command::Providers(_) => assert!(words.contains(&"providers")),
        Command::Discover { how, gateway } => {
            assert!(options.contains(&"discover") && how.json == has("--json", "--json"));
            let plain = behind.iter().skip(1).chain(options).filter(|word| !word.starts_with('-')).count();
            assert!(gateway.is_none() || plain >= 2 || behind.len() > 1);
        }
    }
    let verbosity = match (has("-v", "--verbose"), has("-q", "--quiet")) {
        (true, false) => Verbosity::Verbose,
        (false, true) => Verbosity::Quiet,
        _ => Verbosity::Normal,
    };
    assert_eq!(call.verbosity, verbosity);
    let given = |format: &str| {
        options.contains(&format!("--log-format={format}").as_str())
            || options.windows(2).any(|pair| pair == ["--log-format", format])
    };
    assert!(match call.log_format {
        LogFormat::Text => true,
        LogFormat::Json => given("json"),
        LogFormat::Journal => given("journal"),
    });
}

fn check_work(work: &Work, words: &[&str], dry_run: bool) {
    assert_eq!(work.dry_run, dry_run);
    check_path(&work.config, words);
}

fn check_path(path: &PathBuf, words: &[&str]) {
    assert!(words.iter().any(|word| path == Path::new(word) && !word.is_empty()));
}

/// A key file is refused without a word of it, or the one key in it is the same
/// with comments around it and when it is written anew; nothing shows its secret.
pub(super) fn key_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let config = match read_key_file(&text) {
        Ok(config) => config,
        Err(shown) => return assert!(!shown.contains(IN_TEXT), "{shown}"),
    };
    let key = key_of(&config);
    let name = key.name.to_string();
    assert!(text.to_ascii_lowercase().contains(&*name) && name.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(text.contains("key") && text.contains("algorithm") && text.contains("secret"));
    assert!(text.to_ascii_lowercase().contains(key.algorithm.name()) && !key.reveal().is_empty());
    let shown = format!("{config:?}\n{}\n{}", config.describe(), config.warnings.join("\n"));
    let in_name = name.contains(&IN_TEXT.to_ascii_lowercase()) || name.contains(IN_TEXT);
    assert!(in_name || !shown.contains(IN_TEXT), "{shown}");
    let secret = write_base64(key.reveal());
    // A short one may stand anywhere.
    assert!(secret.len() < 24 || !shown.contains(&secret), "{shown}");
    let algorithm = key.algorithm.name();
    for same in [
        format!("// one\n{text}\n# two\n/* three */"),
        format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n"),
        format!("key {name}. {{ secret \"{secret}\"; algorithm \"{algorithm}.\"; }}"),
    ] {
        // Some marks end a name that is not in quotes.
        if same.starts_with("key ")
            && !same.starts_with("key \"")
            && name.contains(|c| "{};\"#/.".contains(c))
        {
            continue;
        }
        assert_eq!(key_of(&read_key_file(&same).expect("the same key")), key, "{same}");
    }
    assert!(read_key_file(&format!("{text}\n{text}")).is_err(), "which of two is not said");
}

fn read_key_file(text: &str) -> Result<Config, String> {
    let section = "[[rfc2136]]\nserver = \"192.0.2.53\"\nzone = \"home.example\"\nkey_file = \"k.key\"\n\
                   [[rfc2136.records]]\nname = \"nas.home.example\"\n";
    config::parse(section, Path::new(FILE), &|_: &Path| Ok(text.to_owned()))
        .map_err(|error| format!("{error}\n{error:?}"))
}

fn key_of(config: &Config) -> Key {
    match &config.groups[..] {
        [UpdaterConfig::Rfc2136(zone)] => zone.key.clone().expect("a key"),
        other => panic!("{other:?}"),
    }
}

pub(super) fn write_base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(digits[bits as usize & 63]);
    let group = |group: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        [18, 12, 6, 0].map(|shift| digit(bits >> shift))[..=group.len()].iter().collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}
