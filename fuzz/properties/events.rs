//! What strangers say unasked never counts as more than it is.

use ddns_update_daemon::gena::message::{
    Callback, Expected, MIN_TIMEOUT, NotifyCheck, REQUESTED_TIMEOUT, Sid, SubscribeResponse, check_notify,
};
use ddns_update_daemon::http::ResponseReader;
use ddns_update_daemon::natpmp::message::is_announcement;
use ddns_update_daemon::system::netlink::tells_a_change;

/// Events and answers to subscriptions, announcements, notices of the kernel.
pub(super) fn events(data: &[u8]) {
    let callback = Callback::new(([192, 168, 1, 7], 40000).into(), *b"0123456789abcdef");
    let sid = Sid::parse("uuid:1").expect("a name");
    if check_notify(data, &callback, &Expected::Of(sid.clone())) == NotifyCheck::Event {
        let text = String::from_utf8_lossy(data);
        assert!(text.starts_with(&format!("NOTIFY /{} HTTP/1.", callback.path)));
        assert!(text.contains("uuid:1"));
    }
    assert_ne!(check_notify(data, &callback, &Expected::None), NotifyCheck::Event);
    let mut reader = ResponseReader::new(None);
    if let Ok(Some(response)) = reader.push(data) {
        assert!(response.body.is_empty());
        if let Ok(granted) = SubscribeResponse::parse(&response, Some(&sid)) {
            assert_eq!(response.status, 200);
            assert!((MIN_TIMEOUT..=REQUESTED_TIMEOUT).contains(&granted.timeout));
        }
    }
    if is_announcement(data) {
        assert!(data[1] == 128 && [0, 2].contains(&data[0]));
    }
    // Sixteen bytes are the least that a notice of the kernel can have.
    assert!(data.len() >= 16 || !tells_a_change(data));
}
