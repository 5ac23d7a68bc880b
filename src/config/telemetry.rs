//! `[telemetry]`: where traces go. What is written there wins over OpenTelemetry's standard variables, which are honoured.
//!
//! Source: OpenTelemetry specification, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter".

use super::secrets::{attributes, certificates_from, header_pairs, headers_from};
use super::section::Section;
use super::value::{Raw, Wrong};
use hyper::header::HeaderMap;
use hyper::http::uri::{PathAndQuery, Uri};
use std::fmt;
use std::time::Duration;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const COMPRESSION: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];
const CERTIFICATE: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
];
const CLIENT_CERTIFICATE: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
];
const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const SCHEDULE_DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const EXPORT_TIMEOUT: &str = "OTEL_BSP_EXPORT_TIMEOUT";
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
const BATCH: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";

/// What is added to an endpoint that is not for traces alone.
const TRACES_PATH: &str = "/v1/traces";
/// What is called at any endpoint, over gRPC.
#[cfg(feature = "otlp-grpc")]
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// As good as no time limit.
const NO_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How spans are handed over: always as protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TracesProtocol {
    /// OTLP over HTTP.
    Http,
    /// OTLP over gRPC. Only with the feature `otlp-grpc`.
    #[cfg(feature = "otlp-grpc")]
    Grpc,
}

/// Where traces go, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TracesConfig {
    /// How they are handed over.
    pub protocol: TracesProtocol,
    /// Where spans are posted to, with the whole path.
    pub endpoint: TracesEndpoint,
    /// Sent along; their values are secrets, which `Debug` hides.
    pub headers: HeaderMap,
    /// The time limit of each try to post.
    pub timeout: Duration,
    /// Whether what is posted is compressed.
    pub gzip: bool,
    /// Certificates (DER) of those who are trusted instead of the system's; empty = the system's.
    pub authorities: Vec<Vec<u8>>,
    /// What the spans say about their origin, `service.name` among it.
    pub resource: Vec<(String, String)>,
    /// The share of traces that is recorded: 0 to 1.
    pub sample_ratio: f64,
    /// Spans wait for so long to leave together.
    pub schedule_delay: Duration,
    /// So many spans wait at most; further ones are dropped and counted.
    pub max_queue: usize,
    /// So many spans leave together at most.
    pub max_batch: usize,
}

/// An address that spans are posted to. `Debug` leaves out its query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TracesEndpoint(Uri);

impl TracesEndpoint {
    /// The whole address.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Debug for TracesEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (self.0.scheme_str(), self.0.authority());
        let authority = authority.map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", scheme.unwrap_or_default(), self.0.path())
    }
}

impl TracesConfig {
    /// `None` = no traces: there is no endpoint, or a variable switches them off.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let protocol = section.take("protocol", protocol_of);
        let endpoint = section.take("endpoint", |raw| base_endpoint(raw.text()?));
        let service_name = section.take("service_name", |raw| Ok(raw.text()?.to_owned()));
        let sample_ratio = section.take("sample_ratio", ratio);
        let timeout = section.take("timeout_ms", |raw| raw.millis(1));
        let headers = section.take("headers_file", |raw| headers_from(raw.text()?));
        // What nobody uses need not be right: standard variables are often set for all programs of a machine.
        let is_off = |raw: Raw<'_>| Ok(raw.text()?.eq_ignore_ascii_case("true"));
        if section.standard(&[DISABLED], is_off).unwrap_or(false)
            || section.standard(&[EXPORTER], is_none).unwrap_or(false)
        {
            return None;
        }
        let endpoint = endpoint
            .or_else(|| {
                section.standard(&[TRACES_ENDPOINT], |raw| {
                    parse_endpoint(raw.text()?).map(Endpoint::OfTraces)
                })
            })
            .or_else(|| section.standard(&[ENDPOINT], |raw| base_endpoint(raw.text()?)))?;
        section.standard(&[EXPORTER], |raw| word(raw, &[("otlp", ()), ("none", ())]));
        let protocol = protocol
            .or_else(|| section.standard(&PROTOCOL, protocol_of))
            .unwrap_or(TracesProtocol::Http);
        let endpoint = endpoint
            .of(protocol)
            .map_err(|wrong| section.standard::<()>(&[TRACES_ENDPOINT], |_| Err(wrong)))
            .ok()?;
        section.standard::<()>(&CLIENT_CERTIFICATE, |_| {
            Err("client certificates are not supported here; unset it, and send headers instead".into())
        });
        let timeout = timeout.or_else(|| section.standard(&TIMEOUT, limit_of));
        let limit = section.standard(&[EXPORT_TIMEOUT], limit_of);
        let max_queue = section.standard(&[QUEUE], |raw| raw.whole(1..=1_000_000));
        let max_queue = max_queue.unwrap_or(2048);
        let max_batch = section.standard(&[BATCH], |raw| raw.whole(1..=1_000_000));
        Some(Self {
            protocol,
            endpoint: TracesEndpoint(endpoint),
            headers: headers
                .or_else(|| section.standard(&HEADERS, |raw| header_pairs(raw.text()?)))
                .unwrap_or_default(),
            timeout: timeout
                .unwrap_or(Duration::from_secs(10))
                .min(limit.unwrap_or(Duration::MAX)),
            gzip: section
                .standard(&COMPRESSION, |raw| word(raw, &[("gzip", true), ("none", false)]))
                .unwrap_or(false),
            authorities: section
                .standard(&CERTIFICATE, |raw| certificates_from(raw.text()?))
                .unwrap_or_default(),
            resource: resource(section, service_name),
            sample_ratio: sample_ratio.or_else(|| sampler(section)).unwrap_or(1.0),
            schedule_delay: section
                .standard(&[SCHEDULE_DELAY], |raw| raw.millis(0))
                .unwrap_or(Duration::from_secs(5)),
            max_queue,
            max_batch: max_batch.unwrap_or(512).min(max_queue),
        })
    }
}

