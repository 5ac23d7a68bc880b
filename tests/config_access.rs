//! `[tls]`, `[proxy]` and the headers of streams: what holds for whom, what a change of a file is, and how what is wrong is told.

#![cfg(feature = "service")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail"
)]

#[path = "support/files.rs"]
mod files;

use feedwatch::config::{AccessConfig, Change, Config, ConfigErrors, Fate};
use feedwatch::stream::{Authorities, ClientIdentity, Proxy, UpgradeHeaders};
use feedwatch::venue::ApiKey;
use files::TempFile;
use rcgen::{CertificateParams, KeyPair};

const NO_VARIABLES: [(&str, &str); 0] = [];

/// A file that holds this.
fn holding(text: &str) -> TempFile {
    TempFile::new("txt", text)
}

/// A certificate and its key, in PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Sections, and a stream for each of these lines.
fn text(sections: &str, streams: &[&str]) -> String {
    let stream = |(number, keys)| format!("[[streams]]\nname = \"{number}\"\nvenue = \"polymarket\"\n{keys}\n");
    let streams: String = (0..).zip(streams).map(stream).collect();
    format!("{sections}\n{streams}")
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse("f.toml", text, NO_VARIABLES)
}

fn accesses(sections: &str, streams: &[&str]) -> Vec<AccessConfig> {
    let config = parse(&text(sections, streams)).unwrap_or_else(|errors| panic!("{errors}"));
    config.streams.into_iter().map(|stream| stream.access).collect()
}

fn proxies(sections: &str, streams: &[&str]) -> Vec<Option<Proxy>> {
    let accesses = accesses(sections, streams).into_iter();
    accesses.map(|access| access.proxy).collect()
}

fn proxy(url: &str) -> Proxy {
    Proxy::parse(url).unwrap()
}

/// All that is told of this text; the names of files stand in for what they are.
fn told(text: &str, files: &[(&str, &TempFile)]) -> String {
    let told = parse(text).unwrap_err().to_string();
    files.iter().fold(told, |told, (name, file)| {
        told.replace(&format!("{:?}", file.name()), name)
    })
}

#[test]
fn by_default_a_stream_goes_straight_and_shows_nothing() {
    assert_eq!(accesses("", &[""]), [AccessConfig::default()]);
    assert_eq!(
        accesses("[tls]\n[proxy]", &["tls = {}\nproxy = {}\nheaders = {}"]),
        [AccessConfig::default()]
    );
}

#[test]
fn a_stream_overrides_the_proxy_or_goes_through_none() {
    let password = holding("hunter2\n");
    let sections = format!(
        "[proxy]\nurl = 'http://p:1'\nusername = 'u'\npassword_file = {:?}",
        password.name()
    );
    let own = format!("proxy = {{ username = 'v', password_file = {:?} }}", password.name());
    let streams = [
        "",
        "proxy = { url = '' }",
        "proxy = { url = 'socks5://q:2' }",
        own.as_str(),
    ];
    let found = proxies(&sections, &streams);
    let general = proxy("http://p:1").with_credentials("u", "hunter2").unwrap();
    assert_eq!(found[0], Some(general));
    assert_eq!(found[1], None);
    // It is not told what was meant for another.
    assert_eq!(found[2], Some(proxy("socks5://q:2")));
    assert_eq!(
        found[3],
        Some(proxy("http://p:1").with_credentials("v", "hunter2").unwrap())
    );
}

