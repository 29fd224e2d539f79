//! What each service wants to be sent; pure.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::config::notify::{Happening, Heartbeat, Notify, Preset};
use crate::secret::Secret;
use crate::transport::message::Request;
use crate::transport::url::HttpUrl;
use crate::updaters::run::Plan;

/// The time for a request.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The time for a program: one that sends mail looks names up.
pub const PROGRAM_TIMEOUT: Duration = Duration::from_secs(60);
/// Of an answer only the status counts.
const MAX_REPLY: usize = 4096;
/// Bytes of a text in a query, encoded three times as long at most.
const MAX_QUERY: usize = 300;

/// How a text is sent.
pub enum Means {
    /// To a server.
    Web(Request),
    /// By a program.
    Program(Plan),
}

/// The message for one `[[notify]]` section.
#[must_use]
pub fn compose(to: &Notify, happening: Happening, text: &str) -> Means {
    if let Some((program, args)) = to.cmd.split_first() {
        let input = match to.preset {
            // RFC 5322; sender, date and recipient are the program's.
            Some(Preset::Mail) => format!(
                "Subject: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{text}\n",
                title(happening)
            ),
            _ => format!("{text}\n"),
        };
        let env =
            vec![("DDNS_EVENT", Some(happening.word().to_owned())), ("DDNS_MESSAGE", Some(text.to_owned()))];
        return Means::Program(Plan {
            program: program.clone(),
            args: args.to_vec(),
            env,
            input: Some(input),
        });
    }
    let token = to.token.as_ref().map_or("", Secret::reveal);
    let url = to.url.reveal();
    let mut headers = Vec::new();
    let (url, kind, body) = match to.preset {
        None | Some(Preset::Mail) => (url.to_owned(), "text/plain; charset=utf-8", text.to_owned()),
        Some(Preset::Ntfy) => {
            let (tag, priority) = match happening {
                Happening::Failure => ("warning", "high"),
                Happening::Change | Happening::Recovery => ("white_check_mark", "default"),
            };
            let own = [("Title", title(happening)), ("Tags", tag), ("Priority", priority)];
            headers.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
            if !token.is_empty() {
                headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
            }
            (url.to_owned(), "text/plain; charset=utf-8", text.to_owned())
        }
        Some(Preset::Gotify) => {
            headers.push(("X-Gotify-Key".to_owned(), token.to_owned()));
            let priority = if happening == Happening::Failure { 8 } else { 4 };
            (below(url, "message"), JSON, json(&Gotify { title: title(happening), message: text, priority }))
        }
        Some(Preset::Telegram) => {
            let body = Telegram { chat_id: &to.chat, text };
            (below(url, &format!("bot{token}/sendMessage")), JSON, json(&body))
        }
        Some(Preset::Discord) => {
            let body = Discord { content: text, allowed_mentions: Mentions { parse: [] } };
            (url.to_owned(), JSON, json(&body))
        }
        Some(Preset::Slack) => {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            (url.to_owned(), JSON, json(&Slack { text: &text }))
        }
    };
    headers.push(("Content-Type".to_owned(), kind.to_owned()));
    // The user's own come instead.
    headers.retain(|(name, _)| !to.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
    headers.extend(to.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())));
    Means::Web(request("POST", url, headers, Some(body)))
}

/// A ping. Uptime Kuma is known by `/api/push/` in its path and is told by a query,
/// every other server as healthchecks.io: POST, a failure at `/fail`.
#[must_use]
pub fn ping(to: &Heartbeat, ok: bool, text: &str) -> Request {
    let url = to.url.reveal();
    let Ok(parts) = HttpUrl::split(url) else { return request("POST", url.to_owned(), Vec::new(), None) };
    if parts.path.contains("/api/push/") {
        let (status, text) = (if ok { "up" } else { "down" }, cut(text, MAX_QUERY));
        let query = format!("status={status}&msg={}", utf8_percent_encode(text, NON_ALPHANUMERIC));
        return request("GET", parts.write(parts.host, parts.user, Some(&query)), Vec::new(), None);
    }
    let path = if ok { parts.path.to_owned() } else { format!("{}/fail", parts.path.trim_end_matches('/')) };
    let url = parts.with_path(&path).write(parts.host, parts.user, parts.query);
    let headers = vec![("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned())];
    request("POST", url, headers, Some(text.to_owned()))
}

const JSON: &str = "application/json";

#[derive(Serialize)]
struct Gotify<'a> {
    title: &'a str,
    message: &'a str,
    priority: u8,
}

#[derive(Serialize)]
struct Telegram<'a> {
    chat_id: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Discord<'a> {
    content: &'a str,
    allowed_mentions: Mentions,
}

/// A name in a text must not ring everybody.
#[derive(Serialize)]
struct Mentions {
    parse: [&'static str; 0],
}

#[derive(Serialize)]
struct Slack<'a> {
    text: &'a str,
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn title(happening: Happening) -> &'static str {
    match happening {
        Happening::Change => "DDNS: address changed",
        Happening::Failure => "DDNS: not up to date",
        Happening::Recovery => "DDNS: up to date again",
    }
}

/// `path` below that of `url`.
fn below(url: &str, path: &str) -> String {
    let Ok(parts) = HttpUrl::split(url) else { return url.to_owned() };
    let base = parts.path.trim_end_matches('/');
    parts.with_path(&format!("{base}/{path}")).write(parts.host, parts.user, None)
}

fn request(
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
) -> Request {
    Request { method, url, headers, body, max_reply: MAX_REPLY, cut_will_do: true, family: None }
}

