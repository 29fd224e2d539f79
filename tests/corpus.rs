//! Documents of real gateways, and our own fixtures, against what is expected
//! of each. Every expectation is either checked or fails the test: none is
//! skipped because nobody understood it. (Datagrams are in another file.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/index.rs"]
mod index;

use std::fs;
use std::net::IpAddr;

use ddns_update_daemon::address::{Finding, Prefix, Scope, scope};
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::http::{Head, Response, ResponseReader, Rules};
use ddns_update_daemon::soap::actions::{Answer, external_ipv4, external_ipv6, ipv6_prefix, valid_seconds};
use ddns_update_daemon::soap::description::{Description, DescriptionError, Service, ServiceType};
use ddns_update_daemon::soap::envelope::{Reply, ReplyError};
use ddns_update_daemon::soap::gateway::{Step, StopAt, Survey, SurveyError, Wanted};
use ddns_update_daemon::soap::xml::Element;
use index::{Row, rows};

const MAX_BODY: usize = 64 * 1024;

#[test]
fn descriptions_are_read_as_the_corpus_expects() {
    rows("description").iter().flatten().for_each(check_description);
}

#[test]
fn soap_answers_are_read_as_the_corpus_expects() {
    rows("soap").iter().flatten().for_each(check_soap);
}

#[test]
fn service_descriptions_are_read_as_the_corpus_expects() {
    rows("scpd").iter().flatten().for_each(check_scpd);
}

#[test]
fn event_messages_are_read_as_the_corpus_expects() {
    rows("gena").iter().flatten().for_each(check_gena);
}

#[test]
fn our_own_descriptions_are_read_as_they_expect() {
    fixtures("description").iter().for_each(check_description);
}

#[test]
fn our_own_soap_answers_are_read_as_they_expect() {
    fixtures("soap").iter().for_each(check_soap);
}

#[test]
fn no_damaged_description_leads_to_another_host() {
    let location = url("http://192.168.7.1:5000/desc/root.xml");
    for Row { bytes, .. } in fixtures("description") {
        for (position, damage) in (0..bytes.len()).zip(b"<&\"/>9;\0\xff ".iter().cycle()) {
            let mut damaged = bytes.clone();
            damaged[position] = *damage;
            let Ok(description) = Description::parse(&damaged, &location) else { continue };
            for service in description.services {
                assert_eq!(service.control.host(), location.host());
                assert!(service.event.is_none_or(|event| event.host() == location.host()));
            }
        }
    }
}

/// Files with a line `expect: ...`, a line `source: ...`, an empty line and the
/// document; the expectations read like those of the corpus.
fn fixtures(folder: &str) -> Vec<Row> {
    let folder = format!("{}/tests/fixtures/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let fixture = |path: std::path::PathBuf| {
        let content = fs::read(&path).unwrap();
        let mut parts = content.splitn(4, |byte| *byte == b'\n');
        let mut line = || String::from_utf8(parts.next().unwrap().to_vec()).unwrap();
        let expected = line().strip_prefix("expect: ").expect("expect: ...").to_owned();
        assert!(line().starts_with("source: "), "{}", path.display());
        assert_eq!(line(), "", "{}", path.display());
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        Row { file, expected, bytes: parts.next().unwrap().to_vec() }
    };
    files.map(fixture).collect()
}

/// A document with its status: the response of an `.http` file, or the bare body
/// of another.
fn response(row: &Row, status: u16) -> Response {
    if !row.bytes.starts_with(b"HTTP/") {
        let (head, _) = Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        return Response { head, status, body: row.bytes.clone() };
    }
    let mut reader = ResponseReader::new(Rules::gateway(MAX_BODY));
    match reader.push(&row.bytes).unwrap() {
        Some(response) => response,
        None => reader.finish().unwrap(),
    }
}

fn parts(row: &Row) -> impl Iterator<Item = &str> {
    row.expected.split("; ")
}

fn value<'a>(row: &'a Row, key: &str) -> Option<&'a str> {
    parts(row).find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

