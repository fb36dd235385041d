//! `scan`: a loop over an axis with a sub-graph as its body. One op, whatever the number of steps.
use super::{Misfit, Op, OpRule, Site};
use crate::graph::{Builder, Graph, NodeId};
use crate::interpret::{self, Context, Value};
use crate::kernel::ValId;
use crate::lower::{At, Emit};
use crate::types::{Axes, AxisId, DType, Type};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Operands: first values of the carries, then the scanned tensors, then captures.
///
/// Inputs of the body, in order: the step number (i32 scalar: the index along the axis, also when reversed), the carries, one slice per
/// scanned tensor, the captures. Outputs of the body: the carries' next values, then the yields. All types are exact: a first value has the type of
/// its carry's next value, and no carry, slice, capture's slice or yield has the axis (captures may).
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    /// Scanned and stacked along.
    pub axis: AxisId,
    /// Steps.
    pub extent: usize,
    /// From the last step to the first. Slices and yields keep their places along the axis.
    pub reverse: bool,
    /// How many of the body's inputs and outputs are carries.
    pub carries: usize,
    /// How many operands are scanned.
    pub slices: usize,
    /// One step.
    pub body: Graph,
}

impl Eq for Scan {}

// Equal scans have equal counts; the body is left to `eq`.
#[allow(clippy::derived_hash_with_manual_eq)]
impl Hash for Scan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.axis, self.extent, self.reverse, self.carries, self.slices, self.body.nodes.len()).hash(state);
        self.body.outputs.hash(state);
    }
}

/// One result of a scan (its only operand): carry `index`'s last value, or the stack of yield `index - carries`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ScanResult {
    /// Carries first, then yields.
    pub index: usize,
    /// Its type.
    pub ty: Type,
}

impl Scan {
    /// Number of the body's input for carry `i`.
    pub fn carry_input(&self, i: usize) -> usize {
        1 + i
    }
    /// Number of the body's input for slice `i`.
    pub fn slice_input(&self, i: usize) -> usize {
        1 + self.carries + i
    }
    /// Number of the body's input for capture `i`.
    pub fn capture_input(&self, i: usize) -> usize {
        1 + self.carries + self.slices + i
    }
    /// Number of yields.
    pub fn yields(&self) -> usize {
        self.body.outputs.len() - self.carries
    }

    /// The type of a result.
    pub fn result(&self, index: usize) -> Type {
        let ty = self.body.ty(self.body.outputs[index]).clone();
        if index < self.carries {
            ty
        } else {
            ty.with(self.axis, self.extent).expect("yields lack the scan's axis")
        }
    }

    /// Runs it by its definition.
    pub fn interpret(&self, args: &[&Value], context: &Context) -> Vec<Value> {
        let mut carries: Vec<Value> = args[..self.carries].iter().map(|v| (*v).clone()).collect();
        let slices = &args[self.carries..self.carries + self.slices];
        let captures = &args[self.carries + self.slices..];
        let mut stacks: Vec<Value> = (self.carries..self.body.outputs.len())
            .map(|i| self.result(i))
            .map(|ty| Value { data: vec![0.0; ty.len()], ty })
            .collect();
        for n in 0..self.extent {
            let step = if self.reverse { self.extent - 1 - n } else { n };
            let mut inputs = vec![Value { ty: Type::scalar(DType::I32), data: vec![step as f64] }];
            inputs.append(&mut carries);
            inputs.extend(slices.iter().map(|x| self.slice(x, step)));
            inputs.extend(captures.iter().map(|v| (*v).clone()));
            let mut results = interpret::run(&self.body, &inputs, context);
            for (stack, value) in stacks.iter_mut().zip(results.drain(self.carries..)) {
                self.put(stack, &value, step);
            }
            carries = results;
        }
        carries.extend(stacks);
        carries
    }

    fn slice(&self, x: &Value, step: usize) -> Value {
        let ty = x.ty.without(&[self.axis]);
        Value::build(&ty, |index| x.at_with(&ty, index, (self.axis, step)))
    }

