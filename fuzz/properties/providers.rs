//! Properties of what goes to providers and comes back: names, placeholders,
//! requests, answers, header fields, and what echo services say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ddns_update_daemon::address::{Addresses, Family, Prefix, Scope, scope};
use ddns_update_daemon::config::idn::to_ascii;
use ddns_update_daemon::config::{Run, Url, placeholders};
use ddns_update_daemon::quote::Secrets;
use ddns_update_daemon::secret::Secret;
use ddns_update_daemon::sources::echo_answer::{MAX_ANSWER, read};
use ddns_update_daemon::transport::fields::{MAX_WAIT, date, retry_after};
use ddns_update_daemon::transport::redirect;
use ddns_update_daemon::transport::url::HttpUrl;
use ddns_update_daemon::updaters::run::plan;
use ddns_update_daemon::updaters::{Failure, Outcome, Reply, Request, Task, url};

/// A name that is sent is ASCII within the limits of DNS, names itself, and is
/// the name that was written: a decoder of punycode says so.
pub(super) fn idn(data: &[u8]) {
    let name = String::from_utf8_lossy(data);
    let Ok(ascii) = to_ascii(&name) else { return };
    if ascii == "@" {
        return assert_eq!(name, "@");
    }
    assert!(ascii.len() <= 253 && !ascii.ends_with('.'));
    assert_eq!(to_ascii(&ascii).as_ref(), Ok(&ascii));
    let dots = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];
    let written = name.strip_suffix(dots).unwrap_or(&name).split(dots);
    assert_eq!(written.clone().count(), ascii.split('.').count());
    for (written, label) in written.zip(ascii.split('.')) {
        assert!((1..=63).contains(&label.len()));
        assert!(
            label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_*".contains(&byte))
        );
        let lower: String = written.chars().flat_map(char::to_lowercase).collect();
        match label.strip_prefix("xn--").filter(|_| !lower.is_ascii()) {
            Some(encoded) => assert_eq!(decode(encoded).expect("punycode"), lower),
            None => assert_eq!(label, lower),
        }
    }
}

