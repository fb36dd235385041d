//! Words that people bring from Python and its libraries, and what is written here instead.
use crate::names;
use stmc_base::{Diagnostic, Span};

/// Words and what to say of them.
type Table = &'static [(&'static [&'static str], &'static str)];

/// Names that nothing here has.
const NAMES: Table = &[
    (
        &["torch", "tf", "tensorflow", "jax", "jnp", "np", "numpy", "xr", "xarray", "scipy", "einops"],
        "functions of tensors stand by themselves: `exp(x)`, and `relu(x)` after `use std.nn.relu`",
    ),
    (
        &["nn", "F", "keras", "functional", "layers"],
        "write `use std.nn.{Linear, relu}` at the top of the file, then `Linear(4)` and `relu(x)`",
    ),
    (&["optim"], "write `use std.optim.Adam` at the top of the file, then `optimizer = Adam(lr: 1e-3)`"),
    (&["math"], "`pi`, `sqrt(x)` and `exp(x)` stand by themselves"),
    (&["range"], "a range is `0 .. n`"),
    (&["enumerate"], "write `[for i, x in list => …]`"),
    (
        &["print", "plt"],
        "`stmc summary` shows the shapes, and what is in `metrics = { … }` is printed while training",
    ),
    (&["cat", "concatenate"], "write `concat(a, b, along: channel)`"),
    (
        &["matmul", "einsum", "bmm", "mm", "tensordot"],
        "`dot(a, b, over: depth)` names the axis that it sums over",
    ),
    (
        &["permute", "transpose", "swapaxes", "view", "reshape", "rearrange"],
        "axes have no order: `flatten((row, col) -> place)`, `unflatten(channel -> (head: 8, depth))`, `rename(time -> key)`",
    ),
    (&["zeros_like", "ones_like"], "write `zeros(like: x)` or `ones(like: x)`"),
    (&["arange", "linspace"], "`index(time: n)` counts along an axis: 0, 1, …"),
    (
        &["randn", "normal"],
        "write `gaussian(like: x)`; after `~` an initializer such as `normal(0.02)` from `std.init`",
    ),
    (&["rand"], "write `random(like: x)`"),
    (&["clip", "clamp"], "write `min(max(x, low), high)`"),
    (&["isnan", "isnull", "nan", "NaN"], "missing values are no numbers: `is_missing(x)`"),
    (&["nan_to_num", "fillna"], "write `fill(x, 0)`"),
    (&["mae", "MAE", "l1_loss"], "`use std.loss.l1` at the top of the file: the mean absolute error"),
    (&["detach", "no_grad"], "write `stop_gradient(x)`"),
    (&["int", "float", "str"], "a tensor is cast by `i32(x)` or `f32(x)`"),
    (
        &["Conv1d", "Conv2d", "Conv3d"],
        "write `Conv(out, kernel: 3)`: it acts along the axes of `over`, `space` by default",
    ),
    (
        &["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"],
        "write `ConvTranspose(out, …)`: it acts along the axes of `over`, `space` by default",
    ),
    (
        &["MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d"],
        "write `MaxPool(2)` or `AvgPool(2)`: they act along the axes of `over`, `space` by default",
    ),
    (&["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"], "write `norm = BatchNorm()`"),
    (
        &["Sequential", "ModuleList"],
        "a list of layers is applied in turn: `blocks = [Linear(8), relu, Linear(1)]`",
    ),
    (
        &["ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "Softmax", "LeakyReLU", "ELU"],
        "what has no weights is a function: `x |> relu`",
    ),
    (
        &["MSELoss", "L1Loss", "CrossEntropyLoss", "BCELoss", "NLLLoss"],
        "a loss is a function: `loss = mse(forecast, future)`",
    ),
    (&["Parameter"], "write `param weight: [channel] ~ zeros` in the layer"),
    (&["Module"], "what has weights is a `layer NAME(settings) (tensors) -> type { … }`"),
    (&["super", "forward"], "a layer's body is what it computes: there is nothing to call first"),
];

/// Members that tensors have elsewhere.
const MEMBERS: Table = &[
    (
        &["shape", "size", "ndim", "dtype", "dims"],
        "`x.time` is the extent of an axis, `size(x, over: axes(x))` the number of elements",
    ),
    (
        &["view", "reshape", "permute", "transpose", "swapaxes", "T", "t", "contiguous"],
        "axes have no order: `flatten((row, col) -> place)`, `unflatten(channel -> (head: 8, depth))`, `rename(time -> key)`",
    ),
    (
        &["mean", "sum", "max", "min", "std", "var", "argmax", "any", "all", "cumsum", "sort"],
        "there are no methods: `mean(x, over: time)` names the axes that go",
    ),
    (
        &["exp", "log", "sqrt", "abs", "tanh", "sigmoid", "relu", "round", "floor"],
        "there are no methods: `exp(x)`, or `x |> exp`",
    ),
    (
        &["isel", "sel", "select", "index_select", "narrow"],
        "write `x[time: 0]`, or `x[time: 0 .. 10]` for a range",
    ),
    (
        &["squeeze", "unsqueeze", "expand", "flatten", "unflatten", "repeat"],
        "there are no methods: `squeeze(x, channel)`, `expand(x, time: 4)`",
    ),
    (&["chunk", "split"], "there are no methods: `split(x, channel, 4)`"),
    (&["detach", "item", "data"], "`stop_gradient(x)` cuts the gradient; a metric is a number by itself"),
    (
        &["to", "cpu", "cuda", "numpy", "device"],
        "where the program runs is said on the command line: `--device`",
    ),
    (&["float", "long", "half", "int", "astype", "type"], "write `f32(x)` or `i32(x)`"),
    (&["clone", "copy"], "values do not change, so there is nothing to copy"),
    (
        &["backward", "grad", "requires_grad"],
        "gradients are taken by themselves; `stop_gradient(x)` cuts one",
    ),
    (&["fillna", "isnull", "isnan"], "write `fill(x, 0)` and `is_missing(x)`"),
    (&["rename"], "there are no methods: `rename(x, time -> channel)`"),
];

/// Keys of `train` that are elsewhere, and where they are here.
const SETTINGS: Table = &[
    (&["device", "gpu", "cuda"], "where a program runs is said on the command line: `--device`"),
    (
        &["num_workers", "workers", "threads"],
        "said on the command line, `--threads`; results do not depend on it",
    ),
    (
        &["lr", "learning_rate", "rate", "weight_decay", "momentum", "betas"],
        "it belongs to the update rule: `optimizer = Adam(lr: 1e-3)`",
    ),
    (
        &["scheduler", "lr_scheduler", "schedule", "warmup"],
        "a schedule stands in the place of a number: `optimizer = Adam(lr: cosine(from: 1e-3))`",
    ),
    (&["criterion", "objective", "loss_fn"], "write `loss = mse(forecast, future)`"),
    (&["early_stopping", "patience"], "write `stop = stalled(valid.loss, for: 5 epochs)`"),
    (&["checkpoint", "save_best", "monitor"], "write `keep = best(valid.loss)`; `save_every` says how often"),
    (&["max_grad_norm", "gradient_clip", "grad_clip", "gradient_clip_val"], "write `clip = norm(1.0)`"),
    (&["amp", "mixed_precision", "fp16", "bf16"], "write `precision = \"bf16\"`"),
    (&["shuffle", "drop_last"], "leave it out: each epoch has an order of its own, and whole batches"),
    (
        &["validation_split", "val_split", "test_size"],
        "the parts are told in `data`: `split { train: …, test: rest }`",
    ),
    (
        &["callbacks", "logger", "verbose", "log_every"],
        "leave it out: losses and metrics are told after each epoch",
    ),
];

/// Arguments of other libraries, and what they are called here: the first that the function has.
const ARGUMENTS: &[(&str, &[&str])] = &[
    ("dim", &["over", "along"]),
    ("axis", &["over", "along"]),
    ("axes", &["over"]),
    ("kernel_size", &["kernel", "size"]),
    ("padding", &["pad"]),
    ("padding_mode", &["mode"]),
    ("out_channels", &["out", "channels", "hidden"]),
    ("out_features", &["out"]),
    ("filters", &["out"]),
    ("units", &["out", "hidden"]),
    ("hidden_size", &["hidden"]),
    ("hidden_dim", &["hidden"]),
    ("num_heads", &["heads"]),
    ("num_groups", &["groups"]),
    ("num_layers", &["layers"]),
    ("learning_rate", &["lr"]),
    ("weight_decay", &["decay"]),
    ("epsilon", &["eps"]),
    ("T_max", &["over"]),
    ("num_training_steps", &["over"]),
    ("num_training_epochs", &["over"]),
    ("num_warmup_steps", &["warmup"]),
    ("max_lr", &["peak"]),
    ("step_size", &["every"]),
    ("weights", &["weight"]),
];

/// What to write for a name of Python. `None`: it is none that we know.
pub(crate) fn of_name(word: &str) -> Option<&'static str> {
    find(NAMES, word)
}

