//! Contractions of the kernel IR as contractions of the precompiled kernels: which operand is which, and the tables.

use stmc_ir::kernel::{self, Block, LoopKind, Operand, Stmt};
use stmc_kernels::{Contraction, ContractionSpec, Isa, Start, View};

/// A contraction ready to run.
pub(crate) struct Prepared {
    pub(crate) contraction: Contraction,
    /// Param and first element of the left operand, the right one and the result.
    pub(crate) places: [(usize, i64); 3],
}

/// One loop with its strides in two of the three tensors.
#[derive(Clone, Copy)]
struct Loop {
    extent: usize,
    strides: [i64; 2],
}

/// The three groups of loops under a choice of left and right.
struct Sides<'a> {
    left: &'a Operand,
    right: &'a Operand,
    /// Left and result.
    m: Vec<Loop>,
    /// Right and result.
    n: Vec<Loop>,
    /// Left and right.
    k: Vec<Loop>,
}

/// Results so few that a loop along k is better than tiles.
const FEW_RESULTS: usize = 4;

/// Whether a contraction is better run as loops: a few results of long sums.
pub(crate) fn is_for_loops(c: &kernel::Contraction) -> bool {
    let extent = |loops: &[usize]| loops.iter().product::<usize>();
    extent(&c.m) * extent(&c.n) <= FEW_RESULTS
}

/// The loops of such a contraction, with the best of the summed loops along lanes.
pub(crate) fn loops(c: &kernel::Contraction) -> Block {
    let mut c = c.clone();
    let mut summed: Vec<usize> = (0..c.k.len()).collect();
    summed.sort_by_key(|&i| std::cmp::Reverse(c.a.third[i].abs().max(c.b.third[i].abs())));
    let reorder = |values: &[i64]| summed.iter().map(|&i| values[i]).collect();
    (c.a.third, c.b.third) = (reorder(&c.a.third), reorder(&c.b.third));
    c.k = summed.iter().map(|&i| c.k[i]).collect();
    let mut block = c.loops();
    innermost_to_lanes(&mut block.stmts);
    block
}

fn innermost_to_lanes(stmts: &mut [Stmt]) {
    for stmt in stmts {
        if let Stmt::For { body, kind, .. } = stmt {
            if *kind == LoopKind::Serial && !body.iter().any(|stmt| matches!(stmt, Stmt::For { .. })) {
                *kind = LoopKind::Lanes;
            }
            innermost_to_lanes(body);
        }
    }
}

impl Prepared {
    /// Builds the tables. The error says what does not fit.
    pub(crate) fn new(c: &kernel::Contraction, isa: Isa) -> Result<Prepared, String> {
        let sides = Sides::best(c, isa);
        let groups: Vec<[i64; 3]> =
            (0..c.g.len()).map(|i| [sides.left.first[i], sides.right.first[i], c.out.first[i]]).collect();
        let spec = ContractionSpec {
            a: View { rows: offsets(&sides.m, 0)?, cols: offsets(&sides.k, 0)? },
            b: View { rows: offsets(&sides.k, 1)?, cols: offsets(&sides.n, 0)? },
            c: View { rows: offsets(&sides.m, 1)?, cols: offsets(&sides.n, 1)? },
            batches: batches(&c.g, &groups)?,
            start: if c.accumulate { Start::C } else { Start::Zero },
        };
        let places = [sides.left, sides.right, &c.out].map(|operand| (operand.param, operand.offset));
        Ok(Prepared { contraction: Contraction::new(spec, isa), places })
    }
}

