//! One poll of a gateway: which questions to ask it, and what the answers mean.
//!
//! ```text
//! Description --> Ipv4 (each service until one is global) --> Ipv6Address --> Ipv6Prefix --> Finished
//! ```
//!
//! Requests come out, answers go in; no socket, no clock. A failure of one
//! question never spoils the answer to another. Redirects are not followed.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::actions;
use super::actions::{Answer, GET_EXTERNAL_IPV4, GET_EXTERNAL_IPV6, GET_IPV6_PREFIX};
use super::description::{Description, DescriptionError, Device, Service};
use super::envelope::{Reply, ReplyError, Request};
use crate::address::{Finding, Observation, Prefix, Scope, scope};
use crate::http::lan_url::LanUrl;
use crate::http::{HttpError, Response};

/// The most services asked; gateways with four WAN ports exist, and one that
/// lists more must not keep us busy.
pub const MAX_ASKED: usize = 8;

/// What to ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// The external IPv4 address.
    pub ipv4: bool,
    /// The router's IPv6 address and the delegated prefix.
    pub ipv6: bool,
}

/// When to stop asking for the IPv4 address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopAt {
    /// At the first service that tells a global one.
    UntilGlobal,
    /// After all services, up to [`MAX_ASKED`].
    EveryService,
}

/// Why there was no answer to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExchangeError {
    /// No connection.
    Connect(io::ErrorKind),
    /// The connection failed before the answer was complete.
    Broken(io::ErrorKind),
    /// The time was up.
    Timeout,
    /// The answer came in more pieces than anyone needs.
    Pieces,
    /// What came is no answer.
    Http(HttpError),
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(kind) => write!(f, "cannot connect: {kind}"),
            Self::Broken(kind) => write!(f, "it broke the connection: {kind}"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Pieces => f.write_str("its answer comes in too many pieces"),
            Self::Http(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExchangeError {}

/// Why a survey found no service to ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SurveyError {
    /// The description did not come.
    Exchange(ExchangeError),
    /// It came with another status than 200.
    Status(u16),
    /// It cannot be understood.
    Description(DescriptionError),
    /// The device has no service that tells an external address.
    NoService,
}

impl fmt::Display for SurveyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(error) => error.fmt(f),
            Self::Status(status) => write!(f, "it answered with HTTP status {status} for its description"),
            Self::Description(error) => error.fmt(f),
            Self::NoService => f.write_str("it has no service that tells an external address"),
        }
    }
}

impl std::error::Error for SurveyError {}

/// A service and what it said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAnswer {
    /// The service.
    pub service: Service,
    /// The external IPv4 address by its word.
    pub ipv4: Finding<Ipv4Addr>,
    /// Whether it understood a question. Where no service did, the control URLs
    /// are stale: discover again.
    pub answered: bool,
}

/// What a survey found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayReport {
    /// What the gateway says of itself; only where a description was read.
    pub device: Option<Device>,
    /// All usable services, at least one.
    pub services: Vec<ServiceAnswer>,
    /// Which of them to rely on from now on; none when none answered.
    pub chosen: Option<usize>,
    /// The addresses.
    pub observation: Observation,
    /// `false`: it has no action for IPv6, and asking again is pointless.
    pub ipv6_offered: bool,
    /// How long the IPv6 prefix, or else the address, stays valid.
    pub ipv6_valid_seconds: Option<u32>,
}

impl GatewayReport {
    /// The service to rely on.
    #[must_use]
    pub fn chosen(&self) -> Option<&Service> {
        self.services.get(self.chosen?).map(|asked| &asked.service)
    }
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Send this, and hand back what comes.
    Send(Request),
    /// That was all.
    Done(Box<Result<GatewayReport, SurveyError>>),
}

/// A poll of one gateway, see [the module](self).
#[derive(Clone, Debug)]
pub struct Survey {
    wanted: Wanted,
    stop_at: StopAt,
    stage: Stage,
    device: Option<Device>,
    services: Vec<ServiceAnswer>,
    ipv6: Ipv6,
}

#[derive(Clone, Debug)]
enum Stage {
    Description(LanUrl),
    Ipv4(usize),
    Ipv6Address(usize),
    Ipv6Prefix(usize),
    Finished,
    Failed(SurveyError),
}

