//! Examples that have a full size: they check at both sizes, and at the full one their weights are as many as they say.
use std::path::{Path, PathBuf};
use stmc::Options;

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}

fn check(path: &str, set: &[&str]) {
    let options = Options { set: set.iter().map(ToString::to_string).collect(), ..Options::default() };
    stmc::check_file(example(path), &options).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn examples_check_at_both_sizes() {
    check("emulator/emulator.stm", &[]);
    check("emulator/volume.stm", &[]);
    check("evapotranspiration/evapotranspiration.stm", &[]);
    // Their `assert`s hold the numbers of the originals: 352,878,672 and 1,656,606.
    check("emulator/emulator.stm", &["full=true"]);
    check("evapotranspiration/evapotranspiration.stm", &["full=true"]);
}
