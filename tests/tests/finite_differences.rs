//! Gradients of models as people write them, against finite differences in f64.
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::Scalar;
use stmc_ir::{Axes, Builder, DType, Graph, Module, Type};
use stmc_passes::autodiff::differentiate;
use stmc_passes::scan::tape::tape;
use stmc_tests::lab::assert_gradients;

/// A program of `gradients/`.
fn elaborated(name: &str) -> Module {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gradients").join(name);
    match stmc::check_file(&path, &stmc::Options::default()) {
        Ok(checked) => checked.module,
        Err(error) => panic!("{error}"),
    }
}

fn check(name: &str) {
    let module = elaborated(name);
    let entry: &EntryGraph = module.entry("train").expect("the program trains");
    let loss =
        entry.outputs.iter().position(|o| matches!(o, OutputRole::Loss { .. })).expect("it has a loss");
    let mut forward = entry.graph.clone();
    forward.outputs = vec![entry.output(loss)];
    let axes = Rc::new(RefCell::new(module.axes.clone()));
    let forward = with_gaps(&module, entry, &forward, &axes);
    let float = |(i, ty): (usize, Type)| (ty.dtype == DType::F32).then_some(i);
    let wanted: Vec<usize> = forward.inputs().into_iter().filter_map(float).collect();
    let taped = tape(&axes, &forward);
    let (graph, found) = differentiate(&axes, &taped, &[taped.outputs[0]], &wanted);
    let weights = module.params.iter().filter(|p| !p.buffer).count();
    assert!(found.len() >= weights, "{name}: every weight has a gradient");
    assert_gradients(&forward, &graph, &found, (-0.8, 0.8), name);
}

/// Fields that may be missing are so wherever the numbers drawn for them are below -0.2.
fn with_gaps(module: &Module, entry: &EntryGraph, graph: &Graph, axes: &Rc<RefCell<Axes>>) -> Graph {
    let plan = module.data.as_ref().expect("the program has data");
    let is_optional = |role: &InputRole| match role {
        InputRole::Slab { slab, .. } => plan.fields[plan.slabs[*slab].field].reading.optional,
        _ => false,
    };
    let b = Builder::new(axes.clone());
    let mut inputs = vec![];
    for (i, ty) in graph.inputs() {
        assert_eq!(i, inputs.len(), "no input is dead");
        let x = b.input(i, ty);
        let is_gap = b.scalar(Scalar::Less, &[x, b.number(-0.2)]);
        inputs.push(match is_optional(&entry.inputs[i]) {
            true => b.scalar(Scalar::Where, &[is_gap, b.number(f64::NAN), x]),
            false => x,
        });
    }
    let map = b.inline(graph, &inputs);
    b.finish(graph.outputs.iter().map(|o| map[o.index()]).collect())
}

#[test]
fn missing_values_and_a_periodic_axis() {
    check("missing.stm");
}

#[test]
fn scans_sums_and_orders_with_gaps() {
    check("gaps.stm");
}

#[test]
fn a_gru_in_both_directions() {
    check("gru.stm");
}

#[test]
fn peephole_lstms_on_strided_pooled_and_transposed_paths() {
    check("peephole.stm");
}

#[test]
fn batch_normalization_in_a_residual_block_and_in_a_scan() {
    check("batch_norm.stm");
}

#[test]
fn stateful_layers_in_layers_lists_and_scans() {
    check("stateful.stm");
}

#[test]
fn recurrent_layers_over_sequences_of_different_lengths() {
    check("recurrent.stm");
}

#[test]
fn attention() {
    check("attention.stm");
}

#[test]
fn orders_and_places_between() {
    check("orders.stm");
}
