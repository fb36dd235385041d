//! Built-in functions: one row each. What a row does stands in `pointwise.rs`, `reduce.rs` and `shape.rs`.
use crate::axis::{Naming, label_word};
use crate::call::Operand;
use crate::elab::{Context, Elab, Eval, Failed};
use crate::scope::Env;
use crate::value::{Spanned, Tensor, Value};
use crate::{habits, interpolate, names, order, pointwise, reduce, shape};
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::AxisId;
use stmc_syntax::ast::{self, Arg};

/// A built-in function.
pub(crate) struct Builtin {
    pub name: &'static str,
    /// By position or name.
    pub parameters: &'static [Param],
    pub more: More,
    pub run: for<'a> fn(&mut Elab<'a>, &Bound<'a>) -> Eval<Value<'a>>,
}

impl Builtin {
    /// Whether it gives first values to what it is given.
    pub(crate) fn is_initializer(&self) -> bool {
        matches!(self.parameters, [first, ..] if first.name == "like")
    }
}

/// A parameter of a built-in function.
pub(crate) struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// How an argument is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An expression.
    Value,
    /// Axes that are there.
    Axes,
    /// Axes that the function makes.
    NewAxes,
    /// As written: `time -> key`.
    Raw,
}

/// What a function takes besides its parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    Nothing,
    /// Any number of positional values.
    Values,
    /// Any number of positional arguments as written.
    Raws,
    /// `lat: 2`: values by axes that are there.
    ByAxis,
    /// `lat: 2`: values by axes that the function may make.
    ByNewAxis,
}

/// The arguments of a call, in the order of the parameters.
pub(crate) struct Bound<'a> {
    pub name: &'static str,
    given: Vec<Option<Given<'a>>>,
    /// Positional values or texts beyond the parameters.
    pub values: Vec<Spanned<'a>>,
    pub raws: Vec<&'a Arg>,
    /// Values by axis.
    pub by_axis: Vec<(AxisId, Spanned<'a>, Span)>,
    pub span: Span,
    pub env: Env<'a>,
}

enum Given<'a> {
    Value(Spanned<'a>),
    Axes(Vec<AxisId>, Span),
    Raw(&'a ast::Expr),
}

impl<'a> Bound<'a> {
    /// A parameter's value. `None`: it is not given.
    pub(crate) fn optional(&self, i: usize) -> Option<&Spanned<'a>> {
        match &self.given[i] {
            Some(Given::Value(v)) => Some(v),
            _ => None,
        }
    }

    /// A required parameter's value.
    pub(crate) fn value(&self, i: usize) -> &Spanned<'a> {
        self.optional(i).expect("required arguments are there")
    }

    /// A parameter's axes. `None`: it is not given.
    pub(crate) fn axes(&self, i: usize) -> Option<(&[AxisId], Span)> {
        match &self.given[i] {
            Some(Given::Axes(axes, span)) => Some((axes, *span)),
            _ => None,
        }
    }

    /// A parameter as written.
    pub(crate) fn raw(&self, i: usize) -> &'a ast::Expr {
        match &self.given[i] {
            Some(Given::Raw(e)) => e,
            _ => unreachable!("required arguments are there"),
        }
    }
}

/// The axes that a call names.
pub(crate) enum Touched {
    /// These, and those of these names (`time -> key`).
    Axes(Vec<AxisId>, Vec<std::sync::Arc<str>>),
    /// It is a reduction of all.
    All,
}

impl Bound<'_> {
    /// The axes that the call names: all, if it is a reduction that names none.
    pub(crate) fn touched_axes(&self, builtin: &Builtin) -> Touched {
        let two = matches!(builtin.name, "max" | "min") && self.optional(1).is_some();
        let unsaid = |(p, g): (&Param, &Option<Given<'_>>)| matches!(p.kind, Kind::Axes) && g.is_none();
        if !two && builtin.parameters.iter().zip(&self.given).any(unsaid) {
            return Touched::All;
        }
        let given = self.given.iter().flatten().filter_map(|g| match g {
            Given::Axes(axes, _) => Some(axes.as_slice()),
            _ => None,
        });
        let axes: Vec<AxisId> = given.flatten().copied().chain(self.by_axis.iter().map(|b| b.0)).collect();
        let mut names = vec![];
        for arg in &self.raws {
            words(&arg.value, &mut names);
            arg.arrow.iter().for_each(|to| words(to, &mut names));
        }
        Touched::Axes(axes, names)
    }
}

