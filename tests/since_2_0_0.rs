//! A state file that 2.0.0 wrote: the first start after the update sends nothing.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::address::{Finding, Observation};
use ddns_update_daemon::config;
use ddns_update_daemon::engine::state::State;
use ddns_update_daemon::engine::{Action, Engine, Event, Level, Now};

/// The clock an hour after the file was written.
const CLOCK: u64 = 1_795_804_366;

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// What is sent in two hours with these addresses, and what is warned of.
fn sent(state: State, ipv4: [u8; 4]) -> (usize, Vec<String>) {
    let no_files = |_: &Path| Err("no such file".to_owned());
    let config = config::parse(&fixture("2.0.0.toml"), Path::new("c.toml"), &no_files).unwrap();
    let mut engine = Engine::new(&config, state, 1);
    let (mut tasks_sent, mut warnings) = (0, Vec::new());
    for elapsed in (0..7200).map(Duration::from_secs) {
        let now = Now { elapsed, unix: Some(CLOCK + elapsed.as_secs()) };
        engine.handle(now, Event::Tick);
        while let Some(action) = engine.action() {
            match action {
                Action::Poll { source, .. } => {
                    let mut observation = Observation::unknown("not asked");
                    if source == 0 {
                        observation.ipv4 = Finding::Known(ipv4.into());
                    } else {
                        observation.ipv6 = Finding::Known("2a00:1:2:3::4".parse().unwrap());
                    }
                    engine.handle(now, Event::Observed { source, observation, gateway: None });
                }
                Action::Publish { tasks, .. } => tasks_sent += tasks.len(),
                Action::Report(report) if report.level != Level::Info => warnings.push(report.text),
                _ => {}
            }
        }
    }
    (tasks_sent, warnings)
}

#[test]
fn the_first_start_after_2_0_0_sends_nothing() {
    let (state, damaged) = State::parse(&fixture("2.0.0.state"));
    assert_eq!(damaged, 0, "every line is understood");
    assert_eq!(state.targets.len(), 9);
    assert_eq!(sent(state.clone(), [11, 22, 33, 44]), (0, Vec::new()));
    // The AAAA record alone has nothing to do with another IPv4 address.
    assert_eq!(sent(state, [11, 22, 33, 45]).0, 8);
}
