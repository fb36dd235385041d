//! Scans, stateful layers, and `for` with carries; `carry` has what the statements in their bodies do.
//!
//! The body of a scan is elaborated in a frame of its own until the types of its carries stand still: a carry has the
//! axes of its first value and those that its next value passes through. Inputs of the frame's graph are numbered as
//! they are met and put in the order of `Scan` at the end.
mod carry;

use crate::axis::Naming;
use crate::elab::{Elab, Eval, Frame, FrameKind};
use crate::live::live;
use crate::scope::{Env, Scope};
use crate::value::{Run, Spanned, Tensor, Value, join};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::module::ParamId;
use stmc_ir::ops::Scan;
use stmc_ir::{AxisId, Builder, DType, Dim, Graph, NodeId, Type};
use stmc_syntax::ast;

/// Whose statements are being run: it decides what `carry` and `yield` mean.
pub(crate) enum Body<'a> {
    Layer,
    Function,
    Optimizer,
    Schedule,
    /// Its yields so far.
    Scan(Vec<Yield<'a>>),
    /// The carried values of an unrolled loop, absent in its first round; its yields.
    For(Option<BTreeMap<Arc<str>, Value<'a>>>, Vec<Yield<'a>>),
}

/// `yield e`.
#[derive(Clone)]
pub(crate) struct Yield<'a> {
    /// The name of `e`, where it is one: the key if there are several.
    pub name: Option<Arc<str>>,
    pub value: Spanned<'a>,
}

/// A carry with its next value.
pub(crate) struct Primed<'a> {
    pub key: String,
    pub name: Arc<str>,
    /// `None`: it is no buffer.
    pub buffer: Option<ParamId>,
    pub value: Value<'a>,
    pub span: Span,
}

/// The body of a scan under construction.
pub(crate) struct ScanFrame {
    carries: Vec<ScanCarry>,
    captures: Vec<(NodeId, NodeId)>,
    /// What each input is, in the order in which they were met.
    roles: Vec<Role>,
    /// Which frame it stands in: of a metric the entry, or what follows the sums.
    pub parent: usize,
    /// Along which it runs.
    pub axis: AxisId,
    /// The step number, and how many steps there are.
    pub step: (NodeId, usize),
    /// States handed to layers.
    starts: Vec<Start>,
    widths: Widths,
    /// Current values of the buffers that its steps update, and which carries they are.
    buffers: BTreeMap<ParamId, (Tensor, usize)>,
}

/// A layer's path, and its carries by their paths below it.
type Start = (String, Rc<Vec<(String, Tensor)>>);

/// What next values bring along, by key of the carry: axes that pass through.
type Widths = BTreeMap<String, Width>;

#[derive(Clone, Default)]
struct Width {
    dims: Vec<Dim>,
    /// Periodic axes, of these or of the first value.
    rings: Vec<AxisId>,
    /// A next value may be missing.
    missing: bool,
}

#[derive(Clone, Copy)]
enum Role {
    Step,
    Carry(usize),
    Slice(usize),
    Capture(usize),
}

#[derive(Clone)]
struct ScanCarry {
    /// The path of a layer's state, `#name` of the scan's own, `!path` of a buffer, or `?key` of where the carry before it is missing.
    key: String,
    /// Outside.
    initial: Tensor,
    input: NodeId,
    next: Option<(Tensor, Span)>,
    span: Span,
}

impl ScanFrame {
    fn input(&mut self, builder: &Builder, role: Role, ty: Type) -> NodeId {
        self.roles.push(role);
        builder.input(self.roles.len() - 1, ty)
    }

    /// Where the last carry is missing is a carry too, the one after it.
    fn carry_mask(
        &mut self,
        builder: &Builder,
        key: &str,
        initial: Tensor,
        of: NodeId,
        span: Span,
    ) -> NodeId {
        let ty = builder.ty(of).with_dtype(DType::Bool);
        let input = self.input(builder, Role::Carry(self.carries.len()), ty);
        self.carries.push(ScanCarry { key: format!("?{key}"), initial, input, next: None, span });
        input
    }

