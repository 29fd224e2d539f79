//! Everything that happens by chance, from one seed.

use std::time::Duration;

use ddns_update_daemon::backoff::Random;

pub(crate) struct Chance(Random);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// Once in `many` times.
    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A time between two, short ones as likely as long ones: each order of magnitude
    /// has the same share.
    pub(crate) fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_secs_f64().max(0.001), most.as_secs_f64());
        let part = (self.number() >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_micros((least * (most / least).powf(part) * 1e6) as u64)
    }

    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.number() % (most - least + 1))
    }
}
