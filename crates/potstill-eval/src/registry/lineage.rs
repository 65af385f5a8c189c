//! Where a version comes from.

use std::fmt;

use super::{Ingredient, Manifest, Registry, RegistryError, VersionId};

/// A version, what it was made with, and what that was made with.
///
/// Its [`Display`](fmt::Display) is a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The version.
    pub id: VersionId,
    /// Whether it was retired.
    pub retired: bool,
    /// What it was made with; those that are versions themselves with their own lineage.
    pub ingredients: Vec<(Ingredient, Option<Self>)>,
}

impl Registry {
    /// Follows the ingredients of a version, also through versions that were retired.
    ///
    /// # Errors
    ///
    /// When a version or one of its ancestors is not there, damaged, or its own ancestor.
    pub fn lineage(&self, id: &VersionId) -> Result<Lineage, RegistryError> {
        self.lineage_below(id, &mut Vec::new())
    }

    fn lineage_below(
        &self,
        id: &VersionId,
        descendants: &mut Vec<VersionId>,
    ) -> Result<Lineage, RegistryError> {
        if descendants.contains(id) {
            return Err(RegistryError::Damaged {
                path: self.manifest_path(id, ".json")?,
                problem: "it is its own ancestor".into(),
            });
        }
        let (manifest, retired) = self.live_or_retired(id)?;
        descendants.push(id.clone());
        let ingredients = manifest
            .ingredients
            .into_iter()
            .map(|ingredient| {
                let below = ingredient.version.as_ref();
                let below = below
                    .map(|id| self.lineage_below(id, descendants))
                    .transpose()?;
                Ok((ingredient, below))
            })
            .collect::<Result<_, RegistryError>>()?;
        descendants.pop();
        Ok(Lineage {
            id: id.clone(),
            retired,
            ingredients,
        })
    }

    fn live_or_retired(&self, id: &VersionId) -> Result<(Manifest, bool), RegistryError> {
        match self.manifest(id) {
            Ok(manifest) => Ok((manifest, false)),
            Err(RegistryError::UnknownVersion { .. })
                if self.manifest_path(id, ".retired.json")?.exists() =>
            {
                Ok((self.retired(id)?, true))
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.id,
            if self.retired { " (retired)" } else { "" }
        )?;
        self.write_below(f, 1)
    }
}

impl Lineage {
    fn write_below(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        for (ingredient, below) in &self.ingredients {
            let (kind, name) = (ingredient.kind.name(), &ingredient.name);
            write!(
                f,
                "\n{:1$}{kind}: {name} ({2:.12})",
                "",
                2 * depth,
                ingredient.sha256
            )?;
            if let Some(below) = below {
                write!(f, "{}", if below.retired { ", retired" } else { "" })?;
                below.write_below(f, depth + 1)?;
            }
        }
        Ok(())
    }
}
