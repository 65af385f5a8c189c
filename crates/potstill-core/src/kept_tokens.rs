//! The tokens that a smaller vocabulary keeps.

use serde::{Deserialize, Serialize};

/// The tokens of a vocabulary that a smaller one keeps, in their old order: kept token `i` gets the
/// id `i`.
///
/// One value of this restricts a tokenizer, a student and its teacher alike, so that all three speak
/// the same ids.
///
/// ```
/// use potstill_core::KeptTokens;
///
/// let kept = KeptTokens::new([7, 2, 5, 2]);
/// assert_eq!(kept.old_ids(), [2, 5, 7]);
/// assert_eq!(kept.new_id(5), Some(1));
/// assert_eq!(kept.old_id(2), Some(7));
/// assert_eq!(kept.new_id(3), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u32>", into = "Vec<u32>")]
pub struct KeptTokens {
    old_ids: Vec<u32>,
}

impl KeptTokens {
    /// Keeps these tokens; order and repetitions do not matter.
    #[must_use]
    pub fn new(old_ids: impl IntoIterator<Item = u32>) -> Self {
        let mut old_ids: Vec<u32> = old_ids.into_iter().collect();
        old_ids.sort_unstable();
        old_ids.dedup();
        Self { old_ids }
    }

    /// How many tokens are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.old_ids.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.old_ids.is_empty()
    }

    /// The old ids, ascending; the place of each is its new id.
    #[must_use]
    pub fn old_ids(&self) -> &[u32] {
        &self.old_ids
    }

    /// The new id of a token, if it is kept.
    #[must_use]
    pub fn new_id(&self, old_id: u32) -> Option<u32> {
        let place = self.old_ids.binary_search(&old_id).ok()?;
        u32::try_from(place).ok()
    }

    /// What a token was called before.
    #[must_use]
    pub fn old_id(&self, new_id: u32) -> Option<u32> {
        self.old_ids.get(usize::try_from(new_id).ok()?).copied()
    }
}

impl From<Vec<u32>> for KeptTokens {
    fn from(old_ids: Vec<u32>) -> Self {
        Self::new(old_ids)
    }
}

impl From<KeptTokens> for Vec<u32> {
    fn from(kept: KeptTokens) -> Self {
        kept.old_ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_json_is_put_in_order() {
        let kept: KeptTokens = serde_json::from_str("[9, 4, 9, 0]").unwrap();
        assert_eq!(kept.old_ids(), [0, 4, 9]);
        assert_eq!(serde_json::to_string(&kept).unwrap(), "[0,4,9]");
        for (new, &old) in kept.old_ids().iter().enumerate() {
            let new = u32::try_from(new).unwrap();
            assert_eq!((kept.new_id(old), kept.old_id(new)), (Some(new), Some(old)));
        }
        assert_eq!((kept.new_id(5), kept.old_id(3)), (None, None));
    }
}
