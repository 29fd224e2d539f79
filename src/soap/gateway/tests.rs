//! Surveys of a gateway that is a closure.

use std::io;

use super::*;
use crate::http::Head;
use crate::http::request::Version;
use crate::soap::xml::XmlError;

const BOTH: Wanted = Wanted { ipv4: true, ipv6: true };
const IPV4: Wanted = Wanted { ipv4: true, ipv6: false };
const IPV6: Wanted = Wanted { ipv4: false, ipv6: true };

type Got = Result<Response, ExchangeError>;

#[expect(clippy::unnecessary_wraps, reason = "the tests hand in results")]
fn response(status: u16, body: &str) -> Got {
    let head = Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").unwrap().0;
    Ok(Response { head, status, body: body.as_bytes().to_vec() })
}

fn description(services: usize) -> String {
    let service = |index| {
        format!(
            "<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
             <serviceId>urn:upnp-org:serviceId:WANIPConn{index}</serviceId>\
             <controlURL>/{index}</controlURL></service>"
        )
    };
    let services: Vec<_> = (0..services).map(service).collect();
    format!("<root><device><friendlyName>Box</friendlyName>{}</device></root>", services.concat())
}

fn fault(code: u16) -> Got {
    response(500, &format!("<Envelope><Body><Fault><errorCode>{code}</errorCode></Fault></Body></Envelope>"))
}

fn ipv4(text: &str) -> Got {
    reply(GET_EXTERNAL_IPV4, &format!("<NewExternalIPAddress>{text}</NewExternalIPAddress>"))
}

fn ipv6(text: &str) -> Got {
    reply(GET_EXTERNAL_IPV6, &format!("<NewExternalIPv6Address>{text}</NewExternalIPv6Address>{LIFETIMES}"))
}

fn prefix(text: &str) -> Got {
    reply(
        GET_IPV6_PREFIX,
        &format!("<NewIPv6Prefix>{text}</NewIPv6Prefix><NewPrefixLength>56</NewPrefixLength>{LIFETIMES}"),
    )
}

fn status(text: &str) -> Got {
    reply(GET_STATUS, &format!("<NewConnectionStatus>{text}</NewConnectionStatus>"))
}

const LIFETIMES: &str =
    "<NewValidLifetime>501</NewValidLifetime><NewPreferedLifetime>451</NewPreferedLifetime>";

fn reply(action: &str, arguments: &str) -> Got {
    response(
        200,
        &format!("<Envelope><Body><{action}Response>{arguments}</{action}Response></Body></Envelope>"),
    )
}

/// Hands in the answers in turn; returns what was asked and the result.
fn drive<R>(answers: Vec<Got>, run: impl FnOnce(&mut Ask<'_>) -> R) -> (Vec<String>, R) {
    let mut asked = Vec::new();
    let mut answers = answers.into_iter();
    let result = run(&mut |request: &Request| {
        let text = String::from_utf8(request.bytes(Version::Http11)).unwrap();
        let action = text.split_once('#').map_or("", |(_, rest)| rest.split('"').next().unwrap());
        asked.push(format!("{} {action}", request.url.path()));
        answers.next().expect("an answer is left")
    });
    assert_eq!(answers.next(), None, "all answers are used");
    (asked, result)
}

fn location() -> LanUrl {
    LanUrl::parse("http://192.168.1.1:5000/root.xml").unwrap()
}

fn describe_and(services: usize, wanted: Wanted, mut answers: Vec<Got>) -> (Vec<String>, GatewayReport) {
    answers.insert(0, response(200, &description(services)));
    let (asked, result) = drive(answers, |ask| survey(&location(), None, wanted, StopAt::UntilGlobal, ask));
    assert_eq!(asked[0], "/root.xml ");
    (asked[1..].to_vec(), result.unwrap())
}

#[test]
fn a_plain_gateway_is_asked_for_everything_once() {
    let (asked, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), fault(401), fault(401)]);
    assert_eq!(
        asked,
        ["/0 GetExternalIPAddress", "/0 X_AVM_DE_GetExternalIPv6Address", "/0 X_AVM_DE_GetIPv6Prefix"]
    );
    assert_eq!(report.observation.ipv4, Finding::Known(Ipv4Addr::new(8, 8, 4, 4)));
    assert_eq!(report.observation.ipv6, Finding::Unknown("it does not offer this (error 401)".to_owned()));
    assert_eq!(report.observation.offers_ipv6, Some(false));
    assert_eq!(report.chosen().unwrap().service.control.path(), "/0");
    assert_eq!(report.device.unwrap().friendly_name, "Box");
}

