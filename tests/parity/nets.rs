//! Whole networks as denoisers.

use std::sync::Arc;

use denoise::PreconditionedNetwork;
use diffusion::Scheme;
use ports::{Architecture, Denoise, Parameters, Query};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::{Array, Device, Tensor, Value};
use unet::{Decoder, DhariwalUNetConfig, Embedding, Encoder, Layout, Network, SongUNetConfig};

use crate::compare::{Tolerance, rms};
use crate::fixtures::{Noise, Numbers, Oracle, Settings, Tensors};
use crate::report::{Checks, Failure, Report};
use crate::schemes::scheme;
use crate::trial::Trial;

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub precond: String,
    pub config: Map<String, Json>,
    pub params: String,
    io: String,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    tag: String,
    f32_vs_f64: Noise,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    for case in oracle.cases::<Case>("nets") {
        let Some(net) = report.built("nets", &case.name, Net::new(&case.precond, &case.config)) else {
            continue;
        };
        report.case("nets", &case.name, "names", |checks| {
            names(&net, &oracle.tensors(&case.params), checks);
            Ok(())
        });
        for call in &case.calls {
            for device in devices {
                let name = format!("{} {}", case.name, call.tag);
                report.case("nets", &name, &device.name(), |checks| {
                    let (params, io) = (oracle.tensors(&case.params), oracle.tensors(&case.io));
                    denoise(&net, call, &params, &io, device.as_ref(), checks)
                });
            }
        }
    }
}

/// A network with its preconditioning.
pub struct Net {
    network: Arc<dyn Network>,
    scheme: Scheme,
}

impl Net {
    /// The network of a case's configuration, if its parts are built.
    pub fn new(precond: &str, config: &Map<String, Json>) -> Result<Self, Failure> {
        let config = Settings(config);
        let scheme = scheme(precond, &config)?;
        Ok(Net { network: architecture(precond, &config).build()?, scheme })
    }

    pub fn layout(&self) -> &Layout {
        self.network.layout()
    }

    /// The parameters of a file whose names start with `start`, side by side.
    pub fn arena(&self, tensors: &Tensors, start: &str, device: &dyn Device) -> Result<Tensor, Failure> {
        let arena = self.layout().import(|parameter| {
            let name = format!("{start}{}", parameter.name);
            Ok(tensors.find(&name).ok_or_else(|| format!("the oracle has no `{name}`"))?.values.clone())
        })?;
        Ok(device.upload(&Array::new([arena.len()], arena))?)
    }

    /// D(x; σ) with these parameters.
    pub fn denoiser(&self, arena: &Tensor) -> PreconditionedNetwork {
        let parameters =
            Parameters { network: self.network.clone(), arena: arena.clone(), recipe: String::new() };
        PreconditionedNetwork::new("net", parameters, self.scheme.clone())
    }
}

/// What a denoiser sees.
pub struct Seen {
    /// `[n, c, h, w]`, as files have it.
    pub x: Numbers,
    /// One noise level a sample.
    pub sigma: Vec<f64>,
    pub labels: Option<Numbers>,
    pub augment: Option<Numbers>,
}

impl Seen {
    /// Adds D(x; σ) to a trial, and gives the noise levels `[n, 1, 1, 1]` as well.
    pub fn ask(
        &self,
        trial: &mut Trial,
        net: &dyn Denoise,
        dropout: Option<Value>,
    ) -> tensor::Result<[Value; 2]> {
        let n = self.sigma.len();
        let sigma = Numbers { shape: vec![n, 1, 1, 1], values: self.sigma.clone() };
        let sigma = trial.input("sigma", &sigma)?;
        let x = trial.input("x", &self.x.channels_last())?;
        let mut input = |name: &str, numbers: &Option<Numbers>| {
            numbers.as_ref().map(|numbers| trial.input(name, numbers)).transpose()
        };
        let labels = input("labels", &self.labels)?;
        let augment = input("augment", &self.augment)?;
        trial.bind(&net.bindings());
        let d = net.build(&mut trial.graph, &Query { x, sigma, labels, augment, dropout });
        Ok([d, sigma])
    }
}

