//! `heartbeats(count:, patients:, length:, seed:)`: electrocardiograms of single beats in mV, 125 samples a second, with the R
//! wave a third of the way. Five classes, most beats being normal, told apart by the waves' shapes and by when the beats before and
//! after come. Patients differ in rhythm, shapes, noise, wander of the baseline, and in which beats they have.
use crate::draw::Draw;
use crate::generate::{Generated, Made, arguments};
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The classes, and the share that each has of all beats.
const CLASSES: [(&str, f32); 5] =
    [("normal", 0.70), ("supraventricular", 0.08), ("ventricular", 0.12), ("fusion", 0.04), ("paced", 0.06)];
/// Seconds from sample to sample.
const STEP: f32 = 1.0 / 125.0;
/// Seconds from beat to beat of a patient at rest.
const PULSE: Range<f32> = 0.62..1.05;
/// How far the marked R wave is from where it should be, seconds.
const MARK: Range<f32> = -0.016..0.016;
/// Standard deviation of a patient's noise, and the height of the baseline's wander, mV.
const NOISE: Range<f32> = 0.02..0.07;
const WANDER: Range<f32> = 0.03..0.25;

/// The generator: `signal` over row and time; `class` and `patient` over row.
pub(crate) struct Heartbeats {
    count: usize,
    patients: usize,
    length: usize,
    seed: u64,
}

impl Heartbeats {
    pub(crate) fn open(args: &BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError> {
        let known = [
            ("count", 5000, 1..10_000_001),
            ("patients", 50, 1..1_000_001),
            ("length", 187, 1..10_001),
            ("seed", 0, 0..1 << 53),
        ];
        let ([count, patients, length, seed], origin) = arguments("heartbeats", &known, args)?;
        let [count, patients, length] = [count, patients, length].map(|n| n as usize);
        let variables =
            vec![
                Made::new("signal", "f32", &[count, length], Heartbeats::signal).unit("mV"),
                Made::new("class", "text", &[count], |own: &Heartbeats, row| {
                    vec![own.class(row) as usize as f32]
                })
                .names(CLASSES.iter().map(|(name, _)| name.to_string())),
                Made::new("patient", "i32", &[count], |own: &Heartbeats, row| vec![own.number(row) as f32]),
            ];
        Ok(Arc::new(Generated::new(Heartbeats { count, patients, length, seed }, origin, variables)))
    }

    /// The number of the patient. Rows of one follow one another.
    fn number(&self, row: usize) -> usize {
        row * self.patients / self.count
    }

    fn patient(&self, row: usize) -> Patient {
        Patient::new(&mut Draw::new(self.seed, "patient", self.number(row)))
    }

    fn class(&self, row: usize) -> Class {
        self.patient(row).class(Draw::new(self.seed, "class", row).between(0.0..1.0))
    }

    fn signal(&self, row: usize) -> Vec<f32> {
        let (patient, class) = (self.patient(row), self.class(row));
        let mut draw = Draw::new(self.seed, "beat", row);
        let waves = patient.waves(class, &mut draw);
        let start = (self.length / 3) as f32 * STEP + draw.between(MARK);
        let wander: [f32; 4] = std::array::from_fn(|_| patient.wander * draw.between(-1.0..1.0));
        let value = |i: usize| {
            let t = i as f32 * STEP - start;
            // From -1 to 1: a cubic wanders as slowly as breath does.
            let u = 2.0 * i as f32 / self.length as f32 - 1.0;
            let base = wander[0] + u * (wander[1] + u * (wander[2] + u * wander[3]));
            waves.iter().map(|wave| wave.at(t)).sum::<f32>() + base
        };
        (0..self.length).map(|i| value(i) + patient.noise * draw.normal()).collect()
    }
}

/// In the order of `CLASSES`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Normal,
    Supraventricular,
    Ventricular,
    Fusion,
    Paced,
}

/// A hill or a valley.
#[derive(Clone, Copy)]
struct Wave {
    /// Seconds after the R wave.
    centre: f32,
    /// From the centre to either end, seconds.
    width: f32,
    /// mV.
    height: f32,
}

impl Wave {
    fn at(&self, t: f32) -> f32 {
        let x = (t - self.centre) / self.width;
        // (1 - x²)³ is close to a Gaussian of a third of the width, and ends.
        let inside = (1.0 - x * x).max(0.0);
        self.height * inside * inside * inside
    }

    /// Later, and as high as a share.
    fn moved(self, by: f32, share: f32) -> Wave {
        Wave { centre: self.centre + by, height: self.height * share, ..self }
    }
}

