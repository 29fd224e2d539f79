//! The house keeps its floors: a file imports its own floor and those below, neither
//! folders nor files stand in a circle, and the libraries that meet bytes from outside are
//! known by one place each. ARCHITECTURE.md draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders, and the files that have no folder, from the ground up.
const FLOORS: [&[&str]; 9] = [
    &["address", "backoff", "calendar", "features", "quote", "secret"],
    &["http", "natpmp", "system"],
    &["dns", "gena", "pcp", "soap", "ssdp", "transport"],
    &["config"],
    &["updaters"],
    &["engine"],
    &["monitor", "notify", "sources"],
    &["cli", "daemon"],
    &["main"],
];

/// Which files may name a crate, or what we have one place for.
const KEEPERS: &[(&str, &[&str])] = &[
    ("quick_xml", &["soap::xml"]),
    ("rustls", &["transport"]),
    ("webpki", &["transport"]),
    ("webpki_roots", &["transport"]),
    ("toml", &["config"]),
    ("ureq", &["transport"]),
    ("pico_args", &["cli"]),
    ("rustix", &["system", "daemon::process"]),
    ("signal_hook", &["daemon::signals"]),
];

/// Files that may read the clock, open sockets and files, start threads. All
/// others are pure.
const SHELLS: &[&str] = &[
    "cli::around",
    "cli::asking",
    "cli::discover",
    "cli::explain",
    "config::files",
    "config::load",
    "daemon",
    "dns::client",
    "gena::listener",
    "gena::subscriber",
    "main",
    "monitor::listener",
    "natpmp::client",
    "pcp::client",
    "sources",
    "ssdp::search",
    "system",
    "transport",
];

/// Pure files of those folders.
const PURE: &[&str] =
    &["sources::echo_answer", "sources::echo_rate", "system::netlink", "transport::fields", "transport::url"];

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
    found.retain(|(module, _)| module != "lib");
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

/// The folder at the root that a module or an import stands in.
fn room(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

fn floor(room: &str) -> usize {
    let found = FLOORS.iter().position(|rooms| rooms.contains(&room));
    found.unwrap_or_else(|| panic!("give {room} a floor"))
}

/// Whether one of `places` is the module or has it inside.
fn is_in(module: &str, places: &[&str]) -> bool {
    places.iter().any(|place| module == *place || module.starts_with(&format!("{place}::")))
}

/// What a file names behind `crate::` (main: behind the library's name), groups
/// in braces taken apart.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let parts = text.split("ddns_update_daemon::").flat_map(|part| part.split("crate::")).skip(1);
    for rest in parts {
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

/// Which rooms each room imports.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in sources() {
        let here = room(&module).to_owned();
        let there = imports(&text).into_iter().map(|import| room(&import).to_owned());
        arrows.entry(here.clone()).or_default().extend(there.filter(|there| *there != here));
    }
    arrows
}

#[test]
fn a_file_imports_its_own_floor_and_those_below() {
    for (here, there) in arrows() {
        for there in there {
            assert!(floor(&there) <= floor(&here), "{here} imports {there}, which is upstairs");
        }
    }
}

/// Which files each file imports, by path or by holding them inside. What a file says to
/// the one that holds it, and all files in it, is no arrow.
fn file_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let files = sources();
    let all: BTreeSet<&str> = files.iter().map(|(module, _)| module.as_str()).collect();
    // The file that defines what a path names.
    let place = |path: &str| {
        let parts: Vec<&str> = path.split("::").collect();
        (1..=parts.len()).rev().map(|end| parts[..end].join("::")).find(|path| all.contains(path.as_str()))
    };
    let mut arrows = BTreeMap::new();
    for (module, text) in &files {
        let inside = format!("{module}::");
        let held =
            all.iter().filter(|other| other.strip_prefix(&inside).is_some_and(|rest| !rest.contains("::")));
        let named = imports(&absolute(module, text));
        let there = named.iter().filter_map(|path| place(path)).chain(held.map(|held| (*held).to_owned()));
        let holds = |there: &String| module == there || module.starts_with(&format!("{there}::"));
        let there = there.filter(|there| !holds(there) && !is_test(there)).collect();
        arrows.insert(module.clone(), there);
    }
    arrows.retain(|module, _| !is_test(module));
    arrows
}

