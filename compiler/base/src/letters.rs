//! How far two words are apart: for "did you mean".

/// How many letters were added, left out, changed, or swapped with their neighbours.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let changed = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let best = changed.min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { best.min(cost[i - 2][j - 2] + 1) } else { best }
                }
            };
        }
    }
    cost[a.len()][b.len()]
}
