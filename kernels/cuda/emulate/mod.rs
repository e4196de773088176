//! Runs kernels on the host, for tests: their sources are compiled as C++ for this machine, where the threads of a block are fibres.
//!
//! What enters is the same [`Launch`] that a device would get, with addresses of this process; what leaves is its memory, changed. The
//! machine's `c++` is needed. See `emulate.h` for what the emulation finds and what it cannot.

mod accelerator;

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use libloading::Library;

use super::{Launch, RawLaunch};
pub use accelerator::EmulatedAccelerator;

/// How sources are compiled. Memory is read as other types than it was written as, which compilers for devices allow; what is not aligned, which
/// devices do not read, ends the program.
const FLAGS: [&str; 16] = [
    "-std=c++17",
    "-O1",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-fsanitize=alignment",
    "-fsanitize-undefined-trap-on-error",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-DCWM_EMULATE",
    "-xc++",
];

/// Why a kernel could not be emulated, or what it did wrong.
#[derive(Debug, thiserror::Error)]
pub enum EmulateError {
    /// A file or folder.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The compiler cannot be started.
    #[error("the C++ compiler `c++` cannot be started: {0}; install g++")]
    NoCompiler(std::io::Error),
    /// The compiler finds fault with a source.
    #[error("{path} does not compile for emulation:\n{message}")]
    Compile {
        /// The source.
        path: PathBuf,
        /// What the compiler says.
        message: String,
    },
    /// What was compiled cannot be loaded.
    #[error("{0}")]
    Load(#[from] libloading::Error),
    /// The kernel's threads wait in vain, or the launch does not fit the kernel.
    #[error("{kernel}: {message}")]
    Kernel {
        /// Which.
        kernel: &'static str,
        /// What.
        message: String,
    },
}

/// In which order a block's threads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// First to last.
    Forward,
    /// Last to first, blocks too.
    Backward,
    /// By that seed, differently each time.
    Shuffled(u32),
}

impl Order {
    /// Some of each kind.
    pub const SOME: [Order; 4] = [
        Order::Forward,
        Order::Backward,
        Order::Shuffled(7),
        Order::Shuffled(1234),
    ];
}

/// The same as `Launch` in `emulate.h`.
#[repr(C)]
struct EmulatedLaunch {
    grid: [u32; 3],
    threads: u32,
    shared_bytes: u32,
    order: u32,
    argument_bytes: u64,
}

type Entry = unsafe extern "C" fn(*const EmulatedLaunch, *const c_void, *mut c_char, u64) -> c_int;

/// By the folders where they are kept and their sources, for the whole process: however many emulators there are, a library is loaded once and
/// has one machine, so launches of one library wait for each other.
static LIBRARIES: LazyLock<Mutex<HashMap<(PathBuf, PathBuf), LoadedLibrary>>> = LazyLock::new(Mutex::default);

/// `None` until it is compiled.
type LoadedLibrary = Arc<Mutex<Option<Library>>>;

/// Compiles kernels and runs them.
#[derive(Debug)]
pub struct Emulator {
    folder: PathBuf,
}

impl Emulator {
    /// An emulator that keeps what it compiles in `folder`, to be used again as long as the sources stay the same.
    pub fn new(folder: &Path) -> Emulator {
        Emulator {
            folder: folder.to_path_buf(),
        }
    }

    /// Runs a launch to its end.
    ///
    /// # Errors
    /// [`EmulateError`] when the source cannot be compiled, the launch does not fit the kernel, or its threads wait in vain.
    ///
    /// # Safety
    /// The addresses in the launch's arguments are of memory of this process which is as large as they say, and which nothing else uses.
    #[allow(unsafe_code, reason = "a foreign function is called, with addresses")]
    pub unsafe fn launch<A>(&self, launch: &Launch<A>, order: Order) -> Result<(), EmulateError> {
        // SAFETY: the same is the caller's promise.
        unsafe { self.launch_raw(&launch.raw(), order) }
    }

    /// The same for a launch without its type.
    ///
    /// # Errors
    /// As of [`Emulator::launch`].
    ///
    /// # Safety
    /// As of [`Emulator::launch`]; and the launch's argument is there.
    #[allow(unsafe_code, reason = "a foreign function is called, with addresses")]
    pub unsafe fn launch_raw(&self, launch: &RawLaunch, order: Order) -> Result<(), EmulateError> {
        let source = sources().join(format!("{}.cu", launch.kernel.artefact.name()));
        // SAFETY: the same is the caller's promise.
        unsafe { self.run_from(&source, launch, order) }
    }

