//! Packing B: panels of whole vectors, `[panel][k][width]`, with zeros beyond the right edge.

use crate::Isa;
use std::ops::Range;

/// B as it lies in memory, and the width of a panel.
pub(crate) struct Source<'a> {
    /// From here, the tables count elements.
    pub(crate) b: *const f32,
    /// Offset of each row, one for each k.
    pub(crate) rows: &'a [i32],
    /// Offset of each column.
    pub(crate) cols: &'a [i32],
    /// Columns of a panel.
    pub(crate) width: usize,
    pub(crate) isa: Isa,
}

/// Side of the blocks that are transposed in registers.
const BLOCK: usize = 8;

impl Source<'_> {
    /// Packs the rows `k` of one panel to `to`, which takes `k.len() * width` elements.
    ///
    /// # Safety
    ///
    /// The tables lead to valid elements of B, `to` is valid and nobody else's, the path is available.
    pub(crate) unsafe fn pack_panel(&self, panel: usize, k: Range<usize>, to: *mut f32) {
        let first = panel * self.width;
        let cols = &self.cols[first..self.cols.len().min(first + self.width)];
        let rows = &self.rows[k];
        // SAFETY: passed on from the caller.
        unsafe {
            if cols.len() < self.width {
                zero_edge(to, rows.len(), cols.len(), self.width);
            }
            // Runs of neighbours are copied piece by piece, unless they are too short to be worth it.
            let runs = || cols.chunk_by(|x, y| *y == x + 1);
            if runs().count() * BLOCK <= cols.len().max(BLOCK) {
                let mut to = to;
                for run in runs() {
                    self.copy_rows(rows, run, to);
                    to = to.add(run.len());
                }
            } else if self.isa != Isa::Portable {
                self.transpose(rows, cols, to);
            } else {
                self.gather(rows, cols, to);
            }
        }
    }

    /// Columns are neighbours: each row is copied in one piece.
    ///
    /// # Safety
    ///
    /// As for `pack_panel`.
    unsafe fn copy_rows(&self, rows: &[i32], cols: &[i32], to: *mut f32) {
        for (i, &row) in rows.iter().enumerate() {
            // SAFETY: `cols.len()` neighbours from the first column on are elements of B.
            unsafe {
                let from = self.b.offset(row as isize + cols[0] as isize);
                std::ptr::copy_nonoverlapping(from, to.add(i * self.width), cols.len());
            }
        }
    }

    /// Blocks whose rows are neighbours are transposed in registers, the rest is gathered.
    ///
    /// # Safety
    ///
    /// As for `pack_panel`; the path is AVX2 or better.
    unsafe fn transpose(&self, rows: &[i32], cols: &[i32], to: *mut f32) {
        let whole = cols.len() / BLOCK * BLOCK;
        for (i, rows) in rows.chunks(BLOCK).enumerate() {
            // SAFETY: each chunk has its own rows of the panel, and a block lies inside its chunk.
            unsafe {
                let to = to.add(i * BLOCK * self.width);
                if rows.len() < BLOCK || !is_run(rows) {
                    self.gather(rows, cols, to);
                    continue;
                }
                #[cfg(target_arch = "x86_64")]
                for n in (0..whole).step_by(BLOCK) {
                    let from =
                        std::array::from_fn(|j| self.b.offset(rows[0] as isize + cols[n + j] as isize));
                    transpose_block(from, to.add(n), self.width);
                }
                self.gather(rows, &cols[whole..], to.add(whole));
            }
        }
    }

    /// Any tables.
    ///
    /// # Safety
    ///
    /// As for `pack_panel`.
    unsafe fn gather(&self, rows: &[i32], cols: &[i32], to: *mut f32) {
        for (i, &row) in rows.iter().enumerate() {
            for (j, &col) in cols.iter().enumerate() {
                // SAFETY: each pair of offsets leads to an element of B.
                unsafe { *to.add(i * self.width + j) = *self.b.offset(row as isize + col as isize) };
            }
        }
    }
}

/// Whether the offsets are of neighbours.
pub(crate) fn is_run(offsets: &[i32]) -> bool {
    offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// # Safety
///
/// `to` is valid for `rows * width` elements.
unsafe fn zero_edge(to: *mut f32, rows: usize, from: usize, width: usize) {
    for i in 0..rows {
        // SAFETY: inside row `i`.
        unsafe { std::ptr::write_bytes(to.add(i * width + from), 0, width - from) };
    }
}

/// Writes the eight neighbours behind each pointer as a column.
///
/// # Safety
///
/// AVX2 is there; all reads and writes are valid.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn transpose_block(from: [*const f32; BLOCK], to: *mut f32, width: usize) {
    use std::arch::x86_64::*;
    let mut row = [_mm256_setzero_ps(); BLOCK];
    for (row, from) in row.iter_mut().zip(from) {
        // SAFETY: the caller's promise.
        *row = unsafe { _mm256_loadu_ps(from) };
    }
    let mut pairs = row;
    for i in (0..BLOCK).step_by(2) {
        pairs[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    // The lower half of `quads[4 * h + q]` is column q of the four rows from 4 h on, the upper half column q + 4.
    let mut quads = pairs;
    for half in [0, 4] {
        for i in [0, 1] {
            let (x, y) = (pairs[half + i], pairs[half + 2 + i]);
            quads[half + 2 * i] = _mm256_shuffle_ps::<0x44>(x, y);
            quads[half + 2 * i + 1] = _mm256_shuffle_ps::<0xee>(x, y);
        }
    }
    for column in 0..4 {
        let low = _mm256_permute2f128_ps::<0x20>(quads[column], quads[4 + column]);
        let high = _mm256_permute2f128_ps::<0x31>(quads[column], quads[4 + column]);
        // SAFETY: the caller's promise.
        unsafe {
            _mm256_storeu_ps(to.add(column * width), low);
            _mm256_storeu_ps(to.add((column + 4) * width), high);
        }
    }
}
