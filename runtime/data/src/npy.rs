//! NPY: one array, its values raw after a header. `npyz` reads and writes the header; values are read out of the map.
use crate::element::{Element, Kind};
use crate::map::Bytes;
use crate::{DataError, Source};
use npyz::WriterBuilder;
use std::io::{BufWriter, Read, Write};
use std::ops::Range;
use std::path::Path;
use stmc_base::schema::{Coordinates, SchemaAxis, SourceSchema, Variable};
use stmc_ir::DType;

/// An NPY file: one variable without a name.
pub(crate) struct NpyFile {
    schema: SourceSchema,
    bytes: Bytes,
    array: Array,
}

impl NpyFile {
    /// Reads the header.
    pub(crate) fn new(path: &str, bytes: Bytes) -> Result<NpyFile, DataError> {
        let array =
            Array::parse(&bytes[..], bytes.len() as u64).map_err(|p| DataError::unreadable(path, p))?;
        let schema = SourceSchema { origin: path.into(), variables: vec![array.variable("")] };
        Ok(NpyFile { schema, bytes, array })
    }
}

impl Source for NpyFile {
    fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    fn read(
        &self,
        _variable: &str,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let values = &self.bytes[self.array.start..];
        self.array.read(values, ranges, dtype, out).map_err(|p| DataError::unfit(&self.schema.origin, p))
    }
}

/// What a header says.
pub(crate) struct Array {
    /// `None`: something else than real numbers; `dtype` says what.
    element: Option<Element>,
    dtype: String,
    /// `None`: the values are no moments.
    moments: Option<Moments>,
    extents: Vec<usize>,
    /// Elements from one step of an axis to the next.
    strides: Vec<usize>,
    /// Bytes before the values.
    pub(crate) start: usize,
}

impl Array {
    /// Reads a header; `size` is that of the whole file, so that a file cut short is noticed before its end is needed.
    pub(crate) fn parse(mut file: impl Read, size: u64) -> Result<Array, String> {
        let head = header_bytes(&mut file)?;
        let header = npyz::NpyHeader::from_reader(&head[..]).map_err(|e| damaged(&e.to_string()))?;
        let extents =
            sizes(header.shape()).ok_or_else(|| damaged("the array is too large for this machine"))?;
        let strides =
            sizes(header.strides()).ok_or_else(|| damaged("the array is too large for this machine"))?;
        let numpy = header.dtype().descr().replace('\'', "");
        let (element, moments) = (element(&numpy), Moments::of(&numpy));
        let dtype = element.map_or(numpy, |e| e.kind.name().into());
        let array = Array { element, dtype, moments, extents, strides, start: head.len() };
        array.check_size(size)?;
        Ok(array)
    }

    /// The array as a schema shows it.
    pub(crate) fn variable(&self, name: &str) -> Variable {
        let axis = |&extent: &usize| SchemaAxis::new("", extent);
        Variable {
            name: name.into(),
            dtype: self.dtype.clone(),
            axes: self.extents.iter().map(axis).collect(),
            ..Variable::default()
        }
    }

    /// A list of numbers or moments that is not too long to be kept with a program.
    pub(crate) fn may_be_coordinates(&self) -> bool {
        const LONGEST: usize = 1 << 20;
        let number = self.element.is_some_and(|e| e.kind != Kind::Bool);
        matches!(self.extents[..], [1..=LONGEST]) && (number || self.moments.is_some())
    }

    /// The values of such a list. `None`: they are not all numbers, so they are no places.
    pub(crate) fn coordinates(&self, values: &[u8]) -> Option<Coordinates> {
        let wide = |element: Element| {
            let mut numbers = vec![0.0; self.extents[0]];
            element.decode_wide(values, &mut numbers);
            numbers
        };
        let found = match &self.moments {
            Some(moments) => {
                let ticks = wide(Element { kind: Kind::I64, big_endian: moments.big_endian });
                Coordinates::Days(ticks.into_iter().map(|t| moments.days(t)).collect())
            }
            None => Coordinates::numbers(wide(self.element?)),
        };
        let all = found.values(self.extents[0])?;
        all.iter().all(|x| x.is_finite()).then_some(found)
    }

