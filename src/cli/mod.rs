//! The command line: from arguments to what is to be done. No I/O; `main.rs`
//! prints and exits.

mod around;
pub mod asking;
pub mod discover;
pub mod explain;
mod help;
mod page;
pub mod status;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use pico_args::Arguments;

use self::asking::Asking;
use self::discover::How;
pub use self::help::HELP;
use self::help::OPTIONS;
use crate::config::suggest::nearest;
use crate::config::{Gateway, is_path, read_gateway};
use crate::daemon::request::RequestKind;

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Run until killed.
    Run(Work),
    /// Poll, bring every target up to date, exit.
    Once(Work),
    /// Validate, print the effective configuration.
    Check {
        /// The configuration file.
        config: PathBuf,
    },
    /// Look, decide and tell each step.
    Explain {
        /// The configuration file.
        config: PathBuf,
        /// Test credentials as well.
        online: bool,
    },
    /// Show which gateways are there.
    Discover {
        /// How to look.
        how: How,
        /// The gateway to ask; `None`: search.
        gateway: Option<Gateway>,
    },
    /// List the presets for `[[dyndns]]`, or show the one with this name.
    Providers(Option<String>),
    /// Ask the running daemon, or do it in its place.
    Ask(Asking),
    /// Show what the running daemon knows and did.
    Status {
        /// Which daemon.
        asking: Asking,
        /// How it is shown.
        shown: Shown,
    },
    /// Print [`HELP`].
    Help,
    /// Print [`features::version`](crate::features::version).
    Version,
}

/// What [`Command::Status`] prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// A page for people.
    Page,
    /// JSON.
    Json,
    /// Nothing: the exit status says whether it runs and polls in time.
    Alive,
}

/// What [`Command::Run`] and [`Command::Once`] work with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Work {
    /// The configuration file.
    pub config: PathBuf,
    /// Decide and print, but send and store nothing.
    pub dry_run: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verbosity {
    /// `-q`: problems only.
    Quiet,
    /// A line at start and for each change.
    #[default]
    Normal,
    /// `-v`: everything.
    Verbose,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// For people and syslog.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// For journald, with priorities.
    Journal,
}

/// A whole call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    pub command: Command,
    /// How much is logged.
    pub verbosity: Verbosity,
    /// How the log is written.
    pub log_format: LogFormat,
}

/// Why a call is not understood; the exit status is 2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CliError {
    /// An option that there is not, with the nearest that there is.
    UnknownOption(String, Option<&'static str>),
    /// Two options of which only one makes sense.
    Conflict(&'static str, &'static str),
    /// An option without its value, or with a wrong one: option, what was
    /// found, what was expected.
    Value(&'static str, Option<String>, &'static str),
    /// No configuration file.
    NoConfig,
    /// One argument too many.
    TooMany(String),
    /// `discover` of something that is no gateway: what was found, and why.
    Gateway(String, String),
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOption(option, Some(meant)) => {
                write!(f, "unknown option {option:?}: did you mean {meant:?}?")?;
            }
            Self::UnknownOption(option, None) => write!(f, "unknown option {option:?}")?,
            Self::Conflict(one, other) => write!(f, "{one} and {other} exclude each other")?,
            Self::Value(option, Some(found), expected) => {
                write!(f, "{option} {found:?}: expected {expected}")?;
            }
            Self::Value(option, None, expected) => write!(f, "{option}: expected {expected} behind it")?,
            Self::NoConfig => f.write_str("which configuration file? expected its path")?,
            Self::TooMany(argument) => write!(f, "one argument too many: {argument:?}")?,
            Self::Gateway(found, why) => write!(f, "discover {found:?}: {why}")?,
        }
        f.write_str("; see --help")
    }
}

impl std::error::Error for CliError {}

/// The options of one letter, which may stand behind one dash together.
const LETTERS: &str = "vqhV";

/// Every flag that was given.
#[allow(clippy::struct_excessive_bools, reason = "a set of flags as users give them, not a state")]
struct Flags {
    once: bool,
    check: bool,
    dry_run: bool,
    json: bool,
    alive: bool,
    online: bool,
    pcp: bool,
    verbose: bool,
    quiet: bool,
    log_format: Option<LogFormat>,
}

