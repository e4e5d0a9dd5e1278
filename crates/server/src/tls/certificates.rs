//! Which certificate a client is shown, by the name that it asks for (SNI).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};

use super::bad_material::BadMaterial;

/// A certificate chain and the key of its first certificate, in PEM.
pub struct PemPair {
    /// The chain: the server's own certificate first.
    pub cert: Vec<u8>,
    /// The key: PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

/// The certificates of a server, by host name.
#[derive(Debug)]
pub struct Certificates {
    /// What is shown where no name fits, or none is asked for.
    fallback: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the `*.`.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// # Errors
    /// If any of the material can't be used.
    pub fn new(pair: &PemPair, sni: &[(String, PemPair)], provider: &CryptoProvider) -> Result<Self, BadMaterial> {
        let fallback = certified_key(pair, "", provider)?;
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for (name, pair) in sni {
            let member = format!("sni[{name:?}]");
            let (names, host) = match name.strip_prefix("*.") {
                Some(parent) => (&mut wildcards, parent),
                None => (&mut exact, name.as_str()),
            };
            let host = DnsName::try_from(host)
                .map_err(|_| BadMaterial::new(&*member, "must be named by a host name, or by *. and a host name"))?;
            let key = certified_key(pair, &format!("{member}."), provider)?;
            names.insert(host.as_ref().to_ascii_lowercase(), key);
        }
        Ok(Self { fallback, exact, wildcards })
    }

    fn find(&self, name: &str) -> &Arc<CertifiedKey> {
        let name = name.to_ascii_lowercase();
        let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcards.get(parent));
        self.exact.get(&name).or_else(parent).unwrap_or(&self.fallback)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = client_hello.server_name().map_or(&self.fallback, |name| self.find(name));
        Some(Arc::clone(found))
    }
}

/// `prefix` is put before the names of the members in an error.
fn certified_key(pair: &PemPair, prefix: &str, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, BadMaterial> {
    let bad_cert = |problem| BadMaterial::new(format!("{prefix}cert"), problem);
    let bad_key = |problem| BadMaterial::new(format!("{prefix}key"), problem);
    let chain = CertificateDer::pem_slice_iter(&pair.cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| bad_cert("must be a certificate chain in PEM"))?;
    if chain.is_empty() {
        return Err(bad_cert("must be a certificate chain in PEM"));
    }
    // An encrypted one is either no item that is known, or one whose head is no base64.
    let key = PrivateKeyDer::from_pem_slice(&pair.key)
        .map_err(|_| bad_key("must be a private key in PEM that is not encrypted"))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| bad_key("must be an RSA key of 2,048 to 8,192 bits, or a key of P-256, P-384 or Ed25519"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(bad_key("must be the key of the certificate"))
        }
        Ok(()) | Err(Error::InconsistentKeys(_)) => Ok(Arc::new(certified)),
        // Such as one of X.509 version 1, which can't be verified here but well by clients.
        Err(_) if holds_key(&certified.cert, &*certified.key) => Ok(Arc::new(certified)),
        Err(_) => Err(bad_cert("has a certificate that can't be read")),
    }
}

/// Whether the public key stands somewhere in the first certificate.
fn holds_key(chain: &[CertificateDer<'_>], key: &dyn SigningKey) -> bool {
    let (Some(certificate), Some(public_key)) = (chain.first(), key.public_key()) else { return false };
    certificate.windows(public_key.len()).any(|bytes| bytes == public_key.as_ref())
}
