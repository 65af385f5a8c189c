//! Which body an operation runs.

use std::sync::atomic::{AtomicBool, Ordering};

static PORTABLE: AtomicBool = AtomicBool::new(false);

/// Whether every operation of this process runs its portable body, whatever the device.
///
/// For comparisons and for finding out whether a fused body is to blame. Operations that have begun
/// are not affected.
pub fn use_portable_bodies(portable: bool) {
    PORTABLE.store(portable, Ordering::Relaxed);
}

/// What [`use_portable_bodies`] was last told; false at first.
#[must_use]
pub fn portable_bodies() -> bool {
    PORTABLE.load(Ordering::Relaxed)
}

/// Implements an extension with its portable bodies for the backends other than flex.
macro_rules! portable_on_other_backends {
    ($extension:ident) => {
        #[cfg(feature = "tch")]
        impl $extension for burn::backend::LibTorch {}
        crate::bodies::portable_off_host!($extension);
    };
}
pub(crate) use portable_on_other_backends;

/// Implements an extension with its portable bodies for the backends whose tensors are not in host
/// memory.
macro_rules! portable_off_host {
    ($extension:ident) => {
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        impl $extension for burn::backend::Cube {}
        crate::bodies::portable_on_remote!($extension);
    };
}
pub(crate) use portable_off_host;

/// Implements an extension with its portable bodies for devices of other machines.
macro_rules! portable_on_remote {
    ($extension:ident) => {
        #[cfg(feature = "remote")]
        impl $extension for burn::backend::Remote {}
    };
}
pub(crate) use portable_on_remote;
