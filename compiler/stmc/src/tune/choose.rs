//! Which hypers the next trial has: a pure function of what is searched and the trials before it.
use super::Trial;
use stmc_model::{Domain, Search, Tuning};

/// Trials of a tree-structured search that are drawn blindly, before there is something to learn from.
const BLIND: usize = 10;
/// Of so many candidates the most promising is taken.
const CANDIDATES: u64 = 24;
/// Cells into which a range is cut.
const CELLS: usize = 64;

/// The hypers of the next trial, as `--set` takes them. `None`: the search is over.
pub(super) fn next(tuning: &Tuning, trials: &[Trial]) -> Option<Vec<(String, String)>> {
    let n = trials.len();
    let values: Vec<String> = match tuning.search {
        Search::Grid => return (n < combinations(tuning)).then(|| named(tuning, grid(tuning, n))),
        Search::Random(count) | Search::Tpe(count) if n >= count => return None,
        Search::Tpe(count) if n >= BLIND.min(count.div_ceil(3)) => {
            let domains = tuning.domains.iter().enumerate();
            domains.map(|(i, (_, domain))| promising(tuning, trials, i, domain)).collect()
        }
        Search::Random(_) | Search::Tpe(_) => {
            let place = |i: usize| uniform(tuning.seed, [n as u64, i as u64, 0]);
            tuning.domains.iter().enumerate().map(|(i, (_, domain))| at(domain, place(i))).collect()
        }
    };
    Some(named(tuning, values))
}

/// A value as something that is better small.
pub(super) fn cost(tuning: &Tuning, value: f64) -> f64 {
    if tuning.maximize { -value } else { value }
}

/// How many points a grid has.
pub(super) fn combinations(tuning: &Tuning) -> usize {
    tuning.domains.iter().map(|(_, domain)| cells(domain)).product()
}

fn named(tuning: &Tuning, values: Vec<String>) -> Vec<(String, String)> {
    tuning.domains.iter().map(|(name, _)| name.clone()).zip(values).collect()
}

/// The last hyper changes fastest.
fn grid(tuning: &Tuning, mut n: usize) -> Vec<String> {
    let mut values: Vec<String> = vec![];
    for (_, domain) in tuning.domains.iter().rev() {
        let count = cells(domain);
        values.push(at(domain, ((n % count) as f64 + 0.5) / count as f64));
        n /= count;
    }
    values.reverse();
    values
}

/// How many values a domain has, or into how many cells it is cut.
fn cells(domain: &Domain) -> usize {
    match domain {
        Domain::List(all) => all.len(),
        Domain::Ints(a, b) => (b - a + 1) as usize,
        Domain::Log(..) | Domain::Uniform(..) => CELLS,
    }
}

/// The value at a place between 0 and 1 of its domain.
fn at(domain: &Domain, place: f64) -> String {
    let nth = |count: usize| ((place * count as f64) as usize).min(count - 1);
    match domain {
        Domain::List(all) => all[nth(all.len())].clone(),
        Domain::Ints(a, _) => (a + nth(cells(domain)) as i64).to_string(),
        Domain::Uniform(a, b) => rounded(a + (b - a) * place, *a, *b),
        Domain::Log(a, b) => rounded((a.ln() + (b.ln() - a.ln()) * place).exp(), *a, *b),
    }
}

/// Five digits are enough for a hyper.
fn rounded(x: f64, low: f64, high: f64) -> String {
    let x: f64 = format!("{x:.4e}").parse().expect("a number is written");
    format!("{:?}", x.clamp(low, high))
}

/// Where in its domain a value lies. `None`: it is none of its values.
fn place(domain: &Domain, value: &str) -> Option<f64> {
    let middle = |n: usize| (n as f64 + 0.5) / cells(domain) as f64;
    match domain {
        Domain::List(all) => all.iter().position(|v| v == value).map(middle),
        Domain::Ints(a, _) => value.parse::<i64>().ok().map(|i| middle((i - a) as usize)),
        Domain::Uniform(a, b) => value.parse::<f64>().ok().map(|x| (x - a) / (b - a)),
        Domain::Log(a, b) => value.parse::<f64>().ok().map(|x| (x.ln() - a.ln()) / (b.ln() - a.ln())),
    }
}

/// A tree-structured Parzen estimator (Bergstra et al. 2011), hyper by hyper: of candidates drawn where good trials are, the one
/// where good ones are densest beside the others. Trials without a value are no good.
fn promising(tuning: &Tuning, trials: &[Trial], hyper: usize, domain: &Domain) -> String {
    let mut ranked: Vec<&Trial> = trials.iter().collect();
    let key = |t: &Trial| t.value.map_or(f64::INFINITY, |v| cost(tuning, v));
    ranked.sort_by(|a, b| key(a).total_cmp(&key(b)));
    let good = good_ones(ranked.len());
    let places = |trials: &[&Trial]| -> Vec<f64> {
        trials.iter().filter_map(|t| place(domain, &t.set[hyper].1)).collect()
    };
    let (good, others) =
        (density(domain, &places(&ranked[..good])), density(domain, &places(&ranked[good..])));
    let draw = |k: u64| uniform(tuning.seed, [trials.len() as u64, hyper as u64, k]);
    let candidate = |k: u64| {
        let mut left = draw(2 * k);
        let cell = good.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        let cell = cell.unwrap_or(good.len() - 1);
        (cell, (cell as f64 + draw(2 * k + 1)) / good.len() as f64)
    };
    let candidates = (0..CANDIDATES).map(candidate);
    let best = candidates.max_by(|a, b| (good[a.0] / others[a.0]).total_cmp(&(good[b.0] / others[b.0])));
    at(domain, best.expect("there are candidates").1)
}

