//! The manual tells the truth: every example in it is compiled, and everything that it shows `stmc` saying is what `stmc` says.
//! With `STMC_BLESS` set the messages and the outputs are written anew; the diff is to be read.
//!
//! A block of the language (```` ```stm ````) is a whole file that checks without a word; lines that begin with `~` are folded
//! away. Its tags: `error` and `warning` (the block after it is what `stmc check` says), `file=NAME` (its name, else
//! `model.stm`), `schema=NAME` (checked with that file in place of the data). A block of another language with `file=NAME` is a
//! file beside it. In a `console` block, each line `$ stmc …` is run there, and the lines after it are what it prints.
mod common;

use common::{command, folder, repository};
use std::path::{Path, PathBuf};

/// The line that opens it, and the lines within, by their numbers in the page.
struct Block {
    info: String,
    lines: std::ops::Range<usize>,
}

/// A page that is being read, and the folder where its files are.
struct Page {
    path: PathBuf,
    lines: Vec<String>,
    folder: PathBuf,
    /// Examples that do not do what they should.
    faults: Vec<String>,
    /// Outputs that are not those shown.
    changes: Vec<String>,
}

#[test]
fn the_manual_tells_the_truth() {
    let folder = folder("manual");
    let mut faults = vec![];
    for (n, path) in pages().into_iter().enumerate() {
        let mut page = Page::read(path, folder.join(n.to_string()));
        page.hold();
        faults.extend(page.faults);
        if std::env::var_os("STMC_BLESS").is_none() {
            faults.extend(page.changes);
        } else if !page.changes.is_empty() {
            std::fs::write(&page.path, page.lines.join("\n") + "\n").expect("the page can be written");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_is_listed_and_every_link_leads_somewhere() {
    let all = pages();
    let summary = std::fs::read_to_string(source().join("SUMMARY.md")).expect("the manual has a summary");
    for page in &all {
        let relative = page.strip_prefix(source()).expect("pages are in the manual").display().to_string();
        assert!(
            relative == "SUMMARY.md" || summary.contains(&format!("({relative})")),
            "{relative} is not listed"
        );
        let text = std::fs::read_to_string(page).expect("a page is text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().expect("a split has a first part");
            if target.is_empty() || target.contains("://") || !target.ends_with(".md") {
                continue;
            }
            let there = page.parent().expect("a page is in a folder").join(target);
            assert!(there.exists(), "{relative} links to {link}, which is not there");
        }
    }
}

fn source() -> PathBuf {
    repository("grammar/manual/src")
}

fn pages() -> Vec<PathBuf> {
    let mut found = vec![];
    collect(&source(), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the manual is there") {
        let path = entry.expect("the manual can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

impl Page {
    fn read(path: PathBuf, folder: PathBuf) -> Page {
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        let text = std::fs::read_to_string(&path).expect("a page is text");
        let lines = text.lines().map(str::to_string).collect();
        Page { path, lines, folder, faults: vec![], changes: vec![] }
    }

    /// Holds each block to what `stmc` says. From the end: what is put in a block's place moves no block before it.
    fn hold(&mut self) {
        let blocks = self.blocks();
        for block in &blocks {
            if let Some(name) = tag(&block.info, "file=").or(is_program(&block.info).then_some("model.stm")) {
                self.write(name, block);
            }
        }
        for (n, block) in blocks.iter().enumerate().rev() {
            if block.info.starts_with("console") {
                self.console(&blocks[..n], block);
            } else if is_program(&block.info) {
                self.program(block, blocks.get(n + 1));
            }
        }
    }

    fn blocks(&self) -> Vec<Block> {
        let mut found = vec![];
        let mut open: Option<(String, usize)> = None;
        for (n, line) in self.lines.iter().enumerate() {
            let Some(info) = line.strip_prefix("```") else { continue };
            open = match open {
                None => Some((info.to_string(), n + 1)),
                Some((info, start)) => {
                    found.push(Block { info, lines: start..n });
                    None
                }
            };
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        found
    }

    fn write(&self, name: &str, block: &Block) {
        let shown = |line: &String| line.strip_prefix('~').unwrap_or(line).to_string() + "\n";
        let text: String = self.lines[block.lines.clone()].iter().map(shown).collect();
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder"))
            .expect("the folder can be written");
        std::fs::write(path, text).expect("the folder can be written");
    }

    /// What `stmc check` says of a program is nothing, or what the next block shows.
    fn program(&mut self, block: &Block, next: Option<&Block>) {
        let name = tag(&block.info, "file=").unwrap_or("model.stm").to_string();
        self.write(&name, block);
        let mut arguments = vec!["check", &name];
        if let Some(schema) = tag(&block.info, "schema=") {
            arguments.extend(["--schema", schema]);
        }
        let (is_good, out, messages) = self.run(&arguments);
        let is_wrong = block.info.split(',').any(|t| t == "error");
        if is_good == is_wrong {
            self.fault(block, &format!("{out}{messages}"));
        } else if is_wrong || block.info.split(',').any(|t| t == "warning") {
            let shown = next.filter(|b| b.info == "text").expect("a message follows in a block of text");
            self.replace(shown, &messages);
        } else if !messages.is_empty() {
            self.fault(block, &messages);
        }
    }

    /// Runs a console's commands beside the last program before it.
    fn console(&mut self, before: &[Block], block: &Block) {
        for program in before {
            if let Some(name) =
                tag(&program.info, "file=").or(is_program(&program.info).then_some("model.stm"))
            {
                self.write(name, program);
            }
        }
        let commands: Vec<String> =
            self.lines[block.lines.clone()].iter().filter(|l| l.starts_with("$ stmc ")).cloned().collect();
        let mut shown = String::new();
        for line in commands {
            let arguments: Vec<&str> = line.split(' ').skip(2).collect();
            let (_, out, messages) = self.run(&arguments);
            shown += &format!("{line}\n{out}{messages}\n");
        }
        self.replace(block, &shown);
    }

    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = command(arguments);
        let output =
            command.current_dir(&self.folder).env("NO_COLOR", "1").output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the binary prints text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    fn fault(&mut self, block: &Block, said: &str) {
        self.faults.push(format!("{}:{}\n{said}", self.path.display(), block.lines.start));
    }

    fn replace(&mut self, block: &Block, text: &str) {
        let lines: Vec<String> = text.trim_end().lines().map(|l| l.trim_end().to_string()).collect();
        if self.lines[block.lines.clone()] != lines {
            self.changes.push(format!("{}:{}\n{text}", self.path.display(), block.lines.start));
        }
        self.lines.splice(block.lines.clone(), lines);
    }
}

fn is_program(info: &str) -> bool {
    info == "stm" || info.starts_with("stm,")
}

fn tag<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.split(',').find_map(|t| t.strip_prefix(name))
}