    /// See `Source::read`; `values` are the bytes after the header.
    pub(crate) fn read(
        &self,
        values: &[u8],
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), String> {
        let element = self.element.filter(|e| e.kind.fits(dtype));
        let element =
            element.ok_or_else(|| format!("its values are {}, not {}", self.dtype, dtype.name()))?;
        self.check_ranges(ranges);
        let (run, step, outer) = self.runs(ranges);
        let mut at: Vec<usize> = ranges[..outer].iter().map(|r| r.start).collect();
        let inner: usize = ranges[outer..].iter().zip(&self.strides[outer..]).map(|(r, s)| r.start * s).sum();
        for out in out.chunks_exact_mut(run.max(1)) {
            let first = inner + at.iter().zip(&self.strides).map(|(i, s)| i * s).sum::<usize>();
            let bytes = &values[first * element.kind.size()..];
            let read = element.decode(bytes, step, dtype, out);
            read.ok_or_else(|| format!("a value of its {} numbers does not fit an i32", self.dtype))?;
            advance(&mut at, &ranges[..outer]);
        }
        Ok(())
    }

    /// The slab as equal runs: their length, the distance of their elements, and the number of axes outside them.
    fn runs(&self, ranges: &[Range<usize>]) -> (usize, usize, usize) {
        let Some(last) = ranges.len().checked_sub(1) else { return (1, 1, 0) };
        let (mut run, step, mut outer) = (ranges[last].len(), self.strides[last], last);
        while outer > 0 && self.strides[outer - 1] == step * run {
            outer -= 1;
            run *= ranges[outer].len();
        }
        (run, step.max(1), outer)
    }

    fn check_ranges(&self, ranges: &[Range<usize>]) {
        let within = ranges.len() == self.extents.len()
            && ranges.iter().zip(&self.extents).all(|(r, &extent)| r.start <= r.end && r.end <= extent);
        assert!(within, "a slab lies within its variable: {ranges:?} in {:?}", self.extents);
    }

    fn check_size(&self, size: u64) -> Result<(), String> {
        let moment = self.moments.as_ref().map(|_| Kind::I64.size());
        let Some(each) = self.element.map(|e| e.kind.size()).or(moment) else { return Ok(()) };
        let count = self.extents.iter().try_fold(each, |n, &e| n.checked_mul(e));
        let promised =
            count.and_then(|n| n.checked_add(self.start)).ok_or_else(|| damaged("its extents overflow"))?;
        if size < promised as u64 {
            return Err(format!(
                "the file is cut short: its header promises {promised} bytes, it has {size}"
            ));
        }
        Ok(())
    }
}

/// Magic, version and header text, at the length that the preamble gives.
fn header_bytes(file: &mut impl Read) -> Result<Vec<u8>, String> {
    // NumPy refuses longer headers too. Arrays of numbers need about a hundred characters.
    const LONGEST: usize = 10_000;
    let mut head = vec![0; 10];
    file.read_exact(&mut head).map_err(|_| damaged("the header is cut short"))?;
    let mut length = usize::from(u16::from_le_bytes([head[8], head[9]]));
    if head[6] > 1 {
        head.resize(12, 0);
        file.read_exact(&mut head[10..]).map_err(|_| damaged("the header is cut short"))?;
        length |= usize::from(u16::from_le_bytes([head[10], head[11]])) << 16;
    }
    if length > LONGEST {
        return Err(damaged(&format!("the header claims to have {length} characters")));
    }
    let text = head.len();
    head.resize(text + length, 0);
    file.read_exact(&mut head[text..]).map_err(|_| damaged("the header is cut short"))?;
    check_text(&head[text..])?;
    Ok(head)
}

