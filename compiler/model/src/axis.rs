//! Axes where an expression or a type names them.
use crate::elab::{Elab, Eval, Failed};
use crate::names;
use crate::scope::Env;
use crate::value::{Tensor, Value};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::AxisId;
use stmc_syntax::ast::{self, AxisRef, AxisRefKind, BinaryOp, ExprKind, ItemKind, Member, Name};

/// No axis has more steps.
pub(crate) const LIMIT: i64 = 1 << 31;

/// Whether an axis is to be there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The tensor has it.
    Old,
    /// The operation makes it: a layer's body may name it from now on.
    New,
}

/// A dimension of a type, its extent evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypedDim {
    pub axis: AxisId,
    pub extent: TypedExtent,
    pub span: Span,
}

/// What a type says of an extent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TypedExtent {
    /// `lat`: the same wherever the signature says `lat`.
    Bare,
    /// `lat: _`
    Any,
    /// `lat: 180`
    Is(usize),
}

impl<'a> Elab<'a> {
    /// The axes that a word stands for.
    pub(crate) fn axis_word(&mut self, name: &Name, env: &Env<'a>, naming: Naming) -> Eval<Vec<AxisId>> {
        if let Some(axes) = env.find_axes(&name.text) {
            return Ok(axes);
        }
        let axes = match self.alias(&name.text, env.unit) {
            Some(axes) => axes,
            None if self.resolved.axes.contains_key(&name.text) || self.added.contains(&name.text) => {
                vec![self.program_axis(&name.text)]
            }
            // What an operation makes is introduced by it, unless it looks like a slip of the pen.
            None if naming == Naming::New && self.slip(name, env).is_none() => {
                self.added.insert(name.text.clone());
                vec![self.program_axis(&name.text)]
            }
            None => return Err(self.unknown_axis(name, env)),
        };
        if !self.resolved.units[env.unit].library {
            for axis in &axes {
                self.may_name(*axis, name.span, naming)?;
            }
        }
        Ok(axes)
    }

    /// The axes of an alias of this file or of the main file. `None`: there is no such alias.
    fn alias(&self, name: &str, unit: usize) -> Option<Vec<AxisId>> {
        let found = |unit: usize| {
            self.resolved.units[unit].file.items.iter().find_map(|i| match &i.kind {
                ItemKind::Axes(a) if &*a.name.text == name => Some(a),
                _ => None,
            })
        };
        let decl = found(unit).or_else(|| found(0))?;
        let words = decl.axes.iter().filter_map(|a| a.word());
        Some(words.map(|w| self.program_axis(&w.text)).collect())
    }

    /// The known axis that a new one differs from by a single letter.
    fn slip(&self, name: &Name, env: &Env<'a>) -> Option<String> {
        let mut known = env.axis_names();
        known.extend(self.resolved.axes.keys().cloned());
        let near = names::nearest(&name.text, known.iter().map(|n| n.as_ref())).map(str::to_string);
        near.filter(|n| n.len() > 3 && names::distance(n, &name.text) == 1)
    }

    fn unknown_axis(&mut self, name: &Name, env: &Env<'a>) -> Failed {
        let message = format!("the axis `{}` is introduced nowhere", name.text);
        let place = self.declaration(self.users_place(name.span));
        let told = |d: &Diagnostic| {
            d.code == Code::E0205 && d.message == message && self.declaration(d.labels[0].span) == place
        };
        // Once for each declaration: its other uses are the same slip.
        if self.diagnostics.iter().any(told) {
            return Failed;
        }
        let mut diagnostic = Diagnostic::new(Code::E0205, name.span, message);
        let mut known = env.axis_names();
        known.extend(self.resolved.axes.keys().cloned());
        diagnostic = match names::did_you_mean(&name.text, known.iter().map(|n| n.as_ref())) {
            Some(near) => diagnostic.help_at(name.span, near),
            None if &*name.text == "space" => {
                diagnostic.help("`axes space = (row, col)` at the top of the main file")
            }
            None => diagnostic.help(format!("`axis {}` introduces it", name.text)),
        };
        self.error(diagnostic)
    }

    /// The declaration that a place is in. `None`: it is in no file.
    fn declaration(&self, place: Span) -> Option<Span> {
        let items = self.resolved.units.iter().flat_map(|u| &u.file.items).map(|i| i.span);
        items.into_iter().find(|i| i.source == place.source && i.start <= place.start && place.end <= i.end)
    }

    /// A layer's body may name only the axes of its signature, its own, and those that it adds.
    fn may_name(&mut self, axis: AxisId, span: Span, naming: Naming) -> Eval<()> {
        let Some(instance) = self.instances.last() else { return Ok(()) };
        let (passing, Some(allowed)) = (instance.passing.contains(&axis), &instance.allowed) else {
            return Ok(());
        };
        if allowed.contains(&axis) {
            return Ok(());
        }
        if naming == Naming::New && !passing {
            let instance = self.instances.last_mut().expect("there is one");
            instance.allowed.get_or_insert_default().push(axis);
            return Ok(());
        }
        let (name, layer) = (self.axis_name(axis), instance.layer.clone());
        let mut message = format!("`{name}` is not in the signature of `{layer}`");
        if passing {
            message += ": it passes through";
        }
        let diagnostic = Diagnostic::new(Code::E0502, span, message);
        Err(self.error(
            diagnostic.help(format!("add `{name}` to the types of `{layer}`, or take an `axis` parameter")),
        ))
    }

