//! Datagrams of real gateways, each against what its row in the corpus says.
//!
//! Every part of an expectation is either checked or known to say nothing that
//! a parser could tell; an unknown part fails, so that no row goes unnoticed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop where it is wrong; clippy knows that only of the test functions themselves"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ddns_update_daemon::address::Finding;
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::natpmp::message::{ExternalAddress, MessageError};
use ddns_update_daemon::ssdp::message::{Answer, AnswerError, Notify, Verdict};

/// Name, bytes and expectation of every row whose file is in `folder`; `None`
/// where there is no corpus.
fn rows(folder: &str) -> Option<Vec<(String, Vec<u8>, String)>> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let Ok(index) = fs::read_to_string(corpus.join("INDEX.tsv")) else {
        assert!(std::env::var_os("CI").is_none(), "no corpus at {}", corpus.display());
        eprintln!("left out: no corpus at {}", corpus.display());
        return None;
    };
    let rows: Vec<_> = index
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|columns| columns[0].starts_with(folder))
        .map(|columns| {
            let bytes = fs::read(corpus.join(columns[0])).unwrap();
            (columns[0].to_owned(), bytes, columns[5].to_owned())
        })
        .collect();
    let files = fs::read_dir(corpus.join(folder)).unwrap().count();
    assert_eq!(rows.len(), files, "{folder}: every file has a row");
    Some(rows)
}

/// What both kinds of SSDP datagrams have.
#[derive(Debug)]
struct Parsed {
    kind: &'static str,
    target: String,
    usn: Option<String>,
    location: Option<LanUrl>,
    verdict: Verdict,
}

fn parse(bytes: &[u8], sender: IpAddr) -> Result<Parsed, AnswerError> {
    match Answer::parse(bytes, sender) {
        Ok(answer) => {
            assert_eq!(Answer::parse(answer.to_string().as_bytes(), sender).as_ref(), Ok(&answer));
            Ok(Parsed {
                kind: "search response",
                verdict: answer.verdict(),
                target: answer.st,
                usn: answer.usn,
                location: Some(answer.location),
            })
        }
        Err(AnswerError::Kind) => {
            let notify = Notify::parse(bytes, sender)?;
            assert_eq!(Notify::parse(notify.to_string().as_bytes(), sender).as_ref(), Ok(&notify));
            Ok(Parsed {
                kind: notify_kind(&notify),
                verdict: notify.verdict(),
                target: notify.nt,
                usn: notify.usn,
                location: notify.location,
            })
        }
        Err(error) => Err(error),
    }
}

fn notify_kind(notify: &Notify) -> &'static str {
    use ddns_update_daemon::ssdp::message::NotifyKind::{Alive, Byebye, Update};
    match notify.kind {
        Alive => "ssdp:alive",
        Byebye => "ssdp:byebye",
        Update => "ssdp:update",
    }
}

fn verdict(text: &str) -> Verdict {
    match text {
        "gateway" => Verdict::Gateway,
        "candidate (description decides)" => Verdict::Candidate,
        "not a gateway" => Verdict::NotAGateway,
        other => panic!("unknown verdict {other:?}"),
    }
}

#[test]
fn ssdp_datagrams_read_as_the_corpus_says() {
    for (file, bytes, expected) in rows("ssdp/").unwrap_or_default() {
        let stranger = IpAddr::from([10, 99, 99, 99]);
        let named = expected.split("; ").find_map(|part| part.strip_prefix("location="));
        let named = named.and_then(|text| LanUrl::parse(text).ok());
        if expected.contains("location unusable") {
            let error = parse(&bytes, stranger).unwrap_err();
            assert!(matches!(error, AnswerError::Host | AnswerError::Location(_)), "{file}: {error}");
            if named.is_none() {
                continue;
            }
        }
        let sender = named.as_ref().map_or(stranger, LanUrl::host);
        let parsed = parse(&bytes, sender).unwrap_or_else(|error| panic!("{file}: {error}"));
        for part in expected.split("; ") {
            match part.split_once('=').unwrap_or((part, "")) {
                ("kind", kind) => assert_eq!(parsed.kind, kind, "{file}"),
                ("location", "-") => assert_eq!(parsed.location, None, "{file}"),
                ("location", _) => assert_eq!(parsed.location, named, "{file}"),
                ("st", target) => assert_eq!(parsed.target, target, "{file}"),
                ("usn", "-") => assert_eq!(parsed.usn, None, "{file}"),
                ("usn", usn) => assert_eq!(parsed.usn.as_deref(), Some(usn), "{file}"),
                ("verdict", text) => assert_eq!(parsed.verdict, verdict(text), "{file}"),
                // Cache times are ignored; the others say what only the
                // description or the sender can tell.
                ("max-age" | "location unusable: loopback" | "real device: not a gateway", _) => {}
                (other, _) => panic!("{file}: unknown expectation {other:?}"),
            }
        }
        if let (Some(location), IpAddr::V4(_)) = (&parsed.location, sender) {
            let repointed = parse(&bytes, stranger).unwrap().location;
            assert_eq!(repointed, Some(location.at(stranger)), "{file}: a third host");
        }
    }
}

