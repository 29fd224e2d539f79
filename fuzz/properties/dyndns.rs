//! Properties of jobs at services that speak dyndns2 or something like it,
//! whatever they answer.
//!
//! The input: settings, then replies with a record separator between them, each
//! a byte for the status, one for a wait, and a body.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Family};
use ddns_update_daemon::config;
use ddns_update_daemon::config::presets::{Preset, all};
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::updaters::dyndns2::Dyndns;
use ddns_update_daemon::updaters::{Failure, Outcome, Reply, Request, Task, Updater};

/// With signs that URLs write in another way.
const SECRET: &str = "s3ntinel/p4 ss";
/// In whatever way it is written, this stands in it.
const IN_SECRET: &str = "s3ntinel";
const IPV4: Ipv4Addr = Ipv4Addr::new(198, 41, 0, 4);
const IPV6: Ipv6Addr = Ipv6Addr::new(0x2600, 1, 0, 0, 0, 0, 0, 7);
const NAMES: [&str; 3] = ["alpha.example.org", "bravo.example.org", "gamma.example.org"];
static PRESETS: OnceLock<Vec<Preset>> = OnceLock::new();
const DAY: Duration = Duration::from_secs(86_400);

/// Words of dyndns2 that are a failure whatever follows them.
const FAILURES: [&str; 13] = [
    "badauth",
    "!donator",
    "!active",
    "!yours",
    "notfqdn",
    "nohost",
    "numhost",
    "abuse",
    "badagent",
    "badsys",
    "dnserr",
    "911",
    "servererror",
];

fn account(preset: Preset) -> config::Dyndns {
    let secret = |key| preset.needs(key).then(|| Secret::new(SECRET.to_owned()));
    config::Dyndns {
        username: preset.needs("username").then(|| Secret::new("me".to_owned())),
        password: secret("password"),
        token: secret("token"),
        hostnames: NAMES.iter().map(|&name| name.into()).collect(),
        url: None,
        preset: preset.into(),
    }
}

/// Every job ends within its bounds with one outcome for each task. Published is
/// what the service accepted in every request for it, by status and by the words
/// of its preset; waits end within a day; what the service says back of a secret
/// is not repeated.
pub(super) fn dyndns(data: &[u8]) {
    let [preset, setting, script @ ..] = data else { return };
    // In the order of their names; a server of the user's own is the last.
    let presets = PRESETS.get_or_init(|| {
        let own = Preset::own("https://dyn.example/nic/update", true);
        all().into_iter().chain([own]).collect()
    });
    let config = account(presets[usize::from(*preset) % presets.len()].clone());
    let ipv6 = config.preset.knows_ipv6() && setting & 1 != 0;
    let addresses = Addresses {
        ipv4: (!ipv6 || setting & 2 != 0).then_some(IPV4),
        ipv6: ipv6.then_some(IPV6),
        ipv6_prefix: None,
    };
    let mut updater = Dyndns::new(config.clone().into());
    let mut script = script.split(|byte| *byte == 0x1e);
    // The second job knows what the first one learned.
    for _ in 0..2 {
        run_job(&config, &mut updater, addresses, &mut script, setting & 4 != 0);
    }
}

fn run_job<'a>(
    config: &config::Dyndns,
    updater: &mut Dyndns,
    addresses: Addresses,
    script: &mut impl Iterator<Item = &'a [u8]>,
    single: bool,
) {
    // Where a request does not tell its names, only one is sure whose it is.
    let told = [Some(&config.preset.url), config.preset.form.as_ref(), config.preset.json.as_ref()];
    let names = ["{host}", "{label}", "{sub}"];
    let told = told.into_iter().flatten().any(|text| names.iter().any(|name| text.contains(name)));
    let entries = if single || !told { 0..1 } else { 0..NAMES.len() };
    let tasks: Vec<Task> =
        entries.clone().map(|entry| Task { entry, addresses, old: Addresses::default() }).collect();
    let mut accepted = [0; NAMES.len()];
    let mut refused = [0; NAMES.len()];
    let mut answered = false;
    let mut requests = 0;
    let mut written = Vec::new();
    let outcomes = updater.update(tasks, &mut |request| {
        requests += 1;
        assert!(requests <= 2 * (NAMES.len() + 1), "a job is bounded");
        let text = format!("{} {}", request.url, request.body.as_deref().unwrap_or_default());
        let label = |entry: &usize| NAMES[*entry].split('.').next().expect("a label");
        let all: Vec<usize> = entries.clone().filter(|entry| !told || text.contains(label(entry))).collect();
        assert!((1..=config.preset.names).contains(&all.len()), "{text}");
        let ip = address_of(request, &text);
        let basic = request.headers.iter().find_map(|(_, value)| value.strip_prefix("Basic "));
        written.extend(basic.map(str::to_owned));
        let came = answer(script.next(), request, NAMES[all[0]], &ip);
        answered |= came.is_ok();
        for (place, entry) in all.iter().enumerate() {
            let good = came.as_ref().is_ok_and(|reply| accepts(config, reply, &all, place, &ip));
            accepted[*entry] += usize::from(good);
            // After such an answer each name is asked for by itself.
            let numhost =
                came.as_ref().is_ok_and(|reply| all.len() > 1 && words(reply).any(|word| word == "numhost"));
            refused[*entry] += usize::from(!good && !numhost);
        }
        came
    });
    assert!(outcomes.iter().map(|(entry, _)| *entry).eq(entries), "one outcome for each task");
    for (entry, outcome) in outcomes {
        let why = match outcome {
            Outcome::Published { .. } => {
                assert!(accepted[entry] > 0 && refused[entry] == 0, "nobody said so");
                continue;
            }
            Outcome::Retry { why, after, reached } => {
                assert!(after.is_none_or(|after| after <= DAY));
                assert!(reached || !answered || requests > 1);
                why
            }
            Outcome::NeedsPerson { why }
            | Outcome::Blocked { why }
            | Outcome::Refused { why, .. }
            | Outcome::Dropped { why } => {
                assert!(answered);
                why
            }
        };
        assert!(!why.contains(IN_SECRET) && !written.iter().any(|basic| why.contains(basic)), "{why}");
        assert!(!why.chars().any(char::is_control) && why.len() < 1200, "{why}");
    }
}

