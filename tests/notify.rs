//! `[[notify]]` and `[heartbeat]` against servers and programs that stand in for
//! services, over real sockets.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::support::daemon::Daemon;
use crate::support::gateway::Plays;
use crate::support::scene::{LOCAL, SOON, Scene, signal};
use crate::support::wait_for;
use crate::support::wire::{Request, Server};

fn start(scene: &Scene, sections: &str) -> Daemon {
    scene.start_with(&scene.by_url(sections, ""))
}

fn failing() -> Scene {
    Scene::failing("500 No", b"good")
}

/// The requests that `server` has got, at least so many.
fn requests(scene: &Scene, server: &Server, count: usize) -> Vec<Request> {
    let whole = || -> Vec<Request> {
        let requests = server.exchanges().into_iter().map(|exchange| exchange.request);
        requests.filter(|request| !request.path.is_empty()).collect()
    };
    let found = wait_for(SOON, || (whole().len() >= count).then_some(()));
    assert!(found.is_some(), "{:?} instead of {count}\n{}", whole(), scene.log());
    whole()
}

fn service() -> Server {
    Server::start(LOCAL, Arc::new(|_, wire| wire.reply("200 OK", "", b"{}")))
}

fn bodies(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.body.as_str()).collect()
}

#[test]
fn changes_are_told_in_the_form_of_each_service() {
    let scene = failing();
    let [plain, ntfy, telegram, gotify, discord, slack] = std::array::from_fn(|_| service());
    let mail = scene.folder.path("mail");
    let daemon = start(
        &scene,
        &format!(
            "[[notify]]\nurl = \"http://me:s3cret@{}/p4th?q={}\"\n[[notify]]\npreset = \"ntfy\"\nurl = \"http://{}/t0pic\"\n\
         token = \"tk_s3cret\"\n[[notify]]\npreset = \"telegram\"\nurl = \"http://{}/\"\ntoken = \"123:s3cret\"\n\
         chat = \"-42\"\n[[notify]]\npreset = \"gotify\"\nurl = \"http://{}/sub/\"\ntoken = \"Ap.s3cret\"\n\
             [[notify]]\npreset = \"discord\"\nurl = \"http://{}/api/webhooks/1/s3cret\"\n\
             [[notify]]\npreset = \"slack\"\nurl = \"http://{}/services/T/B/s3cret\"\n[[notify]]\npreset = \"mail\"\ncmd = [\"/bin/sh\", \"-c\", 'cat > \"$1.new\"; mv \"$1.new\" \"$1\"', \"sendmail\", \"{}\"]\n",
            plain.address(),
            "qu3ry",
            ntfy.address(),
            telegram.address(),
            gotify.address(),
            discord.address(),
            slack.address(),
            mail.display()
        ),
    );
    let told = requests(&scene, &plain, 1);
    assert_eq!((told[0].method.as_str(), told[0].path.as_str()), ("POST", "/p4th?q=qu3ry"));
    assert_eq!(told[0].body, "home: set to 11.22.33.44");
    assert_eq!(told[0].field("content-type"), "text/plain; charset=utf-8");
    assert_eq!(told[0].field("authorization"), "Basic bWU6czNjcmV0");
    let told = requests(&scene, &ntfy, 1);
    assert_eq!((told[0].path.as_str(), told[0].field("authorization")), ("/t0pic", "Bearer tk_s3cret"));
    assert_eq!(told[0].field("title"), "DDNS: address changed");
    let told = requests(&scene, &telegram, 1);
    assert_eq!(told[0].path, "/bot123:s3cret/sendMessage");
    assert_eq!(told[0].body, "{\"chat_id\":\"-42\",\"text\":\"home: set to 11.22.33.44\"}");
    let told = requests(&scene, &gotify, 1);
    assert_eq!((told[0].path.as_str(), told[0].field("x-gotify-key")), ("/sub/message", "Ap.s3cret"));
    assert_eq!(
        told[0].body,
        "{\"title\":\"DDNS: address changed\",\"message\":\"home: set to 11.22.33.44\",\"priority\":4}"
    );
    let told = requests(&scene, &discord, 1);
    assert_eq!(told[0].path, "/api/webhooks/1/s3cret");
    assert_eq!(
        told[0].body,
        "{\"content\":\"home: set to 11.22.33.44\",\"allowed_mentions\":{\"parse\":[]}}"
    );
    let told = requests(&scene, &slack, 1);
    assert_eq!(
        (told[0].path.as_str(), told[0].field("content-type")),
        ("/services/T/B/s3cret", "application/json")
    );
    assert_eq!(told[0].body, "{\"text\":\"home: set to 11.22.33.44\"}");
    let mailed = wait_for(SOON, || Some(scene.folder.read("mail")).filter(|mail| !mail.is_empty()));
    assert_eq!(
        mailed.as_deref(),
        Some(
            "Subject: DDNS: address changed\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nhome: set to 11.22.33.44\n"
        )
    );
    scene.gateway.play(Plays::default(), "11.22.33.55");
    signal(&daemon, "USR1");
    assert_eq!(bodies(&requests(&scene, &plain, 2))[1], "home: 11.22.33.44 -> 11.22.33.55");
    // What is sent again is no change.
    signal(&daemon, "USR1");
    scene.wait_log("set to 11.22.33.55 again");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(requests(&scene, &plain, 2).len(), 2);
    for secret in ["s3cret", "p4th", "qu3ry", "t0pic", "bot123"] {
        assert!(!scene.log().contains(secret), "{secret}\n{}", scene.log());
    }
}

