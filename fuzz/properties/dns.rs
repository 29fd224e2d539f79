//! Properties of what name servers say, and of what names them: messages,
//! signatures, answers, resolv.conf, base64.

use std::net::{IpAddr, SocketAddr};

use ddns_update_daemon::dns::answer::{Sent, Verified};
use ddns_update_daemon::dns::base64;
use ddns_update_daemon::dns::message::{
    Flags, Message, MessageError, QUERY, Question, Rdata, Record, UPDATE, class, kind,
};
use ddns_update_daemon::dns::name::{MAX_LABEL, MAX_NAME, Name};
use ddns_update_daemon::dns::resolv::{PORT, resolvers};
use ddns_update_daemon::dns::tsig::{Algorithm, Key, Signature, TsigError, error, sign_answer};

/// More records than this are refused.
const MAX_RECORDS: usize = 512;

/// What is read is as much as the header says, of names within the limits of
/// DNS; it is written, without compression, and read again unchanged. A cut
/// message is none.
pub(super) fn dns_message(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    let word = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
    assert_eq!((message.id, message.flags), (word(0), Flags(word(2))));
    let records = [&message.answers, &message.authority, &message.additional];
    let counts = [message.questions.len(), records[0].len(), records[1].len(), records[2].len()];
    for (index, count) in counts.into_iter().enumerate() {
        assert_eq!(count, usize::from(word(4 + 2 * index)));
    }
    assert!(counts.iter().sum::<usize>() <= MAX_RECORDS);
    message.questions.iter().for_each(|question| check_name(&question.name));
    for record in records.into_iter().flatten() {
        check_name(&record.name);
        match &record.data {
            Rdata::Cname(name) => check_name(name),
            Rdata::Soa { primary, rname, .. } => [primary, rname].into_iter().for_each(check_name),
            Rdata::A(_) | Rdata::Aaaa(_) | Rdata::Raw(_) => {}
        }
    }
    let written = message.to_bytes();
    assert_eq!(Message::parse(&written).as_ref(), Ok(&message));
    // Without pointers there is one way to write it, but for letter case.
    if data.iter().all(|byte| *byte < 0xc0) {
        assert!(written.eq_ignore_ascii_case(data));
    }
    for end in [data.len() / 2, data.len() - 1] {
        assert!(Message::parse(&data[..end]).is_err());
    }
    assert_eq!(Message::parse(&[data, &[0]].concat()), Err(MessageError::Long));
}

fn check_name(name: &Name) {
    let mut rest = name.wire();
    assert!(rest.len() <= MAX_NAME && !rest.iter().any(u8::is_ascii_uppercase));
    while let [length @ 1..=u8::MAX, behind @ ..] = rest {
        assert!(usize::from(*length) <= MAX_LABEL);
        rest = &behind[usize::from(*length)..];
    }
    assert_eq!(rest, [0], "a name ends with the root, once");
}

/// A signature says what stands in its record, byte for byte, is written and read
/// again unchanged, also within a message; other records are none.
pub(super) fn tsig(data: &[u8]) {
    let key = Name::from_text("our.key").expect("a name");
    let record = Record {
        name: key.clone(),
        kind: kind::TSIG,
        class: class::ANY,
        ttl: 0,
        data: Rdata::Raw(data.to_vec()),
    };
    for other in [
        Record { kind: kind::A, ..record.clone() },
        Record { class: class::IN, ..record.clone() },
        Record { ttl: 1, ..record.clone() },
    ] {
        assert_eq!(Signature::parse(&other), None);
    }
    let Ok(signature) = Signature::parse(&record).expect("a TSIG record") else { return };
    assert_eq!(signature.key, key);
    check_name(&signature.algorithm);
    assert!(signature.time < 1 << 48);
    let written = signature.to_record();
    assert_eq!(Signature::parse(&written), Some(Ok(signature.clone())));
    let Rdata::Raw(bytes) = &written.data else { panic!("no data") };
    let (name, rest) = bytes.split_at(signature.algorithm.wire().len());
    assert!(name.eq_ignore_ascii_case(&data[..name.len()]), "letter case of its name is all that changes");
    assert_eq!(rest, &data[name.len()..]);
    match signature.server_time() {
        Some(time) => {
            assert_eq!(
                (signature.error, signature.other.as_slice()),
                (error::BADTIME, &time.to_be_bytes()[2..])
            );
        }
        None => assert!(signature.error != error::BADTIME || signature.other.len() != 6),
    }
    for end in 0..data.len() {
        let cut = Record { data: Rdata::Raw(data[..end].to_vec()), ..record.clone() };
        assert!(Signature::parse(&cut).expect("a TSIG record").is_err());
    }
    if u16::try_from(data.len()).is_ok() {
        let message = Message { additional: vec![written], ..Message::default() };
        let read = Message::parse(&message.to_bytes()).expect("a message");
        assert_eq!(Signature::parse(&read.additional[0]), Some(Ok(signature)));
    }
}