/// The words of `(down, right, channel: 1)`.
fn words(expr: &ast::Expr, names: &mut Vec<std::sync::Arc<str>>) {
    match &expr.kind {
        ast::ExprKind::Name(name) => names.push(name.clone()),
        ast::ExprKind::Tuple(args) => {
            for arg in args {
                names.extend(arg.label.as_ref().and_then(|l| l.word()).map(|w| w.text.clone()));
                words(&arg.value, names);
            }
        }
        _ => {}
    }
}

const fn need(name: &'static str) -> Param {
    Param { name, kind: Kind::Value, required: true }
}
const fn may(name: &'static str) -> Param {
    Param { name, kind: Kind::Value, required: false }
}
const fn axes(name: &'static str) -> Param {
    Param { name, kind: Kind::Axes, required: true }
}
const fn maybe_axes(name: &'static str) -> Param {
    Param { name, kind: Kind::Axes, required: false }
}
const fn new_axes(name: &'static str) -> Param {
    Param { name, kind: Kind::NewAxes, required: true }
}
const fn raw(name: &'static str) -> Param {
    Param { name, kind: Kind::Raw, required: true }
}

macro_rules! table {
    ($($name:literal: [$($p:expr),*] $more:ident => $run:path;)*) => {
        const TABLE: &[Builtin] = &[
            $(Builtin { name: $name, parameters: &[$($p),*], more: More::$more, run: $run }),*
        ];
    };
}

table! {
    "exp": [need("x")] Nothing => pointwise::function;
    "log": [need("x")] Nothing => pointwise::function;
    "log10": [need("x")] Nothing => pointwise::log10;
    "sqrt": [need("x")] Nothing => pointwise::function;
    "sin": [need("x")] Nothing => pointwise::function;
    "cos": [need("x")] Nothing => pointwise::function;
    "tanh": [need("x")] Nothing => pointwise::function;
    "sigmoid": [need("x")] Nothing => pointwise::function;
    "erf": [need("x")] Nothing => pointwise::function;
    "abs": [need("x")] Nothing => pointwise::function;
    "floor": [need("x")] Nothing => pointwise::function;
    "round": [need("x")] Nothing => pointwise::function;
    "sign": [need("x")] Nothing => pointwise::function;
    "radians": [need("x")] Nothing => pointwise::radians;
    "where": [need("condition"), need("then"), need("otherwise")] Nothing => pointwise::choose;
    "atan2": [need("y"), need("x")] Nothing => pointwise::atan2;
    "div": [need("x"), need("by")] Nothing => pointwise::div;
    "mod": [need("x"), need("by")] Nothing => pointwise::modulo;
    "f32": [need("x")] Nothing => pointwise::to_f32;
    "i32": [need("x")] Nothing => pointwise::to_i32;
    "bool": [need("x")] Nothing => pointwise::to_bool;
    "is_missing": [need("x")] Nothing => crate::missing::is_missing;
    "fill": [need("x"), need("by")] Nothing => crate::missing::fill;
    "stop_gradient": [need("x")] Nothing => pointwise::stop_gradient;
    "zeros": [may("like")] Nothing => pointwise::zeros;
    "ones": [may("like")] Nothing => pointwise::ones;
    "random": [need("like")] Nothing => pointwise::random;
    "gaussian": [need("like")] Nothing => pointwise::gaussian;
    "orthonormal": [need("like")] Nothing => pointwise::orthonormal;
    "bernoulli": [need("p"), need("like")] Nothing => pointwise::bernoulli;

    "sum": [need("x"), maybe_axes("over")] Nothing => reduce::sum;
    "mean": [need("x"), maybe_axes("over"), may("weight")] Nothing => reduce::mean;
    "max": [need("x"), may("y"), maybe_axes("over")] Nothing => reduce::max;
    "min": [need("x"), may("y"), maybe_axes("over")] Nothing => reduce::min;
    "any": [need("x"), maybe_axes("over")] Nothing => reduce::any;
    "all": [need("x"), maybe_axes("over")] Nothing => reduce::all;
    "count": [need("x"), maybe_axes("over")] Nothing => reduce::count;
    "argmax": [need("x"), axes("over")] Nothing => order::argmax;
    "cumsum": [need("x"), axes("over")] Nothing => order::cumsum;
    "sort": [need("x"), axes("over")] Nothing => order::sort;
    "quantile": [need("x"), need("q"), maybe_axes("over")] Nothing => order::quantile;
    "dot": [need("a"), need("b"), axes("over")] Nothing => reduce::dot;
    "aligned": [need("a"), need("b")] Nothing => reduce::aligned;
    "size": [need("x"), axes("over")] Nothing => reduce::size;
    "product": [need("x"), axes("over")] Nothing => reduce::product;
    "len": [need("x")] Nothing => reduce::len;
    "axes": [need("x")] Nothing => reduce::axes;
    "params": [raw("model")] Nothing => reduce::params;

    "rename": [need("x")] Raws => shape::rename;
    "flatten": [need("x")] Raws => shape::flatten;
    "unflatten": [need("x")] Raws => shape::unflatten;
    "split": [need("x"), axes("axis"), need("parts")] Nothing => shape::split;
    "squeeze": [need("x"), axes("axis")] Nothing => shape::squeeze;
    "unsqueeze": [need("x"), new_axes("axis")] Nothing => shape::unsqueeze;
    "expand": [need("x")] ByNewAxis => shape::expand;
    "flip": [need("x"), axes("along")] Nothing => shape::flip;
    "shift": [need("x")] ByAxis => shape::shift;
    "pad": [need("x"), may("mode")] ByAxis => shape::pad;
    "concat": [axes("along")] Values => shape::concat;
    "stack": [new_axes("along")] Values => shape::stack;
    "index": [] ByNewAxis => shape::index;
    "tensor": [need("list"), new_axes("along")] Nothing => shape::tensor;
    "one_hot": [need("label")] ByNewAxis => shape::one_hot;
    "windows": [need("x"), axes("over"), need("size"), may("stride"), may("dilation"), may("pad"), may("fill")] Nothing => shape::windows;
    "fold": [need("x"), axes("over"), may("stride"), may("dilation"), may("pad"), may("extra")] Nothing => shape::fold;

    "interpolate": [need("x"), axes("over"), need("at"), need("outside")] Nothing => interpolate::interpolate;

    "preference": [need("series")] Nothing => crate::watch::preference;

    "fit": [raw("expression")] Nothing => crate::fit::fit;
    "standard": [raw("x"), need("shift"), need("scale")] Nothing => crate::data::standard;
    "physical": [raw("x")] Nothing => crate::data::physical;
    "around": [raw("x"), raw("at")] ByAxis => crate::data::around;
    "coord": [axes("axis")] Nothing => crate::data::along;
    "month": [axes("axis")] Nothing => crate::data::along;
    "year": [axes("axis")] Nothing => crate::data::along;
    "day_of_year": [axes("axis")] Nothing => crate::data::along;
    "years": [axes("axis")] Nothing => crate::data::along;

}

