//! Every rewrite: a graph where it fires and keeps the values, and a near miss where it must not fire.
mod common;
use common::loops::{concat, dot, part, rename, sum, tanh};
use common::*;
use stmc_ir::ops::*;
use stmc_ir::{DType, Dim, NodeId, Op, Type};
use stmc_passes::simplify::{rules, simplify, simplify_with};

/// The name of a rule, where it fires, where it nearly does.
type Row = (&'static str, fn(&Lab) -> NodeId, fn(&Lab) -> NodeId);

fn x(l: &Lab) -> NodeId {
    l.input(0, "row 4 col 3")
}
fn y(l: &Lab) -> NodeId {
    l.input(1, "row 4 col 3")
}
fn column(l: &Lab) -> NodeId {
    l.input(2, "col 3")
}
fn n(l: &Lab, v: f64) -> NodeId {
    l.b.number(v)
}
fn s(l: &Lab, op: Scalar, args: &[NodeId]) -> NodeId {
    l.b.scalar(op, args)
}
fn expand(l: &Lab, x: NodeId, axis: &str, extent: usize) -> NodeId {
    l.op(Op::Expand(Expand { axis: l.axis(axis), extent }), &[x])
}
fn pad(l: &Lab, x: NodeId, axis: &str, low: usize, high: usize) -> NodeId {
    l.op(Op::Pad(Pad::around(l.axis(axis), low, high, 0)), &[x])
}
fn pad_ones(l: &Lab, x: NodeId, axis: &str) -> NodeId {
    l.op(Op::Pad(Pad::around(l.axis(axis), 1, 1, 1.0f32.to_bits())), &[x])
}
fn gaps(l: &Lab, x: NodeId, axis: &str) -> NodeId {
    l.op(Op::Pad(Pad { axis: l.axis(axis), low: 1, high: 2, gap: 1, fill: 0 }), &[x])
}
fn stepped(l: &Lab, x: NodeId, axis: &str, (start, step, len): (usize, usize, usize)) -> NodeId {
    l.op(Op::Slice(Slice { axis: l.axis(axis), start, step, len }), &[x])
}
fn flip(l: &Lab, x: NodeId, axis: &str) -> NodeId {
    l.op(Op::Flip(Flip { axis: l.axis(axis) }), &[x])
}
fn windows(l: &Lab, x: NodeId, (size, stride, dilation): (usize, usize, usize)) -> NodeId {
    let (axis, tap) = (l.axis("row"), l.axis("tap"));
    l.op(Op::Windows(Windows { axis, tap, size, stride, dilation }), &[x])
}
fn fold(l: &Lab, x: NodeId, stride: usize, dilation: usize, extent: usize) -> NodeId {
    let (axis, tap) = (l.axis("row"), l.axis("tap"));
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
fn max(l: &Lab, x: NodeId, axis: &str) -> NodeId {
    l.op(Op::Reduce(Reduce::new(Reduction::Max, &[l.axis(axis)])), &[x])
}
fn ramp(l: &Lab, axis: &str, extent: usize) -> NodeId {
    let index = l.op(Op::Index { axis: l.axis(axis), extent }, &[]);
    l.op(Op::Cast(Cast { to: DType::F32 }), &[index])
}
/// What two computations read.
fn twice(l: &Lab, x: NodeId, f: impl Fn(NodeId) -> NodeId) -> NodeId {
    l.b.plus(f(x), s(l, Scalar::Exp, &[sum(l, x, &["row", "col"])]))
}

use Scalar::*;
const TABLE: &[Row] = &[
    ("f(1, 2) => 3", |l| l.b.times(n(l, 2.0), l.b.fill(3.0, &l.ty("row 2"))), |l| l.b.times(n(l, 2.0), x(l))),
    ("1 + x => x + 1", |l| l.b.plus(n(l, 1.0), x(l)), |l| l.b.minus(n(l, 1.0), x(l))),
    ("x * 1 => x", |l| l.b.times(x(l), n(l, 1.0)), |l| l.b.times(x(l), n(l, 1.5))),
    ("x * -1 => -x", |l| l.b.times(x(l), n(l, -1.0)), |l| l.b.times(x(l), n(l, 1.0))),
    ("x / 1 => x", |l| l.b.over(column(l), l.b.fill(1.0, &l.ty("row 4"))), |l| l.b.over(n(l, 1.0), x(l))),
    ("x + 0 => x", |l| l.b.plus(x(l), n(l, 0.0)), |l| l.b.plus(x(l), n(l, 1.0))),
    ("x - 0 => x", |l| l.b.minus(x(l), n(l, 0.0)), |l| l.b.minus(n(l, 0.0), x(l))),
    ("0 - x => -x", |l| l.b.minus(n(l, 0.0), x(l)), |l| l.b.minus(x(l), n(l, 0.0))),
    ("-(-x) => x", |l| l.b.negated(l.b.negated(x(l))), |l| l.b.negated(s(l, Abs, &[x(l)]))),
    ("x + -y => x - y", |l| l.b.plus(l.b.negated(x(l)), y(l)), |l| l.b.minus(x(l), l.b.negated(y(l)))),
    ("x - -y => x + y", |l| l.b.minus(x(l), l.b.negated(y(l))), |l| l.b.minus(l.b.negated(x(l)), y(l))),
    (
        "where(true, x, y) => x",
        |l| s(l, Where, &[l.b.fill(1.0, &Type::scalar(DType::Bool)), column(l), y(l)]),
        |l| s(l, Where, &[s(l, Less, &[x(l), n(l, 0.0)]), column(l), y(l)]),
    ),
    (
        "where(c, x, x) => x",
        |l| s(l, Where, &[s(l, Less, &[x(l), n(l, 0.0)]), column(l), column(l)]),
        |l| s(l, Where, &[s(l, Less, &[x(l), n(l, 0.0)]), column(l), y(l)]),
    ),
    (
        "view(1) => 1",
        |l| concat(l, &[l.b.fill(2.0, &l.ty("row 2")), l.b.fill(2.0, &l.ty("row 1 col 2"))], "row"),
        |l| pad_ones(l, l.b.fill(2.0, &l.ty("row 2")), "row"),
    ),
    (
        "x[a] + expand(y, a) => x + y",
        |l| l.b.plus(x(l), expand(l, expand(l, n(l, 0.5), "row", 4), "col", 3)),
        |l| l.b.times(column(l), expand(l, l.input(3, ""), "row", 4)),
    ),
    (
        "x[a] + 1[a] => x + 1",
        |l| l.b.plus(column(l), l.b.fill(1.0, &l.ty("col 3 row 2"))),
        |l| l.b.plus(column(l), l.b.fill(1.0, &l.ty("row 2"))),
    ),
    (
        "f(expand(x, a), expand(y, a)) => expand(f(x, y), a)",
        |l| l.b.times(expand(l, column(l), "row", 4), expand(l, l.input(3, ""), "row", 4)),
        |l| l.b.times(expand(l, column(l), "row", 4), x(l)),
    ),
    (
        "op(expand(x, a)) => expand(op(x), a)",
        |l| sum(l, expand(l, column(l), "row", 4), &["col"]),
        |l| sum(l, expand(l, column(l), "row", 4), &["col", "row"]),
    ),
    (
        "slice(expand(x, a), a) => expand(x, a)",
        |l| part(l, expand(l, column(l), "row", 4), "row", 1, 2),
        |l| part(l, expand(l, column(l), "row", 4), "col", 1, 2),
    ),
    (
        "flip(expand(x, a), a) => expand(x, a)",
        |l| flip(l, expand(l, column(l), "row", 4), "row"),
        |l| flip(l, expand(l, column(l), "row", 4), "col"),
    ),
    (
        "rename(expand(x, a), a -> b) => expand(rename(x), b)",
        |l| {
            let pairs = vec![(l.axis("row"), l.axis("col")), (l.axis("col"), l.axis("row"))];
            l.op(Op::Rename(Rename { pairs }), &[expand(l, column(l), "row", 4)])
        },
        |l| rename(l, expand(l, column(l), "row", 4), "col", "c"),
    ),
    (
        "sum(expand(x, a), a) => x * n",
        |l| sum(l, expand(l, column(l), "row", 4), &["col", "row"]),
        |l| sum(l, expand(l, column(l), "row", 4), &["col"]),
    ),
    ("sum(1, a) => n", |l| sum(l, l.b.fill(0.5, &l.ty("row 3 col 2")), &["row"]), |l| sum(l, x(l), &["row"])),
    (
        "dot(expand(x, a), y) => dot(x, y)",
        |l| dot(l, expand(l, column(l), "row", 4), x(l), &["row", "col"]),
        |l| dot(l, column(l), x(l), &["col"]),
    ),
    (
        "dot(1, y) => sum(y)",
        |l| dot(l, l.b.fill(2.0, &l.ty("row 4 unit 2")), x(l), &["row"]),
        |l| dot(l, l.b.fill(f64::INFINITY, &l.ty("row 4 unit 2")), x(l), &["row"]),
    ),
    (
        "rename(rename(x)) => rename(x)",
        |l| rename(l, rename(l, x(l), "row", "r"), "r", "q"),
        |l| flip(l, rename(l, x(l), "row", "r"), "r"),
    ),
    ("rename(x, a -> a) => x", |l| rename(l, x(l), "row", "row"), |l| rename(l, x(l), "row", "r")),
    (
        "flatten(x, a -> b) => rename(x)",
        |l| flatten(l, x(l), &["row"], "r"),
        |l| flatten(l, x(l), &["row", "col"], "r"),
    ),
    (
        "unflatten(x, a -> b) => rename(x)",
        |l| unflatten(l, x(l), "row", &[("r", 4)]),
        |l| unflatten(l, x(l), "row", &[("r", 4), ("q", 1)]),
    ),
    (
        "unflatten(flatten(x)) => x",
        |l| unflatten(l, flatten(l, x(l), &["row", "col"], "row"), "row", &[("r", 4), ("col", 3)]),
        |l| unflatten(l, flatten(l, x(l), &["row", "col"], "row"), "row", &[("r", 3), ("col", 4)]),
    ),
    (
        "flatten(unflatten(x)) => x",
        |l| flatten(l, unflatten(l, x(l), "row", &[("r", 2), ("q", 2)]), &["r", "q"], "z"),
        |l| flatten(l, unflatten(l, x(l), "row", &[("r", 2), ("q", 2)]), &["q", "r"], "z"),
    ),
    (
        "flip(flip(x)) => x",
        |l| flip(l, flip(l, x(l), "row"), "row"),
        |l| flip(l, flip(l, x(l), "row"), "col"),
    ),
    (
        "concat(x, concat(y, z)) => concat(x, y, z)",
        |l| concat(l, &[l.input(3, "row 2"), concat(l, &[l.input(4, "row 1 tap 2"), x(l)], "row")], "row"),
        |l| concat(l, &[l.input(3, "row 2"), concat(l, &[x(l), y(l)], "col")], "row"),
    ),
    (
        "sum(x, a: 1) => flatten(x)",
        |l| sum(l, l.input(3, "row 3 col 1 batch 1"), &["col", "batch"]),
        |l| sum(l, l.input(3, "row 3 col 1 batch 2"), &["col", "batch"]),
    ),
    (
        "windows(x, size: 1) => expand(slice(x))",
        |l| windows(l, x(l), (1, 2, 3)),
        |l| windows(l, x(l), (2, 2, 1)),
    ),
    (
        "windows(x, size: n, stride: n) => unflatten(x)",
        |l| windows(l, l.input(3, "row 7 col 2"), (3, 3, 1)),
        |l| windows(l, l.input(3, "row 7 col 2"), (2, 2, 2)),
    ),
    (
        "fold(x, size: n, stride: n) => flatten(x)",
        |l| fold(l, l.input(3, "row 3 tap 2 col 2"), 3, 1, 8),
        |l| fold(l, l.input(3, "row 3 tap 3 col 2"), 2, 1, 8),
    ),
    (
        "fold(x, size: n, stride: n) => flatten(x)",
        |l| fold(l, l.input(3, "row 3 tap 2 col 2"), 2, 1, 9),
        |l| fold(l, l.input(3, "row 3 tap 2 col 2"), 2, 2, 9),
    ),
    ("slice(x, all) => x", |l| part(l, x(l), "row", 0, 4), |l| part(l, x(l), "row", 0, 3)),
    (
        "slice(slice(x)) => slice(x)",
        |l| stepped(l, stepped(l, l.input(3, "row 12"), "row", (1, 2, 5)), "row", (1, 3, 2)),
        |l| part(l, part(l, x(l), "row", 0, 2), "col", 0, 2),
    ),
    (
        "slice(pad(x, a), a) => pad(slice(x, a), a)",
        |l| part(l, pad(l, x(l), "row", 2, 2), "row", 1, 3),
        |l| stepped(l, gaps(l, x(l), "row"), "row", (2, 2, 3)),
    ),
    (
        "slice(pad(x, a), a) => pad(slice(x, a), a)",
        |l| l.b.plus(part(l, gaps(l, x(l), "row"), "row", 2, 3), part(l, gaps(l, x(l), "row"), "row", 5, 3)),
        |l| part(l, gaps(l, x(l), "row"), "col", 1, 2),
    ),
    (
        "slice(pad(x, a: gap), a) => x",
        |l| stepped(l, gaps(l, x(l), "row"), "row", (1, 2, 3)),
        |l| stepped(l, gaps(l, x(l), "row"), "row", (0, 2, 3)),
    ),
    (
        "slice(concat(x, y; a), a) => x",
        |l| part(l, concat(l, &[x(l), l.input(3, "row 2"), y(l)], "row"), "row", 5, 3),
        |l| stepped(l, concat(l, &[x(l), y(l)], "row"), "row", (1, 2, 3)),
    ),
    (
        "slice(rename(x)) => rename(slice(x))",
        |l| part(l, rename(l, x(l), "row", "r"), "r", 1, 2),
        |l| rename(l, part(l, x(l), "row", 1, 2), "row", "r"),
    ),
    (
        "slice(flip(x, a), a) => flip(slice(x, a), a)",
        |l| stepped(l, flip(l, l.input(3, "row 9"), "row"), "row", (1, 2, 3)),
        |l| part(l, flip(l, x(l), "row"), "col", 0, 2),
    ),
    (
        "slice(flatten(x)) => flatten(slice(x))",
        |l| part(l, flatten(l, x(l), &["row", "col"], "z"), "z", 3, 6),
        |l| part(l, flatten(l, x(l), &["row", "col"], "z"), "z", 2, 6),
    ),
    (
        "slice(windows(x, a), a) => windows(slice(x, a), a)",
        |l| stepped(l, windows(l, l.input(3, "row 14 col 2"), (3, 2, 1)), "row", (1, 2, 2)),
        |l| part(l, windows(l, x(l), (2, 1, 1)), "col", 1, 2),
    ),
    (
        "slice(windows(x, a), a) => windows(slice(x, a), a)",
        |l| stepped(l, windows(l, l.input(3, "row 14 col 2"), (5, 2, 2)), "tap", (1, 2, 2)),
        |l| part(l, windows(l, x(l), (2, 1, 1)), "col", 1, 2),
    ),
    (
        "slice(op(x)) => op(slice(x))",
        |l| part(l, dot(l, x(l), l.input(3, "col 3 unit 2"), &["col"]), "row", 1, 2),
        |l| twice(l, l.b.times(x(l), column(l)), |x| part(l, x, "row", 1, 2)),
    ),
    (
        "slice(op(x)) => op(slice(x))",
        |l| part(l, windows(l, l.b.times(x(l), column(l)), (2, 1, 1)), "col", 1, 2),
        |l| part(l, windows(l, x(l), (2, 1, 1)), "tap", 0, 1),
    ),
    ("pad(x, 0) => x", |l| pad(l, x(l), "row", 0, 0), |l| pad(l, x(l), "row", 0, 1)),
    (
        "pad(pad(x, a), a) => pad(x, a)",
        |l| pad(l, gaps(l, x(l), "row"), "row", 1, 2),
        |l| pad_ones(l, pad(l, x(l), "row", 1, 2), "row"),
    ),
    (
        "pad(windows(x, a), b) => windows(pad(x, b), a)",
        |l| pad_ones(l, windows(l, x(l), (2, 1, 1)), "col"),
        |l| pad_ones(l, windows(l, x(l), (2, 1, 1)), "tap"),
    ),
    (
        "concat(windows(x), windows(y)) => windows(concat(x, y))",
        |l| {
            concat(l, &[windows(l, x(l), (2, 1, 1)), windows(l, l.input(3, "row 4 col 1"), (2, 1, 1))], "col")
        },
        |l| {
            concat(l, &[windows(l, x(l), (2, 1, 1)), windows(l, l.input(3, "row 5 col 3"), (2, 1, 2))], "tap")
        },
    ),
    (
        "pad(x, a) + pad(y, a) => concat(x, y; a)",
        |l| {
            let sum = l.b.plus(pad(l, x(l), "row", 6, 1), l.b.times(n(l, 2.0), l.input(3, "row 11 col 3")));
            l.b.plus(sum, pad(l, y(l), "row", 1, 6))
        },
        |l| l.b.plus(pad(l, x(l), "row", 3, 1), pad(l, y(l), "row", 1, 3)),
    ),
    (
        "sum(pad(x, a), a) => sum(x, a)",
        |l| sum(l, pad(l, x(l), "row", 1, 2), &["row"]),
        |l| max(l, pad(l, x(l), "row", 1, 2), "row"),
    ),
    (
        "sum(pad(x, a), a) => sum(x, a)",
        |l| sum(l, gaps(l, x(l), "row"), &["col"]),
        |l| sum(l, pad_ones(l, x(l), "row"), &["col"]),
    ),
    (
        "dot(pad(x, a), y; a) => dot(x, slice(y, a); a)",
        |l| dot(l, l.input(3, "row 10 unit 2"), gaps(l, x(l), "row"), &["row"]),
        |l| dot(l, l.input(3, "row 6 unit 2"), pad_ones(l, x(l), "row"), &["row"]),
    ),
    (
        "dot(pad(x, a), y; a) => dot(x, slice(y, a); a)",
        |l| dot(l, l.input(3, "row 7 col 3"), pad(l, x(l), "row", 1, 2), &["col"]),
        |l| dot(l, l.input(3, "row 6 col 3"), pad_ones(l, x(l), "row"), &["col"]),
    ),
    (
        "sum(concat(x, y; a), a) => sum(x, a) + sum(y, a)",
        |l| sum(l, concat(l, &[x(l), l.input(3, "row 2")], "row"), &["row", "col"]),
        |l| sum(l, concat(l, &[x(l), l.input(3, "row 2")], "row"), &["col"]),
    ),
    (
        "sum(sum(x)) => sum(x)",
        |l| sum(l, sum(l, x(l), &["row"]), &["col"]),
        |l| max(l, sum(l, x(l), &["row"]), "col"),
    ),
    (
        "sum(x * y) => dot(x, y)",
        |l| sum(l, l.b.times(x(l), l.input(3, "row 4 unit 2 tap 2")), &["row", "tap"]),
        |l| sum(l, l.b.times(x(l), y(l)), &["row"]),
    ),
    (
        "fold(dot(x, w)) => dot(windows(pad(x)), flip(w))",
        |l| fold(l, dot(l, x(l), l.input(3, "col 3 tap 3 unit 2"), &["col"]), 2, 3, 15),
        |l| fold(l, l.b.times(l.input(3, "col 3 tap 3"), x(l)), 1, 2, 8),
    ),
    (
        "fold(dot(x, w)) => dot(windows(pad(x)), flip(w))",
        |l| fold(l, dot(l, x(l), l.input(3, "col 3 tap 5 unit 2"), &["col"]), 2, 1, 13),
        |l| fold(l, dot(l, l.input(4, "row 4 col 3 tap 3"), l.input(3, "col 3 unit 2"), &["col"]), 1, 1, 6),
    ),
    (
        "fold(x * w) => dot(windows(pad(x)), flip(w))",
        |l| fold(l, l.b.times(l.input(3, "col 3 tap 3"), x(l)), 1, 2, 8),
        |l| fold(l, l.b.plus(l.input(3, "col 3 tap 3"), x(l)), 1, 2, 8),
    ),
    (
        "fold(view(dot(x, w)), a) => view(fold(dot(x, w), a))",
        |l| {
            let d = dot(l, l.input(4, "row 4 col 3 batch 4"), l.input(3, "col 3 tap 3"), &["col"]);
            fold(l, pad(l, part(l, d, "batch", 1, 2), "batch", 1, 0), 2, 3, 15)
        },
        |l| fold(l, part(l, l.input(4, "row 4 tap 3 batch 4"), "batch", 1, 2), 2, 3, 15),
    ),
    (
        "fold(expand(x, tap)) => sum(windows(pad(x)), tap)",
        |l| fold(l, expand(l, x(l), "tap", 2), 3, 1, 11),
        |l| fold(l, expand(l, l.input(3, "row 4 tap 2"), "unit", 2), 3, 1, 11),
    ),
    (
        "f(index, ...) => table",
        |l| s(l, Exp, &[l.b.times(ramp(l, "row", 5), n(l, 0.25))]),
        |l| l.b.times(ramp(l, "row", 5), n(l, 0.25)),
    ),
    (
        "f(index, ...) => table",
        |l| {
            let wave = s(l, Sin, &[ramp(l, "row", 5)]);
            part(l, flip(l, l.b.plus(wave, ramp(l, "col", 2)), "row"), "row", 1, 2)
        },
        |l| {
            let step = l.b.fill(2.0, &Type::scalar(DType::I32));
            l.op(Op::Random(Random { site: 3, ty: l.ty("row 4") }), &[step])
        },
    ),
];

#[test]
fn each_rule_fires_and_nearly_fires() {
    for (name, fires, misses) in TABLE {
        let rule = rules().find(|r| r.name == *name).unwrap_or_else(|| panic!("there is no rule `{name}`"));
        let lab = Lab::new();
        let before = lab.finish(&[fires(&lab)]);
        let after = simplify_with(&lab.axes, &before, rule);
        check(&after, &lab, name);
        assert_ne!(before, after, "`{name}` fires on\n{}", before.dump(&lab.axes.borrow()));
        assert_same_values(&before, &after, name);
        assert_same_values(&before, &simplify(&lab.axes, &before), name);

        let lab = Lab::new();
        let before = lab.finish(&[misses(&lab)]);
        let before = stmc_passes::rebuild::drop_dead(&lab.axes, &before);
        let after = simplify_with(&lab.axes, &before, rule);
        assert_eq!(before, after, "`{name}` must not fire on\n{}", before.dump(&lab.axes.borrow()));
    }
}

#[test]
fn every_rule_is_in_the_table() {
    for rule in rules() {
        assert!(TABLE.iter().any(|row| row.0 == rule.name), "no test for `{}`", rule.name);
    }
}

#[test]
fn what_is_cut_off_by_all_readers_is_not_computed() {
    let extents = |second: usize| {
        let l = Lab::new();
        let d = dot(&l, x(&l), l.input(3, "col 3 unit 4"), &["col"]);
        let a = part(&l, part(&l, d, "unit", 0, 2), "row", 1, 2);
        let b = part(&l, part(&l, d, "unit", 2, 2), "row", second, 2);
        let before = l.finish(&[l.b.times(tanh(&l, a), b)]);
        let after = simplify(&l.axes, &before);
        assert_same_values(&before, &after, "cut");
        let dots: Vec<usize> = after.nodes.iter().filter(|n| is_dot(&n.op)).map(|n| n.ty.len()).collect();
        dots
    };
    assert_eq!(extents(1), [2 * 4]);
    assert_eq!(extents(0), [3 * 4]);
    assert_eq!(extents(2), [3 * 4]);
}

/// A node of random kind over what there is; `None` if it does not fit.
fn random_node(l: &Lab, draws: &mut Draws, nodes: &[NodeId]) -> Option<NodeId> {
    let x = nodes[draws.below(nodes.len())];
    let y = nodes[draws.below(nodes.len())];
    let dims = l.b.ty(x).dims().to_vec();
    if dims.is_empty() {
        return l.b.add(Op::Scalar(Scalar::Add), &[x, y]).ok();
    }
    let Dim { axis, extent } = dims[draws.below(dims.len())];
    let fresh = l.axis(["row", "col", "batch", "unit", "tap"][draws.below(5)]);
    let op = match draws.below(20) {
        0 => Op::Expand(Expand { axis: fresh, extent: 2 + draws.below(2) }),
        1 => Op::Rename(Rename::one(axis, fresh)),
        2 => Op::Flip(Flip { axis }),
        3 | 4 => {
            let (start, step) = (draws.below(2), 1 + draws.below(2));
            Op::Slice(Slice { axis, start, step, len: 1 + draws.below(extent) })
        }
        5 | 6 => {
            let (low, high, gap) = (draws.below(3), draws.below(3), draws.below(2));
            Op::Pad(Pad { axis, low, high, gap, fill: [0, 1.0f32.to_bits()][draws.below(2)] })
        }
        7 | 8 => {
            let (size, stride, dilation) = (1 + draws.below(3), 1 + draws.below(2), 1 + draws.below(2));
            Op::Windows(Windows { axis, tap: fresh, size, stride, dilation })
        }
        9 if axis != fresh => {
            let (stride, dilation) = (1 + draws.below(2), 1 + draws.below(2));
            Op::Fold(Fold { axis, tap: fresh, stride, dilation, extent: 9 })
        }
        10 if axis != fresh => Op::Flatten(Flatten { axes: vec![axis, fresh], into: axis }),
        11 => {
            let into = vec![Dim { axis, extent: extent / 2 }, Dim { axis: fresh, extent: 2 }];
            Op::Unflatten(Unflatten { axis, into })
        }
        12 => Op::Reduce(Reduce::new(Reduction::Sum, &[axis])),
        13 => Op::Reduce(Reduce::new(Reduction::Max, &[axis])),
        14 => return l.b.add(Op::Concat(Concat { axis }), &[x, y]).ok(),
        15 | 16 => return l.b.add(Op::Dot(Dot::new(&[axis])), &[x, y]).ok(),
        17 => return l.b.add(Op::Scalar(Scalar::Add), &[x, y]).ok(),
        18 => return l.b.add(Op::Scalar(Scalar::Mul), &[x, y]).ok(),
        _ => Op::Scalar(Scalar::Tanh),
    };
    l.b.add(op, &[x]).ok()
}

#[test]
fn random_graphs_keep_their_values() {
    for seed in 0..500 {
        let lab = Lab::new();
        let mut draws = Draws(seed);
        let mut nodes = vec![lab.input(0, "row 4 col 3"), lab.input(1, "row 4"), lab.input(2, "col 3 tap 2")];
        nodes.push(lab.b.number(1.0));
        nodes.push(lab.b.fill(0.5, &lab.ty("row 4 col 3")));
        nodes.push(ramp(&lab, "row", 4));
        while nodes.len() < 26 {
            if let Some(node) = random_node(&lab, &mut draws, &nodes)
                && lab.b.ty(node).len() < 2000
            {
                nodes.push(node);
            }
        }
        let outputs = [nodes[25], nodes[24], nodes[20]];
        let before = lab.finish(&outputs);
        let after = simplify(&lab.axes, &before);
        check(&after, &lab, "simplify");
        assert_same_values(&before, &after, &format!("seed {seed}\n{}", before.dump(&lab.axes.borrow())));
    }
}
