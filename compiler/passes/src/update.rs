//! The update of the weights, over whole arenas: one of each buffer per update rule, however many weights it has.
//!
//! Entry `apply` clips and applies the rules. With accumulation, `accumulate` adds the gradients of a micro-step up, and `apply`
//! takes their mean and clears the sum. All rules are in one graph: a norm to clip by is that of all gradients. Where the loss is
//! scaled, `check` tells how large the gradients are, and `discard` clears the sum of those that are not to be applied.
use crate::compile::Arenas;
use crate::lower::{Given, Lowerer};
use crate::pipeline;
use crate::split::split_reductions;
use crate::stored::{Stored, StoredDim};
use std::collections::HashMap;
use stmc_ir::module::{Clip, OutputRole, Train};
use stmc_ir::ops::{Reduce, Reduction, Scalar};
use stmc_ir::program::{Binding, BufferId, BufferKind, Entry, OutputPort, Step};
use stmc_ir::{AxisId, Builder, DType, Dim, Graph, NodeId, Op, Type, verify};

/// Adds the entries `apply` and, where gradients are accumulated, `accumulate`.
pub(crate) fn update(lowerer: &mut Lowerer, arenas: &[Arenas], train: &Train) {
    // A model without weights has nothing to update.
    let rules: Vec<Rule<'_>> =
        arenas.iter().enumerate().filter(|(_, a)| a.len > 0).map(|(n, a)| Rule::new(lowerer, n, a)).collect();
    if rules.is_empty() {
        return;
    }
    if train.accumulate > 1 {
        accumulate(lowerer, &rules);
    }
    if train.loss_scale.is_some() {
        check(lowerer, &rules);
        if train.accumulate > 1 {
            discard(lowerer, &rules);
        }
    }
    apply(lowerer, &rules, train);
}

/// A rule and what it works on.
struct Rule<'a> {
    number: usize,
    arenas: &'a Arenas,
    axis: AxisId,
    ty: Type,
}

impl<'a> Rule<'a> {
    fn new(lowerer: &Lowerer, number: usize, arenas: &'a Arenas) -> Rule<'a> {
        let axis = lowerer.axes.borrow_mut().axis("weight", &format!("#arena{number}"));
        let ty = Type::new(DType::F32, vec![Dim { axis, extent: arenas.len }]).expect("one axis");
        Rule { number, arenas, axis, ty }
    }

    fn whole(&self, buffer: BufferId) -> Stored {
        let dims = vec![StoredDim { axis: self.axis, extent: self.arenas.len, stride: 1 }];
        Stored { buffer, base: 0, steps: vec![], dims }
    }
}

/// A graph under construction whose inputs and outputs are arenas.
struct Draft {
    builder: Builder,
    given: HashMap<usize, Given>,
    outputs: Vec<NodeId>,
    targets: Vec<Stored>,
}

impl Draft {
    fn new(lowerer: &Lowerer) -> Draft {
        let builder = Builder::new(lowerer.axes.clone());
        Draft { builder, given: HashMap::new(), outputs: vec![], targets: vec![] }
    }

    fn input(&mut self, rule: &Rule<'_>, buffer: BufferId) -> NodeId {
        let index = self.given.len();
        self.given.insert(index, Given::Tensor(rule.whole(buffer)));
        self.builder.input(index, rule.ty.clone())
    }

    fn output(&mut self, rule: &Rule<'_>, node: NodeId, buffer: BufferId) {
        self.outputs.push(self.builder.expand_to(node, &rule.ty));
        self.targets.push(rule.whole(buffer));
    }

