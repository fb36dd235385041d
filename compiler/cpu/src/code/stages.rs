//! Functions such as exp, on many values at once.
//!
//! A loop over lanes that needs them runs in stages: each stage computes the arguments of some functions for a whole
//! tile of iterations and calls the precompiled functions on them; the last one does the rest. What stages share is
//! computed again, which is cheaper than to keep it; all stores come last.

use super::core::{function, is_function};
use super::loops::{Gen, Val};
use super::sums::Role;
use cranelift_codegen::ir::{
    InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Value, types,
};
use std::collections::{BTreeMap, BTreeSet};
use stmc_ir::kernel::{Inst, LocalId, Stmt, ValId};

/// The most iterations of a tile.
pub(crate) const TILE: usize = 512;
/// The most functions of a body; with more of them, tiles would not stay in the cache.
const FUNCTIONS: usize = 12;

/// A loop over lanes, and the parallel loop around it that belongs to the same tile.
pub(super) struct TileLoops<'a> {
    pub(super) rows: Option<(ValId, usize)>,
    /// Values that do not depend on the lanes.
    pub(super) before: &'a [Stmt],
    pub(super) var: ValId,
    pub(super) extent: usize,
    pub(super) body: &'a [Stmt],
}

/// How a body is cut.
struct Cut {
    /// Each call of a function: its stage, and the memory of its tile.
    calls: BTreeMap<ValId, (usize, StackSlot)>,
    /// The number of the last stage.
    last: usize,
}

/// The stage that code is being made for.
pub(super) struct Stage {
    number: usize,
    last: bool,
    calls: BTreeMap<ValId, (usize, StackSlot)>,
    needed: BTreeSet<ValId>,
    /// The variable and the extent of the loop over lanes: a row of the tile.
    lanes: (ValId, usize),
    /// The variable of the loop over rows.
    row: Option<ValId>,
}

