//! DNS messages: RFC 1035, section 4, and RFC 2136, section 2.
//!
//! Bytes to values and back. Reading follows compressed names and is bounded in
//! everything; writing compresses nothing, so what is signed has one form only.
//! Left out: record data other than addresses, aliases and starts of zones,
//! which are kept as bytes.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::name::Name;

/// The longest message: its length has 16 bits over TCP.
pub const MAX_MESSAGE: usize = 65_535;
/// More records than any answer to our questions has.
const MAX_RECORDS: usize = 512;
/// More pointers than a name has labels lead nowhere.
const MAX_POINTERS: usize = 127;
/// Serial, refresh, retry, expire and minimum of a SOA record.
const SOA_NUMBERS: usize = 20;

/// Question and update, of the kinds of messages (opcodes).
pub const QUERY: u8 = 0;
/// A dynamic update (RFC 2136).
pub const UPDATE: u8 = 5;

/// Types of records.
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// An alias.
    pub const CNAME: u16 = 5;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// A signature of the message.
    pub const TSIG: u16 = 250;
}

/// Classes of records.
pub mod class {
    /// The internet.
    pub const IN: u16 = 1;
    /// In an update: delete the whole set (RFC 2136, section 2.5.2).
    pub const ANY: u16 = 255;
}

/// A message. The sections of an update bear other names (zone, prerequisites,
/// updates, additional) in the same places.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// Connects answer and question.
    pub id: u16,
    /// Opcode, rcode and flags.
    pub flags: Flags,
    /// What is asked; of an update, the zone.
    pub questions: Vec<Question>,
    /// Answers; of an update, prerequisites.
    pub answers: Vec<Record>,
    /// The servers and zones that know; of an update, the updates.
    pub authority: Vec<Record>,
    /// Whatever else.
    pub additional: Vec<Record>,
}

/// The second word of the header.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags(pub u16);

impl Flags {
    const RESPONSE: u16 = 0x8000;
    const AUTHORITATIVE: u16 = 0x0400;
    const TRUNCATED: u16 = 0x0200;
    const RECURSION_DESIRED: u16 = 0x0100;

    /// The flags of a message to a server.
    #[must_use]
    pub fn request(opcode: u8, recursion: bool) -> Self {
        let opcode = u16::from(opcode & 0x0f) << 11;
        Self(if recursion { opcode | Self::RECURSION_DESIRED } else { opcode })
    }

    /// Whether it is an answer.
    #[must_use]
    pub fn is_response(self) -> bool {
        self.0 & Self::RESPONSE != 0
    }

    /// What kind of message it is.
    #[must_use]
    pub fn opcode(self) -> u8 {
        u8::try_from(self.0 >> 11 & 0x0f).unwrap_or(0)
    }

    /// Whether the server is responsible for the name.
    #[must_use]
    pub fn is_authoritative(self) -> bool {
        self.0 & Self::AUTHORITATIVE != 0
    }

    /// Whether something was left out for lack of room.
    #[must_use]
    pub fn is_truncated(self) -> bool {
        self.0 & Self::TRUNCATED != 0
    }

    /// How it went; 0 is well.
    #[must_use]
    pub fn rcode(self) -> u8 {
        u8::try_from(self.0 & 0x0f).unwrap_or(0)
    }
}

/// A question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    pub name: Name,
    /// Which type of records.
    pub kind: u16,
    /// Nearly always [`class::IN`].
    pub class: u16,
}

/// A record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    pub name: Name,
    /// Its type.
    pub kind: u16,
    pub class: u16,
    /// Seconds it may be remembered.
    pub ttl: u32,
    /// What it says.
    pub data: Rdata,
}

/// What a record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rdata {
    /// Of type A.
    A(Ipv4Addr),
    /// Of type AAAA.
    Aaaa(Ipv6Addr),
    /// Of type CNAME: the name that it stands for.
    Cname(Name),
    /// Of type SOA.
    Soa {
        /// The server where the zone is kept.
        primary: Name,
        /// Who is responsible.
        rname: Name,
        /// Serial, refresh, retry, expire, minimum.
        numbers: [u8; SOA_NUMBERS],
    },
    /// Of any other type, and of these without data, as in updates; at most
    /// 65535 bytes.
    Raw(Vec<u8>),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageError {
    /// They end too early.
    Short,
    /// Something follows the message.
    Long,
    /// More records than we read.
    TooManyRecords,
    /// A name that is too long, or leads in circles.
    Name,
    /// A record's data do not fill its length.
    Rdata,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "a DNS message that ends too early",
            Self::Long => "a DNS message with something behind it",
            Self::TooManyRecords => "a DNS message with too many records",
            Self::Name => "a DNS message with a damaged name",
            Self::Rdata => "a DNS message with a damaged record",
        })
    }
}

impl std::error::Error for MessageError {}

