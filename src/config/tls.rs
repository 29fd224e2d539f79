//! The `[tls]` section.

use std::path::PathBuf;

use super::describe::{HIDDEN, TomlWriter, path, toml_string};
use super::files::Files;
use super::fingerprint::Fingerprint;
use super::section::{Section, Value};
use crate::secret::Secret;
use crate::transport::trust::{ClientCertificate, Tls};

impl Tls {
    /// Everything that decides how a server is met.
    pub(super) fn identify(&self, fingerprint: Fingerprint) -> Fingerprint {
        let client = self.client.as_ref();
        fingerprint
            .maybe(self.extra_roots.as_ref())
            .flag(self.builtin_roots)
            .maybe(client.map(|client| &client.certificate))
            .maybe(client.map(|client| client.key.reveal()))
    }

    /// Writes it as TOML, its secret hidden.
    pub(super) fn write(&self, page: &mut TomlWriter) {
        page.header("[tls]");
        page.maybe("ca_file", self.ca_file.as_deref().map(path));
        page.entry("builtin_roots", self.builtin_roots);
        if self.builtin_roots {
            page.entry("system_roots", self.system_roots);
        }
        if let Some(client) = &self.client {
            let certificate = client.certificate_file.as_deref().map(path);
            page.entry("client_cert", certificate.unwrap_or_else(|| toml_string(&client.certificate)));
            page.entry("client_key", client.key_file.as_deref().map_or_else(|| toml_string(HIDDEN), path));
        }
    }
}

pub(super) fn read(mut section: Section<'_>, files: &Files<'_>) -> Tls {
    let ca_file = section.take("ca_file");
    let found = ca_file.and_then(|value| read_certificates(&value, files));
    let builtin = section.take("builtin_roots");
    let builtin_roots = builtin.and_then(|value| value.flag()).unwrap_or(true);
    if let Some(value) = builtin.filter(|_| !builtin_roots && ca_file.is_none()) {
        value.refuse::<()>("without ca_file, no server could be trusted");
    }
    let system = section.take("system_roots");
    let system_roots = system.and_then(|value| value.flag()).unwrap_or(builtin_roots);
    if let Some(value) = system.filter(|_| system_roots && !builtin_roots) {
        value.refuse_key::<()>("never counts with builtin_roots = false");
    }
    let client = read_client(&mut section, files);
    section.finish();
    let (ca_file, extra_roots) = found.unzip();
    Tls { ca_file, extra_roots, builtin_roots, system_roots, client }
}

/// Each key is a path, or the PEM text itself.
fn read_client(section: &mut Section<'_>, files: &Files<'_>) -> Option<ClientCertificate> {
    let certificate = section.take("client_cert");
    let key = match (section.take("client_key"), section.take("client_key_file")) {
        (Some(_), Some(file)) => {
            return file.refuse_key("\"client_key\" is given too; keep one of the two");
        }
        (key, file) => key.or(file),
    };
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        (Some(value), None) => return value.refuse_key("needs its private key, client_key"),
        (None, Some(value)) => return value.refuse_key("needs its certificate, client_cert"),
    };
    let certificate_text = pem(files, &certificate, "CERTIFICATE-----");
    let key_text = pem(files, &key, "PRIVATE KEY-----");
    let ((certificate_file, certificate), (key_file, key)) = certificate_text.zip(key_text)?;
    if key_file.is_none() {
        files.saw_inline_secret();
    }
    Some(ClientCertificate { certificate_file, certificate, key_file, key: Secret::new(key) })
}

fn read_certificates(value: &Value<'_>, files: &Files<'_>) -> Option<(PathBuf, String)> {
    let (path, text) = files.read(value)?;
    let begins = text.find("-----BEGIN CERTIFICATE-----");
    let ends = text.find("-----END CERTIFICATE-----");
    match begins.zip(ends) {
        Some((begins, ends)) if begins < ends => Some((path, text)),
        _ => value.refuse("expected certificates in PEM form (-----BEGIN CERTIFICATE-----) in this file"),
    }
}

/// A text in PEM form with a part that bears `label`: the value itself, or
/// that of the file it names.
fn pem(files: &Files<'_>, value: &Value<'_>, label: &str) -> Option<(Option<PathBuf>, String)> {
    let text = value.hidden_text()?;
    let (path, text) = if text.contains("-----") {
        (None, text.to_owned())
    } else {
        (Some(files.folder.join(text)), files.read_secret(value)?)
    };
    let begins = text.find("-----BEGIN ").and_then(|at| text.get(at..)).is_some_and(|t| t.contains(label));
    if begins && text.contains("-----END ") {
        return Some((path, text));
    }
    value.refuse_hidden(&format!("expected PEM text (-----BEGIN {label}), or the path of a file with it"))
}
