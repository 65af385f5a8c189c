//! Tests of few rows.

use burn::backend::TensorMetadata;
use burn::backend::flex::{FlexQTensor, FlexTensor};
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use half::{bf16, f16};
use potstill_testkit::normals;
use proptest::prelude::*;

use super::{Blocks, product, quantized_product};

fn floats(shape: [usize; 2], seed: u64) -> Vec<f32> {
    let values = normals(shape[0] * shape[1], 1.0, seed);
    values.into_iter().map(|value| value as f32).collect()
}

fn f32_tensor(values: &[f32], shape: [usize; 2]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values.to_vec(), shape))
}

/// The same weight as it would be stored in `dtype`, and the numbers that it then holds.
fn stored(values: &[f32], shape: [usize; 2], dtype: DType) -> (FlexTensor, Vec<f32>) {
    match dtype {
        DType::BF16 => {
            let values: Vec<bf16> = values.iter().copied().map(bf16::from_f32).collect();
            let wide = values.iter().map(|value| value.to_f32()).collect();
            (FlexTensor::from_data(TensorData::new(values, shape)), wide)
        }
        DType::F16 => {
            let values: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
            let wide = values.iter().map(|value| value.to_f32()).collect();
            (FlexTensor::from_data(TensorData::new(values, shape)), wide)
        }
        _ => (f32_tensor(values, shape), values.to_vec()),
    }
}

/// The product in both layouts of the weight, as rows of f32.
fn products(
    x: &[f32],
    rows: usize,
    weight: &[f32],
    [d_in, d_out]: [usize; 2],
    dtype: DType,
) -> [Vec<f32>; 2] {
    let x = f32_tensor(x, [rows, d_in]);
    let turned: Vec<f32> = (0..d_out * d_in)
        .map(|i| weight[i % d_in * d_out + i / d_in])
        .collect();
    let lying = stored(weight, [d_in, d_out], dtype).0;
    let standing = stored(&turned, [d_out, d_in], dtype).0.transpose(0, 1);
    [lying, standing].map(|weight| {
        let y = product(&x, &weight).expect("there are few rows");
        assert_eq!(y.shape(), Shape::from([rows, d_out]));
        y.as_slice::<f32>().expect("f32 in order").to_vec()
    })
}

fn any_dtype() -> impl Strategy<Value = DType> {
    prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_agrees_with_sums_in_f64(
        rows in 0usize..20,
        d_in in 1usize..200,
        d_out in 1usize..400,
        dtype in any_dtype(),
        seed: u16,
    ) {
        let seed = u64::from(seed);
        let (x, weight) = (floats([rows, d_in], seed), floats([d_in, d_out], seed + 1));
        let wide = stored(&weight, [d_in, d_out], dtype).1;
        for found in products(&x, rows, &weight, [d_in, d_out], dtype) {
            for (i, found) in found.into_iter().enumerate() {
                let terms = (0..d_in).map(|k| {
                    f64::from(x[i / d_out * d_in + k]) * f64::from(wide[k * d_out + i % d_out])
                });
                let expected: f64 = terms.clone().sum();
                let size: f64 = terms.map(f64::abs).sum();
                prop_assert!((f64::from(found) - expected).abs() <= 1e-6 * size, "{found} {expected}");
            }
        }
    }
}

/// A weight of integers, in blocks of `block` rows, and the numbers that it stands for.
fn quantized(weight: &[f32], [d_in, d_out]: [usize; 2], block: usize) -> (FlexQTensor, Vec<f32>) {
    let scales: Vec<f32> = (0..d_in / block * d_out)
        .map(|i| {
            let column = (0..block).map(|k| weight[(i / d_out * block + k) * d_out + i % d_out]);
            column.fold(0.0, |most: f32, value| most.max(value.abs())) / 127.0
        })
        .collect();
    let scale = |i: usize| scales[i / d_out / block * d_out + i % d_out];
    let codes: Vec<i8> = (0..d_in * d_out)
        .map(|i| (weight[i] / scale(i)).round() as i8)
        .collect();
    let wide = (0..codes.len())
        .map(|i| scale(i) * f32::from(codes[i]))
        .collect();
    let codes = FlexTensor::from_data(TensorData::new(codes, [d_in, d_out]));
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::Native)
        .per_block([block as u8, 1], ScaleDtype::F32);
    (FlexQTensor::new(codes, scheme, scales, None), wide)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn integers_are_multiplied_as_what_they_stand_for(
        rows in 0usize..80,
        blocks in 1usize..6,
        block in prop_oneof![Just(8usize), Just(32)],
        d_out in 1usize..400,
        seed: u16,
    ) {
        let (d_in, seed) = (blocks * block, u64::from(seed));
        let (x, weight) = (floats([rows, d_in], seed), floats([d_in, d_out], seed + 1));
        let (weight, wide) = quantized(&weight, [d_in, d_out], block);
        let blocks = Blocks::of(&weight).expect("these blocks are known");
        prop_assert_eq!(&blocks.to_floats(), &wide);
        let x = f32_tensor(&x, [rows, d_in]);
        let expected = product(&x, &f32_tensor(&wide, [d_in, d_out]));
        let found = quantized_product(&x, blocks);
        prop_assert_eq!(found.is_some(), expected.is_some());
        if let Some((found, expected)) = found.zip(expected) {
            prop_assert_eq!(found.shape(), expected.shape());
            prop_assert_eq!(found.as_slice::<f32>(), expected.as_slice::<f32>());
        }
    }
}

#[test]
fn a_row_comes_out_the_same_alone_and_among_others_and_on_any_number_of_threads() {
    let (rows, shape) = (13, [300, 517]);
    let (x, weight) = (floats([rows, shape[0]], 1), floats(shape, 2));
    let on_threads = |threads: usize, first: usize, rows: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let x = &x[first * shape[0]..(first + rows) * shape[0]];
        pool.expect("threads can be started")
            .install(|| products(x, rows, &weight, shape, DType::F32))
    };
    let together = on_threads(1, 0, rows);
    assert_eq!(on_threads(3, 0, rows), together);
    for row in [0, 7, 12] {
        for (alone, together) in on_threads(2, row, 1).iter().zip(&together) {
            assert_eq!(alone[..], together[row * shape[1]..(row + 1) * shape[1]]);
        }
    }
}

#[test]
fn a_row_of_integers_comes_out_the_same_alone_and_among_others() {
    let (rows, shape) = (5, [96, 517]);
    let x = f32_tensor(&floats([rows, shape[0]], 1), [rows, shape[0]]);
    let (weight, _) = quantized(&floats(shape, 2), shape, 32);
    let product = |x: &FlexTensor| {
        let blocks = Blocks::of(&weight).expect("these blocks are known");
        let y = quantized_product(x, blocks).expect("there are few rows");
        y.as_slice::<f32>().expect("f32 in order").to_vec()
    };
    let together = product(&x);
    for row in 0..rows {
        let alone = product(&x.narrow(0, row, 1));
        assert_eq!(alone[..], together[row * shape[1]..(row + 1) * shape[1]]);
    }
}

#[test]
fn many_rows_and_scattered_weights_are_left_to_others() {
    let weight = f32_tensor(&[0.0; 24], [4, 6]);
    let x = |rows: usize| f32_tensor(&vec![0.0; rows * 3], [rows, 3]);
    assert!(product(&x(100), &weight.narrow(0, 0, 3)).is_none());
    assert!(product(&x(1), &weight.narrow(1, 1, 4).narrow(0, 0, 3)).is_none());
    assert!(product(&x(1), &weight.narrow(0, 1, 3)).is_some());
}
