//! In words: what a failure means, and what to do about it.

use super::report::{LookUp, ProbeReport, SeenFrame, Verdict};
use crate::market::{Cause, DecodeError, Failure};

/// What is wrong, for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const fn advice(meaning: &'static str, remedy: &'static str) -> Advice {
    Advice { meaning, remedy }
}

impl Advice {
    /// About what a probe has found; `None` where nothing is wrong.
    pub fn on(report: &ProbeReport) -> Option<Self> {
        let found = match report.verdict {
            Verdict::Well | Verdict::Upgraded => return None,
            Verdict::Held => advice(
                "The dial was never let through: so many dials of this host came before, or the venue asked to be left alone.",
                "Probe less often or with more time, or raise [dial] per_second where the venue allows it.",
            ),
            Verdict::Unresolved => Self::on_names(report),
            Verdict::Failed | Verdict::Lost => match (&report.failure, report.has_key) {
                (Some(Failure { status: Some(401), .. }), Some(has_key)) => Self::on_key(has_key),
                (Some(failure), _) if failure.cause == Cause::SubscribeTimeout && report.unreadable_frames > 0 => {
                    Self::on_unreadable(report)
                }
                (Some(failure), _) => Self::on_failure(failure),
                (None, _) => Self::on_cause(Cause::Internal),
            },
            Verdict::Refused => advice(
                "The venue answered, and left out or refused some of the instruments: they do not exist there, or have ended.",
                "Check how they are spelt for this venue and market, and take out those that have ended.",
            ),
            Verdict::Unreadable => Self::on_unreadable(report),
            Verdict::NoData => advice(
                "Connected and subscribed, and nothing came in the time: the market is quiet or closed, or the venue is stuck.",
                "Probe longer, or with an instrument that trades all the time, such as the venue's largest.",
            ),
        };
        Some(found)
    }

    /// About a failure: that of an HTTP status depends on which.
    pub const fn on_failure(failure: &Failure) -> Self {
        match (failure.cause, failure.status) {
            (Cause::HttpStatus | Cause::Unauthorized | Cause::RateLimited, Some(status))
            | (Cause::Upgrade, Some(status @ 300..=399)) => Self::on_status(status),
            (cause, _) => Self::on_cause(cause),
        }
    }

    /// About a venue that asks for a key and has answered with 401.
    const fn on_key(has_key: bool) -> Self {
        if has_key {
            advice(
                "The venue does not accept the key: its id and the private key do not belong together, it was deleted, or this machine's \
                 clock is off.",
                "Check that api_key_file holds the private key that the venue gave out with api_key_id, that the account still has it, and \
                 the clock.",
            )
        } else {
            advice(
                "The venue takes no connection without a key, and none was brought along.",
                "Set api_key_id and api_key_file of a stream in a configuration, and probe that: --config FILE --stream NAME; or of a \
                 module of [probe.modules].",
            )
        }
    }

    /// About frames that could not be read, where no data came or no answer.
    fn on_unreadable(report: &ProbeReport) -> Self {
        let is_text = |frame: &SeenFrame| frame.error != Some(DecodeError::Utf8);
        if !report.seen.iter().all(is_text) {
            advice(
                "Frames came that are no text: the venue compresses them, or has a binary format, and feedwatch reads plain JSON alone.",
                "Ask for plain text, in url or in what is sent, where the venue has it; check that the address is that of its JSON.",
            )
        } else if report.verdict == Verdict::Unreadable {
            advice(
                "Frames came, and none of them could be read as this venue's: it has changed its format, or is another venue.",
                "Check that the address belongs to this venue and this market; if it does, look for a newer feedwatch.",
            )
        } else {
            advice(
                "Nothing that could be read answered the subscription, and frames came that could not: the answer may be among them.",
                "Check that the address belongs to this venue and this market, and the rules of a venue in [[venues]] against the first \
                 frames; then look for a newer feedwatch.",
            )
        }
    }

