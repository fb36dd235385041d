//! Where arrays come from. A source knows its variables and reads hyperslabs of them.
use crate::csv::Table;
use crate::joined::Joined;
use crate::map::Bytes;
use crate::npy::NpyFile;
use crate::npz::NpzFile;
use crate::{DataError, category, generate};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use stmc_base::schema::{SourceSchema, Variable};
use stmc_ir::DType;
use stmc_ir::data::SourceSpec;

/// A file or a generator.
pub trait Source: Send + Sync {
    /// Its variables. Read from headers alone.
    fn schema(&self) -> &SourceSchema;

    /// Reads a hyperslab: the steps `ranges[i]` of axis `i` of a variable, row-major in the order on disk, as the bits
    /// of `dtype`. The variable, the ranges and the type are in the schema; `out` has as many places as the slab.
    fn read(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError>;

    /// The names behind a variable's values, in order. Reads all of them.
    fn categories(&self, variable: &str) -> Result<Vec<String>, DataError> {
        category::distinct(self, variable)
    }

    /// Reads a hyperslab of a variable whose values are names out of a table, as their numbers in it.
    fn read_categories(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        names: &[String],
        out: &mut [u32],
    ) -> Result<(), DataError> {
        category::read(self, variable, ranges, names, out)
    }
}

impl dyn Source {
    /// A variable by name. `None`: the source has none of that name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.schema().variables.iter().find(|v| v.name == name)
    }
}

/// Opens a source: looks at headers and directories of files, reads no values. Relative paths begin at `base`.
pub fn open(spec: &SourceSpec, base: &Path) -> Result<Arc<dyn Source>, DataError> {
    match spec {
        SourceSpec::File { path, .. } if is_table(path) => {
            Ok(Arc::new(Table::open(path, base, &BTreeMap::new())?))
        }
        SourceSpec::File { path, .. } => open_file(path, base),
        SourceSpec::Files { pattern, .. } if is_table(pattern) => {
            Ok(Arc::new(Table::open(pattern, base, &BTreeMap::new())?))
        }
        SourceSpec::Files { pattern, axes, .. } => Ok(Arc::new(Joined::open(pattern, axes, base)?)),
        SourceSpec::Reader { format, path, options, .. } => match format.as_str() {
            "csv" => Ok(Arc::new(Table::open(path, base, options)?)),
            _ => Err(DataError::unreadable(path, format!("there is no reader `{format}`; there is `csv`"))),
        },
        SourceSpec::Generator { name, args, .. } => generate::open(name, args),
    }
}

/// Tables have no mark of their own; their names tell them.
fn is_table(path: &str) -> bool {
    [".csv", ".tsv"].iter().any(|end| path.to_lowercase().ends_with(end))
}

/// A file of arrays.
pub(crate) fn open_file(path: &str, base: &Path) -> Result<Arc<dyn Source>, DataError> {
    let bytes = Bytes::open(&base.join(path), path)?;
    match bytes.get(..4) {
        Some(b"\x93NUM") => Ok(Arc::new(NpyFile::new(path, bytes)?)),
        Some(b"PK\x03\x04" | b"PK\x05\x06") => Ok(Arc::new(NpzFile::new(path, bytes)?)),
        _ => Err(DataError::unreadable(path, unknown_format(&bytes))),
    }
}

/// What a file that is neither NPY nor NPZ seems to be.
fn unknown_format(bytes: &[u8]) -> String {
    let name = match bytes {
        [] => return "the file is empty".into(),
        [b'C', b'D', b'F', ..] => "NetCDF",
        [0x89, b'H', b'D', b'F', ..] => "HDF5 or NetCDF-4",
        [b'G', b'R', b'I', b'B', ..] => "GRIB",
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => "TIFF",
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        _ => return "the format is not known; CSV, NPY and NPZ files are".into(),
    };
    format!("{name} files are not read yet; CSV, NPY and NPZ files are")
}