    /// The input that stands for a node of the graph outside.
    pub(crate) fn capture(&mut self, builder: &Builder, node: NodeId, ty: Type) -> NodeId {
        if let Some((_, input)) = self.captures.iter().find(|(outer, _)| *outer == node) {
            return *input;
        }
        let input = self.input(builder, Role::Capture(self.captures.len()), ty);
        self.captures.push((node, input));
        input
    }
}

impl ScanFrame {
    /// The current value of a buffer. `None`: no step has used it so far.
    pub(crate) fn buffer(&self, id: ParamId) -> Option<Tensor> {
        self.buffers.get(&id).map(|b| b.0)
    }

    /// From here on a buffer has this value.
    pub(crate) fn set_buffer(&mut self, id: ParamId, value: Tensor) {
        self.buffers.get_mut(&id).expect("a buffer is read before it is updated").0 = value;
    }
}

impl<'a> Elab<'a> {
    /// A buffer becomes a carry of a scan.
    pub(crate) fn carry_buffer(&mut self, id: ParamId, initial: Tensor, level: usize, span: Span) -> Tensor {
        let (path, ty) = {
            let param = &self.weights.params[id.index()];
            (param.path.clone(), param.ty.clone())
        };
        let Frame { builder, kind: FrameKind::Scan(frame) } = &mut self.frames[level] else {
            unreachable!("scans have a frame")
        };
        let position = frame.carries.len();
        let input = frame.input(builder, Role::Carry(position), ty);
        frame.carries.push(ScanCarry { key: format!("!{path}"), initial, input, next: None, span });
        let value = Tensor::plain(input, level);
        frame.buffers.insert(id, (value, position));
        value
    }

    // ------------------------------------------------------------ scans

