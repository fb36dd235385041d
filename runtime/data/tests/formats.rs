//! NPY and NPZ files of every numeric type, damaged ones, and ones larger than memory.
#![allow(clippy::unwrap_used)] // In a test, a panic is the message.
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stmc_base::{Code, SourceId, Span};
use stmc_data::{DataError, Source, open, read_npy, write_npy};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

fn file(base: &Path, path: &str) -> Result<Arc<dyn Source>, DataError> {
    open(&SourceSpec::File { path: path.into(), span: Span::new(SourceId(0), 0, 0) }, base)
}

fn folder(name: &str, bytes: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

/// An NPY file with this header text, of format version 1, 2 or 3.
fn npy(version: u8, header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.bytes());
    bytes.extend(values);
    bytes
}

fn header(descr: &str, fortran: bool, shape: &str) -> String {
    let order = if fortran { "True" } else { "False" };
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

/// The number `x` as NumPy stores it under this type.
fn stored(descr: &str, x: i64) -> Vec<u8> {
    let mut bytes = match &descr[1..] {
        "b1" | "i1" | "u1" => vec![x as u8],
        "i2" | "u2" => (x as u16).to_le_bytes().to_vec(),
        "i4" | "u4" => (x as u32).to_le_bytes().to_vec(),
        "i8" | "u8" => x.to_le_bytes().to_vec(),
        "f2" => [0x0000u16, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500][x as usize].to_le_bytes().to_vec(),
        "f4" => (x as f32).to_le_bytes().to_vec(),
        "f8" => (x as f64).to_le_bytes().to_vec(),
        other => panic!("{other}"),
    };
    if descr.starts_with('>') {
        bytes.reverse();
    }
    bytes
}

fn floats(source: &dyn Source, variable: &str, ranges: &[std::ops::Range<usize>]) -> Vec<f32> {
    let mut bits = vec![0; ranges.iter().map(|r| r.len()).product()];
    source.read(variable, ranges, DType::F32, &mut bits).unwrap();
    bits.into_iter().map(f32::from_bits).collect()
}

#[test]
fn every_type_order_and_version() {
    let types = "|b1 |i1 |u1 <i2 >i2 <u2 >u2 <i4 >i4 <u4 >u4 <i8 >i8 <u8 >u8 <f2 >f2 <f4 >f4 <f8 >f8";
    for descr in types.split(' ') {
        for (fortran, version) in [(false, 1), (true, 1), (false, 2), (true, 3)] {
            let value = |i: i64| if descr == "|b1" { i % 2 } else { i };
            // Row-major 0 1 2 / 3 4 5.
            let order = if fortran { [0, 3, 1, 4, 2, 5] } else { [0, 1, 2, 3, 4, 5] };
            let values: Vec<u8> = order.into_iter().flat_map(|i| stored(descr, value(i))).collect();
            let folder = folder("a.npy", &npy(version, &header(descr, fortran, "(2, 3)"), &values));
            let source = file(folder.path(), "a.npy").unwrap();
            let expected: Vec<f32> = (0..6).map(|i| value(i) as f32).collect();
            assert_eq!(floats(&*source, "", &[0..2, 0..3]), expected, "{descr} fortran {fortran}");
            assert_eq!(floats(&*source, "", &[1..2, 1..3]), expected[4..], "{descr} fortran {fortran}");
            let column: Vec<f32> = expected[1..].iter().step_by(3).copied().collect();
            assert_eq!(floats(&*source, "", &[0..2, 1..2]), column, "{descr} fortran {fortran}");
            if !descr.contains('f') {
                let mut bits = [9; 6];
                source.read("", &[0..2, 0..3], DType::I32, &mut bits).unwrap();
                assert_eq!(bits.map(|x| x as f32).to_vec(), expected, "{descr} as i32");
            }
        }
    }
}

#[test]
fn schema_names_what_is_there() {
    let folder = folder("a.npy", &npy(1, &header(">i2", false, "(4, 5, 6)"), &[0; 240]));
    let source = file(folder.path(), "a.npy").unwrap();
    let variable = &source.schema().variables[0];
    assert_eq!((variable.name.as_str(), variable.dtype.as_str()), ("", "i16"));
    assert_eq!(variable.axes.iter().map(|a| a.extent).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(source.schema().origin, "a.npy");
}

#[test]
fn no_axis_and_no_value() {
    let folder = folder("a.npy", &npy(1, &header("<f4", false, "()"), &3.5f32.to_le_bytes()));
    assert_eq!(floats(&*file(folder.path(), "a.npy").unwrap(), "", &[]), [3.5]);
    fs::write(folder.path().join("b.npy"), npy(1, &header("<f4", false, "(0, 3)"), &[])).unwrap();
    assert!(floats(&*file(folder.path(), "b.npy").unwrap(), "", &[0..0, 0..3]).is_empty());
}

#[test]
fn mistakes_are_named_with_the_path() {
    let check = |bytes: &[u8], expected: &str| {
        let folder = folder("a.npy", bytes);
        let error = file(folder.path(), "a.npy").err().unwrap();
        assert_eq!(error.code, Code::E0903);
        assert!(
            error.to_string().starts_with(&format!("`a.npy`: {expected}")),
            "{error}\nis not\n{expected}"
        );
    };
    let good = npy(1, &header("<f4", false, "(2, 3)"), &[0; 24]);
    check(&[], "the file is empty");
    check(b"latitude,longitude\n", "the format is not known; CSV, NPY and NPZ files are");
    check(b"CDF\x01", "NetCDF files are not read yet");
    check(b"\x89HDF\r\n", "HDF5 or NetCDF-4 files are not read yet");
    check(&good[..8], "the NPY header is damaged: the header is cut short");
    check(&good[..40], "the NPY header is damaged: the header is cut short");
    check(&good[..good.len() - 1], "the file is cut short: its header promises 94 bytes, it has 93");
    check(&npy(9, &header("<f4", false, "(2,)"), &[0; 8]), "the NPY header is damaged");
    check(
        &npy(1, "{'descr': '<f4', 'shape': (2,)}", &[0; 8]),
        "the NPY header is damaged: dict is missing key",
    );
    check(&npy(1, &header("<q7", false, "(2,)"), &[0; 8]), "the NPY header is damaged");
    check(&npy(2, &" ".repeat(100_000), &[]), "the NPY header is damaged: the header claims to have 100000");
    let huge = "(4294967296, 4294967296, 2)";
    check(&npy(1, &header("<f4", false, huge), &[]), "the NPY header is damaged: no array has such a header");
    let deep = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {}", "(".repeat(9000));
    check(&npy(1, &deep, &[]), "the NPY header is damaged: no array has such a header");
    check(&npy(1, &header("<f4", false, "(1099511627776,)"), &[]), "the file is cut short");
    check(b"PK\x03\x04 and no archive", "the NPZ archive is damaged");
}

#[test]
fn paths_that_are_no_files() {
    let folder = folder("a.npy", &[]);
    let problem = |path: &str| file(folder.path(), path).err().unwrap().to_string();
    assert_eq!(problem("b.npy"), "`b.npy`: there is no such file; did you mean `a.npy`?");
    assert_eq!(problem("storms.csv"), "`storms.csv`: there is no such file");
    assert_eq!(problem("."), "`.`: this is a directory, a file is needed");
    assert!(problem("a.npy/b").starts_with("`a.npy/b`: "));
}

#[test]
fn values_of_the_wrong_type() {
    let read = |descr: &str, values: &[u8], dtype| {
        let folder = folder("a.npy", &npy(1, &header(descr, false, "(1,)"), values));
        let source = file(folder.path(), "a.npy").unwrap();
        source.read("", std::slice::from_ref(&(0..1)), dtype, &mut [0]).map_err(|e| (e.code, e.problem))
    };
    let unfit = |problem: &str| Err((Code::E0902, problem.to_string()));
    assert_eq!(read("<f4", &[0; 4], DType::I32), unfit("its values are f32, not i32"));
    assert_eq!(read("|u1", &[1], DType::Bool), unfit("its values are u8, not bool"));
    assert_eq!(read("|b1", &[1], DType::Bool), Ok(()));
    assert_eq!(read("<c8", &[0; 8], DType::F32), unfit("its values are <c8, not f32"));
    assert_eq!(read("<U4", &[0; 16], DType::F32), unfit("its values are <U4, not f32"));
    assert_eq!(
        read("<i8", &(1i64 << 40).to_le_bytes(), DType::I32),
        unfit("a value of its i64 numbers does not fit an i32")
    );
}

/// No damage to the header or the length ends in a panic.
#[test]
fn damaged_files_never_panic() {
    let good = npy(1, &header(">i2", true, "(3, 2)"), &[1; 12]);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    let mut survivors = 0;
    let mut check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        survivors += usize::from(read_npy(&path).is_ok());
    };
    (0..good.len()).for_each(|cut| check(&good[..cut]));
    for at in 0..good.len() {
        for replacement in [0, b'9', b'(', b'\'', 0xff] {
            let mut bytes = good.clone();
            bytes[at] = replacement;
            check(&bytes);
        }
    }
    assert!(survivors > 0, "damage to values goes unnoticed");
}

/// Values far beyond the memory of any machine on which this runs; the file is sparse.
#[test]
fn larger_than_memory() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.npy");
    let (rows, columns) = (1usize << 18, 1usize << 18);
    let head = npy(1, &header("<f4", false, &format!("({rows}, {columns})")), &[]);
    let mut large = fs::File::create(&path).unwrap();
    large.write_all(&head).unwrap();
    let place = |i: usize, j: usize| (head.len() + (i * columns + j) * 4) as u64;
    if let Err(error) = large.set_len(place(rows, 0)) {
        eprintln!("skipped: the file system has no sparse files of 256 GiB ({error})");
        return;
    }
    large.seek(SeekFrom::Start(place(rows - 1, columns - 2))).unwrap();
    large.write_all(&7f32.to_le_bytes()).unwrap();
    let source = file(folder.path(), "large.npy").unwrap();
    let slab = [rows - 2..rows, columns - 3..columns];
    assert_eq!(floats(&*source, "", &slab), [0.0, 0.0, 0.0, 0.0, 7.0, 0.0]);
}

#[test]
fn what_is_written_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    for extents in [vec![], vec![1], vec![2, 3], vec![4, 1, 5], vec![0, 2]] {
        let values: Vec<f32> = (0..extents.iter().product()).map(|i| i as f32 / 3.0).collect();
        write_npy(fs::File::create(&path).unwrap(), &extents, &values).unwrap();
        assert_eq!(read_npy(&path).unwrap(), (extents, values));
    }
}

