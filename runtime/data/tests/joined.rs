//! Files of arrays that one pattern names: how they are joined, what their names become, and what is said of those that do not fit.
#![allow(clippy::unwrap_used)] // In a test, a panic is the message.
#![allow(clippy::single_range_in_vec_init)] // a slab of one axis
mod common;
use common::span;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use stmc_base::schema::Coordinates;
use stmc_data::{DataError, Source, open, write_npy};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;
use zip::write::SimpleFileOptions;

/// Name, extents, first value: the others count on.
type Array = (&'static str, &'static [usize], f32);

fn npy(extents: &[usize], first: f32) -> Vec<u8> {
    let values: Vec<f32> = (0..extents.iter().product()).map(|i: usize| first + i as f32).collect();
    let mut bytes = vec![];
    write_npy(&mut bytes, extents, &values).unwrap();
    bytes
}

fn npz(arrays: &[Array]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    for (name, extents, first) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&npy(extents, *first)).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn files(base: &Path, pattern: &str) -> Result<Arc<dyn Source>, DataError> {
    let axes = ["lat", "member", "scenario", "time"].map(String::from).to_vec();
    open(&SourceSpec::Files { pattern: pattern.into(), axes, span: span() }, base)
}

fn values(source: &dyn Source, variable: &str, ranges: &[Range<usize>]) -> Vec<f32> {
    let mut bits = vec![0; ranges.iter().map(Range::len).product()];
    source.read(variable, ranges, DType::F32, &mut bits).unwrap();
    bits.into_iter().map(f32::from_bits).collect()
}

/// `heat [time?: 5, 2]`: the axes that have a name, and extents.
fn shapes(source: &dyn Source) -> Vec<String> {
    let axis = |a: &stmc_base::schema::SchemaAxis| format!("{}{}", a.name, a.extent);
    let shape = |v: &stmc_base::schema::Variable| {
        format!("{} {}", v.name, v.axes.iter().map(axis).collect::<Vec<_>>().join(" "))
    };
    source.schema().variables.iter().map(shape).collect()
}

