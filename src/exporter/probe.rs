//! `/probe`: one look at a venue while the scraper waits, as `blackbox_exporter` does it.

use super::routes::{Answer, Refusal, busy, ok};
use crate::metrics::Format;
use crate::probe::{ProbeReport, metrics};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// A probe that has less would blame the venue for it.
const LEAST: Duration = Duration::from_millis(100);

/// What of the scraper's time is kept for the way back, as `blackbox_exporter` does it.
const MARGIN: Duration = Duration::from_millis(500);

/// Makes the probes that `/probe` is asked for.
pub trait Prober: Send + Sync + fmt::Debug {
    /// A probe of `target`, as `module` says, in at most `limit`; `None` = not named. Nothing is dialled before the answer is
    /// polled.
    fn probe(&self, target: Option<&str>, module: Option<&str>, limit: Option<Duration>) -> Result<Probing, NoProbe>;
}

/// A probe under way. It goes on when it is dropped, and so ends in good order.
pub type Probing = Pin<Box<dyn Future<Output = Option<ProbeReport>> + Send>>;

/// Why there is no probe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoProbe {
    /// What is asked for does not exist, or is not allowed; in words.
    Refused(String),
    /// There are too many at once.
    Busy,
}

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    target: Option<String>,
    module: Option<String>,
}

/// Answers with the metrics of one probe.
pub(super) async fn answer(prober: &dyn Prober, head: &Parts, format: Format) -> Result<Answer, Refusal> {
    let asked = Asked::read(head.uri.query().unwrap_or_default())?;
    let limit = super::routes::scrape_timeout(&head.headers).map(less_margin);
    if limit.is_some_and(|limit| limit < LEAST) {
        let (header, least) = (super::routes::SCRAPE_TIMEOUT, (LEAST * 2).as_secs_f64());
        let why = format!("{header} leaves no time for a probe; it takes at least {least} seconds");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, why));
    }
    let probing = prober
        .probe(asked.target.as_deref(), asked.module.as_deref(), limit)
        .map_err(|refused| match refused {
            NoProbe::Refused(why) => Refusal::new(StatusCode::BAD_REQUEST, why),
            NoProbe::Busy => busy("too many probes at once"),
        })?;
    let rendered = probing.await.map(|report| metrics::render(&report, format));
    let Some(Ok(text)) = rendered else {
        let defect = "the probe failed by a defect: see the log";
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, defect));
    };
    let mut answer = ok(format.content_type(), text);
    answer
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

impl Asked {
    fn read(query: &str) -> Result<Self, Refusal> {
        let wrong = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
        let mut asked = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "target" => &mut asked.target,
                "module" => &mut asked.module,
                _ => {
                    let told: String = name.chars().take(80).collect();
                    return Err(wrong(format!("unknown parameter {told:?}; there are: target, module")));
                }
            };
            if place.is_some() {
                return Err(wrong(format!("{name} stands there twice")));
            }
            let value = value.replace('+', " ");
            let decoded = percent_decode_str(&value).decode_utf8();
            let decoded = decoded.map_err(|_| wrong(format!("{name} is not UTF-8 where it is percent-encoded")))?;
            *place = Some(decoded.into_owned()).filter(|value| !value.is_empty());
        }
        Ok(asked)
    }
}

/// Of a very short time, half.
fn less_margin(asked: Duration) -> Duration {
    asked.checked_sub(MARGIN).map_or(asked / 2, |rest| rest.max(asked / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: Option<&str>, module: Option<&str>) -> Asked {
        Asked {
            target: target.map(str::to_owned),
            module: module.map(str::to_owned),
        }
    }

    #[test]
    fn the_parameters_are_decoded() {
        let read = |query| Asked::read(query).unwrap();
        assert_eq!(read(""), asked(None, None));
        assert_eq!(read("target=polymarket"), asked(Some("polymarket"), None));
        assert_eq!(read("module=a&target=&"), asked(None, Some("a")));
        assert_eq!(
            read("target=wss%3A%2F%2Fvenue.example%2Fws%3Fa%3Db&module=m"),
            asked(Some("wss://venue.example/ws?a=b"), Some("m"))
        );
    }

    #[test]
    fn what_is_no_parameter_is_told() {
        for (query, told) in [
            ("targte=a", r#"unknown parameter "targte"; there are: target, module"#),
            ("target=a&target=b", "target stands there twice"),
            ("module=%ff", "module is not UTF-8 where it is percent-encoded"),
        ] {
            assert_eq!(Asked::read(query).unwrap_err().reason(), told);
        }
    }

    #[test]
    fn some_of_the_scrapers_time_is_kept() {
        let millis = Duration::from_millis;
        assert_eq!(less_margin(millis(10_000)), millis(9500));
        assert_eq!(less_margin(millis(1000)), millis(500));
        assert_eq!(less_margin(millis(400)), millis(200));
    }
}
