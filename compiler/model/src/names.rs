//! "Did you mean …?": the nearest of the names that would have been valid.

use stmc_base::Help;

/// The help that names the nearest. `None`: nothing is near enough.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<Help> {
    nearest(word, candidates).map(Help::did_you_mean)
}

/// What to say of a word that is none of the candidates: the one that was probably meant, else all after `these`.
pub(crate) fn near_or_all<'a>(
    word: &str,
    these: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Help {
    did_you_mean(word, candidates.clone()).unwrap_or_else(|| format!("{these} {}", listed(candidates)).into())
}

/// The candidate with the smallest edit distance, if it is small for the word's length or one begins with the other
/// (`batch_size`, `batch`); the first of equals.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = if word.chars().count() <= 3 { 1 } else { 2 + word.chars().count() / 6 };
    let scored = candidates.into_iter().filter(|c| *c != word).map(|c| (distance(word, c), c));
    let is_near = |d: usize, c: &str| {
        d <= limit && d < c.chars().count() || begins_with(word, c) || begins_with(c, word)
    };
    scored.filter(|(d, c)| is_near(*d, c)).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Whether a longer word begins with another, of which there is enough to know it by.
fn begins_with(long: &str, short: &str) -> bool {
    short.chars().count() >= 4 && long.to_lowercase().starts_with(&short.to_lowercase())
}

/// Letters of another case cost nothing.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    stmc_base::distance(&a.to_lowercase(), &b.to_lowercase())
}

/// `a`, `b` and `c`, each in backquotes.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    match names.as_slice() {
        [] => "none".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
