//! `curves.svg`: how loss and metrics went, epoch by epoch. Plain SVG, one panel per unit.
use crate::score::Score;
use std::fmt::Write;

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
        let title = metric.unit.clone().unwrap_or_else(|| "metrics".into());
        match panels[1..].iter_mut().find(|p| p.title == title) {
            Some(panel) => panel.curves.push(valid(&metric.name)),
            None => panels.push(Panel { title, curves: vec![valid(&metric.name)] }),
        }
    }
    panels
}

const WIDTH: f64 = 720.0;
const PANEL: f64 = 220.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 36.0;
/// Okabe and Ito's colours, which colour-blind people can tell apart.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];

/// The text of the file.
pub fn svg(panels: &[Panel]) -> String {
    let height = PANEL * panels.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        write!(out, "<g transform=\"translate(0 {})\">\n{}</g>\n", PANEL * i as f64, panel.draw())
            .expect("text grows");
    }
    out + "</svg>\n"
}

impl Panel {
    fn draw(&self) -> String {
        let points = || self.curves.iter().flat_map(|c| &c.points).filter(|p| p.1.is_finite());
        let x = Axis::linear(points().map(|p| p.0), LEFT, WIDTH - RIGHT);
        let y = Axis::of_values(points().map(|p| p.1), PANEL - BOTTOM, TOP);
        let mut out =
            format!("<text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{}</text>\n", escape(&self.title));
        let mut line = |text: String| out.push_str(&text);
        for (value, label) in y.ticks() {
            let at = y.place(value);
            line(format!("<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#ddd\"/>\n", WIDTH - RIGHT));
            line(format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                LEFT - 6.0,
                at + 4.0
            ));
        }
        for (value, label) in x.ticks().into_iter().filter(|t| t.0.fract() == 0.0) {
            let (at, foot) = (x.place(value), PANEL - BOTTOM);
            line(format!("<path d=\"M{at:.1} {foot}v4\" stroke=\"#888\"/>\n"));
            line(format!(
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
                foot + 17.0
            ));
        }
        line(format!(
            "<path d=\"M{LEFT} {TOP}V{}H{}\" fill=\"none\" stroke=\"#888\"/>\n",
            PANEL - BOTTOM,
            WIDTH - RIGHT
        ));
        line(format!("<text x=\"{}\" y=\"{}\">epoch</text>\n", WIDTH - RIGHT + 18.0, PANEL - BOTTOM + 17.0));
        for (i, curve) in self.curves.iter().enumerate() {
            line(curve.draw(&x, &y, COLOURS[i % COLOURS.len()], TOP + 8.0 + 17.0 * i as f64));
        }
        out
    }
}

impl Curve {
    fn draw(&self, x: &Axis, y: &Axis, colour: &str, legend: f64) -> String {
        let finite = self.points.iter().filter(|p| p.1.is_finite());
        let places: Vec<String> =
            finite.map(|p| format!("{:.1},{:.1}", x.place(p.0), y.place(p.1))).collect();
        let left = WIDTH - RIGHT + 10.0;
        let mark = match &places[..] {
            [one] => {
                let (cx, cy) = one.split_once(',').expect("a place has two numbers");
                format!("<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3\" fill=\"{colour}\"/>\n")
            }
            _ => format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                places.join(" ")
            ),
        };
        let name = escape(&self.name);
        mark + &format!("<path d=\"M{left} {legend}h16\" stroke=\"{colour}\" stroke-width=\"3\"/>\n")
            + &format!("<text x=\"{}\" y=\"{}\">{name}</text>\n", left + 21.0, legend + 4.0)
    }
}

/// From values to places on the page.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Axis {
    fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, high + 0.5) };
        Axis { low, high, from, to, log: false }
    }

    /// Logarithmic where positive values span more than a factor of 20.
    fn of_values(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let mut axis = Axis::linear(values, from, to);
        axis.log = axis.low > 0.0 && axis.high > 20.0 * axis.low;
        if !axis.log {
            let air = 0.05 * (axis.high - axis.low);
            // Zero stays the floor of what is never negative.
            axis.low = if axis.low >= 0.0 { (axis.low - air).max(0.0) } else { axis.low - air };
            axis.high += air;
        }
        axis
    }

    fn place(&self, value: f64) -> f64 {
        let scale = |x: f64| if self.log { x.ln() } else { x };
        let share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low));
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        if self.log {
            let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let wide = self.high > 1000.0 * self.low;
            let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let all = powers.flat_map(|p| steps.iter().map(move |s| s * 10f64.powi(p)));
            return all.filter(|x| (self.low..=self.high).contains(x)).map(|x| (x, label(x, x))).collect();
        }
        let step = nice((self.high - self.low) / 6.0);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).map(|x| (x, label(x, step))).collect()
    }
}

/// The smallest of 1, 2, 5, 10, … (times a power of ten) that is not below `x`.
fn nice(x: f64) -> f64 {
    let power = 10f64.powf(x.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= x * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// With as many decimals as the step needs.
fn label(x: f64, step: f64) -> String {
    if x != 0.0 && !(1e-4..1e6).contains(&x.abs()) {
        return format!("{x:e}");
    }
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    format!("{x:.decimals$}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
        assert!(text.contains("csi &amp; more") && !text.contains("NaN") && text.ends_with("</svg>\n"));
        assert_eq!(text.matches("<polyline").count(), 5);
    }

    #[test]
    fn ticks_are_round_numbers() {
        let labels = |low: f64, high: f64| -> Vec<String> {
            let axis = Axis { low, high, from: 0.0, to: 1.0, log: false };
            axis.ticks().into_iter().map(|t| t.1).collect()
        };
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(1.0, 20.0), ["5", "10", "15", "20"]);
        let log = Axis::of_values([0.01, 5.0].into_iter(), 0.0, 1.0);
        assert!(log.ticks().iter().any(|t| t.1 == "0.1"), "{:?}", log.ticks());
    }
}
