//! Grids in CubeCL's IR: one arm per statement; see `instruction` for what they compute.
//!
//! The kernel binds the arena alone. Its i32 scalars are, in order: the number of iterations, the offset of
//! each param in the arena, the kernel's own i32 scalars; its f32 scalars are the kernel's own. A launch with
//! 0 iterations does nothing but compile.
use crate::code::{Emit, WORD, element};
use crate::folds::{self, Fold};
use crate::grid::{Grid, Team};
use crate::instruction::{constant, identity, instruction, less, on_words, select, word_op};
use cubecl::ir::Builtin;
use cubecl::ir::dialect::bitwise::ShiftRightOp;
use cubecl::ir::dialect::cmp::{IEqualOp, INotEqualOp, ULessThanOp};
use cubecl::ir::dialect::math::{IAddOp, IMulOp, UDivOp, URemOp};
use cubecl::ir::pliron::value::Value;
use cubecl::prelude::*;
use std::sync::Arc;
use stmc_ir::kernel::{Affine, Core, Inst, LocalId, Stmt, ValId};
use stmc_ir::types::DType;

/// A grid as CubeCL compiles it.
pub(crate) struct GridKernel {
    pub(crate) grid: Arc<Grid>,
    pub(crate) device: Arc<DeviceProperties>,
    pub(crate) target: Arc<TargetProperties>,
}

impl GridKernel {
    /// Bounds are ours: a team past the last iteration does nothing, and indices stay inside by the kernel's
    /// invariant.
    pub(crate) fn settings(&self) -> KernelSettings {
        let cube = CubeDim::new_1d(self.grid.code.team.size() as u32);
        KernelSettings::new(cube.into(), ExecutionMode::Unchecked, AddressType::U32)
            .kernel_name(&self.grid.name)
    }
}

impl KernelMetadata for GridKernel {
    fn name(&self) -> &'static str {
        "stm"
    }

    fn id(&self) -> KernelId {
        let settings = self.settings();
        KernelId::new::<Self>()
            .address_type(settings.address_type)
            .cube_dim(settings.cube_dim)
            .mode(settings.execution_mode)
            .info(self.grid.clone())
    }

    fn address_type(&self) -> ElemType {
        AddressType::U32.unsigned_type()
    }
}

impl CubeKernel for GridKernel {
    fn define(&self) -> KernelDefinition {
        let mut builder = KernelBuilder::new(self.settings());
        builder.runtime_properties(self.target.as_ref().clone());
        builder.device_properties(&self.device);
        let word = WORD.to_type(builder.scope.ctx());
        let arena = builder.buffer(word);
        let code = &self.grid.code;
        let count = read_scalar(&mut builder, DType::I32);
        let offsets = code.params.iter().map(|_| read_scalar(&mut builder, DType::I32)).collect();
        let scalars = code.scalars.iter().map(|dtype| read_scalar(&mut builder, *dtype)).collect();
        let emit = Emit(&builder.scope);
        let number = match code.team {
            Team::Alone => emit.builtin(Builtin::AbsolutePos),
            Team::Cube => emit.builtin(Builtin::CubePos),
        };
        let member = (code.team == Team::Cube).then(|| Member::new(&emit));
        let limit = emit.to_word(count);
        let inside = emit.value(|ctx| ULessThanOp::new(ctx, number, limit));
        emit.when(inside, |emit| {
            let locals = code.locals.iter().map(|dtype| zero_local(emit, *dtype)).collect();
            let values = vec![None; code.values.len()];
            let mut lowering = Lowering { grid: &self.grid, arena, offsets, scalars, member, locals, values };
            lowering.number(emit, &code.spread, number);
            lowering.stmts(emit, &code.body);
        });
        builder.build()
    }
}

fn read_scalar(builder: &mut KernelBuilder, dtype: DType) -> Value {
    let number = builder.scalar(element(dtype));
    Emit(&builder.scope).scalar(element(dtype), number)
}

fn zero_local(emit: &Emit<'_>, dtype: DType) -> Value {
    let local = emit.local(dtype);
    emit.set(local, constant(emit, dtype, 0));
    local
}

