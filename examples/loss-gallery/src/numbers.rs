//! Host values to tensors in f64, and back.

use potstill::burn::tensor::{DType, Device, Tensor, TensorData};
use potstill::losses::{LogitRows, RowLoss};

/// Values and gradients of a loss on `student` logits, `[rows, vocab]` flattened, each row compared
/// with the same teacher.
pub(crate) fn value_and_gradient(
    loss: &dyn RowLoss,
    student: Vec<f64>,
    teacher: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let vocab = teacher.len();
    let rows = student.len() / vocab;
    let (value, gradient) = loss.value_and_gradient(LogitRows {
        student: matrix(student, [rows, vocab]),
        teacher: Some(matrix(teacher.repeat(rows), [rows, vocab])),
        targets: None,
    });
    (host(value), host(gradient))
}

fn matrix(values: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(
        TensorData::new(values, shape),
        (&Device::default(), DType::F64),
    )
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
