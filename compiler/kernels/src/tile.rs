//! The innermost kernel: one tile of C, kept in registers while a run of k passes by.
//!
//! A is read where it lies, one broadcast value at a time, through an offset per row and an offset per k. That one
//! scheme serves plain products (rows apart by a stride), convolutions (a table of window offsets for k) and weight
//! gradients (rows are neighbours, k is strided). B comes in rows of whole vectors, packed or not.

use crate::Isa;
use crate::vector::Vector;

/// The most rows that a tile can have.
pub(crate) const MAX_ROWS: usize = 14;

/// The most values in a row of a tile.
pub(crate) const MAX_WIDTH: usize = 64;

/// How the rows of A lie.
#[derive(Clone, Copy)]
pub(crate) enum Rows {
    /// Row `i` starts `i` times this far behind row 0.
    Even(isize),
    /// Each row starts at its own offset.
    Listed(*const i32),
}

/// What one tile computes: `C[i, j] (+)= sum over k of A[i, k] * B[k, j]`.
pub(crate) struct Tile<'a> {
    /// A: from here, `rows` and `cols` count elements.
    pub(crate) a: *const f32,
    /// Offsets of the rows of A.
    pub(crate) rows: Rows,
    /// Offsets of the columns of A, one for each k.
    pub(crate) cols: &'a [i32],
    /// The first row of B.
    pub(crate) b: *const f32,
    /// Elements from one row of B to the next.
    pub(crate) b_step: usize,
    /// The first element of each row of C.
    pub(crate) c: &'a [*mut f32; MAX_ROWS],
    /// Whether C's values are added to, else they are overwritten.
    pub(crate) accumulate: bool,
}

/// Computes one tile of a fixed number of rows and vectors.
pub(crate) type TileFn = unsafe fn(&Tile<'_>);

/// The tile shapes of a path.
pub(crate) struct TileSet {
    /// By vectors per row less one, then by rows less one.
    even: &'static [&'static [TileFn]],
    listed: &'static [&'static [TileFn]],
}

impl TileSet {
    /// The tiles of `isa`.
    pub(crate) fn of(isa: Isa) -> &'static TileSet {
        match isa {
            Isa::Portable => &portable::TILES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::TILES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::TILES,
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => unreachable!("only an available path is chosen"),
        }
    }

    /// The most vectors in a row of a tile.
    pub(crate) fn max_vectors(&self) -> usize {
        self.even.len()
    }

    /// The most rows of a tile whose rows have this many vectors.
    pub(crate) fn max_rows(&self, vectors: usize) -> usize {
        self.even[vectors - 1].len()
    }

    /// Computes `tile`, of this many rows and vectors per row.
    ///
    /// # Safety
    ///
    /// The path is available; A, B and C are valid wherever the tile's offsets lead; no one else uses C's rows.
    #[inline]
    pub(crate) unsafe fn run(&self, tile: &Tile<'_>, rows: usize, vectors: usize) {
        let set = match tile.rows {
            Rows::Even(_) => self.even,
            Rows::Listed(_) => self.listed,
        };
        // SAFETY: the caller's promise.
        unsafe { set[vectors - 1][rows - 1](tile) }
    }
}

/// # Safety
///
/// As for [`TileSet::run`], and to be inlined where the instructions of `V` are enabled.
#[inline(always)]
unsafe fn even<V: Vector, const M: usize, const N: usize>(tile: &Tile<'_>) {
    let Rows::Even(stride) = tile.rows else { unreachable!("the tile set sorts by kind of rows") };
    // A pointer to every fourth row leaves registers free, and the other rows are reached by scaled addressing.
    let base: [*const f32; 4] = std::array::from_fn(|i| tile.a.wrapping_offset(4 * i as isize * stride));
    // SAFETY: offsets lead to valid elements of A, as the caller promises.
    unsafe { sweep::<V, M, N>(tile, |i, k| *base[i / 4].offset((i % 4) as isize * stride + k)) }
}

