//! Which redirects are followed, and with what (RFC 9110, section 15.4; RFC 3986,
//! section 5.2). Pure.
//!
//! Requests carry credentials, so a redirect may lead to the same host, to one
//! below it, or from `www.x` to `x`; never from https to http. What could be a
//! credential goes to the same origin only, a body to the same host only.

use super::message::Request;
use super::url::{HttpUrl, encode, without_dots};
use crate::quote::{self, Secrets};

/// Header fields that are no secret; any other may be one.
const HARMLESS: [&str; 4] = ["accept", "accept-language", "content-type", "user-agent"];

/// The request that follows `request` when its answer has this status and
/// `Location`; `None` if that is no redirect. An error tells where it led and why
/// we do not go there.
#[must_use]
pub fn follow(
    request: &Request,
    status: u16,
    location: &str,
    secrets: &Secrets,
) -> Option<Result<Request, String>> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let from = HttpUrl::parse(&request.url)?;
    let target = resolve(&from, location);
    let Some(to) = HttpUrl::parse(&target) else {
        return Some(Err("a URL that is not valid".to_owned()));
    };
    let refuse = |why: &str| Some(Err(format!("{}, {why}", shown(&from, &to, secrets))));
    let same_host = to.host.eq_ignore_ascii_case(from.host);
    let same_origin = same_host && (to.https, to.port()) == (from.https, from.port());
    let repeats = matches!(request.method, "GET" | "HEAD") || matches!(status, 307 | 308);
    if from.https && !to.https {
        refuse("which gives up TLS")
    } else if !same_host && !is_near(&from, &to) {
        refuse("another host")
    } else if !repeats {
        refuse("for another method")
    } else if !same_host && request.body.as_ref().is_some_and(|body| !body.is_empty()) {
        refuse("another host, where the body does not go")
    } else {
        let user = from.user.filter(|_| same_origin);
        let url = to.with_path(&without_dots(to.path)).write(to.host, user, to.query);
        let mut next = Request { url, ..request.clone() };
        next.headers.retain(|(name, _)| same_origin || is_harmless(name));
        Some(Ok(next))
    }
}

fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether `to` is below the host of `from`, or is it without `www.`.
fn is_near(from: &HttpUrl<'_>, to: &HttpUrl<'_>) -> bool {
    let (from_host, to_host) = (from.host.to_ascii_lowercase(), to.host.to_ascii_lowercase());
    let below = |host: &str, above: &str| host.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'));
    from.address().is_none()
        && to.address().is_none()
        && (below(&to_host, &from_host) || from_host.strip_prefix("www.") == Some(&to_host))
}

/// Scheme, host and port: what of a URL may be shown. A name is the server's own word, and
/// may repeat what it was sent.
fn shown(from: &HttpUrl<'_>, to: &HttpUrl<'_>, secrets: &Secrets) -> String {
    let bare = HttpUrl { path: "", query: None, ..*to }.to_send();
    let bare = bare.trim_end_matches('/');
    // The name that it was asked by is ours.
    let own = Some(bare).filter(|_| to.host.eq_ignore_ascii_case(from.host));
    let text = quote::said(bare, secrets, own);
    text.trim_matches('"').to_owned()
}

