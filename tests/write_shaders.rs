//! `cargo xtask shaders`: writes every shader of the shipped pipelines and of the operations into a folder.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use gpu::Shader;
use mollify_tests::on_paper::{self, EVERYTHING, LITTLE};
use mollify_tests::translations::Translations;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("expected a folder to write to")?);
    let mut kernels: BTreeMap<&str, Vec<Shader>> = BTreeMap::new();
    for shader in [LITTLE, EVERYTHING].into_iter().flat_map(on_paper::shaders) {
        let uses = kernels.entry(shader.source.name).or_default();
        if !uses.contains(&shader) {
            uses.push(shader);
        }
    }
    for (name, uses) in &kernels {
        // Uses of earlier times would pass for those of now.
        fs::remove_dir_all(folder.join(name)).ok();
        fs::create_dir_all(folder.join(name))?;
        for (at, shader) in uses.iter().enumerate() {
            write(shader, &folder.join(name).join(format!("{:03}", at + 1)))?;
        }
        println!("{:5} {name}", uses.len());
    }
    let all: usize = kernels.values().map(Vec::len).sum();
    println!("{all:5} shaders of {} kernels, all valid, in {}", kernels.len(), folder.display());
    Ok(())
}

fn write(shader: &Shader, file: &Path) -> Result<(), Box<dyn Error>> {
    let text = shader.text()?;
    let Translations { spirv, msl, hlsl } = Translations::of(&text)?;
    let spirv: Vec<u8> = spirv.into_iter().flat_map(u32::to_le_bytes).collect();
    fs::write(file.with_extension("wgsl"), &text.wgsl)?;
    fs::write(file.with_extension("spv"), spirv)?;
    fs::write(file.with_extension("metal"), msl)?;
    if let Some(hlsl) = hlsl {
        fs::write(file.with_extension("hlsl"), hlsl)?;
    }
    Ok(())
}
