//! Periodic axes: what lies beyond an end is the other end, as long as all of the axis is there.
//! `x = [1, 2, 3, 4, 5, 6]` along `lon`.
use crate::common::{Numbers, assert_close, module, run};
use stmc_model::Request;

/// The expression, the axes of its value, and its elements.
const CASES: &[(&str, &str, &[f64])] = &[
    ("shift(x, lon: 1)", "lon", &[6.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
    ("shift(x, lon: -8)", "lon", &[3.0, 4.0, 5.0, 6.0, 1.0, 2.0]),
    ("pad(x, lon: (1, 2))", "lon: _", &[6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0]),
    ("pad(x, lon: 1, mode: \"zero\")", "lon: _", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0]),
    ("pad(x, lon: 1, mode: \"replicate\")", "lon: _", &[1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0]),
    ("pad(x, lon: 6)[lon: 0 .. 6] + pad(x, lon: 6)[lon: -6 ..]", "lon", &[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]),
    (
        "sum(windows(x, over: lon, size: 3, pad: 1), over: tap(lon))",
        "lon",
        &[9.0, 6.0, 9.0, 12.0, 15.0, 12.0],
    ),
    // It stays periodic: once more around.
    (
        "shift(sum(windows(x, over: lon, size: 3, pad: 1), over: tap(lon)), lon: 1)",
        "lon",
        &[12.0, 9.0, 6.0, 9.0, 12.0, 15.0],
    ),
    ("shift(x ^ 2 + f32(index(lon: 6)), lon: 1)", "lon", &[41.0, 1.0, 5.0, 11.0, 19.0, 29.0]),
    (
        "shift(max(windows(x, over: lon, size: 2, stride: 2), over: tap(lon)), lon: 1)",
        "lon: _",
        &[6.0, 2.0, 4.0],
    ),
    ("shift(flip(x, along: lon), lon: 1)", "lon", &[1.0, 6.0, 5.0, 4.0, 3.0, 2.0]),
    ("shift(x |> rename(lon -> col), col: 1)", "col: _", &[6.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
    ("shift(x[lon: 0 ..], lon: 1)", "lon", &[6.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
    (
        "shift(zeros(like: x) + stack(x, x, along: time)[time: 0], lon: 1)",
        "lon",
        &[6.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    ),
    // A part has two ends, and so has what windows leave that do not go around.
    ("shift(x[lon: 0 .. 3], lon: 1)", "lon: _", &[0.0, 1.0, 2.0]),
    ("shift(pad(x, lon: 1), lon: 1)", "lon: _", &[0.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ("shift(sum(windows(x, over: lon, size: 3), over: tap(lon)), lon: 1)", "lon: _", &[0.0, 6.0, 9.0, 12.0]),
    ("shift(unflatten(x, lon -> (lon: 3, col: 2))[col: 0], lon: 1)", "lon: _", &[0.0, 1.0, 3.0]),
    ("pad(pad(x, lon: 1), lon: 1)", "lon: _", &[0.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 0.0]),
    // The adjoint: what goes out at one end comes in at the other.
    (
        "fold(windows(x, over: lon, size: 3, pad: 1), over: lon, pad: 1)",
        "lon",
        &[3.0, 6.0, 9.0, 12.0, 15.0, 18.0],
    ),
    (
        "shift(fold(windows(x, over: lon, size: 4, stride: 2, pad: 1), over: lon, stride: 2, pad: 1), lon: 1)",
        "lon",
        &[12.0, 2.0, 4.0, 6.0, 8.0, 10.0],
    ),
    // In a scan: slices, carries and what is yielded.
    (
        "shift(scan now in stack(x, 2 * x, along: time) along time { carry h = 0; h' = shift(h + now, lon: 1); yield h' }, lon: -1)[time: -1]",
        "lon",
        &[8.0, 5.0, 8.0, 11.0, 14.0, 17.0],
    ),
    (
        "(scan now in stack(x, 2 * x, along: time) along time { carry h: [lon] = 0; h' = shift(h, lon: 1) + now }).h",
        "lon",
        &[8.0, 5.0, 8.0, 11.0, 14.0, 17.0],
    ),
    // In a layer, under the name that it gives the axis.
    ("x |> Around(over: lon)", "lon", &[6.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
];

fn program(value: &str, axes: &str) -> String {
    format!(
        "axis lon periodic
layer Around(over: axis = lon) (x: [over]) -> [over] {{ shift(x, over: 1) }}
model Test(x: f32[lon: 6]) -> {{ y: f32[{axes}] }} {{ {{ y: {value} }} }}
"
    )
}

#[test]
fn values() {
    let given = Numbers::from([("x".to_string(), (1..7).map(f64::from).collect())]);
    for (value, axes, expected) in CASES {
        let module = module(&program(value, axes), Request::Train);
        assert_close(value, &run(&module, "predict", &given)["y"], expected);
    }
}

/// A patch of a periodic axis has two ends; all of it has none.
#[test]
fn samples() {
    let text = |part: &str| {
        format!(
            "// data: sst time=9 lat=3 lon=6
axis lon periodic
data ocean {{
    from \"sst.npz\"
    field sst: f32[time, lat, lon]
    sample at t in time, j in lon step 3 {{ x: {part} }}
    split {{ train: time < 5, test: rest }}
}}
model Test(x: f32[lat, lon]) -> {{ y: f32[lat, lon: _] }} {{ {{ y: pad(x, lon: 1) }} }}
"
        )
    };
    for (part, first) in [("sst[time: t]", 6.0), ("sst[time: t, lon: j .. j + 3]", 0.0)] {
        let module = module(&text(part), Request::Train);
        let extent = if first == 0.0 { 3 } else { 6 };
        let row = (1..=extent).map(f64::from);
        let given = Numbers::from([("x".to_string(), row.clone().chain(row.clone()).chain(row).collect())]);
        let y = run(&module, "predict", &given)["y"].clone();
        assert_eq!((y.len(), y[0], y[1]), (3 * (extent as usize + 2), first, 1.0), "{part}");
    }
}
