//! A GPU that owns its memory and runs launches, in one stream.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::context::{Context, Event, Memory, Stream};
use super::discovery::{Unusable, discover};
use super::matrix_library::{MatrixLibrary, MatrixLibraryUse, Multiplier, NoMatrixLibrary};
use super::programs::{ExecutableGraph, GraphBuilder, Programs};
use super::staging::Staging;
use crate::cuda::{Accelerator, DeviceError, DevicePointer, Graph, Mark, ProductArguments, RecordedLaunch};

/// How many kernels an error names.
const SUSPECTS: usize = 16;
/// What stands for a product by the library among them.
const LIBRARY_PRODUCT: &str = "cublasLtMatmul";

/// A GPU, through NVIDIA's driver.
///
/// It may be moved between threads. After a [`DeviceError::Failed`] it can only be dropped: everything else returns the same error.
pub struct Gpu {
    name: String,
    graphs: HashMap<Graph, PreparedGraph>,
    marks: HashMap<Mark, Event>,
    /// Events of marks that have been forgotten.
    spare: Vec<Event>,
    programs: Programs,
    /// What launched products of many rows are left to, or why they are not.
    multiplier: Result<Multiplier, NoMatrixLibrary>,
    /// By its addresses.
    memory: BTreeMap<u64, Memory>,
    staging: Staging,
    stream: Stream,
    context: Arc<Context>,
    /// The last kernels that were launched, the latest last.
    launched: VecDeque<&'static str>,
    failed: Option<DeviceError>,
    next: u64,
}

/// A graph, and the names of its last kernels.
struct PreparedGraph {
    /// `None` when it has no launches.
    executable: Option<ExecutableGraph>,
    names: Vec<&'static str>,
}

impl Gpu {
    /// Takes the device of that number, as [`discover`] counts them, into use. That takes some hundred megabytes of its memory.
    ///
    /// Where `library` says so and the library of matrix products is there, it is taken into use too, with a workspace of 32 MiB. When it
    /// cannot be, that is no error: [`Accelerator::matrix_library`] tells why.
    ///
    /// What it reads, writes and fills is checked to be its memory. What launches name is not: that is for the device to find.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Unusable`] when there is no such device, or none that can be used; another when it does not answer.
    pub fn open(ordinal: usize, library: MatrixLibrary) -> Result<Gpu, DeviceError> {
        let devices = discover()?;
        let device = devices.into_iter().find(|device| device.ordinal == ordinal);
        let device = device.ok_or(Unusable::NoDevice)?;
        let context = Context::retain(ordinal)?;
        Ok(Gpu {
            name: device.name,
            graphs: HashMap::new(),
            marks: HashMap::new(),
            spare: Vec::new(),
            programs: Programs::new(&context),
            multiplier: match library {
                MatrixLibrary::WhenPresent => Multiplier::new(&context),
                MatrixLibrary::Never => Err(NoMatrixLibrary::NotWanted),
            },
            memory: BTreeMap::new(),
            stream: Stream::new(&context)?,
            staging: Staging::new(&context)?,
            context,
            launched: VecDeque::with_capacity(SUSPECTS),
            failed: None,
            next: 0,
        })
    }