#[test]
fn files_are_joined_along_the_axis_whose_places_differ() {
    let late =
        npz(&[("time", &[2], 3.0), ("lat", &[2], 50.0), ("heat", &[2, 2], 106.0), ("relief", &[2], 7.0)]);
    let early =
        npz(&[("time", &[3], 0.0), ("lat", &[2], 50.0), ("heat", &[3, 2], 100.0), ("relief", &[2], 7.0)]);
    let folder = folder(&[("a.npz", late), ("b.npz", early)]);
    let source = files(folder.path(), "*.npz").unwrap();
    assert_eq!(shapes(&*source), ["time 5", "lat 2", "heat 5 2", "relief 2"]);
    assert_eq!(source.schema().variables[0].coordinates, Some(Coordinates::Even { first: 0.0, step: 1.0 }));
    assert_eq!(values(&*source, "heat", &[2..4, 0..2]), [104.0, 105.0, 106.0, 107.0]);
    assert_eq!(values(&*source, "heat", &[0..5, 1..2]), [101.0, 103.0, 105.0, 107.0, 109.0]);
    assert_eq!(values(&*source, "heat", &[3..5, 0..1]), [106.0, 108.0]);
    assert_eq!(values(&*source, "relief", &[1..2]), [8.0]);
    assert_eq!(values(&*source, "time", &[1..5]), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn what_stands_for_a_name_is_an_axis() {
    let file = |first: f32, shift: f32| {
        npz(&[("time", &[2], first), ("heat", &[2, 3], 10.0 * first), ("gas", &[2], first + shift)])
    };
    let made = [
        ("low/1.npz", file(0.0, 0.0)),
        ("low/2.npz", file(2.0, 0.0)),
        ("high/1.npz", file(0.0, 100.0)),
        ("high/2.npz", file(2.0, 100.0)),
    ];
    let folder = folder(&made);
    let source = files(folder.path(), "{scenario}/*.npz").unwrap();
    assert_eq!(shapes(&*source), ["time 4", "heat scenario2 4 3", "gas scenario2 4"]);
    let names = Coordinates::Names(vec!["high".into(), "low".into()]);
    assert_eq!(source.schema().variables[1].axes[0].coordinates, Some(names));
    assert_eq!(values(&*source, "heat", &[0..2, 1..3, 2..3]), [5.0, 22.0, 5.0, 22.0]);
    assert_eq!(values(&*source, "gas", &[1..2, 0..4]), [0.0, 1.0, 2.0, 3.0]);
    let both = files(folder.path(), "{scenario}/{member}.npz").err().unwrap();
    assert_eq!(
        both.to_string(),
        "`high/2.npz`: its `time` does not have the steps of that of `high/1.npz`: all that stands for `{…}` has the same axes"
    );
}

#[test]
fn files_without_lists_are_joined_in_the_order_of_their_names() {
    let folder = folder(&[
        ("a_1.npy", npy(&[2, 3], 0.0)),
        ("a_2.npy", npy(&[1, 3], 6.0)),
        ("b_1.npy", npy(&[2, 2], 0.0)),
        ("b_2.npy", npy(&[2, 2], 4.0)),
        ("c_1.npy", npy(&[2, 1], 0.0)),
        ("c_2.npy", npy(&[2, 2], 2.0)),
    ]);
    let whole = |pattern: &str| {
        let source = files(folder.path(), pattern).unwrap();
        let ranges: Vec<_> = source.schema().variables[0].axes.iter().map(|a| 0..a.extent).collect();
        (shapes(&*source), values(&*source, "", &ranges))
    };
    assert_eq!(whole("a_*.npy"), (vec![" 3 3".into()], (0..9).map(|i| i as f32).collect()));
    assert_eq!(whole("b_*.npy"), (vec![" 4 2".into()], (0..8).map(|i| i as f32).collect()));
    assert_eq!(whole("c_*.npy"), (vec![" 2 3".into()], vec![0.0, 2.0, 3.0, 1.0, 4.0, 5.0]));
    assert_eq!(whole("b_{member}.npy").0, [" member2 2 2"]);
}

#[test]
fn what_does_not_fit_is_told_with_its_file() {
    let base: &[Array] = &[("time", &[2], 0.0), ("lat", &[2], 0.0), ("heat", &[2, 2], 0.0)];
    let check = |second: &[Array], expected: &str| {
        let folder = folder(&[("x/1.npz", npz(base)), ("x/2.npz", npz(second))]);
        let error = files(folder.path(), "x/*.npz").err().unwrap().to_string();
        assert_eq!(error, format!("`x/2.npz`: {expected}"));
    };
    check(&[("time", &[2], 2.0), ("lat", &[2], 0.0)], "it has no `heat`, which `x/1.npz` has");
    check(
        &[("time", &[2], 2.0), ("lat", &[2], 1.0), ("heat", &[2, 2], 0.0)],
        "its `time` and its `lat` are not those of `x/1.npz`: files are joined along one axis",
    );
    check(
        &[("time", &[2], 1.0), ("lat", &[2], 0.0), ("heat", &[2, 2], 0.0)],
        "its `time` begins before that of `x/1.npz` ends",
    );
    check(
        &[("time", &[1], 2.0), ("lat", &[2], 0.0), ("heat", &[1, 3], 0.0)],
        "its `heat` is [1, 3], that of `x/1.npz` is [2, 2]: files differ along one axis",
    );
    check(
        &[("time", &[2], 2.0), ("lat", &[2], 0.0), ("heat", &[2], 0.0)],
        "its `heat` is f32 with 1 axes, but that of `x/1.npz` is f32 with 2 axes",
    );
    check(
        &[("time", &[2], 0.0), ("lat", &[2], 0.0), ("heat", &[2, 2], 1.0)],
        "its `heat` is not that of `x/1.npz`, and has no axis along which files are joined",
    );
    let folder = folder(&[("a/1.npz", npz(base)), ("a/2.npz", npz(base)), ("b/1.npz", npz(base))]);
    let problem = |pattern: &str| files(folder.path(), pattern).err().unwrap().to_string();
    assert_eq!(
        problem("{scenario}/{member}.npz"),
        "`{scenario}/{member}.npz`: there is no file for `scenario` b with `member` 2"
    );
    assert_eq!(
        problem("{scenario}/{scenario}.npz"),
        "`{scenario}/{scenario}.npz`: `{scenario}` stands there twice"
    );
    assert_eq!(problem("c/*.npz"), "`c/*.npz`: no file has a name like this");
}
