//! `status`, as a person or a program that watches calls it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::scene::{SOON, Scene, signal};
use crate::support::wait_for;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What the file says, once `condition` holds.
fn wait_file(scene: &Scene, condition: impl Fn(&Value) -> bool) -> Value {
    let text = || fs::read_to_string(scene.runtime_file("status.json")).unwrap_or_default();
    let read = || serde_json::from_str(&text()).ok().filter(&condition);
    wait_for(SOON, read).unwrap_or_else(|| panic!("{}", text()))
}

#[test]
fn a_healthy_daemon_shows_what_it_knows() {
    let scene = Scene::new();
    // As the packages' service has it.
    let strict = ["sh", "-c", "umask 077; exec \"$@\"", "sh"].map(str::to_owned);
    let _daemon = Daemon::start(&strict, &scene.folder, &scene.config("home.example.org"));
    scene.wait_log("set to 11.22.33.44");
    let (status, text) = scene.call(&["status"]);
    assert_eq!(status, 0, "{text}");
    for line in [
        "; times are UTC\n",
        &format!("configuration {}\n", scene.config_path()),
        "\nADDRESSES\n  IPv4    11.22.33.44, by upnp:http://127.0.0.1:",
        "\nTARGETS\n  ok       home.example.org (dyndns)\n           holds 11.22.33.44 since ",
        "ago): first sent\n",
        "\nCHANGES\n",
        "  home.example.org: nothing -> 11.22.33.44\n",
        "\nThe target is current.\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80 || !line.trim().contains(' ')), "{text}");
    let (status, text) = scene.call(&["status", "--json", &scene.config_path()]);
    let shown = json(&text);
    assert_eq!((status, &shown["running"], &shown["polls_in_time"]), (0, &true.into(), &true.into()));
    assert_eq!(shown["config"], scene.config_path());
    let source = &shown["sources"][0];
    assert_eq!((&source["polls"], &source["poll_failures"]), (&1.into(), &0.into()));
    let address = &source["addresses"][0];
    assert_eq!((&address["kind"], &address["value"]), (&"ipv4".into(), &"11.22.33.44".into()));
    assert_eq!((&address["state"], &address["used"]), (&"known".into(), &true.into()));
    let target = &shown["targets"][0];
    assert_eq!((&target["name"], &target["state"]), (&"home.example.org".into(), &"ok".into()));
    assert_eq!(target["holds"]["ipv4"], "11.22.33.44");
    assert_eq!((&target["updates_ok"], &target["updates_failed"]), (&1.into(), &0.into()));
    let written = shown["written"].as_str().unwrap();
    assert!(written.starts_with("20") && written.ends_with('Z') && written.len() == 20, "{written}");
    for kind in ["status.json", "pid"] {
        let mode = fs::metadata(scene.runtime_file(kind)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{kind}");
    }
    let names = fs::read_dir(scene.folder.path("run")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names, ["answer", "pid", "status.json"].map(|kind| scene.runtime_file(kind)));
    let name = names[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("test-") && name.len() == "test-1234abcd.answer".len(), "{name}");
    assert_eq!(scene.call(&["status", "--alive"]), (0, String::new()));
    assert!(scene.log().contains("asked to status: written"), "{}", scene.log());
}

#[test]
fn a_blocked_target_is_shown_with_its_way_out_and_no_secret() {
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let config = scene.config("home.example.org") + "username = \"someone\"\npassword = \"nohost-Zx81q\"\n";
    let _daemon = scene.start_with(&config);
    scene.wait_log("blocked: ");
    let (status, text) = scene.call(&["status"]);
    assert_eq!(status, 1, "{text}");
    for line in [
        "  BLOCKED  home.example.org (dyndns)\n           holds nothing\n",
        ", since ",
        "next try in 23 h 59 min",
        "then: ddns-update-daemon retry",
        "The target is not current.",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let (status, text) = scene.call(&["--json", "status"]);
    assert_eq!(status, 1);
    let target = &json(&text)["targets"][0];
    assert_eq!((&target["state"], &target["updates_failed"]), (&"blocked".into(), &1.into()));
    assert!(!text.contains("Zx81q") && !text.contains("someone") && !text.contains("/update"), "{text}");
    assert_eq!(scene.call(&["status", "--alive"]).0, 0, "a provider's refusal is no fault of the daemon");
}

#[test]
fn a_section_that_is_left_out_is_shown_and_is_not_current() {
    let scene = Scene::new();
    let config = scene.config("home.example.org") + "[[urls]]\nurl = \"ftp://example.org/{ip}\"\n";
    let _daemon = scene.start_with(&config);
    scene.wait_log("set to 11.22.33.44");
    let (status, text) = scene.call(&["status"]);
    assert_eq!(status, 1, "{text}");
    let place = format!("{}:9:7: url", scene.config_path());
    for line in [
        "  ok       home.example.org (dyndns)\n",
        &format!("  LEFT OUT {place}: "),
        "\nThe target is current.\nWhat is left out cannot work as it is written: mend the file, then reload.\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let (status, text) = scene.call(&["--json", "status"]);
    assert_eq!(status, 1);
    assert!(json(&text)["left_out"][0].as_str().is_some_and(|line| line.starts_with(&place)), "{text}");
}

#[test]
fn where_none_runs_the_last_status_is_shown() {
    let scene = Scene::new();
    let (status, text) = scene.call(&["status"]);
    assert_eq!(status, 3, "{text}");
    assert!(text.contains("no daemon runs") && text.contains("nothing was written"), "{text}");
    let mut daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    wait_file(&scene, |shown| shown["targets"][0]["state"] == "ok");
    // Its files are gone, or elsewhere: the state's lock still says that it runs.
    let (pid, hidden) = (scene.runtime_file("pid"), scene.folder.path("hidden"));
    fs::rename(&pid, &hidden).unwrap();
    for words in [&["status"][..], &["status", &scene.config_path()]] {
        let (status, text) = scene.call(words);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("a daemon holds ") && text.contains(" runs since "), "{text}");
    }
    assert_eq!(scene.call(&["status", "--alive"]).0, 1);
    fs::rename(&hidden, &pid).unwrap();
    daemon.stop();
    let (status, text) = scene.call(&["status"]);
    assert_eq!(status, 3, "{text}");
    assert!(text.contains("runs no more; at ") && text.contains("holds 11.22.33.44"), "{text}");
    assert_eq!(scene.call(&["status", "--alive"]).0, 3);
    // Another file of that name is not it; the same under another path may be the service's.
    let (status, text) = scene.call(&["status", "--json", "/elsewhere/config.toml"]);
    assert!(status == 3 && text.ends_with("nothing was written\n"), "{text}");
    fs::copy(scene.config_path(), scene.folder.path("state/config.toml")).unwrap();
    let copy = scene.folder.path("state/config.toml").display().to_string();
    let (status, text) = scene.call(&["status", &copy]);
    assert!(status == 3 && text.contains("holds 11.22.33.44"), "{text}");
    let (status, text) = scene.call(&["status", "/elsewhere/other.toml"]);
    assert_eq!(status, 3);
    assert!(text.contains("no daemon runs, as far") && text.contains("nothing was written"), "{text}");
    let _daemon = scene.start();
    scene.wait_log("current since");
    let (status, text) = scene.call(&["status", "/elsewhere/other.toml"]);
    let told =
        format!("no daemon runs with this configuration, but with {}; and nothing", scene.config_path());
    assert!(status == 3 && text.contains(&told), "{text}");
}

#[test]
fn a_daemon_that_does_not_answer_is_waited_for_a_second() {
    let scene = Scene::new();
    let daemon = scene.start();
    wait_file(&scene, |shown| shown["targets"][0]["state"] == "ok");
    signal(&daemon, "STOP");
    let began = Instant::now();
    let (status, text) = scene.call(&["status"]);
    let took = began.elapsed();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("did not answer in 1 s; this is what was written last"), "{text}");
    assert!(took >= Duration::from_secs(1) && took < SOON, "{took:?}");
    assert_eq!(scene.call(&["status", "--alive"]).0, 1);
    signal(&daemon, "CONT");
    let alive = wait_for(SOON, || (scene.call(&["status", "--alive"]).0 == 0).then_some(()));
    assert!(alive.is_some());
}

#[test]
fn the_containers_health_check_is_what_the_daemon_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/container");
    let read = |file| fs::read_to_string(folder.join(file)).unwrap();
    let dockerfile = read("Dockerfile");
    let check = dockerfile.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once(" CMD "));
    let words: Vec<String> = serde_json::from_str(check.unwrap().1).unwrap();
    let [program, words @ ..] = &words[..] else { panic!("{words:?}") };
    assert_eq!(program, "/usr/bin/ddns-update-daemon");
    // The image that is made without an engine has the same.
    let same = format!("\"Test\": [\"CMD\", f\"/{{PROGRAM}}\", {}],", json_list(words));
    assert!(read("image.py").contains(&same), "{same}");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let scene = Scene::new();
    scene.fails.store(true, Ordering::SeqCst);
    let mut daemon = scene.start();
    scene.wait_log("blocked: ");
    assert_eq!(scene.call(&words), (0, String::new()));
    daemon.stop();
    assert_eq!(scene.call(&words).0, 3);
}

