//! Which samples there are and to which part they belong.
mod common;
use common::*;
use std::collections::BTreeSet;
use stmc_base::Code;
use stmc_data::Samples;
use stmc_data::samples::Dropped;
use stmc_ir::data::{DataPlan, FitPlan};
use stmc_ir::philox::philox;

fn index(plan: &DataPlan) -> Samples {
    Samples::index(plan, 7).unwrap_or_else(|e| panic!("{}", e.message))
}

fn counts(samples: &Samples) -> Vec<usize> {
    (0..samples.names().len()).map(|part| samples.samples(part).len()).collect()
}

/// `x[time: t - before .. t + after, row: i .. i + 4]` of 100 times and 20 rows.
fn windows(before: isize, after: isize) -> DataPlan {
    let mut plan = plan(&[("time", 100), ("row", 20)]);
    plan.binders = vec![binder("t", "time", 100, 1)];
    plan.slabs = vec![slab(&[moved(0, -before, (before + after) as usize), fixed(0, 20)])];
    plan
}

#[test]
fn samples_that_leave_the_data_are_none() {
    let samples = index(&windows(12, 3));
    assert_eq!(samples.count(), 86);
    assert_eq!(counts(&samples), [86]);
    let positions: Vec<_> = samples.samples(0).iter().map(|&s| samples.positions(s)[0]).collect();
    assert_eq!(positions, (12..98).collect::<Vec<_>>());
}

#[test]
fn variables_multiply_and_step() {
    let mut plan = plan(&[("time", 10), ("row", 70), ("column", 64)]);
    plan.binders =
        vec![binder("t", "time", 10, 3), binder("i", "row", 70, 32), binder("j", "column", 64, 32)];
    plan.slabs = vec![slab(&[moved(0, 0, 1), moved(1, 0, 32), moved(2, 0, 32)])];
    let samples = index(&plan);
    let all: Vec<_> = samples.samples(0).iter().map(|&s| samples.positions(s)).collect();
    assert_eq!(all.len(), 4 * 2 * 2);
    assert_eq!(all[..3], [vec![0, 0, 0], vec![0, 0, 32], vec![0, 32, 0]]);
    assert_eq!(all[15], [9, 32, 32]);
}

#[test]
fn windows_that_straddle_are_dropped_and_counted() {
    let mut plan = windows(4, 1);
    plan.split =
        vec![part("train", less("time", 60.0)), part("valid", less("time", 80.0)), part("test", rest())];
    let samples = index(&plan);
    assert_eq!(counts(&samples), [56, 16, 16]);
    assert_eq!(samples.dropped(), Dropped { straddling: 8, in_gap: 0, nowhere: 0 });
    assert!(samples.warnings(&plan).is_empty());
}

/// `time < 80` holds at every position of a window around 60, but some of them belong to `train`.
#[test]
fn a_later_part_does_not_take_what_an_earlier_one_has() {
    let mut plan = windows(4, 1);
    plan.split = vec![part("train", less("time", 60.0)), part("valid", rest())];
    let samples = index(&plan);
    let first = samples.positions(samples.samples(1)[0])[0];
    assert_eq!(first, 64, "the window 60 .. 65 is the first without a position of `train`");
}

#[test]
fn a_gap_keeps_parts_apart() {
    let mut plan = windows(4, 1);
    plan.split = vec![part("train", less("time", 60.0)), part("test", rest())];
    plan.gap = 12;
    let samples = index(&plan);
    let last = samples.positions(*samples.samples(0).last().unwrap())[0];
    let first = samples.positions(samples.samples(1)[0])[0] - 4;
    assert_eq!((last, first), (59, 72), "60 .. 72 lie between");
    assert_eq!(samples.dropped(), Dropped { straddling: 0, in_gap: 16, nowhere: 0 });
}

#[test]
fn positions_without_a_part() {
    let mut plan = windows(4, 1);
    plan.split = vec![part("train", less("time", 60.0)), part("test", less("time", 70.0))];
    assert_eq!(index(&plan).dropped(), Dropped { straddling: 4, in_gap: 0, nowhere: 30 });
}

