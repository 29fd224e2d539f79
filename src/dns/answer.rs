//! A message to a server, and what counts as its answer: RFC 8945, section 5.3.
//!
//! Checked in this order: id, kind of message, signature (there, by our key,
//! MAC, time). Only then do its codes mean anything. Pure.

use super::message::{Flags, Message, Question, UPDATE};
use super::server::{Server, Transport};
use super::tsig;
use super::tsig::{Key, TsigError};

/// A message to send, and what its answer must bear.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// The message.
    pub bytes: Vec<u8>,
    id: u16,
    flags: Flags,
    question: Option<Question>,
    key: Option<(Key, Vec<u8>)>,
}

/// A message, and where it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// To whom; `None`: the system's resolver.
    pub server: Option<Server>,
    /// Over what.
    pub transport: Transport,
    /// The message.
    pub sent: Sent,
}

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verified {
    /// The answer: signed by our key, or to a message without a signature.
    Answer {
        /// What it says.
        message: Message,
        /// What it says of our signature; 0 is well.
        tsig_error: u16,
        /// The server's time, when it says that ours is off.
        server_time: Option<u64>,
    },
    /// It has our id, but nothing proves who wrote it.
    Unproven {
        /// Its code.
        rcode: u8,
        /// What it says of our signature, if it says anything.
        tsig_error: Option<u16>,
        /// Whether something was left out for lack of room.
        truncated: bool,
        /// What is wrong with its signature.
        why: TsigError,
    },
    /// No answer to this message.
    NotAnAnswer,
}

impl Sent {
    /// The message as it is sent: signed at `now`, in seconds of the Unix epoch,
    /// if there is a key.
    #[must_use]
    pub fn new(message: &Message, key: Option<&Key>, now: u64) -> Self {
        let (bytes, key) = match key {
            Some(key) => {
                let signed = tsig::sign(key, message, now);
                (signed.bytes, Some((key.clone(), signed.mac)))
            }
            None => (message.to_bytes(), None),
        };
        let question = message.questions.first().cloned();
        Self { bytes, id: message.id, flags: message.flags, question, key }
    }

