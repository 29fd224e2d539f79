//! What may be asked of the page and the metrics.

use std::net::IpAddr;

use ddns_update_daemon::monitor::judge;

/// A page is given only to GET or HEAD with one Host that is an address, localhost or
/// ours; a refusal is as long as it says.
pub(super) fn request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let asked = match judge(data, &["ddns".to_owned()]) {
        Ok(asked) => asked,
        Err(refused) => {
            let bytes = refused.bytes(false);
            let text = String::from_utf8(bytes).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("HTTP/1.1 4"), "{head}");
            return assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        }
    };
    assert_eq!(asked.head_only, text.starts_with("HEAD /"));
    assert!(asked.head_only || text.starts_with("GET /"));
    let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let fields = lines.skip(1).take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let hosts: Vec<&str> = fields
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())
        .collect();
    let [host] = hosts[..] else { panic!("{hosts:?}") };
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = bare.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    assert!(["localhost", "ddns"].contains(&name.as_str()) || name.parse::<IpAddr>().is_ok(), "{host}");
}
