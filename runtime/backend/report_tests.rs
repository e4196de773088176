//! A device that fails leaves a report, and the report gives the logits that the device owed.

use std::io::BufReader;

use cwm_kernels::KvElement;
use cwm_kernels::cuda::DeviceError;

use super::*;
use crate::backend::test_support::{Fixture, Harness, harnesses, largest_difference};
use crate::backend::{layout_of, replay};

/// A back end whose device fails when it is told to; then it may give nothing back any more.
struct Failing {
    backend: Box<dyn Backend>,
    steps_left: usize,
    gives_pages: bool,
}

impl Failing {
    fn error(&self) -> Result<(), BackendError> {
        if self.steps_left > 0 {
            return Ok(());
        }
        Err(BackendError::Device(DeviceError::Failed {
            function: "cuStreamSynchronize",
            code: 700,
            name: Some("CUDA_ERROR_ILLEGAL_ADDRESS".to_owned()),
            launched: vec!["decode_bf16_16"],
        }))
    }
}

impl Backend for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn layout(&self) -> &PageLayout {
        self.backend.layout()
    }

    fn vocabulary(&self) -> usize {
        self.backend.vocabulary()
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        self.error()?;
        self.steps_left -= 1;
        self.backend.step(plan)
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        self.backend.copy_pages(copies)
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        if !self.gives_pages {
            self.error()?;
        }
        self.backend.export_page(pool, page)
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        self.backend.import_page(pool, page, bytes)
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        self.backend.release_pages(pool, pages);
    }
}

/// The steps of some sequences, with forks, roll-backs and pages left behind; the last one decodes three of them.
fn scenario(harness: &mut Harness, ids: &[TokenId]) -> usize {
    let mut trunk = harness.begin();
    harness.run_one(&mut trunk, &ids[..45]);
    let mut fork = harness.fork(&trunk);
    harness.run_one(&mut fork, &ids[45..60]);
    harness.roll_back(&mut fork, 50);
    let mut other = harness.begin();
    harness.run(&mut [(&mut other, &ids[60..90]), (&mut trunk, &ids[45..52])]);
    let second = harness.fork(&fork);
    harness.run_one(&mut fork, &ids[50..55]);
    let mut second = second;
    harness.run(&mut [
        (&mut second, &ids[3..5]),
        (&mut trunk, &ids[52..53]),
        (&mut other, &ids[90..91]),
    ]);
    harness.plans.len()
}

#[test]
fn the_step_on_which_a_device_failed_can_be_done_again_elsewhere() {
    for name in ["cwm17", "qwen2"] {
        let fixture = Fixture::open(name);
        let fingerprint = fixture.checkpoint.fingerprint();
        let pair = || harnesses(&fixture.checkpoint, KvElement::F32).into_iter();
        let mut whole = pair().next().unwrap();
        let steps = scenario(&mut whole, &fixture.ids);
        let plans = whole.plans.clone();
        let mut expected = pair().next().unwrap().backend;
        let outputs: Vec<StepOutput> = plans.iter().map(|plan| expected.step(plan).unwrap()).collect();
        for gives_pages in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let failing = Failing {
                backend: pair().next().unwrap().backend,
                steps_left: steps - 1,
                gives_pages,
            };
            let place = folder.path().join("failures");
            let mut reporting = ReportingBackend::new(Box::new(failing), fingerprint.clone(), place);
            let (last, before) = plans.split_last().unwrap();
            for plan in before {
                reporting.step(plan).unwrap();
            }
            let error = reporting.step(last).unwrap_err();
            let BackendError::Reported { report, .. } = &error else {
                panic!("{error}");
            };
            let message = error.to_string();
            assert!(
                message.contains("ILLEGAL_ADDRESS") && message.contains("cwm model replay"),
                "{message}"
            );
            let open = || BufReader::new(File::open(report).unwrap());
            assert_eq!(layout_of(report, open()).unwrap(), *reporting.layout());
            let text = fs::read_to_string(report).unwrap();
            assert_eq!(text.contains("\"page\""), gives_pages, "{name}");
            let mut elsewhere = pair().nth(1).unwrap().backend;
            let found = replay(report, open(), elsewhere.as_mut(), &fingerprint).unwrap();
            let rows = |output: &StepOutput| -> Vec<Vec<f32>> {
                output
                    .logits
                    .chunks(output.vocabulary)
                    .map(<[f32]>::to_vec)
                    .collect()
            };
            let (found, owed) = (rows(found.last().unwrap()), rows(outputs.last().unwrap()));
            let difference = largest_difference(&found, &owed);
            assert!(difference < 1e-4, "{name}, pages {gives_pages}: {difference}");
            // The device stays as it is, and is reported once.
            let again = reporting.step(last).unwrap_err().to_string();
            assert_eq!(again, message);
            assert_eq!(fs::read_dir(report.parent().unwrap()).unwrap().count(), 1);
        }
    }
}
