//! Requests to a gateway and the answers to them: UPnP Device Architecture 1.1,
//! sections 2.11 and 3.1.
//!
//! The request's bytes are the ones that every known stack accepts: prefixes
//! `s` and `u`, the SOAP 1.1 namespace, the envelope on one line, nothing
//! beyond the headers that are needed. M-POST is left out; no gateway needs it.

use std::fmt;

use super::description::{Service, ServiceType};
use crate::http::lan_url::LanUrl;
use crate::http::request::{ExchangeError, Request};
use crate::quote::quoted;
use crate::soap::xml::{Element, XmlError};

/// The longest description accepted, in bytes; the largest real one has 14 KiB.
pub const MAX_DESCRIPTION: usize = 64 * 1024;

/// The longest answer to an action, in bytes; real ones stay under 1 KiB.
pub const MAX_REPLY: usize = 16 * 1024;

/// Invalid Action: the service does not know it.
const INVALID_ACTION: u16 = 401;

/// Optional Action Not Implemented.
const NOT_IMPLEMENTED: u16 = 602;

/// Fetches a description.
#[must_use]
pub fn get(url: LanUrl) -> Request {
    Request { method: "GET", url, fields: Vec::new(), body: String::new(), max_body: Some(MAX_DESCRIPTION) }
}

/// Calls an action that takes no arguments.
#[must_use]
pub fn call(service: &Service, action: &str) -> Request {
    let Service { service_type, control, .. } = service;
    Request {
        method: "POST",
        url: control.clone(),
        fields: vec![
            ("Content-Type", "text/xml; charset=\"utf-8\"".to_owned()),
            ("SOAPAction", format!("\"{service_type}#{action}\"")),
        ],
        body: envelope(service_type, action),
        max_body: Some(MAX_REPLY),
    }
}

/// Start and end tag instead of an empty-element tag, and the prefixes as they
/// are: old stacks search for them as text.
fn envelope(service_type: &ServiceType, action: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\r\n\
         <s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\">\
         <s:Body><u:{action} xmlns:u=\"{service_type}\"></u:{action}></s:Body></s:Envelope>\r\n"
    )
}

/// The arguments of an answer to an action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply(Vec<Element>);

/// Why an action brought no arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReplyError {
    /// It did not come.
    Exchange(ExchangeError),
    /// The status is not 200, and no SOAP fault explains it.
    Http(u16),
    /// The answer cannot be read.
    Xml(XmlError),
    /// The gateway understood and refused (UDA 1.1, section 3.1.3). Both parts
    /// are optional in practice.
    Fault {
        /// UPnP's error code.
        code: Option<u16>,
        /// The gateway's words, maybe empty.
        description: String,
    },
    /// XML, but no answer to what was asked.
    Unexpected,
}

impl ReplyError {
    /// Whether the service does not have the action, so that asking again is
    /// pointless.
    #[must_use]
    pub fn not_offered(&self) -> bool {
        matches!(self, Self::Fault { code: Some(INVALID_ACTION | NOT_IMPLEMENTED), .. })
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(error) => error.fmt(f),
            Self::Http(401) => f.write_str("it wants a password (HTTP status 401)"),
            Self::Http(status) => write!(f, "it answered with HTTP status {status}"),
            Self::Xml(error) => write!(f, "its answer cannot be read: {error}"),
            Self::Fault { code: Some(code), .. } if self.not_offered() => {
                write!(f, "it does not offer this (error {code})")
            }
            Self::Fault { code, description } => {
                f.write_str("it refused")?;
                match code {
                    Some(code) => write!(f, " with error {code}")?,
                    None => f.write_str(" without an error code")?,
                }
                if description.is_empty() { Ok(()) } else { write!(f, ", {}", quoted(description)) }
            }
            Self::Unexpected => f.write_str("its answer is to something else"),
        }
    }
}

impl std::error::Error for ReplyError {}

impl Reply {
    /// Reads the answer to `action`. Status and body must agree: a success under
    /// status 500 is none, and neither is a fault under 200.
    pub fn parse(status: u16, body: &[u8], action: &str) -> Result<Self, ReplyError> {
        // Faults come with 500 by the standard, and with 200 and 400 in
        // practice; what else there is are HTML pages.
        if !matches!(status, 200 | 400 | 500) {
            return Err(ReplyError::Http(status));
        }
        let found = Self::parse_body(body, action);
        match found {
            Err(ReplyError::Fault { .. }) => found,
            _ if status == 200 => found,
            _ => Err(ReplyError::Http(status)),
        }
    }

