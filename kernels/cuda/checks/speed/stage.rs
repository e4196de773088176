//! Where measurements take place: memory full of numbers, a clock, and the table that is filled.

use std::time::Instant;

use super::super::finding::{Finding, ensure};
use super::super::random::Random;
use super::super::subject::{Memory, Subject};
use super::{Budget, Limits, Measurement, Plan, Table};
use crate::cuda::{Accelerator, DeviceError, DevicePointer, RecordedLaunch};

/// The most launches of a graph.
const MOST_LAUNCHES: usize = 1024;
/// Random bytes that memory is filled with, over and over.
const BLOCK_BYTES: usize = 16 << 20;
/// What a product by the matrix library is called in the table.
const LIBRARY_PRODUCT: &str = "cublasLtMatmul";
/// What parts of memory begin at multiples of.
const ALIGNMENT: u64 = 256;
/// The share of the free memory that the pool may take.
const POOL_SHARE: f64 = 0.6;

/// Something to be measured.
pub(super) struct Case<'a> {
    /// What has to be read and written at least.
    pub(super) bytes: u64,
    /// Multiplications and additions.
    pub(super) flops: u64,
    /// The launches of one run, each on other memory if it can be.
    pub(super) runs: Vec<Vec<RecordedLaunch>>,
    /// Whether each is launched by itself and not in a graph, which a matrix library has no part in.
    pub(super) by_library: bool,
    /// What the launches use, kept until they are over.
    #[allow(dead_code, reason = "dropped, not read")]
    pub(super) memory: Vec<Memory<'a>>,
}

