//! The options of `cargo xtask bench`.

use std::thread::available_parallelism;

use super::{CONFIGS, MODES};

pub(crate) const HELP: &str = "\
usage: cargo xtask bench [OPTIONS]

Measures one denoiser call, one training step and one 18-step Heun sampling run of three networks on the CPU:
median time, images per second and the largest memory of the process. Each measurement is a process of its own.

  --peer [PYTHON]   measure PyTorch as well, in turns; PYTHON has torch and numpy [default: python3]
  --config NAMES    of small32,cifar10,tiny8 [default: all]
  --mode NAMES      of forward,train,sample [default: all]
  --seconds N       for each measurement [default: 20]
  --rounds N        in which the seconds are split [default: 2]
  --threads N       [default: one for each core]

Example: cargo xtask bench --peer /tmp/venv/bin/python --config tiny8,small32 --seconds 10
";

pub(crate) struct Options {
    pub(crate) peer: Option<Peer>,
    pub(crate) configs: Vec<&'static str>,
    pub(crate) modes: Vec<&'static str>,
    pub(crate) seconds: f64,
    pub(crate) rounds: u32,
    pub(crate) threads: usize,
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
            configs: CONFIGS.map(|(config, _)| config).to_vec(),
            modes: MODES.to_vec(),
            seconds: 20.0,
            rounds: 2,
            threads: available_parallelism().map_or(1, |threads| threads.get()),
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
                ("--config", Some(names)) => options.configs = chosen(names, &options.configs)?,
                ("--mode", Some(names)) => options.modes = chosen(names, &options.modes)?,
                ("--seconds", Some(value)) => options.seconds = number(arg, value)?,
                ("--rounds", Some(value)) => options.rounds = number::<u32>(arg, value)?.max(1),
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
