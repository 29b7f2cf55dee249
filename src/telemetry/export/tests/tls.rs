//! Collectors with TLS, whose certificate is of nobody that the platform knows.

use std::{fs, io::Write as _};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;

/// A collector that answers every request with a good word.
struct Tls {
    endpoint: String,
    certificate: NamedTempFile,
    _runtime: Runtime,
}

impl Tls {
    fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut certificate = NamedTempFile::new().unwrap();
        certificate.write_all(cert.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(serve(listener, acceptor));
        Self {
            endpoint: format!("https://localhost:{port}"),
            certificate,
            _runtime: runtime,
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else {
            continue;
        };
        let mut request = vec![0; 65_536];
        let mut read = 0;
        // The test sends one small request, whose body ends the span's name.
        while !request[..read].windows(6).any(|has| has == b"crunch") {
            match stream.read(&mut request[read..]).await {
                Ok(bytes) if bytes > 0 => read += bytes,
                _ => break,
            }
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        drop(stream.write_all(answer.as_bytes()).await);
        drop(stream.shutdown().await);
    }
}

#[test]
fn a_private_authority_is_trusted_where_its_file_is_named() {
    let collector = Tls::start();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint);
    let path = collector.certificate.path().to_str().unwrap();
    let time = ("OTEL_EXPORTER_OTLP_TIMEOUT", "20000");
    let trusting = [endpoint, time, ("OTEL_EXPORTER_OTLP_CERTIFICATE", path)];
    let way = Way::to(Collector::nobody(), &trusting);
    way.end(1);
    way.provider.force_flush().unwrap();
    assert_eq!(way.fate().exported, 1);

    let way = Way::to(Collector::nobody(), &[endpoint, time]);
    way.end(1);
    way.provider.force_flush().unwrap_err();
    assert_eq!(way.fate(), failed(1));
}

#[test]
fn a_file_without_certificates_ends_the_start() {
    let start = |path: &str| {
        let config = config(
            Collector::nobody(),
            &[("OTEL_EXPORTER_OTLP_CERTIFICATE", path)],
        );
        let provider = tracer_provider(&config, &resource(&config), &Arc::default());
        provider.unwrap_err().to_string()
    };
    let begin = |path: &str| {
        format!("OTEL_EXPORTER_OTLP_CERTIFICATE is `{path}`; it must be the path of a PEM file: ")
    };
    let missing = start("/no/such/file.pem");
    assert!(
        missing.starts_with(&begin("/no/such/file.pem")),
        "{missing}"
    );
    let file = NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    fs::write(path, "no certificate").unwrap();
    assert_eq!(start(path), format!("{}it has no certificate", begin(path)));
}