fn is_test(module: &str) -> bool {
    module.split("::").any(|part| part == "tests")
}

/// The text with `super::` and `self::` written out.
fn absolute(module: &str, text: &str) -> String {
    let parts: Vec<&str> = module.split("::").collect();
    let written_out = text.replace("self::", &format!("crate::{module}::"));
    (1..=parts.len()).rev().fold(written_out, |text, level| {
        let above: Vec<&str> =
            ["crate"].iter().chain(parts.iter().take(parts.len() - level)).copied().collect();
        text.replace(&"super::".repeat(level), &(above.join("::") + "::"))
    })
}

/// What is left when, again and again, all leave that import nobody who is left: the
/// circles, and what stands above them.
fn circles(mut arrows: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    while let Some(free) = arrows.iter().find(|(_, there)| there.is_empty()).map(|(here, _)| here.clone()) {
        arrows.remove(&free);
        for there in arrows.values_mut() {
            there.remove(&free);
        }
    }
    // Nobody in a circle is without somebody who imports it.
    loop {
        let imported: BTreeSet<String> = arrows.values().flatten().cloned().collect();
        let before = arrows.len();
        arrows.retain(|here, _| imported.contains(here));
        if arrows.len() == before {
            return arrows;
        }
    }
}

#[test]
fn no_folders_and_no_files_stand_in_a_circle() {
    for arrows in [arrows(), file_arrows()] {
        let circles = circles(arrows);
        assert!(circles.is_empty(), "in a circle: {circles:#?}");
    }
}

#[test]
fn updaters_and_sources_do_not_know_each_other() {
    for (here, there) in arrows() {
        for (one, other) in [("updaters", "sources"), ("sources", "updaters"), ("engine", "sources")] {
            assert!(here != one || !there.contains(other), "{one} knows {other}");
        }
    }
}

#[test]
fn each_library_is_known_by_its_keeper_alone() {
    for (module, text) in sources() {
        for (library, keepers) in KEEPERS {
            let does = text.contains(&format!("{library}::"));
            assert!(is_in(&module, keepers) || !does, "{module} names {library}");
        }
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
    for (module, text) in sources() {
        if is_in(&module, SHELLS) && !is_in(&module, PURE) {
            continue;
        }
        for word in forbidden {
            assert!(!text.contains(word), "{module} uses {word}");
        }
    }
}

/// From a datagram or an answer of the LAN to an address: the files that
/// ARCHITECTURE.md lists for whoever wants to see what strangers can do.
#[test]
fn the_audit_path_is_short_and_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let section = page.split_once("## The audit path").expect("the section").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let words = section.split(|c: char| c.is_whitespace() || c == '`');
    let listed: Vec<&str> = words.filter_map(|word| word.strip_prefix("src/")?.strip_suffix(".rs")).collect();
    let all: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(all.len(), listed.len(), "a file is listed twice");
    let lines = listed.iter().map(|file| {
        let code = shipped(&fs::read_to_string(root.join(format!("src/{file}.rs"))).unwrap());
        code.lines().filter(|line| !line.trim().is_empty()).count()
    });
    let lines: usize = lines.sum();
    assert!(lines <= 1700, "the audit path has {lines} lines of code");
    // Whatever reads bytes of gateways is on it; sockets and subscriptions are not.
    for (module, _) in sources() {
        let file = ["", "/mod"].map(|end| module.replace("::", "/") + end);
        let core = is_in(&module, &["address", "http", "soap"]) && module != "soap";
        let core = core && !module.ends_with("::tests");
        let core = core || ["ssdp::message", "ssdp::filter"].contains(&module.as_str());
        assert!(!core || file.iter().any(|file| all.contains(file.as_str())), "{module} is not listed");
    }
}

/// A file that is not named there would be compiled by nobody.
#[test]
fn every_file_of_tests_is_in_the_program_of_tests() {
    let (folder, root) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), "behaviour");
    let program = fs::read_to_string(folder.join(root).with_extension("rs")).unwrap();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in files.filter_map(|file| file.strip_suffix(".rs").map(str::to_owned)) {
        let own = [root, "features", "provider_faults"].contains(&name.as_str());
        assert!(
            own || program.contains(&format!("mod {name};")),
            "tests/{name}.rs is not in tests/{root}.rs"
        );
    }
}
