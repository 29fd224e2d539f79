//! Device descriptions: UPnP Device Architecture 1.1, section 2.3.
//!
//! Only what leads to an external address is read: the services that can tell
//! it, and a few names for people. Service descriptions (SCPDs) are never
//! fetched, since an action that is not there answers with fault 401.

use std::fmt;

use crate::http::lan_url::LanUrl;
use crate::soap::xml::{Element, XmlError};

/// The most services kept; the largest gateways have one for each WAN port.
pub const MAX_SERVICES: usize = 64;

/// The longest service type, in bytes.
pub const MAX_SERVICE_TYPE: usize = 128;

/// The service types of the UPnP Forum.
const UPNP_FORUM: &str = "urn:schemas-upnp-org:service:";

/// The service types of TR-064; a few gateways offer them without a password.
const DSL_FORUM: &str = "urn:dslforum-org:service:";

/// Where a FRITZ!Box has its control URLs.
const AVM_PATHS: [&str; 2] = ["/igdupnp/", "/igd2upnp/"];

/// The type of a service that may tell the external address. It goes into our
/// requests word for word, so it has nothing but letters, digits and `:_.-`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ServiceType(String);

impl ServiceType {
    /// Accepts WANIPConnection and WANPPPConnection of any version, also the
    /// ones of TR-064.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b":_.-".contains(&byte);
        if text.len() > MAX_SERVICE_TYPE || !text.bytes().all(safe) {
            return None;
        }
        let name = text.strip_prefix(UPNP_FORUM).or_else(|| text.strip_prefix(DSL_FORUM))?;
        let (kind, version) = name.split_once(':')?;
        let versioned = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        (versioned && matches!(kind, "WANIPConnection" | "WANPPPConnection")).then(|| Self(text.to_owned()))
    }

    /// As it stands in the description.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service that may tell the external address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Service {
    /// Its type, word for word.
    pub service_type: ServiceType,
    /// The last part of its identifier, as in `WANIPConn1`; not always unique.
    pub name: String,
    /// Where to send actions.
    pub control: LanUrl,
    /// Where to subscribe to its events.
    pub event: Option<LanUrl>,
}

impl Service {
    /// Whether it belongs to a FRITZ!Box.
    #[must_use]
    pub fn is_avm(&self) -> bool {
        AVM_PATHS.iter().any(|path| self.control.path().starts_with(path))
    }
}

/// What a gateway says of itself. Texts are as sent, up to
/// [`MAX_TEXT`](crate::soap::xml::MAX_TEXT) bytes, and empty where they are missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// The type of the root device.
    pub root_type: String,
    /// Its name for people.
    pub friendly_name: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model name.
    pub model: String,
}

/// A device description.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Description {
    /// What relative URLs are resolved against: URLBase or the location.
    pub base: LanUrl,
    /// The root device.
    pub device: Device,
    /// The usable services in document order, at most [`MAX_SERVICES`].
    pub services: Vec<Service>,
}

/// Why a document is no device description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DescriptionError {
    /// It cannot be read.
    Xml(XmlError),
    /// It describes no device.
    NoDevice,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml(error) => write!(f, "its description cannot be read: {error}"),
            Self::NoDevice => f.write_str("its description describes no device"),
        }
    }
}

impl std::error::Error for DescriptionError {}

impl Description {
    /// Reads the document that was fetched from `location`. Every URL in the
    /// result leads to the host of `location`; a service whose control URL does
    /// not is left out.
    pub fn parse(body: &[u8], location: &LanUrl) -> Result<Self, DescriptionError> {
        let root = Element::parse(body).map_err(DescriptionError::Xml)?;
        let device = root.find("device").ok_or(DescriptionError::NoDevice)?;
        let base = base(&root, location);
        let elements = root.walk().filter(|element| element.name == "service");
        let services = elements.filter_map(|element| service(element, &base)).take(MAX_SERVICES).collect();
        Ok(Self { base, device: names(device), services })
    }
}

fn names(device: &Element) -> Device {
    let text = |name| device.child(name).map(|child| child.text.clone()).unwrap_or_default();
    Device {
        root_type: text("deviceType"),
        friendly_name: text("friendlyName"),
        manufacturer: text("manufacturer"),
        model: text("modelName"),
    }
}

/// URLBase where it is usable, else the location (UDA 1.0, section 2.1). It may
/// name another port (ZTE), but another host would lead us away.
fn base(root: &Element, location: &LanUrl) -> LanUrl {
    root.find("URLBase")
        .and_then(|base| LanUrl::parse(&base.text).ok())
        .filter(|base| base.host() == location.host())
        .unwrap_or_else(|| location.clone())
}

