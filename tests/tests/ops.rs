//! Every op of the op table on every device: the elementwise ones by their being in the table, the structural ones by a row here.
use stmc_ir::interpret::Value;
use stmc_ir::ops::*;
use stmc_ir::{DType, Dim, NodeId, Op, Type};
use stmc_tests::agree::{Case, EXACT, FUNCTION, LOOP, ROUNDED, SUM, Tolerance, check};
use stmc_tests::lab::{Draws, Lab, loops};

/// Which numbers the inputs hold.
#[derive(Clone, Copy, Debug)]
enum Numbers {
    /// Uniform.
    Between(f64, f64),
    /// Multiples of a half, so that many are equal.
    Ties(f64, f64),
    /// NaN, infinities and zeros of both signs among ordinary ones.
    Special,
}

const ANY: Numbers = Numbers::Between(-1.5, 1.5);
const TIES: Numbers = Numbers::Ties(-1.5, 1.5);
const SPECIAL: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 2.5];

/// Values for the inputs of a lab's graph; all that f32 holds.
fn inputs(types: &[Type], numbers: Numbers) -> Vec<Value> {
    let mut draws = Draws(types.len() as u64 + 17);
    let mut number = |dtype: DType| {
        let (low, high) = match numbers {
            Numbers::Between(low, high) | Numbers::Ties(low, high) => (low, high),
            Numbers::Special => (-4.0, 4.0),
        };
        let x = draws.between(low, high);
        match (dtype, numbers) {
            (DType::Bool, _) => f64::from(u8::from(draws.below(2) == 1)),
            (DType::I32, _) => x.round().clamp(low.ceil(), high.floor()),
            (DType::F32, Numbers::Between(..)) => f64::from(x as f32),
            (DType::F32, Numbers::Ties(..)) => (x * 2.0).round().clamp((low * 2.0).ceil(), high * 2.0) / 2.0,
            (DType::F32, Numbers::Special) => SPECIAL[draws.below(SPECIAL.len())],
        }
    };
    types.iter().map(|ty| Value::build(ty, |_| number(ty.dtype))).collect()
}

/// `i32 row 3` is an integer tensor, `bool row 3` a truth; without a word it is f32.
fn ty(lab: &Lab, text: &str) -> Type {
    match text.split_once(' ') {
        Some(("i32", rest)) => lab.ty(rest).with_dtype(DType::I32),
        Some(("bool", rest)) => lab.ty(rest).with_dtype(DType::Bool),
        _ => lab.ty(text),
    }
}

fn tolerance(op: Scalar) -> Tolerance {
    use Scalar::{Atan2, Cos, Erf, Exp, Log, Power, Sigmoid, Sin, Tanh};
    match op {
        Exp | Log | Sin | Cos | Tanh | Sigmoid | Erf | Atan2 | Power => FUNCTION,
        Scalar::Add | Scalar::Sub | Scalar::Mul | Scalar::Div | Scalar::Sqrt => ROUNDED,
        _ => EXACT,
    }
}

/// The op on operands of these dtypes, whose axes differ, as often as the table takes them.
fn elementwise(op: Scalar, dtypes: &[DType], numbers: Numbers, gradients: bool) -> Option<Case> {
    let lab = Lab::new();
    let axes = ["row 3 col 5 time 2", "col 5 time 2", "row 3 time 2"];
    let types: Vec<Type> = dtypes.iter().zip(axes).map(|(d, a)| lab.ty(a).with_dtype(*d)).collect();
    let args: Vec<NodeId> = types.iter().enumerate().map(|(i, ty)| lab.b.input(i, ty.clone())).collect();
    let out = lab.b.add(Op::Scalar(op), &args).ok()?;
    let rule = Scalar::rule(op);
    Some(Case {
        name: format!("{} of {dtypes:?}, {numbers:?}", rule.name),
        lab,
        outputs: vec![out],
        inputs: inputs(&types, numbers),
        tolerance: tolerance(op),
        gradients: gradients.then_some(FUNCTION),
    })
}

