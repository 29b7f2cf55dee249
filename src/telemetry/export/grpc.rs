//! OTLP over gRPC, which needs a runtime: it has one of its own, so that a
//! flush from the program's runtime cannot wait for itself.

use std::{fs, time::Duration};

use opentelemetry_otlp::{
    Compression, RetryPolicy, WithExportConfig, WithTonicConfig,
    tonic_types::{
        metadata::MetadataMap,
        transport::{Certificate, ClientTlsConfig},
    },
};
use tokio::runtime::{Builder, Runtime};

use super::client;
use crate::{Error, telemetry::config::Otlp};

pub(super) fn runtime() -> Result<Runtime, Error> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("export-grpc");
    builder.enable_all().build().map_err(Error::Start)
}

pub(super) fn configure<B: WithExportConfig + WithTonicConfig>(
    builder: B,
    otlp: &Otlp,
    timeout: Duration,
) -> Result<B, Error> {
    let mut builder = builder
        .with_endpoint(&otlp.endpoint.0)
        .with_protocol(opentelemetry_otlp::Protocol::Grpc)
        .with_timeout(timeout)
        .with_retry_policy(RetryPolicy::recommended())
        .with_metadata(MetadataMap::from_headers(
            otlp.headers.iter().cloned().collect(),
        ));
    if otlp.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    if otlp.endpoint.0.starts_with("https") {
        builder = builder.with_tls_config(tls(otlp)?);
    }
    Ok(builder)
}

fn tls(otlp: &Otlp) -> Result<ClientTlsConfig, Error> {
    let Some(path) = &otlp.certificate else {
        return Ok(ClientTlsConfig::new().with_enabled_roots());
    };
    // Read twice, since this is where a file that cannot be used is told.
    client::roots(path)?;
    let pem = fs::read(path).map_err(Error::Start)?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}