#[test]
fn a_provider_down_for_a_while_is_one_failure_and_one_recovery() {
    let scene = failing();
    let (all, few) = (service(), service());
    scene.fails.store(true, Ordering::SeqCst);
    let daemon = start(
        &scene,
        &format!(
            "[[notify]]\nurl = \"http://{}/\"\nafter = 0.02\n[[notify]]\nurl = \"http://{}/\"\non = [\"recovery\"]\nafter = 60\n",
            all.address(),
            few.address()
        ),
    );
    let told = requests(&scene, &all, 1);
    assert!(told[0].body.starts_with("home: not up to date since 20"), "{}", told[0].body);
    assert!(told[0].body.contains("Z: ") && told[0].body.contains("500"), "{}", told[0].body);
    // More failures are the same failure.
    signal(&daemon, "USR1");
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(requests(&scene, &all, 1).len(), 1);
    scene.fails.store(false, Ordering::SeqCst);
    signal(&daemon, "USR1");
    let told = requests(&scene, &all, 3);
    let mut bodies = bodies(&told[1..]);
    bodies.sort_unstable();
    assert_eq!(bodies, ["home: set to 11.22.33.44", "home: up to date again: 11.22.33.44"]);
    assert!(few.exchanges().is_empty(), "it did not last for an hour");
}

#[test]
fn a_service_that_is_down_is_told_when_it_is_back() {
    let scene = failing();
    let place = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    scene.fails.store(true, Ordering::SeqCst);
    let _daemon = start(&scene, &format!("[[notify]]\nurl = \"http://{place}/\"\nafter = 0.02\n"));
    scene.wait_log(&format!("warning: notify http://{place}: failure not told: "));
    let service = Server::start(place, Arc::new(|_, wire| wire.reply("204 No Content", "", b"")));
    let told = requests(&scene, &service, 1);
    assert!(told[0].body.starts_with("home: not up to date since "), "{}", told[0].body);
    scene.wait_log("failure told; it works again");
}