const NOW: u64 = 1_700_000_000;

fn key(name: &str, algorithm: Algorithm, secret: &str) -> Key {
    Key::new(Name::from_text(name).expect("a name"), algorithm, secret).expect("a key")
}

fn sent(opcode: u8, key: Option<&Key>) -> Sent {
    let name = Name::from_text("home.example").expect("a name");
    let question = Question { name, kind: kind::SOA, class: class::IN };
    let message = Message {
        id: 7,
        flags: Flags::request(opcode, false),
        questions: vec![question],
        ..Message::default()
    };
    Sent::new(&message, key, NOW)
}

/// The MAC of what was sent, as its receiver finds it.
fn mac(sent: &Sent) -> Vec<u8> {
    let message = Message::parse(&sent.bytes).expect("our own");
    let last = message.additional.last().expect("a signature");
    Signature::parse(last).expect("a signature").expect("a good one").mac
}

/// To a signed message, nothing is an answer unless the holder of our key signed
/// just this, for just this message, and now. No datagram answers a message of
/// another id or kind. The input: settings, seconds, a place to damage and how,
/// then a datagram.
pub(super) fn dns_answer(data: &[u8]) {
    let [setting, seconds, place, damage, datagram @ ..] = data else { return };
    let ours = key("our.key", Algorithm::ALL[usize::from(*setting % 3)], "c2VjcmV0");
    let opcode = if setting & 4 != 0 { UPDATE } else { QUERY };
    let request = sent(opcode, Some(&ours));
    assert!(request.is_signed());
    // Nobody finds a MAC by chance.
    check_unproven(&request.judge(datagram, NOW), datagram, opcode);
    check_unsigned(datagram, opcode);
    let Ok(answer) = Message::parse(datagram) else { return };
    let belongs = is_answer(&answer, opcode);
    // Somebody signs it, in one of the ways that are wrong, or rightly.
    let (writer, mac, wrong) = match setting >> 3 & 7 {
        0 => (key("other.key", ours.algorithm, "c2VjcmV0"), mac(&request), Some(TsigError::OtherKey)),
        1 => (key("our.key", ours.algorithm, "d3Jvbmc="), mac(&request), Some(TsigError::Mac)),
        2 => (ours.clone(), vec![7; 32], Some(TsigError::Mac)),
        3 => {
            let next = Algorithm::ALL[usize::from((*setting % 3 + 1) % 3)];
            (key("our.key", next, "c2VjcmV0"), mac(&request), Some(TsigError::OtherKey))
        }
        _ => (ours.clone(), mac(&request), None),
    };
    let difference = u64::from(*seconds) * 4;
    let time = if setting & 0x40 != 0 { NOW - difference } else { NOW + difference };
    let said = if setting & 0x80 != 0 { error::BADTIME } else { 0 };
    let other = if said == 0 { Vec::new() } else { time.to_be_bytes()[2..].to_vec() };
    let signed = sign_answer(&writer, &answer, &mac, time, (said, &other));
    if signed.len() > usize::from(u16::MAX) || answer.additional.len() >= MAX_RECORDS {
        return;
    }
    let readable = Message::parse(&signed).is_ok();
    let in_time = said == error::BADTIME || difference <= 300;
    match request.judge(&signed, NOW) {
        Verified::Answer { message, tsig_error, server_time } => {
            assert!(belongs && wrong.is_none() && in_time);
            assert_eq!(without_last(message), answer);
            assert_eq!((tsig_error, server_time), (said, (said != 0).then_some(time)));
        }
        Verified::Unproven { why, rcode, .. } => {
            assert!(belongs && readable);
            assert_eq!(rcode, answer.flags.rcode());
            assert_eq!(why, wrong.unwrap_or(TsigError::Time(difference)));
            assert!(wrong.is_some() || !in_time);
        }
        Verified::NotAnAnswer => assert!(!belongs || !readable),
    }
    let mut damaged = signed.clone();
    damaged[usize::from(*place) * signed.len() / 256] ^= damage | 1;
    if let Verified::Answer { message, .. } = request.judge(&damaged, NOW) {
        // Letter case of the key's name is no damage.
        assert!(wrong.is_none());
        assert_eq!(without_last(message), answer);
    }
}

fn without_last(mut message: Message) -> Message {
    message.additional.pop();
    message
}

