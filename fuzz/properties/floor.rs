//! Properties of the formats that several protocols share.

use ddns_update_daemon::engine::state::{State, TITLE};
use ddns_update_daemon::http::lan_url::{LanUrl, MAX_URL};
use ddns_update_daemon::http::{Head, HttpError, MAX_FIELDS, MAX_HEAD, Response, ResponseReader};

/// A head is bounded, its rest is the tail of the input, and a field that `one`
/// gives occurs exactly once.
pub(super) fn http_head(data: &[u8]) {
    let Ok((head, rest)) = Head::parse(data) else { return };
    assert!(data.ends_with(rest));
    assert!(data.len() - rest.len() <= MAX_HEAD);
    for name in ["LOCATION", "ST", "Content-Length", ""] {
        assert!(head.all(name).count() <= MAX_FIELDS);
        assert_eq!(head.one(name).is_some(), head.all(name).count() == 1);
    }
    if let Some(status) = head.status() {
        assert!(status < 1000 && head.start.starts_with("HTTP/1."));
    }
}

/// However a response is cut into pieces, it reads the same; its body keeps the
/// limit and never holds more than was sent.
pub(super) fn http_response(data: &[u8]) {
    let [cut, data @ ..] = data else { return };
    let at = usize::from(*cut).min(data.len());
    let (first, second) = data.split_at(at);
    for max_body in [Some(300), None] {
        let whole = read(&[data], max_body);
        let parts = read(&[first, second], max_body);
        match (&whole, &parts) {
            (Ok(whole), Ok(parts)) => assert_eq!(whole, parts),
            // An error may show itself in another order, but not turn into success.
            (Err(_), Err(_)) => {}
            _ => panic!("cut at {at}: {whole:?} but {parts:?}"),
        }
        if let Ok(response) = whole {
            assert!(response.body.len() <= 300 && response.body.len() <= data.len());
            assert!(response.status >= 200);
        }
    }
}

fn read(parts: &[&[u8]], max_body: Option<usize>) -> Result<Response, HttpError> {
    let mut reader = ResponseReader::new(max_body);
    for part in parts {
        if let Some(response) = reader.push(part)? {
            return Ok(response);
        }
    }
    reader.finish()
}

/// What is accepted is written and read again unchanged, resolving stays on the
/// host, and nothing that could split a request line comes through.
pub(super) fn lan_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (base, reference) = text.split_once('\n').unwrap_or((text, "x"));
    let Ok(base) = LanUrl::parse(base) else { return };
    check_url(&base);
    if let Ok(resolved) = base.resolve(reference) {
        assert_eq!(resolved.host(), base.host());
        check_url(&resolved);
    }
}

fn check_url(url: &LanUrl) {
    assert!(url.path().starts_with('/') && url.path().len() <= MAX_URL + 1);
    assert!(url.path().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(url.socket().port() >= 80);
    let written = url.to_string();
    // The default port is written out, so a URL at the limit may outgrow it.
    if written.len() <= MAX_URL {
        let plain = LanUrl::parse(&written).expect("an address is written");
        assert_eq!((plain.socket(), plain.path()), (url.socket(), url.path()));
        let named = format!("http://{}{}", url.authority(), url.path());
        assert_eq!(LanUrl::parse_from(url.host(), &named).as_ref(), Ok(url));
    }
}

/// What a state file says survives being written and read, whatever else stood
/// in the file; only control characters beyond ASCII become replacements.
pub(super) fn state(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (state, _) = State::parse(&text);
    let file = |state: &State| format!("{TITLE}\n{}", state.write());
    let written = file(&state);
    let (again, damaged) = State::parse(&written);
    assert_eq!(damaged, 0);
    assert!(!written.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    if !text.chars().any(|c| c.is_control() && !c.is_ascii()) {
        assert_eq!(file(&again), written);
    }
    assert_eq!(State::parse(&file(&again)), (again, 0));
}
