//! Models at the size that they are used in have as many weights as are known of them: each program asserts it, here with its sizes set.
use std::path::Path;
use stmc::Options;

/// A program of `oracle/`, its sizes, and its weights.
const CASES: [(&str, &str, u64); 4] = [
    (
        "climate_cnn_gru",
        "months=12 rows=48 columns=72 width=32 hidden=512 dropout=0.2 train.batch=4",
        352_878_672,
    ),
    ("convlstm_ed", "side=64 frames=9 hidden=[64,32,32,16]", 4_273_424),
    ("convlstm_openstl", "side=64 pre=10 aft=10 hidden=[128,128,128,128]", 11_675_648),
    (
        "et_cnntransformer_v8",
        "steps=8 variables=20 side=60 c1=32 c2=64 d=128 heads=8 layers=4 wide=512 bands=8 reduction=16 ring=8",
        1_656_606,
    ),
];

fn check(program: &str, sizes: &str, weights: u64) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("oracle/{program}.stm"));
    let mut set: Vec<String> = sizes.split_whitespace().map(str::to_string).collect();
    set.push(format!("weights={weights}"));
    let options = Options { set, ..Options::default() };
    stmc::check_file(&path, &options).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn models_have_their_weights_at_full_size() {
    for (program, sizes, weights) in CASES {
        check(program, sizes, weights).unwrap_or_else(|e| panic!("{program}: {e}"));
        let other =
            check(program, sizes, weights + 1).expect_err("the program holds its weights to a number");
        assert!(other.contains("E0405"), "{program}: {other}");
    }
}
