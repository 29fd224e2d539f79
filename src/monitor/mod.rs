//! What a browser, Prometheus or an orchestrator may ask for; pure. The sockets are in
//! [`listener`].
//!
//! Read-only, GET and HEAD. A name in Host that is not ours is refused, so that no page
//! from elsewhere reads this by a name that it makes lead here (DNS rebinding).

pub mod listener;
pub mod metrics;

use std::net::IpAddr;

use crate::engine::status::Status;
use crate::http::Head;

/// The page; its style and script are allowed by what they are, and nothing else is.
const PAGE: &str = include_str!("page.html");
const POLICY: &str = "Content-Security-Policy: default-src 'none'; connect-src 'self'; \
    style-src 'sha256-6U3QJH/0/GowA0ELcOKM5lZvGKSOSoL2qba0rPoglGU='; script-src 'sha256-S0uq+wr8etBLckV6dh493dJQ9fSUO8srJFY5glDsMOc='; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n";

const TEXT: &str = "text/plain; charset=utf-8";
/// Targets that are named where they are not current.
const MAX_NAMES: usize = 20;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Page {
    Index,
    Metrics,
    Health,
    Ready,
    Status,
}

/// A request that is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked {
    pub page: Page,
    /// The head of the answer is enough.
    pub head_only: bool,
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Code and reason.
    pub status: &'static str,
    kind: &'static str,
    /// More header fields, each with its CRLF.
    fields: &'static str,
    pub body: String,
}

impl Answer {
    fn new(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind: TEXT, fields: "", body: body.into() }
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self, head_only: bool) -> Vec<u8> {
        let Self { status, kind, fields, body } = self;
        let length = body.len();
        let shown = if head_only { "" } else { body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{fields}\r\n{shown}"
        )
        .into_bytes()
    }
}

/// What the head of a request asks for, or the answer that refuses it. `hosts`: names
/// besides localhost and addresses that may stand in Host.
pub fn judge(head: &[u8], hosts: &[String]) -> Result<Asked, Answer> {
    let bad = || Answer::new("400 Bad Request", "not a request of HTTP/1\n");
    let (head, _) = Head::parse(head).map_err(|_| bad())?;
    let mut words = head.start.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    if !head.one("Host").is_some_and(|host| is_ours(host, hosts)) {
        return Err(Answer::new(
            "403 Forbidden",
            "this name is not known here; hosts = [...] in [monitor] takes names besides localhost and addresses\n",
        ));
    }
    if !matches!(method, "GET" | "HEAD") {
        let refused = Answer::new("405 Method Not Allowed", "nothing can be changed here\n");
        return Err(Answer { fields: "Allow: GET, HEAD\r\n", ..refused });
    }
    let page = match target.split('?').next().unwrap_or_default() {
        "/" => Page::Index,
        "/metrics" => Page::Metrics,
        "/health" => Page::Health,
        "/ready" => Page::Ready,
        "/status.json" => Page::Status,
        _ => return Err(Answer::new("404 Not Found", "there is / /metrics /health /ready /status.json\n")),
    };
    Ok(Asked { page, head_only: method == "HEAD" })
}

/// Whether the value of Host is an address, localhost or one of `hosts`, with a port or
/// without.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return matches!(address.parse(), Ok(IpAddr::V6(_))) && (port.is_empty() || is_port(port));
    }
    let name = match host.find(':').and_then(|colon| host.split_at_checked(colon)) {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    matches!(name.parse(), Ok(IpAddr::V4(_)))
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The page for people, which needs nothing of the daemon.
#[must_use]
pub fn index() -> Answer {
    Answer { kind: "text/html; charset=utf-8", fields: POLICY, ..Answer::new("200 OK", PAGE) }
}

/// The answer to what is asked; without a status, the daemon does not answer.
#[must_use]
pub fn answer(page: Page, status: Option<&Status>) -> Answer {
    let Some(status) = status else {
        return Answer::new("503 Service Unavailable", "the daemon does not answer\n");
    };
    match page {
        Page::Index => index(),
        Page::Metrics => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            Answer { kind, ..Answer::new("200 OK", metrics::write(status)) }
        }
        Page::Health if status.polls_in_time => Answer::new("200 OK", "it lives and polls in time\n"),
        Page::Health => Answer::new("503 Service Unavailable", "it polls too late\n"),
        Page::Ready => ready(status),
        Page::Status => Answer { kind: "application/json", ..Answer::new("200 OK", status.to_json()) },
    }
}

