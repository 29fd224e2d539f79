//! What the pages show works: every configuration is right, every command line is
//! understood, every link leads to a file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ddns_update_daemon::cli::{self, Command};
use ddns_update_daemon::config;

const PROGRAM: &str = "ddns-update-daemon";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages in Markdown, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![root().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir()
                && !["target", "vendor", "corpus", "node_modules"].contains(&name.as_str())
                && !name.starts_with('.')
            {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 10);
    found
}

/// The language and the text of each block of a page, without what indents it in a list.
fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut found, mut open): (Vec<(String, String)>, bool) = (Vec::new(), false);
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) if !open => {
                found.push((language.to_owned(), String::new()));
                open = true;
            }
            Some(_) => open = false,
            None => {
                if let Some((_, text)) = found.last_mut().filter(|_| open) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    assert!(!open, "a block is not closed");
    found
}

/// The text between the blocks.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// Files beside a configuration of a page hold what belongs there.
fn beside(path: &Path) -> String {
    let example = |name: &str| fs::read_to_string(root().join("examples").join(name)).unwrap();
    match path.extension().and_then(|end| end.to_str()) {
        Some("key") => {
            "key \"nas.key\" { algorithm hmac-sha256; secret \"cHV0LXlvdXItc2VjcmV0LWhlcmU=\"; };".to_owned()
        }
        Some("pem") => example("air-gapped-ca.pem"),
        _ if path.to_string_lossy().ends_with("url") => "https://hc.example/0123".to_owned(),
        _ => "0123456789abcdefghijABCDEFGHIJ0123456789".to_owned(),
    }
}

#[test]
fn every_configuration_passes_the_check() {
    let mut count = 0;
    let mut check = |place: &Path, text: &str| {
        let config = config::parse(text, place, &|path| Ok(beside(path)));
        let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(config.left_out.is_empty(), "{}: {:?}", place.display(), config.left_out);
        // A page may show a part that updates nothing by itself.
        let odd = config.warnings.iter().find(|warning| !warning.contains("nothing to update"));
        assert_eq!(odd, None, "{}: {text}", place.display());
        count += 1;
    };
    for (path, page) in pages() {
        for (_, text) in blocks(&page).iter().filter(|(language, _)| language == "toml") {
            check(&path, text);
        }
    }
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        // What a file of 1.0 is warned of, tests/since_1_0.rs has.
        if path.extension().is_some_and(|end| end == "toml") && !path.ends_with("1.0.toml") {
            check(&path, &fs::read_to_string(&path).unwrap());
        }
    }
    assert!(count > 30, "{count}");
}

/// The command lines of the program in a line of a shell: what is behind its name.
fn calls(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let line = line.replace("; ", " ; ");
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let name = word.trim_start_matches(['\'', '"', '`', '(']);
        let name =
            name.split_once('=').map_or(name, |(key, value)| if key == "ExecStart" { value } else { name });
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied();
        let first = before.is_none_or(|word| ["sudo", "&", "&&", "|", ";", "--", "exec"].contains(&word));
        let is_program = name == PROGRAM && (first || *word != name)
            || ["/bin/", r"$bin\"].iter().any(|folder| name.contains(folder))
                && name.trim_end_matches(".exe").ends_with(PROGRAM)
            || name == "cargo" && words.get(at + 1) == Some(&"run");
        let is_image = name.strip_prefix("ddns-update-daemon:").is_some_and(|tag| !tag.is_empty())
            && words.len() > at + 1;
        if is_program || is_image {
            let end = |word: &&&str| !["|", "&&", ";", ">", ">/dev/null", "`"].contains(*word);
            let words = words.iter().skip(at + 1).take_while(end);
            let words =
                words.skip_while(|word| name == "cargo" && **word != "--").skip(usize::from(name == "cargo"));
            found.push(
                words.map(|word| word.trim_end_matches(['\'', '"', ';', ')', '`']).to_owned()).collect(),
            );
        }
    }
    // The bare name is no call, but a package, a service or a file; nor is a message.
    found.retain(|words: &Vec<String>| words.first().is_some_and(|word| !word.starts_with('…')));
    found
}

