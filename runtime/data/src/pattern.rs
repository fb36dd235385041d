//! Patterns in paths: `*` stands for any part of a name, `{part}` for one that becomes a column or an axis.
use crate::DataError;
use std::path::Path;
use stmc_ir::data::is_pattern;

/// A file that fits a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Match {
    /// As the pattern writes it, with what stands for its gaps.
    pub(crate) path: String,
    /// What stands for each `{name}`.
    pub(crate) names: Vec<(String, String)>,
}

/// The files that fit, in the order of their names. A path without gaps is itself.
pub(crate) fn expand(base: &Path, pattern: &str) -> Result<Vec<Match>, DataError> {
    let mut found = vec![Match { path: String::new(), names: vec![] }];
    for (i, component) in pattern.split('/').enumerate() {
        let mut next = vec![];
        for at in &found {
            let join = |name: &str| if i == 0 { name.to_string() } else { format!("{}/{name}", at.path) };
            if !is_pattern(component) {
                next.push(Match { path: join(component), names: at.names.clone() });
                continue;
            }
            let folder = base.join(if i == 0 {
                "."
            } else if at.path.is_empty() {
                "/"
            } else {
                &at.path
            });
            for name in listed(&folder) {
                if let Some(names) = fit(component, &name) {
                    let names = at.names.iter().cloned().chain(names).collect();
                    next.push(Match { path: join(&name), names });
                }
            }
        }
        found = next;
    }
    let Some(first) = found.first() else {
        return Err(DataError::unreadable(pattern, "no file has a name like this"));
    };
    let names = || first.names.iter().map(|(name, _)| name);
    if let Some((_, name)) = names().enumerate().find(|(i, name)| names().take(*i).any(|n| n == *name)) {
        return Err(DataError::unreadable(pattern, format!("`{{{name}}}` stands there twice")));
    }
    Ok(found)
}

/// The names in a folder, in order. What is no folder holds none.
fn listed(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What stands for each `{name}`. `None`: the name does not fit.
fn fit(pattern: &str, name: &str) -> Option<Vec<(String, String)>> {
    let Some(gap) = pattern.find(['*', '{']) else { return (pattern == name).then(Vec::new) };
    let rest = name.strip_prefix(&pattern[..gap])?;
    let (word, after) = match pattern[gap..].strip_prefix('{') {
        Some(inner) => inner.split_once('}').map(|(word, after)| (Some(word), after))?,
        None => (None, &pattern[gap + 1..]),
    };
    // The longest that fits; a hidden file is no data.
    (1..=rest.len()).rev().filter(|&n| rest.is_char_boundary(n) && !name.starts_with('.')).find_map(|n| {
        let mut names = fit(after, &rest[n..])?;
        if let Some(word) = word {
            names.insert(0, (word.to_string(), rest[..n].to_string()));
        }
        Some(names)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps() {
        assert_eq!(fit("a.csv", "a.csv"), Some(vec![]));
        assert_eq!(fit("*.csv", "b.csv"), Some(vec![]));
        assert_eq!(fit("*.csv", "b.txt"), None);
        let part = vec![("part".to_string(), "test".to_string())];
        assert_eq!(fit("mitbih_{part}_sample.csv", "mitbih_test_sample.csv"), Some(part));
        let two = vec![("a".to_string(), "x".to_string()), ("b".to_string(), "y".to_string())];
        assert_eq!(fit("{a}-{b}", "x-y"), Some(two));
        assert_eq!(fit("{a", "x"), None);
    }
}
