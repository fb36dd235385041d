//! Layers of the library against their formulas, written out in loops.
use crate::common::{Numbers, assert_close, module, pattern, run};
use stmc_ir::Module;
use stmc_model::Request;

/// A model of one layer on `x`, and of the declarations before it.
fn network(uses: &str, input: &str, body: &str, output: &str) -> Module {
    let program = format!(
        "{uses}\naxes space = (row, col)\nmodel Net(x: f32[{input}]) -> {{ y: f32[{output}] }} {{\n{body}\n}}\n"
    );
    module(&program, Request::Train)
}

fn on(module: &Module, x: Vec<f64>) -> Vec<f64> {
    run(module, "predict", &Numbers::from([("x".to_string(), x)])).remove("y").expect("the output")
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn linear() {
    let net = network(
        "use std.nn.Linear",
        "time: 2, channel: 3",
        "lin = Linear(2)\n{ y: x |> lin }",
        "time, channel: 2",
    );
    let (x, w, b) = (pattern(6), pattern(6), pattern(2));
    let mut y = vec![];
    for t in 0..2 {
        for o in 0..2 {
            y.push(b[o] + (0..3).map(|i| w[o * 3 + i] * x[t * 3 + i]).sum::<f64>());
        }
    }
    assert_close("linear", &on(&net, x), &y);
}

/// A convolution in torch's layout: `w` is [out, in / groups, k, k], `x` is [in, n, n].
#[allow(clippy::too_many_arguments)] // The settings of a convolution.
fn conv(
    x: &[f64],
    w: &[f64],
    b: &[f64],
    channels: usize,
    n: usize,
    k: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    groups: usize,
) -> Vec<f64> {
    let size = (n + 2 * pad - dilation * (k - 1) - 1) / stride + 1;
    let (each, out) = (channels / groups, b.len());
    let mut y = vec![];
    for o in 0..out {
        let first = o / (out / groups) * each;
        for i in 0..size {
            for j in 0..size {
                let mut sum = b[o];
                for c in 0..each {
                    for u in 0..k {
                        for v in 0..k {
                            let (r, s) = (i * stride + u * dilation, j * stride + v * dilation);
                            if (pad..n + pad).contains(&r) && (pad..n + pad).contains(&s) {
                                let at = ((first + c) * n + r - pad) * n + s - pad;
                                sum += w[((o * each + c) * k + u) * k + v] * x[at];
                            }
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn convolutions() {
    // out, kernel, stride, dilation, pad, groups
    for (out, k, stride, dilation, pad, groups) in [
        (3, 3, 1, 1, 1, 1),
        (2, 3, 2, 1, 1, 1),
        (2, 3, 1, 2, 2, 1),
        (4, 1, 1, 1, 0, 2),
        (4, 3, 1, 1, 0, 2),
        (2, 5, 1, 1, 2, 1),
    ] {
        let body = format!(
            "layer_ = Conv({out}, kernel: {k}, stride: {stride}, dilation: {dilation}, pad: {pad}, groups: {groups})\n{{ y: x |> layer_ }}"
        );
        let net =
            network("use std.nn.Conv", "channel: 2, row: 6, col: 6", &body, "channel: _, row: _, col: _");
        let x = pattern(72);
        let (w, b) = (pattern(out * 2 / groups * k * k), pattern(out));
        assert_close(&body, &on(&net, x.clone()), &conv(&x, &w, &b, 2, 6, k, stride, dilation, pad, groups));
    }
}

#[test]
fn a_record_sets_each_axis() {
    let body = "conv = Conv(1, kernel: { row: 3, col: 1 }, stride: { row: 2, col: 1 })\n{ y: x |> conv }";
    let net = network("use std.nn.Conv", "channel: 1, row: 6, col: 6", body, "channel: 1, row: 3, col: 6");
    assert_eq!(net.params[0].ty.len(), 3);
}

/// `ConvTranspose` is the adjoint of `Conv` with the same weights: <conv x, y> = <x, conv' y>.
#[test]
fn transposed_convolutions_are_adjoint() {
    for (k, stride, pad, extra) in [(3, 1, 1, 0), (3, 2, 1, 1), (4, 2, 1, 0), (2, 2, 0, 0)] {
        let body = format!(
            "up = ConvTranspose(2, kernel: {k}, stride: {stride}, pad: {pad}, extra: {extra}, bias: false)\n{{ y: x |> up }}"
        );
        let small = (6 + 2 * pad - k) / stride + 1;
        let input = format!("channel: 3, row: {small}, col: {small}");
        let net = network("use std.nn.ConvTranspose", &input, &body, "channel: 2, row: 6, col: 6");
        let (big, little) = (pattern(72), pattern(3 * small * small));
        let w = pattern(3 * 2 * k * k);
        let left: f64 = conv(&big, &w, &[0.0; 3], 2, 6, k, stride, 1, pad, 1)
            .iter()
            .zip(&little)
            .map(|(a, b)| a * b)
            .sum();
        let right: f64 = on(&net, little).iter().zip(&big).map(|(a, b)| a * b).sum();
        assert_close(&body, &[right], &[left]);
    }
}

#[test]
fn depth_to_space_and_back() {
    let net = network(
        "use std.nn.PixelShuffle",
        "channel: 4, row: 2, col: 2",
        "{ y: x |> PixelShuffle(2) }",
        "channel: 1, row: 4, col: 4",
    );
    let x: Vec<f64> = (0..16).map(f64::from).collect();
    let mut y = vec![0.0; 16];
    for (i, j, h, w) in (0..16).map(|n| (n / 8, n / 4 % 2, n / 2 % 2, n % 2)) {
        y[(h * 2 + i) * 4 + w * 2 + j] = x[(i * 2 + j) * 4 + h * 2 + w];
    }
    assert_close("shuffle", &on(&net, x.clone()), &y);
    let uses = "use std.nn.{PixelShuffle, PixelUnshuffle}";
    let net = network(
        uses,
        "channel: 4, row: 2, col: 2",
        "{ y: x |> PixelShuffle(2) |> PixelUnshuffle(2) }",
        "channel: 4, row: 2, col: 2",
    );
    assert_close("and back", &on(&net, x.clone()), &x);
}

#[test]
fn pools() {
    let uses = "use std.nn.{MaxPool, AvgPool}";
    let x = vec![1.0, 5.0, 2.0, 0.0, 3.0, 4.0, -1.0, -2.0, 9.0, 8.0, 7.0, 6.0, 0.0, 1.0, 2.0, 3.0];
    let net = network(uses, "row: 4, col: 4", "{ y: x |> MaxPool(2) }", "row: 2, col: 2");
    assert_close("max", &on(&net, x.clone()), &[5.0, 2.0, 9.0, 7.0]);
    let net = network(uses, "row: 4, col: 4", "{ y: x |> AvgPool(2) }", "row: 2, col: 2");
    assert_close("mean", &on(&net, x.clone()), &[3.25, -0.25, 4.5, 4.5]);
    let net =
        network(uses, "row: 4, col: 4", "{ y: (x - 20) |> MaxPool(3, stride: 2, pad: 1) }", "row: 2, col: 2");
    assert_close("padded", &on(&net, x), &[-15.0, -15.0, -11.0, -12.0]);
}

#[test]
fn normalizations() {
    let x = pattern(6);
    let (w, b) = (pattern(3), pattern(3));
    let net = network(
        "use std.nn.LayerNorm",
        "time: 2, channel: 3",
        "norm = LayerNorm()\n{ y: x |> norm }",
        "time, channel",
    );
    let mut y = vec![];
    for row in x.chunks(3) {
        let mean = row.iter().sum::<f64>() / 3.0;
        let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3.0;
        y.extend((0..3).map(|c| (row[c] - mean) / (var + 1e-5).sqrt() * w[c] + b[c]));
    }
    assert_close("layer norm", &on(&net, x), &y);
    let x = pattern(16);
    let (w, b) = (pattern(4), pattern(4));
    let body = "norm = GroupNorm(2)\n{ y: x |> norm }";
    let net = network("use std.nn.GroupNorm", "channel: 4, row: 2, col: 2", body, "channel, row, col");
    let mut y = vec![];
    for (g, group) in x.chunks(8).enumerate() {
        let mean = group.iter().sum::<f64>() / 8.0;
        let var = group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 8.0;
        y.extend(
            (0..8).map(|i| (group[i] - mean) / (var + 1e-5).sqrt() * w[g * 2 + i / 4] + b[g * 2 + i / 4]),
        );
    }
    assert_close("group norm", &on(&net, x.clone()), &y);
    let body = "norm = InstanceNorm()\n{ y: x |> norm }";
    let net = network("use std.nn.InstanceNorm", "channel: 4, row: 2, col: 2", body, "channel, row, col");
    let mut y = vec![];
    for cells in x.chunks(4) {
        let mean = cells.iter().sum::<f64>() / 4.0;
        let var = cells.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4.0;
        y.extend(cells.iter().map(|v| (v - mean) / (var + 1e-5).sqrt()));
    }
    assert_close("instance norm", &on(&net, x), &y);
}

#[test]
fn activations() {
    let uses = "use std.nn.{relu, leaky_relu, LeakyRelu, gelu, silu, softplus, softmax, log_softmax, hard_sigmoid, clamp, identity}";
    let x = vec![-2.0, -0.5, 0.5, 4.0];
    type Formula = fn(f64) -> f64;
    let cases: [(&str, Formula); 9] = [
        ("relu", |x| x.max(0.0)),
        ("leaky_relu(0.1)", |x| if x > 0.0 { x } else { 0.1 * x }),
        ("LeakyRelu(0.2)", |x| if x > 0.0 { x } else { 0.2 * x }),
        ("gelu", |x| 0.5 * x * (1.0 + stmc_ir::host::erf(x / 2f64.sqrt()))),
        ("silu", |x| x * sigmoid(x)),
        ("softplus", |x| (1.0 + x.exp()).ln()),
        ("hard_sigmoid", |x| ((x + 3.0).clamp(0.0, 6.0)) / 6.0),
        ("clamp(-1, 1)", |x| x.clamp(-1.0, 1.0)),
        ("identity", |x| x),
    ];
    for (stage, formula) in cases {
        let net = network(uses, "time: 4", &format!("{{ y: x |> {stage} }}"), "time");
        let expected: Vec<f64> = x.iter().map(|x| formula(*x)).collect();
        assert_close(stage, &on(&net, x.clone()), &expected);
    }
    let total: f64 = x.iter().map(|x: &f64| x.exp()).sum();
    let net = network(uses, "time: 4", "{ y: softmax(x, over: time) }", "time");
    assert_close("softmax", &on(&net, x.clone()), &x.iter().map(|x| x.exp() / total).collect::<Vec<_>>());
    let net = network(uses, "time: 4", "{ y: log_softmax(x, over: time) }", "time");
    assert_close("log_softmax", &on(&net, x.clone()), &x.iter().map(|x| x - total.ln()).collect::<Vec<_>>());
}

/// Weights of a layer by path, as the pattern gives them.
fn weight(net: &Module, path: &str) -> Vec<f64> {
    pattern(net.params.iter().find(|p| p.path == path).unwrap_or_else(|| panic!("{path}")).ty.len())
}

/// W x + b; W has one row for each element of b.
fn affine(w: &[f64], b: &[f64], x: &[f64]) -> Vec<f64> {
    let row = |o: usize| x.iter().zip(&w[o * x.len()..]).map(|(x, w)| w * x).sum::<f64>();
    (0..b.len()).map(|o| b[o] + row(o)).collect()
}

/// On a single cell a convolution of kernel 1 is a matrix: the cells are their recurrences.
const CELL: &str = "channel, row, col";

fn scanned(uses: &str, cell: &str, hidden: usize, pick: &str) -> Module {
    let body = format!("cell = {cell}\n{{ y: scan now in x along time {{ yield (now |> cell){pick} }} }}");
    network(uses, "time: 3, channel: 2, row: 1, col: 1", &body, &format!("time, channel: {hidden}, row, col"))
}

#[test]
fn convolutional_lstm() {
    assert!(CELL.starts_with("channel"));
    let net = scanned("use std.recurrent.ConvLstm", "ConvLstm(2, kernel: 1)", 2, "");
    let (w, b) = (weight(&net, "cell.gates.weight"), weight(&net, "cell.gates.bias"));
    let x = pattern(6);
    let (mut h, mut c, mut y) = (vec![0.0; 2], [0.0; 2], vec![]);
    for now in x.chunks(2) {
        let z = affine(&w, &b, &[now, &h].concat());
        for k in 0..2 {
            c[k] = sigmoid(z[2 + k]) * c[k] + sigmoid(z[k]) * z[4 + k].tanh();
            h[k] = sigmoid(z[6 + k]) * c[k].tanh();
        }
        y.extend(&h);
    }
    assert_close("conv lstm", &on(&net, x), &y);
}

#[test]
fn convolutional_gru() {
    let net = scanned("use std.recurrent.ConvGru", "ConvGru(2, kernel: 1)", 2, "");
    let at = |name: &str| weight(&net, &format!("cell.{name}"));
    let x = pattern(6);
    let (mut h, mut y) = (vec![0.0; 2], vec![]);
    for now in x.chunks(2) {
        let z = affine(&at("gates.weight"), &at("gates.bias"), &[now, &h].concat());
        let reset: Vec<f64> = (0..2).map(|k| sigmoid(z[k]) * h[k]).collect();
        let new = affine(&at("new.weight"), &at("new.bias"), &[now, &reset].concat());
        for k in 0..2 {
            let update = sigmoid(z[2 + k]);
            h[k] = (1.0 - update) * h[k] + update * new[k].tanh();
        }
        y.extend(&h);
    }
    assert_close("conv gru", &on(&net, x), &y);
}

#[test]
fn peephole_lstm() {
    let net = scanned(
        "use std.recurrent.PeepholeLstm",
        "PeepholeLstm(2, kernel: 1, bias: true, norm: false)",
        2,
        ".h",
    );
    let paths: Vec<&str> = net.params.iter().map(|p| p.path.as_str()).collect();
    let own = ["cell.context_input", "cell.context_output", "cell.context_forget"];
    assert_eq!(paths[..3], own);
    assert_eq!(
        paths[3..],
        ["cell.conv_x.0.weight", "cell.conv_x.0.bias", "cell.conv_h.0.weight", "cell.conv_h.0.bias"]
    );
    let at = |name: &str| weight(&net, &format!("cell.{name}"));
    let x = pattern(6);
    let (mut h, mut c, mut y) = (vec![0.0; 2], [0.0; 2], vec![]);
    for now in x.chunks(2) {
        let zx = affine(&at("conv_x.0.weight"), &at("conv_x.0.bias"), now);
        let zh = affine(&at("conv_h.0.weight"), &at("conv_h.0.bias"), &h);
        let z: Vec<f64> = zx.iter().zip(&zh).map(|(a, b)| a + b).collect();
        for k in 0..2 {
            let i = sigmoid(z[k] + at("context_input")[k] * c[k]);
            let f = sigmoid(z[2 + k] + at("context_forget")[k] * c[k]);
            c[k] = f * c[k] + i * z[4 + k].tanh();
            h[k] = sigmoid(z[6 + k] + at("context_output")[k] * c[k]) * c[k].tanh();
        }
        y.extend(&h);
    }
    assert_close("peephole lstm", &on(&net, x), &y);
}

fn gru(w: [&[f64]; 4], x: &[&[f64]]) -> Vec<Vec<f64>> {
    let (mut h, mut y) = (vec![0.0; 2], vec![]);
    for now in x {
        let (zx, zh) = (affine(w[0], w[2], now), affine(w[1], w[3], &h));
        for k in 0..2 {
            let (r, z) = (sigmoid(zx[k] + zh[k]), sigmoid(zx[2 + k] + zh[2 + k]));
            h[k] = (1.0 - z) * (zx[4 + k] + r * zh[4 + k]).tanh() + z * h[k];
        }
        y.push(h.clone());
    }
    y
}

#[test]
fn gated_recurrent_units() {
    for backward in [false, true] {
        let body = format!("gru = GruLayer(2, backward: {backward})\n{{ y: gru(x).y }}");
        let net = network("use std.recurrent.GruLayer", "time: 3, channel: 2", &body, "time, channel: 2");
        let w: Vec<Vec<f64>> = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
            .iter()
            .map(|n| weight(&net, &format!("gru.{n}")))
            .collect();
        let x = pattern(6);
        let mut steps: Vec<&[f64]> = x.chunks(2).collect();
        if backward {
            steps.reverse();
        }
        let mut y = gru([&w[0], &w[1], &w[2], &w[3]], &steps);
        if backward {
            y.reverse();
        }
        assert_close("gru", &on(&net, x.clone()), &y.concat());
    }
}

#[test]
fn attention() {
    let body = "attn = Attention(1)\n{ y: x |> attn }";
    let net = network("use std.attention.Attention", "time: 3, channel: 2", body, "time, channel");
    let at = |name: &str| weight(&net, &format!("attn.{name}"));
    let (w, b) = (at("in_proj_weight"), at("in_proj_bias"));
    let x = pattern(6);
    let packed: Vec<Vec<f64>> = x.chunks(2).map(|step| affine(&w, &b, step)).collect();
    let mut y = vec![];
    for q in &packed {
        let score = |k: &Vec<f64>| ((q[0] * k[2] + q[1] * k[3]) / 2f64.sqrt()).exp();
        let total: f64 = packed.iter().map(score).sum();
        let mixed: Vec<f64> =
            (0..2).map(|c| packed.iter().map(|k| score(k) / total * k[4 + c]).sum()).collect();
        y.extend(affine(&at("out_proj.weight"), &at("out_proj.bias"), &mixed));
    }
    assert_close("attention", &on(&net, x), &y);
}

#[test]
fn attention_with_a_mask_by_pairs() {
    let on_pattern = |body: &str| {
        let net = network("use std.attention.Attention", "time: 3, channel: 2", body, "time, channel");
        on(&net, pattern(6))
    };
    let earlier = "index(time: 3) >= index(key: 3)";
    let pairs = format!(
        "axis key\nattn = Attention(1, source: key)\n{{ y: attn(x, rename(x, time -> key), keep: {earlier}) }}"
    );
    let causal = "attn = Attention(1, mask: \"causal\")\n{ y: x |> attn }";
    assert_close("attention", &on_pattern(&pairs), &on_pattern(causal));
}

/// Every other layer elaborates, gives the declared axes, and has torch's weights.
#[test]
fn layers_have_their_weights() {
    let image = "channel: 4, row: 4, col: 4";
    let cases: &[(&str, &str, &str, &str, &str, usize)] = &[
        ("std.nn.SqueezeExcite", "SqueezeExcite(2)", "", image, "channel, row, col", 10 + 12),
        (
            "std.attention.FourierFeatures",
            "FourierFeatures(5)",
            "",
            "time: 3, channel: 2",
            "time, channel: 10",
            5 * 2,
        ),
        ("std.nn.SpatialGate", "SpatialGate()", "", image, "channel, row, col", 5),
        ("std.nn.SubPixel", "SubPixel(2)", "", image, "channel: 2, row: 8, col: 8", 8 * 37),
        (
            "std.recurrent.Gru",
            "Gru(3, layers: 2, bidirectional: true)",
            "",
            "time: 3, channel: 2",
            "time, channel: 6",
            2 * (9 * 5 + 18) + 2 * (9 * 9 + 18),
        ),
        (
            "std.recurrent.LayerNormGru",
            "LayerNormGru(3)",
            "",
            "time: 3, channel: 2",
            "time, channel: 3",
            9 * 5 + 36,
        ),
        (
            "std.recurrent.LstmLayer",
            "LstmLayer(3)",
            ".y",
            "time: 3, channel: 2",
            "time, channel: 3",
            12 * 5 + 24,
        ),
        (
            "std.recurrent.Lstm",
            "Lstm(3, layers: 2, bidirectional: true)",
            "",
            "time: 3, channel: 2",
            "time, channel: 6",
            2 * (12 * 5 + 24) + 2 * (12 * 9 + 24),
        ),
        (
            "std.attention.TransformerBlock",
            "TransformerBlock(heads: 2, wide: 8)",
            "",
            "time: 3, channel: 4",
            "time, channel",
            8 + 48 + 12 + 16 + 4 + 8 + 40 + 36,
        ),
        ("std.nn.BatchNorm", "BatchNorm()", "", image, "channel, row, col", 8 + 8),
        ("std.nn.GroupNorm", "GroupNorm(2)", "", image, "channel, row, col", 8),
        ("std.nn.InstanceNorm", "InstanceNorm(affine: true)", "", image, "channel, row, col", 8),
        ("std.nn.ResBlock", "ResBlock(4)", "", image, "channel, row, col", 2 * (4 * 37 + 16)),
        (
            "std.nn.ResBlock",
            "ResBlock(2, stride: 2)",
            "",
            image,
            "channel: 2, row: 2, col: 2",
            2 * 37 + 2 * 19 + 2 * 5 + 3 * 8,
        ),
        ("std.nn.Residual", "Residual(Residual(abs))", "", "channel: 2", "channel: 2", 0),
        ("std.nn.Dropout", "Dropout(0.5)", "", image, "channel, row, col", 0),
        ("std.nn.Dropout2d", "Dropout2d(0.5)", "", image, "channel, row, col", 0),
    ];
    for (path, layer, pick, input, output, count) in cases {
        let body = format!("part = {layer}\n{{ y: (x |> part){pick} }}");
        let net = network(&format!("use {path}"), input, &body, output);
        assert_eq!(net.params.iter().map(|p| p.ty.len()).sum::<usize>(), *count, "{layer}");
    }
}

#[test]
fn lookups_and_positions() {
    let uses = "use std.nn.Embedding\nuse std.attention.{sinusoidal, harmonics}";
    let body = "table = Embedding(3, 2)\n{ y: i32(x) |> table }";
    let net = network(uses, "time: 2", body, "time, channel: 2");
    let w = pattern(6);
    assert_close("embedding", &on(&net, vec![2.0, 0.0]), &[w[4], w[5], w[0], w[1]]);
    let net = network(uses, "time: 2", "{ y: harmonics(x, 1) }", "time, channel: 2");
    assert_close("harmonics", &on(&net, vec![0.25, 0.0]), &[1.0, 0.0, 0.0, 1.0]);
    let net = network(uses, "time: 2", "{ y: x + sinusoidal(time, 2, 4) }", "time, channel: 4");
    let far = 0.01f64;
    let expected = [0.0, 0.0, 1.0, 1.0, 1f64.sin(), far.sin(), 1f64.cos(), far.cos()];
    assert_close("sinusoidal", &on(&net, vec![0.0, 0.0]), &expected);
}
