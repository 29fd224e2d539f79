//! Decimal numbers with nine places, and times written with them: minutes, hours
//! and days of the configuration, seconds in messages.
//!
//! Exact where binary floating point is not, and without std's code for that. No
//! number is below zero, as no time is; none is so large that it would wrap:
//! there is a greatest, and what is beyond it reads as that.

use std::fmt;
use std::time::Duration;

const PLACES: u8 = 9;

/// One, in billionths.
const ONE: u64 = 1_000_000_000;

/// Seconds.
pub const MINUTE: u32 = 60;
/// Seconds.
pub const HOUR: u32 = 60 * MINUTE;
/// Seconds.
pub const DAY: u32 = 24 * HOUR;

/// A number from 0 to some 18 billion. It is written without needless zeros: `5`, `0.02`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Decimal {
    billionths: u64,
}

impl Decimal {
    /// A whole number.
    #[must_use]
    pub const fn whole(number: u64) -> Self {
        Self { billionths: number.saturating_mul(ONE) }
    }

    /// Reads a number as TOML writes it (1.0, "Float" and "Integer") in decimal,
    /// without underscores: `5`, `+0.5`, `1e-3`. A number below zero reads as
    /// zero; there are none that are infinite or not a number.
    ///
    /// Digits behind the ninth place are cut, but keep the number off the one
    /// without them: 366.0000000000001 is above 366.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = split_sign(text);
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let billionths = if negative { 0 } else { read_billionths(whole, fraction, exponent) };
        Some(Self { billionths })
    }

    /// How often a unit of that many seconds fits into `time`; the nearest there is.
    #[must_use]
    pub fn of(time: Duration, unit: u32) -> Self {
        let (nanos, unit) = (nanos(time), u64::from(unit).max(1));
        Self { billionths: nanos.saturating_add(unit / 2).checked_div(unit).unwrap_or(0) }
    }

    /// The same for seconds.
    #[must_use]
    pub fn seconds(time: Duration) -> Self {
        Self::of(time, 1)
    }

    /// So many units of that many seconds, to the nearest `step`; the greater one
    /// from the middle.
    #[must_use]
    pub fn times(self, unit: u32, step: Duration) -> Duration {
        // Billionths of a second are nanoseconds.
        let (time, step) = (self.billionths.saturating_mul(unit.into()), nanos(step).max(1));
        let raised = time.saturating_add(step / 2);
        Duration::from_nanos(raised.saturating_sub(raised.checked_rem(step).unwrap_or(0)))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut fraction) = (self.billionths / ONE, self.billionths % ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let mut places = usize::from(PLACES);
        while fraction % 10 == 0 {
            fraction /= 10;
            places = places.saturating_sub(1);
        }
        write!(f, "{whole}.{fraction:0places$}")
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether it is below zero, and the rest.
fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if !are_digits(digits) {
        return None;
    }
    let size = i64::try_from(read_digits(digits.bytes())).unwrap_or(i64::MAX);
    Some(if negative { size.saturating_neg() } else { size })
}

fn read_digits(digits: impl Iterator<Item = u8>) -> u64 {
    digits.fold(0, |read: u64, digit| read.saturating_mul(10).saturating_add(u64::from(digit & 0xf)))
}

