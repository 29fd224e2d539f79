//! What the body of a reply says, be it a word, JSON, XML or a page of HTML.

use serde_json::Value;

use crate::address::Addresses;

/// Return codes of dyndns2 that are a failure.
pub(super) const FAILURES: [&str; 13] = [
    "badauth",
    "!donator",
    "!active",
    "!yours",
    "notfqdn",
    "nohost",
    "numhost",
    "abuse",
    "badagent",
    "badsys",
    "dnserr",
    "911",
    "servererror",
];

/// First words that no answer of success has.
const REFUSALS: [&str; 8] = ["error", "ko", "fail", "failure", "invalid", "bad", "not", "unauthenticated"];

/// Words that stand in a refusal, if no word of success stands beside them.
const REFUSED: [&str; 8] =
    ["unauthorized", "forbidden", "denied", "refused", "rejected", "failed", "expired", "disabled"];

/// Words of a page that says that an update went well.
const GOOD: [&str; 4] = ["good", "ok", "updated", "nochg"];

/// Keys of JSON whose text is the sentence, the most telling first.
const SENTENCES: [&str; 9] =
    ["message", "msg", "detail", "details", "error_description", "description", "reason", "error", "errors"];

/// How deep in JSON a sentence is looked for.
const MAX_DEPTH: usize = 4;

/// Whether the body of a reply with a status of success says that the update
/// failed. An empty one does not.
pub(super) fn tells_failure(body: &str, sent: &Addresses) -> bool {
    let body = body.trim();
    if let Some(value) = json(body) {
        return json_tells_failure(&value);
    }
    if error_count(body).is_some_and(|count| count > 0) {
        return true;
    }
    if is_page(body) {
        return !tells_success(&visible(body), sent);
    }
    if pair_tells_failure(body) {
        return true;
    }
    let first = first_word(body);
    let bare = first.trim_matches(|c: char| c.is_ascii_punctuation());
    let refused = REFUSALS.contains(&bare) || FAILURES.iter().any(|code| begins_with_code(&first, code));
    refused || (!tells_success(body, sent) && words(body).any(|word| REFUSED.contains(&word.as_str())))
}

/// `status=500`, `success=0&error=token`: what JSON with these keys would say.
fn pair_tells_failure(body: &str) -> bool {
    let pairs = body.split(|c: char| c.is_whitespace() || "&;,".contains(c));
    pairs.filter_map(|pair| pair.split_once('=')).any(|(key, value)| {
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        says_failure(key, &Value::String(bare.unwrap_or(value).to_owned()))
    })
}

/// The words of a text in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).map(str::to_ascii_lowercase)
}

/// Whether the address that was sent or a word of success occurs.
fn tells_success(text: &str, sent: &Addresses) -> bool {
    let sent = [sent.ipv4.map(|ip| ip.to_string()), sent.ipv6.map(|ip| ip.to_string())];
    sent.iter().flatten().any(|address| text.contains(address))
        || words(text).any(|word| GOOD.contains(&word.as_str()) || word.starts_with("success"))
}

/// The first word in lower case.
pub(super) fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

/// `badauth2` and `nohost.` do; a number that begins with 911 is none.
fn begins_with_code(word: &str, code: &str) -> bool {
    let behind = word.strip_prefix(code);
    behind.is_some_and(|behind| code != "911" || !behind.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// What a person is shown of a refusal: the sentence in it, else the text.
pub(super) fn sentence(body: &str) -> String {
    let body = body.trim();
    if let Some(found) = json(body).as_ref().and_then(|value| json_sentence(value, MAX_DEPTH)) {
        return found;
    }
    if !body.starts_with('<') {
        return body.to_owned();
    }
    let text = element(body, "err1").map_or_else(|| visible(body), visible);
    if text.is_empty() { body.to_owned() } else { text }
}

// -- JSON -----------------------------------------------------------------------

fn json(body: &str) -> Option<Value> {
    let begins = body.starts_with(['{', '[']);
    begins.then(|| serde_json::from_str(body).ok()).flatten()
}

fn json_tells_failure(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.iter().any(|(key, value)| says_failure(key, value)))
}

fn says_failure(key: &str, value: &Value) -> bool {
    match key.to_ascii_lowercase().as_str() {
        "success" | "ok" => is_no(value),
        "status" | "result" => is_error(value),
        "error" | "errors" => says_something(value),
        _ => false,
    }
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => ["false", "no", "0"].contains(&first_word(text).as_str()),
        _ => false,
    }
}