    /// The axes of a reference.
    pub(crate) fn axis_ref(&mut self, axis: &AxisRef, env: &Env<'a>, naming: Naming) -> Eval<Vec<AxisId>> {
        match &axis.kind {
            AxisRefKind::Word(name) => self.axis_word(name, env, naming),
            AxisRefKind::Taps(_, names) => self.taps(names, env),
            AxisRefKind::Position(name, n) => {
                let axes = self.axis_word(name, env, naming)?;
                self.axis_at(&axes, *n, axis.span).map(|a| vec![a])
            }
        }
    }

    fn taps(&mut self, names: &[Name], env: &Env<'a>) -> Eval<Vec<AxisId>> {
        let mut taps = vec![];
        for name in names {
            for axis in self.axis_word(name, env, Naming::Old)? {
                taps.push(self.tap(axis));
            }
        }
        Ok(taps)
    }

    fn axis_at(&mut self, axes: &[AxisId], n: u32, span: Span) -> Eval<AxisId> {
        match axes.get(n as usize) {
            Some(axis) => Ok(*axis),
            None => {
                Err(self.fail(Code::E0208, span, format!("there are {} axes, counted from 0", axes.len())))
            }
        }
    }

    /// The axes of an expression: `lat`, `(lat, lon)`, `taps(over)`, `over.0`, `axes(x) - channel`.
    pub(crate) fn axis_set(
        &mut self,
        expr: &'a ast::Expr,
        env: &Env<'a>,
        naming: Naming,
    ) -> Eval<Vec<AxisId>> {
        match &expr.kind {
            ExprKind::Name(_) => {
                let name = expr.name().expect("it is a name");
                self.axis_word(&name, env, naming)
            }
            ExprKind::Tuple(args) => {
                let sets: Vec<_> = args.iter().map(|arg| self.axis_set(&arg.value, env, naming)).collect();
                Ok(sets.into_iter().collect::<Eval<Vec<_>>>()?.concat())
            }
            ExprKind::Call { callee, args } if is_taps(callee) => {
                let names: Option<Vec<Name>> = args.iter().map(|a| a.value.name()).collect();
                match names {
                    Some(names) => self.taps(&names, env),
                    None => Err(self.fail(Code::E0403, expr.span, "`taps` takes axes by their names")),
                }
            }
            ExprKind::Member { base, member: Member::Position(n, _) } => {
                let axes = self.axis_set(base, env, naming)?;
                self.axis_at(&axes, *n, expr.span).map(|a| vec![a])
            }
            ExprKind::Binary { op: BinaryOp::Sub, left, right, .. } => {
                let all = self.axis_set(left, env, naming)?;
                let gone = self.axis_set(right, env, naming)?;
                Ok(all.into_iter().filter(|a| !gone.contains(a)).collect())
            }
            _ => match self.eval(expr, env)? {
                Value::Axes(axes) => Ok(axes),
                Value::Int(_) => {
                    let message = "this is a number, but an axis is needed here";
                    let diagnostic = Diagnostic::new(Code::E0403, expr.span, message);
                    Err(self.error(diagnostic.help("axes have names and no order: `over: time`")))
                }
                Value::Str(name) => {
                    let message = "this is a string, but an axis is needed here";
                    let diagnostic = Diagnostic::new(Code::E0403, expr.span, message);
                    let diagnostic = diagnostic.help(format!("an axis has no quotes: `{name}`"));
                    Err(self.error(diagnostic.fix(expr.span, &*name)))
                }
                Value::List(_) => {
                    let message = "this is a list, but an axis is needed here";
                    let diagnostic = Diagnostic::new(Code::E0403, expr.span, message);
                    Err(self.error(diagnostic.help("several axes stand in parentheses: `(row, col)`")))
                }
                other => Err(self.wrong_kind(&other, "an axis", expr.span)),
            },
        }
    }

    /// One axis.
    pub(crate) fn one_axis(&mut self, expr: &'a ast::Expr, env: &Env<'a>, naming: Naming) -> Eval<AxisId> {
        let axes = self.axis_set(expr, env, naming)?;
        self.single(&axes, expr.span)
    }

    /// The only one of several axes.
    pub(crate) fn single(&mut self, axes: &[AxisId], span: Span) -> Eval<AxisId> {
        match axes {
            [axis] => Ok(*axis),
            _ => Err(self.fail(Code::E0403, span, format!("one axis is needed here, not {}", axes.len()))),
        }
    }

    /// The extent of an axis that the tensor must have.
    pub(crate) fn extent(&mut self, tensor: Tensor, axis: AxisId, span: Span) -> Eval<usize> {
        let ty = self.ty(tensor);
        match ty.extent(axis) {
            Some(extent) => Ok(extent),
            None => Err(self.no_axis(tensor, axis, span)),
        }
    }

