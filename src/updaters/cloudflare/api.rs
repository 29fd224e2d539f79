//! Cloudflare's DNS API, version 4, as far as we use it: requests and replies.
//!
//! <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.
//! What counts is `"success": true`, then the class of the HTTP status, then
//! the code, never the text. What we use is read strictly, the rest ignored.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::CloudflareRecord;
use crate::config::idn::to_ascii;
use crate::quote::quoted;
use crate::secret::Secret;
use crate::updaters::{Reply, Request};

/// Records on a page of a whole zone; the API allows far more than fit into
/// [`LIST_REPLY`].
const RECORDS_A_PAGE: usize = 500;
/// Records on a page of one name and type.
const NAMED_A_PAGE: usize = 100;
/// Zones on a page: the most that the API allows.
const ZONES_A_PAGE: usize = 50;
/// The longest reply: [`RECORDS_A_PAGE`] records with all their fields take about
/// 300 KiB; comments and tags may make them several times longer.
pub(super) const LIST_REPLY: usize = 1024 * 1024;
/// Real ids have 32 hexadecimal digits.
const MAX_ID: usize = 64;

/// Where the API is, and the key to it.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) url: String,
    pub(super) token: Secret,
}

/// A zone of the account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Zone {
    pub(super) id: String,
    pub(super) name: String,
}

/// An A or AAAA record as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) aaaa: bool,
    /// In lower case.
    pub(super) name: String,
    pub(super) content: String,
    pub(super) ttl: Option<u64>,
    pub(super) proxied: bool,
    pub(super) comment: String,
}

/// One page of a list.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    pub(super) last: bool,
    /// How many there are, as far as the reply tells.
    pub(super) pages: Option<usize>,
}

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    /// Status, code and text, for people.
    pub(super) said: String,
    pub(super) wait: Option<Duration>,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The token itself is no good.
    Token,
    /// The token may not do this, or is no good.
    Denied,
    /// Too many requests.
    Limited,
    /// A fault on Cloudflare's side, or an answer that is none of theirs.
    Fault,
    /// There is no such zone.
    Gone,
    /// There is no such record.
    NoRecord,
    /// An id has a wrong form.
    BadId,
    /// The same record is there already.
    Exists,
    /// Another kind of record owns the name.
    Conflict,
    /// A configured setting is not allowed.
    Setting,
    /// Something else.
    Other,
}

impl Api {
    pub(super) fn zones_named(&self, name: &str) -> Request {
        self.get(&format!("zones?name={name}&status=active"))
    }

    pub(super) fn zones(&self, page: usize) -> Request {
        self.get(&format!("zones?per_page={ZONES_A_PAGE}&page={page}"))
    }

    pub(super) fn active_zones(&self, page: usize) -> Request {
        self.get(&format!("zones?status=active&per_page={ZONES_A_PAGE}&page={page}"))
    }

    pub(super) fn records_named(&self, zone: &str, name: &str, aaaa: bool) -> Request {
        let kind = kind_name(aaaa);
        let query = format!("type={kind}&name.exact={name}&per_page={NAMED_A_PAGE}");
        self.get(&format!("zones/{zone}/dns_records?{query}"))
    }

    pub(super) fn records(&self, zone: &str, page: usize) -> Request {
        self.get(&format!("zones/{zone}/dns_records?per_page={RECORDS_A_PAGE}&page={page}"))
    }

    /// Sends what the schema requires and what is configured; the record keeps
    /// everything else.
    pub(super) fn change(&self, zone: &str, id: &str, body: Map<String, Value>) -> Request {
        self.request("PATCH", &format!("zones/{zone}/dns_records/{id}"), Some(body))
    }

    pub(super) fn create(&self, zone: &str, mut body: Map<String, Value>) -> Request {
        body.entry("ttl").or_insert(json!(1));
        body.entry("proxied").or_insert(json!(false));
        self.request("POST", &format!("zones/{zone}/dns_records"), Some(body))
    }

    /// Several changes in one transaction.
    pub(super) fn batch(&self, zone: &str, body: Map<String, Value>) -> Request {
        self.request("POST", &format!("zones/{zone}/dns_records/batch"), Some(body))
    }

    fn get(&self, path: &str) -> Request {
        self.request("GET", path, None)
    }

    fn request(&self, method: &'static str, path: &str, body: Option<Map<String, Value>>) -> Request {
        let mut headers = vec![("Authorization".to_owned(), format!("Bearer {}", self.token.reveal()))];
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(|body| Value::Object(body).to_string());
        let url = format!("{}/{path}", self.url);
        Request { method, url, headers, body, max_reply: LIST_REPLY, family: None }
    }

    /// The zones of a reply to a request for zones.
    pub(super) fn read_zones(&self, reply: &Reply) -> Result<Page<Zone>, Refusal> {
        self.read_page(reply, ZONES_A_PAGE, |zone| {
            let id = id(zone)?;
            // Becomes part of a URL; a zone with another name cannot be ours.
            Ok(to_ascii(required(zone, "name")?).ok().map(|name| Zone { id, name }))
        })
    }

    /// The A and AAAA records of a reply to [`Api::records`] or
    /// [`Api::records_named`].
    pub(super) fn read_records(&self, reply: &Reply) -> Result<Page<Record>, Refusal> {
        self.read_page(reply, RECORDS_A_PAGE, record)
    }

    /// The record after a change or creation, if the reply shows it.
    pub(super) fn read_changed(&self, reply: &Reply) -> Result<Option<Record>, Refusal> {
        let answer = self.read(reply)?;
        Ok(answer.get("result").and_then(|result| record(result).ok()?))
    }

