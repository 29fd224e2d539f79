//! `docs/messages.md` has every message, with what it means and the way out, and none
//! that the program does not say.
//!
//! A message is a literal of three words or more in `src` outside of tests, comments,
//! attributes, `src/config`, whose errors show the line and what to write there, and
//! the metrics, which have their help. A
//! placeholder is an ellipsis on the page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Literals that are no messages, by their beginning, and why.
const NO_MESSAGES: &[(&str, &str)] = &[
    ("Keeps DNS records at your router's public address", "the help, which explains itself"),
    ("a an as at be by do go h he i", "words that may be quoted"),
    ("HTTP/1.1 ", "an answer to a gateway"),
    ("Content-Security-Policy: ", "a header field"),
    ("405 Method Not Allowed", "a status line"),
    ("Allow: GET, HEAD", "a header field"),
    ("M-SEARCH * HTTP/1.1", "a search"),
    ("CONNECT … HTTP/1.1", "a request to a proxy"),
    ("<?xml version", "a request to a gateway"),
    ("# written in place", "a line of the state file"),
    ("… could not be kept up to date", "a line of the state file"),
    ("changed\t", "a line of the state file"),
    ("\tfailed=", "a line of the state file"),
];

#[derive(Debug, PartialEq)]
enum Token {
    Text(String),
    Word(String),
    Mark(char),
}

/// The tokens of a Rust file; comments and characters in quotes are left out.
fn tokens(source: &str) -> Vec<Token> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(first) = rest.chars().next() {
        let raw = rest.trim_start_matches(['b', 'c']).strip_prefix('r').and_then(|text| {
            let hashes = text.len() - text.trim_start_matches('#').len();
            let end = format!("\"{}", text.get(..hashes)?);
            text.get(hashes..)?.strip_prefix('"')?.split_once(&end)
        });
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some((text, after)) = raw {
            found.push(Token::Text(text.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("b\"").or_else(|| rest.strip_prefix('"')) {
            let (text, after) = literal(after);
            found.push(Token::Text(text));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("'") {
            rest = behind_quote(after);
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            found.push(Token::Word(word.to_owned()));
            rest = after;
        } else {
            assert!(!rest.starts_with("/*"), "this reader knows no block comments");
            if !first.is_whitespace() {
                found.push(Token::Mark(first));
            }
            rest = rest.get(first.len_utf8()..).unwrap();
        }
    }
    found
}

/// The value of a literal and what is behind its closing quotation mark.
fn literal(source: &str) -> (String, &str) {
    let (mut text, mut chars) = (String::new(), source.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next().unwrap() {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                // The line goes on behind the blanks of the next.
                '\n' => chars = chars.as_str().trim_start().chars(),
                other => text.push(other),
            },
            _ => text.push(c),
        }
    }
    (text, chars.as_str())
}

/// What is behind a character in quotes, or behind the quote of a lifetime.
fn behind_quote(source: &str) -> &str {
    let mut chars = source.chars();
    if chars.next() == Some('\\') {
        chars.next();
        return chars.as_str().split_once('\'').unwrap().1;
    }
    chars.as_str().strip_prefix('\'').unwrap_or(source)
}

/// Behind the bracket that closes the one at `start`.
fn closing(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The literals of a file without its attributes, and without what they guard for tests.
fn literals(source: &str) -> Vec<String> {
    let (tokens, mut at, mut found) = (tokens(source), 0, Vec::new());
    let mark = |at: usize, mark| tokens.get(at) == Some(&Token::Mark(mark));
    while let Some(token) = tokens.get(at) {
        let bracket = at + 1 + usize::from(mark(at + 1, '!'));
        if mark(at, '#') && mark(bracket, '[') {
            let end = closing(&tokens, bracket);
            let words: Vec<&str> = tokens.get(bracket..end).unwrap().iter().filter_map(word).collect();
            at = end;
            if words.starts_with(&["cfg", "test"])
                || words.starts_with(&["cfg", "all", "test"])
                || words == ["test"]
            {
                at = behind_item(&tokens, at);
            }
            continue;
        }
        if let Token::Text(text) = token {
            found.push(text.clone());
        }
        at += 1;
    }
    found
}

fn word(token: &Token) -> Option<&str> {
    if let Token::Word(word) = token { Some(word) } else { None }
}

/// Behind the item that begins here: its semicolon, or its block.
fn behind_item(tokens: &[Token], mut at: usize) -> usize {
    loop {
        match tokens.get(at) {
            None | Some(Token::Mark(';')) => return at + 1,
            Some(Token::Mark('{')) => return closing(tokens, at),
            Some(Token::Mark('(' | '[')) => at = closing(tokens, at),
            _ => at += 1,
        }
    }
}

/// As the page shows it: one line, an ellipsis for each placeholder.
fn shown(literal: &str) -> String {
    let mut text = String::new();
    let mut rest = literal;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            text.push('{');
            rest = after;
        } else if let Some((_, after)) = after.split_once('}') {
            text.push('…');
            rest = after;
        } else {
            text.push('{');
            rest = after;
        }
    }
    text.push_str(rest);
    text.replace("}}", "}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Three words or more.
fn is_sentence(text: &str) -> bool {
    let letters = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic())
    };
    text.replace('…', " ").split_whitespace().filter(letters).count() >= 3
}

/// What the program says, as the page shows it: all of it, and the sentences, with the
/// file that has each.
fn said() -> (BTreeSet<String>, Vec<(String, String)>) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut all, mut sentences) = (vec![source.clone()], BTreeSet::new(), Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&source).unwrap().display().to_string();
            if path.is_dir() {
                folders.extend((!name.ends_with("tests")).then_some(path));
            } else if name.ends_with("rs") && !name.ends_with("tests.rs") && name != "monitor/metrics.rs" {
                for literal in literals(&fs::read_to_string(&path).unwrap()) {
                    let text = shown(&literal);
                    let exception = NO_MESSAGES
                        .iter()
                        .any(|(start, _)| literal.starts_with(start) || text.starts_with(start));
                    if is_sentence(&text) && !exception && !name.starts_with("config/") {
                        sentences.push((name.clone(), text.clone()));
                    }
                    all.insert(text);
                    all.insert(literal);
                }
            }
        }
    }
    assert!(sentences.len() > 400, "{}", sentences.len());
    (all, sentences)
}

