//! Bodies as operations that fusion runs later.

use std::fmt;

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use burn_fusion::custom::{
    CustomOpIr, HandleContainer, Operation, OperationIr, StreamId, TensorId, TensorIr,
};
use burn_fusion::{ExecutionError, FusionBackend, FusionHandle, FusionTensor};

use super::Primitive;

type Runtime = <CubeBackend as FusionBackend>::FusionRuntime;

pub(super) fn deferred<const I: usize, const O: usize>(
    name: &'static str,
    inputs: [Primitive; I],
    outputs: [Shape; O],
    body: impl Fn([CubeTensor; I]) -> [CubeTensor; O] + Send + Sync + 'static,
) -> [Primitive; O] {
    let client = inputs[0].client.clone();
    let inputs = inputs.map(FusionTensor::into_ir);
    let outputs =
        outputs.map(|shape| TensorIr::uninit(client.create_empty_handle(), shape, DType::F32));
    let description = CustomOpIr {
        id: name.into(),
        inputs: inputs.to_vec(),
        outputs: outputs.to_vec(),
        scalars: Vec::new(),
    };
    let operation = Deferred {
        name,
        inputs,
        outputs: outputs.map(|output| output.id),
        body,
    };
    let outputs = client.register(
        StreamId::current(),
        OperationIr::Custom(description),
        operation,
    );
    let Ok(outputs) = outputs.try_into() else {
        unreachable!("as many tensors come back as the description has outputs")
    };
    outputs
}

struct Deferred<F, const I: usize, const O: usize> {
    name: &'static str,
    inputs: [TensorIr; I],
    outputs: [TensorId; O],
    body: F,
}

impl<F, const I: usize, const O: usize> fmt::Debug for Deferred<F, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<F, const I: usize, const O: usize> Operation<Runtime> for Deferred<F, I, O>
where
    F: Fn([CubeTensor; I]) -> [CubeTensor; O] + Send + Sync,
{
    fn execute(
        &self,
        handles: &mut HandleContainer<FusionHandle<Runtime>>,
    ) -> Result<(), ExecutionError> {
        let inputs = self.inputs.each_ref();
        let inputs = inputs.map(|input| handles.get_float_tensor::<CubeBackend>(input));
        for (id, output) in self.outputs.iter().zip((self.body)(inputs)) {
            handles.register_float_tensor::<CubeBackend>(id, output);
        }
        Ok(())
    }
}
