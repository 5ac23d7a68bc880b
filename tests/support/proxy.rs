//! Proxies of both protocols: they do it for real, or they behave as badly as proxies do.

#![allow(dead_code, reason = "not every test uses everything")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use feedwatch::stream::ProxyProtocol;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    /// Its rules are against it.
    Refuses,
    /// It cannot reach the venue.
    Unreachable,
    /// It never answers.
    Hangs,
    /// What it says is of another protocol.
    Garbage,
    /// It answers with 64 KiB of headers; of SOCKS5 with as much of a garbage.
    Floods,
    /// It ends the connection in the middle of its answer.
    Cuts,
}

impl Manner {
    pub(crate) const BAD: [Self; 6] = [
        Self::Refuses,
        Self::Unreachable,
        Self::Hangs,
        Self::Garbage,
        Self::Floods,
        Self::Cuts,
    ];
}

/// A proxy that listens until it is dropped. Wherever it is asked to go, it goes to one venue.
pub(crate) struct TestProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    protocol: ProxyProtocol,
    venue: SocketAddr,
    credentials: Option<(&'static str, &'static str)>,
    /// Of the first connections, in the order of their arrival; later ones are good.
    manners: Vec<Manner>,
    arrived: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl TestProxy {
    /// Anybody may ask.
    pub(crate) async fn start(protocol: ProxyProtocol, venue: SocketAddr, manners: &[Manner]) -> Self {
        Self::asked_by(protocol, venue, None, manners).await
    }

    /// Only this user may ask.
    pub(crate) async fn asked_by(
        protocol: ProxyProtocol,
        venue: SocketAddr,
        credentials: Option<(&'static str, &'static str)>,
        manners: &[Manner],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            protocol,
            venue,
            credentials,
            manners: manners.to_vec(),
            arrived: AtomicUsize::new(0),
            asked: Mutex::default(),
        });
        let (address, of_tasks) = (listener.local_addr().unwrap(), shared.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let shared = of_tasks.clone();
                // A client that goes away does no wrong: its own test judges that.
                connections.spawn(async move { drop(shared.serve(socket).await) });
            }
        });
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        let scheme = match self.shared.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Socks5 => "socks5",
        };
        format!("{scheme}://{}", self.address)
    }

    /// Where it was asked to go, by those who may ask, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Shared {
    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let number = self.arrived.fetch_add(1, Relaxed);
        let manner = self.manners.get(number).copied().unwrap_or(Manner::Good);
        let is_open = match self.protocol {
            ProxyProtocol::Http => self.http(&mut socket, manner).await?,
            ProxyProtocol::Socks5 => self.socks(&mut socket, manner).await?,
        };
        if is_open {
            let mut venue = TcpStream::connect(self.venue).await?;
            copy_bidirectional(&mut socket, &mut venue).await?;
        } else {
            // Until the client has gone: what was said must arrive.
            socket.shutdown().await?;
            tokio::io::copy(&mut socket, &mut tokio::io::sink()).await?;
        }
        Ok(())
    }

    fn ask(&self, target: &str) {
        self.asked.lock().unwrap().push(target.to_owned());
    }

    async fn http(&self, socket: &mut TcpStream, manner: Manner) -> io::Result<bool> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let target = lines.next().unwrap().strip_prefix("CONNECT ").unwrap();
        let target = target.strip_suffix(" HTTP/1.1").unwrap();
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        assert!(headers.contains(&("Host", target)), "{head}");
        let proof = |(username, password)| STANDARD.encode(format!("{username}:{password}"));
        let wanted = self
            .credentials
            .map(|credentials| format!("Basic {}", proof(credentials)));
        let shown = headers.iter().find(|(name, _)| *name == "Proxy-Authorization");
        if shown.map(|(_, value)| (*value).to_owned()) != wanted {
            let refusal =
                b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
            socket.write_all(refusal).await?;
            return Ok(false);
        }
        self.ask(target);
        let answer = match manner {
            Manner::Good => "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n".to_owned(),
            Manner::Refuses => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_owned(),
            Manner::Unreachable => "HTTP/1.1 502 Bad Gateway\r\n\r\n".to_owned(),
            Manner::Hangs => String::new(),
            Manner::Garbage => "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
            Manner::Floods => format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                format!("X: {}\r\n", "x".repeat(1019)).repeat(64)
            ),
            Manner::Cuts => "HTTP/1.1 200 Connection est".to_owned(),
        };
        self.say(socket, manner, answer.as_bytes()).await
    }

    async fn socks(&self, socket: &mut TcpStream, manner: Manner) -> io::Result<bool> {
        let (version, methods) = (socket.read_u8().await?, socket.read_u8().await?);
        assert_eq!(version, 5);
        let mut offered = vec![0; methods.into()];
        socket.read_exact(&mut offered).await?;
        let method = if self.credentials.is_some() { 2 } else { 0 };
        if !offered.contains(&method) {
            socket.write_all(&[5, 255]).await?;
            return Ok(false);
        }
        if manner == Manner::Garbage {
            return self.say(socket, manner, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
        socket.write_all(&[5, method]).await?;
        if let Some((username, password)) = self.credentials {
            assert_eq!(socket.read_u8().await?, 1);
            let shown = (read_text(socket).await?, read_text(socket).await?);
            let is_right = shown == (username.to_owned(), password.to_owned());
            socket.write_all(&[1, u8::from(!is_right)]).await?;
            if !is_right {
                return Ok(false);
            }
        }
        let mut request = [0; 4];
        socket.read_exact(&mut request).await?;
        assert_eq!(request[..3], [5, 1, 0], "CONNECT");
        let host = match request[3] {
            1 => std::net::Ipv4Addr::from(socket.read_u32().await?).to_string(),
            4 => std::net::Ipv6Addr::from(socket.read_u128().await?).to_string(),
            3 => read_text(socket).await?,
            other => panic!("no type of an address: {other}"),
        };
        let port = socket.read_u16().await?;
        self.ask(&format!("{host}:{port}"));
        let reply = |code| vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        let answer = match manner {
            Manner::Good => reply(0),
            Manner::Refuses => reply(2),
            Manner::Unreachable => reply(4),
            Manner::Hangs | Manner::Garbage => Vec::new(),
            Manner::Floods => vec![0xFF; 64 * 1024],
            Manner::Cuts => vec![5, 0, 0],
        };
        self.say(socket, manner, &answer).await
    }

    /// Whether the way is open.
    async fn say(&self, socket: &mut TcpStream, manner: Manner, answer: &[u8]) -> io::Result<bool> {
        socket.write_all(answer).await?;
        if manner == Manner::Hangs {
            tokio::io::copy(socket, &mut tokio::io::sink()).await?;
        }
        Ok(manner == Manner::Good)
    }
}

async fn read_text(socket: &mut TcpStream) -> io::Result<String> {
    let mut text = vec![0; socket.read_u8().await?.into()];
    socket.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}
