//! What other programs say, for people to read: words that anyone could have
//! written, and nothing of a secret that they may say back to us.
//!
//! A server can repeat what it was sent in any spelling. So a text is not
//! searched for secrets and shown otherwise, but shown where it is plain: words
//! of letters, short numbers, and our own names and addresses. A plain word goes
//! too when it holds three characters in a row of a secret.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::percent_decode_str;

/// The longest quotation, in characters; a line of a log should stay one.
const MAX_QUOTE: usize = 80;
/// How much of a line is looked at, in characters.
const MAX_READ: usize = 2_000;
/// The longest word that is shown. Tokens are longer.
const MAX_WORD: usize = 20;
/// The longest number that is shown: a status, a code, seconds.
const MAX_NUMBER: usize = 5;
/// So many numbers or single letters one behind the other may spell out a text.
const SPELLED: usize = 3;
/// So many characters of a secret are one too many.
const PIECE: usize = 3;
/// The same in base64, where four characters stand for three.
const CODED_PIECE: usize = 4;
/// Stands for what is not shown.
const HIDDEN: char = '…';
/// Where a word ends and the next begins.
const STOPS: &str = "{}[]()<>,;\"'’|.:!?/_-";
/// Words of one or two letters that are no pieces of anything.
const SHORT: &str =
    " a an as at be by do go h he i id if in ip is it m me my no of ok on or s so to up us we ";

/// A gateway's words, which can repeat no secret: the first line in quotation
/// marks, cut, with control characters escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    marked(first_line(text))
}

/// A server's words: likewise, but without anything that could be one of
/// `secrets`. `names` are our own names and addresses, which are shown.
#[must_use]
pub fn said<'a>(text: &str, secrets: &Secrets, names: impl IntoIterator<Item = &'a str>) -> String {
    let line: String = first_line(text).chars().take(MAX_READ).collect();
    let mut words = split(&line);
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    join_names(&line, &mut words, &names);
    for word in &mut words {
        word.hidden = !word.name && !is_plain(word.text);
    }
    hide_spelled(&mut words);
    secrets.hide(&mut words);
    marked(&shown(&line, &words))
}

/// A piece of a line between two stops.
struct Word<'a> {
    start: usize,
    text: &'a str,
    name: bool,
    hidden: bool,
}

impl Word<'_> {
    fn end(&self) -> usize {
        self.start.saturating_add(self.text.len())
    }

    /// Whether it may be one character of what several words say: also in hexadecimal,
    /// or with marks in between.
    fn may_spell(&self) -> bool {
        let is_number = || self.text.bytes().all(|byte| byte.is_ascii_digit());
        self.hidden || !self.name && (self.text.len() == 1 || is_number())
    }
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default()
}

fn marked(line: &str) -> String {
    let cut: String = line.chars().take(MAX_QUOTE).collect();
    if cut.len() < line.len() {
        format!("{:?}", format!("{}{HIDDEN}", cut.trim_end().trim_end_matches(HIDDEN)))
    } else {
        format!("{cut:?}")
    }
}

fn is_stop(c: char) -> bool {
    c.is_whitespace() || STOPS.contains(c)
}

fn split(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = 0_usize;
    for piece in line.split_inclusive(is_stop) {
        let text = piece.trim_end_matches(is_stop);
        if !text.is_empty() {
            words.push(Word { start, text, name: false, hidden: false });
        }
        start = start.saturating_add(piece.len());
    }
    words
}

/// Makes one word of the words that are one of our names or addresses.
fn join_names<'a>(line: &'a str, words: &mut Vec<Word<'a>>, names: &[&str]) {
    let mut start = 0_usize;
    for piece in line.split_inclusive(|c: char| c.is_whitespace() || "{}[]()<>,;\"'|".contains(c)) {
        let trimmed = piece.trim_end_matches(is_stop);
        let text = trimmed.trim_start_matches(is_stop);
        let at = start.saturating_add(trimmed.len().saturating_sub(text.len()));
        let end = at.saturating_add(text.len());
        start = start.saturating_add(piece.len());
        if !text.is_empty() && names.iter().any(|name| same(name, text)) {
            words.retain(|word| word.start < at || word.start >= end);
            let place = words.partition_point(|word| word.start < at);
            words.insert(place, Word { start: at, text, name: true, hidden: false });
        }
    }
}

fn same(name: &str, text: &str) -> bool {
    name.eq_ignore_ascii_case(text)
        || name.parse::<IpAddr>().is_ok_and(|name| text.parse::<IpAddr>() == Ok(name))
}

