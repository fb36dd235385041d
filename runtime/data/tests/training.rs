//! What tells samples apart besides positions, and what is done to those of the train part.
#![allow(clippy::single_range_in_vec_init)] // a slab of one axis
mod common;
use common::*;
use stmc_base::date;
use stmc_base::schema::Coordinates;
use stmc_data::{Dataset, Loader, Position, Samples, open};
use stmc_ir::DType;
use stmc_ir::data::{
    Balance, DataPlan, Field, FieldOrigin, Quantity, QuantityKind, Reading, Slab, Smote, SourceSpec,
};
use stmc_ir::host::{HostBinary, HostExpr};

/// Twelve rows: eight of class `a` with values 0 .. 8, four of `b` with 100 .. 104, and a group of three rows each.
fn labelled(seed: u64) -> (tempfile::TempDir, DataPlan, u64) {
    let folder = tempfile::tempdir().expect("the folder is writable");
    let row = |i: usize| match i {
        0..8 => format!("a,{i},{}\n", i / 3),
        _ => format!("b,{},{}\n", 92 + i, i / 3),
    };
    let text: String = std::iter::once("class,x,group\n".into()).chain((0..12).map(row)).collect();
    std::fs::write(folder.path().join("t.csv"), text).expect("the folder is writable");
    let field = |name: &str, dtype, categories: Option<&[&str]>| Field {
        name: name.into(),
        origin: FieldOrigin::Source { source: 0, variable: name.into() },
        dtype,
        axes: vec![("row".into(), 12)],
        unit: None,
        reading: Reading {
            categories: categories.map(|c| c.iter().map(|c| c.to_string()).collect()),
            ..Reading::default()
        },
        span: span(),
    };
    let groups = Some(&["0", "1", "2", "3"][..]);
    let plan = DataPlan {
        name: "t".into(),
        sources: vec![SourceSpec::File { path: "t.csv".into(), span: span() }],
        fields: vec![
            field("class", DType::I32, Some(&["a", "b"])),
            field("x", DType::F32, None),
            field("group", DType::I32, groups),
        ],
        binders: vec![binder("r", "row", 12, 1)],
        slabs: vec![
            Slab { field: 1, range: vec![moved(0, 0, 1)] },
            Slab { field: 0, range: vec![moved(0, 0, 1)] },
        ],
        ..DataPlan::default()
    };
    (folder, plan, seed)
}

fn data(folder: &tempfile::TempDir, plan: &DataPlan) -> std::sync::Arc<Dataset> {
    let sources = plan.sources.iter().map(|s| open(s, folder.path()).expect("the source is there")).collect();
    std::sync::Arc::new(Dataset::new(plan.clone(), sources).unwrap_or_else(|e| panic!("{}", e[0].message)))
}

fn samples(data: &Dataset, seed: u64) -> Samples {
    Samples::of(data, seed).unwrap_or_else(|e| panic!("{}", e.message))
}

/// The rows of a part.
fn rows(samples: &Samples, part: usize) -> Vec<usize> {
    samples.samples(part).iter().map(|s| samples.positions(*s)[0]).collect()
}

fn equal(variable: &str, x: f64) -> HostExpr {
    HostExpr::binary(HostBinary::Eq, HostExpr::var(variable), HostExpr::Const(x))
}

#[test]
fn parts_are_told_by_fields_and_drawn_within_classes_and_groups() {
    let (folder, mut plan, seed) = labelled(5);
    let quantity = |name: &str, kind| Quantity { name: name.into(), kind };
    plan.quantities = vec![
        quantity("class", QuantityKind::Field(0)),
        quantity("w", QuantityKind::Shuffled { axis: "row".into(), within: Some(0), together: None }),
        quantity("g", QuantityKind::Shuffled { axis: "row".into(), within: None, together: Some(2) }),
    ];
    plan.split = vec![part("test", equal("class", 1.0)), part("train", rest())];
    assert_eq!(rows(&samples(&data(&folder, &plan), seed), 0), [8, 9, 10, 11]);
    plan.split = vec![part("test", less("w", 0.25)), part("train", rest())];
    let within = rows(&samples(&data(&folder, &plan), seed), 0);
    assert_eq!(within.iter().filter(|r| **r < 8).count(), 2, "a quarter of each class: {within:?}");
    assert_eq!(within.len(), 3);
    plan.split = vec![part("test", less("g", 0.5)), part("train", rest())];
    let groups = rows(&samples(&data(&folder, &plan), seed), 0);
    assert_eq!(groups.len(), 6);
    assert!(groups.chunks(3).all(|g| g[0] % 3 == 0 && g[2] == g[0] + 2), "whole groups: {groups:?}");
}