    /// Does work with the context current, unless the device has failed; when it fails now, names the suspects and remembers it.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Gpu) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = self.context.bind().and_then(|()| work(self));
        done.map_err(|mut error| {
            if let DeviceError::Failed { launched, .. } = &mut error {
                *launched = self.launched.iter().copied().collect();
                self.failed = Some(error.clone());
            }
            error
        })
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.stream.synchronise()?;
        self.staging.idle();
        Ok(())
    }

    /// Waits, whatever has failed, before something is given back. When this fails, whatever is asked next says so.
    fn settle(&mut self) {
        if self.failed.is_none() {
            let _ = self.attempt(Gpu::wait);
        } else if self.context.bind().is_ok() {
            // Some errors leave the device at work. After the others this returns at once.
            let _ = self.stream.synchronise();
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Leaves a launch to the library of matrix products, if it is a product of many rows; whether it was.
    fn leave_to_library(&mut self, launch: &RecordedLaunch) -> Result<bool, DeviceError> {
        let Ok(multiplier) = &mut self.multiplier else {
            return Ok(false);
        };
        let Some(product) = ProductArguments::of_gemm(launch) else {
            return Ok(false);
        };
        let left = multiplier.multiply(&product, &self.stream)?;
        if left {
            suspect(&mut self.launched, LIBRARY_PRODUCT);
        }
        Ok(left)
    }

    /// Puts launches together, one after another.
    fn build(&mut self, launches: &[RecordedLaunch]) -> Result<Option<ExecutableGraph>, DeviceError> {
        if launches.is_empty() {
            return Ok(None);
        }
        let mut builder = GraphBuilder::new(&self.context)?;
        for launch in launches {
            let added = self.programs.ready(launch).and_then(|ready| builder.add(&ready));
            // Not launched, but the first suspect when it cannot even be prepared.
            added.inspect_err(|_| suspect(&mut self.launched, launch.kernel.name))?;
        }
        builder.finish().map(Some)
    }
}

/// Remembers a kernel that is being launched.
fn suspect(launched: &mut VecDeque<&'static str>, name: &'static str) {
    if launched.len() == SUSPECTS {
        launched.pop_front();
    }
    launched.push_back(name);
}

/// The memory that an address is in, and how far in it.
fn find(memory: &BTreeMap<u64, Memory>, at: DevicePointer) -> Result<(&Memory, usize), DeviceError> {
    let found = memory.range(..=at.0).next_back();
    found
        .and_then(|(start, memory)| Some((memory, usize::try_from(at.0 - start).ok()?)))
        .ok_or(DeviceError::Unknown("memory"))
}

impl Accelerator for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn matrix_library(&self) -> Result<MatrixLibraryUse, NoMatrixLibrary> {
        self.multiplier
            .as_ref()
            .map(Multiplier::report)
            .map_err(Clone::clone)
    }

    fn memory(&mut self) -> Result<(u64, u64), DeviceError> {
        self.attempt(|gpu| gpu.context.memory())
    }

    fn allocate(&mut self, bytes: u64) -> Result<DevicePointer, DeviceError> {
        self.attempt(|gpu| {
            let memory = Memory::new(&gpu.context, bytes)?;
            let address = memory.address();
            gpu.memory.insert(address, memory);
            Ok(DevicePointer(address))
        })
    }

    fn free(&mut self, memory: DevicePointer) {
        let Some(memory) = self.memory.remove(&memory.0) else {
            return;
        };
        self.settle();
        drop(memory);
    }

    fn write(&mut self, to: DevicePointer, bytes: &[u8]) -> Result<(), DeviceError> {
        self.attempt(|gpu| {
            let (memory, offset) = find(&gpu.memory, to)?;
            gpu.staging.write(&gpu.stream, memory, offset, bytes)
        })
    }

    fn fill(&mut self, to: DevicePointer, value: u8, bytes: u64) -> Result<(), DeviceError> {
        self.attempt(|gpu| {
            let (memory, offset) = find(&gpu.memory, to)?;
            let bytes = usize::try_from(bytes).map_err(|_| DeviceError::Unknown("memory"))?;
            if bytes == 0 {
                return memory.part(offset, 0).map(|_| ());
            }
            gpu.stream.fill(memory, offset, value, bytes)
        })
    }

    fn read(&mut self, from: DevicePointer, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.attempt(|gpu| {
            let (memory, offset) = find(&gpu.memory, from)?;
            if bytes.is_empty() {
                memory.part(offset, 0)?;
                return gpu.wait();
            }
            gpu.staging.read(&gpu.stream, memory, offset, bytes)
        })
    }

    fn launch(&mut self, launch: &RecordedLaunch) -> Result<(), DeviceError> {
        self.attempt(|gpu| {
            if gpu.leave_to_library(launch)? {
                return Ok(());
            }
            suspect(&mut gpu.launched, launch.kernel.name);
            let ready = gpu.programs.ready(launch)?;
            gpu.programs.launch(&ready, &gpu.stream)
        })
    }

    fn prepare(&mut self, launches: &[RecordedLaunch]) -> Result<Graph, DeviceError> {
        self.attempt(|gpu| {
            let executable = gpu.build(launches)?;
            let first = launches.len().saturating_sub(SUSPECTS);
            let names = launches
                .iter()
                .skip(first)
                .map(|launch| launch.kernel.name)
                .collect();
            let graph = Graph(gpu.next());
            gpu.graphs.insert(graph, PreparedGraph { executable, names });
            Ok(graph)
        })
    }

    fn run(&mut self, graph: Graph) -> Result<(), DeviceError> {
        self.attempt(|gpu| {
            let prepared = gpu.graphs.get_mut(&graph).ok_or(DeviceError::Unknown("graph"))?;
            for name in &prepared.names {
                suspect(&mut gpu.launched, name);
            }
            match &mut prepared.executable {
                Some(executable) => executable.launch(&gpu.stream),
                None => Ok(()),
            }
        })
    }

    fn discard(&mut self, graph: Graph) {
        self.graphs.remove(&graph);
    }

    fn synchronise(&mut self) -> Result<(), DeviceError> {
        self.attempt(Gpu::wait)
    }

    fn mark(&mut self) -> Result<Mark, DeviceError> {
        self.attempt(|gpu| {
            let event = match gpu.spare.pop() {
                Some(event) => event,
                None => Event::new(&gpu.context, true)?,
            };
            event.record(&gpu.stream)?;
            let mark = Mark(gpu.next());
            gpu.marks.insert(mark, event);
            Ok(mark)
        })
    }

    fn elapsed(&mut self, from: Mark, to: Mark) -> Result<f64, DeviceError> {
        self.attempt(|gpu| {
            let (from, to) = (gpu.marks.remove(&from), gpu.marks.remove(&to));
            let seconds = match (&from, &to) {
                (Some(from), Some(to)) => {
                    from.wait()?;
                    to.wait()?;
                    to.seconds_since(from)
                }
                _ => Err(DeviceError::Unknown("mark")),
            };
            gpu.spare.extend(from.into_iter().chain(to));
            Ok(seconds?.max(0.0))
        })
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // Then its parts give back what the device might still have been using.
        self.settle();
    }
}
