//! `[telemetry]` and OpenTelemetry's standard variables: who wins, what is honoured, and how what is wrong is told.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests may fail, and figures are exact"
)]

#[path = "support/files.rs"]
mod files;

use feedwatch::config::{Config, ConfigErrors, TracesConfig};
use files::TempFile;
use std::time::Duration;

const STREAM: &str = "[[streams]]\nname = \"a\"\nvenue = \"polymarket\"\n";
const SET: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318");

fn read(section: &str, variables: &[(&str, &str)]) -> Result<Option<TracesConfig>, ConfigErrors> {
    let text = format!("[telemetry]\n{section}\n{STREAM}");
    Config::parse("f.toml", &text, variables.iter().copied()).map(|config| config.traces)
}

fn traces(section: &str, variables: &[(&str, &str)]) -> TracesConfig {
    read(section, variables).unwrap().unwrap()
}

/// What is told of these variables, beside an endpoint.
fn told(variables: &[(&str, &str)]) -> String {
    let mut all = vec![SET];
    all.extend(variables);
    read("", &all).unwrap_err().to_string()
}

#[test]
fn without_an_endpoint_there_are_no_traces() {
    assert!(read("", &[]).unwrap().is_none());
    assert!(
        read("service_name = 'x'", &[("OTEL_SERVICE_NAME", "y")])
            .unwrap()
            .is_none()
    );
    assert!(
        read("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none(),
        "empty is not set"
    );
}

#[test]
fn the_path_of_traces_is_added_to_an_endpoint_that_is_not_for_them_alone() {
    let endpoint = |section: &str, variables: &[(&str, &str)]| traces(section, variables).endpoint.uri().to_string();
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/in?x=1");
    assert_eq!(endpoint("", &[SET]), "http://collector.example:4318/v1/traces");
    assert_eq!(endpoint("", &[SET, own]), "https://traces.example/in?x=1", "as it is");
    assert_eq!(
        endpoint("endpoint = 'http://file.example:1/base/'", &[SET, own]),
        "http://file.example:1/base/v1/traces"
    );
    let over = ("FEEDWATCH__TELEMETRY__ENDPOINT", "http://over.example");
    assert_eq!(
        endpoint("endpoint = 'http://file.example:1'", &[over]),
        "http://over.example/v1/traces"
    );
}

#[test]
fn variables_switch_traces_off_and_what_is_off_need_not_be_right() {
    let wrong = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
    ];
    for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert!(read("", &[off, wrong[0], wrong[1]]).unwrap().is_none(), "{off:?}");
    }
    for on in [("OTEL_SDK_DISABLED", "no"), ("OTEL_TRACES_EXPORTER", "otlp")] {
        assert!(read("", &[SET, on]).unwrap().is_some(), "{on:?}");
    }
    for of_another in [wrong[0], ("OTEL_TRACES_EXPORTER", "console")] {
        assert!(read("", &[of_another]).unwrap().is_none(), "it is for another program");
    }
}

#[test]
fn the_standard_variables_are_honoured_where_the_file_says_nothing() {
    let variables = [
        SET,
        ("OTEL_EXPORTER_OTLP_HEADERS", "x=1"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "authorization=Bearer%20token, x-tenant = 7",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_SERVICE_NAME", "bots"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=ignored,deployment%2Eenvironment.name=prod%2Ceu",
        ),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
    ];
    let read = traces("", &variables);
    let header = |name: &str| read.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(
        (header("authorization"), header("x-tenant"), header("x")),
        (Some("Bearer token"), Some("7"), None)
    );
    assert_eq!(
        (read.timeout, read.gzip, read.sample_ratio),
        (Duration::from_secs(7), true, 0.25)
    );
    assert_eq!(
        read.resource,
        [
            ("deployment.environment.name".into(), "prod,eu".into()),
            ("service.name".into(), "bots".into())
        ]
    );
    assert_eq!(
        (read.schedule_delay.as_millis(), read.max_queue, read.max_batch),
        (100, 64, 64)
    );

    let read = traces("service_name = 'file'\nsample_ratio = 1\ntimeout_ms = 5", &variables);
    assert_eq!((read.sample_ratio, read.timeout.as_millis()), (1.0, 5), "the file wins");
    assert_eq!(read.resource.last().unwrap().1, "file");
    let shorter = ("OTEL_BSP_EXPORT_TIMEOUT", "3");
    assert_eq!(traces("timeout_ms = 5", &[SET, shorter]).timeout.as_millis(), 3);
    for unlimited in ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"] {
        let limit = traces("timeout_ms = 10000", &[SET, (unlimited, "0")]).timeout;
        assert_eq!(limit.as_secs(), 10, "no limit is shorter than another: {unlimited}");
    }
    let no_limit = traces("", &[SET, ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).timeout;
    assert!(no_limit > Duration::from_secs(24 * 3600));
    for (sampler, ratio) in [("always_on", 1.0), ("always_off", 0.0), ("traceidratio", 1.0)] {
        assert_eq!(
            traces("", &[SET, ("OTEL_TRACES_SAMPLER", sampler)]).sample_ratio,
            ratio,
            "{sampler}"
        );
    }
}

#[test]
fn headers_come_from_a_file_and_are_hidden() {
    let file = TempFile::new("headers", "Authorization: Bearer s3cret:x\n\n  x-tenant:7  \n");
    let read = traces(
        &format!("headers_file = '{}'", file.name()),
        &[SET, ("OTEL_EXPORTER_OTLP_HEADERS", "y=1")],
    );
    assert_eq!(read.headers.len(), 2);
    assert_eq!(read.headers["authorization"], "Bearer s3cret:x");
    assert_eq!(read.headers["x-tenant"], "7");
    assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
    let read = traces(
        "",
        &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a.example/in?key=s3cret")],
    );
    assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
}

