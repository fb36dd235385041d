//! Reading: what an expression of the block becomes under the indices that stand around it.
use super::DataState;
use super::samples::{sample, sample_parts};
use crate::axis::Naming;
use crate::builtins::{Bound, Builtin, Touched};
use crate::elab::{Context, Elab, Eval};
use crate::fit::as_streamed;
use crate::scope::{Env, Scope};
use crate::value::{Spanned, Tensor, Value};
use std::rc::Rc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::data::{FieldOrigin, Slab, SlabRange};
use stmc_ir::module::InputRole;
use stmc_ir::ops::Cast;
use stmc_ir::{AxisId, Dim, Op, Type};
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

impl At {
    /// Whether the axis goes.
    fn drops(self) -> bool {
        matches!(self, At::Binder(..) | At::Fixed(_))
    }
}

/// What stands behind an axis in an index.
#[derive(Clone, Copy)]
enum Position {
    At(At),
    /// A tensor of positions.
    LookUp(Tensor),
}

/// Functions whose axes are those of what they read, under the index that stands around.
const READ_UNDER_INDEX: &[&str] =
    &["coord", "month", "year", "day_of_year", "years", "around", "fit", "axes"];

/// Binds the names of a `let` of the data.
pub(super) fn define_lazily<'a>(scope: &Env<'a>, l: &'a ast::Let) {
    for (n, name) in l.pattern.names().iter().enumerate() {
        let value = match &l.pattern {
            ast::Pattern::Name(_) => Value::Lazy(&l.value, scope.clone()),
            ast::Pattern::Tuple(..) => Value::LazyElement(l, n, scope.clone()),
        };
        scope.define(&name.text, value, name.span);
    }
}

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
        self.tensor(&Spanned { value, span: expr.span }, None)
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
            define_lazily(&scope, l);
        }
        scope
    }

    /// Evaluates an expression of the data block; refuses one that needs itself.
    pub(crate) fn lazily(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Value<'a>> {
        let here = (std::ptr::from_ref(expr), Rc::as_ptr(env));
        if self.pending.contains(&here) {
            let diagnostic = Diagnostic::new(Code::E0411, expr.span, "this is defined through itself");
            return Err(
                self.error(diagnostic.help("a name means the same in all of the block; give it another one"))
            );
        }
        self.pending.push(here);
        let outer = std::mem::replace(&mut self.place, Context::Data);
        let instances = std::mem::take(&mut self.instances);
        let value = self.eval(expr, env);
        self.instances = instances;
        self.place = outer;
        self.pending.pop();
        value
    }

    /// One of several names for an expression of the data block.
    pub(crate) fn lazy_element(&mut self, l: &'a ast::Let, n: usize, env: &Env<'a>) -> Eval<Value<'a>> {
        let value = self.lazily(&l.value, env)?;
        let value = Spanned { value, span: l.value.span };
        Ok(self.destructure(&l.pattern, value)?.swap_remove(n).1)
    }

    /// `base[time: t - 12 .. t]` in a data block.
    pub(crate) fn data_index(
        &mut self,
        base: &'a ast::Expr,
        args: &'a [ast::Arg],
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        if let Some(bare) = args.iter().find(|a| a.label.is_none()) {
            return match self.eval(base, env)?.plain() {
                Value::List(list) => self.index_list(&list, args, span, env),
                _ => {
                    let diagnostic =
                        Diagnostic::new(Code::E0404, bare.span, "which axis? a field's axes have names");
                    Err(self.error(diagnostic.help("`rain[time: 0]`, or `rain[time: 0 .. 10]` for a range")))
                }
            };
        }
        let mut more = vec![];
        let mut looked_up = vec![];
        for arg in args {
            let label = arg.label.as_ref().expect("checked above");
            let at = self.position_of(&arg.value, env)?;
            for axis in self.axis_ref(label, env, Naming::Old)? {
                match at {
                    Position::At(at) => more.push(Indexed { axis, at, span: label.span, used: false }),
                    Position::LookUp(tensor) => looked_up.push((axis, tensor, label.span)),
                }
            }
        }
        // What is looked up along an axis is taken from all of it, whatever index stands around.
        let all = std::mem::take(&mut self.open_data_mut().index);
        let (hidden, kept): (Vec<Indexed>, Vec<Indexed>) =
            all.into_iter().partition(|i| looked_up.iter().any(|l| l.0 == i.axis));
        let before = kept.len();
        let data = self.open_data_mut();
        data.index = kept;
        data.index.extend(more);
        let value = self.eval(base, env);
        let indices: Vec<Indexed> = self.open_data_mut().index.drain(before..).collect();
        self.open_data_mut().index.extend(hidden);
        let Value::Tensor(mut tensor) = value?.plain() else {
            return Err(self.fail(Code::E0403, base.span, "only tensors have axes"));
        };
        for index in indices {
            tensor = self.applied_index(tensor, &index)?;
        }
        for (axis, at, span) in looked_up {
            for hidden in self.open_data_mut().index.iter_mut().filter(|i| i.axis == axis) {
                hidden.used = true;
            }
            let at = Spanned { value: Value::Tensor(at), span };
            tensor = self.index_axis(tensor, axis, &at, span)?;
        }
        Ok(Value::Tensor(tensor))
    }

    /// An index that the fields below have taken into account; or, of a tensor that was there already, a slice of it.
    fn applied_index(&mut self, tensor: Tensor, index: &Indexed) -> Eval<Tensor> {
        let Indexed { axis, at, span, used } = *index;
        let has = self.ty(tensor).has(axis);
        match at {
            _ if used && !(has && at.drops()) => Ok(tensor),
            _ if !has => Err(self.no_axis(tensor, axis, span)),
            At::Fixed(i) if !used => {
                self.index_axis(tensor, axis, &Spanned { value: Value::Int(i), span }, span)
            }
            At::Range(a, b) if !used => {
                self.index_axis(tensor, axis, &Spanned { value: Value::Range(a, b), span }, span)
            }
            _ => {
                let message = "this index does not reach all of the expression: index its parts instead";
                Err(self.fail(Code::E0905, span, message))
            }
        }
    }

    /// What an index says.
    fn position_of(&mut self, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Position> {
        let ExprKind::Range { start, end } = &expr.kind else {
            return match self.eval(expr, env)?.plain() {
                Value::Int(i) => Ok(Position::At(At::Fixed(i))),
                Value::Position(binder, k) => Ok(Position::At(At::Binder(binder, k))),
                Value::Tensor(t) => Ok(Position::LookUp(t)),
                other => Err(self.wrong_kind(&other, "a position or a range", expr.span)),
            };
        };
        let mut end_of = |e: &'a Option<Box<ast::Expr>>| e.as_deref().map(|e| self.eval(e, env)).transpose();
        match (end_of(start)?, end_of(end)?) {
            (Some(Value::Position(a, first)), Some(Value::Position(b, last))) if a == b => {
                if last <= first {
                    return Err(self.fail(Code::E0208, expr.span, "this range is empty: ends are exclusive"));
                }
                Ok(Position::At(At::Span(a, first, (last - first) as usize)))
            }
            (None | Some(Value::Int(_)), None | Some(Value::Int(_))) => match self.eval(expr, env)? {
                Value::Range(a, b) => Ok(Position::At(At::Range(a, b))),
                _ => unreachable!("a range is a range"),
            },
            _ => {
                let message = "both ends are numbers, or one sample variable plus numbers";
                Err(self.fail(Code::E0905, expr.span, message))
            }
        }
    }

    /// Under an index can stand what works element by element, and what touches no axis that is indexed.
    pub(crate) fn check_index_context(&mut self, builtin: &Builtin, bound: &Bound<'a>) -> Eval<()> {
        let index = &self.open_data().index;
        if index.is_empty() || READ_UNDER_INDEX.contains(&builtin.name) {
            return Ok(());
        }
        let touched = bound.touched_axes(builtin);
        let meets = |axis: &AxisId| index.iter().any(|i| i.axis == *axis);
        let words = |name: &str| index.iter().any(|i| self.axis_name(i.axis) == name);
        let clashes = match &touched {
            Touched::Axes(axes, names) => axes.iter().any(meets) || names.iter().any(|n| words(n)),
            Touched::All => true,
        };
        if clashes {
            let message =
                format!("`{}` does not work step by step along an axis that is indexed here", builtin.name);
            let diagnostic = Diagnostic::new(Code::E0905, bound.span, message);
            return Err(self
                .error(diagnostic.help("index its operand instead: `f(x[time: t])`, not `f(x)[time: t]`")));
        }
        Ok(())
    }

    /// A field, as far as it is read here.
    pub(crate) fn field(&mut self, number: usize, span: Span) -> Eval<Tensor> {
        let number = self.patched(number);
        let data = self.open_data_mut();
        let field = data.plan.fields[number].clone();
        let mut ranges = vec![];
        let mut dims = vec![];
        let mut moved = false;
        let mut whole = vec![];
        for (name, extent) in &field.axes {
            let axis = self.data_axis(name);
            let range = self.field_range(axis, name, *extent, &field.origin)?;
            moved |= range.binder.is_some();
            if range.keep {
                dims.push(Dim { axis, extent: range.len });
                if range.binder.is_none() && range.len == *extent {
                    whole.push(axis);
                }
            }
            ranges.push(range);
        }
        let batch = self.batch();
        let data = self.open_data_mut();
        let slab = Slab { field: number, range: ranges };
        let sampled = data.stream.is_empty();
        let slabs = if sampled { &mut data.plan.slabs } else { &mut data.fit_slabs };
        let place = slabs.iter().position(|s| *s == slab).unwrap_or_else(|| {
            slabs.push(slab);
            slabs.len() - 1
        });
        if sampled && !data.touched.contains(&place) {
            data.touched.push(place);
        }
        let samples = Dim { axis: batch, extent: data.batch };
        let order: Vec<Dim> = moved.then_some(samples).into_iter().chain(dims).collect();
        let axes = order.iter().map(|d| d.axis).collect();
        let Some(ty) = Type::new(field.dtype, order) else {
            return Err(self.fail(Code::E0204, span, "a field has an axis twice"));
        };
        let tensor = self.input(InputRole::Slab { slab: place, axes }, ty);
        let tensor = as_streamed(self, tensor);
        whole.retain(|axis| self.is_declared_periodic(*axis));
        let tensor = self.with_rings(tensor, whole);
        if !field.reading.optional {
            return Ok(tensor);
        }
        let read = self.read_missing(tensor, span)?;
        match super::fields::cast(self.open_data().decl, &field.name) {
            Some(to) => self.emit(Op::Cast(Cast { to }), &[read], span),
            None => Ok(read),
        }
    }

    /// A fitted field may have an axis that a function declares: its owner stands behind its name.
    pub(crate) fn data_axis_name(&self, axis: AxisId) -> String {
        let axes = self.axes.borrow();
        let axis = axes.get(axis);
        if axis.owner.is_empty() { axis.name.clone() } else { format!("{}@{}", axis.name, axis.owner) }
    }

    fn data_axis(&self, name: &str) -> AxisId {
        let (name, owner) = name.split_once('@').unwrap_or((name, ""));
        self.axes.borrow_mut().axis(name, owner)
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
        if let Some(place) = data.stream.iter().position(|a| *a == axis)
            && !matches!(origin, FieldOrigin::Fit { .. })
        {
            return Ok(SlabRange { binder: Some(place), offset: 0, len: 1, keep: false });
        }
        let mut range = whole;
        // `x[time: t - 12 .. t][time: -1]`: the index nearest to the field comes first.
        for i in (0..data.index.len()).rev() {
            let indexed = &mut self.open_data_mut().index[i];
            if indexed.axis != axis || !range.keep {
                continue;
            }
            indexed.used = true;
            let (at, span) = (indexed.at, indexed.span);
            range = self.narrowed(range, at, name, span)?;
        }
        Ok(range)
    }

    /// The steps of a range that an index takes.
    fn narrowed(&mut self, range: SlabRange, at: At, name: &str, span: Span) -> Eval<SlabRange> {
        let what = format!("`{name}`");
        let moved = |binder: usize, first: i64, len: usize, keep: bool| SlabRange {
            binder: Some(binder),
            offset: range.offset + first as isize,
            len,
            keep,
        };
        match at {
            At::Binder(..) | At::Span(..) if range.binder.is_some() => {
                let message = format!("two sample variables would move along {what}");
                Err(self.fail(Code::E0905, span, message))
            }
            At::Binder(binder, k) => Ok(moved(binder, k, 1, false)),
            At::Span(binder, first, len) => Ok(moved(binder, first, len, true)),
            At::Fixed(i) => {
                let start = if i < 0 { i + range.len as i64 } else { i };
                let (start, _) =
                    self.bounds((Some(start), Some(start.saturating_add(1))), range.len, &what, span)?;
                Ok(SlabRange { offset: range.offset + start as isize, len: 1, keep: false, ..range })
            }
            At::Range(a, b) => {
                let (start, len) = self.bounds((a, b), range.len, &what, span)?;
                Ok(SlabRange { offset: range.offset + start as isize, len, ..range })
            }
        }
    }
}

fn part_expr<'a>(decl: &'a ast::DataDecl, name: &str) -> &'a ast::Expr {
    let found = sample_parts(decl).into_iter().find(|(n, _)| **n == *name);
    found.map(|(_, e)| e).expect("the caller knows the parts")
}