/// The architecture of a case's configuration.
pub fn architecture(precond: &str, config: &Settings) -> Architecture {
    let channels = config.size("img_channels", 3);
    let size = config.size("img_resolution", 0);
    let song = config.text("model_type", "DhariwalUNet") == "SongUNet";
    let usual: (&[usize], usize, &[usize], usize) =
        if song { (&[1, 2, 2, 2], 4, &[16], 128) } else { (&[1, 2, 3, 4], 3, &[32, 16, 8], 192) };
    let multipliers = config.sizes("channel_mult", usual.0);
    // The reference passes over resolutions that no level has.
    let levels: Vec<usize> = (0..multipliers.len()).map(|level| size >> level).collect();
    let attention = config.sizes("attn_resolutions", usual.2);
    let attention = attention.into_iter().filter(|side| levels.contains(side)).collect();
    let common = DhariwalUNetConfig {
        image: [size, size],
        channels_in: channels,
        channels_out: if precond == "iDDPMPrecond" { 2 * channels } else { channels },
        label_dim: config.size("label_dim", 0),
        augment_dim: config.size("augment_dim", 0),
        model_channels: config.size("model_channels", usual.3),
        multipliers,
        blocks: config.size("num_blocks", usual.1),
        attention,
        dropout: config.number("dropout", 0.1),
        label_dropout: config.number("label_dropout", 0.0),
        embedding_multiplier: config.size("channel_mult_emb", 4),
    };
    if song {
        Architecture::SongUNet(song_config(config, common))
    } else {
        Architecture::DhariwalUNet(common)
    }
}

fn song_config(config: &Settings, common: DhariwalUNetConfig) -> SongUNetConfig {
    SongUNetConfig {
        image: common.image,
        channels_in: common.channels_in,
        channels_out: common.channels_out,
        label_dim: common.label_dim,
        augment_dim: common.augment_dim,
        model_channels: common.model_channels,
        multipliers: common.multipliers,
        blocks: common.blocks,
        attention: common.attention,
        dropout: common.dropout,
        label_dropout: common.label_dropout,
        embedding_multiplier: common.embedding_multiplier,
        filter: config.list("resample_filter", &[1.0, 1.0]),
        embedding: match config.text("embedding_type", "positional") {
            "fourier" => Embedding::Fourier,
            _ => Embedding::Positional,
        },
        noise_multiplier: config.size("channel_mult_noise", 1),
        encoder: match config.text("encoder_type", "standard") {
            "skip" => Encoder::Skip,
            "residual" => Encoder::Residual,
            _ => Encoder::Standard,
        },
        decoder: match config.text("decoder_type", "standard") {
            "skip" => Decoder::Skip,
            _ => Decoder::Standard,
        },
    }
}

/// Parameters and buffers have the names, shapes and values of the file.
fn names(net: &Net, file: &Tensors, checks: &mut Checks) {
    let layout = net.layout();
    let mut ours: Vec<_> =
        layout.state().iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).collect();
    ours.sort();
    let theirs: Vec<_> = file.under("model.").map(|(name, n)| (name.to_owned(), n.shape.clone())).collect();
    checks.hold("names and shapes", ours == theirs);
    for buffer in &layout.buffers {
        let expected = &file.get(&format!("model.{}", buffer.name)).values;
        checks.compare(&buffer.name, &buffer.values, expected, Tolerance::absolute(1e-7));
    }
}

fn denoise(
    net: &Net,
    call: &Call,
    params: &Tensors,
    io: &Tensors,
    device: &dyn Device,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let arena = net.arena(params, "model.", device)?;
    net.compare(&arena, io, &format!("{}.", call.tag), call.f32_vs_f64, device, checks)
}

impl Net {
    /// Asks for D(x; σ) and holds it against the tensors of `io` whose names start with `start`.
    pub fn compare(
        &self,
        arena: &Tensor,
        io: &Tensors,
        start: &str,
        noise: Noise,
        device: &dyn Device,
        checks: &mut Checks,
    ) -> Result<(), Failure> {
        let find = |what: &str| io.find(&format!("{start}{what}")).cloned();
        let x = io.get(&format!("{start}x")).clone();
        let mut sigma = io.get(&format!("{start}sigma")).values.clone();
        sigma.resize(x.shape[0], sigma[0]);
        let seen = Seen { x, sigma, labels: find("class_labels"), augment: find("augment_labels") };
        let mut trial = Trial::new(device);
        let [d, _] = seen.ask(&mut trial, &self.denoiser(arena), None)?;
        trial.graph.output("D", d);
        let d = &trial.run()?["D"];
        let tolerance = Tolerance::absolute(30.0 * noise.max_abs);
        let expected = io.get(&format!("{start}D")).channels_last().values;
        checks.compare("D", d, &expected, tolerance);
        if let Some(exact) = find("D_f64") {
            let exact = exact.channels_last().values;
            let in_f64 = device.name() == "reference";
            let tolerance = if in_f64 { Tolerance::absolute(1e-10 * rms(&exact)) } else { tolerance };
            checks.compare("D_f64", d, &exact, tolerance);
        }
        Ok(())
    }
}
