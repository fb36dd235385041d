//! Contractions: `C[m, n] (+)= sum over k of A[m, k] * B[k, n]` over separable views.
//!
//! An operand's element is found at `rows[i] + cols[j]`, two tables of offsets. That covers matrix products of any
//! layout, convolutions on padded images (no patches are copied) and their weight gradients, alone or in batches.
//!
//! A contraction is prepared once and then run any number of times in up to three steps, each a set of units that
//! threads may share in any way: pack B, compute, combine the parts of a split k. How it is cut into units follows
//! from shapes and path alone, and each unit adds in a fixed order, so that threads never change a bit.
mod place;
mod plan;

pub use place::Buffers;

use crate::pack::Source;
use crate::tile::{MAX_ROWS, MAX_WIDTH, Rows, Tile, TileSet};
use crate::{Isa, Pool};
use plan::{Plan, PlannedTile, Right, SumsIn};
use std::ops::Range;

/// Where the elements of a matrix lie: `(i, j)` at `rows[i] + cols[j]`, counted in elements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Offset of each row.
    pub rows: Vec<i32>,
    /// Offset of each column.
    pub cols: Vec<i32>,
}

impl View {
    /// A matrix of this many rows and columns, with constant strides.
    pub fn strided(rows: usize, row_stride: i32, cols: usize, col_stride: i32) -> View {
        let offsets = |len: usize, stride: i32| (0..len as i32).map(|i| i * stride).collect();
        View { rows: offsets(rows, row_stride), cols: offsets(cols, col_stride) }
    }

    /// The least and the greatest offset of an element; `None`: there are no elements.
    pub fn reach(&self) -> Option<(i64, i64)> {
        let least = i64::from(*self.rows.iter().min()?) + i64::from(*self.cols.iter().min()?);
        let greatest = i64::from(*self.rows.iter().max()?) + i64::from(*self.cols.iter().max()?);
        Some((least, greatest))
    }
}

/// What a sum starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Zero: C is overwritten.
    Zero,
    /// The value in C, which is added to.
    C,
}

/// What to compute.
#[derive(Clone, Debug)]
pub struct ContractionSpec {
    /// The left operand, m by k.
    pub a: View,
    /// The right operand, k by n: the one that is packed. Best are neighbouring columns.
    pub b: View,
    /// The result, m by n. No two elements share a place.
    pub c: View,
    /// Offsets of A, B and C, one entry for each member of the batch; `[[0, 0, 0]]` without one.
    pub batches: Vec<[i32; 3]>,
    /// What sums start from.
    pub start: Start,
}

impl ContractionSpec {
    /// A single contraction that overwrites C.
    pub fn new(a: View, b: View, c: View) -> ContractionSpec {
        ContractionSpec { a, b, c, batches: vec![[0; 3]], start: Start::Zero }
    }
}

/// A contraction ready to run.
pub struct Contraction {
    spec: ContractionSpec,
    plan: Plan,
    isa: Isa,
}

/// A part of the work: one member of the batch, some k, some rows, some columns.
struct Unit<'a> {
    batch: usize,
    split: usize,
    k: Range<usize>,
    tiles: &'a [PlannedTile],
    panels: Range<usize>,
}

/// Where a unit gathers its sums: row `m` and panel `p` at `start + (m - m0) * stride + (p - p0) * width`.
#[derive(Clone, Copy)]
struct Sums {
    start: *mut f32,
    stride: usize,
    m0: usize,
    p0: usize,
}

impl Contraction {
    /// Plans the work; `isa` must be available here.
    pub fn new(spec: ContractionSpec, isa: Isa) -> Contraction {
        assert!(isa.is_available(), "the path is available on this processor");
        assert_eq!(spec.a.rows.len(), spec.c.rows.len(), "A and C agree on m");
        assert_eq!(spec.a.cols.len(), spec.b.rows.len(), "A and B agree on k");
        assert_eq!(spec.b.cols.len(), spec.c.cols.len(), "B and C agree on n");
        let plan = Plan::new(&spec, isa);
        Contraction { spec, plan, isa }
    }

    /// Elements that `Buffers::packed` must have.
    pub fn packed_len(&self) -> usize {
        match self.plan.right {
            Right::Packed => self.pack_units() * self.panel_len(),
            Right::PackedByUnit | Right::Direct { .. } => 0,
        }
    }