#[test]
fn a_condition_says_which_samples_there_are() {
    let (folder, mut plan, seed) = labelled(5);
    plan.quantities = vec![Quantity { name: "class".into(), kind: QuantityKind::Field(0) }];
    plan.condition = Some(and(equal("class", 0.0), less("r", 6.0)));
    let samples = samples(&data(&folder, &plan), seed);
    assert_eq!((samples.count(), rows(&samples, 0)), (6, (0..6).collect()));
}

/// The values and classes of an epoch.
fn epoch(folder: &tempfile::TempDir, plan: &DataPlan, seed: u64) -> Vec<(f32, u32)> {
    let data = data(folder, plan);
    let samples = std::sync::Arc::new(samples(&data, seed));
    let loader = Loader::train(data, samples.clone(), 0, 1, seed);
    assert_eq!(loader.len(), samples.trained());
    let mut found = vec![];
    for i in 0..loader.batches() {
        let batch = loader.batch(Position { epoch: 0, batch: i });
        let (mut x, mut class) = (vec![0; 1], vec![0; 1]);
        loader.fill(0, &batch, &dense(&[1]), &mut x).expect("the slab is there");
        loader.fill(1, &batch, &dense(&[1]), &mut class).expect("the slab is there");
        found.push((f32::from_bits(x[0]), class[0]));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

#[test]
fn rare_classes_are_repeated_until_all_are_as_frequent() {
    let (folder, mut plan, seed) = labelled(5);
    plan.balance = Some(Balance { label: 1, smote: None, span: span() });
    let found = epoch(&folder, &plan, seed);
    assert_eq!(found.len(), 16);
    let rare: Vec<f32> = found.iter().filter(|f| f.1 == 1).map(|f| f.0).collect();
    assert_eq!(rare, [100.0, 100.0, 101.0, 101.0, 102.0, 102.0, 103.0, 103.0]);
}

#[test]
fn smote_lies_between_neighbours_of_a_class() {
    let (folder, mut plan, seed) = labelled(5);
    plan.balance =
        Some(Balance { label: 1, smote: Some(Smote { slabs: vec![0], neighbours: 1 }), span: span() });
    let found = epoch(&folder, &plan, seed);
    assert_eq!(found.iter().filter(|f| f.1 == 1).count(), 8);
    let made: Vec<f32> = found.iter().map(|f| f.0).filter(|x| x.fract() != 0.0).collect();
    assert_eq!(made.len(), 4, "{found:?}");
    assert!(made.iter().all(|x| (100.0..103.0).contains(x)), "between neighbours: {made:?}");
    assert_eq!(found, epoch(&folder, &plan, seed), "the same again");
    assert_ne!(found, epoch(&folder, &plan, seed + 1));
}

/// A gap of two months before each step of a monthly axis that begins in January 2000.
#[test]
fn a_gap_in_time_counts_by_the_calendar() {
    let mut plan = plan(&[("time", 24)]);
    plan.binders = vec![binder("t", "time", 24, 1)];
    plan.slabs = vec![slab(&[moved(0, 0, 1)])];
    let dates = Coordinates::Dates { first: "2000-01".into(), months: 1, days: 0.0 };
    let values = dates.values(24).unwrap();
    plan.quantities =
        vec![Quantity { name: "time".into(), kind: QuantityKind::Along { axis: "time".into(), values } }];
    let first = date::days(2001, 1, 1) as f64;
    plan.split = vec![part("train", less("time", first)), part("test", rest())];
    plan.near = (0..24usize).map(|i| i.saturating_sub(2)).collect();
    let samples = Samples::index(&plan, 1).unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!(rows(&samples, 0), (0..12).collect::<Vec<_>>());
    assert_eq!(rows(&samples, 1), (14..24).collect::<Vec<_>>());
}

/// Four quarter turns are none, and one takes (i, j) to (j, 2 - i).
#[test]
fn turns_and_flips_move_elements_as_they_say() {
    let mut plan = plan(&[("sample", 400), ("row", 3), ("col", 3)]);
    plan.binders = vec![binder("s", "sample", 400, 1)];
    plan.slabs = vec![slab(&[moved(0, 0, 1), fixed(0, 3), fixed(0, 3)])];
    plan.turns = vec![("row".into(), "col".into())];
    let data = dataset(&plan);
    let samples = std::sync::Arc::new(Samples::of(&data, 3).unwrap_or_else(|e| panic!("{}", e.message)));
    let loader = Loader::train(data, samples, 0, 1, 3);
    let mut seen = [0; 4];
    for i in 0..400 {
        let batch = loader.batch(Position { epoch: 0, batch: i });
        let mut memory = vec![0; 9];
        loader.fill(0, &batch, &dense(&[1, 3, 3]), &mut memory).unwrap();
        let turns = batch.rows[0].turns[0];
        seen[turns as usize] += 1;
        let first = batch.rows[0].positions[0] * 9;
        for (place, bits) in memory.iter().enumerate() {
            let source = f32::from_bits(*bits) as usize - first;
            let turned = (0..turns).fold((source / 3, source % 3), |(i, j), _| (j, 2 - i));
            assert_eq!(turned, (place / 3, place % 3), "{turns} turns");
        }
    }
    assert!(seen.iter().all(|n| (60..140).contains(n)), "each is as likely: {seen:?}");
}

/// Patches of a picture around points: some of them reach over its edge.
#[test]
fn patches_around_points_are_missing_outside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.csv"), "y,x\n2.2,1.9\n0,0\n").unwrap();
    let picture: Vec<f32> = (0..20).map(|i| i as f32).collect();
    let file = std::fs::File::create(folder.path().join("g.npy")).unwrap();
    stmc_data::write_npy(file, &[4, 5], &picture).unwrap();
    let field = |name: &str, origin, axes: &[(&str, usize)]| Field {
        name: name.into(),
        origin,
        dtype: DType::F32,
        axes: axes.iter().map(|(n, e)| (n.to_string(), *e)).collect(),
        unit: None,
        reading: Reading::default(),
        span: span(),
    };
    let read = |source, variable: &str| FieldOrigin::Source { source, variable: variable.into() };
    let steps = |n: usize| (0..n).map(|i| i as f64).collect::<Vec<_>>();
    let cuts = vec![("row".to_string(), steps(4)), ("col".to_string(), steps(5))];
    let around = FieldOrigin::Around { field: 2, at: vec![0, 1], cuts };
    let plan = DataPlan {
        name: "t".into(),
        sources: vec![
            SourceSpec::File { path: "p.csv".into(), span: span() },
            SourceSpec::File { path: "g.npy".into(), span: span() },
        ],
        fields: vec![
            field("y", read(0, "y"), &[("point", 2)]),
            field("x", read(0, "x"), &[("point", 2)]),
            field("g", read(1, ""), &[("row", 4), ("col", 5)]),
            field("near", around, &[("point", 2), ("row", 2), ("col", 2)]),
        ],
        ..DataPlan::default()
    };
    let data = data(&folder, &plan);
    let mut out = vec![0; 8];
    data.read(3, &[0..2, 0..2, 0..2], &mut out).unwrap();
    let out: Vec<f32> = out.into_iter().map(f32::from_bits).collect();
    assert_eq!(out[..4], [6.0, 7.0, 11.0, 12.0]);
    assert!(out[4..7].iter().all(|x| x.is_nan()), "{out:?}");
    assert_eq!(out[7], 0.0);
}

#[test]
fn values_are_scaled_and_missing_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), "x\n10\n-999\n30\n").unwrap();
    let reading =
        Reading { scale: 0.1, offset: 1.0, missing: Some(-999.0), optional: true, categories: None };
    let mut plan = DataPlan {
        name: "t".into(),
        sources: vec![SourceSpec::File { path: "t.csv".into(), span: span() }],
        fields: vec![Field {
            name: "x".into(),
            origin: FieldOrigin::Source { source: 0, variable: "x".into() },
            dtype: DType::F32,
            axes: vec![("row".into(), 3)],
            unit: None,
            reading,
            span: span(),
        }],
        ..DataPlan::default()
    };
    let read = |plan: &DataPlan| {
        let mut out = vec![0; 3];
        data(&folder, plan).read(0, &[0..3], &mut out).map(|()| out)
    };
    let found: Vec<f32> = read(&plan).unwrap().into_iter().map(f32::from_bits).collect();
    assert_eq!((found[0], found[2]), (2.0, 4.0));
    assert!(found[1].is_nan());
    plan.fields[0].reading.optional = false;
    let error = read(&plan).err().unwrap().to_string();
    assert_eq!(
        error,
        "`t.csv`: `x` has no value at [row: 1]; where values may be missing, its type is `f32?`"
    );
}
