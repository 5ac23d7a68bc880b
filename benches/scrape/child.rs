//! Other processes, so that the accounting of each shows itself alone: this same program, started to play a part.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process that plays a part. It answers each line with a line.
pub(crate) struct Player {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Player {
    /// Starts this program as that part, with an argument.
    pub(crate) fn start(part: &str, argument: impl Display) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([format!("--play={part}"), argument.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            to: child.stdin.take().unwrap(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// What it answers.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        writeln!(self.to, "{question}").unwrap();
        self.listen()
    }

    /// What it says next.
    pub(crate) fn listen(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part that this process plays, and its argument. `None` in the benchmark itself.
pub(crate) fn part() -> Option<(String, String)> {
    let mut arguments = std::env::args().skip_while(|argument| !argument.starts_with("--play="));
    let part = arguments.next()?.split_once('=')?.1.to_owned();
    Some((part, arguments.next().unwrap()))
}

/// The questions, until the other side is gone.
pub(crate) fn questions() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}
