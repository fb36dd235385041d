//! Scalars on the host: schedules and what is computed from them, the step number and what they carry, in f64.
use crate::axis::label_word;
use crate::elab::{Context, Elab, Eval, Failed};
use crate::scan::{Body, Primed};
use crate::scope::{Env, Scope};
use crate::value::{Spanned, Value};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::HostExpr;
use stmc_ir::host::{HostBinary, HostUnary, STEP};
use stmc_ir::module::{HostState, Watch};
use stmc_ir::ops::Scalar;
use stmc_syntax::ast::{self, BinaryOp, StaticType, TypeKind};

/// A schedule with a state. Names are those in its text.
#[derive(Clone, PartialEq)]
pub(crate) struct Instance {
    schedule: String,
    states: Vec<HostState>,
}

impl Instance {
    /// The name of a variable in the module: `plateau.0.rate` for a state, any other stays.
    fn global(&self, n: usize, name: &str) -> String {
        match name.strip_suffix('\'') {
            Some(state) if self.states.iter().any(|s| s.name == name) => {
                format!("{}.{n}.{state}", self.schedule)
            }
            _ => name.to_string(),
        }
    }
}

/// Whether an expression gives a truth value.
pub(crate) fn is_truth(expr: &HostExpr) -> bool {
    use HostBinary::*;
    match expr {
        HostExpr::Binary(op, ..) => matches!(op, Lt | Le | Gt | Ge | Eq | Ne | And | Or),
        HostExpr::Unary(op, _) => *op == HostUnary::Not,
        HostExpr::If(_, a, b) => is_truth(a) && is_truth(b),
        HostExpr::Const(_) | HostExpr::Var(_) => false,
    }
}

/// The host's operator. `None`: it has none.
pub(crate) fn operator(op: BinaryOp) -> Option<HostBinary> {
    Some(match op {
        BinaryOp::Or => HostBinary::Or,
        BinaryOp::And => HostBinary::And,
        BinaryOp::In => return None,
        BinaryOp::Eq => HostBinary::Eq,
        BinaryOp::Ne => HostBinary::Ne,
        BinaryOp::Lt => HostBinary::Lt,
        BinaryOp::Le => HostBinary::Le,
        BinaryOp::Gt => HostBinary::Gt,
        BinaryOp::Ge => HostBinary::Ge,
        BinaryOp::Add => HostBinary::Add,
        BinaryOp::Sub => HostBinary::Sub,
        BinaryOp::Mul => HostBinary::Mul,
        BinaryOp::Div => HostBinary::Div,
        BinaryOp::Pow => HostBinary::Pow,
    })
}

/// Functions of one number: by name, on the host, on tensors.
const FUNCTIONS: &[(&str, HostUnary, Scalar)] = &[
    ("exp", HostUnary::Exp, Scalar::Exp),
    ("log", HostUnary::Log, Scalar::Log),
    ("sqrt", HostUnary::Sqrt, Scalar::Sqrt),
    ("sin", HostUnary::Sin, Scalar::Sin),
    ("cos", HostUnary::Cos, Scalar::Cos),
    ("tanh", HostUnary::Tanh, Scalar::Tanh),
    ("sigmoid", HostUnary::Sigmoid, Scalar::Sigmoid),
    ("erf", HostUnary::Erf, Scalar::Erf),
    ("abs", HostUnary::Abs, Scalar::Abs),
    ("floor", HostUnary::Floor, Scalar::Floor),
    ("round", HostUnary::Round, Scalar::Round),
    ("sign", HostUnary::Sign, Scalar::Sign),
];

/// The function of that name, on the host and on tensors. `None`: it is none of one number.
pub(crate) fn function(name: &str) -> Option<(HostUnary, Scalar)> {
    FUNCTIONS.iter().find(|f| f.0 == name).map(|f| (f.1, f.2))
}

/// A host expression as a value: a static one where it folds to a number.
pub(crate) fn folded<'a>(expr: HostExpr) -> Value<'a> {
    match expr {
        HostExpr::Const(x) => Value::Float(x),
        expr => Value::Host(expr),
    }
}

