//! What an expression stands for while compiling.
use crate::periodic::Rings;
use crate::scope::Env;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Span, date};
use stmc_ir::{AxisId, HostExpr, NodeId};
use stmc_syntax::ast;

/// A value of any stage.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    /// Its expression failed, which was reported.
    Failed,
    Int(i64),
    Float(f64),
    /// `20%`: a fraction, beside durations that share of the run.
    Percent(f64),
    /// `10 km`: a number whose unit the place that takes it understands.
    Quantity(f64, Arc<str>),
    Bool(bool),
    Str(Arc<str>),
    /// As far as it is written: its first moment and the first after it, in days since 1970-01-01.
    Date(f64, f64),
    /// Computed before each update.
    Host(HostExpr),
    Tensor(Tensor),
    /// A set of axes in an order.
    Axes(Vec<AxisId>),
    /// One value for each of several axes: `{ lat: 3, lon: 1 }`, `x.space`.
    ByAxis(Rc<Vec<(AxisId, Value<'a>)>>),
    Range(Option<i64>, Option<i64>),
    List(Rc<Vec<Value<'a>>>),
    Record(Rc<Vec<(Arc<str>, Value<'a>)>>),
    /// The result of a scan or a `for`.
    Run(Rc<Run<'a>>),
    /// The carries of a stateful layer, or of a list of them, by their paths below it.
    State(Rc<Vec<(String, Tensor)>>),
    Fn(Rc<Closure<'a>>),
    /// A layer's declaration, to be given its settings.
    LayerDecl(&'a ast::LayerDecl, usize),
    /// A layer with its settings, to be applied.
    Layer(Rc<Layer<'a>>),
    Schedule(&'a ast::ScheduleDecl, usize),
    OptimizerDecl(&'a ast::OptimizerDecl, usize),
    Optimizer(Rc<Rule<'a>>),
    /// `frozen`: in place of an optimizer.
    Frozen,
    Model(&'a ast::ModelDecl),
    Builtin(&'static crate::builtins::Builtin),
    Module(usize),
    /// An expression of `data`, evaluated anew wherever it is used: what is read depends on where it is indexed.
    Lazy(&'a ast::Expr, Env<'a>),
    /// The same, and of its list one element: `let (u, v) = split(wind, channel, 2)`.
    LazyElement(&'a ast::Let, usize, Env<'a>),
    /// An array of the data.
    Field(usize),
    /// A data block, for what is static of its fields: `fields.crop.count`.
    Data,
    /// A sample variable plus a number: the binder and the number.
    Position(usize, i64),
}

/// A node of the graph of some frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tensor {
    pub node: NodeId,
    /// Which frame's graph: 0 is the entry's own, scans nest above it.
    pub level: usize,
    /// Where the value is missing: a bool node of the same graph, its axes among the value's. The value there is 0.
    /// `None`: it is nowhere missing.
    pub missing: Option<NodeId>,
    /// Its axes whose ends are neighbours.
    pub rings: Rings,
}

impl Tensor {
    /// Present everywhere, no axis periodic.
    pub(crate) fn plain(node: NodeId, level: usize) -> Tensor {
        Tensor { node, level, missing: None, rings: Rings::default() }
    }

    /// The value as stored: 0 where it is missing.
    pub(crate) fn stored(self) -> Tensor {
        Tensor { missing: None, ..self }
    }

    /// Where it is missing.
    pub(crate) fn mask(self) -> Option<Tensor> {
        self.missing.map(|node| Tensor::plain(node, self.level))
    }
}

/// What a scan or an unrolled `for` gives.
pub(crate) struct Run<'a> {
    /// The stack of its yields, a record of them, or (of a `for`) a list. `None`: it yields nothing.
    pub yields: Option<Value<'a>>,
    /// Last values of its own carries.
    pub carries: Vec<(Arc<str>, Value<'a>)>,
    /// Last values of the carries of stateful layers, by whole path.
    pub states: Vec<(String, Tensor)>,
    /// The path of the instance in whose body it stands.
    pub owner: String,
}

/// A function and what it closes over.
pub(crate) struct Closure<'a> {
    pub decl: &'a ast::FnDecl,
    pub env: Env<'a>,
}

/// A layer with its settings.
#[derive(Clone)]
pub(crate) struct Layer<'a> {
    pub decl: &'a ast::LayerDecl,
    pub unit: usize,
    pub settings: Vec<(Arc<str>, Value<'a>)>,
    /// Other initializers.
    pub overrides: Vec<(&'a ast::Override, Env<'a>)>,
    /// `None`: it has no name yet.
    pub place: Option<Place>,
}

/// Where an instance stands in the tree of layers. The model is the root, whose path is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// `change.cells.0`.
    pub path: String,
    /// Positions of declarations, which put the weights in order.
    pub order: Vec<u32>,
}

/// An update rule with its settings.
pub(crate) struct Rule<'a> {
    pub decl: &'a ast::OptimizerDecl,
    pub unit: usize,
    pub settings: Vec<(Arc<str>, Value<'a>)>,
}

impl Place {
    /// A part of this instance.
    pub(crate) fn child(&self, name: &str, position: u32) -> Place {
        let mut order = self.order.clone();
        order.push(position);
        Place { path: join(&self.path, name), order }
    }
}

/// `a.b`, where `a` may be empty.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

impl<'a> Value<'a> {
    /// For messages: `a number`, `a list`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Failed => "a failed expression",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Percent(_) => "a share",
            Value::Quantity(..) => "a quantity",
            Value::Bool(_) => "a truth value",
            Value::Str(_) => "a string",
            Value::Date(..) => "a date",
            Value::Host(_) => "a schedule",
            Value::Tensor(_) => "a tensor",
            Value::Axes(_) => "an axis",
            Value::ByAxis(_) => "a record of values by axis",
            Value::Range(..) => "a range",
            Value::List(_) => "a list",
            Value::Record(_) => "a record",
            Value::Run(_) => "the result of a loop",
            Value::State(_) => "a layer's state",
            Value::Fn(_) | Value::Builtin(_) => "a function",
            Value::LayerDecl(..) | Value::Layer(_) => "a layer",
            Value::Schedule(..) => "a schedule that is not called",
            Value::OptimizerDecl(..) | Value::Optimizer(_) => "an optimizer",
            Value::Frozen => "`frozen`",
            Value::Model(_) => "a model",
            Value::Module(_) => "a module",
            Value::Lazy(..) | Value::LazyElement(..) | Value::Field(_) | Value::Data => "data",
            Value::Position(..) => "a sample variable",
        }
    }

    /// Whether it can be called, or stands for an expression that perhaps can.
    pub(crate) fn applies(&self) -> bool {
        matches!(
            self,
            Value::Fn(_)
                | Value::Builtin(_)
                | Value::LayerDecl(..)
                | Value::Layer(_)
                | Value::List(_)
                | Value::Schedule(..)
                | Value::OptimizerDecl(..)
                | Value::Model(_)
                | Value::Lazy(..)
                | Value::LazyElement(..)
                | Value::Failed
        )
    }

    /// Whether it may hold the scope where it was made.
    pub(crate) fn closes_over_a_scope(&self) -> bool {
        matches!(
            self,
            Value::Fn(_)
                | Value::Lazy(..)
                | Value::LazyElement(..)
                | Value::Layer(_)
                | Value::Optimizer(_)
                | Value::List(_)
                | Value::Record(_)
                | Value::ByAxis(_)
                | Value::Run(_)
        )
    }

    /// A static number. `None`: it is none.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Float(x) | Value::Percent(x) => Some(*x),
            _ => None,
        }
    }

    /// A static number or truth value as a number.
    pub(crate) fn scalar(&self) -> Option<f64> {
        match self {
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            other => other.number(),
        }
    }

    /// A number known while compiling or computed before each update.
    pub(crate) fn host(&self) -> Option<HostExpr> {
        match self {
            Value::Host(e) => Some(e.clone()),
            other => other.scalar().map(HostExpr::Const),
        }
    }

    /// A run's yields stand for it wherever a value is wanted.
    pub(crate) fn plain(self) -> Value<'a> {
        match self {
            Value::Run(run) => match &run.yields {
                Some(yields) => yields.clone(),
                None => Value::Run(run),
            },
            other => other,
        }
    }

    /// A record from pairs.
    pub(crate) fn record(entries: Vec<(Arc<str>, Value<'a>)>) -> Value<'a> {
        Value::Record(Rc::new(entries))
    }

    /// A list.
    pub(crate) fn list(elements: Vec<Value<'a>>) -> Value<'a> {
        Value::List(Rc::new(elements))
    }
}

/// As a message shows a static value. `None`: it has no short form.
pub(crate) fn show(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Int(i) => Some(grouped(*i)),
        Value::Float(x) => Some(format!("{x}")),
        Value::Percent(x) => Some(format!("{}%", x * 100.0)),
        Value::Quantity(x, unit) => Some(format!("{x} {unit}")),
        Value::Bool(b) => Some(b.to_string()),
        Value::Str(s) => Some(format!("\"{s}\"")),
        Value::Date(first, end) => Some(show_date(*first, *end)),
        Value::List(l) => {
            let parts: Option<Vec<String>> = l.iter().map(show).collect();
            parts.map(|p| format!("[{}]", p.join(", ")))
        }
        _ => None,
    }
}

/// The text that gives a static value. `None`: it has none.
pub(crate) fn literal(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Int(i) => Some(i.to_string()),
        // Always with a point, so that it stays no whole number.
        Value::Float(x) => Some(format!("{x:?}")),
        Value::Percent(_) | Value::Bool(_) | Value::Str(_) => show(value),
        Value::List(l) => {
            let parts: Option<Vec<String>> = l.iter().map(literal).collect();
            parts.map(|p| format!("[{}]", p.join(", ")))
        }
        _ => None,
    }
}

/// As far as it was written: a month, a day, or a moment of it.
fn show_date(first: f64, end: f64) -> String {
    let (year, month, day) = date::civil(first.floor() as i64);
    let minutes = (first.rem_euclid(1.0) * 1440.0).round() as i64;
    match end - first {
        length if length > 1.5 => format!("{year}-{month:02}"),
        length if length > 0.5 => format!("{year}-{month:02}-{day:02}"),
        _ => format!("{year}-{month:02}-{day:02}T{:02}:{:02}", minutes / 60, minutes % 60),
    }
}

/// `141_000`.
fn grouped(i: i64) -> String {
    let digits = i.unsigned_abs().to_string();
    let mut out = String::new();
    for (n, c) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(c);
    }
    if i < 0 { format!("-{out}") } else { out }
}

/// A value and the text that gave it.
#[derive(Clone)]
pub(crate) struct Spanned<'a> {
    pub value: Value<'a>,
    pub span: Span,
}
