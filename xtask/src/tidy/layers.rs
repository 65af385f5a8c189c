//! Who may depend on whom.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Package};

use super::Finding;
use crate::project::Project;

/// Features of burn that choose or tune a backend.
const BACKEND_FEATURES: [&str; 17] = [
    "cpu",
    "cuda",
    "flex",
    "metal",
    "ndarray",
    "rayon",
    "remote",
    "rocm",
    "router",
    "simd",
    "tch",
    "vulkan",
    "webgpu",
    "wgpu",
    "x86-v4",
    "accelerate",
    "openblas",
];

/// Siblings that may use this crate, although it shares no strictly lower layer with them.
const KERNELS: (&str, [&str; 2]) = ("potstill-kernels", ["potstill-losses", "potstill-models"]);

pub(super) fn check(project: &Project, findings: &mut Vec<Finding>) {
    let packages = &project.metadata.packages;
    let layers: BTreeMap<&str, Option<u64>> = packages
        .iter()
        .map(|package| (package.name.as_str(), layer(package)))
        .collect();
    for package in packages {
        let manifest = project.relative(package.manifest_path.as_std_path());
        let mut report = |message: String| findings.push(Finding::new(manifest, 0, message));
        let Some(own) = layer(package) else {
            report("add `[package.metadata.potstill] layer = N`".into());
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let Some(&Some(theirs)) = layers.get(name) else {
                continue;
            };
            if dependency.kind != DependencyKind::Normal {
                continue;
            }
            // The automation reads the same reference files as the tests.
            if name == "potstill-testkit" && package.name != "xtask" {
                report("make potstill-testkit a dev-dependency; it is never published".into());
            }
            let excepted = name == KERNELS.0 && KERNELS.1.contains(&package.name.as_str());
            if theirs >= own && !excepted {
                report(format!(
                    "{} (layer {own}) depends on {name} (layer {theirs}); a dependency belongs in a \
                     strictly lower layer, so move the shared part down",
                    package.name
                ));
            }
        }
    }
    for package in project.packages_in("crates") {
        if ["potstill", "potstill-testkit"].contains(&package.name.as_str()) || is_private(package)
        {
            continue;
        }
        let manifest = project.relative(package.manifest_path.as_std_path());
        for dependency in &package.dependencies {
            let chosen = dependency
                .features
                .iter()
                .find(|feature| BACKEND_FEATURES.contains(&feature.as_str()));
            if let (DependencyKind::Normal, Some(feature)) = (dependency.kind, chosen)
                && dependency.name.starts_with("burn")
            {
                let message = format!(
                    "remove the feature `{feature}` of {}; only the facade chooses a backend",
                    dependency.name
                );
                findings.push(Finding::new(manifest, 0, message));
            }
        }
    }
}

/// Whether the package is never published.
pub(super) fn is_private(package: &Package) -> bool {
    package.publish.as_ref().is_some_and(Vec::is_empty)
}

fn layer(package: &Package) -> Option<u64> {
    package.metadata.get("potstill")?.get("layer")?.as_u64()
}
