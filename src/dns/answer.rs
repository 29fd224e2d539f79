//! What counts as the answer to a message of ours: RFC 8945, section 5.3.
//!
//! Checked in this order: id, kind of message, signature (there, by our key,
//! MAC, time). Only then do its codes mean anything. Pure.

use super::message::{Flags, Message, Question, UPDATE};
use super::tsig::{self, Key, TsigError};

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

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judged {
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
    Stranger,
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
    pub fn judge(&self, bytes: &[u8], now: u64) -> Judged {
        let Ok((message, last)) = Message::parse_with_last(bytes) else { return Judged::Stranger };
        let flags = message.flags;
        if message.id != self.id || !flags.is_response() || flags.opcode() != self.flags.opcode() {
            return Judged::Stranger;
        }
        let Some((key, mac)) = &self.key else { return self.judge_unsigned(message) };
        let signature = tsig::signature_of(&message);
        let verified = signature
            .as_ref()
            .map_err(|error| *error)
            .and_then(|found| tsig::verify(key, found, bytes, last.unwrap_or(0), mac, now));
        match (signature, verified) {
            (Ok(signature), Ok(())) => {
                Judged::Answer { message, tsig_error: signature.error, server_time: signature.server_time() }
            }
            (signature, verified) => Judged::Unproven {
                rcode: flags.rcode(),
                tsig_error: signature.ok().map(|signature| signature.error),
                truncated: flags.is_truncated(),
                why: verified.err().unwrap_or(TsigError::Missing),
            },
        }
    }

    /// Without a signature, at least the question must be ours. Refusals and
    /// answers to updates may leave it out (RFC 2136, section 3.8).
    fn judge_unsigned(&self, message: Message) -> Judged {
        let may_be_missing = self.flags.opcode() == UPDATE || message.flags.rcode() != 0;
        let repeated = message.questions.first();
        if repeated != self.question.as_ref() && !(repeated.is_none() && may_be_missing) {
            return Judged::Stranger;
        }
        Judged::Answer { message, tsig_error: 0, server_time: None }
    }
}