fn url(text: &str) -> LanUrl {
    LanUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn not_understood(row: &Row, part: &str) -> ! {
    panic!("{}: the test does not know what {part:?} means", row.file)
}

fn check_description(row: &Row) {
    let response = response(row, 200);
    let Some(location) = value(row, "location").map(url) else {
        return check_no_description(row, response);
    };
    assert_eq!(response.status, 200, "{}", row.file);
    let parsed = Description::parse(&response.body, &location);
    if parts(row).any(|part| part == "NOT well formed") {
        // Nothing of such a document may be used, so the rest is not to be seen.
        assert!(matches!(parsed, Err(DescriptionError::Xml(_))), "{}: {parsed:?}", row.file);
        return;
    }
    let description = parsed.unwrap_or_else(|error| panic!("{}: {error}", row.file));
    let mut services = description.services.iter();
    let mut dslforum = false;
    for part in parts(row) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("location", _) => {}
            ("base", text) => check_base(row, &response.body, &description, text),
            ("root", "-") => assert_eq!(description.device.root_type, "", "{}", row.file),
            ("root", root) => assert_eq!(description.device.root_type, root, "{}", row.file),
            (key, _) if key.starts_with("wan") => {
                let service = services.next().unwrap_or_else(|| panic!("{}: no {key}", row.file));
                check_service(row, service, part);
            }
            ("no WANIPConnection/WANPPPConnection service: not usable", "") => {
                assert_eq!(description.services, [], "{}", row.file);
                assert_eq!(survey(response.clone(), &location), Some(SurveyError::NoService));
            }
            ("TR-064 service types (urn:dslforum-org): not an IGD service", "") => dslforum = true,
            _ => not_understood(row, part),
        }
    }
    assert_eq!(services.next(), None, "{}: more services than expected", row.file);
    for service in &description.services {
        assert_eq!(service.service_type.is_dslforum(), dslforum, "{}", row.file);
    }
}

fn check_no_description(row: &Row, response: Response) {
    assert_eq!(row.expected, "error: HTTP 404, no description", "{}", row.file);
    assert_eq!(survey(response, &url("http://192.168.1.1/")), Some(SurveyError::Status(404)));
}

/// How a survey ends that gets this as the description, if it ends at once.
fn survey(response: Response, location: &LanUrl) -> Option<SurveyError> {
    let wanted = Wanted { ipv4: true, ipv6: true };
    let mut survey = Survey::of_description(location.clone(), wanted, StopAt::UntilGlobal);
    match survey.next(Some(Ok(response))) {
        Step::Done(result) => result.err(),
        Step::Send(_) => None,
    }
}

fn check_base(row: &Row, body: &[u8], description: &Description, text: &str) {
    let (base, origin) = text.split_once(' ').unwrap();
    assert_eq!(description.base, url(base), "{}", row.file);
    let root = Element::parse(body).unwrap();
    let named = root.child("URLBase").is_some_and(|base| !base.text.is_empty());
    assert_eq!(origin, if named { "(URLBase)" } else { "(LOCATION)" }, "{}", row.file);
}

/// `wan1=TYPE control=URL event=URL`
fn check_service(row: &Row, service: &Service, part: &str) {
    let mut words = part.split(' ');
    let service_type = words.next().and_then(|word| word.split_once('=')).unwrap().1;
    assert_eq!(service.service_type.as_str(), service_type, "{}", row.file);
    let control = words.next().and_then(|word| word.strip_prefix("control=")).unwrap();
    assert_eq!(service.control, url(control), "{}", row.file);
    let event = words.next().and_then(|word| word.strip_prefix("event=")).unwrap();
    assert_eq!(service.event, (event != "-").then(|| url(event)), "{}", row.file);
    assert_eq!(words.next(), None, "{}: {part}", row.file);
}

fn check_soap(row: &Row) {
    // A bare body has no status: faults come with 500.
    let response = response(row, if value(row, "fault").is_some() { 500 } else { 200 });
    let action = value(row, "response").unwrap_or("GetExternalIPAddressResponse");
    let action = action.strip_suffix("Response").unwrap();
    let answer = Reply::parse(response.status, &response.body, action);
    // The values of an answer that is refused for its status alone.
    let under_200 = Reply::parse(200, &response.body, action);
    let failing = parts(row).any(|part| part.starts_with("error: ") || part == "NOT well formed: error");
    assert_eq!(answer.is_err(), failing || value(row, "fault").is_some(), "{}: {answer:?}", row.file);
    for part in parts(row) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("http", status) => assert_eq!(response.status.to_string(), status, "{}", row.file),
            ("response", _) => assert!(under_200.is_ok(), "{}: {under_200:?}", row.file),
            ("fault" | "description", _) => check_fault(row, &answer),
            ("argument missing: error", "") => {
                assert_eq!(answer.as_ref().unwrap().argument("NewExternalIPAddress"), None, "{}", row.file);
                assert_unknown(row, &external_ipv4(&answer, &some_service()));
            }
            ("NOT well formed: error", "") => {
                assert!(matches!(under_200, Err(ReplyError::Xml(_))), "{}: {under_200:?}", row.file);
            }
            ("error: HTTP status is not 200" | "error: HTML page, no SOAP", "") => {
                assert_eq!(answer, Err(ReplyError::Http(response.status)), "{}", row.file);
            }
            ("error: neither response nor fault", "") => {
                assert_eq!(answer, Err(ReplyError::Unexpected), "{}", row.file);
            }
            (name, text) if name.starts_with("New") => check_argument(row, &under_200, name, text),
            _ if part.starts_with("declared length ") => check_lengths(row, &response, part),
            _ => not_understood(row, part),
        }
    }
}