    fn put(&self, stack: &mut Value, value: &Value, step: usize) {
        let (ty, mut n) = (stack.ty.clone(), 0);
        interpret::each_index(&ty, |index| {
            if ty.along(index, self.axis) == step {
                stack.data[n] = value.at(&ty, index);
            }
            n += 1;
        });
    }
}

impl OpRule for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }
    fn settings(&self, axes: &Axes) -> String {
        let way = if self.reverse { " reverse" } else { "" };
        format!(
            "{}={}{way} carries {} slices {}",
            axes.name(self.axis),
            self.extent,
            self.carries,
            self.slices
        )
    }
    fn infer(&self, args: &[&Type], axes: &Axes) -> Result<Type, Misfit> {
        let misfit = |i: usize, what: String| Err(Misfit::new(i, what));
        for (index, ty) in self.body.inputs() {
            let Some(i) = index.checked_sub(1) else { continue };
            let Some(arg) = args.get(i) else {
                return misfit(0, format!("the body's input {index} is not given"));
            };
            let slice = (self.carries..self.carries + self.slices).contains(&i);
            let given = if slice { arg.without(&[self.axis]) } else { (*arg).clone() };
            if given != ty {
                return misfit(i, format!("is {}, the body takes {}", axes.show(&given), axes.show(&ty)));
            }
        }
        for (i, arg) in args.iter().enumerate() {
            if i < self.carries && *self.body.ty(self.body.outputs[i]) != **arg {
                let next = axes.show(self.body.ty(self.body.outputs[i]));
                return misfit(i, format!("a carry begins as {} and goes on as {next}", axes.show(arg)));
            }
            let slice = (self.carries..self.carries + self.slices).contains(&i);
            if slice && arg.extent(self.axis) != Some(self.extent) {
                let name = axes.name(self.axis);
                return misfit(i, format!("{} is scanned along `{name}: {}`", axes.show(arg), self.extent));
            }
        }
        if let Some(o) = self.body.outputs.iter().find(|o| self.body.ty(**o).has(self.axis)) {
            let ty = axes.show(self.body.ty(*o));
            return misfit(0, format!("the body gives {ty}, which has the axis of the scan"));
        }
        Ok(Type::scalar(DType::F32))
    }
    fn vjp(&self, _: &Builder, _: &Site<'_>, _: NodeId) -> Vec<Option<NodeId>> {
        unreachable!("autodiff makes the reversed scan")
    }
    fn lower(&self, _: &mut dyn Emit, _: &At) -> ValId {
        unreachable!("scans become loops of the program")
    }
    fn eval(&self, _: &[&Value], _: &Type, _: &Context) -> Value {
        unreachable!("the interpreter runs scans as a whole")
    }
    fn cost(&self) -> usize {
        1_000_000
    }
    fn lifts(&self) -> bool {
        false
    }
}

impl OpRule for ScanResult {
    fn name(&self) -> &'static str {
        "result"
    }
    fn settings(&self, _: &Axes) -> String {
        self.index.to_string()
    }
    fn infer(&self, _: &[&Type], _: &Axes) -> Result<Type, Misfit> {
        Ok(self.ty.clone())
    }
    fn vjp(&self, _: &Builder, _: &Site<'_>, _: NodeId) -> Vec<Option<NodeId>> {
        unreachable!("autodiff makes the reversed scan")
    }
    fn lower(&self, _: &mut dyn Emit, _: &At) -> ValId {
        unreachable!("results of scans are stored")
    }
    fn eval(&self, _: &[&Value], _: &Type, _: &Context) -> Value {
        unreachable!("the interpreter runs scans as a whole")
    }
    fn cost(&self) -> usize {
        1_000_000
    }
    fn lifts(&self) -> bool {
        false
    }
}

impl Builder {
    /// A scan and its results: the carries' last values, then the stacks of the yields.
    pub fn scan(&self, scan: Scan, args: &[NodeId]) -> Result<Vec<NodeId>, Misfit> {
        let types: Vec<Type> = (0..scan.body.outputs.len()).map(|i| scan.result(i)).collect();
        let node = self.add(Op::Scan(Arc::new(scan)), args)?;
        let result = |(index, ty)| self.must(Op::ScanResult(ScanResult { index, ty }), &[node]);
        Ok(types.into_iter().enumerate().map(result).collect())
    }
}
