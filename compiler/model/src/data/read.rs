//! Reading: what an expression of the block becomes under the indices that stand around it.
use super::DataState;
use super::samples::{sample, sample_parts};
use crate::axis::Naming;
use crate::builtins::Builtin;
use crate::elab::{Context, Elab, Eval};
use crate::fit::as_streamed;
use crate::scope::{Env, Scope};
use crate::value::{Tensor, Value};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::data::{FieldOrigin, Slab, SlabRange};
use stmc_ir::module::InputRole;
use stmc_ir::{AxisId, Dim, Type};
use stmc_syntax::ast::{self, ExprKind};

/// An index around an expression.
pub(crate) struct Indexed {
    axis: AxisId,
    at: At,
    span: Span,
    used: bool,
}

/// Positions along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// A sample variable plus a number.
    Binder(usize, i64),
    /// `t - 12 .. t`: binder, first, length.
    Span(usize, i64, usize),
    Fixed(i64),
    Range(Option<i64>, Option<i64>),
}

/// Besides the functions of one number, what may stand under an index: it works element by element, or reads each of its
/// arguments under the same index.
const BY_ELEMENT: &[&str] = &[
    "where",
    "div",
    "mod",
    "log10",
    "radians",
    "f32",
    "i32",
    "stop_gradient",
    "zeros",
    "ones",
    "one_hot",
    "concat",
    "stack",
    "len",
    "fit",
];

