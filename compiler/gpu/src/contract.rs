//! Contractions as loops for a GPU: an invocation computes a small tile of the result, so that it uses what
//! it loads more than once.
use crate::grid::Team;
use stmc_ir::kernel::{Block, Contraction, Summed};

/// Rows and columns of a tile, the best first.
const TILES: [(usize, usize); 9] = [(4, 4), (2, 4), (4, 2), (2, 2), (1, 4), (4, 1), (1, 2), (2, 1), (1, 1)];

/// Tiles below which a device is better filled by smaller ones.
const ENOUGH: usize = 16384;

/// The loops of a contraction: one fold for a team where that is worth while, else tiled by the innermost
/// loops of `m` and `n` where whole tiles cover them.
pub(crate) fn loops(contraction: &Contraction) -> Block {
    match Team::of(results(contraction), Some(contraction.k.iter().product())) {
        // The members' sums are joined in a tree.
        Team::Cube => contraction.tiled((1, 1), Summed::InOrder),
        Team::Alone => contraction.tiled(tile(contraction), Summed::InBlocks),
    }
}

fn results(c: &Contraction) -> usize {
    [&c.g, &c.m, &c.n].into_iter().flatten().product()
}

fn tile(c: &Contraction) -> (usize, usize) {
    let results = results(c);
    let last = |extents: &[usize]| extents.last().copied().unwrap_or(1);
    let fits = |&&(rows, columns): &&(usize, usize)| {
        last(&c.m).is_multiple_of(rows)
            && last(&c.n).is_multiple_of(columns)
            && results >= ENOUGH * rows * columns
    };
    TILES.iter().find(fits).copied().unwrap_or((1, 1))
}
