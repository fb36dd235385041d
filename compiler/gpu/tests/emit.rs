//! The text of kernels, without a device.
#![cfg(feature = "gpu")]

mod common;

use common::{bias_gelu, contraction, folds, row_softmax};
use stmc_gpu::{emit_cuda, emit_wgsl};
use stmc_ir::Kernel;

/// Compares with `tests/golden/<name>`; `STMC_BLESS=1` writes it. Read every changed golden file before you commit it.
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

/// Leaves the CUDA text of the kernels above in a folder, for `nvrtc.py`.
#[test]
fn cuda_text_for_nvrtc() {
    let Some(folder) = std::env::var_os("STMC_EMIT_CUDA") else { return };
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(&folder).unwrap();
    for kernel in [bias_gelu(64, 128), contraction(1, 512, 512, 64), row_softmax(64, 128), folds(300, 7)] {
        std::fs::write(folder.join(format!("{}.cu", kernel.name)), emit_cuda(&kernel).unwrap()).unwrap();
    }
}
