//! Built-in functions on `x = [1, 2, 3, 4]` along `time` and `m = [[1, 2, 3], [4, 5, 6]]` along `row, col`.
use crate::common::{Numbers, assert_close, module, run};
use stmc_model::Request;

/// The expression, the axes of its value, and its elements.
const CASES: &[(&str, &str, &[f64])] = &[
    ("x[time: 1 .. 3]", "time: _", &[2.0, 3.0]),
    ("x[time: -1]", "", &[4.0]),
    ("x[time: .. -2]", "time: _", &[1.0, 2.0]),
    ("x[time: i32(4 - x)]", "time: _", &[4.0, 3.0, 2.0, 1.0]),
    ("x + x[time: 0]", "time", &[2.0, 3.0, 4.0, 5.0]),
    ("x ^ 2 - 2 * x", "time", &[-1.0, 0.0, 3.0, 8.0]),
    ("x ^ 3", "time", &[1.0, 8.0, 27.0, 64.0]),
    ("x ^ 0.5", "time", &[1.0, std::f64::consts::SQRT_2, 1.7320508075688772, 2.0]),
    ("2 ^ x", "time", &[2.0, 4.0, 8.0, 16.0]),
    ("x ^ -1", "time", &[1.0, 0.5, 1.0 / 3.0, 0.25]),
    ("where(x > 2, x, 0 - x)", "time", &[-1.0, -2.0, 3.0, 4.0]),
    ("max(x, 2.5) + min(x, 2)", "time", &[3.5, 4.5, 5.0, 6.0]),
    ("f32(x != 3 and not (x < 2))", "time", &[0.0, 1.0, 0.0, 1.0]),
    ("f32(index(time: 4)) / 2", "time", &[0.0, 0.5, 1.0, 1.5]),
    ("f32(mod(index(time: 4) + 1, 3))", "time", &[1.0, 2.0, 0.0, 1.0]),
    ("f32(div(index(time: 4), 2))", "time", &[0.0, 0.0, 1.0, 1.0]),
    ("tensor([5, 6, 7, 8.5], along: time)", "time", &[5.0, 6.0, 7.0, 8.5]),
    ("flip(x, along: time)", "time", &[4.0, 3.0, 2.0, 1.0]),
    ("shift(x, time: 1)", "time", &[0.0, 1.0, 2.0, 3.0]),
    ("shift(x, time: -2)", "time", &[3.0, 4.0, 0.0, 0.0]),
    ("pad(x, time: 1)", "time: _", &[0.0, 1.0, 2.0, 3.0, 4.0, 0.0]),
    ("pad(x, time: (0, 2), mode: \"replicate\")", "time: _", &[1.0, 2.0, 3.0, 4.0, 4.0, 4.0]),
    ("pad(x, time: 2, mode: \"reflect\")", "time: _", &[3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0]),
    ("pad(x, time: 1, mode: \"wrap\")", "time: _", &[4.0, 1.0, 2.0, 3.0, 4.0, 1.0]),
    ("concat(x, x[time: 0 .. 1], along: time)", "time: _", &[1.0, 2.0, 3.0, 4.0, 1.0]),
    ("stack(x[time: 0], x[time: 3], along: channel)", "channel: _", &[1.0, 4.0]),
    ("split(x, time, 2).1", "time: _", &[3.0, 4.0]),
    ("split(x, time, [1, 3]).1", "time: _", &[2.0, 3.0, 4.0]),
    ("sum(x, over: time)", "", &[10.0]),
    ("mean(x, over: time)", "", &[2.5]),
    ("mean(x, over: time, weight: f32(x > 2))", "", &[3.5]),
    ("mean(x, over: time, weight: f32(x > 9))", "", &[0.0]),
    ("max(x, over: time) - min(x, over: time)", "", &[3.0]),
    ("f32(any(x > 3, over: time)) + f32(all(x > 3, over: time))", "", &[1.0]),
    ("count(x, over: time)", "", &[4.0]),
    ("f32(sum(x > 1, over: time))", "", &[3.0]),
    ("windows(x, over: time, size: 3, pad: 1)[tap(time): 0]", "time", &[0.0, 1.0, 2.0, 3.0]),
    ("sum(windows(x, over: time, size: 2, stride: 2), over: tap(time))", "time: _", &[3.0, 7.0]),
    ("sum(windows(x, over: time, size: 2, dilation: 3), over: tap(time))", "time: _", &[5.0]),
    ("fold(windows(x, over: time, size: 2), over: time)", "time", &[1.0, 4.0, 6.0, 4.0]),
    ("unflatten(x, time -> (time: 2, row))[row: 1]", "time: _", &[2.0, 4.0]),
    ("flatten(m, (row, col) -> col)", "col: _", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ("flatten(m, (col, row) -> col)", "col: _", &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
    ("dot(m, m, over: col)", "row", &[14.0, 77.0]),
    ("dot(m, m |> rename(row -> key), over: col)", "row, key: _", &[14.0, 32.0, 32.0, 77.0]),
    ("expand(x[time: 0], row: 2)", "row", &[1.0, 1.0]),
    ("one_hot(i32(x[time: 1]), channel: 4)", "channel: _", &[0.0, 0.0, 1.0, 0.0]),
    ("squeeze(unsqueeze(x, channel), channel)", "time", &[1.0, 2.0, 3.0, 4.0]),
    ("zeros(like: x) + size(m, over: (row, col)) + x.time", "time", &[10.0, 10.0, 10.0, 10.0]),
    ("log10(x * 100)[time: 0] + radians(180 * x)[time: 0] / pi", "", &[3.0]),
    ("round(x / 4) + floor(x / 4) + sign(x - 2) + abs(x - 3)", "time", &[1.0, 1.0, 2.0, 4.0]),
    ("stop_gradient(x)", "time", &[1.0, 2.0, 3.0, 4.0]),
    ("scan now in x along time { carry s = 0; s' = s + now; yield s' }", "time", &[1.0, 3.0, 6.0, 10.0]),
    ("(scan now in x along time { carry s = 0; s' = s + now; yield s' }).s", "", &[10.0]),
    ("scan along time: 3 at t { yield x[time: t] * 2 }", "time: _", &[2.0, 4.0, 6.0]),
    ("(for i in 0 .. 4 { carry s = 0; s' = s + i * x[time: i] }).s", "", &[20.0]),
    ("(for i in [2, 3] { yield x * i }).1", "time", &[3.0, 6.0, 9.0, 12.0]),
    ("[for i in 0 .. 3 => x * i][-1]", "time", &[2.0, 4.0, 6.0, 8.0]),
    ("[x * 9 if x.time > 9, x * 2].0", "time", &[2.0, 4.0, 6.0, 8.0]),
    ("f32(argmax(x, over: time))", "", &[3.0]),
    ("f32(argmax(-m, over: col))", "row", &[0.0, 0.0]),
    ("f32(argmax(0 * x, over: time))", "", &[0.0]),
    ("f32(argmax(-abs(m - 4), over: (row, col)))", "", &[3.0]),
    ("f32(argmax(-abs(m - 4), over: (col, row)))", "", &[1.0]),
    ("f32(argmax(i32(x) * i32(4 - x), over: time))", "", &[1.0]),
    ("cumsum(x, over: time)", "time", &[1.0, 3.0, 6.0, 10.0]),
    ("f32(cumsum(x > 2, over: time))", "time", &[0.0, 0.0, 1.0, 2.0]),
    (
        "f32(cumsum(index(time: 20), over: time))[time: 15 ..]",
        "time: _",
        &[120.0, 136.0, 153.0, 171.0, 190.0],
    ),
    ("cumsum(m, over: row)", "row, col", &[1.0, 2.0, 3.0, 5.0, 7.0, 9.0]),
    ("sort(-x, over: time)", "time", &[-4.0, -3.0, -2.0, -1.0]),
    ("sort(mod(3 * x, 5), over: time)", "time", &[1.0, 2.0, 3.0, 4.0]),
    ("sort(abs(m - 4), over: col)", "row, col", &[1.0, 2.0, 3.0, 0.0, 1.0, 2.0]),
    ("f32(sort(i32(5 - x), over: time))", "time", &[1.0, 2.0, 3.0, 4.0]),
    ("sort(x[time: 0 .. 1], over: time)", "time: _", &[1.0]),
    ("quantile(x, 0.5, over: time)", "", &[2.5]),
    ("quantile(x, 0, over: time) + quantile(x, 1, over: time)", "", &[5.0]),
    ("quantile(-m, 0.25, over: col)", "row", &[-2.5, -5.5]),
    ("quantile(abs(m - 3), 0.5, over: (row, col))", "", &[1.5]),
    ("quantile(x, tensor([0.125, 0.875], along: key), over: time)", "key: _", &[1.375, 3.625]),
    ("quantile(m, x / 4, over: row)[col: 0]", "time", &[1.75, 2.5, 3.25, 4.0]),
    ("interpolate(x, over: time, at: x[time: 0 .. 2] - 0.5, outside: \"clamp\")", "time: _", &[1.5, 2.5]),
    ("interpolate(x, over: time, at: 2.25, outside: \"zero\")", "", &[3.25]),
    (
        "interpolate(x, over: time, at: [-0.5 + 4 * (x - 1)], outside: \"zero\")",
        "time",
        &[0.5, 2.0, 0.0, 0.0],
    ),
    (
        "interpolate(x, over: time, at: [-0.5 + 4 * (x - 1)], outside: \"clamp\")",
        "time",
        &[1.0, 4.0, 4.0, 4.0],
    ),
    (
        "interpolate(x, over: time, at: [-0.5 + 4 * (x - 1)], outside: \"wrap\")",
        "time",
        &[2.5, 2.5, 2.5, 2.5],
    ),
    ("interpolate(m, over: (row, col), at: [0.5, x / 2], outside: \"clamp\")", "time", &[3.0, 3.5, 4.0, 4.5]),
    (
        "interpolate(m, over: (col, row), at: [x / 2, 0.5], outside: { col: \"zero\", row: \"clamp\" })",
        "time",
        &[3.0, 3.5, 4.0, 4.5],
    ),
    ("x ^ 1.5", "time", &[1.0, 2.8284271247461903, 5.196152422706632, 8.0]),
    ("x ^ (x - 2)", "time", &[1.0, 1.0, 3.0, 16.0]),
    ("x ^ 0", "time", &[1.0, 1.0, 1.0, 1.0]),
    ("atan2(x - 2, 2 - x) / pi * 4", "time", &[-1.0, 0.0, 3.0, 3.0]),
    ("mod(x - 2.5, 2) + div(x, 1.5)", "time", &[0.5, 2.5, 2.5, 3.5]),
    ("f32((x > 2) == (x < 4)) + f32(bool(x - 1) != true)", "time", &[1.0, 0.0, 1.0, 0.0]),
    ("f32(index(time: 4) >= 2)", "time", &[0.0, 0.0, 1.0, 1.0]),
    ("x[time: i32(m) - 2]", "row, col", &[1.0, 1.0, 2.0, 3.0, 4.0, 4.0]),
    (
        "windows(m, over: (row, col), size: { row: 1, col: 2 }, stride: { row: 1, col: 1 })[tap(row): 0, tap(col): 1]",
        "row, col: _",
        &[2.0, 3.0, 5.0, 6.0],
    ),
    (
        "fold(windows(x, over: time, size: 2, stride: 2), over: time, stride: 2, extra: 1)",
        "time: _",
        &[1.0, 2.0, 3.0, 4.0, 0.0],
    ),
    (
        "pad(m, row: (1, 0), col: (0, 1), mode: \"replicate\")",
        "row: _, col: _",
        &[1.0, 2.0, 3.0, 3.0, 1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 6.0, 6.0],
    ),
    ("{ let y = x * 2; y + y }", "time", &[4.0, 8.0, 12.0, 16.0]),
    ("x |> [abs, sqrt]", "time", &[1.0, std::f64::consts::SQRT_2, 1.7320508075688772, 2.0]),
];

#[test]
fn built_in_functions_have_their_values() {
    for (expression, axes, expected) in CASES {
        let program = format!(
            "axis key\nmodel Net(x: f32[time: 4], m: f32[row: 2, col: 3]) -> {{ y: f32[{axes}] }} {{\n    {{ y: {expression} }}\n}}\n"
        );
        let module = module(&program, Request::Train);
        let given = Numbers::from([
            ("x".to_string(), vec![1.0, 2.0, 3.0, 4.0]),
            ("m".to_string(), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ]);
        assert_close(expression, &run(&module, "predict", &given)["y"], expected);
    }
}

/// Statics and their values, as assertions of a file.
const FACTS: &[&str] = &[
    "7 / 2 == 3.5",
    "6 / 2 == 3",
    "div(7, 2) == 3 and mod(-1, 5) == 4",
    "2 ^ 10 == 1_024",
    "max(2, 3) == 3 and min([4, 2, 3]) == 2",
    "sum([for i in 0 .. 5 => i]) == 10",
    "len([1, 2]) == 2",
    "[1, 2] == [1, 2]",
    "2 in [1, 2] and not (3 in [1, 2])",
    "\"a\" != \"b\"",
    "(if 1 < 2 then 5 else 6) == 5",
    "20% == 0.2",
    "floor(2.7) == 2 and round(2.5) == 2",
    "abs(-3) == 3",
    "{ a: 1, b: 2 }.b == 2",
];

#[test]
fn statics_are_computed() {
    let asserts: String = FACTS.iter().map(|f| format!("assert {f}\n")).collect();
    module(
        &format!("{asserts}model Net(x: f32[time: 4]) -> {{ y: f32[time] }} {{ {{ y: x }} }}\n"),
        Request::Train,
    );
}
