//! `retry`, `update`, SIGHUP and SIGUSR1, as a person says them to a running daemon and
//! where none runs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{fs, thread};

use crate::support::daemon::Daemon;
use crate::support::scene::{SOON, Scene, signal};
use crate::support::wait_for;

#[test]
fn a_blocked_target_names_the_way_out_that_frees_it() {
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let _daemon = scene.start();
    scene.wait_log("blocked: ");
    scene.wait_log("at once by: ddns-update-daemon retry home.example.org");
    scene.fails.store(false, Ordering::SeqCst);
    assert_eq!(scene.sent(), 1);
    let (status, text) = scene.call(&["update"]);
    let blocked = "every target: blocked, and not sent before: ddns-update-daemon retry\n";
    assert_eq!((status, text.as_str()), (0, blocked));
    let (status, text) = scene.call(&["retry", "home.example.org"]);
    assert_eq!((status, text.as_str()), (0, "home.example.org: nothing stands in the way any more\n"));
    scene.wait_log("home.example.org: set to 11.22.33.44");
    assert_eq!(scene.sent(), 2);
    let (status, text) = scene.call(&["retry", "home.example.net"]);
    assert_eq!(status, 2);
    assert!(text.contains("no target is called \"home.example.net\"; there are: home.example.org"), "{text}");
}

#[test]
fn where_none_runs_the_next_start_tries() {
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let mut daemon = scene.start();
    scene.wait_log("blocked: ");
    daemon.stop();
    let (config, sent) = (scene.config_path(), scene.sent());
    // A start within the hour after one that tried is no reason to try.
    let mut daemon = scene.start();
    scene.wait_sent(sent + 1);
    daemon.stop();
    scene.fails.store(false, Ordering::SeqCst);
    let (status, text) = scene.call(&["retry", "home.example.org", &config]);
    assert_eq!(
        (status, text.as_str()),
        (0, "no daemon runs; the next start tries again: home.example.org\n")
    );
    let (status, text) = scene.call(&["retry", &config]);
    assert_eq!((status, text.as_str()), (0, "nothing stands in the way\n"));
    let _daemon = scene.start();
    scene.wait_log("home.example.org: set to 11.22.33.44");
}

#[test]
fn update_sends_an_unchanged_address_by_the_daemon_or_without_it() {
    let scene = Scene::new();
    let mut daemon = scene.start();
    scene.wait_sent(1);
    scene.wait_log("set to 11.22.33.44");
    let (status, text) = scene.call(&["update"]);
    assert_eq!((status, text.as_str()), (0, "every target: sent now, or after the pause of the account\n"));
    scene.wait_sent(2);
    // Asked for while its answer is out, one request would do for both.
    scene.wait_log("set to 11.22.33.44 again");
    signal(&daemon, "USR1");
    scene.wait_sent(3);
    // An answer that was not heard is asked for by the next start.
    let heard = || (scene.log().matches("set to 11.22.33.44 again").count() == 2).then_some(());
    assert!(wait_for(SOON, heard).is_some(), "{}", scene.log());
    daemon.stop();
    let (status, text) = scene.call(&["update", "home.example.org", &scene.config_path()]);
    assert_eq!((status, scene.sent()), (0, 4), "{text}");
    let (status, text) = scene.call(&["update", "other.example.org", &scene.config_path()]);
    assert_eq!((status, scene.sent()), (2, 4), "{text}");
}

#[test]
fn a_reload_takes_a_whole_file_and_no_other() {
    let scene = Scene::new();
    let mut daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    for broken in ["interval = \"x\"\n", "", "[[dyndns]]\n"] {
        fs::write(scene.config_path(), broken).unwrap();
        let before = scene.log().len();
        signal(&daemon, "HUP");
        let told = wait_for(SOON, || {
            scene.log().split_off(before).contains("the one from before goes on").then_some(())
        });
        assert!(told.is_some(), "{broken:?}\n{}", scene.log());
    }
    assert_eq!((daemon.ended(), scene.sent()), (None, 1));
    signal(&daemon, "USR1");
    scene.wait_sent(2);
    fs::write(scene.config_path(), scene.config("new.example.org")).unwrap();
    signal(&daemon, "HUP");
    scene.wait_log("new.example.org: set to 11.22.33.44");
    assert_eq!(daemon.ended(), None, "it is the same process");
    // It is found and rung as before.
    let (status, text) = scene.call(&["update", "new.example.org"]);
    assert_eq!(status, 0, "{text}");
    scene.wait_sent(4);
    let (_, text) = scene.call(&["retry", "home.example.org"]);
    assert!(text.contains("there are: new.example.org"), "{text}");
}

