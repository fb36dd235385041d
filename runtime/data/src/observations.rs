//! `observations(count:, species:, words:, looks:, frames:, size:, seed:)`: photographed plants on a map of 60 km by 60 km, two rows a
//! plant, as models of language and vision would embed them. A species grows around a few kilometres of its own, is frequent or rare, and
//! looks and reads one way in flower and another way else. The landscape shows in both embeddings; in the vision one, around the plant.
use crate::draw::Draw;
use crate::generate::{Generated, Made, arguments};
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The map, degrees.
const LATITUDE: Range<f32> = 28.0..28.54;
const LONGITUDE: Range<f32> = -81.9..-81.29;
/// Standard deviation of a plant's place around the middle of its species' area, degrees.
const SPREAD: f32 = 0.09;
/// Years of the observations, the last included.
const YEARS: Range<f32> = 2018.0..2026.0;
/// Numbers that a plant is described by, and a landscape.
const PLANT: usize = 8;
const LANDSCAPE: usize = 4;
/// How far a plant is from its species, how strongly the landscape shows, and the noise of an embedded number.
const OWN: f32 = 0.6;
const AROUND: f32 = 1.5;
const NOISE: f32 = 0.5;

const GENERA: [&str; 8] =
    ["Asclepias", "Baccharis", "Ilex", "Lyonia", "Persea", "Quercus", "Serenoa", "Vaccinium"];
const EPITHETS: [&str; 8] =
    ["alba", "arborea", "floridana", "glabra", "incana", "laurifolia", "palustris", "repens"];

/// The generator: `language` over row and its numbers; `vision` over row, frame, height, width and its numbers; `latitude`, `longitude`,
/// `year`, `plant` and `species` over row.
pub(crate) struct Observations {
    species: Vec<Species>,
    words: usize,
    looks: usize,
    frames: usize,
    size: usize,
    seed: u64,
    /// From what a plant is, and from what the landscape is, to an embedding: row-major, one row a number of the embedding.
    to_words: Mix,
    to_looks: Mix,
    /// The polynomials that the landscape is.
    landscape: Vec<f32>,
}

struct Mix {
    plant: Vec<f32>,
    landscape: Vec<f32>,
}

struct Species {
    /// The middle of its area, 0 to 1 from south to north and from west to east.
    place: [f32; 2],
    /// What it is when not in flower, and when in flower.
    kinds: [Vec<f32>; 2],
}

struct Plant {
    species: usize,
    /// As of `Species`.
    place: [f32; 2],
    kind: Vec<f32>,
    year: f32,
}

