//! Single operations against values and gradients computed elsewhere: `STMC_REFERENCE` names the folder with `oracle/ops/`, the table
//! `oracle/ops.txt` says how each is written in `.stm`. Without the folder nothing is compared, and the test says so.
//!
//! A block of the table begins with `op NAME`, perhaps with attributes that a case must have (`mode=reflect`, a present
//! tensor `?bias`); the first block that fits a case is its. Then, each on a line:
//!
//! - `given x: batch channel row col`: the tensor `in.x`, its axes in its order; `given weight -> conv.weight`: it is a weight;
//!   `given p[0] -> w`: its first slice is. `given y?: batch`: NaN is missing, and with `y?2` the number 2 too.
//!   An axis `_` has extent 1 and is left out. If no tensor has `batch`, a batch of one is put before them.
//! - `space row col`, `use std.nn.Conv`, `model conv = …` (a line of the model's body, or of the file for `file …`, or of
//!   `train` for `train …`)
//! - `out y: channel row = …`: `out.y`; it is multiplied by `gout.y` and added up, and the gradients of that are compared
//! - `loss y = …`: a scalar of everything that is given; `p` is the model's output then
//! - `minimize …`: what is minimised besides the outputs' products
//! - `after y = w`: `out.y` holds the weight `w` after each update, with `first 1` after a single one; `average y = w` holds its
//!   averages, first of all the first value
//! - `rate …`: a schedule, whose rates are compared; with `first 100` so many of them
//! - `none …`: why the language has nothing to compare
//!
//! `<stride>` is an attribute, `<lr|0.1>` one with a default, `<pad.0>` a part of one, `<stride@row,col>` the same by axis, `<x.1>` an
//! extent of `in.x`, `<?bias>` whether there is a tensor.
mod case;
mod program;
mod run;
mod table;

use case::{Case, cases};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stmc_tests::devices;
use table::{Block, table};

/// What became of the cases of an operation.
#[derive(Default)]
struct Row {
    ran: usize,
    passed: usize,
    tensors: usize,
    not_applicable: usize,
}

fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("STMC_REFERENCE").map(|f| Path::new(&f).join("oracle/ops"));
    if folder.is_none() {
        devices::skipped("comparisons of single operations: STMC_REFERENCE is not set");
    }
    folder
}

fn print(rows: &BTreeMap<String, Row>, none: &[String]) {
    println!("{:24} {:>6} {:>7} {:>8} {:>15}", "operation", "ran", "passed", "tensors", "not applicable");
    let line = |name: &str, r: &Row| {
        println!("{name:24} {:6} {:7} {:8} {:15}", r.ran, r.passed, r.tensors, r.not_applicable);
    };
    let mut all = Row::default();
    for (name, row) in rows {
        line(name, row);
        all.ran += row.ran;
        all.passed += row.passed;
        all.tensors += row.tensors;
        all.not_applicable += row.not_applicable;
    }
    line("all", &all);
    none.iter().for_each(|n| println!("not applicable: {n}"));
}

fn operation(case: &Case) -> String {
    case.attrs["op"].as_str().expect("a case has an operation").to_string()
}

#[test]
fn operations_agree_with_the_oracle() {
    let Some(folder) = reference() else { return };
    let (blocks, cases) = (table(), cases(&folder));
    let mut device = stmc::device(stmc::DeviceKind::Cpu, 1).expect("the processor is there");
    // `STMC_CASE=conv2d` looks at those alone whose name begins so.
    let only = std::env::var("STMC_CASE").unwrap_or_default();
    let (mut rows, mut none, mut faults) = (BTreeMap::<String, Row>::new(), vec![], vec![]);
    for case in cases.iter().filter(|c| c.name.starts_with(&only)) {
        let row = rows.entry(operation(case)).or_default();
        match blocks.iter().find(|b| case.is(b)) {
            None => faults.push(format!("{}: the table has no row for it", case.name)),
            Some(Block { none: Some(why), .. }) => {
                row.not_applicable += 1;
                none.push(format!("{}: {why}", case.name));
            }
            Some(block) => {
                row.ran += 1;
                match run::run(case, block, &folder, &mut *device) {
                    Ok(tensors) => {
                        row.passed += 1;
                        row.tensors += tensors;
                    }
                    Err(fault) => faults.push(format!("{}: {fault}", case.name)),
                }
            }
        }
    }
    print(&rows, &none);
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
