//! Expressions: precedence, literals, brackets, loops.
use super::{Builder, Origin, doc_lines};
use crate::ast::*;
use crate::grammar::{Pair, Parts, Rule};
use crate::words;
use pest::pratt_parser::{Assoc, Op, PrattParser};
use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use stmc_base::{Code, Diagnostic, Span};

/// Loosest first. `else` and `=>` are not here: what follows them reaches as far as it can.
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rules: &[Rule]| {
        let mut ops = rules.iter().map(|r| Op::infix(*r, Assoc::Left));
        let first = ops.next().expect("a level of operators has one at least");
        ops.fold(first, |all, op| all | op)
    };
    PrattParser::new()
        .op(left(&[Rule::pipe]))
        .op(left(&[Rule::or]))
        .op(left(&[Rule::and]))
        .op(Op::prefix(Rule::kw_not))
        .op(left(&[Rule::member_of, Rule::eq, Rule::ne, Rule::lt, Rule::le, Rule::gt, Rule::ge]))
        .op(left(&[Rule::plus, Rule::minus]))
        .op(left(&[Rule::times, Rule::divide]))
        .op(Op::prefix(Rule::neg))
        .op(Op::infix(Rule::power, Assoc::Right))
        .op(Op::postfix(Rule::call) | Op::postfix(Rule::index) | Op::postfix(Rule::member))
});

/// An expression with what its parent must know of it.
struct Operand {
    expr: Expr,
    /// The operator at its top, if no parentheses stand around it.
    top: Option<Top>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Top {
    Pipe,
    Comparison,
    Other,
}

impl Builder<'_> {
    /// An `expr` or a `default`.
    pub(super) fn expr(&mut self, pair: Pair) -> Expr {
        let span = self.span(&pair);
        let operators = pair.clone().into_inner().filter(|p| is_operator(p.as_rule())).count();
        let built = self.nested(1 + operators, span, |b| b.operators(pair));
        built.map_or(Expr { kind: ExprKind::Bool(false), span }, |operand| operand.expr)
    }

    fn operators(&mut self, pair: Pair) -> Operand {
        let operand = |expr| Operand { expr, top: None };
        let builder = RefCell::new(self);
        PRECEDENCE
            .map_primary(|pair| operand(builder.borrow_mut().primary(pair)))
            .map_prefix(|op, inner| builder.borrow_mut().prefix(&op, inner))
            .map_postfix(|base, op| operand(builder.borrow_mut().postfix(base.expr, op)))
            .map_infix(|left, op, right| builder.borrow_mut().infix(left, &op, right))
            .parse(pair.into_inner().filter(|p| p.as_rule() != Rule::newline))
    }

    fn prefix(&mut self, op: &Pair, inner: Operand) -> Operand {
        let span = self.span(op).to(inner.expr.span);
        let op = if op.as_rule() == Rule::neg { UnaryOp::Neg } else { UnaryOp::Not };
        let kind = ExprKind::Unary { op, operand: Box::new(inner.expr) };
        Operand { expr: Expr { kind, span }, top: Some(Top::Other) }
    }

    fn infix(&mut self, left: Operand, op: &Pair, right: Operand) -> Operand {
        let span = left.expr.span.to(right.expr.span);
        let op_span = self.span(op);
        if op.as_rule() == Rule::pipe {
            self.refuse_mixed_pipe(&left, op_span, &right);
            let kind = ExprKind::Pipe { value: Box::new(left.expr), stage: Box::new(right.expr) };
            return Operand { expr: Expr { kind, span }, top: Some(Top::Pipe) };
        }
        let op = BinaryOp::find(op.as_str()).expect("the grammar knows the operators");
        let top = if op.is_comparison() { Top::Comparison } else { Top::Other };
        if top == Top::Comparison && left.top == Some(Top::Comparison) {
            self.refuse_chain(&left.expr, op_span);
        }
        let kind = ExprKind::Binary { op, op_span, left: Box::new(left.expr), right: Box::new(right.expr) };
        Operand { expr: Expr { kind, span }, top: Some(top) }
    }

