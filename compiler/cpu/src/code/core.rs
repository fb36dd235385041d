//! The scalar instructions, on single values and on vectors.

use super::lanes::WIDTH;
use super::loops::{Gen, Val};
use super::types_of;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, ConstantData, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, Value, types,
};
use stmc_ir::DType;
use stmc_ir::kernel::{Core, Inst, ValId};
use stmc_kernels::math::Function;

/// Bytes of the memory through which the functions of vectors are called: sixteen elements.
const SLOT: u32 = 64;

impl Gen<'_> {
    /// `out` is the result's type.
    pub(super) fn core(&mut self, core: Core, args: &[ValId], out: DType) -> Val {
        let vals: Vec<Val> = args.iter().map(|&arg| self.val(arg)).collect();
        let dtype = self.dtype(args[args.len() - 1]);
        let same: Option<Vec<Value>> = vals
            .iter()
            .map(|val| match val {
                Val::Same(value) => Some(*value),
                Val::Lanes(_) => None,
            })
            .collect();
        if let Some(same) = same {
            return Val::Same(match function(core) {
                Some(function) => self.call(function, &same)[0],
                None => self.one(core, &same, dtype),
            });
        }
        if let (Core::ShiftRight, [_, Val::Same(count)]) = (core, &vals[..]) {
            let (count, vectors) = (*count, self.spread(&vals[0], DType::I32));
            return Val::Lanes(vectors.into_iter().map(|x| self.b.ins().ushr(x, count)).collect());
        }
        let spread: Vec<Vec<Value>> =
            vals.iter().zip(args).map(|(val, &arg)| self.spread(val, self.dtype(arg))).collect();
        if let Some(function) = function(core) {
            return Val::Lanes(self.call(function, &spread[0]));
        }
        let divisor = args.get(1).and_then(|&arg| self.constant_of(arg));
        let vector = |i: usize| {
            let operands: Vec<Value> = spread.iter().map(|vectors| vectors[i]).collect();
            self.four(core, &operands, dtype, out, divisor)
        };
        Val::Lanes((0..spread[0].len()).map(vector).collect())
    }

    /// An instruction on single values; `dtype` is the type of the last operand.
    fn one(&mut self, core: Core, x: &[Value], dtype: DType) -> Value {
        match core {
            Core::FloorDiv => {
                let quotient = self.b.ins().sdiv(x[0], x[1]);
                let below = self.rest_is_negative(x[0], x[1]);
                self.b.ins().isub(quotient, below)
            }
            Core::FloorMod => {
                let rest = self.b.ins().srem(x[0], x[1]);
                let moved = self.b.ins().iadd(rest, x[1]);
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, rest, 0);
                self.b.ins().select(negative, moved, rest)
            }
            Core::MulHigh => {
                let wide = [x[0], x[1]].map(|x| self.b.ins().uextend(types::I64, x));
                let product = self.b.ins().imul(wide[0], wide[1]);
                let high = self.b.ins().ushr_imm_u(product, 32);
                self.b.ins().ireduce(types::I32, high)
            }
            Core::ShiftRight => self.b.ins().ushr(x[0], x[1]),
            Core::Not => self.b.ins().bxor_imm_u(x[0], 1),
            Core::ToF32 if dtype == DType::Bool => {
                let number = self.b.ins().uextend(types::I32, x[0]);
                self.b.ins().fcvt_from_sint(types::F32, number)
            }
            Core::ToI32 if dtype == DType::Bool => self.b.ins().uextend(types::I32, x[0]),
            Core::Bits => self.cast(types::I32, x[0]),
            Core::FromBits => self.cast(types::F32, x[0]),
            _ => self.any(core, x, dtype),
        }
    }

    /// One if the remainder of a division towards zero is negative, else zero.
    fn rest_is_negative(&mut self, x: Value, by: Value) -> Value {
        let rest = self.b.ins().srem(x, by);
        self.b.ins().ushr_imm_u(rest, 31)
    }

    /// An instruction on vectors; `dtype` is the type of the last operand, `divisor` the second one if it is known.
    fn four(&mut self, core: Core, x: &[Value], dtype: DType, out: DType, divisor: Option<i32>) -> Value {
        match (core, divisor) {
            (Core::FloorDiv, Some(by)) if by > 0 && by & (by - 1) == 0 => {
                self.b.ins().sshr_imm_u(x[0], i64::from(by.trailing_zeros()))
            }
            (Core::FloorMod, Some(by)) if by > 0 && by & (by - 1) == 0 => {
                let mask = self.lane_constant(|_| by - 1);
                self.b.ins().band(x[0], mask)
            }
            (Core::FloorDiv | Core::FloorMod | Core::ShiftRight, _) => self.lane_by_lane(core, x, dtype, out),
            (Core::MulHigh, _) => self.high_products(x[0], x[1]),
            (Core::Not, _) => self.b.ins().bnot(x[0]),
            (Core::ToF32, _) if dtype == DType::Bool => {
                let one = self.lane_constant(|_| 1.0f32.to_bits() as i32);
                let bits = self.b.ins().band(x[0], one);
                self.cast(types::F32X4, bits)
            }
            (Core::ToI32, _) if dtype == DType::Bool => self.b.ins().ineg(x[0]),
            (Core::Bits, _) => self.cast(types::I32X4, x[0]),
            (Core::FromBits, _) => self.cast(types::F32X4, x[0]),
            _ => self.any(core, x, dtype),
        }
    }

    /// What is the same instruction on a value and on a vector.
    fn any(&mut self, core: Core, x: &[Value], dtype: DType) -> Value {
        let float = dtype == DType::F32;
        let (one, four) = types_of(if core == Core::ToI32 { DType::I32 } else { DType::F32 });
        let ty = if self.b.func.dfg.value_type(x[0]).is_vector() { four } else { one };
        match core {
            Core::Add if float => self.b.ins().fadd(x[0], x[1]),
            Core::Add => self.b.ins().iadd(x[0], x[1]),
            Core::Sub if float => self.b.ins().fsub(x[0], x[1]),
            Core::Sub => self.b.ins().isub(x[0], x[1]),
            Core::Mul if float => self.b.ins().fmul(x[0], x[1]),
            Core::Mul => self.b.ins().imul(x[0], x[1]),
            Core::Min => self.least(x[0], x[1]),
            Core::Max => self.greatest(x[0], x[1]),
            Core::Neg if float => self.b.ins().fneg(x[0]),
            Core::Neg => self.b.ins().ineg(x[0]),
            Core::Abs if float => self.b.ins().fabs(x[0]),
            Core::Abs => self.b.ins().iabs(x[0]),
            Core::Div => self.b.ins().fdiv(x[0], x[1]),
            Core::Fma if self.target.fused => self.b.ins().fma(x[0], x[1], x[2]),
            Core::Fma => {
                let product = self.b.ins().fmul(x[0], x[1]);
                self.b.ins().fadd(product, x[2])
            }
            Core::Sqrt => self.b.ins().sqrt(x[0]),
            Core::Floor => self.b.ins().floor(x[0]),
            Core::Round => self.b.ins().nearest(x[0]),
            Core::Xor => self.b.ins().bxor(x[0], x[1]),
            Core::Less if float => self.b.ins().fcmp(FloatCC::LessThan, x[0], x[1]),
            Core::Less => self.b.ins().icmp(IntCC::SignedLessThan, x[0], x[1]),
            Core::LessEqual if float => self.b.ins().fcmp(FloatCC::LessThanOrEqual, x[0], x[1]),
            Core::LessEqual => self.b.ins().icmp(IntCC::SignedLessThanOrEqual, x[0], x[1]),
            Core::Equal if float => self.b.ins().fcmp(FloatCC::Equal, x[0], x[1]),
            Core::Equal => self.b.ins().icmp(IntCC::Equal, x[0], x[1]),
            Core::And => self.b.ins().band(x[0], x[1]),
            Core::Or => self.b.ins().bor(x[0], x[1]),
            Core::Select => self.choose(x[0], x[1], x[2]),
            Core::ToF32 => self.b.ins().fcvt_from_sint(ty, x[0]),
            Core::ToI32 => self.b.ins().fcvt_to_sint_sat(ty, x[0]),
            Core::Exp | Core::Log | Core::Sin | Core::Cos | Core::Tanh | Core::Erf => {
                unreachable!("functions are called")
            }
            Core::FloorDiv
            | Core::FloorMod
            | Core::MulHigh
            | Core::ShiftRight
            | Core::Not
            | Core::Bits
            | Core::FromBits => {
                unreachable!("values and vectors have instructions of their own")
            }
        }
    }

    fn lane_by_lane(&mut self, core: Core, x: &[Value], dtype: DType, out: DType) -> Value {
        let (_, ty) = types_of(out);
        let mut result = None;
        for lane in 0..WIDTH as u8 {
            let operands: Vec<Value> = x.iter().map(|&x| self.b.ins().extractlane(x, lane)).collect();
            let value = self.one(core, &operands, dtype);
            result = Some(match result {
                None => self.b.ins().scalar_to_vector(ty, value),
                Some(vector) => self.b.ins().insertlane(vector, value, lane),
            });
        }
        result.expect("there are four lanes")
    }

    /// The high halves of unsigned products: two by two as 64-bit products, then every second word.
    fn high_products(&mut self, x: Value, y: Value) -> Value {
        let (x_low, y_low) = (self.b.ins().uwiden_low(x), self.b.ins().uwiden_low(y));
        let low = self.b.ins().imul(x_low, y_low);
        let (x_high, y_high) = (self.b.ins().uwiden_high(x), self.b.ins().uwiden_high(y));
        let high = self.b.ins().imul(x_high, y_high);
        let (low, high) = (self.cast(types::I8X16, low), self.cast(types::I8X16, high));
        let words: Vec<u8> =
            [1u8, 3, 5, 7].iter().flat_map(|word| (0..4).map(move |byte| 4 * word + byte)).collect();
        let mask = self.b.func.dfg.immediates.push(ConstantData::from(words));
        let words = self.b.ins().shuffle(low, high, mask);
        self.cast(types::I32X4, words)
    }

    /// The value of an i32 constant.
    fn constant_of(&self, id: ValId) -> Option<i32> {
        match self.insts[id.index()] {
            Some(Inst::Const(DType::I32, bits)) => Some(*bits as i32),
            _ => None,
        }
    }

    /// Calls the precompiled function on a value or on vectors, through memory.
    fn call(&mut self, function: Function, x: &[Value]) -> Vec<Value> {
        let slot = match self.slot {
            Some(slot) => slot,
            None => self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, SLOT, 6)),
        };
        self.slot = Some(slot);
        let ty = self.b.func.dfg.value_type(x[0]);
        let address = self.b.ins().stack_addr(types::I64, slot, 0);
        let flags = MemFlagsData::trusted();
        for (i, &x) in x.iter().enumerate() {
            self.b.ins().store(flags, x, address, 16 * i as i32);
        }
        self.call_code(function, address, x.len() * ty.lane_count() as usize);
        (0..x.len()).map(|i| self.b.ins().load(ty, flags, address, 16 * i as i32)).collect()
    }

    /// Calls the precompiled function on `len` values in place.
    pub(super) fn call_code(&mut self, function: Function, address: Value, len: usize) {
        let mut signature = Signature::new(self.target.native.default_call_conv());
        signature.params.extend([types::I64; 3].map(AbiParam::new));
        let signature = self.b.import_signature(signature);
        let code = self.b.ins().iconst(types::I64, function.code(self.target.isa) as usize as i64);
        let len = self.b.ins().iconst(types::I64, len as i64);
        self.b.ins().call_indirect(signature, code, &[address, address, len]);
    }
}

/// The precompiled function of an instruction that is one.
pub(super) fn function(core: Core) -> Option<Function> {
    Some(match core {
        Core::Exp => Function::Exp,
        Core::Log => Function::Log,
        Core::Sin => Function::Sin,
        Core::Cos => Function::Cos,
        Core::Tanh => Function::Tanh,
        Core::Erf => Function::Erf,
        _ => return None,
    })
}

/// Whether an instruction is a call of a precompiled function.
pub(crate) fn is_function(inst: &Inst) -> bool {
    matches!(inst, Inst::Core(core, _) if function(*core).is_some())
}
