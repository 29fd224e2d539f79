//! What stands in for the updaters that this build leaves out: there is no section
//! of their kinds, so nobody can ask.

use super::{Ask, Task, Tested, Updater};
use crate::config::disabled::LeftOut;

impl LeftOut {
    /// The updater of a section that cannot be.
    #[must_use]
    pub fn updater(&self) -> Box<dyn Updater> {
        match *self {}
    }

    /// What its credentials may do.
    #[must_use]
    pub fn test(&self, _: &mut Ask<'_>) -> Vec<Tested> {
        match *self {}
    }

    /// What its job would do.
    #[must_use]
    pub fn intent(&self, _: &Task) -> String {
        match *self {}
    }
}
