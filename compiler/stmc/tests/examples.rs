//! The examples that make their own data check as they are, and a short training of each beats its baseline on samples not seen.
mod common;

use common::{folder, repository, succeeds, text};

/// Files, their models, what makes the training short, and a metric beside the baseline that it has to beat.
const EXAMPLES: &[(&str, &str, &[&str], &str, &str)] = &[
    ("heartbeat/cnn_gru.stm", "BeatSeries", SERIES, "recall", "nearest_recall"),
    ("heartbeat/cnn_2d.stm", "BeatImage", BEATS, "recall", "nearest_recall"),
    ("heartbeat/transformer.stm", "BeatTokens", BEATS, "recall", "nearest_recall"),
    ("species/species.stm", "Language", PLANTS, "accuracy", "nearest_mean"),
    ("species/species.stm", "Vision", PLANTS, "accuracy", "nearest_mean"),
    ("species/species.stm", "Autoencoder", PLANTS, "mean_words", "words"),
];

const FEW: &str = "ecg.from=heartbeats(count: 1000, patients: 20, seed: 2)";
const SERIES: &[&str] = &[FEW, "filters=16", "blocks=2", "train.epochs=8"];
const BEATS: &[&str] = &[FEW, "filters=16", "train.epochs=3"];
const PLANTS: &[&str] = &["train.epochs=6"];

#[test]
fn examples_check_without_warnings() {
    for &(file, model, ..) in EXAMPLES {
        let said = succeeds(&["check", &text(&repository("examples").join(file)), "--model", model]);
        assert!(said.contains("no errors, no warnings"), "{file}: {said}");
    }
}

#[test]
fn examples_beat_their_baselines() {
    for &(file, model, settings, metric, baseline) in EXAMPLES {
        let (file, out) = (text(&repository("examples").join(file)), folder(&format!("example-{model}")));
        let (out, sets) = (text(&out.join("run")), settings.iter().flat_map(|s| ["--set", *s]));
        let arguments =
            ["train", file.as_str(), "--model", model, "--out", out.as_str()].into_iter().chain(sets);
        let said = succeeds(&arguments.collect::<Vec<_>>());
        let test = |name: &str| {
            let line = said.lines().find(|l| l.split_whitespace().next() == Some(name));
            let number = line.and_then(|l| l.split_whitespace().last()).and_then(|x| x.parse::<f64>().ok());
            number.unwrap_or_else(|| panic!("{model}: there is no `{name}` in\n{said}"))
        };
        let (score, simple) = (test(metric), test(baseline));
        assert!(score > simple, "{model}: {metric} {score}, {baseline} {simple}");
    }
}