/// One of the invocations that work as a cube.
#[derive(Clone, Copy)]
struct Member {
    /// Its number in the cube, i32.
    unit: Value,
    /// Whether it is the one that stores.
    first: Value,
    /// A word for each member, to combine parts of a fold in.
    shared: Value,
}

impl Member {
    fn new(emit: &Emit<'_>) -> Member {
        let unit = emit.bits_as(emit.builtin(Builtin::UnitPos), DType::I32);
        let zero = emit.int(0);
        let first = emit.value(|ctx| IEqualOp::new(ctx, unit, zero));
        Member { unit, first, shared: emit.shared(Team::Cube.size()) }
    }
}

/// What has been lowered so far.
struct Lowering<'a> {
    grid: &'a Grid,
    arena: Value,
    /// Of each param, in elements of the arena, i32.
    offsets: Vec<Value>,
    scalars: Vec<Value>,
    /// `None`: the invocation works alone.
    member: Option<Member>,
    locals: Vec<Value>,
    /// `None`: not yet defined.
    values: Vec<Option<Value>>,
}

impl Lowering<'_> {
    fn value(&self, id: ValId) -> Value {
        self.values[id.index()].expect("a value is defined before its uses")
    }

    fn local(&self, id: LocalId) -> Value {
        self.locals[id.index()]
    }

    /// Defines the variables of a nest of loops from the number of its iteration, a word.
    fn number(&mut self, emit: &Emit<'_>, loops: &[(ValId, usize)], number: Value) {
        let mut rest = number;
        for (i, (var, extent)) in loops.iter().enumerate().rev() {
            let extent = u32::try_from(*extent).expect("loop variables are i32");
            let digit = if i == 0 { rest } else { word_op(emit, URemOp::new, rest, extent) };
            rest = word_op(emit, UDivOp::new, rest, extent);
            self.values[var.index()] = Some(emit.bits_as(digit, DType::I32));
        }
    }

    fn stmts<'s>(&mut self, emit: &Emit<'_>, stmts: impl IntoIterator<Item = &'s Stmt>) {
        for stmt in stmts {
            match (stmt, self.member) {
                (Stmt::Let { out, inst }, _) => {
                    let value = self.inst(emit, inst);
                    self.values[out.index()] = Some(value);
                }
                (Stmt::Set { local, value }, _) => emit.set(self.local(*local), self.value(*value)),
                (Stmt::Store { param, index, value }, None) => self.store(emit, *param, index, *value),
                (Stmt::Store { param, index, value }, Some(member)) => {
                    emit.when(member.first, |emit| self.store(emit, *param, index, *value));
                }
                (Stmt::For { .. }, Some(member)) => {
                    let fold = folds::fold(stmt).expect("the loops of a team are folds");
                    self.share(emit, member, &fold);
                }
                // Loops left in a grid run in order, lanes too: each invocation is a lane of the device
                // already.
                (Stmt::For { var, extent, kind: _, body }, None) => {
                    let (start, end, step) = (emit.int(0), self.extent(emit, *extent), emit.int(1));
                    emit.repeat((start, end, step), |emit, i| {
                        self.values[var.index()] = Some(i);
                        self.stmts(emit, body);
                    });
                }
            }
        }
    }

    fn extent(&self, emit: &Emit<'_>, extent: usize) -> Value {
        emit.int(i32::try_from(extent).expect("loop variables are i32"))
    }

    /// Each member runs every so many iterations; then all of them have the sums.
    fn share(&mut self, emit: &Emit<'_>, member: Member, fold: &Fold<'_>) {
        for (local, core) in &fold.sums {
            let (place, dtype) = (self.local(*local), self.grid.code.locals[local.index()]);
            let start = emit.get(place);
            let nothing = identity(emit, *core, dtype);
            emit.set(place, select(emit, member.first, start, nothing));
        }
        let step = emit.int(Team::Cube.size() as i32);
        let end = self.extent(emit, fold.iterations());
        emit.repeat((member.unit, end, step), |emit, number| {
            let number = emit.to_word(number);
            // The members do not meet again before the end of the fold.
            self.member = None;
            self.number(emit, &fold.loops, number);
            self.stmts(emit, fold.body.iter().copied());
            self.member = Some(member);
        });
        for (local, core) in &fold.sums {
            self.combine(emit, member, *local, *core);
        }
    }

    /// Joins the members' parts of a sum in a tree.
    fn combine(&mut self, emit: &Emit<'_>, member: Member, local: LocalId, core: Core) {
        let (place, dtype) = (self.local(local), self.grid.code.locals[local.index()]);
        let part = emit.get(place);
        emit.store(member.shared, member.unit, emit.to_word(part));
        emit.barrier();
        let (half, levels) = (Team::Cube.size() / 2, Team::Cube.size().ilog2());
        emit.repeat((emit.int(0), emit.int(levels as i32), emit.int(1)), |emit, level| {
            let distance = on_words(emit, ShiftRightOp::new, emit.int(half as i32), level);
            emit.when(less(emit, DType::I32, member.unit, distance), |emit| {
                let other = emit.value(|ctx| IAddOp::new(ctx, member.unit, distance));
                let parts =
                    [member.unit, other].map(|unit| emit.bits_as(emit.load(member.shared, unit), dtype));
                let joined = instruction(emit, core, dtype, &parts);
                emit.store(member.shared, member.unit, emit.to_word(joined));
            });
            emit.barrier();
        });
        let sum = emit.load(member.shared, emit.int(0));
        emit.set(place, emit.bits_as(sum, dtype));
        emit.barrier();
    }

    fn store(&self, emit: &Emit<'_>, param: usize, index: &Affine, value: ValId) {
        let index = self.place(emit, param, index);
        let word = self.pack(emit, value);
        emit.store(self.arena, index, word);
    }

    /// Where an element lies in the arena.
    fn place(&self, emit: &Emit<'_>, param: usize, index: &Affine) -> Value {
        let index = self.affine(emit, index);
        emit.value(|ctx| IAddOp::new(ctx, self.offsets[param], index))
    }

    /// In wrapping i32 arithmetic, which is right whenever the sum itself fits.
    fn affine(&self, emit: &Emit<'_>, affine: &Affine) -> Value {
        let constant = emit.int(affine.constant as i32);
        affine.terms.iter().fold(constant, |sum, (value, factor)| {
            let factor = emit.int(*factor as i32);
            let product = emit.value(|ctx| IMulOp::new(ctx, self.value(*value), factor));
            emit.value(|ctx| IAddOp::new(ctx, sum, product))
        })
    }

    fn pack(&self, emit: &Emit<'_>, id: ValId) -> Value {
        let value = self.value(id);
        match self.grid.code.values[id.index()] {
            DType::Bool => select(emit, value, emit.word(1), emit.word(0)),
            DType::F32 | DType::I32 => emit.to_word(value),
        }
    }

    fn unpack(&self, emit: &Emit<'_>, word: Value, dtype: DType) -> Value {
        match dtype {
            DType::Bool => {
                let zero = emit.word(0);
                emit.value(|ctx| INotEqualOp::new(ctx, word, zero))
            }
            DType::F32 | DType::I32 => emit.bits_as(word, dtype),
        }
    }

    fn inst(&self, emit: &Emit<'_>, inst: &Inst) -> Value {
        match inst {
            Inst::Const(dtype, bits) => constant(emit, *dtype, *bits),
            Inst::Load { param, index } => {
                let index = self.place(emit, *param, index);
                let word = emit.load(self.arena, index);
                self.unpack(emit, word, self.grid.code.params[*param].dtype)
            }
            Inst::Scalar(scalar) => self.scalars[*scalar],
            Inst::Get(local) => emit.get(self.local(*local)),
            Inst::Index(affine) => self.affine(emit, affine),
            Inst::Core(core, args) => {
                let dtype = self.grid.code.values[args[0].index()];
                let args: Vec<Value> = args.iter().map(|arg| self.value(*arg)).collect();
                instruction(emit, *core, dtype, &args)
            }
        }
    }
}
