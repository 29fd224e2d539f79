//! The command line: read, wire, run.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ddns_update_daemon::cli;
use ddns_update_daemon::cli::asking::{Asking, Found, configs};
use ddns_update_daemon::cli::discover::How;
use ddns_update_daemon::cli::{Call, Command, LogFormat, Shown, Verbosity, Work, discover, explain, status};
use ddns_update_daemon::config;
#[cfg(feature = "dyndns")]
use ddns_update_daemon::config::presets::list;
use ddns_update_daemon::config::{Config, Gateway};
use ddns_update_daemon::daemon;
use ddns_update_daemon::daemon::log::{Format, Log};
use ddns_update_daemon::daemon::request::{Request, RequestKind};
use ddns_update_daemon::daemon::runtime::{Running, Runtime, with_state};
use ddns_update_daemon::daemon::state_file::{self, Store};
use ddns_update_daemon::daemon::{Ended, Mode, Places, process, signals};
use ddns_update_daemon::engine::Level;
use ddns_update_daemon::engine::status::Status;
use ddns_update_daemon::features;
use ddns_update_daemon::system::clock;

/// A target could not be brought up to date, or there is no gateway.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const WRONG: u8 = 2;
/// No daemon runs whose status was asked for.
const NOT_RUNNING: u8 = 3;
/// Where packages put the configuration.
const USUAL_CONFIG: &str = "/etc/ddns-update-daemon.toml";

fn main() -> ExitCode {
    die_of_panics();
    signals::end_as_first_process();
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
        Command::Explain { config, online } => explain_config(&config, online, log),
        Command::Discover { how, gateway } => discover_gateways(how, gateway.as_ref()),
        Command::Ask(asking) => ask(&asking, log),
        Command::Status { asking, shown } => show_status(&asking, shown, log),
        Command::Run(work) => run(&work, false, None, log),
        Command::Once(work) => run(&work, true, None, log),
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
        LogFormat::Journal => Format::Journal,
    };
    let log = Log::new(level, format);
    match call.command {
        Command::Run(_) | Command::Once(_) => log,
        _ => log.without_times(),
    }
}

