//! Child processes with a deadline.
//!
//! A program gets no standard input but a text of ours, our standard output and error, and a
//! process group of its own. When its time is up the group is asked to end, and
//! a moment later ended. Members that outlive a program which ended by itself
//! in time are left alone: starting a service is a fair thing for it to do.
//!
//! This is the only file that knows the difference between platforms here.

use std::io::{self, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::system::threads;
use crate::updaters::run::{Ended, Plan};

/// From the request to end to the end, for programs that tidy up.
const GRACE: Duration = Duration::from_secs(2);
/// How long we wait for the system to report the end of what we killed. What
/// hangs in a driver for longer is not worth a job's thread.
const REAP: Duration = Duration::from_secs(2);
/// Processes that are looked through for one in another namespace.
const MAX_PROCESSES: usize = 50_000;
/// The waiting thread only starts and waits.
const STACK: usize = 128 * 1024;

/// What the waiting thread tells.
enum News {
    Started(u32),
    Ended(io::Result<ExitStatus>),
    NotStarted(io::Error),
}

/// Runs `plan` and waits for its end, at most `timeout` and a few seconds for
/// ending it.
#[must_use]
pub fn run(plan: &Plan, timeout: Duration) -> Ended {
    // Starting can take as long as the disk that the program is on.
    let began = Instant::now();
    let (sender, news) = channel();
    let (command, input) = (command(plan), plan.input.clone());
    // A thread that waits lets us wait with a time limit, without polling.
    let work = move || start_and_wait(command, input, &sender);
    if let Err(error) = threads::start("program", STACK, work) {
        return Ended::Failed(error.to_string());
    }
    let id = match news.recv_timeout(timeout) {
        Ok(News::Started(id)) => id,
        Ok(News::NotStarted(error)) => return not_started(&error),
        Ok(News::Ended(_)) => return Ended::Failed("the waiting thread is gone".to_owned()),
        // Dropping the channel ends the program as soon as it has started.
        Err(_) => return Ended::TimedOut(timeout),
    };
    match news.recv_timeout(timeout.saturating_sub(began.elapsed())) {
        Ok(News::Ended(Ok(status))) => ended(status),
        Ok(News::Ended(Err(error))) => Ended::Failed(error.to_string()),
        Ok(_) => Ended::Failed("the waiting thread is confused".to_owned()),
        Err(_) => {
            end_group(id, &news);
            Ended::TimedOut(timeout)
        }
    }
}

/// The user whose rights this process has.
#[cfg(unix)]
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
#[must_use]
pub fn user() -> u32 {
    0
}

/// Within which processes have their numbers, where there is more than one such (Linux:
/// containers and jails); empty elsewhere.
#[must_use]
pub fn namespace() -> String {
    namespace_of("self").unwrap_or_default()
}

fn namespace_of(process: &str) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{process}/ns/pid")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The number here of the process with this number in `namespace`.
#[must_use]
pub fn number_here(process: u32, there: &str) -> Option<u32> {
    if there == namespace() {
        return Some(process);
    }
    // Numbers from the outermost to the innermost (proc_pid_status(5)).
    let inner = |status: &str| {
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        numbers.split_whitespace().last()?.parse::<u32>().ok()
    };
    let processes = std::fs::read_dir("/proc").ok()?.take(MAX_PROCESSES);
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    numbers.into_iter().find(|number| {
        namespace_of(&number.to_string()).as_deref() == Some(there)
            && std::fs::read_to_string(format!("/proc/{number}/status"))
                .is_ok_and(|status| inner(&status) == Some(process))
    })
}

/// Whose process this is, where the system tells.
#[must_use]
pub fn owner_of(process: u32) -> Option<u32> {
    #[cfg(unix)]
    let told = std::fs::metadata(format!("/proc/{process}")).ok();
    #[cfg(unix)]
    return told.map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
    #[cfg(not(unix))]
    {
        let _ = process;
        None
    }
}

/// Sends SIGUSR2 to a running daemon.
#[cfg(unix)]
pub fn ring(process: u32) -> io::Result<()> {
    let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::USR2)?)
}

#[cfg(not(unix))]
pub fn ring(_: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Replaces this process by a new start of the same program with the same arguments;
/// returns only with an error.
#[cfg(unix)]
#[must_use]
pub fn start_anew() -> io::Error {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    // An update of the package may have replaced it.
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let program = program.unwrap_or_else(|| called.into());
    std::os::unix::process::CommandExt::exec(Command::new(program).args(arguments))
}

#[cfg(not(unix))]
#[must_use]
pub fn start_anew() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

fn command(plan: &Plan) -> Command {
    let mut command = Command::new(&plan.program);
    command.args(&plan.args).stdin(if plan.input.is_some() { Stdio::piped() } else { Stdio::null() });
    for (name, value) in &plan.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

fn start_and_wait(mut command: Command, input: Option<String>, sender: &Sender<News>) {
    // A receiver that gave up is no reason not to reap the child.
    match command.spawn() {
        Ok(mut child) => {
            if sender.send(News::Started(child.id())).is_err() {
                kill_group(child.id());
            }
            if let Some((mut pipe, input)) = child.stdin.take().zip(input) {
                // It fits into the pipe; a program need not read it.
                let _ = pipe.write_all(input.as_bytes());
            }
            let _ = sender.send(News::Ended(wait(child)));
        }
        Err(error) => {
            let _ = sender.send(News::NotStarted(error));
        }
    }
}

fn wait(mut child: Child) -> io::Result<ExitStatus> {
    child.wait()
}

fn not_started(error: &io::Error) -> Ended {
    match error.kind() {
        io::ErrorKind::NotFound => Ended::NotFound,
        io::ErrorKind::PermissionDenied => Ended::NotExecutable,
        _ => Ended::Failed(error.to_string()),
    }
}

fn ended(status: ExitStatus) -> Ended {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ended::Signalled(signal);
    }
    status.code().map_or_else(|| Ended::Failed(status.to_string()), Ended::Exited)
}

/// Ends what started too late.
#[cfg(unix)]
fn kill_group(id: u32) {
    if let Some(group) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

#[cfg(windows)]
fn kill_group(id: u32) {
    let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &id.to_string()]).status();
}

/// The leader's end also ends the time of grace: from then on its number, which
/// names the group, could in time be given to someone else.
#[cfg(unix)]
fn end_group(id: u32, news: &Receiver<News>) {
    use rustix::process::{Pid, Signal, kill_process_group};

    let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return;
    };
    // An error means that nobody is left to be ended.
    let _ = kill_process_group(group, Signal::TERM);
    let gone = news.recv_timeout(GRACE).is_ok();
    let _ = kill_process_group(group, Signal::KILL);
    if !gone {
        let _ = news.recv_timeout(REAP);
    }
}

/// Windows has no signals; `taskkill` knows the tree of processes.
#[cfg(windows)]
fn end_group(id: u32, news: &Receiver<News>) {
    let _ = Command::new("taskkill")
        .args(["/T", "/F", "/PID", &id.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = news.recv_timeout(GRACE.saturating_add(REAP));
}
