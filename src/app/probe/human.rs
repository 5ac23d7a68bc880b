//! A report for a terminal.

use crate::clock::unix_seconds;
use crate::exporter::rfc3339;
use crate::market::{Cause, DialPhase, is_unseen};
use crate::probe::{Advice, LookUp, ProbeReport, SeenEvent, SeenFrame, Verdict};
use std::fmt::Write;
use std::time::Duration;

const DAY: f64 = 24.0 * 3600.0;
/// Longer names lose their middle: characters.
const LONGEST_NAME: usize = 24;
/// So many names that are not resolved are told.
const SHOWN_NAMES: usize = 5;

/// The report as lines. Nothing that came over the network can move the cursor.
pub fn human(report: &ProbeReport) -> String {
    let mut out = format!("{}  {}\n\n", report.venue, report.endpoint);
    if let Some(look_up) = &report.look_up {
        looked_up(&mut out, look_up);
    }
    if !report.waited.is_zero() && report.verdict == Verdict::Held {
        line(&mut out, "turn to dial", Some(report.waited), "not given");
    }
    for (phase, took) in &report.phases {
        line(&mut out, title(*phase), Some(*took), &beside(report, *phase));
    }
    if let Some(took) = report.round_trip {
        line(&mut out, "round trip", Some(took), "from a ping to its answer");
    }
    if report.frames > 0 {
        let first = "since the dial began";
        line(&mut out, "first frame", report.first_frame, first);
        if report.first_data.is_some() {
            line(&mut out, "first data", report.first_data, first);
        }
        let ProbeReport {
            frames,
            data_frames,
            bytes,
            ..
        } = report;
        line(
            &mut out,
            "received",
            None,
            &format!("{}, {data_frames} with data, {bytes} bytes", plural(*frames, "frame")),
        );
    }
    if !report.seen.is_empty() {
        out.push_str("\nFirst frames:\n");
        for frame in &report.seen {
            let _ = writeln!(out, "  {}", frame_line(frame));
        }
    }
    let _ = write!(out, "\n{}\n", verdict(report));
    if let Some(Advice { meaning, remedy, .. }) = Advice::on(report) {
        let _ = write!(out, "  What it means: {meaning}\n  What to do:    {remedy}\n");
    }
    visible(&out)
}

fn line(out: &mut String, what: &str, took: Option<Duration>, more: &str) {
    let took = took.map(time).unwrap_or_default();
    let line = format!("  {what:<14}{took:>10}  {more}");
    let _ = writeln!(out, "{}", line.trim_end());
}

fn looked_up(out: &mut String, look_up: &LookUp) {
    let (found, names) = (look_up.instruments as u64, look_up.names.len() as u64);
    let told = format!(
        "{} of {} at {}",
        plural(found, "instrument"),
        plural(names, "name"),
        look_up.rest
    );
    line(out, "names", Some(look_up.took), &told);
    for (name, error) in look_up.failed().take(SHOWN_NAMES) {
        let _ = writeln!(out, "    {name}: {error}");
    }
    let more = look_up.failed().skip(SHOWN_NAMES).count();
    if more > 0 {
        let _ = writeln!(out, "    and {more} more failed");
    }
}

const fn title(phase: DialPhase) -> &'static str {
    match phase {
        DialPhase::Resolve => "name look-up",
        DialPhase::Connect => "TCP connect",
        DialPhase::Proxy => "proxy",
        DialPhase::Tls => "TLS handshake",
        DialPhase::Upgrade => "upgrade",
        DialPhase::Subscribe => "subscribe",
    }
}

/// What there is to say of a phase, beside its time.
fn beside(report: &ProbeReport, phase: DialPhase) -> String {
    let failed = report.failed_in == Some(phase);
    let told = match phase {
        DialPhase::Connect => report.peer.map(|peer| peer.to_string()),
        DialPhase::Tls => report.certificate_not_after.map(|end| certificate(report, end)),
        DialPhase::Upgrade => report.status.map(|status| format!("HTTP {status}")),
        DialPhase::Subscribe => report.answer.as_ref().map(|_| answer(report)),
        DialPhase::Resolve | DialPhase::Proxy => None,
    };
    let failed = failed.then(|| "failed".to_owned());
    told.into_iter().chain(failed).collect::<Vec<_>>().join(", ")
}

fn certificate(report: &ProbeReport, end: i64) -> String {
    let days = (end as f64 - unix_seconds(report.began.wall)) / DAY;
    format!("certificate good for {days:.1} days, until {}", rfc3339(end as f64))
}

