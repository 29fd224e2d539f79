//! When to try again; pure.
//!
//! Towards a provider the wait doubles from half a minute to an hour, so that
//! even a target which fails for ever costs it little more than one request an
//! hour, or two where a person has to mend something (`engine`). Only while no
//! server could be reached at all do a few quick tries come first: right after a
//! reconnect the route is often not back for some 100 ms.
//! Towards the gateway, which is in the same house, the wait stays at seconds.

use std::fmt;
use std::time::Duration;

/// Waits after attempts that reached nobody, before the ordinary back-off.
const QUICK: [Duration; 3] = [Duration::from_millis(50), Duration::from_secs(1), Duration::from_secs(8)];

/// The first ordinary wait.
const FIRST: Duration = Duration::from_secs(30);

/// The longest ordinary wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// The longest wait that a server may impose: past it, a typo of theirs would
/// silence us for good.
pub const LONGEST_WISH: Duration = Duration::from_secs(24 * 3600);

/// The shortest: `Retry-After: 0` is no leave to hammer.
const SHORTEST_WISH: Duration = Duration::from_secs(1);

/// How many times a wish alone decides before a success; a server that goes on
/// wishing gets our own waits, where they are longer.
const WISHES: u32 = 3;

/// The wait after a refusal that has lasted for [`PATIENT_AFTER`]: a web filter or an
/// address filter goes away when somebody changes it, which takes its time.
const PATIENT: Duration = Duration::from_secs(6 * 3600);

/// When refusals are no longer tried hourly.
const PATIENT_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Polls of a source that fails: soon at first, since a reconnect takes seconds.
const RETRY_POLL: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How often a failing source is polled for the first [`EAGER_POLLS`] times:
/// a gateway that reboots is seen within this time of being up.
const EAGER_POLL: Duration = Duration::from_secs(5);

/// About ten minutes of eager polls; longer outages do not end by themselves.
const EAGER_POLLS: u32 = 120;

/// How often a source is polled that has been failing for long.
const PATIENT_POLL: Duration = Duration::from_secs(30);

/// A small generator for jitter (SplitMix64). The core takes its seed from
/// outside, so a run can be repeated.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `time`, or up to a quarter more: many daemons must not knock together.
    pub fn with_jitter(&mut self, time: Duration) -> Duration {
        let part = u32::try_from(self.next_u64() % 256).unwrap_or(0);
        time.saturating_add(time.checked_div(4 * 256).unwrap_or_default().saturating_mul(part))
    }
}

/// How long a target waits after its failures in a row.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backoff {
    quick: u32,
    ordinary: u32,
    wishes: u32,
}

impl Backoff {
    /// The wait after one more failure. `reached`: a server answered. `wish`: how
    /// long it asked us to wait.
    pub fn failed(&mut self, reached: bool, wish: Option<Duration>, random: &mut Random) -> Duration {
        let Some(wish) = wish else {
            let quick = if reached { None } else { self.quick_wait() };
            return quick.unwrap_or_else(|| self.ordinary_wait(random));
        };
        let wish = wish.clamp(SHORTEST_WISH, LONGEST_WISH);
        self.wishes = self.wishes.saturating_add(1);
        if self.wishes <= WISHES { wish } else { wish.max(self.ordinary_wait(random)) }
    }

    /// The wait after one more refusal, when they have lasted for `age`.
    pub fn refused(&mut self, age: Duration, random: &mut Random) -> Duration {
        let ordinary = self.ordinary_wait(random);
        if age < PATIENT_AFTER { ordinary } else { random.with_jitter(PATIENT) }
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let backoff = Self { quick: next()?, ordinary: next()?, wishes: next()? };
        numbers.next().is_none().then_some(backoff)
    }

    fn quick_wait(&mut self) -> Option<Duration> {
        let wait = QUICK.get(usize::try_from(self.quick).ok()?).copied();
        self.quick = self.quick.saturating_add(1);
        wait
    }

    fn ordinary_wait(&mut self, random: &mut Random) -> Duration {
        // 2^7 half minutes are past the hour.
        let factor = 1_u32.checked_shl(self.ordinary.min(7)).unwrap_or(u32::MAX);
        self.ordinary = self.ordinary.saturating_add(1);
        random.with_jitter(FIRST.saturating_mul(factor)).min(LONGEST)
    }
}

