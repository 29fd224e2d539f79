//! Properties of what gateways say over HTTP: XML, descriptions, answers, and a
//! whole survey.

use std::net::IpAddr;

use ddns_update_daemon::address::{Finding, Scope, scope};
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::request::{ExchangeError, Request, Version};
use ddns_update_daemon::http::{Head, Response};
use ddns_update_daemon::soap::actions::{
    Answer, GET_EXTERNAL_IPV4, GET_EXTERNAL_IPV6, GET_IPV6_PREFIX, external_ipv4, external_ipv6, ipv6_prefix,
    valid_seconds,
};
use ddns_update_daemon::soap::description::{
    Description, MAX_SERVICE_TYPE, MAX_SERVICES, Service, ServiceType,
};
use ddns_update_daemon::soap::envelope;
use ddns_update_daemon::soap::envelope::Reply;
use ddns_update_daemon::soap::gateway::{self, MAX_REQUESTS, StopAt, Wanted};
use ddns_update_daemon::soap::xml::{Element, MAX_DEPTH, MAX_DOCUMENT, MAX_ELEMENTS, MAX_NAME, MAX_TEXT};

fn location() -> LanUrl {
    LanUrl::parse("http://192.168.1.1:5000/desc/root.xml").expect("a URL")
}

/// A tree keeps every limit, is not larger than its document, and is written
/// and read again unchanged.
pub(super) fn xml(data: &[u8]) {
    let Ok(root) = Element::parse(data) else { return };
    assert!(data.len() <= MAX_DOCUMENT);
    assert!(root.walk().count() <= MAX_ELEMENTS.min(data.len()));
    check_element(&root, 1);
    let source = String::from_utf8_lossy(data);
    for element in root.walk() {
        assert!(source.contains(&element.name), "a name from nowhere");
        assert!(
            element.text.len() <= MAX_TEXT && (element.text.len() + 6 < MAX_TEXT || source.len() >= MAX_TEXT)
        );
    }
    // A NUL among the first bytes would speak of UTF-16.
    let written = format!("    {}", write(&root));
    if written.len() <= MAX_DOCUMENT {
        assert_eq!(Element::parse(written.as_bytes()), Ok(root), "{written}");
    }
}

fn check_element(element: &Element, depth: usize) {
    assert!(depth <= MAX_DEPTH);
    // Bytes that are no UTF-8 have grown threefold, but before they are counted.
    assert!((1..=MAX_NAME).contains(&element.name.len()) && element.text.len() <= MAX_TEXT);
    assert_eq!(element.text.trim(), element.text);
    assert!(!element.name.contains([':', '<', '>', '"', ' ', '\0']));
    element.children.iter().for_each(|child| check_element(child, depth + 1));
}

fn write(element: &Element) -> String {
    let text = element.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&#62;");
    let children: String = element.children.iter().map(write).collect();
    format!("<{0}>{text}{children}</{0}>", element.name)
}

/// Every URL is the gateway's own, every type is one of ours, and no request
/// made of them can be taken for two.
pub(super) fn description(data: &[u8]) {
    let location = location();
    let Ok(description) = Description::parse(data, &location) else { return };
    assert_eq!(description.base.host(), location.host());
    assert!(description.services.len() <= MAX_SERVICES);
    let device = &description.device;
    for text in [&device.root_type, &device.friendly_name, &device.manufacturer, &device.model] {
        assert!(text.len() <= MAX_TEXT);
    }
    let source = String::from_utf8_lossy(data);
    for service in &description.services {
        assert!(
            [Some(&service.control), service.event.as_ref()]
                .into_iter()
                .flatten()
                .all(|url| url.host() == location.host())
        );
        let text = service.service_type.as_str();
        assert!(text.len() <= MAX_SERVICE_TYPE && text.contains(":service:WAN"));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_.-".contains(&byte)));
        assert!(source.contains(text) || source.contains(['&', '!', '?']), "a type from nowhere");
        for version in [Version::Http11, Version::Http10] {
            check_request(&envelope::call(service, GET_EXTERNAL_IPV4).bytes(version));
        }
        check_request(&envelope::get(service.control.clone()).bytes(Version::Http11));
    }
}

fn check_request(bytes: &[u8]) {
    let (head, body) = Head::parse(bytes).expect("a head");
    let mut words = head.start.split(' ');
    assert!(matches!(words.next(), Some("GET" | "POST")));
    assert!(words.next().is_some_and(|path| path.starts_with('/')));
    assert!(words.next().is_some_and(|version| version.starts_with("HTTP/1.")) && words.next().is_none());
    let length: usize = head.one("Content-Length").map_or(0, |length| length.parse().expect("a number"));
    assert_eq!(body.len(), length);
    let lines = bytes.split(|byte| *byte == b'\n').take_while(|line| *line != b"\r").count();
    assert_eq!(lines, if length > 0 { 6 } else { 3 });
    assert_eq!(head.all("Host").count(), 1);
    if length > 0 {
        assert!(Element::parse(body).is_ok());
    }
}

fn service(path: &str) -> Service {
    let service_type = ServiceType::parse("urn:schemas-upnp-org:service:WANIPConnection:1").expect("ours");
    let control = location().resolve(path).expect("a URL");
    Service { service_type, name: String::new(), control, event: None }
}

