//! Batches: order, padding, flips, layout, and that reading ahead changes nothing.
mod common;
use common::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use stmc_base::Code;
use stmc_data::{Dataset, Loader, Position, Prefetch, Samples, Source, Target};
use stmc_ir::DType;
use stmc_ir::data::{DataPlan, Field, FieldOrigin, FitPlan, Slab};

/// 23 sequences of 3 times, 2 rows and 4 columns; the first two times are read, and the last.
fn sequences() -> DataPlan {
    let mut plan = plan(&[("sequence", 23), ("time", 3), ("row", 2), ("column", 4)]);
    plan.binders = vec![binder("s", "sequence", 23, 1)];
    let all = [fixed(0, 2), fixed(0, 4)];
    plan.slabs = vec![
        slab(&[moved(0, 0, 1), fixed(0, 2), all[0], all[1]]),
        slab(&[moved(0, 0, 1), stmc_ir::data::SlabRange { keep: false, ..fixed(2, 1) }, all[0], all[1]]),
    ];
    plan
}

fn index(plan: &DataPlan) -> Arc<Samples> {
    Arc::new(Samples::index(plan, 7).unwrap_or_else(|e| panic!("{}", e.message)))
}

fn train(plan: &DataPlan, batch: usize, seed: u64) -> Loader {
    Loader::train(dataset(plan), index(plan), 0, batch, seed)
}

fn sequences_of(loader: &Loader, epoch: usize) -> Vec<usize> {
    let batches = (0..loader.batches()).map(|batch| loader.batch(Position { epoch, batch }));
    batches.flat_map(|b| b.rows.into_iter().map(|r| r.positions[0])).collect()
}

#[test]
fn training_order_is_drawn_from_seed_and_epoch() {
    let plan = sequences();
    let loader = train(&plan, 5, 42);
    assert_eq!((loader.batches(), loader.len()), (4, 23));
    let epochs: Vec<_> = (0..3).map(|e| sequences_of(&loader, e)).collect();
    for epoch in &epochs {
        assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 20, "no sample twice in an epoch");
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_eq!(epochs[1], sequences_of(&train(&plan, 5, 42), 1), "a resumed run sees the same");
    assert_ne!(epochs[0], sequences_of(&train(&plan, 5, 43), 0));
    // The order is that of the samples: batches of another size hold the same sequence of samples.
    assert_eq!(epochs[0][..18], sequences_of(&train(&plan, 6, 42), 0));
}

#[test]
fn evaluation_sees_everything_once_in_order() {
    let plan = sequences();
    let loader = Loader::evaluate(dataset(&plan), index(&plan), 0, 5);
    assert_eq!(loader.batches(), 5);
    let batches: Vec<_> = (0..5).map(|batch| loader.batch(Position { epoch: 0, batch })).collect();
    let valid: Vec<f32> = batches.iter().flat_map(|b| b.valid.clone()).collect();
    assert_eq!(valid, [vec![1.0; 23], vec![0.0; 2]].concat());
    assert_eq!(sequences_of(&loader, 0), (0..23).chain([22, 22]).collect::<Vec<_>>());
    assert!(batches.iter().flat_map(|b| &b.rows).all(|row| row.flips.is_empty()));
}

#[test]
fn places_follow_one_another() {
    let loader = train(&sequences(), 10, 1);
    let mut position = Position::default();
    let mut places = vec![];
    for _ in 0..5 {
        places.push((position.epoch, position.batch));
        position = loader.after(position);
    }
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]);
}