    /// About names that are not resolved, all of them or some.
    fn on_names(report: &ProbeReport) -> Self {
        let is_answered = report.look_up.as_ref().is_some_and(LookUp::is_answered);
        if is_answered {
            advice(
                "The venue lists nothing that can be subscribed to under some of the names that the stream watches, or all: they are \
                 misspelt, have ended, or are not open yet.",
                "Check how the names are spelt, or watch other ones; with --instrument nothing is looked up.",
            )
        } else if report.asked > 0 {
            advice(
                "The look-up of the names that the stream watches took all the time that there was, so nothing was dialled.",
                "Probe longer, or name an instrument with --instrument: then nothing is looked up.",
            )
        } else {
            advice(
                "Not every name that the stream watches could be looked up at the venue's REST API, so it is not known what they stand for.",
                "Check how the names are spelt, and whether rest_url can be reached from here; with --instrument nothing is looked up.",
            )
        }
    }

    const fn on_status(status: u16) -> Self {
        match status {
            300..=399 => advice(
                "The venue has moved: it points to another address, which is not followed.",
                "Set url to the new address, which the venue's documentation names.",
            ),
            401 => advice(
                "The venue does not let this client in: credentials are missing, wrong or out of date.",
                "Check the headers (an API key), and this machine's clock where they are signed with the time.",
            ),
            403 => advice(
                "The venue refuses this client: its address or region is blocked, or a header that it wants is missing.",
                "Try from another network, or with the headers that the venue asks for (Origin, an API key).",
            ),
            404 | 410 => advice(
                "There is no stream at this path.",
                "Check the path of url; without url, look for a newer feedwatch, since the venue may have moved.",
            ),
            418 => advice(
                "The venue has banned this address for a while, since it went on asking after it was told to stop.",
                "Stop everything that dials this venue from here until the ban is over, as Retry-After says; then dial and probe less often.",
            ),
            429 => advice(
                "Too many requests came from this address, and the venue asks to be left alone.",
                "Wait, as long as Retry-After says where it is told; then dial and probe less often, and look what else asks from here.",
            ),
            451 => advice(
                "The venue does not serve the place that this client comes from, for legal reasons; it goes by the address.",
                "Check which countries the venue serves, and where it takes this machine, or its proxy, to be: no credentials change that.",
            ),
            400..=499 => advice(
                "The venue does not accept the request as it is.",
                "Check the path, the query and the headers against the venue's documentation.",
            ),
            502 | 504 | 520..=526 => advice(
                "What stands before the venue answered in its place: it cannot reach the venue's own servers.",
                "Nothing is wrong on this side: look at the venue's status page, and try again in a minute.",
            ),
            501 | 505 => advice(
                "What answered does not know this kind of request: no WebSocket is served there.",
                "Check the path of url, and look for a proxy or a portal on the way.",
            ),
            503 => advice(
                "The venue is overloaded, or closed for maintenance.",
                "Nothing is wrong on this side: look at the venue's status page, and wait as long as Retry-After says where it is told.",
            ),
            500..=599 => advice(
                "The venue has failed on its own side: it is restarting or broken.",
                "Nothing is wrong on this side: look at the venue's status page, and try again in a minute.",
            ),
            _ => advice(
                "The upgrade was answered with a status that means nothing here.",
                "Check that a WebSocket is served at this address, and not a web page or an API.",
            ),
        }
    }