#[test]
fn a_stream_overrides_trust_and_identity_key_by_key() {
    let ((ca, _), (other_ca, _), (certificate, key)) = (pair(), pair(), pair());
    let files = [&ca, &other_ca, &certificate, &key].map(|text| holding(text));
    let [ca_file, other_file, certificate_file, key_file] = files.each_ref().map(TempFile::name);
    let sections = format!(
        "[tls]\nca_file = {ca_file:?}\nclient_certificate_file = {certificate_file:?}\nclient_key_file = {key_file:?}"
    );
    let other = format!("tls = {{ ca_file = {other_file:?} }}");
    let streams = [
        "",
        &other,
        "tls = { ca_file = '', client_certificate_file = '' }",
        "url = 'ws://venue.example'",
    ];
    let found = accesses(&sections, &streams);
    let authorities = |pem: &str| Some(Authorities::from_pem(pem.as_bytes()).unwrap());
    let identity = Some(ClientIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap());
    assert_eq!(
        (&found[0].tls.authorities, &found[0].tls.identity),
        (&authorities(&ca), &identity)
    );
    assert_eq!(
        (&found[1].tls.authorities, &found[1].tls.identity),
        (&authorities(&other_ca), &identity)
    );
    assert_eq!((&found[2].tls.authorities, &found[2].tls.identity), (&None, &None));
    assert_eq!(
        (&found[3].tls.authorities, &found[3].tls.identity),
        (&None, &None),
        "it has no TLS"
    );
}

#[test]
fn headers_come_from_the_stream_and_from_its_file() {
    let file = holding("X-Secret: a: b\n\n  x-tenant:7  \n");
    let keys = format!(
        "headers = {{ X-Api-Key = 'k', \"Origin\" = 'https://a.example' }}\nheaders_file = {:?}",
        file.name()
    );
    let expected = [
        ("x-api-key", "k"),
        ("origin", "https://a.example"),
        ("x-secret", "a: b"),
        ("x-tenant", "7"),
    ];
    assert_eq!(
        accesses("", &[&keys])[0].headers,
        UpgradeHeaders::new(expected).unwrap()
    );
}

#[test]
fn variables_override_the_sections_and_hold_the_password() {
    let variables = [
        ("FEEDWATCH__PROXY__URL", "socks5://q:2"),
        ("FEEDWATCH__PROXY__USERNAME", "u"),
        ("FEEDWATCH__PROXY__PASSWORD", "hunter2"),
    ];
    let text = text(
        "proxy.url = 'http://p:1'",
        &["", "proxy = { url = 'http://own:3' }", "proxy = { url = '' }"],
    );
    let config = Config::parse("f.toml", &text, variables).unwrap();
    let found: Vec<_> = config.streams.into_iter().map(|stream| stream.access.proxy).collect();
    let general = proxy("socks5://q:2").with_credentials("u", "hunter2").unwrap();
    assert_eq!(found, [Some(general), Some(proxy("http://own:3")), None]);
    let none = Config::parse(
        "f.toml",
        &self::text("proxy.url = 'http://p:1'", &[""]),
        [("FEEDWATCH__PROXY__URL", "")],
    );
    assert_eq!(none.unwrap().streams[0].access.proxy, None);
    let errors = Config::parse(
        "f.toml",
        &self::text("", &[""]),
        [("FEEDWATCH__TLS__CA_FILE", "/nowhere/ca.pem")],
    );
    assert_eq!(
        errors.unwrap_err().to_string(),
        "FEEDWATCH__TLS__CA_FILE: tls.ca_file: \"/nowhere/ca.pem\": No such file or directory (os error 2)"
    );
}

#[test]
fn the_hash_is_no_oracle_of_the_password() {
    let text = text("proxy = { url = 'http://p:1', username = 'u' }", &[""]);
    let hash = |password| {
        let variables = [("FEEDWATCH__PROXY__PASSWORD", password)];
        Config::parse("f.toml", &text, variables).unwrap().hash
    };
    assert_eq!(hash("hunter2"), hash("hunter3"));
}

