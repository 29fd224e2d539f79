//! What stands in for the sections that this build leaves out: they are
//! refused, so there is nothing of their kinds.

use std::time::Duration;

use super::Config;
use super::builder::Builder;
use super::defaults::TargetDefaults;
use super::describe::{Entries, TomlWriter};
use super::files::Files;
use super::section::{Section, Sections};
use super::sources::Router;
use crate::config::error::Problems;
use crate::features;

/// What there is not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeftOut {}

pub use self::LeftOut as Cloudflare;
pub use self::LeftOut as CloudflareRecord;
pub use self::LeftOut as Dyndns;
pub use self::LeftOut as Rfc2136;
pub use self::LeftOut as Rfc2136Record;

pub(super) fn read<'a>(
    sections: Sections<'a>,
    _: &TargetDefaults<'a>,
    _: &Router,
    _: &Files<'_>,
    _: &Problems<'_>,
    _: &mut Builder<'a>,
) {
    for section in sections {
        refuse(&section);
    }
}

/// Says which part of the program the section belongs to.
pub(super) fn refuse(section: &Section<'_>) {
    let feature = section.what.trim_matches(['[', ']']);
    section.refuse(&features::left_out(feature).unwrap_or_default());
}

#[allow(dead_code, reason = "some are for one kind only, and that may be there")]
impl LeftOut {
    pub(super) fn secrets(&self) -> Vec<String> {
        match *self {}
    }

    pub(super) fn pause(&self) -> Duration {
        match *self {}
    }

    pub(super) fn server(&self) -> &str {
        match *self {}
    }

    pub(super) fn write(&self, _: &Config, _: &mut TomlWriter, _: &Entries<'_>) {
        match *self {}
    }

    pub(super) fn write_all(&self, _: &Config, _: &mut TomlWriter) {
        match *self {}
    }
}
