//! Whose certificate is believed, and a certificate of our own.

use super::*;

#[test]
fn a_ca_file_is_trusted_beside_or_instead_of_the_built_in_roots() {
    let ca = Authority::new();
    let port = serve_tls(ca.server("localhost", |_| {}));
    for builtin_roots in [true, false] {
        assert_eq!(fetch_tls(&ca.web(builtin_roots), "localhost", port).as_deref(), Ok("good"));
    }
    let by_address = serve_tls(ca.server("127.0.0.1", |_| {}));
    assert_eq!(fetch_tls(&ca.web(true), "127.0.0.1", by_address).as_deref(), Ok("good"));
}

#[test]
fn certificates_that_prove_nothing_are_refused() {
    let ca = Authority::new();
    let fine = serve_tls(ca.server("localhost", |_| {}));
    let expired = serve_tls(ca.server("localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }));
    let early = serve_tls(ca.server("localhost", |params| params.not_before = date_time_ymd(4000, 1, 1)));
    let authority = serve_tls(ca.server("localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut tcp = listener.accept().unwrap().0;
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    for (web, host, port, why) in [
        (web(), "localhost", fine, "unknown issuer; for a CA of your own set ca_file"),
        (Authority::new().web(false), "localhost", fine, "not signed by the CA that it names"),
        (ca.web(true), "127.0.0.1", fine, "for another name"),
        (ca.web(true), "localhost", expired, "has expired, or this machine's clock is wrong"),
        (ca.web(true), "localhost", early, "not yet valid: check this machine's clock"),
        (ca.web(true), "localhost", authority, "with CA:FALSE"),
        (ca.web(true), "localhost", plain, "does not speak TLS"),
    ] {
        let told = fetch_tls(&web, host, port).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}

/// Run by the test below with the system's roots in a file of its own.
#[test]
#[ignore = "needs its environment"]
fn with_system_roots() {
    let port = std::env::var("DDNS_TEST_PORT").unwrap().parse().unwrap();
    for (system_roots, builtin_roots, fine) in
        [(true, true, true), (false, true, false), (true, false, false)]
    {
        let extra_roots = (!builtin_roots).then(|| Authority::new().pem);
        let tls = Tls { system_roots, builtin_roots, extra_roots, ..Tls::default() };
        let answer = fetch_tls(&HttpClient::new(&tls).unwrap(), "localhost", port);
        assert_eq!(answer.is_ok(), fine, "{answer:?}");
    }
    let told = fetch_tls(&web(), "127.0.0.1", port).unwrap_err();
    assert!(told.contains("for another name"), "{told}");
}

#[test]
fn the_roots_of_the_system_are_asked_about_unknown_issuers() {
    let ca = Authority::new();
    let port = serve_tls(ca.server("localhost", |_| {}));
    let path = std::env::temp_dir().join(format!("ddns-system-roots-{}.pem", std::process::id()));
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&path, format!("{damaged}{}", ca.pem)).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.env("SSL_CERT_FILE", &path).env("DDNS_TEST_PORT", port.to_string());
    only_test(&mut child, module_path!(), "with_system_roots");
    let passed = passed_alone(&mut child);
    std::fs::remove_file(&path).unwrap();
    assert!(passed);
}

/// A client's certificate and key.
fn client_certificate(ca: &Authority) -> ClientCertificate {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["client".to_owned()]).unwrap().signed_by(&key, &ca.issuer);
    ClientCertificate {
        certificate_file: None,
        certificate: certificate.unwrap().pem(),
        key_file: None,
        key: Secret::new(key.serialize_pem()),
    }
}

/// A server that talks only to clients with a certificate of `ca`.
fn mutual(ca: &Authority, versions: &[&'static SupportedProtocolVersion]) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca.issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    serve_tls(Arc::new(config))
}

#[test]
fn a_client_certificate_opens_a_server_that_wants_one() {
    let ca = Authority::new();
    let with = |client| {
        HttpClient::new(&Tls { extra_roots: Some(ca.pem.clone()), client, ..Tls::default() })
            .map_err(|error| error.to_string())
    };
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let port = mutual(&ca, versions);
        let ours = with(Some(client_certificate(&ca))).unwrap();
        assert_eq!(fetch_tls(&ours, "localhost", port).as_deref(), Ok("good"));
        let request = get(format!("https://localhost:{port}/"));
        let none = with(None).unwrap().send(&request, PATIENT).unwrap_err();
        let other = with(Some(client_certificate(&Authority::new()))).unwrap();
        let other = other.send(&request, PATIENT).unwrap_err();
        for failed in [none, other] {
            // The alert may be lost with the connection.
            let told = ["client certificate", "refused our TLS", "broke the connection off"];
            assert!(told.iter().any(|words| failed.why.contains(words)), "{}", failed.why);
        }
    }
    let mixed = ClientCertificate { key: client_certificate(&ca).key, ..client_certificate(&ca) };
    assert!(with(Some(mixed)).unwrap_err().contains("not that of client_cert's first certificate"));
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned();
    let damaged = ClientCertificate { key: Secret::new(damaged), ..client_certificate(&ca) };
    assert!(with(Some(damaged)).unwrap_err().contains("client_key"));
}

#[test]
fn certificates_of_more_than_32_kib_are_refused() {
    let ca = Authority::new();
    // Each further name, with its tag and length, takes 33 bytes of the certificate.
    let names = |count: usize| {
        let name = |number| format!("n{number:05}.of-a-large-provider.test").try_into().unwrap();
        let names: Vec<_> = (0..count).map(|number| SanType::DnsName(name(number))).collect();
        ca.server("localhost", |params| params.subject_alt_names.extend(names))
    };
    let told = fetch_tls(&ca.web(false), "localhost", serve_tls(names(1100))).unwrap_err();
    assert!(told.contains("more than 32 KiB came without a part of an answer"), "{told}");
    // What came before the answer leaves room for records of 16 KiB.
    let port = serve(Some(names(900)), |_, stream| {
        let body = "x".repeat(30_000);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n{body}");
        let _ = stream.flush();
    });
    assert_eq!(fetch_tls(&ca.web(false), "localhost", port).map(|body| body.len()), Ok(30_000));
}
