//! Fresh weights.

use burn::module::{ModuleMapper, Param};
use burn::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Kind, ParameterPath};
use crate::ModelConfig;

/// Fills a model with fresh weights in f32.
///
/// Every parameter has a random stream of its own, so that neither burn's lazy initialization nor
/// another model can change it.
pub(crate) fn initialize<M: Module>(
    model: M,
    config: &ModelConfig,
    seed: u64,
    device: &Device,
) -> M {
    let mut mapper = Initialize {
        path: ParameterPath::default(),
        standard_deviation: config.initializer_range as f32,
        seed,
        stream: 0,
        device,
    };
    model.map(&mut mapper)
}

struct Initialize<'a> {
    path: ParameterPath,
    standard_deviation: f32,
    seed: u64,
    stream: u64,
    device: &'a Device,
}

impl ModuleMapper for Initialize<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let count = shape.num_elements();
        let values = match self.path.kind() {
            Kind::Bias => vec![0.0; count],
            Kind::Scale => vec![1.0; count],
            Kind::Projection | Kind::Table => {
                normal_values(count, self.standard_deviation, self.seed, self.stream)
            }
        };
        self.stream += 1;
        Param::from_data(TensorData::new(values, shape), self.device)
    }
}

/// Normal numbers of one stream of a seed.
pub(crate) fn normal_values(
    count: usize,
    standard_deviation: f32,
    seed: u64,
    stream: u64,
) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    normal(count, standard_deviation, &mut random)
}

/// Normal numbers by the Box-Muller transform.
fn normal(count: usize, standard_deviation: f32, random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // In (0, 1], so that the logarithm is finite.
        let uniform = 1.0 - random.random::<f32>();
        let radius = standard_deviation * (-2.0 * uniform.ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * random.random::<f32>()).sin_cos();
        values.extend([radius * cos, radius * sin]);
    }
    values.truncate(count);
    values
}