/// The fields of an expectation as `name=value`, and what else it says.
fn fields(expected: &str) -> (Vec<(String, String)>, Option<&str>) {
    let (fields, remark) = match expected.split_once(" -> ") {
        Some((fields, remark)) => (fields, Some(remark)),
        None => (expected, None),
    };
    // Parentheses explain a number; one row tells its length in words.
    let mut plain = fields.replace("; 8 bytes", " length=8");
    while let Some((before, (_, after))) =
        plain.split_once(" (").and_then(|(b, r)| Some((b, r.split_once(')')?)))
    {
        plain = format!("{before}{after}");
    }
    let field = |field: &str| match field.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => panic!("unknown expectation {field:?}"),
    };
    (plain.split(' ').map(field).collect(), remark)
}

#[test]
fn natpmp_datagrams_read_as_the_corpus_says() {
    for (file, bytes, expected) in rows("natpmp/").unwrap_or_default() {
        let parsed = ExternalAddress::parse(&bytes);
        let (fields, remark) = fields(&expected);
        for (name, value) in &fields {
            let number = || value.parse::<u32>().unwrap_or_else(|_| panic!("{file}: {name}={value}"));
            match name.as_str() {
                "version" => assert_eq!(version(&parsed), number(), "{file}"),
                "op" | "opcode" => assert_eq!(opcode(&parsed), number(), "{file}"),
                // That it is an answer, which `parse` insists on.
                "R" => assert_eq!(number(), 1, "{file}"),
                "result" => assert_eq!(result(&parsed), number(), "{file}"),
                "epoch" if version(&parsed) == 0 => assert_eq!(epoch(&parsed), number(), "{file}"),
                // Of PCP nothing but the head is read.
                "epoch" => {}
                "length" => assert_eq!(bytes.len().to_string(), *value, "{file}"),
                "address" => {
                    assert_eq!(parsed.unwrap().address, value.parse::<Ipv4Addr>().unwrap(), "{file}");
                }
                other => panic!("{file}: unknown expectation {other:?}"),
            }
        }
        let known = parsed.ok().map(|answer| answer.finding());
        match remark {
            None => assert!(matches!(known, Some(Finding::Known(_))), "{file}"),
            Some("no address") => assert!(!matches!(known, Some(Finding::Known(_))), "{file}"),
            Some("carries no address") => assert_eq!(known, None, "{file}"),
            Some(other) => panic!("{file}: unknown expectation {other:?}"),
        }
        if let Ok(answer) = parsed {
            assert_eq!(answer.to_bytes(), bytes, "{file}");
        }
    }
}

type Reply = Result<ExternalAddress, MessageError>;

fn version(reply: &Reply) -> u32 {
    match reply {
        Err(MessageError::Version { version, .. }) => (*version).into(),
        _ => 0,
    }
}

fn opcode(reply: &Reply) -> u32 {
    match reply {
        Ok(_) => 128,
        Err(MessageError::Version { opcode, .. } | MessageError::Opcode { opcode, .. }) => (*opcode).into(),
        Err(error) => panic!("{error}"),
    }
}

fn result(reply: &Reply) -> u32 {
    match reply {
        Ok(answer) => answer.result.number().into(),
        Err(MessageError::Version { result, .. }) => (*result).into(),
        Err(MessageError::Opcode { result, .. }) => result.number().into(),
        Err(error) => panic!("{error}"),
    }
}

fn epoch(reply: &Reply) -> u32 {
    match reply {
        Ok(answer) => answer.epoch,
        Err(MessageError::Opcode { epoch, .. }) => *epoch,
        Err(error) => panic!("{error}"),
    }
}
