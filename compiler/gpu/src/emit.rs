//! A kernel's source with no device at hand, for `stmc emit`, golden files and compilers that check it.
use crate::grid;
use crate::lower::GridKernel;
use cubecl::Compiler;
use cubecl::ir::features::Features;
use cubecl::ir::{DeviceIdentity, HardwareProperties, MemoryDeviceProperties};
use cubecl::prelude::*;
use cubecl::profile::TimingMethod;
use cubecl::wgpu::WgslCompiler;
use cubecl_cpp::shared::CppCompiler;
use cubecl_cpp::target::Cuda;
use std::sync::Arc;
use stmc_ir::device::DeviceError;
use stmc_ir::kernel::Kernel;

/// A kernel in WGSL, parsed and validated by naga.
pub fn emit_wgsl(kernel: &Kernel) -> Result<String, DeviceError> {
    let text = WgslCompiler
        .compile(define(kernel), &Default::default())
        .map_err(|error| refused("wgsl", kernel, &error.to_string()))?
        .to_string();
    validate(&text).map_err(|reason| refused("wgsl", kernel, &reason))?;
    Ok(text)
}

/// A kernel in CUDA C++.
pub fn emit_cuda(kernel: &Kernel) -> Result<String, DeviceError> {
    let source = CppCompiler::<Cuda>::default()
        .compile(define(kernel), &Default::default())
        .map_err(|error| refused("cuda", kernel, &error.to_string()))?;
    Ok(source.to_string())
}

fn define(kernel: &Kernel) -> KernelDefinition {
    let grid = Arc::new(grid::spread(kernel));
    GridKernel { grid, device: Arc::new(no_device()), target: Arc::new(TargetProperties::default()) }.define()
}

fn refused(language: &str, kernel: &Kernel, reason: &str) -> DeviceError {
    DeviceError { device: language.into(), reason: format!("`{}` does not compile: {reason}", kernel.name) }
}

fn validate(text: &str) -> Result<(), String> {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    validator.validate(&module).map_err(|error| error.emit_to_string(text))?;
    Ok(())
}

/// What every WebGPU device has, which is all that our kernels ask for.
fn no_device() -> DeviceProperties {
    let hardware = HardwareProperties {
        load_width: 128,
        vector_register_count: None,
        plane_size_min: 32,
        plane_size_max: 32,
        max_bindings: 8,
        max_shared_memory_size: 16384,
        max_cube_count: (65535, 65535, 65535),
        max_units_per_cube: 256,
        max_cube_dim: (256, 256, 64),
        num_streaming_multiprocessors: None,
        num_tensor_cores: None,
        min_tensor_cores_dim: None,
        num_cpu_cores: None,
        last_level_cache_size: None,
        max_vector_size: 4,
        cube_mma_reserved_shared_memory: 0,
    };
    let identity = DeviceIdentity { name: "none".into(), fingerprint: "none".into(), physical: None };
    let memory = MemoryDeviceProperties::new(u64::MAX, 256);
    DeviceProperties::new(Features::default(), memory, hardware, TimingMethod::Device, identity)
}