/// What to write for a member that tensors have elsewhere.
pub(crate) fn of_member(word: &str) -> Option<&'static str> {
    find(MEMBERS, word)
}

/// Where a key of `train` elsewhere is said here. `None`: it is none that we know.
pub(crate) fn of_setting(word: &str) -> Option<&'static str> {
    find(SETTINGS, word)
}

fn find(table: Table, word: &str) -> Option<&'static str> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, help)| *help)
}

/// What to say of an argument that the function does not have: what it is called here, or what there is.
pub(crate) fn instead<'p>(
    diagnostic: Diagnostic,
    word: &str,
    span: Span,
    parameters: impl Iterator<Item = &'p str> + Clone,
) -> Diagnostic {
    if let Some(help) = superfluous(word) {
        return diagnostic.help(help);
    }
    let known = ARGUMENTS.iter().find(|(elsewhere, _)| *elsewhere == word).map_or(&[][..], |(_, here)| here);
    match known.iter().find(|here| parameters.clone().any(|p| p == **here)) {
        Some(&"over") if matches!(word, "dim" | "axis" | "axes") => {
            diagnostic.help("name the axes that go: `over: time`").fix(span, "over")
        }
        Some(here) => diagnostic.help(format!("write `{here}: …`")).fix(span, *here),
        None => diagnostic.help_at(span, names::near_or_all(word, "its arguments are", parameters)),
    }
}

/// What to say of an argument that is needed elsewhere and not here. `None`: it is none of these.
fn superfluous(word: &str) -> Option<&'static str> {
    match word {
        "in_channels" | "in_features" | "input_size" | "input_dim" | "num_features" | "embed_dim" => {
            Some("leave it out: what comes in is read off the tensor")
        }
        "keepdim" | "keepdims" => {
            Some("leave it out: the axes that go are gone, and what is left is broadcast by name")
        }
        "batch_first" | "device" | "inplace" | "requires_grad" => {
            Some("leave it out: there is nothing to choose")
        }
        _ => None,
    }
}
