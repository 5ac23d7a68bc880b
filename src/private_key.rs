//! Private keys out of PEM.

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};

/// Why a text holds no private key that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Another file, perhaps.
    None,
    /// Nobody is here to type a password.
    Encrypted,
    /// Cut off, or edited.
    Damaged,
}

/// The first private key of a text in PEM: PKCS #8, PKCS #1 or SEC 1.
pub(crate) fn read(text: &[u8]) -> Result<PrivateKeyDer<'static>, Unreadable> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        _ if is_encrypted(text) => Unreadable::Encrypted,
        pem::Error::NoItemsFound => Unreadable::None,
        _ => Unreadable::Damaged,
    })
}

/// PKCS #8 has a label of its own for it (RFC 7468, section 11), and older forms a header below theirs (RFC 1421).
fn is_encrypted(text: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    text.split(|byte| *byte == b'\n')
        .any(|line| marks.contains(&line.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    const ENCRYPTED_RSA: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_text_without_a_key_says_why() {
        let unreadable = |text: &str| read(text.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(unreadable(""), Unreadable::None);
        assert_eq!(unreadable(CERTIFICATE), Unreadable::None);
        assert_eq!(unreadable(ENCRYPTED), Unreadable::Encrypted);
        assert_eq!(unreadable(ENCRYPTED_RSA), Unreadable::Encrypted);
        assert_eq!(
            unreadable(&ENCRYPTED.replace("ENCRYPTED ", "").replace("AAAA", "A!")),
            Unreadable::Damaged
        );
        assert_eq!(unreadable("-----BEGIN PRIVATE KEY-----\nAAAA\n"), Unreadable::Damaged);
    }
}
