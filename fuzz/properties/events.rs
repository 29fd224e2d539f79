//! What strangers say unasked never counts as more than it is.

use std::time::Duration;

use ddns_update_daemon::gena::message::{
    Callback, Expected, MIN_TIMEOUT, NotifyCheck, REQUESTED_TIMEOUT, Sid, SubscribeError, SubscribeResponse,
    check_notify,
};
use ddns_update_daemon::gena::subscription::{Failure, NextRequest, PollResult, Subscription};
use ddns_update_daemon::http::ResponseReader;
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::request::ExchangeError;
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

/// Whatever polls find, whoever says that the gateway has restarted, and whatever that
/// answers: it is asked six times in a minute at most, for nothing that it has not granted,
/// and nobody is woken for nothing.
pub(super) fn subscription(data: &[u8]) {
    let urls = [1, 2].map(|port| LanUrl::parse(&format!("http://192.168.1.1:500{port}/evt")).expect("a URL"));
    let (mut subscription, mut now) = (Subscription::default(), Duration::ZERO);
    let (mut asked, mut granted) = (Vec::new(), Vec::new());
    for pair in data.chunks(2) {
        let (byte, argument) = (pair[0], pair.get(1).copied().unwrap_or(0));
        match byte % 6 {
            0 | 1 => {
                let events = urls.get(usize::from(argument / 2 % 3)).cloned();
                let ipv4 = Some([11, 22, 33, argument >> 5].into());
                subscription.seen(now, &PollResult { reached: argument & 1 == 0, events, ipv4 });
            }
            2 => subscription.event_came(),
            3 => subscription.gateway_restarted(now),
            4 => now += Duration::from_secs(u64::from(argument)),
            _ => now = subscription.deadline().unwrap_or(now).max(now),
        }
        for round in 0.. {
            assert!(round < 9, "it never rests");
            let Some(step) = subscription.step(now) else { break };
            let url = match step {
                NextRequest::Unsubscribe(url, sid) => {
                    assert!(granted.contains(&(url, sid)), "nobody has granted that");
                    continue;
                }
                NextRequest::Renew(url, sid) => {
                    assert!(granted.contains(&(url.clone(), sid)), "nobody has granted that");
                    url
                }
                NextRequest::Subscribe(url) => {
                    asked.push(now);
                    url
                }
            };
            let answer = match argument % 5 {
                0 | 1 => {
                    let sid = Sid::parse(&format!("uuid:{}", granted.len() / 2)).expect("a name");
                    granted.push((url, sid.clone()));
                    Ok(SubscribeResponse { sid, timeout: MIN_TIMEOUT * (1 + u32::from(argument) / 20) })
                }
                2 => Err(Failure::Refused(SubscribeError::Precondition)),
                3 => Err(Failure::Exchange(ExchangeError::Timeout)),
                _ => Err(Failure::Here("no room".to_owned())),
            };
            subscription.answered(now, answer);
        }
        while subscription.notice().is_some() {}
        assert!(subscription.deadline().is_none_or(|at| at > now), "a deadline in the past is a busy loop");
    }
    for (index, start) in asked.iter().enumerate() {
        let within = asked[index..].iter().take_while(|at| **at < *start + Duration::from_secs(60)).count();
        assert!(within <= 6, "{within} subscriptions in a minute");
    }
}
