//! `curves.svg`: how loss and metrics went, epoch by epoch. One panel per unit. Sole user of kuva.
use crate::score::Score;
use kuva::prelude::{Figure, Layout, LinePlot, Plot, ScatterPlot, SvgBackend, TickFormat};
use kuva::render::render::Primitive;
use kuva::render::render_utils::compute_tick_step;
use std::sync::Arc;

/// A line of a panel.
#[derive(Clone, PartialEq, Debug)]
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// Epoch and value; values that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Curves with one scale.
#[derive(Clone, PartialEq, Debug)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// In order of the legend.
    pub curves: Vec<Curve>,
}

/// What an epoch gave.
#[derive(Clone, PartialEq, Debug)]
pub struct EpochScores {
    /// Epochs done.
    pub epoch: u64,
    /// Mean of the loss over its updates.
    pub train_loss: f64,
    /// Metrics of the part that is watched, the loss first.
    pub valid: Vec<Score>,
}

/// The panels of a run: the loss of both parts, then the other metrics that are numbers, those of a unit together.
pub fn panels(epochs: &[EpochScores]) -> Vec<Panel> {
    let curve = |name: &str, value: &dyn Fn(&EpochScores) -> Option<f64>| Curve {
        name: name.into(),
        points: epochs.iter().filter_map(|e| Some((e.epoch as f64, value(e)?))).collect(),
    };
    let valid = |name: &str| curve(name, &|e| e.valid.iter().find(|s| s.name == name)?.number());
    let mut loss = vec![curve("train", &|e| Some(e.train_loss))];
    let metrics = epochs.first().map_or(&[][..], |e| &e.valid[..]);
    if metrics.iter().any(|m| m.name == "loss") {
        loss.push(Curve { name: "valid".into(), ..valid("loss") });
    }
    let mut panels = vec![Panel { title: "loss".into(), curves: loss }];
    for metric in metrics.iter().filter(|m| m.name != "loss" && m.number().is_some()) {
        let no_unit = if metric.name.starts_with("loss.") { "terms of the loss" } else { "metrics" };
        let title = metric.unit.clone().unwrap_or_else(|| no_unit.into());
        match panels[1..].iter_mut().find(|p| p.title == title) {
            Some(panel) => panel.curves.push(valid(&metric.name)),
            None => panels.push(Panel { title, curves: vec![valid(&metric.name)] }),
        }
    }
    panels
}

/// Width and height of a panel in pixels.
const PANEL: (f64, f64) = (720.0, 240.0);
/// Steps between the ticks of the epochs, about.
const TICKS: usize = 8;
/// Okabe and Ito's colours, which colour-blind people can tell apart, but for the yellow, which is pale on white.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];

/// The text of the file.
pub fn svg(panels: &[Panel]) -> String {
    let (layouts, plots) = panels.iter().map(|panel| (panel.layout(), panel.plots())).unzip();
    let figure = Figure::new(panels.len(), 1).with_layouts(layouts).with_plots(plots);
    let mut scene = figure.with_cell_size(PANEL.0, PANEL.1).render();
    // The axes hold every point. And clips are numbered through the process, so that the text would depend on earlier ones.
    scene.defs.clear();
    scene.elements.retain(|e| !matches!(e, Primitive::ClipStart { .. } | Primitive::ClipEnd));
    SvgBackend::new().render_scene(&scene)
}

impl Panel {
    fn plots(&self) -> Vec<Plot> {
        let colours = COLOURS.iter().cycle();
        self.curves.iter().zip(colours).flat_map(|(curve, colour)| curve.plots(colour)).collect()
    }

    fn layout(&self) -> Layout {
        let points = || self.curves.iter().flat_map(Curve::finite);
        let last = points().map(|p| p.0).fold(2.0, f64::max);
        let layout = Layout::auto_from_plots(&self.plots())
            .with_title(escape(&self.title))
            .with_title_size(14)
            .with_x_label("epoch")
            .with_x_axis_min(1.0)
            .with_x_axis_max(last)
            .with_x_tick_step(compute_tick_step(1.0, last, TICKS).round().max(1.0))
            .with_y_tick_format(TickFormat::Custom(Arc::new(label)))
            .with_legend_box(false);
        let low = points().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let high = points().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        // Logarithmic where positive values span more than a factor of 20.
        if low > 0.0 && high > 20.0 * low {
            return layout.with_log_y();
        }
        layout
    }
}