#[test]
fn shuffled_axes_are_drawn_from_the_seed() {
    let mut plan = plan(&[("sequence", 1000), ("time", 8)]);
    plan.binders = vec![binder("s", "sequence", 1000, 1)];
    plan.slabs = vec![slab(&[moved(0, 0, 1), fixed(0, 4)]), slab(&[moved(0, 0, 1), fixed(4, 4)])];
    let shuffled = |bound| less("shuffled(sequence)", bound);
    plan.split = vec![part("train", shuffled(0.8)), part("valid", shuffled(0.9)), part("test", rest())];
    let samples = index(&plan);
    assert_eq!(counts(&samples), [800, 100, 100]);
    assert_eq!(samples.samples(0), index(&plan).samples(0));
    assert_ne!(samples.samples(0), Samples::index(&plan, 8).unwrap_or_else(|_| panic!()).samples(0));
    let first_half = samples.samples(1).iter().filter(|s| s.0 < 500).count();
    assert!((30..70).contains(&first_half), "the part is spread over the axis: {first_half}");
}

#[test]
fn windows_on_drawn_steps_are_warned_of() {
    let mut plan = windows(11, 1);
    plan.split = vec![part("train", less("shuffled(time)", 0.98)), part("test", rest())];
    let error = Samples::index(&plan, 7).err().unwrap();
    assert_eq!((error.code, error.message.as_str()), (Code::E0904, "no sample lies wholly in `test`"));
    plan.slabs = vec![slab(&[moved(0, 0, 2), fixed(0, 20)])];
    plan.split = vec![part("train", less("shuffled(time)", 0.5)), part("test", rest())];
    let samples = index(&plan);
    let warnings = samples.warnings(&plan);
    let straddling = samples.dropped().straddling;
    assert!(straddling > 30);
    assert_eq!(warnings[0].code, Code::W0902);
    assert_eq!(warnings[0].message, format!("{straddling} of 99 samples straddle the parts and are dropped"));
}

#[test]
fn splits_that_cannot_be() {
    let mut plan = windows(4, 1);
    plan.split = vec![part("train", less("member", 3.0)), part("test", rest())];
    let error = Samples::index(&plan, 7).err().unwrap();
    assert_eq!(error.message, "no sample moves along `member`, so the parts cannot be told by it");
    plan.split = vec![part("train", and(less("time", 50.0), less("row", 30.0))), part("test", rest())];
    plan.gap = 3;
    let error = Samples::index(&plan, 7).err().unwrap();
    assert_eq!(error.message, "`gap` needs a split along one axis; this one is along `time` and `row`");
}

#[test]
fn a_fit_sees_the_train_positions_once() {
    let mut plan = windows(4, 1);
    plan.split = vec![part("test", less("time", 30.0)), part("train", rest())];
    plan.gap = 5;
    plan.fits =
        vec![FitPlan { axes: vec!["time".into()], slabs: vec![slab(&[moved(0, 0, 1), fixed(0, 20)])] }];
    let samples = index(&plan);
    let positions = samples.fit_positions(&plan, 0).unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(positions, (35..100).map(|i| vec![i]).collect::<Vec<_>>());
    plan.split.clear();
    let positions = index(&plan).fit_positions(&plan, 0).unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(positions.len(), 100);
}

/// Train is `time < 30 and row < 2`: of the joint positions of both axes, or of one of them, each is streamed once.
#[test]
fn a_fit_streams_the_joint_positions_of_a_split_along_two_axes() {
    let mut plan = windows(4, 1);
    plan.slabs = vec![slab(&[moved(0, -4, 5), moved(1, 0, 1)])];
    plan.binders.push(binder("r", "row", 20, 1));
    plan.split = vec![part("train", and(less("time", 30.0), less("row", 2.0))), part("test", rest())];
    let fit = |axes: &[&str], range: &[stmc_ir::data::SlabRange]| FitPlan {
        axes: axes.iter().map(|a| a.to_string()).collect(),
        slabs: vec![slab(range)],
    };
    plan.fits = vec![
        fit(&["time", "row"], &[moved(0, 0, 1), moved(1, 0, 1)]),
        fit(&["row"], &[fixed(0, 100), moved(0, 0, 1)]),
        fit(&[], &[fixed(0, 100), fixed(0, 20)]),
    ];
    let samples = index(&plan);
    let positions = |fit| samples.fit_positions(&plan, fit).unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(positions(0).len(), 60);
    assert_eq!(positions(0)[..3], [vec![0, 0], vec![0, 1], vec![1, 0]]);
    assert_eq!(positions(1), [[0], [1]]);
    assert_eq!(positions(2), [[]; 1] as [[usize; 0]; 1]);
}