    /// Elements that `Buffers::partial` must have.
    pub fn partial_len(&self) -> usize {
        match self.plan.splits.len() {
            1 => 0,
            splits => self.spec.batches.len() * splits * self.part_len(),
        }
    }

    /// Elements of scratch memory that each thread needs.
    pub fn scratch_len(&self) -> usize {
        self.plan.packed_block_len() + self.plan.sums_len
    }

    /// Runs all steps.
    ///
    /// # Safety
    ///
    /// All views lead to valid elements ([`View::reach`]) behind the pointers in `buffers`; `packed` and `partial`
    /// have the lengths asked for, `scratch` at least [`Contraction::scratch_len`] elements for each thread of the
    /// pool, one behind the other. C, `packed`, `partial` and `scratch` overlap nothing else in use.
    pub unsafe fn run(&self, pool: &mut Pool, buffers: &Buffers, scratch: *mut f32) {
        let scratch = Shared(scratch);
        // SAFETY: passed on from the caller; units write disjoint memory, and each thread has its own scratch.
        unsafe {
            pool.run(self.pack_units(), &|unit, _| self.pack_unit(unit, buffers));
            pool.run(self.units(), &|unit, thread| {
                self.compute_unit(unit, buffers, scratch.at(thread * self.scratch_len()));
            });
            pool.run(self.combine_units(), &|unit, _| self.combine_unit(unit, buffers));
        }
    }

    /// Parts of the packing step.
    fn pack_units(&self) -> usize {
        match self.plan.right {
            Right::Packed => self.spec.batches.len() * self.plan.panels,
            Right::PackedByUnit | Right::Direct { .. } => 0,
        }
    }

    /// Parts of the computing step.
    fn units(&self) -> usize {
        let plan = &self.plan;
        self.spec.batches.len() * plan.splits.len() * plan.blocks.len() * plan.groups.len()
    }

    /// Parts of the combining step: none where k is not split.
    fn combine_units(&self) -> usize {
        match self.plan.splits.len() {
            1 => 0,
            _ => self.spec.batches.len() * self.plan.combined_rows.len(),
        }
    }

    /// Packs one panel of B.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::run`].
    unsafe fn pack_unit(&self, unit: usize, buffers: &Buffers) {
        let (batch, panel) = (unit / self.plan.panels, unit % self.plan.panels);
        // SAFETY: the tables are the caller's, the panel's place in `packed` is this unit's alone.
        unsafe {
            let to = buffers.packed.add(unit * self.panel_len());
            self.source(batch, buffers).pack_panel(panel, 0..self.k(), to);
        }
    }

    /// Computes one part of the result, or of the partial sums where k is split.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::run`]; the packing step is over.
    unsafe fn compute_unit(&self, unit: usize, buffers: &Buffers, scratch: *mut f32) {
        let unit = self.unit(unit);
        let from_c = self.spec.start == Start::C && unit.split == 0;
        // SAFETY: passed on from the caller; `sums` is this unit's part of `partial`, or its scratch.
        unsafe {
            let sums = match self.plan.sums_in {
                SumsIn::C => None,
                SumsIn::Scratch => Some(self.scratch_sums(&unit, scratch)),
                SumsIn::Partial => Some(self.partial_sums(&unit, buffers)),
            };
            if let Some(sums) = &sums
                && from_c
            {
                self.load_sums(&unit, sums, buffers);
            }
            for (i, k) in self.plan.k_blocks(&unit.k).enumerate() {
                for panel in unit.panels.clone() {
                    let (b, b_step) = self.right(&unit, panel, &k, buffers, scratch);
                    let right = RightPanel { b, b_step, panel, k: k.clone(), resumes: i > 0 || from_c };
                    match &sums {
                        None => self.panel_to_c(&unit, &right, buffers),
                        Some(sums) => self.panel_to_sums(&unit, &right, sums, buffers),
                    }
                }
            }
            if let Some(sums) = &sums
                && self.plan.sums_in == SumsIn::Scratch
            {
                let columns = self.columns(&unit.panels);
                self.store(unit.batch, unit.rows(), columns, sums.start, sums.stride, buffers);
            }
        }
    }