/// `"a", "b"`.
fn json_list(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_file_follows_changes_by_itself_and_not_the_polls() {
    let scene = Scene::new();
    let config = scene.config("home.example.org").replace("interval = 60", "interval = 0.0167");
    let _daemon = scene.start_with(&config);
    wait_file(&scene, |shown| shown["targets"][0]["state"] == "ok");
    let file = scene.runtime_file("status.json");
    let inode = || fs::metadata(&file).unwrap().ino();
    // News of a second ago may still be written.
    let (mut last, mut polls) = (inode(), scene.gateway.exchanges().len());
    let quiet = wait_for(SOON, || {
        let now = inode();
        if now != std::mem::replace(&mut last, now) {
            polls = scene.gateway.exchanges().len();
        }
        (scene.gateway.exchanges().len() >= polls + 3).then_some(())
    });
    assert!(quiet.is_some(), "it is written again and again");
    scene.gateway.heal("11.22.33.55");
    let shown = wait_file(&scene, |shown| shown["targets"][0]["holds"]["ipv4"] == "11.22.33.55");
    assert_eq!(shown["targets"][0]["changed_because"], "the address changed");
}

#[test]
fn the_last_changes_survive_a_restart() {
    let scene = Scene::new();
    let mut daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    scene.gateway.heal("11.22.33.55");
    signal(&daemon, "USR1");
    scene.wait_log("11.22.33.44 -> 11.22.33.55");
    daemon.stop();
    let _daemon = scene.start();
    let shown = wait_file(&scene, |shown| shown["targets"][0]["state"] == "ok");
    let changes = shown["history"].as_array().unwrap();
    let pairs: Vec<_> =
        changes.iter().map(|change| (&change["old"]["ipv4"], &change["new"]["ipv4"])).collect();
    let [first, second] = ["11.22.33.44", "11.22.33.55"].map(Value::from);
    assert_eq!(pairs, [(&first, &second), (&Value::Null, &first)], "the newest first");
    assert_eq!(shown["targets"][0]["changed"], changes[0]["at"]);
}