/// Letters of the Latin alphabet, or a short number.
fn is_plain(word: &str) -> bool {
    let latin = |c: char| c.is_alphabetic() && c < '\u{250}';
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.len() <= MAX_NUMBER;
    }
    match word.chars().count() {
        0..3 => word.is_ascii() && SHORT.contains(&format!(" {} ", word.to_ascii_lowercase())),
        length => length <= MAX_WORD && word.chars().all(latin),
    }
}

fn hide_spelled(words: &mut [Word<'_>]) {
    for row in words.chunk_by_mut(|one, next| one.may_spell() == next.may_spell()) {
        if row.len() >= SPELLED && row.iter().all(Word::may_spell) {
            for word in row {
                word.hidden = true;
            }
        }
    }
}

/// The pieces of secrets in every spelling of letters and digits.
#[derive(Default, Eq, PartialEq)]
pub struct Secrets {
    /// In lower case.
    plain: BTreeSet<[char; PIECE]>,
    coded: BTreeSet<[u8; CODED_PIECE]>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secrets>")
    }
}

impl Secrets {
    /// What of these must not be shown.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        secrets.into_iter().for_each(|secret| all.add(secret));
        all
    }

    fn add(&mut self, secret: &str) {
        let texts = [secret.to_owned(), percent_decoded(secret)];
        // Also behind `Basic`.
        for text in texts.into_iter().chain(secret.split_whitespace().filter_map(from_base64)) {
            let mut letters = lower(&bare(&text));
            self.plain.extend(pieces(&letters));
            letters.reverse();
            self.plain.extend(pieces(&letters));
            for shift in 0..3 {
                self.coded.extend(pieces(&bare(&base64_from(&text, shift))).filter_map(ascii));
            }
        }
    }

    /// A letter with an accent may stand for any.
    fn holds(&self, piece: &[char; PIECE]) -> bool {
        let like =
            |known: &[char; PIECE]| known.iter().zip(piece).all(|(known, c)| known == c || !c.is_ascii());
        self.plain.contains(piece) || (!piece.iter().all(char::is_ascii) && self.plain.iter().any(like))
    }

    /// Hides the words that hold one, also one that is spread over several words.
    fn hide(&self, words: &mut [Word<'_>]) {
        let letters = words.iter().enumerate();
        let letters = letters.flat_map(|(index, word)| bare(word.text).into_iter().map(move |c| (index, c)));
        let (places, exact): (Vec<usize>, Vec<char>) = letters.unzip();
        let lower = lower(&exact);
        let plain = pieces(&lower).enumerate().filter(|(_, piece)| self.holds(piece));
        let coded = pieces(&exact).map(ascii).enumerate();
        let coded = coded.filter(|(_, piece)| piece.is_some_and(|piece| self.coded.contains(&piece)));
        let found = plain.map(|(at, _)| (at, PIECE)).chain(coded.map(|(at, _)| (at, CODED_PIECE)));
        for index in found.flat_map(|(at, size)| places.iter().skip(at).take(size)) {
            if let Some(word) = words.get_mut(*index) {
                word.hidden = true;
            }
        }
    }
}

fn pieces<const N: usize>(letters: &[char]) -> impl Iterator<Item = [char; N]> + '_ {
    letters.windows(N).filter_map(|window| window.try_into().ok())
}

/// What base64 is made of; there are many of it, and they are kept.
fn ascii(piece: [char; CODED_PIECE]) -> Option<[u8; CODED_PIECE]> {
    let mut bytes = [0; CODED_PIECE];
    for (byte, c) in bytes.iter_mut().zip(piece) {
        *byte = u8::try_from(c).ok().filter(u8::is_ascii)?;
    }
    Some(bytes)
}

/// Each letter stays one letter, so that places stay the same.
fn lower(letters: &[char]) -> Vec<char> {
    letters.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect()
}

