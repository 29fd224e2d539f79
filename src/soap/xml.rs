//! XML as gateways send it: one small tree, under limits.
//!
//! The only file that knows quick-xml. XML 1.0 as far as UPnP documents need it:
//! elements, text, CDATA, the five predefined entities and character references.
//! Matching is by local names; prefixes, namespaces and attributes are ignored,
//! since real documents get them wrong. DOCTYPE and entities of a document's own
//! are refused, so nothing expands and nothing is fetched.
//!
//! Leniencies, each because real gateways need it: a byte order mark or white
//! space before the document, white space or NULs behind it, a bare `&` in text,
//! any ASCII-compatible encoding (bytes that are no UTF-8 become U+FFFD; what we
//! use is ASCII). Nothing here recurses, panics or expands.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// The longest document, in bytes; the largest real one seen has 17 KiB.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// The deepest nesting; descriptions need 9.
pub const MAX_DEPTH: usize = 32;

/// The most elements in a document; large descriptions have 500.
pub const MAX_ELEMENTS: usize = 4096;

/// The longest text of one element, in bytes.
pub const MAX_TEXT: usize = 1024;

/// The longest element name, prefix included, in bytes.
pub const MAX_NAME: usize = 128;

/// The most bytes of attributes in one tag; namespace declarations need 300.
pub const MAX_ATTRIBUTES: usize = 2048;

/// An element with its text and children.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Element {
    /// The name without its prefix.
    pub name: String,
    /// The text directly inside, pieces joined, white space around it removed.
    pub text: String,
    /// The elements directly inside, in document order.
    pub children: Vec<Element>,
}

/// Why a document was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XmlError {
    /// UTF-16, UTF-32 or no text at all.
    Encoding,
    /// One of the limits of this file is exceeded: which one.
    Limit(&'static str),
    /// It has a document type declaration.
    Doctype,
    /// It uses an entity that XML does not define.
    Entity,
    /// It is not well formed.
    Malformed,
    /// It ends before its root element does.
    Truncated,
    /// Something other than white space stands around the root element.
    Trailing,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("its XML is in an encoding like UTF-16, or is no text"),
            Self::Limit(what) => write!(f, "its XML has {what}"),
            Self::Doctype => f.write_str("its XML has a DOCTYPE, which is refused"),
            Self::Entity => f.write_str("its XML uses an entity that XML does not define"),
            Self::Malformed => f.write_str("its XML is not well formed"),
            Self::Truncated => f.write_str("its XML ends early"),
            Self::Trailing => f.write_str("its XML is mixed with something else"),
        }
    }
}

impl std::error::Error for XmlError {}

impl Element {
    /// Reads a document and returns its root element.
    pub fn parse(document: &[u8]) -> Result<Self, XmlError> {
        if document.len() > MAX_DOCUMENT {
            return Err(XmlError::Limit("too many bytes"));
        }
        // A NUL this early is half of a UTF-16 or UTF-32 character.
        let start = document.get(..4).unwrap_or(document);
        if start.starts_with(b"\xfe\xff") || start.starts_with(b"\xff\xfe") || start.contains(&0) {
            return Err(XmlError::Encoding);
        }
        let text = String::from_utf8_lossy(document);
        let mut reader = Reader::from_str(text.trim_end_matches(['\0', ' ', '\t', '\r', '\n']));
        reader.config_mut().allow_dangling_amp = true;
        let mut tree = Tree::default();
        loop {
            match reader.read_event().map_err(|_| XmlError::Malformed)? {
                Event::Eof => return tree.finish(),
                event => tree.take(event)?,
            }
        }
    }

    /// The first child of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The element found by taking the first child of each name in turn.
    #[must_use]
    pub fn path(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |element, name| element.child(name))
    }

    /// This element and all below it, in document order.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk { ahead: vec![self] }
    }
}

/// An iterator over a tree in document order, see [`Element::walk`].
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    ahead: Vec<&'a Element>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Element;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.ahead.pop()?;
        self.ahead.extend(element.children.iter().rev());
        Some(element)
    }
}

