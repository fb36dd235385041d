//! How a contraction is cut: tiles, blocks of tiles, panels of B, runs of k.
//!
//! All choices follow from the tables' lengths and the path. The sizes below were measured on processors with
//! 32 KB of first- and 1 MB of second-level cache; they are safe, if not best, elsewhere.

use super::ContractionSpec;
use crate::Isa;
use crate::pack::is_run;
use crate::tile::TileSet;
use std::ops::Range;

/// Products that are added one by one before a block's sum is added to C: more would cost digits.
const LONGEST: usize = 384;

/// Products in a unit that make it worth handing to another thread: some microseconds.
const UNIT_PRODUCTS: usize = 1 << 18;
/// Units that are worth having; more threads than that want larger shapes anyway.
const UNITS: usize = 16;
/// Tiles along m in a unit, unless k is split.
const BLOCK_TILES: usize = 8;
/// Elements of a unit's rows of A and panel of B in one run of k: half of the second-level cache.
const CACHED: usize = 1 << 17;
/// Elements of a unit's sums.
const SUMS: usize = 1 << 15;
/// Elements of a unit's sums where k is split: they stay in the second-level cache.
const SPLIT_SUMS: usize = 3 << 14;
/// The shortest run of k that is split off.
const SPLIT_K: usize = 1024;
/// The most runs that k is split into.
const SPLITS: usize = 32;
/// Tiles along m for which B is better read in place than packed.
const DIRECT_TILES: usize = 2;
/// Elements that one unit of the combining step adds up.
const COMBINED: usize = 1 << 14;

/// How B reaches the tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Right {
    /// Packed whole in a step of its own.
    Packed,
    /// Each unit packs the panels it needs.
    PackedByUnit,
    /// Read where it lies, rows `step` apart; a last narrow panel is packed by the unit.
    Direct { step: usize },
}

/// Where the sums of a unit grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SumsIn {
    /// In C itself, whose columns are neighbours.
    C,
    /// In the thread's scratch, from where they go to C.
    Scratch,
    /// In the unit's part of the partial sums: k is split.
    Partial,
}

/// A tile's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PlannedTile {
    pub(super) row: usize,
    pub(super) rows: usize,
    /// The distance of the rows in A. `None`: it varies.
    pub(super) stride: Option<isize>,
}

/// The cut.
pub(super) struct Plan {
    /// Vectors in a row of a tile.
    pub(super) vectors: usize,
    /// Columns of a panel.
    pub(super) width: usize,
    /// Panels that cover n.
    pub(super) panels: usize,
    /// In order of rows.
    pub(super) tiles: Vec<PlannedTile>,
    /// Tiles of each unit.
    pub(super) blocks: Vec<Range<usize>>,
    /// Panels of each unit.
    pub(super) groups: Vec<Range<usize>>,
    /// Runs of k that are summed apart; one, unless the result is small and k long.
    pub(super) splits: Vec<Range<usize>>,
    /// The longest run of k between two visits to a tile.
    k_block: usize,
    /// Whether columns of C are neighbours.
    pub(super) stores_rows: bool,
    pub(super) right: Right,
    pub(super) sums_in: SumsIn,
    /// Elements of the largest unit's sums, where they grow in scratch.
    pub(super) sums_len: usize,
    /// Rows of each combining unit.
    pub(super) combined_rows: Vec<Range<usize>>,
}

impl Plan {
    pub(super) fn new(spec: &ContractionSpec, isa: Isa) -> Plan {
        let set = TileSet::of(isa);
        let (m, n, k) = (spec.a.rows.len(), spec.b.cols.len(), spec.a.cols.len());
        let vectors = vectors_per_row(n.div_ceil(isa.lanes()), set);
        let width = vectors * isa.lanes();
        let panels = n.div_ceil(width);
        let tiles = cut_rows(&spec.a.rows, set.max_rows(vectors));

        let splits = split_count(m, panels * width, k, spec.batches.len());
        let wanted_tiles = match splits {
            1 => BLOCK_TILES,
            _ => (SPLIT_SUMS / (panels * width * set.max_rows(vectors)).max(1)).max(BLOCK_TILES),
        };
        let blocks = balanced(tiles.len(), tiles.len().div_ceil(wanted_tiles));
        let block_rows = blocks.iter().map(|block| rows_of(&tiles[block.clone()])).max().unwrap_or(0);

        let others = spec.batches.len() * blocks.len() * splits;
        let groups = match splits {
            1 => group_count(panels, width, block_rows, k, others),
            _ => 1,
        };
        let k_block = k
            .div_ceil(splits)
            .min(CACHED / (width + block_rows.min(BLOCK_TILES * set.max_rows(vectors))).max(1))
            .min(LONGEST);
        let combined = (COMBINED / (panels * width).max(1)).max(1);
        let groups = balanced(panels, groups);
        let group_panels = groups.iter().map(Range::len).max().unwrap_or(0);
        let stores_rows = is_run(&spec.c.cols);
        let sums_in = match splits {
            1 if stores_rows => SumsIn::C,
            1 => SumsIn::Scratch,
            _ => SumsIn::Partial,
        };
        Plan {
            vectors,
            width,
            panels,
            groups,
            sums_in,
            sums_len: if sums_in == SumsIn::Scratch { block_rows * group_panels * width } else { 0 },
            splits: balanced(k, splits),
            k_block: k_block.max(1),
            stores_rows,
            right: right(spec, tiles.len(), blocks.len(), splits),
            combined_rows: balanced(m, m.div_ceil(combined)),
            blocks,
            tiles,
        }
    }

