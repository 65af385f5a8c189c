//! The same comparison within each category.

use super::{PairedOptions, PairedTest, Pairs};
use crate::clusters::Clusters;
use crate::{Error, Scores, benjamini_hochberg};

/// One test for each category of `reference`, whose items `pairs` holds in their order; the p-values
/// are adjusted for their number.
pub(super) fn test(
    reference: &Scores,
    pairs: &Pairs,
    options: &PairedOptions,
) -> Result<Vec<(String, PairedTest)>, Error> {
    let mut places: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, item) in reference.items().iter().enumerate() {
        let Some(category) = item.category.as_deref() else {
            continue;
        };
        match places.iter_mut().find(|(name, _)| *name == category) {
            Some((_, items)) => items.push(place),
            None => places.push((category, vec![place])),
        }
    }
    let mut tests = Vec::with_capacity(places.len());
    for (category, items) in places {
        let pick = |values: &[f64]| items.iter().map(|&place| values[place]).collect();
        let labels = items
            .iter()
            .map(|&place| reference.items()[place].cluster.as_deref());
        let pairs = Pairs {
            candidate: pick(&pairs.candidate),
            reference: pick(&pairs.reference),
            clusters: Clusters::of(labels),
        };
        tests.push((category.to_owned(), pairs.test(options)?));
    }
    let p_values: Vec<f64> = tests.iter().map(|(_, test)| test.p_value).collect();
    for ((_, test), adjusted) in tests.iter_mut().zip(benjamini_hochberg(&p_values)) {
        test.p_adjusted = Some(adjusted);
    }
    Ok(tests)
}
