//! Sums over samples of many values in one dispatch.
//!
//! The gradient of every parameter is a sum of a row a sample, or a few samples. Such rows are gathered in one room;
//! when it is full, or the program ends, all of them are folded at once, each sum in the order of its rows, so that
//! a batch gives the same bits whole or in parts.

use tensor::Value;

use crate::call::{Call, Memory, View};
use crate::patterns::RowFold;
use crate::schedule::{Constant, Lowering, WINDOW_ALIGNMENT};
use crate::shader::{Element, Source, source};

static FOLD_ROWS: Source = source!("fold_rows");

/// The room for rows takes no more than this, or a binding.
const MOST_BYTES: usize = 1 << 30;

/// The elements that one workgroup sums; see `fold_rows.wgsl`.
const CHUNK: usize = 256;

/// Rows that wait to be folded.
#[derive(Debug, Default)]
pub(crate) struct Folds {
    room: Option<View>,
    used: usize,
    jobs: Vec<Job>,
}

/// `to[i] += Σ rows[from + row · stride + i]` for i below `len`.
#[derive(Clone, Copy, Debug)]
struct Job {
    from: usize,
    rows: usize,
    stride: usize,
    len: usize,
    input: Value,
    to: usize,
}

impl Lowering<'_> {
    /// Room for a value whose rows are summed; the sums are taken care of.
    pub(crate) fn make_to_fold(&mut self, value: Value, folds: Vec<RowFold>) -> View {
        let (rows, len) = (self.shape(value)[0], self.shape(value).len());
        self.rows_to_fold(rows, len / rows.max(1), &folds)
    }

    /// Room for `rows` rows of `stride` elements, of which parts are summed over the rows.
    pub(crate) fn rows_to_fold(&mut self, rows: usize, stride: usize, folds: &[RowFold]) -> View {
        let len = (rows * stride).next_multiple_of(64);
        let full = 4 * (self.folds.used + len) > MOST_BYTES.min(self.offer.largest_binding);
        let meets = |fold: &RowFold| self.folds.jobs.iter().any(|job| job.meets(fold));
        if self.folds.used > 0 && (full || folds.iter().any(meets)) {
            self.flush_folds();
        }
        let from = self.folds.used;
        self.folds.used += len;
        let room = match self.folds.room {
            Some(room) => room,
            None => self.work(Element::F32, 0, "rows of gradients"),
        };
        let Memory::Made(at) = room.memory else { unreachable!("the room for rows is made") };
        self.schedule.made[at].len = self.schedule.made[at].len.max(from + len);
        self.folds.room = Some(room.first(self.schedule.made[at].len));
        let job = |fold: &RowFold| Job {
            from: from + fold.start,
            rows,
            stride,
            len: fold.len,
            input: fold.input,
            to: fold.offset,
        };
        self.folds.jobs.extend(folds.iter().map(job));
        View { offset: from, len, ..room }
    }

    /// Folds the rows that wait: a dispatch for each tensor that they go to, or for each part of it that can be bound.
    pub(crate) fn flush_folds(&mut self) {
        // The next rows get a room of their own: somebody else may still read these.
        let Some(room) = self.folds.room.take() else { return };
        self.folds.used = 0;
        let jobs = std::mem::take(&mut self.folds.jobs);
        let mut inputs: Vec<Value> = jobs.iter().map(|job| job.input).collect();
        inputs.sort_unstable();
        inputs.dedup();
        for input in inputs {
            let mut chunks: Vec<Chunk> =
                jobs.iter().filter(|job| job.input == input).flat_map(Job::chunks).collect();
            chunks.sort_unstable_by_key(|chunk| chunk.to);
            let most = self.offer.largest_binding / 4 - WINDOW_ALIGNMENT as usize;
            for part in parts(&chunks, most) {
                self.fold_into(room, input, part);
            }
        }
    }

    /// Folds the rows of chunks that go to one part of an input.
    fn fold_into(&mut self, rows: View, input: Value, chunks: &[Chunk]) {
        let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else { return };
        let (offset, len) = (first.to, last.to + last.len - first.to);
        let table = chunks.iter().flat_map(|chunk| {
            let Chunk { from, stride, rows, to, len } = *chunk;
            [from, stride, rows, to - offset, len].map(|number| number as u32)
        });
        let table = self.constant(Constant::U32(table.collect()));
        let to = View { memory: Memory::Bound(input), element: Element::F32, offset, len };
        let call = Call::new(&FOLD_ROWS).read("chunks", table).read("rows", rows).write("to", to);
        self.push(call.over(chunks.len()));
    }
}

impl Job {
    /// Whether both add to the same elements, which takes two dispatches.
    fn meets(&self, fold: &RowFold) -> bool {
        self.input == fold.input && self.to < fold.offset + fold.len && fold.offset < self.to + self.len
    }

    fn chunks(&self) -> impl Iterator<Item = Chunk> + use<> {
        let Job { from, rows, stride, len, to, .. } = *self;
        (0..len).step_by(CHUNK).map(move |at| Chunk {
            from: from + at,
            stride,
            rows,
            to: to + at,
            len: CHUNK.min(len - at),
        })
    }
}

/// What one workgroup sums: where the rows start and how far the next one is, how many there are, where the sum goes, and
/// how many elements.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    from: usize,
    stride: usize,
    rows: usize,
    to: usize,
    len: usize,
}

/// Runs of chunks, sorted by where they go, that go to no more than `most` elements.
fn parts(chunks: &[Chunk], most: usize) -> Vec<&[Chunk]> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, chunk) in chunks.iter().enumerate() {
        if chunk.to + chunk.len - chunks[start].to > most {
            parts.push(&chunks[start..at]);
            start = at;
        }
    }
    parts.push(&chunks[start..]);
    parts
}
