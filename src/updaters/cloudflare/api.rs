//! Requests to Cloudflare's DNS API, version 4, as far as we use it.
//!
//! <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.

use std::net::IpAddr;

use serde::Serialize;

use crate::config;
use crate::config::CloudflareRecord;
use crate::quote::{Secrets, said};
use crate::secret::Secret;
use crate::updaters::Request;

/// Records on a page of a whole zone; the API allows far more than fit into
/// [`LIST_REPLY`].
pub(super) const RECORDS_A_PAGE: usize = 500;
/// Records on a page of one name and type.
pub(super) const NAMED_A_PAGE: usize = 100;
/// Zones on a page: the most that the API allows.
pub(super) const ZONES_A_PAGE: usize = 50;
/// The longest reply, in bytes: [`RECORDS_A_PAGE`] records with all their fields take
/// about 300 KiB; comments and tags may make them several times longer.
pub(super) const LIST_REPLY: usize = 1024 * 1024;
/// The head of a zone file names the zone.
const EXPORT_REPLY: usize = 4096;

/// Where the API is, and the key to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Api<'a> {
    url: &'a str,
    token: &'a Secret,
}

/// The fields of a record that are sent. What is left out of a change stays as it is.
#[derive(Serialize)]
pub(super) struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    r#type: &'static str,
    name: &'a str,
    content: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

/// Several changes in one transaction.
#[derive(Default, Serialize)]
pub(super) struct Batch<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) patches: Vec<Fields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) posts: Vec<Fields<'a>>,
}

impl<'a> Fields<'a> {
    /// What the schema requires, and what is configured: for the record with `id`, or
    /// for a new one.
    pub(super) fn new(
        id: Option<&'a str>,
        name: &'a str,
        address: IpAddr,
        record: &'a CloudflareRecord,
    ) -> Self {
        let new = id.is_none();
        Self {
            id,
            r#type: kind_name(record.aaaa),
            name,
            content: address,
            ttl: record.ttl.or(new.then_some(1)),
            proxied: record.proxied.or(new.then_some(false)),
            comment: record.comment.as_deref(),
        }
    }
}

impl<'a> Api<'a> {
    pub(super) fn new(config: &'a config::Cloudflare) -> Self {
        Self { url: &config.api_url, token: &config.api_token }
    }

    /// A name that a reply told, as far as it may be shown: it can be the token.
    pub(super) fn shown(&self, name: &str) -> String {
        said(name, &Secrets::new([self.token.reveal()]), []).trim_matches('"').to_owned()
    }

    pub(super) fn zones_named(&self, name: &str) -> Request {
        self.get(&format!("zones?name={name}&status=active"))
    }

    /// Whether the token is good, by what it says itself.
    pub(super) fn token_status(&self) -> Request {
        self.get("user/tokens/verify")
    }

    pub(super) fn zone(&self, id: &str) -> Request {
        self.get(&format!("zones/{id}"))
    }

    /// Of whatever status.
    pub(super) fn zones(&self, page: usize) -> Request {
        self.get(&format!("zones?per_page={ZONES_A_PAGE}&page={page}"))
    }

    pub(super) fn active_zones(&self, page: usize) -> Request {
        self.get(&format!("zones?status=active&per_page={ZONES_A_PAGE}&page={page}"))
    }

    /// The zone as a file in BIND's form.
    pub(super) fn export(&self, zone: &str) -> Request {
        Request { max_reply: EXPORT_REPLY, ..self.get(&format!("zones/{zone}/dns_records/export")) }
    }

    pub(super) fn records_named(&self, zone: &str, name: &str, aaaa: bool, page: usize) -> Request {
        let kind = kind_name(aaaa);
        let mut query = format!("type={kind}&name.exact={name}&per_page={NAMED_A_PAGE}");
        if page > 1 {
            query = format!("{query}&page={page}");
        }
        self.get(&format!("zones/{zone}/dns_records?{query}"))
    }

    pub(super) fn records(&self, zone: &str, page: usize) -> Request {
        self.get(&format!("zones/{zone}/dns_records?per_page={RECORDS_A_PAGE}&page={page}"))
    }

    /// Changes the record that the fields' id names, or creates one.
    pub(super) fn record(&self, zone: &str, fields: &Fields<'_>) -> Request {
        let path = format!("zones/{zone}/dns_records");
        match fields.id {
            Some(id) => self.send("PATCH", &format!("{path}/{id}"), &Fields { id: None, ..*fields }),
            None => self.send("POST", &path, fields),
        }
    }

    pub(super) fn batch(&self, zone: &str, batch: &Batch<'_>) -> Request {
        self.send("POST", &format!("zones/{zone}/dns_records/batch"), batch)
    }

    fn get(&self, path: &str) -> Request {
        Request {
            method: "GET",
            url: format!("{}/{path}", self.url),
            headers: vec![("Authorization".to_owned(), format!("Bearer {}", self.token.reveal()))],
            body: None,
            max_reply: LIST_REPLY,
            cut_will_do: false,
            family: None,
        }
    }

    fn send(&self, method: &'static str, path: &str, body: &impl Serialize) -> Request {
        let mut request = self.get(path);
        request.method = method;
        request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        // Text, numbers and lists of them cannot fail.
        request.body = Some(serde_json::to_string(body).unwrap_or_default());
        request
    }
}

/// `A` or `AAAA`.
pub(super) fn kind_name(aaaa: bool) -> &'static str {
    if aaaa { "AAAA" } else { "A" }
}
