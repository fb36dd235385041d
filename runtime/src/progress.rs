//! What a person sees while training goes on: a bar on a terminal, else one line per epoch. Sole user of indicatif.
use crate::score::digits;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// Shows how far training is. Writes to the standard error stream.
pub struct Progress {
    display: Display,
    began: Instant,
    /// Steps that were done when it began: they do not count for the speed.
    before: u64,
    total: u64,
    /// Stands before the epoch: `phase 2 of 9, `.
    phase: String,
}

enum Display {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// A bar on a terminal, else lines.
    pub fn new(phase: String, done: u64, total: u64) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { display: Display::Lines, ..Progress::silent(phase, done, total) };
        }
        let style = "{prefix} {wide_bar} {pos}/{len} steps, {eta} left{msg}";
        let style = ProgressStyle::with_template(style).expect("the template is one of ours");
        let bar = ProgressBar::new(total).with_style(style).with_position(done);
        bar.reset_eta();
        Progress { display: Display::Bar(bar), ..Progress::silent(phase, done, total) }
    }

    /// Shows nothing.
    pub fn silent(phase: String, done: u64, total: u64) -> Progress {
        Progress { display: Display::Nothing, began: Instant::now(), before: done, total, phase }
    }

    /// A step is done.
    pub fn step(&self, epoch: u64, step: u64, loss: f64) {
        if let Display::Bar(bar) = &self.display {
            bar.set_prefix(format!("{}epoch {}", self.phase, epoch + 1));
            bar.set_message(format!(", {}/s, loss {}", digits(self.speed(step)), digits(loss)));
            bar.set_position(step);
        }
    }

    /// An epoch is done: `text` says how it went.
    pub fn epoch(&self, epoch: u64, step: u64, text: &str) {
        let speed = self.speed(step);
        let line = format!("{}epoch {epoch}: {text}", self.phase);
        match &self.display {
            Display::Bar(bar) => bar.println(line),
            Display::Lines => {
                let left = (self.total - step) as f64 / speed.max(1e-9);
                eprintln!(
                    "{line} ({step}/{} steps, {}/s, {} left)",
                    self.total,
                    digits(speed),
                    duration(left)
                );
            }
            Display::Nothing => {}
        }
    }

    /// Steps in a second since it began.
    fn speed(&self, step: u64) -> f64 {
        (step - self.before) as f64 / self.began.elapsed().as_secs_f64().max(1e-9)
    }

    /// Nothing more comes.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

/// `1h02m`, `3m20s`, `5s`.
fn duration(seconds: f64) -> String {
    let all = seconds.round().clamp(0.0, 1e9) as u64;
    match (all / 3600, all / 60 % 60, all % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
