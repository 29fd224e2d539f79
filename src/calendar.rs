//! Seconds of the Unix epoch as people and JSON read them: UTC (ISO 8601), and ages.

/// Of a day.
const DAY: u64 = 24 * 60 * 60;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// `2026-11-27T23:33:00Z`.
#[must_use]
pub fn iso(unix: u64) -> String {
    let unix = unix.min(LAST);
    let ((year, month, day), second) = (date(unix / DAY), unix % DAY);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

/// Reads what [`iso`] writes.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let numbers = text.strip_suffix('Z')?.split(['-', 'T', ':']).map(|part| part.parse::<u64>().ok());
    let &[year, month, day, hour, minute, second] = numbers.collect::<Option<Vec<_>>>()?.as_slice() else {
        return None;
    };
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day).filter(|_| is_date && is_time)?;
    let minutes = hour.checked_mul(60)?.checked_add(minute)?;
    let unix = days.checked_mul(DAY)?.checked_add(minutes.checked_mul(60)?)?.checked_add(second)?;
    (iso(unix) == text).then_some(unix)
}

/// `Fri 27 Nov 13:02`.
#[must_use]
pub fn short(unix: u64) -> String {
    let unix = unix.min(LAST);
    let ((_, month, day), second) = (date(unix / DAY), unix % DAY);
    let name = |names: &[&'static str], place: u64| {
        usize::try_from(place).ok().and_then(|place| names.get(place).copied()).unwrap_or_default()
    };
    let (weekday, month) = (name(&WEEKDAYS, unix / DAY % 7), name(&MONTHS, month.saturating_sub(1)));
    format!("{weekday} {day} {month} {:02}:{:02}", second / 3600, second / 60 % 60)
}

/// `40 s`, `12 min`, `1 h 15 min`, `3 d 6 h`.
#[must_use]
pub fn age(seconds: u64) -> String {
    let pair = |large: u64, unit: &str, small: u64, of: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {of}"),
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3600 => format!("{} min", seconds / 60),
        3600..DAY => pair(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => pair(seconds / DAY, "d", seconds / 3600 % 24, "h"),
    }
}

/// Year, month and day of a day since 1970: years begin in March, so that leap days are
/// their last.
fn date(day: u64) -> (u64, u64, u64) {
    // 1970-01-01 is day 719,468 since 0000-03-01; 400 years have 146,097 days.
    let day = day.saturating_add(719_468);
    let (era, day) = (day / 146_097, day % 146_097);
    let leaps = (day / 1460).saturating_add(day / 146_096).saturating_sub(day / 36_524);
    let year = day.saturating_sub(leaps) / 365;
    let passed = year.saturating_mul(365).saturating_add(year / 4).saturating_sub(year / 100);
    let day = day.saturating_sub(passed);
    let place = day.saturating_mul(5).saturating_add(2) / 153;
    let of_month = day.saturating_sub(place.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if place < 10 { place.saturating_add(3) } else { place.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year).saturating_add(u64::from(month <= 2));
    (year, month, of_month)
}

/// Days since 1970 of a date.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let place = if month > 2 { month.checked_sub(3)? } else { month.checked_add(9)? };
    let (era, year) = (year / 400, year % 400);
    let of_year = (place.checked_mul(153)?.checked_add(2)? / 5).checked_add(day)?.checked_sub(1)?;
    let of_era =
        year.checked_mul(365)?.checked_add(year / 4)?.checked_sub(year / 100)?.checked_add(of_year)?;
    era.checked_mul(146_097)?.checked_add(of_era)?.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_and_read() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_795_784_520, "2026-11-27T13:02:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(iso(unix), text);
            assert_eq!(parse(text), Some(unix), "{text}");
        }
        assert_eq!(iso(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(short(1_795_784_520), "Fri 27 Nov 13:02");
        assert_eq!(short(0), "Thu 1 Jan 00:00");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "2026-11-27",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-11-27T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-27T13:02:00",
            "2026-11-27T13:02:00+01:00",
            "99999999999999999999-01-01T00:00:00Z",
            "2026-1-1T0:0:0Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn ages_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (4500, "1 h 15 min"),
            (86_400, "1 d"),
            (280_800, "3 d 6 h"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
