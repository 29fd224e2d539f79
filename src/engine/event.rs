//! What the engine is told, and what it asks for.

use std::time::Duration;

use super::Report;
use crate::address::Observation;
use crate::http::lan_url::LanUrl;
use crate::updaters::run::Standing;
use crate::updaters::{Outcome, Task};

/// The time of an event.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time since the start of the program; never goes back.
    pub elapsed: Duration,
    /// Seconds of the Unix epoch; `None` while the clock has not been set
    /// (routers without a battery start in 1970).
    pub unix: Option<u64>,
}

/// A clock before this (2024) has not been set yet.
const CLOCK_IS_SET: u64 = 1_704_067_200;

impl Now {
    /// `unix`: what the clock says, set or not.
    #[must_use]
    pub fn new(elapsed: Duration, unix: u64) -> Self {
        Self { elapsed, unix: Some(unix).filter(|unix| *unix >= CLOCK_IS_SET) }
    }
}

/// All that the engine learns from outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// The deadline has passed.
    Tick,
    /// Somebody says that a source may tell something new. Anyone can: it makes
    /// us poll sooner, and nothing else.
    Hint {
        /// Index into [`Config::sources`].
        source: usize,
    },
    /// A person has mended what stood in the way of these targets: they are tried now.
    Retry {
        /// Indexes into [`Config::targets`].
        targets: Vec<usize>,
    },
    /// A person wants these targets sent now, although they hold what they should:
    /// after a poll, and within the pauses of their accounts.
    Update {
        /// Indexes into [`Config::targets`].
        targets: Vec<usize>,
    },
    /// A poll of a source has ended.
    Observed {
        /// Index into [`Config::sources`].
        source: usize,
        /// What it found.
        observation: Observation,
        /// The description of the gateway that answered.
        gateway: Option<LanUrl>,
    },
    /// A job has ended.
    Finished {
        /// Its number, by [`Action::Publish`].
        job: u64,
        /// What became of each entry.
        outcomes: Vec<(usize, Outcome)>,
        /// How long it took.
        took: Duration,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Poll this source (index into [`Config::sources`]).
    Poll {
        /// The source.
        source: usize,
        /// A hint asked for it: a cheap "nothing new" will not do.
        hinted: bool,
    },
    /// Keep these lines of the state before the next action.
    Record {
        /// The news; they are added to what is kept ([`State`]).
        lines: String,
        /// They, and all before them, are to survive a power cut.
        flush: bool,
    },
    /// Bring entries of a group up to date. Each job ends with [`Event::Finished`].
    Publish {
        /// The number of the job.
        job: u64,
        /// Index into [`Config::groups`].
        group: usize,
        /// The entries and their addresses.
        tasks: Vec<Task>,
        /// For a program: how the other targets stand.
        standing: Standing,
    },
    /// A newer address is sent beside the job with this number: let it send nothing more.
    /// What it has sent may still be answered, and its end is waited for.
    Overtake { job: u64 },
    /// Let the job with this number send nothing more: its connection is closed, and it
    /// ends soon.
    Close { job: u64 },
    /// Tell the user.
    Report(Report),
}