/// Success takes status 200 and a body without a fault; what is known stands in
/// that body, and is no address that nobody can have.
pub(super) fn reply(data: &[u8]) {
    let [status, body @ ..] = data else { return };
    let status = [200, 500, 400, 401, 404, 206, 100 + u16::from(*status)][usize::from(status % 7)];
    let source = String::from_utf8_lossy(body);
    for action in [GET_EXTERNAL_IPV4, GET_EXTERNAL_IPV6, GET_IPV6_PREFIX] {
        let answer: Answer = Reply::parse(status, body, action);
        check_answer(status, body, &answer);
        for finding in
            [external_ipv4(&answer, &service("/a")), external_ipv4(&answer, &service("/igdupnp/a"))]
        {
            match finding {
                Finding::Known(address) => {
                    check_known(&source, &answer, "NewExternalIPAddress", address.into());
                }
                Finding::Absent(why) | Finding::Unknown(why) => check_words(&why),
            }
        }
        match external_ipv6(&answer) {
            Finding::Known(address) => {
                check_known(&source, &answer, "NewExternalIPv6Address", address.into());
                assert!(valid_seconds(&answer).is_some_and(|seconds| seconds > 0));
            }
            Finding::Absent(why) | Finding::Unknown(why) => check_words(&why),
        }
        match ipv6_prefix(&answer) {
            Finding::Known(prefix) => {
                assert!((16..=64).contains(&prefix.length()));
                assert!(valid_seconds(&answer).is_some_and(|seconds| seconds > 0));
            }
            Finding::Absent(why) | Finding::Unknown(why) => check_words(&why),
        }
    }
}

fn check_answer(status: u16, body: &[u8], answer: &Answer) {
    match answer {
        Ok(_) => {
            assert_eq!(status, 200);
            let root = Element::parse(body).expect("it was read");
            assert!(root.child("Body").is_some_and(|body| body.child("Fault").is_none()));
        }
        Err(error) => check_words(&error.to_string()),
    }
}

fn check_known(source: &str, answer: &Answer, argument: &str, address: IpAddr) {
    assert!(!matches!(scope(address), Scope::Unusable(_)), "{address}");
    let text = answer
        .as_ref()
        .expect("no address without an answer")
        .argument(argument)
        .expect("nor without its argument");
    // A second reading of the text; only references and comments hide it.
    assert!(source.contains(text) || source.contains(['&', '!', '?']), "{text} from nowhere");
    let plain = text.split('/').next().expect("a first piece");
    assert_eq!(plain.parse(), Ok(address));
    assert!(address.is_ipv6() || *plain == address.to_string(), "IPv4 is written in one way");
}

fn check_words(why: &str) {
    assert!(!why.is_empty() && why.len() < 1200 && !why.chars().any(char::is_control), "{why:?}");
}

/// Whatever a gateway answers: a bounded number of requests, all to itself; an
/// IPv4 address that is known stood in an answer with status 200.
///
/// The input: settings, then answers with a record separator between them, each
/// a byte for the status and a body.
pub(super) fn survey(data: &[u8]) {
    let [setting, script @ ..] = data else { return };
    let wanted = Wanted { ipv4: setting & 1 != 0, ipv6: setting & 2 != 0 };
    let stop_at = if setting & 4 != 0 { StopAt::EveryService } else { StopAt::UntilGlobal };
    let mut answers = script.split(|byte| *byte == 0x1e).map(answer);
    let mut told: Vec<IpAddr> = Vec::new();
    let mut requests = 0;
    let mut ask = |request: &Request| {
        requests += 1;
        assert!(requests <= MAX_REQUESTS);
        assert_eq!(request.url.host(), location().host());
        check_request(&request.bytes(Version::Http11));
        let answer = answers.next().unwrap_or(Err(ExchangeError::Timeout));
        if let Ok(response) = &answer {
            let reply = Reply::parse(response.status, &response.body, GET_EXTERNAL_IPV4);
            let text = reply.as_ref().ok().and_then(|reply| reply.argument("NewExternalIPAddress"));
            told.extend(text.and_then(|text| text.parse::<IpAddr>().ok()));
        }
        answer
    };
    let report = if setting & 8 != 0 {
        Ok(gateway::ask_service(service("/ctl"), setting & 16 != 0, wanted, &mut ask))
    } else {
        gateway::survey(&location(), (setting & 32 != 0).then_some("2"), wanted, stop_at, &mut ask)
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => return check_words(&error.to_string()),
    };
    assert!((1..=MAX_SERVICES).contains(&report.services.len()));
    assert!(
        report.chosen.is_none()
            || report.chosen().is_some_and(|asked| asked.service.control.host() == location().host())
    );
    match &report.observation.ipv4 {
        Finding::Known(address) => {
            assert!(wanted.ipv4 && told.contains(&(*address).into()));
            assert!(!matches!(scope((*address).into()), Scope::Unusable(_)));
            let chosen = report.chosen.expect("somebody said so");
            assert_eq!(report.services[chosen].ipv4.known(), Some(*address));
        }
        Finding::Absent(why) | Finding::Unknown(why) => check_words(why),
    }
    assert!(wanted.ipv6 || report.observation.ipv6.known().is_none());
}

fn answer(bytes: &[u8]) -> Result<Response, ExchangeError> {
    let (status, body) = bytes.split_first().unwrap_or((&b'0', &[]));
    let status = match status % 8 {
        0..4 => 200,
        4 => 500,
        5 => 404,
        6 => 302,
        _ => return Err(ExchangeError::Broken(std::io::ErrorKind::ConnectionReset)),
    };
    let (head, _) = Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").expect("a head");
    Ok(Response { head, status, body: body.to_vec() })
}