/// For the state file.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.quick, self.ordinary, self.wishes)
    }
}

/// Polls after a hint that found nothing: right after a reconnect the address is
/// often not there yet, but within a second it is.
const EARLY_POLL: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// How often something may happen: a few times at once, then steadily.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    burst: u32,
    refill: Duration,
    tokens: u32,
    counted: Duration,
}

impl TokenBucket {
    /// Attempts at one target, whatever happens in the LAN: an address that flaps
    /// (or a liar who makes it flap) must not get the user banned.
    pub const ATTEMPTS: Self = Self::new(30, Duration::from_secs(120));

    /// What [`Self::ATTEMPTS`] allows in the long run.
    pub const ATTEMPTS_AN_HOUR: u32 = 30;

    /// Polls that somebody else asked for: a flood of forged announcements must
    /// not become a flood of questions to the gateway.
    pub const HINTS: Self = Self::new(3, Duration::from_secs(2));

    /// Polls of this host's own addresses because the kernel says that they change.
    /// They cost no packet, and one new prefix brings half a dozen notices before
    /// its address may be used; but router advertisements can be forged, too.
    pub const NOTICES: Self = Self::new(10, Duration::from_millis(500));

    /// Subscriptions at one gateway: whoever makes it poll restarted must not
    /// make us subscribe without end.
    pub const SUBSCRIPTIONS: Self = Self::new(5, Duration::from_secs(60));

    /// `burst` at once after a quiet time, and one more for every `refill`.
    const fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, tokens: burst, counted: Duration::ZERO }
    }

    /// When the next one may start: `now`, or later.
    pub fn next(&mut self, now: Duration) -> Duration {
        while self.tokens < self.burst && now.saturating_sub(self.counted) >= self.refill {
            self.tokens = self.tokens.saturating_add(1);
            self.counted = self.counted.saturating_add(self.refill);
        }
        if self.tokens == self.burst {
            self.counted = now;
        }
        if self.tokens > 0 { now } else { self.counted.saturating_add(self.refill) }
    }

    /// One that was counted was worth it.
    pub fn give_back(&mut self) {
        self.tokens = self.tokens.saturating_add(1).min(self.burst);
    }

    /// Counts one.
    pub fn take(&mut self) {
        self.tokens = self.tokens.saturating_sub(1);
    }
}

/// How long to wait before a source is polled again that has failed `misses`
/// times in a row; never longer than the interval.
#[must_use]
pub fn retry_poll(misses: u32, interval: Duration) -> Duration {
    let index = usize::try_from(misses.saturating_sub(1)).unwrap_or(usize::MAX);
    let calm = if misses > EAGER_POLLS { PATIENT_POLL } else { EAGER_POLL };
    RETRY_POLL.get(index).copied().unwrap_or(calm).min(interval)
}