#[test]
fn every_file_that_cannot_be_used_is_told_with_the_place_of_its_key() {
    let ((certificate, key), (_, other_key)) = (pair(), pair());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let [certificate, key, other_key, encrypted] = [&certificate, &key, &other_key, encrypted].map(holding);
    let files = [
        ("CERTIFICATE", &certificate),
        ("KEY", &key),
        ("OTHER KEY", &other_key),
        ("ENCRYPTED", &encrypted),
    ];
    let of_tls = |ca: &str, certificate: &str, key: &str| {
        let keys = [
            ("ca_file", ca),
            ("client_certificate_file", certificate),
            ("client_key_file", key),
        ];
        let lines = keys.into_iter().filter(|(_, value)| !value.is_empty());
        let lines: Vec<_> = lines.map(|(key, value)| format!("{key} = {value:?}")).collect();
        told(&text(&format!("[tls]\n{}", lines.join("\n")), &[""]), &files)
    };
    let (certificate, key, other_key, encrypted) = (certificate.name(), key.name(), other_key.name(), encrypted.name());
    for (found, expected) in [
        (
            of_tls("/nowhere/ca.pem", "", ""),
            "f.toml:2:11: tls.ca_file: \"/nowhere/ca.pem\": No such file or directory (os error 2)",
        ),
        (
            of_tls(key, "", ""),
            "f.toml:2:11: tls.ca_file: KEY: holds none; must be a file of certificates, in PEM",
        ),
        (
            of_tls("", certificate, other_key),
            "f.toml:3:19: tls.client_key_file: OTHER KEY: is not the key of the certificate",
        ),
        (
            of_tls("", certificate, encrypted),
            "f.toml:3:19: tls.client_key_file: ENCRYPTED: the key is encrypted; decrypt it first, as `openssl pkey` does, and keep the file to yourself",
        ),
        (
            of_tls("", certificate, certificate),
            "f.toml:3:19: tls.client_key_file: CERTIFICATE: holds no private key; must be a file with one, in PEM",
        ),
        (
            of_tls("", key, key),
            "f.toml:2:27: tls.client_certificate_file: KEY: holds none; must be a file of certificates, in PEM",
        ),
        (
            of_tls("", certificate, ""),
            "f.toml:2:27: tls.client_certificate_file: is of no use without client_key_file beside it",
        ),
        (
            of_tls("", "", key),
            "f.toml:2:19: tls.client_key_file: is of no use without client_certificate_file beside it",
        ),
        (
            of_tls("", "/nowhere/c.pem", "/nowhere/k.pem"),
            "f.toml:2:27: tls.client_certificate_file: \"/nowhere/c.pem\": No such file or directory (os error 2)\n\
             f.toml:3:19: tls.client_key_file: \"/nowhere/k.pem\": No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

/// A stream of a venue that takes no connection without a key.
fn of_kalshi(keys: &str) -> String {
    text("", &[keys]).replace("polymarket", "kalshi")
}

const RSA: &str = include_str!("fixtures/kalshi/key.pem");
const EC: &str = include_str!("fixtures/kalshi/key-ec.pem");

#[test]
fn the_key_of_an_account_comes_from_its_file_and_is_not_shown() {
    let file = holding(RSA);
    let keys = |id: &str| of_kalshi(&format!("api_key_id = {id:?}\napi_key_file = {:?}", file.name()));
    let config = parse(&keys("6f1c-77")).unwrap_or_else(|errors| panic!("{errors}"));
    let key = config.streams[0].access.key.clone();
    assert_eq!(key, Some(ApiKey::from_pem("6f1c-77", RSA.as_bytes()).unwrap()));
    assert!(!format!("{config:?}").contains("6f1c"));
    let another = parse(&keys("6f1c-78")).unwrap();
    let difference = config.difference(&another).unwrap();
    let fate = &difference.streams[0].1;
    assert!(
        matches!(fate, Fate::Kept { keys, .. } if keys == &["api_key_id"]),
        "{fate:?}"
    );
}

#[test]
fn files_of_other_systems_hold_what_they_show() {
    let other = |text: &str| holding(&format!("\u{feff}{}", text.replace('\n', "\r\n")));
    let (certificate, private) = pair();
    let [key, ca, private_key, password] = [RSA, certificate.as_str(), private.as_str(), "hunter2\n"].map(other);
    let config = parse(&of_kalshi(&format!(
        "api_key_id = 'a'\napi_key_file = {:?}\n\
         tls = {{ ca_file = {ca:?}, client_certificate_file = {ca:?}, client_key_file = {:?} }}\n\
         proxy = {{ url = 'http://p:1', username = 'u', password_file = {:?} }}",
        key.name(),
        private_key.name(),
        password.name(),
        ca = ca.name(),
    )))
    .unwrap_or_else(|errors| panic!("{errors}"));
    let access = &config.streams[0].access;
    assert_eq!(access.key, Some(ApiKey::from_pem("a", RSA.as_bytes()).unwrap()));
    let (certificate, private) = (certificate.as_bytes(), private.as_bytes());
    assert_eq!(
        access.tls.authorities,
        Some(Authorities::from_pem(certificate).unwrap())
    );
    assert_eq!(
        access.tls.identity,
        Some(ClientIdentity::from_pem(certificate, private).unwrap())
    );
    assert_eq!(
        access.proxy,
        Some(proxy("http://p:1").with_credentials("u", "hunter2").unwrap())
    );
}

#[test]
fn a_key_that_is_missing_or_cannot_sign_is_told_with_the_place_of_its_key() {
    let [key, other, none] = [RSA, EC, "no key"].map(holding);
    let files = [("KEY", &key), ("EC", &other), ("NONE", &none)];
    let told_of = |id: &str, file: &str| {
        let lines = [("api_key_id", id), ("api_key_file", file)];
        let lines = lines.iter().filter(|(_, value)| *value != "-");
        let lines: Vec<_> = lines.map(|(key, value)| format!("{key} = {value:?}")).collect();
        told(&of_kalshi(&lines.join("\n")), &files)
    };
    for (found, expected) in [
        (
            told_of("-", "-"),
            "f.toml:2:1: streams[0].api_key_id: is missing; kalshi takes no connection without a key: set api_key_id and api_key_file",
        ),
        (
            told_of("a", "-"),
            "f.toml:5:14: streams[0].api_key_id: is of no use without api_key_file beside it",
        ),
        (
            told_of("-", key.name()),
            "f.toml:5:16: streams[0].api_key_file: is of no use without api_key_id beside it",
        ),
        (
            told_of("a b", key.name()),
            "f.toml:5:14: streams[0].api_key_id: the key's id is empty, too long or no plain text; must be 1 to 256 visible ASCII characters",
        ),
        (
            told_of("a", other.name()),
            "f.toml:6:16: streams[0].api_key_file: EC: the key is not one of RSA; must be the RSA key that the venue gave to the account",
        ),
        (
            told_of("a", none.name()),
            "f.toml:6:16: streams[0].api_key_file: NONE: holds no private key; must be a file with one, in PEM",
        ),
        (
            told_of("a", "/nowhere/key"),
            "f.toml:6:16: streams[0].api_key_file: \"/nowhere/key\": No such file or directory (os error 2)",
        ),
        (
            told(&text("", &["api_key_id = 'a'"]), &[]),
            "f.toml:5:14: streams[0].api_key_id: is of no use; polymarket asks for no key",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

/// Whoever opens a pipe waits for its writer: nobody writes to this one.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_again_is_refused_and_not_waited_for() {
    let pipe = holding("");
    std::fs::remove_file(pipe.name()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(pipe.name()).status();
    assert!(made.unwrap().success());
    let why = "PIPE: is a pipe, a socket or a device; must be a file, which can be read again";
    let path = pipe.name();
    for (sections, stream, place) in [
        (format!("tls.ca_file = {path:?}"), String::new(), "1:15: tls.ca_file"),
        (
            format!("tls.client_certificate_file = {path:?}\ntls.client_key_file = \"\""),
            String::new(),
            "1:31: tls.client_certificate_file",
        ),
        (
            format!("proxy = {{ url = \"http://p:1\", username = \"u\", password_file = {path:?} }}"),
            String::new(),
            "1:63: proxy.password_file",
        ),
        (
            format!("telemetry.endpoint = \"http://c:1\"\ntelemetry.headers_file = {path:?}"),
            String::new(),
            "2:26: telemetry.headers_file",
        ),
        (
            String::new(),
            format!("headers_file = {path:?}"),
            "5:16: streams[0].headers_file",
        ),
    ] {
        let text = text(&sections, &[&stream]);
        let (tell, reading) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(parse(&text).unwrap_err().to_string()));
        let told = reading.recv_timeout(std::time::Duration::from_secs(20)).expect(place);
        assert_eq!(
            told.replace(&format!("{path:?}"), "PIPE"),
            format!("f.toml:{place}: {why}")
        );
    }
}

#[test]
fn a_byte_order_mark_belongs_to_no_header_and_to_no_password() {
    let (header, password) = (holding("\u{feff}X-Key: 1\r\n"), holding("\u{feff}hunter2\r\n"));
    let proxied = format!(
        "proxy = {{ url = \"http://p:1\", username = \"u\", password_file = {:?} }}",
        password.name()
    );
    let found = accesses(&proxied, &[&format!("headers_file = {:?}", header.name())]);
    assert_eq!(found[0].headers, UpgradeHeaders::new([("x-key", "1")]).unwrap());
    assert_eq!(
        found[0].proxy,
        Some(proxy("http://p:1").with_credentials("u", "hunter2").unwrap())
    );
}

#[test]
fn a_certificate_that_is_damaged_is_counted() {
    let (certificate, _) = pair();
    let file = holding(&format!("{certificate}-----BEGIN CERTIFICATE-----\nAAAA\n"));
    assert_eq!(
        told(
            &text(&format!("tls.ca_file = {:?}", file.name()), &[""]),
            &[("FILE", &file)]
        ),
        "f.toml:1:15: tls.ca_file: FILE: certificate 2 is damaged; must be a file of certificates, in PEM"
    );
}

#[test]
fn a_stream_without_tls_has_no_use_for_it() {
    assert_eq!(
        told(&text("", &["url = 'ws://venue.example'\ntls = { ca_file = '' }"]), &[]),
        "f.toml:6:7: streams[0].tls: is for wss:// alone, and the url here is ws://"
    );
}

#[test]
fn what_is_wrong_with_a_proxy_names_what_would_be_right() {
    let [password, two_lines] = ["hunter2\n", "hunter2\nhunter3\n"].map(holding);
    let files = [("FILE", &password), ("TWO LINES", &two_lines)];
    let (file, two_lines) = (format!("{:?}", password.name()), format!("{:?}", two_lines.name()));
    let form = r#"the address of a proxy is "http://HOST:PORT" or "socks5://HOST:PORT""#;
    for (lines, expected) in [
        ("url = 'https://p:1'", format!("f.toml:2:7: proxy.url: does not begin with http:// or socks5://; {form}")),
        ("url = 'http://p'", format!("f.toml:2:7: proxy.url: has no port from 1 to 65535; {form}")),
        (
            "url = 'http://u:hunter2@p:1'",
            format!("f.toml:2:7: proxy.url: holds a user name or password, which have keys of their own; {form}"),
        ),
        (
            "url = 'http://p:1'\nusername = 'u'",
            "f.toml:3:12: proxy.username: is of no use without a password; set password_file".to_owned(),
        ),
        (
            &format!("url = 'http://p:1'\npassword_file = {file}"),
            "f.toml:3:17: proxy.password_file: is of no use without username beside it".to_owned(),
        ),
        (
            &format!("username = 'u'\npassword_file = {file}"),
            "f.toml:2:12: proxy.username: is of no use without a proxy; set its url".to_owned(),
        ),
        (
            &format!("url = 'http://p:1'\nusername = 'a:b'\npassword_file = {file}"),
            "f.toml:3:12: proxy.username: the user name for an HTTP proxy cannot hold a colon".to_owned(),
        ),
        (
            &format!("url = 'http://p:1'\nusername = 'u'\npassword_file = {two_lines}"),
            "f.toml:3:12: proxy.username: neither user name nor password can hold control characters, such as the end of a line"
                .to_owned(),
        ),
        (
            "url = 'socks5://p:1'\nusername = 'u'\npassword_file = '/nowhere/password'",
            "f.toml:4:17: proxy.password_file: \"/nowhere/password\": No such file or directory (os error 2)".to_owned(),
        ),
        (
            "url = 'http://p:1'\nusername = 'u'\npassword = 'hunter2'",
            "f.toml:4:12: proxy.password: has no place in this file; put it into a file that password_file names, or into the \
             variable FEEDWATCH__PROXY__PASSWORD"
                .to_owned(),
        ),
    ] {
        assert_eq!(told(&text(&format!("[proxy]\n{lines}"), &[""]), &files), expected);
    }
}

#[test]
fn what_is_wrong_with_a_header_is_told_without_its_value() {
    let file = holding("X-Good: 1\nhunter2 without a colon\n");
    let twice = holding("x-api-key: hunter2\n");
    let own = holding("Sec-WebSocket-Key: hunter2\n");
    let files = [("FILE", &file), ("TWICE", &twice), ("OWN", &own)];
    let many: Vec<_> = (0..=UpgradeHeaders::MOST)
        .map(|number| format!("X-{number} = 'x', "))
        .collect();
    for (keys, expected) in [
        (
            "headers = { Host = 'hunter2', \"a b\" = 'hunter2', x-b = 5 }".to_owned(),
            "f.toml:5:20: streams[0].headers.Host: host belongs to WebSocket or HTTP itself, and cannot be set\n\
             f.toml:5:39: streams[0].headers.\"a b\": has a name that HTTP does not allow; valid: letters, digits and hyphens, as in X-Api-Key\n\
             f.toml:5:56: streams[0].headers.x-b: must be a string in quotes, not an integer"
                .to_owned(),
        ),
        (
            "headers = { X-A = \"hunter2\\r\\nHost: x\" }".to_owned(),
            "f.toml:5:19: streams[0].headers.X-A: has no value that HTTP allows; valid: visible ASCII characters, with blanks between them"
                .to_owned(),
        ),
        (
            "headers = { X-A = 'hunter2', x-a = 'hunter2' }".to_owned(),
            "f.toml:5:36: streams[0].headers.x-a: x-a is set twice".to_owned(),
        ),
        (
            "headers = { Proxy-Authorization = 'hunter2' }".to_owned(),
            "f.toml:5:35: streams[0].headers.Proxy-Authorization: proxy-authorization is for a proxy, and not sent to a venue; see [proxy]"
                .to_owned(),
        ),
        (
            format!("headers_file = {:?}", file.name()),
            "f.toml:5:16: streams[0].headers_file: FILE, line 2: has a name that HTTP does not allow; valid: letters, digits and hyphens, as in X-Api-Key"
                .to_owned(),
        ),
        (
            format!("headers = {{ X-Api-Key = 'k' }}\nheaders_file = {:?}", twice.name()),
            "f.toml:6:16: streams[0].headers_file: TWICE, line 1: x-api-key is set twice".to_owned(),
        ),
        (
            format!("headers_file = {:?}", own.name()),
            "f.toml:5:16: streams[0].headers_file: OWN, line 1: sec-websocket-key belongs to WebSocket or HTTP itself, and cannot be set"
                .to_owned(),
        ),
        (
            "headers_file = '/nowhere/headers'".to_owned(),
            "f.toml:5:16: streams[0].headers_file: \"/nowhere/headers\": No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        assert_eq!(told(&text("", &[&keys]), &files), expected);
    }
    let too_many = told(
        &text("", &[&format!("headers = {{ {} X-Last = 'x' }}", many.concat())]),
        &[],
    );
    let lines: Vec<_> = too_many.lines().collect();
    assert_eq!(lines.len(), 2, "{too_many}");
    assert!(
        lines[0].ends_with("is one header more than the 32 that are allowed"),
        "{too_many}"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let (certificate, key) = pair();
    let [certificate, key, password, headers] = [&certificate, &key, "hunter2", "X-Key: hunter3"].map(holding);
    let sections = format!(
        "[tls]\nclient_certificate_file = {:?}\nclient_key_file = {:?}\n[proxy]\nurl = 'http://p:1'\nusername = 'hunter1'\npassword_file = {:?}",
        certificate.name(),
        key.name(),
        password.name()
    );
    let keys = format!(
        "headers = {{ X-Other = 'hunter4' }}\nheaders_file = {:?}",
        headers.name()
    );
    let config = parse(&text(&sections, &[&keys])).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(
        shown.contains("x-key") && shown.contains("http://p:1 with credentials"),
        "{shown}"
    );
}

/// What becomes of the two streams when the files are written anew.
fn fates_after(files: &[(&TempFile, &str)], text: &str) -> Vec<(Vec<&'static str>, bool)> {
    let before = parse(text).unwrap();
    for (file, content) in files {
        file.write(content);
    }
    let next = parse(text).unwrap();
    assert_eq!(before.hash, next.hash, "the same text");
    let difference = before.difference(&next).unwrap();
    let fates = difference.streams.into_iter().map(|(stream, fate)| match fate {
        Fate::Kept { keys, changes } => {
            let access = Change::Access(Box::new(stream.access.clone()));
            assert!(changes.is_empty() || changes == [access], "{changes:?}");
            (keys, !changes.is_empty())
        }
        other => panic!("{other:?}"),
    });
    fates.collect()
}

#[test]
fn what_a_file_holds_counts_and_only_for_those_who_use_it() {
    let ((certificate, key), (other_certificate, other_key), (ca, _), (other_ca, _)) = (pair(), pair(), pair(), pair());
    let [certificate_file, key_file, ca_file] = [&certificate, &key, &ca].map(|text| holding(text));
    let [password_file, headers_file] = ["hunter2", "X-Key: 1"].map(holding);
    let sections = format!(
        "[tls]\nca_file = {:?}\nclient_certificate_file = {:?}\nclient_key_file = {:?}\n\
         [proxy]\nurl = 'http://p:1'\nusername = 'u'\npassword_file = {:?}",
        ca_file.name(),
        certificate_file.name(),
        key_file.name(),
        password_file.name()
    );
    let text = text(
        &sections,
        &[
            &format!("headers_file = {:?}", headers_file.name()),
            "tls = { ca_file = '', client_certificate_file = '' }\nproxy = { url = '' }",
        ],
    );
    let untouched = (Vec::new(), false);
    let only_the_first = |keys: &[&'static str]| [(keys.to_vec(), true), untouched.clone()];
    assert_eq!(fates_after(&[], &text), [untouched.clone(), untouched.clone()]);
    assert_eq!(
        fates_after(&[(&ca_file, &other_ca)], &text),
        only_the_first(&["tls.ca_file"])
    );
    assert_eq!(
        fates_after(&[(&headers_file, "X-Key: 2")], &text),
        only_the_first(&["headers"])
    );
    assert_eq!(
        fates_after(&[(&password_file, "hunter3")], &text),
        only_the_first(&["proxy.password_file"])
    );
    let renewed = [
        (&certificate_file, other_certificate.as_str()),
        (&key_file, other_key.as_str()),
    ];
    assert_eq!(
        fates_after(&renewed, &text),
        only_the_first(&["tls.client_certificate_file"])
    );
    // Comments, an empty line, a blank: nothing of it is sent.
    let commented = format!("# the same\n{other_ca}\n");
    let same = [
        (&ca_file, commented.as_str()),
        (&headers_file, "\nx-key:  2 \n"),
        (&password_file, "hunter3\n"),
    ];
    assert_eq!(fates_after(&same, &text), [untouched.clone(), untouched.clone()]);
}

#[test]
fn another_proxy_is_told_by_what_of_it_is_another() {
    let keys = |before: &str, next: &str| {
        let password = holding("hunter2");
        let parse = |proxy: &str| {
            let proxy = proxy.replace("FILE", &format!("{:?}", password.name()));
            parse(&text(&format!("[proxy]\n{proxy}"), &[""])).unwrap()
        };
        let (before, next) = (parse(before), parse(next));
        let difference = before.difference(&next).unwrap();
        assert!(difference.keys.is_empty());
        match &difference.streams[0].1 {
            Fate::Kept { keys, .. } => keys.clone(),
            other => panic!("{other:?}"),
        }
    };
    let with = |user: &str| format!("url = 'http://p:1'\nusername = '{user}'\npassword_file = FILE");
    assert_eq!(keys("", "url = 'http://p:1'"), ["proxy.url"]);
    assert_eq!(keys("url = 'http://p:1'", ""), ["proxy.url"]);
    assert_eq!(keys("url = 'http://p:1'", "url = 'socks5://p:1'"), ["proxy.url"]);
    assert_eq!(keys("url = 'http://p:1'", &with("u")), ["proxy.username"]);
    assert_eq!(keys(&with("u"), &with("v")), ["proxy.username"]);
    assert!(keys(&with("u"), &with("u")).is_empty());
}