/// Whether the program takes the call as what it is meant to be.
fn understand(words: &[String]) -> Result<(), String> {
    let words = words.iter().filter(|word| !["...", "…"].contains(&word.as_str()));
    let words = words.map(|word| word.trim_matches(['[', ']'])).filter(|word| *word != "OPTIONS");
    match cli::parse(words.map(OsString::from).collect()) {
        Err(error) => Err(error.to_string()),
        // What is no command is the path of a file.
        Ok(call) => match call.command {
            Command::Run(work) | Command::Once(work) if !is_path(&work.config) => {
                Err(format!("{} is no command", work.config.display()))
            }
            Command::Check { config } if !is_path(&config) => Err(format!("{} is no file", config.display())),
            _ => Ok(()),
        },
    }
}

fn is_path(config: &Path) -> bool {
    let text = config.to_string_lossy();
    text.ends_with(".toml") || text.contains(['/', '\\', '$']) || ["CONFIG", "FILE"].contains(&&*text)
}

fn check_calls(path: &Path, text: &str, count: &mut usize) {
    for line in text.replace("\\\n", " ").lines() {
        for words in calls(line) {
            *count += 1;
            understand(&words).unwrap_or_else(|why| panic!("{}: {line}\n{why}", path.display()));
        }
    }
}

/// Code between backticks, and what stands on an indented line of its own.
fn check_prose(path: &Path, text: &str, count: &mut usize) {
    for code in text.split('`').skip(1).step_by(2) {
        check_calls(path, &code.replace("\n#", " ").replace('\n', " "), count);
    }
    let shown =
        text.lines().map(|line| line.trim_start_matches(['#', '.'])).filter(|line| line.starts_with("   "));
    for line in shown.filter(|line| line.trim_start().starts_with(PROGRAM)) {
        check_calls(path, line, count);
    }
}

#[test]
fn every_command_line_is_understood() {
    let mut count = 0;
    for (path, page) in pages() {
        for (language, text) in blocks(&page) {
            if ["sh", "powershell", "ini"].contains(&language.as_str()) {
                check_calls(&path, &text, &mut count);
            }
        }
        check_prose(&path, &prose(&page), &mut count);
    }
    let mut others: Vec<PathBuf> =
        fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    others.push(root().join("dist/systemd/ddns-update-daemon.toml"));
    for file in others {
        check_prose(&file, &fs::read_to_string(&file).unwrap(), &mut count);
    }
    for file in [
        "dist/systemd/ddns-update-daemon.service",
        "dist/man/ddns-update-daemon.8",
        "dist/man/ddns-update-daemon.toml.5",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        check_calls(Path::new(file), &text.replace(".Dl ", ""), &mut count);
    }
    assert!(count > 40, "{count}");
}

#[test]
fn calls_are_found_in_lines_of_a_shell() {
    for (line, expected) in [
        ("ddns-update-daemon --check a.toml   # is it right?", Some("--check a.toml")),
        ("docker exec ddns /usr/bin/ddns-update-daemon retry x", Some("retry x")),
        ("podman run --rm ddns-update-daemon:2.0.0 discover", Some("discover")),
        ("cargo run --release -- examples/a.toml", Some("examples/a.toml")),
        ("sh -c 'ddns-update-daemon --check $D/c.toml'", Some("--check $D/c.toml")),
        (r"& $bin\ddns-update-daemon.exe --check $data\c.toml", Some(r"--check $data\c.toml")),
        ("ExecStart=/usr/bin/ddns-update-daemon -v ${D}/c.toml", Some("-v ${D}/c.toml")),
        ("journalctl -u ddns-update-daemon", None),
        ("/etc/init.d/ddns-update-daemon check", None),
        ("uci set ddns-update-daemon.globals.enabled=1", None),
    ] {
        let expected: Vec<Vec<String>> =
            expected.into_iter().map(|words| words.split(' ').map(str::to_owned).collect()).collect();
        assert_eq!(calls(line), expected, "{line}");
    }
    assert!(understand(&["statsu".to_owned()]).is_err());
}

#[test]
fn every_link_leads_somewhere() {
    for (path, page) in pages() {
        for target in
            prose(&page).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
        {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            // The picture is made by tests/bench/scaling --write.
            if target.contains("://") || target == "scaling.svg" {
                continue;
            }
            let there = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(there.exists(), "{}: {target}", path.display());
            if !anchor.is_empty() {
                let headings = fs::read_to_string(&there).unwrap();
                let found =
                    headings.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
                assert!(found, "{}: {target}", path.display());
            }
        }
    }
}

/// What a heading is called in a link.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
