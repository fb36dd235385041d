//! The functions against `f64`, and the paths against each other.

use stmc_kernels::Isa;
use stmc_kernels::math::Function;

/// Units in the last place that a result may be off; measured, and rounded up.
const TOLERANCE: f64 = 2.0;

fn reference(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Log => x.ln(),
        Function::Tanh => x.tanh(),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Erf => erf(x),
    }
}

/// The series for small arguments, the continued fraction of the complement for large ones.
fn erf(x: f64) -> f64 {
    let t = x.abs();
    let y = if t < 2.5 {
        let mut term = t;
        let sum: f64 = (0..80)
            .map(|n| {
                let now = term / (2 * n + 1) as f64;
                term *= -t * t / (n + 1) as f64;
                now
            })
            .sum();
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else if t.is_infinite() {
        1.0
    } else {
        let fraction = (1..60).rev().fold(0.0, |rest, n| n as f64 / 2.0 / (t + rest));
        1.0 - (-t * t).exp() / (t + fraction) / std::f64::consts::PI.sqrt()
    };
    if x.is_nan() { x } else { y.copysign(x) }
}

/// Some of all floats, and all special ones.
fn arguments() -> Vec<f32> {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        -1e-45,
        88.722_84,
        88.73,
        -87.4,
        -103.9,
        -104.1,
        200.0,
        -200.0,
        0.625,
        0.9375,
        3.919,
        4.3,
        0.707_106_77,
        32_768.0,
        32_768.004,
        1e10,
    ];
    let all = (0..u32::MAX).step_by(4999).map(f32::from_bits);
    let usual = (-400_000..400_000).map(|i| i as f32 * 2.6e-4);
    special.into_iter().chain(all).chain(usual).collect()
}

fn error_in_ulp(y: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if y.to_bits() == rounded.to_bits() || y.is_nan() && rounded.is_nan() {
        return 0.0;
    }
    // Below the normal numbers, the unit is the least denormal.
    let exponent = rounded.abs().max(f32::MIN_POSITIVE).to_bits() >> 23;
    let unit = 2f64.powi(exponent as i32 - 150);
    (f64::from(y) - exact).abs() / unit
}

#[test]
fn functions_are_accurate_everywhere() {
    let x = arguments();
    let mut y = vec![0.0; x.len()];
    for function in Function::ALL {
        function.apply(Isa::detect(), &x, &mut y);
        let error = |i: usize| error_in_ulp(y[i], reference(function, f64::from(x[i])));
        let worst = (0..x.len()).max_by(|&i, &j| error(i).total_cmp(&error(j))).expect("there are arguments");
        println!("{function:?}: {:.2} ulp at {:e}", error(worst), x[worst]);
        let (at, is, exact) = (x[worst], y[worst], reference(function, f64::from(x[worst])));
        assert!(error(worst) <= TOLERANCE, "{function:?} of {at:e} is {is:e}, not {exact:e}");
    }
}

#[test]
fn paths_agree_to_the_bit() {
    // An odd length, so that the last vector is a partial one.
    let x = arguments();
    let x = &x[..x.len() - 1 + x.len() % 2];
    for function in Function::ALL {
        let results = Isa::ALL.map(|isa| {
            let mut y = vec![0.0; x.len()];
            if isa.is_available() {
                function.apply(isa, x, &mut y);
            } else {
                println!("skipped: this processor lacks {}", isa.name());
                function.apply(Isa::Portable, x, &mut y);
            }
            y
        });
        for i in 0..x.len() {
            let bits = results.each_ref().map(|y| if y[i].is_nan() { 0 } else { y[i].to_bits() });
            assert!(bits.iter().all(|b| *b == bits[0]), "{function:?} of {:e}: {:x?}", x[i], bits);
        }
    }
}

#[test]
fn zeros_keep_their_sign() {
    for function in [Function::Tanh, Function::Sin, Function::Erf] {
        let mut y = [1.0; 2];
        function.apply(Isa::detect(), &[0.0, -0.0], &mut y);
        assert_eq!(y.map(f32::to_bits), [0, 0x8000_0000], "{function:?}");
    }
}