/// Whether the variable that names exporters says that there is none.
fn is_none(raw: Raw<'_>) -> Result<bool, Wrong> {
    Ok(raw.text()?.eq_ignore_ascii_case("none"))
}

/// One of the words of a standard variable, in capitals or not.
fn word<T: Copy>(raw: Raw<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    let text = raw.text()?;
    match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        Some((_, meaning)) => Ok(*meaning),
        None => raw.choice(words),
    }
}

/// A time limit, of which 0 means none.
fn limit_of(raw: Raw<'_>) -> Result<Duration, Wrong> {
    let limit = raw.millis(0)?;
    Ok(if limit.is_zero() { NO_LIMIT } else { limit })
}

/// Without the feature, gRPC is a word that is known and cannot be had.
fn protocol_of(raw: Raw<'_>) -> Result<TracesProtocol, Wrong> {
    #[cfg(not(feature = "otlp-grpc"))]
    if raw.text()?.eq_ignore_ascii_case("grpc") {
        return Err(r#""grpc" is not in this build, which lacks the feature otlp-grpc; valid: http/protobuf"#.into());
    }
    word(
        raw,
        &[
            ("http/protobuf", TracesProtocol::Http),
            #[cfg(feature = "otlp-grpc")]
            ("grpc", TracesProtocol::Grpc),
        ],
    )
}

/// An endpoint as it is written.
enum Endpoint {
    /// For traces alone.
    OfTraces(Uri),
    /// For all signals: that of the traces lies below it.
    OfAll(Uri),
}

impl Endpoint {
    /// Where spans are posted to.
    fn of(self, protocol: TracesProtocol) -> Result<Uri, Wrong> {
        match (protocol, self) {
            (TracesProtocol::Http, Self::OfTraces(whole)) => Ok(whole),
            (TracesProtocol::Http, Self::OfAll(base)) => below(base, TRACES_PATH),
            #[cfg(feature = "otlp-grpc")]
            (TracesProtocol::Grpc, Self::OfTraces(base)) if base.query().is_some() => {
                Err("has a query (?...), which no call of gRPC has".into())
            }
            #[cfg(feature = "otlp-grpc")]
            (TracesProtocol::Grpc, Self::OfTraces(base) | Self::OfAll(base)) => below(base, GRPC_PATH),
        }
    }
}

fn base_endpoint(text: &str) -> Result<Endpoint, Wrong> {
    let base = parse_endpoint(text)?;
    if base.query().is_some() {
        return Err(format!("has a query (?...), which only {TRACES_ENDPOINT} may have"));
    }
    Ok(Endpoint::OfAll(base))
}

fn below(base: Uri, path: &str) -> Result<Uri, Wrong> {
    let path = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut parts = base.into_parts();
    parts.path_and_query = PathAndQuery::try_from(path).ok();
    Uri::from_parts(parts).map_err(|error| error.to_string())
}

fn parse_endpoint(text: &str) -> Result<Uri, Wrong> {
    const FORM: &str = r#"as in "http://127.0.0.1:4318""#;
    // So much is left for the path that is added.
    const LONGEST: usize = 8192;
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return Err(format!(
            "is no valid address; write http:// or https://, a host and a port, {FORM}"
        ));
    };
    // The message never repeats the address: it may hold a secret.
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(format!("must begin with http:// or https://, {FORM}"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("holds a user name or password; put it into telemetry.headers_file".into());
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(format!("has no host; write it {FORM}"));
    }
    Ok(uri)
}

fn ratio(raw: Raw<'_>) -> Result<f64, Wrong> {
    let ratio = raw.number()?;
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(format!("must be from 0 to 1, not {ratio}"))
    }
}

/// Every root of ours is a root: what a parent decided plays no part.
fn sampler(section: &mut Section<'_, '_>) -> Option<f64> {
    #[derive(Clone, Copy)]
    enum Sampler {
        On,
        Off,
        Ratio,
    }
    const SAMPLERS: &[(&str, Sampler)] = &[
        ("always_on", Sampler::On),
        ("always_off", Sampler::Off),
        ("traceidratio", Sampler::Ratio),
        ("parentbased_always_on", Sampler::On),
        ("parentbased_always_off", Sampler::Off),
        ("parentbased_traceidratio", Sampler::Ratio),
    ];
    match section.standard(&[SAMPLER], |raw| word(raw, SAMPLERS))? {
        Sampler::On => Some(1.0),
        Sampler::Off => Some(0.0),
        Sampler::Ratio => section.standard(&[SAMPLER_ARGUMENT], ratio),
    }
}

/// `service.name` is that of the file, or of its own variable, or of the attributes, in this order.
fn resource(section: &mut Section<'_, '_>, service_name: Option<String>) -> Vec<(String, String)> {
    const NAME: &str = "service.name";
    let attributes = section.standard(&[RESOURCE], |raw| attributes(raw.text()?));
    let mut attributes = attributes.unwrap_or_default();
    let named = service_name.or_else(|| section.standard(&[SERVICE_NAME], |raw| Ok(raw.text()?.to_owned())));
    if let Some(name) = named {
        attributes.retain(|(key, _)| key != NAME);
        attributes.push((NAME.to_owned(), name));
    } else if attributes.iter().all(|(key, _)| key != NAME) {
        attributes.push((NAME.to_owned(), "feedwatch".to_owned()));
    }
    attributes
}
