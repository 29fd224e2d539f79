//! `--help` is the one place where commands and options are listed by hand. What it
//! says is what the program takes, what the manual's synopsis shows, and what shells
//! complete. `BLESS=1 cargo test --test behaviour command_line` writes `dist/completions` anew.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ddns_update_daemon::cli::{self, Command, HELP};

const PROGRAM: &str = "ddns-update-daemon";

/// A line below "Usage:".
struct Usage {
    /// `None`: a configuration is run.
    command: Option<String>,
    /// Behind it, with brackets, and with bars between what excludes each other.
    words: Vec<String>,
    /// What it does, in a few words.
    about: String,
}

/// A line below "Options:".
struct Opt {
    short: Option<char>,
    long: String,
    /// What its value may be, if it has one: its name, and the words it takes.
    value: Option<(String, Vec<String>)>,
    about: String,
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The lines of a part of the help.
fn part(title: &str) -> impl Iterator<Item = &'static str> {
    HELP.split_once(&format!("\n{title}:\n")).unwrap().1.lines().take_while(|line| !line.is_empty())
}

/// Up to the first full stop, colon or semicolon.
fn in_short(text: &str) -> String {
    let end = [". ", ": ", "; "].iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text.get(..end).unwrap().trim_end_matches('.').to_owned()
}

fn usages() -> Vec<Usage> {
    let mut found: Vec<Usage> = Vec::new();
    for line in part("Usage") {
        match line.strip_prefix("  ddns-update-daemon ") {
            Some(call) => {
                let mut words: Vec<String> =
                    call.replace(" | ", "|").split_whitespace().map(str::to_owned).collect();
                let is_command = words.first().is_some_and(|word| word.starts_with(char::is_lowercase));
                let command = is_command.then(|| words.remove(0));
                found.push(Usage { command, words, about: String::new() });
            }
            None => write!(found.last_mut().unwrap().about, " {}", line.trim()).unwrap(),
        }
    }
    for usage in &mut found {
        usage.about = in_short(usage.about.trim());
    }
    found
}

impl Usage {
    /// The options of this command, without brackets.
    fn options(&self) -> impl Iterator<Item = &str> {
        let inner = self.words.iter().flat_map(|word| word.trim_matches(['[', ']']).split('|'));
        inner.filter(|word| word.starts_with("--"))
    }
}

fn commands() -> Vec<(String, Usage)> {
    usages().into_iter().filter_map(|mut usage| Some((usage.command.take()?, usage))).collect()
}

fn options() -> Vec<Opt> {
    let mut found: Vec<Opt> = Vec::new();
    for line in part("Options") {
        let (flags, about) = line.split_at(line.len().min(28));
        if flags.trim().is_empty() {
            let last = found.last_mut().unwrap();
            write!(last.about, " {}", about.trim()).unwrap();
            continue;
        }
        let mut words = flags.split([' ', ',']).filter(|word| !word.is_empty()).peekable();
        let short = words.next_if(|word| !word.starts_with("--")).and_then(|word| word.chars().nth(1));
        let long = words.next().unwrap().to_owned();
        let value = words.next().map(|name| (name.to_lowercase(), values(&long)));
        found.push(Opt { short, long, value, about: about.trim().to_owned() });
    }
    found.retain(|option| option.long != "--");
    // What a value may be is completed anyway.
    for option in found.iter_mut().filter(|option| option.value.is_some()) {
        option.long.replace('-', " ").trim().clone_into(&mut option.about);
    }
    found
}

/// What an option of a command does; which commands have it stands in front.
fn about(long: &str) -> String {
    let found =
        options().into_iter().find(|option| option.long == long).unwrap_or_else(|| panic!("no {long}"));
    let text = found.about.split_once(": ").map_or(found.about.as_str(), |(_, text)| text);
    text.split(" (").next().unwrap().to_owned()
}

