//! The table `oracle/ops.txt`, block by block.
use std::path::Path;

/// A block of the table.
#[derive(Default, Clone, Debug)]
pub struct Block {
    pub op: String,
    pub conditions: Vec<String>,
    pub given: Vec<String>,
    pub space: Option<String>,
    pub uses: Vec<String>,
    pub file: Vec<String>,
    pub model: Vec<String>,
    pub train: Vec<String>,
    pub out: Vec<String>,
    pub loss: Vec<String>,
    /// What is minimised instead of the outputs' products.
    pub minimize: Option<String>,
    pub after: Vec<String>,
    pub average: Vec<String>,
    pub rate: Option<String>,
    /// How many of the rates are compared. `None`: all.
    pub first: Option<usize>,
    pub none: Option<String>,
}

pub fn table() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/ops.txt");
    let text = std::fs::read_to_string(path).expect("the table is there");
    let mut blocks: Vec<Block> = vec![];
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (word, rest) = line.split_once(' ').expect("a line has a word and the rest");
        let rest = rest.trim().to_string();
        if word == "op" {
            let mut words = rest.split_whitespace().map(str::to_string);
            let op = words.next().expect("a block has a name");
            blocks.push(Block { op, conditions: words.collect(), ..Block::default() });
            continue;
        }
        let block = blocks.last_mut().expect("a block begins with `op`");
        match word {
            "given" => block.given.extend(rest.split(';').map(|g| g.trim().to_string())),
            "space" => block.space = Some(rest),
            "use" => block.uses.push(rest),
            "file" => block.file.push(rest),
            "model" => block.model.push(rest),
            "train" => block.train.push(rest),
            "out" => block.out.push(rest),
            "loss" => block.loss.push(rest),
            "minimize" => block.minimize = Some(rest),
            "after" => block.after.push(rest),
            "average" => block.average.push(rest),
            "rate" => block.rate = Some(rest),
            "first" => block.first = Some(rest.parse().expect("a number of rates")),
            "none" => block.none = Some(rest),
            other => panic!("the table has no `{other}`"),
        }
    }
    blocks
}