/// How many of so many trials count as good: as in Hyperopt (Bergstra et al. 2013), a few even of many.
fn good_ones(trials: usize) -> usize {
    ((trials as f64).sqrt() / 4.0).ceil().max(1.0) as usize
}

/// How likely each cell of a domain is: around each place a bell, which is narrower the more there are (Scott's rule), and a
/// little everywhere.
fn density(domain: &Domain, places: &[f64]) -> Vec<f64> {
    let count = cells(domain).min(CELLS);
    let width = match domain {
        Domain::List(_) => 0.0,
        _ => (0.2 * (places.len() as f64).powf(-0.2)).max(1.0 / count as f64),
    };
    let mut sum = vec![1.0 / count as f64; count];
    for place in places {
        let own = ((place * count as f64) as usize).min(count - 1);
        let bell = |cell: usize| {
            let away = ((cell as f64 + 0.5) / count as f64 - place) / width;
            if cell == own {
                1.0
            } else if width == 0.0 {
                0.0
            } else {
                (-away * away / 2.0).exp()
            }
        };
        let all: f64 = (0..count).map(bell).sum();
        sum.iter_mut().enumerate().for_each(|(cell, p)| *p += bell(cell) / all);
    }
    let all = 1.0 + places.len() as f64;
    sum.iter().map(|p| p / all).collect()
}

/// A number from 0 to 1 that follows from the seed and where it is drawn (SplitMix64, Steele et al. 2014).
fn uniform(seed: u64, site: [u64; 3]) -> f64 {
    let mixed = |state: u64, word: u64| {
        let mut z = state.wrapping_add(word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let bits = site.into_iter().fold(mixed(0, seed), mixed);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn tuning(search: Search) -> Tuning {
        Tuning {
            search,
            part: "valid".into(),
            metric: "loss".into(),
            maximize: false,
            seed: 7,
            domains: vec![
                ("rate".into(), Domain::Log(1e-4, 1e-1)),
                ("width".into(), Domain::Ints(1, 8)),
                ("kind".into(), Domain::List(vec!["\"a\"".into(), "\"b\"".into(), "\"c\"".into()])),
                ("share".into(), Domain::Uniform(0.0, 1.0)),
            ],
        }
    }

    /// Searches where the best is at a rate of 1e-2, a width of 6, "b" and 0.25.
    fn searched(tuning: &Tuning) -> Vec<Trial> {
        let mut trials: Vec<Trial> = vec![];
        while let Some(set) = next(tuning, &trials) {
            let number = |i: usize| set[i].1.parse::<f64>().expect("a number");
            let kind = if set[2].1 == "\"b\"" { 0.0 } else { 1.0 };
            let value = (number(0).log10() + 2.0).powi(2)
                + ((number(1) - 6.0) / 4.0).powi(2)
                + kind
                + (4.0 * (number(3) - 0.25)).powi(2);
            let value = if number(1) == 1.0 { None } else { Some(value) };
            trials.push(Trial { number: trials.len() + 1, set, value, path: PathBuf::new() });
        }
        trials
    }

    fn best(trials: &[Trial]) -> f64 {
        trials.iter().filter_map(|t| t.value).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn values_stay_in_their_domains() {
        for search in [Search::Random(200), Search::Tpe(200)] {
            for trial in searched(&tuning(search)) {
                let number = |i: usize| trial.set[i].1.parse::<f64>().expect("a number");
                assert!((1e-4..=1e-1).contains(&number(0)), "{trial:?}");
                assert!((1.0..=8.0).contains(&number(1)) && number(1).fract() == 0.0, "{trial:?}");
                assert!((0.0..=1.0).contains(&number(3)), "{trial:?}");
            }
        }
    }

    #[test]
    fn what_was_good_is_searched_again() {
        // Over ten seeds, as one search may be lucky.
        let mean = |search: Search| {
            let bests = (0..10).map(|seed| best(&searched(&Tuning { seed, ..tuning(search) })));
            bests.sum::<f64>() / 10.0
        };
        let (blind, learning) = (mean(Search::Random(60)), mean(Search::Tpe(60)));
        assert!(learning < blind / 2.0, "{learning} is hardly less than {blind}");
    }

    #[test]
    fn a_search_goes_on_as_it_was() {
        let all = searched(&tuning(Search::Tpe(40)));
        let again = next(&tuning(Search::Tpe(40)), &all[..25]).expect("it is not over");
        assert_eq!(again, all[25].set);
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let mut grid = tuning(Search::Grid);
        grid.domains.retain(|d| ["width", "kind"].contains(&d.0.as_str()));
        let mut found: Vec<Vec<String>> = vec![];
        let mut trials: Vec<Trial> = vec![];
        while let Some(set) = next(&grid, &trials) {
            found.push(set.iter().map(|s| s.1.clone()).collect());
            trials.push(Trial { number: trials.len() + 1, set, value: None, path: PathBuf::new() });
        }
        assert_eq!(
            (found[0].clone(), found[1].clone()),
            (vec!["1".into(), "\"a\"".into()], vec!["1".into(), "\"b\"".into()])
        );
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 24);
    }
}
