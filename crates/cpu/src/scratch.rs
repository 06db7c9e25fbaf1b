//! Working memory that a thread keeps from call to call, so that no kernel allocates once it is warm.

/// One cache line; the unit of alignment.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([f32; 16]);

/// A grow-only block of f32, aligned to 64 bytes. What it holds between two calls of [`Scratch::take`] is arbitrary.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
    /// What [`Scratch::detach`] hands out.
    second: Option<Box<Scratch>>,
}

impl Scratch {
    /// Blocks of these lengths, apart from each other, each aligned to 64 bytes, with arbitrary contents.
    pub fn take<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [f32]; N] {
        let total: usize = lengths.iter().map(|length| length.div_ceil(16)).sum();
        if self.lines.len() < total {
            self.lines.resize(total, Line([0.0; 16]));
        }
        let mut rest = self.lines.as_mut_slice();
        lengths.map(|length| {
            let (block, tail) = std::mem::take(&mut rest).split_at_mut(length.div_ceil(16));
            rest = tail;
            &mut numbers(block)[..length]
        })
    }

    /// Working memory of its own for what lives as long as several blocks of this; [`Scratch::attach`] brings it back.
    pub fn detach(&mut self) -> Box<Scratch> {
        self.second.take().unwrap_or_default()
    }

    pub fn attach(&mut self, second: Box<Scratch>) {
        self.second = Some(second);
    }

    /// How many bytes it has grown to.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(self.lines.as_slice()) + self.second.as_ref().map_or(0, |second| second.bytes())
    }
}

fn numbers(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: a `Line` is exactly 16 f32 without padding.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * 16) }
}
