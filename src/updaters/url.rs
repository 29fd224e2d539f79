//! A request of the user's own making, and what its answer means.
//!
//! Most services that such URLs lead to speak dyndns2 or a cousin of it
//! (`help.dyn.com/remote-access-api/return-codes`), so its failure words count
//! even where the status says 200, and so do those of JSON, XML and of pages that
//! somebody in between sends. Only dyndns2's own words block a target: any other
//! refusal may be a web filter's or a login page's. Left out: regular expressions.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::body::{first_word, sentence, tells_failure};
use super::{Ask, Failure, Outcome, Reply, Request, SHORT_REPLY, Task, Updater, needs_person, or_person};
use crate::config;
use crate::config::placeholders;
use crate::quote;

/// How long `dnserr` and `911` ask for (the dyndns2 specification, "return codes").
const DNSERR: Duration = Duration::from_secs(30 * 60);
/// After 429 without `Retry-After`.
const LIMITED: Duration = Duration::from_secs(5 * 60);
/// The longest wait that `w<n>h` may ask for.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Lines of an answer that are looked at: one for each host name.
const MAX_LINES: usize = 20;

/// One `[[urls]]` section at work.
#[derive(Debug)]
pub struct Url {
    config: config::Url,
    accepted: Accepted,
}

/// The first answer ever that counted as a success without `expect`: a person
/// should see what did.
#[derive(Debug)]
enum Accepted {
    NotYet,
    Note(usize, String),
    Told,
}

impl Url {
    fn note(&mut self, task: &Task, reply: &Result<Reply, Failure>, outcome: &Outcome) {
        let (Outcome::Published { .. }, Ok(reply), Accepted::NotYet) = (outcome, reply, &self.accepted)
        else {
            return;
        };
        if self.config.expect.is_none() && task.old.is_empty() {
            let answer = said(&self.config, task, reply, &reply.body);
            let text = format!("this answer counts as a success: {answer}; expect says which others do");
            self.accepted = Accepted::Note(task.entry, text);
        }
    }
}

impl Updater for Url {
    fn update(&mut self, tasks: Vec<Task>, ask: &mut Ask<'_>) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::new();
        for task in tasks {
            let reply = ask(&request(&self.config, &task));
            let outcome = judge(&self.config, &task, reply.clone());
            self.note(&task, &reply, &outcome);
            outcomes.push((task.entry, outcome));
        }
        outcomes
    }

    /// What it tells once is told of a target that has never accepted anything.
    fn remembers(&self) -> bool {
        false
    }

    fn notes(&mut self) -> Vec<(usize, String)> {
        match std::mem::replace(&mut self.accepted, Accepted::Told) {
            Accepted::Note(entry, text) => vec![(entry, text)],
            before => {
                self.accepted = before;
                Vec::new()
            }
        }
    }
}

impl config::Url {
    /// The updater of this section.
    #[must_use]
    pub fn updater(&self) -> Box<dyn Updater> {
        Box::new(Url { config: self.clone(), accepted: Accepted::NotYet })
    }

    /// What a job would do, for people; secrets stay hidden.
    #[must_use]
    pub fn intent(&self, task: &Task) -> String {
        let shown = placeholders::fill(&config::hidden_url(self.url.reveal()), &task.addresses);
        format!("send {} {shown}", self.method)
    }
}

/// The request for `task`, placeholders filled in. The colons of an IPv6
/// address may stand in a query as they are (RFC 3986, section 3.4).
#[must_use]
pub fn request(url: &config::Url, task: &Task) -> Request {
    let fill = |text: &str| placeholders::fill(text, &task.addresses);
    Request {
        method: url.method,
        url: fill(url.url.reveal()),
        headers: url.headers.iter().map(|(name, value)| (name.clone(), fill(value.reveal()))).collect(),
        body: url.body.as_ref().map(|body| fill(body.reveal())),
        max_reply: SHORT_REPLY,
        cut_will_do: true,
        family: None,
    }
}