    fn refuse_mixed_pipe(&mut self, left: &Operand, pipe: Span, right: &Operand) {
        let mixed = |o: &Operand| matches!(o.top, Some(Top::Comparison | Top::Other));
        let diagnostic = if mixed(left) {
            let whole = self.snippet(left.expr.span);
            let last = self.snippet(last_operand(&left.expr).span);
            let stage = self.snippet(right.expr.span);
            let before = whole.strip_suffix(last).unwrap_or("");
            mixed_pipe(
                pipe,
                left.expr.span,
                format!(
                    "does `|>` take {} or {}?",
                    short(last, "the last operand"),
                    short(whole, "all of it")
                ),
                [format!("{before}({last} |> {stage})"), format!("({whole}) |> {stage}")],
            )
        } else if mixed(right) {
            let whole = self.snippet(right.expr.span);
            let first = self.snippet(first_operand(&right.expr).span);
            let value = self.snippet(left.expr.span);
            let after = whole.strip_prefix(first).unwrap_or("");
            mixed_pipe(
                pipe,
                right.expr.span,
                format!(
                    "does `|>` lead into {} or into {}?",
                    short(first, "the first operand"),
                    short(whole, "all of it")
                ),
                [format!("({value} |> {first}){after}")],
            )
        } else {
            return;
        };
        self.refuse(diagnostic);
    }

    fn refuse_chain(&mut self, left: &Expr, second: Span) {
        let middle = match &left.kind {
            ExprKind::Binary { right, .. } => self.snippet(right.span),
            _ => "b",
        };
        let help = format!(
            "write `and` between two comparisons: `… {middle} and {middle} {} …`",
            self.snippet(second)
        );
        let diagnostic = Diagnostic::new(Code::E0101, second, "comparisons do not chain")
            .label(left.span, "this is already true or false")
            .help(help);
        self.refuse(diagnostic);
    }

