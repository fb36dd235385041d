//! Changes programs until the time is over: `mutations MINUTES SEED FOLDER…`. What goes wrong is kept in
//! `target/mutations` beside.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stmc_fuzz::mutate::{Random, mutate};

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "stm") {
            found.push(path);
        }
    }
}

fn attempt(text: &str, folder: &Path, at: usize) -> Result<(), String> {
    let begin = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| {
        stmc_fuzz::read(text)?;
        stmc_fuzz::check(text, folder, at)
    }));
    answer.unwrap_or_else(|_| Err("it panics".to_string()))?;
    match begin.elapsed() > Duration::from_secs(5) {
        true => Err(format!("it takes {:.0?}", begin.elapsed())),
        false => Ok(()),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [minutes, seed, folders @ ..] = &arguments[..] else { panic!("mutations MINUTES SEED FOLDER…") };
    let limit = Duration::from_secs(60 * minutes.parse::<u64>().expect("minutes are a number"));
    let seed: u64 = seed.parse().expect("the seed is a number");
    let mut programs = vec![];
    folders.iter().for_each(|f| collect(Path::new(f), &mut programs));
    programs.sort();
    let kept = Path::new("target/mutations");
    std::fs::create_dir_all(kept).expect("a folder can be made");
    let (begin, mut tried, mut faults) = (Instant::now(), 0, 0);
    while begin.elapsed() < limit && faults < 200 {
        let mut random = Random(seed << 32 | tried);
        tried += 1;
        let path = &programs[random.below(programs.len())];
        let text = std::fs::read_to_string(path).expect("a program is text");
        let text = mutate(&text, &mut random);
        let at = text.floor_char_boundary(random.below(text.len() + 1));
        // Should the stack overflow, which ends the process, this is the program that did it.
        std::fs::write(kept.join(format!("last-{seed}.stm")), &text).expect("the program can be written");
        if let Err(fault) = attempt(&text, path.parent().expect("a file is in a folder"), at) {
            faults += 1;
            let name = kept.join(format!("{seed}-{tried}.stm"));
            std::fs::write(&name, &text).expect("the program can be written");
            println!("{}: {fault}\n    from {}", name.display(), path.display());
        }
    }
    println!("{tried} programs in {:.0?}, {faults} faults", begin.elapsed());
}
