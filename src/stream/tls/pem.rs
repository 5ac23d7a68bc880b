//! Certificates and keys out of PEM: whom to trust, and as whom to come.

use crate::private_key::{self, Unreadable};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, RootCertStore};
use x509_cert::certificate::Version;
use x509_cert::der::Decode;

/// Authorities that sign the certificates of venues. Cheap to clone.
#[derive(Clone)]
pub struct Authorities(Arc<RootCertStore>);

/// A certificate of this side, the chain below it, and its key. Cheap to clone; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Identity>);

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
}

/// Why a text holds no certificates that can be used. The message repeats nothing of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidCertificates {
    /// Another file, perhaps.
    #[error("holds none; must be a file of certificates, in PEM")]
    None,
    /// Cut off, or edited.
    #[error("certificate {0} is damaged; must be a file of certificates, in PEM")]
    Damaged(usize),
    /// PEM of something else.
    #[error("certificate {0} is none that can be read: {1}")]
    Unreadable(usize, rustls::Error),
    /// An own one without extensions, as `openssl x509 -req` signs it unless it is told of some.
    #[error(
        "certificate {0} is of X.509 version 1; must be version 3, as `openssl x509 -req` makes it with `-extfile`"
    )]
    Version1(usize),
}

/// Why a text holds no private key that can be used. The message repeats nothing of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidKey {
    /// Another file, perhaps.
    #[error("holds no private key; must be a file with one, in PEM")]
    None,
    /// Nobody is here to type a password.
    #[error("the key is encrypted; decrypt it first, as `openssl pkey` does, and keep the file to yourself")]
    Encrypted,
    /// Cut off, or edited.
    #[error("the key is damaged; must be a file with a private key, in PEM")]
    Damaged,
    /// An algorithm that is not there.
    #[error("the key cannot be used: {0}; valid: RSA of at least 2048 bits, ECDSA on P-256 or P-384, Ed25519")]
    Unusable(rustls::Error),
    /// One of the two files is another's.
    #[error("is not the key of the certificate")]
    Mismatch,
}

impl From<Unreadable> for InvalidKey {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::None => Self::None,
            Unreadable::Encrypted => Self::Encrypted,
            Unreadable::Damaged => Self::Damaged,
        }
    }
}

/// Why a certificate and a key are no identity.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidIdentity {
    /// For the certificate.
    #[error("client certificate: {0}")]
    Certificate(#[from] InvalidCertificates),
    /// For the key, or since the two do not fit.
    #[error("client key: {0}")]
    Key(#[from] InvalidKey),
}

/// The certificates of a text in PEM, at least one. Whatever else it holds is left out.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificates> {
    let found: Vec<_> = (1..)
        .zip(CertificateDer::pem_slice_iter(text))
        .map(|(number, found)| found.map_err(|_| InvalidCertificates::Damaged(number)))
        .collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(InvalidCertificates::None);
    }
    Ok(found)
}

impl Authorities {
    /// All certificates of a text in PEM, at least one.
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidCertificates> {
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(certificates(text)?) {
            let added = roots.add(certificate);
            added.map_err(|error| InvalidCertificates::Unreadable(number, error))?;
        }
        Ok(Self(Arc::new(roots)))
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        self.0.clone()
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.roots == other.0.roots
    }
}

impl Eq for Authorities {}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

impl ClientIdentity {
    /// A certificate, followed by those that lead from it to an authority, and its private key: PKCS #8, PKCS #1 or SEC 1, not
    /// encrypted; both in PEM.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, InvalidIdentity> {
        let chain = certificates(certificate)?;
        let key = private_key::read(key).map_err(InvalidKey::from)?;
        let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => InvalidKey::Mismatch.into(),
            rustls::Error::InvalidCertificate(_) if chain.first().is_some_and(is_version_1) => {
                InvalidIdentity::from(InvalidCertificates::Version1(1))
            }
            rustls::Error::InvalidCertificate(_) => InvalidCertificates::Unreadable(1, error).into(),
            error => InvalidKey::Unusable(error).into(),
        })?;
        Ok(Self(Arc::new(Identity {
            chain,
            key,
            certified: Arc::new(certified),
        })))
    }

    /// Whether both show the same certificate, whatever the keys.
    pub fn has_certificate_of(&self, other: &Self) -> bool {
        self.0.chain == other.0.chain
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(SingleCertAndKey::from(self.0.certified.clone()))
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.chain == other.0.chain && self.0.key == other.0.key
    }
}

impl Eq for ClientIdentity {}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    let found = x509_cert::Certificate::from_der(certificate);
    found.is_ok_and(|found| found.tbs_certificate().version() == Version::V1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    /// The form of a certificate, and none.
    const NONSENSE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    /// Signed without extensions.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGTCBvwIUBIE4Nm6zCvtPnsY0H5VJ1NSVuPowCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMCAXDTI2MTEyOTA3NDQxNloYDzIxMjYxMTA1MDc0NDE2WjAOMQww
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQc8+MDLezou5hB
v33t5DJZnfqllMt1LOWLn3Go7c4UVhwHU+fD3gXiT5qpsphTStQFy9rntTLa4/IY
c48tZGsvMAoGCCqGSM49BAMCA0kAMEYCIQD2aRAQSJiDTrdQbqAz+EL1hdvQmeEd
uh2rTIlLG1msgQIhAInYTCnFjVcLerH45G6hVlPT1M6rdGPVvo5eh5p4Fi5B
-----END CERTIFICATE-----
";
    /// Its key, which opens nothing.
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnWV5+vVJM1kLqP3G
BQqEUcvI4AxHPyCh907BVIpcHRyhRANCAAQc8+MDLezou5hBv33t5DJZnfqllMt1
LOWLn3Go7c4UVhwHU+fD3gXiT5qpsphTStQFy9rntTLa4/IYc48tZGsv
-----END PRIVATE KEY-----
";

    #[test]
    fn a_certificate_without_extensions_is_told_from_a_damaged_one() {
        let identity = |text: &str| ClientIdentity::from_pem(text.as_bytes(), KEY.as_bytes()).unwrap_err();
        let told = identity(VERSION_1).to_string();
        assert!(
            told.starts_with("client certificate: certificate 1 is of X.509 version 1; must be version 3"),
            "{told}"
        );
        let nonsense = identity(NONSENSE);
        assert!(
            matches!(
                nonsense,
                InvalidIdentity::Certificate(InvalidCertificates::Unreadable(1, _))
            ),
            "{nonsense}"
        );
        // Nothing keeps an authority from being an old one.
        assert!(Authorities::from_pem(VERSION_1.as_bytes()).is_ok());
    }

    #[test]
    fn certificates_are_counted_where_one_is_bad() {
        let authorities = |text: &str| Authorities::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(authorities(""), InvalidCertificates::None);
        assert_eq!(authorities(ENCRYPTED), InvalidCertificates::None);
        assert_eq!(
            authorities("-----BEGIN CERTIFICATE-----\nAAAA\n"),
            InvalidCertificates::Damaged(1)
        );
        assert!(matches!(authorities(NONSENSE), InvalidCertificates::Unreadable(1, _)));
    }
}
