//! What the answer of an echo service means; pure.
//!
//! Strict: the whole answer is one address of the family that was asked over,
//! or, at `/cdn-cgi/trace` (Cloudflare), one line of many says `ip=`. An error
//! page, a log-in page of a hotel, or two addresses are no answer.

use std::fmt;
use std::net::IpAddr;

use crate::address::{Family, Scope, scope};

/// The longest answer that is read, in bytes: Cloudflare's lines take 300.
pub const MAX_ANSWER: usize = 2048;

/// Of a text that is no address, this much is shown.
const MAX_SHOWN: usize = 40;

/// The path of answers in lines.
const TRACE: &str = "/cdn-cgi/trace";

/// Why an answer is of no use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AnswerError {
    /// It is longer than [`MAX_ANSWER`].
    TooLong,
    /// It is not one address.
    NotAnAddress(String),
    /// Not exactly one line says `ip=`.
    NoLine,
    /// It was asked through Cloudflare's tunnel, whose address it tells.
    Tunnel,
    /// An address of the other family.
    Family(IpAddr),
    /// An address that no host on the internet has.
    Unusable(IpAddr, &'static str),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("its answer is longer than an address"),
            Self::NotAnAddress(text) => write!(f, "its answer {text:?} is not one address"),
            Self::NoLine => f.write_str("its answer has no single line with ip="),
            Self::Tunnel => f.write_str("it sees the address of a WARP tunnel, not this line's"),
            Self::Family(address) => write!(f, "its answer {address} is of the other family"),
            Self::Unusable(address, why) => write!(f, "its answer {address} is {why}"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// The address in the body of an answer from `path`, asked over `family`.
/// Addresses that mean something inside a network only are let through:
/// whether to publish them is for the configuration to say.
pub fn read(body: &str, path: &str, family: Family) -> Result<IpAddr, AnswerError> {
    if body.len() > MAX_ANSWER {
        return Err(AnswerError::TooLong);
    }
    let text = if path == TRACE { traced(body)? } else { body.trim_ascii_end() };
    let no_address = |_| AnswerError::NotAnAddress(text.chars().take(MAX_SHOWN).collect());
    let address: IpAddr = text.parse().map_err(no_address)?;
    if address.is_ipv4() != (family == Family::V4) {
        return Err(AnswerError::Family(address));
    }
    match scope(address) {
        Scope::Global | Scope::Local(_) => Ok(address),
        Scope::Unusable(why) => Err(AnswerError::Unusable(address, why)),
    }
}

/// The value of the only line that begins with `ip=`.
fn traced(body: &str) -> Result<&str, AnswerError> {
    let values = |key: &'static str| body.lines().filter_map(move |line| line.strip_prefix(key));
    if values("warp=").any(|value| value != "off") {
        return Err(AnswerError::Tunnel);
    }
    let mut found = values("ip=");
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(AnswerError::NoLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(body: &str, family: Family) -> Result<String, String> {
        read(body, "/", family).map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_address_is_an_answer() {
        for body in ["8.8.4.4", "8.8.4.4\n", "8.8.4.4\r\n", "8.8.4.4 \n\n"] {
            assert_eq!(plain(body, Family::V4).as_deref(), Ok("8.8.4.4"), "{body:?}");
        }
        assert_eq!(plain("2a00:1450::1\n", Family::V6).as_deref(), Ok("2a00:1450::1"));
        assert_eq!(plain("192.168.1.5", Family::V4).as_deref(), Ok("192.168.1.5"));
    }

    #[test]
    fn everything_else_is_none() {
        for body in [
            "",
            "\n8.8.4.4",
            " 8.8.4.4",
            "8.8.4.4\n8.8.8.8",
            "8.8.4.4, 8.8.8.8",
            "8.8.4.4 8.8.8.8",
            "8.8.4",
            "08.8.4.4",
            "8.8.4.4:80",
            "8.8.4.4/24",
            "\"8.8.4.4\"",
            "{\"ip\":\"8.8.4.4\"}",
            "<html>8.8.4.4</html>",
            "ip=8.8.4.4",
            "134744068",
            "fe80::1%eth0",
            "[2a00::1]",
            "8.8.4.4\0",
            "\u{ff18}.8.4.4",
        ] {
            let why = plain(body, Family::V4).unwrap_err();
            assert!(why.contains("is not one address"), "{body:?}: {why}");
        }
        assert!(plain(&"x".repeat(MAX_ANSWER), Family::V4).unwrap_err().len() < 100);
        assert_eq!(plain(&format!("8.8.4.4{}", " ".repeat(2041)), Family::V4).as_deref(), Ok("8.8.4.4"));
        assert_eq!(plain(&" ".repeat(MAX_ANSWER + 1), Family::V4), Err(AnswerError::TooLong.to_string()));
    }

    #[test]
    fn the_family_and_the_use_are_checked() {
        assert_eq!(plain("8.8.4.4", Family::V6), Err("its answer 8.8.4.4 is of the other family".to_owned()));
        assert!(plain("2a00::1", Family::V4).unwrap_err().ends_with("other family"));
        assert!(plain("127.0.0.1", Family::V4).unwrap_err().contains("loopback"));
        assert!(plain("::ffff:8.8.4.4", Family::V6).unwrap_err().contains("IPv4-mapped"));
    }

    #[test]
    fn a_trace_is_read_by_its_line() {
        let traced = |body: &str| read(body, TRACE, Family::V4).map(|address| address.to_string());
        let body = "fl=1f2\nh=1.1.1.1\nip=8.8.4.4\nts=1.2\nuag=ip=1.2.3.4\nwarp=off\n";
        assert_eq!(traced(body), Ok("8.8.4.4".to_owned()));
        assert_eq!(traced(&body.replace('\n', "\r\n")), Ok("8.8.4.4".to_owned()));
        assert_eq!(traced(&body.replace("warp=off", "warp=plus")), Err(AnswerError::Tunnel));
        assert_eq!(traced("ip=8.8.4.4\nip=8.8.8.8\n"), Err(AnswerError::NoLine));
        assert_eq!(traced("8.8.4.4\n"), Err(AnswerError::NoLine));
        assert!(matches!(traced("ip=\n"), Err(AnswerError::NotAnAddress(_))));
        assert!(plain(body, Family::V4).is_err(), "elsewhere the whole answer counts");
    }
}
