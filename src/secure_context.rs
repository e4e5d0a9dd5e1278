//! [`SecureContext`] as a JavaScript class.

use napi::bindgen_prelude::{Buffer, Result};
use napi_derive::napi;

use worker_server::tls::certificates::PemPair;
use worker_server::tls::secure_context::{Material, MinVersion, SecureContext};

/// [`Material`], as `lib/server/secure-context.js` makes it.
#[napi(object, object_to_js = false)]
#[allow(missing_docs, reason = "the fields are those of Material")]
pub struct NativeMaterial {
    pub cert: Buffer,
    pub key: Buffer,
    pub ca: Option<Buffer>,
    pub request_cert: bool,
    pub reject_unauthorized: bool,
    /// Its place in [`MinVersion::ALL`].
    pub min_version: u32,
    pub sni: Vec<NativePair>,
}

/// A certificate chain and its key, for a host name.
#[napi(object, object_to_js = false)]
#[allow(missing_docs, reason = "the fields are those of Material::sni")]
pub struct NativePair {
    pub name: String,
    pub cert: Buffer,
    pub key: Buffer,
}

/// What handshakes go by.
#[napi]
pub struct NativeSecureContext(pub(super) SecureContext);

#[napi]
impl NativeSecureContext {
    /// # Errors
    /// Throws if any of the material can't be used: the code is the member of the option `tls` that is wrong, the
    /// message what is wrong with it.
    #[napi(constructor, catch_unwind)]
    pub fn new(material: NativeMaterial) -> Result<Self, String> {
        let pair = |cert: Buffer, key: Buffer| PemPair { cert: cert.into(), key: key.into() };
        let material = Material {
            pair: pair(material.cert, material.key),
            ca: material.ca.map(Into::into),
            request_cert: material.request_cert,
            reject_unauthorized: material.reject_unauthorized,
            min_version: MinVersion::ALL.get(material.min_version as usize).copied().unwrap_or_default(),
            sni: material.sni.into_iter().map(|named| (named.name, pair(named.cert, named.key))).collect(),
        };
        SecureContext::new(&material).map(Self).map_err(|bad| napi::Error::new(bad.member, bad.problem.to_owned()))
    }
}
