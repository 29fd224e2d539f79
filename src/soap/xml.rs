//! XML as gateways send it: one small tree, under limits.
//!
//! The only file that knows quick-xml. XML 1.0 as far as UPnP documents need it:
//! elements, text, CDATA, the five predefined entities and character references.
//! Matching is by local names; prefixes, namespaces and attributes are ignored,
//! since real documents get them wrong. A document type with a subset, inside the
//! document or outside, is refused, so nothing expands and nothing is fetched.
//!
//! Leniencies, each because real gateways need it: a byte order mark or white space
//! before the document; a document type that is only a name; a bare `&`, references
//! that mean nothing (`&nbsp;`) and tags that are none (`<5G>`) stay text; text
//! beyond [`MAX_TEXT`] is cut; a tag that is opened inside a text (`<info>`) ends
//! where its parent does; the last end tag may be missing, damaged or of another
//! name; what follows it is not read; any ASCII-compatible encoding (bytes that are
//! no UTF-8 become U+FFFD; what we use is ASCII). An element that its own end tag
//! did not close has no text, so that no value is half of one. Nothing here
//! recurses, panics or expands.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// The longest document, in bytes; the largest real one seen has 17 KiB.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// The deepest nesting; descriptions need 9.
pub const MAX_DEPTH: usize = 32;

/// The most elements in a document; large descriptions have 500.
pub const MAX_ELEMENTS: usize = 4096;

/// The longest text of one element, in bytes; a longer one ends with [`CUT`].
pub const MAX_TEXT: usize = 1024;

