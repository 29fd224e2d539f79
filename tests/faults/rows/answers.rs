//! Flawless documents with the wrong content: refusals, addresses, services.

use std::time::Duration;

use crate::faults::run::Expect::{Refused, Works};
use crate::faults::run::Row;

use crate::faults::plays::{answers, body, play, trap, value};
use crate::support::gateway::{GET_IPV4, GET_IPV6, description, service_entry, soap_fault};

pub(crate) fn rows() -> Vec<Row> {
    [refusals(), addresses(), services()].into_iter().flatten().collect()
}

fn values(name: &'static str, values: &[&str]) -> Row {
    answers(name, Refused, values.iter().map(|text| value(text)).collect())
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
            least_poll: Duration::from_secs(1),
            ..Row::new("60 WAN services, none answering", Refused)
        },
    ]
}
