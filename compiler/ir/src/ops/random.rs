//! Random numbers: a pure function of (seed, update, site, scan steps, element), so that recomputation, another layout or another
//! number of threads give the same bits.
use super::{Misfit, OpRule, Site};
use crate::graph::{Builder, NodeId};
use crate::interpret::{Context, Value};
use crate::kernel::{Core, ValId};
use crate::lower::{At, Emit};
use crate::philox::{self, philox};
use crate::program::ScalarArg;
use crate::types::{Axes, DType, Type};

/// Uniform f32 in [0, 1), 24 bits. Operands: i32 scalars that tell applications in a loop apart (at most one: fold several into it).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Random {
    /// Hash of the instance path and the number of the application.
    pub site: u32,
    /// f32; element numbers are row-major over its sorted axes.
    pub ty: Type,
}

impl OpRule for Random {
    fn name(&self) -> &'static str {
        "random"
    }
    fn settings(&self, _: &Axes) -> String {
        format!("site {:08x}", self.site)
    }
    fn infer(&self, args: &[&Type], _: &Axes) -> Result<Type, Misfit> {
        match args.iter().position(|t| **t != Type::scalar(DType::I32)) {
            Some(i) => Err(Misfit::new(i, "is not an i32 scalar")),
            None if args.len() > 1 => Err(Misfit::new(1, "there is one step number at most")),
            None => Ok(self.ty.clone()),
        }
    }
    fn vjp(&self, _: &Builder, site: &Site<'_>, _: NodeId) -> Vec<Option<NodeId>> {
        vec![None; site.args.len()]
    }
    fn lower(&self, e: &mut dyn Emit, at: &At) -> ValId {
        let element = e.value(&at.position(self.ty.dims()));
        let update = e.scalar(ScalarArg::Update);
        let step = if e.args() > 0 { e.arg(0, &At::default()) } else { e.int(0) };
        let site = e.constant(DType::I32, self.site);
        let key = [e.scalar(ScalarArg::SeedLow), e.scalar(ScalarArg::SeedHigh)];
        let word = lower_philox(e, key, [element, update, step, site]);
        // 24 high bits, so that the number is exact in f32 and below 1.
        let eight = e.int(8);
        let bits = e.core(Core::ShiftRight, &[word, eight]);
        let float = e.core(Core::ToF32, &[bits]);
        let scale = e.number(philox::UNIT);
        e.core(Core::Mul, &[float, scale])
    }
    fn eval(&self, args: &[&Value], ty: &Type, context: &Context) -> Value {
        let step = args.first().map_or(0, |a| a.data[0] as u32);
        let key = philox::key(context.seed);
        let draw = |i: usize| {
            let word = philox(key, [i as u32, context.update, step, self.site])[0];
            f64::from(word >> 8) * philox::UNIT
        };
        Value { ty: ty.clone(), data: (0..ty.len()).map(draw).collect() }
    }
    fn cost(&self) -> usize {
        60
    }
    fn lifts(&self) -> bool {
        false
    }
}

/// The first word of Philox4x32-10 in kernel instructions; see `philox`.
fn lower_philox(e: &mut dyn Emit, mut key: [ValId; 2], mut c: [ValId; 4]) -> ValId {
    let weyl = philox::WEYL.map(|w| e.constant(DType::I32, w));
    let factors = philox::FACTORS.map(|w| e.constant(DType::I32, w));
    for round in 0..philox::ROUNDS {
        if round > 0 {
            key = [e.core(Core::Add, &[key[0], weyl[0]]), e.core(Core::Add, &[key[1], weyl[1]])];
        }
        let high = [e.core(Core::MulHigh, &[factors[0], c[0]]), e.core(Core::MulHigh, &[factors[1], c[2]])];
        let low = [e.core(Core::Mul, &[factors[0], c[0]]), e.core(Core::Mul, &[factors[1], c[2]])];
        let mix = |e: &mut dyn Emit, high, c, key| {
            let x = e.core(Core::Xor, &[high, c]);
            e.core(Core::Xor, &[x, key])
        };
        let first = mix(e, high[1], c[1], key[0]);
        let third = mix(e, high[0], c[3], key[1]);
        c = [first, low[1], third, low[0]];
    }
    c[0]
}
