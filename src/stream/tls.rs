//! TLS for `wss`: rustls with the system's roots, or Mozilla's where the system has none.

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

/// Whom to trust; cheap to clone, and made once for all streams since reading the system's roots is not cheap.
///
/// ```
/// use feedwatch::stream::TlsTrust;
///
/// let public = TlsTrust::system().unwrap();
/// let nobody = TlsTrust::only([]).unwrap();
/// assert!(TlsTrust::only([b"no certificate".to_vec()]).is_err());
/// ```
#[derive(Clone)]
pub struct TlsTrust(Arc<ClientConfig>);

impl TlsTrust {
    /// The system's root certificates, or Mozilla's where the system has none.
    pub fn system() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self::with(roots)
    }

    /// These root certificates (DER) and no others.
    pub fn only(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(CertificateDer::from(certificate))?;
        }
        Self::with(roots)
    }

    /// For other connections that trust the same.
    #[cfg(feature = "service")]
    pub(crate) fn into_config(self) -> ClientConfig {
        Arc::unwrap_or_clone(self.0)
    }

    fn with(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(super) async fn handshake<Io: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        io: Io,
    ) -> io::Result<TlsStream<Io>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.0.clone()).connect(name, io).await
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
            Layer::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(io) => Pin::new(io).poll_flush(cx),
            Layer::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layer {
            Layer::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Layer::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
