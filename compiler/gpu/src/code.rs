//! A thin hand on CubeCL's IR: values, constants, memory and loops of a kernel under construction.
use cubecl::ir::dialect::branch::{IfOp, RangeLoopOp};
use cubecl::ir::dialect::general::{CastOp, ReadBuiltinOp, ReadScalarOp, ReinterpretCastOp};
use cubecl::ir::dialect::memory::{IndexOp, LoadOp, StoreOp};
use cubecl::ir::dialect::synchronization::{SyncOp, SyncScope};
use cubecl::ir::pliron::builtin::op_interfaces::OneResultInterface;
use cubecl::ir::pliron::{context::Context, op::Op, r#type::TypeHandle, value::Value};
use cubecl::ir::types::ArrayType;
use cubecl::ir::types::scalar::IndexType;
use cubecl::ir::{
    Builtin, ConstantValue, ElemType, ExpandValue, FloatKind, IntKind, OpInserter, Scope, UIntKind,
};
use stmc_ir::types::DType;

/// What the arena holds, whatever the type of the buffer that lies there.
pub(crate) const WORD: ElemType = ElemType::UInt(UIntKind::U32);

/// The type of a value.
pub(crate) fn element(dtype: DType) -> ElemType {
    match dtype {
        DType::F32 => ElemType::Float(FloatKind::F32),
        DType::I32 => ElemType::Int(IntKind::I32),
        DType::Bool => ElemType::Bool,
    }
}

/// Appends to a block of the kernel.
pub(crate) struct Emit<'a>(pub(crate) &'a Scope);

impl Emit<'_> {
    /// An operation with a result.
    pub(crate) fn value<O: Op + OneResultInterface>(&self, make: impl FnOnce(&mut Context) -> O) -> Value {
        let op = make(self.0.ctx_mut());
        self.0.register_with_result(&op)
    }

    /// An operation without a result.
    fn effect<O: Op>(&self, make: impl FnOnce(&mut Context) -> O) {
        let op = make(self.0.ctx_mut());
        self.0.register(&op);
    }

    fn type_of(&self, element: ElemType) -> TypeHandle {
        element.to_type(self.0.ctx())
    }

    pub(crate) fn word(&self, bits: u32) -> Value {
        ExpandValue::constant(ConstantValue::UInt(bits.into()), WORD).value(self.0)
    }

    pub(crate) fn int(&self, value: i32) -> Value {
        ExpandValue::constant(ConstantValue::Int(value.into()), element(DType::I32)).value(self.0)
    }

    /// Exactly this number. Zeros, infinities and NaN go by their bits, out of sight of CubeCL's folding,
    /// which takes `0 * x` for 0 and cannot write what is not finite.
    pub(crate) fn float(&self, value: f32) -> Value {
        if value == 0.0 || !value.is_finite() {
            return self.bits_as(self.word(value.to_bits()), DType::F32);
        }
        ExpandValue::constant(ConstantValue::Float(value.into()), element(DType::F32)).value(self.0)
    }

    pub(crate) fn truth(&self, value: bool) -> Value {
        self.0.const_bool(value)
    }

    /// The same bits as another type of 32 bits.
    pub(crate) fn bits_as(&self, value: Value, dtype: DType) -> Value {
        self.bits(value, element(dtype))
    }

    /// The bits of an f32 or i32.
    pub(crate) fn to_word(&self, value: Value) -> Value {
        self.bits(value, WORD)
    }

    fn bits(&self, value: Value, to: ElemType) -> Value {
        let to = self.type_of(to);
        self.value(|ctx| ReinterpretCastOp::new(ctx, to, value))
    }

    pub(crate) fn cast(&self, value: Value, dtype: DType) -> Value {
        let to = self.type_of(element(dtype));
        self.value(|ctx| CastOp::new(ctx, to, value))
    }

    /// A number of the invocation, a word.
    pub(crate) fn builtin(&self, builtin: Builtin) -> Value {
        let index = IndexType::get(self.0.ctx()).into();
        let number = self.value(|ctx| ReadBuiltinOp::new(ctx, index, builtin));
        let word = self.type_of(WORD);
        self.value(|ctx| CastOp::new(ctx, word, number))
    }

    /// The launch's scalar of this type with this number among those of the type.
    pub(crate) fn scalar(&self, element: ElemType, number: usize) -> Value {
        let ty = self.type_of(element);
        self.value(|ctx| ReadScalarOp::new(ctx, ty, number))
    }

    /// Element `index` (an i32) of a buffer.
    pub(crate) fn load(&self, buffer: Value, index: Value) -> Value {
        let place = self.place(buffer, index);
        self.get(place)
    }

    pub(crate) fn store(&self, buffer: Value, index: Value, value: Value) {
        let place = self.place(buffer, index);
        self.set(place, value);
    }

    fn place(&self, buffer: Value, index: Value) -> Value {
        let to = IndexType::get(self.0.ctx()).into();
        let index = self.value(|ctx| CastOp::new(ctx, to, index));
        self.value(|ctx| IndexOp::maybe_checked(ctx, buffer, index, false))
    }

    /// A mutable scalar.
    pub(crate) fn local(&self, dtype: DType) -> Value {
        self.0.create_local_mut(self.type_of(element(dtype)), None)
    }

    /// Words that a cube has in common.
    pub(crate) fn shared(&self, len: usize) -> Value {
        let words = ArrayType::get(self.0.ctx(), self.type_of(WORD), len);
        self.0.create_shared(words, None)
    }

    /// The cube waits here until all of it has come and what it shares is written.
    pub(crate) fn barrier(&self) {
        self.effect(|ctx| SyncOp::new(ctx, SyncScope::Cube));
    }

    pub(crate) fn get(&self, place: Value) -> Value {
        self.value(|ctx| LoadOp::new(ctx, place))
    }

    pub(crate) fn set(&self, place: Value, value: Value) {
        self.effect(|ctx| StoreOp::new(ctx, place, value));
    }

    /// `body` for each i32 of a range.
    pub(crate) fn repeat(
        &self,
        (start, end, step): (Value, Value, Value),
        body: impl FnOnce(&Emit<'_>, Value),
    ) {
        let op = RangeLoopOp::new(self.0.ctx_mut(), start, end, step);
        let inside = self.0.child(OpInserter::new_at_block_end(op.loop_body(self.0.ctx())));
        body(&Emit(&inside), op.iter_var(self.0.ctx()));
        inside.terminate_yield();
        self.0.register(&op);
    }

    /// `body` if the condition holds.
    pub(crate) fn when(&self, condition: Value, body: impl FnOnce(&Emit<'_>)) {
        let op = IfOp::new(self.0.ctx_mut(), condition);
        let then = self.0.child(OpInserter::new_at_block_end(op.then_block(self.0.ctx())));
        body(&Emit(&then));
        then.terminate_yield();
        let otherwise = self.0.child(OpInserter::new_at_block_end(op.else_block(self.0.ctx())));
        otherwise.terminate_yield();
        self.0.register(&op);
    }
}