    fn primary(&mut self, pair: Pair) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::int => self.int(pair.as_str(), span),
            Rule::float => ExprKind::Float(self.float(pair.as_str(), span)),
            Rule::percent => ExprKind::Percent(self.float(pair.as_str().trim_end_matches('%'), span) / 100.0),
            Rule::quantity => self.quantity(pair, span),
            Rule::date => self.date(pair.as_str(), span),
            Rule::string => ExprKind::Str(self.text(&pair).value),
            Rule::boolean => ExprKind::Bool(pair.as_str() == "true"),
            Rule::name => self.word(pair.as_str(), span),
            Rule::primed => ExprKind::Primed(self.name(&pair).text),
            Rule::list => self.list(pair),
            Rule::paren => return self.paren(pair, span),
            Rule::braces => self.braces(pair, span),
            Rule::if_expr => self.if_expr(pair),
            Rule::scan => self.scan(pair, span),
            Rule::for_expr => self.for_expr(pair, span),
            rule => unreachable!("{rule:?} is not an expression"),
        };
        Expr { kind, span }
    }

    /// A name; some words are never one, since everybody who writes them means something else.
    fn word(&mut self, word: &str, span: Span) -> ExprKind {
        if let Some(foreign) = words::foreign_value(word) {
            self.refuse(foreign.diagnostic(span));
        }
        ExprKind::Name(Arc::from(word))
    }

    fn postfix(&mut self, base: Expr, op: Pair) -> Expr {
        let span = base.span.to(self.span(&op));
        let rule = op.as_rule();
        let mut parts = Parts::of(op);
        let base = Box::new(base);
        let kind = match rule {
            Rule::call => ExprKind::Call { callee: base, args: self.args(parts) },
            Rule::index => ExprKind::Index { base, args: self.args(parts) },
            _ => {
                let part = parts.next().expect("something follows the point");
                let member = match part.as_rule() {
                    Rule::position => Member::Position(self.position(&part), self.span(&part)),
                    _ => Member::Name(self.name(&part)),
                };
                ExprKind::Member { base, member }
            }
        };
        Expr { kind, span }
    }

    // ------------------------------------------------------------ literals

    fn int(&mut self, digits: &str, span: Span) -> ExprKind {
        let value = digits.replace('_', "").parse().unwrap_or_else(|_| {
            self.refuse(
                Diagnostic::new(Code::E0101, span, format!("`{digits}` is too large for a whole number"))
                    .help("write it with a point, `1.0e20`: then it is a float"),
            );
            0
        });
        ExprKind::Int(value)
    }

    fn float(&mut self, digits: &str, span: Span) -> f64 {
        let value: f64 = digits.replace('_', "").parse().expect("the grammar has checked the number");
        if value.is_infinite() {
            self.refuse(
                Diagnostic::new(Code::E0101, span, format!("`{digits}` is too large for a number"))
                    .help("infinity is `inf`"),
            );
        }
        value
    }

    fn quantity(&mut self, pair: Pair, span: Span) -> ExprKind {
        let mut parts = Parts::of(pair);
        let number = parts.next().expect("a quantity begins with a number");
        let unit = self.name(&parts.need(Rule::unit_word));
        ExprKind::Quantity { value: self.float(number.as_str(), span), unit }
    }

    fn date(&mut self, text: &str, span: Span) -> ExprKind {
        let field = |at: usize| text.get(at..at + 2).and_then(|s| s.parse::<u8>().ok());
        let date = Date {
            year: text[..4].parse().expect("a date begins with four digits"),
            month: field(5).expect("a date has a month"),
            day: field(8),
            hour: field(11),
            minute: field(14),
        };
        if let Some(wrong) = wrong_field(&date) {
            let (year, rest) = text.split_at(4);
            self.refuse(Diagnostic::new(Code::E0101, span, format!("`{text}` is no date: {wrong}")).help(
                format!(
                    "a date is `YYYY-MM-DD`; for a difference put blanks around the sign, `{year} - {}`",
                    &rest[1..]
                ),
            ));
        }
        ExprKind::Date(date)
    }

    /// A string literal without its quotes and escapes.
    pub(super) fn text(&mut self, pair: &Pair) -> Text {
        let span = self.span(pair);
        let inner = &pair.as_str()[1..pair.as_str().len() - 1];
        let mut value = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match (c, if c == '\\' { chars.next() } else { None }) {
                (_, None) => value.push(c),
                (_, Some('n')) => value.push('\n'),
                (_, Some('t')) => value.push('\t'),
                (_, Some(escaped @ ('"' | '\\'))) => value.push(escaped),
                (_, Some(other)) => self.refuse(
                    Diagnostic::new(Code::E0101, span, format!("a string knows no `\\{other}`"))
                        .help("it knows `\\\"`, `\\\\`, `\\n` and `\\t`; a path is written with `/`"),
                ),
            }
        }
        Text { value: Arc::from(value), span }
    }

    /// A `position`.
    pub(super) fn position(&mut self, pair: &Pair) -> u32 {
        pair.as_str().parse().unwrap_or_else(|_| {
            let span = self.span(pair);
            self.refuse(Diagnostic::new(Code::E0101, span, "no list is that long"));
            0
        })
    }

    // ------------------------------------------------------------ brackets

    fn args(&mut self, parts: Parts) -> Vec<Arg> {
        parts.map(|p| self.arg(p)).collect()
    }

    fn arg(&mut self, pair: Pair) -> Arg {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let label = parts.maybe(Rule::axis_ref).map(|p| self.axis_ref(p));
        let value = self.slot(parts.need(Rule::slot));
        let arrow = parts.maybe(Rule::slot).map(|p| self.slot(p));
        Arg { label, value, arrow, span }
    }

    /// A `slot`: an expression or a range.
    pub(super) fn slot(&mut self, pair: Pair) -> Expr {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let start = parts.maybe(Rule::expr).map(|p| self.expr(p));
        if parts.maybe(Rule::dots).is_none() {
            return start.expect("without dots there is an expression");
        }
        let end = parts.maybe(Rule::expr).map(|p| Box::new(self.expr(p)));
        Expr { kind: ExprKind::Range { start: start.map(Box::new), end }, span }
    }

    fn paren(&mut self, pair: Pair, span: Span) -> Expr {
        let mut args = self.args(Parts::of(pair));
        match &args[..] {
            [Arg { label: None, arrow: None, value, .. }] => {
                if matches!(value.kind, ExprKind::Range { .. }) {
                    self.refuse(
                        Diagnostic::new(Code::E0101, value.span, "a range is no value by itself").help(
                            "it stands in brackets, as an argument, and after `in`: `x[time: 0 .. 10]`",
                        ),
                    );
                }
                let inner = args.pop().expect("one argument").value;
                Expr { kind: inner.kind, span }
            }
            _ => Expr { kind: ExprKind::Tuple(args), span },
        }
    }

    fn list(&mut self, pair: Pair) -> ExprKind {
        if let Some(comprehension) = comprehension(&pair) {
            return self.loop_over(comprehension);
        }
        ExprKind::List(Parts::of(pair).map(|p| self.element(p)).collect())
    }

    fn element(&mut self, pair: Pair) -> Element {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let value = self.expr(parts.need(Rule::expr));
        let guard = parts.maybe(Rule::guard).map(|p| self.guard(p));
        Element { value, guard, span }
    }

    /// `if c`, `if c else v` after something.
    pub(super) fn guard(&mut self, pair: Pair) -> Guard {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let condition = self.expr(parts.need(Rule::expr));
        let otherwise = parts.maybe(Rule::expr).map(|p| self.expr(p));
        Guard { condition, otherwise, span }
    }

    /// A record or a block; both may begin with `let`s.
    fn braces(&mut self, pair: Pair, span: Span) -> ExprKind {
        let mut parts = Parts::of(pair.clone());
        let has_entry = pair.into_inner().any(|p| p.as_rule() == Rule::entry);
        if has_entry || parts.peek().is_none() {
            return ExprKind::Record(self.record(parts, span));
        }
        let block = self.value_block(parts, span, "a block in an expression");
        ExprKind::Block(Box::new(block))
    }

    /// `braces` where only a record may stand; `owner` is the word before it.
    pub(super) fn record_braces(&mut self, pair: Pair, owner: &str) -> Record {
        let span = self.span(&pair);
        let parts = Parts::of(pair);
        if self.origin == Origin::Written && parts.clone().all(|p| p.as_rule() != Rule::entry) {
            let first = parts.clone().next().map_or(span, |p| self.span(&p));
            self.refuse(
                Diagnostic::new(Code::E0101, first, format!("`{owner}` needs entries"))
                    .help("an entry is written `name: value`"),
            );
            return Record { lets: vec![], entries: vec![], span };
        }
        self.record(parts, span)
    }

    fn record(&mut self, mut parts: Parts, span: Span) -> Record {
        let (mut lets, mut entries) = (vec![], vec![]);
        loop {
            // What documents a `let` has nowhere to go; an entry holds its own documentation.
            doc_lines(&mut parts, Rule::doc);
            let Some(part) = parts.next() else { break };
            match part.as_rule() {
                Rule::let_decl => lets.extend(self.bindings(part)),
                Rule::entry => entries.push(self.entry(part)),
                _ => {
                    let span = self.span(&part);
                    self.refuse(
                        Diagnostic::new(Code::E0101, span, "this is not an entry of the record").help(
                            "an entry is written `name: value`; before the entries there may be `let`s",
                        ),
                    );
                }
            }
        }
        Record { lets, entries, span }
    }

    fn entry(&mut self, pair: Pair) -> Entry {
        let end = self.span(&pair);
        let mut parts = Parts::of(pair);
        let doc = doc_lines(&mut parts, Rule::doc);
        let key = parts.next().expect("an entry has a key");
        let quoted = key.as_rule() == Rule::string;
        let key = if quoted {
            let text = self.text(&key);
            Name { text: text.value, span: text.span }
        } else {
            self.name(&key)
        };
        let value = match parts.maybe(Rule::expr) {
            Some(value) => self.expr(value),
            None => {
                if quoted {
                    let message = format!("the entry `{}` has no value", self.snippet(key.span));
                    self.refuse(Diagnostic::new(Code::E0101, key.span, message).help("write `\"…\": value`"));
                }
                Expr { kind: ExprKind::Name(key.text.clone()), span: key.span }
            }
        };
        Entry { doc, span: Span { end: end.end, ..key.span }, key, quoted, value }
    }

    // ------------------------------------------------------------ choices and loops

    fn if_expr(&mut self, pair: Pair) -> ExprKind {
        let mut parts = Parts::of(pair);
        let mut branch = || Box::new(self.expr(parts.need(Rule::expr)));
        ExprKind::If { condition: branch(), then: branch(), otherwise: branch() }
    }

    fn for_expr(&mut self, pair: Pair, span: Span) -> ExprKind {
        let kind = self.loop_over(pair);
        if matches!(kind, ExprKind::Comprehension { .. }) {
            self.refuse(
                Diagnostic::new(Code::E0101, span, "a list made by `for` stands alone in its brackets").help(
                    "write `[for x in list => …]`; lists are joined by `[[…], […]]` where they are applied",
                ),
            );
        }
        kind
    }

    /// `for x in list => e` or `for x in list { … }`.
    fn loop_over(&mut self, pair: Pair) -> ExprKind {
        let mut parts = Parts::of(pair);
        let binder = self.loop_binder(parts.need(Rule::loop_binder));
        let iterable = Box::new(self.slot(parts.need(Rule::slot)));
        match parts.next() {
            Some(block) if block.as_rule() == Rule::block => {
                ExprKind::For { binder, iterable, body: Box::new(self.step_block(block, "`for`")) }
            }
            body => {
                let body = body.expect("a loop has a body");
                ExprKind::Comprehension { binder, iterable, body: Box::new(self.expr(body)) }
            }
        }
    }

    fn loop_binder(&mut self, pair: Pair) -> LoopBinder {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let index = parts.maybe(Rule::name).map(|p| self.name(&p));
        let element = self.pattern(parts.need(Rule::pattern));
        LoopBinder { index, element, span }
    }

    /// A `pattern`.
    pub(super) fn pattern(&mut self, pair: Pair) -> Pattern {
        let inner = Parts::of(pair).next().expect("a pattern binds something");
        match inner.as_rule() {
            Rule::name => Pattern::Name(self.name(&inner)),
            _ => {
                let span = self.span(&inner);
                Pattern::Tuple(Parts::of(inner).map(|p| self.name(&p)).collect(), span)
            }
        }
    }

    fn scan(&mut self, pair: Pair, span: Span) -> ExprKind {
        let mut parts = Parts::of(pair);
        let mut sources = vec![];
        while let Some(source) = parts.maybe(Rule::source) {
            sources.push(self.source_of(source));
        }
        let along = self.take_name(&mut parts);
        let extent = parts.maybe(Rule::scan_extent).map(|p| self.expr(Parts::of(p).need(Rule::expr)));
        if sources.is_empty() && extent.is_none() {
            let axis = &along.text;
            self.refuse(
                Diagnostic::new(
                    Code::E0101,
                    along.span,
                    format!("how many steps does the scan along `{axis}` have?"),
                )
                .help(format!(
                    "write `scan along {axis}: 10`, or `scan x in xs along {axis}` to run through `xs`"
                )),
            );
        }
        let at = parts.maybe(Rule::scan_at).map(|p| self.take_name(&mut Parts::of(p)));
        let body = self.step_block(parts.need(Rule::block), "a scan");
        debug_assert!(span.end >= body.span.end);
        ExprKind::Scan(Box::new(Scan { sources, along, extent, at, body }))
    }

    fn source_of(&mut self, pair: Pair) -> ScanSource {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let pattern = self.pattern(parts.need(Rule::pattern));
        let value = self.expr(parts.need(Rule::expr));
        ScanSource { pattern, value, span }
    }
}

