//! Bodies (RFC 9112, sections 6 and 7): where they end, and taking them from what
//! arrives, up to a limit.

use super::{Head, HttpError, all_digits, split_line};

/// The longest line that gives a chunk's size, extensions included.
const MAX_CHUNK_LINE: usize = 256;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// So many bytes are missing.
    Length(usize),
    Chunks(Chunk),
    ToEnd,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Chunk {
    Size,
    /// So many bytes of it are missing.
    Data(usize),
    LineEnd,
}

/// How far a body has got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Here,
    Later,
}

pub(super) struct Body<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    pub(super) most: usize,
}

impl Body<'_> {
    /// Takes what belongs to the body from the front of `rest`.
    pub(super) fn take<'r>(
        &mut self,
        framing: &mut Framing,
        rest: &'r [u8],
    ) -> Result<(End, &'r [u8]), HttpError> {
        match framing {
            Framing::Length(missing) => {
                let rest = self.add(missing, rest)?;
                Ok((if *missing == 0 { End::Here } else { End::Later }, rest))
            }
            Framing::Chunks(chunk) => self.take_chunks(chunk, rest),
            Framing::ToEnd => Ok((End::Later, self.add(&mut rest.len(), rest)?)),
        }
    }

    fn room(&self) -> usize {
        self.most.saturating_sub(self.bytes.len())
    }

    /// Adds as much as is missing; an error if the limit does not allow it.
    fn add<'r>(&mut self, missing: &mut usize, rest: &'r [u8]) -> Result<&'r [u8], HttpError> {
        let (taken, rest) = rest.split_at_checked(*missing).unwrap_or((rest, &[]));
        if taken.len() > self.room() {
            return Err(HttpError::BodyTooLong);
        }
        self.bytes.extend_from_slice(taken);
        *missing = missing.saturating_sub(taken.len());
        Ok(rest)
    }

    /// Chunked coding (RFC 9112, section 7.1). Trailers are left where they are,
    /// and gateways need not even send the line that ends them.
    fn take_chunks<'r>(
        &mut self,
        chunk: &mut Chunk,
        mut rest: &'r [u8],
    ) -> Result<(End, &'r [u8]), HttpError> {
        loop {
            match chunk {
                Chunk::Size => {
                    let Some((line, after)) = split_line(rest) else {
                        let too_long = rest.len() > MAX_CHUNK_LINE;
                        return if too_long { Err(HttpError::Chunk) } else { Ok((End::Later, rest)) };
                    };
                    match chunk_size(line)? {
                        0 => return Ok((End::Here, after)),
                        size if size > self.room() => return Err(HttpError::BodyTooLong),
                        size => *chunk = Chunk::Data(size),
                    }
                    rest = after;
                }
                Chunk::Data(missing) => {
                    rest = self.add(missing, rest)?;
                    if *missing > 0 {
                        return Ok((End::Later, rest));
                    }
                    *chunk = Chunk::LineEnd;
                }
                Chunk::LineEnd => {
                    rest = match rest {
                        [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
                        [] | [b'\r'] => return Ok((End::Later, rest)),
                        _ => return Err(HttpError::Chunk),
                    };
                    *chunk = Chunk::Size;
                }
            }
        }
    }
}

/// How the end of the body is found (RFC 9112, section 6.3).
pub(super) fn framing(head: &Head, status: u16) -> Result<Framing, HttpError> {
    if status < 200 || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    let mut lengths = head.all("Content-Length");
    let length = lengths.next();
    if lengths.any(|other| Some(other) != length) {
        return Err(HttpError::Length);
    }
    let mut codings = head.all("Transfer-Encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    match (codings.next(), length) {
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") && codings.next().is_none() => {
            Ok(Framing::Chunks(Chunk::Size))
        }
        (None, Some(digits)) if all_digits(digits) => {
            digits.parse().map(Framing::Length).map_err(|_| HttpError::Length)
        }
        (None, None) => Ok(Framing::ToEnd),
        _ => Err(HttpError::Length),
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, HttpError> {
    let line = std::str::from_utf8(line).map_err(|_| HttpError::Chunk)?;
    let digits = line.split(';').next().unwrap_or_default().trim_end();
    // Eight digits reach 4 GB: more is an attack on somebody's arithmetic.
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain || line.len() > MAX_CHUNK_LINE {
        return Err(HttpError::Chunk);
    }
    usize::from_str_radix(digits, 16).map_err(|_| HttpError::Chunk)
}
