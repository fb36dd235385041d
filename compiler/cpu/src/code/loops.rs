//! Statements, in order: the walk that makes a kernel's function.

use super::lanes::LaneLoop;
use super::stages::{Stage, TileLoops};
use super::{Target, types_of};
use crate::schedule::{Loops, Tiled};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Function, InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use stmc_ir::DType;
use stmc_ir::kernel::{Block, Inst, Kernel, LocalId, LoopKind, Stmt, ValId};

/// Parallel loops that are nested perfectly, outermost first, and what stands inside.
pub(super) fn parallel_nest(block: &Block) -> (Vec<(ValId, usize)>, &[Stmt]) {
    let (mut nest, mut stmts) = (vec![], &block.stmts[..]);
    while let [Stmt::For { var, extent, kind: LoopKind::Parallel, body }] = stmts {
        nest.push((*var, *extent));
        stmts = body;
    }
    (nest, stmts)
}

/// A value of the kernel while code is made.
#[derive(Clone, Debug)]
pub(super) enum Val {
    /// The same in all lanes, and the only form outside loops over lanes.
    Same(Value),
    /// Four lanes in each vector.
    Lanes(Vec<Value>),
}

/// Makes a function.
pub(super) struct Gen<'a> {
    pub(super) b: FunctionBuilder<'a>,
    pub(super) kernel: &'a Kernel,
    pub(super) block: &'a Block,
    pub(super) target: &'a Target,
    /// Where each param's element 0 lies.
    pub(super) params: Vec<Value>,
    scalars: Vec<Val>,
    values: Vec<Option<Val>>,
    /// Loop variables as 64-bit integers.
    pub(super) wide: Vec<Option<Value>>,
    /// How many values were defined before each: inner loops' variables come last.
    pub(super) order: Vec<usize>,
    defined: usize,
    /// Each local's variables: one, or one for each vector of the loop over lanes around.
    pub(super) locals: Vec<Vec<Variable>>,
    /// The loop over lanes around. `None`: code is scalar.
    pub(super) lanes: Option<LaneLoop>,
    /// The instruction that defines each value; loop variables have none.
    pub(super) insts: Vec<Option<&'a Inst>>,
    /// The stage that code is made for. `None`: all is done at once.
    pub(super) stage: Option<Stage>,
    /// Memory of a call to a function of vectors.
    pub(super) slot: Option<cranelift_codegen::ir::StackSlot>,
}

/// Fills `function` with the code of the loops.
pub(super) fn emit(
    kernel: &Kernel,
    loops: &Loops,
    target: &Target,
    function: &mut Function,
    scratch: &mut FunctionBuilderContext,
) {
    let block = &loops.block;
    let mut b = FunctionBuilder::new(function, scratch);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let [params, scalars, begin, end] = *b.block_params(entry) else {
        unreachable!("the signature has four")
    };
    let mut insts = vec![None; block.values.len()];
    collect_insts(&block.stmts, &mut insts);
    let mut g = Gen {
        b,
        kernel,
        block,
        target,
        params: vec![],
        scalars: vec![],
        values: vec![None; block.values.len()],
        wide: vec![None; block.values.len()],
        order: vec![0; block.values.len()],
        defined: 0,
        locals: vec![],
        lanes: None,
        insts,
        stage: None,
        slot: None,
    };
    g.enter(params, scalars);
    let (mut nest, body) = parallel_nest(block);
    let rows = if loops.tiled == Tiled::Rows { nest.pop() } else { None };
    g.parallel(&nest, begin, end, rows, body);
    g.b.ins().return_(&[]);
    g.b.finalize(target.native.frontend_config());
}

fn collect_insts<'a>(stmts: &'a [Stmt], insts: &mut [Option<&'a Inst>]) {
    for stmt in stmts {
        match stmt {
            Stmt::Let { out, inst } => insts[out.index()] = Some(inst),
            Stmt::For { body, .. } => collect_insts(body, insts),
            Stmt::Store { .. } | Stmt::Set { .. } => {}
        }
    }
}