    fn parse_body(body: &[u8], action: &str) -> Result<Self, ReplyError> {
        let root = Element::parse(body).map_err(ReplyError::Xml)?;
        // XML is lenient about its last tag; an address is worth more than that.
        let whole = String::from_utf8_lossy(body).split("</").skip(1).any(|end| end.contains("Envelope>"));
        let body = root.child("Body").filter(|_| root.name == "Envelope").ok_or(ReplyError::Unexpected)?;
        whole.then_some(()).ok_or(ReplyError::Xml(XmlError::Truncated))?;
        if let Some(fault) = body.child("Fault") {
            return Err(refusal(fault));
        }
        let mut found =
            body.children.iter().filter(|child| child.name.strip_suffix("Response") == Some(action));
        found.next().map(|response| Self(response.children.clone())).ok_or(ReplyError::Unexpected)
    }

    /// The value of the argument `name` when it occurs exactly once, so that
    /// nobody wonders which of two is meant.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|argument| argument.name == name);
        let value = values.next()?;
        values.next().is_none().then_some(value.text.as_str())
    }
}

fn refusal(fault: &Element) -> ReplyError {
    let text = |name| fault.find(name).map(|element| element.text.as_str());
    let code = text("errorCode").and_then(number);
    // The fault string of UPnP is always "UPnPError": worth having only when
    // there is nothing else.
    let words = text("errorDescription").or_else(|| text("faultstring").filter(|_| code.is_none()));
    ReplyError::Fault { code, description: words.unwrap_or_default().to_owned() }
}

