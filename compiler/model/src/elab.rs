//! The state of an elaboration: graphs under construction, weights, run-time scalars, messages.
//!
//! Invariant: a tensor knows the frame whose graph holds its node. An op is added to the innermost frame among its
//! operands', so what does not depend on a scan's step is computed outside it; operands from further out are captured.
use crate::periodic::Rings;
use crate::resolve::Resolved;
use crate::scan::{Body, ScanFrame};
use crate::scope::{Env, Scope};
use crate::settings::Settings;
use crate::units::Quantities;
use crate::value::{Place, Spanned, Tensor, Value};
use crate::watch::Watched;
use crate::weights::Weights;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::module::{Combine, InputRole, OutputRole, ParamId, ScalarId, Watch};
use stmc_ir::ops::{Cast, Expand, Scalar};
use stmc_ir::{Axes, AxisId, Builder, DType, HostExpr, Misfit, NodeId, Op, Type};
use stmc_syntax::ast;

/// Elements of the largest tensor.
const MOST: u128 = 1 << 40;

/// A message has been pushed; whoever depends on the value stays silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

/// A value, or a failure that was already reported.
pub(crate) type Eval<T> = Result<T, Failed>;

/// Everything that an elaboration carries along.
pub(crate) struct Elab<'a> {
    pub resolved: &'a Resolved,
    pub settings: &'a Settings,
    /// Shared by all graphs.
    pub axes: Rc<RefCell<Axes>>,
    pub diagnostics: Vec<Diagnostic>,
    /// The entry's own graph first; then the scans, or the finishing graph of a metric, in which we are.
    pub frames: Vec<Frame>,
    /// What each input of the entry's graph is.
    pub inputs: Vec<(InputRole, NodeId)>,
    /// What each output of the entry's graph is.
    pub outputs: Vec<(NodeId, OutputRole)>,
    /// The layers in whose bodies we are, outermost first. Empty: not in a model.
    pub instances: Vec<Instance>,
    /// Expressions of data that are being evaluated, each with its scope.
    pub pending: Vec<(*const ast::Expr, *const Scope<'a>)>,
    pub weights: Weights,
    /// Values that the entry has given buffers so far.
    pub buffers: BTreeMap<ParamId, Tensor>,
    /// `Module::scalars`.
    pub scalars: Vec<HostExpr>,
    /// Values of top-level names of a file. `None`: being evaluated.
    pub globals: BTreeMap<(usize, Arc<str>), Option<Value<'a>>>,
    /// Tops of the files' scopes.
    pub tops: Vec<Env<'a>>,
    /// Training and evaluation are two programs.
    pub training: bool,
    /// Schedules with a state.
    pub schedules: Vec<crate::host::Instance>,
    /// The states of the schedule being read, by their names in it.
    pub carried: Vec<(String, f64)>,
    /// What schedules watch, and where they were told so.
    pub watched: Vec<Watched<Watch>>,
    /// How long training is. `None`: durations have no number of steps.
    pub length: Option<RunLength>,
    /// Draws so far, by instance path.
    pub draws: BTreeMap<String, u32>,
    /// Calls that led here, outermost first.
    pub calls: Vec<Span>,
    /// The data block being read.
    pub data: Option<crate::data::DataState<'a>>,
    /// What may be said only in some places.
    pub place: Context,
    /// Whether random draws become inputs.
    pub masks: bool,
    /// Whose statements are being run, outermost first.
    pub bodies: Vec<Body<'a>>,
    /// Initializers that replace those of the layer being applied.
    pub overrides: Vec<(&'a ast::Override, Env<'a>)>,
    /// The axis along which partial results are combined: `batch`, or what a `fit` streams.
    pub part: AxisId,
    /// The model whose weights are all there: it can be counted.
    pub counted: Option<String>,
    /// Names that are outputs and parts of the sample.
    pub ambiguous: Vec<Arc<str>>,
    /// Axes that operations have introduced.
    pub added: std::collections::BTreeSet<Arc<str>>,
    /// States of the optimizer being read.
    pub states: Vec<String>,
    /// A model's result is being checked: its type is closed.
    pub closed: bool,
    /// What places in the text stand for, for an editor. `None`: nobody asks.
    pub notes: Option<Vec<(Span, crate::facts::Fact)>>,
    pub ring_sets: crate::periodic::RingSets,
    /// What is known of units.
    pub quantities: Quantities,
    /// Sums and counts so far: the number of their node, and its frame.
    pub sums: std::collections::BTreeSet<(u32, usize)>,
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Context {
    /// Models, losses, metrics, statics.
    Plain,
    /// After `~`: random numbers are first values.
    Initializer,
    /// A schedule: shares of the run are steps.
    Schedule,
    /// A data block.
    Data,
}

/// How long training is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunLength {
    pub steps_per_epoch: usize,
    pub steps: usize,
}

