//! Blocks and their statements.
use super::{Builder, Origin, doc_lines};
use crate::ast::*;
use crate::grammar::{Pair, Parts, Rule};
use stmc_base::{Code, Diagnostic, Span};

impl Builder<'_> {
    /// A `block` that has a result; `what` it is the body of.
    pub(super) fn result_block(&mut self, pair: Pair, what: &str) -> Block {
        let span = self.span(&pair);
        self.value_block(Parts::of(pair), span, what)
    }

    /// A `block` that runs step by step and has no result.
    pub(super) fn step_block(&mut self, pair: Pair, what: &str) -> Block {
        let span = self.span(&pair);
        let mut block = self.statements(Parts::of(pair), span);
        if let Some(result) = block.result.take() {
            self.unused(
                result.span,
                &format!("the body of {what} has no result: it gives what it carries and yields"),
            );
        }
        block
    }

    /// `= expr` or `{ … }`.
    pub(super) fn body(&mut self, pair: Pair, what: &str) -> Block {
        if pair.as_rule() == Rule::block {
            return self.result_block(pair, what);
        }
        let result = self.expr(pair);
        Block { statements: vec![], span: result.span, result: Some(result) }
    }

    /// Statements and a result.
    pub(super) fn value_block(&mut self, parts: Parts, span: Span, what: &str) -> Block {
        let block = self.statements(parts, span);
        if block.result.is_none() && self.origin == Origin::Written {
            self.refuse(no_result(&block, what));
        }
        block
    }

    fn statements(&mut self, mut parts: Parts, span: Span) -> Block {
        let (mut statements, mut result) = (vec![], None::<Expr>);
        let built = self.nested(1, span, |b| {
            loop {
                let doc = doc_lines(&mut parts, Rule::doc);
                let Some(pair) = parts.next() else { break };
                if let Some(early) = result.take() {
                    b.unused(early.span, "a block's last line is its result; this is not the last");
                }
                if pair.as_rule() == Rule::expr {
                    result = Some(b.expr(pair));
                    continue;
                }
                let first = statements.len();
                b.statement(pair, &mut statements);
                statements[first].doc = doc;
            }
        });
        debug_assert!(built.is_some() || !self.diagnostics.is_empty());
        Block { statements, result, span }
    }

    fn unused(&mut self, span: Span, why: &str) {
        if self.origin == Origin::Written {
            self.refuse(
                Diagnostic::new(Code::E0101, span, "this value is used nowhere")
                    .here(why)
                    .help("name it with `let`, `yield` it, or take it out"),
            );
        }
    }

    fn statement(&mut self, pair: Pair, out: &mut Vec<Stmt>) {
        let span = self.span(&pair);
        let mut add = |kind, span| out.push(Stmt { doc: None, kind, span });
        match pair.as_rule() {
            Rule::let_decl => self.bindings(pair).into_iter().for_each(|l| {
                let span = l.span;
                add(StmtKind::Let(l), span);
            }),
            Rule::axis_decl => self.axis_names(pair).into_iter().for_each(|a| {
                let span = a.name.span;
                add(StmtKind::Axis(a), span);
            }),
            Rule::sublayers => {
                for pair in Parts::of(pair) {
                    let span = self.span(&pair);
                    add(StmtKind::SubLayer(self.sublayer(pair)), span);
                }
            }
            Rule::axes_decl => add(StmtKind::Axes(self.axes_decl(pair)), span),
            Rule::param_decl => add(StmtKind::Param(self.param_decl(pair)), span),
            Rule::buffer_decl => add(StmtKind::Buffer(self.buffer_decl(pair)), span),
            Rule::carry_decl => add(StmtKind::Carry(self.carry_decl(pair)), span),
            Rule::yield_stmt => add(StmtKind::Yield(self.expr(Parts::of(pair).need(Rule::expr))), span),
            Rule::assert_decl => add(StmtKind::Assert(self.assert_decl(pair)), span),
            Rule::fn_decl => add(StmtKind::Fn(self.fn_decl(pair)), span),
            Rule::update => add(StmtKind::Update(self.update(pair)), span),
            rule => unreachable!("{rule:?} is not a statement"),
        }
    }

    /// A `let_decl`: one `let` for each binding.
    pub(super) fn bindings(&mut self, pair: Pair) -> Vec<Let> {
        Parts::of(pair).map(|p| self.binding(p)).collect()
    }

    fn binding(&mut self, pair: Pair) -> Let {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let pattern = self.pattern(parts.need(Rule::pattern));
        let ty = parts.maybe(Rule::type_).map(|p| self.ty(p));
        let value = self.expr(parts.need(Rule::expr));
        Let { pattern, ty, value, span }
    }

    /// An `axis_decl`: one for each name.
    pub(super) fn axis_names(&mut self, pair: Pair) -> Vec<AxisDecl> {
        let axis = |pair| {
            let mut parts = Parts::of(pair);
            let name = self.take_name(&mut parts);
            AxisDecl { name, periodic: parts.maybe(Rule::kw_periodic).is_some() }
        };
        Parts::of(pair).map(axis).collect()
    }

    /// An `axes_decl`.
    pub(super) fn axes_decl(&mut self, pair: Pair) -> AxesDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let axes = Parts::of(parts.need(Rule::axes_list)).map(|p| self.axis_ref(p)).collect();
        AxesDecl { name, axes }
    }

    /// An `assert_decl`.
    pub(super) fn assert_decl(&mut self, pair: Pair) -> Assert {
        let mut parts = Parts::of(pair);
        let condition = self.expr(parts.need(Rule::expr));
        let message = parts.maybe(Rule::string).map(|p| self.text(&p));
        Assert { condition, message }
    }

    fn param_decl(&mut self, pair: Pair) -> ParamDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let ty = self.ty(parts.need(Rule::type_));
        let initializer = self.expr(parts.need(Rule::expr));
        ParamDecl { name, ty, initializer, guard: self.maybe_guard(&mut parts) }
    }

    fn buffer_decl(&mut self, pair: Pair) -> BufferDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let ty = self.ty(parts.need(Rule::type_));
        let value = self.expr(parts.need(Rule::expr));
        BufferDecl { name, ty, value, guard: self.maybe_guard(&mut parts) }
    }

    fn carry_decl(&mut self, pair: Pair) -> CarryDecl {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let ty = parts.maybe(Rule::type_).map(|p| self.ty(p));
        let value = self.expr(parts.need(Rule::expr));
        CarryDecl { name, ty, value, guard: self.maybe_guard(&mut parts) }
    }

    fn update(&mut self, pair: Pair) -> Update {
        let mut parts = Parts::of(pair);
        let name = self.name(&parts.need(Rule::primed));
        let value = self.expr(parts.need(Rule::expr));
        Update { name, value, guard: self.maybe_guard(&mut parts) }
    }

    fn sublayer(&mut self, pair: Pair) -> SubLayer {
        let mut parts = Parts::of(pair);
        let name = self.take_name(&mut parts);
        let value = self.expr(parts.need(Rule::expr));
        let overrides = parts.maybe(Rule::overrides).map_or(vec![], |p| self.overrides(p));
        SubLayer { name, value, overrides, guard: self.maybe_guard(&mut parts) }
    }

    fn overrides(&mut self, pair: Pair) -> Vec<Override> {
        let one = |pair| {
            let span = self.span(&pair);
            let mut parts = Parts::of(pair);
            let name = self.take_name(&mut parts);
            Override { name, initializer: self.expr(parts.need(Rule::expr)), span }
        };
        Parts::of(pair).map(one).collect()
    }

    fn maybe_guard(&mut self, parts: &mut Parts) -> Option<Guard> {
        parts.maybe(Rule::guard).map(|p| self.guard(p))
    }
}

fn no_result(block: &Block, what: &str) -> Diagnostic {
    let last = Span { start: block.span.end - 1, ..block.span };
    let diagnostic =
        Diagnostic::new(Code::E0101, last, format!("{what} ends in its result, and here is none"));
    match block.statements.last().map(|s| &s.kind) {
        Some(StmtKind::SubLayer(sublayer)) => diagnostic
            .label(sublayer.name.span, "this declares a sub-layer")
            .help(format!("an entry of a record is written `{}: …`", sublayer.name.text)),
        Some(StmtKind::Let(last)) if last.pattern.names().len() == 1 => diagnostic
            .help(format!("add a last line: `{}`, if that is the result", last.pattern.names()[0].text)),
        _ => diagnostic.help("its last line is an expression"),
    }
}
