//! The key of an account, for venues that take no connection without a signature.

use crate::private_key::{self, Unreadable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The key of an account: an id that the venue has given to it, and a private RSA key. Cheap to clone; `Debug` shows nothing of
/// it.
///
/// ```
/// use feedwatch::venue::{ApiKey, InvalidApiKey};
///
/// let none = ApiKey::from_pem("6f1c", b"no key");
/// assert_eq!(none.unwrap_err(), InvalidApiKey::None);
/// ```
#[derive(Clone)]
pub struct ApiKey(Arc<Key>);

struct Key {
    id: String,
    der: PrivateKeyDer<'static>,
    pair: RsaKeyPair,
}

/// Why an id and a text are no key that can sign. The message repeats nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidApiKey {
    /// It is sent as a header.
    #[error("the key's id is empty, too long or no plain text; must be 1 to 256 visible ASCII characters")]
    Id,
    /// Another file, perhaps.
    #[error("holds no private key; must be a file with one, in PEM")]
    None,
    /// Nobody is here to type a password.
    #[error("the key is encrypted; decrypt it first, as `openssl pkey` does, and keep the file to yourself")]
    Encrypted,
    /// Cut off, or edited.
    #[error("the key is damaged; must be a file with a private key, in PEM")]
    Damaged,
    /// One of another kind.
    #[error("the key is not one of RSA; must be the RSA key that the venue gave to the account")]
    NotRsa,
    /// RSA, and too small or otherwise odd.
    #[error("the key cannot be used; must be an RSA key of 2048 to 4096 bits")]
    Unusable,
}

impl ApiKey {
    /// The longest id.
    const MOST_ID: usize = 256;

    /// The key with that id: PKCS #8 or PKCS #1, not encrypted, in PEM.
    pub fn from_pem(id: &str, text: &[u8]) -> Result<Self, InvalidApiKey> {
        let is_visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || id.len() > Self::MOST_ID {
            return Err(InvalidApiKey::Id);
        }
        let der = private_key::read(text).map_err(|why| match why {
            Unreadable::None => InvalidApiKey::None,
            Unreadable::Encrypted => InvalidApiKey::Encrypted,
            Unreadable::Damaged => InvalidApiKey::Damaged,
        })?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(InvalidApiKey::NotRsa),
        };
        let pair = pair.map_err(|rejected| match rejected.to_string().as_str() {
            "WrongAlgorithm" => InvalidApiKey::NotRsa,
            "InvalidEncoding" => InvalidApiKey::Damaged,
            _ => InvalidApiKey::Unusable,
        })?;
        let id = id.to_owned();
        Ok(Self(Arc::new(Key { id, der, pair })))
    }

    /// What the venue calls it.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The signature of a message, in Base64: RSA-PSS with SHA-256, and a salt as long as the digest. `None` = the system has no
    /// randomness to give.
    pub fn sign(&self, message: &[u8]) -> Option<String> {
        let pair = &self.0.pair;
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .ok()?;
        Some(STANDARD.encode(signature))
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.id == other.0.id && self.0.der == other.0.der
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::{Kalshi, Venue};
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

    /// Made for these tests by `openssl genrsa`, and of no account.
    const PKCS8: &[u8] = include_bytes!("../../tests/fixtures/kalshi/key.pem");
    /// The same as `openssl pkey -traditional` writes it.
    const PKCS1: &[u8] = include_bytes!("../../tests/fixtures/kalshi/key-pkcs1.pem");
    const EC: &[u8] = include_bytes!("../../tests/fixtures/kalshi/key-ec.pem");

    #[test]
    fn an_upgrade_is_signed_so_that_the_public_key_says_so() {
        let key = ApiKey::from_pem("6f1c-77", PKCS8).unwrap();
        let headers = Kalshi.sign_upgrade(&key, "/trade-api/ws/v2?a=b", 1_767_225_600_123);
        let [(id, of), (signature, signed), (time, at)] = &*headers else {
            panic!("{headers:?}")
        };
        assert_eq!(
            (*id, *signature, *time),
            (
                "KALSHI-ACCESS-KEY",
                "KALSHI-ACCESS-SIGNATURE",
                "KALSHI-ACCESS-TIMESTAMP"
            )
        );
        assert_eq!((of.as_str(), at.as_str()), ("6f1c-77", "1767225600123"));
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.0.pair.public().as_ref());
        let signature = STANDARD.decode(signed).unwrap();
        public.verify(b"1767225600123GET/trade-api/ws/v2", &signature).unwrap();
        assert!(public.verify(b"1767225600124GET/trade-api/ws/v2", &signature).is_err());
    }

    #[test]
    fn both_forms_hold_the_same_key_and_nothing_is_shown() {
        let (key, same) = (
            ApiKey::from_pem("a", PKCS8).unwrap(),
            ApiKey::from_pem("a", PKCS1).unwrap(),
        );
        assert_eq!(key.0.pair.public().as_ref(), same.0.pair.public().as_ref());
        assert_eq!(key, key.clone());
        assert_ne!(key, ApiKey::from_pem("b", PKCS8).unwrap());
        assert_eq!(format!("{key:?}"), "ApiKey { .. }");
    }

    #[test]
    fn what_cannot_sign_says_why() {
        let wrong = |id: &str, text: &[u8]| ApiKey::from_pem(id, text).unwrap_err();
        assert_eq!(wrong("", PKCS8), InvalidApiKey::Id);
        assert_eq!(wrong("a b", PKCS8), InvalidApiKey::Id);
        assert_eq!(wrong("a", b""), InvalidApiKey::None);
        assert_eq!(wrong("a", EC), InvalidApiKey::NotRsa);
        assert_eq!(wrong("a", &PKCS8[..200]), InvalidApiKey::Damaged);
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(wrong("a", encrypted), InvalidApiKey::Encrypted);
        let nonsense = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(wrong("a", nonsense), InvalidApiKey::Damaged);
    }
}
