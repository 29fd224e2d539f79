//! Times as the configuration writes them: numbers of minutes, hours or days,
//! whole or not.

use std::time::Duration;

/// Seconds.
pub(super) const MINUTE: u32 = 60;
/// Seconds.
pub(super) const HOUR: u32 = 60 * MINUTE;
/// Seconds.
pub(super) const DAY: u32 = 24 * HOUR;

/// So many units of that many seconds, to the nearest millisecond: what
/// [`number`] makes of it reads back as the same. Nothing below zero, and the
/// longest time there is where it does not fit.
pub(super) fn time(number: f64, unit: u32) -> Duration {
    let milliseconds = (number.max(0.0) * f64::from(unit) * 1000.0).round();
    Duration::try_from_secs_f64(milliseconds)
        .map_or(Duration::MAX, |thousandfold| thousandfold.checked_div(1000).unwrap_or_default())
}

/// How many units of that many seconds a time is.
pub(super) fn number(time: Duration, unit: u32) -> f64 {
    // From whole milliseconds: 1.002 s / 60 is 0.016700000000000003.
    (time.as_secs_f64() * 1000.0).round() / (f64::from(unit) * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_was_read() {
        for (text, unit, seconds) in [
            ("5", MINUTE, 300.0),
            ("0.5", MINUTE, 30.0),
            ("0.0167", MINUTE, 1.002),
            ("0.1", MINUTE, 6.0),
            ("1.5", DAY, 129_600.0),
            ("8784", HOUR, 31_622_400.0),
        ] {
            let read = time(text.parse().unwrap(), unit);
            assert_eq!(read, Duration::from_secs_f64(seconds), "{text}");
            assert_eq!(number(read, unit).to_string(), text);
        }
    }

    #[test]
    fn every_millisecond_survives_being_written() {
        for unit in [MINUTE, HOUR, DAY] {
            for index in 0..20_000_u64 {
                let written = Duration::from_millis(1000 + index * (index / 7));
                assert_eq!(time(number(written, unit), unit), written, "in units of {unit} s");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_the_longest_time() {
        assert_eq!(time(f64::MAX, DAY), Duration::MAX);
    }
}