/// A plain decimal number: no sign, nothing around it.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Version;

    const ACTION: &str = "GetExternalIPAddress";

    fn service(control: &str) -> Service {
        let service_type = ServiceType::parse("urn:schemas-upnp-org:service:WANIPConnection:1").unwrap();
        let control = LanUrl::parse(control).unwrap();
        Service { service_type, name: String::new(), control, event: None }
    }

    fn parse(status: u16, content: &str) -> Result<Reply, ReplyError> {
        let body = format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"x\"><s:Body>{content}</s:Body></s:Envelope>"
        );
        Reply::parse(status, body.as_bytes(), ACTION)
    }

    #[test]
    fn a_call_is_what_every_stack_accepts() {
        let request = call(&service("http://192.168.1.1:5000/ctl?a"), ACTION);
        let envelope = "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:GetExternalIPAddress xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"></u:GetExternalIPAddress></s:Body></s:Envelope>\r\n";
        let expected = format!(
            "POST /ctl?a HTTP/1.1\r\nHost: 192.168.1.1:5000\r\nContent-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"urn:schemas-upnp-org:service:WANIPConnection:1#GetExternalIPAddress\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{envelope}",
            envelope.len()
        );
        assert_eq!(String::from_utf8(request.bytes(Version::Http11)).unwrap(), expected);
        assert_eq!(request.max_body, Some(MAX_REPLY));
        // What we send is well formed itself.
        let sent = Element::parse(envelope.as_bytes()).unwrap();
        assert!(sent.child("Body").unwrap().child(ACTION).is_some());
    }

    #[test]
    fn a_description_is_fetched_with_a_plain_get() {
        let request = get(LanUrl::parse("http://192.168.1.1/root.xml").unwrap());
        assert_eq!(
            request.bytes(Version::Http10),
            b"GET /root.xml HTTP/1.0\r\nHost: 192.168.1.1\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(request.max_body, Some(MAX_DESCRIPTION));
    }

    #[test]
    fn arguments_are_read_whatever_the_prefix() {
        for content in [
            "<u:GetExternalIPAddressResponse><NewExternalIPAddress> 192.0.2.1\n</NewExternalIPAddress></u:GetExternalIPAddressResponse>",
            "<m:GetExternalIPAddressResponse><m:NewExternalIPAddress>192.0.2.1</m:NewExternalIPAddress></m:GetExternalIPAddressResponse>",
            "<GetExternalIPAddressResponse><NewExternalIPAddress>192.0.2.1</NewExternalIPAddress></GetExternalIPAddressResponse>",
        ] {
            let reply = parse(200, content).unwrap();
            assert_eq!(reply.argument("NewExternalIPAddress"), Some("192.0.2.1"));
            assert_eq!(reply.argument("Other"), None);
        }
    }

    #[test]
    fn an_argument_given_twice_has_no_value() {
        let reply =
            parse(200, "<GetExternalIPAddressResponse><A>1</A><A>2</A></GetExternalIPAddressResponse>");
        assert_eq!(reply.unwrap().argument("A"), None);
    }

    #[test]
    fn only_an_argument_of_the_response_itself_counts() {
        let reply =
            parse(200, "<GetExternalIPAddressResponse><x><A>1</A></x></GetExternalIPAddressResponse>");
        assert_eq!(reply.unwrap().argument("A"), None);
    }

    #[test]
    fn status_and_body_must_agree() {
        let success = "<GetExternalIPAddressResponse><A>1</A></GetExternalIPAddressResponse>";
        let fault = "<s:Fault><detail><UPnPError><errorCode>501</errorCode></UPnPError></detail></s:Fault>";
        assert!(parse(200, success).is_ok());
        for status in [400, 401, 404, 500, 501, 204, 302] {
            assert_eq!(parse(status, success), Err(ReplyError::Http(status)));
        }
        for status in [200, 400, 500] {
            assert_eq!(
                parse(status, fault),
                Err(ReplyError::Fault { code: Some(501), description: String::new() })
            );
        }
        assert!(matches!(parse(200, &format!("{success}{fault}")), Err(ReplyError::Fault { .. })));
    }

    #[test]
    fn every_part_of_a_fault_is_optional() {
        for (content, code, description) in [
            ("<s:Fault/>", None, ""),
            ("<Fault><faultcode/><faultstring/></Fault>", None, ""),
            ("<Fault><faultstring>UPnPError</faultstring></Fault>", None, "UPnPError"),
            ("<Fault><faultstring>UPnPError</faultstring><errorCode>713</errorCode></Fault>", Some(713), ""),
            ("<Fault><errorCode>x</errorCode></Fault>", None, ""),
            ("<Fault><errorCode>70000</errorCode></Fault>", None, ""),
            (
                "<Fault><faultstring>f</faultstring><detail><UPnPError><errorCode>606</errorCode><errorDescription>no</errorDescription></UPnPError></detail></Fault>",
                Some(606),
                "no",
            ),
        ] {
            let expected = ReplyError::Fault { code, description: description.to_owned() };
            assert_eq!(parse(500, content), Err(expected), "{content}");
        }
    }

    #[test]
    fn other_bodies_are_no_answer() {
        assert_eq!(parse(200, ""), Err(ReplyError::Unexpected));
        assert_eq!(parse(200, "<u:GetExternalIPAddress/>"), Err(ReplyError::Unexpected));
        assert_eq!(parse(200, "<GetStatusInfoResponse/>"), Err(ReplyError::Unexpected));
        let of = |body: &str| Reply::parse(200, body.as_bytes(), ACTION);
        assert_eq!(of("<html><Body/></html>"), Err(ReplyError::Unexpected));
        assert_eq!(of("<Envelope/>"), Err(ReplyError::Unexpected));
        assert_eq!(of(""), Err(ReplyError::Xml(XmlError::Truncated)));
        assert_eq!(of("<html><br></html>"), Err(ReplyError::Unexpected));
        assert_eq!(Reply::parse(500, b"<html><br></html>", ACTION), Err(ReplyError::Http(500)));
    }

    #[test]
    fn a_cut_answer_has_no_arguments() {
        let body = "<Envelope><Body><GetExternalIPAddressResponse><A>192.0.2.10</A></GetExternalIPAddressResponse></Body></Envelope>";
        for end in 0..body.len() {
            assert!(Reply::parse(200, &body.as_bytes()[..end], ACTION).is_err(), "{end}");
        }
        let whole = Reply::parse(200, body.as_bytes(), ACTION).unwrap();
        assert_eq!(whole.argument("A"), Some("192.0.2.10"));
    }

    #[test]
    fn refusals_say_what_they_mean() {
        let fault = |code, description: &str| ReplyError::Fault { code, description: description.into() };
        for (error, text, not_offered) in [
            (fault(Some(401), "Invalid Action"), "it does not offer this (error 401)", true),
            (fault(Some(602), ""), "it does not offer this (error 602)", true),
            (fault(Some(501), "Action\nFailed"), "it refused with error 501, \"Action\"", false),
            (fault(None, ""), "it refused without an error code", false),
            (ReplyError::Http(401), "it wants a password (HTTP status 401)", false),
            (ReplyError::Http(404), "it answered with HTTP status 404", false),
        ] {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.not_offered(), not_offered, "{text}");
        }
    }
}