/// A tick's value, without the rounding of how it was reached.
fn label(x: f64) -> String {
    let digits = format!("{x:.6e}").parse().unwrap_or(x);
    if x == 0.0 || (1e-4..1e5).contains(&x.abs()) { format!("{digits}") } else { format!("{digits:e}") }
}

impl Curve {
    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|p| p.1.is_finite())
    }

    /// A line; a single point is a dot.
    fn plots(&self, colour: &str) -> Vec<Plot> {
        let points: Vec<(f64, f64)> = self.finite().collect();
        let dot =
            (points.len() == 1).then(|| ScatterPlot::new().with_data(points.clone()).with_color(colour));
        let line = LinePlot::new().with_data(points).with_color(colour).with_legend(escape(&self.name));
        dot.map(Plot::from).into_iter().chain([line.into()]).collect()
    }
}

/// Between dollar signs would be a formula.
fn escape(text: &str) -> String {
    text.replace('$', "\\$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(name: &str, unit: Option<&str>, value: f64) -> Score {
        Score { name: name.into(), unit: unit.map(str::to_string), axes: vec![], values: vec![value] }
    }

    #[test]
    fn metrics_of_a_unit_share_a_panel() {
        let epochs: Vec<EpochScores> = (1..=12)
            .map(|epoch| EpochScores {
                epoch,
                train_loss: 4.0 * (-0.4 * epoch as f64).exp() + 0.01,
                valid: vec![
                    score("loss", None, 4.0 * (-0.3 * epoch as f64).exp() + 0.1),
                    score("error", Some("mm/h"), 1.0 + 1.0 / epoch as f64),
                    score("csi & more", None, 1.0 - 1.0 / epoch as f64),
                    score("persistence", Some("mm/h"), if epoch == 3 { f64::NAN } else { 1.8 }),
                ],
            })
            .collect();
        let panels = panels(&epochs);
        let shown: Vec<(&str, Vec<&str>)> =
            panels.iter().map(|p| (&p.title[..], p.curves.iter().map(|c| &c.name[..]).collect())).collect();
        assert_eq!(
            shown,
            [
                ("loss", vec!["train", "valid"]),
                ("mm/h", vec!["error", "persistence"]),
                ("metrics", vec!["csi & more"])
            ]
        );
        let text = svg(&panels);
        if let Some(folder) = std::env::var_os("STMC_PICTURES") {
            std::fs::write(std::path::Path::new(&folder).join("curves.svg"), &text).unwrap();
        }
        assert!(text.contains("csi &amp; more") && !text.contains("NaN"), "{text}");
        assert_eq!(text, svg(&panels));
    }

    #[test]
    fn ticks_are_plain_numbers() {
        let told = [
            (0.005, "0.005"),
            (0.1 + 0.2, "0.3"),
            (-2.0, "-2"),
            (0.0, "0"),
            (2e-5, "2e-5"),
            (1.5e6, "1.5e6"),
        ];
        told.into_iter().for_each(|(x, text)| assert_eq!(label(x), text));
    }

    #[test]
    fn whatever_a_run_gives_can_be_drawn() {
        let big = f64::from(f32::MAX);
        let runs: [&[f64]; 9] = [
            &[],
            &[0.5],
            &[f64::NAN, f64::INFINITY],
            &[0.0, 0.0],
            &[-1.0, 1e-300, 1.0],
            &[1e-300, 1e300],
            &[1.0, 1.0 + f64::EPSILON],
            &[-big, big],
            &[1e-12, 1e-30, 1e-40],
        ];
        for values in runs {
            let points = values.iter().enumerate().map(|(i, x)| (1.0 + i as f64, *x)).collect();
            let curve = Curve { name: "loss in $".into(), points };
            let text = svg(&[Panel { title: "loss".into(), curves: vec![curve] }]);
            assert!(text.contains("loss in $") && !text.contains("NaN"), "{values:?}: {text}");
        }
    }
}
