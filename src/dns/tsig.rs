//! Signatures of messages by a shared secret: TSIG, RFC 8945.
//!
//! Pure: the time comes from outside. Left out: algorithms that are no longer
//! advised (MD5, SHA-1), shortened MACs, answers of several messages, TKEY.

use std::fmt;

use ring::hmac;

use super::base64;
use super::message::{Message, MessageError, Rdata, Reader, Record, class, kind, put};
use super::name::Name;

/// Seconds by which the clocks of both sides may differ (section 10).
pub const FUDGE: u16 = 300;

/// Where the number of additional records stands in a message.
const ADDITIONAL_COUNT: std::ops::Range<usize> = 10..12;

/// Codes of section 3 that a signature can carry.
pub mod error {
    /// The MAC is wrong.
    pub const BADSIG: u16 = 16;
    /// The key is not known, or not for this.
    pub const BADKEY: u16 = 17;
    /// The clocks differ.
    pub const BADTIME: u16 = 18;
    /// The MAC is shorter than the server wants.
    pub const BADTRUNC: u16 = 22;
}

/// How a MAC is made (section 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// HMAC-SHA-256, the usual one.
    Sha256,
    /// HMAC-SHA-384.
    Sha384,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every one that we speak.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The algorithm with this name, as configurations have it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    fn domain_name(self) -> Name {
        Name::from_labels([self.name().as_bytes()].into_iter()).unwrap_or_else(Name::root)
    }

    fn of_ring(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A secret shared with a server. `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct Key {
    /// The name that both sides have for it.
    pub name: Name,
    /// How it signs.
    pub algorithm: Algorithm,
    secret: Vec<u8>,
}

impl Key {
    /// A key with this secret in base64; `None` when it is none, or empty.
    #[must_use]
    pub fn new(name: Name, algorithm: Algorithm, secret: &str) -> Option<Self> {
        let secret = base64::decode(secret).filter(|secret| !secret.is_empty())?;
        Some(Self { name, algorithm, secret })
    }

    /// The secret itself, for a fingerprint that must change with it.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.secret
    }

    fn of_ring(&self) -> hmac::Key {
        hmac::Key::new(self.algorithm.of_ring(), &self.secret)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, algorithm, .. } = self;
        f.debug_struct("Key").field("name", name).field("algorithm", algorithm).finish_non_exhaustive()
    }
}

/// What a TSIG record says (section 4.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    pub key: Name,
    pub algorithm: Name,
    /// When it was made; 48 bits, seconds of the Unix epoch.
    pub time: u64,
    /// Seconds by which clocks may differ.
    pub fudge: u16,
    /// The MAC; empty when the server could not make one.
    pub mac: Vec<u8>,
    /// The message's id when it was signed.
    pub original_id: u16,
    /// What the server says of our signature.
    pub error: u16,
    /// With BADTIME, the server's time.
    pub other: Vec<u8>,
}

impl Signature {
    /// Reads the record; `None` when it is no TSIG record. Its TTL, which the MAC
    /// does not cover, must be zero.
    #[must_use]
    pub fn parse(record: &Record) -> Option<Result<Self, MessageError>> {
        match &record.data {
            Rdata::Raw(data) if (record.kind, record.class, record.ttl) == (kind::TSIG, class::ANY, 0) => {
                Some(Self::parse_data(&record.name, data))
            }
            _ => None,
        }
    }

    fn parse_data(key: &Name, data: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader { bytes: data, at: 0 };
        let algorithm = reader.name()?;
        let time = reader.take(6)?.iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
        let fudge = reader.word()?;
        let length = reader.word()?;
        let mac = reader.take(length.into())?.to_vec();
        let (original_id, error, length) = (reader.word()?, reader.word()?, reader.word()?);
        let other = reader.take(length.into())?.to_vec();
        if reader.at != data.len() {
            return Err(MessageError::Rdata);
        }
        Ok(Self { key: key.clone(), algorithm, time, fudge, mac, original_id, error, other })
    }

    /// The record.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let mut data = self.algorithm.wire().to_vec();
        data.extend(time_bytes(self.time));
        put(&mut data, self.fudge);
        put_long(&mut data, &self.mac);
        put(&mut data, self.original_id);
        put(&mut data, self.error);
        put_long(&mut data, &self.other);
        Record { name: self.key.clone(), kind: kind::TSIG, class: class::ANY, ttl: 0, data: Rdata::Raw(data) }
    }

    /// The server's time, which comes with BADTIME.
    #[must_use]
    pub fn server_time(&self) -> Option<u64> {
        let time: [u8; 6] = self.other.as_slice().try_into().ok()?;
        (self.error == error::BADTIME).then(|| time.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// What the MAC covers besides the message (section 4.3.3).
    fn variables(&self) -> Vec<u8> {
        let mut bytes = self.key.wire().to_vec();
        put(&mut bytes, class::ANY);
        bytes.extend([0; 4]);
        bytes.extend(self.algorithm.wire());
        bytes.extend(time_bytes(self.time));
        put(&mut bytes, self.fudge);
        put(&mut bytes, self.error);
        put_long(&mut bytes, &self.other);
        bytes
    }
}

fn time_bytes(time: u64) -> impl Iterator<Item = u8> {
    time.to_be_bytes().into_iter().skip(2)
}

fn put_long(bytes: &mut Vec<u8>, data: &[u8]) {
    put(bytes, u16::try_from(data.len()).unwrap_or(u16::MAX));
    bytes.extend(data);
}

/// A signed message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    /// The whole message.
    pub bytes: Vec<u8>,
    /// Its MAC, which the answer's covers too.
    pub mac: Vec<u8>,
}

/// Signs a message at `time`, in seconds of the Unix epoch.
#[must_use]
pub fn sign(key: &Key, message: &Message, time: u64) -> Signed {
    let unsigned = unsigned(key, message, time);
    let mac = hmac::sign(&key.of_ring(), &digest_input(message, &unsigned)).as_ref().to_vec();
    let signature = Signature { mac: mac.clone(), ..unsigned };
    let mut message = message.clone();
    message.additional.push(signature.to_record());
    Signed { bytes: message.to_bytes(), mac }
}

/// What the MAC of a request covers.
fn digest_input(message: &Message, signature: &Signature) -> Vec<u8> {
    [message.to_bytes(), signature.variables()].concat()
}

fn unsigned(key: &Key, message: &Message, time: u64) -> Signature {
    Signature {
        key: key.name.clone(),
        algorithm: key.algorithm.domain_name(),
        time,
        fudge: FUDGE,
        mac: Vec::new(),
        original_id: message.id,
        error: 0,
        other: Vec::new(),
    }
}

/// Signs an answer to the request with this MAC, as a server does: the inverse
/// of the check, for servers in tests. `error` and `other` go into the signature.
#[must_use]
pub fn sign_answer(
    key: &Key,
    answer: &Message,
    request_mac: &[u8],
    time: u64,
    (error, other): (u16, &[u8]),
) -> Vec<u8> {
    let unsigned = Signature { error, other: other.to_vec(), ..unsigned(key, answer, time) };
    let mut input = Vec::new();
    put_long(&mut input, request_mac);
    input.extend(digest_input(answer, &unsigned));
    let mac = hmac::sign(&key.of_ring(), &input).as_ref().to_vec();
    let mut answer = answer.clone();
    answer.additional.push(Signature { mac, ..unsigned }.to_record());
    answer.to_bytes()
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TsigError {
    /// There is none at the end of the message.
    Missing,
    /// It cannot be read.
    Damaged,
    /// It is by another key, or another algorithm.
    OtherKey,
    /// Its MAC is not by our key, of this message, or not there.
    Mac,
    /// It was made too long before or after this, in seconds.
    Time(u64),
}

/// The signature at the end of `answer`, not verified yet.
pub(super) fn signature_of(answer: &Message) -> Result<Signature, TsigError> {
    let last = answer.additional.last().ok_or(TsigError::Missing)?;
    Signature::parse(last).ok_or(TsigError::Missing)?.map_err(|_| TsigError::Damaged)
}

/// Checks the `signature` at the end of an answer, whose `bytes` before it end
/// at `last`, to a request with `request_mac` (section 5.3). `now` is in
/// seconds of the Unix epoch.
pub(super) fn verify(
    key: &Key,
    signature: &Signature,
    bytes: &[u8],
    last: usize,
    request_mac: &[u8],
    now: u64,
) -> Result<(), TsigError> {
    if signature.key != key.name || signature.algorithm != key.algorithm.domain_name() {
        return Err(TsigError::OtherKey);
    }
    let mut message = bytes.get(..last).ok_or(TsigError::Damaged)?.to_vec();
    unsign(&mut message, signature.original_id).ok_or(TsigError::Damaged)?;
    let mut input = Vec::new();
    put_long(&mut input, request_mac);
    input.extend(message);
    input.extend(signature.variables());
    // In constant time, and over the full length.
    hmac::verify(&key.of_ring(), &input, &signature.mac).map_err(|_| TsigError::Mac)?;
    let difference = now.abs_diff(signature.time);
    if signature.error != error::BADTIME && difference > signature.fudge.into() {
        return Err(TsigError::Time(difference));
    }
    Ok(())
}

/// Makes the header what it was before signing.
fn unsign(message: &mut [u8], original_id: u16) -> Option<()> {
    message.get_mut(..2)?.copy_from_slice(&original_id.to_be_bytes());
    let count = message.get_mut(ADDITIONAL_COUNT)?;
    let unsigned = u16::from_be_bytes((&*count).try_into().ok()?).checked_sub(1)?;
    count.copy_from_slice(&unsigned.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::{Flags, Question, UPDATE};
    use serde_json::Value;
    use std::net::IpAddr;

    fn bytes(hex: &Value) -> Vec<u8> {
        let hex = hex.as_str().unwrap().as_bytes();
        hex.chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn name(text: &Value) -> Name {
        Name::from_text(text.as_str().unwrap()).unwrap()
    }

    /// The message that a vector describes.
    fn update(vector: &Value) -> Message {
        let host = name(&vector["host"]);
        let (kind, data) = match vector["address"].as_str().unwrap().parse().unwrap() {
            IpAddr::V4(ipv4) => (kind::A, Rdata::A(ipv4)),
            IpAddr::V6(ipv6) => (kind::AAAA, Rdata::Aaaa(ipv6)),
        };
        let ttl = u32::try_from(vector["ttl"].as_u64().unwrap()).unwrap();
        let delete =
            Record { name: host.clone(), kind, class: class::ANY, ttl: 0, data: Rdata::Raw(Vec::new()) };
        let add = Record { name: host, kind, class: class::IN, ttl, data };
        Message {
            id: u16::try_from(vector["id"].as_u64().unwrap()).unwrap(),
            flags: Flags::request(UPDATE, false),
            questions: vec![Question { name: name(&vector["zone"]), kind: kind::SOA, class: class::IN }],
            authority: vec![delete, add],
            ..Message::default()
        }
    }

    #[test]
    fn every_known_message_comes_out_byte_for_byte() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/tsig.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 5);
        for vector in vectors {
            let algorithm = Algorithm::from_name(vector["algorithm"].as_str().unwrap()).unwrap();
            let secret = vector["secret_base64"].as_str().unwrap();
            let key = Key::new(name(&vector["key_name"]), algorithm, secret).unwrap();
            let time = vector["time_signed"].as_u64().unwrap();
            let message = update(vector);
            assert_eq!(message.to_bytes(), bytes(&vector["unsigned_hex"]));
            let input = digest_input(&message, &unsigned(&key, &message, time));
            assert_eq!(input, bytes(&vector["digest_input_hex"]));
            let signed = sign(&key, &message, time);
            assert_eq!(signed.mac, bytes(&vector["mac_hex"]));
            assert_eq!(signed.bytes, bytes(&vector["signed_hex"]));
            let read = Message::parse(&signed.bytes).unwrap();
            assert_eq!(read.to_bytes(), signed.bytes);
            assert_eq!(signature_of(&read).unwrap().mac, signed.mac);
        }
    }

    #[test]
    fn secrets_are_base64_and_not_shown() {
        let key = |secret| Key::new(Name::from_text("k").unwrap(), Algorithm::Sha256, secret);
        assert!(key("").is_none() && key("not base64").is_none());
        assert_eq!(key("QUFBQQ==").unwrap().reveal(), b"AAAA");
        assert_eq!(format!("{:?}", key("QUFBQQ==")), "Some(Key { name: k, algorithm: Sha256, .. })");
    }

    #[test]
    fn algorithms_go_by_their_names() {
        assert_eq!(Algorithm::from_name("HMAC-SHA384."), Some(Algorithm::Sha384));
        assert_eq!(Algorithm::from_name("hmac-md5"), None);
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(algorithm.domain_name().to_string(), algorithm.name());
        }
    }

    #[test]
    fn a_signature_reads_back_and_none_of_its_prefixes_does() {
        let signature = Signature {
            key: Name::from_text("k").unwrap(),
            algorithm: Algorithm::Sha256.domain_name(),
            time: 0x1234_5678_9abc,
            fudge: 300,
            mac: vec![1, 2, 3],
            original_id: 7,
            error: error::BADTIME,
            other: vec![0, 0, 0, 0, 1, 2],
        };
        let record = signature.to_record();
        assert_eq!(Signature::parse(&record), Some(Ok(signature.clone())));
        assert_eq!(signature.server_time(), Some(258));
        let Rdata::Raw(data) = &record.data else { panic!("no data") };
        for length in 0..data.len() {
            let short = Record { data: Rdata::Raw(data[..length].to_vec()), ..record.clone() };
            assert!(Signature::parse(&short).unwrap().is_err(), "{length}");
        }
        let long = Record { data: Rdata::Raw([data.as_slice(), &[0]].concat()), ..record.clone() };
        assert_eq!(Signature::parse(&long), Some(Err(MessageError::Rdata)));
        assert_eq!(Signature::parse(&Record { class: class::IN, ..record }), None);
    }
}
