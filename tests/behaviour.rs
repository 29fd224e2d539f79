//! What the program does, over real sockets: one program of tests, a file a subject.
//!
//! `cargo test --test behaviour web::` runs those of one file. One program is linked
//! where each file of its own would need as much again, and its tests wait side by side.
#![cfg(test)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers included"
)]

#[cfg(feature = "dyndns")]
mod asking;
#[cfg(feature = "cloudflare")]
mod cloudflare;
mod command_line;
#[cfg(feature = "cloudflare")]
mod config_cloudflare;
#[cfg(all(feature = "tls", feature = "dyndns"))]
mod config_dyndns;
#[cfg(feature = "cloudflare")]
mod config_files;
mod config_notify;
#[cfg(all(feature = "cloudflare", feature = "rfc2136"))]
mod config_records;
#[cfg(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136", feature = "monitor"))]
mod config_text;
mod connections;
mod discover;
#[cfg(feature = "rfc2136")]
mod dns_client;
#[cfg(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136"))]
mod documented;
#[cfg(all(feature = "tls", feature = "dyndns"))]
mod dyndns_bounds;
#[cfg(all(feature = "tls", target_endian = "little"))]
mod echo;
#[cfg(target_os = "linux")]
mod events;
#[cfg(all(feature = "cloudflare", feature = "dyndns"))]
mod explain;
mod faults;
mod features;
mod fixtures;
mod gateways;
mod house;
#[cfg(target_os = "linux")]
mod ipv6_default;
mod limits;
mod line_change;
#[cfg(feature = "dyndns")]
mod log;
mod messages;
#[cfg(all(unix, feature = "monitor"))]
mod monitor;
#[cfg(target_os = "linux")]
mod natpmp;
#[cfg(target_os = "linux")]
mod network;
#[cfg(unix)]
mod notify;
#[cfg(target_os = "linux")]
mod pcp;
#[cfg(target_os = "linux")]
mod pcp_gateway;
mod prefix;
#[cfg(all(feature = "tls", feature = "dyndns"))]
mod presets;
#[cfg(unix)]
mod process;
#[cfg(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136"))]
mod recipes;
#[cfg(all(unix, feature = "tls", feature = "cloudflare", feature = "dyndns", feature = "rfc2136"))]
mod secrets;
#[cfg(all(feature = "cloudflare", feature = "dyndns", feature = "rfc2136", feature = "monitor"))]
mod seeds;
#[cfg(all(unix, feature = "cloudflare"))]
mod since_1_0;
#[cfg(target_os = "linux")]
mod since_1_0_network;
#[cfg(all(feature = "tls", feature = "cloudflare", feature = "dyndns"))]
mod since_2_0_0;
mod slow_router;
mod soap_client;
#[cfg(feature = "dyndns")]
mod status;
#[allow(dead_code, reason = "a build without a part has no use for some")]
mod support;
#[cfg(all(feature = "tls", target_endian = "little"))]
mod web;
