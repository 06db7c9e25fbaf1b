//! Weights in the order in which the convolution kernel reads them.

use super::load::BLOCK;
use super::pointer::Parts;
use crate::{Kernel, Level, Scratch, Simd, Workers};

/// Weights `[tap][cin][cout]` and how they are read.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    pub values: &'a [f32],
    pub taps: usize,
    pub cin: usize,
    pub cout: usize,
    /// Taps from last to first, inputs and outputs exchanged: the gradient of the input.
    pub turned: bool,
}

/// A cut of the output channels into panels of `width`, of which the last may be `narrow`.
#[derive(Clone, Copy)]
pub struct Panels {
    pub channels: usize,
    /// Numbers in a vector; a panel is two vectors wide, or one.
    pub lanes: usize,
}

impl Panels {
    pub fn count(&self) -> usize {
        self.channels.div_ceil(2 * self.lanes)
    }

    /// The first channel of a panel.
    pub fn start(&self, panel: usize) -> usize {
        panel * 2 * self.lanes
    }

    /// Channels that are really there.
    pub fn real(&self, panel: usize) -> usize {
        (self.channels - self.start(panel)).min(2 * self.lanes)
    }

    /// One vector or two.
    pub fn vectors(&self, panel: usize) -> usize {
        self.real(panel).div_ceil(self.lanes)
    }
}

impl Weights<'_> {
    /// Channels that are summed over and channels that come out.
    pub fn channels(&self) -> (usize, usize) {
        if self.turned { (self.cout, self.cin) } else { (self.cin, self.cout) }
    }

    pub fn panels(&self, lanes: usize) -> Panels {
        Panels { channels: self.channels().1, lanes }
    }

    /// Products that are summed for one output.
    pub fn depth(&self) -> usize {
        self.taps * self.channels().0
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self, lanes: usize) -> usize {
        self.depth() * self.panels(lanes).count() * 2 * lanes
    }

    /// Blocks of the channels that are summed over.
    pub fn blocks(&self) -> usize {
        self.channels().0.div_ceil(BLOCK)
    }

    /// Channels of a block.
    pub fn block_depth(&self, block: usize) -> usize {
        (self.channels().0 - block * BLOCK).min(BLOCK)
    }

    /// One block of a panel as it lies, and the floats from one tap and from one channel to the next, where the panel's
    /// channels lie together.
    pub fn block_as_it_lies(&self, lanes: usize, [panel, block]: [usize; 2]) -> Option<(&[f32], [usize; 2])> {
        let panels = self.panels(lanes);
        let whole = panels.real(panel) == panels.vectors(panel) * lanes;
        let first = block * BLOCK * self.cout + panels.start(panel);
        (whole && !self.turned).then(|| (&self.values[first..], [self.cin * self.cout, self.cout]))
    }

    /// Packs one block of a panel: `[tap][channel of the block][channel of the panel]`.
    pub fn pack_block(&self, level: Level, [panel, block]: [usize; 2], packed: &mut [f32]) {
        self.pack(level, panel, block * BLOCK, packed);
    }

    /// Packs a panel from a channel on, as many as there is place for: `[tap][channel][channel of the panel]`.
    fn pack(&self, level: Level, panel: usize, channel: usize, packed: &mut [f32]) {
        let panels = self.panels(level.lanes());
        let width = panels.vectors(panel) * level.lanes();
        for (tap, part) in packed.chunks_exact_mut(packed.len() / self.taps).enumerate() {
            let tap = if self.turned { self.taps - 1 - tap } else { tap };
            let steps = if self.turned { [1, self.cout] } else { [self.cout, 1] };
            let first = channel * steps[0] + panels.start(panel) * steps[1];
            let from = &self.values[tap * self.cin * self.cout..][first..];
            level.run(Pack { from, steps, real: panels.real(panel), width, to: part });
        }
    }
}

/// Weights in the order in which a kernel reads them, made in parts.
pub(super) trait Packing: Sync {
    /// Floats of all parts.
    fn len(&self) -> usize;

    fn parts(&self) -> usize;

    /// Writes a part to where it belongs.
    fn write(&self, part: usize, to: Parts<f32>, scratch: &mut Scratch);
}

/// Floats of weights that every thread packs for itself: what another core wrote is slow to read, slower than that.
const OWN: usize = 1 << 18;