struct Patient {
    /// Seconds from beat to beat.
    pulse: f32,
    /// The waves P, Q, R, S and T of a normal beat.
    normal: [Wave; 5],
    /// A beat that begins in a chamber: a wide wave and the opposite one after it.
    ventricular: [Wave; 2],
    /// A beat that a pacemaker makes: its spike, a wide wave and the opposite one.
    paced: [Wave; 3],
    /// How frequent each class is; not yet shares of 1.
    weights: [f32; 5],
    noise: f32,
    wander: f32,
}

impl Patient {
    fn new(draw: &mut Draw) -> Patient {
        let pulse = draw.between(PULSE);
        let gain = draw.between(0.7..1.3);
        let mut wave = |centre: f32, width: f32, height: f32| Wave {
            centre: centre * draw.between(0.9..1.1),
            width: width * draw.between(0.8..1.25),
            height: gain * height * draw.between(0.6..1.4),
        };
        // The T wave comes sooner in a fast heart.
        let late = 0.30 * pulse.sqrt();
        let normal = [
            wave(-0.17, 0.06, 0.14),
            wave(-0.035, 0.025, -0.12),
            Wave { centre: 0.0, ..wave(0.0, 0.040, 1.0) },
            wave(0.040, 0.030, -0.22),
            wave(late, 0.13, 0.28),
        ];
        let mut ventricular = [wave(0.02, 0.14, 1.1), wave(0.32, 0.20, -0.45)];
        let paced = [wave(-0.07, 0.012, 0.6), wave(0.04, 0.13, 0.9), wave(0.36, 0.19, -0.40)];
        if draw.between(0.0..1.0) < 0.35 {
            ventricular.iter_mut().for_each(|wave| wave.height = -wave.height);
        }
        // Some patients have hardly any beats of a kind, others many.
        let mut factor = |class: usize| match class {
            0 => 1.0,
            _ => {
                let u = draw.between(0.0..1.0);
                0.25 + 2.25 * u * u
            }
        };
        let weights = std::array::from_fn(|class| CLASSES[class].1 * factor(class));
        Patient {
            pulse,
            normal,
            ventricular,
            paced,
            weights,
            noise: draw.between(NOISE),
            wander: draw.between(WANDER),
        }
    }

    /// The class at a place between 0 and 1, where the classes lie one after the other.
    fn class(&self, place: f32) -> Class {
        use Class::*;
        let mut left = place * self.weights.iter().sum::<f32>();
        let classes = [Normal, Supraventricular, Ventricular, Fusion, Paced];
        for (class, weight) in classes.into_iter().zip(self.weights) {
            left -= weight;
            if left < 0.0 {
                return class;
            }
        }
        // What rounding leaves.
        Normal
    }

    /// All waves around a beat of that class: its own, and those of the normal beats before and after it.
    fn waves(&self, class: Class, draw: &mut Draw) -> Vec<Wave> {
        let mut times = |before: Range<f32>, after: Range<f32>| {
            [-self.pulse * draw.between(before), self.pulse * draw.between(after)]
        };
        let neighbours = match class {
            Class::Normal => times(0.93..1.07, 0.93..1.07),
            Class::Supraventricular => times(0.62..0.85, 1.0..1.15),
            Class::Ventricular => times(0.55..0.80, 1.20..1.40),
            Class::Fusion => times(0.82..0.97, 1.0..1.20),
            Class::Paced => times(0.99..1.01, 0.99..1.01),
        };
        let mut waves: Vec<Wave> =
            neighbours.iter().flat_map(|&by| self.normal.map(|wave| wave.moved(by, 1.0))).collect();
        waves.extend(match class {
            Class::Normal => self.normal.to_vec(),
            Class::Supraventricular => self.early(draw),
            Class::Ventricular => self.ventricular.to_vec(),
            Class::Fusion => {
                let share = draw.between(0.3..0.7);
                let normal = self.normal.iter().map(|wave| wave.moved(0.0, share));
                normal.chain(self.ventricular.iter().map(|wave| wave.moved(0.0, 1.0 - share))).collect()
            }
            Class::Paced => self.paced.to_vec(),
        });
        waves.iter_mut().for_each(|wave| wave.height *= draw.between(0.9..1.1));
        waves
    }

    /// A beat from elsewhere in the atria: its P wave is close, flat or upside down; the rest is normal.
    fn early(&self, draw: &mut Draw) -> Vec<Wave> {
        let mut waves = self.normal.to_vec();
        waves[0] = waves[0].moved(draw.between(0.02..0.06), draw.between(-0.8..0.4));
        waves
    }
}