/// Refuses headers on which the parser would overflow: it multiplies the extents unchecked, and descends into brackets.
fn check_text(text: &[u8]) -> Result<(), String> {
    let brackets = text.iter().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
    let numbers = text.split(|b| !b.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let product =
        numbers.filter_map(|digits| std::str::from_utf8(digits).ok()).try_fold(1u64, |product, digits| {
            digits.parse::<u64>().ok().and_then(|n| product.checked_mul(n.max(1)))
        });
    if brackets > 64 || product.is_none() {
        return Err(damaged("no array has such a header"));
    }
    Ok(())
}

fn damaged(detail: &str) -> String {
    format!("the NPY header is damaged: {detail}")
}

fn sizes(numbers: &[u64]) -> Option<Vec<usize>> {
    numbers.iter().map(|&n| usize::try_from(n).ok()).collect()
}

/// The real number behind a NumPy type such as `<f4`. `None`: complex numbers, text, dates, records, objects.
fn element(numpy: &str) -> Option<Element> {
    let kind = match numpy.get(1..)? {
        "b1" => Kind::Bool,
        "i1" => Kind::I8,
        "i2" => Kind::I16,
        "i4" => Kind::I32,
        "i8" => Kind::I64,
        "u1" => Kind::U8,
        "u2" => Kind::U16,
        "u4" => Kind::U32,
        "u8" => Kind::U64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    Some(Element { kind, big_endian: numpy.starts_with('>') })
}

/// NumPy's `datetime64`: whole numbers of a unit since 1970-01-01.
struct Moments {
    unit: Tick,
    big_endian: bool,
}

/// What `datetime64` counts.
enum Tick {
    /// Months, so many.
    Months(f64),
    /// Units of which so many make a day.
    PerDay(f64),
}

impl Moments {
    /// `<M8[ns]`. `None`: the type is another.
    fn of(numpy: &str) -> Option<Moments> {
        let unit = numpy.get(1..)?.strip_prefix("M8[")?.strip_suffix(']')?;
        let digits = unit.bytes().take_while(u8::is_ascii_digit).count();
        let each: f64 = if digits == 0 { 1.0 } else { unit[..digits].parse().ok()? };
        let unit = match &unit[digits..] {
            "Y" => Tick::Months(12.0 * each),
            "M" => Tick::Months(each),
            "W" => Tick::PerDay(1.0 / 7.0 / each),
            "D" => Tick::PerDay(1.0 / each),
            "h" => Tick::PerDay(24.0 / each),
            "m" => Tick::PerDay(1440.0 / each),
            "s" => Tick::PerDay(86_400.0 / each),
            "ms" => Tick::PerDay(86_400e3 / each),
            "us" => Tick::PerDay(86_400e6 / each),
            "ns" => Tick::PerDay(86_400e9 / each),
            _ => return None,
        };
        Some(Moments { unit, big_endian: numpy.starts_with('>') })
    }

    /// Days since 1970-01-01; NaN where there is no moment (`NaT` is the smallest whole number).
    fn days(&self, ticks: f64) -> f64 {
        match self.unit {
            _ if ticks <= i64::MIN as f64 => f64::NAN,
            Tick::Months(each) => stmc_base::date::days(1970, 1 + (ticks * each) as i64, 1) as f64,
            Tick::PerDay(n) => ticks / n,
        }
    }
}

/// The next position of a slab, row-major; after the last comes the first.
fn advance(at: &mut [usize], ranges: &[Range<usize>]) {
    for (i, range) in at.iter_mut().zip(ranges).rev() {
        *i += 1;
        if *i < range.end {
            return;
        }
        *i = range.start;
    }
}

/// Reads a whole NPY file of any numbers: extents, slowest first, and values.
pub fn read_npy(path: &Path) -> Result<(Vec<usize>, Vec<f32>), DataError> {
    let name = path.display().to_string();
    let file = NpyFile::new(&name, Bytes::open(path, &name)?)?;
    let extents = file.array.extents.clone();
    let ranges: Vec<_> = extents.iter().map(|&e| 0..e).collect();
    let mut bits = vec![0; extents.iter().product()];
    file.read("", &ranges, DType::F32, &mut bits)?;
    Ok((extents, bits.into_iter().map(f32::from_bits).collect()))
}

/// Writes an array as NPY: extents slowest first, values row-major.
pub fn write_npy(to: impl Write, extents: &[usize], values: &[f32]) -> std::io::Result<()> {
    assert_eq!(extents.iter().product::<usize>(), values.len(), "as many values as the array has elements");
    let shape: Vec<u64> = extents.iter().map(|&e| e as u64).collect();
    // The library writes number by number.
    let mut to = BufWriter::new(to);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut to).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    to.flush()
}