/// What somebody meant who gave this for a configuration that is not there.
#[must_use]
pub fn meant(path: &Path) -> Option<String> {
    let word = path.to_str().filter(|word| !is_path(word))?;
    let commands = ["discover", "explain", "providers", "retry", "status", "update"];
    Some(match nearest(word, commands) {
        Some(command) => format!("did you mean the command {command:?}?"),
        None => "for commands see --help".to_owned(),
    })
}

/// Reads the arguments, without the program's own name.
pub fn parse(arguments: Vec<OsString>) -> Result<Call, CliError> {
    let (options, behind) = split_at_dashes(arguments);
    let mut options = Arguments::from_vec(options.into_iter().flat_map(split_up).collect());
    if options.contains(["-h", "--help"]) {
        return Ok(plain(Command::Help));
    }
    if options.contains(["-V", "--version"]) {
        return Ok(plain(Command::Version));
    }
    let flags = Flags::take(&mut options)?;
    let mut words = Vec::new();
    for word in options.finish() {
        if is_option(&word) {
            return Err(unknown(&word));
        }
        words.push(word);
    }
    let word = words.first().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    words.extend(behind);
    let command = match word.as_str() {
        "discover" => flags.discover(words.into_iter().skip(1))?,
        "providers" => flags.providers(words.into_iter().skip(1))?,
        "retry" => flags.asking(RequestKind::Retry, words.into_iter().skip(1))?,
        "explain" => flags.explain(words.into_iter().skip(1))?,
        "status" => flags.status(words.into_iter().skip(1))?,
        "update" => flags.asking(RequestKind::Update, words.into_iter().skip(1))?,
        _ => flags.work(words.into_iter())?,
    };
    let verbosity = match (flags.verbose, flags.quiet) {
        (true, true) => return Err(CliError::Conflict("--verbose", "--quiet")),
        (true, false) => Verbosity::Verbose,
        (false, true) => Verbosity::Quiet,
        (false, false) => Verbosity::Normal,
    };
    Ok(Call { command, verbosity, log_format: flags.log_format.unwrap_or_default() })
}

impl Flags {
    fn take(options: &mut Arguments) -> Result<Self, CliError> {
        Ok(Self {
            // First, as it takes the next argument with it, whatever that is.
            log_format: take_log_format(options)?,
            once: flag(options, "--once"),
            check: flag(options, "--check"),
            dry_run: flag(options, "--dry-run"),
            json: flag(options, "--json"),
            alive: flag(options, "--alive"),
            online: flag(options, "--online"),
            pcp: flag(options, "--pcp"),
            verbose: flag(options, ["-v", "--verbose"]),
            quiet: flag(options, ["-q", "--quiet"]),
        })
    }

    /// Refuses the options of a run beside a command that is none.
    fn only_json(&self, command: &'static str, json: bool) -> Result<(), CliError> {
        let wrong = [
            (self.once, "--once"),
            (self.check, "--check"),
            (self.dry_run, "--dry-run"),
            (self.json && !json, "--json"),
            (self.alive && command != "status", "--alive"),
            (self.online && command != "explain", "--online"),
            (self.pcp && command != "discover", "--pcp"),
        ];
        match wrong.into_iter().find(|(given, _)| *given) {
            Some((_, name)) => Err(CliError::Conflict(command, name)),
            None => Ok(()),
        }
    }

    fn asking(&self, kind: RequestKind, words: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
        self.only_json(kind.word(), false)?;
        let asking = Asking::read(kind, words);
        asking.map(Command::Ask).map_err(|word| CliError::TooMany(word.to_string_lossy().into_owned()))
    }

    fn explain(&self, mut words: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
        self.only_json("explain", false)?;
        let config = PathBuf::from(words.next().filter(|word| !word.is_empty()).ok_or(CliError::NoConfig)?);
        only(words)?;
        Ok(Command::Explain { config, online: self.online })
    }

    fn status(&self, words: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
        self.only_json("status", true)?;
        let shown = match (self.json, self.alive) {
            (true, true) => return Err(CliError::Conflict("--json", "--alive")),
            (true, false) => Shown::Json,
            (false, true) => Shown::Alive,
            (false, false) => Shown::Page,
        };
        let mut words = words;
        let config = words.next().map(PathBuf::from);
        only(words)?;
        Ok(Command::Status { asking: Asking { kind: RequestKind::Status, name: None, config }, shown })
    }

