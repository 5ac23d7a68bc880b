//! TLS for `wss`: rustls with the system's roots, or Mozilla's where the system has none; or with others, and with a certificate
//! of this side.

mod pem;

#[cfg(feature = "service")]
pub(crate) use pem::certificates;
pub use pem::{Authorities, ClientIdentity, InvalidCertificates, InvalidIdentity, InvalidKey};

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use x509_cert::der::Decode;

/// Whom to trust, and as whom to come; cheap to clone, and made once for all streams since reading the system's roots is not
/// cheap.
///
/// ```
/// use feedwatch::stream::TlsTrust;
///
/// let public = TlsTrust::system().unwrap();
/// let nobody = TlsTrust::only([]).unwrap();
/// assert!(TlsTrust::only([b"no certificate".to_vec()]).is_err());
/// ```
#[derive(Clone)]
pub struct TlsTrust {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

impl TlsTrust {
    /// The system's root certificates, or Mozilla's where the system has none.
    pub fn system() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self::with(Arc::new(roots), None)
    }

    /// These root certificates (DER) and no others.
    pub fn only(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(CertificateDer::from(certificate))?;
        }
        Self::with(Arc::new(roots), None)
    }

    /// These authorities and no others.
    pub fn authorities(authorities: &Authorities) -> Result<Self, rustls::Error> {
        Self::with(authorities.roots(), None)
    }

    /// The same, with a certificate of this side for venues that ask for one. Sessions are not shared with others: one that is
    /// resumed goes on as whoever began it.
    pub fn with_identity(self, identity: &ClientIdentity) -> Result<Self, rustls::Error> {
        Self::with(self.roots, Some(identity))
    }

    /// For other connections that trust the same.
    #[cfg(feature = "service")]
    pub(crate) fn into_config(self) -> ClientConfig {
        Arc::unwrap_or_clone(self.config)
    }

    fn with(roots: Arc<RootCertStore>, identity: Option<&ClientIdentity>) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.clone());
        let config = match identity {
            Some(identity) => config.with_client_cert_resolver(identity.resolver()),
            None => config.with_no_client_auth(),
        };
        Ok(Self {
            roots,
            config: Arc::new(config),
        })
    }

    pub(super) async fn handshake<Io: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        io: Io,
    ) -> io::Result<TlsStream<Io>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.config.clone()).connect(name, io).await
    }
}

/// When the peer's certificate ends, in seconds since the Unix epoch.
pub(super) fn certificate_end<Io>(stream: &TlsStream<Io>) -> Option<i64> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    i64::try_from(end.as_secs()).ok()
}

/// A byte stream with or without TLS, of either side.
pub(crate) struct MaybeTls<Io> {
    layer: Layer<Io>,
    bytes_read: u64,
}

enum Layer<Io> {
    Plain(Io),
    Tls(Box<tokio_rustls::TlsStream<Io>>),
}

impl<Io> MaybeTls<Io> {
    pub(crate) const fn plain(io: Io) -> Self {
        Self::over(Layer::Plain(io))
    }

    pub(crate) fn secured(stream: impl Into<tokio_rustls::TlsStream<Io>>) -> Self {
        Self::over(Layer::Tls(Box::new(stream.into())))
    }

    const fn over(layer: Layer<Io>) -> Self {
        Self { layer, bytes_read: 0 }
    }

    /// All that was read, without what TLS adds.
    pub(super) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// What carries it.
    #[cfg(feature = "service")]
    pub(crate) fn carrier(&self) -> &Io {
        match &self.layer {
            Layer::Plain(io) => io,
            Layer::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = buf.filled().len();
        let read = match &mut this.layer {
            Layer::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Layer::Tls(io) => Pin::new(io).poll_read(cx, buf),
        };
        this.bytes_read += (buf.filled().len() - filled) as u64;
        read
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTls<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layer {
            Layer::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Layer::Tls(io) => match Pin::new(&mut *io).poll_write(cx, bytes) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(last_word(io, cx).unwrap_or(error))),
                written => written,
            },
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(io) => Pin::new(io).poll_flush(cx),
            Layer::Tls(io) => match Pin::new(&mut *io).poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(last_word(io, cx).unwrap_or(error))),
                flushed => flushed,
            },
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Layer::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// A peer that refuses says why, and hangs up: whoever writes then learns of the second alone, and finds the first by reading.
fn last_word<Io: AsyncRead + AsyncWrite + Unpin>(
    io: &mut tokio_rustls::TlsStream<Io>,
    cx: &mut Context<'_>,
) -> Option<io::Error> {
    let mut space = [0; 64];
    match Pin::new(io).poll_read(cx, &mut ReadBuf::new(&mut space)) {
        Poll::Ready(Err(error))
            if error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) =>
        {
            Some(error)
        }
        _ => None,
    }
}

#[cfg(all(test, feature = "service"))]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use tokio::io::AsyncWriteExt;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;

    #[tokio::test]
    async fn who_writes_to_a_peer_that_has_refused_and_left_learns_why() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["venue.example".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let trust = TlsTrust::only([certificate.der().to_vec()]).unwrap();
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(trust.roots.clone(), provider.clone());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();

        let (near, far) = tokio::io::duplex(64 * 1024);
        let refusing = tokio::spawn(TlsAcceptor::from(Arc::new(server)).accept(far).into_future());
        let secured = trust.handshake("venue.example", near).await.unwrap();
        assert!(
            refusing.await.unwrap().is_err(),
            "without a certificate nobody is let in"
        );

        let error = MaybeTls::secured(secured)
            .write_all(b"GET / HTTP/1.1")
            .await
            .unwrap_err();
        let alert = error.get_ref().unwrap().downcast_ref();
        let required = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert_eq!(alert, Some(&required), "{error}");
    }
}
