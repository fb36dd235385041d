//! What split predicates and sample conditions compare besides positions: coordinates, fields, random ranks, squares.
use crate::Dataset;
use crate::draw::Stream;
use std::collections::BTreeMap;
use stmc_base::Diagnostic;
use stmc_ir::data::{DataPlan, QuantityKind};

/// A quantity at every position of its axes.
pub(crate) struct Table {
    pub(crate) name: String,
    /// With their extents, slowest first.
    pub(crate) axes: Vec<(String, usize)>,
    pub(crate) values: Vec<f64>,
    /// What of the wish did not hold. `None`: all of it did.
    pub(crate) relaxed: Option<Relaxed>,
}

/// Squares that did not find room as they were wanted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Relaxed {
    /// There are only so many points.
    Points(usize),
    /// They are only so far apart, in km.
    Apart(f64),
}

impl Table {
    /// The value where each axis has the position that `at` gives. `None`: `at` does not know an axis.
    pub(crate) fn value(&self, at: &dyn Fn(&str) -> Option<usize>) -> Option<f64> {
        let mut place = 0;
        for (axis, extent) in &self.axes {
            place = place * extent + at(axis)?;
        }
        self.values.get(place).copied()
    }
}

/// All quantities of a plan. `None`: they need values, and there are no data.
pub(crate) fn tables(
    plan: &DataPlan,
    data: Option<&Dataset>,
    seed: u64,
) -> Result<Option<Vec<Table>>, Diagnostic> {
    let mut tables = vec![];
    for quantity in &plan.quantities {
        let read = Fields { plan, data };
        let mut relaxed = None;
        let made = match &quantity.kind {
            QuantityKind::Along { axis, values } => {
                Some((vec![(axis.clone(), values.len())], values.clone()))
            }
            QuantityKind::Field(field) => {
                read.values(*field)?.map(|values| (plan.fields[*field].axes.clone(), values))
            }
            QuantityKind::Shuffled { axis, within, together } => {
                let mut axes = plan.fields.iter().flat_map(|f| &f.axes);
                let extent = axes.find(|(name, _)| name == axis).map_or(0, |(_, extent)| *extent);
                match (read.optional(*within)?, read.optional(*together)?) {
                    (Some(within), Some(together)) => {
                        let ranks = shuffled(seed, axis, extent, &within, &together);
                        Some((vec![(axis.clone(), extent)], ranks))
                    }
                    _ => None,
                }
            }
            QuantityKind::Squares { latitude, longitude, count, size, apart, seed } => {
                let points = (read.values(*latitude)?, read.values(*longitude)?);
                match points {
                    (Some(lat), Some(lon)) => {
                        let inside;
                        (inside, relaxed) = squares(&lat, &lon, *count, *size, *apart, *seed);
                        Some((plan.fields[*latitude].axes.clone(), inside))
                    }
                    _ => None,
                }
            }
        };
        let Some((axes, values)) = made else { return Ok(None) };
        tables.push(Table { name: quantity.name.clone(), axes, values, relaxed });
    }
    Ok(Some(tables))
}

/// The fields' values, if there are data.
struct Fields<'a> {
    plan: &'a DataPlan,
    data: Option<&'a Dataset>,
}

impl Fields<'_> {
    fn values(&self, field: usize) -> Result<Option<Vec<f64>>, Diagnostic> {
        let Some(data) = self.data else { return Ok(None) };
        data.all(field).map(Some).map_err(|e| e.diagnostic(self.plan.fields[field].span))
    }

    /// `None` inside: no field was named. `None` outside: there are no data.
    fn optional(&self, field: Option<usize>) -> Result<Option<Option<Vec<f64>>>, Diagnostic> {
        match field {
            None => Ok(Some(None)),
            Some(field) => Ok(self.values(field)?.map(Some)),
        }
    }
}

/// The rank of each position in a random order, divided by their number: within each class on its own, and the same for
/// all of a group. A group is of the class of its first position.
fn shuffled(
    seed: u64,
    axis: &str,
    extent: usize,
    within: &Option<Vec<f64>>,
    together: &Option<Vec<f64>>,
) -> Vec<f64> {
    let key = |values: &Option<Vec<f64>>, i: usize| values.as_ref().map(|v| v[i].to_bits());
    let mut groups: Vec<Vec<usize>> = vec![];
    let mut known: BTreeMap<u64, usize> = BTreeMap::new();
    for i in 0..extent {
        match key(together, i) {
            None => groups.push(vec![i]),
            Some(group) => {
                let place = *known.entry(group).or_insert_with(|| {
                    groups.push(vec![]);
                    groups.len() - 1
                });
                groups[place].push(i);
            }
        }
    }
    let mut size: BTreeMap<Option<u64>, usize> = BTreeMap::new();
    for group in &groups {
        *size.entry(key(within, group[0])).or_default() += group.len();
    }
    let mut before: BTreeMap<Option<u64>, usize> = BTreeMap::new();
    let mut ranks = vec![0.0; extent];
    for group in Stream::new(seed, &format!("shuffled({axis})"), 0).permutation(groups.len()) {
        let group = &groups[group as usize];
        let class = key(within, group[0]);
        let first = before.entry(class).or_default();
        group.iter().for_each(|&i| ranks[i] = *first as f64 / size[&class] as f64);
        *first += group.len();
    }
    ranks
}

