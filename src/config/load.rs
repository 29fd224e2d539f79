//! Reading the configuration's files. The only file here that does I/O.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::{Config, read};
use crate::config::error::ConfigError;
use crate::system::threads;

/// No configuration, certificate bundle or secret is longer, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How long to wait for a configuration that comes through a pipe: whoever writes
/// it may have to ask for a passphrase.
const PIPE_WAIT: Duration = Duration::from_secs(60);
/// The thread that reads a pipe does nothing else.
const STACK: usize = 64 * 1024;

/// Reads and checks the configuration at `path`, and the files that it names.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let bytes = read_piped(path).map_err(|why| ConfigError::whole(path, why))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        ConfigError::at(path, &text, offset, "not UTF-8 text; save the file as UTF-8".to_owned())
    })?;
    let (mut config, with_secrets) = read::parse_noting_secrets(&text, path, &read_text)?;
    for file in with_secrets.iter().filter(|file| is_readable_by_all(file)) {
        config.warnings.push(format!(
            "every user of this machine can read {}, which holds secrets: chmod o-r{}",
            file.display(),
            if file == path { ", or move them to a file" } else { "" }
        ));
    }
    Ok(config)
}

fn read_text(path: &Path) -> Result<String, String> {
    let text = String::from_utf8(read_bytes(path)?);
    text.map_err(|_| "this file is not UTF-8 text".to_owned())
}

/// The configuration itself may come through a pipe: `<(...)`, `/dev/stdin`.
fn read_piped(path: &Path) -> Result<Vec<u8>, String> {
    if !fs::metadata(path).is_ok_and(|kind| is_pipe(&kind)) {
        return read_bytes(path);
    }
    // Opening and reading wait for whoever writes, so a thread does both.
    let (sender, receiver) = channel();
    let pipe = path.to_owned();
    let work = move || {
        // Fails only when nobody waits any more.
        let _ = sender.send(read_open(&pipe));
    };
    threads::start("configuration", STACK, work).map_err(|error| explain(&error))?;
    receiver.recv_timeout(PIPE_WAIT).unwrap_or_else(|_| {
        Err(format!("nothing more came through this pipe within {} s", PIPE_WAIT.as_secs()))
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    // Before it is opened: opening a FIFO waits for whoever writes to it.
    let kind = fs::metadata(path).map_err(|error| explain(&error))?;
    if kind.is_dir() {
        return Err("this is a folder; expected a file".to_owned());
    }
    if !kind.is_file() {
        return Err("this is a device, pipe or socket; expected a file".to_owned());
    }
    read_open(path)
}

fn read_open(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| explain(&error))?;
    let read = file.take(MAX_FILE.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| explain(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err("this file is larger than 4 MiB".to_owned());
    }
    Ok(bytes)
}

fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(unix)]
fn is_pipe(kind: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|kind| kind.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &Path) -> bool {
    false
}
