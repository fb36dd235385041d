//! The house style of `.stm` files. The user's line breaks and columns stay; blanks, and the indentation of blocks,
//! are ours. A line that goes on with the line before it, or hangs in a bracket, keeps its distance to where that
//! line or bracket begins.
//!
//! It moves tokens, never makes or drops one: comments stay where they are, and the tree does not change.
//! It does not break long lines.
use crate::parse::parse;
use crate::tokens::{Kind, Token, tokens};
use crate::words::{self, ITEMS, RESERVED};
use stmc_base::{Diagnostic, SourceId};

/// Blanks for each open bracket, and for a line that goes on.
const STEP: usize = 4;

/// The text in house style; the diagnostics of a text that does not parse.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(source, text);
    if parsed.file.is_none() {
        return Err(parsed.diagnostics);
    }
    let all = tokens(text);
    let mut formatter = Formatter::default();
    let mut blank_line = false;
    for line in all.split(|t| t.kind == Kind::Newline) {
        let line = placed(line);
        if line.is_empty() {
            blank_line = true;
            continue;
        }
        if blank_line && formatter.takes_blank_line(&line[0].token) {
            formatter.out.push('\n');
        }
        blank_line = false;
        formatter.line(&line);
    }
    Ok(formatter.out)
}

/// A token and how many blanks stand before it.
#[derive(Clone, Copy)]
struct Placed<'t> {
    token: Token<'t>,
    gap: usize,
}

/// The tokens of a line without its blanks.
fn placed<'t>(line: &[Token<'t>]) -> Vec<Placed<'t>> {
    let mut placed = vec![];
    let mut gap = 0;
    for token in line {
        if token.kind == Kind::Space {
            gap = token.text.chars().filter(|c| *c != '\r').count();
        } else {
            placed.push(Placed { token: *token, gap });
            gap = 0;
        }
    }
    placed
}

/// How far a line is indented: as the user wrote it, and as we write it.
#[derive(Clone, Copy, Default)]
struct Indent {
    theirs: usize,
    ours: usize,
}

impl Indent {
    /// Ours for a line that hangs on this one: theirs, moved along. One step where they had none.
    fn hanging(&self, theirs: usize) -> usize {
        self.ours + theirs.checked_sub(self.theirs).filter(|d| *d > 0).unwrap_or(STEP)
    }
}

/// A bracket that is open.
struct Open<'t> {
    token: Token<'t>,
    /// The line that its contents are indented from.
    base: Indent,
    /// Nothing followed it on its line.
    ends_line: bool,
    /// The statement in it that was begun last.
    statement: Statement<'t>,
}

/// The first line of a statement.
#[derive(Clone, Copy, Default)]
struct Statement<'t> {
    indent: Indent,
    /// Its first word.
    word: &'t str,
}

#[derive(Default)]
struct Formatter<'t> {
    out: String,
    open: Vec<Open<'t>>,
    /// The declaration that was begun last.
    item: Statement<'t>,
    /// The last token that is no comment.
    last: Option<Token<'t>>,
}

impl<'t> Formatter<'t> {
    /// Several empty lines become one; none stands at the top, after an opening or before a closing bracket.
    fn takes_blank_line(&self, first: &Token) -> bool {
        !self.out.is_empty() && !first.closes() && !self.out.trim_end().ends_with(['(', '[', '{'])
    }

    fn line(&mut self, line: &[Placed<'t>]) {
        let indent = Indent { theirs: line[0].gap, ours: self.indentation(line) };
        self.out.extend(std::iter::repeat_n(' ', indent.ours));
        for (i, Placed { token, gap }) in line.iter().enumerate() {
            if i > 0 {
                let blanks = blanks(&line[..i], token, *gap);
                self.out.extend(std::iter::repeat_n(' ', blanks));
            }
            self.out.push_str(token.text.trim_end());
            if token.opens() {
                let ends_line = line[i + 1..].iter().all(|p| p.token.kind == Kind::Comment);
                self.open_bracket(*token, indent, ends_line);
            } else if token.closes() {
                self.open.pop();
            }
            if !matches!(token.kind, Kind::Comment | Kind::Doc) {
                self.last = Some(*token);
            }
        }
        self.out.push('\n');
    }

    fn open_bracket(&mut self, token: Token<'t>, line: Indent, ends_line: bool) {
        // The head of a layer may take several lines; its body is indented from the first of them.
        let statement = self.statement();
        let declares = token.text == "{" && BODIES.contains(&statement.word) && self.in_block();
        let base = if declares { statement.indent } else { line };
        self.open.push(Open { token, base, ends_line, statement: Statement::default() });
    }

    fn statement(&self) -> Statement<'t> {
        self.open.last().map_or(self.item, |open| open.statement)
    }