/// `fault=CODE; description=TEXT`; nothing of it may show in a document that is
/// not well formed.
fn check_fault(row: &Row, answer: &Answer) {
    if parts(row).any(|part| part == "NOT well formed: error") {
        assert_eq!(*answer, Err(ReplyError::Http(500)), "{}", row.file);
        return;
    }
    let code = value(row, "fault").unwrap().parse().ok();
    let description = value(row, "description").unwrap_or_default().to_owned();
    assert_eq!(*answer, Err(ReplyError::Fault { code, description }), "{}", row.file);
}

/// `declared length 343 but 340 bytes present`
fn check_lengths(row: &Row, response: &Response, part: &str) {
    let words: Vec<_> = part.split(' ').collect();
    assert_eq!((words[3], &words[5..]), ("but", ["bytes", "present"].as_slice()), "{part}");
    assert_eq!(response.head.one("Content-Length"), Some(words[2]), "{}", row.file);
    assert_eq!(response.body.len().to_string(), words[4], "{}", row.file);
}

/// `VALUE` or `'VALUE' (CLASS)`
fn check_argument(row: &Row, answer: &Answer, name: &str, text: &str) {
    let (value, class) = quoted(text).unwrap_or((text, ""));
    assert_eq!(answer.as_ref().unwrap().argument(name), Some(value), "{}", row.file);
    match name {
        "NewExternalIPAddress" => check_ipv4(row, answer, value, class),
        "NewIPv6Prefix" => {
            assert_eq!(class, "documentation address (stands for a public one)");
            let (address, length) = value.split_once('/').unwrap();
            let prefix = Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap();
            assert_eq!(ipv6_prefix(answer), Finding::Known(prefix), "{}", row.file);
        }
        "NewExternalIPv6Address" => match class {
            "no IPv6" => assert!(matches!(external_ipv6(answer), Finding::Absent(_)), "{}", row.file),
            "unusable" => assert!(matches!(external_ipv6(answer), Finding::Unknown(_)), "{}", row.file),
            _ => not_understood(row, class),
        },
        "NewValidLifetime" => assert_eq!(valid_seconds(answer), value.parse().ok(), "{}", row.file),
        _ => assert_eq!(class, "", "{}", row.file),
    }
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let (value, class) = text.strip_prefix('\'')?.rsplit_once("' (")?;
    Some((value, class.strip_suffix(')')?))
}

fn check_ipv4(row: &Row, answer: &Answer, value: &str, class: &str) {
    let finding = external_ipv4(answer, &some_service());
    let scope = || {
        assert_eq!(finding, Finding::Known(value.parse().unwrap()), "{}", row.file);
        scope(IpAddr::V4(finding.known().unwrap()))
    };
    match class {
        "documentation address (stands for a public one)" => {
            assert_eq!(scope(), Scope::Local("documentation (RFC 5737)"));
        }
        "CGNAT 100.64/10: do not publish" => {
            assert_eq!(scope(), Scope::Local("carrier-grade NAT (RFC 6598)"));
        }
        "private/special: do not publish" => assert!(matches!(scope(), Scope::Local(_))),
        "empty: no address" | "not an address" | "link-local IPv6" => assert_unknown(row, &finding),
        "DS-Lite: none" => assert!(matches!(finding, Finding::Absent(_)), "{}", row.file),
        _ => not_understood(row, class),
    }
}

