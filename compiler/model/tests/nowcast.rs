//! The nowcaster elaborates: weights, shapes, entries, metrics.
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_base::{Schema, Sources, diagnostic::Style};
use stmc_model::*;

#[test]
fn scratch() {
    let mut sources = Sources::default();
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/nowcast.stm")).unwrap();
    let id = sources.add("nowcast.stm", text);
    let missing = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let show = |sources: &Sources, e: Vec<stmc_base::Diagnostic>| -> String {
        e.iter().map(|d| d.render(sources, Style::Plain)).collect()
    };
    let resolved = resolve(&mut sources, id, &missing).unwrap_or_else(|e| panic!("{}", show(&sources, e)));
    let settings = Settings::default();
    let specs = data_sources(&resolved, &settings).unwrap_or_else(|e| panic!("{}", show(&sources, e)));
    println!("{specs:?}");
    let axis = |name: &str, extent| SchemaAxis { name: name.into(), extent };
    let v = Variable {
        name: "rain".into(),
        dtype: "f32".into(),
        axes: vec![axis("sequence", 1000), axis("time", 8), axis("row", 32), axis("col", 32)],
        unit: None,
    };
    let schema = Schema { sources: vec![SourceSchema { origin: "storms".into(), variables: vec![v] }] };
    let plan = data_plan(&resolved, &settings, &schema).unwrap_or_else(|e| panic!("{}", show(&sources, e)));

    let counts = Counts { parts: [("train".to_string(), 800)].into() };
    let (module, w) = elaborate(&resolved, &settings, Some(&plan), &counts, Request::Train)
        .unwrap_or_else(|e| panic!("{}", show(&sources, e)));
    println!("{}", show(&sources, w));
    for p in &module.params {
        println!("{} {} {:?}", p.path, module.axes.show(&p.ty), p.init);
    }
    for e in &module.entries {
        println!("== {} {:?} {:?}\n{}", e.name, e.inputs, e.outputs, e.graph.dump(&module.axes));
    }
    println!("{:?}", module.scalars);
    println!("{:#?}", module.train.as_ref().unwrap().optimizer.graph.dump(&module.axes));
}