/// # Safety
///
/// As for [`TileSet::run`], and to be inlined where the instructions of `V` are enabled.
#[inline(always)]
unsafe fn listed<V: Vector, const M: usize, const N: usize>(tile: &Tile<'_>) {
    let Rows::Listed(offsets) = tile.rows else { unreachable!("the tile set sorts by kind of rows") };
    // SAFETY: there is an offset for each of the M rows.
    let row: [*const f32; M] = std::array::from_fn(|i| unsafe { tile.a.offset(*offsets.add(i) as isize) });
    // SAFETY: offsets lead to valid elements of A, as the caller promises.
    unsafe { sweep::<V, M, N>(tile, |i, k| *row[i].offset(k)) }
}

/// Goes along k, with `a(i, offset)` the value in row `i`. Each block of k is summed by itself and then added: a long sum loses
/// far fewer digits than by adding one by one.
///
/// # Safety
///
/// As for [`TileSet::run`], and to be inlined where the instructions of `V` are enabled.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "rows and columns are named as on paper")]
unsafe fn sweep<V: Vector, const M: usize, const N: usize>(tile: &Tile<'_>, a: impl Fn(usize, isize) -> f32) {
    // SAFETY: B has a row of N vectors for each k, C has M such rows; the caller promises both.
    unsafe {
        let mut totals = [[V::splat(0.0).widen(); N]; M];
        let mut b = tile.b;
        for cols in tile.cols.chunks(V::BLOCK) {
            let mut sums = [[V::splat(0.0); N]; M];
            for &col in cols {
                let mut row = [V::splat(0.0); N];
                for j in 0..N {
                    row[j] = V::load(b.add(j * V::LANES));
                }
                for i in 0..M {
                    let value = V::splat(a(i, col as isize));
                    for j in 0..N {
                        sums[i][j] = sums[i][j].accumulate(value, row[j]);
                    }
                }
                b = b.add(tile.b_step);
            }
            for i in 0..M {
                for j in 0..N {
                    totals[i][j] = sums[i][j].add_to(totals[i][j]);
                }
            }
        }
        for i in 0..M {
            for j in 0..N {
                let c = tile.c[i].add(j * V::LANES);
                let total = if tile.accumulate { V::load(c).add_to(totals[i][j]) } else { totals[i][j] };
                V::narrow(total).store(c);
            }
        }
    }
}

/// Compiles the tiles of one path: per number of vectors the list of row counts.
macro_rules! tile_set {
    ($path:ident, $vector:ident, $($feature:literal)?, $($n:literal: [$($m:literal)+])+) => {
        mod $path {
            use super::{Tile, TileSet};
            use crate::vector::$vector;

            $(#[target_feature(enable = $feature)])?
            unsafe fn even<const M: usize, const N: usize>(tile: &Tile<'_>) {
                // SAFETY: the caller of `TileSet::run` vouches for path and pointers.
                unsafe { super::even::<$vector, M, N>(tile) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn listed<const M: usize, const N: usize>(tile: &Tile<'_>) {
                // SAFETY: the caller of `TileSet::run` vouches for path and pointers.
                unsafe { super::listed::<$vector, M, N>(tile) }
            }

            pub(super) static TILES: TileSet = TileSet {
                even: &[$(&[$(even::<$m, $n>),+]),+],
                listed: &[$(&[$(listed::<$m, $n>),+]),+],
            };
        }
    };
}

// The sums, one row of B and some values of A fit the registers, 32 of AVX-512 and 16 elsewhere. One row of a tile
// more, and the compiler spills sums inside the loop: that halved the speed.
#[cfg(target_arch = "x86_64")]
tile_set! { avx512, Avx512, "avx512f",
    1: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]
    2: [1 2 3 4 5 6 7 8 9 10]
    3: [1 2 3 4 5 6 7 8 9]
    4: [1 2 3 4 5 6]
}
#[cfg(target_arch = "x86_64")]
tile_set! { avx2, Avx2, "avx2,fma",
    1: [1 2 3 4 5 6 7 8 9]
    2: [1 2 3 4 5 6]
}
tile_set! { portable, Portable, , 1: [1 2 3 4 5 6] }
