//! Accounts that want pauses between their updates.

use super::*;

/// Three names of an account that wants a pause of ten minutes.
pub(super) fn account_with_pauses() -> Config {
    let text = "ipv4 = [\"upnp\"]\nipv6 = []\n[[dyndns]]\nprovider = \"easydns\"\nusername = \"me\"\n\
                password = \"pw\"\nhostnames = [\"a.example.org\", \"b.example.org\", \"c.example.org\"]";
    crate::config::parse(text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap()
}

#[test]
fn an_account_that_wants_pauses_gets_one_update_at_a_time() {
    let mut bench = Bench::new(&account_with_pauses(), State::default());
    bench.observe(0, seen("1.1.1.1"));
    let mut entries = Vec::new();
    let mut times = Vec::new();
    while entries.len() < 3 {
        if let Some((_, _, tasks)) = bench.jobs.first() {
            assert_eq!(tasks.len(), 1);
            entries.push(tasks[0].entry);
            times.push(bench.now.elapsed);
            // The first fails for ever; it does not hold up the others.
            let outcome = if tasks[0].entry == 0 { retry() } else { published() };
            bench.finish(0, outcome);
            assert!(!bench.engine.is_settled(bench.now) || entries.len() == 3, "--once waits for the pause");
        }
        if bench.polls.contains(&0) {
            bench.observe(0, seen("1.1.1.1"));
        }
        bench.tick();
    }
    assert_eq!(entries, [0, 1, 2]);
    for pair in times.windows(2) {
        assert!((600 * SECOND..=751 * SECOND).contains(&(pair[1] - pair[0])), "{times:?}");
    }
}

#[test]
fn a_dry_run_needs_no_pauses() {
    let config = account_with_pauses();
    let mut engine = Engine::new(&config, State::default(), 1).without_pauses();
    let now = Now { elapsed: Duration::ZERO, unix: None };
    engine.handle(now, Event::Tick);
    engine.handle(now, Event::Observed { source: 0, observation: seen("1.1.1.1"), gateway: None });
    let publish = std::iter::from_fn(|| engine.action()).find_map(|action| match action {
        Action::Publish { tasks, .. } => Some(tasks.len()),
        _ => None,
    });
    assert_eq!(publish, Some(3));
}

#[test]
fn for_what_waits_its_turn_nothing_is_closed_and_no_program_waits() {
    let text = "ipv4 = [\"upnp\"]\nipv6 = []\n[[dyndns]]\nprovider = \"easydns\"\nusername = \"me\"\n\
                password = \"pw\"\nhostnames = [\"a.example.org\", \"b.example.org\"]\n[[runs]]\ncmd = [\"true\"]";
    let config = crate::config::parse(text, std::path::Path::new("c.toml"), &|_| Err(String::new())).unwrap();
    let mut bench = Bench::new(&config, State::default());
    bench.observe(0, seen("1.1.1.1"));
    bench.pass(4 * SECOND);
    assert_eq!(bench.jobs.len(), 1, "the program waits for the first answer");
    bench.finish(0, published());
    assert_eq!(
        bench.jobs.iter().map(|(_, group, _)| *group).collect::<Vec<_>>(),
        [1],
        "the next is in 10 minutes"
    );
    let mut hanging = Bench::new(&account_with_pauses(), State::default());
    hanging.observe(0, seen("1.1.1.1"));
    hanging.pass(20 * SECOND);
    assert!(hanging.closed.is_empty() && hanging.jobs.len() == 1);
}
