//! What a token may do, as it is told to a person who asks.

use super::*;

/// What `explain --online` says of these records, where `twist` may answer instead of
/// the fake.
fn told(
    zone_id: Option<&str>,
    names: &[&str],
    mut twist: impl FnMut(&str) -> Option<Reply>,
) -> Vec<Result<String, String>> {
    let mut fake = Fake::new(&[("A", "nas.example.com", "192.0.2.1")]);
    fake.zones.push(("org", "example.org"));
    let cloudflare = updater(zone_id, names.iter().map(|name| record(name)).collect());
    cloudflare.config.test(&mut |request| {
        assert_eq!(request.method, "GET", "nothing is changed");
        let path = request.url.strip_prefix("https://api.test/v4/").unwrap();
        Ok(twist(path).unwrap_or_else(|| fake.answer(request)))
    })
}

/// What the verification of a token says (`GET /user/tokens/verify`).
fn verified(path: &str, status: &str) -> Option<Reply> {
    (path == "user/tokens/verify").then(|| success(&json!({"id": "t", "status": status})))
}

/// What a zone says of the rights of whoever asks for it.
fn zone(path: &str, rights: &Value) -> Option<Reply> {
    let zone = path.starts_with("zones/") && !path.contains("dns_records");
    zone.then(|| success(&json!({"id": ZONE, "name": "example.com", "permissions": rights})))
}

const ACTIVE: &str = "the token is active";
const MAY_EDIT: &str = "the zone example.com: found, and the token may edit its DNS";

#[test]
fn an_active_token_that_may_edit_each_zone_once_is_told_so() {
    let rights = json!(["#dns_records:edit"]);
    let told = told(None, &["nas.example.com", "nas.example.org", "www.example.com"], |path| {
        verified(path, "active").or_else(|| zone(path, &rights))
    });
    let org = MAY_EDIT.replace("example.com", "example.org");
    assert_eq!(told, [Ok(ACTIVE.to_owned()), Ok(MAY_EDIT.to_owned()), Ok(org)]);
}

#[test]
fn a_token_that_is_disabled_or_lacks_a_right_is_told_with_its_cure() {
    for status in ["disabled", "expired"] {
        let told = told(None, &["nas.example.com"], |path| {
            verified(path, status).or_else(|| zone(path, &json!(["#dns_records:read"])))
        });
        let [Err(token), Err(zone)] = told.as_slice() else { panic!("{told:?}") };
        assert!(token.contains("disabled or expired"), "{token}");
        assert!(zone.contains("may not edit its DNS") && zone.contains("DNS:Edit"), "{zone}");
    }
    let told = told(None, &["nas.example.net"], |path| verified(path, "active"));
    let [Ok(_), Err(zone)] = told.as_slice() else { panic!("{told:?}") };
    assert!(zone.contains("no active zone that the token may read holds \"nas.example.net\""), "{zone}");
}

#[test]
fn what_is_not_said_is_told_as_not_said() {
    // A token of an account is verified elsewhere, and not every zone names rights.
    let told = told(None, &["nas.example.com"], |path| zone(path, &Value::Null));
    let [Ok(token), Ok(zone)] = told.as_slice() else { panic!("{told:?}") };
    assert!(token.contains("not confirmed as one of a user (status 404"), "{token}");
    assert!(zone.contains("the zone example.com: found") && zone.contains("is not said"), "{zone}");
}

#[test]
fn with_a_zone_id_the_zone_itself_need_not_be_shown() {
    let denied = |path: &str| {
        let shown = path == format!("zones/{ZONE}");
        shown.then(|| refusal(403, &[9109], "Unauthorized to access requested resource"))
    };
    let with_id = told(Some(ZONE), &["nas", "www"], |path| verified(path, "active").or_else(|| denied(path)));
    let [Ok(_), Ok(zone)] = with_id.as_slice() else { panic!("{with_id:?}") };
    assert!(zone.starts_with("the zone with the configured zone_id: found; whether"), "{zone}");
    let without = told(None, &["nas.example.com"], |path| verified(path, "active").or_else(|| denied(path)));
    let [Ok(_), Err(zone)] = without.as_slice() else { panic!("{without:?}") };
    assert!(zone.starts_with("the zone example.com: ") && zone.contains("9109"), "{zone}");
}
