//! A run allocates nothing.
#![allow(unsafe_code)] // An allocator that counts is made of calls to the system's.

mod common;

use common::{Code, affine, each, program};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use stmc_cpu::{CpuDevice, Isa};
use stmc_ir::device::{Device, Scalars};
use stmc_ir::kernel::{Access, Body, Contraction, Core, Inst, Kernel, LoopKind, Operand, Param, Stmt};
use stmc_ir::program::{Binding, BufferId, KernelId, Launch, Step};
use stmc_ir::types::DType;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const SIDE: usize = 200;

fn product() -> Kernel {
    let operand = |param, second, third| Operand {
        param,
        offset: 0,
        first: vec![],
        second: vec![second],
        third: vec![third],
    };
    let side = SIDE as i64;
    let body = Body::Contraction(Contraction {
        g: vec![],
        m: vec![SIDE],
        n: vec![SIDE],
        k: vec![SIDE],
        a: operand(0, side, 1),
        b: operand(1, 1, side),
        out: operand(2, side, 1),
        accumulate: false,
    });
    let params =
        [Access::Read, Access::Read, Access::Write].map(|access| Param { dtype: DType::F32, access });
    Kernel { name: "product".into(), params: params.to_vec(), scalars: vec![], body }
}

fn pointwise() -> Kernel {
    let mut code = Code::new();
    let (row, col) = (code.var(), code.var());
    let index = affine(&[(row, SIDE as i64), (col, 1)], 0);
    let mut body = vec![];
    let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: index.clone() });
    let y = code.core(&mut body, Core::Tanh, &[x]);
    body.push(Stmt::Store { param: 1, index, value: y });
    let lanes = each(col, SIDE, LoopKind::Lanes, body);
    let params = [(DType::F32, Access::Read), (DType::F32, Access::Write)];
    code.kernel("pointwise", &params, &[], vec![each(row, SIDE, LoopKind::Parallel, vec![lanes])])
}

#[test]
fn runs_do_not_allocate() {
    let launch = |kernel, buffers: &[usize]| {
        let buffers = buffers.iter().map(|&buffer| Binding::whole(BufferId::from_index(buffer))).collect();
        Step::Launch(Launch { kernel: KernelId::from_index(kernel), buffers, scalars: vec![], spans: vec![] })
    };
    let body = vec![launch(0, &[0, 1, 2]), launch(1, &[2, 0])];
    let program =
        program(vec![product(), pointwise()], &[SIDE * SIDE; 3], vec![Step::Loop { count: 3, body }]);
    let mut device = CpuDevice::new(2, Isa::detect()).expect("the path is available");
    device.load(&program).expect("the program loads");
    let scalars = Scalars::default();
    device.run(0, &scalars).expect("the program runs");
    let mut allocations = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        device.run(0, &scalars).expect("the program runs");
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    // Whatever a run needs, each needs; a helper that comes for the first time sets itself up, and so may who runs the tests.
    let least = (0..20).map(|_| allocations()).min();
    assert_eq!(least, Some(0));
}
