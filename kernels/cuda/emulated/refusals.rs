//! Shapes that no kernel takes are refused when a launch is made.

use cwm_kernels::cuda::{
    CudaKvElement, CudaPages, DecodeArguments, NormArguments, NormOutput, ProductArguments, WeightFormat,
    Weights,
};

#[test]
fn widths_that_no_norm_takes_are_refused() {
    let arguments = |width| NormArguments {
        width,
        ..NormArguments::default()
    };
    assert!(arguments(8).launch(NormOutput::Bf16, 1).is_ok());
    assert!(arguments(6).launch(NormOutput::Bf16, 1).is_err());
    assert!(arguments(8).launch(NormOutput::Bf16, 0).is_err());
}

#[test]
fn shapes_that_no_product_takes_are_refused() {
    let skinny = |rows, out_stride, format| {
        let arguments = ProductArguments {
            weights: Weights {
                rows: 4,
                columns: 32,
                ..Weights::default()
            },
            rows,
            out_stride,
            ..ProductArguments::default()
        };
        arguments.skinny(format).is_ok()
    };
    assert!(skinny(1, 4, WeightFormat::Bf16));
    assert!(!skinny(1, 4, WeightFormat::Q4K));
    assert!(!skinny(65, 4, WeightFormat::Bf16));
    assert!(!skinny(0, 4, WeightFormat::Bf16));
    assert!(!skinny(1, 3, WeightFormat::Bf16));
}

#[test]
fn heads_that_no_attention_takes_are_refused() {
    let decode = |heads, (kv_heads, head_dim), layer, tiles| {
        let pages = CudaPages {
            layers: 2,
            kv_heads,
            head_dim,
            element: CudaKvElement::Bf16,
        };
        let arguments = DecodeArguments {
            heads,
            splits: 1,
            ..DecodeArguments::default()
        };
        arguments.launch(&pages, layer, tiles).is_ok()
    };
    assert!(decode(6, (2, 16), 0, 1));
    assert!(!decode(6, (2, 32), 0, 1));
    assert!(!decode(6, (4, 16), 0, 1));
    assert!(!decode(6, (2, 16), 2, 1));
    assert!(!decode(6, (2, 16), 0, 0));
    assert!(!decode(17, (1, 16), 0, 1));
}
