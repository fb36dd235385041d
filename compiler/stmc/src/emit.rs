//! Looks into the compiler: what each phase made of a file.
use crate::{Error, Options};
use clap::ValueEnum;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use stmc_ir::Module;
use stmc_ir::module::EntryGraph;
use stmc_passes::compile::{Gradients, optimized, optimized_until};
use stmc_passes::pipeline::PIPELINE;
use stmc_passes::rebuild::SharedAxes;

/// A phase whose result can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Stage {
    /// The syntax tree of the main file.
    Ast,
    /// The tensor graphs after all passes, gradients included.
    Graph,
    /// The kernels in the kernel IR.
    Kernels,
    /// Buffers and steps, as JSON.
    Program,
}

/// A language that kernels are compiled to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Target {
    /// Cranelift's IR, for this CPU.
    Clif,
    /// WebGPU's shading language.
    Wgsl,
    /// CUDA C++.
    Cuda,
}

impl Target {
    /// What the names of such files end with.
    pub fn extension(self) -> &'static str {
        match self {
            Target::Clif => "clif",
            Target::Wgsl => "wgsl",
            Target::Cuda => "cu",
        }
    }
}

/// The result of a phase as text.
pub fn emit_stage(path: &Path, options: &Options, stage: Stage) -> Result<String, Error> {
    if stage == Stage::Ast {
        return ast(path);
    }
    let compiled = crate::compile_file(path, options)?;
    Ok(match stage {
        Stage::Ast => unreachable!("handled above"),
        Stage::Graph => {
            let module = &compiled.checked.module;
            graphs(module, &|axes, e| optimized(axes, module, e, Gradients::Weights))
        }
        Stage::Kernels => compiled.program.kernels.iter().map(|k| k.dump() + "\n").collect(),
        Stage::Program => {
            serde_json::to_string_pretty(&compiled.program).expect("a program is plain data") + "\n"
        }
    })
}

fn ast(path: &Path) -> Result<String, Error> {
    let (sources, _, id) = crate::front::read_main(path)?;
    let parsed = stmc_syntax::parse(id, &sources.source(id).text);
    match parsed.file {
        Some(file) if parsed.diagnostics.is_empty() => Ok(stmc_syntax::dump(&file)),
        _ => Err(Error::program(&sources, parsed.diagnostics)),
    }
}

/// The tensor graphs after a pass of the pipeline; of several of that name after the last. Or an error that names them all.
pub fn emit_after(path: &Path, options: &Options, pass: &str) -> Result<String, Error> {
    if !PIPELINE.iter().any(|p| p.name == pass) {
        return Err(Error::Usage(format!("there is no pass `{pass}`\n{}", passes())));
    }
    let checked = crate::front::check_one(path, options)?;
    let module = &checked.module;
    Ok(graphs(module, &|axes, e| optimized_until(axes, module, e, Gradients::Weights, pass)))
}

/// The passes over graphs in their order, one a line, each with the reason for its place.
pub fn passes() -> String {
    let wide = PIPELINE.iter().map(|p| p.name.len()).max().unwrap_or(0);
    PIPELINE.iter().map(|p| format!("  {:wide$}  {}\n", p.name, p.why)).collect()
}

fn graphs(module: &Module, pass: &dyn Fn(&SharedAxes, &EntryGraph) -> EntryGraph) -> String {
    let axes = Rc::new(RefCell::new(module.axes.clone()));
    let show = |e| {
        let entry = pass(&axes, e);
        format!("entry {}\n{}\n", entry.name, entry.graph.dump(&axes.borrow()))
    };
    module.entries.iter().map(show).collect()
}

/// The kernels of a file in another language, each with its name as a comment.
pub fn emit_target(path: &Path, options: &Options, target: Target) -> Result<Vec<(String, String)>, Error> {
    let compiled = crate::compile_file(path, options)?;
    let kernels = compiled.program.kernels.iter().enumerate();
    kernels
        .map(|(i, kernel)| {
            let name = format!("{i:03}_{}", kernel.name);
            let text = match target {
                Target::Clif => stmc_cpu::emit_clif(kernel, stmc_cpu::Isa::from_env().map_err(Error::Usage)?)
                    .map_err(Error::World)?,
                #[cfg(feature = "gpu")]
                Target::Wgsl => stmc_gpu::emit_wgsl(kernel)?,
                #[cfg(feature = "gpu")]
                Target::Cuda => stmc_gpu::emit_cuda(kernel)?,
                #[cfg(not(feature = "gpu"))]
                Target::Wgsl | Target::Cuda => {
                    return Err(Error::Usage(
                        "this build emits only clif; build with `--features gpu`".into(),
                    ));
                }
            };
            Ok((name, text))
        })
        .collect()
}
