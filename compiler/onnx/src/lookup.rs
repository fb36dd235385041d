//! Gather and scatter.
use crate::proto::element;
use crate::writer::{Value, Writer, int};
use stmc_ir::ops::{Gather, Scatter};
use stmc_ir::{AxisId, Dim};

impl Writer {
    /// Axes that both operands have are aligned, which `GatherND` does with those that come first in both.
    pub fn gather(&mut self, op: &Gather, x: &Value, index: &Value) -> Value {
        let clamped = self.clamped(index, x.extent(op.axis));
        let rest = x.without(&[op.axis]);
        let shared: Vec<Dim> = rest.iter().copied().filter(|d| index.has(d.axis)).collect();
        let shared_axes: Vec<AxisId> = shared.iter().map(|d| d.axis).collect();
        if shared.is_empty() {
            let place = x.place(op.axis);
            let name = self.node("Gather", &[&x.name, &clamped.name], vec![int("axis", place as i64)]);
            let dims = [&x.dims[..place], &clamped.dims, &x.dims[place + 1..]].concat();
            return x.named(name, dims);
        }
        let outer: Vec<Dim> = rest.iter().copied().filter(|d| !index.has(d.axis)).collect();
        let looked: Vec<Dim> = clamped.without(&shared_axes);
        let axes = |dims: &[Dim]| dims.iter().map(|d| d.axis).collect::<Vec<_>>();
        let x = self.ordered(x, &[&shared_axes[..], &[op.axis], &axes(&outer)].concat());
        let index = self.ordered(&clamped, &[&shared_axes[..], &axes(&looked)].concat());
        let last = self.list(&[-1]);
        let place = self.call("Unsqueeze", &[&index.name, &last]);
        let place = self.cast_to(&place, element::INT64);
        let name = self.node("GatherND", &[&x.name, &place], vec![int("batch_dims", shared.len() as i64)]);
        x.named(name, [shared, looked, outer].concat())
    }

    fn clamped(&mut self, index: &Value, extent: usize) -> Value {
        let (zero, last) = (self.integer(0), self.integer(extent as i32 - 1));
        let name = self.call("Max", &[&index.name, &zero]);
        let name = self.call("Min", &[&name, &last]);
        index.named(name, index.dims.clone())
    }

    /// A contraction with 1 where the index is the place, and 0 elsewhere.
    pub fn scatter(&mut self, op: &Scatter, x: &Value, index: &Value) -> Value {
        let clamped = self.clamped(index, op.extent);
        let places = self.places(op.axis, op.extent);
        let hit = self.scalar(stmc_ir::ops::Scalar::Equal, &[&clamped, &places], stmc_ir::DType::Bool);
        let chosen = self.cast(&hit, stmc_ir::DType::F32);
        let whole = self.cast(x, stmc_ir::DType::F32);
        let sum = self.contract(&op.over, &whole, &chosen);
        if x.dtype == stmc_ir::DType::F32 { sum } else { self.cast(&sum, x.dtype) }
    }

    /// `0, 1, …` along an axis.
    pub fn places(&mut self, axis: AxisId, extent: usize) -> Value {
        let data = (0..extent as i32).flat_map(i32::to_le_bytes).collect();
        let name = self.constant(element::INT32, &[extent], data);
        Value { name, dtype: stmc_ir::DType::I32, dims: vec![Dim { axis, extent }] }
    }
}
