//! The faults of a gateway at loopback, a row for each class.

use std::fmt::Write;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::run::Expect::{Refused, Tolerated, Works};
use crate::run::{Expect, Row};
use crate::support::gateway::{
    Ask, GET_IPV4, GET_IPV6, Play, description, response, service_entry, soap_fault,
};
use crate::support::wire::{Server, Wire};

const MEGABYTE: usize = 1024 * 1024;

/// The pace of those who send a byte at a time: fast enough that no time-out
/// for a single read would ever fire.
const PACE: Duration = Duration::from_millis(100);

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let groups = [pace(), size(), framing(), status(), bombs(), texts(), refusals(), addresses(), services()];
    groups.into_iter().flatten().collect()
}

// Ways to answer.

fn play(send: impl Fn(&Ask<'_>, &mut Wire<'_>) -> io::Result<()> + Send + Sync + 'static) -> Play {
    Arc::new(send)
}

/// Exactly these bytes.
fn raw(bytes: impl Fn(&Ask<'_>) -> Vec<u8> + Send + Sync + 'static) -> Play {
    play(move |ask, wire| wire.send(&bytes(ask)))
}

/// A flawless HTTP answer with this body.
fn body(bytes: impl Fn(&Ask<'_>) -> Vec<u8> + Send + Sync + 'static) -> Play {
    play(move |ask, wire| wire.reply("200 OK", "Content-Type: text/xml\r\n", &bytes(ask)))
}

/// The healthy body under a head with these fields.
fn fields(fields: impl Fn(&str) -> String + Send + Sync + 'static) -> Play {
    raw(move |ask| format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n{}", fields(ask.body), ask.body).into_bytes())
}

/// A chunked answer with these chunks.
fn chunks(chunks: impl Fn(&str) -> String + Send + Sync + 'static) -> Play {
    raw(move |ask| {
        let chunks = chunks(ask.body);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
    })
}

/// The value between the tags of the address.
fn value(text: &str) -> Play {
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
fn inside(body: &str, extra: &str) -> Vec<u8> {
    let at = body.rfind("</").unwrap();
    [&body[..at], extra, &body[at..]].concat().into_bytes()
}

/// `body` with `extra` right behind the XML declaration.
fn before(body: &str, extra: &str) -> Vec<u8> {
    let at = body.find("?>").unwrap() + 2;
    [&body[..at], extra, &body[at..]].concat().into_bytes()
}

/// A row whose plays stand for the description as well as for SOAP.
fn both(name: &'static str, expect: Expect, plays: Vec<Play>) -> Row {
    Row { description: plays.clone(), soap: plays, ..Row::new(name, expect) }
}

/// A row whose plays answer only the question for the address.
fn answers(name: &'static str, expect: Expect, soap: Vec<Play>) -> Row {
    Row { soap, only: Some(GET_IPV4), ..Row::new(name, expect) }
}

fn values(name: &'static str, values: &[&str]) -> Row {
    answers(name, Refused, values.iter().map(|text| value(text)).collect())
}

/// A host that nobody may ask. It would answer with the healthy documents of
/// somebody else.
fn trap() -> Server {
    let address = (Ipv4Addr::new(127, 0, 0, 2), 0).into();
    Server::start(address, Arc::new(|_, wire| wire.reply("200 OK", "", b"66.66.66.66")))
}

// The rows.

fn pace() -> Vec<Row> {
    let seconds = Duration::from_secs(1);
    vec![
        Row { least_look: seconds, ..both("never answering", Refused, vec![play(|_, wire| wire.hold())]) },
        Row {
            least_look: seconds,
            ..both(
                "slow-loris",
                Refused,
                vec![play(|_, wire| {
                    wire.send(b"HTTP/1.1 200 OK\r\nX-Header: ")?;
                    wire.drip(&[b'a'; 600], PACE)
                })],
            )
        },
        Row {
            least_look: seconds,
            ..both(
                "slow body",
                Refused,
                vec![play(|ask, wire| {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ask.body.len());
                    wire.send(head.as_bytes())?;
                    wire.drip(ask.body.as_bytes(), PACE)
                })],
            )
        },
        both(
            "Content-Length too large, line held",
            Tolerated,
            vec![play(|ask, wire| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ask.body.len() + 9);
                wire.send(head.as_bytes())?;
                wire.send(ask.body.as_bytes())?;
                wire.hold()
            })],
        ),
        both("closed without a byte", Refused, vec![play(|_, _| Ok(()))]),
        both(
            "kept alive although close was asked",
            Works,
            vec![play(|ask, wire| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ask.body.len());
                wire.send(head.as_bytes())?;
                wire.send(ask.body.as_bytes())?;
                wire.hold()
            })],
        ),
    ]
}

