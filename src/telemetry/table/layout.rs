//! Rows to lines that fit: within the width of the terminal, and within half of its height, so that there is room for the log.

use super::row::{Health, Row};
use crate::telemetry::screen::Size;

/// A column.
pub(super) struct Column {
    head: &'static str,
    align: Align,
    /// What is worth least is left out first where there is no room.
    worth: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// From the left to the right.
pub(super) const COLUMNS: [Column; 9] = [
    column("STREAM", Align::Left, 9),
    column("VENUE", Align::Left, 1),
    column("STATE", Align::Left, 8),
    column("SINCE", Align::Right, 7),
    column("BREAKER", Align::Left, 6),
    column("DATA AGE", Align::Right, 4),
    column("MSG/S", Align::Right, 3),
    column("ATTEMPTS", Align::Right, 2),
    column("LAST CAUSE", Align::Left, 5),
];

const fn column(head: &'static str, align: Align, worth: u8) -> Column {
    Column { head, align, worth }
}

/// The column that is coloured.
const STATE: usize = 2;
/// Between two columns.
const GAP: &str = "  ";
/// The heading, a stream, and how many there are besides: it takes that much at least.
const LEAST_LINES: usize = 3;

const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// The lines of the table, the heading first; none without a stream. Where not all rows find room, the worst do.
pub(super) fn lines(mut rows: Vec<Row>, size: Size, is_coloured: bool) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    // A line that fills the last column leaves terminals of two minds about where the cursor is.
    let width = size.columns.saturating_sub(1).max(1);
    let more = keep_worst(&mut rows, (size.rows / 2).max(LEAST_LINES));
    let kept = kept(&rows, width);
    let heads = COLUMNS.each_ref().map(|column| column.head.to_owned());
    let heading = line(&heads, &kept, width, None);
    let heading = if is_coloured {
        format!("{BOLD}{heading}{RESET}")
    } else {
        heading
    };
    let of_row = |row: &Row| line(&row.cells, &kept, width, is_coloured.then_some(colour(row.health)));
    let told = rows.iter().map(of_row);
    let more = more.map(|more| cut(&more, width));
    [heading].into_iter().chain(told).chain(more).collect()
}

/// Leaves the rows that find room in so many lines; what is left out is told.
fn keep_worst(rows: &mut Vec<Row>, lines: usize) -> Option<String> {
    let room = lines - 1;
    if rows.len() <= room {
        return None;
    }
    rows.sort_by_key(|row| row.health);
    let hidden = rows.split_off(room - 1);
    let live = hidden.iter().filter(|row| row.health == Health::Well).count();
    // They stand where they would stand if all were shown.
    rows.sort_by(|left, right| left.cells.cmp(&right.cells));
    Some(format!("and {} more, {live} of them live", hidden.len()))
}

/// The widths of the columns that find room, by position.
fn kept(rows: &[Row], width: usize) -> Vec<(usize, usize)> {
    let mut kept: Vec<(usize, usize)> = COLUMNS
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = rows.iter().filter_map(|row| row.cells.get(index));
            let widest = cells.map(String::len).max().unwrap_or(0);
            (index, widest.max(column.head.len()))
        })
        .collect();
    let worth = |index: usize| COLUMNS.get(index).map_or(0, |column| column.worth);
    while kept.len() > 1 && taken(&kept) > width {
        if let Some(least) = (0..kept.len()).min_by_key(|at| kept.get(*at).map(|(index, _)| worth(*index))) {
            kept.remove(least);
        }
    }
    kept
}

fn taken(kept: &[(usize, usize)]) -> usize {
    kept.iter().map(|(_, width)| width).sum::<usize>() + GAP.len() * (kept.len() - 1)
}

/// Cells are ASCII: a byte is a character.
fn line(cells: &[String; COLUMNS.len()], kept: &[(usize, usize)], width: usize, colour: Option<&str>) -> String {
    let cell = |(index, width): &(usize, usize)| {
        let text = cells.get(*index).map_or("", String::as_str);
        let align = COLUMNS.get(*index).map_or(Align::Left, |column| column.align);
        let padded = match align {
            Align::Left => format!("{text:<width$}"),
            Align::Right => format!("{text:>width$}"),
        };
        match colour {
            Some(colour) if *index == STATE => format!("{colour}{padded}{RESET}"),
            _ => padded,
        }
    };
    match kept {
        [(index, _)] => cut(cells.get(*index).map_or("", String::as_str), width),
        _ => kept
            .iter()
            .map(cell)
            .collect::<Vec<_>>()
            .join(GAP)
            .trim_end()
            .to_owned(),
    }
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

const fn colour(health: Health) -> &'static str {
    match health {
        Health::ShutOut => "\x1b[31m",
        Health::Down => "\x1b[33m",
        Health::Stale => "\x1b[35m",
        Health::Well => "\x1b[32m",
        Health::Out => "\x1b[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, health: Health) -> Row {
        let cells = [name, "polymarket", "live", "7s", "closed", "1s", "20.0", "1", "-"];
        Row {
            health,
            cells: cells.map(str::to_owned),
        }
    }

    fn size(columns: usize, rows: usize) -> Size {
        Size { columns, rows }
    }

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let rows = vec![row("a", Health::Well), row("elections", Health::Well)];
        assert_eq!(
            lines(rows, size(200, 24), false),
            [
                "STREAM     VENUE       STATE  SINCE  BREAKER  DATA AGE  MSG/S  ATTEMPTS  LAST CAUSE",
                "a          polymarket  live      7s  closed         1s   20.0         1  -",
                "elections  polymarket  live      7s  closed         1s   20.0         1  -",
            ]
        );
        assert_eq!(lines(Vec::new(), size(200, 24), false), [""; 0]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_what_matters_least_goes_first() {
        for columns in 1..120 {
            for line in lines(vec![row("elections", Health::Well)], size(columns, 24), false) {
                assert!(line.len() < columns.max(2), "{columns}: {line}");
            }
        }
        let heading = |columns| lines(vec![row("elections", Health::Well)], size(columns, 24), false).remove(0);
        assert!(
            !heading(80).contains("VENUE") && heading(80).contains("ATTEMPTS"),
            "{}",
            heading(80)
        );
        assert_eq!(heading(30), "STREAM     STATE  SINCE");
        assert_eq!(heading(5), "STRE");
    }

    #[test]
    fn where_not_all_find_room_the_worst_do_and_the_rest_is_told() {
        let mut rows: Vec<_> = ('a'..='z').map(|name| row(&name.to_string(), Health::Well)).collect();
        rows.push(row("zz", Health::ShutOut));
        rows.push(row("idle", Health::Out));
        let shown = lines(rows, size(80, 10), false);
        assert_eq!(shown.len(), 5);
        let names: Vec<_> = shown.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["STREAM", "a", "b", "zz", "and"]);
        assert_eq!(shown[4], "and 25 more, 24 of them live");
    }

    #[test]
    fn the_state_alone_is_coloured_and_the_colour_takes_no_room() {
        let rows = || vec![row("a", Health::Stale)];
        let (plain, coloured) = (lines(rows(), size(80, 24), false), lines(rows(), size(80, 24), true));
        assert_eq!(coloured[0], format!("\x1b[1m{}\x1b[0m", plain[0]));
        assert_eq!(coloured[1], plain[1].replace("live ", "\x1b[35mlive \x1b[0m"));
    }
}