#[test]
fn a_fritz_box_tells_ipv6_as_well() {
    let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), ipv6("2003::1"), prefix("2003::")]);
    assert_eq!(report.observation.ipv6.known(), Some("2003::1".parse().unwrap()));
    assert_eq!(report.observation.ipv6_prefix.known(), Prefix::new("2003::".parse().unwrap(), 56));
    assert_eq!(report.observation.offers_ipv6, Some(true));
    assert_eq!(report.ipv6_valid_seconds, Some(501));
}

#[test]
fn ipv6_answers_fail_each_on_its_own() {
    let timeout = Err(ExchangeError::Timeout);
    let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), timeout, prefix("2003::")]);
    assert_eq!(report.observation.ipv6, Finding::Unknown("it did not answer in time".to_owned()));
    assert!(report.observation.ipv6_prefix.known().is_some());
    assert_eq!(report.observation.offers_ipv6, Some(true));
    let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), ipv6("2003::1"), fault(602)]);
    assert!(report.observation.ipv6.known().is_some());
    assert_eq!(report.observation.offers_ipv6, Some(true));
}

#[test]
fn whether_it_has_the_actions_for_ipv6_is_only_said_by_an_answer() {
    let silent = || Err(ExchangeError::Timeout);
    for (address, prefix, offers) in [
        (fault(401), fault(602), Some(false)),
        (ipv6(""), fault(401), Some(true)),
        (silent(), prefix("2003::"), Some(true)),
        (silent(), silent(), None),
        (fault(401), silent(), None),
        (silent(), fault(401), None),
        (fault(501), fault(501), None),
        (response(404, ""), response(404, ""), None),
    ] {
        let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), address, prefix]);
        assert_eq!(report.observation.offers_ipv6, offers);
    }
    let (_, report) = describe_and(1, IPV4, vec![ipv4("8.8.4.4")]);
    assert_eq!(report.observation.offers_ipv6, None, "nobody asked");
}

#[test]
fn an_unknown_ipv4_address_does_not_spoil_ipv6() {
    let (_, report) = describe_and(1, BOTH, vec![ipv4(""), ipv6("2003::1"), prefix("2003::")]);
    assert!(matches!(report.observation.ipv4, Finding::Unknown(_)));
    assert!(report.observation.ipv6.known().is_some());
    assert_eq!(report.chosen, Some(0));
}

#[test]
fn services_are_asked_until_one_tells_a_global_address() {
    let up = || status("Connected");
    let answers = vec![ipv4("192.168.1.5"), up(), fault(501), ipv4("8.8.4.4"), up()];
    let (asked, report) = describe_and(4, IPV4, answers);
    assert_eq!(asked.len(), 5);
    assert_eq!(report.chosen, Some(2));
    assert_eq!(report.services.len(), 4);
    assert_eq!(report.services[3].ipv4, not_asked());
    assert!(report.services[1].answered && !report.services[3].answered);
    assert_eq!(report.observation.ipv6, not_asked());
    assert_eq!(report.observation.offers_ipv6, None, "nothing has shown it");
}

#[test]
fn the_best_of_the_rest_is_chosen() {
    let absent = || ipv4("192.0.0.2");
    let down = || Err(ExchangeError::Connect(io::ErrorKind::ConnectionRefused));
    for (answers, chosen) in [
        (vec![absent(), fault(401), ipv4("100.64.1.1"), fault(401), ipv4("10.0.0.1"), fault(401)], Some(1)),
        (vec![fault(501), absent(), fault(401), down()], Some(1)),
        (vec![down(), fault(401), fault(501)], Some(2)),
        (vec![down(), fault(401), response(404, "")], None),
    ] {
        let (_, report) = describe_and(3, IPV4, answers);
        assert_eq!(report.chosen, chosen);
        assert_eq!(report.services.iter().any(|asked| asked.answered), chosen.is_some());
        assert_eq!(report.observation.ipv4, report.services[chosen.unwrap_or(0)].ipv4);
    }
}