fn size() -> Vec<Row> {
    let flood = |wire: &mut Wire<'_>, megabytes: usize| {
        (0..megabytes).try_for_each(|_| wire.send(&vec![b' '; MEGABYTE]))
    };
    let endless = play(move |ask, wire| {
        let open = String::from_utf8(before(ask.body, "<!-- ")).unwrap();
        let open = &open[..open.find("<!-- ").unwrap() + 5];
        wire.send(format!("HTTP/1.1 200 OK\r\n\r\n{open}").as_bytes())?;
        flood(wire, 100_000)
    });
    let hundred = |head: &'static str| {
        play(move |ask, wire| {
            wire.send(head.as_bytes())?;
            flood(wire, 100)?;
            wire.send(ask.body.as_bytes())
        })
    };
    vec![
        Row { least_bytes: 64 * 1024, ..both("endless body", Refused, vec![endless]) },
        Row {
            least_bytes: 64 * 1024,
            ..both(
                "100 MB body",
                Refused,
                vec![
                    hundred("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n"),
                    hundred("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6400000\r\n"),
                    hundred("HTTP/1.0 200 OK\r\n\r\n"),
                ],
            )
        },
        Row {
            least_bytes: 8 * 1024,
            ..both(
                "huge headers",
                Refused,
                vec![
                    fields(|_| format!("X-Long: {}", "a".repeat(MEGABYTE))),
                    fields(|body| format!("{}Content-Length: {}", "A: b\r\n".repeat(10_000), body.len())),
                    fields(|body| format!("{}Content-Length: {}", "A: b\r\n".repeat(100), body.len())),
                    play(|_, wire| {
                        wire.send(b"HTTP/1.1 200 OK\r\n")?;
                        (0..MEGABYTE).try_for_each(|_| wire.send(&b"A: b\r\n".repeat(1000)))
                    }),
                ],
            )
        },
    ]
}

