//! The climate and the landscape that the program makes up: the same everywhere, plausible, and with something to learn.
#![allow(clippy::unwrap_used)] // In a test, a panic is the message.
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use stmc_base::schema::{Coordinates, Variable};
use stmc_base::{SourceId, Span};
use stmc_data::{DataError, Source, open};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;

fn made(name: &str, args: &[(&str, f64)]) -> Result<Arc<dyn Source>, DataError> {
    let args: BTreeMap<String, f64> = args.iter().map(|&(name, x)| (name.into(), x)).collect();
    let span = Span::new(SourceId(0), 0, 0);
    open(&SourceSpec::Generator { name: name.into(), args, span }, Path::new("."))
}

fn climate(seed: f64) -> Arc<dyn Source> {
    made("climate", &[("lat", 12.0), ("lon", 18.0), ("years", 20.0), ("members", 2.0), ("seed", seed)])
        .unwrap()
}

fn land(seed: f64) -> Arc<dyn Source> {
    made("land", &[("size", 40.0), ("years", 2.0), ("seed", seed)]).unwrap()
}

fn read(source: &dyn Source, variable: &str, ranges: &[Range<usize>]) -> Vec<f32> {
    let mut bits = vec![0; ranges.iter().map(Range::len).product()];
    source.read(variable, ranges, DType::F32, &mut bits).unwrap();
    bits.into_iter().map(f32::from_bits).collect()
}

fn variable<'a>(source: &'a dyn Source, name: &str) -> &'a Variable {
    source.schema().variables.iter().find(|v| v.name == name).unwrap()
}

fn whole(source: &dyn Source, name: &str) -> Vec<f32> {
    let axes = &variable(source, name).axes;
    let ranges: Vec<Range<usize>> = axes.iter().map(|a| 0..a.extent).collect();
    read(source, name, &ranges)
}

/// Equal bits; what is missing is NaN.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len() as f64
}

