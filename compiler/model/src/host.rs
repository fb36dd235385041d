//! Scalars on the host: schedules and what is computed from them and the step number, in f64.
use crate::elab::{Context, Elab, Eval};
use crate::scope::{Env, Scope};
use crate::value::{Spanned, Value};
use stmc_base::{Code, Span};
use stmc_ir::HostExpr;
use stmc_ir::host::{HostBinary, HostUnary};
use stmc_ir::ops::Scalar;
use stmc_syntax::ast::{self, BinaryOp};

/// The variable that counts updates, 0 at the first.
pub(crate) const STEP: &str = "step";

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
        if let Some(carry) = decl.body.statements.iter().find(|s| matches!(s.kind, ast::StmtKind::Carry(_))) {
            return Err(self.unbuilt(carry.span, "a schedule with a state"));
        }
        let top = self.tops[unit].clone();
        let scope = Scope::body(&top, &self.path());
        self.bind_parameters(&decl.name, &decl.settings, &[], args, env, &scope, span)?;
        scope.define(&decl.time.text, Value::Host(HostExpr::var(STEP)), decl.time.span);
        self.calls.push(span);
        let outer = std::mem::replace(&mut self.place, Context::Schedule);
        let value = self.block(&decl.body, &scope);
        self.place = outer;
        self.calls.pop();
        let value = value?;
        match value.host() {
            Some(expr) => Ok(folded(expr)),
            None => Err(self.fail(
                Code::E0403,
                span,
                format!("`{}` gives {}, not a number", decl.name.text, value.kind()),
            )),
        }
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
