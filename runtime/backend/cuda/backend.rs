//! A model on a device.

use std::collections::HashMap;
use std::path::Path;

use cwm_kernels::KvElement;
use cwm_kernels::cuda::{
    Accelerator, CopyArguments, CudaKvElement, CudaPages, DevicePointer, Graph, PAGE_TOKENS, SKINNY_ROWS,
    decode_tile_rows,
};

use crate::backend::cuda::arena::{Arena, Move, places_of_copy};
use crate::backend::cuda::batch::{Arranging, Batch, Shape};
use crate::backend::cuda::forward::{DevicePages, Forward};
use crate::backend::cuda::matrices::{DeviceWeights, Loader};
use crate::backend::cuda::workspace::{Buffer, Workspace};
use crate::backend::weights::{LoadError, Weights, check_layout};
use crate::backend::{Backend, BackendError, StepOutput, StepPlan};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind};
use crate::formats::Checkpoint;
use crate::model::{ModelSpec, WeightFormat};

/// How a model is put on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CudaOptions {
    /// What matrices of 16- or 32-bit floats are rounded to while they are loaded; as they are, but bf16 at most, when `None`.
    pub weights: Option<WeightFormat>,
    /// The most bytes for keys and values; all that is left beside the weights and a step's activations when `None`.
    pub cache_bytes: Option<u64>,
}

/// What a step of a prompt and its activations may take, at the least, beside weights and pages.
const ROOM_FOR_STEPS: u64 = 2 << 30;

/// What the size of the pages' memory is a multiple of. The window pool is counted from its end, and kernels read 16 bytes at a time.
const PAGE_ALIGNMENT: u64 = 256;

/// A model on a device.
pub struct CudaBackend {
    pub(super) device: Box<dyn Accelerator>,
    spec: ModelSpec,
    layout: PageLayout,
    weights: DeviceWeights,
    largest_as_bf16: u64,
    pub(super) arena: Arena,
    /// Full, window.
    pages: [Option<DevicePages>; 2],
    workspace: Workspace,
    /// Positions that [`Workspace::angles`] reaches.
    angles: usize,
    /// Radians a position, `[head_dim / 2]`.
    inverse_frequencies: Vec<f32>,
    graphs: HashMap<Shape, Graph>,
    /// Everything that is never freed before the end.
    pub(super) allocated: Vec<DevicePointer>,
}

impl CudaBackend {
    /// Puts a model's weights on a device, and takes the memory for its pages.
    ///
    /// # Errors
    /// A tensor that is missing, misshapen or unreadable, pages or shapes that no kernel is made for, too little memory, or a device that fails.
    pub fn load(
        checkpoint: &Checkpoint,
        layout: PageLayout,
        mut device: Box<dyn Accelerator>,
        options: CudaOptions,
    ) -> Result<CudaBackend, LoadError> {
        check_layout(checkpoint, &layout)?;
        let form = page_form(&checkpoint.path, &checkpoint.spec, &layout)?;
        let mut loader = Loader::new(device.as_mut(), options.weights);
        let weights = loader.weights(&Weights::of(checkpoint)?)?;
        let allocated = loader.allocated;
        let bytes = cache_bytes(device.as_mut(), &form, options.cache_bytes)?;
        let spec = checkpoint.spec.clone();
        CudaBackend::with_weights(spec, layout, form, device, (weights, allocated), bytes)
    }

    /// Takes `bytes` bytes for pages beside weights that are on the device, and the addresses that were allocated for them.
    pub(super) fn with_weights(
        spec: ModelSpec,
        layout: PageLayout,
        form: [CudaPages; 2],
        mut device: Box<dyn Accelerator>,
        (weights, mut allocated): (DeviceWeights, Vec<DevicePointer>),
        bytes: u64,
    ) -> Result<CudaBackend, LoadError> {
        let [full, window] = form.map(|form| if form.layers > 0 { form.page_bytes() } else { 0 });
        let arena = Arena::new(bytes, full, window);
        let memory = device.allocate(bytes)?;
        allocated.push(memory);
        // What nobody wrote may be read by rows that only fill a batch up; it should be numbers.
        device.fill(memory, 0, bytes)?;
        let pages = |pool: PoolKind, form: CudaPages| {
            (form.layers > 0).then(|| DevicePages {
                form,
                base: memory.offset(arena.base(pool)),
            })
        };
        let [full_form, window_form] = form;
        Ok(CudaBackend {
            device,
            largest_as_bf16: weights.largest_as_bf16(),
            weights,
            pages: [
                pages(PoolKind::Full, full_form),
                pages(PoolKind::Window, window_form),
            ],
            arena,
            workspace: Workspace::default(),
            angles: 0,
            inverse_frequencies: spec.rope.inverse_frequencies(spec.head_dim),
            graphs: HashMap::new(),
            allocated,
            spec,
            layout,
        })
    }

