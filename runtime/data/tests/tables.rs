//! Tables of text: what columns hold, how files are joined, and what is said of what does not fit.
#![allow(clippy::single_range_in_vec_init)] // a slab of one axis
mod common;
use common::span;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use stmc_data::{DataError, Source, open};
use stmc_ir::DType;
use stmc_ir::data::{Setting, SourceSpec};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the folder is writable");
    }
    folder
}

fn table(base: &Path, path: &str) -> Result<Arc<dyn Source>, DataError> {
    open(&SourceSpec::File { path: path.into(), span: span() }, base)
}

fn with(base: &Path, path: &str, options: &[(&str, Setting)]) -> Result<Arc<dyn Source>, DataError> {
    let options: BTreeMap<String, Setting> =
        options.iter().map(|(n, s)| (n.to_string(), s.clone())).collect();
    open(&SourceSpec::Reader { format: "csv".into(), path: path.into(), options, span: span() }, base)
}

fn numbers(table: &dyn Source, column: &str, rows: std::ops::Range<usize>) -> Vec<f32> {
    let mut out = vec![0; rows.len()];
    table.read(column, &[rows], DType::F32, &mut out).expect("the column is one of numbers");
    out.into_iter().map(f32::from_bits).collect()
}

/// Names, types and extents of the columns.
fn columns(table: &dyn Source) -> Vec<(String, String, usize)> {
    let variables = table.schema().variables.iter();
    variables.map(|v| (v.name.clone(), v.dtype.clone(), v.axes[0].extent)).collect()
}

#[test]
fn columns_are_numbers_or_text() {
    let folder =
        folder(&[("a.csv", "site,year,heat\n\"north, upper\",2020,1.5\nsouth,2021,\nsouth,2022,-3e2\n")]);
    let table = table(folder.path(), "a.csv").unwrap();
    let column = |name: &str, dtype: &str| (name.to_string(), dtype.to_string(), 3);
    assert_eq!(columns(&*table), [column("site", "text"), column("year", "i32"), column("heat", "f64")]);
    let heat = numbers(&*table, "heat", 0..3);
    assert_eq!((heat[0], heat[2]), (1.5, -300.0));
    assert!(heat[1].is_nan(), "an empty cell is missing");
    let names = table.categories("site").unwrap();
    assert_eq!(names, ["north, upper", "south"]);
    let mut out = vec![0; 2];
    table.read_categories("site", &[1..3], &names, &mut out).unwrap();
    assert_eq!(out, [1, 1]);
    assert_eq!(table.categories("year").unwrap(), ["2020", "2021", "2022"]);
}

#[test]
fn a_pattern_joins_files_and_its_names_are_columns() {
    let folder = folder(&[("x_b.csv", "1;2\n3;4\n"), ("x_a.csv", "5;6\n"), ("y.csv", "7;8\n")]);
    let settings = [("header", Setting::Bool(false)), ("separator", Setting::Text(";".into()))];
    let table = with(folder.path(), "x_{part}.csv", &settings).unwrap();
    assert_eq!(columns(&*table).iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["0", "1", "part"]);
    assert_eq!(numbers(&*table, "1", 0..3), [6.0, 2.0, 4.0]);
    let names = table.categories("part").unwrap();
    let mut out = vec![0; 3];
    table.read_categories("part", &[0..3], &names, &mut out).unwrap();
    assert_eq!((names, out), (vec!["a".to_string(), "b".to_string()], vec![0, 1, 1]));
}

#[test]
fn mistakes_are_told_with_file_and_line() {
    let folder = folder(&[
        ("short.csv", "a,b\n1,2\n3\n"),
        ("twice.csv", "a,a\n1,2\n"),
        ("other_1.csv", "a,b\n1,2\n"),
        ("other_2.csv", "a,c\n1,2\n"),
        ("gap.csv", "a,n\n1,x\n2,\n3,z\n"),
    ]);
    let problem = |path: &str| table(folder.path(), path).err().unwrap().to_string();
    assert_eq!(problem("short.csv"), "`short.csv`: line 3 has 1 cells, but there are 2 columns");
    assert_eq!(problem("twice.csv"), "`twice.csv`: two columns have the name `a`");
    assert_eq!(problem("other_*.csv"), "`other_2.csv`: its columns are not those of `other_1.csv`");
    assert_eq!(problem("none_*.csv"), "`none_*.csv`: no file has a name like this");
    assert_eq!(problem("none.csv"), "`none.csv`: there is no such file");
    let unknown = with(folder.path(), "gap.csv", &[("skip", Setting::Number(1.0))]).err().unwrap();
    assert!(unknown.problem.starts_with("`skip` is no setting of tables"), "{unknown}");
    let gap = table(folder.path(), "gap.csv").unwrap();
    let mut out = vec![0; 3];
    let names = ["x".to_string(), "y".to_string()];
    let missing = gap.read_categories("n", &[0..3], &names, &mut out).err().unwrap();
    assert_eq!(missing.to_string(), "`gap.csv, line 3`: `n` has no value");
    let strange = gap.read_categories("n", &[2..3], &names, &mut out[..1]).err().unwrap();
    assert_eq!(strange.to_string(), "`gap.csv, line 4`: `n` is `z`, which is none of its 2 names");
    let text = gap.read("n", &[0..1], DType::F32, &mut out[..1]).err().unwrap();
    assert_eq!(text.to_string(), "`gap.csv, line 2`: the column `n` is text, not f32");
}