/// What the reply to [`request`] means for `task`.
#[must_use]
pub fn judge(url: &config::Url, task: &Task, reply: Result<Reply, Failure>) -> Outcome {
    let reply = match reply {
        Ok(reply) => reply,
        Err(Failure { why, maybe_done }) => {
            let why = if maybe_done { format!("could not confirm: {why}") } else { why };
            return Outcome::Retry { why, after: None, reached: maybe_done };
        }
    };
    let said = || said(url, task, &reply, &sentence(&reply.body));
    if reply.status == 429 {
        let after = Some(reply.retry_after.unwrap_or(LIMITED));
        return retry(format!("the service asks for fewer requests ({})", said()), after);
    }
    // As in 1.0, a status that leads nowhere (304, 302 without a place) is no refusal.
    let leads_nowhere = (300..=399).contains(&reply.status) && reply.redirect.is_none();
    let success = (200..=299).contains(&reply.status) || leads_nowhere;
    let word = reply.body.split_ascii_whitespace().next().unwrap_or_default();
    let expected = url.expect.as_ref().map(|words| words.iter().any(|expected| expected == word));
    if success && expected == Some(true) {
        return Outcome::Published { changed: word != "nochg" };
    }
    if let Some(outcome) = dyndns2(&reply.body, task.addresses.ipv4, &said) {
        return outcome;
    }
    match expected {
        _ if !success => by_status(&reply, &said()),
        Some(_) => retry(format!("an answer that expect does not list ({})", said()), reply.retry_after),
        None if tells_failure(&reply.body, &task.addresses) => retry(
            format!("the service refused the update ({}); check the URL and what it needs", said()),
            reply.retry_after,
        ),
        None => Outcome::Published { changed: word != "nochg" },
    }
}

/// An answer as it is shown.
fn said(url: &config::Url, task: &Task, reply: &Reply, text: &str) -> String {
    let mut names = url.names();
    names.extend(task.addresses.texts());
    let text = quote::said(text, &reply.secrets, names.iter().map(String::as_str));
    format!("status {}, {text}", reply.status)
}

fn by_status(reply: &Reply, said: &str) -> Outcome {
    let wish = reply.retry_after;
    match reply.status {
        401 | 403 => Outcome::Refused {
            why: format!(
                "the request was refused ({said}): check the credentials; a web filter, a login page or a proxy in \
                 between says this, too"
            ),
            after: wish,
        },
        300..=399 => or_person(
            format!("the URL {}; this is not followed ({said}); use its new address", reply.redirects()),
            wish,
        ),
        400..=499 => or_person(format!("the service refused the request ({said}); check the URL"), wish),
        _ => retry(format!("the service has a fault ({said})"), wish),
    }
}

/// The failure that the answer's lines tell, if its first word is one of
/// dyndns2; with several host names one line may fail while others do not.
fn dyndns2(body: &str, sent: Option<Ipv4Addr>, said: &impl Fn() -> String) -> Option<Outcome> {
    let mut lines = body.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_LINES).peekable();
    if !matches!(first_word(lines.peek()?).as_str(), "good" | "nochg") {
        return line(lines.peek()?, sent, said);
    }
    lines.find_map(|text| line(text, sent, said))
}

/// `None`: this line tells no failure.
fn line(text: &str, sent: Option<Ipv4Addr>, said: &impl Fn() -> String) -> Option<Outcome> {
    let first = first_word(text);
    let word = first.trim_end_matches([',', '.', ';', ':']);
    let (what, todo) = match word {
        "good" => {
            let second = text.split_ascii_whitespace().nth(1);
            if second != Some("127.0.0.1") || sent == Some(Ipv4Addr::LOCALHOST) {
                return None;
            }
            ("the service ignored the request, as it does with clients that break its rules", "ask it why")
        }
        "dnserr" | "911" | "servererror" => {
            let why = format!("the service has a fault or is being maintained ({})", said());
            return Some(retry(why, Some(DNSERR)));
        }
        // DuckDNS says no more than this.
        "ko" => {
            let why = format!("the service refused the token or the name ({}); correct them", said());
            return Some(needs_person(why));
        }
        other => match refusal(other) {
            Some(refusal) => refusal,
            None => {
                let time = wait(other)?;
                return Some(retry(format!("the service asks us to wait ({})", said()), Some(time)));
            }
        },
    };
    Some(Outcome::Blocked { why: format!("{what} ({}); {todo}", said()) })
}

/// What a word by which dyndns2 refuses for good means, and what to do.
fn refusal(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "badauth" => ("the service refused the credentials", "correct them"),
        "!donator" => ("the service wants this feature to be paid for", "drop it from the URL or pay"),
        "!active" => ("the service says that the name is not active", "activate it there"),
        "!yours" => ("the name belongs to another user", "correct it"),
        "notfqdn" => ("the service wants a full host name", "correct it"),
        "nohost" => ("the service does not know the name", "correct it"),
        "numhost" => ("too many names in one request", "write a section for each"),
        "abuse" => ("the service has blocked the name", "unblock it there"),
        "badagent" => ("the service refuses this program or the method", "check method and headers"),
        "badsys" => ("the service refuses a parameter", "check the URL"),
        _ => return None,
    })
}

/// `w60s`, `w5m`, `w1h`.
pub(super) fn wait(word: &str) -> Option<Duration> {
    let rest = word.strip_prefix('w')?;
    let (digits, unit) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unit: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return None,
    };
    let seconds = digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit);
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

