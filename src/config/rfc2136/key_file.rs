//! Key files of BIND: `key "name" { algorithm hmac-sha256; secret "base64"; };`
//!
//! Only `key` statements, as tsig-keygen and ddns-confgen write them, with
//! comments of all three kinds. Left out: the rest of named.conf.

/// A key as it stands in the file.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct WrittenKey {
    pub(super) name: String,
    pub(super) algorithm: String,
    pub(super) secret: String,
}

/// The keys in the text of a file; the error says what is wrong, without
/// showing any of it.
pub(super) fn keys(text: &str) -> Result<Vec<WrittenKey>, String> {
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    let mut keys = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "key" => keys.push(key(&mut words)?),
            ";" => {}
            _ => return Err(expected("a key statement and nothing else")),
        }
    }
    if keys.is_empty() { Err(expected("a key statement")) } else { Ok(keys) }
}

fn key<'w>(words: &mut impl Iterator<Item = &'w str>) -> Result<WrittenKey, String> {
    let name = words.next().filter(|name| !is_mark(name)).ok_or_else(|| expected("the key's name"))?;
    if words.next() != Some("{") {
        return Err(expected("{ behind the key's name"));
    }
    let (mut algorithm, mut secret) = (None, None);
    loop {
        let place = match words.next() {
            Some("algorithm") => &mut algorithm,
            Some("secret") => &mut secret,
            Some("}") => break,
            _ => return Err(expected("algorithm or secret")),
        };
        let value = words.next().filter(|value| !is_mark(value)).ok_or_else(|| expected("a value"))?;
        if place.replace(value.to_owned()).is_some() || words.next() != Some(";") {
            return Err(expected("one algorithm and one secret, each with ; behind it"));
        }
    }
    let (algorithm, secret) =
        algorithm.zip(secret).ok_or_else(|| expected("both an algorithm and a secret"))?;
    Ok(WrittenKey { name: name.to_owned(), algorithm, secret })
}

fn expected(what: &str) -> String {
    format!(
        "this is no key file of BIND: expected {what}, as in key \"name\" {{ algorithm hmac-sha256; secret \"...\"; }};"
    )
}

fn is_mark(word: &str) -> bool {
    matches!(word, "{" | "}" | ";")
}

/// Words, texts in quotes, and marks; comments are passed over.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = if rest.starts_with('#') || rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").ok_or_else(|| expected("*/ at the end of a comment"))?.1
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, rest) = quoted.split_once('"').ok_or_else(|| expected("a closing quotation mark"))?;
            words.push(word.to_owned());
            rest
        } else {
            let ends = |c: char| c.is_whitespace() || "{};\"#".contains(c);
            let end = rest.find(ends).filter(|end| *end > 0).unwrap_or(match first {
                '{' | '}' | ';' => 1,
                _ => rest.len(),
            });
            let (word, rest) = rest.split_at_checked(end).ok_or_else(|| expected("words"))?;
            words.push(word.to_owned());
            rest
        };
        rest = rest.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str) -> WrittenKey {
        WrittenKey { name: name.into(), algorithm: "hmac-sha256".into(), secret: "c2Vj/+8=".into() }
    }

    #[test]
    fn keys_are_read_in_every_layout() {
        let tidy = "key \"a.b\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2Vj/+8=\";\n};\n";
        assert_eq!(keys(tidy), Ok(vec![written("a.b")]));
        let dense = "key a{secret c2Vj/+8=;algorithm hmac-sha256;};key b { algorithm hmac-sha256; secret \"c2Vj/+8=\"; };";
        assert_eq!(keys(dense), Ok(vec![written("a"), written("b")]));
        let comments = format!("# one\n// two\n/* three\n */ {tidy} // key \"c\" {{");
        assert_eq!(keys(&comments), Ok(vec![written("a.b")]));
    }

    #[test]
    fn no_prefix_of_a_key_is_one_and_nothing_else_is() {
        let good = "key \"a\" { algorithm hmac-sha256; secret \"c2Vj/+8=\"; }";
        assert!(keys(good).is_ok());
        for end in 0..good.len() {
            assert!(keys(good.get(..end).unwrap_or_default()).is_err(), "{end}");
        }
        for text in [
            "c2Vj/+8=",
            "options { };",
            "key { algorithm x; secret y; };",
            "key a { algorithm x; };",
            "key a { algorithm x; algorithm x; secret y; };",
            "key a { algorithm x secret y };",
            "key a { algorithm ; secret y; };",
            "/* key a { algorithm x; secret y; };",
        ] {
            let error = keys(text).unwrap_err();
            assert!(error.starts_with("this is no key file of BIND") && !error.contains("c2Vj"), "{text}");
        }
    }
}
