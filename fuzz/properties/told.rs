//! What the daemon wrote for a later start of its own, and for who asks how things stand.

use std::time::Duration;

use ddns_update_daemon::calendar;
use ddns_update_daemon::cli::status::{read, to_text};
use ddns_update_daemon::config::Config;
use ddns_update_daemon::config::notify::{Notify, Telling};
use ddns_update_daemon::engine::Now;
use ddns_update_daemon::notify::{Delivery, Notifier};
use ddns_update_daemon::secret::Secret;

const UNIX: u64 = 1_795_784_520;
const TARGETS: [&str; 2] = ["A x", "A gone"];

fn notifier() -> Notifier {
    let section = |url: &str| Notify {
        preset: None,
        cmd: Vec::new(),
        url: Secret::new(url.to_owned()),
        token: None,
        chat: String::new(),
        headers: Vec::new(),
        on: [true; 3],
        after: Duration::from_secs(60),
    };
    let notify = vec![section("https://n.example/a"), section("https://n.example/b")];
    let config = Config { telling: Telling { notify, heartbeat: None }, ..Config::default() };
    Notifier::new(&config, 1).expect("sections")
}

/// What is kept reads back the same, names only targets and sections that there are, and
/// what it leads to is bounded.
pub(super) fn notices(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Now::new(Duration::ZERO, UNIX);
    let mut first = notifier();
    first.restore(now, &text, &TARGETS);
    let kept = first.keep(now);
    let mut second = notifier();
    second.restore(now, &kept, &TARGETS);
    assert_eq!(second.keep(now), kept, "{text:?}");
    for line in kept.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let known = match fields[0] {
            "behind" => TARGETS.contains(&fields[2]),
            _ => ["https://n.example 1", "https://n.example 2"].contains(&fields[1]),
        };
        assert!(known, "{line:?}");
    }
    for second in [1, 2] {
        while let Some(delivery) = first.delivery(Now::new(Duration::from_secs(second), UNIX)) {
            let Delivery::Message { text, .. } = &delivery else { panic!("no pings here") };
            assert!(text.len() < 2000 && !text.replace('\n', " ").contains(char::is_control), "{text:?}");
            first.sent(now, &delivery, &Ok(()));
        }
    }
}

/// A status that can be read is written so that it reads the same, and shown without
/// control characters; a time reads back as it is written.
pub(super) fn status(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(time) = calendar::parse(text) {
        assert_eq!(calendar::parse(&calendar::iso(time)), Some(time), "{text:?}");
    }
    let Some(status) = read(text) else { return };
    let again = read(&status.to_json());
    assert_eq!(again.as_ref(), Some(&status), "{text:?}");
    let page = to_text(&status, UNIX);
    assert!(!page.replace('\n', "").contains(char::is_control), "{page:?}");
}