fn retry(why: String, after: Option<Duration>) -> Outcome {
    Outcome::Retry { why, after, reached: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Addresses;
    use crate::quote::Secrets;
    use crate::secret::Secret;
    use std::sync::Arc;

    fn url(expect: Option<&[&str]>) -> config::Url {
        config::Url {
            method: "GET",
            url: Secret::new(
                "https://me:passw0rd@ddns.example/u/pathsecret?token=hunter%4022&ip={ipv4},{ipv6}".into(),
            ),
            headers: vec![("Authorization".into(), Secret::new("Bearer bearer-{ipv4} t0ken".into()))],
            body: Some(Secret::new("pw=bodysecret&ip={ipv4}".into())),
            expect: expect.map(|words| words.iter().map(|&word| word.to_owned()).collect()),
        }
    }

    fn task() -> Task {
        let addresses = Addresses {
            ipv4: Some([192, 0, 2, 1].into()),
            ipv6: Some("2001:db8::1".parse().unwrap()),
            ipv6_prefix: None,
        };
        Task { entry: 0, addresses, old: Addresses::default() }
    }

    fn answer(status: u16, body: &str) -> Reply {
        let secrets = url(None).secrets();
        let secrets = Arc::new(Secrets::new(secrets.iter().map(String::as_str)));
        Reply { status, body: body.to_owned(), secrets, ..Reply::default() }
    }

    fn judged(status: u16, body: &str) -> Outcome {
        judge(&url(None), &task(), Ok(answer(status, body)))
    }

    #[test]
    fn a_job_is_one_request() {
        let mut sent = Vec::new();
        let outcomes =
            Url { config: url(None), accepted: Accepted::NotYet }.update(vec![task()], &mut |request| {
                sent.push(request.clone());
                Ok(answer(200, "good 192.0.2.1"))
            });
        assert_eq!(outcomes, [(0, Outcome::Published { changed: true })]);
        let [request] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(
            request.url,
            "https://me:passw0rd@ddns.example/u/pathsecret?token=hunter%4022&ip=192.0.2.1,2001:db8::1"
        );
        assert_eq!(
            request.headers,
            [("Authorization".to_owned(), "Bearer bearer-192.0.2.1 t0ken".to_owned())]
        );
        assert_eq!(request.body.as_deref(), Some("pw=bodysecret&ip=192.0.2.1"));
    }

    #[test]
    fn success_is_a_2xx_without_a_failure_word() {
        for body in ["good 192.0.2.1", "OK", "", "Good", "good 127.0.0.10", "{\"errors\": []}"] {
            assert_eq!(judged(200, body), Outcome::Published { changed: true }, "{body}");
        }
        assert_eq!(judged(204, ""), Outcome::Published { changed: true });
        assert_eq!(judged(200, "nochg 192.0.2.1\r\n"), Outcome::Published { changed: false });
    }

    #[test]
    fn any_other_refusal_is_tried_again_and_told_by_its_sentence() {
        for (body, told) in [
            ("abuses", "abuses"),
            ("badauth2 me", "…"),
            ("ERROR: Invalid update URL", "ERROR: Invalid update URL"),
            ("<html><body>Please <b>sign in</b></body></html>", "Please sign in"),
            ("{\n\"success\": false, \"errors\": [{\"message\": \"no such zone\"}]}", "no such zone"),
        ] {
            match judged(200, body) {
                Outcome::Retry { why, after: None, reached: true } => assert!(why.contains(told), "{why}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_first_accepted_answer_is_told_once() {
        let first = task();
        let later = Task { old: first.addresses, ..first };
        for (expect, task, notes) in [(None, first, 1), (Some(&["OK"][..]), first, 0), (None, later, 0)] {
            let mut url = Url { config: url(expect), accepted: Accepted::NotYet };
            let mut told = Vec::new();
            for body in ["911", "OK bodysecret", "OK again"] {
                url.update(vec![task], &mut |_| Ok(answer(200, body)));
                told.extend(url.notes());
            }
            assert_eq!((told.len(), url.remembers()), (notes, false), "{told:?}");
            for (entry, text) in told {
                assert!(entry == 0 && text.contains("OK") && !text.contains("bodysecret"), "{text}");
            }
        }
    }

    #[test]
    fn every_dyndns2_failure_has_its_meaning() {
        for word in [
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
            "BadAuth",
            "nohost.",
            "good 127.0.0.1",
            "good 192.0.2.1\nnohost",
            "nochg\r\n\r\n!yours",
        ] {
            for status in [200, 401, 403, 500] {
                assert!(matches!(judged(status, word), Outcome::Blocked { .. }), "{status} {word}");
            }
        }
        for (word, seconds) in [
            ("dnserr", 1800),
            ("911", 1800),
            ("servererror", 1800),
            ("w30s", 30),
            ("w5m", 300),
            ("w2h", 7200),
            ("w99999999999999999999h", 86400),
        ] {
            let outcome = judged(200, word);
            let wait = Some(Duration::from_secs(seconds));
            assert!(
                matches!(outcome, Outcome::Retry { after, reached: true, .. } if after == wait),
                "{outcome:?}"
            );
        }
        // No code of the specification: our own half hour.
        assert!(matches!(judged(200, "KO"), Outcome::NeedsPerson { .. }));
        for word in ["w", "wh", "w-1h", "well", "w5d"] {
            assert_eq!(judged(200, word), Outcome::Published { changed: true }, "{word}");
        }
    }

    #[test]
    fn a_redirect_that_is_not_followed_is_told_with_its_place() {
        let redirect = Some("https://evil.example, another host".to_owned());
        let outcome = judge(&url(None), &task(), Ok(Reply { redirect, ..answer(302, "moved good") }));
        let why = "the URL redirects to https://evil.example, another host; this is not followed \
                   (status 302, \"moved good\"); use its new address";
        assert_eq!(outcome, needs_person(why.to_owned()));
    }

    #[test]
    fn a_status_that_leads_nowhere_counts_as_in_1_0() {
        for status in [300, 302, 304] {
            assert_eq!(judged(status, ""), Outcome::Published { changed: true }, "{status}");
            assert!(matches!(judged(status, "nohost"), Outcome::Blocked { .. }), "{status}");
        }
    }

    #[test]
    fn a_status_outside_2xx_is_a_failure() {
        for (status, wait) in [
            (401, None),
            (403, None),
            (400, None),
            (404, None),
            (410, None),
            (429, Some(Duration::from_secs(300))),
            (500, None),
            (503, None),
        ] {
            match judged(status, "good 192.0.2.1") {
                Outcome::NeedsPerson { .. } => assert!([400, 404, 410].contains(&status), "{status}"),
                Outcome::Retry { after, reached, .. } => {
                    assert_eq!((after, reached), (wait, true), "{status}");
                }
                Outcome::Refused { after, .. } => assert_eq!(after, wait, "{status}"),
                other => panic!("{status}: {other:?}"),
            }
            let wish = Some(Duration::from_secs(2));
            let reply = Reply { status, retry_after: wish, body: String::new(), ..Reply::default() };
            let outcome = judge(&url(None), &task(), Ok(reply));
            assert!(
                matches!(outcome, Outcome::Retry { after, .. } | Outcome::Refused { after, .. } if after == wish),
                "{status}: {outcome:?}"
            );
        }
    }

    #[test]
    fn expected_words_are_the_only_success() {
        let judged =
            |status, body| judge(&url(Some(&["OK", "nochg", "KO"])), &task(), Ok(answer(status, body)));
        assert_eq!(judged(200, " OK\nmore"), Outcome::Published { changed: true });
        assert_eq!(judged(200, "nochg 192.0.2.1"), Outcome::Published { changed: false });
        assert_eq!(judged(200, "KO"), Outcome::Published { changed: true });
        for body in ["ok", "OKAY", "", "good"] {
            assert!(matches!(judged(200, body), Outcome::Retry { after: None, .. }), "{body}");
        }
        assert!(matches!(judged(200, "badauth"), Outcome::Blocked { .. }));
        assert!(matches!(judged(500, "OK"), Outcome::Retry { .. }));
    }

    #[test]
    fn a_lost_answer_is_not_called_a_failure() {
        let lost =
            |maybe_done| judge(&url(None), &task(), Err(Failure { why: "x: timed out".into(), maybe_done }));
        let retry = |why: &str, reached| Outcome::Retry { why: why.into(), after: None, reached };
        assert_eq!(lost(false), retry("x: timed out", false));
        // Not at once: the service may have counted it.
        assert_eq!(lost(true), retry("could not confirm: x: timed out", true));
    }

    #[test]
    fn no_secret_comes_back_in_an_outcome() {
        let echo = "bad t0ken, hunter@22, hunter%4022, bearer-1, bodysecret, pathsecret, passw0rd";
        for status in [401, 404, 429, 500] {
            let told = format!("{:?}", judged(status, echo));
            for secret in ["t0ken", "hunter", "bearer", "bodysecret", "pathsecret", "passw0rd"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
        let told = format!("{:?}", judged(500, "no route to 192.0.2.1"));
        assert!(told.contains("192.0.2.1"), "addresses are no secrets: {told}");
    }
}
