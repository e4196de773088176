//! What was asked of one back end can be asked of another.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cwm_kernels::KvElement;

use super::{LogError, LoggedBackend, replay};
use crate::backend::test_support::{Fixture, Harness, harnesses, largest_difference, pages_of};
use crate::backend::{Backend, BackendError, StepOutput};

const LOG: &str = "steps.jsonl";

/// A file in memory that can be looked at while it is written.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn rows(outputs: &[StepOutput]) -> Vec<Vec<f32>> {
    let rows = outputs
        .iter()
        .flat_map(|output| output.logits.chunks_exact(output.vocabulary));
    rows.map(<[f32]>::to_vec).collect()
}

/// The reference and the cpu back end of a fixture.
fn pair(fixture: &Fixture, element: KvElement) -> (Harness, Harness) {
    let mut all = harnesses(&fixture.checkpoint, element).into_iter();
    (all.next().unwrap(), all.next().unwrap())
}

/// Logs on the cpu back end what `scenario` does after `before` tokens of the fixture, and returns the log, the logits and the
/// reference back end, which has seen nothing yet.
fn record(fixture: &Fixture, before: usize, element: KvElement) -> (String, Vec<Vec<f32>>, Box<dyn Backend>) {
    let (reference, mut cpu) = pair(fixture, element);
    let mut sequence = cpu.begin();
    cpu.run_one(&mut sequence, &fixture.ids[..before]);
    let memory = Memory::default();
    let logged = LoggedBackend::new(
        cpu.backend,
        fixture.checkpoint.fingerprint(),
        &pages_of(&sequence),
        Path::new(LOG),
        Box::new(memory.clone()),
    );
    cpu.backend = Box::new(logged.unwrap());
    let mut logits = cpu.run_one(&mut sequence, &fixture.ids[before..before + 21]);
    let mut fork = cpu.fork(&sequence);
    let more = &fixture.ids[before + 21..];
    let other: Vec<u32> = more.iter().rev().copied().collect();
    logits.extend(cpu.run(&mut [(&mut fork, &other), (&mut sequence, more)]));
    cpu.end(fork);
    (memory.text(), logits, reference.backend)
}

#[test]
fn a_log_of_the_cpu_replays_on_the_reference() {
    for name in ["cwm17", "qwen2"] {
        let fixture = Fixture::open(name);
        // From nothing, and from a snapshot whose last page is half full and whose first window pages are gone.
        for before in [0, 59] {
            let (log, logits, mut reference) = record(&fixture, before, KvElement::F32);
            let outputs = replay(
                Path::new(LOG),
                log.as_bytes(),
                &mut *reference,
                &fixture.checkpoint.fingerprint(),
            );
            let difference = largest_difference(&rows(&outputs.unwrap()), &logits);
            println!("{name} from position {before}: {difference:.2e}");
            assert!(difference < 1e-4, "{name} from position {before}: {difference}");
        }
    }
}

#[test]
fn pages_of_every_element_type_pass_between_back_ends() {
    let fixture = Fixture::open("cwm16");
    for (element, tolerance) in [
        (KvElement::F32, 1e-4),
        // A value on the edge between two steps may be rounded either way.
        (KvElement::F16, 0.015),
        (KvElement::BF16, 0.15),
        (KvElement::Q8, 0.3),
        (KvElement::E4M3, 3.0),
    ] {
        let (log, logits, mut reference) = record(&fixture, 43, element);
        let outputs = replay(
            Path::new(LOG),
            log.as_bytes(),
            &mut *reference,
            &fixture.checkpoint.fingerprint(),
        );
        let difference = largest_difference(&rows(&outputs.unwrap()), &logits);
        println!("{element:?}: {difference:.2e}");
        assert!(difference < tolerance, "{element:?}: {difference}");
    }
}

#[test]
fn a_page_comes_back_from_the_other_back_end_as_it_was() {
    let fixture = Fixture::open("cwm16");
    for element in [
        KvElement::F32,
        KvElement::F16,
        KvElement::BF16,
        KvElement::Q8,
        KvElement::E4M3,
    ] {
        let (mut reference, mut cpu) = pair(&fixture, element);
        let mut sequence = reference.begin();
        reference.run_one(&mut sequence, &fixture.ids[..40]);
        for (pool, page) in pages_of(&sequence) {
            let bytes = reference.backend.export_page(pool, page).unwrap();
            assert!(bytes.iter().any(|byte| *byte != 0));
            cpu.backend.import_page(pool, page, &bytes).unwrap();
            assert_eq!(cpu.backend.export_page(pool, page).unwrap(), bytes);
        }
    }
}

#[test]
fn a_log_of_another_model_or_layout_is_refused() {
    let fixture = Fixture::open("cwm16");
    let (log, _, mut reference) = record(&fixture, 0, KvElement::F32);
    let other = Fixture::open("cwm17").checkpoint.fingerprint();
    let own = fixture.checkpoint.fingerprint();
    assert_ne!(other, own);
    let refused = replay(Path::new(LOG), log.as_bytes(), &mut *reference, &other);
    assert!(matches!(refused, Err(LogError::Mismatch { .. })), "{refused:?}");
    let (mut narrow, _) = pair(&fixture, KvElement::F16);
    let refused = replay(Path::new(LOG), log.as_bytes(), &mut *narrow.backend, &own);
    assert!(matches!(refused, Err(LogError::Mismatch { .. })), "{refused:?}");
}

#[test]
fn a_damaged_log_is_refused_with_the_line_that_is_wrong() {
    let fixture = Fixture::open("llama");
    let own = fixture.checkpoint.fingerprint();
    let (log, _, mut reference) = record(&fixture, 5, KvElement::F32);
    let lines: Vec<&str> = log.lines().collect();
    let mut run = |text: String| {
        replay(Path::new(LOG), text.as_bytes(), &mut *reference, &own)
            .unwrap_err()
            .to_string()
    };
    assert!(run(String::new()).contains("line 1 "));
    let cut = &lines[1][..lines[1].len() / 2];
    assert!(run(format!("{}\n{cut}\n", lines[0])).contains("line 2 "));
    let odd = lines[1].replacen("\"bytes\":\"", "\"bytes\":\"g", 1);
    assert!(run(format!("{}\n{odd}\n", lines[0])).contains("hexadecimal"));
    let short = lines[1].replacen("\"bytes\":\"", "\"bytes\":\"00", 1);
    assert!(run(format!("{}\n{short}\n", lines[0])).contains("bytes"));
    // Without its pages, a plan that reads them fails, and says which page.
    let plan = lines.iter().find(|line| line.contains("\"plan\"")).unwrap();
    let message = run(format!("{}\n{plan}\n", lines[0]));
    assert!(
        message.contains("line 2 ") && message.contains("page"),
        "{message}"
    );
    let far = plan.replacen(
        "\"first_position\":5",
        "\"first_position\":18446744073709551615",
        1,
    );
    assert!(run(format!("{}\n{far}\n", lines[0])).contains("context"));
}

/// A file that is full.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("no space left"))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_of() {
    let fixture = Fixture::open("llama");
    let (reference, _) = pair(&fixture, KvElement::F32);
    let refused = LoggedBackend::new(
        reference.backend,
        String::new(),
        &[],
        Path::new(LOG),
        Box::new(Full),
    );
    let Err(BackendError::Log(error)) = refused else {
        panic!("a log on a full disk was begun");
    };
    assert!(error.to_string().contains(LOG) && error.to_string().contains("no space left"));
}
