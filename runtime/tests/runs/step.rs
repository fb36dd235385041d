//! Updates on a given batch, against the same computed by hand in f64.
use crate::toy;
use stmc_ir::kernel_interpret::Interpreter;
use stmc_runtime::import::{self, Map};
use stmc_runtime::{Named, Session, Tensor, step};

/// The toy's model by hand: weights and bias, their momentum.
struct ByHand {
    w: [f64; 4],
    m: [f64; 4],
}

#[allow(clippy::needless_range_loop, reason = "indices as on paper")]
impl ByHand {
    /// The squared error, the decay, the gradient of the weights, and that of x and y.
    fn gradient(
        &self,
        x: &[[f64; 3]; 4],
        y: &[f64; 4],
        kept: &[[f64; 3]; 4],
    ) -> (f64, f64, [f64; 4], Vec<f64>, Vec<f64>) {
        let (mut fit, mut g, mut gx, mut gy) = (0.0, [0.0; 4], vec![], vec![]);
        for ((x, y), kept) in x.iter().zip(y).zip(kept) {
            let shown: Vec<f64> = x.iter().zip(kept).map(|(x, k)| x * k).collect();
            let e = shown.iter().zip(&self.w).map(|(x, w)| x * w).sum::<f64>() + self.w[3] - y;
            fit += e * e / 4.0;
            for f in 0..3 {
                g[f] += e * shown[f] / 2.0;
                gx.push(e * self.w[f] * kept[f] / 2.0);
            }
            g[3] += e / 2.0;
            gy.push(-e / 2.0);
        }
        let decay = 1e-3 * self.w[..3].iter().map(|w| w * w).sum::<f64>();
        for f in 0..3 {
            g[f] += 2e-3 * self.w[f];
        }
        (fit, decay, g, gx, gy)
    }

    fn update(&mut self, step: usize, g: &[f64; 4]) {
        for i in 0..4 {
            self.m[i] = 0.9 * self.m[i] + g[i];
            self.w[i] -= 0.05 / (1.0 + step as f64 / 50.0) * self.m[i];
        }
    }
}

fn get(results: &Named, name: &str) -> Vec<f64> {
    let tensor = results.iter().find(|t| t.0 == name).unwrap_or_else(|| panic!("there is `{name}`"));
    tensor.1.numbers().map(f64::from).collect()
}

fn check_close(results: &Named, name: &str, expected: &[f64]) {
    let found = get(results, name);
    assert_eq!(found.len(), expected.len(), "{name}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{name}: {found:?} is not {expected:?}");
    }
}

#[test]
fn steps_on_a_given_batch_are_those_computed_by_hand() {
    let (module, program) = toy::step_program();
    let mut device = Interpreter::default();
    let mut session = Session::start(&module, &program, &mut device, 1).unwrap();
    let x: [[f64; 3]; 4] = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 1.0, 0.5], [0.0, 3.0, -1.0]];
    let (y, mask) =
        ([1.0, -0.5, 2.0, 0.75], [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]);
    // The toy keeps what lies below 0.9.
    let draws = mask.as_flattened().iter().map(|k: &f64| if *k == 1.0 { 0.1 } else { 0.95 });
    let narrow = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
    let given: Named = vec![
        ("param.net.weight".into(), Tensor::floats(vec![1, 3], [0.3, -0.2, 0.1])),
        ("param.net.bias".into(), Tensor::floats(vec![], [0.05])),
        ("input.x".into(), Tensor::floats(vec![4, 3], narrow(x.as_flattened()))),
        ("input.y".into(), Tensor::floats(vec![4], narrow(&y))),
        ("dropout_mask.drop".into(), Tensor::floats(vec![4, 3], draws.map(|x| x as f32))),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("map.toml");
    std::fs::write(&file, "[rename]\nweight = \"net.weight\"\nbias = \"net.bias\"\n").unwrap();
    let map = import::read_map(&file).unwrap();
    step::load_weights(&mut session, &given, &map).unwrap();
    let results = step::run(&mut session, &given, &map, 3).unwrap();

    let mut hand = ByHand { w: [0.3, -0.2, 0.1, 0.05], m: [0.0; 4] };
    for n in 0..3 {
        let (fit, decay, g, gx, gy) = hand.gradient(&x, &y, &mask);
        if n == 0 {
            check_close(&results, "loss", &[fit + decay]);
            check_close(&results, "loss.decay", &[decay]);
            check_close(&results, "grad.weight", &g[..3]);
            check_close(&results, "grad.bias", &g[3..]);
            check_close(&results, "grad.input.x", &gx);
            check_close(&results, "grad.input.y", &gy);
        }
        check_close(&results, &format!("loss_before_step_{}", n + 1), &[fit + decay]);
        hand.update(n, &g);
        check_close(&results, &format!("after_{}.weight", n + 1), &hand.w[..3]);
        check_close(&results, &format!("after_{}.bias", n + 1), &hand.w[3..]);
    }
}

#[test]
fn what_is_missing_or_misspelt_is_named() {
    let (module, program) = toy::step_program();
    let mut device = Interpreter::default();
    let mut session = Session::start(&module, &program, &mut device, 1).unwrap();
    let given: Named = vec![("input.x".into(), Tensor::floats(vec![4, 3], [0.0; 12]))];
    let message = step::run(&mut session, &given, &Map::default(), 1).unwrap_err().to_string();
    assert_eq!(message, "there is no tensor `y`");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("map.toml");
    std::fs::write(&file, "[tensor.x]\nform = \"y\"\n").unwrap();
    let message = import::read_map(&file).unwrap_err().to_string();
    assert!(message.contains("map.toml") && message.contains("unknown field `form`"), "{message}");
}
