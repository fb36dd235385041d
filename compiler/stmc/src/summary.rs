//! What a model is: its inputs and outputs by axis name, its weights, its cost.
use crate::front::Compiled;
use crate::quantity::{bytes, flops, grouped};
use stmc_ir::module::{EntryGraph, InputRole, Module, OutputRole};
use stmc_ir::{AxisId, Precision, Type};

/// A table of a compiled file, for people.
pub fn summary(compiled: &Compiled) -> String {
    let (module, program) = (&compiled.checked.module, &compiled.program);
    let mut out = format!("model {}\n", module.name);
    if let Some(predict) = module.entry("predict") {
        out += &ports(module, predict);
    }
    let trains = module.train.is_some();
    out += &weights(compiled);
    let count = |live: bool| -> usize {
        let pairs = module.params.iter().zip(&program.params).filter(|(m, _)| !m.buffer);
        pairs.filter(|(_, p)| !trains || p.live == live).map(|(m, _)| m.ty.len()).sum()
    };
    let count_of = |buffer: bool| -> usize {
        module.params.iter().filter(|p| p.buffer == buffer).map(|p| p.ty.len()).sum()
    };
    let total = count_of(false);
    out += &format!("\n{} parameters", grouped(total));
    if trains {
        out += &format!(
            ", {} live and {} that no loss reaches",
            grouped(count(true)),
            grouped(total - count(true))
        );
    }
    out += "\n";
    if let Some(train) = module.train.as_ref().filter(|t| t.precision != Precision::F32) {
        out +=
            &format!("factors of products are rounded to {}, their sums are f32\n", train.precision.name());
    }
    for entry in program.entries.iter().filter(|e| e.flops > 0) {
        let samples = entry.batch.max(1);
        let each = entry.flops as f64 / samples as f64;
        out += &format!(
            "{:<8} {:>10} per sample, {:>10} per run of {samples} samples\n",
            entry.name,
            flops(each),
            flops(entry.flops as f64)
        );
    }
    out + &format!(
        "planned memory: {} ({} kernels, {} buffers)\n",
        bytes(program.arena as u64 * 4),
        program.kernels.len(),
        program.buffers.len()
    )
}

fn ports(module: &Module, entry: &EntryGraph) -> String {
    let types = entry.graph.inputs();
    let mut out = String::new();
    for (i, role) in entry.inputs.iter().enumerate() {
        if let (InputRole::Named { name, axes }, Some((_, ty))) = (role, types.iter().find(|t| t.0 == i)) {
            out += &format!("  in   {name}: {}\n", shape(module, ty, axes));
        }
    }
    for (i, role) in entry.outputs.iter().enumerate() {
        if let OutputRole::Named { name, axes } = role {
            out += &format!("  out  {name}: {}\n", shape(module, entry.graph.ty(entry.output(i)), axes));
        }
    }
    out
}

fn weights(compiled: &Compiled) -> String {
    let module = &compiled.checked.module;
    let rows: Vec<[String; 4]> = module
        .params
        .iter()
        .zip(&compiled.program.params)
        .map(|(param, placed)| {
            let trains = module.train.is_some();
            let note = match trains && !placed.live {
                _ if param.buffer => "buffer, not trained",
                _ if trains && !param.is_trained() => "frozen",
                true => "no loss reaches it",
                false => "",
            };
            [param.path.clone(), shape(module, &param.ty, &param.disk), grouped(param.ty.len()), note.into()]
        })
        .collect();
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (width(0), width(1), width(2));
    let line = |r: &[String; 4]| {
        format!("  {:<a$}  {:<b$}  {:>c$}  {}", r[0], r[1], r[2], r[3]).trim_end().to_string() + "\n"
    };
    format!("\n{}", rows.iter().map(line).collect::<String>())
}

/// `f32[batch: 16, time: 4, row: 32, col: 32]`, in this order of axes.
fn shape(module: &Module, ty: &Type, axes: &[AxisId]) -> String {
    let dim = |a: &AxisId| {
        format!("{}: {}", module.axes.name(*a), ty.extent(*a).expect("a port lists its type's axes"))
    };
    format!("{}[{}]", ty.dtype.name(), axes.iter().map(dim).collect::<Vec<_>>().join(", "))
}
