//! The roots that this system trusts, for servers whose issuer the built-in roots do
//! not know: company proxies and CAs that were installed for all programs. Read only
//! then, since they take half a megabyte.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// All that can be read of them; damaged certificates are passed over.
pub(super) fn read() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates());
    roots
}

/// Windows and macOS keep them behind an interface of their own.
#[cfg(any(windows, target_os = "macos"))]
fn certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

#[cfg(not(any(windows, target_os = "macos")))]
fn certificates() -> Vec<CertificateDer<'static>> {
    use std::fs::File;
    use std::io::Read as _;
    use std::path::PathBuf;

    use rustls::pki_types::pem::PemObject as _;

    /// Where distributions keep them: Debian, Fedora, SUSE, Alpine and OpenWrt, RHEL.
    const BUNDLES: [&str; 5] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ];
    /// The usual bundle has 220 kB.
    const MAX_BUNDLE: u64 = 2 * 1024 * 1024;

    let given = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let path = given.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let mut text = Vec::new();
    if let Some(file) = path.filter(|path| path.is_file()).and_then(|path| File::open(path).ok()) {
        // What was read before an error is better than nothing.
        let _ = file.take(MAX_BUNDLE).read_to_end(&mut text);
    }
    CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect()
}
