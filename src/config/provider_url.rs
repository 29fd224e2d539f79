//! URLs of providers: http or https, well-formed, with nothing in them that may not
//! stand in a request line.

use std::net::Ipv6Addr;

use crate::address::{Addresses, Prefix};
use crate::config::placeholders;
use crate::config::placeholders::PLACEHOLDERS;
use crate::features;
use crate::transport::url::{HttpUrl, encode, without_dots};

/// Checks a URL that may hold placeholders, and that this build can speak to it.
/// The result has its host in ASCII and everything percent-encoded that may not
/// stand in a request line; like a browser, as 1.0 did.
pub(super) fn check(
    text: &str,
    ascii_name: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let url = normal(text, ascii_name)?;
    reachable(&url)?;
    Ok(url)
}

/// Refuses `https://` in a build without TLS.
pub(super) fn reachable(url: &str) -> Result<(), String> {
    match features::left_out("tls") {
        Some(why) if HttpUrl::split(url)?.https => Err(format!("https:// is out of reach: {why}")),
        _ => Ok(()),
    }
}

fn normal(text: &str, ascii_name: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err("no line breaks or control characters may stand in a URL".to_owned());
    }
    let parts = HttpUrl::split(text)?;
    let host = if parts.host.is_ascii() { parts.host.to_owned() } else { ascii_name(parts.host)? };
    let (path, query) = (without_dots(parts.path), parts.query.map(|query| query.replace('\'', "%27")));
    let encoded = encode(&parts.with_path(&path).write(&host, parts.user, query.as_deref()));
    let filled = placeholders::fill(&encoded, &sample());
    HttpUrl::split(&filled)?.check()?;
    Ok(encoded)
}

/// Any addresses: what stands between well-formed and not is only their form.
fn sample() -> Addresses {
    let ipv6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    Addresses { ipv4: Some([192, 0, 2, 1].into()), ipv6: Some(ipv6), ipv6_prefix: Prefix::new(ipv6, 56) }
}

/// A checked URL of which only scheme, host, port and placeholders are kept: user,
/// path and query are where services take passwords and tokens. `mark` stands for
/// each piece that is not shown.
pub(super) fn hide(url: &str, mark: &str) -> String {
    let Ok(parts) = HttpUrl::split(url) else { return mark.to_owned() };
    let query = parts.query.map(|query| format!("?{query}")).unwrap_or_default();
    let rest = format!("{}{query}", parts.path.strip_prefix('/').unwrap_or(parts.path));
    let rest = format!("/{}", hide_text(&rest, mark));
    parts.with_path(&rest).write(parts.host, parts.user.map(|_| mark), None)
}

/// A text of which only placeholders are kept.
fn hide_text(text: &str, mark: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let found = rest.match_indices('{').find_map(|(at, _)| Some((at, placeholder(rest.get(at..)?)?)));
        let (at, kept) = found.unwrap_or((rest.len(), ""));
        if at > 0 {
            shown.push_str(mark);
        }
        shown.push_str(kept);
        rest = rest.get(at.saturating_add(kept.len())..).unwrap_or_default();
    }
    shown
}

/// What `[[dyndns]]` takes besides the placeholders of addresses.
const OTHERS: [&str; 6] = ["ip", "ips", "host", "username", "password", "token"];

/// The placeholder at the beginning of `text`.
fn placeholder(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let known = PLACEHOLDERS.contains(&name) || OTHERS.contains(&name);
    text.get(..name.len().saturating_add(2)).filter(|_| known)
}

/// Whether a URL seems to hold a secret: credentials, or a query key that
/// promises one.
pub(super) fn holds_secret(url: &str) -> bool {
    let Ok(parts) = HttpUrl::split(url) else { return false };
    let keys = parts.query.unwrap_or_default().split('&').filter_map(|piece| piece.split_once('='));
    parts.user.is_some() || keys.into_iter().any(|(key, value)| !value.is_empty() && names_secret(key))
}

/// Whether a key or header is usually the name of a secret.
pub(super) fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "token", "key", "secret", "auth", "cookie", "pw"].iter().any(|word| name.contains(word))
}

/// A program's arguments as they are shown: without the secrets of a URL, and
/// without what stands behind a word that promises one (`--token=...`, `-p ...`).
pub(super) fn hide_in_arguments(arguments: &[String], mark: &str) -> Vec<String> {
    let mut promised = false;
    let hidden = arguments.iter().enumerate().map(|(index, argument)| {
        let shown = if promised { hide_text(argument, mark) } else { hide_in_argument(argument, mark) };
        promised = index > 0 && promises(argument);
        shown
    });
    hidden.collect()
}

/// Whether the next argument may be a secret: `-u`, `-H` and `-d` are those of
/// curl, `-p` that of most others.
fn promises(argument: &str) -> bool {
    let option = argument.starts_with('-') && !argument.contains(['=', ':']) && names_secret(argument);
    option || ["-u", "--user", "-p", "-H", "--header", "-d", "--data"].contains(&argument)
}

