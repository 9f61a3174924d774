//! What a word was probably meant to be.

/// The known word that is most like `text`, if one is like it at all: a third of it may be wrong, and at least one letter.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word may be as long as its writer likes; what is compared grows with both.
    let text: String = text.chars().take(100).collect();
    let far = (text.chars().count() / 3).max(1);
    let distance = |word: &str| strsim::damerau_levenshtein(&text.to_lowercase(), &word.to_lowercase());
    let nearest = known.into_iter().map(|word| (distance(word), word)).min_by_key(|&(distance, _)| distance)?;
    (nearest.0 <= far).then_some(nearest.1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn words_are_told_by_their_letters() {
        let known = ["list", "shape", "encoding", "int2e", "int2e-frame"];
        for (text, word) in
            [("lists", "list"), ("shaep", "shape"), ("Encodign", "encoding"), ("int2f", "int2e"), ("lst", "list")]
        {
            assert_eq!(nearest(text, known), Some(word), "{text}");
        }
        for text in ["", "x", "architecture", "arch", &"list".repeat(1000)] {
            assert_eq!(nearest(text, known), None, "{text}");
        }
        assert_eq!(nearest("list", []), None);
    }
}