impl Message {
    /// Reads a whole message.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        Self::parse_with_last(bytes).map(|(message, _)| message)
    }

    /// The same, and where the last record begins, if there is any: what is in
    /// front of it is what a TSIG record there signs.
    pub(super) fn parse_with_last(bytes: &[u8]) -> Result<(Self, Option<usize>), MessageError> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.word()?, Flags(reader.word()?));
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = usize::from(reader.word()?);
        }
        if counts.iter().fold(0, |sum: usize, count| sum.saturating_add(*count)) > MAX_RECORDS {
            return Err(MessageError::TooManyRecords);
        }
        let [questions, answers, authority, additional] = counts;
        let mut last = None;
        let message = Self {
            id,
            flags,
            questions: (0..questions).map(|_| reader.question()).collect::<Result<_, _>>()?,
            answers: reader.records(answers, &mut last)?,
            authority: reader.records(authority, &mut last)?,
            additional: reader.records(additional, &mut last)?,
        };
        if reader.at == bytes.len() { Ok((message, last)) } else { Err(MessageError::Long) }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, self.id);
        put(&mut bytes, self.flags.0);
        put(&mut bytes, count(self.questions.len()));
        for section in self.sections() {
            put(&mut bytes, count(section.len()));
        }
        for question in &self.questions {
            bytes.extend(question.name.wire());
            put(&mut bytes, question.kind);
            put(&mut bytes, question.class);
        }
        for record in self.sections().into_iter().flatten() {
            record.write(&mut bytes);
        }
        bytes
    }

    fn sections(&self) -> [&[Record]; 3] {
        [&self.answers, &self.authority, &self.additional]
    }
}

impl Record {
    /// Appends its bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.name.wire());
        put(bytes, self.kind);
        put(bytes, self.class);
        bytes.extend(self.ttl.to_be_bytes());
        let data = self.data.to_bytes();
        put(bytes, count(data.len()));
        bytes.extend(data);
    }
}