#[test]
fn signals_of_the_first_moment_are_followed() {
    let scene = Scene::new();
    let state = fs::File::create(scene.folder.path("state/test.state")).unwrap();
    let caught = |daemon: &Daemon| {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"))?;
        (u64::from_str_radix(mask, 16).ok()? & 1 != 0).then_some(())
    };
    // It waits a moment for the state's lock; on a busy machine that moment may be over.
    let mut daemon;
    loop {
        state.lock().unwrap();
        daemon = scene.start();
        let early = wait_for(Duration::from_secs(1), || caught(&daemon));
        let _ = early.map(|()| signal(&daemon, "HUP"));
        state.unlock().unwrap();
        let is_there = |text: &str| scene.log().contains(text).then_some(());
        if wait_for(Duration::from_secs(2), || is_there("reading the configuration again")).is_some() {
            break;
        }
        assert!(scene.log().contains("is in use"), "{}", scene.log());
    }
    scene.wait_log("set to 11.22.33.44");
    assert_eq!(daemon.ended(), None);
    // Many reloads at once are one, and what is asked during it is done by the new start.
    for _ in 0..5 {
        signal(&daemon, "HUP");
    }
    let (status, text) = scene.call(&["update"]);
    assert_eq!(status, 0, "{text}");
    assert_eq!(daemon.ended(), None);
}

