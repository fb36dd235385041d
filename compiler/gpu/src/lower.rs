//! Grids in CubeCL's IR: one match per statement and per instruction.
//!
//! The kernel binds the arena alone. Its i32 scalars are, in order: the number of iterations, the offset of
//! each param in the arena, the kernel's own i32 scalars; its f32 scalars are the kernel's own. A launch with
//! 0 iterations does nothing but compile.
use crate::code::{Emit, WORD, element};
use crate::folds::{self, Fold};
use crate::grid::{Grid, Team};
use cubecl::ir::Builtin;
use cubecl::ir::dialect::bitwise::{BitwiseXorOp, ShiftRightOp};
use cubecl::ir::dialect::cmp::{
    FEqualOp, FLessThanOp, FLessThanOrEqualOp, IEqualOp, INotEqualOp, SLessThanOp, SLessThanOrEqualOp,
    ULessThanOp,
};
use cubecl::ir::dialect::general::{BoolAndOp, BoolNotOp, BoolOrOp, SelectOp};
use cubecl::ir::dialect::math::{
    CosOp, ErfOp, ExpOp, FAbsOp, FAddOp, FDivOp, FMulOp, FNegOp, FSubOp, FloorOp, FmaOp, IAddOp, IMulOp,
    ISubOp, IsNanOp, LogOp, RoundOp, SAbsOp, SDivOp, SNegOp, SinOp, SqrtOp, TanhOp, UDivOp, UMulHiOp, URemOp,
};
use cubecl::ir::pliron::builtin::op_interfaces::OneResultInterface;
use cubecl::ir::pliron::{context::Context, op::Op, value::Value};
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

fn constant(emit: &Emit<'_>, dtype: DType, bits: u32) -> Value {
    match dtype {
        DType::F32 => emit.float(f32::from_bits(bits)),
        DType::I32 => emit.int(bits as i32),
        DType::Bool => emit.truth(bits != 0),
    }
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
            emit.when(less(emit, false, member.unit, distance), |emit| {
                let other = emit.value(|ctx| IAddOp::new(ctx, member.unit, distance));
                let parts =
                    [member.unit, other].map(|unit| emit.bits_as(emit.load(member.shared, unit), dtype));
                let joined = core_inst(emit, core, dtype, &parts);
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
                core_inst(emit, *core, dtype, &args)
            }
        }
    }
}

/// What a sum is of nothing.
fn identity(emit: &Emit<'_>, core: Core, dtype: DType) -> Value {
    match (core, dtype) {
        (Core::Add, DType::F32) => emit.float(0.0),
        (Core::Mul, DType::F32) => emit.float(1.0),
        (Core::Min, DType::F32) => emit.float(f32::INFINITY),
        (Core::Max, DType::F32) => emit.float(f32::NEG_INFINITY),
        (Core::Add, DType::I32) => emit.int(0),
        (Core::Mul, DType::I32) => emit.int(1),
        (Core::Min, DType::I32) => emit.int(i32::MAX),
        (Core::Max, DType::I32) => emit.int(i32::MIN),
        _ => panic!("a fold does not join {} by {}", dtype.name(), core.name()),
    }
}

/// One instruction; `dtype` is the type of the first operand.
fn core_inst(emit: &Emit<'_>, core: Core, dtype: DType, args: &[Value]) -> Value {
    let float = dtype == DType::F32;
    let a = args[0];
    let b = args.get(1).copied().unwrap_or(a);
    let c = args.get(2).copied().unwrap_or(a);
    macro_rules! one {
        ($op:ident) => {
            emit.value(|ctx| $op::new(ctx, a))
        };
    }
    macro_rules! two {
        ($op:ident) => {
            emit.value(|ctx| $op::new(ctx, a, b))
        };
        ($float:ident, $int:ident) => {
            if float { two!($float) } else { two!($int) }
        };
    }
    match core {
        Core::Add => two!(FAddOp, IAddOp),
        // CubeCL folds x - x to 0, which NaN and infinities refute.
        Core::Sub if float && a == b => {
            two_values(emit, FAddOp::new, a, emit.value(|ctx| FNegOp::new(ctx, a)))
        }
        Core::Sub => two!(FSubOp, ISubOp),
        Core::Mul => two!(FMulOp, IMulOp),
        Core::Min => select(emit, less(emit, float, a, b), a, b),
        Core::Max => select(emit, less(emit, float, b, a), a, b),
        Core::Neg if float => one!(FNegOp),
        Core::Neg => one!(SNegOp),
        Core::Abs if float => one!(FAbsOp),
        Core::Abs => one!(SAbsOp),
        Core::Div => two!(FDivOp),
        Core::Fma => emit.value(|ctx| FmaOp::new(ctx, a, b, c)),
        Core::Sqrt => one!(SqrtOp),
        Core::Floor => one!(FloorOp),
        Core::Round => one!(RoundOp),
        Core::Exp => one!(ExpOp),
        Core::Log => one!(LogOp),
        Core::Sin => one!(SinOp),
        Core::Cos => one!(CosOp),
        Core::Tanh => tanh(emit, a),
        Core::Erf => one!(ErfOp),
        Core::FloorDiv => floor_div(emit, a, b).0,
        Core::FloorMod => floor_div(emit, a, b).1,
        Core::MulHigh => on_words(emit, UMulHiOp::new, a, b),
        Core::Xor => two!(BitwiseXorOp),
        Core::ShiftRight => on_words(emit, ShiftRightOp::new, a, b),
        Core::Less => less(emit, float, a, b),
        Core::LessEqual => two!(FLessThanOrEqualOp, SLessThanOrEqualOp),
        Core::Equal => two!(FEqualOp, IEqualOp),
        Core::And => two!(BoolAndOp),
        Core::Or => two!(BoolOrOp),
        Core::Not => one!(BoolNotOp),
        Core::Select => select(emit, a, b, c),
        Core::ToF32 if dtype == DType::Bool => select(emit, a, emit.float(1.0), emit.float(0.0)),
        Core::ToF32 => emit.cast(a, DType::F32),
        Core::ToI32 if dtype == DType::Bool => select(emit, a, emit.int(1), emit.int(0)),
        Core::ToI32 => saturate(emit, a),
    }
}

