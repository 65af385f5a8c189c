//! What each backend needs of the machine.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Result, bail};
use burn::prelude::*;

use crate::python::Python;

/// A backend that the facade offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Backend {
    /// Pure-Rust CPU.
    Flex,
    /// GPU through WebGPU; on Linux through Vulkan.
    Wgpu,
    /// CPU through libtorch.
    Tch,
    /// A device of a server, here flex on loopback.
    Remote,
}

impl Backend {
    pub(super) const ALL: [Self; 4] = [Self::Flex, Self::Wgpu, Self::Tch, Self::Remote];

    /// The name of its feature.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Wgpu => "wgpu",
            Self::Tch => "tch",
            Self::Remote => "remote",
        }
    }

    /// The device, in a build that has the backend.
    pub(super) fn device(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "tch")]
            #[allow(deprecated, reason = "docs/adr/0002-tch-supported.md")]
            Self::Tch => Ok(Device::libtorch()),
            #[cfg(feature = "remote")]
            Self::Remote => super::remote::device(),
            #[cfg(not(all(feature = "wgpu", feature = "tch", feature = "remote")))]
            other => bail!("this build lacks the feature {}", other.name()),
        }
    }

    /// Why the backend cannot run here, if so.
    pub(super) fn missing(self) -> Option<String> {
        match self {
            Self::Flex | Self::Remote => None,
            Self::Wgpu if !cfg!(target_os = "linux") || has_vulkan() => None,
            Self::Wgpu => Some(
                "no Vulkan driver; Debian's mesa-vulkan-drivers brings one that needs no GPU"
                    .into(),
            ),
            Self::Tch if env::var_os("LIBTORCH").is_some() => None,
            Self::Tch => match Python::of_path().torch() {
                Some(torch) if torch.fits_burn() => None,
                Some(torch) => Some(format!(
                    "python3 has torch {}, 2.9 is needed",
                    torch.version
                )),
                None => {
                    Some("no libtorch 2.9; `python3 -m pip install torch==2.9.0` brings one".into())
                }
            },
        }
    }

    /// Cargo, told where the libraries of the backend are.
    pub(super) fn command(self) -> Command {
        let mut command = Command::new("cargo");
        if self == Self::Tch
            && env::var_os("LIBTORCH").is_none()
            && let Some(torch) = Python::of_path().torch()
        {
            command.envs(torch.environment());
        }
        command
    }
}

fn has_vulkan() -> bool {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
    let folders = [
        "/usr/share/vulkan/icd.d",
        "/usr/local/share/vulkan/icd.d",
        "/etc/vulkan/icd.d",
    ];
    named.into_iter().any(|name| env::var_os(name).is_some())
        || folders
            .into_iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .any(|mut entries| entries.next().is_some())
}