fn answer(report: &ProbeReport) -> String {
    let (accepted, refused, unanswered) = report.subscriptions();
    let mut told = format!("{accepted} of {} in effect", report.asked);
    for (count, what) in [(refused, "refused"), (unanswered, "not answered")] {
        if count > 0 {
            let _ = write!(told, ", {count} {what}");
        }
    }
    told
}

fn frame_line(frame: &SeenFrame) -> String {
    let mut events: Vec<_> = frame.events.iter().map(event).collect();
    if frame.further > 0 {
        events.push(format!("and {} more", frame.further));
    }
    if let Some(error) = frame.error {
        events.push(format!("cannot be read: {error}"));
    }
    format!(
        "{:>10} {:>7} bytes  {}",
        time(frame.after),
        frame.bytes,
        events.join(", ")
    )
}

fn event(event: &SeenEvent) -> String {
    match &event.instrument {
        Some(instrument) => format!("{} {}", event.kind, shortened(instrument)),
        None => event.kind.to_string(),
    }
}

/// The conclusion.
fn verdict(report: &ProbeReport) -> String {
    let (accepted, refused, unanswered) = report.subscriptions();
    match report.verdict {
        Verdict::Well => "All well: live, and data came.".to_owned(),
        Verdict::Upgraded => {
            "Well so far: connected and upgraded. Without an instrument nothing was subscribed to, so no data \
                              was to be expected: name one with --instrument."
                .to_owned()
        }
        Verdict::Held => format!("Wrong: no turn to dial within {}.", time(report.waited)),
        Verdict::Unresolved => unresolved(report),
        Verdict::Failed => {
            let phase = report.failed_in.map(title).unwrap_or_default();
            format!("Wrong: {} ({phase}).", cause(report))
        }
        Verdict::Lost => format!("Wrong: the connection was lost: {}.", cause(report)),
        Verdict::Refused => format!(
            "Wrong: {accepted} of {} instruments in effect, {refused} refused, {unanswered} not answered{}",
            report.asked,
            names(report)
        ),
        Verdict::Unreadable => format!(
            "Wrong: {} came, and none could be read as {}.",
            plural(report.frames, "frame"),
            report.venue
        ),
        Verdict::NoData => format!("Wrong: live, and no data came within {}.", time(report.took)),
    }
}

/// What is wrong with the names that were looked up.
fn unresolved(report: &ProbeReport) -> String {
    let (failed, names, is_answered) = report.look_up.as_ref().map_or((0, 0, false), |look_up| {
        (look_up.failed().count(), look_up.names.len(), look_up.is_answered())
    });
    let dialled = if report.phases.is_empty() {
        "so nothing was dialled"
    } else {
        "though all else is well"
    };
    match failed {
        _ if report.asked == 0 && is_answered => {
            "Wrong: the names stand for no instrument, so nothing was dialled.".to_owned()
        }
        0 => "Wrong: the look-up of the names took all the time, so nothing was dialled.".to_owned(),
        _ => format!("Wrong: {failed} of {names} names are not resolved, {dialled}."),
    }
}

/// The first of those that are not in effect.
fn names(report: &ProbeReport) -> String {
    let Some(answer) = &report.answer else {
        return ".".to_owned();
    };
    let left_out = answer.refused.iter().chain(&answer.unanswered).take(3);
    let names: Vec<_> = left_out.map(|instrument| shortened(instrument.as_str())).collect();
    format!(": {}", names.join(", "))
}

fn cause(report: &ProbeReport) -> String {
    let Some(failure) = &report.failure else {
        return Cause::Internal.to_string();
    };
    let mut told = failure.to_string();
    if let Some(wait) = failure.retry_after {
        let _ = write!(told, "; it asks to be left alone for {}", time(wait));
    }
    told
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Milliseconds below ten seconds.
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A long name without its middle.
fn shortened(name: &str) -> String {
    let characters: Vec<_> = name.chars().collect();
    if characters.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let kept = LONGEST_NAME / 2 - 1;
    let (front, back) = (
        characters.iter().take(kept),
        characters.iter().skip(characters.len() - kept),
    );
    front.copied().chain(['\u{2026}']).chain(back.copied()).collect()
}

fn visible(text: &str) -> String {
    let shown = |c: char| {
        if is_unseen(c) && c != '\n' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends_and_a_short_one_everything() {
        assert_eq!(shortened("BTCUSDT"), "BTCUSDT");
        let id = "21740938561527409836651284930175562839410772635481900427365518203946672510843";
        assert_eq!(shortened(id), "21740938561\u{2026}46672510843");
    }

    #[test]
    fn times_are_told_as_they_are_large() {
        assert_eq!(time(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(time(Duration::from_secs(12)), "12.0 s");
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\r\u{202e}"), "a\u{fffd}[2Jb\nc\u{fffd}\u{fffd}");
    }
}