impl<'a> Sides<'a> {
    /// The cheapest choice of left and right, and of the order of columns.
    fn best(c: &'a kernel::Contraction, isa: Isa) -> Sides<'a> {
        let (m, n) = ((&c.a, &c.m[..], &c.out.second[..]), (&c.b, &c.n[..], &c.out.third[..]));
        let choices = [(m, n, 1), (m, n, 0), (n, m, 1), (n, m, 0)];
        let choices = choices.map(|(left, right, order)| Sides::new(c, left, right, order));
        let cheapest = choices.into_iter().min_by(|x, y| x.cost(isa).total_cmp(&y.cost(isa)));
        cheapest.expect("there are four choices")
    }

    /// Operands with their own loops and the result's strides over them. Columns are in the order of the right operand
    /// (`order` 0) or of the result (1).
    fn new(
        c: &kernel::Contraction,
        (left, m, out_m): (&'a Operand, &[usize], &[i64]),
        (right, n, out_n): (&'a Operand, &[usize], &[i64]),
        order: usize,
    ) -> Sides<'a> {
        // The left operand is read in place: rows and sums go as it lies.
        Sides {
            m: sorted(m, &left.second, out_m, 0),
            n: sorted(n, &right.second, out_n, order),
            k: sorted(&c.k, &left.third, &right.third, 0),
            left,
            right,
        }
    }

    /// An estimate of the time, in vector instructions.
    fn cost(&self, isa: Isa) -> f64 {
        let extent = |loops: &[Loop]| loops.iter().map(|l| l.extent).product::<usize>() as f64;
        let (m, n, k) = (extent(&self.m), extent(&self.n), extent(&self.k));
        let lanes = isa.lanes() as f64;
        let products = m * (n / lanes).ceil() * k;
        let store = m * n * if neighbours(&self.n, 1) == n { 1.0 / lanes } else { 2.0 };
        let pack = k
            * n
            * match (neighbours(&self.n, 0), neighbours(&self.k, 1)) {
                (columns, _) if columns >= n.min(lanes) => 2.0 / lanes,
                (_, rows) if rows >= 8.0 => 1.0,
                _ => 2.0,
            };
        products + store + pack
    }
}

fn sorted(extents: &[usize], x: &[i64], y: &[i64], by: usize) -> Vec<Loop> {
    let strides = x.iter().zip(y).map(|(&x, &y)| [x, y]);
    let mut loops: Vec<Loop> =
        extents.iter().zip(strides).map(|(&extent, strides)| Loop { extent, strides }).collect();
    loops.sort_by_key(|l| std::cmp::Reverse(l.strides[by].abs()));
    loops
}

/// How many elements follow each other in memory before the first jump.
fn neighbours(loops: &[Loop], of: usize) -> f64 {
    let mut len = 1;
    for l in loops.iter().rev() {
        if l.extent > 1 && l.strides[of] != len {
            break;
        }
        len *= l.extent as i64;
    }
    len as f64
}

/// The offset of each combination of indices, the last loop fastest.
fn offsets(loops: &[Loop], of: usize) -> Result<Vec<i32>, String> {
    let mut offsets = vec![0i64];
    for l in loops {
        offsets = offsets
            .iter()
            .flat_map(|&offset| (0..l.extent as i64).map(move |i| offset + i * l.strides[of]))
            .collect();
    }
    narrow(&offsets)
}

fn batches(extents: &[usize], strides: &[[i64; 3]]) -> Result<Vec<[i32; 3]>, String> {
    let loops = |of: usize| {
        let one = |(&extent, strides): (&usize, &[i64; 3])| Loop { extent, strides: [strides[of], 0] };
        extents.iter().zip(strides).map(one).collect::<Vec<_>>()
    };
    let [a, b, c] = [offsets(&loops(0), 0)?, offsets(&loops(1), 0)?, offsets(&loops(2), 0)?];
    Ok((0..a.len()).map(|i| [a[i], b[i], c[i]]).collect())
}

fn narrow(offsets: &[i64]) -> Result<Vec<i32>, String> {
    let narrow = |&offset: &i64| i32::try_from(offset).map_err(|_| format!("an offset of {offset} elements"));
    offsets.iter().map(narrow).collect()
}
