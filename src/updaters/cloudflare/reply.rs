//! Cloudflare's replies: the forms that we use of them, and what a refusal means.
//!
//! What counts is `"success": true`, then the class of the HTTP status, then the
//! code, never the text. What we use is read strictly, the rest ignored.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::config::idn::to_ascii;
use crate::quote::said;
use crate::updaters::{Failure, Reply};

/// Real ids have 32 hexadecimal digits.
const MAX_ID: usize = 64;
/// Entries of one list in a reply; a page that we ask for has at most 500.
const MAX_ENTRIES: usize = 1000;
/// Errors of a reply, and causes of one.
const MAX_ERRORS: usize = 20;

/// A zone of the account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Zone {
    pub(super) id: String,
    /// `None`: the one with the configured id, as long as nobody told its name.
    pub(super) name: Option<String>,
}

/// An A or AAAA record as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) aaaa: bool,
    /// In ASCII and lower case.
    pub(super) name: String,
    /// `None`: it is no address.
    pub(super) content: Option<IpAddr>,
    pub(super) ttl: Option<u64>,
    pub(super) proxied: bool,
    pub(super) comment: String,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    pub(super) last: bool,
    /// How many pages there are, as far as the reply tells.
    pub(super) pages: Option<usize>,
}

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Trouble {
    pub(super) kind: RefusalKind,
    /// Status, code and text, for people.
    pub(super) said: String,
    pub(super) wait: Option<Duration>,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RefusalKind {
    /// No reply; `true`: the request may have been fulfilled.
    Lost(bool),
    /// Not sent: the job has sent or read too much already.
    Enough,
    /// The token does not have the form of one.
    Malformed,
    /// The token itself is no good.
    Token,
    /// The token may not be used from this address.
    Location,
    /// The token may not do this, or is no good.
    Denied,
    /// Refused without a code that says why.
    Forbidden,
    /// Too many requests.
    Limited,
    /// A fault on Cloudflare's side.
    Fault,
    /// Somebody else answered.
    Foreign,
    /// There is no such zone, an id has a wrong form, or the call is not known.
    Gone,
    /// There is no such record.
    NoRecord,
    /// The same record is there already.
    Exists,
    /// Another kind of record owns the name.
    Conflict,
    /// A configured setting is not allowed.
    Setting,
    /// Something else.
    Other,
}

#[derive(Deserialize)]
struct Verdict {
    success: bool,
    #[serde(default)]
    errors: Option<Entries<ApiError, MAX_ERRORS>>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    code: Option<u64>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_chain: Option<Entries<Chained, MAX_ERRORS>>,
}

#[derive(Deserialize)]
struct Chained {
    #[serde(default)]
    code: Option<u64>,
}

#[derive(Deserialize)]
struct Answer<T> {
    result: T,
    #[serde(default = "Option::default")]
    result_info: Option<PageInfo>,
}

#[derive(Deserialize)]
struct PageInfo {
    #[serde(default)]
    page: Option<usize>,
    #[serde(default)]
    total_pages: Option<usize>,
}

#[derive(Deserialize)]
struct ZoneEntry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// What a token, or a zone that it reads, says of rights.
#[derive(Deserialize)]
struct Rights {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    permissions: Option<Entries<String>>,
}

/// Of a record of another type, its type alone matters.
#[derive(Deserialize)]
struct RecordEntry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(default)]
    ttl: Option<u64>,
    #[serde(default)]
    proxied: Option<bool>,
    #[serde(borrow, default)]
    comment: Option<Cow<'a, str>>,
}

/// The changed and the created records of a batch.
#[derive(Deserialize)]
struct Done<'a> {
    #[serde(borrow, default)]
    patches: Option<Entries<RecordEntry<'a>>>,
    #[serde(borrow, default)]
    posts: Option<Entries<RecordEntry<'a>>>,
}

/// A list of at most `MOST`.
struct Entries<T, const MOST: usize = MAX_ENTRIES>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Entries<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Entries<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if entries.len() >= MOST {
                        return Err(A::Error::invalid_length(entries.len(), &self));
                    }
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_seq(List(std::marker::PhantomData))
    }
}