/// A status is a word or a number, in most cases one of HTTP.
fn is_error(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_u64().is_some_and(is_status_of_error),
        Value::String(text) => {
            let word = first_word(text);
            if word.parse().is_ok_and(is_status_of_error) {
                return true;
            }
            let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
            let refused = REFUSALS.contains(&bare) || REFUSED.contains(&bare) || bare.starts_with("error");
            refused || FAILURES.iter().any(|code| begins_with_code(&word, code))
        }
        _ => false,
    }
}

fn is_status_of_error(status: u64) -> bool {
    (400..=599).contains(&status)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => {
            !["", "0", "no", "none", "null", "false", "ok"].contains(&first_word(text).as_str())
        }
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

fn json_sentence(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Array(list) => list.iter().find_map(|value| json_sentence(value, depth)),
        Value::Object(object) => {
            let named = SENTENCES.iter().filter_map(|key| object.get(*key));
            let nested = object.values().filter(|value| value.is_object() || value.is_array());
            named.chain(nested).find_map(|value| json_sentence(value, depth))
        }
        _ => None,
    }
}

// -- XML and HTML -----------------------------------------------------------------

/// What stands between `<name>` and the next `<`, whatever the letter case.
fn element<'b>(body: &'b str, name: &str) -> Option<&'b str> {
    let at = body.to_ascii_lowercase().find(&format!("<{name}>"))?;
    let behind = body.get(at..)?.split_once('>')?.1;
    behind.split('<').next()
}

/// Of Namecheap, eNom and their likes.
fn error_count(body: &str) -> Option<u32> {
    element(body, "errcount")?.trim().parse().ok()
}

fn is_page(body: &str) -> bool {
    let lower = body.to_ascii_lowercase();
    body.starts_with('<')
        && ["<!doctype html", "<html", "<head", "<body"].iter().any(|sign| lower.contains(sign))
}

