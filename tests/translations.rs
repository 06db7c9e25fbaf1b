//! A kernel in the languages of all drivers, as naga writes them for wgpu.

use gpu::Text;
use naga::ShaderStage;
use naga::back::{hlsl, msl, spv};

/// SPIR-V, MSL and HLSL of a kernel.
pub struct Translations {
    pub spirv: Vec<u32>,
    pub msl: String,
    /// DirectX has no cooperative matrices.
    pub hlsl: Option<String>,
}

impl Translations {
    /// # Errors
    /// What a language cannot say.
    pub fn of(text: &Text) -> Result<Self, String> {
        let Text { wgsl, module, info } = text;
        let options = spv::Options { lang_version: (1, 3), ..Default::default() };
        let spirv =
            spv::write_vec(module, info, &options, None).map_err(|error| format!("SPIR-V: {error}"))?;
        let options = msl::Options { lang_version: (2, 4), ..Default::default() };
        let (msl, names) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())
            .map_err(|error| format!("MSL: {error}"))?;
        if let Some(Err(error)) = names.entry_point_names.into_iter().find(Result::is_err) {
            return Err(format!("MSL: {error}"));
        }
        let cooperative = wgsl.contains("enable wgpu_cooperative_matrix;");
        let hlsl = (!cooperative).then(|| in_hlsl(text)).transpose()?;
        Ok(Translations { spirv, msl, hlsl })
    }
}

fn in_hlsl(text: &Text) -> Result<String, String> {
    let immediates_target = Some(hlsl::BindTarget { register: 0, space: 1, ..Default::default() });
    let options =
        hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, immediates_target, ..Default::default() };
    let entry = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".to_owned())) };
    let mut written = String::new();
    let mut writer = hlsl::Writer::new(&mut written, &options, &entry);
    writer.write(&text.module, &text.info, None).map_err(|error| format!("HLSL: {error}"))?;
    Ok(written)
}