/// `location` as an absolute URL. What may not stand in one is percent-encoded.
fn resolve(from: &HttpUrl<'_>, location: &str) -> String {
    let location = encode(location.trim());
    let location = location.split('#').next().unwrap_or_default();
    let scheme = if from.https { "https" } else { "http" };
    // Behind a slash or question mark it belongs to a path or query.
    if location.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?'])) {
        return location.to_owned();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else if location.is_empty() || location.starts_with('?') {
        format!("{}{location}", from.path)
    } else {
        let folder = from.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    let (path, query) = path.split_once('?').map_or((&*path, None), |(path, query)| (path, Some(query)));
    HttpUrl { path, query, ..*from }.to_send()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &'static str, url: &str, body: Option<&str>) -> Request {
        let headers = [("X-Token", "hunter2"), ("Content-Type", "text/plain")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let body = body.map(str::to_owned);
        Request { method, url: url.to_owned(), headers, body, max_reply: 9, cut_will_do: false, family: None }
    }

    fn led(method: &'static str, status: u16, url: &str, location: &str) -> Result<String, String> {
        follow(&request(method, url, None), status, location, &Secrets::default())
            .unwrap()
            .map(|next| next.url)
    }

    #[test]
    fn redirects_stay_near_the_host() {
        let url = "https://me:pw@Ddns.example:8443/a/b?token=x";
        for (location, target) in [
            ("/c?d#e", Ok("https://me:pw@Ddns.example:8443/c?d")),
            ("c", Ok("https://me:pw@Ddns.example:8443/a/c")),
            ("../c", Ok("https://me:pw@Ddns.example:8443/c")),
            ("https://ddns.example/x/%2e%2e/./c?/../", Ok("https://ddns.example/c?/../")),
            ("?c", Ok("https://me:pw@Ddns.example:8443/a/b?c")),
            ("", Ok("https://me:pw@Ddns.example:8443/a/b")),
            ("/\u{fc} x", Ok("https://me:pw@Ddns.example:8443/%C3%BC%20x")),
            ("/c?from=https://x/", Ok("https://me:pw@Ddns.example:8443/c?from=https://x/")),
            ("HTTPS://ddns.example:8443/c", Ok("https://me:pw@ddns.example:8443/c")),
            ("//ddns.example:8443/c", Ok("https://me:pw@ddns.example:8443/c")),
            ("https://ddns.example/c", Ok("https://ddns.example/c")),
            ("https://api.ddns.example/c", Ok("https://api.ddns.example/c")),
            ("https://x:y@ddns.example:8443/", Ok("https://me:pw@ddns.example:8443/")),
            ("https://ddns.example:8443@evil.example/c?s3cret", Err("https://evil.example, another host")),
            ("https://evilddns.example/c", Err("https://evilddns.example, another host")),
            ("https://example/c", Err("https://example, another host")),
            ("//evil.example:81/c", Err("https://evil.example:81, another host")),
            ("http://ddns.example:8443/c", Err("http://ddns.example:8443, which gives up TLS")),
            ("ftp://ddns.example:8443/c", Err("a URL that is not valid")),
            ("https://[::1/", Err("a URL that is not valid")),
        ] {
            let found = led("GET", 302, url, location);
            assert_eq!(found.as_deref().map_err(|why| &**why), target, "{location}");
        }
        for (url, location, follows) in [
            ("http://ddns.example/a", "https://ddns.example/a", true),
            ("http://[::1]:80/a", "https://[::1]/a", true),
            ("http://[::1]:80/a", "https://[::2]/a", false),
            ("https://www.ddns.example/a", "https://ddns.example/a", true),
            ("https://ddns.example/a", "https://www.ddns.example/a", true),
            ("https://api.ddns.example/a", "https://ddns.example/a", false),
            ("http://2.1/a", "http://192.0.2.1/a", false),
            ("http://ddns.example", "c", true),
        ] {
            assert_eq!(led("GET", 301, url, location).is_ok(), follows, "{url} to {location}");
        }
    }

    #[test]
    fn a_place_that_repeats_the_credentials_is_not_shown() {
        let sent = request("GET", "https://ddns.example/", None);
        // hunter:correcthorse
        let secrets = Secrets::new(["aHVudGVyOmNvcnJlY3Rob3JzZQ=="]);
        for host in ["correcthorse.example", "my.hunter.example", "correct.horse"] {
            let why = follow(&sent, 302, &format!("https://{host}/"), &secrets).unwrap().unwrap_err();
            assert!(!why.contains("hunter") && !why.contains("correct") && !why.contains("horse"), "{why}");
        }
    }

    #[test]
    fn methods_go_on_where_the_status_says_that_they_do() {
        for status in [301, 302, 303, 307, 308] {
            assert!(
                led("GET", status, "http://x/", "/y").is_ok()
                    && led("HEAD", status, "http://x/", "/y").is_ok()
            );
            let post = led("POST", status, "http://x/", "/y");
            assert_eq!(post.is_ok(), status >= 307, "{status}");
        }
        for status in [200, 300, 304, 305, 404] {
            assert!(follow(&request("GET", "http://x/", None), status, "/y", &Secrets::default()).is_none());
        }
    }

    #[test]
    fn secrets_stay_with_the_origin_and_bodies_with_the_host() {
        let headers = |location: &str| {
            let next =
                follow(&request("GET", "https://me:pw@x.example/", None), 302, location, &Secrets::default())
                    .unwrap()
                    .unwrap();
            (next.headers.len(), next.url.contains("pw"))
        };
        assert_eq!(headers("/y"), (2, true));
        assert_eq!(headers("https://x.example:444/"), (1, false));
        assert_eq!(headers("https://y.x.example/"), (1, false));
        let post = request("POST", "http://x.example/", Some("secret"));
        let led = |location| follow(&post, 308, location, &Secrets::default()).unwrap();
        assert!(led("http://x.example:81/").is_ok());
        assert!(led("http://y.x.example/").is_err());
    }
}
