//! Certificates, and clients of TLS on rustls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use worker_server::tls::certificates::PemPair;
use worker_server::tls::secure_context::{Material, MinVersion, SecureContext};

use super::client::{TEXT, frame, registration, upgrade};
use super::soon;

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Each has a name of its own, so that a client knows it from another.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`, and its key.
    pub fn sign(&self, name: &str) -> PemPair {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        PemPair { cert: certificate.pem().into(), key: key.serialize_pem().into() }
    }

    /// A server's context with a certificate for `localhost`.
    pub fn context(&self) -> SecureContext {
        context(&self.material())
    }

    /// What that is made of.
    pub fn material(&self) -> Material {
        Material {
            pair: self.sign("localhost"),
            ca: None,
            request_cert: false,
            reject_unauthorized: true,
            min_version: MinVersion::Tls12,
            sni: Vec::new(),
        }
    }

    /// A client that trusts this authority.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], shown: Option<&PemPair>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        match shown {
            None => builder.with_no_client_auth(),
            Some(PemPair { cert, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(cert).expect("a certificate")];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key).expect("a key"))
                    .expect("a pair")
            }
        }
    }
}

pub fn context(material: &Material) -> SecureContext {
    SecureContext::new(material).expect("a context")
}

/// A handshake with the name `localhost`.
pub async fn connect(port: u16, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    connect_as(port, config, "localhost").await
}

/// A handshake that asks for `name`.
pub async fn connect_as(port: u16, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let tcp = soon(TcpStream::connect(("127.0.0.1", port))).await?;
    soon(TlsConnector::from(Arc::clone(config)).connect(name, tcp)).await
}

/// Connects, upgrades and registers `id`, and reads the ack.
pub async fn registered(port: u16, config: &Arc<ClientConfig>, id: &str) -> TlsStream<TcpStream> {
    let mut stream = connect(port, config).await.expect("a handshake");
    let bytes = [upgrade("/").as_bytes(), &frame(TEXT, registration(id).as_bytes())].concat();
    soon(stream.write_all(&bytes)).await.expect("the bytes leave");
    read_until(&mut stream, "\"success\":true").await;
    stream
}

/// Reads until `text` has come.
pub async fn read_until(stream: &mut TlsStream<TcpStream>, text: &str) {
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains(text) {
        received.push(soon(stream.read_u8()).await.expect("more"));
    }
}

/// A client's configuration that remembers no session.
pub fn forgetful(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