/// All of them.
pub(crate) fn all() -> &'static [Builtin] {
    TABLE
}

/// The function of that name. `None`: there is none.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    TABLE.iter().find(|b| b.name == name)
}

/// All names, constants included.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|b| b.name).chain(["pi", "inf", "training"])
}

/// A built-in number. `None`: there is none of that name.
pub(crate) fn constant(name: &str) -> Option<f64> {
    match name {
        "pi" => Some(std::f64::consts::PI),
        "inf" => Some(f64::INFINITY),
        _ => None,
    }
}

impl<'a> Elab<'a> {
    /// A call of a built-in function.
    pub(crate) fn call_builtin(
        &mut self,
        builtin: &'static Builtin,
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Value<'a>> {
        let bound = match self.place {
            // The axes of a field are all of them, whatever index stands around.
            Context::Data if builtin.name == "axes" => {
                let index = std::mem::take(&mut self.open_data_mut().index);
                let bound = self.bind_builtin(builtin, piped, args, env, span);
                self.open_data_mut().index = index;
                bound?
            }
            _ => self.bind_builtin(builtin, piped, args, env, span)?,
        };
        if self.place == Context::Data {
            self.check_index_context(builtin, &bound)?;
        }
        (builtin.run)(self, &bound)
    }

    fn bind_builtin(
        &mut self,
        builtin: &'static Builtin,
        piped: &[Operand<'a>],
        args: &'a [Arg],
        env: &Env<'a>,
        span: Span,
    ) -> Eval<Bound<'a>> {
        let mut bound = Bound {
            name: builtin.name,
            given: builtin.parameters.iter().map(|_| None).collect(),
            values: vec![],
            raws: vec![],
            by_axis: vec![],
            span,
            env: env.clone(),
        };
        let mut next = 0;
        // Every argument is looked at, for mistakes of its own.
        let mut failed = false;
        for operand in piped {
            failed |= self.positional(builtin, &mut bound, &mut next, operand, None).is_err();
        }
        for arg in args {
            let operand = Operand::Expr(&arg.value, env.clone());
            let read = match &arg.label {
                None => self.positional(builtin, &mut bound, &mut next, &operand, Some(arg)),
                Some(label) => self.labelled(builtin, &mut bound, label, arg, env),
            };
            failed |= read.is_err();
        }
        if failed {
            return Err(Failed);
        }
        for (parameter, given) in builtin.parameters.iter().zip(&bound.given) {
            if parameter.required && given.is_none() {
                let message = format!("`{}` lacks its argument `{}`", builtin.name, parameter.name);
                let help = match parameter.kind {
                    Kind::Axes => format!("say which: `{}: time`", parameter.name),
                    _ => format!("write `{}: …`", parameter.name),
                };
                return Err(self.error(Diagnostic::new(Code::E0404, span, message).help(help)));
            }
        }
        Ok(bound)
    }