fn is_answer(message: &Message, opcode: u8) -> bool {
    message.id == 7 && message.flags.0 >> 15 == 1 && message.flags.0 >> 11 & 0xf == u16::from(opcode)
}

fn check_unproven(judged: &Verified, datagram: &[u8], opcode: u8) {
    match judged {
        Verified::Answer { .. } => panic!("an answer without a MAC"),
        Verified::Unproven { rcode, truncated, tsig_error, why } => {
            let message = Message::parse(datagram).expect("it was read");
            assert!(is_answer(&message, opcode));
            assert_eq!(u16::from(*rcode), message.flags.0 & 0xf);
            assert_eq!(*truncated, message.flags.0 & 0x0200 != 0);
            assert_eq!(tsig_error.is_none(), matches!(why, TsigError::Missing | TsigError::Damaged));
            assert!(!matches!(why, TsigError::Time(_)), "the time is believed with a MAC only");
        }
        Verified::NotAnAnswer => {}
    }
}

/// Without a key, what is accepted at least bears our id and our question, which
/// only refusals and answers to updates may leave out.
fn check_unsigned(datagram: &[u8], opcode: u8) {
    match sent(opcode, None).judge(datagram, NOW) {
        Verified::Answer { message, tsig_error: 0, server_time: None } => {
            assert!(is_answer(&message, opcode));
            assert_eq!(Message::parse(datagram).as_ref(), Ok(&message));
            match message.questions.first() {
                Some(question) => {
                    assert_eq!(question.name.to_string(), "home.example");
                    assert_eq!((question.kind, question.class), (kind::SOA, class::IN));
                }
                None => assert!(opcode == UPDATE || message.flags.rcode() != 0),
            }
        }
        Verified::NotAnAnswer => {}
        other => panic!("{other:?}"),
    }
}

/// At most three resolvers, each an address that a `nameserver` line names, in
/// their order; further lines change nothing but the end.
pub(super) fn resolv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let found = resolvers(&text);
    assert!(found.len() <= 3 && found.iter().all(|resolver| resolver.port() == PORT));
    // A second reading, from the end.
    let mut rest: Vec<&str> = text.split('\n').collect();
    for resolver in found.iter().rev() {
        let named = |line: &str| {
            let behind =
                line.trim_start_matches(|c: char| c.is_ascii_whitespace()).strip_prefix("nameserver");
            let behind = behind.filter(|behind| behind.starts_with(|c: char| c.is_ascii_whitespace()));
            let word = behind.and_then(|behind| behind.split_ascii_whitespace().next());
            word.is_some_and(|word| word.parse::<IpAddr>() == Ok(resolver.ip()))
        };
        let at = rest.iter().rposition(|line| named(line)).expect("a line that names it");
        rest.truncate(at);
    }
    let written: String = found
        .iter()
        .fold(String::new(), |text, resolver| text + "nameserver " + &resolver.ip().to_string() + "\n");
    assert_eq!(resolvers(&written), found);
    let more = resolvers(&format!("{text}\n; nameserver 192.0.2.8\nnameserver 192.0.2.9\n"));
    let mut expected = found;
    expected.push(SocketAddr::new(IpAddr::from([192, 0, 2, 9]), PORT));
    expected.truncate(3);
    assert_eq!(more, expected);
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A text is read as a slow reader reads it, bit by bit; bytes that are written
/// come back, with padding and without it.
pub(super) fn base64_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert_eq!(base64::decode(&text), decode_bits(&text), "{text:?}");
    let written = encode_bits(data);
    let padded = format!("{written}{}", ["", "=", "=="][(4 - written.len() % 4) % 4]);
    for text in [&written, &padded] {
        assert_eq!(base64::decode(text).as_deref(), Some(data));
    }
}

fn decode_bits(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !" \t\n\x0c\r".contains(*c)).collect();
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bits = Vec::new();
    for digit in digits.chars() {
        let value = ALPHABET.find(digit)?;
        bits.extend((0..6).rev().map(|place| value >> place & 1));
    }
    let groups = bits.chunks_exact(8);
    let over = groups.remainder().contains(&1);
    (!over).then(|| {
        groups.map(|group| group.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit == 1))).collect()
    })
}

fn encode_bits(data: &[u8]) -> String {
    let bits: Vec<u8> =
        data.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)).collect();
    let digit =
        |group: &[u8]| (0..6).fold(0, |value, at| value << 1 | usize::from(*group.get(at).unwrap_or(&0)));
    bits.chunks(6).map(|group| char::from(ALPHABET.as_bytes()[digit(group)])).collect()
}