/// Whatever the windows, patches, splits and gaps: no two parts share a position, and a gap lies between any two.
#[test]
fn parts_never_share_a_position() {
    let mut split_in_two = 0;
    for trial in 0..400 {
        let plan = random_plan(trial);
        let Ok(samples) = Samples::index(&plan, u64::from(trial)) else { continue };
        let Dropped { straddling, in_gap, nowhere } = samples.dropped();
        let kept: usize = counts(&samples).iter().sum();
        assert_eq!(kept + straddling + in_gap + nowhere, samples.count(), "trial {trial}");
        let seen: Vec<BTreeSet<Vec<usize>>> =
            (0..samples.names().len()).map(|part| positions_of(&plan, &samples, part)).collect();
        let gap = plan.gap as i64;
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(seen[a].is_disjoint(&seen[b]), "trial {trial}: parts {a} and {b} share a position");
            if gap > 0 {
                let near = |p: i64| (p - gap..=p + gap).any(|q| seen[b].contains(&vec![q as usize]));
                assert!(!seen[a].iter().any(|p| near(p[0] as i64)), "trial {trial}: the gap is too small");
            }
        }
        split_in_two += 1;
    }
    assert!(split_in_two > 60, "{split_in_two} trials had samples in every part");
}

/// What a part's samples read: along `time`, or along `time` and `row` if the split mentions both.
fn positions_of(plan: &DataPlan, samples: &Samples, part: usize) -> BTreeSet<Vec<usize>> {
    let both = plan.split[0].predicate.variables().contains(&"row");
    let mut seen = BTreeSet::new();
    for &sample in samples.samples(part) {
        let at = samples.positions(sample);
        for slab in &plan.slabs {
            let steps = |axis: usize| {
                let range = &slab.range[axis];
                let start = at[range.binder.unwrap_or_else(|| panic!())] as isize + range.offset;
                start as usize..start as usize + range.len
            };
            for time in steps(0) {
                if both {
                    seen.extend(steps(1).map(|row| vec![time, row]));
                } else {
                    seen.insert(vec![time]);
                }
            }
        }
    }
    seen
}

/// Windows of `time` and patches of `row`, in three parts.
fn random_plan(trial: u32) -> DataPlan {
    let mut place = 0;
    let mut below = |n: usize| {
        place += 1;
        philox([trial, 0], [place, 0, 0, 0])[0] as usize % n
    };
    let mut plan = plan(&[("time", 40 + below(40)), ("row", 16)]);
    let extent = plan.fields[0].axes[0].1;
    plan.binders = vec![binder("t", "time", extent, 1 + below(3)), binder("i", "row", 16, 1 + below(8))];
    for _ in 0..1 + below(2) {
        let window = moved(0, below(4) as isize - 4, 1 + below(5));
        plan.slabs.push(slab(&[window, moved(1, 0, 1 + below(8))]));
    }
    let (first, second) = (extent as f64 * 0.5, extent as f64 * 0.75);
    let predicates = match below(4) {
        0 => [less("time", first), less("time", second)],
        1 => [less("shuffled(time)", 0.4), less("shuffled(time)", 0.7)],
        2 => [and(less("time", first), less("row", 8.0)), less("time", second)],
        _ => [less("time", second), less("time", first)],
    };
    let [train, valid] = predicates;
    plan.gap = if train.variables().contains(&"row") { 0 } else { below(4) };
    plan.split = vec![part("train", train), part("valid", valid), part("test", rest())];
    plan
}
