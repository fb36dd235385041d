//! NPZ: a ZIP archive of NPY files. Stored members are read out of the map like NPY files; a deflated one is inflated
//! into memory when it is first read.
use crate::map::Bytes;
use crate::npy::Array;
use crate::{DataError, Source};
use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use stmc_base::schema::{Coordinates, SourceSchema};
use stmc_ir::DType;
use zip::{CompressionMethod, ZipArchive};

/// An NPZ file: a variable per member.
pub(crate) struct NpzFile {
    schema: SourceSchema,
    bytes: Bytes,
    members: Vec<Member>,
}

struct Member {
    name: String,
    array: Array,
    place: Place,
}

/// Where the values of a member are.
enum Place {
    /// Raw in the file.
    Stored(Range<usize>),
    /// Behind compression: member `index` of the archive, `size` bytes when inflated. `None`: not inflated yet.
    Deflated { index: usize, size: u64, inflated: Mutex<Option<Arc<Vec<u8>>>> },
}

impl NpzFile {
    /// Reads the directory and the headers of the members.
    pub(crate) fn new(path: &str, bytes: Bytes) -> Result<NpzFile, DataError> {
        let members = members(&bytes).map_err(|p| DataError::unreadable(path, p))?;
        let variables = members.iter().map(|m| m.array.variable(&m.name)).collect();
        let mut file = NpzFile { schema: SourceSchema { origin: path.into(), variables }, bytes, members };
        for i in 0..file.members.len() {
            file.schema.variables[i].coordinates = file.coordinates(i)?;
        }
        Ok(file)
    }

    /// A list that is not too long may tell where an axis of its name has its steps.
    fn coordinates(&self, number: usize) -> Result<Option<Coordinates>, DataError> {
        let member = &self.members[number];
        if !member.array.may_be_coordinates() {
            return Ok(None);
        }
        self.with_values(member, |values| Ok(member.array.coordinates(values)))
    }

    /// Gives the values of a member, inflated if need be.
    fn with_values<T>(
        &self,
        member: &Member,
        with: impl FnOnce(&[u8]) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        match &member.place {
            Place::Stored(values) => with(&self.bytes[values.clone()]),
            Place::Deflated { index, size, inflated } => {
                let mut inflated = inflated.lock().unwrap_or_else(PoisonError::into_inner);
                if inflated.is_none() {
                    let place = format!("{}:{}", self.schema.origin, member.name);
                    let values =
                        self.inflated(*index, *size).map_err(|p| DataError::unreadable(&place, p))?;
                    *inflated = Some(Arc::new(values));
                }
                let values = inflated.clone().expect("it was inflated just now");
                drop(inflated);
                with(&values[member.array.start..])
            }
        }
    }

    fn inflated(&self, index: usize, size: u64) -> Result<Vec<u8>, String> {
        let mut archive = archive(&self.bytes)?;
        let member = archive.by_index(index).map_err(|e| damaged(&e))?;
        let mut values = Vec::new();
        let room = usize::try_from(size).ok().filter(|&size| values.try_reserve_exact(size).is_ok());
        room.ok_or("a compressed array does not fit into memory: store it uncompressed (`numpy.savez`)")?;
        // One byte more than there should be: only at the very end is the checksum compared.
        member.take(size + 1).read_to_end(&mut values).map_err(|e| damaged(&e))?;
        if values.len() as u64 != size {
            return Err(damaged(&"a member has not the size that the directory says"));
        }
        Ok(values)
    }
}

impl Source for NpzFile {
    fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    fn read(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let place = format!("{}:{variable}", self.schema.origin);
        let member = self.members.iter().find(|m| m.name == variable).expect("the variable is in the schema");
        let unfit = |p| DataError::unfit(&place, p);
        self.with_values(member, |values| member.array.read(values, ranges, dtype, out).map_err(unfit))
    }
}

fn archive(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, String> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(&e))
}

fn members(bytes: &[u8]) -> Result<Vec<Member>, String> {
    let mut archive = archive(bytes)?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|e| damaged(&e))?;
        let name = file.name().map_err(|e| damaged(&e))?;
        let Some(name) = name.strip_suffix(".npy").map(String::from) else { continue };
        let (size, stored) = (file.size(), file.compression() == CompressionMethod::Stored);
        let start = file.data_start();
        let array = Array::parse(file, size).map_err(|p| format!("in `{name}`: {p}"))?;
        let place = match start {
            Some(start) if stored => Place::Stored(values(bytes, start, size, &array, &name)?),
            _ => Place::Deflated { index, size, inflated: Mutex::new(None) },
        };
        members.push(Member { name, array, place });
    }
    Ok(members)
}

fn values(bytes: &[u8], start: u64, size: u64, array: &Array, name: &str) -> Result<Range<usize>, String> {
    let end =
        start.checked_add(size).and_then(|end| usize::try_from(end).ok()).filter(|&end| end <= bytes.len());
    let end = end.ok_or_else(|| format!("in `{name}`: the file is cut short"))?;
    Ok(start as usize + array.start..end)
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("the NPZ archive is damaged: {error}")
}