/// 1 at points inside of one of the squares. Their centres are points in a random order, each at least `apart` km from
/// those before; where too few are, the distance is relaxed by a fifth until there are enough, and that is told.
fn squares(
    lat: &[f64],
    lon: &[f64],
    count: usize,
    size: f64,
    apart: f64,
    seed: u64,
) -> (Vec<f64>, Option<Relaxed>) {
    let order: Vec<usize> =
        Stream::new(seed, "squares", 0).permutation(lat.len()).into_iter().map(|i| i as usize).collect();
    let (wanted, mut apart, mut held) = (apart, apart, apart);
    let mut centres: Vec<usize> = vec![];
    while centres.len() < count.min(lat.len()) {
        centres.clear();
        held = apart.max(0.0);
        for &i in &order {
            let far = |&c: &usize| kilometres((lat[i], lon[i]), (lat[c], lon[c])) >= apart;
            if centres.len() < count && centres.iter().all(far) {
                centres.push(i);
            }
        }
        apart = if apart < 1e-3 { f64::NEG_INFINITY } else { 0.8 * apart };
    }
    let inside = |i: usize| {
        centres.iter().any(|&c| {
            let north = (lat[i] - lat[c]).to_radians() * EARTH;
            let east = turned(lon[i] - lon[c]).to_radians() * EARTH * lat[c].to_radians().cos();
            north.abs() <= size / 2.0 && east.abs() <= size / 2.0
        })
    };
    let relaxed = match held < wanted {
        _ if centres.len() < count => Some(Relaxed::Points(centres.len())),
        true => Some(Relaxed::Apart(held)),
        false => None,
    };
    ((0..lat.len()).map(|i| f64::from(u8::from(inside(i)))).collect(), relaxed)
}

/// Mean radius of the earth, km.
const EARTH: f64 = 6371.0;

/// A difference of longitudes the short way round.
fn turned(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

/// Distance on the sphere (haversine).
fn kilometres(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |d: f64| (d.to_radians() / 2.0).sin().powi(2);
    let h = half(b.0 - a.0) + a.0.to_radians().cos() * b.0.to_radians().cos() * half(turned(b.1 - a.1));
    2.0 * EARTH * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let paris_london = kilometres((48.8566, 2.3522), (51.5074, -0.1278));
        assert!((paris_london - 343.5).abs() < 1.0, "{paris_london}");
        let across = kilometres((0.0, 179.5), (0.0, -179.5));
        assert!((across - 111.19).abs() < 0.1, "{across}");
    }

    #[test]
    fn ranks_within_classes_have_the_same_shares() {
        let class: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 == 0))).collect();
        let ranks = shuffled(3, "row", 100, &Some(class.clone()), &None);
        for c in [0.0, 1.0] {
            let drawn = (0..100).filter(|&i| class[i] == c && ranks[i] < 0.2).count();
            assert_eq!(drawn, if c == 1.0 { 2 } else { 18 });
        }
    }

    #[test]
    fn groups_have_one_rank() {
        let group: Vec<f64> = (0..60).map(|i| f64::from(i / 3)).collect();
        let ranks = shuffled(3, "row", 60, &None, &Some(group));
        for i in 0..60 {
            assert_eq!(ranks[i], ranks[i / 3 * 3]);
        }
        assert_eq!(ranks.iter().filter(|r| **r < 0.5).count(), 30);
    }

    #[test]
    fn squares_hold_what_is_near_their_centres() {
        // A grid of 0.01 degrees at the equator: about 1.1 km.
        let lat: Vec<f64> = (0..10_000).map(|i| f64::from(i / 100) * 0.01).collect();
        let lon: Vec<f64> = (0..10_000).map(|i| f64::from(i % 100) * 0.01).collect();
        let (inside, relaxed) = squares(&lat, &lon, 2, 10.0, 40.0, 1);
        let count = inside.iter().sum::<f64>();
        assert!((60.0..=162.0).contains(&count), "{count}");
        assert_eq!(relaxed, None);
        assert_eq!(inside, squares(&lat, &lon, 2, 10.0, 40.0, 1).0);
        // The diagonal is 156 km: 500 shrinks to 131 at most.
        let Some(Relaxed::Apart(held)) = squares(&lat, &lon, 2, 10.0, 500.0, 1).1 else { panic!("no room") };
        assert!(held < 157.0 && held > 50.0, "{held}");
        assert_eq!(squares(&lat[..3], &lon[..3], 4, 1.0, 0.0, 1).1, Some(Relaxed::Points(3)));
    }
}