fn framing() -> Vec<Row> {
    let cut = |behind: &'static str| {
        raw(move |ask| {
            let at = ask.body.find(behind).map_or(ask.body.len() / 2, |at| at + behind.len());
            let length = ask.body.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", &ask.body[..at]).into_bytes()
        })
    };
    let one_chunk = |body: &str| format!("{:x}\r\n{body}\r\n", body.len());
    let length = |text: &'static str| fields(move |_| format!("Content-Length: {text}"));
    vec![
        both(
            "truncated",
            Refused,
            vec![
                raw(|_| b"HTTP/1.1 200".to_vec()),
                raw(|_| b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
                cut("66.66"),
                cut("66.66.66.66"),
                cut("</NewExternalIPAddress>"),
                cut("</s:Body>"),
                raw(|ask| format!("HTTP/1.0 200 OK\r\n\r\n{}", &ask.body[..ask.body.len() - 5]).into_bytes()),
            ],
        ),
        both(
            "Content-Length too small",
            Refused,
            vec![
                fields(|body| format!("Content-Length: {}", body.len() / 2)),
                fields(|body| format!("Content-Length: {}", body.len() - 4)),
            ],
        ),
        both(
            "Content-Length too large, line closed",
            Works,
            vec![fields(|body| format!("Content-Length: {} ", body.len() + 7))],
        ),
        both(
            "duplicate Content-Length",
            Refused,
            vec![
                fields(|body| format!("Content-Length: {}\r\nContent-Length: 5", body.len())),
                fields(|body| format!("Content-Length: 5\r\nContent-Length: {}", body.len())),
                fields(|body| format!("Content-Length: {0}, {0}", body.len() / 2)),
                length_and_chunks(),
            ],
        ),
        both("negative Content-Length", Refused, vec![length("-1"), length("-2147483648"), length("+600")]),
        both(
            "nonsensical Content-Length",
            Refused,
            vec![
                length("99999999999999999999999"),
                length("0x200"),
                length("6e2"),
                length(""),
                length("none"),
            ],
        ),
        both(
            "bad chunks",
            Refused,
            vec![
                chunks(|body| format!("-1\r\n{body}\r\n0\r\n\r\n")),
                chunks(|body| format!("0x{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
                chunks(|body| format!("{:x}\r\n{body}0\r\n\r\n", body.len())),
                chunks(|body| format!("ffffffffffffffff\r\n{body}\r\n0\r\n\r\n")),
                chunks(|body| format!("{:x}\r\n{body}\r\n", body.len() + 100)),
                chunks(one_chunk),
                chunks(|body| format!("zz\r\n{body}\r\n0\r\n\r\n")),
                chunks(|body| format!("{}\r\n{body}", "0".repeat(10_000))),
            ],
        ),
        both(
            "chunked",
            Works,
            vec![chunks(move |body| {
                let (a, b) = body.split_at(body.len() / 2);
                one_chunk(a) + &one_chunk(b).replacen("\r\n", ";ext=1\r\n", 1) + "0\r\nTrailer: x\r\n\r\n"
            })],
        ),
        both(
            "HTTP/1.0 without length",
            Works,
            vec![raw(|ask| {
                format!("HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n{}", ask.body).into_bytes()
            })],
        ),
        both(
            "100 Continue before the answer",
            Works,
            vec![raw(|ask| {
                let length = ask.body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                format!("HTTP/1.1 100 Continue\r\n\r\n{head}{}", ask.body).into_bytes()
            })],
        ),
        both(
            "no HTTP at all",
            Refused,
            vec![
                raw(|_| b"SSH-2.0-dropbear\r\n".to_vec()),
                raw(|ask| ask.body.as_bytes().to_vec()),
                raw(|_| (0..=255).cycle().take(5000).collect()),
                raw(|ask| format!("HTTP/9.9 200 OK\r\n\r\n{}", ask.body).into_bytes()),
            ],
        ),
    ]
}

/// A chunked answer with a Content-Length as well.
fn length_and_chunks() -> Play {
    raw(|ask| {
        let length = ask.body.len();
        let head = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked");
        format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n", ask.body).into_bytes()
    })
}

fn status() -> Vec<Row> {
    let with = |status: &'static str| {
        play(move |ask, wire| wire.reply(status, "Content-Type: text/xml\r\n", ask.body.as_bytes()))
    };
    let trap = trap();
    let place = format!("http://{}/desc.xml", trap.address());
    let to = |status: &'static str, place: String| {
        play(move |ask, wire| wire.reply(status, &format!("Location: {place}\r\n"), ask.body.as_bytes()))
    };
    let redirects = vec![
        to("301 Moved Permanently", place.clone()),
        to("302 Found", place.clone()),
        to("303 See Other", place.clone()),
        to("307 Temporary Redirect", place.clone()),
        to("308 Permanent Redirect", place),
        play(|ask, wire| wire.reply("302 Found", &format!("Location: {}\r\n", ask.path), b"")),
    ];
    let page = "<!DOCTYPE html><html><head><title>Login</title></head><body><p>Your address is \
                <NewExternalIPAddress>66.66.66.66</NewExternalIPAddress><br>Please log in.</body></html>";
    vec![
        Row { trap: Some(trap), ..both("redirect", Refused, redirects) },
        both(
            "4xx",
            Refused,
            vec![
                with("400 Bad Request"),
                with("401 Unauthorized"),
                with("403 Forbidden"),
                with("404 Not Found"),
                with("405 Method Not Allowed"),
                with("429 Too Many Requests"),
            ],
        ),
        both(
            "5xx",
            Refused,
            vec![
                with("500 Internal Server Error"),
                with("501 Not Implemented"),
                with("502 Bad Gateway"),
                with("503 Service Unavailable"),
            ],
        ),
        both(
            "HTML",
            Refused,
            vec![
                body(move |_| page.as_bytes().to_vec()),
                play(move |_, wire| wire.reply("200 OK", "Content-Type: text/html\r\n", page.as_bytes())),
            ],
        ),
        both(
            "empty body",
            Refused,
            vec![
                body(|_| Vec::new()),
                body(|_| b"\r\n\r\n".to_vec()),
                play(|_, wire| wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")),
            ],
        ),
    ]
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
    let bad_value = with("66.66.66.66</", b"66.66.66.66\xff</");
    vec![
        answers("bad UTF-8 in the address", Refused, vec![bad_value, with("66.66.66.66</", b"\xc3\x28</")]),
        both("bad UTF-8 elsewhere", Tolerated, vec![note(b"\xff\xfe\xc0\x80", "UTF-8")]),
        both(
            "UTF-16",
            Tolerated,
            vec![wide(u16::to_le_bytes, true), wide(u16::to_be_bytes, true), wide(u16::to_le_bytes, false)],
        ),
        both("Latin-1", Works, vec![note(b"Ger\xe4t", "ISO-8859-1")]),
        both("byte order mark", Works, vec![body(|ask| format!("\u{feff}{}", ask.body).into_bytes())]),
        both("CDATA", Works, vec![around("<![CDATA[", "]]>")]),
        both("comments in values", Works, vec![commented]),
        both("white space around values", Works, vec![around("\r\n\t ", " \t\r\n")]),
        both("odd namespace prefixes", Works, vec![prefixed("SOAP-ENV:", "SOAP-ENV"), prefixed("s_:", "s_")]),
        both("missing namespace", Works, vec![undeclared, bare]),
    ]
}

fn refusals() -> Vec<Row> {
    let fault = |code: &'static str| {
        let with = move |status: &'static str| {
            play(move |_, wire| wire.reply(status, "", soap_fault(code, "66.66.66.66").as_bytes()))
        };
        vec![with("500 Internal Server Error"), with("200 OK")]
    };
    vec![
        answers("SOAP fault 401", Refused, fault("401")),
        answers("SOAP fault 402", Refused, fault("402")),
        answers("SOAP fault 501", Refused, fault("501")),
        answers("SOAP fault 606", Refused, fault("606")),
        answers(
            "answer to another action",
            Refused,
            vec![
                body(|ask| ask.body.replace(GET_IPV4, "GetOtherAddress").into_bytes()),
                body(|ask| ask.body.replace("NewExternalIPAddress", "NewInternalClient").into_bytes()),
            ],
        ),
    ]
}

