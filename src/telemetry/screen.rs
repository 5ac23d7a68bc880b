//! What stands on stderr: log lines, and below them a table that is redrawn in place.
//!
//! The thread that writes log lines is the only one that writes here, a panic's message aside. The table stands on whole lines, the
//! cursor is on the line below, and nothing else of the terminal is changed: whatever ends the program, there is nothing to restore.

use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal, Stderr, Write};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// What is taken where a terminal does not tell its size.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// A table as it is to stand there.
#[derive(Debug)]
pub(super) struct Frame {
    /// None is longer than a line of the terminal.
    pub(super) lines: Vec<String>,
    /// The terminal for which it was made.
    pub(super) size: Size,
    /// Where it is the last one: it is to be told when it stands there, and from then on is left alone.
    pub(super) last: Option<oneshot::Sender<()>>,
}

/// Stderr, shared by what makes frames and the thread that writes.
#[derive(Debug)]
pub(super) struct Screen {
    /// Held for as long as it takes to write.
    terminal: Mutex<Terminal<Stderr>>,
    /// Never held for long.
    next: Mutex<Option<Frame>>,
    /// Something else was written meanwhile.
    disturbed: AtomicBool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            terminal: Mutex::new(Terminal::new(io::stderr(), size)),
            next: Mutex::new(None),
            disturbed: AtomicBool::new(false),
        }
    }

    /// The next flush draws it. `false` where one waits already, whose place it takes: nobody reads what is written.
    pub(super) fn offer(&self, frame: Frame) -> bool {
        lock(&self.next).replace(frame).is_none()
    }

    /// Lets somebody else write to stderr, and touches nothing of that afterwards.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        self.disturbed.store(true, Release);
        // Who panics may be the one who writes.
        let held = self.terminal.try_lock();
        write();
        self.disturbed.store(true, Release);
        drop(held);
    }

    fn terminal(&self) -> MutexGuard<'_, Terminal<Stderr>> {
        let mut terminal = lock(&self.terminal);
        if self.disturbed.swap(false, AcqRel) {
            terminal.drawn = None;
        }
        terminal
    }
}

/// The end of the thread that writes: each call brings one whole log line.
pub(super) struct Writer(pub(super) Arc<Screen>);

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.terminal().line(line).map(|()| line.len())
    }

    /// Draws the table, if there is one: called when no more lines wait.
    fn flush(&mut self) -> io::Result<()> {
        let next = lock(&self.0.next).take();
        let mut terminal = self.0.terminal();
        match next {
            Some(Frame { lines, size, last }) => {
                let drawn = terminal.table(lines, size);
                if let Some(told) = last {
                    terminal.leave();
                    // Who asked may have waited for long enough.
                    let _ = told.send(());
                }
                drawn
            }
            None => terminal.redraw(),
        }
    }
}

/// Knows what of the table stands there.
#[derive(Debug)]
struct Terminal<W> {
    out: W,
    /// The size that it has now.
    now: fn() -> Size,
    table: Vec<String>,
    size: Size,
    /// The table's lines that stand right above the cursor, on a terminal of that size.
    drawn: Option<(usize, Size)>,
}

impl<W: Write> Terminal<W> {
    const fn new(out: W, now: fn() -> Size) -> Self {
        Self {
            out,
            now,
            table: Vec::new(),
            size: USUAL,
            drawn: None,
        }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let mut bytes = self.erased();
        bytes.extend_from_slice(line);
        self.put(&bytes)
    }

    fn table(&mut self, lines: Vec<String>, size: Size) -> io::Result<()> {
        let mut bytes = self.erased();
        self.table = lines;
        self.size = size;
        bytes.extend(self.drawing());
        self.put(&bytes)
    }

    fn redraw(&mut self) -> io::Result<()> {
        if self.drawn.is_some() {
            return self.out.flush();
        }
        let bytes = self.drawing();
        self.put(&bytes)
    }

    /// What stands there stays.
    fn leave(&mut self) {
        self.table.clear();
        self.drawn = None;
    }

