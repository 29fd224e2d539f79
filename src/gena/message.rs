//! Event messages of a gateway (GENA): UPnP Device Architecture 1.1, section 4.
//!
//! Bytes in, values out; [`super::subscription`] decides what to send when, the
//! sockets live in `client.rs` and `listener.rs`. The body of an event is never
//! read: anyone could have written it, so it only tells us to poll.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::http::lan_url::LanUrl;
use crate::http::request::Request;
use crate::http::{Head, Response};
use crate::quote::quoted;

/// How long a subscription is asked for. Longer ones would hide that a gateway
/// has forgotten us.
pub const REQUESTED_TIMEOUT: Duration = Duration::from_secs(1800);

/// The shortest time that is believed: some gateways grant 0 seconds, and would
/// have us renew without end.
pub const MIN_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest name of a subscription, in bytes; real ones have 41.
const MAX_SID: usize = 256;

/// Something to ask of the publisher of events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubscriptionRequest {
    /// To send events to this place (UDA 4.1.2).
    Subscribe(Callback),
    /// To go on with this subscription (UDA 4.1.3). Without a callback: with one,
    /// some gateways make a second subscription.
    Renew(Sid),
    /// To end it (UDA 4.1.4).
    Unsubscribe(Sid),
}

impl SubscriptionRequest {
    /// What to send to the publisher of events at `url`. Its answer has no body
    /// worth waiting for: gateways answer without a length, and some keep the
    /// connection open.
    #[must_use]
    pub fn to(self, url: LanUrl) -> Request {
        let timeout = ("TIMEOUT", format!("Second-{}", REQUESTED_TIMEOUT.as_secs()));
        let (method, fields) = match self {
            Self::Subscribe(callback) => {
                let callback = ("CALLBACK", format!("<{callback}>"));
                ("SUBSCRIBE", vec![callback, ("NT", "upnp:event".to_owned()), timeout])
            }
            Self::Renew(sid) => ("SUBSCRIBE", vec![("SID", sid.0), timeout]),
            Self::Unsubscribe(sid) => ("UNSUBSCRIBE", vec![("SID", sid.0)]),
        };
        Request { method, url, fields, body: String::new(), max_body: None }
    }
}

/// Where events are to be sent: an address of ours and a path that nobody
/// guesses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Callback {
    /// The address that the gateway sees, and the port.
    pub socket: SocketAddr,
    /// The path without its slash.
    pub path: String,
}

impl Callback {
    /// A path made of 128 random bits.
    #[must_use]
    pub fn new(socket: SocketAddr, random: [u8; 16]) -> Self {
        Self { socket, path: format!("{:032x}", u128::from_be_bytes(random)) }
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}/{}", self.socket, self.path)
    }
}

/// The name of a subscription, safe to be sent back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sid(String);

impl Sid {
    /// Any visible ASCII: gateways make up what they like.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = (1..=MAX_SID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self(text.to_owned()))
    }
}

/// What the gateway agreed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscribeResponse {
    /// The subscription's name.
    pub sid: Sid,
    /// How long it timeout, between [`MIN_TIMEOUT`] and [`REQUESTED_TIMEOUT`].
    pub timeout: Duration,
}

/// Why there is no subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubscribeError {
    /// 412: it does not know this subscription, or will not send events to us.
    Precondition,
    /// Another status.
    Status(u16),
    /// It agreed, and gave no usable name.
    NoSid(String),
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Precondition => f.write_str("it refuses to send events here (status 412)"),
            Self::Status(status) => write!(f, "it answered with HTTP status {status}"),
            Self::NoSid(sid) => write!(f, "it gave the subscription the unusable name {}", quoted(sid)),
        }
    }
}

impl std::error::Error for SubscribeError {}

impl SubscribeResponse {
    /// Reads the answer to a subscription or a renewal. An answer to a renewal
    /// may leave out the name, which is `known` then.
    pub fn parse(response: &Response, known: Option<&Sid>) -> Result<Self, SubscribeError> {
        match response.status {
            200 => {}
            412 => return Err(SubscribeError::Precondition),
            status => return Err(SubscribeError::Status(status)),
        }
        let text = response.head.one("SID").unwrap_or_default();
        let sid = Sid::parse(text).or_else(|| known.cloned().filter(|_| text.is_empty()));
        let sid = sid.ok_or_else(|| SubscribeError::NoSid(text.to_owned()))?;
        Ok(Self { sid, timeout: timeout(response.head.one("TIMEOUT").unwrap_or_default()) })
    }
}