impl RunLength {
    /// `20 epochs`, or `500 steps` where that is no number of epochs.
    pub(crate) fn show(self, steps: f64) -> String {
        let epochs = steps / self.steps_per_epoch as f64;
        let (n, unit) = if epochs.fract() == 0.0 { (epochs, "epoch") } else { (steps, "step") };
        format!("{n} {unit}{}", if n == 1.0 { "" } else { "s" })
    }
}

/// A graph under construction.
pub(crate) struct Frame {
    pub builder: Builder,
    pub kind: FrameKind,
}

/// What a frame is.
pub(crate) enum FrameKind {
    /// The entry's own graph, or an optimizer's.
    Entry,
    /// The body of a scan.
    Scan(ScanFrame),
    /// What follows a metric's sums over the part: each of these outputs of the entry is an input of it.
    Finish(Vec<usize>),
}

/// A layer or model whose body is being elaborated.
pub(crate) struct Instance {
    pub place: Place,
    /// Without a name there may be no weights.
    pub named: bool,
    /// The layer's name, for messages.
    pub layer: Arc<str>,
    /// The axes that the body may name. `None`: any (a layer without types, a model).
    pub allowed: Option<Vec<AxisId>>,
    /// Axes that pass through.
    pub passing: Vec<AxisId>,
    /// Extents of the signature's axes.
    pub extents: BTreeMap<AxisId, usize>,
    /// Those of its axes that are periodic.
    pub rings: Vec<AxisId>,
}

