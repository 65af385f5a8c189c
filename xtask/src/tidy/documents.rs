//! Documents that name what exists.

use std::path::Path;

use super::{Finding, TextFile, layers};
use crate::project::Project;

pub(super) fn check(project: &Project, files: &[TextFile], findings: &mut Vec<Finding>) {
    let text = |path: &Path| {
        files
            .iter()
            .find(|file| file.path == path)
            .map_or("", |file| file.text.as_str())
    };
    let mut report = |path: &Path, message: String| findings.push(Finding::new(path, 0, message));

    let changelog = Path::new("CHANGELOG.md");
    if !text(changelog)
        .lines()
        .any(|line| line.trim() == "## Unreleased")
    {
        report(changelog, "add a section `## Unreleased`".into());
    }
    let readme = Path::new("README.md");
    for package in project.packages_in("crates") {
        if !layers::is_private(package) && !text(readme).contains(&format!("`{}`", package.name)) {
            report(readme, format!("list the crate `{}`", package.name));
        }
    }
    for package in project.packages_in("examples") {
        let manifest = project.relative(package.manifest_path.as_std_path());
        let folder = manifest.parent().unwrap_or(manifest);
        if text(&folder.join("README.md")).is_empty() {
            report(
                folder,
                "add a README.md: what it shows, the command, what it prints".into(),
            );
        }
        let accepts_smoke = files.iter().any(|file| {
            file.path.starts_with(folder) && file.is_rust() && file.text.contains("smoke: bool")
        });
        if !accepts_smoke {
            report(
                folder,
                "accept `--smoke`: a run of a few seconds for CI".into(),
            );
        }
    }
}
