//! Loop kernels to machine code.
//!
//! The function of a kernel runs a range of its parallel iterations: `(params, scalars, begin, end)`. Loops over lanes
//! become vectors of four, several at a time, with the rest of their extent at the end. Addresses are left as sums of
//! products; Cranelift moves what does not change out of the loops.
mod core;
mod lanes;
mod loops;
mod place;
mod stages;
mod sums;

pub(crate) use self::core::is_function;
pub(crate) use stages::TILE;

use crate::schedule::{Loops, Tiled};
use cranelift_codegen::ir::{AbiParam, Function, Signature, UserFuncName, types};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, ir};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module};
use std::sync::Arc;
use stmc_ir::kernel::Kernel;
use stmc_kernels::Isa;

/// Runs the parallel iterations `begin .. end`; a kernel without parallel loops has one.
pub(crate) type Code =
    unsafe extern "C" fn(params: *const *mut u32, scalars: *const u32, begin: u64, end: u64);

/// Compiles kernels and keeps their code.
pub(crate) struct Compiler {
    module: JITModule,
    scratch: FunctionBuilderContext,
    target: Target,
    compiled: usize,
}

/// What instructions code may use.
struct Target {
    isa: Isa,
    /// Whether a fused multiply-add is an instruction; else it is a product and a sum.
    fused: bool,
    native: Arc<dyn TargetIsa>,
}

impl Compiler {
    /// A compiler for this processor, kept to the instructions of `isa`.
    pub(crate) fn new(isa: Isa) -> Result<Compiler, String> {
        let target = Target::new(isa)?;
        let names = cranelift_module::default_libcall_names();
        let module = JITModule::new(JITBuilder::with_isa(Arc::clone(&target.native), names));
        Ok(Compiler { module, scratch: FunctionBuilderContext::new(), target, compiled: 0 })
    }

    /// Compiles loops. The code lives as long as the compiler.
    pub(crate) fn compile(&mut self, kernel: &Kernel, loops: &Loops) -> Result<Code, String> {
        let mut context = Context::new();
        context.func = function(kernel, loops, &self.target, &mut self.scratch);
        let name = format!("{}_{}", kernel.name, self.compiled);
        self.compiled += 1;
        let failed = |error: &dyn std::fmt::Debug| format!("kernel `{}`: {error:?}", kernel.name);
        let id = self
            .module
            .declare_function(&name, Linkage::Local, &context.func.signature)
            .map_err(|error| failed(&error))?;
        self.module.define_function(id, &mut context).map_err(|error| failed(&error))?;
        self.module.finalize_definitions().map_err(|error| failed(&error))?;
        let code = self.module.get_finalized_function(id);
        // SAFETY: `signature` describes just this type.
        Ok(unsafe { std::mem::transmute::<*const u8, Code>(code) })
    }

    /// Frees the code.
    ///
    /// # Safety
    ///
    /// No code that this compiler made is called any more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the caller's promise.
        unsafe { self.module.free_memory() };
    }
}

/// The code of a kernel before instructions are selected, as text.
pub fn emit_clif(kernel: &Kernel, isa: Isa) -> Result<String, String> {
    let target = Target::new(isa)?;
    let function =
        function(kernel, &crate::prepare::loops(kernel), &target, &mut FunctionBuilderContext::new());
    Ok(function.display().to_string())
}

impl Target {
    fn new(isa: Isa) -> Result<Target, String> {
        let mut flags = settings::builder();
        for (flag, value) in [("opt_level", "speed"), ("is_pic", "false"), ("enable_verifier", "true")] {
            flags.set(flag, value).map_err(|error| error.to_string())?;
        }
        let native = cranelift_native::builder().map_err(str::to_owned)?;
        let native = native.finish(settings::Flags::new(flags)).map_err(|error| error.to_string())?;
        let fused = isa != Isa::Portable || cfg!(target_arch = "aarch64");
        Ok(Target { isa, fused, native })
    }
}

fn signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend([types::I64; 4].map(AbiParam::new));
    signature
}

fn function(
    kernel: &Kernel,
    loops: &Loops,
    target: &Target,
    scratch: &mut FunctionBuilderContext,
) -> Function {
    let signature = signature(target.native.default_call_conv());
    let mut function = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    loops::emit(kernel, loops, target, &mut function, scratch);
    function
}

/// Parallel iterations of loops: the product of the outermost perfect nest's extents, but for the rows of a tile.
pub(crate) fn iterations(loops: &Loops) -> usize {
    let (mut nest, _) = loops::parallel_nest(&loops.block);
    if loops.tiled == Tiled::Rows {
        nest.pop();
    }
    nest.iter().map(|(_, extent)| extent).product()
}

/// The type of a value alone, and of four.
fn types_of(dtype: stmc_ir::DType) -> (ir::Type, ir::Type) {
    match dtype {
        stmc_ir::DType::F32 => (types::F32, types::F32X4),
        stmc_ir::DType::I32 => (types::I32, types::I32X4),
        // Alone 0 or 1, in a vector the mask of all zeros or ones.
        stmc_ir::DType::Bool => (types::I8, types::I32X4),
    }
}
