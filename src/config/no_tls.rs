//! What stands in for `tls.rs` in a build that leaves TLS out: the `[tls]`
//! section is refused.

use super::describe::TomlWriter;
use super::disabled;
use super::files::Files;
use super::fingerprint::Fingerprint;
use super::section::Section;
use crate::transport::trust::Tls;

impl Tls {
    #[expect(clippy::unused_self, reason = "as in tls.rs")]
    pub(super) fn identify(&self, fingerprint: Fingerprint) -> Fingerprint {
        fingerprint
    }

    #[expect(clippy::unused_self, reason = "as in tls.rs")]
    pub(super) fn write(&self, _: &mut TomlWriter) {}
}

#[expect(clippy::needless_pass_by_value, reason = "as in tls.rs")]
pub(super) fn read(section: Section<'_>, _: &Files<'_>) -> Tls {
    disabled::refuse(&section);
    Tls::default()
}
