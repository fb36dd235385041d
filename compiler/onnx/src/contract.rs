//! Contractions and reductions.
use crate::writer::{Value, Writer, int, text, united};
use stmc_ir::ops::{Reduce, Reduction};
use stmc_ir::{AxisId, DType};

impl Writer {
    /// `Einsum`: a letter for each axis.
    pub fn contract(&mut self, over: &[AxisId], x: &Value, y: &Value) -> Value {
        let all = united(&[x, y]);
        let letter = |axis: AxisId| {
            let n = all.iter().position(|d| d.axis == axis).expect("the axis is one of the operands'");
            // More than 52 axes no tensor has in any runtime.
            char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[n])
        };
        let letters = |axes: &mut dyn Iterator<Item = AxisId>| axes.map(letter).collect::<String>();
        // What only one of them has comes last, in the order of the operands: a product of matrices.
        let shared = x.dims.iter().filter(|d| y.has(d.axis));
        let outer = x.dims.iter().filter(|d| !y.has(d.axis)).chain(y.dims.iter().filter(|d| !x.has(d.axis)));
        let dims: Vec<_> = shared.chain(outer).copied().filter(|d| !over.contains(&d.axis)).collect();
        let equation = format!(
            "{},{}->{}",
            letters(&mut x.dims.iter().map(|d| d.axis)),
            letters(&mut y.dims.iter().map(|d| d.axis)),
            letters(&mut dims.iter().map(|d| d.axis))
        );
        let name = self.node("Einsum", &[&x.name, &y.name], vec![text("equation", &equation)]);
        Value { name, dtype: DType::F32, dims }
    }

    pub fn reduce(&mut self, op: &Reduce, x: &Value) -> Value {
        let operator = match op.kind {
            Reduction::Sum => "ReduceSum",
            Reduction::Max | Reduction::FirstMax => "ReduceMax",
            Reduction::Min => "ReduceMin",
        };
        let places: Vec<i64> = op.axes.iter().map(|a| x.place(*a) as i64).collect();
        let places = self.list(&places);
        let name = self.node(operator, &[&x.name, &places], vec![int("keepdims", 0)]);
        x.named(name, x.without(&op.axes))
    }
}
