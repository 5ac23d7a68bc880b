//! The live table, on a pseudo terminal: what stands on its screen once the escape codes have been followed.

use crate::harness::{Program, TempFile, closed_venue, command, config, eventually, venue};
use feedwatch::sim::SimulatedVenue;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::process::Command;

const COLUMNS: u16 = 160;
const ROWS: u16 = 24;
const HEADING: &str = "STREAM  VENUE       STATE";

/// A terminal that remembers what was written to it.
struct Pty {
    master: OwnedFd,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Pty {
    /// With the end that a program writes to.
    fn open(columns: u16) -> (Self, File) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let slave = File::options().read(true).write(true).open(path).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, writer) = (File::from(master.try_clone().unwrap()), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error: the program has ended.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                writer.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        let pty = Self { master, seen };
        pty.resize(columns);
        (pty, slave)
    }

    fn resize(&self, columns: u16) {
        let size = Winsize {
            ws_col: columns,
            ws_row: ROWS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).unwrap();
    }

    fn written(&self) -> String {
        String::from_utf8(self.seen.lock().unwrap().clone()).unwrap_or_default()
    }

    /// The lines, those that have scrolled away included.
    fn shown(&self, columns: u16) -> Vec<String> {
        let mut screen = Screen::new(columns);
        screen.follow(&self.written());
        screen.lines.iter().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// What a terminal makes of what is written to it. It knows what feedwatch uses, and no more.
struct Screen {
    lines: Vec<String>,
    row: usize,
    column: usize,
    columns: usize,
}

impl Screen {
    fn new(columns: u16) -> Self {
        Self {
            lines: vec![String::new()],
            row: 0,
            column: 0,
            columns: columns.into(),
        }
    }

    fn follow(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => self.down(),
                '\x1b' => {
                    // A code that is not whole yet waits for its end.
                    let Some(end) = rest.as_str().find(|c: char| c.is_ascii_alphabetic()) else {
                        return;
                    };
                    let (code, after) = rest.as_str().split_at(end + 1);
                    self.obey(
                        code.strip_prefix('[')
                            .unwrap_or_else(|| panic!("no escape code: {code:?}")),
                    );
                    rest = after.chars();
                }
                _ => self.put(c),
            }
        }
    }

    fn obey(&mut self, code: &str) {
        let number = || code[..code.len() - 1].parse::<usize>().unwrap();
        match code.chars().last() {
            // What has scrolled away is out of reach.
            Some('A') => self.row = self.row.saturating_sub(number()).max(self.top()),
            Some('J') => {
                assert_eq!((code, self.column), ("J", 0));
                self.lines.truncate(self.row);
                self.lines.push(String::new());
            }
            Some('m') => {}
            _ => panic!("an escape code that is not followed here: {code:?}"),
        }
    }

    fn top(&self) -> usize {
        self.lines.len().saturating_sub(ROWS.into())
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(String::new());
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            self.down();
            self.column = 0;
        }
        let line = &mut self.lines[self.row];
        let mut written: Vec<char> = line.chars().collect();
        written.resize(written.len().max(self.column + 1), ' ');
        written[self.column] = c;
        *line = written.into_iter().collect();
        self.column += 1;
    }
}

/// A service on a terminal, with a stream that is up and one that is down.
struct Watched {
    program: Program,
    pty: Pty,
    _venues: [SimulatedVenue; 2],
    _config: TempFile,
}

impl Watched {
    fn start(columns: u16, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let venues = [venue(Vec::new()), closed_venue()];
        let urls = venues.each_ref().map(SimulatedVenue::url);
        let patient = "initial_delay_ms = 60000, jitter = 0.0";
        let text = config("", &[("up", &urls[0], ""), ("down", &urls[1], patient)]).replace("\"json\"", "\"human\"");
        let config = TempFile::new("toml", &text);
        let (pty, slave) = Pty::open(columns);
        let mut command: Command = command(&["run", "--config", config.name()]);
        command.args(arguments).env_remove("NO_COLOR").env("TERM", "xterm");
        command.envs(variables.iter().copied());
        let program = Program::spawn(
            command
                .stdout(Stdio::from(slave.try_clone().unwrap()))
                .stderr(Stdio::from(slave)),
        );
        Self {
            program,
            pty,
            _venues: venues,
            _config: config,
        }
    }
}

/// The row of a stream below the last heading.
fn row(lines: &[String], stream: &str) -> Option<String> {
    let heading = lines.iter().rposition(|line| line.starts_with("STREAM"))?;
    let mut rows = lines[heading..].iter();
    rows.find(|line| line.split_whitespace().next() == Some(stream))
        .cloned()
}

fn count(lines: &[String], part: &str) -> usize {
    lines.iter().filter(|line| line.contains(part)).count()
}

