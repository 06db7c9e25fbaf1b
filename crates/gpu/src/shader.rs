//! The text of a kernel: a file of `shaders/` behind a short preamble that declares what this use of it binds.
//!
//! Every difference between two uses of a kernel is in the preamble: which operands there are and what they hold,
//! constants, and the formulas of an elementwise pass. Files of `shaders/` never change on their way.

use std::fmt::Write;

/// A kernel as it lies in `shaders/`, with the files that it builds on.
#[derive(Debug)]
pub struct Source {
    pub name: &'static str,
    pub text: &'static str,
    pub parts: &'static [&'static str],
}

/// Declares a [`Source`] by the name of its file, and the files it builds on.
macro_rules! source {
    ($name:literal $(, $part:literal)*) => {
        $crate::shader::Source {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
            parts: &[$(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $part, ".wgsl"))),*],
        }
    };
}
pub(crate) use source;

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Source {}

impl std::hash::Hash for Source {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// How a tensor's elements lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    F32,
    F16,
    U32,
}

impl Element {
    pub fn bytes(self) -> usize {
        if self == Element::F16 { 2 } else { 4 }
    }

    fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::F16 => "f16",
            Element::U32 => "u32",
        }
    }

    /// What kernels compute with: f16 is for memory only.
    fn computed(self) -> &'static str {
        if self == Element::U32 { "u32" } else { "f32" }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    /// Written, and possibly read first.
    Write,
}

/// A tensor that a kernel binds. `x` becomes `read_x(i)` and `read_x4(i)`, which reads elements i to i + 3; what is
/// written has `write_x(i, v)` and `write_x4(i, v)` as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    pub name: &'static str,
    pub element: Element,
    pub access: Access,
    /// Lies in memory by fours: `read_x4` wants a multiple of 4 and is one load.
    pub wide: bool,
    /// Shares its memory with an operand that is written: wgpu wants both bound the same way then.
    pub shared: bool,
}

/// The type of a number that comes with every dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberType {
    U32,
    F32,
}

/// Numbers workgroups through, as one axis of a dispatch takes few.
const PIECE: &str = "\
fn piece(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 { return workgroup.x + workgroup.y * workgroups.x; }
";

/// One use of a kernel: equal ones share a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    pub source: &'static Source,
    pub operands: Vec<Operand>,
    /// Operands that this use goes without: they read as 0, and forget what is written.
    pub absent: Vec<&'static str>,
    /// Read as `given.NAME`; after them come the offsets of the operands.
    pub numbers: Vec<(&'static str, NumberType)>,
    /// `const NAME: u32`, known when the pipeline is made. They would be `override`s, but that naga 30.0.1 panics over
    /// overrides that follow from others, as a tile's sizes do.
    pub constants: Vec<(&'static str, u32)>,
    /// Text that belongs to this use alone: the formulas of an elementwise pass.
    pub formulas: String,
}

impl Shader {
    /// The whole text.
    pub fn wgsl(&self) -> String {
        let mut text = String::new();
        if self.operands.iter().any(|operand| operand.element == Element::F16) {
            text += "enable f16;\n";
        }
        if self.source.parts.iter().chain([&self.source.text]).any(|part| part.contains("coop_mat")) {
            text += "enable wgpu_cooperative_matrix;\n";
        }
        self.declare_given(&mut text);
        text += PIECE;
        for (name, value) in &self.constants {
            line(&mut text, format_args!("const {name}: u32 = {value}u;"));
        }
        for (binding, operand) in self.operands.iter().enumerate() {
            operand.declare(binding, &mut text);
        }
        for name in &self.absent {
            line(&mut text, format_args!("fn read_{name}(i: u32) -> f32 {{ return 0.0; }}"));
            line(&mut text, format_args!("fn read_{name}4(i: u32) -> vec4<f32> {{ return vec4<f32>(); }}"));
            line(&mut text, format_args!("fn write_{name}(i: u32, v: f32) {{}}"));
            line(&mut text, format_args!("fn write_{name}4(i: u32, v: vec4<f32>) {{}}"));
        }
        text += &self.formulas;
        for part in self.source.parts.iter().chain([&self.source.text]) {
            text += "\n";
            text += part;
        }
        text
    }

    /// The bytes of immediates: 4 for each number and each operand's offset.
    pub fn immediate_bytes(&self) -> u32 {
        4 * (self.numbers.len() + self.operands.len()) as u32
    }

    fn declare_given(&self, text: &mut String) {
        *text += "struct Given {\n";
        for (name, of) in &self.numbers {
            let of = if *of == NumberType::U32 { "u32" } else { "f32" };
            line(text, format_args!("    {name}: {of},"));
        }
        for operand in &self.operands {
            line(text, format_args!("    {}_at: u32,", operand.name));
        }
        *text += "}\nvar<immediate> given: Given;\n";
    }
}

impl Operand {
    fn declare(&self, binding: usize, text: &mut String) {
        let Operand { name, element, access, wide, shared } = self;
        let (stored, computed) = (element.name(), element.computed());
        let memory = if *wide { format!("array<vec4<{stored}>>") } else { format!("array<{stored}>") };
        let access = if *access == Access::Write || *shared { "read_write" } else { "read" };
        line(
            text,
            format_args!("@group(0) @binding({binding}) var<storage, {access}> memory_{name}: {memory};"),
        );
        let (one, four) = match wide {
            true => (
                "[(given.NAME_at + i) / 4u][(given.NAME_at + i) % 4u]",
                "memory_NAME[(given.NAME_at + i) / 4u]",
            ),
            false => (
                "[given.NAME_at + i]",
                "STORED(memory_NAME[given.NAME_at + i], memory_NAME[given.NAME_at + i + 1u], \
                 memory_NAME[given.NAME_at + i + 2u], memory_NAME[given.NAME_at + i + 3u])",
            ),
        };
        let named = |what: &str| what.replace("NAME", name).replace("STORED", &format!("vec4<{stored}>"));
        let (one, four) = (named(one), named(four));
        line(
            text,
            format_args!("fn read_{name}(i: u32) -> {computed} {{ return {computed}(memory_{name}{one}); }}"),
        );
        line(
            text,
            format_args!(
                "fn read_{name}4(i: u32) -> vec4<{computed}> {{ return vec4<{computed}>({four}); }}"
            ),
        );
        if self.access == Access::Write {
            line(
                text,
                format_args!(
                    "fn write_{name}(i: u32, v: {computed}) {{ memory_{name}{one} = {stored}(v); }}"
                ),
            );
            line(text, format_args!("fn write_{name}4(i: u32, v: vec4<{computed}>) {{"));
            match wide {
                true => line(text, format_args!("    {four} = vec4<{stored}>(v);")),
                false => (0..4).for_each(|at| {
                    line(
                        text,
                        format_args!("    memory_{name}[given.{name}_at + i + {at}u] = {stored}(v[{at}]);"),
                    )
                }),
            }
            *text += "}\n";
        }
    }
}

fn line(text: &mut String, words: std::fmt::Arguments) {
    writeln!(text, "{words}").expect("a string takes any text");
}