impl Trouble {
    pub(super) fn lost(Failure { why, maybe_done }: Failure) -> Self {
        Self { kind: RefusalKind::Lost(maybe_done), said: why, wait: None }
    }

    fn new(kind: RefusalKind, reply: &Reply, said: &str) -> Self {
        let separator = if said.is_empty() { "" } else { ", " };
        Self { kind, said: format!("status {}{separator}{said}", reply.status), wait: reply.retry_after }
    }
}

/// Whether the envelope says success.
pub(super) fn check(reply: &Reply) -> Result<(), Trouble> {
    match serde_json::from_str::<Verdict>(&reply.body) {
        Ok(Verdict { success: true, .. }) => Ok(()),
        Ok(Verdict { errors, .. }) => Err(refused(reply, errors.map_or_else(Vec::new, |errors| errors.0))),
        Err(_) if reply.redirect.is_some() => {
            let said = format!("it {}; this is not followed", reply.redirects());
            Err(Trouble::new(RefusalKind::Fault, reply, &said))
        }
        Err(_) if reply.status == 429 => Err(Trouble::new(RefusalKind::Limited, reply, "")),
        Err(_) if reply.status < 500 => Err(Trouble::new(RefusalKind::Foreign, reply, "")),
        Err(_) => Err(Trouble::new(RefusalKind::Fault, reply, "an unexpected answer")),
    }
}

/// Whether the token is in use.
pub(super) fn is_active(reply: &Reply) -> Result<bool, Trouble> {
    check(reply)?;
    let answer = serde_json::from_str::<Answer<Rights>>(&reply.body);
    Ok(answer.is_ok_and(|answer| answer.result.status.as_deref() == Some("active")))
}

/// Whether the token may change records of a zone, if the zone says so.
pub(super) fn may_edit(reply: &Reply) -> Result<Option<bool>, Trouble> {
    check(reply)?;
    let answer = serde_json::from_str::<Answer<Rights>>(&reply.body);
    let list = answer.ok().and_then(|answer| answer.result.permissions);
    Ok(list.map(|Entries(list)| list.iter().any(|right| right == "#dns_records:edit")))
}

/// The zones of a page of zones.
pub(super) fn zones(reply: &Reply, full: usize) -> Result<Page<Zone>, Trouble> {
    page(reply, full, |entry: ZoneEntry<'_>| {
        let id = id(&entry.id)?;
        // The name becomes part of a URL; a zone with another one cannot be ours.
        Ok(to_ascii(&entry.name).ok().map(|name| Zone { id, name: Some(name) }))
    })
}

/// Of a page of records those A and AAAA records that are wanted.
pub(super) fn records(
    reply: &Reply,
    full: usize,
    wanted: impl Fn(&Record) -> bool,
) -> Result<Page<Record>, Trouble> {
    page(reply, full, |entry| Ok(record(entry)?.filter(&wanted)))
}

/// The names of all records of a page, as they are written.
pub(super) fn names(reply: &Reply) -> Result<Vec<String>, Trouble> {
    Ok(page(reply, 0, |entry: RecordEntry<'_>| Ok(Some(entry.name.into_owned())))?.entries)
}

/// The record after a change or creation, if the reply shows it.
pub(super) fn changed(reply: &Reply) -> Result<Option<Record>, Trouble> {
    check(reply)?;
    let answer = serde_json::from_str::<Answer<RecordEntry<'_>>>(&reply.body).ok();
    Ok(answer.and_then(|answer| record(answer.result).ok()?))
}

/// The changed and the created records after a batch, as far as shown.
pub(super) fn batch(reply: &Reply) -> Result<(Vec<Record>, Vec<Record>), Trouble> {
    check(reply)?;
    let part = |entries: Option<Entries<RecordEntry<'_>>>| {
        let entries = entries.into_iter().flat_map(|entries| entries.0);
        entries.filter_map(|entry| record(entry).ok()?).collect()
    };
    Ok(match serde_json::from_str::<Answer<Done<'_>>>(&reply.body) {
        Ok(Answer { result: Done { patches, posts }, .. }) => (part(patches), part(posts)),
        Err(_) => (Vec::new(), Vec::new()),
    })
}

