//! Loops over lanes: several vectors of four at a time, then one bundle of the whole vectors that are left, then the
//! last few lanes one by one.

use super::loops::{Gen, Val};
use super::stages::TileLoops;
use super::sums::{Role, Sum};
use super::types_of;
use cranelift_codegen::ir::{ConstantData, InstBuilder, Value, types};
use cranelift_frontend::Variable;
use stmc_ir::DType;
use stmc_ir::kernel::{LocalId, Stmt, ValId};

/// Lanes of a vector.
pub(super) const WIDTH: i64 = 4;
/// Vectors in flight: sums of as many need not wait for each other.
const VECTORS: usize = 4;

/// The loop over lanes that code is being made for.
#[derive(Clone)]
pub(super) struct LaneLoop {
    pub(super) var: ValId,
    /// The index of the first lane.
    pub(super) base: Value,
    pub(super) vectors: usize,
}

impl Gen<'_> {
    /// The whole loop, with the parallel loop around it if both make a tile.
    pub(super) fn lane_loop(&mut self, tile: &TileLoops<'_>) {
        let Some(roles) = self.roles(tile.body) else {
            return self.serial(tile.var, tile.extent, tile.body);
        };
        if !self.staged(tile, &roles) {
            self.rows(tile, &roles);
        }
    }

    /// All lanes of one row.
    pub(super) fn lane_bundles(
        &mut self,
        var: ValId,
        extent: usize,
        body: &[Stmt],
        roles: &[(LocalId, Role)],
    ) {
        let step = WIDTH * VECTORS as i64;
        let (extent, many) = (extent as i64, extent as i64 / step * step);
        let whole = extent / WIDTH * WIDTH;
        self.bundle_loop(var, (0, many), VECTORS, body, roles);
        self.bundle_loop(var, (many, whole), ((whole - many) / WIDTH) as usize, body, roles);
        self.count(var, whole, extent, 1, |g| g.stmts(body));
    }

    /// The lanes from `start` to `end`, as many vectors at a time as said.
    fn bundle_loop(
        &mut self,
        var: ValId,
        (start, end): (i64, i64),
        vectors: usize,
        body: &[Stmt],
        roles: &[(LocalId, Role)],
    ) {
        if start >= end {
            return;
        }
        let outer = self.locals.clone();
        for (local, role) in roles {
            self.locals[local.index()] = self.lane_variables(*local, *role, vectors);
        }
        self.count(var, start, end, WIDTH * vectors as i64, |g| {
            let base = g.wide[var.index()].expect("the loop has just bound it");
            g.lanes = Some(LaneLoop { var, base, vectors });
            g.stmts(body);
            g.lanes = None;
        });
        let inner = std::mem::replace(&mut self.locals, outer);
        for (local, role) in roles {
            if let Role::Sum(sum) = role {
                self.gather_sum(*local, *sum, &inner[local.index()]);
            }
        }
    }

    /// A local's variables inside: private ones start at zero, sums at what does not change them.
    fn lane_variables(&mut self, local: LocalId, role: Role, vectors: usize) -> Vec<Variable> {
        let (_, ty) = types_of(self.block.locals[local.index()]);
        let start = match role {
            Role::Private => self.zero(ty),
            Role::Sum(sum) => self.sum_start(local, sum, ty),
        };
        let variable = |_| {
            let variable = self.b.declare_var(ty);
            self.b.def_var(variable, start);
            variable
        };
        (0..vectors).map(variable).collect()
    }

    /// Adds the lanes of a sum to the local outside, in a fixed order.
    fn gather_sum(&mut self, local: LocalId, sum: Sum, variables: &[Variable]) {
        let mut vectors: Vec<Value> = variables.iter().map(|&v| self.b.use_var(v)).collect();
        while vectors.len() > 1 {
            let half = vectors.len().div_ceil(2);
            for i in half..vectors.len() {
                vectors[i - half] = self.combine(sum, vectors[i - half], vectors[i]);
            }
            vectors.truncate(half);
        }
        let lanes = [0u8, 1, 2, 3].map(|lane| self.b.ins().extractlane(vectors[0], lane));
        let (low, high) = (self.combine(sum, lanes[0], lanes[1]), self.combine(sum, lanes[2], lanes[3]));
        let all = self.combine(sum, low, high);
        let variable = self.locals[local.index()][0];
        let before = self.b.use_var(variable);
        let after = self.combine(sum, before, all);
        self.b.def_var(variable, after);
    }

    /// The numbers of the lanes, as i32.
    pub(super) fn lane_numbers(&mut self, lanes: &LaneLoop) -> Vec<Value> {
        let base = self.b.ins().ireduce(types::I32, lanes.base);
        let base = self.b.ins().splat(types::I32X4, base);
        let number = |vector: usize| {
            let offsets = self.lane_constant(|lane| (WIDTH * vector as i64) as i32 + lane);
            self.b.ins().iadd(base, offsets)
        };
        (0..lanes.vectors).map(number).collect()
    }

    pub(super) fn lane_constant(&mut self, value: impl Fn(i32) -> i32) -> Value {
        let bytes: Vec<u8> = (0..WIDTH as i32).flat_map(|lane| value(lane).to_le_bytes()).collect();
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(types::I32X4, constant)
    }

    /// The vectors of a value in the loop over lanes around.
    pub(super) fn spread(&mut self, val: &Val, dtype: DType) -> Vec<Value> {
        let vectors = self.lanes.as_ref().expect("only loops over lanes have vectors").vectors;
        match val {
            Val::Lanes(values) => values.clone(),
            Val::Same(value) => vec![self.splat(*value, dtype); vectors],
        }
    }

    fn splat(&mut self, value: Value, dtype: DType) -> Value {
        let (_, ty) = types_of(dtype);
        if dtype != DType::Bool {
            return self.b.ins().splat(ty, value);
        }
        let number = self.b.ins().uextend(types::I32, value);
        let mask = self.b.ins().ineg(number);
        self.b.ins().splat(ty, mask)
    }
}