    /// The tensor lacks an axis.
    pub(crate) fn no_axis(&mut self, tensor: Tensor, axis: AxisId, span: Span) -> Failed {
        let diagnostic = self.without_axis(tensor, axis, span);
        self.error(diagnostic)
    }

    /// The message about a tensor that lacks an axis.
    pub(crate) fn without_axis(&self, tensor: Tensor, axis: AxisId, span: Span) -> Diagnostic {
        let (ty, name) = (self.ty(tensor), self.axis_name(axis));
        let have: Vec<String> = ty.dims().iter().map(|d| self.axis_name(d.axis)).collect();
        let message = format!("there is no axis `{name}` in [{}]", have.join(", "));
        let mut diagnostic = Diagnostic::new(Code::E0203, span, message);
        if have.contains(&name) {
            diagnostic =
                diagnostic.help(format!("the tensor's `{name}` is another layer's own axis of that name"));
        } else if let Some(near) = names::did_you_mean(&name, have.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(near);
        }
        diagnostic
    }

    /// The dimensions of a type.
    pub(crate) fn dims(&mut self, shape: &'a [ast::Dim], env: &Env<'a>) -> Eval<Vec<TypedDim>> {
        let mut dims = vec![];
        for dim in shape {
            let axes = self.axis_ref(&dim.axis, env, Naming::Old)?;
            for axis in &axes {
                let extent = match &dim.extent {
                    ast::Extent::Bare => TypedExtent::Bare,
                    ast::Extent::Any => TypedExtent::Any,
                    ast::Extent::Expr(e) => TypedExtent::Is(self.axis_extent(e, *axis, env)?),
                };
                dims.push(TypedDim { axis: *axis, extent, span: dim.span });
            }
        }
        Ok(dims)
    }

    /// An extent: a static whole number, at least 1.
    pub(crate) fn axis_extent(&mut self, expr: &'a ast::Expr, axis: AxisId, env: &Env<'a>) -> Eval<usize> {
        let value = self.eval(expr, env)?;
        self.extent_of(&value, axis, expr.span)
    }

    /// A value as the extent of an axis.
    pub(crate) fn extent_of(&mut self, value: &Value<'a>, axis: AxisId, span: Span) -> Eval<usize> {
        match self.for_axis(value, axis, span)? {
            Value::Int(i) if (1..=LIMIT).contains(&i) => Ok(i as usize),
            Value::Int(i) if i > LIMIT => Err(self.too_large(i, span)),
            Value::Int(i) => {
                Err(self.fail(Code::E0206, span, format!("an extent is at least 1, this is {i}")))
            }
            Value::Tensor(_) | Value::Host(_) => Err(self.fail(
                Code::E0406,
                span,
                "an extent is fixed while compiling; this is known only at run time",
            )),
            other => Err(self.wrong_kind(&other, "an extent (a whole number)", span)),
        }
    }

    /// The part of a value by axis that belongs to one axis; any other value is for all.
    pub(crate) fn for_axis(&mut self, value: &Value<'a>, axis: AxisId, span: Span) -> Eval<Value<'a>> {
        match value {
            // What is said for an axis holds for its taps.
            Value::ByAxis(by) => match by.iter().find(|(a, _)| *a == axis || self.tap(*a) == axis) {
                Some((_, value)) => Ok(value.clone()),
                None => {
                    let message = format!("nothing is said for `{}`", self.axis_name(axis));
                    Err(self.fail(Code::E0404, span, message))
                }
            },
            Value::Record(entries) => {
                let name = self.axis_name(axis);
                match entries.iter().find(|(n, _)| **n == *name) {
                    Some((_, value)) => Ok(value.clone()),
                    None => Err(self.fail(Code::E0404, span, format!("nothing is said for `{name}`"))),
                }
            }
            other => Ok(other.clone()),
        }
    }

    /// A whole number for an axis.
    pub(crate) fn int_for(&mut self, value: &Value<'a>, axis: AxisId, span: Span) -> Eval<i64> {
        match self.for_axis(value, axis, span)? {
            Value::Int(i) if i.unsigned_abs() > LIMIT as u64 => Err(self.too_large(i, span)),
            Value::Int(i) => Ok(i),
            other => Err(self.wrong_kind(&other, "a whole number", span)),
        }
    }

    /// A number that no extent or setting can be.
    pub(crate) fn too_large(&mut self, i: i64, span: Span) -> Failed {
        self.fail(Code::E0206, span, format!("{i} is more than any axis can have"))
    }

    /// Whether a word names an axis or an alias, without a message.
    pub(crate) fn is_axis(&self, name: &str, env: &Env<'a>) -> bool {
        env.find_axes(name).is_some()
            || self.resolved.axes.contains_key(name)
            || self.added.contains(name)
            || self.alias(name, env.unit).is_some()
    }
}

fn is_taps(callee: &ast::Expr) -> bool {
    matches!(&callee.kind, ExprKind::Name(n) if matches!(&**n, "tap" | "taps"))
}

/// The words of an axis reference, for labels that may be parameters.
pub(crate) fn label_word(label: &AxisRef) -> Option<Arc<str>> {
    label.word().map(|n| n.text.clone())
}