    fn providers(&self, mut words: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
        self.only_json("providers", false)?;
        let name = words.next().map(|word| word.to_string_lossy().into_owned());
        only(words)?;
        Ok(Command::Providers(name))
    }

    fn discover(&self, mut words: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
        self.only_json("discover", true)?;
        let gateway = words.next().map(|word| {
            let text = word.to_string_lossy();
            read_gateway(&text).map_err(|why| CliError::Gateway(text.into_owned(), why))
        });
        only(words)?;
        let how = How { json: self.json, pcp: self.pcp };
        if how.json && how.pcp {
            return Err(CliError::Conflict("--json", "--pcp"));
        }
        Ok(Command::Discover { how, gateway: gateway.transpose()? })
    }

    fn work(&self, mut words: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
        for (given, name) in [(self.json, "--json"), (self.alive, "--alive"), (self.online, "--online")] {
            if given {
                return Err(CliError::Conflict(name, "a configuration file"));
            }
        }
        if self.check && (self.once || self.dry_run) {
            return Err(CliError::Conflict("--check", if self.once { "--once" } else { "--dry-run" }));
        }
        let config = PathBuf::from(words.next().filter(|word| !word.is_empty()).ok_or(CliError::NoConfig)?);
        only(words)?;
        if self.check {
            return Ok(Command::Check { config });
        }
        let work = Work { config, dry_run: self.dry_run };
        Ok(if self.once { Command::Once(work) } else { Command::Run(work) })
    }
}

fn plain(command: Command) -> Call {
    Call { command, verbosity: Verbosity::default(), log_format: LogFormat::default() }
}

fn split_at_dashes(mut arguments: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let Some(index) = arguments.iter().position(|argument| argument == "--") else {
        return (arguments, Vec::new());
    };
    let behind = arguments.split_off(index).into_iter().skip(1).collect();
    (arguments, behind)
}

/// `--log-format=json` as two arguments, since no other option has a value; and
/// `-vh` as `-v -h`.
fn split_up(argument: OsString) -> Vec<OsString> {
    let text = argument.to_str().unwrap_or_default();
    if let Some(value) = text.strip_prefix("--log-format=") {
        return vec!["--log-format".into(), value.into()];
    }
    match text.strip_prefix('-') {
        Some(letters) if letters.len() > 1 && letters.chars().all(|letter| LETTERS.contains(letter)) => {
            letters.chars().map(|letter| format!("-{letter}").into()).collect()
        }
        _ => vec![argument],
    }
}

/// Takes a flag; giving it twice is the same as once.
fn flag(options: &mut Arguments, keys: impl Into<pico_args::Keys>) -> bool {
    let keys = keys.into();
    let mut given = false;
    while options.contains(keys) {
        given = true;
    }
    given
}

fn take_log_format(options: &mut Arguments) -> Result<Option<LogFormat>, CliError> {
    const NAME: &str = "--log-format";
    const EXPECTED: &str = "text, json or journal";
    let taken = options.opt_value_from_os_str(NAME, |value| Ok::<_, CliError>(value.to_owned()));
    let Some(value) = taken.map_err(|_| CliError::Value(NAME, None, EXPECTED))? else { return Ok(None) };
    match value.to_str() {
        Some("text") => Ok(Some(LogFormat::Text)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some("journal") => Ok(Some(LogFormat::Journal)),
        _ => Err(CliError::Value(NAME, Some(value.to_string_lossy().into_owned()), EXPECTED)),
    }
}

/// A single dash is no option; there is no reading of standard input either,
/// so it is a file of that name.
fn is_option(word: &OsString) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.len() > 1 && bytes.starts_with(b"-")
}

fn unknown(word: &OsString) -> CliError {
    let text = word.to_string_lossy().into_owned();
    let name = text.split('=').next().unwrap_or(&text);
    let meant = if text.starts_with("--") { nearest(name, OPTIONS) } else { None };
    CliError::UnknownOption(text, meant)
}

fn only(mut words: impl Iterator<Item = OsString>) -> Result<(), CliError> {
    match words.next() {
        Some(word) => Err(CliError::TooMany(word.to_string_lossy().into_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