/// How long to wait before a source is polled again that knew nothing after a
/// hint, `step` polls after it; `None`: from now on like any other failure.
#[must_use]
pub fn early_poll(step: usize) -> Option<Duration> {
    EARLY_POLL.get(step).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_an_hour() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(1));
        let waits: Vec<u64> = (0..12).map(|_| backoff.failed(true, None, &mut random).as_secs()).collect();
        for (index, wait) in waits.iter().enumerate() {
            let base = (30 << index.min(7)).min(3600);
            assert!((base..=(base + base / 4).min(3600)).contains(wait), "{index}: {wait}");
        }
    }

    #[test]
    fn unreached_servers_get_three_quick_tries_in_all() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(1));
        for quick in [50, 1000, 8000] {
            assert_eq!(backoff.failed(false, None, &mut random).as_millis(), quick);
        }
        assert!(backoff.failed(false, None, &mut random).as_secs() >= 30);
        assert!(backoff.failed(true, None, &mut random).as_secs() >= 60);
    }

    #[test]
    fn a_wish_is_what_it_says_three_times_in_a_row_and_bounded() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(1));
        let two = Some(Duration::from_secs(2));
        for _ in 0..3 {
            assert_eq!(backoff.failed(true, two, &mut random), Duration::from_secs(2));
        }
        let fourth = backoff.failed(true, two, &mut random).as_secs();
        assert!((30..=38).contains(&fourth), "{fourth}");
        backoff = Backoff::default();
        assert_eq!(backoff.failed(true, Some(Duration::ZERO), &mut random).as_secs(), 1);
        assert_eq!(backoff.failed(true, Some(Duration::from_secs(9999)), &mut random).as_secs(), 9999);
        assert_eq!(backoff.failed(true, Some(Duration::MAX), &mut random).as_secs(), 86_400);
        assert_eq!(backoff.failed(true, Some(Duration::MAX), &mut random).as_secs(), 86_400, "never less");
    }

    #[test]
    fn refusals_are_tried_from_half_a_minute_to_an_hour_and_after_a_day_every_six() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(1));
        let (mut age, mut tries, mut last) = (Duration::ZERO, 0, Duration::ZERO);
        while age < Duration::from_secs(86_400) {
            last = backoff.refused(age, &mut random);
            (age, tries) = (age + last, tries + 1);
            assert!(tries > 1 || (30..=38).contains(&last.as_secs()), "{last:?}");
        }
        assert!((25..=32).contains(&tries) && last.as_secs() == 3600, "{tries} {last:?}");
        for age in [Duration::from_secs(86_400), age] {
            let late = backoff.refused(age, &mut random).as_secs();
            assert!((21_600..=27_000).contains(&late), "{late}");
        }
    }

    #[test]
    fn waits_survive_as_text() {
        let backoff = Backoff { quick: 3, ordinary: 12, wishes: 1 };
        assert_eq!(backoff.to_string(), "3.12.1");
        assert_eq!(Backoff::parse("3.12.1"), Some(backoff));
        for wrong in ["", "1.2", "1.2.3.4", "a.b.c", "1.2.99999999999"] {
            assert_eq!(Backoff::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_sequence_of_failures_knocks_more_than_a_few_times_an_hour() {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let (mut backoff, mut time, mut tries) = (Backoff::default(), Duration::ZERO, 0);
            while time < Duration::from_secs(3600) {
                let reached = random.next_u64().is_multiple_of(2);
                time += backoff.failed(reached, None, &mut random);
                tries += 1;
            }
            assert!(tries <= 10, "{tries} tries in the first hour");
        }
    }

    #[test]
    fn a_flapping_address_is_slowed_down() {
        let (mut bucket, mut now, mut attempts) = (TokenBucket::ATTEMPTS, Duration::ZERO, 0);
        while now < Duration::from_secs(3600) {
            let at = bucket.next(now);
            if at <= now {
                bucket.take();
                attempts += 1;
            }
            now += Duration::from_secs(1);
        }
        assert!((30..=60).contains(&attempts), "{attempts}");
        assert_eq!(bucket.next(now + Duration::from_secs(86_400)), now + Duration::from_secs(86_400));
        assert_eq!(bucket.tokens, 30);
    }

    /// When so many milliseconds that want one each get it, of the first so many.
    fn taken(mut bucket: TokenBucket, of: u64) -> Vec<u64> {
        let mut times = Vec::new();
        for millis in 0..of {
            let now = Duration::from_secs(100) + Duration::from_millis(millis);
            if bucket.next(now) <= now {
                bucket.take();
                times.push(millis);
            }
        }
        times
    }

    #[test]
    fn hints_count_three_times_at_once_and_then_every_other_second() {
        assert_eq!(taken(TokenBucket::HINTS, 10_000), [0, 1, 2, 2000, 4000, 6000, 8000]);
    }

    #[test]
    fn notices_count_ten_times_at_once_and_then_twice_a_second() {
        let times = taken(TokenBucket::NOTICES, 2001);
        assert_eq!(times, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 500, 1000, 1500, 2000]);
    }

    #[test]
    fn polls_repeat_within_seconds_and_never_slower_than_the_interval() {
        let interval = Duration::from_secs(300);
        let waits: Vec<u64> =
            [1, 2, 3, 4, 5, 120, 121].iter().map(|m| retry_poll(*m, interval).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5, 5, 30]);
        assert_eq!(retry_poll(9, Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn random_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers.map(|_| random.next_u64()), numbers, "the reference's");
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        let mut random = Random::new(7);
        for _ in 0..1000 {
            let with_jitter = random.with_jitter(Duration::from_secs(100));
            assert!((100..=125).contains(&with_jitter.as_secs()));
        }
    }
}
