//! Internationalised host names: `köln.example` becomes `xn--kln-sna.example`.
//!
//! Punycode is RFC 3492, section 6.3; labels and their lengths are RFC 1035 and
//! RFC 5890. Upper case becomes lower case and the dots of Chinese and Japanese
//! keyboards become dots; beyond that nothing is mapped, as IDNA2008 wants it
//! (`ß` stays). Left out: the tables of Unicode normalisation. A name that
//! would need them is refused rather than sent in a form that no one looks up.

use std::fmt;

/// The longest label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;
/// The longest name in text form, without the final dot (RFC 1035).
const MAX_NAME: usize = 253;
/// What marks an encoded label (RFC 5890, section 2.3.1).
const PREFIX: &str = "xn--";

/// Why a name cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdnError {
    /// Nothing there, or nothing between two dots.
    EmptyLabel,
    /// A label of more than 63 bytes once encoded.
    LongLabel(String),
    /// More than 253 bytes once encoded.
    LongName,
    /// A character that has no place in a host name.
    Character(char),
    /// A character of which only the composed form has a place in one.
    Uncomposed(char),
    /// A hyphen at the beginning or end of a label.
    Hyphen(String),
    /// `xn--` and then no encoded text.
    Encoded(String),
}

impl fmt::Display for IdnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyLabel => f.write_str("the name, or a part of it between two dots, is empty"),
            Self::LongLabel(label) => write!(f, "{label:?} is longer than {MAX_LABEL} bytes (in punycode)"),
            Self::LongName => write!(f, "the name is longer than {MAX_NAME} bytes (in punycode)"),
            Self::Character(character) => {
                let way_out = match character {
                    ':' | '/' => "; only the name, without https://, port and path",
                    ',' | ';' | ' ' => "; each name has quotes of its own: [\"a\", \"b\"]",
                    _ => "",
                };
                write!(f, "{character:?} cannot stand in a host name{way_out}")
            }
            Self::Uncomposed(character) => {
                write!(f, "{character:?} is half a letter or a variant of one; write it in composed form")
            }
            Self::Hyphen(label) => write!(f, "{label:?} begins or ends with a hyphen"),
            Self::Encoded(label) => write!(f, "{label:?} is not punycode"),
        }
    }
}

impl std::error::Error for IdnError {}

/// `name` as it is sent: ASCII, lower case, no dot at its end. `@` alone stands
/// for the zone itself; a first label `*` is a wildcard.
pub fn to_ascii(name: &str) -> Result<String, IdnError> {
    if name == "@" {
        return Ok(name.to_owned());
    }
    // Per character: the rule for a sigma at the end of a word is not for names.
    let lower: String = name.chars().map(dot).flat_map(char::to_lowercase).collect();
    let labels = lower.strip_suffix('.').unwrap_or(&lower).split('.').enumerate();
    let mut encoded = String::new();
    for (index, label) in labels {
        encoded.push_str(if index > 0 { "." } else { "" });
        encoded.push_str(&encode_label(label, index)?);
        // Here, so that half a million of labels take no memory.
        if encoded.len() > MAX_NAME {
            return Err(IdnError::LongName);
        }
    }
    Ok(encoded)
}

/// Whether a name in ASCII is `@`, one label, or `*` before one: the zone's name
/// completes it.
#[must_use]
pub fn is_relative(name: &str) -> bool {
    !name.strip_prefix("*.").unwrap_or(name).contains('.')
}

/// Whether `name` has a dot at its end, of whatever kind, and so is complete.
#[must_use]
pub fn is_absolute(name: &str) -> bool {
    name.chars().next_back().is_some_and(|last| dot(last) == '.')
}

/// The ideographic, full-width and half-width full stops are dots (RFC 3490,
/// section 3.1).
fn dot(character: char) -> char {
    if matches!(character, '\u{3002}' | '\u{ff0e}' | '\u{ff61}') { '.' } else { character }
}

fn encode_label(label: &str, index: usize) -> Result<String, IdnError> {
    if label == "*" && index == 0 {
        return Ok(label.to_owned());
    }
    if label.is_empty() {
        return Err(IdnError::EmptyLabel);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(IdnError::Hyphen(label.to_owned()));
    }
    label.chars().try_for_each(check)?;
    if let Some(rest) = label.strip_prefix(PREFIX)
        && (rest.is_empty() || !rest.is_ascii())
    {
        return Err(IdnError::Encoded(label.to_owned()));
    }
    let long = || IdnError::LongLabel(label.chars().take(MAX_LABEL).collect());
    let encoded = if label.is_ascii() {
        label.to_owned()
    } else {
        // Bounds the work, too: no label gets shorter by encoding.
        if label.chars().count() > MAX_LABEL {
            return Err(long());
        }
        format!("{PREFIX}{}", punycode(label).ok_or_else(long)?)
    };
    if encoded.len() > MAX_LABEL { Err(long()) } else { Ok(encoded) }
}