#[test]
fn a_thorough_survey_asks_every_service_up_to_the_limit() {
    let mut answers = vec![response(200, &description(MAX_ASKED + 2))];
    answers.extend((0..MAX_ASKED).flat_map(|_| [ipv4("8.8.4.4"), status("Connected")]));
    let (asked, result) = drive(answers, |ask| survey(&location(), None, IPV4, StopAt::EveryService, ask));
    assert_eq!(asked.len(), 2 * MAX_ASKED + 1);
    let report = result.unwrap();
    assert_eq!((report.chosen, report.services.len()), (Some(0), MAX_ASKED + 2));
}

#[test]
fn a_known_service_needs_no_description() {
    let service = Description::parse(description(1).as_bytes(), &location()).unwrap().services.remove(0);
    let (asked, report) = drive(vec![ipv4("8.8.4.4")], |ask| ask_service(service.clone(), false, IPV4, ask));
    assert_eq!(asked, ["/0 GetExternalIPAddress"]);
    assert_eq!(report.device, None);
    let nothing = Wanted { ipv4: false, ipv6: false };
    let (asked, _) = drive(vec![], |ask| ask_service(service, false, nothing, ask));
    assert!(asked.is_empty());
}

#[test]
fn without_ipv4_the_services_are_asked_until_one_knows_ipv6() {
    let answers = vec![fault(401), fault(401), ipv6("2003::1"), fault(501)];
    let (asked, report) = describe_and(3, IPV6, answers);
    assert_eq!(asked.len(), 4);
    assert_eq!(report.observation.offers_ipv6, Some(true));
    assert_eq!(report.observation.ipv6.known(), Some("2003::1".parse().unwrap()));
    assert_eq!(report.observation.ipv4, not_asked());
    let (asked, report) = describe_and(2, IPV6, vec![fault(401), fault(602), fault(401), fault(401)]);
    assert_eq!((asked.len(), report.observation.offers_ipv6), (4, Some(false)));
}

#[test]
fn when_nobody_answers_ipv6_is_unknown_for_the_same_reason() {
    let (asked, report) = describe_and(1, BOTH, vec![Err(ExchangeError::Timeout)]);
    assert_eq!(asked.len(), 1);
    assert_eq!(report.observation, Observation::unknown("it did not answer in time"));
    assert_eq!(report.observation.offers_ipv6, None);
}

#[test]
fn a_description_that_does_not_help_ends_the_survey() {
    for (answer, error) in [
        (Err(ExchangeError::Timeout), SurveyError::Exchange(ExchangeError::Timeout)),
        (response(404, "<html/>"), SurveyError::Status(404)),
        (response(301, &description(1)), SurveyError::Status(301)),
        (response(200, "status=ok"), SurveyError::Description(DescriptionError::Xml(XmlError::Leading))),
        (response(200, &description(0)), SurveyError::NoService),
    ] {
        let (_, result) =
            drive(vec![answer], |ask| survey(&location(), None, BOTH, StopAt::UntilGlobal, ask));
        assert_eq!(result, Err(error), "{error}");
    }
}

#[test]
fn of_several_lines_the_one_that_is_up_counts() {
    let (old, new) = (|| ipv4("8.8.4.4"), || ipv4("8.8.8.8"));
    let (up, down, silent) = (|| status("Connected"), || status("Disconnected"), || fault(401));
    for (answers, chosen) in [
        (vec![old(), down(), new(), up()], 1),
        (vec![old(), up()], 0),
        (vec![old(), silent()], 0),
        (vec![old(), status("online")], 0),
        (vec![old(), response(404, "")], 0),
        // Whoever calls every line down loses nothing.
        (vec![old(), down(), new(), down()], 0),
        (vec![old(), down(), fault(501)], 0),
        (vec![old(), down(), ipv4("0.0.0.0")], 0),
        // The traffic takes the second line: the first one's address is not ours now.
        (vec![old(), down(), ipv4("100.64.1.1"), up()], 1),
        (vec![ipv4("10.9.8.7"), up(), new(), up()], 1),
    ] {
        let (_, report) = describe_and(2, IPV4, answers);
        assert_eq!(report.chosen, Some(chosen));
    }
}

