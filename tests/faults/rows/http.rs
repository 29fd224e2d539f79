//! Faults below the documents: pace, size, framing, status.

use std::time::Duration;

use crate::faults::run::Expect::{Refused, Tolerated, Works};
use crate::faults::run::Row;

use crate::faults::plays::{answers, before, body, both, chunks, fields, play, raw, trap};
use crate::support::gateway::Play;
use crate::support::wire::Wire;

const MEGABYTE: usize = 1024 * 1024;

/// The pace of those who send a byte at a time: fast enough that no time-out
/// for a single read would ever fire.
const PACE: Duration = Duration::from_millis(100);

pub(crate) fn rows() -> Vec<Row> {
    [pace(), size(), framing(), odd_framing(), status()].into_iter().flatten().collect()
}

fn pace() -> Vec<Row> {
    let seconds = Duration::from_secs(1);
    vec![
        Row { least_poll: seconds, ..both("never answering", Refused, vec![play(|_, wire| wire.hold())]) },
        Row {
            least_poll: seconds,
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
            least_poll: seconds,
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
            ],
        ),
        // A description may lack its last tag; an answer with an address must be whole.
        answers(
            "last tag cut",
            Refused,
            vec![
                raw(|ask| format!("HTTP/1.0 200 OK\r\n\r\n{}", &ask.body[..ask.body.len() - 5]).into_bytes()),
                fields(|body| format!("Content-Length: {}", body.len() - 4)),
            ],
        ),
        both(
            "Content-Length too small",
            Refused,
            vec![fields(|body| format!("Content-Length: {}", body.len() / 2))],
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

/// Framing that is odd, yet says clearly where the answer ends.
fn odd_framing() -> Vec<Row> {
    vec![
        both(
            "Content-Length too large, line closed",
            Works,
            vec![fields(|body| format!("Content-Length: {} ", body.len() + 7))],
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
    ]
}

fn one_chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
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