/// The beginning of a text, at most so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "A home.example: 1.2.3.4 -> \"5.6.7.8\" <&>";

    fn to(preset: Option<Preset>, url: &str) -> Notify {
        Notify {
            preset,
            cmd: Vec::new(),
            url: Secret::new(url.to_owned()),
            token: Some(Secret::new("t0k".to_owned())),
            chat: "-42".to_owned(),
            headers: Vec::new(),
            on: [true; 3],
            after: Duration::from_secs(60),
        }
    }

    fn web(to: &Notify, happening: Happening) -> Request {
        match compose(to, happening, TEXT) {
            Means::Web(request) => request,
            Means::Program(_) => panic!("a program"),
        }
    }

    #[test]
    fn each_service_gets_its_own_form() {
        for (preset, url, at, kind, body) in [
            (None, "https://h.example/x?y", "https://h.example/x?y", "text/plain; charset=utf-8", TEXT),
            (
                Some(Preset::Ntfy),
                "https://ntfy.sh/home",
                "https://ntfy.sh/home",
                "text/plain; charset=utf-8",
                TEXT,
            ),
            (
                Some(Preset::Gotify),
                "https://g.example/sub/",
                "https://g.example/sub/message",
                JSON,
                r#"{"title":"DDNS: not up to date","message":"A home.example: 1.2.3.4 -> \"5.6.7.8\" <&>","priority":8}"#,
            ),
            (
                Some(Preset::Telegram),
                "https://api.telegram.org/",
                "https://api.telegram.org/bott0k/sendMessage",
                JSON,
                r#"{"chat_id":"-42","text":"A home.example: 1.2.3.4 -> \"5.6.7.8\" <&>"}"#,
            ),
            (
                Some(Preset::Discord),
                "https://discord.com/api/webhooks/1/abc",
                "https://discord.com/api/webhooks/1/abc",
                JSON,
                r#"{"content":"A home.example: 1.2.3.4 -> \"5.6.7.8\" <&>","allowed_mentions":{"parse":[]}}"#,
            ),
            (
                Some(Preset::Slack),
                "https://hooks.slack.com/services/T/B/x",
                "https://hooks.slack.com/services/T/B/x",
                JSON,
                r#"{"text":"A home.example: 1.2.3.4 -&gt; \"5.6.7.8\" &lt;&amp;&gt;"}"#,
            ),
        ] {
            let request = web(&to(preset, url), Happening::Failure);
            assert_eq!(
                (request.method, request.url.as_str(), request.body.as_deref()),
                ("POST", at, Some(body))
            );
            let field = |name: &str| {
                request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
            };
            assert_eq!(field("Content-Type"), Some(kind));
            assert_eq!(field("X-Gotify-Key"), (preset == Some(Preset::Gotify)).then_some("t0k"));
            assert_eq!(field("Authorization"), (preset == Some(Preset::Ntfy)).then_some("Bearer t0k"));
            assert_eq!(field("Priority"), (preset == Some(Preset::Ntfy)).then_some("high"));
        }
    }

    #[test]
    fn the_users_header_fields_come_instead_of_ours() {
        let mut to = to(Some(Preset::Ntfy), "https://ntfy.sh/home");
        to.headers = vec![("title".to_owned(), Secret::new("mine".to_owned()))];
        let request = web(&to, Happening::Change);
        let titles = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("title"));
        assert_eq!(titles.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"]);
    }

    #[test]
    fn a_program_reads_the_text_or_a_mail() {
        let mut to = to(Some(Preset::Mail), "");
        to.cmd = ["sendmail", "-i", "me@example.org"].map(str::to_owned).to_vec();
        let input = |to: &Notify| match compose(to, Happening::Recovery, "A x: again") {
            Means::Program(plan) => {
                assert_eq!((plan.program.as_str(), plan.args.len()), ("sendmail", 2));
                assert_eq!(plan.env[0], ("DDNS_EVENT", Some("recovery".to_owned())));
                assert_eq!(plan.env[1], ("DDNS_MESSAGE", Some("A x: again".to_owned())));
                plan.input.unwrap()
            }
            Means::Web(_) => panic!("a request"),
        };
        assert_eq!(
            input(&to),
            "Subject: DDNS: up to date again\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n\
             A x: again\n"
        );
        to.preset = None;
        assert_eq!(input(&to), "A x: again\n");
    }

    #[test]
    fn a_ping_is_as_its_server_wants_it() {
        for (url, ok, method, at, body) in [
            ("https://hc-ping.com/uuid", true, "POST", "https://hc-ping.com/uuid", Some("2 of 2 ok")),
            ("https://hc-ping.com/uuid", false, "POST", "https://hc-ping.com/uuid/fail", Some("2 of 2 ok")),
            (
                "https://hc.example/ping/k/s?create=1",
                false,
                "POST",
                "https://hc.example/ping/k/s/fail?create=1",
                Some("2 of 2 ok"),
            ),
            (
                "https://kuma.example/api/push/tok?status=up&msg=OK&ping=",
                true,
                "GET",
                "https://kuma.example/api/push/tok?status=up&msg=2%20of%202%20ok",
                None,
            ),
            (
                "https://kuma.example/sub/api/push/tok",
                false,
                "GET",
                "https://kuma.example/sub/api/push/tok?status=down&msg=2%20of%202%20ok",
                None,
            ),
        ] {
            let to = Heartbeat { url: Secret::new(url.to_owned()), every: Duration::from_secs(60) };
            let request = ping(&to, ok, "2 of 2 ok");
            assert_eq!((request.method, request.url.as_str(), request.body.as_deref()), (method, at, body));
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aöb", 2), "a");
        assert_eq!(cut("aöb", 3), "aö");
        assert_eq!(cut("aöb", 9), "aöb");
    }
}
