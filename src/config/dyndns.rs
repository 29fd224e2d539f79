//! `[[dyndns]]`: presets, and any dyndns2 server.

mod account;

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use self::account::Dyndns;
use self::account::fingerprint;
use super::UpdaterConfig;
use super::builder::{Builder, NewTarget};
use super::defaults::TargetDefaults;
use super::files::{Files, is_placeholder};
use super::idn::ascii_name;
use super::provider_url::{check, reachable};
use super::section::{Section, Sections, Value};
use super::sources::Router;
use crate::config::error::Problems;
use crate::config::placeholders::Needs;
use crate::config::presets::{KEYS, Preset, all, find};
use crate::config::url::from_prefix;
use crate::secret::Secret;
use crate::transport::url::HttpUrl;

/// What may stand in braces in a URL of the user's own.
const PLACEHOLDERS: [&str; 7] = ["host", "ip", "ips", "ipv4", "ipv6", "password", "token"];

/// The accounts that several sections may share.
struct Accounts<'b, 'a> {
    builder: &'b mut Builder<'a>,
    /// The group of each, by its fingerprint.
    groups: HashMap<String, usize>,
    /// The presets, once a section has asked for one.
    presets: OnceCell<Vec<Preset>>,
}

impl Accounts<'_, '_> {
    /// Most accounts are asked as the one before.
    fn shared(&self, preset: Preset, url: Option<Secret>) -> (Arc<Preset>, Option<Arc<Secret>>) {
        match self.builder.groups.last() {
            Some(UpdaterConfig::Dyndns(last))
                if *last.preset == preset && last.url.as_deref() == url.as_ref() =>
            {
                (Arc::clone(&last.preset), last.url.clone())
            }
            _ => (Arc::new(preset), url.map(Arc::new)),
        }
    }
}

/// Reads the sections, those of one account into one group.
pub(super) fn read<'a>(
    sections: Sections<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    let mut accounts = Accounts { builder, groups: HashMap::new(), presets: OnceCell::new() };
    for section in sections {
        read_section(section, defaults, router, files, problems, &mut accounts);
    }
}

fn read_section<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    accounts: &mut Accounts<'_, 'a>,
) {
    let own_suffix = section.has("ipv6_suffix");
    let account = read_account(&mut section, files, accounts);
    let label = section.take("name").and_then(|value| value.line());
    if let Some(value) = section.take("when_absent") {
        value.refuse::<()>("a DNS record cannot be empty; leave this key out");
    }
    let mut defaults = defaults.clone();
    defaults.take(&mut section, router);
    let Some(account) = account else {
        // What it needs is not known, so nothing more is said of it.
        for key in ["hostname", "hostnames"] {
            section.take(key);
        }
        section.finish();
        return;
    };
    warn_of_plain_http(&account, problems);
    let hostnames = read_hostnames(&mut section, &account);
    defaults.refresh = defaults.refresh.or(account.preset.refresh);
    let families = needs(&account.preset, &mut defaults);
    if own_suffix && defaults.ipv6_suffix.is_none() {
        section.refuse("ipv6_suffix is of no use here: only IPv4 addresses are sent");
    }
    if own_suffix && !account.preset.is_told() {
        let name = &account.preset.name;
        section.refuse(&format!("ipv6_suffix is of no use here: {name} takes the address that asks"));
    }
    add_names(&account, hostnames, label, families, &section, &defaults, accounts);
    section.finish();
}

