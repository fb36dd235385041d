//! The words that the language has without a declaration, with a line on each: what editors and help texts show.
use crate::builtins::{self, Kind, More};
use std::sync::LazyLock;

/// A built-in function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// By position or name.
    pub parameters: Vec<Parameter>,
    /// It also takes labels that are axes: `pad(x, lat: 2)`.
    pub by_axis: bool,
    /// It also takes axes as they become others: `rename(x, time -> key)`.
    pub renames: bool,
    /// What it gives.
    pub doc: &'static str,
}

impl Function {
    /// `sum(x, [over])`: what may be left out stands in brackets, as in a manual.
    pub fn signature(&self) -> String {
        let parameter = |p: &Parameter| match p.required {
            true => p.name.to_string(),
            false => format!("[{}]", p.name),
        };
        let mut parameters: Vec<String> = self.parameters.iter().map(parameter).collect();
        if self.by_axis {
            parameters.push("axis: …".into());
        }
        if self.renames {
            parameters.push("axis -> axis".into());
        }
        format!("{}({})", self.name, parameters.join(", "))
    }
}

/// A parameter of a built-in function.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// It takes axes.
    pub axes: bool,
    /// It must be given.
    pub required: bool,
}

/// A key of `train` or `tune`, and what it sets.
pub type Key = (&'static str, &'static str);

/// The keys of `train`: those that a phase may set, then those of the run.
pub fn train() -> impl Iterator<Item = &'static Key> + Clone {
    PHASE.iter().chain(RUN)
}

/// The keys of `tune`.
pub fn tune() -> impl Iterator<Item = &'static Key> + Clone {
    TUNE.iter()
}

/// The names of the keys of `train` that a phase may set.
pub(crate) fn of_a_phase<'n>() -> impl Iterator<Item = &'n str> + Clone {
    PHASE.iter().map(|k| k.0)
}

/// All built-in functions.
pub fn functions() -> &'static [Function] {
    static ALL: LazyLock<Vec<Function>> = LazyLock::new(|| builtins::all().iter().map(described).collect());
    &ALL
}

/// The function of that name. `None`: there is none.
pub fn function(name: &str) -> Option<&'static Function> {
    functions().iter().find(|f| f.name == name)
}

/// The line on a word that is no function: a number, `training`, `batch`. `None`: it is none of them.
pub fn constant(name: &str) -> Option<&'static str> {
    CONSTANTS.iter().find(|(n, _)| *n == name).map(|(_, doc)| *doc)
}

fn described(builtin: &'static builtins::Builtin) -> Function {
    let parameter = |p: &builtins::Param| Parameter {
        name: p.name,
        axes: matches!(p.kind, Kind::Axes | Kind::NewAxes),
        required: p.required,
    };
    Function {
        name: builtin.name,
        parameters: builtin.parameters.iter().map(parameter).collect(),
        by_axis: matches!(builtin.more, More::ByAxis | More::ByNewAxis),
        renames: matches!(builtin.more, More::Raws),
        doc: DOCS.iter().find(|(n, _)| *n == builtin.name).map_or("", |(_, doc)| doc),
    }
}

/// Words that stand for a value.
pub const CONSTANTS: &[Key] = &[
    ("pi", "3.14159…, the ratio of a circle's circumference to its diameter."),
    ("inf", "Infinity."),
    ("frozen", "In a group of the optimizer: these weights stay as they are."),
    ("training", "A static truth value: training and evaluation are two programs."),
];

/// The keys of `train` that a phase of the run may set for itself.
const PHASE: &[Key] = &[
    (
        "loss",
        "What is minimised: a number, or a record of terms, whose sum it is. Names are the model's outputs and the sample's parts.",
    ),
    ("metrics", "What is reported of each part of the split: a record. `batch` stands for the whole part."),
    ("optimizer", "The rule that updates the weights: `Adam(lr: 1e-3)`."),
    ("batch", "Samples of an update's gradient; 32 where it is not said."),
    ("epochs", "Rounds through the train part; 10 where it is not said."),
    ("steps", "Updates in all, instead of epochs."),
    ("accumulate", "Batches whose gradients are added up before an update."),
    ("clip", "What limits the gradient: `norm(1.0)` or `value(0.5)`."),
    (
        "stop",
        "When to end early: `stalled(valid.loss, for: 5 epochs)`. `by: 1e-6` is how much better counts as better; with `after: 10 epochs` the epochs before count for nothing; `gap: 0.1` ends it too where the loss lies so far above that of training, on average over five epochs.",
    ),
    (
        "precision",
        "To what the factors of `dot`, and so of `Linear` and `Conv`, are rounded: `\"f32\"`, `\"tf32\"`, `\"bf16\"` or `\"f16\"`. Sums, weights and all else are f32.",
    ),
    ("math", "`\"exact\"`, or `\"fast\"`, which permits another order of sums where a device gains by it."),
];

/// The keys of `train` that hold for the whole run.
const RUN: &[Key] = &[
    ("ema", "Evaluation uses averages of the weights: `0.999` of the average stays in each update."),
    ("seed", "First values, order and random masks follow from it; 0 where it is not said."),
    ("start", "Weights to begin with: a file of weights or a run directory."),
    ("keep", "Which checkpoint is the run's result: `best(valid.loss)`."),
    ("save_every", "A checkpoint stays every so often: `10 epochs`, `500 steps`."),
    ("phases", "Parts of the run with settings of their own."),
];

/// The keys of `tune`.
const TUNE: &[Key] = &[
    ("search", "How trials are chosen: `tpe(trials: 30)`."),
    ("minimize", "The value that is to be small: `valid.loss`."),
    ("maximize", "The value that is to be large."),
    ("seed", "What the trials follow from."),
];