#[tokio::test]
async fn the_table_stands_below_the_log_and_is_drawn_in_place() {
    let Watched { program, pty, .. } = &Watched::start(COLUMNS, &[], &[]);
    eventually("both rows, drawn a few times", async || {
        let lines = pty.shown(COLUMNS);
        let up = row(&lines, "up").unwrap_or_default();
        let down = row(&lines, "down").unwrap_or_default();
        up.contains("polymarket  live") && up.contains(" 3s ") && down.contains("tcp_refused")
    })
    .await;
    let lines = pty.shown(COLUMNS);
    assert_eq!(count(&lines, HEADING), 1, "{lines:#?}");
    assert!(row(&lines, "down").unwrap().contains("backing_off"), "{lines:#?}");
    // Between log and table nothing is lost and nothing is left.
    let heading = lines.iter().position(|line| line.starts_with(HEADING)).unwrap();
    assert_eq!(
        lines[heading + 1..].iter().filter(|line| !line.is_empty()).count(),
        2,
        "{lines:#?}"
    );
    for message in [" ready ", " live stream=\"up\"", " backing off stream=\"down\""] {
        assert_eq!(count(&lines[..heading], message), 1, "{message}: {lines:#?}");
    }
    assert!(
        lines[..heading]
            .iter()
            .all(|line| line.contains("INFO") || line.contains("WARN")),
        "{lines:#?}"
    );
    program.signal("TERM");
}

#[tokio::test]
async fn the_last_table_stays_and_the_terminal_is_as_it_was() {
    let watched = Watched::start(COLUMNS, &[], &[]);
    let (program, pty) = (watched.program, watched.pty);
    eventually("a table", async || {
        row(&pty.shown(COLUMNS), "up").is_some_and(|up| up.contains("live"))
    })
    .await;
    program.signal("TERM");
    assert_eq!(program.end().await.code, Some(0));
    eventually("the last word", async || count(&pty.shown(COLUMNS), "shut down") == 1).await;
    let lines = pty.shown(COLUMNS);
    assert_eq!(count(&lines, HEADING), 1, "{lines:#?}");
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
    assert!(
        at(" ready ") < at(HEADING) && at(HEADING) < at("shutting down"),
        "{lines:#?}"
    );
    assert!(pty.written().ends_with('\n'), "the next prompt has a line of its own");
}

#[tokio::test]
async fn a_narrow_terminal_gets_a_narrow_table_and_a_change_of_size_costs_no_log_line() {
    let Watched { pty, .. } = &Watched::start(COLUMNS, &[], &[]);
    let has_row = |columns| row(&pty.shown(columns), "up").is_some_and(|up| up.contains("live"));
    eventually("a table", async || has_row(COLUMNS)).await;
    pty.resize(40);
    let narrow = "STREAM  STATE";
    eventually("a narrow one", async || pty.written().contains(narrow)).await;
    let written = pty.written();
    let after = &written[written.find(narrow).unwrap()..];
    let table: Vec<_> = after.lines().take(3).collect();
    let visible = |line: &str| {
        let mut screen = Screen::new(COLUMNS);
        screen.follow(line);
        screen.lines[0].trim_end().len()
    };
    assert!(table.iter().all(|line| visible(line) < 40), "{table:#?}");
    for message in [" ready ", " live stream=\"up\""] {
        assert_eq!(count(&pty.shown(COLUMNS), message), 1, "{message}");
    }
}

#[tokio::test]
async fn a_terminal_without_colours_has_a_table_and_one_that_is_dumb_has_none() {
    let colourless = Watched::start(COLUMNS, &[], &[("NO_COLOR", "1")]);
    let pty = &colourless.pty;
    eventually("a table that is drawn in place", async || {
        row(&pty.shown(COLUMNS), "up").is_some() && pty.written().contains("\x1b[")
    })
    .await;
    assert!(pty.written().split("\x1b[").skip(1).all(|code| {
        code.trim_start_matches(|c: char| c.is_ascii_digit())
            .starts_with(['A', 'J'])
    }));

    for (arguments, term) in [(&[] as &[&str], "dumb"), (&["--table", "never"], "xterm")] {
        let plain = Watched::start(COLUMNS, arguments, &[("TERM", term), ("NO_COLOR", "1")]);
        eventually("live", async || plain.pty.written().contains(" live stream=\"up\"")).await;
        plain.program.signal("TERM");
        assert_eq!(plain.program.end().await.code, Some(0));
        let pty = plain.pty;
        eventually("the last word", async || pty.written().contains("shut down")).await;
        assert!(
            !pty.written().contains('\x1b') && !pty.written().contains("STREAM"),
            "{}",
            pty.written()
        );
    }
}

#[tokio::test]
async fn what_is_piped_holds_no_escape_code_unless_that_was_asked_for() {
    for (arguments, drawn) in [(&[] as &[&str], false), (&["--table", "always"], true)] {
        let demo = ["demo", "--listen", "127.0.0.1:0", "--scenario", "steady", "--for", "3s"];
        let mut command = command(&[&demo, arguments].concat());
        command
            .env("TERM", "xterm")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ended = Program::spawn(&mut command).end().await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(!ended.stdout().contains('\x1b'), "{ended:#?}");
        assert_eq!(ended.stderr().contains("\x1b["), drawn, "{ended:#?}");
        assert_eq!(ended.stderr().contains("STREAM"), drawn, "{ended:#?}");
    }
}