impl Gen<'_> {
    /// Loads the arguments and clears the locals.
    fn enter(&mut self, params: Value, scalars: Value) {
        let trusted = MemFlagsData::trusted();
        for i in 0..self.kernel.params.len() {
            let pointer = self.b.ins().load(types::I64, trusted, params, 8 * i as i32);
            self.params.push(pointer);
        }
        for (i, &dtype) in self.kernel.scalars.iter().enumerate() {
            let (ty, _) = types_of(dtype);
            let value = self.b.ins().load(ty, trusted, scalars, 4 * i as i32);
            self.scalars.push(Val::Same(value));
        }
        for &dtype in &self.block.locals {
            let (ty, _) = types_of(dtype);
            let variable = self.b.declare_var(ty);
            let zero = self.zero(ty);
            self.b.def_var(variable, zero);
            self.locals.push(vec![variable]);
        }
    }

    /// The iterations `begin .. end` of the flattened nest: indices are divided out once, then counted on.
    fn parallel(
        &mut self,
        nest: &[(ValId, usize)],
        begin: Value,
        end: Value,
        rows: Option<(ValId, usize)>,
        body: &[Stmt],
    ) {
        if nest.is_empty() {
            return self.iteration(rows, body);
        }
        let mut counters = vec![];
        let mut rest = begin;
        for &(_, extent) in nest.iter().rev() {
            let counter = self.b.declare_var(types::I64);
            let extent = self.b.ins().iconst(types::I64, extent as i64);
            let digit = self.b.ins().urem(rest, extent);
            self.b.def_var(counter, digit);
            rest = self.b.ins().udiv(rest, extent);
            counters.push(counter);
        }
        counters.reverse();
        let linear = self.b.declare_var(types::I64);
        self.b.def_var(linear, begin);
        let [head, inside, exit] = std::array::from_fn(|_| self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let at = self.b.use_var(linear);
        let goes_on = self.b.ins().icmp(IntCC::UnsignedLessThan, at, end);
        self.b.ins().brif(goes_on, inside, &[], exit, &[]);
        self.b.switch_to_block(inside);
        self.b.seal_block(inside);
        for (&(var, _), &counter) in nest.iter().zip(&counters) {
            let index = self.b.use_var(counter);
            self.bind_loop(var, index);
        }
        self.iteration(rows, body);
        self.count_on(nest, &counters);
        let at = self.b.use_var(linear);
        let next = self.b.ins().iadd_imm_s(at, 1);
        self.b.def_var(linear, next);
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.b.switch_to_block(exit);
        self.b.seal_block(exit);
    }

    /// What one parallel iteration does.
    fn iteration(&mut self, rows: Option<(ValId, usize)>, body: &[Stmt]) {
        let Some(rows) = rows else { return self.stmts(body) };
        let Some((Stmt::For { var, extent, body, .. }, before)) = body.split_last() else {
            unreachable!("tiles end with a loop over lanes");
        };
        self.lane_loop(&TileLoops { rows: Some(rows), before, var: *var, extent: *extent, body });
    }

    /// Adds one to the innermost counter, and carries.
    fn count_on(&mut self, nest: &[(ValId, usize)], counters: &[Variable]) {
        let mut carry = self.b.ins().iconst(types::I64, 1);
        for (i, (&(_, extent), &counter)) in nest.iter().zip(counters).enumerate().rev() {
            let index = self.b.use_var(counter);
            let next = self.b.ins().iadd(index, carry);
            if i == 0 {
                return self.b.def_var(counter, next);
            }
            let full = self.b.ins().icmp_imm_s(IntCC::Equal, next, extent as i64);
            let zero = self.b.ins().iconst(types::I64, 0);
            let wrapped = self.b.ins().select(full, zero, next);
            self.b.def_var(counter, wrapped);
            carry = self.b.ins().uextend(types::I64, full);
        }
    }

    pub(super) fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let { out, .. } if self.skips(*out) => {}
                Stmt::Set { .. } | Stmt::Store { .. } if self.defers_effects() => {}
                Stmt::Let { out, inst } => {
                    let val = self.inst(*out, inst);
                    self.bind(*out, val);
                }
                Stmt::Set { local, value } => self.set(*local, *value),
                Stmt::Store { param, index, value } => self.store(*param, index, *value),
                Stmt::For { var, extent, kind: LoopKind::Lanes, body } if self.lanes.is_none() => {
                    self.lane_loop(&TileLoops { rows: None, before: &[], var: *var, extent: *extent, body });
                }
                Stmt::For { var, extent, body, .. } => self.serial(*var, *extent, body),
            }
        }
    }

    /// A loop in order.
    pub(super) fn serial(&mut self, var: ValId, extent: usize, body: &[Stmt]) {
        self.count(var, 0, extent as i64, 1, |g| g.stmts(body));
    }

    /// Runs `body` with `var` from `start` in steps below `end`.
    pub(super) fn count(
        &mut self,
        var: ValId,
        start: i64,
        end: i64,
        step: i64,
        body: impl FnOnce(&mut Self),
    ) {
        if start >= end {
            return;
        }
        let first = self.b.ins().iconst(types::I64, start);
        if start + step >= end {
            self.bind_loop(var, first);
            return body(self);
        }
        let counter = self.b.declare_var(types::I64);
        self.b.def_var(counter, first);
        let [inside, exit] = std::array::from_fn(|_| self.b.create_block());
        self.b.ins().jump(inside, &[]);
        self.b.switch_to_block(inside);
        let index = self.b.use_var(counter);
        self.bind_loop(var, index);
        body(self);
        let index = self.b.use_var(counter);
        let next = self.b.ins().iadd_imm_s(index, step);
        self.b.def_var(counter, next);
        let goes_on = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, next, end);
        self.b.ins().brif(goes_on, inside, &[], exit, &[]);
        self.b.seal_block(inside);
        self.b.switch_to_block(exit);
        self.b.seal_block(exit);
    }

    /// Binds a loop variable to its 64-bit index.
    pub(super) fn bind_loop(&mut self, var: ValId, index: Value) {
        self.wide[var.index()] = Some(index);
        let narrow = self.b.ins().ireduce(types::I32, index);
        self.bind(var, Val::Same(narrow));
    }

    pub(super) fn bind(&mut self, out: ValId, val: Val) {
        self.defined += 1;
        self.order[out.index()] = self.defined;
        self.values[out.index()] = Some(val);
    }

    /// A value as it is bound now; the variable of the loop over lanes counts up from lane to lane.
    pub(super) fn val(&mut self, id: ValId) -> Val {
        if let Some(lanes) = &self.lanes
            && lanes.var == id
        {
            let lanes = lanes.clone();
            return Val::Lanes(self.lane_numbers(&lanes));
        }
        self.values[id.index()].clone().expect("values are defined before they are used")
    }

    pub(super) fn dtype(&self, id: ValId) -> DType {
        self.block.values[id.index()]
    }

    fn inst(&mut self, out: ValId, inst: &Inst) -> Val {
        match inst {
            Inst::Const(dtype, bits) => Val::Same(self.constant(*dtype, *bits)),
            Inst::Load { param, index } => self.load(*param, index),
            Inst::Scalar(i) => self.scalars[*i].clone(),
            Inst::Get(local) => self.get(*local),
            Inst::Index(index) => self.index_value(index),
            Inst::Core(core, args) => match self.through_tile(out, args) {
                Some(val) => val,
                None => self.core(*core, args, self.dtype(out)),
            },
        }
    }

    pub(super) fn constant(&mut self, dtype: DType, bits: u32) -> Value {
        match dtype {
            DType::F32 => self.b.ins().f32const(f32::from_bits(bits)),
            DType::I32 => self.b.ins().iconst(types::I32, i64::from(bits as i32)),
            DType::Bool => self.b.ins().iconst(types::I8, i64::from(bits)),
        }
    }

    pub(super) fn zero(&mut self, ty: cranelift_codegen::ir::Type) -> Value {
        let lane = ty.lane_type();
        let zero = if lane == types::F32 { self.b.ins().f32const(0.0) } else { self.b.ins().iconst(lane, 0) };
        if ty.is_vector() { self.b.ins().splat(ty, zero) } else { zero }
    }

    fn get(&mut self, local: LocalId) -> Val {
        let variables = self.locals[local.index()].clone();
        let values = variables.iter().map(|&variable| self.b.use_var(variable)).collect::<Vec<_>>();
        let alone = values.len() == 1 && !self.b.func.dfg.value_type(values[0]).is_vector();
        if alone { Val::Same(values[0]) } else { Val::Lanes(values) }
    }

    fn set(&mut self, local: LocalId, value: ValId) {
        let variables = self.locals[local.index()].clone();
        let val = self.val(value);
        if self.lanes.is_none() {
            let Val::Same(value) = val else { unreachable!("only loops over lanes have lanes") };
            return self.b.def_var(variables[0], value);
        }
        let vectors = self.spread(&val, self.dtype(value));
        for (variable, vector) in variables.into_iter().zip(vectors) {
            self.b.def_var(variable, vector);
        }
    }
}