pub(super) struct Stage<'a> {
    pub(super) subject: &'a Subject,
    pub(super) plan: &'a Plan,
    pub(super) random: Random,
    budget: Budget,
    started: Instant,
    each: &'a mut dyn FnMut(&Measurement),
    block: Vec<u8>,
    pool: Memory<'a>,
    pool_bytes: u64,
    table: Table,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        subject: &'a Subject,
        plan: &'a Plan,
        budget: Budget,
        each: &'a mut dyn FnMut(&Measurement),
    ) -> Result<Stage<'a>, Finding> {
        let started = Instant::now();
        let mut random = subject.random(60);
        let (free, _) = subject.with(|accelerator| accelerator.memory())?;
        let pool_bytes = plan.pool_bytes.min((free as f64 * POOL_SHARE) as u64) / ALIGNMENT * ALIGNMENT;
        let block = moderate_bytes(BLOCK_BYTES.min(pool_bytes as usize), &mut random);
        Ok(Stage {
            pool: Memory::repeated(subject, &block, pool_bytes as usize)?,
            pool_bytes,
            block,
            subject,
            plan,
            random,
            budget,
            started,
            each,
            table: Table {
                device: subject.name(),
                // Until they are measured.
                limits: Limits {
                    bytes_per_second: f64::INFINITY,
                    flops_per_second: f64::INFINITY,
                },
                rows: Vec::new(),
                left_out: Vec::new(),
            },
        })
    }

    pub(super) fn into_table(self) -> Table {
        self.table
    }

    /// The pool's size.
    pub(super) fn pool_bytes(&self) -> u64 {
        self.pool_bytes
    }

    /// The beginning of the pool, if it has so many bytes.
    pub(super) fn pool(&self, bytes: u64) -> Result<DevicePointer, Finding> {
        if bytes > self.pool_bytes {
            return Err(DeviceError::OutOfMemory { bytes }.into());
        }
        Ok(self.pool.pointer())
    }

    /// As many places of so many bytes as measurements go round.
    pub(super) fn places(&self, bytes: u64) -> Result<Vec<DevicePointer>, Finding> {
        let first = self.pool(bytes)?;
        let step = bytes.next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        let wanted = self.plan.rotation_bytes.div_ceil(step);
        let count = wanted.min(self.pool_bytes / step).max(1);
        Ok((0..count).map(|place| first.offset(place * step)).collect())
    }

    /// Memory that may be written, full of numbers.
    pub(super) fn numbers(&self, bytes: usize) -> Result<Memory<'a>, Finding> {
        Memory::repeated(self.subject, &self.block, bytes)
    }

    /// Memory for results.
    pub(super) fn results(&self, bytes: usize) -> Result<Memory<'a>, Finding> {
        Memory::empty(self.subject, bytes)
    }

    /// Measures what `make` makes and adds a row to the table, unless there is too little time or memory.
    pub(super) fn add(
        &mut self,
        shape: &str,
        make: impl FnOnce(&mut Stage<'a>) -> Result<Case<'a>, Finding>,
    ) -> Result<(), Finding> {
        if self.started.elapsed() >= self.budget.whole {
            self.leave_out(shape, "no time is left");
            return Ok(());
        }
        match make(self).and_then(|case| self.measure(shape, &case)) {
            Ok(row) => {
                (self.each)(&row);
                self.table.rows.push(row);
            }
            Err(Finding::Device(error @ DeviceError::OutOfMemory { .. })) => {
                self.leave_out(shape, &error.to_string());
            }
            Err(finding) => return Err(finding),
        }
        Ok(())
    }

    /// Notes down that something was not measured, and why.
    pub(super) fn leave_out(&mut self, shape: &str, reason: &str) {
        self.table.left_out.push(format!("{shape}: {reason}"));
    }

    /// Measures what gives the limits.
    pub(super) fn add_limits(&mut self, copy: &Case<'a>, product: &Case<'a>) -> Result<(), Finding> {
        let copy = self.measure("limit of bytes", copy)?;
        let product = self.measure("limit of operations", product)?;
        self.table.limits = Limits {
            bytes_per_second: copy.bytes_per_second,
            flops_per_second: product.flops_per_second,
        };
        for row in [copy, product] {
            let row = Measurement {
                share_of_limit: 1.0,
                ..row
            };
            (self.each)(&row);
            self.table.rows.push(row);
        }
        Ok(())
    }

    fn measure(&self, shape: &str, case: &Case<'a>) -> Result<Measurement, Finding> {
        let refused = || self.subject.matrix_library().map_or(0, |library| library.refused);
        let before = refused();
        let seconds = self.time(&case.runs, case.by_library)?;
        let limits = &self.table.limits;
        let (bytes, flops) = (case.bytes as f64, case.flops as f64);
        let least = (bytes / limits.bytes_per_second).max(flops / limits.flops_per_second);
        let kernels = case.runs.iter().take(1).flatten();
        let names: Vec<&str> = kernels.map(|launch| launch.kernel.name).collect();
        Ok(Measurement {
            // Named after our own kernel where the library has left it to that.
            kernel: match case.by_library && refused() == before {
                true => LIBRARY_PRODUCT.to_owned(),
                false => names.join(" + "),
            },
            shape: shape.to_owned(),
            seconds,
            bytes: case.bytes,
            flops: case.flops,
            bytes_per_second: bytes / seconds,
            flops_per_second: flops / seconds,
            share_of_limit: least / seconds,
        })
    }

    /// The seconds of one of the runs, which take turns.
    fn time(&self, runs: &[Vec<RecordedLaunch>], by_library: bool) -> Result<f64, Finding> {
        let all: Vec<RecordedLaunch> = runs.iter().flatten().cloned().collect();
        ensure!(!all.is_empty(), "nothing is to be measured");
        let launched = |launches: &[RecordedLaunch]| {
            self.seconds(|accelerator| launches.iter().try_for_each(|launch| accelerator.launch(launch)))
        };
        // Twice, since the first time loads code.
        launched(&all)?;
        let estimate = launched(&all)?;
        let wanted = (self.budget.round.as_secs_f64() / estimate.max(1e-9)).ceil() as usize;
        let turns = wanted.min(MOST_LAUNCHES / all.len()).max(1);
        let launches = std::iter::repeat_n(&all, turns).flatten().cloned();
        let launches: Vec<RecordedLaunch> = launches.collect();
        let rounds = 0..self.budget.rounds.max(1);
        let mut rounds = if by_library {
            rounds
                .map(|_| launched(&launches))
                .collect::<Result<Vec<f64>, Finding>>()?
        } else {
            let graph = self.subject.with(|accelerator| accelerator.prepare(&launches))?;
            // Not counted: what a graph's first run does besides.
            self.seconds(|accelerator| accelerator.run(graph))?;
            let rounds = rounds.map(|_| self.seconds(|accelerator| accelerator.run(graph)));
            let rounds = rounds.collect::<Result<Vec<f64>, Finding>>()?;
            self.subject.with(|accelerator| {
                accelerator.discard(graph);
                Ok(())
            })?;
            rounds
        };
        rounds.sort_by(f64::total_cmp);
        let seconds = rounds[rounds.len() / 2] / (turns * runs.len()) as f64;
        ensure!(
            seconds > 0.0 && seconds.is_finite(),
            "a run took {seconds} seconds"
        );
        Ok(seconds)
    }

    fn seconds(
        &self,
        action: impl FnOnce(&mut dyn Accelerator) -> Result<(), DeviceError>,
    ) -> Result<f64, Finding> {
        let seconds = self.subject.with(|accelerator| {
            let from = accelerator.mark()?;
            action(accelerator)?;
            let to = accelerator.mark()?;
            accelerator.elapsed(from, to)
        })?;
        Ok(seconds)
    }
}

/// Random bytes that are numbers of about 1 in every format that memory is read as, so that no sum becomes infinite or NaN: devices take
/// less power for those, and would be too fast.
fn moderate_bytes(count: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = random.bytes(count);
    for pair in bytes.as_chunks_mut::<2>().0 {
        let [lower, upper] = pair;
        // No NaN of e4m3, and exponents of bf16, f16 and f32 in the upper byte.
        if *lower & 0x7f == 0x7f {
            *lower &= 0x83;
        }
        *upper = *upper & 0x83 | 0x3c;
    }
    bytes
}
