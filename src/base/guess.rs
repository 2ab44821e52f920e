//! What somebody meant who mistyped a word.

/// The first of the nearest candidates, unless it takes more than `bound` mistakes to come from it to `word`: a
/// letter too many, too few, another, or two exchanged.
pub fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    bound: impl Fn(&str) -> usize,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= bound(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint that asks for it.
#[must_use]
pub fn did_you_mean(candidate: &str) -> String {
    format!("did you mean `{candidate}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_decides() {
        let known = ["ports", "profiles", "posts"];
        assert_eq!(closest("prots", known, |_| 2), Some("ports"));
        assert_eq!(closest("prots", known, |_| 0), None);
        assert_eq!(closest("pots", known, |_| 1), Some("ports"));
        assert_eq!(closest("prot", known, |known| known.len() / 4), None);
    }
}