/// An exponent only moves the point: no work grows with it.
fn read_billionths(whole: &str, fraction: &str, exponent: i64) -> u64 {
    let before_point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
    let kept = before_point.saturating_add(PLACES.into()).max(0);
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    let mut digits = whole.bytes().chain(fraction.bytes());
    let read = read_digits(digits.by_ref().take(kept));
    let missing = kept.saturating_sub(whole.len()).saturating_sub(fraction.len());
    let zeros = 10_u64.saturating_pow(u32::try_from(missing).unwrap_or(u32::MAX));
    let off = digits.any(|digit| digit != b'0');
    read.saturating_mul(zeros) | u64::from(off)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn rewritten(text: &str) -> Option<String> {
        Decimal::parse(text).map(|number| number.to_string())
    }

    #[test]
    fn numbers_are_read_and_written_in_the_shortest_form() {
        for (text, written) in [
            ("5", "5"),
            ("0", "0"),
            ("00", "0"),
            ("+5", "5"),
            ("0.02", "0.02"),
            ("1.20", "1.2"),
            ("10.0", "10"),
            ("0.000000001", "0.000000001"),
            ("123456789.123456789", "123456789.123456789"),
            ("5e0", "5"),
            ("5e-3", "0.005"),
            ("1.25E+1", "12.5"),
            ("1.25e1", "12.5"),
            ("0.0125e2", "1.25"),
            ("1250.5e-2", "12.505"),
            ("0e99999999999999999999", "0"),
            ("0.0e-99999999999999999999", "0"),
            ("-5", "0"),
            ("-0.0", "0"),
            ("-1e9", "0"),
        ] {
            assert_eq!(rewritten(text).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "+", "-", ".", "e", "inf", "+inf", "nan", "-nan", "infinity", ".5", "5.", "5.e1", "5e",
            "5e+", "5e-", "+-5", "--5", "5e+-1", "5e1.0", "5.0.0", "5e1e1", "1_0", " 5", "5 ", "0x10", "5f",
            "\u{665}", "5.-1",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn digits_behind_the_ninth_place_only_keep_a_number_off_its_neighbours() {
        let above = Decimal::parse("366.00000000000000000001").unwrap();
        assert!(above > Decimal::whole(366) && above < Decimal::parse("366.000000002").unwrap());
        assert!(Decimal::parse("0.9999999999999999999999").unwrap() < Decimal::whole(1));
        assert_eq!(Decimal::parse("1.0000000000000000000000"), Some(Decimal::whole(1)));
        assert_eq!(rewritten("0.0000000019").as_deref(), Some("0.000000001"));
        assert_eq!(rewritten("1e-99999999999999999999").as_deref(), Some("0.000000001"));
    }

    #[test]
    fn what_is_beyond_the_greatest_number_is_the_greatest() {
        let greatest = "18446744073.709551615";
        let many = "9".repeat(1000);
        for text in ["1e11", "18446744073.709551616", "1e99999999999999999999", "0.1e400", &many] {
            assert_eq!(rewritten(text).as_deref(), Some(greatest), "{text}");
        }
        assert_eq!(Decimal::whole(u64::MAX), Decimal::parse(greatest).unwrap());
        let longest = Decimal::whole(u64::MAX).times(u32::MAX, Duration::MAX);
        assert!(longest <= Duration::from_nanos(u64::MAX));
        assert_eq!(Decimal::seconds(Duration::MAX).to_string(), greatest);
    }

    #[test]
    fn times_are_rounded_to_the_nearest_step() {
        for (text, unit, step, time) in [
            ("5", MINUTE, MILLISECOND, Duration::from_secs(300)),
            ("0.0166666", MINUTE, MILLISECOND, SECOND),
            ("0.0167", MINUTE, MILLISECOND, Duration::from_millis(1002)),
            ("1.5", DAY, SECOND, Duration::from_secs(129_600)),
            ("0.0005", 1, MILLISECOND, MILLISECOND),
            ("0.000499999", 1, MILLISECOND, Duration::ZERO),
            ("1.5", 1, SECOND, Duration::from_secs(2)),
            ("1.499999999", 1, SECOND, SECOND),
            ("7", 0, Duration::ZERO, Duration::ZERO),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().times(unit, step), time, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_units() {
        for (time, unit, written) in [
            (Duration::from_secs(300), MINUTE, "5"),
            (Duration::from_millis(1002), MINUTE, "0.0167"),
            (SECOND, MINUTE, "0.016666667"),
            (Duration::from_secs(129_600), DAY, "1.5"),
            (Duration::from_millis(400), 1, "0.4"),
            (Duration::new(2, 1), 1, "2.000000001"),
            (Duration::from_secs(3), 0, "3"),
        ] {
            assert_eq!(Decimal::of(time, unit).to_string(), written);
        }
    }

    /// Texts of every version read as they did: those that binary floating point
    /// wrote, and its shorter relatives.
    #[test]
    fn times_read_as_with_floating_point() {
        let old = |text: &str, unit: u32, step: f64| {
            let seconds = text.parse::<f64>().unwrap() * f64::from(unit) + step / 2.0;
            Duration::from_secs_f64(seconds).as_nanos() / Duration::from_secs_f64(step).as_nanos()
        };
        for (unit, step) in [(MINUTE, MILLISECOND), (HOUR, SECOND), (DAY, SECOND)] {
            let longest = Duration::from_secs(u64::from(366 * DAY));
            for index in 0..20_000_u32 {
                let time = step.saturating_mul(1000 + index * (index / 7)).min(longest);
                let written = Decimal::of(time, unit).to_string();
                let float = (time.as_secs_f64() / f64::from(unit)).to_string();
                for text in [&written, &float] {
                    let read = Decimal::parse(text).unwrap().times(unit, step);
                    assert_eq!(read, time, "{text} times {unit}");
                    let steps = old(text, unit, step.as_secs_f64());
                    assert_eq!(read.as_nanos() / step.as_nanos(), steps, "{text} times {unit}");
                }
                assert!(written.len() <= float.len() || float.len() > 10, "{written} for {float}");
            }
        }
    }
}
