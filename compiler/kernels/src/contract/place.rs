//! The memory a contraction works on, and the way of sums from and to C.

use super::{Contraction, Sums, Unit};
use std::ops::Range;

/// The memory of one run. A, B and C are where offset 0 of their views lies.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// The left operand.
    pub a: *const f32,
    /// The right operand.
    pub b: *const f32,
    /// The result.
    pub c: *mut f32,
    /// [`Contraction::packed_len`] elements, for use during a run.
    pub packed: *mut f32,
    /// [`Contraction::partial_len`] elements, for use during a run.
    pub partial: *mut f32,
}

// SAFETY: plain addresses; who runs a contraction promises that its units may use them from any thread.
unsafe impl Sync for Buffers {}

impl Contraction {
    /// Fills the unit's sums with the values in C.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`].
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

    /// Stores finished sums to C.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`]; `values` are these rows and columns, `row_stride` apart.
    pub(super) unsafe fn store(
        &self,
        batch: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        values: *const f32,
        row_stride: usize,
        buffers: &Buffers,
    ) {
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
