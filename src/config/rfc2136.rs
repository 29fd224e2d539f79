//! `[[rfc2136]]` and `[[rfc2136.records]]`.

mod key_file;

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::key_file::{WrittenKey, keys};
use super::builder::{Builder, NewTarget};
use super::defaults::TargetDefaults;
use super::describe::{Entries, HIDDEN, TomlWriter, toml_string};
use super::files::{Files, is_placeholder};
use super::fingerprint::Fingerprint;
use super::section::{Section, Sections, Value};
use super::sources::Router;
use super::{Config, UpdaterConfig, record};
use crate::config::error::Problems;
use crate::config::placeholders::Needs;
use crate::dns::name::Name;
use crate::dns::server::{Host, Server, Transport};
use crate::dns::tsig::{Algorithm, Key};

/// Seconds. Short, as the address may change at any time.
const DEFAULT_TTL: u32 = 60;
/// A week; longer, and a wrong address would stay for ever.
const MAX_TTL: u32 = 604_800;

const RECORDS: &str = "[[rfc2136.records]]";

/// An `[[rfc2136]]` section.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rfc2136 {
    /// The zone's primary; `None`: the one that the zone names.
    pub server: Option<Server>,
    /// The zone; `None`: found from the records' names.
    pub zone: Option<Name>,
    /// What updates are signed with; `None`: they are not.
    pub key: Option<Key>,
    /// Seconds.
    pub ttl: u32,
    /// Over what the server is asked.
    pub transport: Transport,
    /// The records; none occurs twice.
    pub records: Vec<Rfc2136Record>,
}

/// An `[[rfc2136.records]]` section.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Rfc2136Record {
    /// The full name.
    pub name: Name,
    /// AAAA instead of A.
    pub aaaa: bool,
}

impl Rfc2136 {
    /// As it is written.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.key.iter().map(|key| STANDARD.encode(key.reveal())).collect()
    }

    /// Writes it as TOML, its secret hidden.
    pub(super) fn write(&self, config: &Config, page: &mut TomlWriter, target: &Entries<'_>) {
        page.header("[[rfc2136]]");
        page.maybe("server", self.server.as_ref().map(|server| toml_string(&server.to_string())));
        page.maybe("zone", self.zone.as_ref().map(|zone| toml_string(&zone.to_string())));
        if let Some(key) = &self.key {
            page.entry("key", toml_string(&key.name.to_string()));
            page.entry("algorithm", toml_string(key.algorithm.name()));
            page.entry("secret", toml_string(HIDDEN));
        }
        page.entry("ttl", self.ttl);
        page.maybe("transport", self.transport.name().map(toml_string));
        for (entry, record) in self.records.iter().enumerate() {
            page.header("[[rfc2136.records]]");
            page.entry("name", toml_string(&record.name.to_string()));
            page.entry("type", toml_string(if record.aaaa { "AAAA" } else { "A" }));
            config.write_common(page, target(entry));
        }
    }
}

/// Reads the sections, with their records.
pub(super) fn read<'a>(
    sections: Sections<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    for section in sections {
        read_section(section, defaults, router, files, problems, builder);
    }
}

fn read_section<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &Problems<'_>,
    builder: &mut Builder<'a>,
) {
    let mut defaults = defaults.clone();
    take_common(&mut defaults, &mut section, router);
    let server = section.take("server").and_then(|value| read_server(&value));
    let zone = section.take("zone").and_then(|value| read_domain(&value));
    let keyless = !KEY_KEYS.iter().any(|key| section.has(key));
    let key = read_key(&mut section, files);
    let expected = format!("expected 0 to {MAX_TTL} seconds");
    let ttl = section.take("ttl").and_then(|value| value.integer(0..=MAX_TTL, &expected));
    let transport = section.take("transport").and_then(|value| read_transport(&value, keyless));
    let sections = section.take_sections("records", RECORDS, false);
    section.finish();
    let ttl = ttl.unwrap_or(DEFAULT_TTL);
    let mut group =
        Rfc2136 { server, zone, key, ttl, transport: transport.unwrap_or_default(), records: Vec::new() };
    if keyless {
        warn_of_no_key(&group, problems);
    }
    let mut known = HashSet::new();
    for section in sections {
        read_records(section, &defaults, router, &mut group, &mut known, builder);
    }
    builder.groups.push(UpdaterConfig::Rfc2136(Box::new(group)));
}

fn take_common<'a>(defaults: &mut TargetDefaults<'a>, section: &mut Section<'a>, router: &Router) {
    if let Some(value) = section.take("when_absent") {
        value.refuse::<()>("a DNS record cannot be empty; leave this key out");
    }
    defaults.take(section, router);
}