/// The text of a page as its reader sees it: without markup, scripts and styles,
/// each run of blanks one.
fn visible(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let mut text = String::new();
    let mut at = 0;
    while let Some(rest) = page.get(at..) {
        let Some(open) = rest.find('<') else {
            text.push_str(rest);
            break;
        };
        text.push_str(rest.get(..open).unwrap_or_default());
        text.push(' ');
        let tag = at.saturating_add(open);
        let behind = lower.get(tag..).unwrap_or_default();
        // What stands in these is not shown.
        let end = match ["<!--", "<script", "<style"].iter().position(|start| behind.starts_with(start)) {
            Some(0) => "-->",
            Some(1) => "</script",
            Some(_) => "</style",
            None => ">",
        };
        let Some(length) = behind.find(end) else { break };
        at = tag.saturating_add(length).saturating_add(if end.starts_with('<') { 0 } else { end.len() });
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Addresses {
        Addresses {
            ipv4: Some([192, 0, 2, 1].into()),
            ipv6: Some("2001:db8::1".parse().unwrap()),
            ipv6_prefix: None,
        }
    }

    #[test]
    fn a_refusal_with_a_status_of_success_is_a_failure() {
        for body in [
            "ERROR: Invalid update URL (2)",
            "error",
            "KO\n",
            "ko",
            "Badauth",
            "BADAUTH",
            "badauth2",
            "nohost.",
            "badauth, wrong user",
            "!Donator",
            "911",
            "Fail",
            "unauthorized",
            "invalid token",
            "403 Forbidden",
            "bad token",
            "not authorized",
            "Authentication failed",
            "account expired",
            r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#,
            r#"{"status":"ERROR","message":"Invalid API key. (002)"}"#,
            r#"{"status": 401, "message": "who are you?"}"#,
            r#"{"ok":false,"msg":"no such host"}"#,
            r#"{"Success": "false"}"#,
            r#"{"success": 0}"#,
            r#"{"status": false}"#,
            r#"{"status": "Invalid"}"#,
            r#"{"result": "denied"}"#,
            r#"{"errors": 3}"#,
            r#"{"status": "500"}"#,
            "status=500",
            "STATUS=error&message=token",
            "ip=192.0.2.1;success=0",
            "host=x result='failed'",
            "code=7\nerror=\"no such host\"",
            r#"{"errors": ["no such record"]}"#,
            r#"{"error": "expired"}"#,
            "<?xml version=\"1.0\" encoding=\"utf-16\"?>\n<interface-response><ErrCount>1</ErrCount></interface-response>",
            "<html><head><title>Login</title></head><body>Please sign in to use this Wi-Fi</body></html>",
            "<!DOCTYPE html><p>We use cookies. <a href='?ip=192.0.2.1&x=good'>Go on</a>",
            "<html><script>if (ok) success('good')</script><!-- good --><style>.ok {}</style>Sign in</html>",
        ] {
            assert!(tells_failure(body, &sent()), "{body}");
        }
    }

    #[test]
    fn what_says_no_failure_is_a_success() {
        for body in [
            "",
            "  \r\n",
            "good 192.0.2.1",
            "OK",
            "Updated 1 host",
            "192.0.2.1",
            "9110",
            "no error",
            "status=200&error=",
            "status=ok, errors=0",
            "ip=192.0.2.1 status=5000",
            r#"{"status": "200"}"#,
            "1 updated, 0 failed",
            "192.0.2.1 (old address expired)",
            "[]",
            "{}",
            r#"{"success": true, "errors": [], "messages": []}"#,
            r#"{"status": "SUCCESS"}"#,
            r#"{"status": 200, "message": "record updated"}"#,
            r#"{"error": null, "code": 0}"#,
            r#"{"success": 1, "error": 0, "status": true}"#,
            r#"{"error": "", "errors": {}}"#,
            "{ not JSON",
            "<?xml version=\"1.0\"?><interface-response><ErrCount>0</ErrCount><Done>true</Done></interface-response>",
            "<html><body>Your address is now 192.0.2.1.</body></html>",
            "<HTML><BODY><B>Successfully</B> changed</BODY></HTML>",
            "<html>OK</html>",
            "<html><p>nochg</p></html>",
        ] {
            assert!(!tells_failure(body, &sent()), "{body}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_sentence() {
        for (body, told) in [
            ("badauth\nmore", "badauth\nmore"),
            (
                "{\n  \"success\": false,\n  \"errors\": [{\"code\": 1, \"message\": \"Authentication error\"}]\n}",
                "Authentication error",
            ),
            (r#"{"status": "ERROR", "message": "Invalid API key. (002)"}"#, "Invalid API key. (002)"),
            (r#"{"status": {"code": "-1", "message": "login failed"}}"#, "login failed"),
            (r#"{"error": "no such host"}"#, "no such host"),
            (r#"{"message": " ", "error": "expired"}"#, "expired"),
            (
                "<?xml version=\"1.0\"?>\n<r><ErrCount>1</ErrCount><errors><Err1>Domain name not active</Err1></errors></r>",
                "Domain name not active",
            ),
            (
                "<html>\n<head><title>Login</title><style>b {}</style></head>\n<body>Please <b>sign in</b></body></html>",
                "Login Please sign in",
            ),
            ("<>", "<>"),
            (r#"{"code": 7}"#, r#"{"code": 7}"#),
        ] {
            assert_eq!(sentence(body), told, "{body}");
        }
    }
}
