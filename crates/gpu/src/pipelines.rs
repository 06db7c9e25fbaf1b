//! Shaders made into pipelines, each once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tensor::{Error, Result};

use crate::errors::caught;
use crate::shader::{Access, Shader};

/// Whether shaders check what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Kernels are trusted to stay within their tensors.
    #[default]
    Trusted,
    /// Every access is checked, and workgroup memory starts as zeros: slower, for tests and for doubts.
    Checked,
}

/// A kernel that is ready to be dispatched.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Every pipeline made so far.
pub(crate) struct Pipelines {
    device: wgpu::Device,
    mode: Mode,
    made: HashMap<Shader, Arc<Pipeline>>,
    cache: Option<DiskCache>,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device, mode: Mode, adapter: &wgpu::Adapter) -> Self {
        let cache = DiskCache::open(device, adapter);
        Pipelines { device: device.clone(), mode, made: HashMap::new(), cache }
    }

    /// The pipelines of these shaders; new ones are made on all cores.
    pub fn get(&mut self, shaders: &[&Shader]) -> Result<Vec<Arc<Pipeline>>> {
        let mut missing: Vec<&Shader> = Vec::new();
        for shader in shaders {
            if !self.made.contains_key(shader) && !missing.contains(shader) {
                missing.push(shader);
            }
        }
        for (shader, pipeline) in missing.iter().zip(self.make_all(&missing)) {
            self.made.insert((*shader).clone(), Arc::new(pipeline?));
        }
        Ok(shaders.iter().map(|shader| self.made[shader].clone()).collect())
    }

    fn make_all(&self, shaders: &[&Shader]) -> Vec<Result<Pipeline>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(shaders.len().max(1));
        let mut made: Vec<Option<Result<Pipeline>>> = shaders.iter().map(|_| None).collect();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|first| {
                    let own = (first..shaders.len()).step_by(threads);
                    scope.spawn(move || own.map(|at| (at, self.make(shaders[at]))).collect::<Vec<_>>())
                })
                .collect();
            for worker in workers {
                for (at, pipeline) in worker.join().expect("making a pipeline returns its errors") {
                    made[at] = Some(pipeline);
                }
            }
        });
        made.into_iter().map(|pipeline| pipeline.expect("each shader was some worker's")).collect()
    }

    fn make(&self, shader: &Shader) -> Result<Pipeline> {
        let kinds =
            [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory];
        caught(&self.device, &kinds, || self.create(shader)).map_err(|error| {
            let name = shader.source.name;
            Error::new(format!(
                "the GPU's driver cannot make the kernel `{name}`: {error}; another driver may, and so may `--device cpu`"
            ))
        })
    }

    fn create(&self, shader: &Shader) -> Pipeline {
        let (device, name) = (&self.device, Some(shader.source.name));
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: name,
            source: wgpu::ShaderSource::Wgsl(shader.wgsl().into()),
        };
        let module = match self.mode {
            Mode::Checked => device.create_shader_module(descriptor),
            // SAFETY: kernels compute every index from sizes that lowering took from the shapes of their operands.
            Mode::Trusted => unsafe {
                device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            },
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: name,
            entries: &layout_entries(shader),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: name,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: shader.immediate_bytes(),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: name,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: self.mode == Mode::Checked,
                ..Default::default()
            },
            cache: self.cache.as_ref().map(|cache| &cache.cache),
        });
        Pipeline { pipeline, layout }
    }
}

fn layout_entries(shader: &Shader) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |(binding, operand): (usize, &crate::shader::Operand)| {
        let read_only = operand.access == Access::Read && !operand.shared;
        wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        }
    };
    shader.operands.iter().enumerate().map(entry).collect()
}

/// Pipelines on disk, where the driver can keep some: the next start is faster.
struct DiskCache {
    cache: wgpu::PipelineCache,
    file: PathBuf,
}

impl DiskCache {
    fn open(device: &wgpu::Device, adapter: &wgpu::Adapter) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = cache_folder()?.join(wgpu::util::pipeline_cache_key(&adapter.get_info())?);
        let data = std::fs::read(&file).ok();
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("mollify"), data: data.as_deref(), fallback: true };
        // SAFETY: the file is one that `get_data` gave for the same adapter and driver, by its name; the driver checks
        // the header, and `fallback` starts anew with anything else.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(DiskCache { cache, file })
    }
}

impl Drop for DiskCache {
    /// Keeps what was made. A cache that cannot be written is no error: the next start is as slow as this one.
    fn drop(&mut self) {
        let Some(data) = self.cache.get_data() else { return };
        if std::fs::read(&self.file).is_ok_and(|old| old == data) {
            return;
        }
        // Others may write theirs at the same time, in this process or another.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let own = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let part = self.file.with_extension(own);
        let folder = self.file.parent().map(std::fs::create_dir_all).transpose();
        if folder
            .and_then(|_| std::fs::write(&part, data))
            .and_then(|()| std::fs::rename(&part, &self.file))
            .is_err()
        {
            std::fs::remove_file(&part).ok();
        }
    }
}

/// Where the system keeps what programs can make again.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("mollify"))
}