    /// Adds the partial sums of some rows, in the order of k.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::run`]; the computing step is over.
    unsafe fn combine_unit(&self, unit: usize, buffers: &Buffers) {
        let (batch, chunk) = (unit / self.plan.combined_rows.len(), unit % self.plan.combined_rows.len());
        let (rows, stride) = (self.plan.combined_rows[chunk].clone(), self.plan.panels * self.plan.width);
        let splits = self.plan.splits.len();
        // SAFETY: these rows of each part are this unit's alone; the parts are `part_len` apart.
        unsafe {
            let first = buffers.partial.add(batch * splits * self.part_len() + rows.start * stride);
            let sums = std::slice::from_raw_parts_mut(first, rows.len() * stride);
            for split in 1..splits {
                let part = std::slice::from_raw_parts(first.add(split * self.part_len()), sums.len());
                sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            self.store(batch, rows, 0..self.n(), first, stride, buffers);
        }
    }

    fn n(&self) -> usize {
        self.spec.b.cols.len()
    }

    fn k(&self) -> usize {
        self.spec.a.cols.len()
    }

    /// Elements of one packed panel.
    fn panel_len(&self) -> usize {
        self.k() * self.plan.width
    }

    /// Elements of the partial sums of one split.
    fn part_len(&self) -> usize {
        self.spec.a.rows.len() * self.plan.panels * self.plan.width
    }

    fn columns(&self, panels: &Range<usize>) -> Range<usize> {
        panels.start * self.plan.width..self.n().min(panels.end * self.plan.width)
    }

    fn unit(&self, unit: usize) -> Unit<'_> {
        let plan = &self.plan;
        let (rest, group) = (unit / plan.groups.len(), unit % plan.groups.len());
        let (rest, block) = (rest / plan.blocks.len(), rest % plan.blocks.len());
        let (batch, split) = (rest / plan.splits.len(), rest % plan.splits.len());
        Unit {
            batch,
            split,
            k: plan.splits[split].clone(),
            tiles: &plan.tiles[plan.blocks[block].clone()],
            panels: plan.groups[group].clone(),
        }
    }

