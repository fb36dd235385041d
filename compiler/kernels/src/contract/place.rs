//! The memory a contraction works on, and how finished sums leave for C.

use super::{Contraction, Sums, Unit};
use std::ops::Range;

/// The memory of one run. A, B and C are where offset 0 of their views lies.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// The left operand.
    pub a: *const f32,
    /// The right operand.
    pub b: *const f32,
    /// The result; not touched where an epilogue takes the result and sums start from zero.
    pub c: *mut f32,
    /// [`Contraction::packed_len`] elements; keeps B's packed form from the packing step on.
    pub packed: *mut f32,
    /// [`Contraction::partial_len`] elements, for use during a run.
    pub partial: *mut f32,
}

// SAFETY: plain addresses; who runs a contraction promises that its units may use them from any thread.
unsafe impl Sync for Buffers {}
// SAFETY: as for `Sync`.
unsafe impl Send for Buffers {}

/// Code that takes finished values in place of the store to C.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue {
    /// Called once for each finished tile, from any thread.
    pub run: unsafe extern "C" fn(tile: *const FinishedTile, user: *mut u8),
    /// Handed through to `run`.
    pub user: *mut u8,
}

// SAFETY: `run` may be called from any thread, as its documentation demands.
unsafe impl Sync for Epilogue {}

/// Finished values: `m_len` rows of `n_len` values, `row_stride` elements apart. The epilogue may overwrite them.
#[repr(C)]
#[derive(Debug)]
pub struct FinishedTile {
    /// The value at `(m0, n0)`.
    pub values: *mut f32,
    /// Elements from row to row.
    pub row_stride: usize,
    /// First row.
    pub m0: usize,
    /// Number of rows.
    pub m_len: usize,
    /// First column.
    pub n0: usize,
    /// Number of columns.
    pub n_len: usize,
    /// Member of the batch.
    pub batch: usize,
}

impl Contraction {
    /// Fills the unit's sums with the values in C.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::run_unit`].
    pub(super) unsafe fn load_sums(&self, unit: &Unit<'_>, sums: &Sums, buffers: &Buffers) {
        let columns = self.columns(&unit.panels);
        for m in unit.rows() {
            for n in columns.clone() {
                // SAFETY: elements of C and of the unit's sums.
                unsafe {
                    let to = sums.start.add((m - sums.m0) * sums.stride + n - columns.start);
                    *to = *buffers.c.offset(self.place_in_c(unit.batch, m, n));
                }
            }
        }
    }

    /// Hands finished values to the epilogue, or else to C.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::run_unit`]; `values` are these rows and columns, `row_stride` apart.
    #[expect(clippy::too_many_arguments, reason = "a tile's place, both as numbers and as memory")]
    pub(super) unsafe fn finish(
        &self,
        batch: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        values: *mut f32,
        row_stride: usize,
        buffers: &Buffers,
        epilogue: Option<&Epilogue>,
    ) {
        if let Some(epilogue) = epilogue {
            let (m0, m_len, n0, n_len) = (rows.start, rows.len(), columns.start, columns.len());
            let tile = FinishedTile { values, row_stride, m0, m_len, n0, n_len, batch };
            // SAFETY: the epilogue takes any finished tile.
            return unsafe { (epilogue.run)(&raw const tile, epilogue.user) };
        }
        for (i, m) in rows.enumerate() {
            // SAFETY: a row of the values, and elements of C.
            unsafe { self.store_row(batch, m, columns.clone(), values.add(i * row_stride), buffers) };
        }
    }

    /// # Safety
    ///
    /// `values` is valid for the columns, as is C.
    unsafe fn store_row(
        &self,
        batch: usize,
        m: usize,
        columns: Range<usize>,
        values: *const f32,
        buffers: &Buffers,
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            if self.plan.stores_rows {
                let to = buffers.c.offset(self.place_in_c(batch, m, columns.start));
                return std::ptr::copy_nonoverlapping(values, to, columns.len());
            }
            for (j, n) in columns.enumerate() {
                *buffers.c.offset(self.place_in_c(batch, m, n)) = *values.add(j);
            }
        }
    }

    fn place_in_c(&self, batch: usize, m: usize, n: usize) -> isize {
        let c = &self.spec.c;
        self.spec.batches[batch][2] as isize + c.rows[m] as isize + c.cols[n] as isize
    }
}