fn check(character: char) -> Result<(), IdnError> {
    match character {
        'a'..='z' | '0'..='9' | '-' | '_' => Ok(()),
        // Combining accents, and the voiced marks and Korean letters that
        // belong inside a syllable.
        '\u{300}'..='\u{36f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{3099}'
        | '\u{309a}'
        | '\u{1100}'..='\u{11ff}'
        // Ligatures and full-width or half-width variants.
        | '\u{fb00}'..='\u{fb06}'
        | '\u{ff00}'..='\u{ffef}' => Err(IdnError::Uncomposed(character)),
        // Punctuation and invisible characters, private use, no characters.
        '\u{80}'..='\u{b6}'
        | '\u{b8}'..='\u{bf}'
        | '\u{2000}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{ffff}'
        | '\u{e0000}'.. => Err(IdnError::Character(character)),
        other if other.is_ascii() || other.is_whitespace() => Err(IdnError::Character(other)),
        _ => Ok(()),
    }
}

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// RFC 3492, section 6.3. `None` when a number does not fit, which takes a
/// label far longer than any that we let in.
fn punycode(label: &str) -> Option<String> {
    let mut output: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(output.len()).ok()?;
    let total = u32::try_from(label.chars().count()).ok()?;
    if basic > 0 {
        output.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|&c| c >= n).min()?;
        delta = next.checked_sub(n)?.checked_mul(handled.checked_add(1)?)?.checked_add(delta)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                push_number(&mut output, delta, bias)?;
                bias = adapt(delta, handled.checked_add(1)?, handled == basic)?;
                delta = 0;
                handled = handled.checked_add(1)?;
            }
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(output)
}

/// `number` as a generalised variable-length integer (RFC 3492, section 3.3).
fn push_number(output: &mut String, mut number: u32, bias: u32) -> Option<()> {
    let mut k = BASE;
    loop {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if number < threshold {
            output.push(digit(number)?);
            return Some(());
        }
        let range = BASE.checked_sub(threshold)?;
        let above = number.checked_sub(threshold)?;
        output.push(digit(threshold.checked_add(above.checked_rem(range)?)?)?);
        number = above.checked_div(range)?;
        k = k.checked_add(BASE)?;
    }
}

/// RFC 3492, section 6.1.
fn adapt(delta: u32, handled: u32, first: bool) -> Option<u32> {
    let mut delta = delta.checked_div(if first { DAMP } else { 2 })?;
    delta = delta.checked_add(delta.checked_div(handled)?)?;
    let range = BASE.checked_sub(T_MIN)?;
    let mut k = 0_u32;
    while delta > range.checked_mul(T_MAX)?.checked_div(2)? {
        delta = delta.checked_div(range)?;
        k = k.checked_add(BASE)?;
    }
    let scaled = range.checked_add(1)?.checked_mul(delta)?.checked_div(delta.checked_add(SKEW)?)?;
    k.checked_add(scaled)
}

/// Letters first, then digits (RFC 3492, section 5).
fn digit(value: u32) -> Option<char> {
    let value = u8::try_from(value).ok()?;
    let byte = if value < 26 { value.checked_add(b'a') } else { value.checked_add(b'0')?.checked_sub(26) };
    byte.map(char::from)
}