#[test]
fn the_first_process_of_a_container_ends_when_it_is_asked() {
    let scene = Scene::new();
    let made = Command::new("unshare").args(["--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "a namespace of processes needs root");
        println!("left out: a namespace of processes needs root");
        return;
    }
    let config = scene.config("home.example.org");
    for name in ["TERM", "INT"] {
        let launcher = ["unshare", "--pid", "--fork", "--kill-child"].map(str::to_owned);
        let mut outer = Daemon::start(&launcher, &scene.folder, &config);
        let before = scene.log().len();
        let up = wait_for(SOON, || scene.log().split_off(before).contains("11.22.33.44").then_some(()));
        assert!(up.is_some(), "{}", scene.log());
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", outer.id())).unwrap();
        assert!(
            Command::new("kill").args([&format!("-{name}"), children.trim()]).status().unwrap().success()
        );
        let ended = wait_for(SOON, || outer.ended());
        let expected = if name == "TERM" { "exit status: 143" } else { "exit status: 130" };
        assert_eq!(ended.as_deref(), Some(expected), "{}", scene.log());
    }
}

#[test]
fn requests_that_are_none_are_left_aside() {
    let scene = Scene::new();
    let daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    let request = scene.runtime_file("request");
    let long = vec![b'x'; 10_000];
    for (text, why) in
        [(&b"7 stop\n\n"[..], "it is none"), (&b"\xff\n"[..], "it is no text"), (&long[..], "too long")]
    {
        fs::write(&request, text).unwrap();
        signal(&daemon, "USR2");
        scene.wait_log(why);
        assert!(!request.exists());
    }
    fs::write(scene.folder.path("elsewhere"), "7 update\n\n").unwrap();
    std::os::unix::fs::symlink(scene.folder.path("elsewhere"), &request).unwrap();
    signal(&daemon, "USR2");
    scene.wait_log("it is no plain file");
    // A ring without a request.
    signal(&daemon, "USR2");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(scene.sent(), 1);
}

#[test]
fn who_asks_for_nobody_is_told() {
    let scene = Scene::new();
    let (status, text) = scene.call(&["retry", "/nowhere/x.toml"]);
    assert_eq!(status, 2, "{text}");
    // The file of a daemon that was killed, with the number of another process.
    let other = std::process::id();
    fs::write(scene.folder.path("run/test.pid"), format!("{other}\n\n/nowhere/x.toml\n")).unwrap();
    let (status, text) = scene.call(&["retry", "/nowhere/x.toml"]);
    assert_eq!(status, 2, "not rung: {text}");
}

/// A scene, and a second configuration `name` in a folder `b`, for `nas.example.org`, whose
/// state file has the name of the first's.
fn with_a_second(name: &str) -> (Scene, String, String) {
    let scene = Scene::new();
    fs::create_dir(scene.folder.path("b")).unwrap();
    let config = scene.config("nas.example.org").replace("/state/test.state", "/b/test.state");
    let path = scene.folder.path("b").join(name);
    fs::write(&path, &config).unwrap();
    (scene, path.display().to_string(), config)
}

#[test]
fn two_state_files_of_one_name_are_two_daemons() {
    let (scene, second, _) = with_a_second("second.toml");
    scene.fails.store(true, Ordering::SeqCst);
    let _one = scene.start();
    scene.wait_log("home.example.org: blocked: ");
    let _other = scene.start_file(Path::new(&second));
    scene.wait_log("nas.example.org: blocked: ");
    for (config, name) in [(scene.config_path(), "home.example.org"), (second.clone(), "nas.example.org")] {
        assert_eq!(scene.call(&["status", "--alive", &config]), (0, String::new()));
        let (status, text) = scene.call(&["status", &config]);
        assert!(status == 1 && text.contains(&format!("  BLOCKED  {name} ")), "{text}");
    }
    assert!(!scene.log().contains("cannot find this process"), "{}", scene.log());
    scene.fails.store(false, Ordering::SeqCst);
    let (status, text) = scene.call(&["retry", &second]);
    assert_eq!((status, text.as_str()), (0, "every target: nothing stands in the way any more\n"));
    scene.wait_log("nas.example.org: set to 11.22.33.44");
    assert!(!scene.log().contains("home.example.org: set"), "{}", scene.log());
}

#[test]
fn another_configuration_of_the_same_name_is_not_the_running_one() {
    let (scene, second, config) = with_a_second("config.toml");
    scene.fails.store(true, Ordering::SeqCst);
    let mut other = scene.start_file(Path::new(&second));
    scene.wait_log("nas.example.org: blocked: ");
    other.stop();
    let _one = scene.start();
    scene.wait_log("home.example.org: blocked: ");
    scene.fails.store(false, Ordering::SeqCst);
    let (status, text) = scene.call(&["status", "--alive", &second]);
    let told = format!("no daemon runs with this configuration, but with {}", scene.config_path());
    assert!(status == 3 && text.contains(&told), "{status} {text}");
    let (status, text) = scene.call(&["retry", "nas.example.org", &second]);
    let freed = "no daemon runs; the next start tries again: nas.example.org\n";
    assert!(status == 0 && text.ends_with(freed), "{status} {text}");
    let (status, text) = scene.call(&["update", &second]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("nas.example.org: set to 11.22.33.44"), "{text}");
    assert!(!scene.log().contains("asked to "), "{}", scene.log());
    // A service may have the same file under another path.
    fs::write(scene.folder.path("config.toml"), config).unwrap();
    assert_eq!(scene.call(&["status", "--alive", &second]).0, 0);
}

/// As deployments do that put each version into a folder of its own.
#[test]
fn a_configuration_whose_link_leads_elsewhere_since_is_the_running_one() {
    let (scene, _, config) = with_a_second("config.toml");
    let (current, file) = (scene.folder.path("current"), scene.folder.path("current/config.toml"));
    std::os::unix::fs::symlink(scene.folder.path("b"), &current).unwrap();
    let _daemon = scene.start_file(&file);
    scene.wait_log("nas.example.org: set to 11.22.33.44");
    fs::create_dir(scene.folder.path("c")).unwrap();
    fs::write(scene.folder.path("c/config.toml"), format!("{config}# another\n")).unwrap();
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink(scene.folder.path("c"), &current).unwrap();
    let file = file.display().to_string();
    assert_eq!(scene.call(&["status", "--alive", &file]), (0, String::new()));
    let (status, text) = scene.call(&["update", &file]);
    assert_eq!((status, text.as_str()), (0, "every target: sent now, or after the pause of the account\n"));
}

#[test]
fn a_file_that_another_process_holds_is_told_and_left_alone() {
    let scene = Scene::new();
    let mut daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    let path = scene.runtime_file("pid");
    daemon.stop();
    let pid = fs::File::open(&path).unwrap();
    pid.lock().unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let _daemon = scene.start();
    scene.wait_log(&format!(
        " warning: `status`, `retry` and `update` cannot find this process: another process holds {}; \
         perhaps two containers share that folder: give each a state_file of its own\n",
        path.display()
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn of_several_daemons_those_that_know_the_name_do_it() {
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let _one = scene.start();
    scene.wait_log("home.example.org: blocked: ");
    let _other = scene.start_with(&scene.config("nas.example.org").replace("test.state", "other.state"));
    scene.wait_log("nas.example.org: blocked: ");
    for (words, told) in [
        (["retry"].as_slice(), "several daemons run: name the configuration of one"),
        (&["retry", "x.example.org"], "there are: home.example.org"),
        (&["retry", "x.example.org"], "there are: nas.example.org"),
    ] {
        let (status, text) = scene.call(words);
        assert!(status == 2 && text.contains(told), "{status} {text}");
    }
    scene.fails.store(false, Ordering::SeqCst);
    let (status, text) = scene.call(&["retry", "nas.example.org"]);
    assert_eq!((status, text.as_str()), (0, "nas.example.org: nothing stands in the way any more\n"));
    scene.wait_log("nas.example.org: set to 11.22.33.44");
}