fn npz(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    for (name, bytes) in members {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn two_arrays(method: CompressionMethod) -> Vec<u8> {
    let values: Vec<u8> = (0..1000).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let rain = npy(1, &header("<f4", false, "(10, 100)"), &values);
    let mask = npy(1, &header("|b1", false, "(3,)"), &[1, 0, 1]);
    npz(&[("rain.npy", &rain), ("notes.txt", b"no array"), ("mask.npy", &mask)], method)
}

#[test]
fn archives_stored_and_deflated() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let folder = folder("a.npz", &two_arrays(method));
        let source = file(folder.path(), "a.npz").unwrap();
        let names: Vec<_> = source.schema().variables.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["rain", "mask"]);
        assert_eq!(floats(&*source, "rain", &[9..10, 97..100]), [997.0, 998.0, 999.0]);
        assert_eq!(floats(&*source, "rain", &[3..5, 1..2]), [301.0, 401.0]);
        assert_eq!(floats(&*source, "mask", std::slice::from_ref(&(0..3))), [1.0, 0.0, 1.0]);
    }
}

#[test]
fn damaged_archives() {
    let good = two_arrays(CompressionMethod::Deflated);
    let folder = TempDir::new().unwrap();
    let open = |bytes: &[u8]| {
        fs::write(folder.path().join("a.npz"), bytes).unwrap();
        file(folder.path(), "a.npz")
    };
    for cut in (4..good.len()).step_by(13) {
        let Err(error) = open(&good[..cut]) else { panic!("cut at {cut}") };
        assert!(error.to_string().starts_with("`a.npz`: "), "{error}");
    }
    // Deep in the compressed values: the directory is sound, the checksum is not.
    let mut bytes = good.clone();
    bytes[500] ^= 0x55;
    let source = open(&bytes).unwrap();
    let error = source.read("rain", &[0..10, 0..100], DType::F32, &mut vec![0; 1000]).err().unwrap();
    assert!(error.to_string().starts_with("`a.npz:rain`: the NPZ archive is damaged: "), "{error}");
}

