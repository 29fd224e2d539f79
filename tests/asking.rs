//! `retry`, `update`, SIGHUP and SIGUSR1, as a person says them to a running daemon and
//! where none runs.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

#[allow(dead_code, reason = "shared with the tests of gateways; each uses a part")]
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{fs, thread};

use support::scene::{SOON, Scene, signal};
use support::wait_for;

#[test]
fn a_blocked_target_names_the_way_out_that_frees_it() {
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let _daemon = scene.start();
    scene.wait_log("blocked: ");
    scene.wait_log("at once by: ddns-update-daemon retry home.example.org");
    scene.fails.store(false, Ordering::SeqCst);
    assert_eq!(scene.sent(), 1);
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
fn requests_that_are_none_are_left_aside() {
    let scene = Scene::new();
    let daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    let request = scene.folder.path("run/test.request");
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