    /// Do statements stand here, or entries?
    fn in_block(&self) -> bool {
        self.open.last().is_none_or(|open| open.token.text == "{")
    }

    fn indentation(&mut self, line: &[Placed<'t>]) -> usize {
        let (first, theirs) = (line[0].token, line[0].gap);
        let goes_on = self.goes_on(line);
        let begun = self.statement().indent;
        let Some(open) = self.open.last_mut() else {
            if goes_on {
                return begun.hanging(theirs);
            }
            self.item = Statement { indent: Indent { theirs, ours: 0 }, word: first.text };
            return 0;
        };
        if first.closes() {
            return open.base.ours;
        }
        if !open.ends_line || goes_on && open.token.text != "{" {
            return open.base.hanging(theirs);
        }
        if goes_on && first.text == "else" && theirs == begun.theirs {
            return begun.ours;
        }
        if goes_on {
            return begun.hanging(theirs);
        }
        let ours = open.base.ours + STEP;
        open.statement = Statement { indent: Indent { theirs, ours }, word: first.text };
        ours
    }

    /// Does this line belong to the statement of the line before?
    fn goes_on(&self, line: &[Placed]) -> bool {
        if line[0].token.kind == Kind::Doc {
            return false;
        }
        let begun = self.statement();
        let listed = LISTS.contains(&begun.word) && line[0].gap > begun.indent.theirs;
        let unfinished =
            self.last.is_some_and(|last| words::awaits_more(last.text) || listed && last.is_sign(","));
        let spaced_sign =
            matches!(line[0].token.text, "+" | "-") && line.get(1).is_some_and(|next| next.gap > 0);
        // Between declarations, only a declaration or a comment begins a line.
        let between = self.open.is_empty()
            && line[0].token.kind != Kind::Comment
            && !ITEMS.contains(&line[0].token.text);
        unfinished || between || spaced_sign || words::goes_on(line[0].token.text)
    }
}

/// Declarations with a body in braces.
const BODIES: &[&str] = &["fn", "layer", "model", "schedule", "optimizer", "train", "data", "sample"];

/// Statements that a comma continues, if the next line is indented.
const LISTS: &[&str] = &["let", "axis", "augment", "sample"];

/// How many blanks stand between the last token of `before` and `token`, where the user put `gap`.
fn blanks(before: &[Placed], token: &Token, gap: usize) -> usize {
    if token.kind == Kind::Comment {
        return gap.max(1);
    }
    let blanks = wanted(before, token, gap.min(1));
    // Two and more are a column that the user has made.
    if gap >= 2 && blanks > 0 { gap } else { blanks }
}

/// 0 or 1; `asked` where both are good.
fn wanted(before: &[Placed], token: &Token, asked: usize) -> usize {
    let last = before.len() - 1;
    let previous = &before[last].token;
    let is_list = |brace: usize| brace > 0 && before[brace - 1].token.is_sign(".");
    match (previous.text, token.text) {
        ("{", "}") => 0,
        // `use std.nn.{Conv, Linear}` has no blanks inside, records and blocks have.
        ("{", _) => usize::from(!is_list(last)),
        (_, "}") => usize::from(!opening(before).is_some_and(is_list)),
        (_, "," | ";" | ":" | ")" | "]" | "?" | ".") | ("(" | "[" | ".", _) => 0,
        ("-", _) => after_minus(&before[..last], asked),
        (_, "(" | "[") if ends_value(previous) || previous.is_sign("?") => asked,
        (_, "..") | ("..", _) => asked,
        _ => 1,
    }
}

/// Blanks between a `-` and what follows it, by what stands before it on the line.
fn after_minus(before: &[Placed], asked: usize) -> usize {
    match before.last() {
        // `- b` goes on with the line before, `-b` begins a statement.
        None => asked,
        // `missing -999`, `step - 1`: a word or a name.
        Some(Placed { token, .. }) if VALUE_FOLLOWS.contains(&token.text) => asked,
        Some(Placed { token, .. }) => usize::from(ends_value(token)),
    }
}

/// Words, not reserved, that a value may follow.
const VALUE_FOLLOWS: &[&str] = &["missing", "step", "by", "from", "assert", "balance", "augment"];

fn ends_value(token: &Token) -> bool {
    token.ends_operand() && (!RESERVED.contains(&token.text) || matches!(token.text, "true" | "false"))
}

/// Where the innermost bracket stands that these tokens open and do not close.
fn opening(before: &[Placed]) -> Option<usize> {
    let mut closed = 0;
    before.iter().rposition(|p| {
        if p.token.closes() {
            closed += 1;
        } else if p.token.opens() && closed > 0 {
            closed -= 1;
        } else {
            return p.token.opens();
        }
        false
    })
}