/// A name in ASCII and lower case, without a dot at its end: `@`, relative or
/// full, possibly with `*` as its first label.
pub(super) fn ascii_name(name: &str) -> Result<String, String> {
    to_ascii(name).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_rfc_3492_come_out() {
        // Section 7.1; (A) to (S) without those that only show case flags.
        for (text, code) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("他們爲什麽不說中文", "ihqwctvzc91f659drss3x8bo0yb"),
            ("Pročprostěnemluvíčesky", "Proprostnemluvesky-uyb24dma41a"),
            ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
            ("यहलोगहिन्दीक्योंनहींबोलसकतेहैं", "i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd"),
            ("なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"),
            (
                "세계의모든사람들이한국어를이해한다면얼마나좋을까",
                "989aomsvi5e83db1d2a355cv1e0vak1dwrv93d5xbh15a0dt30a5jpsd879ccm6fea98c",
            ),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("PorquénopuedensimplementehablarenEspañol", "PorqunopuedensimplementehablarenEspaol-fmd56a"),
            ("TạisaohọkhôngthểchỉnóitiếngViệt", "TisaohkhngthchnitingVit-kjcr8268qyxafd2f1b9g"),
            ("3年B組金八先生", "3B-ww4c5e180e575a65lsy2b"),
            ("安室奈美恵-with-SUPER-MONKEYS", "-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n"),
            ("Hello-Another-Way-それぞれの場所", "Hello-Another-Way--fc4qua05auwb3674vfr0b"),
            ("ひとつ屋根の下2", "2-u9tlzr9756bt3uc0v"),
            ("MajiでKoiする5秒前", "MajiKoi5-783gue6qz075azm5e"),
            ("パフィーdeルンバ", "de-jg4avhby1noc0d"),
            ("そのスピードで", "d9juau41awczczp"),
        ] {
            assert_eq!(punycode(text).as_deref(), Some(code), "{text}");
        }
    }

    #[test]
    fn names_become_ascii() {
        for (name, ascii) in [
            ("@", "@"),
            ("Nas.Example.COM.", "nas.example.com"),
            ("*.example.com", "*.example.com"),
            ("_acme-challenge.a_b.example", "_acme-challenge.a_b.example"),
            ("KÖLN.example", "xn--kln-sna.example"),
            ("straße.de", "xn--strae-oqa.de"),
            ("ΣΊΣΥΦΟΣ.gr", "xn--kxa6akbbkh.gr"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("xn--kln-sna.example", "xn--kln-sna.example"),
            ("\u{212b}.example", "xn--5ca.example"),
            ("col·legi.cat", "xn--collegi-xma.cat"),
        ] {
            assert_eq!(to_ascii(name).as_deref(), Ok(ascii), "{name}");
        }
    }

    #[test]
    fn every_other_name_is_refused_with_its_reason() {
        let label = "a".repeat(64);
        let name = vec!["a".repeat(63); 4].join(".");
        for (text, error) in [
            ("", IdnError::EmptyLabel),
            (".", IdnError::EmptyLabel),
            ("a..b", IdnError::EmptyLabel),
            (".a", IdnError::EmptyLabel),
            (label.as_str(), IdnError::LongLabel("a".repeat(63))),
            (name.as_str(), IdnError::LongName),
            ("a b", IdnError::Character(' ')),
            ("a/b", IdnError::Character('/')),
            ("a@b", IdnError::Character('@')),
            ("a.*", IdnError::Character('*')),
            ("a\u{200b}b", IdnError::Character('\u{200b}')),
            ("ko\u{308}ln", IdnError::Uncomposed('\u{308}')),
            ("ｎａｓ", IdnError::Uncomposed('ｎ')),
            ("-a", IdnError::Hyphen("-a".into())),
            ("a-.b", IdnError::Hyphen("a-".into())),
            ("xn--ö", IdnError::Encoded("xn--ö".into())),
        ] {
            assert_eq!(to_ascii(text), Err(error), "{text:?}");
        }
        assert!(matches!(to_ascii(&"ö".repeat(50)), Ok(name) if name.len() <= 63));
        assert!(matches!(to_ascii(&"öü".repeat(31)), Ok(_) | Err(IdnError::LongLabel(_))));
        assert!(matches!(to_ascii(&"語".repeat(10_000)), Err(IdnError::LongLabel(_))));
        // What is past the limit is not read.
        assert_eq!(to_ascii(&format!("{}-.", "a.".repeat(128))), Err(IdnError::LongName));
    }

    #[test]
    fn the_limits_themselves_are_fine() {
        let label = "a".repeat(63);
        let name = [label.as_str(), &label, &label, &"a".repeat(61)].join(".");
        assert_eq!(name.len(), 253);
        assert_eq!(to_ascii(&format!("{name}.")).as_deref(), Ok(name.as_str()));
    }

    #[test]
    fn record_names_are_normalised() {
        for (text, name) in [
            ("@", "@"),
            ("*", "*"),
            ("www", "www"),
            ("*.Home.Example.ORG.", "*.home.example.org"),
            ("_dmarc.x", "_dmarc.x"),
            ("Köln", "xn--kln-sna"),
        ] {
            assert_eq!(ascii_name(text).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        for text in ["", ".", "a..b", "a b", "*a", "a.*", "www.@", "a/b", long.as_str()] {
            assert!(ascii_name(text).is_err(), "{text}");
        }
    }
}