#[test]
fn every_elementwise_op() {
    let mut cases = vec![];
    for &op in Scalar::ALL {
        let rule = Scalar::rule(op);
        let (low, high) = rule.domain;
        let dtypes = [DType::F32, DType::I32, DType::Bool];
        for n in 0..dtypes.len().pow(rule.arity as u32) {
            let chosen: Vec<DType> =
                (0..rule.arity).map(|i| dtypes[n / dtypes.len().pow(i as u32) % dtypes.len()]).collect();
            cases.extend(elementwise(op, &chosen, Numbers::Between(low, high), true));
            cases.extend(elementwise(op, &chosen, Numbers::Ties(low, high), true));
            if chosen.contains(&DType::F32) {
                // Infinite cotangents would make most gradients NaN.
                cases.extend(elementwise(op, &chosen, Numbers::Special, false));
            }
        }
    }
    let of_each = |op: &Scalar| cases.iter().any(|c| c.name.starts_with(Scalar::rule(*op).name));
    assert!(Scalar::ALL.iter().all(of_each), "every row of the table takes some types");
    check(&cases);
}

/// What a row compares: name, types of the inputs, the numbers in them, outputs, tolerance.
struct Row(&'static str, &'static [&'static str], Numbers, fn(&Lab, &[NodeId]) -> Vec<NodeId>, Tolerance);

fn slice(l: &Lab, x: NodeId, axis: &str, (start, step, len): (usize, usize, usize)) -> NodeId {
    l.op(Op::Slice(Slice { axis: l.axis(axis), start, step, len }), &[x])
}
fn flip(l: &Lab, x: NodeId, axis: &str) -> NodeId {
    l.op(Op::Flip(Flip { axis: l.axis(axis) }), &[x])
}
fn pad(l: &Lab, x: NodeId, axis: &str, (low, high, gap): (usize, usize, usize), fill: f32) -> NodeId {
    l.op(Op::Pad(Pad { axis: l.axis(axis), low, high, gap, fill: fill.to_bits() }), &[x])
}
fn windows(l: &Lab, x: NodeId, axis: &str, (size, stride, dilation): (usize, usize, usize)) -> NodeId {
    let (axis, tap) = (l.axis(axis), l.axis(&format!("tap({axis})")));
    l.op(Op::Windows(Windows { axis, tap, size, stride, dilation }), &[x])
}
fn fold(l: &Lab, x: NodeId, axis: &str, (stride, dilation, extent): (usize, usize, usize)) -> NodeId {
    let (axis, tap) = (l.axis(axis), l.axis(&format!("tap({axis})")));
    l.op(Op::Fold(Fold { axis, tap, stride, dilation, extent }), &[x])
}
fn flatten(l: &Lab, x: NodeId, axes: &[&str], into: &str) -> NodeId {
    let axes = axes.iter().map(|a| l.axis(a)).collect();
    l.op(Op::Flatten(Flatten { axes, into: l.axis(into) }), &[x])
}
fn unflatten(l: &Lab, x: NodeId, axis: &str, into: &[(&str, usize)]) -> NodeId {
    let into = into.iter().map(|(a, extent)| Dim { axis: l.axis(a), extent: *extent }).collect();
    l.op(Op::Unflatten(Unflatten { axis: l.axis(axis), into }), &[x])
}
fn reduce(l: &Lab, kind: Reduction, x: NodeId, axes: &[&str]) -> NodeId {
    let axes: Vec<_> = axes.iter().map(|a| l.axis(a)).collect();
    l.op(Op::Reduce(Reduce::new(kind, &axes)), &[x])
}
fn cast(l: &Lab, x: NodeId, to: DType) -> NodeId {
    l.op(Op::Cast(Cast { to }), &[x])
}
fn dot(l: &Lab, x: NodeId, y: NodeId, over: &[&str]) -> NodeId {
    loops::dot(l, x, y, over)
}
/// A convolution over `row` and `col`, padded to the same size where the stride is 1.
fn conv(l: &Lab, x: NodeId, w: NodeId, (size, stride, dilation): (usize, usize, usize)) -> NodeId {
    let around = dilation * (size - 1) / 2;
    let view = ["row", "col"].iter().fold(x, |x, axis| {
        windows(l, pad(l, x, axis, (around, around, 0), 0.0), axis, (size, stride, dilation))
    });
    dot(l, view, w, &["channel", "tap(row)", "tap(col)"])
}

const MOVES: &[Row] = &[
    Row(
        "expand",
        &["row 3"],
        ANY,
        |l, x| {
            let one = l.op(Op::Expand(Expand { axis: l.axis("time"), extent: 1 }), &[x[0]]);
            vec![one, l.op(Op::Expand(Expand { axis: l.axis("col"), extent: 4 }), &[one])]
        },
        EXACT,
    ),
    Row(
        "rename",
        &["row 3 col 2 time 1"],
        ANY,
        |l, x| {
            let pairs = vec![(l.axis("row"), l.axis("col")), (l.axis("col"), l.axis("row"))];
            vec![l.op(Op::Rename(Rename { pairs }), &[x[0]]), loops::rename(l, x[0], "time", "batch")]
        },
        EXACT,
    ),
    Row(
        "flatten",
        &["row 3 col 2 batch 4 time 1"],
        ANY,
        |l, x| {
            let all = flatten(l, x[0], &["time", "col", "row", "batch"], "cell");
            vec![flatten(l, x[0], &["col", "row"], "row"), flatten(l, x[0], &["time", "batch"], "cell"), all]
        },
        EXACT,
    ),
    Row(
        "unflatten",
        &["row 12 col 2"],
        ANY,
        |l, x| {
            let two = unflatten(l, x[0], "row", &[("time", 3), ("row", 4)]);
            vec![two, unflatten(l, x[0], "row", &[("time", 1), ("batch", 12), ("cell", 1)])]
        },
        EXACT,
    ),
    Row(
        "pixel shuffle and back",
        &["batch 3 col 8 channel 6"],
        ANY,
        |l, x| {
            let apart = unflatten(l, x[0], "col", &[("col", 4), ("tap", 2)]);
            let deep = flatten(l, apart, &["channel", "tap"], "channel");
            let apart = unflatten(l, deep, "channel", &[("channel", 6), ("tap", 2)]);
            vec![deep, flatten(l, apart, &["col", "tap"], "col")]
        },
        EXACT,
    ),
    Row(
        "slice",
        &["row 7 col 2"],
        ANY,
        |l, x| {
            let stepped = slice(l, x[0], "row", (1, 2, 3));
            vec![
                stepped,
                slice(l, stepped, "row", (1, 1, 2)),
                slice(l, x[0], "row", (6, 1, 1)),
                slice(l, x[0], "row", (0, 1, 7)),
            ]
        },
        EXACT,
    ),
    Row(
        "flip",
        &["row 7 col 2 time 1"],
        ANY,
        |l, x| {
            let backwards = flip(l, slice(l, x[0], "row", (0, 3, 3)), "row");
            vec![
                flip(l, x[0], "row"),
                backwards,
                slice(l, backwards, "row", (1, 1, 2)),
                flip(l, x[0], "time"),
            ]
        },
        EXACT,
    ),
    Row(
        "pad",
        &["row 3 col 2 time 1"],
        ANY,
        |l, x| {
            let gaps = pad(l, x[0], "row", (1, 2, 1), 2.0);
            let backwards = pad(l, flip(l, x[0], "row"), "row", (0, 1, 2), 0.0);
            vec![gaps, backwards, pad(l, x[0], "time", (2, 0, 3), 0.0), pad(l, gaps, "col", (1, 1, 0), -1.0)]
        },
        EXACT,
    ),
    Row(
        "pad of integers",
        &["i32 row 3 col 2"],
        ANY,
        |l, x| vec![l.op(Op::Pad(Pad { axis: l.axis("row"), low: 1, high: 1, gap: 0, fill: 7 }), &[x[0]])],
        EXACT,
    ),
    Row(
        "pad with NaN and -inf",
        &["row 3 col 2"],
        ANY,
        |l, x| {
            let halo = pad(l, x[0], "row", (1, 1, 0), f32::NEG_INFINITY);
            vec![pad(l, x[0], "row", (1, 2, 0), f32::NAN), halo, windows(l, halo, "row", (3, 1, 1))]
        },
        EXACT,
    ),
    Row(
        "NaN passes where it is chosen",
        &["bool row 3 col 2", "row 3", "col 2"],
        Numbers::Special,
        |l, x| vec![l.b.scalar(Scalar::Where, x), flip(l, l.b.scalar(Scalar::Where, x), "col")],
        EXACT,
    ),
    Row(
        "concat",
        &["row 3 col 2", "row 2", "row 1 col 2 time 1"],
        ANY,
        |l, x| {
            let all = loops::concat(l, x, "row");
            vec![all, loops::concat(l, &[x[2], x[2]], "row"), slice(l, all, "row", (2, 1, 3))]
        },
        EXACT,
    ),
    Row(
        "concat of integers",
        &["i32 row 3", "i32 row 2"],
        ANY,
        |l, x| vec![loops::concat(l, &[x[0], x[1], x[0]], "row")],
        EXACT,
    ),
    Row(
        "windows",
        &["row 11 col 2"],
        ANY,
        |l, x| {
            let plain = windows(l, x[0], "row", (3, 1, 1));
            vec![
                plain,
                windows(l, x[0], "row", (1, 1, 1)),
                windows(l, x[0], "row", (2, 3, 4)),
                flip(l, plain, "row"),
            ]
        },
        EXACT,
    ),
    Row(
        "windows of a halo, over a flip",
        &["row 6 col 2"],
        ANY,
        |l, x| vec![windows(l, pad(l, flip(l, x[0], "row"), "row", (2, 1, 0), 0.0), "row", (3, 2, 1))],
        EXACT,
    ),
    Row(
        "gather",
        &["row 4 col 3 batch 2", "i32 time 9", "i32 col 3 row 6"],
        Numbers::Between(-2.0, 6.0),
        |l, x| {
            // Places before the first and behind the last are those.
            let row = Op::Gather(Gather { axis: l.axis("row") });
            vec![l.op(row.clone(), &[x[0], x[1]]), l.op(row, &[x[0], x[2]])]
        },
        EXACT,
    ),
    Row(
        "gather of axes of its own",
        &["row 40 col 3 batch 2", "i32 time 9 batch 2", "i32 row 6"],
        Numbers::Between(-2.0, 44.0),
        |l, x| {
            let row = Op::Gather(Gather { axis: l.axis("row") });
            vec![l.op(row.clone(), &[x[0], x[1]]), l.op(row, &[l.b.times(x[0], x[0]), x[2]])]
        },
        EXACT,
    ),
    Row(
        "index, constant, fill, host",
        &["row 3"],
        ANY,
        |l, x| {
            let index = l.op(Op::Index { axis: l.axis("row"), extent: 3 }, &[]);
            let ty = l.ty("row 3 col 2");
            let data: Vec<u32> = (0..6).map(|i| (i as f32 * 0.25).to_bits()).collect();
            let constant = l.op(Op::Constant { data: data.into(), ty: ty.clone() }, &[]);
            let host = l.op(Op::Host(stmc_ir::module::ScalarId::from_index(0)), &[]);
            let sum = l.b.scalar(Scalar::Max, &[l.b.scalar(Scalar::Max, &[x[0], constant]), host]);
            vec![index, constant, l.b.fill(2.5, &ty), host, sum]
        },
        EXACT,
    ),
    Row(
        "cast",
        &["row 5", "i32 row 5", "bool row 5"],
        Numbers::Between(-40.0, 40.0),
        |l, x| {
            let towards_zero = cast(l, x[0], DType::I32);
            vec![
                towards_zero,
                cast(l, x[1], DType::F32),
                cast(l, x[2], DType::F32),
                cast(l, x[2], DType::I32),
                cast(l, towards_zero, DType::F32),
            ]
        },
        EXACT,
    ),
    Row(
        "integers below zero",
        &["i32 row 40", "i32 col 5"],
        Numbers::Between(1.0, 9.0),
        |l, x| {
            let below = l.b.negated(x[0]);
            vec![l.b.scalar(Scalar::FloorDiv, &[below, x[1]]), l.b.scalar(Scalar::FloorMod, &[below, x[1]])]
        },
        EXACT,
    ),
    Row(
        "random",
        &["row 40"],
        ANY,
        |l, x| {
            let draw = |ty: Type, args: &[NodeId]| l.op(Op::Random(Random { site: 77, ty }), args);
            let step = l.b.fill(5.0, &Type::scalar(DType::I32));
            let (plain, stepped) = (draw(l.ty("batch 2 row 40 unit 3"), &[]), draw(l.ty("row 40"), &[step]));
            let mask = l.b.scalar(Scalar::Less, &[stepped, l.b.number(0.4)]);
            vec![
                plain,
                stepped,
                l.b.scalar(Scalar::Where, &[mask, x[0], l.b.number(0.0)]),
                draw(Type::scalar(DType::F32), &[]),
            ]
        },
        EXACT,
    ),
];

const POINTWISE: &[Row] = &[
    Row(
        "broadcast",
        &["batch 3 row 5 col 8", "row 5", "col 8 channel 6"],
        ANY,
        |l, x| {
            let sum = l.b.plus(x[0], x[1]);
            vec![l.b.times(sum, x[2]), sum, l.b.times(x[1], x[2])]
        },
        ROUNDED,
    ),
    Row(
        "between halos",
        &["row 5 col 8", "row 5"],
        ANY,
        |l, x| {
            let halo = pad(l, l.b.times(x[0], x[1]), "col", (1, 2, 0), 0.0);
            vec![l.b.plus(halo, x[1]), l.b.times(flip(l, halo, "col"), halo)]
        },
        ROUNDED,
    ),
];

const SUMS: &[Row] = &[
    Row(
        "fold",
        &["row 4 tap(row) 3 col 2"],
        ANY,
        |l, x| {
            let dense = fold(l, x[0], "row", (1, 1, 6));
            vec![
                dense,
                fold(l, x[0], "row", (1, 1, 9)),
                fold(l, x[0], "row", (2, 1, 9)),
                fold(l, x[0], "row", (4, 1, 15)),
                fold(l, x[0], "row", (2, 3, 13)),
            ]
        },
        SUM,
    ),
    Row(
        "fold of one tap, of one window",
        &["row 4 tap(row) 1", "row 1 tap(row) 4"],
        ANY,
        |l, x| vec![fold(l, x[0], "row", (2, 1, 8)), fold(l, x[1], "row", (1, 2, 7))],
        SUM,
    ),
    Row(
        "sum",
        &["batch 2 row 9 col 17 time 1"],
        ANY,
        |l, x| {
            let sum = |axes: &[&str]| reduce(l, Reduction::Sum, x[0], axes);
            vec![
                sum(&["col"]),
                sum(&["row"]),
                sum(&["batch", "col"]),
                sum(&["time"]),
                sum(&["batch", "row", "col", "time"]),
            ]
        },
        SUM,
    ),
    Row(
        "sum of a formula",
        &["batch 2 row 9 col 17", "col 17"],
        ANY,
        |l, x| {
            let y = l.b.times(l.b.plus(x[0], x[1]), x[0]);
            let mean = l.b.over(reduce(l, Reduction::Sum, y, &["col"]), l.b.number(17.0));
            vec![
                mean,
                reduce(l, Reduction::Sum, l.b.times(l.b.minus(y, mean), l.b.minus(y, mean)), &["row", "col"]),
            ]
        },
        SUM,
    ),
    Row(
        "sum of many",
        &["row 3 unit 5000"],
        ANY,
        |l, x| {
            vec![
                reduce(l, Reduction::Sum, x[0], &["unit"]),
                reduce(l, Reduction::Sum, x[0], &["row", "unit"]),
            ]
        },
        SUM,
    ),
    Row(
        "sum of integers",
        &["i32 row 9 col 3"],
        Numbers::Between(-9.0, 9.0),
        |l, x| {
            vec![reduce(l, Reduction::Sum, x[0], &["row"]), reduce(l, Reduction::Max, x[0], &["row", "col"])]
        },
        EXACT,
    ),
    Row(
        "max, min",
        &["row 5 col 9 time 1"],
        ANY,
        |l, x| {
            let of = |kind| reduce(l, kind, x[0], &["col", "time"]);
            vec![
                of(Reduction::Max),
                of(Reduction::Min),
                of(Reduction::FirstMax),
                reduce(l, Reduction::Max, x[0], &["row", "col"]),
            ]
        },
        EXACT,
    ),
    Row(
        "max, min of ties",
        &["row 5 col 9"],
        TIES,
        |l, x| {
            let of = |kind| reduce(l, kind, x[0], &["row", "col"]);
            vec![
                of(Reduction::Max),
                of(Reduction::Min),
                of(Reduction::FirstMax),
                reduce(l, Reduction::FirstMax, x[0], &["col", "row"]),
            ]
        },
        EXACT,
    ),
    Row(
        "max of nothing but -inf",
        &["row 3 col 4"],
        ANY,
        |l, x| {
            let low = pad(l, slice(l, x[0], "col", (0, 1, 1)), "col", (2, 2, 0), f32::NEG_INFINITY);
            vec![reduce(l, Reduction::Max, windows(l, low, "col", (2, 2, 1)), &["tap(col)"])]
        },
        EXACT,
    ),
    Row(
        "max pooling",
        &["batch 2 row 7 col 8 channel 3"],
        TIES,
        |l, x| {
            let view = ["row", "col"]
                .iter()
                .fold(x[0], |x, a| windows(l, pad(l, x, a, (1, 1, 0), f32::NEG_INFINITY), a, (3, 2, 1)));
            vec![reduce(l, Reduction::FirstMax, view, &["tap(row)", "tap(col)"])]
        },
        EXACT,
    ),
];

const SCATTERS: &[Row] = &[
    Row(
        "scatter",
        &["row 40 col 5 batch 2", "i32 row 40 batch 2", "i32 row 40"],
        Numbers::Between(-3.0, 9.0),
        |l, x| {
            let to = |extent, over: &[&str]| {
                let mut over: Vec<_> = over.iter().map(|a| l.axis(a)).collect();
                over.sort();
                Op::Scatter(Scatter { axis: l.axis("time"), extent, over })
            };
            let all = l.op(to(7, &["row", "batch"]), &[x[0], x[1]]);
            vec![
                l.op(to(7, &["row"]), &[x[0], x[1]]),
                all,
                l.op(to(1, &["row"]), &[loops::tanh(l, x[0]), x[2]]),
            ]
        },
        SUM,
    ),
    Row(
        "scatter of a line",
        &["row 70", "i32 row 70"],
        Numbers::Between(0.0, 5.0),
        |l, x| {
            let over = vec![l.axis("row")];
            vec![l.op(Op::Scatter(Scatter { axis: l.axis("time"), extent: 6, over }), x)]
        },
        SUM,
    ),
];

const CONTRACTIONS: &[Row] = &[
    Row(
        "small products",
        &["row 3 col 2 batch 2", "col 2 batch 2 unit 4", "col 2"],
        ANY,
        |l, x| {
            vec![
                dot(l, x[0], x[1], &["col"]),
                dot(l, x[0], x[1], &["col", "batch"]),
                dot(l, x[2], x[2], &["col"]),
                dot(l, x[0], x[2], &["col"]),
            ]
        },
        SUM,
    ),
    Row(
        "contraction of extent 1",
        &["row 3 col 1", "col 1 unit 4"],
        ANY,
        |l, x| vec![dot(l, x[0], x[1], &["col"])],
        SUM,
    ),
    Row(
        "matrix product",
        &["row 37 channel 50", "channel 50 unit 41"],
        ANY,
        |l, x| vec![dot(l, x[0], x[1], &["channel"])],
        SUM,
    ),
    Row(
        "batched, transposed",
        &["batch 3 row 19 channel 33", "unit 35 batch 3 channel 33"],
        ANY,
        |l, x| vec![dot(l, x[0], x[1], &["channel"]), dot(l, x[0], x[1], &["channel", "batch"])],
        SUM,
    ),
    Row(
        "a row, a column",
        &["channel 300", "channel 300 unit 70", "unit 70"],
        ANY,
        |l, x| vec![dot(l, x[0], x[1], &["channel"]), dot(l, x[1], x[2], &["unit"])],
        SUM,
    ),
    Row(
        "a long sum",
        &["row 5 channel 4000", "channel 4000 unit 6"],
        ANY,
        |l, x| vec![dot(l, x[0], x[1], &["channel"])],
        SUM,
    ),
    Row(
        "of a slice and a flip",
        &["row 21 channel 40", "channel 20 unit 33"],
        ANY,
        |l, x| {
            let half = flip(l, slice(l, x[0], "channel", (1, 2, 20)), "channel");
            vec![dot(l, half, x[1], &["channel"])]
        },
        SUM,
    ),
    Row(
        "with a formula before and behind",
        &["row 21 channel 40", "channel 40 unit 33", "unit 33"],
        ANY,
        |l, x| {
            let y = dot(l, loops::tanh(l, x[0]), x[1], &["channel"]);
            vec![l.b.scalar(Scalar::Max, &[l.b.plus(y, x[2]), l.b.number(0.0)])]
        },
        LOOP,
    ),
    Row(
        "convolution",
        &["batch 2 row 9 col 10 channel 5", "unit 18 channel 5 tap(row) 3 tap(col) 3"],
        ANY,
        |l, x| {
            vec![
                conv(l, x[0], x[1], (3, 1, 1)),
                conv(l, x[0], x[1], (3, 2, 1)),
                conv(l, x[0], x[1], (3, 1, 2)),
            ]
        },
        SUM,
    ),
    Row(
        "convolution of one channel",
        &["row 9 col 10 channel 1", "unit 1 channel 1 tap(row) 3 tap(col) 3"],
        ANY,
        |l, x| vec![conv(l, x[0], x[1], (3, 1, 1))],
        SUM,
    ),
    Row(
        "convolution 1x1",
        &["row 9 col 10 channel 32", "unit 4 channel 32 tap(row) 1 tap(col) 1"],
        ANY,
        |l, x| vec![conv(l, x[0], x[1], (1, 1, 1))],
        SUM,
    ),
    Row(
        "convolution of a concat",
        &["row 8 col 8 channel 3", "row 8 col 8 channel 3", "unit 20 channel 6 tap(row) 3 tap(col) 3"],
        ANY,
        |l, x| vec![conv(l, loops::concat(l, &[x[0], l.b.times(x[0], x[1])], "channel"), x[2], (3, 1, 1))],
        SUM,
    ),
    Row(
        "transposed convolution",
        &["row 5 col 6 channel 4", "unit 6 channel 4 tap(row) 4 tap(col) 4"],
        ANY,
        |l, x| {
            let spread = dot(l, x[0], x[1], &["channel"]);
            let wide = fold(l, fold(l, spread, "row", (2, 1, 12)), "col", (2, 1, 14));
            vec![slice(l, slice(l, wide, "row", (1, 1, 10)), "col", (1, 1, 12))]
        },
        SUM,
    ),
];

fn cases(rows: &[Row], gradients: Tolerance) -> Vec<Case> {
    let case = |Row(name, types, numbers, build, tolerance): &Row| {
        let lab = Lab::new();
        let types: Vec<Type> = types.iter().map(|t| ty(&lab, t)).collect();
        let args: Vec<NodeId> = types.iter().enumerate().map(|(i, ty)| lab.b.input(i, ty.clone())).collect();
        let outputs = build(&lab, &args);
        let finite = !matches!(numbers, Numbers::Special) && !name.contains("NaN") && !name.contains("-inf");
        Case {
            name: (*name).to_string(),
            outputs,
            inputs: inputs(&types, *numbers),
            lab,
            tolerance: *tolerance,
            gradients: finite.then_some(gradients),
        }
    };
    rows.iter().map(case).collect()
}

#[test]
fn moves() {
    check(&cases(MOVES, SUM));
}

#[test]
fn pointwise() {
    check(&cases(POINTWISE, SUM));
}

#[test]
fn sums() {
    check(&cases(SUMS, SUM));
}

#[test]
fn scatters() {
    check(&cases(SCATTERS, SUM));
}

#[test]
fn contractions() {
    // Gradients of squares: one sum feeds another.
    check(&cases(CONTRACTIONS, LOOP));
}

#[test]
fn scans() {
    let models = loops::all().into_iter().map(|case| (case.name, case.lab, vec![case.loss]));
    let cases = models.chain(edges()).map(|(name, lab, outputs)| {
        let graph = lab.finish(&outputs);
        let types: Vec<Type> = graph.inputs().into_iter().map(|i| i.1).collect();
        let inputs = inputs(&types, ANY);
        Case { name: name.into(), lab, outputs, inputs, tolerance: LOOP, gradients: Some(LOOP) }
    });
    check(&cases.collect::<Vec<_>>());
}

/// Loops that models rarely have: one step, no carry, a carry that nothing changes, a convolution that feeds on itself.
fn edges() -> Vec<(&'static str, Lab, Vec<NodeId>)> {
    let mut cases = vec![];
    for (name, extent, reverse) in [("one step", 1, false), ("one step back", 1, true), ("back", 5, true)] {
        let lab = Lab::new();
        let (x, h, w) =
            (lab.input(0, &format!("time {extent} row 3")), lab.input(1, "row 3"), lab.input(2, "row 3"));
        let results = lab.scan(("time", extent, reverse), &[h, w], &[x], &[w], |l, step, c, s, k| {
            let t = cast(l, step, DType::F32);
            let next = l.b.plus(l.b.times(c[0], k[0]), l.b.times(s[0], t));
            (vec![next, c[1]], vec![c[0], s[0], t])
        });
        cases.push((name, lab, results));
    }
    let lab = Lab::new();
    let (x, w) = (lab.input(0, "time 4 row 3 channel 6"), lab.input(1, "channel 6 unit 5"));
    let results = lab.scan(("time", 4, false), &[], &[x], &[w], |l, _, _, s, k| {
        (vec![], vec![dot(l, s[0], k[0], &["channel"]), s[0]])
    });
    cases.push(("no carry", lab, results));
    for reverse in [false, true] {
        let lab = Lab::new();
        let frames = lab.input(0, "batch 3 time 4 row 5 col 8");
        let first = lab.input(1, "row 5 col 8 channel 6");
        let (w, head) =
            (lab.input(2, "unit 16 channel 6 tap(row) 3 tap(col) 3"), lab.input(3, "unit 16 channel 6"));
        let start = lab.b.expand_to(first, &lab.ty("batch 3 row 5 col 8 channel 6"));
        let zero = lab.b.fill(0.0, &lab.ty("batch 3"));
        let results =
            lab.scan(("time", 4, reverse), &[start, zero], &[frames], &[w, head], |l, step, c, s, k| {
                let z = loops::tanh(l, conv(l, c[0], k[0], (3, 1, 1)));
                let back = dot(l, z, k[1], &["unit"]);
                let t = cast(l, step, DType::F32);
                let next = l.b.plus(l.b.times(back, l.b.number(0.1)), l.b.times(s[0], t));
                let total = l.b.plus(c[1], loops::sum(l, s[0], &["row", "col"]));
                (vec![next, total], vec![c[0], next, l.b.times(next, next), s[0]])
            });
        let both = lab.b.plus(results[3], results[2]);
        let name = if reverse { "convolutional, back" } else { "convolutional" };
        cases.push((name, lab, [results, vec![both]].concat()));
    }
    cases
}
