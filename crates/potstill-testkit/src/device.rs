//! The devices that tests run on.

use burn::prelude::*;

/// The CPU, without autodiff.
#[must_use]
pub fn plain_device() -> Device {
    Device::flex()
}

/// The CPU, with autodiff.
#[must_use]
pub fn autodiff_device() -> Device {
    Device::flex().autodiff()
}