    fn positional(
        &mut self,
        builtin: &'static Builtin,
        bound: &mut Bound<'a>,
        next: &mut usize,
        operand: &Operand<'a>,
        arg: Option<&'a Arg>,
    ) -> Eval<()> {
        // `concat(a, b, along: channel)`: what is named stands after any number of values.
        if builtin.more == More::Values {
            bound.values.push(self.operand(operand)?);
            return Ok(());
        }
        let place = *next;
        *next += 1;
        let Some(parameter) = builtin.parameters.get(place) else {
            if let (More::Raws, Some(arg)) = (builtin.more, arg) {
                bound.raws.push(arg);
                return Ok(());
            }
            // The first of them says it.
            if place > builtin.parameters.len() {
                return Err(Failed);
            }
            let names = names::listed(builtin.parameters.iter().map(|p| p.name));
            let message = format!("`{}` has too many arguments; it takes {names}", builtin.name);
            let diagnostic = Diagnostic::new(Code::E0404, operand.span(), message);
            return Err(self.error(match builtin.more {
                More::ByAxis | More::ByNewAxis => {
                    diagnostic.help("what follows goes by an axis: `channel: 3`")
                }
                _ => diagnostic,
            }));
        };
        bound.given[place] = Some(self.read(parameter.kind, operand)?);
        Ok(())
    }

    fn labelled(
        &mut self,
        builtin: &'static Builtin,
        bound: &mut Bound<'a>,
        label: &'a ast::AxisRef,
        arg: &'a Arg,
        env: &Env<'a>,
    ) -> Eval<()> {
        let word = label_word(label);
        let found = builtin.parameters.iter().position(|p| word.as_deref() == Some(p.name));
        if let Some(i) = found {
            if bound.given[i].is_some() {
                let message = format!("the argument `{}` is given twice", builtin.parameters[i].name);
                return Err(self.fail(Code::E0404, label.span, message));
            }
            bound.given[i] =
                Some(self.read(builtin.parameters[i].kind, &Operand::Expr(&arg.value, env.clone()))?);
            return Ok(());
        }
        let naming = match builtin.more {
            More::ByAxis => Naming::Old,
            More::ByNewAxis => Naming::New,
            _ => return Err(self.no_argument(builtin, label)),
        };
        let value = self.spanned(&arg.value, env)?;
        for axis in self.axis_ref(label, env, naming)? {
            bound.by_axis.push((axis, value.clone(), label.span));
        }
        Ok(())
    }

    fn no_argument(&mut self, builtin: &'static Builtin, label: &ast::AxisRef) -> Failed {
        let word = label_word(label).unwrap_or_else(|| "taps".into());
        let message = format!("`{}` has no argument `{word}`", builtin.name);
        let diagnostic = Diagnostic::new(Code::E0404, label.span, message);
        if builtin.more == More::Raws {
            return self.error(diagnostic.help(format!("axes have an arrow between them: `{word} -> …`")));
        }
        let names = builtin.parameters.iter().map(|p| p.name);
        self.error(habits::instead(diagnostic, &word, label.span, names))
    }

    fn read(&mut self, kind: Kind, operand: &Operand<'a>) -> Eval<Given<'a>> {
        match (kind, operand) {
            (Kind::Value, operand) => {
                let value = self.operand(operand)?;
                Ok(Given::Value(Spanned { value: value.value.plain(), span: value.span }))
            }
            (Kind::Axes, Operand::Expr(e, env)) => {
                Ok(Given::Axes(self.axis_set(e, env, Naming::Old)?, e.span))
            }
            (Kind::NewAxes, Operand::Expr(e, env)) => {
                Ok(Given::Axes(self.axis_set(e, env, Naming::New)?, e.span))
            }
            (Kind::Raw, Operand::Expr(e, _)) => Ok(Given::Raw(e)),
            (_, Operand::Value(v)) => match &v.value {
                Value::Axes(axes) => Ok(Given::Axes(axes.clone(), v.span)),
                other => Err(self.wrong_kind(other, "an axis", v.span)),
            },
        }
    }

    /// A value that must be a tensor (a number is one without axes).
    pub(crate) fn tensor_of(&mut self, value: &Spanned<'a>) -> Eval<Tensor> {
        self.tensor(value, None)
    }
}
