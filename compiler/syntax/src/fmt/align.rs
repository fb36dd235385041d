//! Columns: the `=` of neighbouring lines, the values of neighbouring entries, and the comments at the ends of lines.
//!
//! Lines are neighbours if they begin something of the same kind in the same bracket with no empty line between; what
//! hangs on the first does not part them. Widths that differ by more than the kind's limit are left apart.
use super::COMMENT_GAP;
use super::layout::{Extra, Placed, layout};
use super::pieces::{Piece, outer};
use crate::tokens::Kind as TokenKind;
use std::collections::BTreeMap;
use std::ops::Range;

/// The layout with all columns.
pub(super) fn aligned(pieces: &[Piece], width: usize) -> Vec<Placed> {
    let placed = layout(pieces, &Extra::new());
    let extra = values(pieces, &placed);
    let mut placed = layout(pieces, &extra);
    comments(pieces, &mut placed, width);
    placed
}

/// What a line begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Let,
    Carry,
    Update,
    Hyper,
    /// A key of `train`, a sub-layer.
    Assignment,
    Entry,
    /// The type of a `field`.
    Field,
}

impl Kind {
    /// How much the names' widths may differ.
    fn limit(self) -> usize {
        match self {
            Kind::Let | Kind::Carry | Kind::Update => 3,
            Kind::Hyper | Kind::Assignment | Kind::Entry | Kind::Field => 12,
        }
    }
}

/// What is put in a column.
struct Cell {
    kind: Kind,
    /// The piece that is moved.
    piece: usize,
    /// The width of what stands before it, the indentation left out.
    width: usize,
}

/// Cells in one column.
#[derive(Default)]
struct Run {
    cells: Vec<Cell>,
}

impl Run {
    fn takes(&self, cell: &Cell) -> bool {
        let widths = self.cells.iter().map(|c| c.width).chain([cell.width]);
        let (low, high) = widths.fold((usize::MAX, 0), |(low, high), w| (low.min(w), high.max(w)));
        self.cells[0].kind == cell.kind && high - low <= cell.kind.limit()
    }

    fn close(self, extra: &mut Extra) {
        let width = self.cells.iter().map(|c| c.width).max().unwrap_or(0);
        extra.extend(self.cells.into_iter().map(|c| (c.piece, width - c.width)));
    }
}

fn values(pieces: &[Piece], placed: &[Placed]) -> Extra {
    let mut extra = Extra::new();
    let mut runs: BTreeMap<usize, Run> = BTreeMap::new();
    for line in placed.iter().filter(|line| line.begins) {
        let run = runs.entry(line.bracket).or_default();
        let cell = cell(pieces, line);
        let goes_on = match (&cell, run.cells.is_empty()) {
            (Some(cell), false) => !line.empty_line_before && run.takes(cell),
            _ => false,
        };
        if !goes_on {
            std::mem::take(run).close(&mut extra);
        }
        run.cells.extend(cell);
    }
    for run in runs.into_values() {
        run.close(&mut extra);
    }
    extra
}

/// What a line has for a column. `None`: nothing.
fn cell(pieces: &[Piece], line: &Placed) -> Option<Cell> {
    let range = code(pieces, line);
    let (first, second) = (pieces.get(range.start)?, pieces[range.clone()].get(1)?);
    let is_word = first.token.kind == TokenKind::Word;
    let kind = match first.text() {
        "let" => Kind::Let,
        "carry" => Kind::Carry,
        "hyper" => Kind::Hyper,
        "field" if !second.is(":") && !second.is("=") => Kind::Field,
        _ if is_word && second.is("=") && first.text().ends_with('\'') => Kind::Update,
        _ if is_word && second.is("=") => Kind::Assignment,
        _ if second.is(":") && (is_word || first.token.kind == TokenKind::Text) => Kind::Entry,
        _ => return None,
    };
    let is_short = matches!(kind, Kind::Let | Kind::Carry | Kind::Update);
    if is_short && pieces[range.end - 1].token.opens() || line.bracket == 0 && kind == Kind::Entry {
        return None;
    }
    // Of several bindings or entries on one line, none is in a column.
    if has_comma_between(&pieces[range.clone()]) {
        return None;
    }
    let piece = match kind {
        Kind::Entry => (range.len() > 2).then_some(range.start + 2)?,
        Kind::Field => range.start + outer(&pieces[range.clone()]).find(|(_, p)| p.is(":"))?.0 + 1,
        _ => range.start + outer(&pieces[range.clone()]).find(|(_, p)| p.is("="))?.0,
    };
    let before = range.start..piece;
    let gaps: usize = line.gaps[1..before.len()].iter().sum();
    let width = gaps + pieces[before].iter().map(Piece::width).sum::<usize>();
    Some(Cell { kind, piece, width })
}

fn has_comma_between(line: &[Piece]) -> bool {
    outer(line).any(|(i, p)| p.is(",") && i + 1 < line.len())
}

/// The pieces of a line without its comment.
pub(super) fn code(pieces: &[Piece], line: &Placed) -> Range<usize> {
    let range = line.range.clone();
    match pieces[range.end - 1].is_comment() {
        true => range.start..range.end - 1,
        false => range,
    }
}

/// Where the code of a line ends.
pub(super) fn code_width(pieces: &[Piece], line: &Placed) -> usize {
    let range = code(pieces, line);
    let gaps: usize = line.gaps[..range.len()].iter().sum();
    gaps + pieces[range].iter().map(Piece::width).sum::<usize>()
}

/// Comments at the ends of lines that follow each other begin in one column, if all of them have room there.
fn comments(pieces: &[Piece], placed: &mut [Placed], width: usize) {
    let mut i = 0;
    while i < placed.len() {
        let (mut column, mut end) = (0, i);
        while let Some(line) = placed.get(end)
            && has_code_and_comment(pieces, line)
            && (end == i || !line.empty_line_before)
        {
            let wider = column.max(code_width(pieces, line) + COMMENT_GAP);
            let has_room = |l: &Placed| wider + pieces[l.range.end - 1].width() <= width;
            if end > i && !placed[i..=end].iter().all(has_room) {
                break;
            }
            column = wider;
            end += 1;
        }
        for line in &mut placed[i..end] {
            let gap = column - code_width(pieces, line);
            *line.gaps.last_mut().expect("a line has a piece") = gap;
        }
        i = end.max(i + 1);
    }
}

fn has_code_and_comment(pieces: &[Piece], line: &Placed) -> bool {
    line.range.len() > 1 && pieces[line.range.end - 1].is_comment()
}
