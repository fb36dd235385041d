//! What all generators promise, and that something can be learnt from what they make. `storms.rs` has more of the oldest one.
#![allow(clippy::unwrap_used)] // In a test, a panic is the message.
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use stmc_base::{SourceId, Span};
use stmc_data::{DataError, Source, open};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;

fn opened(name: &str, args: &[(&str, f64)]) -> Result<Arc<dyn Source>, DataError> {
    let args: BTreeMap<String, f64> = args.iter().map(|&(name, x)| (name.into(), x)).collect();
    let spec = SourceSpec::Generator { name: name.into(), args, span: Span::new(SourceId(0), 0, 0) };
    open(&spec, Path::new("."))
}

fn generator(name: &str, args: &[(&str, f64)]) -> Arc<dyn Source> {
    opened(name, args).unwrap()
}

fn extents(source: &dyn Source, name: &str) -> Vec<usize> {
    let variable = source.schema().variables.iter().find(|v| v.name == name);
    variable.unwrap().axes.iter().map(|a| a.extent).collect()
}

/// All of some steps of a variable's first axis.
fn steps(source: &dyn Source, name: &str, steps: std::ops::Range<usize>, dtype: DType) -> Vec<u32> {
    let mut ranges: Vec<_> = extents(source, name).into_iter().map(|extent| 0..extent).collect();
    ranges[0] = steps;
    let mut bits = vec![0; ranges.iter().map(|r| r.len()).product()];
    source.read(name, &ranges, dtype, &mut bits).unwrap();
    bits
}

fn numbers(source: &dyn Source, name: &str) -> Vec<f32> {
    let count = extents(source, name)[0];
    steps(source, name, 0..count, DType::F32).into_iter().map(f32::from_bits).collect()
}

fn whole(source: &dyn Source, name: &str) -> Vec<usize> {
    let count = extents(source, name)[0];
    steps(source, name, 0..count, DType::I32).into_iter().map(|x| x as usize).collect()
}

fn classes(source: &dyn Source, name: &str) -> Vec<usize> {
    let names = source.categories(name).unwrap();
    let rows = extents(source, name)[0];
    let mut found = vec![0; rows];
    source.read_categories(name, std::slice::from_ref(&(0..rows)), &names, &mut found).unwrap();
    found.into_iter().map(|x| x as usize).collect()
}

/// The generators with few pieces.
const SMALL: &[(&str, &[(&str, f64)])] = &[
    ("heartbeats", &[("count", 30.0), ("patients", 3.0)]),
    ("observations", &[("count", 30.0), ("words", 8.0), ("looks", 5.0), ("size", 3.0)]),
    ("storms", &[("count", 30.0), ("size", 8.0), ("length", 3.0)]),
];

#[test]
fn a_piece_depends_on_seed_and_number_alone() {
    for (name, args) in SMALL {
        let seeded = |seed: f64| {
            let mut args = args.to_vec();
            args.push(("seed", seed));
            generator(name, &args)
        };
        let (one, same, other) = (seeded(1.0), seeded(1.0), seeded(2.0));
        for variable in one.schema().variables.iter().filter(|v| v.dtype == "f32") {
            let last = variable.axes[0].extent - 1;
            let all = steps(&*one, &variable.name, 0..last + 1, DType::F32);
            let piece = |source: &dyn Source| steps(source, &variable.name, last..last + 1, DType::F32);
            assert_eq!(piece(&*same), all[all.len() - piece(&*same).len()..], "{name}: {}", variable.name);
            assert_ne!(piece(&*one), piece(&*other), "{name}: {}", variable.name);
            assert!(all.iter().all(|bits| f32::from_bits(*bits).is_finite()));
        }
    }
}

#[test]
fn slabs_are_parts_of_the_whole() {
    let source = generator("observations", SMALL[1].1);
    let whole = steps(&*source, "vision", 7..8, DType::F32);
    let mut slab = vec![0; 2 * 2 * 3];
    source.read("vision", &[7..8, 1..2, 1..3, 0..2, 2..5], DType::F32, &mut slab).unwrap();
    let at = |h: usize, w: usize, look: usize| whole[((3 + h) * 3 + w) * 5 + look];
    let expected = (1..3).flat_map(|h| (0..2).flat_map(move |w| (2..5).map(move |l| (h, w, l))));
    assert_eq!(slab, expected.map(|(h, w, l)| at(h, w, l)).collect::<Vec<_>>());
}