impl Rdata {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Aaaa(address) => address.octets().to_vec(),
            Self::Cname(name) => name.wire().to_vec(),
            Self::Soa { primary, rname, numbers } => [primary.wire(), rname.wire(), numbers].concat(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

pub(super) fn put(bytes: &mut Vec<u8>, word: u16) {
    bytes.extend(word.to_be_bytes());
}

fn count(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A place in a message.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let end = self.at.checked_add(length).ok_or(MessageError::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(MessageError::Short)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        self.take(N)?.try_into().map_err(|_| MessageError::Short)
    }

    pub(super) fn word(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_be_bytes)
    }

    fn question(&mut self) -> Result<Question, MessageError> {
        Ok(Question { name: self.name()?, kind: self.word()?, class: self.word()? })
    }

    fn records(&mut self, count: usize, last: &mut Option<usize>) -> Result<Vec<Record>, MessageError> {
        let mut records = Vec::new();
        for _ in 0..count {
            *last = Some(self.at);
            records.push(self.record()?);
        }
        Ok(records)
    }

    fn record(&mut self) -> Result<Record, MessageError> {
        let name = self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        let ttl = u32::from_be_bytes(self.array()?);
        let length = usize::from(self.word()?);
        Ok(Record { name, kind, class, ttl, data: self.data(kind, length)? })
    }

    fn data(&mut self, kind: u16, length: usize) -> Result<Rdata, MessageError> {
        let start = self.at;
        let data = match (kind, length) {
            (kind::A, 4) => Rdata::A(self.array()?.into()),
            (kind::AAAA, 16) => Rdata::Aaaa(self.array()?.into()),
            (kind::CNAME, 1..) => Rdata::Cname(self.name()?),
            (kind::SOA, 1..) => {
                Rdata::Soa { primary: self.name()?, rname: self.name()?, numbers: self.array()? }
            }
            _ => Rdata::Raw(self.take(length)?.to_vec()),
        };
        if self.at.checked_sub(start) == Some(length) { Ok(data) } else { Err(MessageError::Rdata) }
    }

    /// A name, following pointers. Each must lead further back than where the
    /// part before it began, so that none is followed twice.
    pub(super) fn name(&mut self) -> Result<Name, MessageError> {
        let mut labels: Vec<&[u8]> = Vec::new();
        let mut place = Reader { bytes: self.bytes, at: self.at };
        let mut part = self.at;
        let mut pointers = 0_usize;
        loop {
            let [length] = place.array()?;
            match length {
                0 => break,
                1..=0x3f => labels.push(place.take(usize::from(length))?),
                0xc0.. => {
                    let [low] = place.array()?;
                    if pointers == 0 {
                        self.at = place.at;
                    }
                    pointers = pointers.saturating_add(1);
                    place.at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if place.at >= part || pointers > MAX_POINTERS {
                        return Err(MessageError::Name);
                    }
                    part = place.at;
                }
                _ => return Err(MessageError::Name),
            }
            // A label takes two bytes at least.
            if labels.len() > MAX_POINTERS {
                return Err(MessageError::Name);
            }
        }
        if pointers == 0 {
            self.at = place.at;
        }
        Name::from_labels(labels.into_iter()).ok_or(MessageError::Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    /// An answer with every kind of data.
    fn answer() -> Message {
        let record =
            |kind, data| Record { name: name("nas.home.example"), kind, class: class::IN, ttl: 60, data };
        let (primary, rname) = (name("ns1.home.example"), name("hostmaster.home.example"));
        Message {
            id: 0x1234,
            flags: Flags(0x8400),
            questions: vec![Question { name: name("nas.home.example"), kind: kind::A, class: class::IN }],
            answers: vec![
                record(kind::A, Rdata::A([192, 0, 2, 1].into())),
                record(kind::AAAA, Rdata::Aaaa("2001:db8::1".parse().unwrap())),
                record(kind::CNAME, Rdata::Cname(name("other.example"))),
                record(kind::A, Rdata::Raw(Vec::new())),
                record(16, Rdata::Raw(b"\x04text".to_vec())),
            ],
            authority: vec![record(kind::SOA, Rdata::Soa { primary, rname, numbers: [7; 20] })],
            additional: Vec::new(),
        }
    }

    #[test]
    fn a_message_reads_back_and_none_of_its_prefixes_does() {
        let bytes = answer().to_bytes();
        assert_eq!(Message::parse(&bytes), Ok(answer()));
        for length in 0..bytes.len() {
            assert!(Message::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(Message::parse(&[&bytes[..], &[0]].concat()), Err(MessageError::Long));
    }

    #[test]
    fn no_damaged_byte_makes_it_panic() {
        let bytes = answer().to_bytes();
        for index in 0..bytes.len() {
            for value in [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff] {
                let mut damaged = bytes.clone();
                damaged[index] = value;
                if let Ok(message) = Message::parse(&damaged) {
                    assert_eq!(Message::parse(&message.to_bytes()), Ok(message), "{index} {value}");
                }
            }
        }
    }

    #[test]
    fn flags_are_told_apart() {
        assert_eq!(Flags::request(UPDATE, false), Flags(0x2800));
        assert_eq!(Flags::request(QUERY, true), Flags(0x0100));
        let flags = Flags(0xae05);
        assert!(flags.is_response() && flags.is_authoritative() && flags.is_truncated());
        assert_eq!((flags.opcode(), flags.rcode()), (UPDATE, 5));
        assert!(!Flags(0x2800).is_response());
    }

    /// A message with one question, whose name is `name`.
    fn asking(name: &[u8]) -> Vec<u8> {
        let header = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], name, &[0, 1, 0, 1]].concat()
    }

    #[test]
    fn compressed_names_are_followed_backwards_only() {
        // The answer's name is a label and a pointer to the question's second label.
        let mut bytes = asking(b"\x03NAS\x04home\0");
        bytes[7] = 1;
        bytes.extend(b"\x01b\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.questions[0].name, name("nas.home"));
        assert_eq!(message.answers[0].name, name("b.home"));
        assert_eq!(message.answers[0].data, Rdata::A([192, 0, 2, 1].into()));
        // To itself, forwards, into the label in front of it, to the end.
        for bad in [
            &b"\xc0\x0c"[..],
            b"\xc0\x20",
            b"\x01a\xc0\x0c",
            b"\x01a\xc0\x0d",
            b"\xff\xff",
            b"\x40a\0",
            b"\x80\0",
        ] {
            assert!(Message::parse(&asking(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn long_chains_and_names_end() {
        // 200 pointers, each to the one before; the first to a name.
        let mut data = b"\x01a\0".to_vec();
        let mut at = 12 + 5 + 11;
        let start = u16::try_from(at).unwrap();
        let mut previous = start;
        at += 3;
        for _ in 0..200 {
            data.extend((0xc000 | previous).to_be_bytes());
            previous = u16::try_from(at).unwrap();
            at += 2;
        }
        let mut bytes = asking(b"\0");
        bytes[7] = 2;
        bytes.extend([0, 0, 16, 0, 1, 0, 0, 0, 0]);
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(&data);
        bytes.extend((0xc000 | previous).to_be_bytes());
        bytes.extend([0, 16, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Message::parse(&bytes), Err(MessageError::Name));
        let long = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4);
        assert_eq!(Message::parse(&asking(&[&long[..], &[0]].concat())), Err(MessageError::Name));
    }

    #[test]
    fn counts_that_promise_too_much_are_refused_at_once() {
        let header = |count: u16| [[0, 1, 0x80, 0, 0, 0].as_slice(), &count.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(Message::parse(&header(513)), Err(MessageError::TooManyRecords));
        assert_eq!(Message::parse(&header(512)), Err(MessageError::Short));
    }
}
