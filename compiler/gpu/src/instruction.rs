//! Instructions in CubeCL's IR: one arm for each, and what it takes where CubeCL has no operation of that
//! meaning.
use crate::code::Emit;
use cubecl::ir::dialect::bitwise::{BitwiseXorOp, ShiftRightOp};
use cubecl::ir::dialect::cmp::{
    FEqualOp, FLessThanOp, FLessThanOrEqualOp, IEqualOp, SLessThanOp, SLessThanOrEqualOp,
};
use cubecl::ir::dialect::general::{BoolAndOp, BoolNotOp, BoolOrOp, SelectOp};
use cubecl::ir::dialect::math::{
    CosOp, ErfOp, ExpOp, FAbsOp, FAddOp, FDivOp, FMulOp, FNegOp, FSubOp, FloorOp, FmaOp, IAddOp, IMulOp,
    ISubOp, IsNanOp, LogOp, RoundOp, SAbsOp, SDivOp, SNegOp, SinOp, SqrtOp, UMulHiOp,
};
use cubecl::ir::pliron::builtin::op_interfaces::OneResultInterface;
use cubecl::ir::pliron::{context::Context, op::Op, value::Value};
use stmc_ir::kernel::Core;
use stmc_ir::types::DType;

/// A constant of these bits.
pub(crate) fn constant(emit: &Emit<'_>, dtype: DType, bits: u32) -> Value {
    match dtype {
        DType::F32 => emit.float(f32::from_bits(bits)),
        DType::I32 => emit.int(bits as i32),
        DType::Bool => emit.truth(bits != 0),
    }
}

/// What a sum is of nothing.
pub(crate) fn identity(emit: &Emit<'_>, core: Core, dtype: DType) -> Value {
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
pub(crate) fn instruction(emit: &Emit<'_>, core: Core, dtype: DType, args: &[Value]) -> Value {
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
        Core::Min => select(emit, less(emit, dtype, a, b), a, b),
        Core::Max => select(emit, less(emit, dtype, b, a), a, b),
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
        Core::Less => less(emit, dtype, a, b),
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
        Core::Bits => emit.bits_as(a, DType::I32),
        Core::FromBits => emit.bits_as(a, DType::F32),
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

pub(crate) fn select(emit: &Emit<'_>, condition: Value, yes: Value, no: Value) -> Value {
    emit.value(|ctx| SelectOp::new(ctx, condition, yes, no))
}

pub(crate) fn less(emit: &Emit<'_>, dtype: DType, a: Value, b: Value) -> Value {
    match dtype {
        DType::F32 => emit.value(|ctx| FLessThanOp::new(ctx, a, b)),
        DType::I32 | DType::Bool => emit.value(|ctx| SLessThanOp::new(ctx, a, b)),
    }
}

/// An unsigned operation with a constant.
pub(crate) fn word_op<O: Op + OneResultInterface>(
    emit: &Emit<'_>,
    make: fn(&mut Context, Value, Value) -> O,
    a: Value,
    b: u32,
) -> Value {
    let b = emit.word(b);
    two_values(emit, make, a, b)
}

/// An operation on the unsigned bits of two i32.
pub(crate) fn on_words<O: Op + OneResultInterface>(
    emit: &Emit<'_>,
    make: fn(&mut Context, Value, Value) -> O,
    a: Value,
    b: Value,
) -> Value {
    let (a, b) = (emit.to_word(a), emit.to_word(b));
    let word = two_values(emit, make, a, b);
    emit.bits_as(word, DType::I32)
}

/// The processor's formulas. Drivers take a difference of exponentials, which overflows to NaN far out and
/// has few digits near 0.
fn tanh(emit: &Emit<'_>, x: Value) -> Value {
    let add = |a, b| two_values(emit, FAddOp::new, a, b);
    let times = |a, b| two_values(emit, FMulOp::new, a, b);
    let (one, two, zero) = (emit.float(1.0), emit.float(2.0), emit.float(0.0));
    let size = emit.value(|ctx| FAbsOp::new(ctx, x));
    // tanh |x| = 1 - 2 / (exp 2|x| + 1): no overflow to NaN, but cancellation at zero.
    let doubled = add(size, size);
    let exp = emit.value(|ctx| ExpOp::new(ctx, doubled));
    let rest = two_values(emit, FDivOp::new, two, add(exp, one));
    let far = two_values(emit, FSubOp::new, one, rest);
    let minus = emit.value(|ctx| FNegOp::new(ctx, far));
    let far = select(emit, less(emit, DType::F32, x, zero), minus, far);
    // An odd polynomial where |x| < 0.625.
    let square = times(x, x);
    let factors = [-0.005_704_960_3, 0.020_639_06, -0.053_739_704, 0.133_314_42, -0.333_332_8];
    let inner = factors.into_iter().map(|f| emit.float(f)).reduce(|sum, f| add(times(sum, square), f));
    let near = add(times(times(square, x), inner.expect("five factors")), x);
    select(emit, less(emit, DType::F32, size, emit.float(0.625)), near, far)
}

/// Quotient and remainder, rounded down, for a positive divisor.
fn floor_div(emit: &Emit<'_>, a: Value, b: Value) -> (Value, Value) {
    let quotient = emit.value(|ctx| SDivOp::new(ctx, a, b));
    let product = emit.value(|ctx| IMulOp::new(ctx, quotient, b));
    let remainder = emit.value(|ctx| ISubOp::new(ctx, a, product));
    let negative = less(emit, DType::I32, remainder, emit.int(0));
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
    let too_small = less(emit, DType::F32, x, low);
    let is_nan = emit.value(|ctx| IsNanOp::new(ctx, x));
    let zero = emit.float(0.0);
    let out_of_range =
        [too_big, too_small, is_nan].into_iter().reduce(|a, b| emit.value(|ctx| BoolOrOp::new(ctx, a, b)));
    let safe = select(emit, out_of_range.expect("three conditions"), zero, x);
    let inside = emit.cast(safe, DType::I32);
    let capped = select(emit, too_big, emit.int(i32::MAX), inside);
    select(emit, too_small, emit.int(i32::MIN), capped)
}
