//! `explain`, as a person calls it before trusting a configuration.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::support::scene::Scene;
use crate::support::wire::Server;

/// What `explain` says of this configuration.
fn explain(scene: &Scene, config: &str, options: &[&str]) -> (i32, String) {
    let path = scene.config_path();
    fs::write(&path, config).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let words: Vec<&str> = ["explain", path.as_str()].into_iter().chain(options.iter().copied()).collect();
    let (status, text) = scene.call(&words);
    let fits = |line: &str| line.chars().count() <= 80 || !line.trim().contains(' ');
    assert!(text.lines().all(fits), "{text}");
    (status, text)
}

/// Each of `lines` is there, in this order.
#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    let mut rest = text;
    for line in lines {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("{line:?} is not in\n{text}")).1;
    }
}

#[test]
fn it_tells_what_would_be_sent_and_sends_nothing() {
    let scene = Scene::new();
    let config = scene.config("home.example.org");
    let (status, text) = explain(&scene, &config, &[]);
    assert_eq!(status, 0, "{text}");
    assert_lines(
        &text,
        &[
            "IPv4\n  1 upnp:http://127.0.0.1:",
            "says 11.22.33.44",
            "\n  => 11.22.33.44\n\nTARGETS\n  home.example.org (dyndns)\n    would ",
            "nothing was sent yet\n",
        ],
    );
    assert_eq!(scene.sent(), 0);
    assert!(!scene.folder.path("state/test.state").exists(), "and stores nothing");
}

#[test]
fn what_is_current_is_left_alone() {
    let scene = Scene::new();
    let mut daemon = scene.start();
    scene.wait_log("set to 11.22.33.44");
    daemon.stop();
    let (status, text) = explain(&scene, &scene.config("home.example.org"), &[]);
    assert_eq!((status, scene.sent()), (0, 1), "{text}");
    assert_lines(&text, &["TARGETS\n", "nothing to do: it holds 11.22.33.44 since "]);
}

#[test]
fn an_address_that_nobody_can_reach_is_refused_with_the_reason() {
    let scene = Scene::new();
    scene.gateway.heal("100.64.8.9");
    let (status, text) = explain(&scene, &scene.config("home.example.org"), &[]);
    assert_eq!(status, 1, "{text}");
    assert_lines(&text, &["says", "100.64.8.9\n    refused: it is ", "carrier-grade NAT"]);
    assert_lines(&text, &["  => no IPv4 address is published", "nothing is sent: ", "carrier-grade NAT"]);
}

#[test]
fn online_says_of_dyndns_that_it_cannot_be_tested() {
    let scene = Scene::new();
    let (status, text) = explain(&scene, &scene.config("home.example.org"), &["--online"]);
    assert_eq!((status, scene.sent()), (0, 0), "{text}");
    assert!(text.contains("    credentials of dyndns2 cannot be tested without an update\n"), "{text}");
}

/// Cloudflare's API, as far as it says what a token may do.
///
/// Without rights the token may only change the records of the zone.
fn cloudflare(rights: &'static str) -> Server {
    Server::start(
        (Ipv4Addr::LOCALHOST, 0).into(),
        Arc::new(move |request, wire| {
            let path = request.path.split('?').next().unwrap_or_default();
            let known = request.field("Authorization") == "Bearer Zx81qToken-of-forty-characters-0123456789";
            let may = known
                && (!path.starts_with("/zones/") || !rights.is_empty() || path.ends_with("/dns_records"));
            let body = match path {
                _ if !may => {
                    "{\"success\":false,\"errors\":[{\"code\":10000,\"message\":\"no\"}]}".to_owned()
                }
                "/user/tokens/verify" => {
                    "{\"success\":true,\"result\":{\"id\":\"a\",\"status\":\"active\"}}".to_owned()
                }
                "/zones" => {
                    "{\"success\":true,\"result\":[{\"id\":\"0123\",\"name\":\"example.org\"}]}".to_owned()
                }
                "/zones/0123/dns_records" => "{\"success\":true,\"result\":[]}".to_owned(),
                "/zones/0123" => format!("{{\"success\":true,\"result\":{{\"permissions\":[{rights}]}}}}"),
                _ => "{\"success\":false,\"errors\":[{\"code\":7000,\"message\":\"no route\"}]}".to_owned(),
            };
            wire.reply(if may { "200 OK" } else { "403 Forbidden" }, "", body.as_bytes())
        }),
    )
}

#[test]
fn online_asks_cloudflare_and_changes_nothing() {
    let good = "Zx81qToken-of-forty-characters-0123456789";
    for (rights, token, zone, expected, lines) in [
        (
            "\"#zone:read\",\"#dns_records:edit\"",
            good,
            "",
            0,
            &["the token is active\n", "the zone example.org: found, and the token may edit its DNS\n"][..],
        ),
        ("\"#zone:read\"", good, "", 1, &["the token is active\n", "may not edit", "DNS:Edit"]),
        ("", "wrong-token", "", 1, &["the token is not confirmed", "Cloudflare refused to show the zones"]),
        // DNS:Edit alone, which is enough with the zone's id.
        ("", good, "zone_id = \"0123\"\n", 0, &["the zone with the configured zone_id: found; whether"]),
        ("", "wrong-token", "zone_id = \"0123\"\n", 1, &["lacks the permission DNS:Edit for this zone"]),
    ] {
        let (scene, api) = (Scene::new(), cloudflare(rights));
        let ours = scene.config("home.example.org");
        let (head, _) = ours.split_once("[[dyndns]]").unwrap();
        let config = format!(
            "{head}[cloudflare]\napi_url = \"http://{}\"\napi_token = \"{token}\"\n{zone}[[cloudflare.records]]\n\
             name = \"home.example.org\"\ntype = \"A\"\n",
            api.address()
        );
        let (status, text) = explain(&scene, &config, &["--online"]);
        assert_eq!(status, expected, "{text}");
        assert_lines(&text, lines);
        assert!(!text.contains(token), "{text}");
        assert!(api.exchanges().iter().all(|exchange| exchange.request.method == "GET"), "{text}");
    }
}
