//! Questions about the gradients of a whole module.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;

/// `Σ g²` over all gradients, in f32 (f64 for f64 gradients), `[1]`; `None` without gradients.
pub(crate) fn squared_norm<M: Module>(
    module: &M,
    gradients: &GradientsParams,
) -> Option<Tensor<1>> {
    let mut visitor = SquaredNorm {
        gradients,
        total: None,
    };
    module.visit(&mut visitor);
    visitor.total
}

/// Multiplies every gradient with `factor`.
pub(crate) fn scale<M: Module>(module: &M, gradients: &mut GradientsParams, factor: f64) {
    module.visit(&mut Scale { gradients, factor });
}

/// Path of the first parameter whose gradient is not finite. Reads every gradient: for messages.
pub(crate) fn first_non_finite<M: Module>(
    module: &M,
    gradients: &GradientsParams,
) -> Option<String> {
    let mut visitor = FirstNonFinite {
        gradients,
        path: Vec::new(),
        found: None,
    };
    module.visit(&mut visitor);
    visitor.found
}

/// Whether any parameter requires a gradient. Also draws parameters that are initialised lazily,
/// while the order in which they are drawn does not yet depend on the first batch.
pub(crate) fn any_requires_gradient<M: Module>(module: &M) -> bool {
    let mut visitor = AnyRequiresGradient(false);
    module.visit(&mut visitor);
    visitor.0
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    total: Option<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(parameter.id) else {
            return;
        };
        let squares = potstill_kernels::squared_norm(gradient);
        self.total = Some(match self.total.take() {
            Some(total) => {
                let squares = squares.to_device(&total.device()).cast(total.dtype());
                total + squares
            }
            None => squares,
        });
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
            self.gradients
                .register(parameter.id, gradient.mul_scalar(self.factor));
        }
    }
}

struct FirstNonFinite<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    found: Option<String>,
}

impl ModuleVisitor for FirstNonFinite<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if self.found.is_some() {
            return;
        }
        let Some(gradient) = self.gradients.get::<D>(parameter.id) else {
            return;
        };
        if !gradient.into_data().iter::<f64>().all(f64::is_finite) {
            self.found = Some(self.path.join("."));
        }
    }
}

struct AnyRequiresGradient(bool);

impl ModuleVisitor for AnyRequiresGradient {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.0 |= parameter.val().is_require_grad();
    }
}