/// Real files, as far as they are there.
#[test]
fn reference_files() {
    let Some(reference) = std::env::var_os("STMC_REFERENCE") else {
        eprintln!("skipped: STMC_REFERENCE does not name the folder of reference data");
        return;
    };
    let folder = PathBuf::from(reference).join("data/npy");
    // File, variable, extents, smallest and largest value.
    let cases: &[(&str, &str, &[usize], f32, f32)] = &[
        ("big_endian_i2.npy", "", &[3, 30, 84], -32768.0, 250.0),
        ("bool.npy", "", &[30, 84], 0.0, 1.0),
        ("c_f4.npy", "", &[12, 30, 84], -2.5863, 2.8834),
        ("fortran_f8.npy", "", &[3, 30, 84], -2.5863, 2.5082),
        ("scalar.npy", "", &[], 3.5, 3.5),
        ("v2_header_u8.npy", "", &[16, 16], 0.0, 255.0),
        ("pacific_sst_anom_1970-2003.npz", "sst", &[399, 30, 84], -3.5828, 6.5252),
        ("pacific_sst_anom_1970-2003.npz", "lon", &[84], 124.0, 290.0),
        ("pacific_sst_anom_1970-2003.npz", "land", &[30, 84], 0.0, 1.0),
        ("pacific_sst_stored.npz", "sst", &[36, 30, 84], -2.5863, 2.8834),
    ];
    for &(name, variable, extents, low, high) in cases {
        let source = file(&folder, name).unwrap_or_else(|e| panic!("{e}"));
        let found = source.variable(variable).unwrap();
        assert_eq!(found.axes.iter().map(|a| a.extent).collect::<Vec<_>>(), extents, "{name} {variable}");
        let ranges: Vec<_> = extents.iter().map(|&e| 0..e).collect();
        let values = floats(&*source, variable, &ranges);
        let smallest = values.iter().copied().fold(f32::INFINITY, f32::min);
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // The bounds are known to five digits.
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-4 * b.abs().max(0.5);
        assert!(close(smallest, low) && close(largest, high), "{name} {variable}: {smallest} .. {largest}");
    }
    // The same field, once row by row and once column by column, which has the last three steps alone.
    let (rows, columns) = (file(&folder, "c_f4.npy").unwrap(), file(&folder, "fortran_f8.npy").unwrap());
    let (a, b) = (floats(&*rows, "", &[9..12, 5..20, 30..70]), floats(&*columns, "", &[0..3, 5..20, 30..70]));
    assert!(a.iter().zip(&b).all(|(a, b)| a == b || a.is_nan() && b.is_nan()));
}
