//! Two header fields that need more than reading: `Retry-After` and `Location`.
//!
//! RFC 9110, sections 10.2.3, 5.6.7 and 10.2.2; RFC 3986, section 5.2. Pure.
//! Left out: the two obsolete forms of dates.

use std::time::Duration;

use crate::config::encoded_url;

/// The longest wait that we let a server ask for; a broken clock on its side
/// must not silence a target for a year.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const SECONDS_A_DAY: u64 = 24 * 60 * 60;
/// From 1 March of the year 0; one more because days of a month count from 1.
const DAYS_BEFORE_1970: u64 = 719_468 + 1;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How long `Retry-After` asks us to wait, at most [`MAX_WAIT`]. `now` is in
/// seconds since 1970, by the clock that wrote the date if possible.
#[must_use]
pub fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let text = text.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is long, too.
        text.parse().unwrap_or(u64::MAX)
    } else {
        date(text)?.saturating_sub(now)
    };
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970.
#[must_use]
pub fn date(text: &str) -> Option<u64> {
    let (_, rest) = text.trim().split_once(", ")?;
    let fields: Vec<&str> = rest.split([' ', ':']).collect();
    let &[day, month, year, hour, minute, second, "GMT"] = fields.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let days = days_since_1970(number(year, 4, 9999)?, month, number(day, 2, 31)?)?;
    let (hour, minute, second) = (number(hour, 2, 23)?, number(minute, 2, 59)?, number(second, 2, 60)?);
    let seconds = hour.checked_mul(60)?.checked_add(minute)?.checked_mul(60)?.checked_add(second)?;
    days.checked_mul(SECONDS_A_DAY)?.checked_add(seconds)
}

fn number(text: &str, digits: usize, most: u64) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&value| plain && value <= most)
}

/// Howard Hinnant's `days_from_civil`: years begin in March, so that the leap
/// day is their last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let month_from_march = month.checked_add(9)?.checked_rem(12)?;
    let day_of_year = month_from_march.checked_mul(153)?.checked_add(2)?.checked_div(5)?.checked_add(day)?;
    let leap_days =
        year.checked_div(4)?.checked_sub(year.checked_div(100)?)?.checked_add(year.checked_div(400)?)?;
    year.checked_mul(365)?.checked_add(leap_days)?.checked_add(day_of_year)?.checked_sub(DAYS_BEFORE_1970)
}

/// Where a redirect of `url` leads, unless it leaves the host or gives up TLS:
/// our requests carry credentials. What may not stand in a URL is percent-encoded.
#[must_use]
pub fn redirect(url: &str, location: &str) -> Option<String> {
    let location = encoded_url(location.trim());
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = split_authority(rest);
    // Behind a slash or question mark it belongs to a path or query.
    let absolute = location.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
    let target = if let Some((new_scheme, new_rest)) = absolute {
        let (new_authority, new_path) = split_authority(new_rest);
        let upgrade = scheme.eq_ignore_ascii_case("http") && new_scheme.eq_ignore_ascii_case("https");
        let same_scheme = scheme.eq_ignore_ascii_case(new_scheme);
        let same_host = host(authority).eq_ignore_ascii_case(host(new_authority));
        let same_authority = without_userinfo(authority).eq_ignore_ascii_case(new_authority);
        if !(same_scheme && same_authority || upgrade && same_host) {
            return None;
        }
        format!("{}://{new_authority}{new_path}", new_scheme.to_ascii_lowercase())
    } else if location.starts_with("//") {
        return redirect(url, &format!("{scheme}:{location}"));
    } else {
        format!("{scheme}://{authority}{}", resolve(path, location))
    };
    Some(target)
}

fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len())).unwrap_or((rest, ""))
}

fn without_userinfo(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn host(authority: &str) -> &str {
    let authority = without_userinfo(authority);
    // The colons of an IPv6 address stand in brackets.
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

/// Dots are left for the server to remove.
fn resolve(path: &str, location: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if location.starts_with('/') {
        location.to_owned()
    } else if location.starts_with('?') || location.is_empty() {
        format!("{path}{location}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(date(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_has_an_end() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after(" 120 ", 0), seconds(120));
        assert_eq!(retry_after("99999999999999999999999", 0), Some(MAX_WAIT));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_700), seconds(77));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_800), seconds(0));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 0), Some(MAX_WAIT));
        for text in ["", "-1", "+1", "1.5", "soon"] {
            assert_eq!(retry_after(text, 0), None, "{text}");
        }
    }

    #[test]
    fn redirects_stay_with_the_host() {
        let url = "https://me:pw@Ddns.example:8443/a/b?token=x";
        for (location, target) in [
            ("/c?d#e", Some("https://me:pw@Ddns.example:8443/c?d")),
            ("c", Some("https://me:pw@Ddns.example:8443/a/c")),
            ("?c", Some("https://me:pw@Ddns.example:8443/a/b?c")),
            ("/\u{fc} x", Some("https://me:pw@Ddns.example:8443/%C3%BC%20x")),
            ("/c?from=https://x/", Some("https://me:pw@Ddns.example:8443/c?from=https://x/")),
            ("HTTPS://ddns.example:8443/c", Some("https://ddns.example:8443/c")),
            ("//ddns.example:8443/c", Some("https://ddns.example:8443/c")),
            ("https://ddns.example/c", None),
            ("https://ddns.example:8443@evil.example/c", None),
            ("https://evil.example/c", None),
            ("//evil.example/c", None),
            ("http://ddns.example:8443/c", None),
            ("ftp://ddns.example:8443/c", None),
        ] {
            assert_eq!(redirect(url, location).as_deref(), target, "{location}");
        }
        let upgrade = redirect("http://ddns.example/a", "https://ddns.example/a");
        assert_eq!(upgrade.as_deref(), Some("https://ddns.example/a"));
        assert_eq!(redirect("http://[::1]:80/a", "https://[::1]/a").as_deref(), Some("https://[::1]/a"));
        assert_eq!(redirect("http://[::1]:80/a", "https://[::2]/a"), None);
        assert_eq!(redirect("http://ddns.example", "c").as_deref(), Some("http://ddns.example/c"));
    }
}
