//! The workspace on disk: its packages and its tracked files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The workspace this program was built from.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) metadata: Metadata,
}

impl Project {
    /// Asks cargo about the workspace of the current directory.
    pub(crate) fn load() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("`cargo metadata` failed; run this inside the workspace")?;
        Ok(Self { metadata })
    }

    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    pub(crate) fn target_directory(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The packages whose manifest lies below `folder`, in alphabetical order.
    pub(crate) fn packages_in(&self, folder: &str) -> Vec<&Package> {
        let parent = self.root().join(folder);
        let mut packages: Vec<_> = (self.metadata.packages.iter())
            .filter(|package| package.manifest_path.as_std_path().starts_with(&parent))
            .collect();
        packages.sort_by_key(|package| package.manifest_path.clone());
        packages
    }

    /// `path` relative to the root, for messages.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(self.root()).unwrap_or(path)
    }

    /// Every file that git tracks or would track; without git, every file outside `target`.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(self.root())
            .output();
        let mut files = match listed {
            Ok(output) if output.status.success() => String::from_utf8(output.stdout)
                .context("git lists a path that is not UTF-8")?
                .split_terminator('\0')
                .map(|path| self.root().join(path))
                .filter(|path| path.is_file())
                .collect(),
            _ => {
                let mut files = Vec::new();
                walk(self.root(), &mut files)?;
                files
            }
        };
        files.sort();
        Ok(files)
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let skipped = [OsStr::new("target"), OsStr::new(".git")];
        if path.is_dir()
            && path
                .file_name()
                .is_some_and(|name| !skipped.contains(&name))
        {
            walk(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