/// RFC 3492, section 6.2.
fn decode(encoded: &str) -> Option<String> {
    let (basic, digits) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut output: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72_u32);
    let mut digits = digits.bytes().peekable();
    while digits.peek().is_some() {
        let (old, mut weight, mut k) = (i, 1_u32, 36_u32);
        loop {
            let digit = match digits.next()? {
                byte @ b'a'..=b'z' => u32::from(byte - b'a'),
                byte @ b'0'..=b'9' => u32::from(byte - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(36 - threshold)?;
            k += 36;
        }
        let count = u32::try_from(output.len()).ok()? + 1;
        let mut delta = (i - old) / if old == 0 { 700 } else { 2 };
        delta += delta / count;
        bias = 0;
        while delta > 455 {
            delta /= 35;
            bias += 36;
        }
        bias += 36 * delta / (delta + 38);
        n = n.checked_add(i / count)?;
        i %= count;
        output.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
    }
    Some(output.into_iter().collect())
}

const IPV4: Ipv4Addr = Ipv4Addr::new(198, 41, 0, 4);
const IPV6: Ipv6Addr = Ipv6Addr::new(0x2600, 1, 0, 0, 0, 0, 0, 7);

fn addresses(set: u8) -> Addresses {
    Addresses {
        ipv4: (set & 1 != 0).then_some(IPV4),
        ipv6: (set & 2 != 0).then_some(IPV6),
        ipv6_prefix: Prefix::new(IPV6, 56).filter(|_| set & 4 != 0),
    }
}

/// With every address known, nothing but placeholders changes and none is left;
/// a program gets as many arguments as were written, each for itself.
pub(super) fn run_plan(data: &[u8]) {
    let [set, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let cmd: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let task = Task { entry: 0, addresses: addresses(*set), old: addresses(*set >> 3) };
    let plan =
        plan(&Run { cmd: cmd.clone(), timeout: Duration::from_secs(1), retry: true, wait: true }, &task);
    assert_eq!(plan.program, cmd[0]);
    assert_eq!(plan.args.len() + 1, cmd.len());
    for (filled, written) in plan.args.iter().zip(&cmd[1..]) {
        let needs = placeholders::mentioned(written);
        if !(needs.ipv4 || needs.ipv6 || needs.ipv6_prefix) {
            assert_eq!(filled, written);
        }
        if *set & 7 == 7 {
            assert_eq!(placeholders::mentioned(filled), placeholders::Needs::default());
            assert_eq!(*filled, fill_in_one_pass(written));
        }
    }
    for (name, value) in &plan.env {
        assert!(name.starts_with("DDNS_") && value.as_deref() != Some(""));
    }
}

fn fill_in_one_pass(mut text: &str) -> String {
    let values = [("{ipv4}", "198.41.0.4"), ("{ipv6}", "2600:1::7"), ("{ipv6_prefix}", "2600:1::/56")];
    let mut filled = String::new();
    while let Some(character) = text.chars().next() {
        if let Some((name, value)) = values.iter().find(|(name, _)| text.starts_with(name)) {
            filled.push_str(value);
            text = &text[name.len()..];
        } else {
            filled.push(character);
            text = &text[character.len_utf8()..];
        }
    }
    filled
}

const SECRET: &str = "s3ntinel-p4ss";

/// Some services have their key in the path, which is shown to the user alone.
const IN_PATH: &str = "s3ntinel-p4th";

/// Words of dyndns2 that are no success wherever a line begins with them.
const FAILURES: [&str; 14] = [
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
    "KO",
];

fn request(expects: bool) -> Url {
    Url {
        method: "POST",
        url: Secret::new(format!("https://me:{SECRET}@ddns.example/{IN_PATH}?key={SECRET}&ip={{ipv4}}")),
        headers: vec![("Authorization".to_owned(), Secret::new(format!("Bearer {SECRET}")))],
        body: Some(Secret::new(format!("pw={SECRET}&ip={{ipv6}}"))),
        expect: expects.then(|| vec!["good".to_owned(), "nochg".to_owned(), "fine".to_owned()]),
    }
}

/// Whatever a service answers: published is what it accepted by status and by
/// word, waits are bounded, and a secret that it says back is not repeated.
pub(super) fn url_updater(data: &[u8]) {
    let [setting, status, wait, body @ ..] = data else { return };
    let config = request(setting & 1 != 0);
    let task = Task { entry: 0, addresses: addresses(3), old: Addresses::default() };
    let sent = url::request(&config, &task);
    assert!(!sent.url.contains('{') && sent.url.ends_with("198.41.0.4"));
    assert!(!format!("{sent:?}").contains(SECRET));
    let status = [200, 204, 301, 401, 404, 429, 500, 200 + u16::from(*status)][usize::from(setting >> 5)];
    // A byte stands for what the server was told in confidence.
    let body = String::from_utf8_lossy(body).replace('\u{1}', SECRET).replace('\u{2}', IN_PATH);
    let reply = Reply {
        status,
        retry_after: (setting & 2 != 0).then(|| Duration::from_secs(u64::from(*wait))),
        redirect: (wait & 1 != 0).then(|| "another host".to_owned()),
        body: body.clone(),
        ..Reply::default()
    };
    let reply = if setting & 0x1c == 0 {
        Err(Failure { why: "lost".to_owned(), maybe_done: setting & 2 != 0 })
    } else {
        Ok(reply)
    };
    let answered = reply.is_ok();
    let outcome = url::judge(&config, &task, reply);
    let first = body.split_ascii_whitespace().next().unwrap_or_default();
    match outcome {
        Outcome::Published { changed } => {
            let leads_nowhere = (300..400).contains(&status) && wait & 1 == 0;
            assert!(answered && ((200..300).contains(&status) || leads_nowhere));
            assert_eq!(changed, first != "nochg");
            match &config.expect {
                Some(expected) => assert!(expected.iter().any(|word| word == first)),
                None => assert!(!FAILURES.contains(&first)),
            }
        }
        Outcome::Retry { why, after, reached } => {
            check_words(&why);
            // What may have arrived without an answer counts as reached, too.
            assert!(reached || !answered);
            assert!(after.is_none_or(|after| after <= MAX_WAIT));
            assert!(!answered || status != 429 || after.is_some());
        }
        Outcome::NeedsPerson { why }
        | Outcome::Blocked { why }
        | Outcome::Refused { why, .. }
        | Outcome::Dropped { why } => {
            check_words(&why);
            assert!(answered && status != 429);
        }
    }
}

fn check_words(why: &str) {
    assert!(!why.contains(SECRET) && !why.contains(IN_PATH), "{why}");
    assert!(!why.chars().any(char::is_control) && why.len() < 800, "{why}");
}

/// Waits end within a day, dates are read as they are written, and a redirect
/// stays with the host and what is below it, takes credentials to the host alone and
/// never gives up TLS.
pub(super) fn web_fields(data: &[u8]) {
    let Some((now, text)) = data.split_first_chunk::<8>() else { return };
    let now = u64::from_be_bytes(*now);
    let text = String::from_utf8_lossy(text);
    assert!(retry_after(&text, now).is_none_or(|wait| wait <= MAX_WAIT));
    // Nothing that is read lies beyond the year 9999.
    assert!(date(&text).is_none_or(|seconds| seconds < 253_402_300_801));
    let seconds = now % 253_402_300_800;
    let written = write_date(seconds);
    assert_eq!(date(&written), Some(seconds), "{written}");
    assert_eq!(retry_after(&written, seconds), Some(Duration::ZERO));
    for (url, host) in [
        ("http://me:pw@Ddns.example:8080/a/b?c", "ddns.example"),
        ("https://me:pw@ddns.example", "ddns.example"),
        ("https://me:pw@[2001:db8::1]:8443/x", "[2001:db8::1]"),
    ] {
        let request = Request {
            method: "GET",
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            max_reply: 0,
            cut_will_do: false,
            family: None,
        };
        let Some(next) = redirect::follow(&request, 302, &text, &Secrets::default()) else { continue };
        let Ok(next) = next else { continue };
        let (scheme, rest) = next.url.split_once("://").expect("absolute");
        assert!(scheme == "https" || (scheme == "http" && url.starts_with("http:")));
        let authority = rest.split(['/', '?', '#']).next().expect("a first piece");
        let place = authority.rsplit('@').next().expect("a last piece");
        let named = match place.rsplit_once(':') {
            Some((named, port)) if !port.contains(']') => named,
            _ => place,
        };
        let lower = named.to_ascii_lowercase();
        assert!(lower == host || lower.ends_with(&format!(".{host}")), "{url} to {}", next.url);
        assert!(!next.url.contains('#') && next.url.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(lower == host || !next.url.contains("me:pw"), "{}", next.url);
        let asked = HttpUrl::parse(&next.url).expect("a URL");
        assert_eq!((asked.https, asked.host), (scheme == "https", named));
    }
}

/// By counting, year by year and month by month.
fn write_date(seconds: u64) -> String {
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("Sun, {:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", days + 1, names[month])
}

/// What is accepted is one address of the family that was asked over, one that a
/// host could have, and nothing stands beside it; in lines, one line says it.
pub(super) fn echo_answer(data: &[u8]) {
    let body = String::from_utf8_lossy(data);
    for family in [Family::V4, Family::V6] {
        check_echo(&body, "/", family, Some(body.trim_end_matches(|c: char| c.is_ascii_whitespace())));
        // A carriage return belongs to the end of a line only where a line feed follows.
        let line = |line| match str::strip_suffix(line, '\n') {
            Some(line) => line.strip_suffix('\r').unwrap_or(line),
            None => line,
        };
        let values = |key| body.split_inclusive('\n').filter_map(move |text| line(text).strip_prefix(key));
        let tunnel = values("warp=").any(|value: &str| value != "off");
        let mut told = values("ip=");
        let only = told.next().filter(|_| told.next().is_none() && !tunnel);
        check_echo(&body, "/cdn-cgi/trace", family, only);
    }
}

/// `told` is what a second reader takes for the address.
fn check_echo(body: &str, path: &str, family: Family, told: Option<&str>) {
    let expected = told.and_then(|text| text.parse::<IpAddr>().ok()).filter(|address| {
        let usable = !matches!(scope(*address), Scope::Unusable(_));
        usable && address.is_ipv4() == (family == Family::V4) && body.len() <= MAX_ANSWER
    });
    match read(body, path, family) {
        Ok(address) => {
            assert_eq!(Some(address), expected);
            assert!(address.is_ipv6() || told == Some(&address.to_string()), "IPv4 is written in one way");
            assert_eq!(read(&format!("{address}\r\n"), "/", family), Ok(address));
            assert!(read(&format!("{address} {address}"), "/", family).is_err());
        }
        Err(error) => {
            assert_eq!(expected, None);
            let why = error.to_string();
            assert!(!why.chars().any(char::is_control) && why.len() < 600, "{why}");
        }
    }
}
