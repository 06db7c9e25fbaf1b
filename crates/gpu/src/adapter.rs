//! Which GPUs there are and what they can do.

use std::fmt;

use tensor::{Error, Result};
use wgpu::{DeviceType, Features, Limits};

use crate::Offer;

/// Never OpenGL: a second adapter for the same GPU, with less to offer.
const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// What mollify uses where it is there.
const WANTED: Features = Features::SHADER_F16
    .union(Features::TIMESTAMP_QUERY)
    .union(Features::PIPELINE_CACHE)
    .union(Features::SUBGROUP)
    .union(Features::EXPERIMENTAL_COOPERATIVE_MATRIX);

/// What kernels take at most.
pub(crate) const IMMEDIATE_BYTES: u32 = 128;
pub(crate) const STORAGE_BUFFERS: u32 = 12;
pub(crate) const WORKGROUP_THREADS: u32 = 256;
pub(crate) const WORKGROUP_BYTES: u32 = 32768;

/// A GPU, or software that stands in for one.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(crate) wgpu: wgpu::Adapter,
}

/// Every adapter, real GPUs first.
pub fn adapters() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = BACKENDS;
    // The default turns the driver's own validation on in debug builds.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters: Vec<Adapter> = pollster::block_on(instance.enumerate_adapters(BACKENDS))
        .into_iter()
        .map(|wgpu| Adapter { wgpu })
        .collect();
    adapters.sort_by_key(|adapter| std::cmp::Reverse(adapter.rank()));
    adapters
}

/// The first adapter with these words in its name, whatever their case, or else the first: a real GPU if there is one,
/// and one that lacks nothing if there is one.
///
/// # Errors
/// If there is none.
pub fn find(name: Option<&str>) -> Result<Adapter> {
    let adapters = adapters();
    let words = name.unwrap_or_default().to_lowercase();
    let fits = |adapter: &&Adapter| adapter.name().to_lowercase().contains(&words);
    let mut fitting = adapters.iter().filter(fits);
    // If none is of use, the first one says why when it is opened.
    let found = fitting.clone().find(|adapter| adapter.lacks().is_none()).or_else(|| fitting.next());
    found.cloned().ok_or_else(|| match adapters[..] {
        [] => Error::new(
            "there is no GPU that Vulkan, Metal or DirectX 12 can use; install its driver, or take `--device cpu`",
        ),
        _ => {
            let names: Vec<String> = adapters.iter().map(|adapter| format!("`{}`", adapter.name())).collect();
            Error::new(format!("no GPU has `{words}` in its name; there is {}", names.join(", ")))
        }
    })
}

impl Adapter {
    /// The name that its driver gives it.
    pub fn name(&self) -> String {
        self.wgpu.get_info().name
    }

    /// Whether it is hardware.
    pub fn is_real(&self) -> bool {
        self.rank() > 0
    }

    fn rank(&self) -> u8 {
        match self.wgpu.get_info().device_type {
            DeviceType::DiscreteGpu => 3,
            DeviceType::VirtualGpu => 2,
            DeviceType::IntegratedGpu => 1,
            DeviceType::Other | DeviceType::Cpu => 0,
        }
    }

    /// Bytes of the largest buffer.
    pub fn largest_buffer(&self) -> u64 {
        self.wgpu.limits().max_buffer_size
    }

    /// Bytes that the threads of a workgroup can share.
    pub fn workgroup_bytes(&self) -> u32 {
        self.wgpu.limits().max_compute_workgroup_storage_size
    }

    /// Whether it takes the time of kernels.
    pub fn has_timestamps(&self) -> bool {
        self.wgpu.features().contains(Features::TIMESTAMP_QUERY)
    }

    /// Whether its driver keeps pipelines on disk.
    pub fn keeps_pipelines(&self) -> bool {
        self.wgpu.features().contains(Features::PIPELINE_CACHE)
    }

    /// What it offers to programs.
    pub fn offer(&self) -> Offer {
        let limits = self.wgpu.limits();
        Offer {
            largest_binding: usize::try_from(limits.max_storage_buffer_binding_size).unwrap_or(usize::MAX),
            halves: self.wgpu.features().contains(Features::SHADER_F16),
            cooperative: self.multiplies_tiles(),
        }
    }

    /// Whether it multiplies the tiles of matrices that the kernels are written for, by subgroups of 32 threads.
    fn multiplies_tiles(&self) -> bool {
        use wgpu::CooperativeScalarType as Scalar;
        let info = self.wgpu.get_info();
        let needed = Features::SUBGROUP | Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        self.wgpu.features().contains(needed)
            && (info.subgroup_min_size, info.subgroup_max_size) == (32, 32)
            && self.wgpu.cooperative_matrix_properties().iter().any(|tile| {
                (tile.m_size, tile.n_size, tile.k_size) == (16, 16, 16)
                    && (tile.ab_type, tile.cr_type) == (Scalar::F16, Scalar::F32)
            })
    }

    /// What a run lacks here, if it lacks something: the limit or feature, what there is and what is needed.
    pub fn lacks(&self) -> Option<String> {
        let Limits {
            max_immediate_size,
            max_storage_buffers_per_shader_stage,
            max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size,
            ..
        } = self.wgpu.limits();
        if !self.wgpu.features().contains(Features::IMMEDIATES) {
            return Some("it has no immediates (push constants)".into());
        }
        let needs = [
            ("bytes of immediates", max_immediate_size, IMMEDIATE_BYTES),
            ("storage buffers in a shader", max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
            ("threads in a workgroup", max_compute_invocations_per_workgroup, WORKGROUP_THREADS),
            ("bytes of workgroup memory", max_compute_workgroup_storage_size, WORKGROUP_BYTES),
        ];
        let short = needs.into_iter().find(|(_, has, needed)| has < needed);
        short.map(|(what, has, needed)| format!("it has {has} {what}, and {needed} are needed"))
    }

    /// Opens it with everything that mollify uses.
    pub(crate) fn open(&self) -> Result<(wgpu::Device, wgpu::Queue)> {
        let refused = |why: String| Error::new(format!("`{}` cannot be used: {why}", self.name()));
        if let Some(lack) = self.lacks() {
            return Err(refused(format!("{lack}; take another with `--device`, or `--device cpu`")));
        }
        let mut required_features = self.wgpu.features() & WANTED;
        if !self.multiplies_tiles() {
            required_features.remove(Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("mollify"),
            required_features: required_features | Features::IMMEDIATES,
            required_limits: self.wgpu.limits(),
            // SAFETY: the only experimental feature is behind a self-test, and a wrong product is all it risks.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..Default::default()
        };
        pollster::block_on(self.wgpu.request_device(&descriptor)).map_err(|error| refused(error.to_string()))
    }
}

/// `NVIDIA H200 (vulkan, driver 580.159.03)`.
impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.wgpu.get_info();
        let backend = info.backend.to_string();
        write!(f, "{} ({backend}", info.name)?;
        let driver = [info.driver, info.driver_info].into_iter().filter(|words| !words.is_empty());
        let driver: Vec<String> = driver.collect();
        if driver.is_empty() { write!(f, ")") } else { write!(f, ", {})", driver.join(" ")) }
    }
}