#[test]
fn schemas() {
    let shown = |name: &str, args: &[(&str, f64)]| {
        let source = generator(name, args);
        let axes = |v: &stmc_base::schema::Variable| v.axes.iter().map(|a| a.extent).collect::<Vec<_>>();
        let lines = source.schema().variables.iter().map(|v| format!("{} {} {:?}", v.name, v.dtype, axes(v)));
        (source.schema().origin.clone(), lines.collect::<Vec<_>>())
    };
    let (origin, lines) = shown("heartbeats", &[("count", 30.0)]);
    assert_eq!(origin, "heartbeats(count: 30, patients: 50, length: 187, seed: 0)");
    assert_eq!(lines, ["signal f32 [30, 187]", "class text [30]", "patient i32 [30]"]);
    let (origin, lines) = shown("observations", &[("count", 6.0), ("words", 9.0)]);
    assert_eq!(
        origin,
        "observations(count: 6, species: 20, words: 9, looks: 32, frames: 2, size: 6, seed: 0)"
    );
    let expected = [
        "latitude f32 [6]",
        "longitude f32 [6]",
        "year i32 [6]",
        "plant i32 [6]",
        "species text [6]",
        "language f32 [6, 9]",
        "vision f32 [6, 2, 6, 6, 32]",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn mistakes() {
    let message = |name: &str, args: &[(&str, f64)]| opened(name, args).err().map(|e| e.to_string());
    let check =
        |name, args: &[(&str, f64)], text: &str| assert_eq!(message(name, args).as_deref(), Some(text));
    let unknown = message("storm", &[]).unwrap();
    assert!(unknown.starts_with("`storm`: there is no generator of this name; there are `"), "{unknown}");
    assert!(unknown.ends_with(" and `storms`"), "{unknown}");
    check(
        "observations",
        &[("species", 65.0)],
        "`observations`: `species` is 65; it must be a whole number from 2 to 64",
    );
    let source = generator("heartbeats", &[("count", 5.0)]);
    let unfit = source.read("signal", &[0..1, 0..1], DType::I32, &mut [0]).err().map(|e| e.to_string());
    let expected = "`heartbeats(count: 5, patients: 50, length: 187, seed: 0)`: its values are f32, not i32";
    assert_eq!(unfit.as_deref(), Some(expected));
    let rows = 0..5;
    let unknown =
        source.read_categories("class", std::slice::from_ref(&rows), &["other".into()], &mut [0; 5]);
    assert!(unknown.err().unwrap().to_string().contains("which is none of its 1 names"));
}

/// The share of each class that lies nearest to the mean of its class, the means being those of `known` rows; averaged over classes.
/// Besides, the share of the most frequent class among the others.
fn nearest(points: &[&[f32]], class: &[usize], known: &dyn Fn(usize) -> bool) -> (f64, f64) {
    let count = class.iter().max().unwrap() + 1;
    let mut means = vec![(0.0, vec![0.0; points[0].len()]); count];
    for i in (0..points.len()).filter(|i| known(*i)) {
        let (n, sum) = &mut means[class[i]];
        *n += 1.0;
        sum.iter_mut().zip(points[i]).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let mut found = vec![(0.0, 0.0); count];
    for i in (0..points.len()).filter(|i| !known(*i)) {
        let distance = |(n, sum): &(f64, Vec<f64>)| {
            sum.iter().zip(points[i]).map(|(sum, x)| (sum / n - f64::from(*x)).powi(2)).sum::<f64>()
        };
        let guess = (0..count).filter(|c| means[*c].0 > 0.0);
        let guess = guess.min_by(|a, b| distance(&means[*a]).total_cmp(&distance(&means[*b])));
        found[class[i]].0 += f64::from(u8::from(guess == Some(class[i])));
        found[class[i]].1 += 1.0;
    }
    let occur: Vec<_> = found.iter().filter(|f| f.1 > 0.0).collect();
    let recall = occur.iter().map(|f| f.0 / f.1).sum::<f64>() / occur.len() as f64;
    let all = occur.iter().map(|f| f.1).sum::<f64>();
    (recall, occur.iter().map(|f| f.1).fold(0.0, f64::max) / all)
}

#[test]
fn heartbeats_tell_their_classes() {
    let source = generator("heartbeats", &[("count", 4000.0), ("patients", 40.0), ("seed", 7.0)]);
    let (signal, class, patient) =
        (numbers(&*source, "signal"), classes(&*source, "class"), whole(&*source, "patient"));
    assert_eq!(source.categories("class").unwrap().len(), 5);
    assert_eq!((patient[0], patient[99], patient[100], patient[3999]), (0, 0, 1, 39));
    let share = |c: usize| class.iter().filter(|x| **x == c).count() as f64 / 4000.0;
    assert!((0.6..0.8).contains(&share(0)), "{}", share(0));
    assert!((1..5).all(|c| (0.02..0.18).contains(&share(c))), "{:?}", [1, 2, 3, 4].map(share));
    assert!(signal.iter().all(|x| x.abs() < 4.0));
    // The R wave of a normal beat is where it is said to be.
    let top = |beat: &[f32]| (52..73).max_by(|a, b| beat[*a].total_cmp(&beat[*b])).unwrap();
    let beats: Vec<&[f32]> = signal.chunks_exact(187).collect();
    let near = beats.iter().zip(&class).filter(|(_, c)| **c == 0);
    let (right, normal) =
        near.fold((0, 0), |(r, n), (b, _)| (r + usize::from(top(b).abs_diff(62) < 5), n + 1));
    assert!(right * 20 > normal * 19, "{right} of {normal}");
    // Of patients not seen before, the nearest mean beat tells more than chance and less than everything.
    let (recall, majority) = nearest(&beats, &class, &|i| patient[i] % 2 == 0);
    println!("recall of the nearest mean {recall:.3}, majority {majority:.3}");
    assert!((0.35..0.85).contains(&recall), "{recall}");
}

#[test]
fn observations_tell_their_species() {
    let source = generator("observations", &[("count", 4000.0), ("words", 64.0), ("seed", 7.0)]);
    let (language, vision) = (numbers(&*source, "language"), numbers(&*source, "vision"));
    let (species, plant, year) =
        (classes(&*source, "species"), whole(&*source, "plant"), whole(&*source, "year"));
    let (lat, lon) = (numbers(&*source, "latitude"), numbers(&*source, "longitude"));
    for i in (0..4000).step_by(2) {
        let row = |i: usize| (species[i], plant[i], year[i], lat[i].to_bits(), lon[i].to_bits());
        assert_eq!(row(i), row(i + 1));
    }
    assert!(year.iter().all(|y| (2018..2026).contains(y)));
    assert!(
        lat.iter().all(|x| (28.0..=28.54).contains(x)) && lon.iter().all(|x| (-81.9..=-81.29).contains(x))
    );
    let texts: Vec<&[f32]> = language.chunks_exact(64).collect();
    let pooled: Vec<Vec<f32>> = vision.chunks_exact(72 * 32).map(pool).collect();
    let pictures: Vec<&[f32]> = pooled.iter().map(Vec::as_slice).collect();
    let places: Vec<Vec<f32>> = lat.iter().zip(&lon).map(|(a, b)| vec![*a, *b]).collect();
    let places: Vec<&[f32]> = places.iter().map(Vec::as_slice).collect();
    let known = |i: usize| i % 4 < 2;
    for (name, points) in [("language", &texts), ("vision", &pictures), ("place", &places)] {
        let (recall, majority) = nearest(points, &species, &known);
        println!("{name}: recall of the nearest mean {recall:.3}, majority {majority:.3}");
        assert!(recall > 0.1 && recall < 0.85 && majority < 0.25, "{name} {recall}");
    }
}

/// The mean over 72 cells of 32 numbers each.
fn pool(cells: &[f32]) -> Vec<f32> {
    (0..32).map(|look| cells.iter().skip(look).step_by(32).sum::<f32>() / 72.0).collect()
}