    fn lower(self, lowerer: &mut Lowerer, name: &str, outputs: Vec<OutputPort>) {
        let axes = lowerer.axes.clone();
        let graph: Graph = self.builder.finish(self.outputs);
        let graph = split_reductions(&axes, &pipeline::tidy(&axes, &graph));
        verify::graph(&graph, &axes.borrow(), name);
        let steps = lowerer.lower(&graph, &self.given, self.targets);
        lowerer.program.entries.push(entry(name, steps, outputs));
    }
}

fn entry(name: &str, steps: Vec<Step>, outputs: Vec<OutputPort>) -> Entry {
    Entry { name: name.into(), steps, inputs: vec![], outputs, batch: 0, flops: 0 }
}

fn accumulate(lowerer: &mut Lowerer, rules: &[Rule<'_>]) {
    let mut draft = Draft::new(lowerer);
    for rule in rules {
        let sums = rule.arenas.sums.expect("sums are kept where gradients are accumulated");
        let (sum, gradient) = (draft.input(rule, sums), draft.input(rule, rule.arenas.gradients));
        let sum = draft.builder.plus(sum, gradient);
        draft.output(rule, sum, sums);
    }
    draft.lower(lowerer, "accumulate", vec![]);
}

/// The bits of the largest gradient as an i32, without its sign: those of an infinite one, or more for NaN, where any is.
fn check(lowerer: &mut Lowerer, rules: &[Rule<'_>]) {
    let mut draft = Draft::new(lowerer);
    let number = Type::scalar(DType::I32);
    let mut sizes = vec![];
    for rule in rules {
        let gradient = draft.input(rule, rule.arenas.sums.unwrap_or(rule.arenas.gradients));
        let b = &draft.builder;
        // Integers: a graphics card may take it that no number is infinite or NaN. -1 - k is k with all bits turned around,
        // which for a negative number are those of its size.
        let key = b.scalar(Scalar::Order, &[gradient]);
        let turned = b.minus(b.fill(-1.0, &number), key);
        let size = b.scalar(Scalar::Max, &[key, turned]);
        sizes.push(b.must(Op::Reduce(Reduce::new(Reduction::Max, &[rule.axis])), &[size]));
    }
    let largest = sizes.into_iter().reduce(|x, y| draft.builder.scalar(Scalar::Max, &[x, y]));
    draft.outputs.push(largest.expect("there is a rule"));
    let target = lowerer.tensor("largest gradient", &number, BufferKind::Output, None);
    let role = OutputRole::Named { name: "largest gradient".into(), axes: vec![] };
    let port = OutputPort { role, buffer: target.buffer };
    draft.targets.push(target);
    draft.lower(lowerer, "check", vec![port]);
}

fn discard(lowerer: &mut Lowerer, rules: &[Rule<'_>]) {
    let clear = |rule: &Rule<'_>| {
        let sums = rule.arenas.sums?;
        Some(Step::Fill { to: Binding::whole(sums), len: rule.arenas.len, bits: 0 })
    };
    let steps = rules.iter().filter_map(clear).collect();
    lowerer.program.entries.push(entry("discard", steps, vec![]));
}

fn apply(lowerer: &mut Lowerer, rules: &[Rule<'_>], train: &Train) {
    let mut draft = Draft::new(lowerer);
    let mut gradients = vec![];
    for rule in rules {
        let gradient = draft.input(rule, rule.arenas.sums.unwrap_or(rule.arenas.gradients));
        let b = &draft.builder;
        gradients.push(match train.accumulate {
            0 | 1 => gradient,
            n => b.times(gradient, b.number(1.0 / n as f64)),
        });
    }
    let gradients = clipped(&draft.builder, &gradients, train.clip);
    for (rule, gradient) in rules.iter().zip(gradients) {
        let optimizer = &train.optimizers[rule.number];
        let mut args = vec![draft.input(rule, rule.arenas.weights), gradient];
        args.extend(rule.arenas.states.iter().map(|s| draft.input(rule, *s)));
        let map = draft.builder.inline(&optimizer.graph, &args);
        let next: Vec<NodeId> = optimizer.graph.outputs.iter().map(|o| map[o.index()]).collect();
        draft.output(rule, next[0], rule.arenas.weights);
        for (node, state) in next[1..].iter().zip(&rule.arenas.states) {
            draft.output(rule, *node, *state);
        }
        if let (Some(decay), Some(averages)) = (train.ema, rule.arenas.averages) {
            let average = draft.input(rule, averages);
            let b = draft.builder.clone();
            let now = b.times(next[0], b.number(1.0 - decay));
            let average = b.plus(b.times(average, b.number(decay)), now);
            draft.output(rule, average, averages);
        }
        if let Some(sums) = rule.arenas.sums {
            let zero = draft.builder.fill(0.0, &rule.ty);
            draft.output(rule, zero, sums);
        }
    }
    draft.lower(lowerer, "apply", vec![]);
}

fn clipped(b: &Builder, gradients: &[NodeId], clip: Option<Clip>) -> Vec<NodeId> {
    match clip {
        None => gradients.to_vec(),
        Some(Clip::Value(limit)) => {
            let cut = |g: &NodeId| {
                let below = b.scalar(Scalar::Min, &[*g, b.number(limit)]);
                b.scalar(Scalar::Max, &[below, b.number(-limit)])
            };
            gradients.iter().map(cut).collect()
        }
        // torch.nn.utils.clip_grad_norm_: g * min(1, limit / (norm + 1e-6)).
        Some(Clip::Norm(limit)) => {
            let squares = |g: NodeId| {
                let axes: Vec<AxisId> = b.ty(g).dims().iter().map(|d| d.axis).collect();
                b.sum(b.times(g, g), &axes)
            };
            let sum = gradients.iter().map(|g| squares(*g)).reduce(|a, g| b.plus(a, g));
            let norm = b.scalar(Scalar::Sqrt, &[sum.expect("there is a rule")]);
            let factor = b.over(b.number(limit), b.plus(norm, b.number(1e-6)));
            let factor = b.scalar(Scalar::Min, &[factor, b.number(1.0)]);
            gradients.iter().map(|g| b.times(*g, factor)).collect()
        }
    }
}