fn service(element: &Element, base: &LanUrl) -> Option<Service> {
    let url = |name| base.resolve(&element.find(name)?.text).ok();
    let id = element.find("serviceId").map_or("", |id| id.text.as_str());
    Some(Service {
        name: id.rsplit(':').next().unwrap_or_default().to_owned(),
        service_type: ServiceType::parse(&element.find("serviceType")?.text)?,
        control: url("controlURL")?,
        event: url("eventSubURL"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANIP1: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

    fn location() -> LanUrl {
        LanUrl::parse("http://192.168.1.1:5000/desc/root.xml").unwrap()
    }

    fn parse(device: &str) -> Description {
        Description::parse(format!("<root>{device}</root>").as_bytes(), &location()).unwrap()
    }

    fn with_control(control: &str) -> Vec<String> {
        with(&format!("<serviceType>{WANIP1}</serviceType><controlURL>{control}</controlURL>"))
    }

    fn with(service: &str) -> Vec<String> {
        let description = parse(&format!("<device><service>{service}</service></device>"));
        description.services.iter().map(|service| service.control.to_string()).collect()
    }

    #[test]
    fn the_types_that_tell_an_address_are_accepted_word_for_word() {
        for text in [
            WANIP1,
            "urn:schemas-upnp-org:service:WANIPConnection:2",
            "urn:schemas-upnp-org:service:WANPPPConnection:1",
            "urn:schemas-upnp-org:service:WANPPPConnection:2",
            "urn:dslforum-org:service:WANPPPConnection:1",
        ] {
            let service_type = ServiceType::parse(text).unwrap();
            assert_eq!(service_type.as_str(), text);
        }
    }

    #[test]
    fn other_types_are_not() {
        let long = format!("{WANIP1}{}", "0".repeat(MAX_SERVICE_TYPE));
        for text in [
            "",
            "urn:schemas-upnp-org:service:WANIPConnection",
            "urn:schemas-upnp-org:service:WANIPConnection:",
            "urn:schemas-upnp-org:service:WANIPConnection:x",
            "urn:schemas-upnp-org:service:WANIPConnection:1\"><x/>",
            "urn:schemas-upnp-org:service:WANIPConnection:1\r\nX: y",
            "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1",
            "urn:schemas-upnp-org:device:WANIPConnection:1",
            "urn:example-org:service:WANIPConnection:1",
            long.as_str(),
        ] {
            assert_eq!(ServiceType::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_are_read_from_the_root_device() {
        let description = parse(
            "<device><deviceList><device><friendlyName>inner</friendlyName></device></deviceList>\
             <friendlyName>Box</friendlyName><manufacturer>Acme</manufacturer><modelName>7</modelName>\
             </device>",
        );
        let device = &description.device;
        assert_eq!(device.friendly_name, "Box");
        assert_eq!((device.manufacturer.as_str(), device.model.as_str()), ("Acme", "7"));
        assert_eq!(device.root_type, "");
        assert_eq!(description.services, []);
    }

    #[test]
    fn control_urls_resolve_against_the_location() {
        for (reference, url) in [
            ("/ctl", "http://192.168.1.1:5000/ctl"),
            ("ctl?WANIPConnection", "http://192.168.1.1:5000/desc/ctl?WANIPConnection"),
            ("http://192.168.1.1:4444/x", "http://192.168.1.1:4444/x"),
            (" /ctl\n", "http://192.168.1.1:5000/ctl"),
        ] {
            assert_eq!(with_control(reference), [url], "{reference}");
        }
    }

    #[test]
    fn services_without_a_usable_control_url_are_left_out() {
        for reference in
            ["", "//192.168.1.1/x", "http://192.168.1.9/x", "http://127.0.0.1/x", "/a b", "/\u{e4}"]
        {
            assert!(with_control(reference).is_empty(), "{reference}");
        }
        assert!(with(&format!("<serviceType>{WANIP1}</serviceType>")).is_empty());
        assert!(with("<controlURL>/x</controlURL>").is_empty());
    }

    #[test]
    fn urlbase_may_change_the_port_but_not_the_host() {
        for (urlbase, control) in [
            ("http://192.168.1.1:52869", "http://192.168.1.1:52869/ctl"),
            ("http://192.168.1.1/igd/", "http://192.168.1.1:80/igd/ctl"),
            ("", "http://192.168.1.1:5000/desc/ctl"),
            ("http://127.0.0.1:5431/", "http://192.168.1.1:5000/desc/ctl"),
            ("http://router/", "http://192.168.1.1:5000/desc/ctl"),
            ("/igd/", "http://192.168.1.1:5000/desc/ctl"),
        ] {
            let description = parse(&format!(
                "<URLBase>{urlbase}</URLBase><device><service><serviceType>{WANIP1}</serviceType>\
                 <controlURL>ctl</controlURL></service></device>"
            ));
            assert_eq!(description.services[0].control.to_string(), control, "{urlbase}");
        }
    }

    #[test]
    fn a_missing_event_url_is_normal() {
        let description = parse(&format!(
            "<device><service><controlURL>/c</controlURL><serviceType>{WANIP1}</serviceType>\
             <eventSubURL></eventSubURL></service></device>"
        ));
        assert_eq!(description.services[0].event, None);
    }

    #[test]
    fn no_more_services_are_kept_than_the_limit() {
        let service =
            format!("<service><serviceType>{WANIP1}</serviceType><controlURL>/c</controlURL></service>");
        let description = parse(&format!("<device>{}</device>", service.repeat(MAX_SERVICES + 1)));
        assert_eq!(description.services.len(), MAX_SERVICES);
    }

    #[test]
    fn a_fritz_box_is_known_by_its_paths() {
        let is_avm = |path| {
            let service_type = ServiceType::parse(WANIP1).unwrap();
            Service {
                service_type,
                name: String::new(),
                control: location().resolve(path).unwrap(),
                event: None,
            }
            .is_avm()
        };
        assert!(is_avm("/igdupnp/control/WANIPConn1"));
        assert!(is_avm("/igd2upnp/control/WANIPConn1"));
        assert!(!is_avm("/upnp/control/WANIPConn1"));
    }

    #[test]
    fn other_documents_are_refused() {
        for (body, error) in [
            ("<html><body>Not found</body></html>", DescriptionError::NoDevice),
            ("<root/>", DescriptionError::NoDevice),
            ("status=ok", DescriptionError::Xml(XmlError::Leading)),
            ("<root><device>", DescriptionError::Xml(XmlError::Truncated)),
        ] {
            assert_eq!(Description::parse(body.as_bytes(), &location()), Err(error), "{body}");
        }
    }
}