impl<'a> Elab<'a> {
    /// A call of a schedule: its value before every update.
    pub(crate) fn schedule(
        &mut self,
        decl: &'a ast::ScheduleDecl,
        unit: usize,
        args: &'a [ast::Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Value<'a>> {
        let top = self.tops[unit].clone();
        let scope = Scope::body(&top, &self.path());
        let settings = self.bind_parameters(&decl.name, &decl.settings, &[], args, env, &scope, span)?;
        self.warn_of_horizon(decl, args, &settings);
        scope.define(&decl.time.text, Value::Host(HostExpr::var(STEP)), decl.time.span);
        self.calls.push(span);
        let place = std::mem::replace(&mut self.place, Context::Schedule);
        let carried = std::mem::take(&mut self.carried);
        self.bodies.push(Body::Schedule);
        let value = self.schedule_body(decl, &scope, span);
        self.bodies.pop();
        self.carried = carried;
        self.place = place;
        self.calls.pop();
        value
    }

    /// What begins after the training has ended does not happen: `over: 100 epochs` in a run of 20.
    fn warn_of_horizon(
        &mut self,
        decl: &'a ast::ScheduleDecl,
        args: &'a [ast::Arg],
        settings: &[(Arc<str>, Value<'a>)],
    ) {
        let Some(length) = self.length else { return };
        for (i, (parameter, (name, value))) in decl.settings.iter().zip(settings).enumerate() {
            let is_duration =
                parameter.ty.as_ref().is_some_and(|t| t.kind == TypeKind::Static(StaticType::Duration));
            let named = |a: &&ast::Arg| a.label.as_ref().and_then(label_word).is_some_and(|w| w == *name);
            let by_place = args.get(i).filter(|a| a.label.is_none());
            let Some(arg) = args.iter().find(named).or(by_place) else { continue };
            if let (true, &Value::Float(steps)) = (is_duration, value)
                && steps > length.steps as f64
            {
                let message = format!(
                    "`{name}` is {}, and the training has {}: `{}` stops on the way",
                    length.show(steps),
                    length.show(length.steps as f64),
                    decl.name.text
                );
                let diagnostic = Diagnostic::new(Code::W0802, arg.value.span, message);
                self.report(diagnostic.help("`100%` is the whole training, however long it is"));
            }
        }
    }

    fn schedule_body(&mut self, decl: &'a ast::ScheduleDecl, scope: &Env<'a>, span: Span) -> Eval<Value<'a>> {
        let value = self.block(&decl.body, scope)?;
        let mut nexts = vec![];
        for Primed { value, span, .. } in self.next_values(scope)? {
            nexts.push(self.number_of(&decl.name.text, &value, span)?);
        }
        let value = self.number_of(&decl.name.text, &value, span)?;
        if nexts.is_empty() {
            return Ok(folded(value));
        }
        let states = std::mem::take(&mut self.carried).into_iter().zip(nexts);
        let states = states.map(|((name, first), next)| HostState { name, first, next }).collect();
        let names = self.instance_of(&decl.name.text, states);
        Ok(folded(value.renamed(&names)))
    }

    fn number_of(&mut self, schedule: &str, value: &Value<'a>, span: Span) -> Eval<HostExpr> {
        match (value, value.host()) {
            (Value::Failed, _) => Err(Failed),
            (_, Some(expr)) => Ok(expr),
            (other, None) => {
                let message = format!("`{schedule}` gives {}, not a number", other.kind());
                Err(self.fail(Code::E0403, span, message))
            }
        }
    }

    /// `carry rate = from` in a schedule: a number that is kept from update to update.
    pub(crate) fn schedule_carry(&mut self, decl: &'a ast::CarryDecl, scope: &Env<'a>) -> Eval<()> {
        let value = self.eval(&decl.value, scope)?;
        let Some(HostExpr::Const(first)) = value.host() else {
            let message =
                format!("the first value of `{}` is a number known while compiling", decl.name.text);
            return Err(self.fail(Code::E0602, decl.value.span, message));
        };
        // The prime keeps it apart from every name that stands in a text.
        let name = format!("{}'", decl.name.text);
        self.carried.push((name.clone(), first));
        self.carried(decl, name.clone(), Value::Host(HostExpr::Var(name)), scope);
        Ok(())
    }

    /// The names of a schedule's states in the module. Two schedules that start alike and go on alike share theirs.
    fn instance_of(&mut self, schedule: &str, states: Vec<HostState>) -> impl Fn(&str) -> String + use<> {
        let instance = Instance { schedule: schedule.to_string(), states };
        let n = self.schedules.iter().position(|i| *i == instance).unwrap_or_else(|| {
            self.schedules.push(instance.clone());
            self.schedules.len() - 1
        });
        move |name: &str| instance.global(n, name)
    }

    /// All states of all schedules.
    pub(crate) fn host_states(&self) -> Vec<HostState> {
        let instances = self.schedules.iter().enumerate();
        let states = instances.flat_map(|(n, instance)| {
            instance.states.iter().map(move |s| HostState {
                name: instance.global(n, &s.name),
                first: s.first,
                next: s.next.renamed(&|name| instance.global(n, name)),
            })
        });
        states.collect()
    }

    /// `valid.loss`, where a schedule watches a series.
    pub(crate) fn series(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        if let Some(known) = expr.name().and_then(|n| env.find(&n.text)) {
            return Ok(known);
        }
        let Some(train) = self.resolved.train() else {
            return Err(self.fail(
                Code::E0804,
                expr.span,
                "there is no `train` block whose values could be watched",
            ));
        };
        let (part, metric) = crate::watch::target(self, train, expr)?;
        // Which way is better is the schedule's business, which may ask for `preference(watch)`.
        let watch = Watch { part, metric, maximize: false };
        let variable = HostExpr::Var(watch.variable());
        if self.watched.iter().all(|(known, _)| *known != watch) {
            self.watched.push((watch, expr.span));
        }
        Ok(Value::Host(variable))
    }

    /// The series that a value is. `None`: it is none.
    pub(crate) fn watched(&self, value: &Value<'a>) -> Option<&Watch> {
        let Value::Host(HostExpr::Var(name)) = value else { return None };
        self.watched.iter().map(|w| &w.0).find(|w| w.variable() == *name)
    }

    /// `if` on the host: both branches are scalars.
    pub(crate) fn host_if(
        &mut self,
        condition: HostExpr,
        then: &Spanned<'a>,
        otherwise: &Spanned<'a>,
    ) -> Eval<Value<'a>> {
        let mut branch = |side: &Spanned<'a>| match side.value.host() {
            Some(expr) => Ok(expr),
            None => Err(self.wrong_kind(&side.value, "a number", side.span)),
        };
        let (then, otherwise) = (branch(then)?, branch(otherwise)?);
        if let HostExpr::Const(c) = condition {
            return Ok(folded(if c != 0.0 { then } else { otherwise }));
        }
        Ok(folded(HostExpr::If(Box::new(condition), Box::new(then), Box::new(otherwise))))
    }
}
