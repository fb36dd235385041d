//! Built-in functions that are made of many ops, on every device: values and gradients as the interpreter of graphs has them.
use std::cell::RefCell;
use std::rc::Rc;
use stmc_ir::interpret::Value;
use stmc_ir::{Builder, DType, NodeId, Type};
use stmc_tests::agree::{Case, SUM, check};
use stmc_tests::lab::{Draws, Lab};

/// On `x: [row: 7, col: 5]`, `z: [time: 70]`, `many: [time: 70, row: 7]` and the integers `i: [time: 70]`.
const EXPRESSIONS: &[(&str, &str)] = &[
    ("argmax(x, over: col)", "row"),
    ("argmax(x, over: (col, row))", ""),
    ("argmax(i, over: time)", ""),
    ("cumsum(x, over: row)", "row, col"),
    ("cumsum(many * z, over: time)", "time, row"),
    ("cumsum(i, over: time)", "time"),
    ("sort(x, over: col)", "row, col"),
    ("sort(z, over: time)", "time"),
    ("sort(expand(many, col: 5) + x, over: row)", "time, row, col"),
    ("sort(i, over: time)", "time"),
    ("quantile(x, 0.3, over: row)", "col"),
    ("quantile(z, tensor([0, 0.1, 0.5, 0.99, 1], along: key), over: time)", "key: _"),
    ("quantile(many, z / 4, over: row)", "time"),
    ("quantile(many * 1e-20, 0.7, over: (row, time))", ""),
    ("interpolate(x, over: (row, col), at: [3 * z, z + 2], outside: \"zero\")", "time"),
    ("interpolate(x, over: (row, col), at: [3 * z, z + 2], outside: \"clamp\")", "time"),
    ("interpolate(x, over: (col, row), at: [3 * many, z], outside: \"wrap\")", "time, row"),
    ("interpolate(many, over: time, at: 5 * x, outside: \"clamp\")", "row, col"),
    ("x[row: i]", "time, col"),
    ("many[time: i]", "time, row"),
    ("one_hot(i, key: 4) * z", "time, key: _"),
    ("mod(z, 0.75) + div(z, 0.75)", "time"),
    ("atan2(many, z)", "time, row"),
    ("abs(z) ^ 1.7", "time"),
];

fn case((expression, axes): &(&str, &str), whole: bool) -> Case {
    let text = format!(
        "axis key\nmodel Net(x: f32[row: 7, col: 5], z: f32[time: 70], many: f32[time: 70, row: 7], i: i32[time: 70])\n    -> {{ y: _[{axes}] }} {{\n    {{ y: {expression} }}\n}}\n"
    );
    // An integer result has an integer type.
    let name = format!("stmc-builtins-{}-{}.stm", std::process::id(), expression.len());
    let path = std::env::temp_dir().join(name);
    let dtype = if ["argmax", "cumsum(i", "sort(i"].iter().any(|s| expression.starts_with(s)) {
        "i32"
    } else {
        "f32"
    };
    std::fs::write(&path, text.replace("_[", &format!("{dtype}[")))
        .expect("the temporary folder can be written");
    let checked = stmc::check_file(&path, &stmc::Options::default());
    std::fs::remove_file(&path).expect("it was written");
    let module = checked.unwrap_or_else(|error| panic!("{expression}: {error}")).module;
    let graph = &module.entry("predict").expect("a model predicts").graph;
    let axes = Rc::new(RefCell::new(module.axes.clone()));
    let lab = Lab { b: Builder::new(axes.clone()), axes };
    let types: Vec<Type> = graph.inputs().into_iter().map(|i| i.1).collect();
    let mut given = vec![NodeId(0); graph.inputs().last().map_or(0, |i| i.0 + 1)];
    for (n, (index, ty)) in graph.inputs().into_iter().enumerate() {
        given[index] = lab.b.input(n, ty);
    }
    let map = lab.b.inline(graph, &given);
    Case {
        name: format!("{expression}{}", if whole { ", halves" } else { "" }),
        outputs: graph.outputs.iter().map(|o| map[o.index()]).collect(),
        inputs: types.iter().enumerate().map(|(n, ty)| numbers(n, ty, whole)).collect(),
        lab,
        tolerance: SUM,
        gradients: Some(SUM),
    }
}

/// Numbers of both signs; `halves` are often equal.
fn numbers(n: usize, ty: &Type, halves: bool) -> Value {
    let mut draws = Draws(n as u64 + 5);
    Value::build(ty, |_| {
        let x = draws.between(-2.5, 4.5);
        match ty.dtype {
            DType::F32 if !halves => f64::from(x as f32),
            DType::F32 => (2.0 * x).round() / 2.0,
            _ => x.round(),
        }
    })
}

#[test]
fn they_agree_with_the_interpreter() {
    let cases: Vec<Case> =
        EXPRESSIONS.iter().flat_map(|e| [false, true].map(|halves| case(e, halves))).collect();
    check(&cases);
}