impl Gen<'_> {
    /// Makes the code in stages. `false`: it has no functions, or is not of this form, and nothing was made.
    pub(super) fn staged(&mut self, tile: &TileLoops<'_>, roles: &[(LocalId, Role)]) -> bool {
        let Some(cut) = self.cut(tile) else { return false };
        let size = tile.extent * tile.rows.map_or(1, |(_, rows)| rows);
        for number in 0..=cut.last {
            let last = number == cut.last;
            let needed = self.needed(tile, &cut, number);
            let (lanes, row) = ((tile.var, tile.extent), tile.rows.map(|(row, _)| row));
            self.stage = Some(Stage { number, last, calls: cut.calls.clone(), needed, lanes, row });
            self.rows(tile, if last { roles } else { &[] });
            self.stage = None;
            for (&out, &(stage, slot)) in &cut.calls {
                if stage == number {
                    self.call_on_tile(out, slot, size);
                }
            }
        }
        true
    }

    /// All iterations of a tile.
    pub(super) fn rows(&mut self, tile: &TileLoops<'_>, roles: &[(LocalId, Role)]) {
        let row = |g: &mut Self| {
            g.stmts(tile.before);
            g.lane_bundles(tile.var, tile.extent, tile.body, roles);
        };
        match tile.rows {
            Some((var, rows)) => self.count(var, 0, rows as i64, 1, row),
            None => row(self),
        }
    }

    fn cut(&mut self, tile: &TileLoops<'_>) -> Option<Cut> {
        let mut levels: BTreeMap<ValId, usize> = BTreeMap::new();
        let mut stages = vec![];
        for stmt in tile.body {
            match stmt {
                Stmt::For { .. } => return None,
                Stmt::Let { out, inst } => {
                    let level = inst.operands().filter_map(|id| levels.get(&id)).copied().max().unwrap_or(0);
                    let called = is_function(inst);
                    if called {
                        stages.push((*out, level));
                    }
                    levels.insert(*out, level + usize::from(called));
                }
                Stmt::Set { .. } | Stmt::Store { .. } => {}
            }
        }
        let size = tile.extent * tile.rows.map_or(1, |(_, rows)| rows);
        if stages.is_empty() || stages.len() > FUNCTIONS || !(8..=2 * TILE).contains(&size) {
            return None;
        }
        // A local may be looked at in the last stage only.
        let last = 1 + stages.iter().map(|(_, stage)| *stage).max()?;
        let looked_at_early = stages.iter().any(|(out, _)| {
            let mut needed = BTreeSet::new();
            self.add_needed(self.insts[out.index()], &stages, &mut needed);
            needed.iter().any(|id| matches!(self.insts[id.index()], Some(Inst::Get(_))))
        });
        if looked_at_early {
            return None;
        }
        let bytes = (4 * size).next_multiple_of(64) as u32;
        let mut slot =
            || self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 6));
        let calls = stages.into_iter().map(|(out, stage)| (out, (stage, slot()))).collect();
        Some(Cut { calls, last })
    }

    /// The values that a stage computes.
    fn needed(&self, tile: &TileLoops<'_>, cut: &Cut, number: usize) -> BTreeSet<ValId> {
        let stages: Vec<(ValId, usize)> = cut.calls.iter().map(|(&out, &(stage, _))| (out, stage)).collect();
        let mut needed = BTreeSet::new();
        for &(out, stage) in &stages {
            if stage == number {
                needed.insert(out);
                self.add_needed(self.insts[out.index()], &stages, &mut needed);
            }
        }
        for stmt in tile.body.iter().filter(|_| number == cut.last) {
            let roots = match stmt {
                Stmt::Store { index, value, .. } => index.terms.iter().map(|t| t.0).chain([*value]).collect(),
                Stmt::Set { value, .. } => vec![*value],
                Stmt::Let { .. } | Stmt::For { .. } => vec![],
            };
            for root in roots {
                self.add_value(root, &stages, &mut needed);
            }
        }
        needed
    }

    fn add_needed(&self, inst: Option<&Inst>, stages: &[(ValId, usize)], needed: &mut BTreeSet<ValId>) {
        for operand in inst.into_iter().flat_map(Inst::operands) {
            self.add_value(operand, stages, needed);
        }
    }

    /// A value and what it comes from, back to the results of functions.
    fn add_value(&self, id: ValId, stages: &[(ValId, usize)], needed: &mut BTreeSet<ValId>) {
        if needed.insert(id) && !stages.iter().any(|(out, _)| *out == id) {
            self.add_needed(self.insts[id.index()], stages, needed);
        }
    }

    fn call_on_tile(&mut self, out: ValId, slot: StackSlot, size: usize) {
        let Some(Inst::Core(core, _)) = self.insts[out.index()] else {
            unreachable!("calls are of functions")
        };
        let function = function(*core).expect("calls are of functions");
        let address = self.b.ins().stack_addr(types::I64, slot, 0);
        self.call_code(function, address, size);
    }

    /// Whether the current stage leaves this value out.
    pub(super) fn skips(&self, out: ValId) -> bool {
        self.stage.as_ref().is_some_and(|stage| !stage.needed.contains(&out))
    }

    /// Whether stores and sums have to wait for a later stage.
    pub(super) fn defers_effects(&self) -> bool {
        self.stage.as_ref().is_some_and(|stage| !stage.last)
    }

    /// A function's result in a stage: its argument is put into the tile, or the result taken from there.
    pub(super) fn through_tile(&mut self, out: ValId, args: &[ValId]) -> Option<Val> {
        let stage = self.stage.as_ref()?;
        let (of, slot) = *stage.calls.get(&out)?;
        let now = of == stage.number;
        let address = self.tile_address(slot);
        let flags = MemFlagsData::new().with_notrap();
        if now {
            let val = self.val(args[0]);
            let values = match (&val, &self.lanes) {
                (Val::Same(value), None) => vec![*value],
                _ => self.spread(&val, stmc_ir::DType::F32),
            };
            for (i, &value) in values.iter().enumerate() {
                self.b.ins().store(flags, value, address, 16 * i as i32);
            }
            // Nobody looks at it in this stage.
            return Some(val);
        }
        Some(match self.lanes.as_ref().map(|lanes| lanes.vectors) {
            None => Val::Same(self.b.ins().load(types::F32, flags, address, 0)),
            Some(vectors) => {
                let load = |i: usize| self.b.ins().load(types::F32X4, flags, address, 16 * i as i32);
                Val::Lanes((0..vectors).map(load).collect())
            }
        })
    }

    /// Where the current iteration's value lies in a tile.
    fn tile_address(&mut self, slot: StackSlot) -> Value {
        let stage = self.stage.as_ref().expect("only stages have tiles");
        let ((var, extent), row) = (stage.lanes, stage.row);
        let lane = self.wide[var.index()].expect("loop variables are bound");
        let mut address = self.b.ins().stack_addr(types::I64, slot, 0);
        if let Some(row) = row {
            let row = self.wide[row.index()].expect("loop variables are bound");
            let bytes = self.b.ins().imul_imm_s(row, 4 * extent as i64);
            address = self.b.ins().iadd(address, bytes);
        }
        let bytes = self.b.ins().ishl_imm_u(lane, 2);
        self.b.ins().iadd(address, bytes)
    }
}