impl Observations {
    pub(crate) fn open(args: &BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError> {
        let known = [
            ("count", 4000, 1..10_000_001),
            ("species", 20, 2..65),
            ("words", 256, 1..100_001),
            ("looks", 32, 1..100_001),
            ("frames", 2, 1..1001),
            ("size", 6, 1..1001),
            ("seed", 0, 0..1 << 53),
        ];
        let ([count, species, words, looks, frames, size, seed], origin) =
            arguments("observations", &known, args)?;
        let [count, species, words, looks, frames, size] =
            [count, species, words, looks, frames, size].map(|n| n as usize);
        let variables = vec![
            Made::new("latitude", "f32", &[count], |own: &Observations, row| {
                vec![between(LATITUDE, own.plant(row).place[0])]
            })
            .unit("degrees_north"),
            Made::new("longitude", "f32", &[count], |own: &Observations, row| {
                vec![between(LONGITUDE, own.plant(row).place[1])]
            })
            .unit("degrees_east"),
            Made::new("year", "i32", &[count], |own: &Observations, row| vec![own.plant(row).year]),
            Made::new("plant", "i32", &[count], |_, row| vec![(row / 2) as f32]),
            Made::new("species", "text", &[count], |own: &Observations, row| {
                vec![own.plant(row).species as f32]
            })
            .names((0..species).map(|i| format!("{} {}", GENERA[i % 8], EPITHETS[(i / 8 + i) % 8]))),
            Made::new("language", "f32", &[count, words], Observations::language),
            Made::new("vision", "f32", &[count, frames, size, size, looks], Observations::vision),
        ];
        let generator = Observations {
            species: (0..species).map(|i| Species::new(&mut Draw::new(seed, "species", i))).collect(),
            words,
            looks,
            frames,
            size,
            seed,
            to_words: Mix::new(&mut Draw::new(seed, "to words", 0), words),
            to_looks: Mix::new(&mut Draw::new(seed, "to looks", 0), looks),
            landscape: Draw::new(seed, "landscape", 0).normals(LANDSCAPE * TERMS),
        };
        Ok(Arc::new(Generated::new(generator, origin, variables)))
    }

    /// The plant of a row: two rows follow one another.
    fn plant(&self, row: usize) -> Plant {
        let mut draw = Draw::new(self.seed, "plant", row / 2);
        let number = frequent(self.species.len(), draw.between(0.0..1.0));
        let species = &self.species[number];
        let spread = SPREAD / (LATITUDE.end - LATITUDE.start);
        let place = species.place.map(|middle| (middle + spread * draw.normal()).clamp(0.0, 1.0));
        let year = draw.between(YEARS).floor();
        let flowers = usize::from(draw.between(0.0..1.0) < 0.5);
        let kind = species.kinds[flowers].iter().map(|x| x + OWN * draw.normal()).collect();
        Plant { species: number, place, kind, year }
    }

    /// What the landscape is at a place: smooth, of magnitude 1.
    fn landscape(&self, [y, x]: [f32; 2]) -> Vec<f32> {
        let (y, x) = (2.0 * y - 1.0, 2.0 * x - 1.0);
        let terms: [f32; TERMS] = [y, x, x * y, x * x - 0.3, y * y - 0.3, x * x * y, x * y * y];
        let value = |weights: &[f32]| weights.iter().zip(terms).map(|(w, term)| w * term).sum();
        self.landscape.chunks_exact(TERMS).map(value).collect()
    }

    fn language(&self, row: usize) -> Vec<f32> {
        let plant = self.plant(row);
        let around = self.landscape(plant.place);
        let mut draw = Draw::new(self.seed, "language", row);
        let text = self.to_words.apply(&plant.kind, 1.0, &around, AROUND);
        (0..self.words).map(|i| text[i] + NOISE * draw.normal()).collect()
    }

    /// The plant is a disc in the picture, the landscape is around it.
    fn vision(&self, row: usize) -> Vec<f32> {
        let plant = self.plant(row);
        let around = self.landscape(plant.place);
        let mut draw = Draw::new(self.seed, "vision", row);
        let centre = [draw.between(0.3..0.7), draw.between(0.3..0.7)];
        let radius = draw.between(0.3..0.6);
        let inside = self.to_looks.apply(&plant.kind, 1.0, &around, 0.5 * AROUND);
        let outside = self.to_looks.apply(&plant.kind, 0.0, &around, AROUND);
        let mut pixels = Vec::with_capacity(self.frames * self.size * self.size * self.looks);
        for _ in 0..self.frames {
            for cell in 0..self.size * self.size {
                let at = [cell / self.size, cell % self.size].map(|i| (i as f32 + 0.5) / self.size as f32);
                let [dy, dx] = [at[0] - centre[0], at[1] - centre[1]];
                let seen = if dy * dy + dx * dx < radius * radius { &inside } else { &outside };
                pixels.extend(seen.iter().map(|x| x + NOISE * draw.normal()));
            }
        }
        pixels
    }
}

/// Terms of a landscape's polynomial.
const TERMS: usize = 7;

impl Species {
    fn new(draw: &mut Draw) -> Species {
        let place = [draw.between(0.1..0.9), draw.between(0.1..0.9)];
        Species { place, kinds: [draw.normals(PLANT), draw.normals(PLANT)] }
    }
}

impl Mix {
    /// Of magnitude 1 for what has magnitude 1.
    fn new(draw: &mut Draw, width: usize) -> Mix {
        let mut weights = |from: usize| {
            let scale = 1.0 / (from as f32).sqrt();
            draw.normals(width * from).into_iter().map(|x| scale * x).collect()
        };
        Mix { plant: weights(PLANT), landscape: weights(LANDSCAPE) }
    }

    /// An embedding, before its noise.
    fn apply(&self, plant: &[f32], share: f32, landscape: &[f32], strength: f32) -> Vec<f32> {
        let product = |w: &[f32], x: &[f32]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        let rows = self.plant.chunks_exact(PLANT).zip(self.landscape.chunks_exact(LANDSCAPE));
        rows.map(|(p, l)| share * product(p, plant) + strength * product(l, landscape)).collect()
    }
}

/// The species at a place between 0 and 1, where they lie one after the other: the `i`-th is as frequent as 1 / (i + 4).
fn frequent(species: usize, place: f32) -> usize {
    let weight = |i: usize| 1.0 / (i as f32 + 4.0);
    let mut left = place * (0..species).map(weight).sum::<f32>();
    let mut last = |i: &usize| {
        left -= weight(*i);
        left < 0.0
    };
    (0..species).find(|i| last(i)).unwrap_or(species - 1)
}

fn between(range: Range<f32>, place: f32) -> f32 {
    range.start + (range.end - range.start) * place
}
