//! What must hold for every input, one function a parser.
//!
//! The fuzz targets and the replay of the seeds (`tests/seeds.rs`) share these,
//! so a seed that once broke something guards it in every ordinary test run.

mod engine;
mod events;
mod floor;

/// Every target: its name, which is also its folder of seeds, and its property.
pub(crate) const ALL: &[(&str, fn(&[u8]))] = &[
    ("engine", engine::engine),
    ("events", events::events),
    ("http_head", floor::http_head),
    ("http_response", floor::http_response),
    ("lan_url", floor::lan_url),
    ("state", floor::state),
];

/// Runs the property of `target`.
pub(crate) fn check(target: &str, data: &[u8]) {
    let property = ALL.iter().find(|(name, _)| *name == target).expect("a known target").1;
    property(data);
}
