//! Indices: where loads and stores go.

use super::loops::{Gen, Val};
use super::types_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use stmc_ir::DType;
use stmc_ir::kernel::{Affine, Inst, ValId};

/// Bytes of an element.
const SIZE: i64 = 4;

/// An index, sorted by how its parts go with the lanes.
struct Parts {
    /// The same in all lanes: 64-bit values with their factors, the innermost last.
    same: Vec<(Value, i64)>,
    /// Elements from lane to lane.
    per_lane: i64,
    /// Values that differ from lane to lane in their own ways.
    free: Vec<(Vec<Value>, i64)>,
    constant: i64,
}

impl Gen<'_> {
    pub(super) fn load(&mut self, param: usize, index: &Affine) -> Val {
        let dtype = self.kernel.params[param].dtype;
        let parts = self.parts(index);
        if self.lanes.is_none() || (parts.per_lane == 0 && parts.free.is_empty()) {
            let (address, offset) = self.address(param, &parts);
            return Val::Same(self.load_one(dtype, address, offset));
        }
        let vectors = self.lanes.as_ref().map_or(0, |lanes| lanes.vectors);
        if parts.per_lane == 1 && parts.free.is_empty() {
            let (address, offset) = self.address(param, &parts);
            let load = |vector: usize| self.load_vector(dtype, address, offset + 16 * vector as i32);
            return Val::Lanes((0..vectors).map(load).collect());
        }
        let gather = |vector: usize| self.gather(param, dtype, &parts, vector);
        Val::Lanes((0..vectors).map(gather).collect())
    }

    pub(super) fn store(&mut self, param: usize, index: &Affine, value: ValId) {
        let dtype = self.kernel.params[param].dtype;
        let (parts, val) = (self.parts(index), self.val(value));
        if self.lanes.is_none() {
            let Val::Same(value) = val else { unreachable!("only loops over lanes have lanes") };
            let (address, offset) = self.address(param, &parts);
            return self.store_one(dtype, value, address, offset);
        }
        let vectors = self.spread(&val, dtype);
        if parts.per_lane == 1 && parts.free.is_empty() {
            let (address, offset) = self.address(param, &parts);
            for (i, vector) in vectors.into_iter().enumerate() {
                let bits = self.recast(dtype, vector);
                self.b.ins().store(MemFlagsData::new().with_notrap(), bits, address, offset + 16 * i as i32);
            }
            return;
        }
        for (i, vector) in vectors.into_iter().enumerate() {
            let bits = self.recast(dtype, vector);
            for lane in 0..4u8 {
                let (address, offset) = self.lane_address(param, &parts, i, lane);
                let value = self.b.ins().extractlane(bits, lane);
                self.b.ins().store(MemFlagsData::trusted(), value, address, offset);
            }
        }
    }

    /// An index as an i32 value.
    pub(super) fn index_value(&mut self, index: &Affine) -> Val {
        let parts = self.parts(index);
        let mut same = self.b.ins().iconst(types::I64, parts.constant);
        for &(value, factor) in &parts.same {
            let product = self.times(value, factor);
            same = self.b.ins().iadd(same, product);
        }
        let same = self.b.ins().ireduce(types::I32, same);
        let Some(lanes) = self.lanes.clone().filter(|_| parts.per_lane != 0 || !parts.free.is_empty()) else {
            return Val::Same(same);
        };
        // `same` has the first lane's part along the loop's variable already.
        let same = self.b.ins().splat(types::I32X4, same);
        let vector = |i: usize| {
            let offsets =
                self.lane_constant(|lane| (parts.per_lane * (4 * i as i64 + i64::from(lane))) as i32);
            let start = self.b.ins().iadd(same, offsets);
            parts.free.iter().fold(start, |sum, (values, factor)| {
                let factor = self.b.ins().iconst(types::I32, i64::from(*factor as i32));
                let factor = self.b.ins().splat(types::I32X4, factor);
                let product = self.b.ins().imul(values[i], factor);
                self.b.ins().iadd(sum, product)
            })
        };
        Val::Lanes((0..lanes.vectors).map(vector).collect())
    }

    fn parts(&mut self, index: &Affine) -> Parts {
        let mut terms = Affine::constant(index.constant);
        self.resolve(index, 1, &mut terms);
        // The sum goes from the outermost loop to the innermost, so that its beginning can leave the inner ones.
        terms.terms.sort_by_key(|(value, _)| self.order[value.index()]);
        let mut parts = Parts { same: vec![], per_lane: 0, free: vec![], constant: terms.constant };
        for (id, factor) in terms.terms {
            if let Some(lanes) = &self.lanes
                && lanes.var == id
            {
                parts.same.push((lanes.base, factor));
                parts.per_lane += factor;
                continue;
            }
            match self.val(id) {
                Val::Lanes(values) => parts.free.push((values, factor)),
                Val::Same(value) => {
                    let wide = self.wide[id.index()];
                    let wide = wide.unwrap_or_else(|| self.b.ins().sextend(types::I64, value));
                    parts.same.push((wide, factor));
                }
            }
        }
        parts
    }

    /// Adds `factor * index` to `sum`, with values that are indices themselves written out.
    fn resolve(&self, index: &Affine, factor: i64, sum: &mut Affine) {
        for &(id, by) in &index.terms {
            if let Some(Inst::Index(inner)) = self.insts[id.index()] {
                sum.constant += factor * by * inner.constant;
                self.resolve(inner, factor * by, sum);
            } else {
                *sum = sum.plus(&Affine::term(id, factor * by));
            }
        }
    }

    /// Where the first lane is: an address and a constant offset.
    fn address(&mut self, param: usize, parts: &Parts) -> (Value, i32) {
        let mut address = self.params[param];
        for &(value, factor) in &parts.same {
            let bytes = self.times(value, factor * SIZE);
            address = self.b.ins().iadd(address, bytes);
        }
        self.offset(address, parts.constant * SIZE)
    }

    fn lane_address(&mut self, param: usize, parts: &Parts, vector: usize, lane: u8) -> (Value, i32) {
        let (mut address, offset) = self.address(param, parts);
        for (values, factor) in &parts.free {
            let value = self.b.ins().extractlane(values[vector], lane);
            let value = self.b.ins().sextend(types::I64, value);
            let bytes = self.times(value, factor * SIZE);
            address = self.b.ins().iadd(address, bytes);
        }
        let lanes = 4 * vector as i64 + i64::from(lane);
        self.offset(address, i64::from(offset) + parts.per_lane * lanes * SIZE)
    }

    /// An offset that is too large for an instruction goes into the address.
    fn offset(&mut self, address: Value, bytes: i64) -> (Value, i32) {
        // Lanes and vectors add a little more.
        match i32::try_from(bytes) {
            Ok(offset) if offset.unsigned_abs() < 1 << 30 => (address, offset),
            _ => (self.b.ins().iadd_imm_s(address, bytes), 0),
        }
    }

    fn times(&mut self, value: Value, factor: i64) -> Value {
        match factor {
            1 => value,
            _ if factor > 0 && factor & (factor - 1) == 0 => {
                self.b.ins().ishl_imm_u(value, i64::from(factor.trailing_zeros()))
            }
            _ => self.b.ins().imul_imm_s(value, factor),
        }
    }

    fn gather(&mut self, param: usize, dtype: DType, parts: &Parts, vector: usize) -> Value {
        let (one, four) = memory_types(dtype);
        let mut gathered = None;
        for lane in 0..4u8 {
            let (address, offset) = self.lane_address(param, parts, vector, lane);
            let value = self.b.ins().load(one, MemFlagsData::trusted(), address, offset);
            gathered = Some(match gathered {
                None => self.b.ins().scalar_to_vector(four, value),
                Some(vector) => self.b.ins().insertlane(vector, value, lane),
            });
        }
        self.recast(dtype, gathered.expect("there are four lanes"))
    }

    fn load_one(&mut self, dtype: DType, address: Value, offset: i32) -> Value {
        let (ty, _) = memory_types(dtype);
        let value = self.b.ins().load(ty, MemFlagsData::trusted(), address, offset);
        match dtype {
            DType::Bool => self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0),
            DType::F32 | DType::I32 => value,
        }
    }

    fn load_vector(&mut self, dtype: DType, address: Value, offset: i32) -> Value {
        let (_, ty) = memory_types(dtype);
        let value = self.b.ins().load(ty, MemFlagsData::new().with_notrap(), address, offset);
        self.recast(dtype, value)
    }

    fn store_one(&mut self, dtype: DType, value: Value, address: Value, offset: i32) {
        let value = match dtype {
            DType::Bool => self.b.ins().uextend(types::I32, value),
            DType::F32 | DType::I32 => value,
        };
        self.b.ins().store(MemFlagsData::trusted(), value, address, offset);
    }

    /// A vector from memory as it is among values, or the other way round: truths are 0 and 1 there, and 0 and -1 here.
    fn recast(&mut self, dtype: DType, value: Value) -> Value {
        match dtype {
            DType::Bool => self.b.ins().ineg(value),
            DType::F32 | DType::I32 => value,
        }
    }
}

/// The type of an element in memory, and of four.
fn memory_types(dtype: DType) -> (cranelift_codegen::ir::Type, cranelift_codegen::ir::Type) {
    types_of(if dtype == DType::Bool { DType::I32 } else { dtype })
}
