//! The data blocks of the language's drafts, each with a schema that stands in for its files. The drafts are named by the
//! variable STMC_REFERENCE; without it there is nothing to check.
use std::path::{Path, PathBuf};
use stmc::{Error, Options};
use stmc_base::Code;

const DRAFTS: &[&str] = &[
    "crops",
    "deepearth",
    "emulator",
    "evapotranspiration",
    "heartbeat",
    "nowcast",
    "nowcast_openstl",
    "sst",
];

/// Mistakes that the drafts have, and their readers should not: a window of 13 months does not lie in a part of 12.
const MISTAKEN: &[(&str, Code)] = &[("sst", Code::E0904)];

/// What a data block may lean on: its own lines, statics and axes.
fn data_part(text: &str) -> String {
    let mut inside = false;
    let keep = |line: &&str| {
        inside |= line.starts_with("data ");
        let kept = inside
            || ["axis ", "axes ", "hyper ", "use std.data"].iter().any(|start| line.starts_with(start));
        inside &= *line != "}";
        kept
    };
    text.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

fn schema(name: &str) -> Options {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(format!("{name}.json"));
    let text = std::fs::read_to_string(path).expect("the schema is there");
    Options { schema: Some(serde_json::from_str(&text).expect("it is a schema")), ..Options::default() }
}

fn folder() -> Option<PathBuf> {
    let reference = std::env::var_os("STMC_REFERENCE");
    if reference.is_none() {
        println!("SKIPPED: STMC_REFERENCE is not set, so no drafts are checked");
    }
    reference.map(|r| PathBuf::from(r).join("drafts/examples"))
}

#[test]
fn data_blocks_check_with_their_schemas() {
    let Some(folder) = folder() else { return };
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drafts");
    std::fs::create_dir_all(&made).expect("the target folder is writable");
    let mut wrong = String::new();
    for name in DRAFTS {
        let text = std::fs::read_to_string(folder.join(format!("{name}.stm"))).expect("the draft is there");
        let file = made.join(format!("{name}.stm"));
        std::fs::write(&file, data_part(&text)).expect("the folder is writable");
        if let Err(error) = stmc::check_file(&file, &schema(name)) {
            let Error::Program { diagnostics, .. } = &error else { panic!("{error}") };
            // What no phase can compile yet is no mistake of the block.
            let known = |code: Code| code == Code::E0409 || MISTAKEN.contains(&(*name, code));
            if diagnostics.iter().any(|d| !known(d.code)) {
                wrong += &error.to_string();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The whole drafts: what is left of them is printed, and it is not in their data.
#[test]
fn drafts_have_no_mistakes_in_their_data() {
    let Some(folder) = folder() else { return };
    for name in DRAFTS {
        let Err(error) = stmc::check_file(folder.join(format!("{name}.stm")), &schema(name)) else {
            println!("{name}: no errors");
            continue;
        };
        let Error::Program { diagnostics, .. } = &error else { panic!("{error}") };
        println!("{name}: {} errors", diagnostics.len());
        let of_data = |code: Code| code >= Code::E0901 && code <= Code::E0905;
        let left = diagnostics.iter().find(|d| of_data(d.code) && !MISTAKEN.contains(&(*name, d.code)));
        assert!(left.is_none(), "{error}");
    }
}
