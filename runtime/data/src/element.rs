//! Numbers as they lie in files, and how they become the four-byte elements of memory.
use stmc_ir::DType;

/// Which numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

/// A number in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Element {
    pub(crate) kind: Kind,
    /// Most significant byte first.
    pub(crate) big_endian: bool,
}

impl Kind {
    /// As schemas print it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::I8 => "i8",
            Kind::I16 => "i16",
            Kind::I32 => "i32",
            Kind::I64 => "i64",
            Kind::U8 => "u8",
            Kind::U16 => "u16",
            Kind::U32 => "u32",
            Kind::U64 => "u64",
            Kind::F16 => "f16",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
        }
    }

    /// The kind that schemas print so. `None`: not a number.
    pub(crate) fn find(name: &str) -> Option<Kind> {
        use Kind::*;
        [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, F32, F64].into_iter().find(|k| k.name() == name)
    }

    /// Bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Kind::Bool | Kind::I8 | Kind::U8 => 1,
            Kind::I16 | Kind::U16 | Kind::F16 => 2,
            Kind::I32 | Kind::U32 | Kind::F32 => 4,
            Kind::I64 | Kind::U64 | Kind::F64 => 8,
        }
    }

    /// Whether a field of that type can be read from it: whatever is a number is an f32, truth is a number, and
    /// nothing else is truth.
    pub(crate) fn fits(self, dtype: DType) -> bool {
        match dtype {
            DType::F32 => true,
            DType::I32 => !matches!(self, Kind::F16 | Kind::F32 | Kind::F64),
            DType::Bool => self == Kind::Bool,
        }
    }
}

impl Element {
    /// Reads `out.len()` numbers, `step` numbers apart, from the start of `bytes`. `None`: one of them does not fit an i32.
    pub(crate) fn decode(self, bytes: &[u8], step: usize, to: DType, out: &mut [u32]) -> Option<()> {
        let run = Run { bytes, step, big_endian: self.big_endian };
        let float = |x: f32| Some(x.to_bits());
        match self.kind {
            Kind::Bool if to == DType::F32 => {
                run.each(out, |[b]: [u8; 1]| float(f32::from(u8::from(b != 0))))
            }
            Kind::Bool => run.each(out, |[b]: [u8; 1]| Some(u32::from(b != 0))),
            Kind::I8 => run.integers(to, out, |b| i64::from(i8::from_le_bytes(b))),
            Kind::I16 => run.integers(to, out, |b| i64::from(i16::from_le_bytes(b))),
            Kind::I32 => run.integers(to, out, |b| i64::from(i32::from_le_bytes(b))),
            Kind::I64 => run.integers(to, out, i64::from_le_bytes),
            Kind::U8 => run.integers(to, out, |b| i64::from(u8::from_le_bytes(b))),
            Kind::U16 => run.integers(to, out, |b| i64::from(u16::from_le_bytes(b))),
            Kind::U32 => run.integers(to, out, |b| i64::from(u32::from_le_bytes(b))),
            Kind::U64 if to == DType::F32 => run.each(out, |b| float(u64::from_le_bytes(b) as f32)),
            Kind::U64 => run.each(out, |b| i32::try_from(u64::from_le_bytes(b)).ok().map(|x| x as u32)),
            Kind::F16 => run.each(out, |b| float(half(u16::from_le_bytes(b)))),
            Kind::F32 => run.each(out, |b| Some(u32::from_le_bytes(b))),
            Kind::F64 => run.each(out, |b| float(f64::from_le_bytes(b) as f32)),
        }
    }
}

impl Element {
    /// Reads `out.len()` neighbouring numbers without rounding them to four bytes.
    pub(crate) fn decode_wide(self, bytes: &[u8], out: &mut [f64]) {
        for (out, number) in out.iter_mut().zip(bytes.chunks_exact(self.kind.size())) {
            // Widened at their more significant end.
            let mut b = [0; 8];
            b[..number.len()].copy_from_slice(number);
            if self.big_endian {
                b[..number.len()].reverse();
            }
            *out = match self.kind {
                Kind::Bool | Kind::U8 => f64::from(b[0]),
                Kind::I8 => f64::from(b[0] as i8),
                Kind::U16 => f64::from(u16::from_le_bytes([b[0], b[1]])),
                Kind::I16 => f64::from(i16::from_le_bytes([b[0], b[1]])),
                Kind::F16 => f64::from(half(u16::from_le_bytes([b[0], b[1]]))),
                Kind::U32 => f64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                Kind::I32 => f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                Kind::F32 => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                Kind::U64 => u64::from_le_bytes(b) as f64,
                Kind::I64 => i64::from_le_bytes(b) as f64,
                Kind::F64 => f64::from_le_bytes(b),
            };
        }
    }
}

/// Numbers at equal distances.
#[derive(Clone, Copy)]
struct Run<'a> {
    bytes: &'a [u8],
    step: usize,
    big_endian: bool,
}

impl Run<'_> {
    fn integers<const N: usize>(
        self,
        to: DType,
        out: &mut [u32],
        from: impl Fn([u8; N]) -> i64,
    ) -> Option<()> {
        match to {
            DType::F32 => self.each(out, |b| Some((from(b) as f32).to_bits())),
            DType::I32 => self.each(out, |b| i32::try_from(from(b)).ok().map(|x| x as u32)),
            DType::Bool => panic!("integers are not read as truth: `Kind::fits`"),
        }
    }

    /// `from` sees the bytes of each number, least significant first.
    fn each<const N: usize>(self, out: &mut [u32], from: impl Fn([u8; N]) -> Option<u32>) -> Option<()> {
        if self.big_endian {
            self.each_as_stored(out, |mut b: [u8; N]| {
                b.reverse();
                from(b)
            })
        } else {
            self.each_as_stored(out, from)
        }
    }

    fn each_as_stored<const N: usize>(
        self,
        out: &mut [u32],
        from: impl Fn([u8; N]) -> Option<u32>,
    ) -> Option<()> {
        let (numbers, _) = self.bytes.as_chunks::<N>();
        for (out, number) in out.iter_mut().zip(numbers.iter().step_by(self.step)) {
            *out = from(*number)?;
        }
        Some(())
    }
}

/// An IEEE half as a single: exact.
pub fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    if magnitude >= 0x7c00 << 13 {
        return f32::from_bits(sign | 0x7f80_0000 | magnitude);
    }
    // In its new place the exponent is too small by 112; the product mends that and makes subnormal halves normal.
    let two_to_112 = f32::from_bits((127 + 112) << 23);
    f32::from_bits(sign | (f32::from_bits(magnitude) * two_to_112).to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 2f32.powi(-14) - 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    #[test]
    fn integers_out_of_range_are_noticed() {
        let read = |kind, bytes: &[u8], to| {
            let mut out = [0];
            Element { kind, big_endian: false }.decode(bytes, 1, to, &mut out).map(|()| out[0])
        };
        assert_eq!(read(Kind::U32, &u32::MAX.to_le_bytes(), DType::I32), None);
        assert_eq!(read(Kind::U32, &u32::MAX.to_le_bytes(), DType::F32), Some(4_294_967_296f32.to_bits()));
        assert_eq!(read(Kind::I64, &(-3i64).to_le_bytes(), DType::I32), Some(-3i32 as u32));
        assert_eq!(read(Kind::I64, &(1i64 << 40).to_le_bytes(), DType::I32), None);
        assert_eq!(read(Kind::U64, &u64::MAX.to_le_bytes(), DType::F32), Some((u64::MAX as f32).to_bits()));
    }
}
