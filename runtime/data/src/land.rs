//! `land(size:, years:, classes:, seed:)`: a made-up landscape, seen every eight days. Height and land use stand still; leaf area, surface
//! temperature and evapotranspiration follow the season, and the rain of the last weeks, which nobody sees. The sea, and what lies
//! under clouds, has no value: NaN, or -999 in `et`.
use crate::draw::Draw;
use crate::generate::{Generated, Made, arguments};
use crate::maths::{Waves, cosine};
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use stmc_base::schema::Coordinates;

/// Metres from pixel to pixel.
const PIXEL: f64 = 500.0;
/// Eight days each: years are cut a little short.
const STEPS_A_YEAR: usize = 46;
/// Below this, in standard deviations of the height, there is sea.
const SEA: f64 = -1.1;
/// Above this, in standard deviations, there are clouds.
const CLOUD: f64 = 1.1;
/// Rain of so many steps ago still counts, and how much of the step before is left at each.
const DEPTH: usize = 10;
const LEFT: f64 = 0.75;
/// What stands for no value in `et`.
const NOTHING: f32 = -999.0;

/// The generator.
pub(crate) struct Land {
    seed: u64,
    /// Rows, and columns.
    size: usize,
    /// Metres. NaN: sea.
    height: Vec<f32>,
    /// Numbers of classes.
    uses: Vec<f32>,
    plants: Vec<Plant>,
}

/// What grows on a class.
struct Plant {
    /// Leaf area in winter, and what summer adds.
    leaves: [f64; 2],
    /// Later than the sun, in years.
    late: f64,
    /// How much rain its water depends on.
    thirst: f64,
}

impl Land {
    pub(crate) fn open(args: &BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError> {
        let known =
            [("size", 60, 2..4097), ("years", 4, 1..201), ("classes", 5, 1..101), ("seed", 0, 0..1 << 53)];
        let ([size, years, classes, seed], origin) = arguments("land", &known, args)?;
        let [size, years, classes] = [size, years, classes].map(|n| n as usize);
        let field = |purpose: &str| {
            let waves = Waves::new(&mut Draw::new(seed, purpose, 0), 24, 3.0);
            waves.field(&places(size), &places(size))
        };
        let relief = field("land height").into_iter();
        let height = relief.map(|h| if h < SEA { f32::NAN } else { (500.0 * (h - SEA)) as f32 }).collect();
        let plants = (0..classes).map(|class| Plant::new(seed, class)).collect();
        let land = Land { seed, size, height, uses: shared_out(&field("land use"), classes), plants };
        Ok(Arc::new(Generated::new(land, origin, variables(STEPS_A_YEAR * years, size, classes))))
    }

    /// A smooth field of this step alone.
    fn field(&self, purpose: &str, number: usize) -> Vec<f64> {
        let waves = Waves::new(&mut Draw::new(self.seed, purpose, number), 10, 2.0);
        waves.field(&places(self.size), &places(self.size))
    }

    /// Water in the ground: 1 where it rained as usual.
    fn water(&self, step: usize) -> Vec<f64> {
        let mut water = vec![0.0; self.size * self.size];
        let mut share = 1.0 - LEFT;
        for back in 0..DEPTH {
            let number = step + DEPTH - back;
            let rain = self.field("land rain", number).into_iter().map(|x| (1.0 + 1.5 * x).max(0.0));
            water.iter_mut().zip(rain).for_each(|(water, rain)| *water += share * rain);
            share *= LEFT;
        }
        water
    }

    /// Leaf area, surface temperature and evapotranspiration of a step.
    fn step(&self, step: usize) -> [Vec<f32>; 3] {
        let (water, clouds) = (self.water(step), self.field("land clouds", step));
        let mut noise = Draw::new(self.seed, "land noise", step);
        let year = step as f64 / STEPS_A_YEAR as f64;
        // From 0 in January to 1 in July.
        let season = |late: f64| 0.5 - 0.5 * cosine(year - late);
        let mut fields = [vec![], vec![], vec![]];
        for i in 0..self.size * self.size {
            let (height, plant) = (f64::from(self.height[i]), &self.plants[self.uses[i] as usize]);
            let wet = water[i] / (water[i] + plant.thirst);
            let lai = (plant.leaves[0] + plant.leaves[1] * season(plant.late))
                * (0.3 + wet)
                * (1.0 - height / 4000.0);
            let lst =
                276.0 + 24.0 * season(0.04) - 0.0065 * height - 6.0 * wet + 0.8 * f64::from(noise.normal());
            let sun = 8.0 + 40.0 * season(0.0);
            let warm = ((lst - 268.0) / 25.0).clamp(0.0, 1.2);
            let et = sun
                * (0.15 + 0.85 * lai / (lai + 1.5))
                * wet
                * warm
                * (1.0 + 0.05 * f64::from(noise.normal()));
            let seen = height.is_finite() && clouds[i] < CLOUD;
            let lai = lai * (1.0 + 0.05 * f64::from(noise.normal()));
            for (field, x) in fields.iter_mut().zip([lai, lst, et]) {
                field.push(if seen { x as f32 } else { f32::NAN });
            }
        }
        fields[2].iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = NOTHING);
        fields
    }
}

impl Plant {
    fn new(seed: u64, class: usize) -> Plant {
        let mut draw = Draw::new(seed, "land plants", class);
        let mut between = |range: Range<f32>| f64::from(draw.between(range));
        Plant {
            leaves: [between(0.2..2.0), between(0.5..4.0)],
            late: between(0.0..0.12),
            thirst: between(0.1..1.2),
        }
    }
}

/// Pixels in the units of waves: a hundred make one.
fn places(size: usize) -> Vec<f64> {
    (0..size).map(|i| i as f64 / 100.0).collect()
}

/// Classes by the rank of a value: all have the same share.
fn shared_out(field: &[f64], classes: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..field.len()).collect();
    order.sort_by(|a, b| field[*a].total_cmp(&field[*b]));
    let mut uses = vec![0.0; field.len()];
    order.iter().enumerate().for_each(|(rank, at)| uses[*at] = (rank * classes / field.len()) as f32);
    uses
}

fn variables(steps: usize, size: usize, classes: usize) -> Vec<Made<Land>> {
    let time = Coordinates::Dates { first: "2003-01-01".into(), months: 0, days: 8.0 };
    let row = Coordinates::Even { first: 0.0, step: -PIXEL };
    let col = Coordinates::Even { first: 0.0, step: PIXEL };
    let seen = |name: &str, piece: fn(&Land, usize) -> Vec<f32>| {
        let made = Made::new(name, "f32", &[steps, size, size], piece).at(0, time.clone());
        made.at(1, row.clone()).at(2, col.clone())
    };
    let still = |name: &str, dtype: &str, piece: fn(&Land, usize) -> Vec<f32>| {
        Made::new(name, dtype, &[size, size], piece).at(0, row.clone()).at(1, col.clone())
    };
    vec![
        seen("lai", |land, step| land.step(step)[0].clone()),
        seen("lst", |land, step| land.step(step)[1].clone()).unit("K"),
        seen("et", |land, step| land.step(step)[2].clone()).unit("kg/m2/8d"),
        still("height", "f32", |land, row| land.height[row * land.size..][..land.size].to_vec()).unit("m"),
        still("use", "u8", |land, row| land.uses[row * land.size..][..land.size].to_vec())
            .names((1..=classes).map(|class| class.to_string())),
    ]
}
