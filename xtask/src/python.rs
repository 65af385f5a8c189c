//! The Python that has torch.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// An interpreter.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    program: PathBuf,
}

/// The torch of a [`Python`].
#[derive(Clone, Debug)]
pub(crate) struct Torch {
    pub(crate) version: String,
    /// Where its shared libraries are.
    pub(crate) libraries: PathBuf,
}

impl Python {
    /// `python3` as the shell would find it.
    pub(crate) fn of_path() -> Self {
        Self {
            program: "python3".into(),
        }
    }

    /// The one that was named, else that of the active virtual environment, else `python3`.
    pub(crate) fn choose(named: Option<&Path>) -> Self {
        let active = || Some(Path::new(&env::var_os("VIRTUAL_ENV")?).join("bin/python"));
        match named.map(Path::to_owned).or_else(active) {
            Some(program) => Self { program },
            None => Self::of_path(),
        }
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Its torch, if it has one.
    pub(crate) fn torch(&self) -> Option<Torch> {
        let script = "import os, torch; print(torch.__version__); \
                      print(os.path.join(os.path.dirname(torch.__file__), 'lib'))";
        let output = self.command().args(["-c", script]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (version, folder) = text.trim().split_once('\n')?;
        output.status.success().then(|| Torch {
            version: version.to_owned(),
            libraries: folder.into(),
        })
    }

    /// The release of a module, if it can be imported.
    pub(crate) fn version_of(&self, module: &str) -> Option<String> {
        let script = format!("import {module}; print({module}.__version__)");
        let output = self.command().args(["-c", &script]).output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| version.trim().to_owned())
    }

    /// Fails unless the modules can be imported, and says how to get them.
    pub(crate) fn require(&self, modules: &[&str]) -> Result<()> {
        let script = format!("import {}", modules.join(", "));
        let output = (self.command().args(["-c", &script]).output())
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            bail!(
                "{program} lacks one of {list}; `{program} -m pip install torch==2.9.0 transformers` \
                 brings them, or name another interpreter with --python",
                program = self.program.display(),
                list = modules.join(", "),
            );
        }
        Ok(())
    }

    /// `PATH` with its folder in front, for programs that look for `python` themselves.
    pub(crate) fn search_path(&self) -> OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let own = self.program.parent().map(Path::to_owned);
        let folders = own.into_iter().filter(|own| own.is_absolute());
        env::join_paths(folders.chain(env::split_paths(&inherited))).unwrap_or(inherited)
    }
}

impl Torch {
    /// Whether this is the release that burn's libtorch backend is made for.
    pub(crate) fn fits_burn(&self) -> bool {
        self.version.starts_with("2.9.")
    }

    /// What cargo and its programs have to know to find the libraries.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        let mut path = self.libraries.clone().into_os_string();
        if let Some(inherited) = env::var_os("LD_LIBRARY_PATH") {
            path.push(":");
            path.push(inherited);
        }
        [
            ("LIBTORCH_USE_PYTORCH", "1".into()),
            ("LD_LIBRARY_PATH", path),
        ]
    }
}