#[test]
fn authorities_come_from_a_file() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let file = TempFile::new("authority.pem", &certificate.pem());
    let read = traces("", &[SET, ("OTEL_EXPORTER_OTLP_CERTIFICATE", file.name())]);
    assert_eq!(read.authorities, [certificate.der().to_vec()]);
}

#[test]
fn what_is_wrong_names_the_variable_and_what_would_be_right() {
    for (name, value, expected) in [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "thrift",
            if cfg!(feature = "otlp-grpc") {
                r#""thrift" is unknown; valid: http/protobuf, grpc"#
            } else {
                r#""thrift" is unknown; valid: http/protobuf"#
            },
        ),
        (
            "OTEL_TRACES_EXPORTER",
            "zipkin",
            r#""zipkin" is unknown; valid: otlp, none"#,
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zstd",
            r#""zstd" is unknown; valid: gzip, none"#,
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10s",
            r#"must be a whole number from 0 to 604800000 ms (7 days), not "10s""#,
        ),
        (
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "0",
            r#"must be a whole number from 1 to 1000000, not "0""#,
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=1,b",
            "pair 2 is wrong; must be key=value,key=value, values percent-encoded",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
            "/k.pem",
            "client certificates are not supported here; unset it, and send headers instead",
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "jaeger_remote",
            r#""jaeger_remote" is unknown; valid: always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio"#,
        ),
    ] {
        assert_eq!(told(&[(name, value)]), format!("{name}: {expected}"));
    }
    let ratio = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ];
    assert_eq!(told(&ratio), "OTEL_TRACES_SAMPLER_ARG: must be from 0 to 1, not 2");
    let endpoint = |endpoint| {
        read("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        endpoint("collector:4318"),
        r#"OTEL_EXPORTER_OTLP_ENDPOINT: must begin with http:// or https://, as in "http://127.0.0.1:4318""#
    );
    assert_eq!(
        endpoint("http://collector/?token=s3cret"),
        "OTEL_EXPORTER_OTLP_ENDPOINT: has a query (?...), which only OTEL_EXPORTER_OTLP_TRACES_ENDPOINT may have"
    );
}

#[test]
fn no_message_repeats_a_secret() {
    let file = TempFile::new("bad-headers", "x-good: 1\ns3cret without a colon\n");
    let errors = read(&format!("headers_file = '{}'", file.name()), &[SET])
        .unwrap_err()
        .to_string();
    let expected = "line 2: must be the name of a header and its value, as in Authorization: Bearer TOKEN";
    assert!(errors.contains(expected) && !errors.contains("s3cret"), "{errors}");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@collector.example"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret://collector.example"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret"),
    ] {
        let errors = told(&[(name, value)]);
        assert!(errors.starts_with(name) && !errors.contains("s3cret"), "{errors}");
    }
    let missing = read("headers_file = '/nowhere/headers'", &[SET])
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("f.toml:2:16: telemetry.headers_file: \"/nowhere/headers\": "),
        "{missing}"
    );
}

#[test]
fn without_grpc_in_the_build_it_is_an_error_that_names_the_feature() {
    let variable = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    #[cfg(not(feature = "otlp-grpc"))]
    {
        let problem = r#""grpc" is not in this build, which lacks the feature otlp-grpc; valid: http/protobuf"#;
        assert_eq!(told(&variable), format!("OTEL_EXPORTER_OTLP_PROTOCOL: {problem}"));
        assert_eq!(
            read("protocol = 'grpc'", &[]).unwrap_err().to_string(),
            format!("f.toml:2:12: telemetry.protocol: {problem}")
        );
    }
    #[cfg(feature = "otlp-grpc")]
    {
        use feedwatch::config::TracesProtocol;
        const CALL: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(traces("", &[SET, variable[0]]).protocol, TracesProtocol::Grpc);
        let over = traces("protocol = 'http/protobuf'", &[SET, variable[0]]).protocol;
        assert_eq!(over, TracesProtocol::Http, "the file wins");
        let endpoint = |section: &str, variables: &[(&str, &str)]| {
            let section = format!("protocol = 'grpc'\n{section}");
            traces(&section, variables).endpoint.uri().to_string()
        };
        assert_eq!(endpoint("", &[SET]), format!("http://collector.example:4318/{CALL}"));
        let below = endpoint("endpoint = 'https://a.example/base/'", &[SET]);
        assert_eq!(below, format!("https://a.example/base/{CALL}"));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://a.example:4317");
        assert_eq!(endpoint("", &[own]), format!("https://a.example:4317/{CALL}"));
        let query = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://a.example/?token=s3cret")];
        assert_eq!(
            read("protocol = 'grpc'", &query).unwrap_err().to_string(),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: has a query (?...), which no call of gRPC has"
        );
    }
}

#[test]
fn an_unknown_protocol_and_an_endpoint_without_end_are_told_with_their_place() {
    let valid = if cfg!(feature = "otlp-grpc") {
        "http/protobuf, grpc"
    } else {
        "http/protobuf"
    };
    assert_eq!(
        read("protocol = 'udp'", &[]).unwrap_err().to_string(),
        format!("f.toml:2:12: telemetry.protocol: \"udp\" is unknown; valid: {valid}")
    );
    let long = format!("endpoint = 'http://a.example/{}'", "x".repeat(8192));
    assert_eq!(
        read(&long, &[]).unwrap_err().to_string(),
        "f.toml:2:12: telemetry.endpoint: is longer than 8192 bytes"
    );
}