/// The messages of the page, and its other two columns.
fn rows() -> Vec<(Vec<String>, String, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/messages.md")).unwrap();
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [messages, meaning, way_out] = cells.as_slice() else { panic!("not three columns: {line}") };
        let messages = messages.split("<br>").map(|code| {
            let code = code
                .strip_prefix("`` ")
                .and_then(|code| code.strip_suffix(" ``"))
                .unwrap_or_else(|| code.trim_matches('`'));
            code.to_owned()
        });
        (messages.collect(), (*meaning).to_owned(), (*way_out).to_owned())
    });
    rows.collect()
}

#[test]
fn every_message_has_a_row() {
    let listed: BTreeSet<String> = rows().into_iter().flat_map(|(messages, ..)| messages).collect();
    let missing: Vec<String> = said()
        .1
        .into_iter()
        .filter(|(_, text)| !listed.contains(text))
        .map(|(file, text)| format!("src/{file}: {text}"))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/messages.md lacks, with what they mean and the way out:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_row_is_said_and_explained() {
    let (all, _) = said();
    let mut seen = BTreeSet::new();
    for (messages, meaning, way_out) in rows() {
        assert!(!meaning.is_empty() && !way_out.is_empty(), "{messages:?}");
        for message in messages {
            assert!(all.contains(&message), "the program does not say: {message}");
            assert!(seen.insert(message.clone()), "twice: {message}");
        }
    }
    for (start, why) in NO_MESSAGES {
        assert!(all.iter().any(|text| text.starts_with(start)), "no longer there: {start} ({why})");
    }
}

/// What stands between quotation marks in the prose, of five words or more, the program
/// says; dots leave something out.
#[test]
fn what_troubleshooting_quotes_is_said() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md")).unwrap();
    let prose: String = page.split("```").step_by(2).collect();
    let (all, _) = said();
    let (mut count, mut unsaid) = (0, Vec::new());
    for phrase in prose.split('"').skip(1).step_by(2) {
        let phrase = phrase.split_whitespace().collect::<Vec<_>>().join(" ");
        if phrase.split(' ').count() < 5 || phrase.contains('`') || !phrase.is_ascii() {
            continue;
        }
        count += 1;
        let said = phrase.split("...").all(|part| all.iter().any(|text| text.contains(part.trim())));
        unsaid.extend((!said).then_some(phrase));
    }
    assert!(unsaid.is_empty(), "the program does not say: {unsaid:#?}");
    assert!(count > 8, "{count}");
}

#[test]
fn literals_are_read_as_the_compiler_does() {
    let source = r#"
        //! a comment with "quotes"
        #[allow(dead_code, reason = "an attribute")]
        fn a<'a>() { let _ = ('"', '\'', "one \
            \"two\" {} {three:?} {{four}}", r"raw text", b"bytes"); }
        #[cfg(test)]
        fn helper() { "only for tests"; }
        const B: &str = "behind it";
        #[cfg(test)]
        mod tests { const C: &str = "more tests"; }
    "#;
    let texts: Vec<String> = literals(source).iter().map(|text| shown(text)).collect();
    assert_eq!(texts, ["one \"two\" … … {four}", "raw text", "bytes", "behind it"]);
    assert!(is_sentence("… is not (yet) known") && !is_sentence("multicast (RFC 5771)"));
}
