//! A request as it goes over the wire (RFC 9112, section 3). Pure.

use super::tunnel;
use crate::config::Proxy;
use crate::transport::error::Error;
use crate::transport::url::Place;
use crate::updaters::Request;

/// Says who asks, as the terms of use of many services want it.
const USER_AGENT: &str =
    concat!("ddns-update-daemon/", env!("CARGO_PKG_VERSION"), " (+", env!("CARGO_PKG_REPOSITORY"), ")");

/// Head and body of `request` to `place`. A `proxy` that is to send it on needs the
/// whole URL in its first line (RFC 9112, section 3.2.2).
pub(super) fn bytes(request: &Request, place: &Place<'_>, proxy: Option<&Proxy>) -> Result<Vec<u8>, Error> {
    let server = proxy.map(|_| format!("http://{}", place.authority())).unwrap_or_default();
    let mut head = format!("{} {server}{} HTTP/1.1\r\n", request.method, place.target());
    let mut add = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    let given = |name: &str| request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut add_default = |name: &str, value: &str| {
        if !given(name) {
            add(name, value);
        }
    };
    add_default("Host", &place.host_field());
    if let Some(user) = place.user {
        // RFC 7617 wants the colon, even of nothing.
        let colon = if user.contains(':') { "" } else { ":" };
        add_default("Authorization", &tunnel::basic(&format!("{user}{colon}")));
    }
    add_default("User-Agent", USER_AGENT);
    add_default("Accept", "*/*");
    // Servers want a length of these, even of nothing.
    let needs_length = matches!(request.method, "POST" | "PUT" | "PATCH");
    let body = request.body.as_deref();
    if body.is_some() || needs_length {
        add_default("Content-Length", &body.unwrap_or_default().len().to_string());
    }
    if let Some(value) = proxy.and_then(tunnel::authorization) {
        add("Proxy-Authorization", &value);
    }
    for (name, value) in &request.headers {
        if !is_name(name) || !is_value(value) {
            return Err(Error::Url);
        }
        add(name, value);
    }
    head.push_str("\r\n");
    head.push_str(body.unwrap_or_default());
    Ok(head.into_bytes())
}

/// RFC 9110, section 5.6.2.
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// RFC 9110, section 5.5.
fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &'static str, headers: &[(&str, &str)], body: Option<&str>) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let body = body.map(str::to_owned);
        Request { method, url: String::new(), headers, body, max_reply: 0, family: None }
    }

    fn written(request: &Request, url: &str, proxy: Option<&Proxy>) -> Option<String> {
        let bytes = bytes(request, &Place::of(url).unwrap(), proxy).ok()?;
        Some(String::from_utf8(bytes).unwrap().replace(USER_AGENT, "us"))
    }

    #[test]
    fn a_request_says_where_it_goes_and_from_whom() {
        let url = "http://me@ddns.example/a?b";
        assert_eq!(
            written(&request("GET", &[], None), url, None).unwrap(),
            "GET /a?b HTTP/1.1\r\nHost: ddns.example\r\nAuthorization: Basic bWU6\r\nUser-Agent: us\r\n\
             Accept: */*\r\n\r\n"
        );
        let proxy = Proxy::read("http://x:y@proxy.example").unwrap();
        assert_eq!(
            written(&request("POST", &[("X-A", "b")], Some("c")), "http://x:81", Some(&proxy)).unwrap(),
            "POST http://x:81/ HTTP/1.1\r\nHost: x:81\r\nUser-Agent: us\r\nAccept: */*\r\n\
             Content-Length: 1\r\nProxy-Authorization: Basic eDp5\r\nX-A: b\r\n\r\nc"
        );
    }

    #[test]
    fn a_field_of_the_configuration_takes_the_place_of_ours() {
        let headers = [("user-agent", "x"), ("HOST", "h"), ("authorization", "y")];
        let text = written(&request("PUT", &headers, None), "http://a:b@ddns.example/", None).unwrap();
        assert_eq!(
            text,
            "PUT / HTTP/1.1\r\nAccept: */*\r\nContent-Length: 0\r\nuser-agent: x\r\nHOST: h\r\n\
             authorization: y\r\n\r\n"
        );
    }

    #[test]
    fn nothing_is_smuggled_into_a_head() {
        for header in [("", "x"), ("a b", "x"), ("a:", "x"), ("a\r\n", "x"), ("a", "x\r\ny: z"), ("a", "\0")]
        {
            assert_eq!(written(&request("GET", &[header], None), "http://x/", None), None, "{header:?}");
        }
        assert!(written(&request("GET", &[("a", "\u{e9}\tx")], None), "http://x/", None).is_some());
    }
}