/// A target for each name.
fn add_names<'a>(
    account: &Dyndns,
    hostnames: Vec<Arc<str>>,
    label: Option<&str>,
    (required, optional): (Needs, Needs),
    section: &Section<'a>,
    defaults: &TargetDefaults<'a>,
    accounts: &mut Accounts<'_, 'a>,
) {
    let (group, first) = place(accounts, account);
    let single = hostnames.len() == 1;
    for (hostname, entry) in hostnames.into_iter().zip(first..) {
        let draft = NewTarget {
            name: target_name(label, &hostname, single, &account.preset),
            host: Arc::clone(&hostname),
            entry,
            fingerprint: fingerprint(account).text(&hostname).maybe(defaults.ipv6_suffix).finish(),
            required,
            optional,
            ..NewTarget::default()
        };
        accounts.builder.add_to(group, section, defaults, draft);
        if let Some(UpdaterConfig::Dyndns(account)) = accounts.builder.groups.get_mut(group) {
            let names = &mut Arc::make_mut(account).hostnames;
            // Most accounts have one.
            if names.is_empty() {
                names.reserve_exact(1);
            }
            names.push(hostname);
        }
    }
}

/// The account without its names.
fn read_account(section: &mut Section<'_>, files: &Files<'_>, accounts: &Accounts<'_, '_>) -> Option<Dyndns> {
    let (provider, url) = (section.take("provider"), section.take("url"));
    let username = section.take("username");
    let with_password = section.has("password") || section.has("password_file");
    let (preset, url) = match (provider, url) {
        (Some(_), Some(url)) => {
            url.refuse_key::<()>("\"provider\" is given too; keep one of the two");
            (None, None)
        }
        (Some(provider), None) => (read_provider(&provider, accounts.presets.get_or_init(all)), None),
        (None, Some(url)) => {
            let url = read_url(&url);
            let in_url = url.as_deref().is_some_and(|url| url.contains("{password"));
            let user = username.is_some() || with_password && !in_url;
            (url.as_deref().map(|url| Preset::own(url, user)), url)
        }
        (None, None) => {
            section.refuse("provider or url is missing");
            (None, None)
        }
    };
    let known = preset.as_ref();
    let username = read_username(section, username, known);
    let password = read_secret(section, files, "password", "password_file", known);
    let token = read_secret(section, files, "token", "token_file", known);
    let (preset, url) = accounts.shared(preset?, url.map(Secret::new));
    Some(Dyndns { preset, url, username, password, token, hostnames: Vec::new() })
}

fn read_provider(value: &Value<'_>, presets: &[Preset]) -> Option<Preset> {
    match find(presets, value.line()?.trim()) {
        Ok(preset) => {
            let mut urls = [Some(&preset.url), preset.url6.as_ref()].into_iter().flatten();
            match urls.try_for_each(|url| reachable(url)) {
                Ok(()) => Some(preset.clone()),
                Err(why) => value.refuse(&why),
            }
        }
        Err(Some(meant)) => value.refuse(&format!("no such provider: did you mean {meant:?}?")),
        Err(None) => value.refuse(
            "no such provider; see `ddns-update-daemon providers`, or give the url of any dyndns2 server",
        ),
    }
}

fn read_url(value: &Value<'_>) -> Option<String> {
    let text = value.hidden_text()?;
    if is_placeholder(text) {
        return value.refuse_hidden("expected a URL; this is only a placeholder for one");
    }
    let url = match check(text, ascii_name) {
        Ok(url) => url,
        Err(problem) => return value.refuse_hidden(&problem),
    };
    if HttpUrl::split(&url).is_ok_and(|parts| parts.user.is_some()) {
        return value.refuse_hidden("expected no credentials in it; give username and password");
    }
    for piece in url.split('{').skip(1) {
        let name = piece.split(['}', '|']).next().unwrap_or_default();
        if !PLACEHOLDERS.contains(&name) && name != "username" {
            return value.refuse_hidden(&format!(
                "expected only {{username}}, {{{}}} in braces",
                PLACEHOLDERS.join("}, {")
            ));
        }
    }
    let names = ["{ip}", "{ips}", "{ipv4}", "{ipv6}", "{ipv4|", "{ipv6|"];
    if url.contains('{') && !names.iter().any(|name| url.contains(name)) {
        return value.refuse_hidden("expected {ip}, {ips}, {ipv4} or {ipv6}: where the address belongs");
    }
    Some(url)
}

