//! Configuration files as they lie on disks: what `load` makes of them.

use std::fs;
use std::path::{Path, PathBuf};

use ddns_update_daemon::config::{UpdaterConfig, load};

/// A folder of its own that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ddns-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `load` says, without the path in front.
fn refusal(path: &Path) -> String {
    let error = load(path).unwrap_err().to_string();
    error.strip_prefix(&format!("{}:", path.display())).unwrap().to_owned()
}

#[test]
fn what_is_no_text_file_is_refused() {
    let folder = Folder::new("kinds");
    assert_eq!(refusal(&folder.0.join("missing.toml")), " there is no such file");
    assert_eq!(refusal(&folder.0), " this is a folder; expected a file");
    let latin = folder.write("latin.toml", b"# one\n# caf\xe9\n");
    assert_eq!(refusal(&latin), "2:6: not UTF-8 text; save the file as UTF-8");
    let large = folder.write("large.toml", vec![b'\n'; 4 * 1024 * 1024 + 1]);
    assert_eq!(refusal(&large), " this file is larger than 4 MiB");
    assert!(load(&folder.write("largest.toml", vec![b'\n'; 4 * 1024 * 1024])).is_ok());
}

#[cfg(unix)]
#[test]
fn devices_and_sockets_are_refused_at_once() {
    let folder = Folder::new("device");
    let expected = " this is a device, pipe or socket; expected a file";
    assert_eq!(refusal(Path::new("/dev/zero")), expected);
    let _listener = std::os::unix::net::UnixListener::bind(folder.0.join("socket")).unwrap();
    assert_eq!(refusal(&folder.0.join("socket")), expected);
}

/// `<(...)` of a shell without `/dev/fd` is a pipe with a name.
#[cfg(unix)]
#[test]
fn a_configuration_may_come_through_a_pipe() {
    let folder = Folder::new("pipe");
    let pipe = folder.0.join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, "interval = 7").unwrap()
    });
    assert_eq!(load(&pipe).unwrap().interval, std::time::Duration::from_secs(7 * 60));
    writer.join().unwrap();
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf_8_works() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new("bytes");
    let path = folder.0.join(std::ffi::OsStr::from_bytes(b"caf\xe9.toml"));
    // Some file systems do not have such names.
    if fs::write(&path, "interval = 1").is_ok() {
        assert!(load(&path).is_ok());
    }
}

#[test]
fn files_beside_the_configuration_are_found_and_checked() {
    let folder = Folder::new("beside");
    folder.write("token", "from-a-file\r\n");
    folder.write("binary", b"\xff\xfe");
    let text = |name: &str| format!("state_file = \"state\"\n[cloudflare]\napi_token_file = \"./{name}\"\n");
    let config = load(&folder.write("good.toml", text("token"))).unwrap();
    assert_eq!(config.state_file, Some(folder.0.join("state")));
    let token = config.groups.iter().map(|group| match group {
        UpdaterConfig::Cloudflare(account) => account.api_token.reveal(),
        _ => "",
    });
    assert_eq!(token.collect::<Vec<_>>(), ["from-a-file"]);
    let missing = folder.write("bad.toml", text("missing"));
    assert_eq!(refusal(&missing), "3:18: api_token_file = \"./missing\": there is no such file");
    let binary = folder.write("bad.toml", text("binary"));
    assert_eq!(refusal(&binary), "3:18: api_token_file = \"./binary\": this file is not UTF-8 text");
    let itself = folder.write("bad.toml", text("../"));
    assert_eq!(refusal(&itself), "3:18: api_token_file = \"./../\": this is a folder; expected a file");
}

#[cfg(unix)]
#[test]
fn a_file_with_secrets_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let secret = "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a.example.org\", type = \"A\" }]";
    let harmless = "[[urls]]\nurl = \"https://a.example/?ip={ipv4}\"";
    for (text, mode, warnings) in [(secret, 0o644, 1), (secret, 0o640, 0), (harmless, 0o644, 0)] {
        let path = folder.write("c.toml", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let config = load(&path).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{mode:o} {:?}", config.warnings);
    }
    let token = folder.write("token", "t");
    let path = folder.write(
        "c.toml",
        "[cloudflare]\napi_token_file = \"./token\"\nrecords = [{ name = \"a.example.org\", type = \"A\" }]",
    );
    for (mode, warnings) in [(0o644, 1), (0o600, 0)] {
        fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
        let config = load(&path).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{mode:o} {:?}", config.warnings);
    }
}