/// `Second-1800`, in any case; `infinite` and whatever cannot be read count as
/// what we asked for.
fn timeout(text: &str) -> Duration {
    let digits = text.get(..7).filter(|word| word.eq_ignore_ascii_case("second-")).and(text.get(7..));
    let number = digits.filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    let seconds = number.map_or(REQUESTED_TIMEOUT.as_secs(), |digits| digits.parse().unwrap_or(u64::MAX));
    Duration::from_secs(seconds).clamp(MIN_TIMEOUT, REQUESTED_TIMEOUT)
}

/// Whose events are expected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Expected {
    /// Nobody's.
    #[default]
    None,
    /// Those of a subscription whose name is not known yet: the first event may
    /// overtake the answer.
    Pending,
    /// Those of this subscription.
    Of(Sid),
}

/// What to answer to a request that came to the callback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotifyCheck {
    /// An event: 200, and a hint.
    Event,
    /// No path of ours: 404.
    WrongPath,
    /// Not what a publisher of events sends: 405.
    WrongMethod,
    /// Not our subscription: 412.
    WrongSubscription,
    /// No HTTP: 400.
    Damaged,
}

impl NotifyCheck {
    /// The whole answer.
    #[must_use]
    pub fn answer(self) -> &'static [u8] {
        match self {
            Self::Event => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            Self::WrongPath => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            Self::WrongMethod => {
                b"HTTP/1.1 405 Method Not Allowed\r\nAllow: NOTIFY\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            }
            Self::WrongSubscription => {
                b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            }
            Self::Damaged => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        }
    }
}