/// The part of the tree that is known so far.
#[derive(Default)]
struct Tree {
    /// The elements whose end has not come yet, the root first.
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>) -> Result<(), XmlError> {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::Empty(tag) => {
                self.start(&tag)?;
                self.end();
                Ok(())
            }
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(&text),
            Event::CData(text) => self.text(&text),
            Event::GeneralRef(reference) => self.reference(&reference),
            Event::DocType(_) => Err(XmlError::Doctype),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.root.is_some() {
            return Err(XmlError::Trailing);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(XmlError::Limit("too many levels"));
        }
        self.elements = self.elements.saturating_add(1);
        if self.elements > MAX_ELEMENTS {
            return Err(XmlError::Limit("too many elements"));
        }
        if tag.attributes_raw().len() > MAX_ATTRIBUTES {
            return Err(XmlError::Limit("too many attributes"));
        }
        let name = local_name(tag.name().as_ref())?.to_owned();
        self.open.push(Element { name, ..Element::default() });
        Ok(())
    }

    /// The reader has made sure that the names match.
    fn end(&mut self) {
        let Some(mut element) = self.open.pop() else { return };
        element.text.truncate(element.text.trim_end().len());
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        let Some(element) = self.open.last_mut() else {
            return if text.trim().is_empty() { Ok(()) } else { Err(XmlError::Trailing) };
        };
        let text = if element.text.is_empty() { text.trim_start() } else { text };
        if element.text.len().saturating_add(text.len()) > MAX_TEXT {
            return Err(XmlError::Limit("a value that is too long"));
        }
        element.text.push_str(text);
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), XmlError> {
        let name: &str = reference;
        let text = match name {
            "lt" => "<",
            "gt" => ">",
            "amp" => "&",
            "quot" => "\"",
            "apos" => "'",
            _ if reference.is_char_ref() => {
                let character = reference.resolve_char_ref().ok().flatten().ok_or(XmlError::Entity)?;
                return self.text(character.encode_utf8(&mut [0; 4]));
            }
            _ if is_name(name) => return Err(XmlError::Entity),
            // A bare "&" with a semicolon somewhere behind it.
            _ => return self.text(&format!("&{name};")),
        };
        self.text(text)
    }

    fn finish(self) -> Result<Element, XmlError> {
        self.root.ok_or(XmlError::Truncated)
    }
}

