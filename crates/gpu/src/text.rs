//! What naga makes of the text of a kernel, without an adapter: the drivers of all systems are served by naga.

use std::fmt;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module};

use crate::Shader;
use crate::adapter::{IMMEDIATE_BYTES, STORAGE_BUFFERS, WORKGROUP_BYTES, WORKGROUP_THREADS};

/// The text of a kernel that naga has read and found valid, within what every adapter that mollify takes can do.
pub struct Text {
    pub wgsl: String,
    pub module: Module,
    pub info: ModuleInfo,
}

/// What is wrong with a kernel.
#[derive(Debug)]
pub struct Flaw(String);

impl Shader {
    /// Reads and validates the text.
    ///
    /// # Errors
    /// If naga refuses it, or it needs more than adapters have to offer.
    pub fn text(&self) -> Result<Text, Flaw> {
        let wgsl = self.wgsl();
        let flaw = |what: String| Flaw(format!("`{}`: {what}", self.source.name));
        let module =
            naga::front::wgsl::parse_str(&wgsl).map_err(|error| flaw(error.emit_to_string(&wgsl)))?;
        let mut validator = Validator::new(ValidationFlags::all(), capabilities(&wgsl));
        let info = validator.validate(&module).map_err(|error| flaw(error.emit_to_string(&wgsl)))?;
        let text = Text { wgsl, module, info };
        match text.excess(self) {
            None => Ok(text),
            Some((what, has, most)) => Err(flaw(format!("{has} {what}, and at most {most} are there"))),
        }
    }
}

impl Text {
    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        let variables = self.module.global_variables.iter().map(|(_, variable)| variable);
        let shared = variables.filter(|variable| variable.space == AddressSpace::WorkGroup);
        shared.map(|variable| self.module.types[variable.ty].inner.size(self.module.to_ctx())).sum()
    }

    /// A limit that the kernel passes: what, how much it needs and how much there is.
    fn excess(&self, shader: &Shader) -> Option<(&'static str, u32, u32)> {
        let threads = self.module.entry_points.iter().map(|entry| entry.workgroup_size.iter().product());
        let needs = [
            ("bytes of immediates", shader.immediate_bytes(), IMMEDIATE_BYTES),
            ("storage buffers", shader.operands.len() as u32, STORAGE_BUFFERS),
            ("threads in a workgroup", threads.max().unwrap_or(0), WORKGROUP_THREADS),
            ("bytes of workgroup memory", self.workgroup_bytes(), WORKGROUP_BYTES),
        ];
        needs.into_iter().find(|(_, has, most)| has > most)
    }
}

/// What every adapter that mollify takes can do, and, where the text asks for them by `enable`, 16-bit numbers and
/// cooperative matrices.
fn capabilities(wgsl: &str) -> Capabilities {
    let mut capabilities = Capabilities::IMMEDIATES;
    capabilities.set(Capabilities::SHADER_FLOAT16, wgsl.contains("enable f16;"));
    let cooperative = wgsl.contains("enable wgpu_cooperative_matrix;");
    // Subgroups multiply them.
    capabilities.set(Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP, cooperative);
    capabilities
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Flaw {}
