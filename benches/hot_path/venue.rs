//! The venue: a process of its own, so that what it uses is not counted. The path of a URL says what to do on it.

use super::frames::{Shape, answer};
use futures_util::{SinkExt, StreamExt};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const ROLE: &str = "--as-venue";
/// Written at once in a blast.
const CHUNK: usize = 1 << 20;

/// What a connection gets after the answer to its subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Course {
    /// So many frames, as fast as they are taken.
    Blast(Shape, usize),
    /// So many frames a second, each written by itself, until the client leaves.
    Paced(Shape, usize),
    /// A place among all that are paced together.
    Shared,
    /// From now on those with a place get frames in turns, so many a second in all, each written by itself.
    Begin(Shape, usize),
    /// Nothing but answers to pings.
    Idle,
}

impl Course {
    fn path(self) -> String {
        let number = |shape| Shape::ALL.iter().position(|known| *known == shape).unwrap_or(0);
        match self {
            Self::Blast(shape, count) => format!("/blast/{}/{count}", number(shape)),
            Self::Paced(shape, rate) => format!("/paced/{}/{rate}", number(shape)),
            Self::Shared => "/shared/0/0".into(),
            Self::Begin(shape, rate) => format!("/begin/{}/{rate}", number(shape)),
            Self::Idle => "/idle/0/0".into(),
        }
    }

    fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1);
        let (name, shape, figure) = (parts.next()?, parts.next()?, parts.next()?);
        let shape = *Shape::ALL.get(shape.parse::<usize>().ok()?)?;
        let figure = figure.parse().ok()?;
        Some(match name {
            "blast" => Self::Blast(shape, figure),
            "paced" => Self::Paced(shape, figure),
            "shared" => Self::Shared,
            "begin" => Self::Begin(shape, figure),
            _ => Self::Idle,
        })
    }
}

/// The process; it ends with this.
pub(crate) struct Venue {
    child: Child,
    pub(crate) port: u16,
}

impl Venue {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(ROLE)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().unwrap();
        Self { child, port }
    }

    pub(crate) fn url(port: u16, course: Course) -> String {
        format!("ws://127.0.0.1:{port}{}", course.path())
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Never returns where this process is the venue.
pub(crate) fn be_one_if_asked() {
    if std::env::args().any(|argument| argument == ROLE) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(serve());
    }
}

/// The sockets that are paced together.
type Places = Arc<Mutex<Vec<TcpStream>>>;

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let places = Places::default();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(attend(socket, places.clone()));
    }
}

async fn attend(socket: TcpStream, places: Places) -> Option<()> {
    let _ = socket.set_nodelay(true);
    let mut course = None;
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let look = |request: &Request, response: Response| {
        course = Course::parse(request.uri().path());
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async_with_config(socket, look, Some(config))
        .await
        .ok()?;
    let course = course?;
    // The subscription. Of one token, or of all.
    let request = socket.next().await?.ok()?.into_text().ok()?;
    socket.send(Message::text(answer(request.as_str()))).await.ok()?;
    match course {
        Course::Blast(shape, count) => {
            let mut socket = socket.into_inner();
            blast(&mut socket, shape, count).await?;
            until_left(socket).await;
        }
        Course::Paced(shape, rate) => pace(vec![socket.into_inner()], shape, rate),
        Course::Shared => places.lock().await.push(socket.into_inner()),
        Course::Begin(shape, rate) => pace(std::mem::take(&mut *places.lock().await), shape, rate),
        Course::Idle => {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    socket.send(Message::text("PONG")).await.ok()?;
                }
            }
        }
    }
    Some(())
}

async fn blast(socket: &mut TcpStream, shape: Shape, count: usize) -> Option<()> {
    let frames: Vec<_> = shape.frames(count).iter().map(|frame| wire(frame)).collect();
    let mut chunk = Vec::with_capacity(CHUNK + 4096);
    let mut left = count;
    let mut turn = frames.iter().cycle();
    while left > 0 {
        chunk.clear();
        while chunk.len() < CHUNK && left > 0 {
            chunk.extend_from_slice(turn.next()?);
            left -= 1;
        }
        socket.write_all(&chunk).await.ok()?;
    }
    Some(())
}

async fn until_left(mut socket: TcpStream) {
    let mut rest = [0; 256];
    while matches!(socket.read(&mut rest).await, Ok(1..)) {}
}

/// On a thread, whose sleep is finer than the runtime's, until a client leaves.
fn pace(sockets: Vec<TcpStream>, shape: Shape, rate: usize) {
    let mut sockets: Vec<_> = sockets
        .into_iter()
        .filter_map(|socket| {
            let socket = socket.into_std().ok()?;
            socket.set_nonblocking(false).ok()?;
            Some(socket)
        })
        .collect();
    let between = Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1);
    #[allow(
        clippy::disallowed_methods,
        reason = "no clock of the program's, and a thread of its own"
    )]
    std::thread::spawn(move || {
        // Nobody stays for longer than that.
        let frames: Vec<_> = shape.frames(10 * rate).iter().map(|frame| wire(frame)).collect();
        let begun = Instant::now();
        let mut due = Duration::ZERO;
        let mut frames = frames.iter().cycle();
        loop {
            for socket in &mut sockets {
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
                due += between;
                let Some(frame) = frames.next() else { return };
                if socket.write_all(frame).is_err() {
                    return;
                }
            }
        }
    });
}

/// A text frame as it is sent by a server (RFC 6455, section 5.2).
fn wire(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(short @ 0..126) => frame.push(short.to_le_bytes()[0]),
        Ok(long) => {
            frame.push(126);
            frame.extend(long.to_be_bytes());
        }
        Err(_) => unreachable!("no frame here is so long"),
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}