/// The first address that a request is about.
fn address_of(request: &Request, text: &str) -> String {
    let ipv6 = request.family == Some(Family::V6) || !text.contains(&IPV4.to_string());
    if ipv6 && request.family != Some(Family::V4) { IPV6.to_string() } else { IPV4.to_string() }
}

fn answer(bytes: Option<&[u8]>, request: &Request, host: &str, ip: &str) -> Result<Reply, Failure> {
    let Some([status, wait, body @ ..]) = bytes else {
        return Err(Failure { why: "the connection failed".to_owned(), maybe_done: true });
    };
    let status = match status % 16 {
        0..9 => 200,
        9 => return Err(Failure { why: "no route".to_owned(), maybe_done: status & 16 != 0 }),
        10 => 401,
        11 => 404,
        12 => 429,
        13 => 500,
        14 => 302,
        _ => 200 + u16::from(*status >> 4),
    };
    let header = request.headers.first().map_or("", |(_, value)| value);
    // Some bytes stand for what the server was told.
    let body = String::from_utf8_lossy(body)
        .replace('\u{1}', SECRET)
        .replace('\u{2}', host)
        .replace('\u{3}', ip)
        .replace('\u{4}', &request.url)
        .replace('\u{5}', header)
        .replace('\u{6}', request.body.as_deref().unwrap_or_default());
    let retry_after = (wait & 1 != 0).then(|| Duration::from_secs(u64::from(*wait)));
    Ok(Reply { status, retry_after, body, ..Reply::default() })
}

fn lines(reply: &Reply) -> Vec<&str> {
    reply.body.lines().map(str::trim).filter(|line| !line.is_empty()).take(32).collect()
}

fn words(reply: &Reply) -> impl Iterator<Item = &str> {
    lines(reply).into_iter().filter_map(|line| line.split_ascii_whitespace().next())
}

/// A second reader: whether the reply is a success for the name in this place.
fn accepts(config: &config::Dyndns, reply: &Reply, names: &[usize], place: usize, ip: &str) -> bool {
    let answers = &config.preset.answers;
    let host = names.iter().map(|&entry| NAMES[entry]).collect::<Vec<_>>().join(",");
    let fits = |rules: &[String]| {
        rules.iter().any(|rule| fits(&rule.replace("{host}", &host).replace("{ip}", ip), &reply.body))
    };
    if !(200..300).contains(&reply.status) || fits(&answers.stop) || fits(&answers.later) {
        return false;
    }
    if fits(&answers.good) || fits(&answers.same) {
        return true;
    }
    let first = words(reply).next();
    let failed = first.is_some_and(|word| FAILURES.contains(&word));
    if !failed && (answers.any || answers.empty && reply.body.trim().is_empty()) {
        return true;
    }
    let lines = lines(reply);
    let good = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("good") => words.next() != Some("127.0.0.1"),
            Some("nochg") => true,
            _ => false,
        }
    };
    answers.good.is_empty()
        && if lines.len() == names.len() {
            good(&lines[place])
        } else {
            names.len() == 1 && lines.iter().all(good)
        }
}

/// As `providers.toml` explains its rules.
fn fits(rule: &str, body: &str) -> bool {
    let body = body.trim_start();
    let line = body.lines().next().unwrap_or_default().trim_end();
    if let Some(within) = rule.strip_prefix('*') {
        let within = within.strip_suffix('*').expect("both");
        body.to_ascii_lowercase().contains(&within.to_ascii_lowercase())
    } else if let Some(start) = rule.strip_suffix('*') {
        body.starts_with(start)
    } else {
        line == rule || (!rule.contains(' ') && line.split_ascii_whitespace().next() == Some(rule))
    }
}
