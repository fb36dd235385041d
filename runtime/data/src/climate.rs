//! `climate(lat:, lon:, years:, members:, seed:)`: months of a made-up climate under four scenarios of emissions, which pass in `years` what
//! is told of this century. An energy balance model (North & Coakley 1979) with a seasonal cycle, land and sea, ice that reflects, and weather:
//!
//! C dT/dt = Q (1 - albedo) - (A + B T) + D ∇²T + forcing + weather
//!
//! The Laplacian leaves out that circles are shorter towards the poles. Rain is today's, and what a warmer world makes of it: wetter where it is wet
//! (Held & Soden 2006), in proportion to the warming of the globe (Santer et al. 1990). Members differ in their weather alone.
use crate::draw::Draw;
use crate::generate::{Generated, Made, arguments};
use crate::maths::{Waves, cosine, log, sine};
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::schema::Coordinates;

/// Of the solar constant, W/m²; the rest of the insolation is Legendre's polynomials of the sine of latitude.
const SUN: f64 = 340.0;
/// Outgoing radiation: A + B (T - 273.15 K), W/m².
const OUTGOING: [f64; 2] = [209.0, 1.7];
/// Transport of heat D, W/m²/K on a sphere of radius 1.
const TRANSPORT: f64 = 0.6;
/// Heat capacity C of land and of sea, W years/m²/K.
const CAPACITY: [f64; 2] = [0.8, 4.5];
/// Standard deviation of the weather's flux, W/m².
const WEATHER: f64 = 6.0;
/// Standard deviation of a month's rain, as a share of what is usual.
const SHOWERS: f64 = 0.05;
/// What a degree adds to the vapour that the air holds (Clausius & Clapeyron), and to the rain of the whole globe, which the balance of energy
/// holds back (Held & Soden 2006), as shares.
const VAPOUR: f64 = 0.07;
const GLOBAL_RAIN: f64 = 0.02;
/// Years before the first month, so that the climate is in balance then.
const BEFORE: usize = 30;

/// How the emissions of a scenario go on from those of today: start + a u + b u², u from 0 to 1.
struct Scenario {
    name: &'static str,
    co2: [f64; 2],
    ch4: [f64; 2],
    so2: [f64; 2],
    bc: [f64; 2],
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "ssp126",
        co2: [200.0, -160.0],
        ch4: [-900.0, 150.0],
        so2: [-1.1, 0.35],
        bc: [-1.2, 0.45],
    },
    Scenario {
        name: "ssp245",
        co2: [340.0, -40.0],
        ch4: [100.0, -150.0],
        so2: [-0.3, -0.3],
        bc: [-0.2, -0.35],
    },
    Scenario {
        name: "ssp370",
        co2: [260.0, 200.0],
        ch4: [900.0, 600.0],
        so2: [0.1, -0.15],
        bc: [0.15, -0.1],
    },
    Scenario {
        name: "ssp585",
        co2: [320.0, 400.0],
        ch4: [1000.0, -350.0],
        so2: [-0.6, -0.05],
        bc: [-0.4, -0.2],
    },
];

/// Where aerosols come from: latitude, longitude and radius in degrees, and how much of SO2 and of black carbon.
const REGIONS: [[f64; 5]; 3] =
    [[35.0, 110.0, 35.0, 1.0, 0.8], [48.0, 275.0, 35.0, 0.6, 0.3], [5.0, 20.0, 40.0, 0.2, 1.0]];

/// The generator.
pub(crate) struct Climate {
    seed: u64,
    months: usize,
    members: usize,
    /// Degrees.
    lat: Vec<f64>,
    lon: Vec<f64>,
    /// Heat capacity of each cell.
    capacity: Vec<f64>,
}

