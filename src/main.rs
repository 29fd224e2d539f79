//! The command line: read, wire, run.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use ddns_update_daemon::cli;
use ddns_update_daemon::cli::{Call, Command, LogFormat, Verbosity, Work, discover};
use ddns_update_daemon::config;
#[cfg(feature = "dyndns")]
use ddns_update_daemon::config::presets::list;
use ddns_update_daemon::config::{Config, Gateway};
use ddns_update_daemon::daemon;
use ddns_update_daemon::daemon::log::{Format, Log};
use ddns_update_daemon::daemon::state_file::Store;
use ddns_update_daemon::daemon::{Mode, state_file};
use ddns_update_daemon::engine::Level;
use ddns_update_daemon::features;

/// A target could not be brought up to date, or there is no gateway.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    die_of_panics();
    match cli::parse(std::env::args_os().skip(1).collect()) {
        Ok(call) => perform(call),
        Err(error) => complain(&error.to_string()),
    }
}

fn perform(call: Call) -> ExitCode {
    let log = open_log(&call);
    match call.command {
        Command::Providers(name) => show_providers(name.as_deref()),
        Command::Help => print(cli::HELP),
        Command::Version => print(&features::version()),
        Command::Check { config } => check(&config, log),
        Command::Discover { json, gateway } => discover_gateways(json, gateway.as_ref()),
        Command::Run(work) => run(&work, false, log),
        Command::Once(work) => run(&work, true, log),
    }
}

fn open_log(call: &Call) -> Log {
    let level = match call.verbosity {
        Verbosity::Quiet => Level::Warning,
        Verbosity::Normal => Level::Info,
        Verbosity::Verbose => Level::Debug,
    };
    let format = match call.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    Log::new(level, format)
}

fn run(work: &Work, once: bool, log: Log) -> ExitCode {
    let mut config = match load(&work.config, log) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    for warning in config.proxies.complete(|name| std::env::var(name).ok()) {
        log.say(Level::Warning, warning.as_str());
    }
    // As 1.0 did: said by a warning of the configuration.
    if config.targets.is_empty() {
        return ExitCode::SUCCESS;
    }
    let mode = Mode { once, dry_run: work.dry_run };
    let store = store(&config, &work.config);
    if !store.path().exists() {
        tell_differences(&config, log);
    }
    let current = daemon::run(&config, store, mode, log);
    // Also when the rest is current: a person has to mend the file.
    if !config.left_out.is_empty() {
        return ExitCode::from(WRONG);
    }
    if current { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// What a user of 1.0 should know, at the first start with a file from then.
fn tell_differences(config: &Config, log: Log) {
    for difference in &config.differences {
        log.say(Level::Info, format!("unlike 1.0: {difference}"));
    }
}

/// The state file of the configuration at `path`.
fn store(config: &Config, path: &Path) -> Store {
    let variable = |name: &str| std::env::var_os(name);
    let file = config.state_file.clone().unwrap_or_else(|| state_file::default_path(path, variable));
    Store::new(file, path, Some(&state_file::runtime_folder(variable)))
}

fn check(path: &Path, log: Log) -> ExitCode {
    match load(path, log) {
        Ok(config) => {
            daemon::tell_state(&config, &store(&config, path), log);
            tell_differences(&config, log);
            let exit = print(&config.describe());
            if config.left_out.is_empty() { exit } else { ExitCode::from(WRONG) }
        }
        Err(exit) => exit,
    }
}

fn load(path: &Path, log: Log) -> Result<Config, ExitCode> {
    let config = config::load(path).map_err(|error| complain(&error.to_string()))?;
    for warning in &config.warnings {
        log.say(Level::Warning, warning.as_str());
    }
    daemon::tell_left_out(&config, log);
    Ok(config)
}

#[cfg(feature = "dyndns")]
fn show_providers(name: Option<&str>) -> ExitCode {
    match name.map(list::page) {
        None => print(&list::list()),
        Some(Ok(page)) => print(&page),
        Some(Err(Some(meant))) => complain(&format!("no such provider: did you mean {meant:?}?")),
        Some(Err(None)) => complain(
            "no such provider; `ddns-update-daemon providers` lists them, and [[dyndns]] takes the url of any dyndns2 server",
        ),
    }
}

#[cfg(not(feature = "dyndns"))]
fn show_providers(_: Option<&str>) -> ExitCode {
    complain(&features::left_out("dyndns").unwrap_or_default())
}

fn discover_gateways(json: bool, gateway: Option<&Gateway>) -> ExitCode {
    let found = match discover::discover(gateway) {
        Ok(found) => found,
        Err(why) => return complain(&why),
    };
    let gateways = &found.gateways;
    let exit = print(&if json { discover::to_json(gateways) } else { discover::to_text(gateways) });
    found.failures.iter().chain(&found.advice).for_each(|line| eprintln!("{line}"));
    if !gateways.is_empty() {
        return exit;
    }
    if found.failures.is_empty() {
        eprintln!(
            "error: no gateway answered; is UPnP switched on in the router? A host firewall may drop the \
             answers: try its address, discover 192.168.1.1"
        );
    } else {
        eprintln!("error: no gateway could be asked");
    }
    ExitCode::from(FAILED)
}

/// A reader that closes the pipe early has read what it wanted.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(text: &str) -> ExitCode {
    // With a priority where systemd reads along, so that the journal shows it as an error.
    let log = Log::new(Level::Error, Format::Text);
    for line in text.lines() {
        log.say(Level::Error, line);
    }
    ExitCode::from(WRONG)
}

/// A panic in any thread ends the process, so that no half-dead daemon lives on;
/// the supervisor starts it again, and the state makes that harmless. Its message
/// is not shown: it may quote the text that it is about, and that may be secret.
fn die_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        eprintln!("error: a fault of this program{place}; please report it");
        std::process::abort();
    }));
}