fn assert_unknown<T: std::fmt::Debug>(row: &Row, finding: &Finding<T>) {
    assert!(matches!(finding, Finding::Unknown(_)), "{}: {finding:?}", row.file);
}

fn some_service() -> Service {
    Service {
        service_type: ServiceType::parse("urn:schemas-upnp-org:service:WANIPConnection:1").unwrap(),
        control: url("http://192.168.1.1/ctl"),
        event: None,
    }
}

fn check_scpd(row: &Row) {
    let response = response(row, 200);
    let root = Element::parse(&response.body).unwrap_or_else(|error| panic!("{}: {error}", row.file));
    let name = |element: &Element| element.child("name").map(|name| name.text.clone()).unwrap();
    let actions: Vec<_> = root.child("actionList").unwrap().children.iter().map(name).collect();
    for part in parts(row) {
        match part.split_once('=').unwrap() {
            ("actions", count) => assert_eq!(actions.len().to_string(), count, "{}", row.file),
            (action @ ("GetExternalIPAddress" | "X_AVM_DE_GetExternalIPv6Address"), listed) => {
                let found = actions.iter().any(|listed| listed == action);
                assert_eq!(if found { "yes" } else { "no" }, listed, "{}", row.file);
            }
            ("evented", names) => assert_eq!(evented(&root, &response.body).join(","), names, "{}", row.file),
            ("vendor actions", names) => {
                let vendor: Vec<_> = actions.iter().filter(|name| name.starts_with("X_")).cloned().collect();
                assert_eq!(vendor.join(","), names, "{}", row.file);
            }
            _ => not_understood(row, part),
        }
    }
}

/// The tree has no attributes, so whether a variable is evented is read from the
/// text of its tag.
fn evented(root: &Element, body: &[u8]) -> Vec<String> {
    let variables = &root.child("serviceStateTable").unwrap().children;
    let text = String::from_utf8_lossy(body);
    let tags: Vec<_> =
        text.split("<stateVariable").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    assert_eq!(tags.len(), variables.len());
    let evented = variables.iter().zip(tags).filter(|(_, tag)| !tag.contains("sendEvents=\"no\""));
    evented.map(|(variable, _)| variable.child("name").unwrap().text.clone()).collect()
}

fn check_gena(row: &Row) {
    let (head, body) =
        match (!row.bytes.trim_ascii_start().starts_with(b"<")).then(|| Head::parse(&row.bytes).unwrap()) {
            Some((head, body)) => (Some(head), body),
            None => (None, row.bytes.as_slice()),
        };
    for part in parts(row) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("http", status) => {
                let found = head.as_ref().and_then(Head::status).map(|status| status.to_string());
                assert_eq!(found.as_deref(), Some(status), "{}", row.file);
            }
            (name @ ("SID" | "TIMEOUT" | "SEQ" | "NTS"), text) => {
                assert_eq!(head.as_ref().unwrap().one(name), Some(text), "{}", row.file);
            }
            ("header block not terminated", "") => assert!(!row.bytes.ends_with(b"\r\n\r\n"), "{}", row.file),
            ("NOT well formed: drop the event", "") => assert!(Element::parse(body).is_err(), "{}", row.file),
            (name, text) if text.starts_with('\'') => {
                assert_eq!(variable(body, name).as_deref(), Some(variable_value(row, text)), "{}", row.file);
            }
            _ => not_understood(row, part),
        }
    }
}

/// `'VALUE'` or `'VALUE' (CLASS)`
fn variable_value<'a>(row: &Row, text: &'a str) -> &'a str {
    let (value, class) =
        quoted(text).or_else(|| Some((text.strip_prefix('\'')?.strip_suffix('\'')?, ""))).unwrap();
    let address = || value.parse().map(|address| scope(IpAddr::V4(address)));
    match class {
        "" => {}
        "documentation address (stands for a public one)" | "private/special: do not publish" => {
            assert!(matches!(address(), Ok(Scope::Local(_))), "{}", row.file);
        }
        "unspecified: no address" => assert!(matches!(address(), Ok(Scope::Unusable(_))), "{}", row.file),
        _ => not_understood(row, class),
    }
    value
}

fn variable(body: &[u8], name: &str) -> Option<String> {
    let set = Element::parse(body).unwrap();
    assert_eq!(set.name, "propertyset");
    let mut variables = set.children.iter().flat_map(|property| &property.children);
    variables.find(|variable| variable.name == name).map(|variable| variable.text.clone())
}