/// Where a URL ends cannot be told when more follows.
fn hide_in_argument(argument: &str, mark: &str) -> String {
    let lower = argument.to_ascii_lowercase();
    let Some(scheme) = ["https://", "http://"].into_iter().filter_map(|scheme| lower.find(scheme)).min()
    else {
        return hide_named(argument, mark);
    };
    let (before, url) = argument.split_at_checked(scheme).unwrap_or((argument, ""));
    if url.contains(char::is_whitespace) || url.matches("://").count() > 1 || hide_named(before, "") != before
    {
        return format!("{}{mark}", hide_named(before, ""));
    }
    let hidden = match url.split_once('#') {
        Some((url, _)) => format!("{}#{mark}", hide(url, mark)),
        None => hide(url, mark),
    };
    // Also the form of a URL changes on the way; an argument has to stay itself.
    if hidden.contains(mark) { format!("{before}{hidden}") } else { argument.to_owned() }
}

/// Hides the value in `password=...`, `Authorization: ...` and the like.
fn hide_named(argument: &str, mark: &str) -> String {
    match argument.find(['=', ':']) {
        Some(at) if names_secret(argument.get(..at).unwrap_or_default()) => {
            let (name, value) = argument.split_at_checked(at.saturating_add(1)).unwrap_or((argument, ""));
            format!("{name}{}", hide_text(value, mark))
        }
        _ => argument.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<String, String> {
        normal(text, |name| Ok(format!("xn--{}", name.len())))
    }

    #[test]
    fn good_urls_are_normalised() {
        for (text, normal) in [
            ("https://a.example", "https://a.example/"),
            (" HTTP://a.example:/x#frag ", "http://a.example/x"),
            ("https://u:p@a.example:8443/x?ip={ipv4}", "https://u:p@a.example:8443/x?ip={ipv4}"),
            ("https://[2001:db8::1]:1/", "https://[2001:db8::1]:1/"),
            ("https://[{ipv6}]/", "https://[{ipv6}]/"),
            ("https://{ipv4}/?a", "https://{ipv4}/?a"),
            ("https://a.example?q=a b\u{e4}\"", "https://a.example/?q=a%20b%C3%A4%22"),
            ("https://a.example/?p={ipv6_prefix}&x={y}", "https://a.example/?p={ipv6_prefix}&x={y}"),
            ("https://b\u{fc}cher.example/", "https://xn--15/"),
            ("https://a.example/{ipv4}/../u?a=/../'b'", "https://a.example/u?a=/../%27b%27"),
            ("https://a:\\@a.example/?\\", "https://a:\\@a.example/?\\"),
            ("https://me@x.example:pw@a.example/", "https://me@x.example:pw@a.example/"),
        ] {
            assert_eq!(checked(text).as_deref(), Ok(normal), "{text}");
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        for (text, problem) in [
            ("", "expected a URL: https://..."),
            ("a.example/x", "expected a URL: https://..."),
            ("ftp://a.example/", "expected https:// or http:// at its beginning"),
            ("https://", "the host is neither a name nor an address"),
            ("https:\\\\a.example\\x", "expected a URL: https://..."),
            ("https://a.example\\x", "expected / in place of \\"),
            ("https://a.example/x\\y", "expected / in place of \\"),
            ("https:///x", "the host is neither a name nor an address"),
            ("https://a b/", "the host is neither a name nor an address"),
            ("https://{ipv6}/", "the host is neither a name nor an address"),
            ("https://[::1/", "the host is neither a name nor an address"),
            ("https://a.example:x/", "expected a port from 1 to 65535"),
            ("https://a.example:0/", "expected a port from 1 to 65535"),
            ("https://a.example:65536/", "expected a port from 1 to 65535"),
            ("https://a.example/\r\nX: y", "no line breaks or control characters may stand in a URL"),
        ] {
            assert_eq!(checked(text), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn secrets_in_urls_are_hidden() {
        for (url, shown) in [
            ("https://u:p@a.example:8443/n?h=x&ip={ipv4}&e=", "https://#@a.example:8443/#{ipv4}#"),
            ("https://a.example/?token", "https://a.example/#"),
            ("https://a.example/token", "https://a.example/#"),
            ("https://a.example/{ipv4}{ipv6}{x}{{token}}", "https://a.example/{ipv4}{ipv6}#{token}#"),
            ("https://{ipv4}/", "https://{ipv4}/"),
            ("https://a.example", "https://a.example/"),
            ("not a url", "#"),
        ] {
            assert_eq!(hide(url, "#"), shown);
        }
    }

    #[test]
    fn secrets_in_arguments_are_hidden() {
        for (argument, shown) in [
            ("--url=https://u:p@a.example/?k=v", "--url=https://#@a.example/#"),
            ("curl 'https://u:p@a.example/?k=v' -s", "curl '#"),
            ("-o=http://u:p@a.example/,https://b.example/", "-o=#"),
            ("HTTPS://u:p@a.example/", "https://#@a.example/"),
            ("https://a.example/#token", "https://a.example/##"),
            ("https://a.example", "https://a.example"),
            ("token=x https://a.example", "token=#"),
            ("--password=x{ipv4}", "--password=#{ipv4}"),
            ("Authorization: Bearer x", "Authorization:#"),
            ("-4={ipv4}", "-4={ipv4}"),
            ("{ipv4}", "{ipv4}"),
        ] {
            assert_eq!(hide_in_argument(argument, "#"), shown, "{argument}");
        }
        let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let hidden = |text: &str| hide_in_arguments(&line(text), "#").join(" ");
        assert_eq!(hidden("curl -u me:pw -s {ipv4}"), "curl -u # -s {ipv4}");
        assert_eq!(hidden("passwd x --api-key pw --token={ipv4} y"), "passwd x --api-key # --token={ipv4} y");
        assert!(holds_secret("https://a.example/?API_KEY=1") && !holds_secret("https://a.example/?key="));
    }
}
