//! Opens the device that a run computes on.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use cpu::Cpu;
use gpu::{Adapter, Gpu, Mode, Offer};
use pipeline::Error;
use ports::Machine;

use crate::args::{DeviceChoice, Hardware};
use crate::problem::Problem;

/// A device that is ready to compute.
pub(crate) struct Opened {
    pub(crate) machine: Machine,
    /// The GPU that it is, if it is one.
    pub(crate) gpu: Option<Arc<Gpu>>,
    /// The GPUs that were not taken, each with why.
    passed_over: Vec<String>,
}

/// Turns off the part of Mesa that looks for a display to sort GPUs by, where there is none: it would print errors. For
/// the start of a process, before it has threads.
pub(crate) fn keep_drivers_quiet() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: nothing else reads the environment yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Opens the device that the user chose.
pub(crate) fn open(hardware: &Hardware) -> Result<Opened, Problem> {
    let mode = if hardware.checked { Mode::Checked } else { Mode::Trusted };
    let opened = match &hardware.device {
        DeviceChoice::Auto => auto(hardware, mode),
        DeviceChoice::Cpu => on_cpu(hardware, Vec::new()),
        DeviceChoice::Gpu(name) => on_gpu(Gpu::open(&gpu::find(name.as_deref())?, mode)?, Vec::new()),
    };
    match opened.gpu {
        None if hardware.checked => Err(Error::new("`--checked` is for GPUs: the CPU always does the same")
            .help("leave it out, or take `--device gpu`")
            .into()),
        _ => Ok(opened),
    }
}

/// What the GPU that the user chose offers.
pub(crate) fn offer(choice: &DeviceChoice) -> Result<Offer, Problem> {
    let adapter = match choice {
        DeviceChoice::Gpu(name) => gpu::find(name.as_deref())?,
        DeviceChoice::Auto => {
            let real = gpu::adapters().into_iter().find(|adapter| why_not(adapter).is_none());
            real.ok_or_else(|| {
                Error::new("there is no real GPU to plan for").help("`--device gpu` plans for software")
            })?
        }
        DeviceChoice::Cpu => {
            return Err(Error::new("memory is planned for GPUs only: the CPU takes what there is")
                .help("take `--device gpu`, or leave it out")
                .into());
        }
    };
    Ok(adapter.offer())
}

/// The first real GPU that can be used, or else the CPU.
fn auto(hardware: &Hardware, mode: Mode) -> Opened {
    let mut passed_over = Vec::new();
    for adapter in gpu::adapters() {
        match why_not(&adapter).map_or_else(|| Gpu::open(&adapter, mode), |why| Err(tensor::Error::new(why)))
        {
            Ok(gpu) => return on_gpu(gpu, passed_over),
            Err(why) => passed_over.push(format!("{}: {why}", adapter.name())),
        }
    }
    on_cpu(hardware, passed_over)
}

/// Why `auto` does not take an adapter, as far as that is known without opening it.
pub(crate) fn why_not(adapter: &Adapter) -> Option<String> {
    adapter.lacks().or_else(|| (!adapter.is_real()).then(|| "it is only software".to_owned()))
}

/// The CPU with a thread for each core, or as many as the user wants.
pub(crate) fn cpu(threads: Option<NonZero<usize>>) -> Cpu {
    Cpu::new(threads.or_else(|| available_parallelism().ok()).map_or(1, NonZero::get))
}

fn on_cpu(hardware: &Hardware, passed_over: Vec<String>) -> Opened {
    Opened { machine: Machine(Arc::new(cpu(hardware.threads))), gpu: None, passed_over }
}

fn on_gpu(gpu: Gpu, passed_over: Vec<String>) -> Opened {
    let gpu = Arc::new(gpu);
    Opened { machine: Machine(gpu.clone()), gpu: Some(gpu), passed_over }
}

impl Opened {
    /// `computing on cpu, 8 threads, avx2; not on llvmpipe: it is only software`.
    pub(crate) fn line(&self) -> String {
        let instead = self.passed_over.iter().map(|other| format!("; not on {other}"));
        format!("computing on {}{}", self.machine.0.name(), instead.collect::<String>())
    }

    /// What the user should know about the device, if anything.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.gpu.as_ref()?.warning()
    }
}