/// A line on each function.
const DOCS: &[Key] = &[
    ("exp", "e to the power of x."),
    ("log", "The natural logarithm."),
    ("log10", "The logarithm to base 10."),
    ("sqrt", "The square root."),
    ("sin", "The sine of an angle in radians."),
    ("cos", "The cosine of an angle in radians."),
    ("tanh", "The hyperbolic tangent."),
    ("sigmoid", "1 / (1 + exp(-x))."),
    ("atan2", "The angle of the point (x, y) in radians, from -pi to pi: `atan2(y, x)`."),
    ("erf", "The error function."),
    ("abs", "The absolute value."),
    ("floor", "The largest whole number that is not above x."),
    ("round", "The nearest whole number; halves go to the even one."),
    ("sign", "-1, 0 or 1."),
    ("radians", "An angle in degrees, in radians."),
    ("where", "Element by element `then` where the condition holds, else `otherwise`."),
    ("div", "The quotient, rounded down: `div(7, 2)` is 3."),
    ("mod", "The remainder of `div`; it has the divisor's sign."),
    ("f32", "The values as 32-bit floats."),
    ("i32", "The values as 32-bit integers, fractions dropped."),
    ("bool", "Whether the values are other than 0."),
    ("stop_gradient", "x, through which no gradient flows."),
    ("zeros", "Zeros, typed as another tensor; after `~` the first values of a weight."),
    ("ones", "Ones, typed as another tensor; after `~` the first values of a weight."),
    ("random", "Uniform random numbers from 0 to 1, typed as another tensor."),
    ("gaussian", "Normal random numbers, typed as another tensor."),
    (
        "orthonormal",
        "First values: a random matrix whose rows, or columns if they are fewer, are orthonormal.",
    ),
    ("bernoulli", "True with probability p, typed as another tensor."),
    ("sum", "The sum along axes."),
    ("mean", "The mean along axes; with `weight: w` it is Σwx / Σw."),
    ("max", "The largest along axes, or of two values element by element."),
    ("min", "The smallest along axes, or of two values element by element."),
    ("any", "Whether it holds anywhere along axes."),
    ("all", "Whether it holds everywhere along axes."),
    ("count", "How many values are there along axes; of truth values, how many hold."),
    ("argmax", "The position of the largest along an axis."),
    ("sort", "The values in ascending order along an axis."),
    ("quantile", "The value below which a share of the values along an axis lies."),
    ("cumsum", "Running sums along an axis."),
    ("dot", "The sum of products along axes that both have: matrix products, inner products."),
    ("aligned", "Whether two tensors have the same axes."),
    ("size", "The product of a tensor's extents along axes: a static number."),
    ("product", "The product of values given by axis."),
    ("len", "The number of elements of a list, or of axes."),
    ("axes", "The axes of a tensor: `over: axes(x) - channel`."),
    ("params", "The number of a model's weights."),
    ("rename", "The tensor with another name for an axis: `rename(x, time -> key)`."),
    ("flatten", "Several axes become one, the last one fastest: `flatten(x, (lat, lon) -> place)`."),
    ("unflatten", "One axis becomes several: `unflatten(x, channel -> (head: 8, depth))`."),
    ("split", "Equal parts along an axis, as a list: `split(x, channel, 4)`."),
    ("squeeze", "The tensor without an axis of extent 1."),
    ("unsqueeze", "The tensor with a new axis of extent 1."),
    ("expand", "The tensor repeated along a new axis: `expand(x, time: 4)`."),
    ("flip", "The tensor in reverse order along an axis."),
    ("shift", "Values moved along an axis: `shift(x, time: 1)` has the step before."),
    ("pad", "More steps at both ends of axes: `pad(x, lat: 2, mode: \"reflect\")`."),
    ("concat", "Tensors one after the other along an axis that they have."),
    ("stack", "Tensors side by side along a new axis."),
    ("index", "0, 1, … along an axis: `index(time: 4)`."),
    ("tensor", "A static list as a tensor along an axis."),
    ("one_hot", "1 at the label's position along a new axis, 0 elsewhere."),
    (
        "windows",
        "Sliding windows: each axis `a` of `over` gets a partner `tap(a)` with the positions in the window.",
    ),
    ("fold", "The adjoint of `windows`: overlapping windows are added up."),
    ("interpolate", "Values at real-valued positions, linear between the neighbours."),
    ("is_missing", "Whether a value is missing."),
    ("fill", "The tensor with a number in place of what is missing."),
    ("fit", "A number or tensor computed from the train part before training begins."),
    ("standard", "(x - shift) / scale, which `physical` can undo."),
    ("around", "Patches of a grid around the points of a table."),
    ("coord", "The coordinates of an axis of the data, in physical units."),
    ("month", "The month of each step of a time axis, 1 to 12."),
    ("year", "The year of each step of a time axis."),
    ("day_of_year", "The day of the year of each step of a time axis, counted from 1."),
    ("years", "Each step of a time axis in years: 2001.5 is the middle of 2001."),
    ("physical", "A forecast in the units of its field."),
    (
        "preference",
        "Which values of a series that a schedule watches are better: \"low\" or \"high\". Of the loss they are the low ones.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_line() {
        let bare: Vec<_> = functions().iter().filter(|f| f.doc.is_empty()).map(|f| f.name).collect();
        assert!(bare.is_empty(), "no line in DOCS: {bare:?}");
        let stray: Vec<_> = DOCS.iter().filter(|(name, _)| function(name).is_none()).collect();
        assert!(stray.is_empty(), "no functions: {stray:?}");
    }
}