    /// The changed and the created records after a batch, as far as shown.
    pub(super) fn read_batch(&self, reply: &Reply) -> Result<(Vec<Record>, Vec<Record>), Refusal> {
        let answer = self.read(reply)?;
        let part = |name: &str| {
            let shown = answer.get("result").and_then(|result| result.get(name)).and_then(Value::as_array);
            shown.into_iter().flatten().filter_map(|value| record(value).ok()?).collect()
        };
        Ok((part("patches"), part("posts")))
    }

    fn read_page<T>(
        &self,
        reply: &Reply,
        full: usize,
        read: impl Fn(&Value) -> Result<Option<T>, Odd>,
    ) -> Result<Page<T>, Refusal> {
        let answer = self.read(reply)?;
        let odd = || refusal(Kind::Fault, reply, "an unexpected answer");
        let entries = answer.get("result").and_then(Value::as_array).ok_or_else(odd)?;
        let number = |name| answer.get("result_info").and_then(|info| info.get(name)).and_then(Value::as_u64);
        let last = match (number("page"), number("total_pages")) {
            (Some(page), Some(pages)) => page >= pages,
            _ => entries.len() < full,
        };
        // An empty page ends a list whatever its numbers say.
        let last = last || entries.is_empty();
        let entries = entries.iter().filter_map(|entry| read(entry).transpose()).collect::<Result<_, Odd>>();
        let entries = entries.map_err(|Odd| odd())?;
        let pages = number("total_pages").and_then(|pages| usize::try_from(pages).ok());
        Ok(Page { entries, last, pages })
    }

    /// The envelope, if it says success.
    fn read(&self, reply: &Reply) -> Result<Value, Refusal> {
        let answer = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
        match answer.get("success").and_then(Value::as_bool) {
            Some(true) => Ok(answer),
            Some(false) => Err(self.refused(reply, &answer)),
            None if reply.status == 429 => Err(refusal(Kind::Limited, reply, "")),
            None => Err(refusal(Kind::Fault, reply, "an answer that is not Cloudflare's")),
        }
    }

    fn refused(&self, reply: &Reply, answer: &Value) -> Refusal {
        let errors = answer.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let chained = errors.iter().filter_map(|error| error.get("error_chain")?.as_array()).flatten();
        let codes: Vec<u64> =
            errors.iter().chain(chained).filter_map(|error| error.get("code")?.as_u64()).collect();
        let message = errors.first().and_then(|error| text(error, "message")).unwrap_or_default();
        let said = match codes.first() {
            Some(code) => format!("code {code}, {}", quoted(message, [self.token.reveal()])),
            None => "no reason given".to_owned(),
        };
        refusal(kind(reply.status, &codes), reply, &said)
    }
}

fn refusal(kind: Kind, reply: &Reply, said: &str) -> Refusal {
    let separator = if said.is_empty() { "" } else { ", " };
    Refusal { kind, said: format!("status {}{separator}{said}", reply.status), wait: reply.retry_after }
}

/// By the table of `updaters.md`, section 4.
fn kind(status: u16, codes: &[u64]) -> Kind {
    let has = |any: &[u64]| codes.iter().any(|code| any.contains(code));
    match status {
        429 => Kind::Limited,
        500.. => Kind::Fault,
        _ if has(&[6003, 6103, 6111, 9103, 9106]) => Kind::Token,
        401 if has(&[1000]) => Kind::Token,
        401 | 403 => Kind::Denied,
        _ if has(&[10000, 9109]) => Kind::Denied,
        _ if has(&[7000, 7003]) => Kind::BadId,
        _ if has(&[81044]) => Kind::NoRecord,
        404 => Kind::Gone,
        _ if has(&[81053]) => Kind::Conflict,
        _ if has(&[81057, 81058]) => Kind::Exists,
        _ if has(&[9020, 9021]) => Kind::Setting,
        _ if has(&[10001]) => Kind::Fault,
        _ => Kind::Other,
    }
}

/// What [`Api::change`] and [`Api::create`] send.
pub(super) fn wanted(record: &CloudflareRecord, name: &str, address: IpAddr) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("type".to_owned(), json!(kind_name(record.aaaa)));
    body.insert("name".to_owned(), json!(name));
    body.insert("content".to_owned(), json!(address.to_string()));
    if let Some(ttl) = record.ttl {
        body.insert("ttl".to_owned(), json!(ttl));
    }
    if let Some(proxied) = record.proxied {
        body.insert("proxied".to_owned(), json!(proxied));
    }
    if let Some(comment) = &record.comment {
        body.insert("comment".to_owned(), json!(comment));
    }
    body
}

/// `A` or `AAAA`.
pub(super) fn kind_name(aaaa: bool) -> &'static str {
    if aaaa { "AAAA" } else { "A" }
}

/// What we use is not there or has another form.
struct Odd;

/// `None`: a record of another type, unread.
fn record(value: &Value) -> Result<Option<Record>, Odd> {
    let aaaa = match required(value, "type")? {
        "A" => false,
        "AAAA" => true,
        _ => return Ok(None),
    };
    Ok(Some(Record {
        id: id(value)?,
        aaaa,
        name: required(value, "name")?.to_ascii_lowercase(),
        content: required(value, "content")?.to_owned(),
        ttl: value.get("ttl").and_then(Value::as_u64),
        proxied: value.get("proxied").and_then(Value::as_bool).unwrap_or(false),
        comment: text(value, "comment").unwrap_or_default().to_owned(),
    }))
}

/// An id becomes part of a path.
fn id(value: &Value) -> Result<String, Odd> {
    let id = required(value, "id")?;
    let fine = (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fine { Ok(id.to_owned()) } else { Err(Odd) }
}

fn required<'a>(value: &'a Value, name: &str) -> Result<&'a str, Odd> {
    text(value, name).ok_or(Odd)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}
