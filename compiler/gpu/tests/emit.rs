//! The text of kernels, without a device.
#![cfg(feature = "gpu")]

mod common;

use common::{bias_gelu, contraction, folds, instruction, row_softmax, signatures};
use stmc_gpu::{emit_cuda, emit_wgsl};
use stmc_ir::kernel::{Core, Kernel};

/// Compares with `tests/golden/<name>`; `STMC_BLESS=1` writes it. Read every changed golden file before you
/// commit it.
fn check(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("STMC_BLESS").is_some() {
        std::fs::write(&path, text).expect("golden files can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{} differs; STMC_BLESS=1 accepts this:\n{text}", path.display());
}

#[test]
fn wgsl_of_a_pointwise_kernel() {
    check("bias_gelu.wgsl", &emit_wgsl(&bias_gelu(3, 5)).unwrap());
}

#[test]
fn cuda_of_a_pointwise_kernel() {
    check("bias_gelu.cu", &emit_cuda(&bias_gelu(3, 5)).unwrap());
}

#[test]
fn wgsl_of_a_contraction() {
    check("contraction.wgsl", &emit_wgsl(&contraction(2, 3, 4, 5)).unwrap());
}

#[test]
fn wgsl_of_a_row_reduction() {
    check("row_softmax.wgsl", &emit_wgsl(&row_softmax(3, 5)).unwrap());
}

#[test]
fn wgsl_of_folds_that_a_cube_shares() {
    check("folds.wgsl", &emit_wgsl(&folds(300, 7)).unwrap());
}

#[test]
fn cuda_of_folds_that_a_cube_shares() {
    check("folds.cu", &emit_cuda(&folds(300, 7)).unwrap());
}

#[test]
fn emission_is_deterministic() {
    let kernel: Kernel = row_softmax(3, 5);
    assert_eq!(emit_wgsl(&kernel), emit_wgsl(&kernel));
    assert_eq!(emit_cuda(&kernel), emit_cuda(&kernel));
}

/// Every instruction and the kernels above; with `STMC_EMIT_CUDA`, their CUDA text is left in that folder for
/// `nvrtc.py`.
#[test]
fn every_instruction_is_emitted() {
    let operands =
        |core: &Core| signatures(*core).into_iter().map(|types| instruction(*core, &types, 100)).collect();
    let mut kernels: Vec<Kernel> = Core::ALL.iter().flat_map::<Vec<Kernel>, _>(operands).collect();
    kernels.extend([bias_gelu(64, 128), contraction(1, 512, 512, 64), row_softmax(64, 128), folds(300, 7)]);
    let folder = std::env::var_os("STMC_EMIT_CUDA").map(std::path::PathBuf::from);
    for (i, kernel) in kernels.iter().enumerate() {
        let text = emit_cuda(kernel).expect("the kernel compiles");
        emit_wgsl(kernel).expect("the kernel compiles");
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).expect("the folder can be made");
            std::fs::write(folder.join(format!("{i:02}_{}.cu", kernel.name)), text)
                .expect("texts can be written");
        }
    }
}
