//! What byte-pair encoding does inside one token.

use std::collections::HashMap;

/// The merges of a BPE model, by the ids of their parts.
pub(super) struct Merges {
    ids: HashMap<String, u32>,
    /// Rank and product of each pair.
    pairs: HashMap<[u32; 2], (usize, u32)>,
}

impl Merges {
    pub(super) fn new<'a>(
        vocabulary: impl IntoIterator<Item = (&'a str, u32)>,
        merges: impl IntoIterator<Item = [&'a str; 2]>,
    ) -> Self {
        let ids: HashMap<String, u32> = vocabulary
            .into_iter()
            .map(|(token, id)| (token.to_owned(), id))
            .collect();
        let mut pairs = HashMap::new();
        for (rank, [left, right]) in merges.into_iter().enumerate() {
            let id = |token: &str| ids.get(token).copied();
            if let (Some(first), Some(second), Some(product)) =
                (id(left), id(right), id(&format!("{left}{right}")))
            {
                pairs.entry([first, second]).or_insert((rank, product));
            }
        }
        Self { ids, pairs }
    }

    /// Every token that merging goes through from the characters of `token` to the token itself.
    pub(super) fn on_the_way_to(&self, token: &str) -> Vec<u32> {
        let mut buffer = [0; 4];
        let mut symbols: Vec<u32> = Vec::new();
        for character in token.chars() {
            match self.ids.get(&*character.encode_utf8(&mut buffer)) {
                Some(&id) => symbols.push(id),
                // Not made of this model's characters: an added token.
                None => return Vec::new(),
            }
        }
        let mut seen = symbols.clone();
        while let Some((place, product)) = self.next_merge(&symbols) {
            symbols[place] = product;
            symbols.remove(place + 1);
            seen.push(product);
        }
        seen
    }

    /// The merge of lowest rank, the leftmost of equals, and what it makes.
    fn next_merge(&self, symbols: &[u32]) -> Option<(usize, u32)> {
        let candidates = symbols.windows(2).enumerate().filter_map(|(place, pair)| {
            let (rank, product) = self.pairs.get(&[pair[0], pair[1]])?;
            Some((*rank, place, *product))
        });
        candidates.min().map(|(_, place, product)| (place, product))
    }
}
