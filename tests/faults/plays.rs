//! Ways to answer, from exact bytes to flawless answers with odd bodies.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::faults::run::{Expect, Row};
use crate::support::gateway::{Ask, GET_IPV4, Play, response};
use crate::support::wire::{Server, Wire};

pub(crate) fn play(send: impl Fn(&Ask<'_>, &mut Wire<'_>) -> io::Result<()> + Send + Sync + 'static) -> Play {
    Arc::new(send)
}

/// Exactly these bytes.
pub(crate) fn raw(bytes: impl Fn(&Ask<'_>) -> Vec<u8> + Send + Sync + 'static) -> Play {
    play(move |ask, wire| wire.send(&bytes(ask)))
}

/// A flawless HTTP answer with this body.
pub(crate) fn body(bytes: impl Fn(&Ask<'_>) -> Vec<u8> + Send + Sync + 'static) -> Play {
    play(move |ask, wire| wire.reply("200 OK", "Content-Type: text/xml\r\n", &bytes(ask)))
}

/// The healthy body under a head with these fields.
pub(crate) fn fields(fields: impl Fn(&str) -> String + Send + Sync + 'static) -> Play {
    raw(move |ask| format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n{}", fields(ask.body), ask.body).into_bytes())
}

/// A chunked answer with these chunks.
pub(crate) fn chunks(chunks: impl Fn(&str) -> String + Send + Sync + 'static) -> Play {
    raw(move |ask| {
        let chunks = chunks(ask.body);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
    })
}

/// The value between the tags of the address.
pub(crate) fn value(text: &str) -> Play {
    let text = text.to_owned();
    body(move |ask| {
        response(
            "urn:schemas-upnp-org:service:WANIPConnection:1",
            ask.action,
            &[("NewExternalIPAddress", &text)],
        )
        .into_bytes()
    })
}

/// `body` with `extra` before the end of its root element.
pub(crate) fn inside(body: &str, extra: &str) -> Vec<u8> {
    let at = body.rfind("</").unwrap();
    [&body[..at], extra, &body[at..]].concat().into_bytes()
}

/// `body` with `extra` right behind the XML declaration.
pub(crate) fn before(body: &str, extra: &str) -> Vec<u8> {
    let at = body.find("?>").unwrap() + 2;
    [&body[..at], extra, &body[at..]].concat().into_bytes()
}

/// A row whose plays stand for the description as well as for SOAP.
pub(crate) fn both(name: &'static str, expect: Expect, plays: Vec<Play>) -> Row {
    Row { description: plays.clone(), soap: plays, ..Row::new(name, expect) }
}

/// A row whose plays answer only the question for the address.
pub(crate) fn answers(name: &'static str, expect: Expect, soap: Vec<Play>) -> Row {
    Row { soap, only: Some(GET_IPV4), ..Row::new(name, expect) }
}

/// A host that nobody may ask. It would answer with the healthy documents of
/// somebody else.
pub(crate) fn trap() -> Server {
    let address = (Ipv4Addr::new(127, 0, 0, 2), 0).into();
    Server::start(address, Arc::new(|_, wire| wire.reply("200 OK", "", b"66.66.66.66")))
}