fn addresses() -> Vec<Row> {
    let long = "9".repeat(8000);
    let ipv6 = |text: &'static str| {
        body(move |ask| ask.body.replace(&format!("{}<", ask.address), &format!("{text}<")).into_bytes())
    };
    let lifetime = body(|ask| ask.body.replace(">3600<", ">0<").into_bytes());
    let row = |name, soap| Row { ipv6: true, only: Some(GET_IPV6), soap, ..Row::new(name, Refused) };
    vec![
        values("empty address", &["", " ", "\n"]),
        values("address 0.0.0.0", &["0.0.0.0", "0.1.2.3"]),
        values("private address", &["10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.178.2"]),
        values("CGNAT address", &["100.64.0.1", "100.127.255.254"]),
        values("loopback address", &["127.0.0.1", "127.255.0.1"]),
        values("multicast address", &["224.0.0.1", "239.255.255.250"]),
        values(
            "other reserved address",
            &[
                "169.254.1.1",
                "192.0.0.2",
                "192.0.2.1",
                "198.18.0.1",
                "203.0.113.5",
                "240.0.0.1",
                "255.255.255.255",
            ],
        ),
        values(
            "garbage address",
            &[
                "999.1.1.1",
                "66.66.66",
                "66.66.66.66.66",
                "066.066.066.066",
                "0x42.0x42.0x42.0x42",
                "1111638594",
                "66.66.66.66 66",
                "66.66.66.66:80",
                "66.66.66.66/32",
                "-66.66.66.66",
                "::ffff:66.66.66.66",
                "2a01:4f8::1",
                "$(id)",
                "%s%s%n",
                "(null)",
                "<b>66.66.66.66</b>",
                &long,
            ],
        ),
        row("IPv6 lifetime 0", vec![lifetime]),
        row(
            "IPv6 address never to publish",
            vec![
                ipv6(""),
                ipv6("::"),
                ipv6("::1"),
                ipv6("fe80::1"),
                ipv6("fd00::1"),
                ipv6("2001:db8::1"),
                ipv6("2002:4242:4242::1"),
                ipv6("64:ff9b::4242:4242"),
                ipv6("ff0e::1"),
                ipv6("66.66.66.66"),
                ipv6("2a01:4f8:::1"),
            ],
        ),
    ]
}