    /// About a cause, whichever failure had it.
    #[allow(clippy::too_many_lines, reason = "a table: one entry for each cause")]
    pub const fn on_cause(cause: Cause) -> Self {
        match cause {
            Cause::Dns => advice(
                "The host's name is not known to the name server.",
                "Check how the host is spelt in url, and that this machine resolves other names.",
            ),
            Cause::DnsTimeout => advice(
                "The name server did not answer in time.",
                "Check /etc/resolv.conf and the way to the name server; on a slow one, probe longer.",
            ),
            Cause::TcpRefused => advice(
                "The host answers, and nothing listens on this port.",
                "Check the port of url; if it is right, the venue is down: look at its status page.",
            ),
            Cause::TcpTimeout => advice(
                "Nobody answered the connection, or nothing comes through any more: a firewall drops it, or the host is down.",
                "Check that this machine may open connections to that port, and whether a proxy is needed.",
            ),
            Cause::TcpReset => advice(
                "The connection was cut hard by the venue, or by a firewall on the way.",
                "Try again; if it stays so, look for a firewall, a proxy or a limit of connections from one address.",
            ),
            Cause::TcpUnreachable => advice(
                "There is no route to the host from here.",
                "Check this machine's network and routes, and whether it has IPv6 where the address is one.",
            ),
            Cause::Proxy => advice(
                "The proxy cannot be reached, or does not open the way to the venue.",
                "Check [proxy] url and credentials, and that the proxy allows this host and port.",
            ),
            Cause::Tls => advice(
                "The TLS handshake failed, though not for the certificate: no common version, or no TLS at this port.",
                "Check that the port serves wss and not ws, and that nothing on the way takes TLS apart.",
            ),
            Cause::TlsTimeout => advice(
                "The TLS handshake was not finished in time.",
                "Try again, and probe longer; if it stays so, the venue or something on the way is overloaded.",
            ),
            Cause::TlsCertificate => advice(
                "The certificate is not valid for this host: expired, for another name, or signed by nobody who is trusted; or the \
                 venue wants another certificate of this side.",
                "Check this machine's clock and authorities (ca-certificates, or [tls] ca_file) and client_certificate_file. \
                 Otherwise only the venue can mend it.",
            ),
            Cause::HttpStatus => advice(
                "The upgrade was answered with an HTTP error.",
                "Check path, query and headers, and the venue's status page.",
            ),
            Cause::Unauthorized => advice(
                "The venue does not let this client in: credentials are missing or wrong, or it is blocked where it is.",
                "Check the headers (an API key) and whether the venue serves this country.",
            ),
            Cause::RateLimited => advice(
                "Too many requests came from this address, and the venue asks to be left alone.",
                "Wait, as long as Retry-After says where it is told; then dial and probe less often.",
            ),
            Cause::Upgrade => advice(
                "What answered does not speak WebSocket: a web page, an API or a proxy that gets in between.",
                "Check the path of url, and look for a proxy or a portal on the way.",
            ),
            Cause::UpgradeTimeout => advice(
                "Connected, and the request to upgrade was not answered in time.",
                "Probe longer; if it stays so, the venue is overloaded: look at its status page.",
            ),
            Cause::SubscribeRejected => advice(
                "The venue refused the subscription.",
                "Check the instruments and channels against the venue's documentation; what it says stands above.",
            ),
            Cause::SubscribeTimeout => advice(
                "Connected and upgraded, and the subscription was not answered in time.",
                "Check the instruments: some venues never answer for those that do not exist. Then probe longer.",
            ),
            Cause::Eof => advice(
                "The venue ended the connection without saying why.",
                "Check the instruments and the path: some venues hang up on what they do not know. Then look at its status page.",
            ),
            Cause::Protocol => advice(
                "What came is not allowed by the WebSocket protocol.",
                "Look for a proxy that changes what passes through it; otherwise it is the venue's defect.",
            ),
            Cause::TooBig => advice(
                "A message was larger than this side accepts, or did not end.",
                "Raise [transport] max_message_bytes, or subscribe to fewer instruments on one connection; where a message does \
                 not end, it is the venue's defect.",
            ),
            Cause::InvalidUtf8 => advice(
                "A text came that is no text.",
                "Look for a proxy that changes what passes through it; otherwise it is the venue's defect.",
            ),
            Cause::CloseNormal => advice(
                "The venue closed the connection in the orderly way, and much too early.",
                "Check the instruments: some venues close a connection that has nothing to send.",
            ),
            Cause::CloseGoingAway => advice(
                "The venue closed the connection because the server goes down or moves.",
                "Try again; a stream that runs comes back by itself.",
            ),
            Cause::ClosePolicy => advice(
                "The venue closed the connection because a rule of its own was broken.",
                "Check its limits: subscriptions and requests for each connection, connections from one address, credentials.",
            ),
            Cause::CloseServerError => advice(
                "The venue closed the connection for an error of its own.",
                "Nothing is wrong on this side: look at the venue's status page, and try again in a minute.",
            ),
            Cause::CloseServiceRestart => advice(
                "The venue restarts.",
                "Wait a few seconds; a stream that runs comes back by itself.",
            ),
            Cause::CloseTryAgain => advice(
                "The venue is overloaded and asks to be tried later.",
                "Wait, and dial less often.",
            ),
            Cause::CloseOther => advice(
                "The venue closed the connection with a code of its own, which stands above.",
                "Look the code up in the venue's documentation.",
            ),
            Cause::PongTimeout => advice(
                "A ping was sent and nothing came back: the connection is dead, though nobody has said so.",
                "Look for a firewall that forgets connections; then at the venue's status page.",
            ),
            Cause::SendTimeout => advice(
                "The venue stopped reading, and nothing can be sent to it.",
                "Try again, with fewer instruments; if it stays so, look at the venue's status page.",
            ),
            Cause::Stale => advice(
                "Live, and no data came for too long.",
                "See whether the market is open; if it is, the venue is stuck.",
            ),
            Cause::SequenceGap => advice(
                "Events are missing, by the numbers that the venue gives them: something on the way lost them.",
                "Try again; if it stays so, subscribe to fewer instruments on one connection.",
            ),
            Cause::Planned | Cause::Forced | Cause::Reload | Cause::Shutdown => advice(
                "This side ended the connection on purpose.",
                "Nothing is wrong; try again.",
            ),
            Cause::ResourceLimit => advice(
                "This machine is out of file descriptors or of memory for sockets.",
                "Raise the limit (ulimit -n, LimitNOFILE), or watch fewer streams here.",
            ),
            Cause::Internal => advice(
                "Something happened that does not happen by the protocol: a defect of feedwatch.",
                "Please report it, with what stands above.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Endpoint;

    #[test]
    fn every_cause_has_words_of_its_own_which_are_sentences() {
        let mut meanings = Vec::new();
        for cause in Cause::ALL {
            let Advice { meaning, remedy } = Advice::on_cause(*cause);
            for words in [meaning, remedy] {
                assert!(
                    words.ends_with('.') && words.starts_with(char::is_uppercase),
                    "{cause}: {words}"
                );
                assert!(!words.contains('\n') && !words.contains("  "), "{cause}: {words}");
            }
            if !cause.is_on_purpose() {
                assert!(!meanings.contains(&meaning), "{cause}");
                meanings.push(meaning);
            }
        }
    }

    #[test]
    fn names_that_took_all_the_time_are_not_said_to_have_ended() {
        let meaning = |asked| {
            let endpoint = Endpoint::parse("wss://v.example").unwrap();
            let mut report = ProbeReport::new("v", endpoint, asked);
            report.verdict = Verdict::Unresolved;
            Advice::on(&report).unwrap().meaning
        };
        assert!(meaning(0).ends_with("not known what they stand for."), "{}", meaning(0));
        assert!(meaning(2).contains("took all the time"), "{}", meaning(2));
    }

    #[test]
    fn a_status_says_more_than_its_cause() {
        let of = |status| {
            let cause = match status {
                401 | 451 => Cause::Unauthorized,
                418 | 429 => Cause::RateLimited,
                200 | 302 => Cause::Upgrade,
                _ => Cause::HttpStatus,
            };
            Advice::on_failure(&Failure {
                status: Some(status),
                ..Failure::new(cause)
            })
        };
        let mut told = Vec::new();
        for (status, words) in [
            (200, "does not speak WebSocket"),
            (302, "moved"),
            (400, "as it is"),
            (401, "credentials"),
            (403, "blocked"),
            (404, "path"),
            (418, "banned"),
            (429, "Too many"),
            (451, "legal reasons"),
            (500, "failed"),
            (501, "no WebSocket"),
            (502, "before the venue"),
            (503, "overloaded"),
        ] {
            let advice = of(status);
            assert!(advice.meaning.contains(words), "{status}: {}", advice.meaning);
            assert!(!told.contains(&advice), "{status} says nothing of its own");
            told.push(advice);
        }
        assert!(!of(451).remedy.contains("API key"));
        assert_eq!(
            Advice::on_failure(&Failure::new(Cause::HttpStatus)),
            Advice::on_cause(Cause::HttpStatus)
        );
    }
}