/// What an option may be followed by, as the program says to whom writes something else.
fn values(long: &str) -> Vec<String> {
    let told = cli::parse(vec![long.into(), "?".into()]).unwrap_err().to_string();
    let listed = told.split_once("expected ").unwrap().1.split(';').next().unwrap();
    listed.replace(" or ", ", ").split(", ").map(str::to_owned).collect()
}

/// Options that belong to a command, so not to a run.
fn of_commands() -> BTreeSet<String> {
    commands().iter().flat_map(|(_, usage)| usage.options().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// What may stand before a configuration that is run: `--once` and `--check`, and all
/// options that are no command's.
fn of_runs() -> Vec<Opt> {
    let commands = of_commands();
    let modes = usages().into_iter().filter(|usage| usage.command.is_none()).flat_map(|usage| {
        let flags: Vec<String> = usage.options().map(str::to_owned).collect();
        let about = usage.about;
        flags.into_iter().map(move |long| Opt { short: None, long, value: None, about: about.clone() })
    });
    let mut found = options();
    found.extend(
        modes.filter(|mode| !options().iter().any(|option| option.long == mode.long)).collect::<Vec<_>>(),
    );
    found.retain(|option| !commands.contains(&option.long));
    found
}

/// The texts between quotation marks of a part of a source file.
fn quoted(file: &str, from: &str, to: &str) -> BTreeSet<String> {
    let text = read(file);
    let part = text.split_once(from).unwrap_or_else(|| panic!("{file}: {from}")).1.split(to).next().unwrap();
    part.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_help_lists_what_the_program_takes() {
    let taken = quoted("src/cli/mod.rs", "match word.as_str() {", "\n    };");
    let listed: BTreeSet<String> = commands().into_iter().map(|(command, _)| command).collect();
    assert_eq!(listed, taken);
    let taken = quoted("src/cli/help.rs", "const OPTIONS:", "];");
    let mut listed: BTreeSet<String> = options().into_iter().map(|option| option.long).collect();
    listed.extend(of_runs().into_iter().map(|option| option.long));
    listed.extend(of_commands());
    assert_eq!(listed, taken);
}

#[test]
fn every_call_of_the_help_is_understood() {
    for usage in usages() {
        let most = usage.words.iter().map(|word| word.split('|').count()).max().unwrap_or(1);
        for nth in 0..most {
            let words = usage.words.iter().map(|word| match word.as_str() {
                "[GATEWAY]" => "192.0.2.1",
                word => word
                    .trim_matches(['[', ']'])
                    .split('|')
                    .nth(nth)
                    .unwrap_or_else(|| word.trim_matches(['[', ']'])),
            });
            let words: Vec<&str> =
                usage.command.as_deref().into_iter().chain(words.filter(|word| *word != "OPTIONS")).collect();
            let call = cli::parse(words.iter().map(OsString::from).collect());
            let command = call.unwrap_or_else(|error| panic!("{words:?}: {error}")).command;
            assert!(usage.command.is_none() || !matches!(command, Command::Run(_)), "{words:?}");
        }
    }
    for (option, value) in options().iter().filter_map(|option| Some((&option.long, option.value.as_ref()?)))
    {
        for word in &value.1 {
            assert!(cli::parse(vec![option.into(), word.into(), "c.toml".into()]).is_ok(), "{option} {word}");
        }
    }
}

// -- the manual ---------------------------------------------------------------

/// The synopsis as mdoc has it, a macro a line.
fn synopsis() -> String {
    let mut text = String::new();
    for usage in usages() {
        text.push_str(".Nm\n");
        if let Some(command) = &usage.command {
            writeln!(text, ".Cm {command}").unwrap();
        }
        for word in &usage.words {
            let inner = word.trim_matches(['[', ']']);
            let macros = match inner.strip_prefix("--") {
                Some(flags) => format!("Fl \\-{}", flags.replace("|--", " | \\-")),
                None => format!("Ar {}", inner.trim_end_matches(".toml").to_lowercase()),
            };
            match word.as_str() {
                "[OPTIONS]" => {
                    text.push_str(".Op Fl v | q\n.Op Fl \\-dry-run\n.Op Fl \\-log-format Ar format\n");
                }
                word if word.starts_with('[') => writeln!(text, ".Op {macros}").unwrap(),
                _ => writeln!(text, ".{macros}").unwrap(),
            }
        }
    }
    text
}

#[test]
fn the_manual_has_the_same_synopsis_and_every_option() {
    let page = read("dist/man/ddns-update-daemon.8");
    let shown = page.split_once(".Sh SYNOPSIS\n").unwrap().1.split(".Sh ").next().unwrap();
    assert_eq!(shown, synopsis(), "the synopsis that --help asks for is on the right");
    let described: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix(".It ")).collect();
    for (command, _) in commands() {
        let found = described.iter().any(|item| item.split(' ').take(2).eq(["Cm", command.as_str()]));
        assert!(found, "no .It Cm {command}");
    }
    for option in options().into_iter().chain(of_runs()) {
        let flag = option.long.replacen("--", "\\-", 1);
        let short = option.short.map_or_else(|| format!("Fl {flag}"), |short| format!("Fl {short} , {flag}"));
        assert!(described.iter().any(|item| item.starts_with(&short)), "no .It {short}");
    }
    for item in described.iter().filter_map(|item| item.strip_prefix("Cm ")) {
        let command = item.split(' ').next().unwrap();
        assert!(commands().iter().any(|(known, _)| known == command), "--help has no {command}");
    }
}

#[test]
fn readme_names_every_command() {
    let page = read("README.md");
    for (command, _) in commands() {
        assert!(page.contains(&format!("{PROGRAM} {command}")), "README does not show {command}");
    }
}

// -- completions --------------------------------------------------------------

fn made_from(shell: &str) -> String {
    format!("# Completes {PROGRAM} in {shell}. Made from --help by tests/command_line.rs.\n")
}

fn joined<'a>(words: impl IntoIterator<Item = &'a str>, between: &str) -> String {
    words.into_iter().collect::<Vec<_>>().join(between)
}

/// Whether a command takes a file or a provider's name.
fn takes(usage: &Usage, argument: &str) -> bool {
    usage.words.iter().any(|word| word.trim_matches(['[', ']']) == argument)
}

const PROVIDERS: &str = "ddns-update-daemon providers 2>/dev/null | tail -n +2 | cut -d ' ' -f 1";

fn bash() -> String {
    let names = commands();
    let mut flags: Vec<String> = Vec::new();
    for option in of_runs() {
        flags.extend(option.short.map(|short| format!("-{short}")));
        flags.push(option.long);
    }
    let mut text = made_from("bash");
    let all = joined(names.iter().map(|(name, _)| name.as_str()), " ");
    text.push_str("_ddns_update_daemon() {\n    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n");
    text.push_str("    local word command='' words='' files=''\n    case $before in\n");
    for (long, (_, words)) in
        options().iter().filter_map(|option| Some((&option.long, option.value.as_ref()?)))
    {
        writeln!(
            text,
            "    {long}) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\"); return ;;",
            words.join(" ")
        )
        .unwrap();
    }
    text.push_str(
        "    esac\n    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $word in\n",
    );
    writeln!(text, "        {}) command=$word; break ;;", all.replace(' ', " | ")).unwrap();
    text.push_str("        esac\n    done\n    case $command in\n");
    writeln!(text, "    '') words='{} {all}' files=1 ;;", flags.join(" ")).unwrap();
    for (name, usage) in &names {
        let words = joined(usage.options(), " ");
        let files = if takes(usage, "CONFIG.toml") { "1" } else { "''" };
        let words = if name == "providers" { format!("$({PROVIDERS})") } else { words };
        writeln!(text, "    {name}) words=\"{words}\" files={files} ;;").unwrap();
    }
    text.push_str("    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n");
    text.push_str("    [[ -z $files ]] || mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(\n");
    text.push_str(
        "        compgen -f -X '!*.toml' -- \"$current\"\n        compgen -d -- \"$current\"\n    )\n}\n",
    );
    writeln!(text, "complete -o filenames -F _ddns_update_daemon {PROGRAM}").unwrap();
    text
}

fn zsh() -> String {
    let quote =
        |text: &str| text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
    let mut text = format!("#compdef {PROGRAM}\n{}local -a commands=(\n", made_from("zsh"));
    for (name, usage) in commands() {
        writeln!(text, "    '{name}:{}'", usage.about.replace('\'', "'\\''").replace(':', "\\:")).unwrap();
    }
    text.push_str(")\nlocal context state line\nlocal -a flags=(\n");
    for option in of_runs() {
        let value = option.value.as_ref().map(|(name, words)| format!(":{name}:({})", words.join(" ")));
        let (about, value, long) = (quote(&in_short(&option.about)), value.unwrap_or_default(), &option.long);
        match option.short {
            Some(short) => {
                writeln!(text, "    '(-{short} {long})'{{-{short},{long}}}'[{about}]{value}'").unwrap();
            }
            None => writeln!(text, "    '{long}[{about}]{value}'").unwrap(),
        }
    }
    text.push_str(")\n_arguments -s $flags '1: :->first' '*:: :->rest' && return\ncase $state in\n");
    text.push_str("first)\n    _describe command commands\n    _files -g '*.toml'\n    ;;\nrest)\n    case $words[1] in\n");
    for (name, usage) in commands() {
        let mut specs: Vec<String> =
            usage.options().map(|long| format!("'{long}[{}]'", quote(&about(long)))).collect();
        if name == "providers" {
            specs.push(format!("\"1:provider:($({PROVIDERS}))\""));
        }
        if takes(&usage, "CONFIG.toml") {
            specs.push("'*:configuration:_files -g \"*.toml\"'".to_owned());
        }
        writeln!(text, "    {name}) _arguments {} ;;", specs.join(" ")).unwrap();
    }
    text.push_str("    esac\n    ;;\nesac\n");
    text
}

fn fish() -> String {
    let quote = |text: &str| text.replace('\'', "\\'");
    let names = commands();
    let all = joined(names.iter().map(|(name, _)| name.as_str()), " ");
    let mut text = made_from("fish");
    let complete = format!("complete -c {PROGRAM}");
    writeln!(
        text,
        "set -l commands {all}\nset -l run \"not __fish_seen_subcommand_from $commands\"\n{complete} -f"
    )
    .unwrap();
    writeln!(text, "{complete} -n $run -k -a '(__fish_complete_suffix .toml)'").unwrap();
    for (name, usage) in &names {
        writeln!(text, "{complete} -n $run -a {name} -d '{}'", quote(&usage.about)).unwrap();
    }
    for option in of_runs() {
        let short = option.short.map(|short| format!(" -s {short}")).unwrap_or_default();
        let value =
            option.value.map(|(_, words)| format!(" -x -a '{}'", words.join(" "))).unwrap_or_default();
        let (long, about) = (option.long.trim_start_matches('-'), quote(&in_short(&option.about)));
        writeln!(text, "{complete} -n $run{short} -l {long}{value} -d '{about}'").unwrap();
    }
    for (name, usage) in &names {
        let seen = format!("{complete} -n '__fish_seen_subcommand_from {name}'");
        for long in usage.options() {
            let about = quote(&about(long));
            writeln!(text, "{seen} -l {} -d '{about}'", long.trim_start_matches('-')).unwrap();
        }
        if name == "providers" {
            writeln!(text, "{seen} -a '({})'", PROVIDERS.replace('\'', "\"")).unwrap();
        }
        if takes(usage, "CONFIG.toml") {
            writeln!(text, "{seen} -k -a '(__fish_complete_suffix .toml)'").unwrap();
        }
    }
    text
}

#[test]
fn the_completions_are_those_of_the_help() {
    for (file, text) in [("bash", bash()), ("zsh", zsh()), ("fish", fish())] {
        let file = format!("dist/completions/{PROGRAM}.{file}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{file} is not of this --help: BLESS=1 cargo test --test behaviour command_line"
        );
    }
}
