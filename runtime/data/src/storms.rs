//! `storms(size:, length:, count:, seed:)`: sequences of rain fields in mm/h. Cells drift with a common wind plus
//! their own, grow and decay, enter and leave. Only sums, products and roots are used, which every machine rounds alike: so all get the same bits.
use crate::draw::Draw;
use crate::generate::{Generated, Made, arguments};
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Less is no rain (mm/h).
const DRY: f32 = 0.1;
/// Strength of the common wind and of a cell's deviation from it, pixels per step along each axis.
const WIND: f32 = 1.3;
const SCATTER: f32 = 0.4;
/// Radii of cells at the outermost, pixels.
const RADIUS: Range<f32> = 5.0..11.0;
/// Rain at a cell's centre at its best moment, mm/h.
const PEAK: Range<f32> = 4.0..20.0;
/// Cells per pixel and step.
const DENSITY: f32 = 1.0 / 6000.0;
/// Half the time that a cell lives, steps.
const LIFE: Range<f32> = 6.0..16.0;

/// The generator: one variable without a name, over sequence, time, row and column.
pub(crate) struct Storms {
    size: usize,
    length: usize,
    seed: u64,
}

impl Storms {
    pub(crate) fn open(args: &BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError> {
        let known = [
            ("size", 32, 1..4097),
            ("length", 20, 1..100_001),
            ("count", 1000, 1..10_000_001),
            ("seed", 0, 0..1 << 53),
        ];
        let ([size, length, count, seed], origin) = arguments("storms", known, args)?;
        let [size, length, count] = [size, length, count].map(|n| n as usize);
        let rain = Made::new("", "f32", &[count, length, size, size], Storms::sequence).unit("mm/h");
        Ok(Arc::new(Generated::new(Storms { size, length, seed }, origin, vec![rain])))
    }

    /// The values of a sequence over time, row and column.
    fn sequence(&self, number: usize) -> Vec<f32> {
        let cells = cells(self.seed, number, self.size, self.length);
        let mut rain = vec![0.0; self.length * self.size * self.size];
        for (time, frame) in rain.chunks_exact_mut(self.size * self.size).enumerate() {
            cells.iter().for_each(|cell| cell.add(time as f32, frame, self.size));
            frame.iter_mut().filter(|x| **x < DRY).for_each(|x| *x = 0.0);
        }
        rain
    }
}

/// A rain cell: an elliptic hill on a straight way, whose height is a parabola of time.
struct Cell {
    /// Row and column of the centre at time 0.
    centre: [f32; 2],
    /// Per step.
    velocity: [f32; 2],
    /// Squared distance at (row, col): `form[0] row² + 2 form[1] row col + form[2] col²`, 1 at the edge.
    form: [f32; 3],
    /// The longest radius: no rain further away.
    reach: f32,
    /// Rain at the best moment, mm/h.
    peak: f32,
    /// When that is, and how long before and after it there is rain.
    prime: f32,
    life: f32,
}

/// The cells of a sequence. About three at a time on 32 x 32 pixels.
fn cells(seed: u64, number: usize, size: usize, length: usize) -> Vec<Cell> {
    let mut draw = Draw::new(seed, "storms", number);
    let wind = [draw.between(-WIND..WIND), draw.between(-WIND..WIND)];
    // Cells may be born outside; the box in which they are at mid-time is larger than the picture on all sides.
    let margin = RADIUS.end;
    let side = size as f32 + 2.0 * margin;
    let span = length as f32 + 2.0 * LIFE.start;
    let mean = side * side * span * DENSITY;
    let count = (mean * draw.between(0.7..1.3)) as usize + 2;
    (0..count).map(|_| cell(&mut draw, wind, -margin..size as f32 + margin, length as f32)).collect()
}

fn cell(draw: &mut Draw, wind: [f32; 2], area: Range<f32>, length: f32) -> Cell {
    let velocity = wind.map(|w| w + draw.between(-SCATTER..SCATTER));
    let life = draw.between(LIFE);
    let prime = draw.between(-LIFE.start..length + LIFE.start);
    // Somewhere in the area at its prime: so it can be seen, but may come from outside and go there.
    let centre = velocity.map(|v| draw.between(area.clone()) - v * prime.clamp(0.0, length));
    let (long, ratio) = (draw.between(RADIUS), draw.between(0.6..1.0));
    let (form, reach) = (ellipse(long, long * ratio, draw), long);
    // Squared: strong cells are rare.
    let u = draw.between(0.0..1.0);
    Cell { centre, velocity, form, reach, peak: PEAK.start + (PEAK.end - PEAK.start) * u * u, prime, life }
}

/// An ellipse of these radii in a random direction.
fn ellipse(long: f32, short: f32, draw: &mut Draw) -> [f32; 3] {
    let (y, x) = (draw.between(-1.0..1.0), draw.between(-1.0..1.0));
    let norm = (x * x + y * y).sqrt().max(1e-3);
    let (y, x) = (y / norm, x / norm);
    let (a, b) = (1.0 / (long * long), 1.0 / (short * short));
    [a * y * y + b * x * x, (a - b) * x * y, a * x * x + b * y * y]
}

impl Cell {
    /// Adds its rain at a time.
    fn add(&self, time: f32, frame: &mut [f32], size: usize) {
        let age = (time - self.prime) / self.life;
        let height = self.peak * (1.0 - age * age);
        if height <= DRY {
            return;
        }
        let [row, column] = [0, 1].map(|i| self.centre[i] + self.velocity[i] * time);
        let columns = steps(column, self.reach, size);
        for i in steps(row, self.reach, size) {
            let dy = i as f32 - row;
            for j in columns.clone() {
                let dx = j as f32 - column;
                let r2 = self.form[0] * dy * dy + 2.0 * self.form[1] * dy * dx + self.form[2] * dx * dx;
                // (1 - r²)³ is close to a Gaussian of a third of the radius, and ends at the edge.
                let inside = (1.0 - r2).max(0.0);
                frame[i * size + j] += height * inside * inside * inside;
            }
        }
    }
}

/// The pixels of a line within reach of a place.
fn steps(centre: f32, reach: f32, size: usize) -> Range<usize> {
    // Casts of floats to `usize` end at 0 and at the largest number.
    let first = (centre - reach).ceil() as usize;
    let last = (centre + reach + 1.0).floor() as usize;
    first.min(size)..last.min(size)
}