#[test]
fn a_known_line_of_several_is_asked_whether_it_is_up() {
    let service = Description::parse(description(1).as_bytes(), &location()).unwrap().services.remove(0);
    let answers = vec![ipv4("8.8.4.4"), status("Disconnected")];
    let (asked, report) = drive(answers, |ask| ask_service(service, true, IPV4, ask));
    assert_eq!(asked, ["/0 GetExternalIPAddress", "/0 GetStatusInfo"]);
    assert_eq!(report.services[0].up, Some(false));
}

#[test]
fn a_first_post_that_is_a_bad_request_is_sent_again() {
    let (asked, report) = describe_and(1, IPV4, vec![response(400, ""), ipv4("8.8.4.4")]);
    assert_eq!(asked, ["/0 GetExternalIPAddress"; 2]);
    assert!(report.observation.ipv4.known().is_some());
    let (asked, report) = describe_and(1, IPV4, vec![response(400, ""), response(400, "")]);
    assert_eq!(asked.len(), 2);
    assert!(matches!(report.observation.ipv4, Finding::Unknown(why) if why.contains("HTTP status 400")));
}

#[test]
fn an_ipv6_address_where_ipv4_was_asked_for_is_an_ipv6_address() {
    let (_, report) = describe_and(1, BOTH, vec![ipv4("2003::7"), fault(401), fault(401)]);
    assert!(matches!(report.observation.ipv4, Finding::Unknown(_)));
    assert_eq!(report.observation.ipv6.known(), Some("2003::7".parse().unwrap()));
    assert_eq!(report.observation.offers_ipv6, Some(true));
    let (_, report) = describe_and(1, BOTH, vec![ipv4("2003::7"), ipv6("2003::1"), fault(401)]);
    assert_eq!(report.observation.ipv6.known(), Some("2003::1".parse().unwrap()));
    let (_, report) = describe_and(1, IPV4, vec![ipv4("2003::7")]);
    assert_eq!(report.observation.ipv6.known(), None);
    let (_, report) = describe_and(1, BOTH, vec![ipv4("fe80::7"), fault(401), fault(401)]);
    assert_eq!(report.observation.ipv6.known(), None);
}

#[test]
fn a_named_line_that_is_down_is_believed_as_far_as_its_router_is() {
    let (down, up, silent) = (|| status("Disconnected"), || status("Connected"), || fault(401));
    let address = Finding::Known(Ipv4Addr::new(8, 8, 4, 4));
    let gone = Observation::unknown("this connection of it is down, and another one is up");
    for (answers, expected) in [
        (vec![up()], &address),
        (vec![silent()], &address),
        (vec![status("online")], &address),
        (vec![down(), up()], &gone.ipv4),
        (vec![down(), silent(), down(), up()], &gone.ipv4),
        // Whoever calls every line down loses nothing.
        (vec![down(), down(), down(), silent()], &address),
    ] {
        let answers = [vec![response(200, &description(3)), ipv4("8.8.4.4")], answers].concat();
        let (_, report) =
            drive(answers, |ask| survey(&location(), Some("2"), IPV4, StopAt::UntilGlobal, ask));
        assert_eq!(&report.unwrap().observation.ipv4, expected);
    }
}

#[test]
fn a_named_line_is_the_only_one_that_is_asked() {
    for (line, path) in [("1", "/0"), ("3", "/2"), ("WANIPConn1", "/1")] {
        let answers = vec![response(200, &description(3)), ipv4("8.8.4.4"), status("Connected")];
        let (asked, report) =
            drive(answers, |ask| survey(&location(), Some(line), IPV4, StopAt::UntilGlobal, ask));
        assert_eq!(asked[1], format!("{path} GetExternalIPAddress"));
        assert_eq!(report.unwrap().services.len(), 1);
    }
    for line in ["0", "4", "WANIPConn9", ""] {
        let answers = vec![response(200, &description(3))];
        let (_, report) =
            drive(answers, |ask| survey(&location(), Some(line), IPV4, StopAt::UntilGlobal, ask));
        assert_eq!(report, Err(SurveyError::NoLine), "{line}");
    }
    let twins = description(2).replace("WANIPConn1", "WANIPConn0");
    let (_, report) = drive(vec![response(200, &twins)], |ask| {
        survey(&location(), Some("WANIPConn0"), IPV4, StopAt::UntilGlobal, ask)
    });
    assert_eq!(report, Err(SurveyError::NoLine));
}
