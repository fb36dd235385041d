//! The examples that make their own data check as they are, and a short training of each beats its baseline on samples not seen.
mod common;

use common::{folder, repository, succeeds, text};

/// Two numbers of the test part, of which the first has to be larger: a score and its baseline, or a baseline and the error.
type Order = (&'static str, &'static str);

/// Files, their models, what makes the training short, and what has to come out.
const EXAMPLES: &[(&str, &str, &[&str], &[Order])] = &[
    ("heartbeat/cnn_gru.stm", "BeatSeries", SERIES, &[("recall", "nearest_recall")]),
    ("heartbeat/cnn_2d.stm", "BeatImage", BEATS, &[("recall", "nearest_recall")]),
    ("heartbeat/transformer.stm", "BeatTokens", BEATS, &[("recall", "nearest_recall")]),
    ("species/species.stm", "Language", PLANTS, &[("accuracy", "nearest_mean")]),
    ("species/species.stm", "Vision", PLANTS, &[("accuracy", "nearest_mean")]),
    ("species/species.stm", "Autoencoder", PLANTS, &[("mean_words", "words")]),
    (
        "emulator/emulator.stm",
        "Emulator",
        CLIMATE,
        &[
            ("tas_climatology", "tas_error"),
            ("tas_year_ago", "tas_error"),
            ("pr_climatology", "pr_error"),
            ("pr_year_ago", "pr_error"),
        ],
    ),
    ("emulator/volume.stm", "Volume", VOLUME, &[("tas_climatology", "tas_error")]),
    ("evapotranspiration/evapotranspiration.stm", "V8", LAND, &[("climatology", "error")]),
];

const FEW: &str = "ecg.from=heartbeats(count: 1000, patients: 20, seed: 2)";
const SERIES: &[&str] = &[FEW, "filters=16", "blocks=2", "train.epochs=8"];
const BEATS: &[&str] = &[FEW, "filters=16", "train.epochs=3"];
const PLANTS: &[&str] = &["train.epochs=6"];
const CLIMATE: &[&str] = &["width=4", "hidden=32", "train.epochs=2"];
const VOLUME: &[&str] = &["width=4", "months=4", "train.epochs=1"];
const LAND: &[&str] = &["steps=2", "halo=0", "train.epochs=4"];

#[test]
fn examples_check_without_warnings() {
    for &(file, model, ..) in EXAMPLES {
        let said = succeeds(&["check", &text(&repository("examples").join(file)), "--model", model]);
        assert!(said.contains("no errors, no warnings"), "{file}: {said}");
    }
}

#[test]
fn examples_beat_their_baselines() {
    for &(file, model, settings, orders) in EXAMPLES {
        let (file, out) = (text(&repository("examples").join(file)), folder(&format!("example-{model}")));
        let (out, sets) = (text(&out.join("run")), settings.iter().flat_map(|s| ["--set", *s]));
        let arguments =
            ["train", file.as_str(), "--model", model, "--out", out.as_str()].into_iter().chain(sets);
        let said = succeeds(&arguments.collect::<Vec<_>>());
        let test = |name: &str| {
            let line = said.lines().find(|l| l.split_whitespace().next() == Some(name));
            // A unit may follow the number.
            let number = line.and_then(|l| l.split_whitespace().rev().find_map(|x| x.parse::<f64>().ok()));
            number.unwrap_or_else(|| panic!("{model}: there is no `{name}` in\n{said}"))
        };
        for (more, less) in orders {
            let (large, small) = (test(more), test(less));
            assert!(large > small, "{model}: {more} {large}, {less} {small}");
        }
    }
}
