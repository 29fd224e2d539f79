//! The line changes in the middle of a request: the flow is forgotten, and nothing
//! answers on it any more. The newest address goes out all the same, within seconds.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::daemon::{Daemon, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait_for;
use crate::support::wire::{Exchange, Server};

const ADDRESSES: [&str; 2] = ["11.22.33.44", "11.22.33.45"];

/// Five seconds, a poll of one, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(12);

/// Takes the second of its requests and never answers it; all others are accepted.
fn provider() -> Server {
    let count = AtomicUsize::new(0);
    Server::start(
        (Ipv4Addr::LOCALHOST, 0).into(),
        Arc::new(move |_, wire| match count.fetch_add(1, Ordering::SeqCst) {
            1 => wire.hold(),
            _ => wire.reply("200 OK", "", b"good"),
        }),
    )
}

/// Has the section updated, changes the address so that its request hangs, changes it
/// back; then what the provider got.
fn played(section: &str, expected: usize) -> (Vec<Exchange>, String) {
    let gateway = Gateway::start((Ipv4Addr::LOCALHOST, 0).into(), ADDRESSES[0]);
    let (provider, folder) = (provider(), Folder::new());
    let section = section.replace("SERVER", &provider.address().to_string());
    let config = format!(
        "interval = 0.02\nstate_file = \"{}\"\nipv4 = [\"upnp:{}\"]\nipv6 = []\n{section}",
        folder.path("state/test.state").display(),
        gateway.url()
    );
    let _daemon = Daemon::start(&[], &folder, &config);
    let wait = |count: usize| {
        let arrived = || provider.exchanges().iter().filter(|e| !e.request.path.is_empty()).count();
        wait_for(SOON, || (arrived() >= count).then_some(()))
    };
    wait(1).expect("the first address");
    gateway.heal(ADDRESSES[1]);
    wait(2).unwrap_or_else(|| panic!("the request that hangs\n{}", folder.read("log")));
    gateway.heal("11.22.33.46");
    wait(expected).unwrap_or_else(|| panic!("the newest address\n{}", folder.read("log")));
    (provider.exchanges(), folder.read("log"))
}

#[test]
fn a_newer_address_overtakes_a_request_that_hangs() {
    let (exchanges, log) = played("[[urls]]\nurl = \"http://SERVER/?ip={ipv4}\"\n", 3);
    assert!(exchanges[2].request.path.ends_with("ip=11.22.33.46"), "{log}");
    let (hanging, newer) = (exchanges[1].started, exchanges[2].started);
    assert!(newer - hanging >= Duration::from_millis(4900), "{:?}", newer - hanging);
    assert!(newer - hanging <= Duration::from_secs(8), "{:?}", newer - hanging);
    assert!(exchanges[1].ended.is_none_or(|ended| ended > newer), "the older one may still be answered");
}

#[cfg(feature = "dyndns")]
#[test]
fn an_account_that_takes_one_request_at_a_time_has_the_hanging_one_closed() {
    let section = "[[dyndns]]\nurl = \"http://SERVER/nic/update?host={host}&ip={ip}\"\n\
                   hostname = \"a.example.org\"\n";
    let (exchanges, log) = played(section, 3);
    assert!(exchanges[2].request.path.ends_with("ip=11.22.33.46"), "{log}");
    let (hanging, newer) = (exchanges[1].started, exchanges[2].started);
    assert!(newer - hanging >= Duration::from_millis(4900), "{:?}", newer - hanging);
    assert!(newer - hanging <= Duration::from_secs(8), "{:?}", newer - hanging);
    let closed = exchanges[1].ended.expect("closed");
    assert!(closed <= newer + Duration::from_millis(100), "{:?} too late", closed - newer);
    assert!(log.contains("closed a request without an answer"), "{log}");
}
