//! TLS of a venue: an authority and certificates, made when it starts, and the ways in which its handshakes go wrong.

use super::connection::{Io, LEAVE_LIMIT, REQUEST_LIMIT, read_to_end};
use super::fault::{Fault, TlsFault};
use super::log::{ConnectionLog, What};
use crate::stream::MaybeTls;
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};

/// A fatal alert, `protocol_version`, in a record of TLS 1.1 (RFC 4346, section 7.2): what a server that knows nothing newer
/// answers a client that offers nothing so old.
const NOTHING_NEWER: [u8; 7] = [21, 3, 2, 0, 2, 2, 70];
/// What a server without TLS answers.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The names for which certificates are good, and the address that the venue listens on.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The name for which one is not.
const OTHER_HOST: &str = "venue.example";

/// Whom a client of a venue with TLS must trust.
#[derive(Clone, Debug)]
pub struct Authority {
    der: Vec<u8>,
    pem: String,
}

impl Authority {
    /// Its certificate as DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its certificate as PEM, for a file such as `SSL_CERT_FILE` names.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// A certificate that the venue's authority has signed for a client, and its key. `Debug` leaves the key out.
#[derive(Clone)]
pub struct Client {
    certificate: String,
    key: String,
}

impl Client {
    /// The certificate as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key as PEM.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What a venue with TLS shows its clients. The keys exist here only.
pub(super) struct Tls {
    authority: Authority,
    client: Client,
    good: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    wrong_host: Arc<ServerConfig>,
    unknown_authority: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Makes an authority, and certificates for a venue that listens on `address`. They are good from 2000 to 2100. Where it
    /// `wants_certificates`, clients without one of that authority are refused.
    pub(super) fn new(address: IpAddr, wants_certificates: bool) -> io::Result<Self> {
        let mut hosts = HOSTS.map(str::to_owned).to_vec();
        if !hosts.contains(&address.to_string()) {
            hosts.push(address.to_string());
        }
        let (authority, stranger) = (issuer("known")?, issuer("unknown")?);
        let of_clients = wants_certificates.then(|| authority.der().clone());
        let server = |issuer, hosts: &[String], year| server(issuer, hosts, year, of_clients.clone());
        Ok(Self {
            good: server(&authority, &hosts, 2100)?,
            expired: server(&authority, &hosts, 2001)?,
            wrong_host: server(&authority, &[OTHER_HOST.to_owned()], 2100)?,
            unknown_authority: server(&stranger, &hosts, 2100)?,
            client: client(&authority)?,
            authority: Authority {
                der: authority.der().to_vec(),
                pem: authority.pem(),
            },
        })
    }

    pub(super) const fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Shakes hands as it should be; `None` where the client does not.
    pub(super) async fn secure_well(&self, stream: TcpStream) -> Option<Io> {
        let handshake = TlsAcceptor::from(self.good.clone()).accept(stream);
        let secured = timeout(REQUEST_LIMIT, handshake).await.ok()?.ok()?;
        Some(MaybeTls::secured(secured))
    }

    /// Shakes hands, or does what the fault says instead.
    pub(super) async fn secure(&self, log: &ConnectionLog, mut stream: TcpStream, fault: &Fault) -> Option<Io> {
        let Fault::Tls(kind) = fault else {
            return accept(log, stream, &self.good).await;
        };
        log.note(What::FaultBegan { name: fault.name() });
        match kind {
            TlsFault::Expired => return accept(log, stream, &self.expired).await,
            TlsFault::WrongHost => return accept(log, stream, &self.wrong_host).await,
            TlsFault::UnknownAuthority => return accept(log, stream, &self.unknown_authority).await,
            TlsFault::OldVersion => answer(&mut stream, |_| Ok(NOTHING_NEWER.to_vec())).await,
            TlsFault::Garbage => answer(&mut stream, |_| Ok(PLAIN_HTTP.to_vec())).await,
            TlsFault::Hang => read_to_end(&mut stream).await,
            TlsFault::Cut => {
                let cut = |hello: &[u8]| {
                    log.note(What::Cut);
                    first_half(self.good.clone(), hello)
                };
                answer(&mut stream, cut).await;
                return None;
            }
        }
        log.note(What::LostByClient);
        None
    }
}

async fn accept(log: &ConnectionLog, stream: TcpStream, config: &Arc<ServerConfig>) -> Option<Io> {
    let handshake = TlsAcceptor::from(config.clone()).accept(stream);
    if let Ok(Ok(secured)) = timeout(REQUEST_LIMIT, handshake).await {
        Some(MaybeTls::secured(secured))
    } else {
        log.note(What::LostByClient);
        None
    }
}

/// Reads the client's first record, answers it, and ends the connection in order.
async fn answer(stream: &mut TcpStream, answer: impl FnOnce(&[u8]) -> io::Result<Vec<u8>>) {
    let answered = timeout(REQUEST_LIMIT, async {
        let answer = answer(&read_record(stream).await?)?;
        stream.write_all(&answer).await?;
        stream.shutdown().await
    });
    // A client that sends no such thing, or has left, misses nothing.
    if matches!(answered.await, Ok(Ok(()))) {
        let _ = timeout(LEAVE_LIMIT, read_to_end(stream)).await;
    }
}

/// A record with its header (RFC 8446, section 5.1).
async fn read_record(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await?;
    let [.., high, low] = header;
    let mut record = header.to_vec();
    record.resize(header.len() + usize::from(u16::from_be_bytes([high, low])), 0);
    if let Some(body) = record.get_mut(header.len()..) {
        stream.read_exact(body).await?;
    }
    Ok(record)
}

/// The first half of what a good server answers.
fn first_half(config: Arc<ServerConfig>, mut hello: &[u8]) -> io::Result<Vec<u8>> {
    let mut server = ServerConnection::new(config).map_err(io::Error::other)?;
    server.read_tls(&mut hello)?;
    server.process_new_packets().map_err(io::Error::other)?;
    let mut flight = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut flight)?;
    }
    flight.truncate(flight.len() / 2);
    Ok(flight)
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer(name: &str) -> io::Result<Issuer> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{name} authority of a simulated venue"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2100, 1, 1));
    let key = KeyPair::generate().map_err(io::Error::other)?;
    CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)
}

fn client(issuer: &Issuer) -> io::Result<Client> {
    let (certificate, key) = certificate(issuer, &[], 2100)?;
    Ok(Client {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// A certificate for `hosts`, which ends with the beginning of `year`, and its key.
fn certificate(issuer: &Issuer, hosts: &[String], year: i32) -> io::Result<(Certificate, KeyPair)> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
    Ok((params.signed_by(&key, issuer).map_err(io::Error::other)?, key))
}

/// What a server has that shows such a certificate, and wants one of its clients where there is an authority for them.
fn server(
    issuer: &Issuer,
    hosts: &[String],
    year: i32,
    of_clients: Option<CertificateDer<'static>>,
) -> io::Result<Arc<ServerConfig>> {
    let (certificate, key) = certificate(issuer, hosts, year)?;
    let clients = match of_clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority).map_err(io::Error::other)?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
                .build()
                .map_err(io::Error::other)?
        }
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key);
    config.map(Arc::new).map_err(io::Error::other)
}