fn ready(status: &Status) -> Answer {
    let behind = status.targets.iter().filter(|target| target.state != "ok");
    let left_out = status.left_out.iter().map(String::as_str);
    let names: Vec<&str> = behind.map(|target| target.name.as_str()).chain(left_out).collect();
    if names.is_empty() {
        return Answer::new("200 OK", "every target is current\n");
    }
    let all = status.targets.len().saturating_add(status.left_out.len());
    let shown: Vec<String> =
        names.iter().take(MAX_NAMES).map(|name| name.replace(char::is_control, " ")).collect();
    let body = format!("{} of {} not current:\n{}\n", names.len(), all, shown.join("\n"));
    Answer::new("503 Service Unavailable", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn what_is_asked_is_told_apart() {
        for (start, host, expected) in [
            ("GET / HTTP/1.1", "127.0.0.1:9853", Ok((Page::Index, false))),
            ("HEAD /metrics HTTP/1.1", "[::1]:9853", Ok((Page::Metrics, true))),
            ("GET /health HTTP/1.0", "localhost", Ok((Page::Health, false))),
            ("GET /ready?x=1 HTTP/1.1", "LOCALHOST.:1", Ok((Page::Ready, false))),
            ("GET /status.json HTTP/1.1", "ddns", Ok((Page::Status, false))),
            ("GET /status.json HTTP/1.1", "DDNS.:80", Ok((Page::Status, false))),
            ("GET /../metrics HTTP/1.1", "localhost", Err("404 Not Found")),
            ("GET http://localhost/metrics HTTP/1.1", "localhost", Err("404 Not Found")),
            ("POST / HTTP/1.1", "localhost", Err("405 Method Not Allowed")),
            ("DELETE /metrics HTTP/1.1", "localhost", Err("405 Method Not Allowed")),
            ("GET / HTTP/2", "localhost", Err("400 Bad Request")),
            ("GET /", "localhost", Err("400 Bad Request")),
            ("GET  / HTTP/1.1", "localhost", Err("400 Bad Request")),
            ("GET / HTTP/1.1", "evil.example", Err("403 Forbidden")),
            ("POST / HTTP/1.1", "evil.example", Err("403 Forbidden")),
            ("GET / HTTP/1.1", "127.0.0.1.evil.example", Err("403 Forbidden")),
            ("GET / HTTP/1.1", "localhost:80@evil.example", Err("403 Forbidden")),
            ("GET / HTTP/1.1", "[127.0.0.1]", Err("403 Forbidden")),
            ("GET / HTTP/1.1", "::1", Err("403 Forbidden")),
            ("GET / HTTP/1.1", "", Err("403 Forbidden")),
            ("GET / HTTP/1.1", "localhost\r\nHost: localhost", Err("403 Forbidden")),
        ] {
            let head = format!("{start}\r\nHost: {host}\r\n\r\n");
            let asked = judge(head.as_bytes(), &["ddns".to_owned()]);
            let asked = asked.map(|asked| (asked.page, asked.head_only)).map_err(|refused| refused.status);
            assert_eq!(asked, expected, "{head}");
        }
        assert_eq!(judge(b"GET / HTTP/1.1\r\n\r\n", &[]).unwrap_err().status, "403 Forbidden");
        assert_eq!(judge(b"\0", &[]).unwrap_err().status, "400 Bad Request");
    }

    #[test]
    fn the_page_is_small_and_its_policy_allows_it_and_nothing_else() {
        assert!(PAGE.len() < 6000, "{}", PAGE.len());
        for address in ["//", "src=", "@import", "url(", "innerHTML", "eval"] {
            let namespace = PAGE.replace("http://www.w3.org/2000/svg", "");
            assert!(!namespace.contains(address), "{address}");
        }
        for tag in ["style", "script"] {
            let (_, rest) = PAGE.split_once(&format!("<{tag}>")).unwrap();
            let (text, _) = rest.split_once(&format!("</{tag}>")).unwrap();
            let digest = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
            assert!(POLICY.contains(&format!("{tag}-src 'sha256-{digest}'")), "{tag}: sha256-{digest}");
        }
    }

    #[test]
    fn a_head_has_the_length_of_the_whole() {
        let answer = Answer::new("200 OK", "ö\n");
        let text = |head_only| String::from_utf8(answer.bytes(head_only)).unwrap();
        assert!(text(true).starts_with("HTTP/1.1 200 OK\r\n") && text(true).ends_with("\r\n\r\n"));
        assert!(text(true).contains("Content-Length: 3\r\n"));
        assert_eq!(text(false), text(true) + "ö\n");
    }
}