/// Stands at the end of a text that was cut. No address, number or URL has it.
pub const CUT: char = '\u{2026}';

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
    /// It has a document type with a subset.
    Doctype,
    /// It is not well formed, where that matters.
    Malformed,
    /// It ends before its root element does.
    Truncated,
    /// Something other than white space stands before the root element.
    Leading,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("its XML is in an encoding like UTF-16, or is no text"),
            Self::Limit(what) => write!(f, "its XML has {what}"),
            Self::Doctype => f.write_str("its XML has a DOCTYPE with a subset, which is refused"),
            Self::Malformed => f.write_str("its XML is not well formed"),
            Self::Truncated => f.write_str("its XML ends early"),
            Self::Leading => f.write_str("it is no XML, or something stands before it"),
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
        let mut reader = Reader::from_str(&text);
        let config = reader.config_mut();
        config.allow_dangling_amp = true;
        // `Tree` matches the ends.
        (config.allow_unmatched_ends, config.check_end_names) = (true, false);
        let mut tree = Tree::default();
        while tree.root.is_none() {
            match reader.read_event() {
                Ok(Event::Eof) => return tree.finish(XmlError::Truncated),
                Ok(event) => tree.take(event)?,
                Err(_) => return tree.finish(XmlError::Malformed),
            }
        }
        tree.finish(XmlError::Truncated)
    }

    /// The first child of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first element of this name, in document order, wherever it stands.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.walk().find(|element| element.name == name)
    }

    /// This element and all below it, in document order.
    pub fn walk(&self) -> impl Iterator<Item = &Self> {
        let mut ahead = vec![self];
        std::iter::from_fn(move || {
            let element = ahead.pop()?;
            ahead.extend(element.children.iter().rev());
            Some(element)
        })
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
            Event::Start(tag) => self.start(&tag).map(drop),
            Event::Empty(tag) => {
                if self.start(&tag)? {
                    self.close(true);
                }
                Ok(())
            }
            Event::End(tag) => self.end(local_name(tag.name().as_ref())),
            Event::Text(text) => self.text(&text),
            Event::CData(text) => self.text(&text),
            Event::GeneralRef(reference) => self.text(&meaning(&reference)),
            Event::DocType(name) if !is_name(name.trim()) => Err(XmlError::Doctype),
            Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    /// Returns whether it opened an element.
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<bool, XmlError> {
        self.elements = self.elements.saturating_add(1);
        for (exceeded, limit) in [
            (self.open.len() >= MAX_DEPTH, "too many levels"),
            (self.elements > MAX_ELEMENTS, "too many elements"),
            (tag.attributes_raw().len() > MAX_ATTRIBUTES, "too many attributes"),
            (tag.name().as_ref().len() > MAX_NAME, "a name that is too long"),
        ] {
            if exceeded {
                return Err(XmlError::Limit(limit));
            }
        }
        let name = local_name(tag.name().as_ref()).to_owned();
        if !is_name(&name) {
            return self.text(&format!("<{}>", &**tag)).map(|()| false);
        }
        self.open.push(Element { name, ..Element::default() });
        Ok(true)
    }

    /// Ends the innermost element of this name, and with it what is open inside.
    fn end(&mut self, name: &str) -> Result<(), XmlError> {
        match self.open.iter().rposition(|element| element.name == name) {
            Some(depth) => {
                while self.open.len() > depth {
                    self.close(self.open.len() == depth.saturating_add(1));
                }
                Ok(())
            }
            None if !is_name(name) && !self.open.is_empty() => Ok(()),
            // Perhaps the last end tag, misspelt.
            None => self.finish_root(XmlError::Malformed),
        }
    }

    fn close(&mut self, properly: bool) {
        let Some(mut element) = self.open.pop() else { return };
        element.text.truncate(if properly { element.text.trim_end().len() } else { 0 });
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        let Some(element) = self.open.last_mut() else {
            return if text.trim().is_empty() { Ok(()) } else { Err(XmlError::Leading) };
        };
        element.text.push_str(if element.text.is_empty() { text.trim_start() } else { text });
        if element.text.len() > MAX_TEXT {
            let room = MAX_TEXT.saturating_sub(CUT.len_utf8());
            let end = (0..=room).rfind(|end| element.text.is_char_boundary(*end));
            element.text.truncate(end.unwrap_or(0));
            element.text.push(CUT);
        }
        Ok(())
    }

    /// Ends a root element of which all children have come; else the error.
    fn finish_root(&mut self, error: XmlError) -> Result<(), XmlError> {
        match self.open.as_slice() {
            [root] if !root.children.is_empty() => {
                self.close(false);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn finish(mut self, error: XmlError) -> Result<Element, XmlError> {
        if self.root.is_none() {
            self.finish_root(error)?;
        }
        self.root.ok_or(error)
    }
}

/// What a reference stands for; itself, if for nothing that XML knows.
fn meaning(reference: &BytesRef<'_>) -> String {
    let name: &str = reference;
    match (name, reference.resolve_char_ref()) {
        ("lt", _) => "<".to_owned(),
        ("gt", _) => ">".to_owned(),
        ("amp", _) => "&".to_owned(),
        ("quot", _) => "\"".to_owned(),
        ("apos", _) => "'".to_owned(),
        (_, Ok(Some(character))) => character.to_string(),
        _ => format!("&{name};"),
    }
}

/// The part of a name behind its prefix.
fn local_name(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
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
        assert_eq!(root.find("d").unwrap().name, "d");
        assert_eq!(root.child("e").unwrap().find("d"), None);
        assert_eq!(root.find("a"), Some(&root));
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
        assert_eq!(Element::parse(b"<a><b>&<c/></b></a>").unwrap().find("c").unwrap().text, "");
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
            ("<a><b>", XmlError::Truncated),
            ("<a><b>1", XmlError::Truncated),
            ("<a><b>1</b", XmlError::Malformed),
            ("<a></b>", XmlError::Malformed),
            ("<a>1</b>", XmlError::Malformed),
            ("<a><b><c/></x></b></a>", XmlError::Malformed),
            ("</a>", XmlError::Malformed),
            ("<a b=\"1></a>", XmlError::Malformed),
            ("<Errorxmlns=\"u\">1</Errorxmlns=\"u\">", XmlError::Leading),
            ("<1/>", XmlError::Leading),
            ("< a/>", XmlError::Leading),
            ("<a:/>", XmlError::Leading),
            ("<a><!-- </a>", XmlError::Malformed),
            ("<a><![CDATA[</a>", XmlError::Malformed),
            ("status=ok", XmlError::Leading),
            ("x<a/>", XmlError::Leading),
        ] {
            assert_eq!(refused(document), error, "{document}");
        }
    }

    #[test]
    fn every_prefix_of_a_document_is_refused_that_lacks_more_than_its_last_tag() {
        let document = "<?xml version=\"1.0\"?><a x='1'><b>1&amp;<c/></b></a>";
        let last_tag = document.find("</a>").unwrap();
        for end in 0..document.len() {
            let cut = Element::parse(&document.as_bytes()[..end]);
            assert_eq!(cut.is_ok(), end >= last_tag, "{end}");
        }
        assert!(Element::parse(document.as_bytes()).is_ok());
    }

    /// What stands in a part that nobody needs.
    #[test]
    fn a_fault_where_nobody_looks_is_no_fault() {
        let around = |text: &str| format!("<r><d><n>Box {text}</n><v>7</v></d></r>");
        for (document, name) in [
            (around("<5G>"), "Box <5G>"),
            (around("<2.4 GHz> <5 GHz>"), "Box <2.4 GHz> <5 GHz>"),
            (around("<info>"), "Box"),
            (around("<info> <more>"), "Box"),
            (around("</9>"), "Box"),
            (around("&nbsp;7"), "Box &nbsp;7"),
            (around("&caf\u{e9};"), "Box &caf\u{e9};"),
            (around("\u{1}\0\u{1b}[2J"), "Box \u{1}\0\u{1b}[2J"),
            (around("a > b"), "Box a > b"),
            (around("]]>"), "Box ]]>"),
            (format!("<!DOCTYPE r>\n{}", around("1")), "Box 1"),
            (format!("<?xml version='1.0'?>\n<?xml version='1.0'?>\n{}", around("1")), "Box 1"),
            (format!("{}\n<?xml version='1.0'?>\n", around("1")), "Box 1"),
            (format!("{}\0\0", around("1")), "Box 1"),
            (format!("{}<html><br>", around("1")), "Box 1"),
            (format!("{}{}", around("1"), around("2")), "Box 1"),
            (around("1").replace("</r>", ""), "Box 1"),
            (around("1").replace("</r>", "</r"), "Box 1"),
            (around("1").replace("</r>", "</x>"), "Box 1"),
            (around("1").replace("</r>", "<"), "Box 1"),
            (around("1").replace("</d></r>", "</r>"), "Box 1"),
        ] {
            let root =
                Element::parse(document.as_bytes()).unwrap_or_else(|error| panic!("{document:?}: {error}"));
            assert_eq!(root.find("n").unwrap().text, name, "{document:?}");
            assert_eq!(root.find("v").unwrap().text, "7", "{document:?}");
        }
    }

    #[test]
    fn a_value_that_its_own_tag_does_not_end_is_none() {
        for document in ["<a><b>1</a>", "<a><b>1<c/></a>", "<a><c/><b>1</a>", "<a><x><b>1</x><c/></a>"] {
            assert_eq!(
                Element::parse(document.as_bytes()).unwrap().find("b").unwrap().text,
                "",
                "{document}"
            );
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        for text in ["x".repeat(5000), "\u{e9}".repeat(5000), format!("8.8.4.4{}", " ".repeat(5000)) + "x"] {
            let root = Element::parse(format!("<a>{text}<b>1</b>{text}</a>").as_bytes()).unwrap();
            assert!(root.text.ends_with(CUT) && root.text.len() <= MAX_TEXT);
            assert_eq!(root.child("b").unwrap().text, "1");
        }
    }

    #[test]
    fn entities_cannot_expand_or_fetch() {
        let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>";
        assert_eq!(refused(laughs), XmlError::Doctype);
        assert_eq!(refused("<!DOCTYPE a SYSTEM \"http://192.0.2.1/x\"><a/>"), XmlError::Doctype);
        assert_eq!(refused("<!DOCTYPE html PUBLIC \"x\" \"http://192.0.2.1/x\"><a/>"), XmlError::Doctype);
        for reference in ["&nbsp;", "&c;", "&#0;", "&#xD800;", "&#x110000;", "&#-1;", "&#;", "&#99999999999;"]
        {
            assert_eq!(text(&format!("<a>{reference}</a>")).as_deref(), Ok(reference));
        }
    }

    #[test]
    fn every_limit_holds_and_its_last_value_passes() {
        let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
        let named = |bytes: usize| format!("<{}/>", "n".repeat(bytes));
        let attributes = |bytes: usize| format!("<a {}=''/>", "x".repeat(bytes - 4));
        let padded = |bytes: usize| format!("<a/>{}", " ".repeat(bytes - 4));
        let long = "x".repeat(MAX_TEXT);
        assert_eq!(text(&format!("<a>{long}</a>")), Ok(long));
        for (good, bad) in [
            (nested(MAX_DEPTH), nested(MAX_DEPTH + 1)),
            (many(MAX_ELEMENTS), many(MAX_ELEMENTS + 1)),
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
        assert_eq!(text(&format!("<a>{}</a>", "&amp;".repeat(12_000))).unwrap().len(), MAX_TEXT);
        assert!(matches!(refused("<a>x".repeat(16_000)), XmlError::Limit(_)));
    }

    #[test]
    fn white_space_between_elements_costs_nothing() {
        let document =
            format!("<a>{}<b>{}1{}</b></a>", " ".repeat(5000), "\n".repeat(5000), "\t".repeat(1000));
        assert_eq!(Element::parse(document.as_bytes()).unwrap().child("b").unwrap().text, "1");
    }
}