#[test]
fn values_go_where_the_buffer_says() {
    let plan = sequences();
    let loader = Loader::evaluate(dataset(&plan), index(&plan), 0, 2);
    let batch = loader.batch(Position { epoch: 0, batch: 3 });
    // The value at (s, t, i, j) is 24 s + 8 t + 4 i + j; the batch is s = 6, 7.
    let value = |s: usize, t: usize, i: usize, j: usize| (24 * s + 8 * t + 4 * i + j) as f32;
    let mut memory = vec![0; 32];
    loader.fill(0, &batch, &dense(&[2, 2, 2, 4]), &mut memory).unwrap();
    let expected = (6..8).flat_map(|s| (0..2).flat_map(move |t| (0..8).map(move |x| value(s, t, 0, x))));
    assert_eq!(memory, expected.map(f32::to_bits).collect::<Vec<_>>());

    // Columns slowest, batch fastest, room for two more rows: 4 columns of 4 rows of 2 samples.
    let turned = buffer(&[("batch", 2, 1), ("row", 2, 2), ("column", 4, 8)], 32);
    let mut memory = vec![7; 32];
    loader.fill(1, &batch, &turned, &mut memory).unwrap();
    for (at, &bits) in memory.iter().enumerate() {
        let (j, i, s) = (at / 8, at / 2 % 4, at % 2);
        let expected = if i < 2 { value(6 + s, 2, i, j).to_bits() } else { 7 };
        assert_eq!(bits, expected, "element {at}");
    }
}

