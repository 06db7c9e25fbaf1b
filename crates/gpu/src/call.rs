//! One dispatch of a kernel, as lowering writes it: before memory is planned and pipelines are made.

use tensor::Value;

use crate::shader::{Access, Element, NumberType, Operand, Shader, Source};

/// Where an operand lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// In memory of the program's own: what it makes on the way, by [`Schedule::made`](crate::Schedule).
    Made(usize),
    /// In the tensor that is bound to an input.
    Bound(Value),
    /// In a tensor that is handed out.
    Fresh(Value),
    /// In numbers that are known beforehand, by [`Schedule::constants`](crate::Schedule).
    Constant(usize),
}

/// A tensor, or a part of one, as kernels read and write it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    pub memory: Memory,
    pub element: Element,
    /// In elements.
    pub offset: usize,
    /// In elements: a kernel touches no others.
    pub len: usize,
}

impl View {
    /// The elements from `by` on.
    pub fn skip(self, by: usize) -> View {
        View { offset: self.offset + by, len: self.len - by, ..self }
    }

    /// The first `len` elements.
    pub fn first(self, len: usize) -> View {
        View { len, ..self }
    }

    pub fn bytes(&self) -> usize {
        self.len * self.element.bytes()
    }
}

/// A number that comes with a dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    U32(u32),
    F32(f32),
    /// Given with every run.
    Scalar(Value),
}

/// Threads of a workgroup wherever a kernel's shape does not say otherwise.
pub const WORKGROUP: usize = 256;

/// Workgroups along one axis that every adapter takes.
const MOST_GROUPS: usize = 65535;

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Call {
    pub shader: Shader,
    /// What to call it in profiles and errors: the kernel, and what tells its uses apart.
    pub label: String,
    /// One for each of the shader's operands.
    pub views: Vec<View>,
    /// One for each of the shader's numbers.
    pub numbers: Vec<Number>,
    pub groups: [u32; 3],
    /// Reads each element of its operands before it writes the same element of its result, and no other: the result
    /// may lie over an operand of its size that nothing reads afterwards.
    pub in_place: bool,
}

impl Call {
    pub fn new(source: &'static Source) -> Self {
        let shader = Shader {
            source,
            operands: Vec::new(),
            absent: Vec::new(),
            numbers: Vec::new(),
            constants: Vec::new(),
            formulas: String::new(),
        };
        let label = source.name.to_owned();
        Call { shader, label, views: Vec::new(), numbers: Vec::new(), groups: [1; 3], in_place: false }
    }

    /// Binds a tensor to read.
    pub fn read(self, name: &'static str, view: View) -> Self {
        self.operand(name, view, Access::Read, false)
    }

    /// Binds a tensor to read by fours.
    pub fn read4(self, name: &'static str, view: View) -> Self {
        self.operand(name, view, Access::Read, true)
    }

    /// Binds a tensor to write, possibly after reading it.
    pub fn write(self, name: &'static str, view: View) -> Self {
        self.operand(name, view, Access::Write, false)
    }

    /// Binds a tensor to write by fours.
    pub fn write4(self, name: &'static str, view: View) -> Self {
        self.operand(name, view, Access::Write, true)
    }

    /// Binds a tensor that the kernel does without if need be; `wide` to read it by fours.
    pub fn read_maybe(self, name: &'static str, view: Option<View>, wide: bool) -> Self {
        self.operand_maybe(name, view, Access::Read, wide)
    }

    /// Binds a tensor that the kernel may go without writing.
    pub fn write_maybe(self, name: &'static str, view: Option<View>, wide: bool) -> Self {
        self.operand_maybe(name, view, Access::Write, wide)
    }

    fn operand_maybe(mut self, name: &'static str, view: Option<View>, access: Access, wide: bool) -> Self {
        match view {
            Some(view) => self.operand(name, view, access, wide),
            None => {
                self.shader.absent.push(name);
                self
            }
        }
    }

    pub fn operand(mut self, name: &'static str, view: View, access: Access, wide: bool) -> Self {
        debug_assert!(
            !wide || view.offset.is_multiple_of(4),
            "{name} of {} starts at {}",
            self.label,
            view.offset
        );
        self.shader.operands.push(Operand { name, element: view.element, access, wide, shared: false });
        self.views.push(view);
        self
    }

    /// Adds a number. Whatever has too many elements for 32 bits is too large to bind, as
    /// [`Schedule::check`](crate::Schedule::check) says then.
    pub fn number(mut self, name: &'static str, value: usize) -> Self {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        self.shader.numbers.push((name, NumberType::U32));
        self.numbers.push(Number::U32(value));
        self
    }

    pub fn real(mut self, name: &'static str, value: f64) -> Self {
        self.shader.numbers.push((name, NumberType::F32));
        self.numbers.push(Number::F32(value as f32));
        self
    }

    pub fn scalar(mut self, name: &'static str, value: Value) -> Self {
        self.shader.numbers.push((name, NumberType::F32));
        self.numbers.push(Number::Scalar(value));
        self
    }

    pub fn constant(mut self, name: &'static str, value: usize) -> Self {
        self.shader.constants.push((name, value as u32));
        self
    }

    pub fn formulas(mut self, text: String) -> Self {
        self.shader.formulas = text;
        self
    }

    /// Adds a word to what the call is called.
    pub fn labelled(mut self, word: &str) -> Self {
        self.label = format!("{} {word}", self.label);
        self
    }

    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    /// One workgroup for each of `count` pieces of work, whichever number that is: the kernel counts them by
    /// `piece(workgroup_id, num_workgroups)`, and does nothing from `given.pieces` on.
    pub fn over(self, count: usize) -> Self {
        let x = count.clamp(1, MOST_GROUPS);
        let mut call = self.number("pieces", count);
        call.groups = [x as u32, count.div_ceil(x).max(1) as u32, 1];
        call
    }

    /// Enough workgroups of [`WORKGROUP`] threads for `threads`.
    pub fn over_threads(self, threads: usize) -> Self {
        self.over(threads.div_ceil(WORKGROUP))
    }
}