/// What is known of IPv6.
#[derive(Clone, Debug)]
struct Ipv6 {
    address: Finding<Ipv6Addr>,
    prefix: Finding<Prefix>,
    valid_seconds: Option<u32>,
    asked: bool,
    /// Some answer was another than "I do not have this".
    offered: bool,
}

impl Survey {
    /// Begins with the description at `location`.
    #[must_use]
    pub fn of_description(location: LanUrl, wanted: Wanted, stop_at: StopAt) -> Self {
        Self::new(Stage::Description(location), wanted, stop_at)
    }

    /// Asks a service that is known already.
    #[must_use]
    pub fn of_service(service: Service, wanted: Wanted) -> Self {
        let mut survey = Self::new(Stage::Finished, wanted, StopAt::UntilGlobal);
        survey.start_asking(vec![service]);
        survey
    }

    fn new(stage: Stage, wanted: Wanted, stop_at: StopAt) -> Self {
        let ipv6 = Ipv6 {
            address: not_asked(),
            prefix: not_asked(),
            valid_seconds: None,
            asked: false,
            offered: false,
        };
        Self { wanted, stop_at, stage, device: None, services: Vec::new(), ipv6 }
    }

    /// Takes the answer to the last request, `None` at the start, and says what
    /// to do next. At most `1 + 2 *` [`MAX_ASKED`] requests come out of it.
    pub fn next(&mut self, answer: Option<Result<Response, ExchangeError>>) -> Step {
        if let Some(answer) = answer {
            self.take(answer);
        }
        let (index, action) = match &self.stage {
            Stage::Description(location) => return Step::Send(Request::get(location.clone())),
            Stage::Ipv4(index) => (*index, GET_EXTERNAL_IPV4),
            Stage::Ipv6Address(index) => (*index, GET_EXTERNAL_IPV6),
            Stage::Ipv6Prefix(index) => (*index, GET_IPV6_PREFIX),
            Stage::Failed(error) => return Step::Done(Box::new(Err(*error))),
            Stage::Finished => return Step::Done(Box::new(Ok(self.report()))),
        };
        match self.services.get(index) {
            Some(ServiceAnswer { service, .. }) => {
                Step::Send(Request::call(service.control.clone(), service.service_type.clone(), action))
            }
            None => Step::Done(Box::new(Err(SurveyError::NoService))),
        }
    }

    fn take(&mut self, answer: Result<Response, ExchangeError>) {
        self.stage = match &self.stage {
            Stage::Description(location) => match describe(answer, location) {
                Ok(description) => {
                    self.device = Some(description.device);
                    self.start_asking(description.services);
                    return;
                }
                Err(error) => Stage::Failed(error),
            },
            Stage::Ipv4(index) => self.take_ipv4(*index, answer),
            Stage::Ipv6Address(index) => self.take_ipv6_address(*index, answer),
            Stage::Ipv6Prefix(index) => self.take_ipv6_prefix(*index, answer),
            Stage::Finished => Stage::Finished,
            Stage::Failed(error) => Stage::Failed(*error),
        };
    }

    fn start_asking(&mut self, services: Vec<Service>) {
        let asked = |service| ServiceAnswer { service, ipv4: not_asked(), answered: false };
        self.services = services.into_iter().map(asked).collect();
        self.stage = if self.services.is_empty() {
            Stage::Failed(SurveyError::NoService)
        } else if self.wanted.ipv4 {
            Stage::Ipv4(0)
        } else if self.wanted.ipv6 {
            Stage::Ipv6Address(0)
        } else {
            Stage::Finished
        };
    }

    fn take_ipv4(&mut self, index: usize, answer: Result<Response, ExchangeError>) -> Stage {
        if let Some(asked) = self.services.get_mut(index) {
            match read(answer, GET_EXTERNAL_IPV4) {
                Ok(answer) => {
                    asked.answered = understood(&answer) && !not_offered(&answer);
                    asked.ipv4 = actions::external_ipv4(&answer, &asked.service);
                }
                Err(why) => asked.ipv4 = Finding::Unknown(why),
            }
            if self.stop_at == StopAt::UntilGlobal && is_global(&asked.ipv4) {
                return self.first_ipv6_stage();
            }
        }
        self.following(index).map_or_else(|| self.first_ipv6_stage(), Stage::Ipv4)
    }