fn warn_of_no_key(group: &Rfc2136, problems: &Problems<'_>) {
    // On this host, an address is as good as a key.
    let near = |server: &Server| matches!(server.host, Host::Address(address) if address.is_loopback());
    if group.server.as_ref().is_some_and(near) {
        return;
    }
    let zone = group.zone.as_ref().map_or_else(String::new, |zone| format!(" for the zone {zone}"));
    problems.warn(format!(
        "[[rfc2136]]{zone} has no key, which is unsafe: whoever can send from an address that the server trusts can \
         change its records, and nothing proves its answers"
    ));
}

fn read_server(value: &Value<'_>) -> Option<Server> {
    let expected = "expected a name server's address or name, with a port if it is not 53: \"192.0.2.53\", \
                    \"192.0.2.53:5353\", \"[2001:db8::53]:5353\", \"ns1.example.org\"";
    let server = Server::parse(value.text()?.trim());
    let usable = |server: &Server| match server.host {
        Host::Address(address) => !address.is_unspecified() && !address.is_multicast(),
        Host::Name(_) => true,
    };
    server.filter(usable).or_else(|| value.refuse(expected))
}

/// A full domain name.
fn read_domain(value: &Value<'_>) -> Option<Name> {
    let text = read_name(value)?;
    if text == "@" || text.starts_with('*') {
        return value.refuse("expected a zone's full name, as in \"home.example.org\"");
    }
    Name::from_text(&text).map_or_else(|error| value.refuse(&error.to_string()), Some)
}

fn read_name(value: &Value<'_>) -> Option<String> {
    match super::idn::ascii_name(value.line()?.trim()) {
        Ok(name) => Some(name),
        Err(problem) => value.refuse(&problem),
    }
}

fn read_transport(value: &Value<'_>, keyless: bool) -> Option<Transport> {
    match value.text()? {
        "tcp" => Some(Transport::Tcp),
        "udp" if keyless => value.refuse("UDP needs a key: without one, anybody could send the answers"),
        "udp" => Some(Transport::Udp),
        _ => value.refuse("expected \"tcp\" or \"udp\"; without this key, UDP is used where TCP is closed"),
    }
}

// -- the key -------------------------------------------------------------------

const KEY_KEYS: [&str; 5] = ["key", "algorithm", "secret", "secret_file", "key_file"];

fn read_key(section: &mut Section<'_>, files: &Files<'_>) -> Option<Key> {
    if section.has("key_file") {
        return read_key_file(section, files);
    }
    if !KEY_KEYS.iter().any(|key| section.has(key)) {
        // Known from now on, for advice.
        for key in KEY_KEYS {
            section.take(key);
        }
        return None;
    }
    section.take("key_file");
    let name = section.require("key").and_then(|value| read_key_name(&value));
    let algorithm = match section.take("algorithm") {
        Some(value) => read_algorithm(value.text()?).map_or_else(|problem| value.refuse(&problem), Some),
        None => Some(Algorithm::Sha256),
    };
    let inline = section.has("secret");
    let found = files.require(section, "secret", "secret_file")?;
    if is_placeholder(&found.text) {
        return found.value.refuse_hidden("expected a secret in base64; this is only a placeholder for one");
    }
    if inline {
        files.saw_inline_secret();
    }
    let key = Key::new(name?, algorithm?, &found.text);
    key.or_else(|| found.value.refuse_hidden("expected a secret in base64, as tsig-keygen writes it"))
}

fn read_key_file(section: &mut Section<'_>, files: &Files<'_>) -> Option<Key> {
    for key in ["algorithm", "secret", "secret_file"] {
        if let Some(value) = section.take(key) {
            value.refuse_key::<()>("key_file holds it too; keep one of the two");
        }
    }
    let wanted = match section.take("key") {
        Some(value) => Some(read_key_name(&value)?),
        None => None,
    };
    let value = section.take("key_file")?;
    let written = match keys(&files.read_secret(&value)?) {
        Ok(keys) => keys,
        Err(problem) => return value.refuse_hidden(&problem),
    };
    let named = |key: &&WrittenKey| {
        wanted.as_ref().is_none_or(|name| Name::from_text(&key.name).as_ref() == Ok(name))
    };
    let mut chosen = written.iter().filter(named);
    match (chosen.next(), chosen.next()) {
        (Some(key), None) => parse_key(key).map_or_else(|problem| value.refuse_hidden(&problem), Some),
        (Some(_), Some(_)) => {
            value.refuse_hidden("several keys are in this file: say which one by key = \"name\"")
        }
        (None, _) => value.refuse_hidden("no key in this file has the name that key says"),
    }
}

