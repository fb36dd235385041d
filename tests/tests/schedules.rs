//! Schedules that carry a state or watch a metric. `oracle_ops` holds their rates against those computed elsewhere.
use stmc_tests::rates::{compare, module, rates};

#[test]
fn a_plateau_cuts_the_rate_when_the_metric_stalls() {
    let module = module("plateau(from: 1, watch: valid.loss, factor: 0.5, patience: 1, cooldown: 1)");
    // Better, worse, worse: cut; one epoch of rest, then two more: cut.
    let rates = rates(&module, &[1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.5]);
    assert_eq!(rates[..8], [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
}

#[test]
fn a_plateau_knows_which_way_is_better() {
    let rises = [1.0, 2.0, 3.0, 4.0, 5.0];
    let falls = rises.map(|x| -x);
    // (what is watched, values that get better, values that get worse)
    let cases = [
        ("valid.loss", falls, rises),
        ("valid.fit", rises, falls),
        ("valid.own, prefer: \"high\"", rises, falls),
        ("valid.own, prefer: \"low\"", falls, rises),
        ("valid.fit, prefer: \"low\"", falls, rises),
    ];
    for (watch, better, worse) in cases {
        let module = module(&format!("plateau(from: 1, watch: {watch}, factor: 0.5, patience: 0)"));
        assert_eq!(rates(&module, &better)[..6], [1.0; 6], "{watch}");
        assert_eq!(rates(&module, &worse)[..6], [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625], "{watch}");
    }
}

#[test]
fn schedules_that_go_on_alike_share_their_state() {
    let alike = module("cosine_cycles(peak: 1, span: 4 steps) + cosine_cycles(peak: 1, span: 4 steps)");
    assert_eq!(alike.states.len(), 3);
    let apart = module("cosine_cycles(peak: 1, span: 4 steps) + cosine_cycles(peak: 1, span: 5 steps)");
    assert_eq!(apart.states.len(), 6);
    let cosine = |t: f64, n: f64| (1.0 + (std::f64::consts::PI * (t % n) / n).cos()) / 2.0;
    let expected = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|t| cosine(t, 4.0) + cosine(t, 5.0));
    assert_eq!(compare("two cycles", &rates(&apart, &[])[..6], &expected), Ok(()));
}

#[test]
fn schedules_rise_and_fall_by_their_formulas() {
    let found = rates(&module("warmup_decay(peak: 2, warmup: 50 steps)"), &[]);
    let expected: Vec<f64> =
        (0..200).map(|t| if t < 50 { f64::from(t) / 25.0 } else { f64::from(200 - t) / 75.0 }).collect();
    assert_eq!(compare("warmup_decay", &found, &expected), Ok(()));
    let found = rates(&module("noam(width: 64, warmup: 40 steps, factor: 2)"), &[]);
    let at = |n: f64| 0.25 * n.powf(-0.5).min(n * 40f64.powf(-1.5));
    let expected: Vec<f64> = (1..=200).map(|n| at(f64::from(n))).collect();
    assert_eq!(compare("noam", &found, &expected), Ok(()));
    let found =
        rates(&module("approach(from: 2, to: 1, start: 50 steps, scale: 10 steps, end: 90 steps)"), &[]);
    let at = |t: f64| {
        if t < 50.0 {
            2.0
        } else if t < 90.0 {
            1.0 + (-(t - 50.0) / 10.0).exp()
        } else {
            1.0
        }
    };
    let expected: Vec<f64> = (0..200).map(|t| at(f64::from(t))).collect();
    assert_eq!(compare("approach", &found, &expected), Ok(()));
}
