//! Products of many rows are left to the library where it is there, and come out as they should; where it is not, our own kernel is launched.

use std::time::Duration;

use cwm_kernels::cuda::checks::speed::{Budget, Plan, measure};
use cwm_kernels::cuda::checks::{Family, Scale, Subject, all};
use cwm_kernels::cuda::{
    Accelerator, DeviceError, DevicePointer, Gpu, MatrixLibrary, MatrixLibraryUse, NoMatrixLibrary,
    ProductArguments, RecordedLaunch, Store, Weights, find_matrix_library,
};

use super::support::{PUSH, assert_nothing_left, lines, play_with_library, play_without_library, push};

/// What a driver must know to launch our own kernel for products of many rows.
pub(super) const OWN: (&str, &str) = ("FAKE_KERNELS", "gemm_bf16=80,push=32,push_too=32");

pub(super) fn open() -> Gpu {
    Gpu::open(0, MatrixLibrary::WhenPresent).unwrap()
}

/// A product of an input of ones and weights of twos, all of them bf16, and where its result goes.
pub(super) fn product(gpu: &mut Gpu, rows: u32, store: Store) -> (RecordedLaunch, DevicePointer) {
    let (outputs, columns) = (24_u32, 48_u32);
    let mut numbers = |count: u32, value: &[u8]| {
        let memory = gpu.allocate(u64::from(count) * value.len() as u64).unwrap();
        gpu.write(memory, &value.repeat(count as usize)).unwrap();
        memory
    };
    let arguments = ProductArguments {
        weights: Weights {
            codes: numbers(outputs * columns, &[0, 0x40]),
            rows: outputs,
            columns,
            ..Weights::default()
        },
        input: numbers(rows * columns, &[0x80, 0x3f]),
        bias: match store {
            Store::AddF32 => numbers(outputs, &0.5_f32.to_le_bytes()),
            _ => DevicePointer::NULL,
        },
        out: numbers(rows * (outputs + 8), &4.0_f32.to_le_bytes()),
        rows,
        out_stride: outputs + 8,
        store,
        unused: 0,
    };
    (arguments.gemm().unwrap().record(), arguments.out)
}

/// The first numbers of a result.
pub(super) fn first(gpu: &mut Gpu, out: DevicePointer) -> Result<[f32; 2], DeviceError> {
    let mut bytes = [0; 8];
    gpu.read(out, &mut bytes)?;
    Ok([0, 4].map(|at| f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())))
}

fn used(gpu: &Gpu) -> (u64, u64) {
    let MatrixLibraryUse {
        products, refused, ..
    } = gpu.matrix_library().unwrap();
    (products, refused)
}

#[test]
fn products_are_those_of_plain_arithmetic() {
    let name = "matrix_library::products_are_those_of_plain_arithmetic";
    let mut checks = all()
        .iter()
        .filter(|check| (check.family, check.scale) == (Family::Library, Scale::Small));
    let check = checks.next().unwrap();
    assert!(checks.next().is_none());
    let log = play_with_library(name, &[], &[], || {
        let subject = Subject::new(Box::new(open()), 2, 7);
        let found = check.run(&subject).map_err(|finding| finding.to_string());
        assert_eq!(found, Ok(()));
        let used = subject.matrix_library().unwrap();
        assert_eq!((used.products, used.refused), (5 * 3 * 2, 0));
        assert_eq!(used.version, "13.0.1");
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "multiply"), 30);
        assert_eq!(lines(&log, "search"), 15, "an algorithm is looked for once");
        assert_eq!(lines(&log, "library created"), 1);
        assert_nothing_left(&log);
    }
}

