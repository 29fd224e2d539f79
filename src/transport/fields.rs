//! Header fields with times: `Retry-After` and `Date` (RFC 9110, sections 10.2.3
//! and 5.6.7). Pure. Left out: the two obsolete forms of dates.

use std::time::Duration;

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
}
