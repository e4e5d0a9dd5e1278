//! What handshakes go by: made of the application's material, or refused with what is wrong with it.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientCertVerifierBuilder, NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};

pub use super::bad_material::BadMaterial;
use super::certificates::{Certificates, PemPair};

/// The only protocol that is spoken over TLS here.
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

static FROM_TLS12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
static FROM_TLS13: [&SupportedProtocolVersion; 1] = [&TLS13];

/// The oldest version of TLS that is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl MinVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// Its name, as Node has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => &FROM_TLS12,
            Self::Tls13 => &FROM_TLS13,
        }
    }
}

/// What holds where a member of the material is missing.
pub mod defaults {
    /// [`Material::request_cert`](super::Material::request_cert).
    pub const REQUEST_CERT: bool = false;
    /// [`Material::reject_unauthorized`](super::Material::reject_unauthorized).
    pub const REJECT_UNAUTHORIZED: bool = true;
}

/// What a context is made of. Everything is PEM.
pub struct Material {
    /// The certificate chain and its key, for names that are not in `sni`.
    pub pair: PemPair,
    /// Certificates of the authorities whose client certificates are accepted.
    pub ca: Option<Vec<u8>>,
    /// Whether clients are asked for a certificate. Then `ca` must be there.
    pub request_cert: bool,
    /// Whether clients without a certificate are refused, where one is asked for. One that is shown must verify in any
    /// case.
    pub reject_unauthorized: bool,
    /// The oldest version that is accepted.
    pub min_version: MinVersion,
    /// Certificate chains and keys by host name; `*.` in front stands for one label.
    pub sni: Vec<(String, PemPair)>,
}

/// What handshakes go by. Cheap to clone. It has ticket keys of its own, so a session of another context is not
/// resumed.
#[derive(Clone)]
pub struct SecureContext(pub(super) Arc<ServerConfig>);

impl fmt::Debug for SecureContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureContext")
    }
}

impl SecureContext {
    /// A context of this material.
    ///
    /// # Errors
    /// If any of it can't be used.
    pub fn new(material: &Material) -> Result<Self, BadMaterial> {
        let provider = Arc::new(ring::default_provider());
        let certificates = Certificates::new(&material.pair, &material.sni, &provider)?;
        let cannot = |_| BadMaterial::new("minVersion", "can't be spoken by this build");
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(material.min_version.versions())
            .map_err(cannot)?;
        let builder = match client_verifier(material, provider)? {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(
                verifier
                    .build()
                    .map_err(|_| BadMaterial::new("ca", "has no certificate that can be an authority's"))?,
            ),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        // Tickets alone: they cost this side no memory, however many clients there are.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer =
            Ticketer::new().map_err(|_| BadMaterial::new("key", "found the system without randomness"))?;
        Ok(Self(Arc::new(config)))
    }
}

/// Who judges the certificates of clients, if they are asked for one. Authorities that can't be used are found in any
/// case.
fn client_verifier(
    material: &Material,
    provider: Arc<CryptoProvider>,
) -> Result<Option<ClientCertVerifierBuilder>, BadMaterial> {
    let roots = material.ca.as_deref().map(authorities).transpose()?;
    if !material.request_cert {
        return Ok(None);
    }
    let roots = roots.ok_or_else(|| BadMaterial::new("ca", "must be there where requestCert is true"))?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(Some(if material.reject_unauthorized { builder } else { builder.allow_unauthenticated() }))
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, BadMaterial> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| BadMaterial::new("ca", "must be certificates in PEM"))?;
        roots.add(certificate).map_err(|_| BadMaterial::new("ca", "has a certificate that can't be read"))?;
    }
    if roots.is_empty() {
        return Err(BadMaterial::new("ca", "must be certificates in PEM"));
    }
    Ok(roots)
}