fn services() -> Vec<Row> {
    let ppp = body(|ask| ask.body.replace("WANIPConnection:1", "WANPPPConnection:1").into_bytes());
    let down_first = body(|ask| {
        let down = (
            "urn:schemas-upnp-org:service:WANPPPConnection:1".to_owned(),
            format!("/ctl/down-{}", ask.generation),
        );
        description(&[down, service_entry("WANIPConnection:1", ask.generation)]).into_bytes()
    });
    let down = |value_or_fault: Result<&'static str, &'static str>| {
        play(move |ask, wire| match value_or_fault {
            _ if !ask.path.contains("down") => wire.reply("200 OK", "", ask.body.as_bytes()),
            Ok(value) => wire.reply("200 OK", "", ask.body.replace(ask.address, value).as_bytes()),
            Err(code) => wire.reply("500 Internal Server Error", "", soap_fault(code, "no").as_bytes()),
        })
    };
    let trap = trap();
    let elsewhere = format!("http://{}/ctl", trap.address());
    let control = |text: String| {
        body(move |ask| ask.body.replace("<controlURL>/ctl", &format!("<controlURL>{text}")).into_bytes())
    };
    let controls = vec![
        control(elsewhere.clone()),
        control(elsewhere.replace("http:", "")),
        control("http://router.lan/ctl".to_owned()),
        control("http://127.0.0.1:25/ctl".to_owned()),
        control("http://127.0.0.1@127.0.0.2/ctl".to_owned()),
        control("/ctl HTTP/1.1&#13;&#10;X: y".to_owned()),
        control("file:///etc/passwd#".to_owned()),
        control("a".repeat(5000)),
    ];
    let mute = body(|ask| {
        let (service, path) = service_entry("WANIPConnection:1", ask.generation);
        let list = (0..60).map(|n| (service.clone(), path.replace("wan", &format!("mute{n}"))));
        description(&list.collect::<Vec<_>>()).into_bytes()
    });
    vec![
        Row { description: vec![ppp], ..Row::new("PPP only", Works) },
        Row {
            description: vec![down_first; 5],
            soap: vec![
                down(Ok("")),
                down(Ok("0.0.0.0")),
                down(Ok("10.0.0.7")),
                down(Err("501")),
                down(Err("401")),
            ],
            ..Row::new("several WAN services, the first one down", Works)
        },
        Row {
            description: vec![body(|_| description(&[]).into_bytes())],
            ..Row::new("no WAN service", Refused)
        },
        Row { description: controls, trap: Some(trap), ..Row::new("control URL that leads astray", Refused) },
        Row {
            description: vec![mute],
            beside: vec![play(|_, wire| wire.hold())],
            least_look: Duration::from_secs(1),
            ..Row::new("60 WAN services, none answering", Refused)
        },
    ]
}
