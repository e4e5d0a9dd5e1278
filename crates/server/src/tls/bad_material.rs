//! What is wrong with a certificate or a key, without showing any of it.

/// Why material can't be used. Never holds any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMaterial {
    /// The member of the material that is wrong, as the option `tls` names it: `cert`, `key`, `ca`,
    /// `sni["a.example"].key`.
    pub member: String,
    /// What is wrong: completes a sentence that begins with the member.
    pub problem: &'static str,
}

impl BadMaterial {
    pub(super) fn new(member: impl Into<String>, problem: &'static str) -> Self {
        Self { member: member.into(), problem }
    }
}
