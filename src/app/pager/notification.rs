//! What Alertmanager posts to a webhook (version 4 of its payload), and how it reads.
//!
//! Source: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use crate::clock::{Moment, unix_seconds};
use crate::exporter::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// So many alerts of a notification are told one by one.
const MAX_TOLD: usize = 10;

/// A notification, and where it was sent to.
pub(super) struct Received {
    path: String,
    time: f64,
    /// As it came.
    whole: Value,
    notification: Notification,
}

/// The part that is read.
#[derive(Deserialize)]
struct Notification {
    status: Status,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    status: Status,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

impl Received {
    /// From a request's path and body.
    pub(super) fn parse(path: String, body: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(Self {
            path,
            time: unix_seconds(Moment::now().wall),
            notification: serde_json::from_slice(body)?,
            whole: serde_json::from_slice(body)?,
        })
    }

    /// Whether it is the alert that always fires.
    pub(super) fn is_heartbeat(&self) -> bool {
        let alerts = &self.notification.alerts;
        !alerts.is_empty() && alerts.iter().all(|alert| alert.label("alertname") == "Watchdog")
    }

    /// As one line.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            path: &'a str,
            notification: &'a Value,
        }
        serde_json::to_string(&Line {
            path: &self.path,
            notification: &self.whole,
        })
    }
}

impl Alert {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Without control characters: they would be the terminal's.
    fn told(&self, annotation: &str) -> String {
        let text = self.annotations.get(annotation).map_or("", String::as_str);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        })
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            time,
            notification,
            ..
        } = self;
        let alerts = &notification.alerts;
        let plural = if alerts.len() == 1 { "" } else { "s" };
        write!(
            f,
            "{} {path}: {}, {} alert{plural}",
            rfc3339(*time),
            notification.status,
            alerts.len()
        )?;
        for alert in alerts.iter().take(MAX_TOLD) {
            write!(f, "\n  {:<8}  {}", alert.status, alert.told("summary"))?;
            for annotation in ["description", "dashboard_url", "runbook_url"] {
                write!(f, "\n            {}", alert.told(annotation))?;
            }
        }
        match alerts.len().saturating_sub(MAX_TOLD) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(alerts: &[serde_json::Value]) -> Received {
        let body = serde_json::json!({ "version": "4", "status": "firing", "alerts": alerts }).to_string();
        Received::parse("/page".into(), body.as_bytes()).unwrap()
    }

    fn alert(name: &str, status: &str) -> serde_json::Value {
        serde_json::json!({
            "status": status,
            "labels": { "alertname": name },
            "annotations": {
                "summary": "tripped", "description": "no more\u{1b}[31m dials",
                "dashboard_url": "http://d", "runbook_url": "http://r",
            },
        })
    }

    #[test]
    fn people_read_a_paragraph_and_the_terminal_takes_no_orders() {
        let text = received(&[alert("A", "firing"), alert("B", "resolved")]).to_string();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "{time}");
        assert_eq!(
            rest,
            "/page: firing, 2 alerts\n  firing    tripped\n            no more [31m dials\n            http://d\n            \
             http://r\n  resolved  tripped\n            no more [31m dials\n            http://d\n            http://r"
        );
    }

    #[test]
    fn many_alerts_are_told_in_part() {
        let text = received(&vec![alert("A", "firing"); MAX_TOLD + 3]).to_string();
        assert_eq!(text.matches("tripped").count(), MAX_TOLD);
        assert!(text.ends_with("and 3 more"), "{text}");
    }

    #[test]
    fn programs_read_a_line_with_all_that_came() {
        let line = received(&[alert("A", "firing")]).json().unwrap();
        assert!(!line.contains('\n'));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["path"], "/page");
        assert_eq!(line["notification"]["version"], "4");
        assert_eq!(line["notification"]["alerts"][0]["labels"]["alertname"], "A");
    }

    #[test]
    fn the_alert_that_always_fires_is_a_heartbeat_and_nothing_else_is() {
        assert!(received(&[alert("Watchdog", "firing")]).is_heartbeat());
        assert!(!received(&[alert("Watchdog", "firing"), alert("A", "firing")]).is_heartbeat());
        assert!(!received(&[]).is_heartbeat());
    }

    #[test]
    fn what_is_no_notification_is_refused() {
        for body in [
            "",
            "{}",
            "[]",
            "{\"status\":\"firing\"}",
            "{\"status\":\"lit\",\"alerts\":[]}",
        ] {
            assert!(Received::parse("/".into(), body.as_bytes()).is_err(), "{body}");
        }
    }
}