fn parse_key(written: &WrittenKey) -> Result<Key, String> {
    let name = Name::from_text(&written.name).map_err(|error| format!("the key's name: {error}"))?;
    let algorithm = read_algorithm(&written.algorithm)?;
    Key::new(name, algorithm, &written.secret).ok_or_else(|| "the key's secret is not base64".to_owned())
}

fn read_key_name(value: &Value<'_>) -> Option<Name> {
    // Not shown: it might be the secret, put in the wrong place.
    let text = value.hidden_text()?.trim();
    Name::from_text(text).map_or_else(|error| value.refuse_hidden(&error.to_string()), Some)
}

fn read_algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
        format!("expected an algorithm that is safe today: {}", known.join(", "))
    })
}

// -- records --------------------------------------------------------------------

fn read_records<'a>(
    mut section: Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    group: &mut Rfc2136,
    known: &mut HashSet<Rfc2136Record>,
    builder: &mut Builder<'a>,
) {
    let own_suffix = section.has("ipv6_suffix");
    let mut defaults = defaults.clone();
    take_common(&mut defaults, &mut section, router);
    let (names, types) = (record::names(&mut section), record::types(&mut section));
    if own_suffix && types == [false] {
        section.refuse("ipv6_suffix belongs to records of type AAAA");
    }
    for value in names {
        let Some(name) = read_record_name(&value, group.zone.as_ref()) else { continue };
        for aaaa in types.iter().copied() {
            let record = Rfc2136Record { name: name.clone(), aaaa };
            if !known.insert(record.clone()) {
                section.refuse(
                    "this name and type stand in this section already; an update would replace the other's address",
                );
                continue;
            }
            let suffix = defaults.ipv6_suffix.filter(|_| aaaa);
            let defaults = TargetDefaults { ipv6_suffix: suffix, ..defaults.clone() };
            builder.add(&section, &defaults, draft(group, &record, &defaults));
            group.records.push(record);
        }
    }
    section.finish();
}

/// The full name. Within a zone, `@` is the zone itself, and one label (`nas`, `_x`,
/// `*`, `*.nas`) stands in front of it; every other name must be inside, since a
/// guess would make a record that nobody asks for. A dot at the end: it is full.
fn read_record_name(value: &Value<'_>, zone: Option<&Name>) -> Option<Name> {
    let absolute = value.line()?.trim().ends_with(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
    let text = read_name(value)?;
    let own = || Name::from_text(&text).map_or_else(|error| value.refuse(&error.to_string()), Some);
    let Some(zone) = zone else {
        let full = text.contains('.') || absolute;
        let expected = "expected a full name (\"nas.home.example.org\"), as zone is not given";
        return if full { own() } else { value.refuse(expected) };
    };
    if text == "@" {
        return Some(zone.clone());
    }
    let inside = Name::from_text(&format!("{text}.{zone}"));
    let label = !text.strip_prefix("*.").unwrap_or(&text).contains('.');
    match (own()?, inside) {
        (own, _) if own.is_within(zone) => Some(own),
        (_, inside) if label && !absolute => {
            inside.map_or_else(|error| value.refuse(&error.to_string()), Some)
        }
        (_, Ok(inside)) => value.refuse(&format!(
            "this name is not inside the zone {zone}; for one that is, write it in full: \"{inside}\""
        )),
        (_, Err(_)) => value.refuse(&format!("this name is not inside the zone {zone}")),
    }
}

fn draft(group: &Rfc2136, record: &Rfc2136Record, defaults: &TargetDefaults<'_>) -> NewTarget {
    let kind = if record.aaaa { "AAAA" } else { "A" };
    let suffix = defaults.ipv6_suffix;
    let key = group.key.as_ref();
    let fingerprint = Fingerprint::new("rfc2136")
        .maybe(group.server.as_ref())
        .maybe(group.zone.as_ref())
        .maybe(key.map(|key| &key.name))
        .maybe(key.map(|key| key.algorithm.name()))
        .bytes(key.map(Key::reveal).unwrap_or_default())
        .text(&group.ttl.to_string())
        .text(&record.name.to_string())
        .text(kind)
        .maybe(suffix)
        .finish();
    NewTarget {
        name: format!("{kind} {}", record.name),
        host: record.name.to_string().into(),
        entry: group.records.len(),
        fingerprint,
        required: Needs {
            ipv4: !record.aaaa,
            ipv6: record.aaaa && suffix.is_none(),
            ipv6_prefix: record.aaaa && suffix.is_some(),
        },
        optional: Needs::default(),
        ..NewTarget::default()
    }
}