#[test]
fn slabs_without_a_sample_variable() {
    let mut plan = sequences();
    plan.fields.push(Field {
        name: "typical".into(),
        origin: FieldOrigin::Fit { fit: 0 },
        axes: vec![("row".into(), 2), ("column".into(), 4)],
        ..plan.fields[0].clone()
    });
    plan.slabs.push(Slab { field: 1, range: vec![fixed(1, 1), fixed(1, 3)] });
    let data = dataset(&plan);
    data.set_fit(1, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let loader = Loader::evaluate(data, index(&plan), 0, 2);
    let mut memory = vec![0; 3];
    loader.fill_fixed(2, &dense(&[1, 3]), &mut memory).unwrap();
    assert_eq!(memory, [5f32, 6.0, 7.0].map(f32::to_bits));
}

#[test]
fn fits_stream_the_train_part() {
    let mut plan = sequences();
    plan.split = vec![part("train", less("sequence", 17.0)), part("test", rest())];
    let range = [moved(0, 0, 1), fixed(0, 3), fixed(0, 2), fixed(0, 4)];
    plan.fits = vec![FitPlan { axes: vec!["sequence".into()], slabs: vec![slab(&range)] }];
    let loader = Loader::fit(dataset(&plan), index(&plan), 0, 5).unwrap_or_else(|e| panic!("{}", e.message));
    assert_eq!((loader.len(), loader.batches()), (17, 4));
    let mut sum = 0.0;
    for batch in 0..4 {
        let batch = loader.batch(Position { epoch: 0, batch });
        let mut memory = vec![0; 5 * 24];
        loader.fill(0, &batch, &dense(&[5, 3, 2, 4]), &mut memory).unwrap();
        for (row, valid) in memory.chunks(24).zip(&batch.valid) {
            sum += row.iter().map(|&x| f64::from(f32::from_bits(x) * valid)).sum::<f64>();
        }
    }
    let n = 17.0 * 24.0;
    assert_eq!(sum, n * (n - 1.0) / 2.0);
}

#[test]
fn flips_mirror_a_sample_as_a_whole() {
    let mut plan = sequences();
    plan.flips = vec!["row".into(), "column".into()];
    let loader = train(&plan, 23, 3);
    let batch = loader.batch(Position::default());
    let (mut past, mut future) = (vec![0; 23 * 16], vec![0; 23 * 8]);
    loader.fill(0, &batch, &dense(&[23, 2, 2, 4]), &mut past).unwrap();
    loader.fill(1, &batch, &dense(&[23, 2, 4]), &mut future).unwrap();
    let mut kinds = BTreeSet::new();
    for (b, row) in batch.rows.iter().enumerate() {
        let [up, left] = row.flips[..] else { panic!("a flip per axis") };
        kinds.insert((up, left));
        for at in 0..8 {
            let (i, j) = (at / 4, at % 4);
            let (i, j) = (if up { 1 - i } else { i }, if left { 3 - j } else { j });
            let value = |time: usize| ((24 * row.positions[0] + 8 * time + 4 * i + j) as f32).to_bits();
            assert_eq!(
                [past[b * 16 + at], past[b * 16 + 8 + at], future[b * 8 + at]],
                [value(0), value(1), value(2)]
            );
        }
    }
    assert_eq!(kinds.len(), 4, "each combination occurs");
    assert_eq!(batch, train(&plan, 23, 3).batch(Position::default()));
    let flips =
        |epoch| loader.batch(Position { epoch, batch: 0 }).rows.into_iter().map(|r| (r.positions, r.flips));
    assert_ne!(
        flips(0).collect::<BTreeSet<_>>(),
        flips(1).collect::<BTreeSet<_>>(),
        "drawn anew in each epoch"
    );
    let kept = Loader::evaluate(dataset(&plan), index(&plan), 0, 23).batch(Position::default());
    assert!(kept.rows.iter().all(|row| row.flips.is_empty()), "evaluation sees the data as they are");
}

fn targets() -> Vec<Target> {
    // Room between the samples, which stays 0.
    let past = buffer(&[("batch", 5, 19), ("time", 2, 8), ("row", 2, 4), ("column", 4, 1)], 95);
    vec![Target { slab: 0, buffer: past }, Target { slab: 1, buffer: dense(&[5, 2, 4]) }]
}

#[test]
fn reading_ahead_changes_nothing() {
    let mut plan = sequences();
    plan.flips = vec!["column".into()];
    let loader = Arc::new(train(&plan, 5, 42));
    let start = Position { epoch: 1, batch: 2 };
    for recycle in [false, true] {
        let mut ahead = Prefetch::start(loader.clone(), targets(), start, 11);
        let mut position = start;
        for _ in 0..11 {
            let loaded = ahead.next().expect("there are eleven").unwrap();
            assert_eq!(loaded.batch, loader.batch(position));
            for (target, image) in targets().iter().zip(&loaded.images) {
                let mut expected = vec![0; target.buffer.len];
                loader.fill(target.slab, &loaded.batch, &target.buffer, &mut expected).unwrap();
                assert_eq!(*image, expected);
            }
            position = loader.after(position);
            if recycle {
                ahead.recycle(loaded);
            }
        }
        assert!(ahead.next().is_none());
        assert!(ahead.next().is_none());
    }
}

#[test]
fn reading_ahead_may_be_given_up() {
    let loader = Arc::new(train(&sequences(), 5, 42));
    let mut ahead = Prefetch::start(loader, targets(), Position::default(), 1_000_000);
    ahead.next().expect("there are many").unwrap();
    drop(ahead);
}

#[test]
fn errors_of_the_reader_come_back() {
    let plan = sequences();
    let mut source = Counting::new(&[23, 3, 2, 4]);
    source.broken = Some(12);
    let data =
        Dataset::new(plan.clone(), vec![Arc::new(source)]).unwrap_or_else(|_| panic!("the plan is good"));
    let loader = Arc::new(Loader::evaluate(Arc::new(data), index(&plan), 0, 5));
    let mut ahead = Prefetch::start(loader, targets(), Position::default(), 5);
    assert!(ahead.next().expect("0 .. 5").is_ok());
    assert!(ahead.next().expect("5 .. 10").is_ok());
    let error = ahead.next().expect("10 .. 15").expect_err("12 cannot be read");
    assert_eq!(error.to_string(), "`counting`: the disk is gone");
    assert!(ahead.next().is_none());
}

#[test]
fn fields_are_held_against_their_variables() {
    let check = |change: &dyn Fn(&mut Field), code: Code, message: &str| {
        let mut plan = sequences();
        change(&mut plan.fields[0]);
        let source: Arc<dyn Source> = Arc::new(Counting::new(&[23, 3, 2, 4]));
        let problems = Dataset::new(plan, vec![source]).err().expect("the field does not fit");
        assert_eq!((problems[0].code, problems[0].message.as_str()), (code, message));
    };
    let variable = |field: &mut Field| {
        field.origin = FieldOrigin::Source { source: 0, variable: "rain".into() };
    };
    check(&variable, Code::E0901, "`counting` has no variable `rain`");
    check(
        &|f| f.dtype = DType::I32,
        Code::E0902,
        "`x` is declared i32, but the values in `counting` are f32",
    );
    let extents = "`x` is [sequence: 23, time: 8, row: 2, column: 4], but `counting` has [23, 3, 2, 4]";
    check(&|f| f.axes[1].1 = 8, Code::E0902, extents);
}