#[test]
fn a_service_that_hangs_holds_up_no_update() {
    let scene = failing();
    let hangs = Server::start(LOCAL, Arc::new(|_, wire| wire.hold()));
    let sections = format!(
        "[heartbeat]\nurl = \"http://{0}/\"\n[[notify]]\nurl = \"http://{0}/\"\n[[notify]]\ncmd = [\"sleep\", \"60\"]\n",
        hangs.address()
    );
    let daemon = start(&scene, &sections);
    requests(&scene, &hangs, 2);
    scene.gateway.play(Plays::default(), "11.22.33.55");
    let began = Instant::now();
    signal(&daemon, "USR1");
    scene.wait_log("11.22.33.44 -> 11.22.33.55");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_heartbeat_tells_well_and_ill() {
    let scene = failing();
    let (health, kuma) = (service(), service());
    let path = scene.folder.path("ping-url");
    fs::write(&path, format!("http://{}/s3cret-uuid\n", health.address())).unwrap();
    let mut daemon =
        start(&scene, &format!("[heartbeat]\nurl_file = \"{}\"\nevery = 0.04\n", path.display()));
    let told = requests(&scene, &health, 2);
    for ping in &told {
        assert_eq!((ping.method.as_str(), ping.path.as_str()), ("POST", "/s3cret-uuid"));
        assert_eq!(ping.body, "1 of 1 targets up to date");
    }
    scene.fails.store(true, Ordering::SeqCst);
    signal(&daemon, "USR1");
    let ill = wait_for(SOON, || {
        requests(&scene, &health, 2).into_iter().find(|ping| ping.path == "/s3cret-uuid/fail")
    });
    let ill = ill.expect("a failed ping").body;
    assert!(ill.starts_with("0 of 1 targets up to date\nhome: ") && ill.contains("500"), "{ill}");
    assert!(!scene.log().contains("s3cret"), "{}", scene.log());
    daemon.stop();
    let _daemon = start(
        &scene,
        &format!(
            "[heartbeat]\nurl = \"http://{}/api/push/t0ken?status=up&msg=OK&ping=\"\nevery = 0.02\n",
            kuma.address()
        ),
    );
    let ill =
        wait_for(SOON, || requests(&scene, &kuma, 1).into_iter().find(|ping| ping.path.contains("down")));
    let ill = ill.expect("a failed push");
    assert_eq!(ill.method, "GET");
    assert!(
        ill.path.starts_with("/api/push/t0ken?status=down&msg=0%20of%201%20targets%20up%20to%20date%0Ahome"),
        "{}",
        ill.path
    );
}

#[test]
fn a_single_run_tells_and_ends() {
    let scene = failing();
    let (notify, beat) = (service(), service());
    fs::write(
        scene.folder.path("config.toml"),
        scene.by_url(
            &format!(
                "[[notify]]\nurl = \"http://{}/\"\n[heartbeat]\nurl = \"http://{}/x\"\n",
                notify.address(),
                beat.address()
            ),
            "",
        ),
    )
    .unwrap();
    let run = |words: &[&str]| {
        let program = env!("CARGO_BIN_EXE_ddns-update-daemon");
        Command::new(program)
            .args(words)
            .arg(scene.folder.path("config.toml"))
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(run(&["--once", "--dry-run"]), Some(0));
    assert_eq!((notify.exchanges().len(), beat.exchanges().len()), (0, 0));
    assert_eq!(run(&["--once"]), Some(0));
    assert_eq!(bodies(&requests(&scene, &notify, 1)), ["home: set to 11.22.33.44"]);
    assert_eq!(requests(&scene, &beat, 1)[0].path, "/x");
    assert_eq!(run(&["--once"]), Some(0));
    assert_eq!((notify.exchanges().len(), beat.exchanges().len()), (1, 2));
}

#[test]
fn a_reload_tells_others_from_then_on() {
    let scene = failing();
    let (old, new) = (service(), service());
    let section = |server: &Server| format!("[[notify]]\nurl = \"http://{}/\"\n", server.address());
    let daemon = start(&scene, &section(&old));
    requests(&scene, &old, 1);
    fs::write(scene.folder.path("config.toml"), scene.by_url("[[notify]]\npreset = \"nfty\"\n", "")).unwrap();
    signal(&daemon, "HUP");
    scene.wait_log("did you mean \"ntfy\"?");
    fs::write(scene.folder.path("config.toml"), scene.by_url(&section(&new), "")).unwrap();
    scene.gateway.play(Plays::default(), "11.22.33.55");
    signal(&daemon, "HUP");
    assert_eq!(bodies(&requests(&scene, &new, 1)), ["home: 11.22.33.44 -> 11.22.33.55"]);
    assert_eq!(old.exchanges().len(), 1);
}

#[test]
fn a_reload_and_a_restart_neither_lose_nor_repeat_what_is_told() {
    let scene = failing();
    let place = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    let section = format!("[[notify]]\nurl = \"http://{place}/\"\nafter = 0.02\n");
    scene.fails.store(true, Ordering::SeqCst);
    let mut daemon = start(&scene, &section);
    scene.wait_log("failure not told: ");
    let kept = scene.runtime_file("notices");
    let told = wait_for(SOON, || fs::read_to_string(&kept).ok().filter(|kept| kept.contains("told\t")));
    let message = told.expect("it is kept").lines().last().unwrap().rsplit('\t').next().unwrap().to_owned();
    daemon.stop();
    let service = Server::start(place, Arc::new(|_, wire| wire.reply("204 No Content", "", b"")));
    let mut daemon = start(&scene, &section);
    assert_eq!(bodies(&requests(&scene, &service, 1)), [message.as_str()]);
    scene.wait_log("failure told");
    // Who was told is known to the next, who tells the end of it.
    daemon.stop();
    let daemon = start(&scene, &section);
    let third = wait_for(SOON, || (scene.log().matches("state is kept in").count() == 3).then_some(()));
    assert!(third.is_some(), "{}", scene.log());
    signal(&daemon, "HUP");
    scene.wait_log("reading the configuration again");
    scene.fails.store(false, Ordering::SeqCst);
    signal(&daemon, "USR1");
    let told = requests(&scene, &service, 3);
    let mut bodies = bodies(&told[1..]);
    bodies.sort_unstable();
    assert_eq!(bodies, ["home: set to 11.22.33.44", "home: up to date again: 11.22.33.44"]);
    assert!(wait_for(SOON, || (!kept.exists()).then_some(())).is_some(), "nothing is left to keep");
}