fn page<'a, E: Deserialize<'a>, T>(
    reply: &'a Reply,
    full: usize,
    read: impl Fn(E) -> Result<Option<T>, Odd>,
) -> Result<Page<T>, Trouble> {
    check(reply)?;
    let odd = || Trouble::new(RefusalKind::Fault, reply, "an unexpected answer");
    let answer = serde_json::from_str::<Answer<Entries<E>>>(&reply.body).map_err(|_| odd())?;
    let Entries(entries) = answer.result;
    let (page, pages) = answer.result_info.map_or((None, None), |info| (info.page, info.total_pages));
    let last = match (page, pages) {
        (Some(page), Some(pages)) => page >= pages,
        _ => entries.len() < full,
    };
    // An empty page ends a list whatever its numbers say.
    let last = last || entries.is_empty();
    let entries = entries.into_iter().filter_map(|entry| read(entry).transpose()).collect::<Result<_, Odd>>();
    Ok(Page { entries: entries.map_err(|Odd| odd())?, last, pages })
}

fn refused(reply: &Reply, errors: Vec<ApiError>) -> Trouble {
    let chained = errors.iter().filter_map(|error| error.error_chain.as_ref()).flat_map(|chain| &chain.0);
    let codes: Vec<u64> =
        errors.iter().map(|error| error.code).chain(chained.map(|error| error.code)).flatten().collect();
    let message = errors.into_iter().next().and_then(|error| error.message).unwrap_or_default();
    let said = match codes.first() {
        Some(code) => format!("code {code}, {}", said(&message, &reply.secrets, [])),
        None => "no reason given".to_owned(),
    };
    Trouble::new(kind(reply.status, &codes, &message), reply, &said)
}

/// The codes are those of public reports and of Cloudflare's own pages.
fn kind(status: u16, codes: &[u64], message: &str) -> RefusalKind {
    let has = |any: &[u64]| codes.iter().any(|code| any.contains(code));
    match status {
        429 => RefusalKind::Limited,
        500.. => RefusalKind::Fault,
        _ if has(&[971, 10429]) || codes.iter().any(|code| (97_100..97_200).contains(code)) => {
            RefusalKind::Limited
        }
        _ if has(&[6003, 6102, 6103, 6111, 6112]) => RefusalKind::Malformed,
        _ if has(&[9103, 9106]) => RefusalKind::Token,
        401 | 403 if has(&[1000]) => RefusalKind::Token,
        // The only text that decides: the code is that of a wrong token, too, and
        // both wait for a person.
        _ if has(&[9109]) && message.contains("location") => RefusalKind::Location,
        _ if has(&[10000, 9109]) => RefusalKind::Denied,
        401 | 403 => RefusalKind::Forbidden,
        _ if has(&[81044]) => RefusalKind::NoRecord,
        _ if status == 404 || has(&[7000, 7003]) => RefusalKind::Gone,
        _ if has(&[81053, 81054]) => RefusalKind::Conflict,
        _ if has(&[81057, 81058]) => RefusalKind::Exists,
        _ if has(&[9020, 9021]) => RefusalKind::Setting,
        _ if has(&[10001]) => RefusalKind::Fault,
        _ => RefusalKind::Other,
    }
}

/// What we use is not there or has another form.
struct Odd;

/// `None`: a record of another type, unread.
fn record(entry: RecordEntry<'_>) -> Result<Option<Record>, Odd> {
    let aaaa = match &*entry.r#type {
        "A" => false,
        "AAAA" => true,
        _ => return Ok(None),
    };
    if entry.name.is_empty() {
        return Err(Odd);
    }
    Ok(Some(Record {
        id: id(&entry.id)?,
        aaaa,
        name: to_ascii(&entry.name).unwrap_or_else(|_| entry.name.to_ascii_lowercase()),
        content: entry.content.ok_or(Odd)?.parse().ok(),
        ttl: entry.ttl,
        proxied: entry.proxied.unwrap_or(false),
        comment: entry.comment.unwrap_or_default().into_owned(),
    }))
}

/// An id becomes part of a path.
fn id(id: &str) -> Result<String, Odd> {
    let fine = (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fine { Ok(id.to_owned()) } else { Err(Odd) }
}