#[test]
fn the_library_is_told_what_a_product_is() {
    let name = "matrix_library::the_library_is_told_what_a_product_is";
    let log = play_with_library(name, &[], &[], || {
        let mut gpu = open();
        for (store, rows, expected) in [
            (Store::AddF32, 33, [100.5; 2]),
            (Store::F32, 20, [96.0; 2]),
            // Two numbers of bf16 are one of f32.
            (Store::Bf16, 65, [f32::from_bits(0x42c0_42c0); 2]),
        ] {
            let (launch, out) = product(&mut gpu, rows, store);
            gpu.launch(&launch).unwrap();
            assert_eq!(first(&mut gpu, out).unwrap(), expected, "{store:?}");
        }
    });
    let Some(log) = log else { return };
    let told = |start: &str| -> Vec<&str> {
        let told = log.iter().filter(|line| line.starts_with(start));
        told.map(String::as_str).collect()
    };
    // Outputs, rows, columns; each matrix's column is a row of ours.
    assert_eq!(
        told("multiply"),
        [
            "multiply 24x33x48 transposed 1,0 types 14,14,0 steps 48,48,32 factors 1,1 epilogue 4 bias 0",
            "multiply 24x20x48 transposed 1,0 types 14,14,0 steps 48,48,32 factors 1,0 epilogue 1 bias -1",
            "multiply 24x65x48 transposed 1,0 types 14,14,14 steps 48,48,32 factors 1,0 epilogue 1 bias -1",
        ]
    );
    for line in told("search") {
        assert!(
            line.contains("schemes 2 alignments 256,256,256,256 workspace 33554432"),
            "{line}"
        );
    }
    assert_nothing_left(&log);
}

#[test]
fn addresses_are_taken_for_no_more_than_they_are() {
    let name = "matrix_library::addresses_are_taken_for_no_more_than_they_are";
    let log = play_with_library(name, &[], &[], || {
        let mut gpu = open();
        let (mut launch, _) = product(&mut gpu, 40, Store::F32);
        // 20 rows from the middle of the input, into the middle of the result.
        launch.argument[5] += 5 * 48 * 2;
        launch.argument[7] += 4 * (3 * 32 + 1);
        let words = &mut launch.argument[8];
        *words = (*words & !0xffff_ffff) | 20;
        gpu.launch(&launch).unwrap();
        gpu.launch(&launch).unwrap();
        let out = DevicePointer(launch.argument[7]);
        assert_eq!(first(&mut gpu, out).unwrap(), [96.0; 2]);
        assert_eq!(used(&gpu), (2, 0));
    });
    if let Some(log) = log {
        assert_eq!(
            log.iter()
                .filter(|line| line.contains("alignments 256,32,4,4"))
                .count(),
            1,
            "{log:?}"
        );
        assert_nothing_left(&log);
    }
}

#[test]
fn a_bias_elsewhere_is_found_and_one_of_another_alignment_searched_for_anew() {
    let name = "matrix_library::a_bias_elsewhere_is_found_and_one_of_another_alignment_searched_for_anew";
    let log = play_with_library(name, &[], &[], || {
        let mut gpu = open();
        let (mut launch, out) = product(&mut gpu, 20, Store::AddF32);
        let biases = gpu.allocate(1024).unwrap();
        let mut expected = 4.0;
        for (place, value) in [(0_u64, 1.0_f32), (256, 2.0), (516, 3.0)] {
            let bias = biases.offset(place);
            gpu.write(bias, &value.to_le_bytes().repeat(24)).unwrap();
            launch.argument[6] = bias.0;
            gpu.launch(&launch).unwrap();
            expected += 96.0 + value;
            assert_eq!(first(&mut gpu, out).unwrap(), [expected; 2]);
        }
        assert_eq!(used(&gpu), (3, 0));
    });
    if let Some(log) = log {
        let bias = |line: &&String| line.starts_with("search") && line.contains("bias");
        let searched: Vec<&String> = log.iter().filter(bias).collect();
        assert_eq!(searched.len(), 2, "{log:?}");
        assert!(
            searched[0].ends_with("bias 256") && searched[1].ends_with("bias 4"),
            "{searched:?}"
        );
        assert_nothing_left(&log);
    }
}

