//! An update rule as one graph over scalars: it is applied to every element of every weight.
use crate::elab::{Elab, Eval, Frame, FrameKind};
use crate::scan::{Body, Primed};
use crate::scope::{Carry, Env, Scope};
use crate::value::{Rule, Spanned, Tensor, Value};
use std::rc::Rc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::host::{HostBinary, UPDATES};
use stmc_ir::module::{Optimizer, ScalarId};
use stmc_ir::{Builder, DType, HostExpr, Type};
use stmc_syntax::ast;

impl<'a> Elab<'a> {
    /// The rule's graph, and its learning rate where it has one.
    pub(crate) fn optimizer(
        &mut self,
        rule: &Rc<Rule<'a>>,
        span: Span,
    ) -> Eval<(Optimizer, Option<ScalarId>)> {
        let entry = Frame { builder: Builder::new(self.axes.clone()), kind: FrameKind::Entry };
        let frames = std::mem::replace(&mut self.frames, vec![entry]);
        self.states.clear();
        self.calls.push(span);
        self.bodies.push(Body::Optimizer);
        let result = self.update_rule(rule);
        self.bodies.pop();
        self.calls.pop();
        self.frames = frames;
        let optimizer = result?;
        let rate = rule.settings.iter().find(|(name, _)| &**name == "lr").and_then(|(_, v)| v.host());
        Ok((optimizer, rate.map(|e| self.host_scalar(e))))
    }

    fn update_rule(&mut self, rule: &Rc<Rule<'a>>) -> Eval<Optimizer> {
        let decl = rule.decl;
        let scope = Scope::body(&self.tops[rule.unit].clone(), "");
        for (name, value) in &rule.settings {
            scope.define(name, value.clone(), decl.name.span);
        }
        // `step` counts updates from 1.
        let step = HostExpr::binary(HostBinary::Add, HostExpr::var(UPDATES), HostExpr::Const(1.0));
        scope.define("step", Value::Host(step), decl.name.span);
        let builder = self.frames[0].builder.clone();
        let input = |i: usize| Value::Tensor(Tensor::plain(builder.input(i, Type::scalar(DType::F32)), 0));
        self.bind(&scope, &decl.weight, input(0));
        self.bind(&scope, &decl.gradient, input(1));
        let (name, key) = (decl.weight.clone(), decl.weight.text.to_string());
        let weight = Carry { name, key, buffer: None, next: None };
        scope.carries.borrow_mut().push(weight);
        self.statements(&decl.body, &scope)?;
        let mut outputs = vec![];
        for Primed { value, span, .. } in self.next_values(&scope)? {
            let next = self.tensor(&Spanned { value, span }, None)?;
            if self.ty(next) != Type::scalar(DType::F32) {
                return Err(self.fail(Code::E0408, span, "an update rule computes with f32 numbers"));
            }
            outputs.push(next.node);
        }
        let states = std::mem::take(&mut self.states);
        Ok(Optimizer { name: decl.name.text.to_string(), states, graph: builder.finish(outputs) })
    }

    /// `carry m = zeros(like: w)`: a state tensor, zero at first.
    pub(crate) fn optimizer_carry(&mut self, decl: &'a ast::CarryDecl, scope: &Env<'a>) -> Eval<()> {
        let first = self.spanned(&decl.value, scope)?;
        let first = self.tensor(&first, None)?;
        if self.frames[0].builder.constant(first.node) != Some(0.0) {
            let message = format!("the state `{}` starts at 0", decl.name.text);
            let diagnostic = Diagnostic::new(Code::E0602, decl.value.span, message);
            return Err(self.error(diagnostic.help(format!("`carry {} = zeros(like: w)`", decl.name.text))));
        }
        self.states.push(decl.name.text.to_string());
        let builder = self.frames[0].builder.clone();
        let node = builder.input(1 + self.states.len(), Type::scalar(DType::F32));
        self.carried(decl, decl.name.text.to_string(), Value::Tensor(Tensor::plain(node, 0)), scope);
        Ok(())
    }
}