/// The `for … => …` of a list that has nothing else.
fn comprehension<'i>(list: &Pair<'i>) -> Option<Pair<'i>> {
    let mut elements = Parts::of(list.clone());
    let mut element = Parts::of(elements.next()?);
    let mut expr = element.maybe(Rule::expr)?.into_inner();
    let only = expr.next().filter(|p| p.as_rule() == Rule::for_expr)?;
    let alone = expr.next().is_none() && element.next().is_none() && elements.next().is_none();
    let is_list = only.clone().into_inner().any(|p| p.as_rule() == Rule::fat_arrow);
    (alone && is_list).then_some(only)
}

fn is_operator(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        pipe | or
            | and
            | member_of
            | eq
            | ne
            | le
            | ge
            | lt
            | gt
            | plus
            | minus
            | times
            | divide
            | power
            | neg
            | kw_not
            | call
            | index
            | member
    )
}

/// What a pipe after this expression would take if it bound tightest.
fn last_operand(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Binary { right, .. } => right,
        ExprKind::Unary { operand, .. } => operand,
        _ => expr,
    }
}

/// What a pipe before this expression would lead into if it bound tightest.
fn first_operand(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Binary { left, .. } => first_operand(left),
        _ => expr,
    }
}

fn mixed_pipe<const N: usize>(pipe: Span, beside: Span, message: String, ways: [String; N]) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::E0105, pipe, message).label(beside, "parentheses are missing here");
    let fits = ways.iter().all(|w| reads_well(w, 70));
    let ways = ways.map(|w| format!("`{w}`")).join(" or ");
    diagnostic.help(if fits {
        format!("write {ways}")
    } else {
        "put the pipe or the operation in parentheses".into()
    })
}

/// Whether a piece of the source can stand in a sentence: it is short, and has no lines and no gaps.
fn reads_well(snippet: &str, most: usize) -> bool {
    snippet.len() <= most && !snippet.contains('\n') && !snippet.contains("  ")
}

/// A piece of the source in a sentence, or words for it where it is long.
fn short(snippet: &str, words: &str) -> String {
    if reads_well(snippet, 40) { format!("`{snippet}`") } else { words.to_string() }
}

/// What is wrong with a date. `None`: nothing that a calendar of some kind would not allow.
fn wrong_field(date: &Date) -> Option<String> {
    let fields = [
        ("month", Some(date.month), 1..=12),
        ("day", date.day, 1..=31),
        ("hour", date.hour, 0..=23),
        ("minute", date.minute, 0..=59),
    ];
    let (name, value, _) = fields.into_iter().find(|(_, v, range)| v.is_some_and(|v| !range.contains(&v)))?;
    value.map(|v| format!("there is no {name} {v}"))
}