/// Runs tasks that read packed weights. All of them are packed once where tasks are said to read `some` only.
pub(super) fn run_with(
    packing: &impl Packing,
    (workers, shared): (&mut Workers, &mut Scratch),
    (tasks, some): (usize, bool),
    task: impl Fn(usize, &[f32], &mut Scratch) + Sync,
) {
    if workers.threads() > 1 && (some || packing.len() > OWN) {
        let [packed] = shared.take([packing.len()]);
        let parts = Parts::new(&mut *packed);
        workers.run(packing.parts(), |part, scratch| packing.write(part, parts, scratch));
        return workers.run(tasks, |index, scratch| task(index, packed, scratch));
    }
    workers.run_by_thread(tasks, |tasks, scratch| {
        let Some(first) = tasks.next() else { return };
        let mut own = scratch.detach();
        let [packed] = own.take([packing.len()]);
        let parts = Parts::new(&mut *packed);
        (0..packing.parts()).for_each(|part| packing.write(part, parts, scratch));
        std::iter::once(first).chain(tasks).for_each(|index| task(index, packed, scratch));
        scratch.attach(own);
    });
}

/// Weights as direct convolutions read them: `[panel][tap][channel][channel of the panel]`, zeros where a panel ends
/// early.
pub(super) struct Direct<'a> {
    pub weights: Weights<'a>,
    pub level: Level,
}

impl Packing for Direct<'_> {
    fn len(&self) -> usize {
        self.weights.packed_len(self.level.lanes())
    }

    fn parts(&self) -> usize {
        self.weights.panels(self.level.lanes()).count()
    }

    fn write(&self, part: usize, to: Parts<f32>, _: &mut Scratch) {
        let Direct { weights, level } = self;
        let (lanes, depth) = (level.lanes(), weights.depth());
        let width = weights.panels(lanes).vectors(part) * lanes;
        // SAFETY: each part is of another panel.
        let rows = unsafe { to.range(part * depth * 2 * lanes, depth * width) };
        weights.pack(*level, part, 0, rows);
    }
}

/// Copies the matrix whose element `(k, j)` lies at `k · steps[0] + j · steps[1]` into rows of `width`, of which
/// `real` numbers are there; zeros follow them.
pub struct Pack<'a> {
    pub from: &'a [f32],
    pub steps: [usize; 2],
    pub real: usize,
    pub width: usize,
    pub to: &'a mut [f32],
}

/// Rows that are turned at once: one cache line of each column is read.
const TURNED: usize = 16;

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pack { from, steps, real, width, to } = self;
        if steps[1] == 1 {
            for (k, row) in to.chunks_exact_mut(width).enumerate() {
                let from = &from[k * steps[0]..][..real];
                for j in (0..real).step_by(S::LANES) {
                    s.write(row, j, s.read(from, j)); // what follows becomes zero
                }
                row[real.next_multiple_of(S::LANES).min(width)..].fill(0.0);
            }
            return;
        }
        for (group, rows) in to.chunks_mut(TURNED * width).enumerate() {
            let (from, count) = (&from[group * TURNED * steps[0]..], rows.len() / width);
            if steps[0] == 1 && count == TURNED {
                turn(s, from, steps[1], real, width, rows);
            } else {
                for (k, j) in (0..count).flat_map(|k| (0..real).map(move |j| (k, j))) {
                    rows[k * width + j] = from[k * steps[0] + j * steps[1]];
                }
            }
            for row in rows.chunks_exact_mut(width) {
                row[real..].fill(0.0);
            }
        }
    }
}

/// [`TURNED`] numbers of each of `real` columns, which lie `step` apart, into rows of `width`.
#[inline(always)]
fn turn<S: Simd>(s: S, from: &[f32], step: usize, real: usize, width: usize, rows: &mut [f32]) {
    assert!(real <= width && rows.len() == TURNED * width, "{real} columns in rows of {width}");
    assert!(real == 0 || (real - 1) * step + TURNED <= from.len(), "{real} columns {step} apart");
    let (from, rows) = (from.as_ptr(), rows.as_mut_ptr());
    let squares = real / S::LANES * S::LANES;
    // SAFETY: asserted above, as `TURNED` is a multiple of every level's lanes.
    unsafe {
        for j in (0..squares).step_by(S::LANES) {
            for k in (0..TURNED).step_by(S::LANES) {
                s.transpose((from.add(j * step + k), step), (rows.add(k * width + j), width));
            }
        }
        for j in squares..real {
            for k in 0..TURNED {
                *rows.add(k * width + j) = *from.add(j * step + k);
            }
        }
    }
}