#[test]
fn products_happen_in_order_and_nothing_waits_for_them() {
    let name = "matrix_library::products_happen_in_order_and_nothing_waits_for_them";
    let log = play_with_library(name, &[], &[], || {
        let mut gpu = open();
        let (launch, out) = product(&mut gpu, 20, Store::AddF32);
        let from = gpu.mark().unwrap();
        gpu.launch(&launch).unwrap();
        gpu.launch(&launch).unwrap();
        let to = gpu.mark().unwrap();
        // Whatever comes later does not change them.
        let bias = DevicePointer(launch.argument[6]);
        gpu.fill(bias, 0xff, 24 * 4).unwrap();
        let log = std::fs::read_to_string(std::env::var("FAKE_LOG").unwrap()).unwrap();
        assert!(!log.contains("wait"), "{log}");
        let seconds = gpu.elapsed(from, to).unwrap();
        assert!((seconds - 0.002).abs() < 1e-6, "{seconds}");
        assert_eq!(first(&mut gpu, out).unwrap(), [4.0 + 2.0 * 96.5; 2]);
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn the_workspace_is_counted_and_where_it_has_no_room_there_is_no_library() {
    let name = "matrix_library::the_workspace_is_counted_and_where_it_has_no_room_there_is_no_library";
    for memory in ["67108864", "16777216"] {
        let log = play_with_library(name, &[], &[("FAKE_MEMORY", memory)], || {
            let mut gpu = open();
            let (free, all) = gpu.memory().unwrap();
            match gpu.matrix_library() {
                Ok(_) => assert_eq!((free, all), (32 << 20, 64 << 20)),
                Err(reason) => {
                    assert_eq!((free, all), (16 << 20, 16 << 20));
                    assert_eq!(
                        reason.to_string(),
                        "cublasLt cannot be used: the device has no 33554432 bytes of memory left"
                    );
                }
            }
        });
        let Some(log) = log else { return };
        assert_eq!(lines(&log, "library created"), 1);
        assert_eq!(lines(&log, "library destroyed"), 1);
        assert_nothing_left(&log);
    }
}

#[test]
fn what_the_library_refuses_our_own_kernel_computes() {
    let name = "matrix_library::what_the_library_refuses_our_own_kernel_computes";
    for refuse in ["15:33", "0:33"] {
        let log = play_with_library(name, &[], &[OWN, ("FAKE_REFUSE", refuse)], || {
            let mut gpu = open();
            // The kernel of the driver that is played does nothing sensible; here, to the weights.
            let (refused, _) = product(&mut gpu, 33, Store::F32);
            let (taken, out) = product(&mut gpu, 34, Store::F32);
            for _ in 0..3 {
                gpu.launch(&refused).unwrap();
                gpu.launch(&taken).unwrap();
            }
            assert_eq!(first(&mut gpu, out).unwrap(), [96.0; 2]);
            assert_eq!(used(&gpu), (3, 3));
        });
        let Some(log) = log else { return };
        assert_eq!(lines(&log, "run gemm_bf16 1,1,1 256 "), 3);
        assert_eq!(lines(&log, "multiply 24x34x48"), 3);
        assert_eq!(lines(&log, "search"), 2, "what is refused is remembered");
        assert_nothing_left(&log);
    }
}

#[test]
fn what_the_library_is_not_made_for_it_is_not_asked() {
    let name = "matrix_library::what_the_library_is_not_made_for_it_is_not_asked";
    let log = play_with_library(name, &[], &[OWN], || {
        let mut gpu = open();
        let (mut launch, _) = product(&mut gpu, 20, Store::AddF32);
        // An f32 bias of results that become bf16.
        let store = launch.argument[9];
        launch.argument[9] = (store & !0xffff_ffff) | Store::Bf16 as u64;
        gpu.launch(&launch).unwrap();
        launch.argument[9] = store;
        assert_eq!(used(&gpu), (0, 1));
        // What becomes part of a graph is always the kernel, and other kernels are no products.
        let graph = gpu.prepare(&[launch]).unwrap();
        gpu.run(graph).unwrap();
        let list = gpu.allocate(16).unwrap();
        gpu.write(list, &[0]).unwrap();
        gpu.launch(&push(PUSH, list, 5)).unwrap();
        gpu.synchronise().unwrap();
        assert_eq!(used(&gpu), (0, 1));
    });
    if let Some(log) = log {
        assert_eq!((lines(&log, "search"), lines(&log, "multiply")), (0, 0));
        assert_eq!(lines(&log, "run gemm_bf16"), 2);
        assert_nothing_left(&log);
    }
}

#[test]
fn who_does_not_want_the_library_does_not_load_it() {
    let name = "matrix_library::who_does_not_want_the_library_does_not_load_it";
    let log = play_with_library(name, &[], &[OWN], || {
        let mut gpu = Gpu::open(0, MatrixLibrary::Never).unwrap();
        assert_eq!(gpu.matrix_library(), Err(NoMatrixLibrary::NotWanted));
        let (launch, _) = product(&mut gpu, 20, Store::F32);
        gpu.launch(&launch).unwrap();
        gpu.synchronise().unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(
            maps.contains("libcuda.so") && !maps.contains("libcublasLt"),
            "{maps}"
        );
    });
    if let Some(log) = log {
        assert_eq!((lines(&log, "run gemm_bf16"), lines(&log, "library")), (1, 0));
        assert_nothing_left(&log);
    }
}

#[test]
fn without_the_library_the_reason_is_said_and_our_own_kernel_computes() {
    let name = "matrix_library::without_the_library_the_reason_is_said_and_our_own_kernel_computes";
    let log = play_without_library(name, &[OWN], || {
        let mut gpu = open();
        let reason = gpu.matrix_library().unwrap_err();
        assert_eq!(find_matrix_library(), Err(reason.clone()));
        let NoMatrixLibrary::NotFound { reason } = reason else {
            panic!("{reason:?}");
        };
        for library in ["libcublasLt.so.13: ", "libcublasLt.so.12: "] {
            assert!(reason.contains(library), "{reason}");
        }
        let (launch, _) = product(&mut gpu, 20, Store::F32);
        gpu.launch(&launch).unwrap();
        gpu.synchronise().unwrap();
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run gemm_bf16"), 1);
        assert_nothing_left(&log);
    }
}

/// All kernels, for a driver that knows only the beginnings of their arguments.
fn all_kernels() -> String {
    let manifest: toml::Table = include_str!("../../manifest.toml").parse().unwrap();
    let sources = manifest.values().filter_map(toml::Value::as_table);
    let names = sources.flat_map(|source| source.iter().filter(|(_, kernel)| kernel.is_table()));
    let names: Vec<String> = names.map(|(name, _)| format!("{name}=16")).collect();
    names.join(",")
}

#[test]
fn products_by_the_library_are_measured_beside_our_own() {
    let name = "matrix_library::products_by_the_library_are_measured_beside_our_own";
    let kernels = all_kernels();
    for refuse in ["15:1", "15:20"] {
        let settings = [("FAKE_KERNELS", kernels.as_str()), ("FAKE_REFUSE", refuse)];
        let log = play_with_library(name, &[], &settings, || {
            let subject = Subject::new(Box::new(open()), 1, 0);
            let budget = Budget {
                whole: Duration::from_secs(600),
                rounds: 2,
                round: Duration::ZERO,
            };
            let table = measure(&subject, &Plan::TINY, budget, &mut |_| {}).unwrap();
            let rows = |kernel| table.rows.iter().filter(|row| row.kernel == kernel).count();
            let by_library = rows("cublasLtMatmul");
            // A product gives the limit; then all matrices but the head's, by our own kernel and by what is launched.
            assert_eq!(by_library + rows("gemm_bf16"), 1 + 4 + 4);
            let refuse = std::env::var("FAKE_REFUSE").unwrap();
            assert_eq!(by_library, if refuse == "15:20" { 0 } else { 4 });
            // A launch takes this device a millisecond.
            let seconds = table.rows.iter().map(|row| row.seconds);
            assert!(seconds.into_iter().all(|seconds| seconds < 0.0021));
        });
        let Some(log) = log else { return };
        assert_nothing_left(&log);
    }
}
