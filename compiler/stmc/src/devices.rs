//! Which devices this build has.
use crate::Error;
use clap::ValueEnum;
use stmc_ir::Device;

/// A kind of device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum DeviceKind {
    /// Cranelift and precompiled kernels; always there.
    #[default]
    Cpu,
    /// Vulkan, Metal or DX12, through CubeCL; feature `gpu`.
    Wgpu,
    /// An NVIDIA GPU, through CubeCL; feature `cuda`.
    Cuda,
}

/// Opens a device. `threads` counts for the CPU alone; 0 stands for all cores.
pub fn device(kind: DeviceKind, threads: usize) -> Result<Box<dyn Device>, Error> {
    match kind {
        DeviceKind::Cpu => {
            let all = || std::thread::available_parallelism().map_or(1, usize::from);
            let threads = if threads == 0 { all() } else { threads };
            Ok(Box::new(stmc_cpu::CpuDevice::new(threads, stmc_cpu::Isa::from_env().map_err(Error::Usage)?)?))
        }
        #[cfg(feature = "gpu")]
        DeviceKind::Wgpu => Ok(Box::new(stmc_gpu::GpuDevice::wgpu()?)),
        #[cfg(feature = "cuda")]
        DeviceKind::Cuda => Ok(Box::new(stmc_gpu::GpuDevice::cuda()?)),
        #[cfg(not(feature = "gpu"))]
        DeviceKind::Wgpu => Err(missing("wgpu", "gpu")),
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Cuda => Err(missing("cuda", "cuda")),
    }
}

#[cfg(not(all(feature = "gpu", feature = "cuda")))]
fn missing(device: &str, feature: &str) -> Error {
    Error::Usage(format!("this build has no device `{device}`; build with `--features {feature}`"))
}