    /// The bytes that a model's weights take on a device.
    ///
    /// # Errors
    /// A tensor that is missing, misshapen or unreadable.
    pub fn weight_bytes(checkpoint: &Checkpoint, weights: Option<WeightFormat>) -> Result<u64, LoadError> {
        Ok(Weights::of(checkpoint)?.bytes_on_device(weights))
    }

    fn pages(&self, pool: PoolKind) -> Option<DevicePages> {
        let [full, window] = self.pages;
        match pool {
            PoolKind::Full => full,
            PoolKind::Window => window,
        }
    }

    /// Copies pages from place to place, in that order as far as it matters.
    fn transfer(&mut self, transfers: &[Move]) -> Result<(), BackendError> {
        for group in independent(transfers) {
            let Some(pool) = group.first().map(|one| one.pool) else {
                continue;
            };
            let Some(pages) = self.pages(pool) else { continue };
            let pairs = group.iter().flat_map(|one| [one.from, one.to]);
            let numbers = pairs.flat_map(|place| self.arena.number(pool, place).to_le_bytes());
            let numbers: Vec<u8> = numbers.collect();
            self.workspace
                .copies
                .make_room(self.device.as_mut(), numbers.len() as u64)?;
            self.device.write(self.workspace.copies.at, &numbers)?;
            let arguments = CopyArguments {
                pages: pages.base,
                page_bytes: pages.form.page_bytes(),
                copies: self.workspace.copies.at,
            };
            self.device.launch(&arguments.launch(group.len())?.record())?;
        }
        Ok(())
    }

    /// Cosines and sines of all positions below `end`: f32 products, as in the implementations that models are trained with.
    fn reach(&mut self, end: usize) -> Result<bool, BackendError> {
        if end <= self.angles {
            return Ok(false);
        }
        let end = end.next_power_of_two().max(4096).min(self.spec.context.max(end));
        let mut table = Vec::with_capacity(end * self.inverse_frequencies.len() * 8);
        for position in 0..end {
            for frequency in &self.inverse_frequencies {
                let (sine, cosine) = (position as f32 * frequency).sin_cos();
                table.extend(cosine.to_le_bytes());
                table.extend(sine.to_le_bytes());
            }
        }
        let angles: &mut Buffer = &mut self.workspace.angles;
        angles.make_room(self.device.as_mut(), table.len() as u64)?;
        self.device.write(angles.at, &table)?;
        self.angles = end;
        Ok(true)
    }

    /// Arranges a plan's rows; pages that are copied or have to move for it are.
    fn arrange(&mut self, plan: &StepPlan) -> Result<Batch, BackendError> {
        let tokens = plan.known_tokens("cuda")?;
        let mut arranging = Arranging {
            arena: &mut self.arena,
            layout: &self.layout,
            tile_rows: decode_tile_rows(self.spec.heads, self.spec.kv_heads),
            moves: Vec::new(),
        };
        let copied = arranging.copies(&plan.copies);
        let batch = copied.and_then(|()| arranging.batch(plan, &tokens));
        // Even if there is no room in the end: the pages that made some have new places.
        let moves = arranging.moves;
        self.transfer(&moves)?;
        batch
    }

    fn run(&mut self, plan: &StepPlan) -> Result<Vec<f32>, BackendError> {
        let mut batch = self.arrange(plan)?;
        if batch.rows() == 0 {
            return Ok(Vec::new());
        }
        let kept = batch.fill_up(&self.layout);
        let shape = kept.unwrap_or_else(|| batch.shape());
        let array = batch.array(&shape);
        let mut moved = self.workspace.make_room(
            self.device.as_mut(),
            &self.spec,
            &shape,
            array.len(),
            self.largest_as_bf16,
        )?;
        moved |= self.reach(batch.end())?;
        if moved {
            self.forget_graphs();
        }
        self.device.write(self.workspace.inputs.at, &array)?;
        match kept {
            Some(shape) => self.run_kept(shape, &batch.logit_rows),
            None => self.run_once(shape, batch.logit_rows.len()),
        }
    }

