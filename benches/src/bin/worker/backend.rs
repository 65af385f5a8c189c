//! Where the work is done.

use anyhow::Result;
use potstill::burn::tensor::Device;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Backend {
    /// Pure-Rust CPU.
    Flex,
    /// GPU through WebGPU.
    Wgpu,
    /// CPU through libtorch.
    Tch,
}

impl Backend {
    /// The device, in a build that has the backend.
    pub(crate) fn device(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(
                potstill::burn::tensor::DeviceKind::DefaultDevice,
            )),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => anyhow::bail!("this build lacks the feature wgpu"),
            #[cfg(feature = "tch")]
            #[allow(deprecated, reason = "docs/adr/0002-tch-supported.md")]
            Self::Tch => Ok(Device::libtorch()),
            #[cfg(not(feature = "tch"))]
            Self::Tch => anyhow::bail!("this build lacks the feature tch"),
        }
    }
}