fn read_username(section: &Section<'_>, value: Option<Value<'_>>, preset: Option<&Preset>) -> Option<Secret> {
    let preset = preset?;
    let Some(value) = value else {
        if preset.needs("username") {
            section.refuse(&missing("username", "username", preset));
        }
        return None;
    };
    let text = value.hidden_text()?.trim();
    if !preset.needs("username") {
        return value.refuse_key(&useless(preset));
    }
    if text.chars().any(char::is_control) {
        return value.refuse_hidden("expected no line breaks or control characters");
    }
    if is_placeholder(text) {
        return value.refuse("expected a user name; this is only a placeholder for one");
    }
    let basic = preset.basic.as_deref().is_some_and(|basic| basic.contains("{username}"));
    if basic && text.contains(':') && !preset.group {
        return value.refuse_hidden("a user name with a colon cannot be sent (RFC 7617)");
    }
    Some(Secret::new(text.to_owned()))
}

fn read_secret(
    section: &mut Section<'_>,
    files: &Files<'_>,
    key: &'static str,
    file_key: &'static str,
    preset: Option<&Preset>,
) -> Option<Secret> {
    let given = section.has(key) || section.has(file_key);
    let inline = section.has(key);
    let found = files.text(section, key, file_key);
    let preset = preset?;
    let Some(found) = found else {
        if !given && preset.needs(key) {
            section.refuse(&missing(key, &format!("{key} or {file_key}"), preset));
        }
        return None;
    };
    if !preset.needs(key) {
        return found.value.refuse_key(&useless(preset));
    }
    if is_placeholder(&found.text) {
        return found.value.refuse_hidden(&format!("expected a {key}; this is only a placeholder for one"));
    }
    if found.text.chars().any(char::is_control) {
        return found.value.refuse_hidden("expected no line breaks or control characters");
    }
    let text = if key == "token" { found.text.trim() } else { &found.text };
    if key == "token" && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return found.value.refuse_hidden("expected a token without blanks and special characters");
    }
    if inline {
        files.saw_inline_secret();
    }
    Some(Secret::new(text.to_owned()))
}

fn missing(key: &str, keys: &str, preset: &Preset) -> String {
    match preset.meaning(key) {
        Some(meaning) => format!("{keys} is missing: {meaning}"),
        None => format!("{keys} is missing"),
    }
}

fn useless(preset: &Preset) -> String {
    let needed: Vec<&str> = KEYS.into_iter().filter(|key| preset.needs(key)).collect();
    match preset.name.as_str() {
        "" => "url has no place for this".to_owned(),
        name => format!("{name} has no use for this; it needs {}", needed.join(", ")),
    }
}

/// The names; one that is empty where the credentials decide it.
fn read_hostnames(section: &mut Section<'_>, account: &Dyndns) -> Vec<Arc<str>> {
    let preset = &account.preset;
    let (one, several) = (section.take("hostname"), section.take("hostnames"));
    let values = match (one, several) {
        (Some(_), Some(value)) => {
            value.refuse_key::<()>("\"hostname\" is given too; keep one of the two");
            return Vec::new();
        }
        (Some(value), None) if value.is_list() => {
            value.refuse::<()>("expected one text in quotes; a list is written hostnames = [...]");
            return Vec::new();
        }
        (Some(value), None) => vec![value],
        (None, Some(value)) => {
            let values = value.list().unwrap_or_default();
            if values.is_empty() {
                value.refuse::<()>("expected at least one name");
            }
            values
        }
        (None, None) if preset.needs("hostname") => {
            section.refuse(&missing("hostname", "hostname", preset));
            return Vec::new();
        }
        (None, None) => return vec![Arc::default()],
    };
    if let (false, Some(value)) = (preset.needs("hostname"), values.get(1)) {
        value.refuse::<()>("expected only one name: the credentials decide it");
    }
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for value in values {
        let Some(name) = read_hostname(&value, account).map(Arc::from) else { continue };
        if known.insert(Arc::clone(&name)) {
            names.push(name);
        } else {
            value.refuse::<()>("this name is listed twice");
        }
    }
    names
}