    /// A step whose launches are kept, or will be from now on.
    fn run_kept(&mut self, shape: Shape, rows: &[u32]) -> Result<Vec<f32>, BackendError> {
        let graph = match self.graphs.get(&shape) {
            Some(graph) => *graph,
            None => {
                let launches = self.forward(shape).whole()?;
                let graph = self.device.prepare(&launches)?;
                self.graphs.insert(shape, graph);
                graph
            }
        };
        self.device.run(graph)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.read_logits(shape.rows())?;
        let width = self.spec.vocabulary;
        let wanted = rows
            .iter()
            .filter_map(|row| all.get(*row as usize * width..(*row as usize + 1) * width));
        Ok(wanted.flatten().copied().collect())
    }

    fn run_once(&mut self, shape: Shape, wanted: usize) -> Result<Vec<f32>, BackendError> {
        let launches = self.forward(shape).body()?;
        launches
            .iter()
            .try_for_each(|launch| self.device.launch(launch))?;
        let mut logits = Vec::new();
        for first in (0..wanted).step_by(SKINNY_ROWS) {
            let rows = SKINNY_ROWS.min(wanted - first);
            let launches = self.forward(shape).logits(first, rows)?;
            launches
                .iter()
                .try_for_each(|launch| self.device.launch(launch))?;
            logits.extend(self.read_logits(rows)?);
        }
        Ok(logits)
    }

    fn forward(&self, shape: Shape) -> Forward<'_> {
        Forward::new(&self.spec, &self.weights, &self.workspace, self.pages, shape)
    }

    /// Waits for the device.
    fn read_logits(&mut self, rows: usize) -> Result<Vec<f32>, BackendError> {
        let mut bytes = vec![0; rows * self.spec.vocabulary * 4];
        self.device.read(self.workspace.logits.at, &mut bytes)?;
        let values = bytes.as_chunks::<4>().0.iter();
        Ok(values.map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn forget_graphs(&mut self) {
        for (_, graph) in self.graphs.drain() {
            self.device.discard(graph);
        }
    }

    /// Where a page's bytes are on the device.
    fn page_at(&self, pool: PoolKind, place: usize) -> Option<DevicePointer> {
        let pages = self.pages(pool)?;
        let number = u64::from(self.arena.number(pool, place));
        Some(pages.base.offset(number * pages.form.page_bytes()))
    }
}

impl Arranging<'_> {
    /// Notes down the plan's copies.
    fn copies(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        for copy in copies {
            if copy.source == copy.destination {
                self.arena.place(copy.pool, copy.source)?;
                continue;
            }
            let (from, to) = places_of_copy(self.arena, *copy, &mut self.moves)?;
            self.moves.push(Move {
                pool: copy.pool,
                from,
                to,
            });
        }
        Ok(())
    }
}

/// Transfers in groups of one pool whose members may happen at the same time.
fn independent(transfers: &[Move]) -> Vec<&[Move]> {
    const MOST: usize = 65535;
    let mut groups = Vec::new();
    let mut rest = transfers;
    while let Some(first) = rest.first() {
        let (mut read, mut written) = (Vec::new(), Vec::new());
        let collides = |one: &Move, read: &[usize], written: &[usize]| {
            one.pool != first.pool
                || written.contains(&one.from)
                || written.contains(&one.to)
                || read.contains(&one.to)
        };
        let mut end = 0;
        for one in rest.iter().take(MOST) {
            if collides(one, &read, &written) {
                break;
            }
            read.push(one.from);
            written.push(one.to);
            end += 1;
        }
        let (group, others) = rest.split_at(end);
        groups.push(group);
        rest = others;
    }
    groups
}