    /// Whether the answer must be signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.key.is_some()
    }

    /// Looks at what came at `now`, in seconds of the Unix epoch.
    #[must_use]
    pub fn judge(&self, bytes: &[u8], now: u64) -> Verified {
        let Ok((message, last)) = Message::parse_with_last(bytes) else { return Verified::NotAnAnswer };
        let flags = message.flags;
        if message.id != self.id || !flags.is_response() || flags.opcode() != self.flags.opcode() {
            return Verified::NotAnAnswer;
        }
        let Some((key, mac)) = &self.key else { return self.judge_unsigned(message) };
        let signature = tsig::signature_of(&message);
        let verified = signature
            .as_ref()
            .map_err(|error| *error)
            .and_then(|found| tsig::verify(key, found, bytes, last.unwrap_or(0), mac, now));
        match (signature, verified) {
            (Ok(signature), Ok(())) => Verified::Answer {
                message,
                tsig_error: signature.error,
                server_time: signature.server_time(),
            },
            (signature, verified) => Verified::Unproven {
                rcode: flags.rcode(),
                tsig_error: signature.ok().map(|signature| signature.error),
                truncated: flags.is_truncated(),
                why: verified.err().unwrap_or(TsigError::Missing),
            },
        }
    }

    /// Without a signature, at least the question must be ours. Refusals and
    /// answers to updates may leave it out (RFC 2136, section 3.8).
    fn judge_unsigned(&self, message: Message) -> Verified {
        let may_be_missing = self.flags.opcode() == UPDATE || message.flags.rcode() != 0;
        let repeated = message.questions.first();
        if repeated != self.question.as_ref() && !(repeated.is_none() && may_be_missing) {
            return Verified::NotAnAnswer;
        }
        Verified::Answer { message, tsig_error: 0, server_time: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::{QUERY, Rdata, Record, class, kind};
    use crate::dns::name::Name;
    use crate::dns::tsig::{Algorithm, error, sign_answer};

    const NOW: u64 = 1_700_000_000;

    fn key(name: &str, secret: &str) -> Key {
        Key::new(Name::from_text(name).unwrap(), Algorithm::Sha256, secret).unwrap()
    }

    fn ours() -> Key {
        key("our.key", "c2VjcmV0")
    }

    fn message(flags: Flags) -> Message {
        let question =
            Question { name: Name::from_text("home.example").unwrap(), kind: kind::SOA, class: class::IN };
        Message { id: 7, flags, questions: vec![question], ..Message::default() }
    }

    fn request() -> Sent {
        Sent::new(&message(Flags::request(UPDATE, false)), Some(&ours()), NOW)
    }

    fn mac(sent: &Sent) -> Vec<u8> {
        sent.key.as_ref().unwrap().1.clone()
    }

    fn answer() -> Message {
        message(Flags(0xa800))
    }

    fn why(judged: Verified) -> TsigError {
        match judged {
            Verified::Unproven { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_signed_answer_counts_and_no_damaged_one_does() {
        let sent = request();
        let bytes = sign_answer(&ours(), &answer(), &mac(&sent), NOW, (0, b""));
        assert!(matches!(sent.judge(&bytes, NOW), Verified::Answer { tsig_error: 0, server_time: None, .. }));
        for length in 0..bytes.len() {
            assert_eq!(sent.judge(&bytes[..length], NOW), Verified::NotAnAnswer, "{length}");
        }
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            // Letter case of names is no damage; a bit of 1 changes no case.
            let judged = sent.judge(&damaged, NOW);
            assert!(!matches!(judged, Verified::Answer { .. }), "{index}: {judged:?}");
        }
    }

    #[test]
    fn the_signature_must_be_last_by_our_key_to_our_request_and_of_now() {
        let sent = request();
        let mac = mac(&sent);
        let plain = answer();
        assert_eq!(why(sent.judge(&plain.to_bytes(), NOW)), TsigError::Missing);
        let strange = sign_answer(&key("other.key", "c2VjcmV0"), &plain, &mac, NOW, (0, b""));
        assert_eq!(why(sent.judge(&strange, NOW)), TsigError::OtherKey);
        let other = Key::new(ours().name, Algorithm::Sha512, "c2VjcmV0").unwrap();
        assert_eq!(
            why(sent.judge(&sign_answer(&other, &plain, &mac, NOW, (0, b"")), NOW)),
            TsigError::OtherKey
        );
        let wrong = sign_answer(&key("our.key", "d3Jvbmc="), &plain, &mac, NOW, (0, b""));
        assert_eq!(why(sent.judge(&wrong, NOW)), TsigError::Mac);
        let replayed = sign_answer(&ours(), &plain, b"of another request", NOW, (0, b""));
        assert_eq!(why(sent.judge(&replayed, NOW)), TsigError::Mac);
        let good = sign_answer(&ours(), &plain, &mac, NOW, (0, b""));
        assert_eq!(why(sent.judge(&good, NOW + 301)), TsigError::Time(301));
        assert!(matches!(sent.judge(&good, NOW + 300), Verified::Answer { .. }));
        let mut buried = Message::parse(&good).unwrap();
        let opt = Record { name: Name::root(), kind: 41, class: 1232, ttl: 0, data: Rdata::Raw(Vec::new()) };
        buried.additional.push(opt);
        assert_eq!(why(sent.judge(&buried.to_bytes(), NOW)), TsigError::Missing);
    }

    #[test]
    fn a_shortened_mac_is_none() {
        let sent = request();
        let mut short = Message::parse(&sign_answer(&ours(), &answer(), &mac(&sent), NOW, (0, b""))).unwrap();
        let mut signature = tsig::signature_of(&short).unwrap();
        signature.mac.truncate(16);
        *short.additional.last_mut().unwrap() = signature.to_record();
        assert_eq!(why(sent.judge(&short.to_bytes(), NOW)), TsigError::Mac);
    }

    #[test]
    fn a_wrong_clock_is_believed_with_a_signature_only() {
        let sent = request();
        let theirs = (NOW - 3600).to_be_bytes();
        let bytes = sign_answer(&ours(), &answer(), &mac(&sent), NOW - 3600, (error::BADTIME, &theirs[2..]));
        let Verified::Answer { tsig_error, server_time, .. } = sent.judge(&bytes, NOW) else {
            panic!("no answer")
        };
        assert_eq!((tsig_error, server_time), (error::BADTIME, Some(NOW - 3600)));
        let mut forged = bytes.clone();
        let length = forged.len();
        forged[length - 1] ^= 1;
        let judged = sent.judge(&forged, NOW);
        let Verified::Unproven { tsig_error, why, .. } = judged else { panic!("{judged:?}") };
        assert_eq!((tsig_error, why), (Some(error::BADTIME), TsigError::Mac));
    }

    #[test]
    fn what_does_not_belong_to_the_message_is_a_stranger() {
        let sent = request();
        let other_id = Message { id: 8, ..answer() };
        for message in [other_id, message(Flags(0x2800)), message(Flags(0x8000))] {
            let bytes = sign_answer(&ours(), &message, &mac(&sent), NOW, (0, b""));
            assert_eq!(sent.judge(&bytes, NOW), Verified::NotAnAnswer, "{message:?}");
        }
        assert_eq!(sent.judge(&sent.bytes, NOW), Verified::NotAnAnswer);
    }

    #[test]
    fn without_a_key_the_question_must_be_ours() {
        let sent = Sent::new(&message(Flags::request(QUERY, false)), None, NOW);
        assert!(!sent.is_signed());
        assert!(matches!(sent.judge(&message(Flags(0x8400)).to_bytes(), NOW), Verified::Answer { .. }));
        let mut other = message(Flags(0x8400));
        other.questions[0].kind = kind::A;
        assert_eq!(sent.judge(&other.to_bytes(), NOW), Verified::NotAnAnswer);
        other.questions.clear();
        assert_eq!(sent.judge(&other.to_bytes(), NOW), Verified::NotAnAnswer);
        other.flags = Flags(0x8405);
        assert!(matches!(sent.judge(&other.to_bytes(), NOW), Verified::Answer { .. }));
        let update = Sent::new(&message(Flags::request(UPDATE, false)), None, NOW);
        let bare = Message { questions: Vec::new(), ..answer() };
        assert!(matches!(update.judge(&bare.to_bytes(), NOW), Verified::Answer { .. }));
    }
}
