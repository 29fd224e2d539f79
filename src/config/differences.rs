//! What behaves otherwise than in 1.0 for a file that 1.0 could read, for the
//! first start with it. The CHANGELOG has the reasons.

use toml::de::{DeTable, DeValue};

use super::{Config, Source, UpdaterConfig};

/// The keys of 1.0: of the file, and of the sections in it.
const TOP: [&str; 5] = ["interval", "router_ip", "cloudflare", "urls", "runs"];
const SECTIONS: [(&str, &[&str]); 4] = [
    ("cloudflare", &["api_token", "zone_id", "records"]),
    ("records", &["name", "type"]),
    ("urls", &["method", "url", "headers", "body"]),
    ("runs", &["cmd"]),
];

const ANY: [&str; 2] = [
    "the log is on standard error (2>&1 brings it to standard output)",
    "a start with an unchanged address sends and runs nothing (at_start = true for a program)",
];
const PRIVATE: &str = "a private or shared address of the router is not sent (allow_private = true)";
const UNKNOWN: &str =
    "an address that is not known is not sent, nor empty text for it (when_absent = \"empty\")";
const SLOW: &str = "a service that has not answered after 120 s is asked again later (a program, [[runs]], \
                    may ask one that needs longer)";
const RUNS: &str = "a program that fails is run again later (retry = false: not), and one that takes longer \
                    than 10 minutes is ended (timeout, in seconds)";
const ROUTER: &str = "without router_ip, the default route's gateway is asked before any other; another one \
                      must be named (router_ip = \"192.168.1.1\")";
const IPV6: &str = "where the router definitely tells no IPv6 address, this host's is taken \
                    (ipv6 = [\"upnp\"]: not)";
const HOST: &str = "of this host's addresses a public one is taken before a private one \
                    (ipv4 = [\"interface:eth0\"] names one)";

/// The sentences that apply; none for a file that uses more than 1.0 knew.
pub(super) fn from_1_0(table: &DeTable<'_>, config: &Config) -> Vec<&'static str> {
    if config.targets.is_empty() || !table.contains_key("interval") || !is_of_1_0(table) {
        return Vec::new();
    }
    let any = |is: fn(&UpdaterConfig) -> bool| config.groups.iter().any(is);
    let web = any(|group| !matches!(group, UpdaterConfig::Run(_)));
    let runs = any(|group| matches!(group, UpdaterConfig::Run(_)));
    let router = !table.contains_key("router_ip");
    let ipv6 = config.targets.iter().any(|target| target.follows_gateway && target.required.ipv6);
    // What a loopback address as router_ip means.
    let host = config.sources == [Source::Interface(None)];
    let named = config.targets.iter().any(|target| target.required.ipv4 || target.required.ipv6);
    let some = [
        (named && !host, PRIVATE),
        (named, UNKNOWN),
        (web, SLOW),
        (runs, RUNS),
        (router, ROUTER),
        (ipv6, IPV6),
        (host, HOST),
    ];
    ANY.into_iter().chain(some.into_iter().filter(|(applies, _)| *applies).map(|(_, text)| text)).collect()
}

fn is_of_1_0(table: &DeTable<'_>) -> bool {
    table.iter().all(|(key, value)| {
        let key: &str = key.get_ref();
        TOP.contains(&key) && (!SECTIONS.iter().any(|(name, _)| *name == key) || knows(key, value.get_ref()))
    })
}

/// Whether the section or sections called `name` hold keys of 1.0 only.
fn knows(name: &str, value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Array(entries) => entries.iter().all(|entry| knows(name, entry.get_ref())),
        DeValue::Table(table) => table.iter().all(|(key, value)| {
            let key: &str = key.get_ref();
            let known = SECTIONS.iter().any(|(section, keys)| *section == name && keys.contains(&key));
            known && (key != "records" || knows(key, value.get_ref()))
        }),
        _ => false,
    }
}