fn bare(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The line with every hidden word, or row of them, as one mark.
fn shown(line: &str, words: &[Word<'_>]) -> String {
    let mut text = String::new();
    let mut end = 0;
    let mut was_hidden = false;
    for word in words {
        let between = line.get(end..word.start).unwrap_or_default();
        if !(word.hidden && was_hidden) {
            text.push_str(&blanks(between));
        }
        match (word.hidden, was_hidden) {
            (false, _) => text.push_str(word.text),
            (true, false) => text.push(HIDDEN),
            (true, true) => {}
        }
        (was_hidden, end) = (word.hidden, word.end());
    }
    text + &blanks(line.get(end..).unwrap_or_default())
}

/// What stands between words, with plain blanks, which need no escape.
fn blanks(between: &str) -> String {
    between.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect()
}

/// `text` with `%40` as `@`; what is no UTF-8 then is replaced.
#[must_use]
pub fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The characters that `text` alone decides when it stands `shift` bytes behind
/// the beginning of what is written in base64.
fn base64_from(text: &str, shift: usize) -> String {
    let bytes: Vec<u8> = std::iter::repeat_n(0, shift).chain(text.bytes()).collect();
    let first = shift.saturating_mul(8).div_ceil(6);
    STANDARD_NO_PAD.encode(bytes).chars().skip(first).collect()
}

/// What a secret that is itself base64 says, such as the value of a header.
fn from_base64(secret: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(secret.trim_end_matches('=')).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-h0rse";

    fn heard(text: &str) -> String {
        said(text, &Secrets::new([SECRET]), ["home.example.org", "203.0.113.7", "2001:db8::1"])
    }

    #[test]
    fn a_gateways_words_are_short_and_on_one_line() {
        assert_eq!(quoted("\n bad\u{1b}auth \nmore"), r#""bad\u{1b}auth ""#);
        assert_eq!(quoted(&"x".repeat(81)), format!("\"{}…\"", "x".repeat(80)));
        assert_eq!(quoted(&"x".repeat(80)), format!("\"{}\"", "x".repeat(80)));
    }

    #[test]
    fn plain_words_numbers_and_our_own_names_are_shown() {
        for (text, shown) in [
            ("badauth", "badauth"),
            ("nohost home.example.org", "nohost home.example.org"),
            ("good 203.0.113.7", "good 203.0.113.7"),
            ("good 2001:DB8:0:0::1.", "good 2001:DB8:0:0::1."),
            ("Code 401: bad token; try again in 300 s!", "Code 401: bad token; try again in 300 s!"),
            ("<h1>Zugang ungültig</h1>", "<…>Zugang ungültig</…>"),
            (
                "{\"success\":false,\"message\":\"it's up-to-date\"}",
                "{\"success\":false,\"message\":\"it's up-to-date\"}",
            ),
            ("nohost other.example", "nohost other.example"),
            ("good 198.51.100.9", "good …"),
            ("123456 12345 x1", "…"),
            ("entry 123456 of 12345", "entry … of 12345"),
            ("Пароль ｃｏｒｒｅｃｔ", "…"),
        ] {
            assert_eq!(heard(text), format!("{shown:?}"), "{text}");
        }
        assert!(heard(&format!("{}{}", "word ".repeat(600), SECRET)).chars().count() < 85);
    }

    #[test]
    fn no_spelling_of_a_secret_is_shown() {
        let spaced = |gap: &str| SECRET.chars().map(String::from).collect::<Vec<_>>().join(gap);
        let each = |form: fn(u32) -> String| SECRET.chars().map(|c| form(u32::from(c))).collect::<String>();
        for text in [
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            SECRET.chars().rev().collect(),
            "correct".to_owned(),
            "xorrx".to_owned(),
            spaced(" "),
            spaced("."),
            "cor rec t-h 0rse".to_owned(),
            "co rr ec t-".to_owned(),
            "Y29ycmVjdC1oMHJzZQ== OmNvcnJlY3QtaDByc2U= bWU6Y29ycmVjdC1oMHJzZQ".to_owned(),
            "cmV jdC".to_owned(),
            "ćöŕŕëčť ćořrect".to_owned(),
            each(|c| format!("%{c:02x}")),
            each(|c| format!("&#{c};")),
            each(|c| format!("&#x{c:x};")),
            each(|c| format!("\\u{c:04x}")),
            each(|c| format!("{c:02x}")),
            each(|c| format!("{c} ")),
            each(|c| format!("{c:02x} ")),
            format!("<b>{}</b>", spaced("</b><b>")),
        ] {
            let shown = heard(&text);
            assert!(!shown.chars().any(|c| c.is_ascii_digit()), "{text}: {shown}");
            assert!(
                ["\"…\"", "\"…;\"", "\"… \"", "\"…-\"", "\"<…>\""].contains(&shown.as_str()),
                "{text}: {shown}"
            );
        }
        for (text, secret, shown) in [
            ("Basic bWU6cHc=", "bWU6cGFzcw==", "\"Basic …\""),
            ("pass me", "bWU6cGFzcw==", "\"… me\""),
            ("pass me", "Basic bWU6cGFzcw==", "\"… me\""),
            ("hunter@22", "hunter%4022", "\"…\""),
        ] {
            assert_eq!(said(text, &Secrets::new([secret]), []), shown);
        }
    }

    #[test]
    fn a_name_with_a_piece_of_a_secret_is_a_secret() {
        let name = "my.correct.example";
        assert_eq!(said(&format!("nohost {name}"), &Secrets::new([SECRET]), [name]), "\"nohost …\"");
    }
}
