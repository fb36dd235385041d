//! Stands in for `cubecl-llvm`, which cubecl-cuda names unconditionally.
//!
//! The real crate's build script downloads a prebuilt LLVM; we compile CUDA with NVRTC (feature `cuda-cpp` of
//! cubecl) and never reach it. These are the items cubecl-cuda mentions, with bodies that say so.

/// The PTX version, which only the LLVM backend asks for.
pub mod nvptx {
    /// See [`PtxVersion`](ptx_version::PtxVersion).
    pub mod ptx_version {
        /// Has no values: the LLVM backend is absent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PtxVersion {}

        impl PtxVersion {
            /// `None`: no driver is served by an absent backend.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {}
            }
        }
    }
}

/// What the LLVM backend takes away from a device's features.
pub mod shared {
    /// See [`restrict_features`](lowered_features::restrict_features).
    pub mod lowered_features {
        /// The targets of the LLVM backend that cubecl-cuda names.
        pub enum GpuTarget {
            /// NVIDIA's PTX.
            Nvptx,
        }

        /// Takes nothing away; only called when the LLVM backend is chosen.
        pub fn restrict_features(_properties: &mut cubecl_core::ir::DeviceProperties, _target: GpuTarget) {}
    }
}

/// The targets of the LLVM backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// The host.
    #[default]
    Cpu,
    /// NVIDIA's PTX.
    Nvptx,
}

/// A compiled module; never made here.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The module's text, zero-terminated.
    pub ptx: Vec<core::ffi::c_char>,
    /// The name of the kernel in it.
    pub entrypoint: String,
    /// The LLVM text it came from.
    pub ir: String,
    /// Bytes of shared memory per cube.
    pub shared_memory_size: usize,
    /// Which buffers the kernel reads and writes.
    pub io: Vec<cubecl_runtime::kernel::BufferIOAttr>,
}

/// What a compilation yields.
pub enum PlironArtifact {
    /// A PTX module.
    NvptxCode(NvptxModule),
    /// An artifact of another target.
    None,
}

/// The LLVM backend's options.
#[derive(Debug, Default, Clone)]
pub struct PlironOptions {
    /// The host's architecture.
    pub arch: Option<()>,
    /// The device's architecture.
    pub sm_arch: Option<cubecl_core::ir::nvidia::SmArch>,
    /// The newest PTX the driver loads.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether launch parameters are grid constants.
    pub grid_constants: bool,
    /// Keeps the struct open, as the real one is.
    pub reserved: (),
}

/// The LLVM backend.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it compiles for.
    pub target: LlvmTarget,
}

impl PlironCompiler {
    /// Never called: feature `cuda-cpp` chooses the C++ backend.
    ///
    /// # Panics
    /// Always, since there is no backend.
    pub fn compile(
        &mut self,
        _kernel: cubecl_runtime::kernel::KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, cubecl_runtime::compiler::CompilationError> {
        panic!("this build has no LLVM backend; feature `cuda-cpp` of cubecl selects NVRTC")
    }

    /// The language a kernel is handed to the driver in.
    pub fn lang_tag(&self) -> &'static str {
        "ptx"
    }
}
