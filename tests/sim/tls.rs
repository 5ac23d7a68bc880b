//! TLS: certificates that a client can trust, and handshakes that go wrong.

use crate::client::{Client, NOTHING, ended, generated, millis, silent, start, whats, within};
use feedwatch::sim::{Expectation, Fault, Rule, SimOptions, SimulatedVenue, TlsFault, What};
use feedwatch::supervise::Policy;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

fn secured(options: SimOptions) -> SimulatedVenue {
    start(SimOptions { tls: true, ..options })
}

/// Dials `host`, and trusts the venue's authority alone.
async fn shake_hands(venue: &SimulatedVenue, host: &str) -> io::Result<Box<TlsStream<TcpStream>>> {
    let authority = venue.authority().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let stream = TcpStream::connect(venue.address()).await.unwrap();
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    within(handshake).await.map(Box::new)
}

/// Why a handshake failed, where TLS says so.
fn reason(handshake: io::Result<Box<TlsStream<TcpStream>>>) -> Error {
    let error = handshake.expect_err("no handshake is to succeed");
    error.get_ref().unwrap().downcast_ref::<Error>().unwrap().clone()
}

fn venue_with(kind: TlsFault) -> SimulatedVenue {
    secured(silent(vec![Rule::connections(1, 1, Fault::Tls(kind))]))
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_under_each_name() {
    let venue = secured(generated(vec![]));
    assert!(venue.url().starts_with("wss://127.0.0.1:"));
    let authority = venue.authority().unwrap();
    let pem = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    assert_eq!(&pem[..], authority.der());
    for (number, host) in [(1, "localhost"), (2, "127.0.0.1"), (3, "::1")] {
        let stream = shake_hands(&venue, host).await.unwrap();
        let mut client = Client::over(stream, &venue).await.unwrap();
        client.subscribe().await;
        for _ in 0..100 {
            client.text().await;
        }
        client.socket.close(None).await.unwrap();
        assert_eq!(client.end().await.unwrap(), None);
        ended(&venue.log(), number).await;
        assert_eq!(venue.log().counts(number).unwrap().sent, client.read);
    }
    venue.shutdown().await;
}

#[tokio::test]
async fn a_bad_certificate_is_bad_in_one_way_and_fatal_to_a_correct_client() {
    for (kind, name) in [
        (TlsFault::Expired, "tls_expired"),
        (TlsFault::WrongHost, "tls_wrong_host"),
        (TlsFault::UnknownAuthority, "tls_unknown_authority"),
    ] {
        let venue = venue_with(kind);
        let Error::InvalidCertificate(error) = reason(shake_hands(&venue, "localhost").await) else {
            panic!("{name}: not the certificate")
        };
        let as_scripted = match kind {
            TlsFault::Expired => matches!(error, CertificateError::ExpiredContext { .. }),
            TlsFault::WrongHost => matches!(error, CertificateError::NotValidForNameContext { .. }),
            _ => error == CertificateError::UnknownIssuer,
        };
        assert!(as_scripted, "{name}: {error:?}");
        ended(&venue.log(), 1).await;
        assert_eq!(
            whats(&venue.log(), 1),
            [
                What::Accepted,
                What::FaultBegan { name },
                What::LostByClient,
                What::Ended
            ]
        );
        let expected = Expectation::of(&venue.log(), &Policy::default(), None);
        assert_eq!((expected.failed_attempts, expected.trips), (1, 1), "{name}");
        shake_hands(&venue, "localhost").await.expect("the next one is good");
        venue.shutdown().await;
    }
}

#[tokio::test]
async fn handshakes_are_answered_by_an_old_server_by_something_else_or_in_part() {
    let venue = venue_with(TlsFault::OldVersion);
    let error = reason(shake_hands(&venue, "localhost").await);
    assert_eq!(error, Error::AlertReceived(AlertDescription::ProtocolVersion));
    venue.shutdown().await;

    let venue = venue_with(TlsFault::Garbage);
    let error = reason(shake_hands(&venue, "localhost").await);
    assert!(matches!(error, Error::InvalidMessage(_)), "{error:?}");
    venue.shutdown().await;

    let venue = venue_with(TlsFault::Cut);
    let error = shake_hands(&venue, "localhost").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    ended(&venue.log(), 1).await;
    assert_eq!(
        whats(&venue.log(), 1)[1..],
        [What::FaultBegan { name: "tls_cut" }, What::Cut, What::Ended]
    );
    let expected = Expectation::of(&venue.log(), &Policy::default(), None);
    assert_eq!((expected.failed_attempts, expected.trips), (1, 0));
    venue.shutdown().await;
}

#[tokio::test]
async fn a_handshake_that_hangs_is_never_answered() {
    let venue = venue_with(TlsFault::Hang);
    let answer = timeout(NOTHING, shake_hands(&venue, "localhost")).await;
    assert!(answer.is_err(), "{:?}", answer.map(|_| ()));
    ended(&venue.log(), 1).await;
    assert!(whats(&venue.log(), 1).contains(&What::LostByClient));
    venue.shutdown().await;
}

#[tokio::test]
async fn connections_end_under_tls_as_they_do_without() {
    let reset = Fault::Reset { after: millis(50) };
    let cut = Fault::Cut { after: millis(50) };
    let venue = secured(generated(vec![
        Rule::connections(1, 1, reset),
        Rule::connections(2, 2, cut),
    ]));
    for (number, kind) in [(1, Some(ErrorKind::ConnectionReset)), (2, None)] {
        let stream = shake_hands(&venue, "localhost").await.unwrap();
        let mut client = Client::over(stream, &venue).await.unwrap();
        client.subscribe().await;
        match (client.end().await, kind) {
            (Err(tokio_tungstenite::tungstenite::Error::Io(error)), Some(kind)) => assert_eq!(error.kind(), kind),
            (Err(_), None) => {}
            other => panic!("connection {number}: {other:?}"),
        }
        drop(client.socket);
        ended(&venue.log(), number).await;
        assert_eq!(venue.log().counts(number).unwrap().sent, client.read);
    }
    venue.shutdown().await;
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_let_go() {
    let venue = secured(silent(vec![]));
    assert!(Client::dial(&venue).await.is_err());
    ended(&venue.log(), 1).await;
    assert!(whats(&venue.log(), 1).contains(&What::LostByClient));
    let mut stream = TcpStream::connect(venue.address()).await.unwrap();
    within(venue.shutdown()).await;
    assert_eq!(
        stream.read(&mut [0]).await.unwrap_or(0),
        0,
        "nor does one that waits hold up the end"
    );
}

#[tokio::test]
async fn a_script_about_tls_needs_a_venue_that_serves_it() {
    let options = silent(vec![
        Rule::always(Fault::Hang),
        Rule::always(Fault::Tls(TlsFault::Hang)),
    ]);
    let error = SimulatedVenue::start(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "rule 2: fault.tls: the venue must serve TLS");
}
