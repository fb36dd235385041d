//! The generator makes the same rain everywhere, and rain from which something can be learnt.
#![allow(clippy::unwrap_used)] // In a test, a panic is the message.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use stmc_base::{SourceId, Span};
use stmc_data::{DataError, Source, open};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;

fn storms(args: &[(&str, f64)]) -> Result<Arc<dyn Source>, DataError> {
    let args: BTreeMap<String, f64> = args.iter().map(|&(name, x)| (name.into(), x)).collect();
    open(
        &SourceSpec::Generator { name: "storms".into(), args, span: Span::new(SourceId(0), 0, 0) },
        Path::new("."),
    )
}

fn standard(count: f64, seed: f64) -> Arc<dyn Source> {
    storms(&[("size", 32.0), ("length", 8.0), ("count", count), ("seed", seed)]).unwrap()
}

fn sequence(source: &dyn Source, number: usize) -> Vec<f32> {
    let mut bits = vec![0; 8 * 32 * 32];
    source.read("", &[number..number + 1, 0..8, 0..32, 0..32], DType::F32, &mut bits).unwrap();
    bits.into_iter().map(f32::from_bits).collect()
}

#[test]
fn schema() {
    let source = standard(10.0, 7.0);
    let variable = &source.schema().variables[0];
    assert_eq!(source.schema().origin, "storms(size: 32, length: 8, count: 10, seed: 7)");
    assert_eq!(variable.axes.iter().map(|a| a.extent).collect::<Vec<_>>(), [10, 8, 32, 32]);
    assert_eq!((variable.dtype.as_str(), variable.unit.as_deref()), ("f32", Some("mm/h")));
}

#[test]
fn a_sequence_depends_on_seed_and_number_alone() {
    let (few, many, other) = (standard(3.0, 7.0), standard(100.0, 7.0), standard(3.0, 8.0));
    assert_eq!(sequence(&*few, 2), sequence(&*many, 2));
    assert_ne!(sequence(&*few, 2), sequence(&*few, 1));
    assert_ne!(sequence(&*few, 2), sequence(&*other, 2));
}

#[test]
fn slabs_are_parts_of_the_whole() {
    let source = standard(3.0, 7.0);
    let whole = sequence(&*source, 1);
    let mut slab = vec![0; 2 * 3 * 5];
    source.read("", &[1..2, 4..6, 10..13, 20..25], DType::F32, &mut slab).unwrap();
    let expected =
        (4..6).flat_map(|t| (10..13).flat_map(move |i| (20..25).map(move |j| (t * 32 + i) * 32 + j)));
    let expected: Vec<u32> = expected.map(|at| whole[at].to_bits()).collect();
    assert_eq!(slab, expected);
}

/// The scores of simple forecasts: what a model has to beat, and that it can.
#[test]
fn motion_can_be_learnt() {
    let source = standard(200.0, 7.0);
    let all: Vec<Vec<f32>> = (0..200).map(|i| sequence(&*source, i)).collect();
    let values = || all.iter().flatten().copied();
    let wet = values().filter(|&x| x > 0.0).count() as f64 / values().count() as f64;
    let mean = values().map(f64::from).sum::<f64>() / values().count() as f64;
    let largest = values().fold(0.0, f32::max);
    assert!(values().all(|x| x == 0.0 || x >= 0.1));
    assert!((0.1..0.6).contains(&wet), "wet share {wet}");
    assert!((0.2..3.0).contains(&mean), "mean {mean}");
    assert!((15.0..60.0).contains(&largest), "largest {largest}");

    let frame = |s: &[f32], t: usize| s[t * 1024..(t + 1) * 1024].to_vec();
    let typical: Vec<f32> = (0..1024)
        .map(|at| all.iter().flat_map(|s| (0..8).map(move |t| s[t * 1024 + at])).sum::<f32>() / 1600.0)
        .collect();
    let (mut last, mut average, mut moved) = (0.0, 0.0, 0.0);
    for s in &all {
        let motion = best_shift(&frame(s, 2), &frame(s, 3));
        for lead in 1..=4 {
            let truth = frame(s, 3 + lead);
            last += error(&frame(s, 3), &truth);
            average += error(&typical, &truth);
            moved += error(&shift(&frame(s, 3), motion.map(|m| m * lead as isize)), &truth);
        }
    }
    let rmse = |sum: f64| (sum / (200.0 * 4.0 * 1024.0)).sqrt();
    let (last, average, moved) = (rmse(last), rmse(average), rmse(moved));
    assert!(moved < 0.8 * last && moved < 0.8 * average, "last {last}, average {average}, moved {moved}");
}

fn error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

fn shift(frame: &[f32], [dy, dx]: [isize; 2]) -> Vec<f32> {
    let from = |at: isize, by: isize| (at - by).clamp(0, 31);
    (0..1024).map(|at| frame[(from(at / 32, dy) * 32 + from(at % 32, dx)) as usize]).collect()
}

fn best_shift(a: &[f32], b: &[f32]) -> [isize; 2] {
    let shifts = (-3..=3).flat_map(|dy| (-3..=3).map(move |dx| [dy, dx]));
    shifts.min_by(|&m, &n| error(&shift(a, m), b).total_cmp(&error(&shift(a, n), b))).unwrap()
}

#[test]
fn wrong_arguments() {
    let check = |args: &[(&str, f64)], message: &str| {
        let error = storms(args).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some(message));
    };
    check(
        &[("sizes", 3.0)],
        "`storms`: there is no argument `sizes`; there are `size`, `length`, `count` and `seed`",
    );
    check(&[("size", 3.5)], "`storms`: `size` is 3.5; it must be a whole number from 1 to 4096");
    check(&[("count", 0.0)], "`storms`: `count` is 0; it must be a whole number from 1 to 10000000");
    check(&[("length", f64::NAN)], "`storms`: `length` is NaN; it must be a whole number from 1 to 100000");
}