fn read_hostname(value: &Value<'_>, account: &Dyndns) -> Option<String> {
    let preset = &account.preset;
    let text = value.line()?.trim();
    if is_placeholder(text) {
        return value.refuse("expected a host name; this is only a placeholder for one");
    }
    if preset.id {
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte));
        return if fits { Some(text.to_owned()) } else { value.refuse("expected a label or number") };
    }
    let name = match ascii_name(text) {
        Ok(name) => name,
        Err(problem) => return value.refuse(&problem),
    };
    let zone = preset.zone_of(account.username.as_ref().map(Secret::reveal));
    match zone {
        // As the provider's own pages say it: "home" or "home.duckdns.org".
        Some(_) if preset.zone.as_deref() != Some("{username}") => Some(name),
        Some(zone) if name == zone || name.ends_with(&format!(".{zone}")) => Some(name),
        Some(zone) => value.refuse(&format!(
            "this name is not inside {zone}, the domain that username names; for one that is, write it in full: \
             \"{}.{zone}\"",
            name.trim_end_matches('.')
        )),
        None if name != "@" && preset.group => Some(name),
        None if name == "@" || !name.contains('.') => {
            value.refuse("expected a full host name, as in \"home.example.org\"")
        }
        None => Some(name),
    }
}

/// Which families it is sent for: those that the provider knows and the user has
/// not switched off.
fn needs(preset: &Preset, defaults: &mut TargetDefaults<'_>) -> (Needs, Needs) {
    let ipv4 = preset.knows_ipv4() && !defaults.ipv4.is_empty();
    let ipv6 = preset.knows_ipv6() && !defaults.ipv6.is_empty() && !(preset.record && ipv4);
    let families = match (ipv4, ipv6) {
        // What is switched off is needed all the same, and refused elsewhere.
        (false, false) => Needs { ipv4: preset.knows_ipv4(), ipv6: !preset.knows_ipv4(), ..Needs::default() },
        (ipv4, ipv6) => Needs { ipv4, ipv6, ..Needs::default() },
    };
    if !families.ipv6 {
        defaults.ipv6_suffix = None;
    }
    let wanted = if defaults.ipv6_suffix.is_some() { from_prefix(families) } else { families };
    if families.ipv4 && families.ipv6 { (Needs::default(), wanted) } else { (wanted, Needs::default()) }
}

/// The group of an account, and its next entry. Sections of the same account
/// share it, as a provider counts its requests together.
fn place(accounts: &mut Accounts<'_, '_>, account: &Dyndns) -> (usize, usize) {
    let new = accounts.builder.groups.len();
    let group = *accounts.groups.entry(fingerprint(account).finish()).or_insert(new);
    if group == new {
        accounts.builder.groups.push(UpdaterConfig::Dyndns(Arc::new(account.clone())));
    }
    let names = match accounts.builder.groups.get(group) {
        Some(UpdaterConfig::Dyndns(known)) => known.hostnames.len(),
        _ => 0,
    };
    (group, names)
}

fn target_name(label: Option<&str>, hostname: &str, single: bool, preset: &Preset) -> String {
    match label {
        Some(label) if single => label.to_owned(),
        Some(label) => format!("{label} {hostname}"),
        None if hostname.is_empty() => preset.name.clone(),
        None => hostname.to_owned(),
    }
}

fn warn_of_plain_http(account: &Dyndns, problems: &Problems<'_>) {
    let Ok(parts) = HttpUrl::split(&account.preset.url) else { return };
    let secret = account.password.is_some() || account.token.is_some();
    if secret && !parts.https && !parts.is_loopback() {
        problems.warn(format!("{}: the credentials travel unencrypted", parts.host));
    }
}