fn two_values<O: Op + OneResultInterface>(
    emit: &Emit<'_>,
    make: fn(&mut Context, Value, Value) -> O,
    a: Value,
    b: Value,
) -> Value {
    emit.value(|ctx| make(ctx, a, b))
}

fn select(emit: &Emit<'_>, condition: Value, yes: Value, no: Value) -> Value {
    emit.value(|ctx| SelectOp::new(ctx, condition, yes, no))
}

fn less(emit: &Emit<'_>, float: bool, a: Value, b: Value) -> Value {
    if float {
        emit.value(|ctx| FLessThanOp::new(ctx, a, b))
    } else {
        emit.value(|ctx| SLessThanOp::new(ctx, a, b))
    }
}

/// An unsigned operation with a constant.
fn word_op<O: Op + OneResultInterface>(
    emit: &Emit<'_>,
    make: fn(&mut Context, Value, Value) -> O,
    a: Value,
    b: u32,
) -> Value {
    let b = emit.word(b);
    two_values(emit, make, a, b)
}

/// An operation on the unsigned bits of two i32.
fn on_words<O: Op + OneResultInterface>(
    emit: &Emit<'_>,
    make: fn(&mut Context, Value, Value) -> O,
    a: Value,
    b: Value,
) -> Value {
    let (a, b) = (emit.to_word(a), emit.to_word(b));
    let word = two_values(emit, make, a, b);
    emit.bits_as(word, DType::I32)
}

/// Drivers compute tanh from exponentials that overflow to NaN far out, where it is 1 to the last bit.
fn tanh(emit: &Emit<'_>, x: Value) -> Value {
    let (high, low) = (emit.float(15.0), emit.float(-15.0));
    let inside = emit.value(|ctx| TanhOp::new(ctx, x));
    let from_above = select(emit, less(emit, true, high, x), emit.float(1.0), inside);
    select(emit, less(emit, true, x, low), emit.float(-1.0), from_above)
}

/// Quotient and remainder, rounded down, for a positive divisor.
fn floor_div(emit: &Emit<'_>, a: Value, b: Value) -> (Value, Value) {
    let quotient = emit.value(|ctx| SDivOp::new(ctx, a, b));
    let product = emit.value(|ctx| IMulOp::new(ctx, quotient, b));
    let remainder = emit.value(|ctx| ISubOp::new(ctx, a, product));
    let negative = less(emit, false, remainder, emit.int(0));
    let one = emit.int(1);
    let below = emit.value(|ctx| ISubOp::new(ctx, quotient, one));
    let wrapped = emit.value(|ctx| IAddOp::new(ctx, remainder, b));
    (select(emit, negative, below, quotient), select(emit, negative, wrapped, remainder))
}

/// f32 to i32 towards zero; the languages below leave open what lies out of range.
fn saturate(emit: &Emit<'_>, x: Value) -> Value {
    // 2^31; its predecessor among the f32 fits into an i32.
    let limit = 2_147_483_648.0;
    let (high, low) = (emit.float(limit), emit.float(-limit));
    let too_big = emit.value(|ctx| FLessThanOrEqualOp::new(ctx, high, x));
    let too_small = less(emit, true, x, low);
    let is_nan = emit.value(|ctx| IsNanOp::new(ctx, x));
    let zero = emit.float(0.0);
    let out_of_range =
        [too_big, too_small, is_nan].into_iter().reduce(|a, b| emit.value(|ctx| BoolOrOp::new(ctx, a, b)));
    let safe = select(emit, out_of_range.expect("three conditions"), zero, x);
    let inside = emit.cast(safe, DType::I32);
    let capped = select(emit, too_big, emit.int(i32::MAX), inside);
    select(emit, too_small, emit.int(i32::MIN), capped)
}