    /// `scan frame in past along time at t { … }`.
    pub(crate) fn scan(&mut self, scan: &'a ast::Scan, span: Span, env: &Env<'a>) -> Eval<Value<'a>> {
        let naming = if scan.sources.is_empty() { Naming::New } else { Naming::Old };
        let axes = self.axis_word(&scan.along, env, naming)?;
        let axis = self.single(&axes, scan.along.span)?;
        let sources = self.scan_sources(scan, axis, env)?;
        let extent = self.scan_extent(scan, axis, &sources, env)?;
        let mut widths = Widths::new();
        loop {
            let (messages, draws, noted) = (self.diagnostics.len(), self.draws.clone(), self.noted());
            let pass = self.scan_pass(scan, axis, extent, &sources, widths.clone(), span, env)?;
            match pass {
                Pass::Done(value) => return Ok(value),
                Pass::Wider(wider) => widths = wider,
            }
            self.diagnostics.truncate(messages);
            self.draws = draws;
            self.forget_since(noted);
        }
    }

    fn scan_sources(
        &mut self,
        scan: &'a ast::Scan,
        axis: AxisId,
        env: &Env<'a>,
    ) -> Eval<Vec<(Tensor, Span)>> {
        let mut sources = vec![];
        for source in &scan.sources {
            let value = self.spanned(&source.value, env)?;
            let tensor = self.tensor(&value, None)?;
            if !self.ty(tensor).has(axis) {
                let (name, ty) = (self.axis_name(axis), self.ty(tensor));
                let message = format!("{} has no axis `{name}` to scan along", self.show_type(&ty));
                return Err(self.fail(Code::E0604, source.value.span, message));
            }
            sources.push((tensor, source.value.span));
        }
        Ok(sources)
    }

    fn scan_extent(
        &mut self,
        scan: &'a ast::Scan,
        axis: AxisId,
        sources: &[(Tensor, Span)],
        env: &Env<'a>,
    ) -> Eval<usize> {
        let mut found: Option<(usize, Span)> = None;
        if let Some(expr) = &scan.extent {
            found = Some((self.axis_extent(expr, axis, env)?, expr.span));
        }
        for (tensor, span) in sources {
            let extent = self.extent(*tensor, axis, *span)?;
            match found {
                Some((first, place)) if first != extent => {
                    let diagnostic = self.two_extents(axis, (first, place), (extent, *span));
                    return Err(self.error(diagnostic));
                }
                _ => found = Some((extent, *span)),
            }
        }
        match found {
            Some((extent, _)) => Ok(extent),
            None => {
                let name = &scan.along;
                let message = format!("how many steps of `{}`?", name.text);
                let diagnostic = Diagnostic::new(Code::E0604, name.span, message);
                Err(self.error(
                    diagnostic.help(format!("`scan along {}: 12`, or `scan x in xs along {0}`", name.text)),
                ))
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // All that a pass needs is known before the first one.
    fn scan_pass(
        &mut self,
        scan: &'a ast::Scan,
        axis: AxisId,
        extent: usize,
        sources: &[(Tensor, Span)],
        widths: Widths,
        span: Span,
        env: &Env<'a>,
    ) -> Eval<Pass<'a>> {
        let outer = self.depth();
        let scope = Scope::block_of_its_own(env);
        let parent = self.scan_parent(sources);
        let slices = match self.push_frame(scan, axis, extent, sources, widths, parent, &scope) {
            Ok(slices) => slices,
            Err(failed) => {
                self.frames.truncate(outer + 1);
                return Err(failed);
            }
        };
        self.bodies.push(Body::Scan(vec![]));
        let result = self.statements(&scan.body, &scope).and_then(|()| self.hand_over_carries(&scope));
        let yields = self.bodies.pop();
        let checked = result.and_then(|()| {
            let Some(Body::Scan(yields)) = yields else { unreachable!("it was pushed") };
            self.close_scan(axis, &yields)
        });
        let frame = self.frames.pop().expect("it was pushed");
        let FrameKind::Scan(scan_frame) = frame.kind else { unreachable!("it was pushed") };
        match checked? {
            Closing::Wider(widths) => Ok(Pass::Wider(widths)),
            Closing::Closed { nexts, yields } => {
                let finished = FinishedBody { builder: frame.builder, frame: scan_frame, nexts };
                let results = self.add_scan(finished, axis, extent, &slices, &yields, parent, span)?;
                Ok(Pass::Done(results))
            }
        }
    }

    /// In a metric, a scan of what samples have is a part of the entry, and one of sums over the part follows them.
    fn scan_parent(&self, sources: &[(Tensor, Span)]) -> usize {
        let depth = self.depth();
        match &self.frames[depth].kind {
            FrameKind::Finish(_) if sources.iter().all(|(t, _)| t.level < depth) => 0,
            _ => depth,
        }
    }

    /// Gives what is sliced: the sources, and where they are missing.
    #[allow(clippy::too_many_arguments)] // What a pass is given.
    fn push_frame(
        &mut self,
        scan: &'a ast::Scan,
        axis: AxisId,
        extent: usize,
        sources: &[(Tensor, Span)],
        widths: Widths,
        parent: usize,
        scope: &Env<'a>,
    ) -> Eval<Vec<Tensor>> {
        let builder = self.frames[0].builder.sub();
        let step = builder.input(0, Type::scalar(DType::I32));
        let mut frame = ScanFrame {
            carries: vec![],
            captures: vec![],
            roles: vec![Role::Step],
            parent,
            axis,
            step: (step, extent),
            starts: vec![],
            widths,
            buffers: BTreeMap::new(),
        };
        let mut sliced = vec![];
        let mut slice = |frame: &mut ScanFrame, whole: Tensor, ty: Type| {
            sliced.push(whole);
            frame.input(&builder, Role::Slice(sliced.len() - 1), ty.without(&[axis]))
        };
        let mut slices = vec![];
        for (tensor, _) in sources {
            let input = slice(&mut frame, tensor.stored(), self.ty(*tensor));
            let mask = tensor.mask().filter(|mask| self.ty(*mask).has(axis));
            slices.push((input, mask.map(|mask| slice(&mut frame, mask, self.ty(mask)))));
        }
        self.frames.push(Frame { builder, kind: FrameKind::Scan(frame) });
        let level = self.depth();
        if let Some(at) = &scan.at {
            self.bind(scope, at, Value::Tensor(Tensor::plain(step, level)));
        }
        for ((source, (node, mask)), (whole, span)) in scan.sources.iter().zip(slices).zip(sources) {
            // The same cells are missing at every step where the mask lacks the axis.
            let missing = match (mask, whole.mask()) {
                (Some(mask), _) => Some(mask),
                (None, Some(mask)) => Some(self.bring(mask, level, *span)?),
                (None, None) => None,
            };
            let rings = self.rings(*whole).to_vec();
            let slice = self.with_rings(Tensor { missing, ..Tensor::plain(node, level) }, rings);
            match &source.pattern {
                ast::Pattern::Name(name) => self.bind(scope, name, Value::Tensor(slice)),
                ast::Pattern::Tuple(_, span) => {
                    return Err(self.fail(Code::E0403, *span, "a slice has one name"));
                }
            }
        }
        Ok(sliced)
    }

    /// Checks carries and yields once the body is there.
    fn close_scan(&mut self, axis: AxisId, yields: &[Yield<'a>]) -> Eval<Closing> {
        let depth = self.depth();
        let FrameKind::Scan(frame) = &mut self.frames[depth].kind else { unreachable!("it was pushed") };
        for (current, carry) in frame.buffers.values() {
            let carry = &mut frame.carries[*carry];
            carry.next = Some((*current, carry.span));
        }
        let carries: Vec<ScanCarry> = frame.carries.clone();
        let mut widths = frame.widths.clone();
        let (mut wider, mut nexts) = (false, vec![]);
        for (n, ScanCarry { key, initial, input, next, span: declared }) in
            carries.iter().cloned().enumerate()
        {
            // The carry before it was given both.
            if key.starts_with('?') {
                continue;
            }
            let has_mask = carries.get(n + 1).is_some_and(|c| c.key.starts_with('?'));
            let (next, span) = next.expect("every carry was given its next value");
            if key.starts_with('!') {
                self.refuse_missing(next, "a buffer", span)?;
            }
            let rings: Vec<AxisId> =
                self.rings(next).iter().copied().filter(|a| !self.is_ring(initial, *a)).collect();
            let (have, got) = (self.frames[depth].builder.ty(input), self.ty(next));
            let extra: Vec<Dim> = got.dims().iter().copied().filter(|d| !have.has(d.axis)).collect();
            let differs = have.dims().iter().any(|d| got.extent(d.axis).is_some_and(|e| e != d.extent));
            if differs || have.dtype != got.dtype || extra.iter().any(|d| d.axis == axis) {
                let name = key.rsplit(['.', '#']).next().unwrap_or(&key).to_string();
                let message = format!(
                    "`{name}` is {}, but its next value is {}",
                    self.show_type(&have),
                    self.show_type(&got)
                );
                return Err(
                    self.error(Diagnostic::new(Code::E0602, span, message).label(declared, "declared here"))
                );
            }
            let gaps = next.missing.is_some() && !has_mask;
            if extra.is_empty() && rings.is_empty() && !gaps {
                let next = self.expand_to(next, &have, span)?;
                nexts.push(self.bring(next.stored(), depth, span)?);
                if has_mask {
                    let mask = self.full_mask(next, span)?;
                    nexts.push(self.bring(mask, depth, span)?);
                }
            } else {
                wider = true;
                let width = widths.entry(key).or_default();
                width.dims.extend(extra);
                width.rings.extend(rings);
                width.missing |= gaps;
            }
        }
        if wider {
            return Ok(Closing::Wider(widths));
        }
        let mut outputs = vec![];
        for y in yields {
            let tensor = self.tensor(&y.value, None)?;
            if self.ty(tensor).has(axis) {
                let name = self.axis_name(axis);
                let message = format!("this has `{name}` already, the axis of the scan");
                let help = format!("yield the current step of it: `x[{name}: t]` with `at t`");
                return Err(self.error(Diagnostic::new(Code::E0603, y.value.span, message).help(help)));
            }
            outputs.push((y.name.clone(), self.brought(tensor, depth, y.value.span)?));
        }
        Ok(Closing::Closed { nexts, yields: outputs })
    }

    /// Puts the scan into the graph outside and names its results.
    #[allow(clippy::too_many_arguments)] // The parts of one op.
    fn add_scan(
        &mut self,
        finished: FinishedBody,
        axis: AxisId,
        extent: usize,
        slices: &[Tensor],
        yields: &[(Option<Arc<str>>, Tensor)],
        level: usize,
        span: Span,
    ) -> Eval<Value<'a>> {
        let FinishedBody { builder, frame, nexts } = finished;
        let values = yields.iter().map(|y| y.1.node);
        let masks = yields.iter().filter_map(|y| y.1.missing);
        let outputs: Vec<NodeId> = nexts.iter().copied().chain(values).chain(masks).collect();
        let (body, captures) = renumbered(&builder, &frame, slices.len(), outputs);
        let mut args = vec![];
        for carry in &frame.carries {
            args.push(self.bring(carry.initial, level, span)?);
        }
        for tensor in slices {
            args.push(self.bring(*tensor, level, span)?);
        }
        args.extend(captures);
        let scan =
            Scan { axis, extent, reverse: false, carries: frame.carries.len(), slices: slices.len(), body };
        let outside = self.frames[level].builder.clone();
        outside.at(&[span]);
        let results = outside.scan(scan, &args).expect("a scan is checked before it is made");
        let (carried, stacked) = results.split_at(frame.carries.len());
        let (stacked, masks) = stacked.split_at(yields.len());
        let carries: Vec<Tensor> = (0..carried.len())
            .map(|n| {
                let mask = frame.carries.get(n + 1).filter(|c| c.key.starts_with('?'));
                let missing = mask.map(|_| carried[n + 1]);
                Tensor { rings: frame.carries[n].initial.rings, missing, ..Tensor::plain(carried[n], level) }
            })
            .collect();
        let mut masks = masks.iter().copied();
        let stacks: Vec<Tensor> = yields
            .iter()
            .zip(stacked)
            .map(|((_, y), node)| {
                let missing = y.missing.and_then(|_| masks.next());
                Tensor { rings: y.rings, missing, ..Tensor::plain(*node, level) }
            })
            .collect();
        let mut run = Run { yields: None, carries: vec![], states: vec![], owner: self.path() };
        for (carry, last) in frame.carries.iter().zip(&carries) {
            match carry.key.strip_prefix('#') {
                Some(name) => run.carries.push((name.into(), Value::Tensor(*last))),
                None if carry.key.starts_with(['!', '?']) => {}
                None => run.states.push((carry.key.clone(), *last)),
            }
        }
        for (id, (_, carry)) in &frame.buffers {
            self.set_buffer(*id, carries[*carry]);
        }
        run.yields = self.yielded(yields, &stacks, span)?;
        Ok(Value::Run(Rc::new(run)))
    }

    fn yielded(
        &mut self,
        yields: &[(Option<Arc<str>>, Tensor)],
        stacks: &[Tensor],
        span: Span,
    ) -> Eval<Option<Value<'a>>> {
        if let [one] = stacks {
            return Ok(Some(Value::Tensor(*one)));
        }
        let mut entries = vec![];
        for ((name, _), stack) in yields.iter().zip(stacks) {
            let Some(name) = name else {
                return Err(self.fail(
                    Code::E0403,
                    span,
                    "several yields need names: `let a = …` and `yield a`",
                ));
            };
            entries.push((name.clone(), Value::Tensor(*stack)));
        }
        Ok((!entries.is_empty()).then(|| Value::record(entries)))
    }

    /// `run.h`, `run.cells`. `None`: no carry and no stateful layer is called so.
    pub(crate) fn run_member(&self, run: &Run<'a>, name: &ast::Name) -> Option<Value<'a>> {
        if let Some((_, value)) = run.carries.iter().find(|(n, _)| *n == name.text) {
            return Some(value.clone());
        }
        let prefix = format!("{}.", join(&run.owner, &name.text));
        let below = |(path, t): &(String, Tensor)| path.strip_prefix(&prefix).map(|p| (p.to_string(), *t));
        let state: Vec<(String, Tensor)> = run.states.iter().filter_map(below).collect();
        (!state.is_empty()).then(|| Value::State(Rc::new(state)))
    }

    // ------------------------------------------------------------ unrolled loops

    /// `for e in list { carry y = x; y' = e(y); yield … }`.
    pub(crate) fn unrolled(
        &mut self,
        binder: &'a ast::LoopBinder,
        iterable: &'a ast::Expr,
        body: &'a ast::Block,
        env: &Env<'a>,
    ) -> Eval<Value<'a>> {
        let elements = self.elements(iterable, env)?;
        let mut carried: Option<BTreeMap<Arc<str>, Value<'a>>> = None;
        let mut yields = vec![];
        if elements.is_empty() {
            carried = Some(self.first_carries(body, env)?);
        }
        for (i, element) in elements.into_iter().enumerate() {
            let scope = Scope::block_of_its_own(env);
            self.bind_loop(binder, i, element, &scope)?;
            self.bodies.push(Body::For(carried.take(), vec![]));
            let result = self.statements(body, &scope);
            let Some(Body::For(_, more)) = self.bodies.pop() else { unreachable!("it was pushed") };
            result?;
            yields.extend(more.into_iter().map(|y| y.value.value));
            let nexts = self.next_values(&scope)?;
            carried = Some(nexts.into_iter().map(|p| (p.name, p.value)).collect());
        }
        let carries = carried.unwrap_or_default().into_iter().collect();
        let yields = (!yields.is_empty()).then(|| Value::list(yields));
        Ok(Value::Run(Rc::new(Run { yields, carries, states: vec![], owner: self.path() })))
    }

    /// What a loop over nothing leaves: the first values.
    fn first_carries(&mut self, body: &'a ast::Block, env: &Env<'a>) -> Eval<BTreeMap<Arc<str>, Value<'a>>> {
        let mut carries = BTreeMap::new();
        for statement in &body.statements {
            if let ast::StmtKind::Carry(c) = &statement.kind {
                carries.insert(c.name.text.clone(), self.eval(&c.value, env)?);
            }
        }
        Ok(carries)
    }
}