impl Climate {
    pub(crate) fn open(args: &BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError> {
        let known = [
            ("lat", 12, 4..181),
            ("lon", 18, 4..361),
            ("years", 30, 2..1001),
            ("members", 2, 1..101),
            ("seed", 0, 0..1 << 53),
        ];
        let ([lats, lons, years, members, seed], origin) = arguments("climate", &known, args)?;
        let [lats, lons, months, members] = [lats, lons, 12 * years, members].map(|n| n as usize);
        let centres = |n: usize, first: f64, all: f64| -> Vec<f64> {
            (0..n).map(|i| first + (i as f64 + 0.5) * all / n as f64).collect()
        };
        let (lat, lon) = (centres(lats, -90.0, 180.0), centres(lons, 0.0, 360.0));
        let continents = Waves::around(&mut Draw::new(seed, "climate land", 0), 16, 3.0);
        let heights = continents.field(&turns(&lat), &turns(&lon));
        let capacity = heights.into_iter().map(|h| CAPACITY[usize::from(h < 0.4)]).collect();
        let climate = Climate { seed, months, members, lat, lon, capacity };
        let variables = climate.variables();
        Ok(Arc::new(Generated::new(climate, origin, variables)))
    }

    fn variables(&self) -> Vec<Made<Climate>> {
        let (count, members, months) = (SCENARIOS.len(), self.members, self.months);
        let (lats, lons) = (self.lat.len(), self.lon.len());
        let names = Coordinates::Names(SCENARIOS.iter().map(|s| s.name.to_string()).collect());
        let time = Coordinates::Dates { first: "2015-01".into(), months: 1, days: 0.0 };
        let world = |name: &str, unit: &str, piece: fn(&Climate, usize) -> Vec<f32>| {
            let made = Made::new(name, "f32", &[count, months], piece).unit(unit);
            made.at(0, names.clone()).at(1, time.clone())
        };
        let placed = |made: Made<Climate>, first: usize| {
            let (lat, lon) = (Coordinates::numbers(self.lat.clone()), Coordinates::numbers(self.lon.clone()));
            made.at(0, names.clone()).at(first, time.clone()).at(first + 1, lat).at(first + 2, lon)
        };
        let grid = |name: &str, unit: &str, piece: fn(&Climate, usize) -> Vec<f32>| {
            placed(Made::new(name, "f32", &[count, months, lats, lons], piece).unit(unit), 1)
        };
        let run = |name: &str, unit: &str, piece: fn(&Climate, usize) -> Vec<f32>| {
            placed(Made::new(name, "f32", &[count, members, months, lats, lons], piece).unit(unit), 2)
        };
        vec![
            world("co2", "ppm", |c, s| c.monthly(|u| path(CO2, SCENARIOS[s].co2, u))),
            world("ch4", "ppb", |c, s| c.monthly(|u| path(CH4, SCENARIOS[s].ch4, u))),
            grid("so2", "g/m2/year", |c, s| c.maps(|month| c.aerosol(0, &SCENARIOS[s], month))),
            grid("bc", "g/m2/year", |c, s| c.maps(|month| c.aerosol(1, &SCENARIOS[s], month))),
            grid("rsdt", "W/m2", |c, _| c.maps(|month| c.sunshine(month))),
            run("tas", "K", |c, s| c.runs(s).0),
            run("pr", "mm/day", |c, s| c.runs(s).1),
        ]
    }

    /// A number for each month, of the share of the century that has passed.
    fn monthly(&self, of: impl Fn(f64) -> f64) -> Vec<f32> {
        (0..self.months).map(|month| of(self.passed(month)) as f32).collect()
    }

    /// A field for each month.
    fn maps(&self, of: impl Fn(usize) -> Vec<f64>) -> Vec<f32> {
        (0..self.months).flat_map(of).map(|x| x as f32).collect()
    }

    fn sunshine(&self, month: usize) -> Vec<f64> {
        let circle = |lat: &f64| vec![insolation(*lat, month); self.lon.len()];
        self.lat.iter().flat_map(circle).collect()
    }

    /// What share of the century has passed.
    fn passed(&self, month: usize) -> f64 {
        month as f64 / (self.months - 1) as f64
    }

    /// SO2 (`species` 0) or black carbon (1) over latitude and longitude, g/m²/year.
    fn aerosol(&self, species: usize, scenario: &Scenario, month: usize) -> Vec<f64> {
        let change = [scenario.so2, scenario.bc][species];
        let strength = path(1.0, change, self.passed(month)) * (1.0 + 0.2 * cosine(year(month)));
        let mut field = Vec::with_capacity(self.lat.len() * self.lon.len());
        for lat in &self.lat {
            for lon in &self.lon {
                let of = |region: &[f64; 5]| {
                    let [south, west, radius, ..] = *region;
                    let apart = (lon - west).abs().min(360.0 - (lon - west).abs());
                    let r2 = ((lat - south) * (lat - south) + apart * apart) / (radius * radius);
                    let inside = (1.0 - r2).max(0.0);
                    region[3 + species] * inside * inside
                };
                field.push(strength * REGIONS.iter().map(of).sum::<f64>());
            }
        }
        field
    }

    /// What people add to the balance of each cell since the first month, W/m².
    fn forcing(&self, scenario: &Scenario, month: usize) -> Vec<f64> {
        let u = self.passed(month);
        // Myhre et al. 1998, New estimates of radiative forcing; methane's in a line.
        let gases = 5.35 * log(path(CO2, scenario.co2, u) / CO2) + 4e-4 * (path(CH4, scenario.ch4, u) - CH4);
        let (so2, bc) = (self.aerosol(0, scenario, month), self.aerosol(1, scenario, month));
        let first = month % 12;
        let (so2_then, bc_then) = (self.aerosol(0, scenario, first), self.aerosol(1, scenario, first));
        let cell = |i: usize| gases - 6.0 * (so2[i] - so2_then[i]) + 3.0 * (bc[i] - bc_then[i]);
        (0..so2.len()).map(cell).collect()
    }

    /// Weather of a month: one smooth field.
    fn weather(&self, purpose: &str, number: usize) -> Vec<f64> {
        let waves = Waves::around(&mut Draw::new(self.seed, purpose, number), 8, 3.0);
        waves.field(&turns(&self.lat), &turns(&self.lon))
    }

    /// Temperature and rain of all members of a scenario, over member, time, latitude and longitude.
    fn runs(&self, scenario: usize) -> (Vec<f32>, Vec<f32>) {
        let today = self.balanced();
        let usual: Vec<Vec<f64>> = today.iter().enumerate().map(|(m, t)| self.usual_rain(m, t)).collect();
        let (mut tas, mut pr) = (vec![], vec![]);
        for member in 0..self.members {
            let mut state = today[11].clone();
            for month in 0..self.months {
                let number = (scenario * self.members + member) * self.months + month;
                let wet = self.weather("climate rain", number);
                let mut flux = self.forcing(&SCENARIOS[scenario], month);
                let heat = self.weather("climate heat", number);
                flux.iter_mut().zip(&heat).for_each(|(flux, weather)| *flux += WEATHER * weather);
                self.advance(&mut state, &flux, month);
                tas.extend(state.iter().map(|t| *t as f32));
                let so2 = self.aerosol(0, &SCENARIOS[scenario], month);
                let warming = self.globe(&state) - self.globe(&today[month % 12]);
                let usual = &usual[month % 12];
                let everywhere = self.globe(usual);
                pr.extend((0..usual.len()).map(|i| {
                    // Where more falls than elsewhere, vapour comes together, and brings what warm air holds more of.
                    let more = VAPOUR * (usual[i] - everywhere) + GLOBAL_RAIN * everywhere;
                    let rain = (usual[i] + warming * more) * (1.0 - 0.25 * so2[i]) * (1.0 + SHOWERS * wet[i]);
                    rain.max(0.0) as f32
                }));
            }
        }
        (tas, pr)
    }

    /// Temperatures of each calendar month after many years of today's emissions.
    fn balanced(&self) -> Vec<Vec<f64>> {
        let mut state: Vec<f64> = vec![288.0; self.capacity.len()];
        let none = vec![0.0; state.len()];
        let mut months = (0..12 * BEFORE).map(|month| {
            self.advance(&mut state, &none, month);
            state.clone()
        });
        months.by_ref().take(12 * (BEFORE - 1)).for_each(drop);
        months.collect()
    }

    /// Rain of a calendar month under clean air, mm/day.
    fn usual_rain(&self, month: usize, tas: &[f64]) -> Vec<f64> {
        let rain = |(i, t): (usize, &f64)| rain(self.lat[i / self.lon.len()], month, *t);
        tas.iter().enumerate().map(rain).collect()
    }

    /// The mean over the globe.
    fn globe(&self, field: &[f64]) -> f64 {
        let widths = || self.lat.iter().map(|lat| width(*lat));
        let circles = field.chunks_exact(self.lon.len()).map(|circle| circle.iter().sum::<f64>());
        circles.zip(widths()).map(|(sum, width)| sum * width).sum::<f64>()
            / (widths().sum::<f64>() * self.lon.len() as f64)
    }

    /// A month of the balance, in steps short enough that heat does not overshoot.
    fn advance(&self, state: &mut [f64], flux: &[f64], month: usize) {
        let (rows, columns) = (self.lat.len(), self.lon.len());
        let square = |degrees: f64| degrees.to_radians() * degrees.to_radians();
        let (north, east) =
            (TRANSPORT / square(180.0 / rows as f64), TRANSPORT / square(360.0 / columns as f64));
        // Towards a pole a cell gives up to twice as much per area to its neighbour.
        let steps = ((4.0 * north + 2.0 * east) / CAPACITY[0] / 12.0).ceil().max(1.0) as usize;
        let length = 1.0 / 12.0 / steps as f64;
        for _ in 0..steps {
            let before = state.to_vec();
            for i in 0..rows {
                let width = width(self.lat[i]);
                let edge = 90.0 / rows as f64;
                let (south, norther) =
                    (width_ratio(self.lat[i] - edge, width), width_ratio(self.lat[i] + edge, width));
                for j in 0..columns {
                    let at = |i: usize, j: usize| before[i * columns + j];
                    let t = at(i, j);
                    let mut heat =
                        east * (at(i, (j + 1) % columns) + at(i, (j + columns - 1) % columns) - 2.0 * t);
                    if i > 0 {
                        heat += north * south * (at(i - 1, j) - t);
                    }
                    if i + 1 < rows {
                        heat += north * norther * (at(i + 1, j) - t);
                    }
                    let sun = insolation(self.lat[i], month) * (1.0 - albedo(self.lat[i], t));
                    let out = OUTGOING[0] + OUTGOING[1] * (t - 273.15);
                    let cell = i * columns + j;
                    state[cell] += length / self.capacity[cell] * (sun - out + heat + flux[cell]);
                }
            }
        }
    }
}

/// Concentrations of today, ppm and ppb.
const CO2: f64 = 400.0;
const CH4: f64 = 1850.0;

fn path(start: f64, [a, b]: [f64; 2], u: f64) -> f64 {
    start + a * u + b * u * u
}

/// Degrees as turns.
fn turns(degrees: &[f64]) -> Vec<f64> {
    degrees.iter().map(|d| d / 360.0).collect()
}

/// The middle of a month as a share of the year since the winter solstice.
fn year(month: usize) -> f64 {
    ((month % 12) as f64 + 0.5) / 12.0 + 0.03
}

/// How long a circle of latitude is, against the equator.
fn width(lat: f64) -> f64 {
    cosine(lat / 360.0).max(0.0)
}

fn width_ratio(edge: f64, width_here: f64) -> f64 {
    width(edge) / width_here
}

/// Insolation of a month's mean day, W/m² (North & Coakley 1979).
fn insolation(lat: f64, month: usize) -> f64 {
    let x = sine(lat / 360.0);
    let p2 = (3.0 * x * x - 1.0) / 2.0;
    let t = year(month);
    let share = 1.0 - 0.477 * p2 - 0.796 * cosine(t) * x + 0.147 * cosine(2.0 * t) * p2;
    SUN * share.max(0.0)
}

/// What is reflected: more towards the poles, and much more where it is cold.
fn albedo(lat: f64, t: f64) -> f64 {
    let x = sine(lat / 360.0);
    0.3 + 0.08 * (3.0 * x * x - 1.0) / 2.0 + 0.2 * ((266.0 - t) / 12.0).clamp(0.0, 1.0)
}

/// Rain of a place in mm/day: a belt that follows the sun, two belts of storms, more where it is warm.
fn rain(lat: f64, month: usize, t: f64) -> f64 {
    let hill = |centre: f64, half: f64| {
        let r = (lat - centre) / half;
        let inside = (1.0 - r * r).max(0.0);
        inside * inside
    };
    let season = -cosine(year(month));
    let mean = 0.4 + 6.5 * hill(8.0 * season, 25.0) + 2.2 * (hill(45.0, 28.0) + hill(-45.0, 28.0));
    mean * (1.0 + VAPOUR * (t - 288.0) / (1.0 + (t - 288.0).abs() / 20.0)).max(0.1)
}
