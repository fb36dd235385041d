//! Every scalar instruction, in vectors, in the lanes left over and alone, against the interpreter.

mod common;

use common::{Code, Random, affine, check, each, exactly, launch, program};
use stmc_ir::kernel::{Access, Class, Core, Inst, LoopKind, Stmt};
use stmc_ir::types::DType;

/// Two rounds of four vectors, two more vectors, three more lanes.
const EXTENT: usize = 43;

/// Operand types to try with an instruction.
fn signatures(core: Core) -> Vec<Vec<DType>> {
    let all = [DType::F32, DType::I32, DType::Bool];
    let of = |dtypes: &[DType]| dtypes.iter().map(|&dtype| vec![dtype; core.arity()]).collect();
    match core.class() {
        Class::Number | Class::Compare => of(&all[..2]),
        Class::Float | Class::Bits => of(&all[..1]),
        Class::Int | Class::OfBits => of(&all[1..2]),
        Class::Truth => of(&all[2..]),
        Class::Choose => all.iter().map(|&dtype| vec![DType::Bool, dtype, dtype]).collect(),
        Class::Cast => {
            all.iter().map(|&dtype| vec![dtype]).filter(|types| core.result(types).is_some()).collect()
        }
    }
}

fn operand(core: Core, position: usize, dtype: DType, random: &mut Random) -> u32 {
    const SPECIAL: [f32; 12] =
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 3e9, -3e9, 1e-40];
    match (dtype, core) {
        (DType::Bool, _) => random.bits() & 1,
        (DType::F32, _) if random.below(3) == 0 => SPECIAL[random.below(SPECIAL.len())].to_bits(),
        (DType::F32, _) => ((random.bits() as f32 / 2f32.powi(31) - 1.0) * 20.0).to_bits(),
        (DType::I32, Core::FloorDiv | Core::FloorMod) if position == 1 => 1 + random.bits() % 100,
        (DType::I32, Core::ShiftRight) if position == 1 => random.bits() % 32,
        (DType::I32, _) if random.below(4) == 0 => i32::MIN as u32 >> random.below(3),
        (DType::I32, _) => random.bits(),
    }
}

/// One kernel for each kind of loop, with the result of the instruction on loaded operands.
fn kernel(core: Core, types: &[DType], kind: LoopKind) -> stmc_ir::Kernel {
    let mut code = Code::new();
    let i = code.var();
    let mut body = vec![];
    let load = |(param, &dtype): (usize, &DType)| {
        code.define(&mut body, dtype, Inst::Load { param, index: affine(&[(i, 1)], 0) })
    };
    let args: Vec<_> = types.iter().enumerate().map(load).collect();
    let value = code.core(&mut body, core, &args);
    body.push(Stmt::Store { param: types.len(), index: affine(&[(i, 1)], 0), value });
    let result = core.result(types).expect("the operands fit");
    let mut params: Vec<_> = types.iter().map(|&dtype| (dtype, Access::Read)).collect();
    params.push((result, Access::Write));
    code.kernel(core.name(), &params, &[], vec![each(i, EXTENT, kind, body)])
}

/// Functions may be off by two units in the last place; a fused product differs from two roundings.
fn same(core: Core, is: u32, wanted: u32) -> bool {
    let (x, y) = (f32::from_bits(is), f32::from_bits(wanted));
    match core {
        Core::Exp | Core::Log | Core::Sin | Core::Cos | Core::Tanh | Core::Erf => {
            exactly(is, wanted) || (is ^ wanted) >> 31 == 0 && is.abs_diff(wanted) <= 2
        }
        Core::Fma => exactly(is, wanted) || (x - y).abs() <= 400.0 * f32::EPSILON,
        _ => exactly(is, wanted),
    }
}

#[test]
fn instructions() {
    for &core in Core::ALL {
        for types in signatures(core) {
            let mut random = Random::new(core as u64);
            let mut before: Vec<Vec<u32>> = types
                .iter()
                .enumerate()
                .map(|(position, &dtype)| {
                    (0..EXTENT).map(|_| operand(core, position, dtype, &mut random)).collect()
                })
                .collect();
            before.push(vec![0xdead_beef; EXTENT]);
            for kind in [LoopKind::Lanes, LoopKind::Serial, LoopKind::Parallel] {
                let lens = vec![EXTENT; before.len()];
                let program = program(vec![kernel(core, &types, kind)], &lens, vec![launch(before.len())]);
                let name = format!("{} of {types:?}, {kind:?}", core.name());
                check(&name, &program, &before, &|is, wanted| same(core, is, wanted));
            }
        }
    }
}

/// A divisor that is a power of two, a shift by a constant, and operands that are the same in all lanes.
#[test]
fn instructions_on_constants() {
    let cores = [Core::FloorDiv, Core::FloorMod, Core::ShiftRight, Core::MulHigh, Core::Min, Core::Less];
    for core in cores {
        for constant in [1, 7, 16] {
            let mut code = Code::new();
            let i = code.var();
            let mut body = vec![];
            let x = code.define(&mut body, DType::I32, Inst::Load { param: 0, index: affine(&[(i, 1)], 0) });
            let c = code.define(&mut body, DType::I32, Inst::Const(DType::I32, constant));
            let y = code.core(&mut body, core, &[x, c]);
            let same = code.core(&mut body, core, &[c, c]);
            let dtype = core.result(&[DType::I32; 2]).expect("integers fit");
            body.push(Stmt::Store { param: 1, index: affine(&[(i, 2)], 0), value: y });
            body.push(Stmt::Store { param: 1, index: affine(&[(i, 2)], 1), value: same });
            let params = [(DType::I32, Access::Read), (dtype, Access::Write)];
            let kernel = code.kernel(core.name(), &params, &[], vec![each(i, EXTENT, LoopKind::Lanes, body)]);
            let mut random = Random::new(u64::from(constant));
            let before = vec![(0..EXTENT).map(|_| random.bits()).collect(), vec![0; 2 * EXTENT]];
            let program = program(vec![kernel], &[EXTENT, 2 * EXTENT], vec![launch(2)]);
            check(core.name(), &program, &before, &exactly);
        }
    }
}