    /// IPv6 is asked of the service that IPv4 comes from: AVM has one for both.
    fn first_ipv6_stage(&self) -> Stage {
        match self.choose() {
            Some(index) if self.wanted.ipv6 => Stage::Ipv6Address(index),
            _ => Stage::Finished,
        }
    }

    fn take_ipv6_address(&mut self, index: usize, answer: Result<Response, ExchangeError>) -> Stage {
        self.ipv6.asked = true;
        self.ipv6.address = match read(answer, GET_EXTERNAL_IPV6) {
            Ok(answer) => {
                self.note_ipv6(index, &answer);
                actions::external_ipv6(&answer)
            }
            Err(why) => self.note_ipv6_failure(why),
        };
        Stage::Ipv6Prefix(index)
    }

    fn take_ipv6_prefix(&mut self, index: usize, answer: Result<Response, ExchangeError>) -> Stage {
        self.ipv6.prefix = match read(answer, GET_IPV6_PREFIX) {
            Ok(answer) => {
                self.note_ipv6(index, &answer);
                actions::ipv6_prefix(&answer)
            }
            Err(why) => self.note_ipv6_failure(why),
        };
        let told = [is_unknown(&self.ipv6.address), is_unknown(&self.ipv6.prefix)].contains(&false);
        if told || self.wanted.ipv4 {
            return Stage::Finished;
        }
        // Nothing has shown which service is the right one.
        self.following(index).map_or(Stage::Finished, Stage::Ipv6Address)
    }

    fn note_ipv6(&mut self, index: usize, answer: &Answer) {
        self.ipv6.offered |= !not_offered(answer);
        self.ipv6.valid_seconds = actions::valid_seconds(answer).or(self.ipv6.valid_seconds);
        if let Some(asked) = self.services.get_mut(index) {
            asked.answered |= understood(answer);
        }
    }

    fn note_ipv6_failure<T>(&mut self, why: String) -> Finding<T> {
        self.ipv6.offered = true;
        Finding::Unknown(why)
    }

    /// The service to ask after the one at `index`.
    fn following(&self, index: usize) -> Option<usize> {
        let next = index.saturating_add(1);
        (next < self.services.len().min(MAX_ASKED)).then_some(next)
    }

    /// The first of the best: a global address, one that is not, definitely
    /// none, at least an answer.
    fn choose(&self) -> Option<usize> {
        let rank = |asked: &ServiceAnswer| match &asked.ipv4 {
            finding if is_global(finding) => 0,
            Finding::Known(_) => 1,
            Finding::Absent(_) => 2,
            Finding::Unknown(_) => 3,
        };
        let answered = self.services.iter().enumerate().filter(|(_, asked)| asked.answered);
        answered.min_by_key(|(_, asked)| rank(asked)).map(|(index, _)| index)
    }

    fn report(&self) -> GatewayReport {
        let chosen = self.choose();
        let speaker = self.services.get(chosen.unwrap_or(0));
        let ipv4 = speaker.map_or_else(not_asked, |asked| asked.ipv4.clone());
        let (ipv6, ipv6_prefix) = match &ipv4 {
            // Nobody answered: IPv6 is unknown for the same reason.
            Finding::Unknown(why) if self.wanted.ipv6 && !self.ipv6.asked => {
                (Finding::Unknown(why.clone()), Finding::Unknown(why.clone()))
            }
            _ => (self.ipv6.address.clone(), self.ipv6.prefix.clone()),
        };
        GatewayReport {
            device: self.device.clone(),
            services: self.services.clone(),
            chosen,
            observation: Observation { ipv4, ipv6, ipv6_prefix },
            ipv6_offered: self.ipv6.offered || !self.ipv6.asked,
            ipv6_valid_seconds: self.ipv6.valid_seconds,
        }
    }
}

fn not_asked<T>() -> Finding<T> {
    Finding::Unknown("not asked".to_owned())
}

fn describe(answer: Result<Response, ExchangeError>, location: &LanUrl) -> Result<Description, SurveyError> {
    let response = answer.map_err(SurveyError::Exchange)?;
    if response.status != 200 {
        return Err(SurveyError::Status(response.status));
    }
    Description::parse(&response.body, location).map_err(SurveyError::Description)
}

/// What came back for `action`, or why nothing did.
fn read(answer: Result<Response, ExchangeError>, action: &str) -> Result<Answer, String> {
    let response = answer.map_err(|error| error.to_string())?;
    Ok(Reply::parse(response.status, &response.body, action))
}