impl<'a> Elab<'a> {
    /// The block being read.
    pub(crate) fn open_data(&self) -> &DataState<'a> {
        self.data.as_ref().expect("a data block is being read")
    }

    /// The block being read, to be changed.
    pub(crate) fn open_data_mut(&mut self) -> &mut DataState<'a> {
        self.data.as_mut().expect("a data block is being read")
    }

    /// A part of the sample.
    pub(crate) fn sample_part(&mut self, name: &str) -> Eval<Tensor> {
        let data = self.open_data();
        let decl = data.decl;
        let (expr, scope) = (part_expr(decl, name), self.sample_scope());
        let value = self.lazily(expr, &scope)?;
        self.tensor(&crate::value::Spanned { value, span: expr.span }, None)
    }

    /// The scope of a sample's parts: the block's, the sample variables and the `let`s of the sample.
    pub(crate) fn sample_scope(&self) -> Env<'a> {
        let data = self.open_data();
        let scope = Scope::block(&data.env);
        let Some(sample) = sample(data.decl) else { return scope };
        for (i, binder) in sample.binders.iter().enumerate() {
            scope.define(&binder.name.text, Value::Position(i, 0), binder.name.span);
        }
        for l in &sample.parts.lets {
            for name in l.pattern.names() {
                scope.define(&name.text, Value::Lazy(&l.value, scope.clone()), name.span);
            }
        }
        scope
    }

    /// Evaluates an expression of the data block.
    pub(crate) fn lazily(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        let outer = std::mem::replace(&mut self.place, Context::Data);
        let instances = std::mem::take(&mut self.instances);
        let value = self.eval(expr, env);
        self.instances = instances;
        self.place = outer;
        value
    }

    /// `base[time: t - 12 .. t]` in a data block.
    pub(crate) fn data_index(
        &mut self,
        base: &'a ast::Expr,
        args: &'a [ast::Arg],
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        if args.iter().any(|a| a.label.is_none()) {
            return match self.eval(base, env)?.plain() {
                Value::List(list) => self.index_list(&list, args, span, env),
                _ => {
                    let diagnostic =
                        Diagnostic::new(Code::E0404, span, "which axis? a field's axes have names");
                    Err(self.error(diagnostic.help("`rain[time: 0]`")))
                }
            };
        }
        let mut more = vec![];
        for arg in args {
            let label = arg.label.as_ref().expect("checked above");
            let at = self.position_of(&arg.value, env)?;
            for axis in self.axis_ref(label, env, Naming::Old)? {
                more.push(Indexed { axis, at, span: label.span, used: false });
            }
        }
        let data = self.open_data_mut();
        if let Some(twice) = more.iter().find(|m| data.index.iter().any(|i| i.axis == m.axis)) {
            let span = twice.span;
            return Err(self.unbuilt(span, "indexing an axis that is indexed already"));
        }
        let before = data.index.len();
        data.index.extend(more);
        let value = self.eval(base, env);
        let indices: Vec<Indexed> = self.open_data_mut().index.drain(before..).collect();
        let value = value?;
        if let (Some(unused), Value::Tensor(t)) = (indices.iter().find(|i| !i.used), value.clone().plain()) {
            return Err(self.no_axis(t, unused.axis, unused.span));
        }
        Ok(value)
    }

    /// What an index says.
    fn position_of(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<At> {
        let ExprKind::Range { start, end } = &expr.kind else {
            return match self.eval(expr, env)? {
                Value::Int(i) => Ok(At::Fixed(i)),
                Value::Position(binder, k) => Ok(At::Binder(binder, k)),
                Value::Tensor(_) => Err(self.unbuilt(expr.span, "looking data up by data")),
                other => Err(self.wrong_kind(&other, "a position or a range", expr.span)),
            };
        };
        let mut end_of = |e: &'a Option<Box<ast::Expr>>| e.as_deref().map(|e| self.eval(e, env)).transpose();
        match (end_of(start)?, end_of(end)?) {
            (Some(Value::Position(a, first)), Some(Value::Position(b, last))) if a == b => {
                if last <= first {
                    return Err(self.fail(Code::E0208, expr.span, "this range is empty: ends are exclusive"));
                }
                Ok(At::Span(a, first, (last - first) as usize))
            }
            (None | Some(Value::Int(_)), None | Some(Value::Int(_))) => match self.eval(expr, env)? {
                Value::Range(a, b) => Ok(At::Range(a, b)),
                _ => unreachable!("a range is a range"),
            },
            _ => {
                let message = "both ends are numbers, or one sample variable plus numbers";
                Err(self.fail(Code::E0905, expr.span, message))
            }
        }
    }

    /// Only what works element by element can stand under an index.
    pub(crate) fn check_index_context(&mut self, builtin: &Builtin, span: Span) -> Eval<()> {
        let elementwise = BY_ELEMENT.contains(&builtin.name) || crate::host::function(builtin.name).is_some();
        let data = self.open_data();
        if !elementwise && !data.index.is_empty() {
            return Err(
                self.unbuilt(span, &format!("`{}` under an index (index its operand instead)", builtin.name))
            );
        }
        Ok(())
    }

    /// A field, as far as it is read here.
    pub(crate) fn field(&mut self, number: usize, span: Span) -> Eval<Tensor> {
        let data = self.open_data_mut();
        let field = data.plan.fields[number].clone();
        let mut ranges = vec![];
        let mut dims = vec![];
        let mut moved = false;
        for (name, extent) in &field.axes {
            let axis = self.program_axis(name);
            let range = self.field_range(axis, name, *extent, &field.origin)?;
            moved |= range.binder.is_some();
            if range.keep {
                dims.push(Dim { axis, extent: range.len });
            }
            ranges.push(range);
        }
        let batch = self.batch();
        let data = self.open_data_mut();
        let slab = Slab { field: number, range: ranges };
        let slabs = if data.stream.is_some() { &mut data.fit_slabs } else { &mut data.plan.slabs };
        let place = slabs.iter().position(|s| *s == slab).unwrap_or_else(|| {
            slabs.push(slab);
            slabs.len() - 1
        });
        let samples = Dim { axis: batch, extent: data.batch };
        let order: Vec<Dim> = moved.then_some(samples).into_iter().chain(dims).collect();
        let axes = order.iter().map(|d| d.axis).collect();
        let Some(ty) = Type::new(field.dtype, order) else {
            return Err(self.fail(Code::E0204, span, "a field has an axis twice"));
        };
        let tensor = self.input(InputRole::Slab { slab: place, axes }, ty);
        Ok(as_streamed(self, tensor))
    }

    fn field_range(
        &mut self,
        axis: AxisId,
        name: &str,
        extent: usize,
        origin: &FieldOrigin,
    ) -> Eval<SlabRange> {
        let whole = SlabRange { binder: None, offset: 0, len: extent, keep: true };
        let data = self.open_data_mut();
        if data.stream == Some(axis) && matches!(origin, FieldOrigin::Source { .. }) {
            return Ok(SlabRange { binder: Some(0), offset: 0, len: 1, keep: false });
        }
        let Some(indexed) = data.index.iter_mut().rev().find(|i| i.axis == axis) else { return Ok(whole) };
        indexed.used = true;
        let (at, span) = (indexed.at, indexed.span);
        let what = format!("`{name}`");
        match at {
            At::Binder(binder, k) => {
                Ok(SlabRange { binder: Some(binder), offset: k as isize, len: 1, keep: false })
            }
            At::Span(binder, first, len) => {
                Ok(SlabRange { binder: Some(binder), offset: first as isize, len, keep: true })
            }
            At::Fixed(i) => {
                let start = if i < 0 { i + extent as i64 } else { i };
                let (start, _) = self.bounds((Some(start), Some(start + 1)), extent, &what, span)?;
                Ok(SlabRange { binder: None, offset: start as isize, len: 1, keep: false })
            }
            At::Range(a, b) => {
                let (start, len) = self.bounds((a, b), extent, &what, span)?;
                Ok(SlabRange { binder: None, offset: start as isize, len, keep: true })
            }
        }
    }
}

fn part_expr<'a>(decl: &'a ast::DataDecl, name: &str) -> &'a ast::Expr {
    let found = sample_parts(decl).into_iter().find(|(n, _)| **n == *name);
    found.map(|(_, e)| e).expect("the caller knows the parts")
}
