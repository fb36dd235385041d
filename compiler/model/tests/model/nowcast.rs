//! The nowcaster of the language's introduction: weights in order, shapes as declared, every entry.
use crate::common::{elaborated, module, rendered};
use stmc_ir::module::{InputRole, Module, OutputRole};
use stmc_ir::ops::Op;
use stmc_model::Request;

const NOWCAST: &str = include_str!("nowcast.stm");

#[test]
fn its_weights_are_named_and_ordered_as_declared() {
    let module = module(NOWCAST, Request::Train);
    let shapes = module.params.iter().map(|p| {
        let extents: Vec<usize> = p.disk.iter().map(|a| p.ty.extent(*a).unwrap()).collect();
        format!("{} {extents:?}", p.path)
    });
    let expected = [
        "change.cells.0.gates.weight [128, 36, 3, 3]",
        "change.cells.0.gates.bias [128]",
        "change.cells.1.gates.weight [128, 64, 3, 3]",
        "change.cells.1.gates.bias [128]",
        "change.head.weight [4, 32, 1, 1]",
        "change.head.bias [4]",
    ];
    assert_eq!(shapes.collect::<Vec<_>>(), expected);
    assert_eq!(module.params.iter().map(|p| p.ty.len()).sum::<usize>(), 115_588);
}

#[test]
fn it_has_every_entry() {
    let module = module(NOWCAST, Request::Train);
    let names: Vec<&str> = module.entries.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["train", "eval", "show", "predict", "fit0"]);
    let metrics: Vec<&str> = module.train.as_ref().unwrap().metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(metrics, ["loss", "error", "csi", "persistence", "mean_image"]);
    let train = module.entry("train").unwrap();
    assert!(matches!(train.outputs[..], [OutputRole::Loss { .. }]));
    let slabs = train.inputs.iter().filter(|r| matches!(r, InputRole::Slab { .. })).count();
    assert_eq!(slabs, 2, "the mean image is no part of the training");
    let csi = &module.train.as_ref().unwrap().metrics[2];
    assert_eq!(csi.axes.iter().map(|a| module.axes.name(*a)).collect::<Vec<_>>(), ["time"]);
}

#[test]
fn its_forecast_has_the_declared_type() {
    let module = module(NOWCAST, Request::Train);
    let predict = module.entry("predict").unwrap();
    let OutputRole::Named { name, axes } = &predict.outputs[0] else { panic!("an output by name") };
    assert_eq!(name, "forecast");
    let order: Vec<&str> = axes.iter().map(|a| module.axes.name(*a)).collect();
    assert_eq!(order, ["batch", "time", "row", "col"]);
    let ty = predict.graph.ty(predict.output(0));
    assert_eq!(axes.iter().map(|a| ty.extent(*a).unwrap()).collect::<Vec<_>>(), [16, 4, 32, 32]);
}

fn nodes(module: &Module) -> usize {
    let mut count = 0;
    for entry in &module.entries {
        for node in &entry.graph.nodes {
            count += 1;
            if let Op::Scan(scan) = &node.op {
                count += scan.body.nodes.len();
            }
        }
    }
    count
}

#[test]
fn the_graph_does_not_grow_with_the_number_of_frames() {
    let few = module(NOWCAST, Request::Train);
    let many =
        elaborated(&NOWCAST.replace("length: 8", "length: 80"), &["frames=40"], Request::Train).1.unwrap().0;
    assert_eq!(nodes(&few), nodes(&many));
}

#[test]
fn settings_replace_hypers_keys_and_sources() {
    let set = [
        "frames=3",
        "hidden=[8]",
        "train.batch=4",
        "radar.from=storms(size: 16, length: 8, count: 10, seed: 1)",
    ];
    let module = elaborated(NOWCAST, &set, Request::Train).1.unwrap().0;
    assert_eq!(module.train.as_ref().unwrap().batch, 4);
    assert_eq!(module.params.len(), 4);
    assert_eq!(module.hypers["frames"], "3");
    let predict = module.entry("predict").unwrap();
    assert_eq!(predict.graph.ty(predict.output(0)).len(), 4 * 3 * 16 * 16);
    let (sources, wrong) = elaborated(NOWCAST, &["frame=3"], Request::Train);
    let message = rendered(&sources, &wrong.unwrap_err());
    assert!(message.contains("did you mean `frames`?"), "{message}");
}

#[test]
fn a_step_takes_the_sample_by_name() {
    let module = module(NOWCAST, Request::Step);
    let train = module.entry("train").unwrap();
    let names: Vec<&str> = train
        .inputs
        .iter()
        .filter_map(|r| if let InputRole::Named { name, .. } = r { Some(name.as_str()) } else { None })
        .collect();
    assert_eq!(names, ["past", "future"]);
    assert_eq!(module.entries.len(), 2, "the fit is met on the way");
}