/// It speaks SOAP, whatever it says.
fn understood(answer: &Answer) -> bool {
    matches!(answer, Ok(_) | Err(ReplyError::Fault { .. }))
}

fn not_offered(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(ReplyError::not_offered)
}

fn is_global(finding: &Finding<Ipv4Addr>) -> bool {
    finding.known().is_some_and(|address| scope(IpAddr::V4(address)) == Scope::Global)
}

fn is_unknown<T>(finding: &Finding<T>) -> bool {
    matches!(finding, Finding::Unknown(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Head;
    use crate::soap::envelope::Version;
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
                 <controlURL>/{index}</controlURL></service>"
            )
        };
        let services: Vec<_> = (0..services).map(service).collect();
        format!("<root><device><friendlyName>Box</friendlyName>{}</device></root>", services.concat())
    }

    fn fault(code: u16) -> Got {
        response(
            500,
            &format!("<Envelope><Body><Fault><errorCode>{code}</errorCode></Fault></Body></Envelope>"),
        )
    }

    fn ipv4(text: &str) -> Got {
        reply(GET_EXTERNAL_IPV4, &format!("<NewExternalIPAddress>{text}</NewExternalIPAddress>"))
    }

    fn ipv6(text: &str) -> Got {
        reply(
            GET_EXTERNAL_IPV6,
            &format!("<NewExternalIPv6Address>{text}</NewExternalIPv6Address>{LIFETIMES}"),
        )
    }

    fn prefix(text: &str) -> Got {
        reply(
            GET_IPV6_PREFIX,
            &format!("<NewIPv6Prefix>{text}</NewIPv6Prefix><NewPrefixLength>56</NewPrefixLength>{LIFETIMES}"),
        )
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
    fn drive(mut survey: Survey, answers: Vec<Got>) -> (Vec<String>, Result<GatewayReport, SurveyError>) {
        let mut asked = Vec::new();
        let mut answers = answers.into_iter();
        let mut step = survey.next(None);
        loop {
            match step {
                Step::Send(request) => {
                    let text = String::from_utf8(request.bytes(Version::Http11)).unwrap();
                    let action = text.split_once('#').map_or("", |(_, rest)| rest.split('"').next().unwrap());
                    asked.push(format!("{} {action}", request.url().path()));
                    step = survey.next(Some(answers.next().expect("an answer is left")));
                }
                Step::Done(result) => {
                    assert_eq!(answers.next(), None, "all answers are used");
                    return (asked, *result);
                }
            }
        }
    }

    fn location() -> LanUrl {
        LanUrl::parse("http://192.168.1.1:5000/root.xml").unwrap()
    }

    fn describe_and(services: usize, wanted: Wanted, mut answers: Vec<Got>) -> (Vec<String>, GatewayReport) {
        answers.insert(0, response(200, &description(services)));
        let survey = Survey::of_description(location(), wanted, StopAt::UntilGlobal);
        let (asked, result) = drive(survey, answers);
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
        assert_eq!(
            report.observation.ipv6,
            Finding::Unknown("it does not offer this (error 401)".to_owned())
        );
        assert!(!report.ipv6_offered);
        assert_eq!(report.chosen().unwrap().control.path(), "/0");
        assert_eq!(report.device.unwrap().friendly_name, "Box");
    }

    #[test]
    fn a_fritz_box_tells_ipv6_as_well() {
        let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), ipv6("2003::1"), prefix("2003::")]);
        assert_eq!(report.observation.ipv6.known(), Some("2003::1".parse().unwrap()));
        assert_eq!(report.observation.ipv6_prefix.known(), Prefix::new("2003::".parse().unwrap(), 56));
        assert!(report.ipv6_offered);
        assert_eq!(report.ipv6_valid_seconds, Some(501));
    }

    #[test]
    fn ipv6_answers_fail_each_on_its_own() {
        let timeout = Err(ExchangeError::Timeout);
        let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), timeout, prefix("2003::")]);
        assert_eq!(report.observation.ipv6, Finding::Unknown("it did not answer in time".to_owned()));
        assert!(report.observation.ipv6_prefix.known().is_some());
        assert!(report.ipv6_offered);
        let (_, report) = describe_and(1, BOTH, vec![ipv4("8.8.4.4"), ipv6("2003::1"), fault(602)]);
        assert!(report.observation.ipv6.known().is_some());
        assert!(report.ipv6_offered);
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
        let (asked, report) = describe_and(4, IPV4, vec![ipv4("192.168.1.5"), fault(501), ipv4("8.8.4.4")]);
        assert_eq!(asked.len(), 3);
        assert_eq!(report.chosen, Some(2));
        assert_eq!(report.services.len(), 4);
        assert_eq!(report.services[3].ipv4, not_asked());
        assert!(report.services[1].answered && !report.services[3].answered);
        assert_eq!(report.observation.ipv6, not_asked());
        assert!(report.ipv6_offered, "nothing has shown that it is not");
    }

    #[test]
    fn the_best_of_the_rest_is_chosen() {
        let local = || ipv4("100.64.1.1");
        let absent = || ipv4("192.0.0.2");
        let down = || Err(ExchangeError::Connect(io::ErrorKind::ConnectionRefused));
        for (answers, chosen) in [
            (vec![absent(), local(), ipv4("10.0.0.1")], Some(1)),
            (vec![fault(501), absent(), down()], Some(1)),
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
        let survey = Survey::of_description(location(), IPV4, StopAt::EveryService);
        let mut answers = vec![response(200, &description(MAX_ASKED + 2))];
        answers.extend((0..MAX_ASKED).map(|_| ipv4("8.8.4.4")));
        let (asked, result) = drive(survey, answers);
        assert_eq!(asked.len(), MAX_ASKED + 1);
        let report = result.unwrap();
        assert_eq!((report.chosen, report.services.len()), (Some(0), MAX_ASKED + 2));
    }

    #[test]
    fn a_known_service_needs_no_description() {
        let service = Description::parse(description(1).as_bytes(), &location()).unwrap().services.remove(0);
        let (asked, result) = drive(Survey::of_service(service.clone(), IPV4), vec![ipv4("8.8.4.4")]);
        assert_eq!(asked, ["/0 GetExternalIPAddress"]);
        let report = result.unwrap();
        assert_eq!(report.device, None);
        let (asked, result) = drive(Survey::of_service(service, Wanted { ipv4: false, ipv6: false }), vec![]);
        assert!(asked.is_empty() && result.is_ok());
    }

    #[test]
    fn without_ipv4_the_services_are_asked_until_one_knows_ipv6() {
        let answers = vec![fault(401), fault(401), ipv6("2003::1"), fault(501)];
        let (asked, report) = describe_and(3, IPV6, answers);
        assert_eq!(asked.len(), 4);
        assert!(report.ipv6_offered);
        assert_eq!(report.observation.ipv6.known(), Some("2003::1".parse().unwrap()));
        assert_eq!(report.observation.ipv4, not_asked());
        let (asked, report) = describe_and(2, IPV6, vec![fault(401), fault(602), fault(401), fault(401)]);
        assert_eq!((asked.len(), report.ipv6_offered), (4, false));
    }

    #[test]
    fn when_nobody_answers_ipv6_is_unknown_for_the_same_reason() {
        let (asked, report) = describe_and(1, BOTH, vec![Err(ExchangeError::Timeout)]);
        assert_eq!(asked.len(), 1);
        assert_eq!(report.observation, Observation::unknown("it did not answer in time"));
        assert!(report.ipv6_offered);
    }

    #[test]
    fn a_description_that_does_not_help_ends_the_survey() {
        for (answer, error) in [
            (Err(ExchangeError::Timeout), SurveyError::Exchange(ExchangeError::Timeout)),
            (response(404, "<html/>"), SurveyError::Status(404)),
            (response(301, &description(1)), SurveyError::Status(301)),
            (response(200, "status=ok"), SurveyError::Description(DescriptionError::Xml(XmlError::Trailing))),
            (response(200, &description(0)), SurveyError::NoService),
        ] {
            let survey = Survey::of_description(location(), BOTH, StopAt::UntilGlobal);
            assert_eq!(drive(survey, vec![answer]).1, Err(error), "{error}");
        }
    }

    #[test]
    fn asking_twice_without_an_answer_repeats_the_question() {
        let mut survey = Survey::of_description(location(), BOTH, StopAt::UntilGlobal);
        assert_eq!(survey.next(None), survey.next(None));
    }
}
