//! What must hold for every input, one function a parser or decider.
//!
//! The fuzz targets and the replay of the seeds (`tests/seeds.rs`) share these,
//! so a seed that once broke something guards it in every ordinary test run.

mod cloudflare;
mod dns;
mod dyndns;
mod engine;
mod events;
mod floor;
mod host;
mod lan;
mod monitor;
mod name_server;
mod providers;
mod quote;
mod settings;
mod soap;
mod told;

/// Panics when the bytes break what it stands for.
pub(crate) type Property = fn(&[u8]);

/// Every target: its name, which is also its folder of seeds, and its property.
pub(crate) const ALL: &[(&str, Property)] = &[
    ("base64", dns::base64_text),
    ("cli", settings::cli),
    ("cloudflare", cloudflare::cloudflare),
    ("config", settings::config),
    ("description", soap::description),
    ("dns_answer", dns::dns_answer),
    ("dns_message", dns::dns_message),
    ("dyndns", dyndns::dyndns),
    ("echo_answer", providers::echo_answer),
    ("engine", engine::engine),
    ("events", events::events),
    ("http_head", floor::http_head),
    ("http_response", floor::http_response),
    ("idn", providers::idn),
    ("interface", host::interface),
    ("key_file", settings::key_file),
    ("lan_url", floor::lan_url),
    ("monitor", monitor::request),
    ("natpmp", lan::natpmp),
    ("netlink", lan::netlink),
    ("notices", told::notices),
    ("pcp", lan::pcp),
    ("quote", quote::said),
    ("reply", soap::reply),
    ("resolv", dns::resolv),
    ("rfc2136", name_server::rfc2136),
    ("run_plan", providers::run_plan),
    ("ssdp_answer", lan::ssdp_answer),
    ("ssdp_notify", lan::ssdp_notify),
    ("ssdp_sieve", lan::ssdp_sieve),
    ("state", floor::state),
    ("status", told::status),
    ("subscription", events::subscription),
    ("survey", soap::survey),
    ("tsig", dns::tsig),
    ("url_updater", providers::url_updater),
    ("web_fields", providers::web_fields),
    ("xml", soap::xml),
];

/// Runs the property of `target`.
pub(crate) fn check(target: &str, data: &[u8]) {
    let property = ALL.iter().find(|(name, _)| *name == target).expect("a known target").1;
    property(data);
}
