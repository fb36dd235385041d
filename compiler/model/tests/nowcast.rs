//! scratch
mod common;
use common::*;
use stmc_model::Request;

#[test]
fn scratch() {
    for file in std::env::var("FILES").unwrap_or_default().split_whitespace() {
        let text = std::fs::read_to_string(file).unwrap();
        for request in [Request::Train, Request::Step] {
            let (sources, result) = elaborated(&text, &[], request);
            match result {
                Ok((module, w)) => {
                    println!("OK {file} {request:?}\n{}", rendered(&sources, &w));
                    if std::env::var("DUMP").is_ok() {
                        for p in &module.params {
                            println!("{} {} {:?}", p.path, module.axes.show(&p.ty), p.init);
                        }
                        for e in &module.entries {
                            println!(
                                "== {} {:?} {:?}\n{}",
                                e.name,
                                e.inputs,
                                e.outputs,
                                e.graph.dump(&module.axes)
                            );
                        }
                    }
                }
                Err(e) => {
                    println!("FAIL {file} {request:?}\n{}", rendered(&sources, &e));
                    break;
                }
            }
        }
    }
}
