//! Where the work is done.

use anyhow::Result;
use potstill::burn::tensor::Device;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Backend {
    /// Pure-Rust CPU.
    Flex,
    /// CPU through libtorch.
    Tch,
}

impl Backend {
    /// The device, in a build that has the backend.
    pub(crate) fn device(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "tch")]
            #[allow(deprecated, reason = "docs/adr/0002-tch-supported.md")]
            Self::Tch => Ok(Device::libtorch()),
            #[cfg(not(feature = "tch"))]
            Self::Tch => anyhow::bail!("this build lacks the feature tch"),
        }
    }
}