    /// # Safety
    ///
    /// As for [`Contraction::run`].
    unsafe fn source(&self, batch: usize, buffers: &Buffers) -> Source<'_> {
        // SAFETY: the offset of a member of the batch leads into B.
        let b = unsafe { buffers.b.offset(self.spec.batches[batch][1] as isize) };
        Source { b, rows: &self.spec.b.rows, cols: &self.spec.b.cols, width: self.plan.width, isa: self.isa }
    }

    /// The first row and the row step of a panel of B, which is packed now if it has to be.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`].
    unsafe fn right(
        &self,
        unit: &Unit<'_>,
        panel: usize,
        k: &Range<usize>,
        buffers: &Buffers,
        scratch: *mut f32,
    ) -> (*const f32, usize) {
        let width = self.plan.width;
        let whole = (panel + 1) * width <= self.n();
        // SAFETY: offsets of B are valid, and so is the panel's place in `packed` or scratch.
        unsafe {
            match self.plan.right {
                Right::Packed => {
                    let start = (unit.batch * self.plan.panels + panel) * self.panel_len() + k.start * width;
                    (buffers.packed.add(start).cast_const(), width)
                }
                Right::Direct { step } if whole => {
                    let row = self.spec.b.rows[k.start] as isize + self.spec.b.cols[panel * width] as isize;
                    (self.source(unit.batch, buffers).b.offset(row), step)
                }
                Right::Direct { .. } | Right::PackedByUnit => {
                    self.source(unit.batch, buffers).pack_panel(panel, k.clone(), scratch);
                    (scratch.cast_const(), width)
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`].
    unsafe fn scratch_sums(&self, unit: &Unit<'_>, scratch: *mut f32) -> Sums {
        let stride = unit.panels.len() * self.plan.width;
        // SAFETY: `scratch_len` counts the sums in, behind the packed panel.
        let start = unsafe { scratch.add(self.plan.packed_block_len()) };
        Sums { start, stride, m0: unit.rows().start, p0: unit.panels.start }
    }

    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`].
    unsafe fn partial_sums(&self, unit: &Unit<'_>, buffers: &Buffers) -> Sums {
        let part = unit.batch * self.plan.splits.len() + unit.split;
        let stride = self.plan.panels * self.plan.width;
        let (m0, p0) = (unit.rows().start, unit.panels.start);
        let place = part * self.part_len() + m0 * stride + p0 * self.plan.width;
        // SAFETY: inside `partial`, which has a part for each split.
        Sums { start: unsafe { buffers.partial.add(place) }, stride, m0, p0 }
    }

    /// The tiles of one panel, into the unit's sums.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`].
    unsafe fn panel_to_sums(&self, unit: &Unit<'_>, right: &RightPanel, sums: &Sums, buffers: &Buffers) {
        for tile in unit.tiles {
            let place = (tile.row - sums.m0) * sums.stride + (right.panel - sums.p0) * self.plan.width;
            let c = std::array::from_fn(|i| sums.start.wrapping_add(place + i * sums.stride));
            // SAFETY: the tile's rows of the sums are this unit's alone.
            unsafe { self.tile(unit, tile, right, &c, buffers) };
        }
    }

    /// The tiles of one panel, into C, whose columns are neighbours.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`].
    unsafe fn panel_to_c(&self, unit: &Unit<'_>, right: &RightPanel, buffers: &Buffers) {
        let columns = self.columns(&(right.panel..right.panel + 1));
        let offset = self.spec.batches[unit.batch][2] as isize + self.spec.c.cols[columns.start] as isize;
        let start = buffers.c.wrapping_offset(offset);
        for tile in unit.tiles {
            let row =
                |i: usize| start.wrapping_offset(self.spec.c.rows[tile.row + i.min(tile.rows - 1)] as isize);
            let c = std::array::from_fn(row);
            // SAFETY: rows of C are valid for the panel's columns; the edge tile is as wide as a panel.
            unsafe {
                if columns.len() == self.plan.width {
                    self.tile(unit, tile, right, &c, buffers);
                } else {
                    self.edge_tile(unit, tile, right, &c, columns.len(), buffers);
                }
            }
        }
    }

    /// A tile of fewer columns than its panel has, computed aside.
    ///
    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`]; rows of C are valid for `columns` elements.
    unsafe fn edge_tile(
        &self,
        unit: &Unit<'_>,
        tile: &PlannedTile,
        right: &RightPanel,
        c: &[*mut f32; MAX_ROWS],
        columns: usize,
        buffers: &Buffers,
    ) {
        let mut aside = [[0.0f32; MAX_WIDTH]; MAX_ROWS];
        let aside_rows = std::array::from_fn(|i| (&raw mut aside[i]).cast::<f32>());
        // SAFETY: rows aside are as wide as any panel; rows of C are valid for `columns`.
        unsafe {
            for i in 0..tile.rows {
                if right.resumes {
                    std::ptr::copy_nonoverlapping(c[i], aside_rows[i], columns);
                }
            }
            self.tile(unit, tile, right, &aside_rows, buffers);
            for i in 0..tile.rows {
                std::ptr::copy_nonoverlapping(aside_rows[i], c[i], columns);
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Contraction::compute_unit`]; `c` has a place for each value of the tile.
    unsafe fn tile(
        &self,
        unit: &Unit<'_>,
        tile: &PlannedTile,
        right: &RightPanel,
        c: &[*mut f32; MAX_ROWS],
        buffers: &Buffers,
    ) {
        let offsets = &self.spec.a.rows[tile.row..tile.row + tile.rows];
        let a = buffers.a.wrapping_offset(self.spec.batches[unit.batch][0] as isize);
        let (a, rows) = match tile.stride {
            Some(stride) => (a.wrapping_offset(offsets[0] as isize), Rows::Even(stride)),
            None => (a, Rows::Listed(offsets.as_ptr())),
        };
        let cols = &self.spec.a.cols[right.k.clone()];
        let job = Tile { a, rows, cols, b: right.b, b_step: right.b_step, c, accumulate: right.resumes };
        // SAFETY: passed on from the caller.
        unsafe { TileSet::of(self.isa).run(&job, tile.rows, self.plan.vectors) };
    }
}

/// A panel of B, or a run of its k.
struct RightPanel {
    b: *const f32,
    b_step: usize,
    panel: usize,
    k: Range<usize>,
    /// Whether sums go on from an earlier run of k, or from C.
    resumes: bool,
}

impl Unit<'_> {
    fn rows(&self) -> Range<usize> {
        let last = &self.tiles[self.tiles.len() - 1];
        self.tiles[0].row..last.row + last.rows
    }
}

/// A pointer that threads share; what each does with it is the promise of who uses it.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: a plain address; the uses in `Contraction::run` are disjoint.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}