/// Judges the head of a request (UDA 4.3.2). The sender's address is for the
/// listener to check. HOST must be ours where it is given: a page in a browser
/// can make requests too, but not with another HOST.
#[must_use]
pub fn check_notify(head: &[u8], callback: &Callback, expected: &Expected) -> NotifyCheck {
    let Ok((head, _body)) = Head::parse(head) else { return NotifyCheck::Damaged };
    let mut words = head.start.split(' ');
    let (method, path, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|version| version.starts_with("HTTP/1.")) {
        return NotifyCheck::Damaged;
    }
    let host_is_ours = head.all("HOST").all(|host| host == callback.socket.to_string());
    if path.and_then(|path| path.strip_prefix('/')) != Some(&callback.path) || !host_is_ours {
        return NotifyCheck::WrongPath;
    }
    if method != Some("NOTIFY") {
        return NotifyCheck::WrongMethod;
    }
    let sid = head.one("SID").and_then(Sid::parse);
    match (expected, sid) {
        (Expected::Pending, Some(_)) => NotifyCheck::Event,
        (Expected::Of(ours), Some(sid)) if sid == *ours => NotifyCheck::Event,
        _ => NotifyCheck::WrongSubscription,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Version;

    fn callback() -> Callback {
        Callback::new("192.168.1.7:40000".parse().unwrap(), [7; 16])
    }

    fn sid(text: &str) -> Sid {
        Sid::parse(text).unwrap()
    }

    fn granted(head: &str) -> Result<SubscribeResponse, SubscribeError> {
        let head = Head::parse(head.as_bytes()).unwrap().0;
        let status = head.status().unwrap();
        SubscribeResponse::parse(&Response { head, status, body: Vec::new() }, Some(&sid("uuid:old")))
    }

    fn sent(ask: SubscriptionRequest) -> String {
        let request = ask.to(LanUrl::parse("http://192.168.1.1:5000/evt?x").unwrap());
        assert_eq!(request.max_body, None);
        String::from_utf8(request.bytes(Version::Http11)).unwrap()
    }

    #[test]
    fn a_subscription_names_our_place_and_a_renewal_only_the_name() {
        assert_eq!(
            sent(SubscriptionRequest::Subscribe(callback())),
            "SUBSCRIBE /evt?x HTTP/1.1\r\nHost: 192.168.1.1:5000\r\n\
             CALLBACK: <http://192.168.1.7:40000/07070707070707070707070707070707>\r\n\
             NT: upnp:event\r\nTIMEOUT: Second-1800\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            sent(SubscriptionRequest::Renew(sid("uuid:1"))),
            "SUBSCRIBE /evt?x HTTP/1.1\r\nHost: 192.168.1.1:5000\r\nSID: uuid:1\r\n\
             TIMEOUT: Second-1800\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            sent(SubscriptionRequest::Unsubscribe(sid("uuid:1"))),
            "UNSUBSCRIBE /evt?x HTTP/1.1\r\nHost: 192.168.1.1:5000\r\nSID: uuid:1\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn paths_keep_their_leading_zeros() {
        let mut random = [0; 16];
        random[15] = 1;
        assert_eq!(Callback::new(callback().socket, random).path, format!("{}1", "0".repeat(31)));
    }

    #[test]
    fn what_is_granted_is_read_and_bounded() {
        for (timeout, seconds) in [
            ("TIMEOUT: Second-1800\r\n", 1800),
            ("Timeout:second-300\r\n", 300),
            ("TIMEOUT: Second-0\r\n", 120),
            ("TIMEOUT: Second-infinite\r\n", 1800),
            ("TIMEOUT: infinite\r\n", 1800),
            ("TIMEOUT: Second-99999999999999999999999\r\n", 1800),
            ("TIMEOUT: Second--5\r\n", 1800),
            ("TIMEOUT: \r\n", 1800),
            ("", 1800),
        ] {
            let granted = granted(&format!("HTTP/1.1 200 OK\r\nSID: uuid:1\r\n{timeout}")).unwrap();
            assert_eq!((granted.sid, granted.timeout.as_secs()), (sid("uuid:1"), seconds), "{timeout}");
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(granted("HTTP/1.1 412 Precondition Failed\r\n\r\n"), Err(SubscribeError::Precondition));
        assert_eq!(granted("HTTP/1.1 503 Busy\r\n\r\n"), Err(SubscribeError::Status(503)));
        assert_eq!(granted("HTTP/1.1 200 OK\r\n\r\n").map(|g| g.sid), Ok(sid("uuid:old")));
        for bad in ["a b".to_owned(), "x".repeat(257), "é".to_owned()] {
            let refusal = granted(&format!("HTTP/1.1 200 OK\r\nSID: {bad}\r\n\r\n"));
            assert!(matches!(refusal, Err(SubscribeError::NoSid(_))), "{bad}");
        }
    }

    fn judged(request: &str, expected: &Expected) -> NotifyCheck {
        check_notify(request.as_bytes(), &callback(), expected)
    }

    #[test]
    fn only_our_events_count() {
        let path = callback().path;
        let ours = Expected::Of(sid("uuid:1"));
        let event = format!(
            "NOTIFY /{path} HTTP/1.1\r\nHOST: 192.168.1.7:40000\r\nSID: uuid:1\r\nSEQ: 0\r\n\r\n<x/>"
        );
        assert_eq!(judged(&event, &ours), NotifyCheck::Event);
        assert_eq!(judged(&event, &Expected::Pending), NotifyCheck::Event);
        assert_eq!(judged(&event, &Expected::None), NotifyCheck::WrongSubscription);
        assert_eq!(judged(&event, &Expected::Of(sid("uuid:2"))), NotifyCheck::WrongSubscription);
        assert_eq!(judged(&event.replace("HTTP/1.1", "HTTP/1.0"), &ours), NotifyCheck::Event);
        assert_eq!(judged(&event.replace("NOTIFY", "GET"), &ours), NotifyCheck::WrongMethod);
        assert_eq!(judged(&event.replace(&path, "x"), &ours), NotifyCheck::WrongPath);
        assert_eq!(judged(&event.replace("40000", "40001"), &ours), NotifyCheck::WrongPath);
        assert_eq!(judged(&event.replace("SID", "SIT"), &ours), NotifyCheck::WrongSubscription);
        assert_eq!(judged(&event.replace("SEQ: 0", "SID: uuid:1"), &ours), NotifyCheck::WrongSubscription);
        for damaged in ["", "\0\r\n\r\n", "NOTIFY", "NOTIFY / FTP\r\n\r\n"] {
            assert_eq!(judged(damaged, &ours), NotifyCheck::Damaged, "{damaged:?}");
        }
        for judgement in [
            NotifyCheck::Event,
            NotifyCheck::WrongPath,
            NotifyCheck::WrongMethod,
            NotifyCheck::WrongSubscription,
        ] {
            let (head, rest) = Head::parse(judgement.answer()).unwrap();
            assert!(head.status().is_some() && rest.is_empty());
        }
    }
}