impl<'a> Elab<'a> {
    pub(crate) fn new(resolved: &'a Resolved, settings: &'a Settings, axes: Rc<RefCell<Axes>>) -> Elab<'a> {
        let tops = (0..resolved.units.len()).map(Scope::top).collect();
        let part = axes.borrow_mut().axis("batch", "");
        let entry = Frame { builder: Builder::new(axes.clone()), kind: FrameKind::Entry };
        Elab {
            resolved,
            settings,
            axes,
            diagnostics: vec![],
            frames: vec![entry],
            inputs: vec![],
            outputs: vec![],
            instances: vec![],
            pending: vec![],
            weights: Weights::default(),
            buffers: BTreeMap::new(),
            scalars: vec![],
            globals: BTreeMap::new(),
            tops,
            training: false,
            schedules: vec![],
            carried: vec![],
            watched: vec![],
            length: None,
            draws: BTreeMap::new(),
            calls: vec![],
            data: None,
            place: Context::Plain,
            masks: false,
            bodies: vec![],
            overrides: vec![],
            part,
            counted: None,
            ambiguous: vec![],
            added: Default::default(),
            states: vec![],
            closed: false,
            notes: None,
            ring_sets: Default::default(),
            quantities: Quantities::default(),
            sums: Default::default(),
        }
    }

    /// The top of the file in which a text stands; of the main file for what `--set` says.
    pub(crate) fn top_of(&self, span: Span) -> Env<'a> {
        self.tops[self.unit_of(span).unwrap_or(0)].clone()
    }

    /// A path that a text names, seen from the main file's folder. What `--set` says is seen from there already.
    pub(crate) fn seen_from_main(&self, path: &str, span: Span) -> String {
        match self.unit_of(span).map(|u| &self.resolved.units[u].folder) {
            Some(folder) if !folder.is_empty() && !path.starts_with('/') => {
                crate::resolve::join(folder, path)
            }
            _ => path.to_string(),
        }
    }

    /// `None`: the text is none of a file.
    fn unit_of(&self, span: Span) -> Option<usize> {
        self.resolved.units.iter().position(|unit| unit.file.span.source == span.source)
    }

    /// Begins the graph of another entry.
    pub(crate) fn begin_entry(&mut self, training: bool) {
        self.frames = vec![Frame { builder: Builder::new(self.axes.clone()), kind: FrameKind::Entry }];
        self.inputs.clear();
        self.outputs.clear();
        self.globals.clear();
        self.sums.clear();
        self.quantities.same.clear();
        self.quantities.outputs.clear();
        self.draws.clear();
        self.buffers.clear();
        self.training = training;
    }

    // ------------------------------------------------------------ messages

    /// Reports. A mistake inside the library is shown at the user's call that led there.
    pub(crate) fn error(&mut self, diagnostic: Diagnostic) -> Failed {
        self.report(diagnostic);
        Failed
    }

    /// A message about one place.
    pub(crate) fn fail(&mut self, code: Code, span: Span, message: impl Into<String>) -> Failed {
        self.error(Diagnostic::new(code, span, message))
    }

    pub(crate) fn report(&mut self, mut diagnostic: Diagnostic) {
        let place = diagnostic.labels[0].span;
        let written = self.calls.iter().rev().find(|s| !self.in_library(**s));
        if self.in_library(place)
            && let Some(&call) = written
        {
            diagnostic.labels.insert(0, stmc_base::Label { span: call, text: "in this call".into() });
        }
        let same =
            |d: &&Diagnostic| d.code == diagnostic.code && d.labels[0].span == diagnostic.labels[0].span;
        if !self.diagnostics.iter().any(|d| same(&d)) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Where the user's text led to a place.
    pub(crate) fn users_place(&self, span: Span) -> Span {
        let call = self.calls.iter().rev().find(|s| !self.in_library(**s));
        call.copied().filter(|_| self.in_library(span)).unwrap_or(span)
    }

    pub(crate) fn in_library(&self, span: Span) -> bool {
        self.resolved.units.iter().any(|u| u.library && u.file.span.source == span.source)
    }

    // ------------------------------------------------------------ axes

    /// The axis of every sample.
    pub(crate) fn batch(&self) -> AxisId {
        self.program_axis("batch")
    }

    pub(crate) fn program_axis(&self, name: &str) -> AxisId {
        self.axes.borrow_mut().axis(name, "")
    }

    pub(crate) fn axis_name(&self, axis: AxisId) -> String {
        self.axes.borrow().name(axis).to_string()
    }

    /// The axis of a window's taps along `axis`.
    pub(crate) fn tap(&self, axis: AxisId) -> AxisId {
        let (name, owner) = {
            let axes = self.axes.borrow();
            let a = axes.get(axis);
            (format!("tap({})", a.name), a.owner.clone())
        };
        self.axes.borrow_mut().axis(&name, &owner)
    }

    // ------------------------------------------------------------ nodes

    /// The innermost frame.
    pub(crate) fn depth(&self) -> usize {
        self.frames.len() - 1
    }

    pub(crate) fn ty(&self, tensor: Tensor) -> Type {
        self.frames[tensor.level].builder.ty(tensor.node)
    }

    pub(crate) fn axes_of(&self, tensor: Tensor) -> Vec<AxisId> {
        self.ty(tensor).dims().iter().map(|d| d.axis).collect()
    }

    /// `[batch, channel: 16]` for messages.
    pub(crate) fn show_type(&self, ty: &Type) -> String {
        self.axes.borrow().show(ty)
    }

    /// Adds an op to the innermost frame of its operands.
    pub(crate) fn emit(&mut self, op: Op, args: &[Tensor], span: Span) -> Eval<Tensor> {
        let level = args.iter().map(|t| t.level).max().unwrap_or(0);
        self.emit_at(level, op, args, span)
    }

    /// Adds an op to a frame. What may be missing and what is periodic are taken care of.
    pub(crate) fn emit_at(&mut self, level: usize, op: Op, args: &[Tensor], span: Span) -> Eval<Tensor> {
        let around = args.iter().any(|t| t.rings != Rings::default()).then(|| op.clone());
        let made = match args.iter().any(|t| t.missing.is_some()) {
            true => self.emit_masked(level, op, args, span)?,
            false => self.emit_plain(level, op, args, span)?,
        };
        Ok(match around {
            Some(op) => self.keep_rings(made, &op, args),
            None => made,
        })
    }

    fn emit_plain(&mut self, level: usize, op: Op, args: &[Tensor], span: Span) -> Eval<Tensor> {
        let mut nodes = vec![];
        for t in args {
            nodes.push(self.bring(*t, level, span)?);
        }
        let builder = self.frames[level].builder.clone();
        builder.at(&[span]);
        let code = misfit_code(&op);
        match builder.add(op, &nodes) {
            Ok(node) => self.fits_memory(Tensor::plain(node, level), span),
            Err(misfit) => Err(self.misfit(code, misfit, span)),
        }
    }

    /// Counts of elements stay far from overflow: no tensor is larger than any memory.
    fn fits_memory(&mut self, tensor: Tensor, span: Span) -> Eval<Tensor> {
        let ty = self.ty(tensor);
        let count = ty.dims().iter().fold(1u128, |n, d| n.saturating_mul(d.extent as u128));
        if count <= MOST {
            return Ok(tensor);
        }
        let message = format!("{} has more elements than any memory", self.show_type(&ty));
        Err(self.fail(Code::E0206, span, message))
    }

    /// An op whose operands are known to fit.
    pub(crate) fn must(&mut self, op: Op, args: &[Tensor], span: Span) -> Tensor {
        self.emit(op, args, span).expect("operands were checked")
    }

    fn misfit(&mut self, code: Code, misfit: Misfit, span: Span) -> Failed {
        let mut diagnostic = Diagnostic::new(code, span, misfit.reason);
        diagnostic.help = misfit.hint;
        self.error(diagnostic)
    }

    /// The frame around a frame.
    pub(crate) fn parent(&self, level: usize) -> usize {
        match &self.frames[level].kind {
            FrameKind::Scan(scan) => scan.parent,
            FrameKind::Entry | FrameKind::Finish(_) => 0,
        }
    }

    /// The node that stands for a tensor in a frame further in.
    pub(crate) fn bring(&mut self, tensor: Tensor, level: usize, span: Span) -> Eval<NodeId> {
        let (mut inward, mut at) = (vec![], level);
        while at > tensor.level {
            inward.push(at);
            at = self.parent(at);
        }
        if at != tensor.level {
            return Err(self.two_passes(span));
        }
        let mut node = tensor.node;
        for inner in inward.into_iter().rev() {
            node = self.capture(node, inner, span)?;
        }
        Ok(node)
    }

    /// A metric would need its own result while it sums.
    pub(crate) fn two_passes(&mut self, span: Span) -> Failed {
        let message =
            "this needs two passes: a reduction over the part is used with values of single samples";
        self.error(Diagnostic::new(Code::E0803, span, message).help(
            "in a metric `batch` is the whole part; write it as sums: \
             `sum((y - mean(y))^2)` is `sum(y^2) - count(y) * mean(y)^2`",
        ))
    }

    /// A tensor in a frame further in.
    pub(crate) fn brought(&mut self, tensor: Tensor, level: usize, span: Span) -> Eval<Tensor> {
        let node = self.bring(tensor, level, span)?;
        let missing = tensor.mask().map(|mask| self.bring(mask, level, span)).transpose()?;
        Ok(Tensor { node, level, missing, ..tensor })
    }

    fn capture(&mut self, node: NodeId, level: usize, span: Span) -> Eval<NodeId> {
        let outer = self.frames[self.parent(level)].builder.node(node);
        let builder = self.frames[level].builder.clone();
        if matches!(outer.op, Op::Fill { .. } | Op::Constant { .. } | Op::Index { .. } | Op::Host(_)) {
            return Ok(builder.must(outer.op, &[]));
        }
        match &mut self.frames[level].kind {
            FrameKind::Scan(scan) => Ok(scan.capture(&builder, node, outer.ty)),
            FrameKind::Finish(_) if outer.ty.has(self.part) => Err(self.two_passes(span)),
            // The same in every batch: any way of combining keeps it. Partial results are numbers.
            FrameKind::Finish(_) if outer.ty.dtype == DType::Bool => {
                let number = self.frames[level - 1].builder.must(Op::Cast(Cast { to: DType::F32 }), &[node]);
                let number = self.partial(number, Combine::Max);
                Ok(builder.scalar(Scalar::Less, &[builder.number(0.5), number]))
            }
            FrameKind::Finish(_) => Ok(self.partial(node, Combine::Max)),
            FrameKind::Entry => unreachable!("entries do not nest"),
        }
    }

    /// The finishing graph's input for a node of the entry that is combined over the batches.
    pub(crate) fn partial(&mut self, node: NodeId, combine: Combine) -> NodeId {
        let role = OutputRole::Partial(combine);
        let output = self.output(node, role);
        let ty = self.frames[0].builder.ty(node);
        let builder = self.frames[1].builder.clone();
        let FrameKind::Finish(partials) = &mut self.frames[1].kind else {
            unreachable!("partial results are made in metrics")
        };
        let index = partials.iter().position(|p| *p == output).unwrap_or_else(|| {
            partials.push(output);
            partials.len() - 1
        });
        builder.input(index, ty)
    }

    /// An output of the entry, made if new.
    pub(crate) fn output(&mut self, node: NodeId, role: OutputRole) -> usize {
        if let Some(i) = self.outputs.iter().position(|o| *o == (node, role.clone())) {
            return i;
        }
        self.outputs.push((node, role));
        self.outputs.len() - 1
    }

    /// An input of the entry, made if new.
    pub(crate) fn input(&mut self, role: InputRole, ty: Type) -> Tensor {
        if let Some((_, node)) = self.inputs.iter().find(|(r, _)| *r == role) {
            return Tensor::plain(*node, 0);
        }
        let node = self.frames[0].builder.input(self.inputs.len(), ty);
        self.inputs.push((role, node));
        Tensor::plain(node, 0)
    }

    /// A number without axes.
    pub(crate) fn number(&mut self, x: f64, dtype: DType) -> Tensor {
        Tensor::plain(self.frames[0].builder.fill(x, &Type::scalar(dtype)), 0)
    }

    /// `0, 1, …` along an axis.
    pub(crate) fn index(&mut self, axis: AxisId, extent: usize, span: Span) -> Tensor {
        self.must(Op::Index { axis, extent }, &[], span)
    }

    /// An elementwise op on operands that are known to fit.
    pub(crate) fn scalar(&mut self, op: Scalar, args: &[Tensor], span: Span) -> Eval<Tensor> {
        self.emit(Op::Scalar(op), args, span)
    }

    /// A new axis along which the value repeats.
    pub(crate) fn repeat(&mut self, x: Tensor, axis: AxisId, extent: usize, span: Span) -> Eval<Tensor> {
        self.emit(Op::Expand(Expand { axis, extent }), &[x], span)
    }

    /// The axes of `ty` that `tensor` lacks, added to it.
    pub(crate) fn expand_to(&mut self, tensor: Tensor, ty: &Type, span: Span) -> Eval<Tensor> {
        let have = self.ty(tensor);
        let number =
            self.frames[tensor.level].builder.constant(tensor.node).filter(|_| tensor.missing.is_none());
        if let Some(x) = number
            && ty.dims().iter().any(|d| !have.has(d.axis))
        {
            let bits = x.to_bits();
            let all =
                ty.dims().iter().chain(have.dims().iter().filter(|d| !ty.has(d.axis))).copied().collect();
            let ty = Type::new(have.dtype, all).expect("no axis is there twice");
            return self.emit(Op::Fill { bits, ty }, &[], span);
        }
        let mut wide = tensor;
        for d in ty.dims().iter().filter(|d| !have.has(d.axis)) {
            wide = self.repeat(wide, d.axis, d.extent, span)?;
        }
        Ok(wide)
    }

    /// The run-time scalar of an expression, each once.
    pub(crate) fn host_scalar(&mut self, expr: HostExpr) -> ScalarId {
        if let Some(i) = self.scalars.iter().position(|e| *e == expr) {
            return ScalarId::from_index(i);
        }
        self.scalars.push(expr);
        ScalarId::from_index(self.scalars.len() - 1)
    }

    /// A value as a tensor. A static number takes the dtype `like`, where that is given.
    pub(crate) fn tensor(&mut self, value: &Spanned<'a>, like: Option<DType>) -> Eval<Tensor> {
        let span = value.span;
        match value.value.clone().plain() {
            Value::Tensor(t) => Ok(t),
            Value::Bool(b) => Ok(self.number(f64::from(u8::from(b)), like.unwrap_or(DType::Bool))),
            Value::Int(i) => {
                Ok(self.number(i as f64, like.filter(|d| *d != DType::Bool).unwrap_or(DType::F32)))
            }
            Value::Float(x) | Value::Percent(x) => {
                if like == Some(DType::I32) && x.fract() != 0.0 {
                    let message = format!("{x} is no whole number, and the other operand is i32");
                    let diagnostic = Diagnostic::new(Code::E0408, span, message);
                    return Err(self.error(diagnostic.help("cast the tensor: `f32(x)`")));
                }
                Ok(self.number(x, like.filter(|d| *d != DType::Bool).unwrap_or(DType::F32)))
            }
            Value::Host(expr) => self.host_tensor(expr, span),
            Value::List(_) => {
                let diagnostic = Diagnostic::new(Code::E0403, span, "a list is no tensor");
                Err(self.error(diagnostic.help("`tensor(list, along: axis)` makes one")))
            }
            other => Err(self.wrong_kind(&other, "a tensor", span)),
        }
    }

    fn host_tensor(&mut self, expr: HostExpr, span: Span) -> Eval<Tensor> {
        if let HostExpr::Const(x) = expr {
            return Ok(self.number(x, DType::F32));
        }
        let truth = crate::host::is_truth(&expr);
        let scalar = self.host_scalar(expr);
        let tensor = self.emit(Op::Host(scalar), &[], span)?;
        if truth {
            let half = self.number(0.5, DType::F32);
            return self.scalar(Scalar::Less, &[half, tensor], span);
        }
        Ok(tensor)
    }

    /// The place needs another kind of value.
    pub(crate) fn wrong_kind(&mut self, value: &Value<'a>, wanted: &str, span: Span) -> Failed {
        let message = format!("this is {}, but {wanted} is needed here", value.kind());
        self.fail(Code::E0403, span, message)
    }

    // ------------------------------------------------------------ instances

    /// The path of the instance in whose body we are. Outside of layers it is empty.
    pub(crate) fn path(&self) -> String {
        self.instances.last().map_or(String::new(), |i| i.place.path.clone())
    }
}

fn misfit_code(op: &Op) -> Code {
    match op {
        Op::Scalar(_) | Op::Cast(_) => Code::E0408,
        Op::Expand(_) | Op::Rename(_) | Op::Flatten(_) => Code::E0204,
        Op::Unflatten(_) => Code::E0207,
        Op::Concat(_) => Code::E0201,
        Op::Slice(_) => Code::E0208,
        _ => Code::E0206,
    }
}