/// The form of the pages of both pools.
pub(super) fn page_form(
    path: &Path,
    spec: &ModelSpec,
    layout: &PageLayout,
) -> Result<[CudaPages; 2], LoadError> {
    let wrong = |reason| LoadError::Layout {
        path: path.to_owned(),
        layout: layout.clone(),
        reason,
    };
    if layout.page_tokens != PAGE_TOKENS {
        return Err(wrong("pages on a GPU hold 64 positions"));
    }
    let element = match layout.element {
        KvElement::BF16 => CudaKvElement::Bf16,
        KvElement::E4M3 => CudaKvElement::Fp8,
        _ => return Err(wrong("keys and values on a GPU are bf16 or e4m3")),
    };
    if !matches!(layout.head_dim, 16 | 64 | 128) {
        return Err(wrong(
            "there are kernels for heads of 16, 64 and 128 elements only",
        ));
    }
    if decode_tile_rows(spec.heads, spec.kv_heads) == 0 {
        return Err(wrong("there are kernels for at most 16 query heads a KV head"));
    }
    Ok([PoolKind::Full, PoolKind::Window].map(|pool| CudaPages {
        layers: layout.layers(pool),
        kv_heads: layout.kv_heads,
        head_dim: layout.head_dim,
        element,
    }))
}

/// The bytes of the memory for pages: what was asked for and places that are nobody's, or what is left.
pub(super) fn cache_bytes(
    device: &mut dyn Accelerator,
    forms: &[CudaPages; 2],
    asked: Option<u64>,
) -> Result<u64, LoadError> {
    let nobodys: u64 = forms.iter().map(|form| 2 * form.page_bytes()).sum();
    if let Some(asked) = asked {
        return Ok((asked + nobodys).next_multiple_of(PAGE_ALIGNMENT));
    }
    let (free, all) = device.memory()?;
    let left = free.saturating_sub(ROOM_FOR_STEPS.max(all / 16));
    if left < 2 * nobodys {
        return Err(cwm_kernels::cuda::DeviceError::OutOfMemory { bytes: 2 * nobodys }.into());
    }
    Ok(left / PAGE_ALIGNMENT * PAGE_ALIGNMENT)
}

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn layout(&self) -> &PageLayout {
        &self.layout
    }

    fn vocabulary(&self) -> usize {
        self.spec.vocabulary
    }

    fn page_capacity(&self) -> Option<usize> {
        usize::try_from(self.arena.capacity()).ok()
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        plan.check(&self.layout, self.spec.vocabulary, self.spec.context)?;
        let logits = self.run(plan)?;
        Ok(StepOutput {
            logits,
            vocabulary: self.spec.vocabulary,
        })
    }

    #[cfg(feature = "gpu-check")]
    fn suppose(&mut self, plan: &StepPlan) -> Result<(), BackendError> {
        plan.check(&self.layout, self.spec.vocabulary, self.spec.context)?;
        self.arrange(plan).map(|_| ())
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        let plan = StepPlan {
            copies: copies.to_vec(),
            ..StepPlan::default()
        };
        self.arrange(&plan).map(|_| ())
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        let missing = || BackendError::MissingPage { pool, page };
        let place = self.arena.place(pool, page)?;
        let (at, pages) = self
            .page_at(pool, place)
            .zip(self.pages(pool))
            .ok_or_else(missing)?;
        let mut bytes = vec![0; pages.form.page_bytes() as usize];
        self.device.read(at, &mut bytes)?;
        pages.form.to_exchanged(&bytes).ok_or_else(missing)
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        let missing = || BackendError::MissingPage { pool, page };
        let pages = self.pages(pool).ok_or_else(missing)?;
        let bytes = pages
            .form
            .from_exchanged(bytes)
            .ok_or_else(|| BackendError::PageSize {
                pool,
                expected: pages.form.page_bytes() as usize,
                found: bytes.len(),
            })?;
        let mut moves = Vec::new();
        let place = self.arena.make(pool, page, &mut moves);
        self.transfer(&moves)?;
        let at = self.page_at(pool, place?).ok_or_else(missing)?;
        Ok(self.device.write(at, &bytes)?)
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        for page in pages {
            self.arena.release(pool, *page);
        }
    }
}

impl Drop for CudaBackend {
    fn drop(&mut self) {
        self.forget_graphs();
        for memory in self.allocated.drain(..).chain(self.workspace.addresses()) {
            self.device.free(memory);
        }
    }
}
