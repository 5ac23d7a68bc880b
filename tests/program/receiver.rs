//! A tracing backend: takes spans over OTLP, by HTTP or by gRPC, or does what backends do instead.

use flate2::read::GzDecoder;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How spans come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    #[cfg(feature = "otlp-grpc")]
    Grpc,
}

impl Wire {
    /// The protocol's name, for its variable.
    pub(crate) const fn protocol(self) -> &'static str {
        match self {
            Self::Http => "http/protobuf",
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc => "grpc",
        }
    }

    /// Where spans are posted to.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Http => "/v1/traces",
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }
}

/// What it does with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes it.
    Take,
    /// Never answers.
    Hang,
    /// Answers with this status: of HTTP, or of gRPC.
    Refuse(u16),
    /// Takes all but so many spans of each post.
    Reject(i64),
}

/// A span as it was received, with the resource that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) span: Span,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) scope: String,
}

#[derive(Debug)]
struct State {
    wire: Wire,
    mood: Mood,
    posts: Vec<(String, HeaderMap)>,
    spans: Vec<Received>,
}

/// A backend on a port of its own, which it keeps also while nobody listens.
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    reserved: Option<TcpSocket>,
    tasks: JoinSet<()>,
}

impl Receiver {
    /// Away: the port refuses.
    pub(crate) fn away(wire: Wire) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                wire,
                mood: Mood::Take,
                posts: Vec::new(),
                spans: Vec::new(),
            })),
            reserved: Some(socket),
            tasks: JoinSet::new(),
        }
    }

    pub(crate) fn start(mood: Mood) -> Self {
        Self::start_as(Wire::Http, mood)
    }

    pub(crate) fn start_as(wire: Wire, mood: Mood) -> Self {
        let mut receiver = Self::away(wire);
        receiver.set(mood);
        receiver.come();
        receiver
    }

    /// The same over TLS.
    pub(crate) fn start_tls(wire: Wire, acceptor: TlsAcceptor) -> Self {
        let mut receiver = Self::away(wire);
        let listener = receiver.listen();
        let state = receiver.state.clone();
        receiver.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, state) = (acceptor.clone(), state.clone());
                connections.spawn(async move {
                    // A client that does not like the certificate goes away: its own test judges that.
                    if let Ok(secured) = acceptor.accept(socket).await {
                        serve(secured, state).await;
                    }
                });
            }
        });
        receiver
    }

    /// Listens from now on.
    pub(crate) fn come(&mut self) {
        let listener = self.listen();
        let state = self.state.clone();
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(serve(socket, state.clone()));
            }
        });
    }

    fn listen(&mut self) -> TcpListener {
        self.reserved.take().expect("listens already").listen(16).unwrap()
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Where it is, as an endpoint for all signals.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// The paths and headers of the posts up to now.
    pub(crate) fn posts(&self) -> Vec<(String, HeaderMap)> {
        self.state.lock().unwrap().posts.clone()
    }

    /// The spans that it took.
    pub(crate) fn spans(&self) -> Vec<Received> {
        self.state.lock().unwrap().spans.clone()
    }

    /// Those of that name.
    pub(crate) fn named(&self, name: &str) -> Vec<Span> {
        let spans = self.spans().into_iter().map(|received| received.span);
        spans.filter(|span| span.name == name).collect()
    }
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<Mutex<State>>) {
    let wire = state.lock().unwrap().wire;
    let service = service_fn(move |request| answer(request, wire, state.clone()));
    let socket = TokioIo::new(socket);
    // A client that goes away in the middle is none of its business.
    match wire {
        Wire::Http => drop(http1::Builder::new().serve_connection(socket, service).await),
        #[cfg(feature = "otlp-grpc")]
        Wire::Grpc => {
            let executor = hyper_util::rt::TokioExecutor::new();
            let builder = hyper::server::conn::http2::Builder::new(executor);
            drop(builder.serve_connection(socket, service).await);
        }
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, wire: Wire, state: Arc<Mutex<State>>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mood = {
        let mut state = state.lock().unwrap();
        state.posts.push((head.uri.path().to_owned(), head.headers.clone()));
        state.mood
    };
    let rejected = match mood {
        Mood::Hang => return std::future::pending().await,
        Mood::Refuse(status) => return Ok(refusal(wire, status)),
        Mood::Take => 0,
        Mood::Reject(spans) => spans,
    };
    let (body, encoding) = match wire {
        Wire::Http => (body, head.headers.get("content-encoding")),
        #[cfg(feature = "otlp-grpc")]
        Wire::Grpc => {
            let encoding = head.headers.get("grpc-encoding");
            assert_eq!(body[0], u8::from(encoding.is_some()));
            assert_eq!(body[1..5], u32::try_from(body.len() - 5).unwrap().to_be_bytes());
            assert_eq!(
                (&head.headers["content-type"], &head.headers["te"]),
                (&"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
            );
            (body.slice(5..), encoding)
        }
    };
    let body = match encoding {
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            let mut plain = Vec::new();
            GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
            Bytes::from(plain)
        }
        None => body,
    };
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut taken = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap().attributes;
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap().name;
            taken.extend(of_scope.spans.into_iter().map(|span| Received {
                span,
                resource: resource.clone(),
                scope: scope.clone(),
            }));
        }
    }
    taken.drain(..usize::try_from(rejected).unwrap().min(taken.len()));
    state.lock().unwrap().spans.extend(taken);
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: rejected,
        error_message: "too many".into(),
    });
    let message = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    Ok(success(wire, message))
}

fn refusal(wire: Wire, status: u16) -> Answer {
    let answer = Response::builder();
    let answer = match wire {
        Wire::Http => answer.status(status),
        // Without a message the status stands in the head.
        #[cfg(feature = "otlp-grpc")]
        Wire::Grpc => answer.header("grpc-status", status).header("grpc-message", "not%20now"),
    };
    answer.body(Full::default().boxed()).unwrap()
}

fn success(wire: Wire, message: Vec<u8>) -> Answer {
    match wire {
        Wire::Http => Response::new(Full::from(message).boxed()),
        #[cfg(feature = "otlp-grpc")]
        Wire::Grpc => {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let body = [&[0], &length[..], &message].concat();
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            let body = Full::from(body).with_trailers(std::future::ready(Some(Ok(trailers))));
            Response::new(body.boxed())
        }
    }
}

/// An attribute as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::DoubleValue(number) => number.to_string(),
        any_value::Value::BoolValue(flag) => flag.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}