fn rmse(a: &[f32], b: &[f32]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

/// A source with that seed.
type Make = fn(f64) -> Arc<dyn Source>;

#[test]
fn they_depend_on_their_arguments_alone_and_slabs_are_parts_of_the_whole() {
    let slabs: [(Make, &str, &[Range<usize>]); 6] = [
        (climate, "co2", &[1..3, 7..90]),
        (climate, "bc", &[3..4, 5..8, 2..9, 4..5]),
        (climate, "rsdt", &[0..2, 11..13, 0..12, 17..18]),
        (climate, "pr", &[1..3, 1..2, 100..110, 3..5, 0..18]),
        (land, "et", &[3..9, 10..20, 39..40]),
        (land, "height", &[0..5, 30..33]),
    ];
    for (make, variable, ranges) in slabs {
        let source = make(7.0);
        let part = read(&*source, variable, ranges);
        let all = whole(&*make(7.0), variable);
        let extents: Vec<usize> = self::variable(&*source, variable).axes.iter().map(|a| a.extent).collect();
        let expected: Vec<f32> = (0..part.len())
            .map(|n| {
                let (mut rest, mut at, mut stride) = (n, 0, 1);
                for (range, extent) in ranges.iter().zip(&extents).rev() {
                    at += (range.start + rest % range.len()) * stride;
                    rest /= range.len();
                    stride *= extent;
                }
                all[at]
            })
            .collect();
        assert!(same(&part, &expected), "{variable}");
        let fixed = ["co2", "bc", "rsdt"].contains(&variable);
        assert_eq!(same(&all, &whole(&*make(8.0), variable)), fixed, "{variable} of another seed");
    }
}

#[test]
fn axes_have_their_places() {
    let climate = climate(7.0);
    let tas = variable(&*climate, "tas");
    assert_eq!(climate.schema().origin, "climate(lat: 12, lon: 18, years: 20, members: 2, seed: 7)");
    assert_eq!(tas.axes.iter().map(|a| a.extent).collect::<Vec<_>>(), [4, 2, 240, 12, 18]);
    let Some(Coordinates::Names(names)) = &tas.axes[0].coordinates else { panic!("scenarios have names") };
    assert_eq!(names, &["ssp126", "ssp245", "ssp370", "ssp585"]);
    assert_eq!(tas.axes[3].coordinates, Some(Coordinates::Even { first: -82.5, step: 15.0 }));
    let land = land(7.0);
    let et = variable(&*land, "et");
    assert!(et.axes[0].coordinates.as_ref().is_some_and(Coordinates::is_time));
    assert_eq!(et.axes.iter().map(|a| a.extent).collect::<Vec<_>>(), [92, 40, 40]);
}

#[test]
fn the_climate_is_one() {
    let source = climate(7.0);
    let all = |variable: &str| whole(&*source, variable);
    let (tas, pr) = (all("tas"), all("pr"));
    let run = 240 * 216;
    // Of the scenarios' last years: warmer, the more is emitted.
    let late = |scenario: usize| mean(&tas[scenario * 2 * run + 180 * 216..scenario * 2 * run + run]);
    let early = mean(&tas[..24 * 216]);
    let warming: Vec<f64> = (0..4).map(|s| late(s) - early).collect();
    assert!((275.0..295.0).contains(&early), "{early} K");
    assert!(warming.windows(2).all(|w| w[0] < w[1]) && warming[3] > warming[0] + 1.0, "{warming:?}");
    assert!(pr.iter().all(|x| *x >= 0.0) && (1.0..5.0).contains(&mean(&pr)), "{} mm/day", mean(&pr));
    // Two members of ssp245 differ by weather alone; the mean year of the other scenarios knows neither weather nor trend.
    for (name, field, most) in [("tas", &tas, 0.85), ("pr", &pr, 0.9)] {
        let member = |s: usize, m: usize| &field[(s * 2 + m) * run..][..run];
        let weather = rmse(member(1, 0), member(1, 1)) / 2.0f64.sqrt();
        let mut typical = vec![0.0; 12 * 216];
        for s in [0, 2, 3] {
            for (i, x) in member(s, 0).iter().enumerate() {
                typical[i % (12 * 216)] += x / 60.0;
            }
        }
        let months: Vec<f32> = (0..run).map(|i| typical[i % (12 * 216)]).collect();
        let (climatology, last) =
            (rmse(&months, member(1, 0)), rmse(&member(1, 0)[..run - 2592], &member(1, 0)[2592..]));
        assert!(
            weather < most * climatology && weather < most * last,
            "{name}: {weather}, {climatology}, {last}"
        );
    }
}

#[test]
fn the_landscape_is_one() {
    let source = land(7.0);
    let (et, lai, lst) = (whole(&*source, "et"), whole(&*source, "lai"), whole(&*source, "lst"));
    let seen: Vec<usize> = (0..et.len()).filter(|i| et[*i] != -999.0).collect();
    let share = seen.len() as f64 / et.len() as f64;
    assert!((0.5..0.95).contains(&share), "{share}");
    assert!(seen.iter().all(|i| et[*i] >= 0.0 && lai[*i] >= 0.0 && (230.0..330.0).contains(&lst[*i])));
    assert!((0..et.len()).all(|i| (et[i] == -999.0) == lai[i].is_nan()));
    let height = whole(&*source, "height");
    assert!(height.iter().all(|h| h.is_nan() || (0.0..4000.0).contains(h)));
    assert_eq!(source.categories("use").unwrap(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn wrong_arguments() {
    let check = |name: &str, args: &[(&str, f64)], message: &str| {
        assert_eq!(made(name, args).err().map(|e| e.to_string()).as_deref(), Some(message));
    };
    let unknown = made("lands", &[]).err().map(|e| e.to_string()).unwrap();
    assert!(
        unknown.starts_with("`lands`: there is no generator of this name; there are `climate`, "),
        "{unknown}"
    );
    check(
        "land",
        &[("sea", 1.0)],
        "`land`: there is no argument `sea`; there are `size`, `years`, `classes` and `seed`",
    );
    check(
        "climate",
        &[("members", 0.0)],
        "`climate`: `members` is 0; it must be a whole number from 1 to 100",
    );
}
