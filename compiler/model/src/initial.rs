//! First values of weights and buffers: a host expression over random numbers of each element.
use crate::call::Operand;
use crate::elab::{Context, Elab, Eval};
use crate::scope::Env;
use crate::value::{Spanned, Value};
use stmc_base::Code;
use stmc_ir::HostExpr;
use stmc_ir::host::{HostBinary, HostUnary};
use stmc_ir::module::Init;
use stmc_syntax::ast::{self, ExprKind};

/// Under which draws are counted while first values are read.
const DRAWS: &str = "~";

impl<'a> Elab<'a> {
    /// What stands after `~`, or after a buffer's `=`.
    pub(crate) fn initializer(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Init> {
        let outer = std::mem::replace(&mut self.place, Context::Initializer);
        self.draws.remove(DRAWS);
        let value = self.initial_value(expr, env);
        self.place = outer;
        let value = value?;
        let Some(formula) = value.host() else {
            return Err(self.wrong_kind(&value, "an initializer such as `uniform(0.1)`", expr.span));
        };
        if let Some(other) = formula.variables().into_iter().find(|v| !is_draw(v)) {
            let message = format!("first values are drawn before training: they cannot depend on `{other}`");
            return Err(self.fail(Code::E0406, expr.span, message));
        }
        Ok(init(formula))
    }

    fn initial_value(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        // The first argument of an initializer is the weight itself, of which only the type matters.
        let like = [Operand::Value(Spanned { value: Value::Int(0), span: expr.span })];
        let (f, args, is_call) = match &expr.kind {
            ExprKind::Call { callee, args } => (self.eval(callee, env)?, &args[..], true),
            _ => (self.eval(expr, env)?, &[][..], false),
        };
        match f {
            Value::Fn(_) => self.call_value(f, &like, args, env, expr.span),
            Value::Builtin(builtin) if builtin.is_initializer() => {
                self.call_value(f, &like, args, env, expr.span)
            }
            f if is_call => self.call_value(f, &[], args, env, expr.span),
            value => Ok(value),
        }
    }

    /// A random number of each element.
    pub(crate) fn first_draw(&mut self, kind: &str) -> Value<'a> {
        let n = self.draws.entry(DRAWS.to_string()).or_default();
        *n += 1;
        Value::Host(HostExpr::Var(format!("{kind}.{}", *n - 1)))
    }
}

fn is_draw(variable: &str) -> bool {
    ["random.", "gaussian.", "orthonormal."].iter().any(|kind| variable.starts_with(kind))
}

/// The plainest form of a formula.
fn init(formula: HostExpr) -> Init {
    let at = |x: f64| formula.eval(&|_| Some(x));
    match formula.variables()[..] {
        [] => Init::Fill(at(0.0)),
        [one] if is_affine(&formula) && one.starts_with("random.") => {
            Init::Uniform { low: at(0.0).min(at(1.0)), high: at(0.0).max(at(1.0)) }
        }
        [one] if is_affine(&formula) && one.starts_with("gaussian.") => {
            Init::Normal { mean: at(0.0), std: (at(1.0) - at(0.0)).abs() }
        }
        _ => Init::Formula(formula),
    }
}

/// Whether a formula that holds one variable, once, is affine in it.
fn is_affine(formula: &HostExpr) -> bool {
    let is_const = |e: &HostExpr| matches!(e, HostExpr::Const(_));
    match formula {
        HostExpr::Const(_) | HostExpr::Var(_) => true,
        HostExpr::Unary(HostUnary::Neg, a) => is_affine(a),
        HostExpr::Binary(HostBinary::Add | HostBinary::Sub, a, b) => is_affine(a) && is_affine(b),
        HostExpr::Binary(HostBinary::Mul, a, b) => {
            is_affine(a) && is_affine(b) && (is_const(a) || is_const(b))
        }
        HostExpr::Binary(HostBinary::Div, a, b) => is_affine(a) && is_const(b),
        _ => false,
    }
}