    /// How the table goes away.
    fn erased(&mut self) -> Vec<u8> {
        match self.drawn.take() {
            // A terminal that became another size may have broken its lines anew, or lost some. It is not known where the table
            // stands by then: it is left there rather than a log line erased.
            Some((lines, size)) if size == (self.now)() => format!("\r\x1b[{lines}A\x1b[J").into_bytes(),
            _ => Vec::new(),
        }
    }

    fn drawing(&mut self) -> Vec<u8> {
        if self.table.is_empty() {
            return Vec::new();
        }
        self.drawn = Some((self.table.len(), self.size));
        (self.table.join("\n") + "\n").into_bytes()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of the terminal behind stderr.
pub(super) fn size() -> Size {
    let size = tcgetwinsize(io::stderr()).ok();
    size.map_or(USUAL, |size| Size {
        columns: or_usual(size.ws_col, USUAL.columns),
        rows: or_usual(size.ws_row, USUAL.rows),
    })
}

/// A terminal that does not know says 0.
fn or_usual(told: u16, usual: usize) -> usize {
    if told == 0 { usual } else { told.into() }
}

/// Whether stderr is a terminal on which the cursor can be moved.
pub(super) fn is_terminal() -> bool {
    let term = std::env::var_os("TERM");
    io::stderr().is_terminal() && term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether what is written to stderr is coloured. Source: <https://no-color.org>
pub(super) fn is_coloured() -> bool {
    is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|told| told.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size { columns: 40, rows: 10 };

    fn terminal() -> Terminal<Vec<u8>> {
        Terminal::new(Vec::new(), || SMALL)
    }

    fn table(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    impl Terminal<Vec<u8>> {
        fn written(&mut self) -> String {
            String::from_utf8(std::mem::take(&mut self.out)).unwrap()
        }
    }

    #[test]
    fn without_a_table_lines_are_written_as_they_are() {
        let mut terminal = terminal();
        terminal.line(b"one\n").unwrap();
        terminal.redraw().unwrap();
        assert_eq!(terminal.written(), "one\n");
    }

    #[test]
    fn a_line_goes_above_the_table_and_many_lines_erase_it_once() {
        let mut terminal = terminal();
        terminal.table(table(&["a", "b"]), SMALL).unwrap();
        assert_eq!(terminal.written(), "a\nb\n");
        terminal.redraw().unwrap();
        assert_eq!(terminal.written(), "", "it stands there");
        terminal.line(b"one\n").unwrap();
        terminal.line(b"two\n").unwrap();
        terminal.redraw().unwrap();
        assert_eq!(terminal.written(), "\r\x1b[2A\x1b[Jone\ntwo\na\nb\n");
        terminal.table(table(&["c"]), SMALL).unwrap();
        terminal.table(table(&[]), SMALL).unwrap();
        terminal.line(b"three\n").unwrap();
        assert_eq!(terminal.written(), "\r\x1b[2A\x1b[Jc\n\r\x1b[1A\x1b[Jthree\n");
    }

    #[test]
    fn what_is_left_stays_and_is_not_drawn_again() {
        let mut terminal = terminal();
        terminal.table(table(&["a"]), SMALL).unwrap();
        terminal.leave();
        terminal.line(b"one\n").unwrap();
        terminal.redraw().unwrap();
        assert_eq!(terminal.written(), "a\none\n");
    }

    #[test]
    fn on_a_terminal_that_became_another_size_nothing_is_erased() {
        let mut terminal = terminal();
        terminal.table(table(&["a"]), Size { columns: 41, ..SMALL }).unwrap();
        terminal.line(b"one\n").unwrap();
        assert_eq!(terminal.written(), "a\none\n");
    }

    #[test]
    fn what_was_written_aside_is_not_erased() {
        let screen = Screen::new();
        screen.terminal().drawn = Some((3, SMALL));
        assert!(screen.terminal().drawn.is_some());
        screen.aside(|| {});
        assert_eq!(screen.terminal().drawn, None);
        // Who panics while it writes.
        let held = screen.terminal();
        screen.aside(|| {});
        drop(held);
    }

    #[test]
    fn a_frame_takes_the_place_of_one_that_waits() {
        let screen = Screen::new();
        let frame = || Frame {
            lines: Vec::new(),
            size: SMALL,
            last: None,
        };
        assert!(screen.offer(frame()));
        assert!(!screen.offer(frame()), "one reminder is enough");
    }
}