    /// Elements of a panel that a unit packs for itself.
    pub(super) fn packed_block_len(&self) -> usize {
        match self.right {
            Right::Packed => 0,
            Right::PackedByUnit | Right::Direct { .. } => self.k_block * self.width,
        }
    }

    /// Cuts a run of k into blocks of equal length, or one empty block: sums of nothing are zero.
    pub(super) fn k_blocks(&self, k: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (start, end) = (k.start, k.end);
        let count = k.len().div_ceil(self.k_block).max(1);
        let len = k.len().div_ceil(count);
        (0..count).map(move |i| (start + i * len).min(end)..(start + (i + 1) * len).min(end))
    }
}

/// The widest tiles that waste the least; two vectors are best where nothing is wasted either way.
fn vectors_per_row(needed: usize, set: &TileSet) -> usize {
    let preference = [2, 4, 3, 1];
    let computed = |vectors: usize| needed.div_ceil(vectors) * vectors;
    let usable = preference.into_iter().filter(|&vectors| vectors <= set.max_vectors());
    usable.min_by_key(|&vectors| computed(vectors)).expect("every set has tiles of one vector")
}

/// Cuts the rows into tiles of about equal height, at the ends of runs of even distance unless runs are short.
fn cut_rows(rows: &[i32], most: usize) -> Vec<PlannedTile> {
    let runs = even_runs(rows);
    let by_runs: usize = runs.iter().map(|run| run.len().div_ceil(most)).sum();
    if by_runs * 4 > rows.len().div_ceil(most) * 7 {
        let cut = balanced(rows.len(), rows.len().div_ceil(most));
        return cut.into_iter().map(|tile| planned(rows, tile)).collect();
    }
    let tiles = runs.into_iter().flat_map(|run| {
        balanced(run.len(), run.len().div_ceil(most))
            .into_iter()
            .map(move |tile| tile.start + run.start..tile.end + run.start)
    });
    tiles.map(|tile| planned(rows, tile)).collect()
}

fn planned(rows: &[i32], tile: Range<usize>) -> PlannedTile {
    let offsets = &rows[tile.clone()];
    let step = |pair: &[i32]| pair[1] as isize - pair[0] as isize;
    let first = offsets.windows(2).next().map_or(0, step);
    let even = offsets.windows(2).all(|pair| step(pair) == first);
    PlannedTile { row: tile.start, rows: tile.len(), stride: even.then_some(first) }
}

/// Maximal runs of rows that are equally far apart.
fn even_runs(rows: &[i32]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for end in 1..=rows.len() {
        let ends = end == rows.len()
            || (end - start >= 2
                && rows[end].wrapping_sub(rows[end - 1]) != rows[start + 1].wrapping_sub(rows[start]));
        if ends {
            runs.push(start..end);
            start = end;
        }
    }
    runs
}

/// `0..len` in `count` ranges whose lengths differ by one at most.
fn balanced(len: usize, count: usize) -> Vec<Range<usize>> {
    (0..count).map(|i| len * i / count..len * (i + 1) / count).collect()
}

fn rows_of(tiles: &[PlannedTile]) -> usize {
    tiles.iter().map(|tile| tile.rows).sum()
}

/// Runs that k is split into: several where the result is small, k long, and a batch does not give units anyway.
fn split_count(m: usize, columns: usize, k: usize, batches: usize) -> usize {
    let small = m * columns <= 4 * SPLIT_SUMS && k >= 4 * m.max(columns);
    if !small || batches >= UNITS {
        return 1;
    }
    (k / SPLIT_K).clamp(1, SPLITS)
}

/// Groups of panels: so many that sums stay in cache and, if the work is worth it, there are units enough.
fn group_count(panels: usize, width: usize, rows: usize, k: usize, others: usize) -> usize {
    let cached = (rows * panels * width).div_ceil(SUMS);
    let shared = UNITS.div_ceil(others.max(1)).min(rows * panels * width * k / UNIT_PRODUCTS);
    cached.max(shared).clamp(1, panels.max(1))
}

/// `row_blocks`: units that need the same panel of B.
fn right(spec: &ContractionSpec, tiles: usize, row_blocks: usize, splits: usize) -> Right {
    let rows = &spec.b.rows;
    if tiles <= DIRECT_TILES
        && let [first, second, ..] = rows[..]
        && second >= first
        && rows.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == second.wrapping_sub(first))
        && is_run(&spec.b.cols)
    {
        return Right::Direct { step: second.wrapping_sub(first) as usize };
    }
    if row_blocks > 1 && splits == 1 { Right::Packed } else { Right::PackedByUnit }
}
