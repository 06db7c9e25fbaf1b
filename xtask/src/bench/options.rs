//! The options of `cargo xtask bench`.

use std::thread::available_parallelism;

use super::{CONFIGS, MODES};

pub(crate) const HELP: &str = "\
usage: cargo xtask bench [OPTIONS]
       cargo xtask bench dispatch [--device gpu:NAME] [--seconds N]
       cargo xtask bench augment [--batch N] [--seconds N] [--threads N]

Measures one denoiser call, one training step and one 18-step Heun sampling run of three networks: median time, images
per second and the largest memory, of the process on a CPU, of the device on a GPU. Each measurement is a process of
its own.

`dispatch` measures what a dispatch costs the host when everything is cached, and counts the dispatches and submissions
of a training step of DDPM++ (cifar10).

`augment` measures the augmentation of a batch by the paper's preset beside a training step of small32.

  --device DEVICE   cpu, gpu or gpu:NAME; PyTorch takes the first GPU [default: cpu, for dispatch gpu]
  --precision P     full or mixed; PyTorch has bf16 by autocast for mixed [default: full]
  --batch N         [default: 16, 4 and 64 for the three networks, and on a GPU 512, 256 and 1024]
  --peer [PYTHON]   measure PyTorch as well, in turns; PYTHON has torch and numpy [default: python3]
  --config NAMES    of small32,cifar10,tiny8 [default: all]
  --mode NAMES      of forward,train,sample [default: all]
  --seconds N       for each measurement [default: 20]
  --rounds N        in which the seconds are split [default: 2]
  --threads N       [default: one for each core]
  --profile         print mollify's time, GFLOP/s and GB/s of every kernel as well, which makes it slower

Examples:
  cargo xtask bench --peer /tmp/venv/bin/python --config tiny8,small32 --seconds 10
  cargo xtask bench --device gpu --precision mixed --peer python --config cifar10 --mode train
";

pub(crate) struct Options {
    pub(crate) peer: Option<Peer>,
    pub(crate) configs: Vec<&'static str>,
    pub(crate) modes: Vec<&'static str>,
    pub(crate) seconds: f64,
    pub(crate) rounds: u32,
    pub(crate) threads: usize,
    pub(crate) device: String,
    pub(crate) precision: Precision,
    pub(crate) batch: Option<u32>,
    pub(crate) profile: bool,
}

/// Of a network's activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Full,
    Mixed,
}

/// Whom to compare with.
pub(crate) struct Peer {
    pub(crate) python: String,
}

impl Options {
    /// Reads the options; `None` if only help is wanted.
    pub(crate) fn read(args: &[&str]) -> Result<Option<Self>, String> {
        let mut options = Self {
            peer: None,
            configs: CONFIGS.map(|(config, ..)| config).to_vec(),
            modes: MODES.to_vec(),
            seconds: 20.0,
            rounds: 2,
            threads: available_parallelism().map_or(1, |threads| threads.get()),
            device: "cpu".to_owned(),
            precision: Precision::Full,
            batch: None,
            profile: false,
        };
        let mut args = args.iter().copied().peekable();
        while let Some(arg) = args.next() {
            if matches!(arg, "--help" | "-h") {
                return Ok(None);
            }
            let value = args.next_if(|value| !value.starts_with("--"));
            match (arg, value) {
                ("--peer", value) => {
                    let python = value.filter(|value| *value != "python").unwrap_or("python3").to_owned();
                    options.peer = Some(Peer { python });
                }
                ("--profile", None) => options.profile = true,
                ("--config", Some(names)) => options.configs = chosen(names, &options.configs)?,
                ("--mode", Some(names)) => options.modes = chosen(names, &options.modes)?,
                ("--seconds", Some(value)) => options.seconds = number(arg, value)?,
                ("--rounds", Some(value)) => options.rounds = number::<u32>(arg, value)?.max(1),
                ("--device", Some(device)) => options.device = device.to_owned(),
                ("--precision", Some("full")) => options.precision = Precision::Full,
                ("--precision", Some("mixed")) => options.precision = Precision::Mixed,
                ("--precision", Some(other)) => return Err(format!("`{other}` is none of full, mixed")),
                ("--batch", Some(value)) => options.batch = Some(number::<u32>(arg, value)?.max(1)),
                ("--threads", Some(value)) => options.threads = number::<usize>(arg, value)?.max(1),
                _ => {
                    return Err(format!(
                        "`{arg}` is no option or lacks its value; `--help` lists the options"
                    ));
                }
            }
        }
        Ok(Some(options))
    }

    pub(crate) fn on_gpu(&self) -> bool {
        self.device != "cpu"
    }
}

impl Precision {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Precision::Full => "full",
            Precision::Mixed => "mixed",
        }
    }

    /// As `bench.py` takes it.
    pub(crate) fn of_peer(self) -> &'static [&'static str] {
        match self {
            Precision::Full => &["--precision", "fp32"],
            Precision::Mixed => &["--precision", "bf16", "--autocast"],
        }
    }
}

fn chosen(names: &str, known: &[&'static str]) -> Result<Vec<&'static str>, String> {
    let find = |name: &str| known.iter().copied().find(|known| *known == name);
    let all =
        names.split(',').map(|name| find(name).ok_or(format!("`{name}` is none of {}", known.join(", "))));
    all.collect()
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{option}` takes a number, found `{value}`"))
}
