//! Faults of the documents: bombs, damage, encodings, and what only looks odd.

use std::fmt::Write;

use crate::faults::run::Expect::{Refused, Tolerated, Works};
use crate::faults::run::Row;

use crate::faults::plays::{answers, before, body, both, inside, trap};

pub(crate) fn rows() -> Vec<Row> {
    [bombs(), texts()].into_iter().flatten().collect()
}

fn bombs() -> Vec<Row> {
    let mut bomb = "<!DOCTYPE r [<!ENTITY e0 \"66.66.66.66\">".to_owned();
    for level in 1..10 {
        let reference = format!("&e{};", level - 1).repeat(10);
        write!(bomb, "<!ENTITY e{level} \"{reference}\">").unwrap();
    }
    bomb.push_str("]>");
    let entity = |doctype: String, reference: &'static str| {
        body(move |ask| {
            let text = String::from_utf8(before(ask.body, &doctype)).unwrap();
            let text = text.replace("66.66.66.66</", &format!("{reference}</"));
            text.replace("Fault gateway", reference).into_bytes()
        })
    };
    let trap = trap();
    let outside = format!("http://{}/entity", trap.address());
    let external = vec![
        entity(format!("<!DOCTYPE r [<!ENTITY e SYSTEM \"{outside}\">]>"), "&e;"),
        entity("<!DOCTYPE r [<!ENTITY e SYSTEM \"file:///etc/hostname\">]>".to_owned(), "&e;"),
        entity(format!("<!DOCTYPE r SYSTEM \"{outside}\">"), "66.66.66.66"),
        entity(format!("<!DOCTYPE r [<!ENTITY % p SYSTEM \"{outside}\"> %p;]>"), "66.66.66.66"),
    ];
    let deep = |depth: usize| {
        body(move |ask| inside(ask.body, &format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth))))
    };
    let attributes = |count: usize| {
        body(move |ask| {
            let list = (0..count).fold(String::new(), |list, n| list + &format!(" a{n}=\"{n}\""));
            inside(ask.body, &format!("<a{list}/>"))
        })
    };
    let one = |reference| entity("<!DOCTYPE r [<!ENTITY e0 \"66.66.66.66\">]>".to_owned(), reference);
    vec![
        both("entity bomb", Refused, vec![entity(bomb.clone(), "&e9;"), entity(bomb, "&e0;"), one("&e0;")]),
        Row { trap: Some(trap), ..both("external entity", Refused, external) },
        Row { least_bytes: 16 * 1024, ..both("100,000-deep XML", Refused, vec![deep(100_000)]) },
        both("1,000-deep XML (inside the size limit)", Refused, vec![deep(1000)]),
        Row { least_bytes: 16 * 1024, ..both("200,000 attributes", Refused, vec![attributes(200_000)]) },
        both("800 attributes (inside the size limit)", Tolerated, vec![attributes(800)]),
        both(
            "XML that is none",
            Refused,
            vec![
                body(|ask| ask.body.replace("</", "<").into_bytes()),
                body(|ask| {
                    ask.body.replace("</NewExternalIPAddress>", "</Other>").replace("</UDN>", "</X>").into()
                }),
                body(|ask| ask.body.replace('>', "").into_bytes()),
                body(|_| b"<".repeat(10_000)),
                body(|_| vec![0; 10_000]),
            ],
        ),
    ]
}