/// `asked`: who is to be sent although nothing has changed.
fn run(work: &Work, once: bool, asked: Option<&Asking>, log: Log) -> ExitCode {
    let signals = (!once && !work.dry_run).then(signals::catch);
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
    let targets = match asked.map(|asking| called(&config, asking)).transpose() {
        Ok(targets) => targets.unwrap_or_default(),
        Err(exit) => return exit,
    };
    let mode = Mode { once, dry_run: work.dry_run };
    let store = store(&config, &work.config, asked.is_some());
    if !store.path().exists() {
        tell_differences(&config, log);
    }
    let runtime = Runtime::new(&runtime_folder(), store.path());
    let places = Places { config: &work.config, store, runtime, signals };
    let ended = daemon::run(&config, places, mode, targets, log);
    if ended == Ended::Reload {
        let error = process::start_anew();
        return fail(log, &format!("the program could not be started again: {error}"));
    }
    // Also when the rest is current: a person has to mend the file.
    if !config.left_out.is_empty() {
        return ExitCode::from(WRONG);
    }
    if ended == Ended::Current { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// What a user of 1.0 should know, at the first start with a file from then.
fn tell_differences(config: &Config, log: Log) {
    for difference in &config.differences {
        log.say(Level::Info, format!("unlike 1.0: {difference}"));
    }
}

/// The state file of the configuration at `path`; `asked`: by a person, who may not
/// call it by the path that a service does.
fn store(config: &Config, path: &Path, asked: bool) -> Store {
    let usual = || {
        let path = state_file::default_path(path, |name| std::env::var_os(name));
        if asked { state_file::same_or_alike(path) } else { path }
    };
    let file = config.state_file.clone().unwrap_or_else(usual);
    Store::new(file, path, Some(&runtime_folder()))
}

fn runtime_folder() -> PathBuf {
    state_file::runtime_folder(|name| std::env::var_os(name))
}

/// The daemon that is meant, by its configuration or else by the state file that this names:
/// a link may lead to another one since.
fn find(asking: &Asking, folder: &Path) -> Found {
    let found = asking.find(folder);
    let named = asking.config.as_deref().filter(|_| matches!(found, Found::None(_)));
    let holder = named.and_then(held_state).and_then(|state| with_state(folder, &state));
    holder.map_or(found, Found::One)
}

/// Asks the running daemon; where none runs, does it in its place.
fn ask(asking: &Asking, log: Log) -> ExitCode {
    match find(asking, &runtime_folder()) {
        Found::One(daemon) => match daemon.ask(&asking.request()) {
            Ok(answer) if answer.done => print(&format!("{}\n", answer.text)),
            Ok(answer) => complain(&answer.text),
            Err(why) => fail(log, &why),
        },
        // Perhaps only one of them knows the name.
        Found::Several(daemons) if asking.name.is_some() => ask_each(&daemons, &asking.request(), log),
        Found::Several(daemons) => complain_of_several(&daemons),
        Found::None(_) => ask_nobody(asking, log),
    }
}

fn ask_each(daemons: &[Running], request: &Request, log: Log) -> ExitCode {
    let (mut done, mut others) = (Vec::new(), Vec::new());
    for daemon in daemons {
        match daemon.ask(request) {
            Ok(answer) if answer.done => done.push(answer.text),
            Ok(answer) => others.push(format!("{}: {}", daemon.config.display(), answer.text)),
            Err(why) => log.say(Level::Warning, why),
        }
    }
    match (done.is_empty(), others.is_empty()) {
        (false, _) => print(&(done.join("\n") + "\n")),
        (true, false) => complain(&others.join("; ")),
        (true, true) => ExitCode::from(FAILED),
    }
}

fn complain_of_several(daemons: &[Running]) -> ExitCode {
    complain(&format!("several daemons run: name the configuration of one, {}", list(&configs(daemons))))
}

fn list(configs: &[PathBuf]) -> String {
    let configs: Vec<String> = configs.iter().map(|path| path.display().to_string()).collect();
    configs.join(" or ")
}

/// What the running daemon knows; where it cannot be asked, what was written last.
fn show_status(asking: &Asking, shown: Shown, log: Log) -> ExitCode {
    let folder = runtime_folder();
    let mut running = true;
    let (status, fresh) = match find(asking, &folder) {
        Found::Several(daemons) => return complain_of_several(&daemons),
        Found::None(others) => {
            let last = asking.last_status(&folder);
            let usual = asking.config.as_deref().unwrap_or(Path::new(USUAL_CONFIG));
            let held = last.iter().map(|last| Path::new(&last.config)).chain([usual]).find_map(held_state);
            running = held.is_some();
            let why = match held {
                Some(state) => format!(
                    "a daemon holds {}, but cannot be found in {}: ask as its user or as root",
                    state.display(),
                    folder.display()
                ),
                None if !others.is_empty() => {
                    format!("no daemon runs with this configuration, but with {}", list(&others))
                }
                None => "no daemon runs, as far as this user may see".to_owned(),
            };
            (last.map(|last| Status { running, ..last }), Err(why))
        }
        Found::One(daemon) => {
            let answer = daemon.ask(&asking.request());
            let fresh = answer.and_then(|answer| if answer.done { Ok(()) } else { Err(answer.text) });
            match daemon.status() {
                Ok(text) => (status::read(&text), fresh),
                Err(error) => return fail(log, &format!("the daemon's status cannot be read: {error}")),
            }
        }
    };
    if let Err(why) = &fresh {
        let rest = if status.is_some() { "this is what was written last" } else { "and nothing was written" };
        log.say(Level::Warning, format!("{why}; {rest}"));
    }
    let exit = match &status {
        _ if !running => NOT_RUNNING,
        None => FAILED,
        Some(status) if shown == Shown::Alive => u8::from(fresh.is_err() || !status.polls_in_time),
        Some(status) => u8::from(!status::is_current(status)),
    };
    match (status, shown) {
        (Some(status), Shown::Page) => print(&status::to_text(&status, clock::unix_time())),
        (Some(status), Shown::Json) => print(&status.to_json()),
        _ => ExitCode::SUCCESS,
    };
    ExitCode::from(exit)
}

/// The state file of the configuration at `path`, if a process holds it.
fn held_state(path: &Path) -> Option<PathBuf> {
    let config = config::load(path).ok()?;
    let store = store(&config, path, true);
    store.is_held().then(|| store.path().to_owned())
}

fn ask_nobody(asking: &Asking, log: Log) -> ExitCode {
    let usual = || Some(PathBuf::from(USUAL_CONFIG)).filter(|path| path.exists());
    let Some(path) = asking.config.clone().or_else(usual) else {
        return complain("no daemon was found that runs, so name the configuration");
    };
    if asking.kind == RequestKind::Update {
        return run(&Work { config: path, dry_run: false }, true, Some(asking), log);
    }
    let config = match load(&path, log) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let targets = match called(&config, asking) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    match daemon::free(&config, store(&config, &path, true), &targets) {
        Ok(freed) if freed.is_empty() => print("nothing stands in the way\n"),
        Ok(freed) => print(&format!("no daemon runs; the next start tries again: {}\n", freed.join(", "))),
        Err(why) => fail(log, &why),
    }
}

/// The targets that are meant.
fn called(config: &Config, asking: &Asking) -> Result<Vec<usize>, ExitCode> {
    let targets = config.called(asking.name.as_deref());
    match &asking.name {
        Some(name) if targets.is_empty() => Err(complain(&config.no_such_target(name))),
        _ => Ok(targets),
    }
}

fn fail(log: Log, text: &str) -> ExitCode {
    log.say(Level::Error, text);
    ExitCode::from(FAILED)
}

fn check(path: &Path, log: Log) -> ExitCode {
    match load(path, log) {
        Ok(config) => {
            daemon::tell_state(&config, &store(&config, path, false), log);
            tell_differences(&config, log);
            let exit = print(&config.describe());
            if config.left_out.is_empty() { exit } else { ExitCode::from(WRONG) }
        }
        Err(exit) => exit,
    }
}

fn explain_config(path: &Path, online: bool, log: Log) -> ExitCode {
    let mut config = match load(path, log) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    for warning in config.proxies.complete(|name| std::env::var(name).ok()) {
        log.say(Level::Warning, warning.as_str());
    }
    let state = store(&config, path, true).look().state;
    let explained = explain::explain(&config, &state, online);
    print(&explained.text);
    if !config.left_out.is_empty() {
        return ExitCode::from(WRONG);
    }
    if explained.is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn load(path: &Path, log: Log) -> Result<Config, ExitCode> {
    let config = config::load(path).map_err(|error| {
        let hint = if path.exists() { None } else { cli::meant(path) };
        wrong(log, &format!("{error}{}", hint.map_or_else(String::new, |hint| format!("; {hint}"))))
    })?;
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

fn discover_gateways(how: How, gateway: Option<&Gateway>) -> ExitCode {
    let found = match discover::discover(gateway, how) {
        Ok(found) => found,
        Err(why) => return complain(&why),
    };
    found.failures.iter().for_each(|line| eprintln!("not of use: {line}"));
    let exit = print(&if how.json { discover::to_json(&found.gateways) } else { found.to_text() });
    if found.is_of_use() {
        return exit;
    }
    let what = if found.failures.is_empty() { "answered" } else { "could be asked" };
    eprintln!("error: no gateway {what}");
    ExitCode::from(FAILED)
}

/// A reader that closes the pipe early has read what it wanted.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(text: &str) -> ExitCode {
    // With a priority where systemd reads along, so that the journal shows it as an error.
    wrong(Log::new(Level::Error, Format::Text).without_times(), text)
}

fn wrong(log: Log, text: &str) -> ExitCode {
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
