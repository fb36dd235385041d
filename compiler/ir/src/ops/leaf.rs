//! Ops without operands: inputs, constants, indices, run-time scalars.
use super::{Misfit, Op, OpRule, Site};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value, from_bits};
use crate::kernel::ValId;
use crate::lower::{At, Emit};
use crate::program::ScalarArg;
use crate::types::{Axes, DType, Dim, Type};

impl OpRule for Op {
    fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Fill { .. } => "fill",
            Op::Constant { .. } => "constant",
            Op::Index { .. } => "index",
            Op::Host(_) => "host",
            _ => unreachable!("every other op has a rule of its own"),
        }
    }

    fn settings(&self, _: &Axes) -> String {
        match self {
            Op::Input { index, .. } => index.to_string(),
            Op::Fill { bits, .. } => format!("{:?}", f64::from_bits(*bits)),
            Op::Constant { data, .. } => format!("({} elements)", data.len()),
            Op::Host(scalar) => scalar.0.to_string(),
            _ => String::new(),
        }
    }

    fn infer(&self, _: &[&Type], _: &Axes) -> Result<Type, Misfit> {
        match self {
            Op::Input { ty, .. } | Op::Fill { ty, .. } | Op::Constant { ty, .. } => Ok(ty.clone()),
            Op::Index { axis, extent } => {
                Ok(Type::new(DType::I32, vec![Dim { axis: *axis, extent: *extent }]).expect("one axis"))
            }
            _ => Ok(Type::scalar(DType::F32)),
        }
    }

    fn vjp(&self, _: &Builder, _: &Site<'_>, _: NodeId) -> Vec<Option<NodeId>> {
        vec![]
    }

    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        match self {
            Op::Fill { bits, ty } => e.constant(ty.dtype, to_bits(f64::from_bits(*bits), ty.dtype)),
            Op::Constant { data, ty } => e.table(data, ty.dtype, &at.position(ty.dims())),
            Op::Index { axis, .. } => e.value(at.along(*axis)),
            Op::Host(scalar) => e.scalar(ScalarArg::Host(scalar.index())),
            _ => unreachable!("inputs are stored"),
        }
    }

    fn eval(&self, _: &[&Value], ty: &Type, context: &Context) -> Value {
        let n = ty.len();
        let data = match self {
            Op::Fill { bits, .. } => vec![f64::from_bits(*bits); n],
            Op::Constant { data, .. } => data.iter().map(|bits| from_bits(*bits, ty.dtype)).collect(),
            Op::Index { .. } => (0..n).map(|i| i as f64).collect(),
            Op::Host(scalar) => vec![context.host[scalar.index()]],
            _ => unreachable!("inputs are given"),
        };
        Value { ty: ty.clone(), data }
    }
}

/// A number as the bits of an element.
pub fn to_bits(x: f64, dtype: DType) -> u32 {
    match dtype {
        DType::F32 => (x as f32).to_bits(),
        DType::I32 => x as i32 as u32,
        DType::Bool => u32::from(x != 0.0),
    }
}