/// The part of a name behind its prefix.
fn local_name(name: &str) -> Result<&str, XmlError> {
    if name.len() > MAX_NAME {
        return Err(XmlError::Limit("a name that is too long"));
    }
    let local = name.split_once(':').map_or(name, |(_, local)| local);
    // Catches `<UPnPErrorxmlns="...">` even where the end tag is as wrong.
    if is_name(local) { Ok(local) } else { Err(XmlError::Malformed) }
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii();
    text.bytes().next().is_some_and(letter)
        && text.bytes().all(|byte| letter(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &str) -> Result<String, XmlError> {
        Element::parse(document.as_bytes()).map(|root| root.text)
    }

    fn refused(document: impl AsRef<[u8]>) -> XmlError {
        Element::parse(document.as_ref()).unwrap_err()
    }

    #[test]
    fn a_tree_has_local_names_trimmed_text_and_children_in_order() {
        let root = Element::parse(
            b"\xef\xbb\xbf\r\n<?xml version=\"1.0\"?>\n<!-- c --><s:a x:y=\"1>2\" z='3'>\n <b> 1 </b><m:c/><b>2</b>\n</s:a>\n\0\0",
        )
        .unwrap();
        assert_eq!(root.name, "a");
        assert_eq!(root.text, "");
        let children: Vec<_> = root.children.iter().map(|c| (c.name.as_str(), c.text.as_str())).collect();
        assert_eq!(children, [("b", "1"), ("c", ""), ("b", "2")]);
        assert_eq!(root.child("b").unwrap().text, "1");
        assert_eq!(root.child("x"), None);
    }

    #[test]
    fn a_walk_follows_the_document() {
        let root = Element::parse(b"<a><b><c/><d/></b><e><c/></e></a>").unwrap();
        let names: String = root.walk().map(|element| element.name.as_str()).collect();
        assert_eq!(names, "abcdec");
        assert_eq!(root.path(&["b", "d"]).unwrap().name, "d");
        assert_eq!(root.path(&["e", "d"]), None);
        assert_eq!(root.path(&[]), Some(&root));
    }

    #[test]
    fn text_is_joined_around_comments_and_decoded() {
        for (document, expected) in [
            ("<a> 192.0.2.<!-- <b>9</b> -->1\n</a>", "192.0.2.1"),
            ("<a><![CDATA[ <x>&amp; ]]></a>", "<x>&amp;"),
            ("<a>1<![CDATA[2]]>3</a>", "123"),
            ("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;</a>", "<>&\"'AB"),
            ("<a>one<b>two</b>three</a>", "onethree"),
            ("<a>x y</a>", "x y"),
            ("<a>a<?pi x?>b</a>", "ab"),
        ] {
            assert_eq!(text(document).as_deref(), Ok(expected), "{document}");
        }
    }

    #[test]
    fn a_bare_ampersand_is_text() {
        for (document, expected) in [
            ("<a>VEN_01f2&DEV_0004&REV_05</a>", "VEN_01f2&DEV_0004&REV_05"),
            ("<a>AT & T; and so on</a>", "AT & T; and so on"),
            ("<a>&</a>", "&"),
            ("<a>&;</a>", "&;"),
            ("<a>a&&amp;b</a>", "a&&b"),
        ] {
            assert_eq!(text(document).as_deref(), Ok(expected), "{document}");
        }
        assert_eq!(Element::parse(b"<a><b>&<c/></b></a>").unwrap().path(&["b", "c"]).unwrap().text, "");
    }

    #[test]
    fn other_encodings_keep_their_ascii() {
        let latin1 =
            b"<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a><b>M\xfcller</b><c>192.0.2.1</c></a>";
        let root = Element::parse(latin1).unwrap();
        assert_eq!(root.child("b").unwrap().text, "M\u{fffd}ller");
        assert_eq!(root.child("c").unwrap().text, "192.0.2.1");
    }

    #[test]
    fn utf_16_is_refused_with_its_reason() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        for document in [wide("<a/>"), wide("\u{feff}<a/>"), big("<a/>"), big("\u{feff}<a/>")] {
            assert_eq!(refused(document), XmlError::Encoding);
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for (document, error) in [
            ("", XmlError::Truncated),
            ("<a>", XmlError::Truncated),
            ("<a><b></b>", XmlError::Truncated),
            ("<a><b>1", XmlError::Truncated),
            ("<a><b>1</b", XmlError::Malformed),
            ("<a></b>", XmlError::Malformed),
            ("<a><b></a></b>", XmlError::Malformed),
            ("</a>", XmlError::Malformed),
            ("<a b=\"1></a>", XmlError::Malformed),
            ("<Errorxmlns=\"u\">1</Errorxmlns=\"u\">", XmlError::Malformed),
            ("<1/>", XmlError::Malformed),
            ("< a/>", XmlError::Malformed),
            ("<a:/>", XmlError::Malformed),
            ("<a><!-- </a>", XmlError::Malformed),
            ("<a><![CDATA[</a>", XmlError::Malformed),
            ("status=ok", XmlError::Trailing),
            ("<a/>x", XmlError::Trailing),
            ("<a/><b/>", XmlError::Trailing),
            ("<a/>&lt;", XmlError::Trailing),
            ("x<a/>", XmlError::Trailing),
        ] {
            assert_eq!(refused(document), error, "{document}");
        }
    }

    #[test]
    fn every_prefix_of_a_document_is_refused() {
        let document = "<?xml version=\"1.0\"?><a x='1'><b>1&amp;</b><!-- c --><![CDATA[d]]></a>";
        for end in 0..document.len() {
            assert!(Element::parse(&document.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(Element::parse(document.as_bytes()).is_ok());
    }

    #[test]
    fn entities_cannot_expand_or_fetch() {
        let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>";
        assert_eq!(refused(laughs), XmlError::Doctype);
        assert_eq!(refused("<!DOCTYPE a SYSTEM \"http://192.0.2.1/x\"><a/>"), XmlError::Doctype);
        assert_eq!(refused("<!doctype html><a/>"), XmlError::Doctype);
        for reference in ["&nbsp;", "&c;", "&#0;", "&#xD800;", "&#x110000;", "&#-1;", "&#;", "&#99999999999;"]
        {
            assert_eq!(refused(format!("<a>{reference}</a>")), XmlError::Entity, "{reference}");
        }
    }

    #[test]
    fn every_limit_holds_and_its_last_value_passes() {
        let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
        let long = |bytes: usize| format!("<a> {} </a>", "x".repeat(bytes - 1));
        let named = |bytes: usize| format!("<{}/>", "n".repeat(bytes));
        let attributes = |bytes: usize| format!("<a {}=''/>", "x".repeat(bytes - 4));
        let padded = |bytes: usize| format!("<a/>{}", " ".repeat(bytes - 4));
        for (good, bad) in [
            (nested(MAX_DEPTH), nested(MAX_DEPTH + 1)),
            (many(MAX_ELEMENTS), many(MAX_ELEMENTS + 1)),
            (long(MAX_TEXT), long(MAX_TEXT + 1)),
            (named(MAX_NAME), named(MAX_NAME + 1)),
            (attributes(MAX_ATTRIBUTES), attributes(MAX_ATTRIBUTES + 1)),
            (padded(MAX_DOCUMENT), padded(MAX_DOCUMENT + 1)),
        ] {
            assert!(Element::parse(good.as_bytes()).is_ok(), "{}", good.get(..40).unwrap_or(&good));
            assert!(matches!(refused(bad), XmlError::Limit(_)));
        }
    }

    #[test]
    fn bombs_are_refused() {
        assert!(matches!(refused("<a>".repeat(100_000)), XmlError::Limit(_)));
        assert!(matches!(refused("<a>".repeat(20_000)), XmlError::Limit(_)));
        assert!(matches!(refused(format!("<a{}/>", " b=''".repeat(200_000))), XmlError::Limit(_)));
        assert!(matches!(refused(format!("<a{}/>", " b=''".repeat(12_000))), XmlError::Limit(_)));
        assert!(matches!(refused(format!("<a>{}</a>", "&amp;".repeat(12_000))), XmlError::Limit(_)));
        assert!(matches!(refused("<a>x".repeat(16_000)), XmlError::Limit(_)));
    }

    #[test]
    fn white_space_between_elements_costs_nothing() {
        let document =
            format!("<a>{}<b>{}1{}</b></a>", " ".repeat(5000), "\n".repeat(5000), "\t".repeat(1000));
        assert_eq!(Element::parse(document.as_bytes()).unwrap().child("b").unwrap().text, "1");
    }
}
