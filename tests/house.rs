//! The house keeps its floors: a file imports its own floor and those below,
//! and the libraries that meet bytes from outside are known by one file each.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic; that is how it fails"
)]

use std::fs;
use std::path::Path;

/// Module paths by floor; the longest that fits a file or an import counts.
const FLOORS: [&[&str]; 3] = [
    &[
        "address",
        "decimal",
        "dns::message",
        "dns::tsig",
        "http",
        "natpmp::message",
        "natpmp::pcp",
        "natpmp",
        "dns",
        "nearest",
        "netlink",
        "parts",
        "secret",
        "soap::actions",
        "soap::description",
        "soap::envelope",
        "soap::event",
        "soap",
        "ssdp::message",
        "ssdp::presence",
        "ssdp::sieve",
        "ssdp",
        "table",
        "updaters::placeholders",
        "url",
        "xml",
    ],
    &[
        "cli",
        "config",
        "engine",
        "platform::routes",
        "retry",
        "soap::subscription",
        "soap::survey",
        "sources::answer",
        "sources::choose",
        "sources::pace",
        "state",
        "updaters",
    ],
    &[
        "channel",
        "daemon",
        "discover",
        "hints",
        "dns::client",
        "jobs",
        "log",
        "main",
        "natpmp::client",
        "natpmp::pcp_client",
        "platform",
        "process",
        "resolve",
        "soap::client",
        "soap::keeper",
        "soap::listener",
        "sources",
        "ssdp::search",
        "store",
        "threads",
        "web",
    ],
];

/// Which files may name a crate, or what we have one place for.
const KEEPERS: &[(&str, &[&str])] = &[
    ("quick_xml", &["xml"]),
    ("rustls", &["web::tls", "web::cryptography"]),
    ("webpki", &["web::cryptography"]),
    ("webpki_roots", &["web::tls"]),
    ("toml", &["config", "updaters::providers"]),
    ("pico_args", &["cli"]),
    ("rustix", &["platform", "process"]),
    ("thread::Builder", &["threads"]),
    ("mpsc", &[]),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((module(&root, &path), shipped(&fs::read_to_string(&path).unwrap())));
            }
        }
    }
    assert!(found.len() > 30);
    found
}

fn module(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap().with_extension("");
    let name = inside.to_string_lossy().replace('/', "::");
    name.strip_suffix("::mod").unwrap_or(&name).to_owned()
}

/// Without tests and comments.
fn shipped(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn floor(module: &str) -> usize {
    let fits = |place: &str| module == place || module.starts_with(&format!("{place}::"));
    let places =
        FLOORS.iter().enumerate().flat_map(|(floor, places)| places.iter().map(move |p| (floor, *p)));
    let best = places.filter(|(_, place)| fits(place)).max_by_key(|(_, place)| place.len());
    best.unwrap_or_else(|| panic!("give {module} a floor")).0
}

/// What a file names behind `crate::`, groups in braces taken apart.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        let path = path.trim_end_matches(':').to_owned();
        match after.strip_prefix('{').and_then(|group| group.split_once('}')) {
            Some((group, _)) => {
                let prefix = if path.is_empty() { String::new() } else { format!("{path}::") };
                let members = group.split(',').map(|member| member.trim().trim_start_matches("self"));
                found.extend(members.map(|member| format!("{prefix}{member}")));
            }
            None => found.push(path),
        }
    }
    found.retain(|path| !path.is_empty() && path.starts_with(char::is_lowercase));
    found
}

#[test]
fn a_file_imports_its_own_floor_and_those_below() {
    for (module, text) in sources() {
        if module == "lib" {
            continue;
        }
        for import in imports(&text) {
            assert!(floor(&import) <= floor(&module), "{module} imports {import}, which is upstairs");
        }
    }
}

#[test]
fn updaters_and_sources_do_not_know_each_other() {
    for (module, text) in sources() {
        for (here, there) in [("updaters", "sources"), ("sources", "updaters"), ("engine", "sources")] {
            let knows = imports(&text).iter().any(|import| import.split("::").next() == Some(there));
            assert!(!(module.split("::").next() == Some(here) && knows), "{module} knows {there}");
        }
    }
}

#[test]
fn each_library_is_known_by_its_keeper_alone() {
    for (module, text) in sources() {
        for (library, keepers) in KEEPERS {
            let may = keepers.iter().any(|k| module == *k || module.starts_with(&format!("{k}::")));
            let does = text.contains(&format!("{library}::"));
            assert!(may || !does, "{module} names {library}");
        }
    }
}

/// `decimal` is exact, and std's code for the other kind takes 25 kB.
#[test]
fn nothing_calculates_in_floating_point() {
    for (module, text) in sources() {
        assert!(!text.contains("f64") && !text.contains("f32"), "{module} uses floating point");
    }
}

#[test]
fn the_core_reads_no_clock_and_opens_nothing() {
    let forbidden = [
        "Instant::now",
        "SystemTime::now",
        "std::fs",
        "std::net::{Tcp",
        "UdpSocket",
        "TcpStream",
        "thread::",
        "std::env::",
    ];
    // The one place where the configuration meets the disk.
    let shells = ["config::load", "config::files"];
    for (module, text) in sources() {
        if module == "lib" || floor(&module) == 2 || shells.contains(&module.as_str()) {
            continue;
        }
        for word in forbidden {
            assert!(!text.contains(word), "{module} uses {word}");
        }
    }
}