/// The outcome of one elaboration of a body.
enum Pass<'a> {
    Done(Value<'a>),
    /// Carries pass more axes through than was known.
    Wider(Widths),
}

enum Closing {
    Wider(Widths),
    Closed { nexts: Vec<NodeId>, yields: Vec<(Option<Arc<str>>, Tensor)> },
}

struct FinishedBody {
    builder: Builder,
    frame: ScanFrame,
    nexts: Vec<NodeId>,
}

/// The body with its inputs in the order of `Scan`, without what is dead; and the captures that remain.
fn renumbered(
    builder: &Builder,
    frame: &ScanFrame,
    slices: usize,
    outputs: Vec<NodeId>,
) -> (Graph, Vec<NodeId>) {
    let mut captures = vec![];
    let body = live(builder, outputs, |index| match frame.roles[index] {
        Role::Step => 0,
        Role::Carry(n) => 1 + n,
        Role::Slice(n) => 1 + frame.carries.len() + n,
        Role::Capture(n) => {
            captures.push(frame.captures[n].0);
            frame.carries.len() + slices + captures.len()
        }
    });
    (body, captures)
}

/// The path of a layer, or of a list of layers (that of its first, without the position). `None`: neither.
fn layer_path(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Layer(layer) => layer.place.as_ref().map(|p| p.path.clone()),
        Value::List(list) => {
            let first = layer_path(list.first()?)?;
            first.rsplit_once('.').map(|(path, _)| path.to_string())
        }
        _ => None,
    }
}
