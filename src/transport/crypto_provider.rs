//! The cryptography that TLS may use here: what servers must or commonly do
//! speak, and no more, so that the rest is not in the program.
//!
//! AES-GCM is the only cipher: every server must have it (TLS 1.3: RFC 8446,
//! section 9.1; TLS 1.2: RFC 9325, section 4.2), and ChaCha20 would cost 60 kB for
//! a second way of sending a few hundred bytes. Signatures are those of rustls'
//! own list for ring.

use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::crypto::ring::{cipher_suite, kx_group, sign};
use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms};
use rustls::pki_types::{PrivateKeyDer, SignatureVerificationAlgorithm};
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme};
use webpki::ring as algorithms;

/// For one [`ClientConfig`](rustls::ClientConfig).
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Ring,
        key_provider: &Ring,
    }
}

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

const ECDSA_SHA256: Algorithms = &[algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256];
const ECDSA_SHA384: Algorithms = &[algorithms::ECDSA_P384_SHA384, algorithms::ECDSA_P256_SHA384];
const PSS_SHA256: Algorithms = &[algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY];
const PSS_SHA384: Algorithms = &[algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY];
const PSS_SHA512: Algorithms = &[algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY];
const PKCS1_SHA256: Algorithms = &[algorithms::RSA_PKCS1_2048_8192_SHA256];
const PKCS1_SHA384: Algorithms = &[algorithms::RSA_PKCS1_2048_8192_SHA384];
const PKCS1_SHA512: Algorithms = &[algorithms::RSA_PKCS1_2048_8192_SHA512];
const ED25519: Algorithms = &[algorithms::ED25519];

/// In certificates: any of `all`. In the handshake: those of the scheme that the
/// server names; of two the first is TLS 1.3's, which fixes the curve (RFC 8446,
/// section 4.2.3), while TLS 1.2 leaves it open.
static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        algorithms::ECDSA_P256_SHA256,
        algorithms::ECDSA_P256_SHA384,
        algorithms::ECDSA_P384_SHA256,
        algorithms::ECDSA_P384_SHA384,
        algorithms::ED25519,
        algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        algorithms::RSA_PKCS1_2048_8192_SHA256,
        algorithms::RSA_PKCS1_2048_8192_SHA384,
        algorithms::RSA_PKCS1_2048_8192_SHA512,
        algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP384_SHA384, ECDSA_SHA384),
        (SignatureScheme::ECDSA_NISTP256_SHA256, ECDSA_SHA256),
        (SignatureScheme::ED25519, ED25519),
        (SignatureScheme::RSA_PSS_SHA512, PSS_SHA512),
        (SignatureScheme::RSA_PSS_SHA384, PSS_SHA384),
        (SignatureScheme::RSA_PSS_SHA256, PSS_SHA256),
        (SignatureScheme::RSA_PKCS1_SHA512, PKCS1_SHA512),
        (SignatureScheme::RSA_PKCS1_SHA384, PKCS1_SHA384),
        (SignatureScheme::RSA_PKCS1_SHA256, PKCS1_SHA256),
    ],
};

/// Randomness and the keys of client certificates, from ring.
#[derive(Debug)]
struct Ring;

impl SecureRandom for Ring {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        sign::any_supported_type(&key)
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::default_provider;

    use super::*;

    #[test]
    fn all_but_one_cipher_is_as_in_rustls() {
        let (ours, theirs) = (provider(), default_provider());
        let names = |provider: &CryptoProvider| {
            provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect::<Vec<_>>()
        };
        let without: Vec<_> = names(&theirs).into_iter().filter(|name| !name.contains("CHACHA20")).collect();
        assert_eq!(names(&ours), without);
        let groups = |provider: &CryptoProvider| {
            provider.kx_groups.iter().map(|group| group.name()).collect::<Vec<_>>()
        };
        assert_eq!(groups(&ours), groups(&theirs));
    }

    #[test]
    fn signatures_are_as_in_rustls() {
        let theirs = default_provider().signature_verification_algorithms;
        assert_eq!(SIGNATURES.supported_schemes(), theirs.supported_schemes());
        let ids = |algorithms: &[&dyn SignatureVerificationAlgorithm]| {
            algorithms
                .iter()
                .map(|algorithm| (algorithm.public_key_alg_id(), algorithm.signature_alg_id()))
                .collect::<Vec<_>>()
        };
        for ((scheme, ours), (_, theirs)) in SIGNATURES.mapping.iter().zip(theirs.mapping) {
            assert_eq!(ids(ours), ids(theirs), "{scheme:?}");
        }
        assert_eq!(ids(SIGNATURES.all), ids(theirs.all));
    }
}