    /// The same for a kernel of that name in another source than its artefact's.
    ///
    /// # Errors
    /// As of [`Emulator::launch`].
    ///
    /// # Safety
    /// As of [`Emulator::launch`]; and the source is made with `machine.cuh`.
    #[allow(unsafe_code, reason = "a foreign function is called, with addresses")]
    pub unsafe fn launch_from<A>(
        &self,
        source: &Path,
        launch: &Launch<A>,
        order: Order,
    ) -> Result<(), EmulateError> {
        // SAFETY: the same is the caller's promise.
        unsafe { self.run_from(source, &launch.raw(), order) }
    }

    #[allow(unsafe_code, reason = "a foreign function is called, with addresses")]
    unsafe fn run_from(&self, source: &Path, launch: &RawLaunch, order: Order) -> Result<(), EmulateError> {
        let library = {
            let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (self.folder.clone(), source.to_path_buf());
            Arc::clone(libraries.entry(key).or_default())
        };
        let mut library = library.lock().unwrap_or_else(PoisonError::into_inner);
        let library = match &mut *library {
            Some(library) => library,
            empty => {
                let path = self.compile(source)?;
                // SAFETY: it was compiled from such a source, and does nothing when it is loaded.
                empty.insert(unsafe { Library::new(path)? })
            }
        };
        // SAFETY: every kernel of such a source has this signature, and checks the argument's size; the lock keeps others out. What its
        // addresses are of is the caller's promise.
        unsafe { run(library, launch, order) }
    }

    /// Compiles a source, unless that was done before. Returns the library's path.
    fn compile(&self, source: &Path) -> Result<PathBuf, EmulateError> {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let key = hash_with_headers(source)?;
        let library = self.folder.join(format!("{name}-{key:016x}.so"));
        if library.exists() {
            return Ok(library);
        }
        let at = |error| EmulateError::File {
            path: self.folder.clone(),
            error,
        };
        std::fs::create_dir_all(&self.folder).map_err(at)?;
        // Others may do the same at the same time: who is done first does not matter, as long as the file is whole.
        let unfinished = self
            .folder
            .join(format!("{name}-{key:016x}.{}", std::process::id()));
        let output = Command::new("c++")
            .args(FLAGS)
            .arg(source)
            .arg("-o")
            .arg(&unfinished)
            .output()
            .map_err(EmulateError::NoCompiler)?;
        if !output.status.success() {
            return Err(EmulateError::Compile {
                path: source.to_path_buf(),
                message: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        std::fs::rename(&unfinished, &library).map_err(at)?;
        Ok(library)
    }
}

/// The folder of the kernels' sources.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda")
}

/// Runs a kernel of a library.
///
/// # Safety
/// The library is of such a source, nobody else uses it, and the launch's addresses are good.
#[allow(unsafe_code, reason = "a foreign function is called, with addresses")]
unsafe fn run(library: &Library, launch: &RawLaunch, order: Order) -> Result<(), EmulateError> {
    let emulated = EmulatedLaunch {
        grid: launch.grid,
        threads: launch.threads,
        shared_bytes: launch.shared_bytes,
        order: match order {
            Order::Forward => 0,
            Order::Backward => 1,
            Order::Shuffled(seed) => seed.max(2),
        },
        argument_bytes: launch.argument_bytes as u64,
    };
    let mut message = [0_u8; 512];
    // SAFETY: the caller's promise; the message is as long as said.
    let status = unsafe {
        let entry = library.get::<Entry>(launch.kernel.name)?;
        entry(
            &raw const emulated,
            launch.argument,
            message.as_mut_ptr().cast(),
            message.len() as u64,
        )
    };
    if status == 0 {
        return Ok(());
    }
    let end = message
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(message.len());
    Err(EmulateError::Kernel {
        kernel: launch.kernel.name,
        message: String::from_utf8_lossy(message.get(..end).unwrap_or_default()).into_owned(),
    })
}

/// Of a source and of all headers. The hasher's keys are fixed, so it is the same in every process.
fn hash_with_headers(source: &Path) -> Result<u64, EmulateError> {
    let mut paths = vec![source.to_path_buf()];
    for folder in [sources(), sources().join("emulate")] {
        let at = |error| EmulateError::File {
            path: folder.clone(),
            error,
        };
        for entry in std::fs::read_dir(&folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("cuh" | "h")) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut hasher = DefaultHasher::new();
    FLAGS.hash(&mut hasher);
    for path in paths {
        let at = |error| EmulateError::File {
            path: path.clone(),
            error,
        };
        path.file_name().hash(&mut hasher);
        std::fs::read(&path).map_err(at)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}