fn texts() -> Vec<Row> {
    let with = |from: &'static str, to: &'static [u8]| {
        body(move |ask| {
            let (a, b) = ask.body.split_once(from).unwrap_or((ask.body, ""));
            [a.as_bytes(), to, b.as_bytes()].concat()
        })
    };
    let wide = |order: fn(u16) -> [u8; 2], mark: bool| {
        body(move |ask| {
            let mark = if mark { "\u{feff}" } else { "" };
            format!("{mark}{}", ask.body).encode_utf16().flat_map(order).collect()
        })
    };
    let note = |bytes: &'static [u8], encoding: &'static str| {
        body(move |ask| {
            let version = format!("version=\"1.0\" encoding=\"{encoding}\"");
            let text = ask.body.replace("version=\"1.0\"", &version);
            let at = text.rfind("</").unwrap();
            [&text.as_bytes()[..at], b"<note>", bytes, b"</note>", &text.as_bytes()[at..]].concat()
        })
    };
    let around = |left: &'static str, right: &'static str| {
        body(move |ask| {
            let mut text = ask.body.to_owned();
            for tag in ["NewExternalIPAddress", "serviceType", "controlURL"] {
                text = text.replace(&format!("<{tag}>"), &format!("<{tag}>{left}"));
                text = text.replace(&format!("</{tag}>"), &format!("{right}</{tag}>"));
            }
            text.into_bytes()
        })
    };
    let commented = body(|ask| {
        let text = ask.body.replace("11.22.", "11.<!-- 66.66.66.66 -->22.<!---->");
        text.replace("WANIPConn", "WAN<!-- x -->IPConn").replace("/ctl/", "/<!-- y -->ctl/").into_bytes()
    });
    let prefixed = |prefix: &'static str, name: &'static str| {
        body(move |ask| {
            let text = ask.body.replace("s:", prefix).replace(&format!("xmln{prefix}"), "xmlns:");
            let text = text.replace("xmlns:s=", &format!("xmlns:{name}="));
            let text =
                text.replace("<u:", "<m-1:").replace("</u:", "</m-1:").replace("xmlns:u=", "xmlns:m-1=");
            let text = text.replace("<root xmlns=", "<o.o:root xmlns:o.o=").replace("</root", "</o.o:root");
            text.replace("<device>", "<o.o:device>").replace("</device>", "</o.o:device>").into_bytes()
        })
    };
    let bare = body(|ask| {
        let text = ask.body.replace(" xmlns=\"urn:schemas-upnp-org:device-1-0\"", "");
        let text = text.replace(" xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"", "");
        let text = text.replace(" xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"", "");
        ["s:", "u:"]
            .iter()
            .fold(text, |text, prefix| {
                text.replace(&format!("<{prefix}"), "<").replace(&format!("</{prefix}"), "</")
            })
            .into_bytes()
    });
    let undeclared = body(|ask| {
        let text = ask.body.replace(" xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"", "");
        text.replace(" xmlns=\"urn:schemas-upnp-org:device-1-0\"", "").into_bytes()
    });
    let name = |text: &'static str| body(move |ask| ask.body.replace("Fault gateway", text).into_bytes());
    let behind = |text: &'static str| body(move |ask| [ask.body, text].concat().into_bytes());
    let unseen = vec![
        name("Box <5G>"),
        name("Box <info>"),
        name("Box&nbsp;&eacute;"),
        name("Box \u{1}\u{7}\0"),
        body(|ask| ask.body.replace("Fault gateway", &"x".repeat(5000)).into_bytes()),
        body(|ask| before(ask.body, "<!DOCTYPE root>")),
        behind("<?xml version=\"1.0\"?>"),
        behind("<!-- x --><html>"),
        behind("\0\0"),
    ];
    // An answer with an address must be whole.
    let unclosed = vec![
        body(|ask| ask.body.replace("</root>", "</rot>").into_bytes()),
        body(|ask| ask.body[..ask.body.rfind("</").unwrap()].into()),
        body(|ask| ask.body[..ask.body.rfind('>').unwrap()].into()),
    ];
    let bad_value = with("66.66.66.66</", b"66.66.66.66\xff</");
    vec![
        answers("bad UTF-8 in the address", Refused, vec![bad_value, with("66.66.66.66</", b"\xc3\x28</")]),
        both("bad UTF-8 elsewhere", Tolerated, vec![note(b"\xff\xfe\xc0\x80", "UTF-8")]),
        both("UTF-16, little endian", Tolerated, vec![wide(u16::to_le_bytes, true)]),
        both("UTF-16, big endian", Tolerated, vec![wide(u16::to_be_bytes, true)]),
        both("UTF-16, unmarked", Tolerated, vec![wide(u16::to_le_bytes, false)]),
        both("Latin-1", Works, vec![note(b"Ger\xe4t", "ISO-8859-1")]),
        both("byte order mark", Works, vec![body(|ask| format!("\u{feff}{}", ask.body).into_bytes())]),
        both("CDATA", Works, vec![around("<![CDATA[", "]]>")]),
        both("comments in values", Works, vec![commented]),
        both("white space around values", Works, vec![around("\r\n\t ", " \t\r\n")]),
        both("odd namespace prefixes", Works, vec![prefixed("SOAP-ENV:", "SOAP-ENV"), prefixed("s_:", "s_")]),
        both("missing namespace", Works, vec![undeclared, bare]),
        both("faults where nobody looks", Works, unseen),
        Row { description: unclosed, ..Row::new("last tag of the description wrong or cut", Works) },
    ]
}
