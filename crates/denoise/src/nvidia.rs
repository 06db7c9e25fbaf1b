//! Networks of the paper's own program in the terms of this one.

use checkpoint::{Module, Plain};
use diffusion::Scheme;
use ports::Architecture;
use unet::{Decoder, DhariwalUNetConfig, Embedding, Encoder, SongUNetConfig};

use crate::Recipe;

impl Recipe {
    /// How to build what a snapshot or training state of the paper's own program holds.
    ///
    /// # Errors
    /// If it is of a class or has a setting that nothing here corresponds to; the message names it.
    pub fn of_module(module: &Module) -> Result<Self, String> {
        let mut settings = Settings { module, read: vec!["use_fp16", "model_type"] };
        let scheme = scheme(&mut settings)?;
        let outputs = if matches!(scheme, Scheme::Iddpm { .. }) { 2 } else { 1 };
        let network = match module.model.as_deref() {
            Some("SongUNet") => Architecture::SongUNet(song_unet(&mut settings, outputs)?),
            Some("DhariwalUNet") => Architecture::DhariwalUNet(dhariwal_unet(&mut settings, outputs)?),
            Some(other) => return Err(format!("`{other}` is neither `SongUNet` nor `DhariwalUNet`")),
            None => return Err(format!("`{}` holds no network", module.class)),
        };
        settings.expect_all_read()?;
        scheme.check()?;
        Ok(Self { scheme, network })
    }
}

fn scheme(settings: &mut Settings) -> Result<Scheme, String> {
    Ok(match settings.module.class.as_str() {
        "EDMPrecond" => {
            settings.expect_number("sigma_min", 0.0)?;
            settings.expect_number("sigma_max", f64::INFINITY)?;
            Scheme::Edm { sigma_data: settings.number("sigma_data", 0.5)?.into() }
        }
        "VPPrecond" => Scheme::Vp {
            beta_d: settings.number("beta_d", 19.9)?,
            beta_min: settings.number("beta_min", 0.1)?,
            timesteps: settings.size("M", 1000)?,
            epsilon_t: settings.number("epsilon_t", 1e-5)?,
        },
        "VEPrecond" => Scheme::Ve {
            sigma_min: settings.number("sigma_min", 0.02)?,
            sigma_max: settings.number("sigma_max", 100.0)?,
        },
        "iDDPMPrecond" => Scheme::Iddpm {
            c_1: settings.number("C_1", 0.001)?,
            c_2: settings.number("C_2", 0.008)?,
            timesteps: settings.size("M", 1000)?,
        },
        other => {
            return Err(format!(
                "`{other}` is none of `EDMPrecond`, `VPPrecond`, `VEPrecond` and `iDDPMPrecond`"
            ));
        }
    })
}

fn song_unet(settings: &mut Settings, outputs: usize) -> Result<SongUNetConfig, String> {
    let adm = dhariwal_unet(settings, outputs)?;
    let multipliers = settings.sizes("channel_mult", &[1, 2, 2, 2])?;
    Ok(SongUNetConfig {
        attention: settings.attention(adm.image[0], multipliers.len(), &[16])?,
        model_channels: settings.size("model_channels", 128)?,
        blocks: settings.size("num_blocks", 4)?,
        multipliers,
        image: adm.image,
        channels_in: adm.channels_in,
        channels_out: adm.channels_out,
        label_dim: adm.label_dim,
        augment_dim: adm.augment_dim,
        dropout: adm.dropout,
        label_dropout: adm.label_dropout,
        embedding_multiplier: adm.embedding_multiplier,
        filter: settings.numbers("resample_filter", &[1.0, 1.0])?,
        embedding: settings.choice(
            "embedding_type",
            &[("positional", Embedding::Positional), ("fourier", Embedding::Fourier)],
        )?,
        noise_multiplier: settings.size("channel_mult_noise", 1)?,
        encoder: settings.choice(
            "encoder_type",
            &[("standard", Encoder::Standard), ("skip", Encoder::Skip), ("residual", Encoder::Residual)],
        )?,
        decoder: settings
            .choice("decoder_type", &[("standard", Decoder::Standard), ("skip", Decoder::Skip)])?,
    })
}

fn dhariwal_unet(settings: &mut Settings, outputs: usize) -> Result<DhariwalUNetConfig, String> {
    let side = settings.size("img_resolution", 0)?;
    let channels = settings.size("img_channels", 3)?;
    let multipliers = settings.sizes("channel_mult", &[1, 2, 3, 4])?;
    Ok(DhariwalUNetConfig {
        image: [side, side],
        channels_in: channels,
        channels_out: outputs * channels,
        label_dim: settings.size("label_dim", 0)?,
        augment_dim: settings.size("augment_dim", 0)?,
        model_channels: settings.size("model_channels", 192)?,
        attention: settings.attention(side, multipliers.len(), &[32, 16, 8])?,
        multipliers,
        blocks: settings.size("num_blocks", 3)?,
        dropout: settings.number("dropout", 0.1)?,
        label_dropout: settings.number("label_dropout", 0.0)?,
        embedding_multiplier: settings.size("channel_mult_emb", 4)?,
    })
}

/// What a module was made with, and which of it has been looked at.
struct Settings<'a> {
    module: &'a Module,
    read: Vec<&'static str>,
}

impl<'a> Settings<'a> {
    fn get(&mut self, name: &'static str) -> Option<&'a Plain> {
        self.read.push(name);
        self.module.settings.get(name)
    }

    fn number(&mut self, name: &'static str, usual: f64) -> Result<f64, String> {
        self.get(name).map_or(Ok(usual), |value| number(name, value))
    }

    fn size(&mut self, name: &'static str, usual: usize) -> Result<usize, String> {
        self.get(name).map_or(Ok(usual), |value| size(name, value))
    }

    fn sizes(&mut self, name: &'static str, usual: &[usize]) -> Result<Vec<usize>, String> {
        match self.get(name) {
            None => Ok(usual.to_vec()),
            Some(Plain::List(list)) => list.iter().map(|value| size(name, value)).collect(),
            Some(other) => Err(unfit(name, other)),
        }
    }

    fn numbers(&mut self, name: &'static str, usual: &[f64]) -> Result<Vec<f64>, String> {
        match self.get(name) {
            None => Ok(usual.to_vec()),
            Some(Plain::List(list)) => list.iter().map(|value| number(name, value)).collect(),
            Some(other) => Err(unfit(name, other)),
        }
    }

    /// Resolutions that no level has are passed over there.
    fn attention(&mut self, side: usize, levels: usize, usual: &[usize]) -> Result<Vec<usize>, String> {
        let mut attention = self.sizes("attn_resolutions", usual)?;
        attention.retain(|wanted| (0..levels).any(|level| side.checked_shr(level as u32) == Some(*wanted)));
        Ok(attention)
    }

    /// The choice of that name; the first one unless given.
    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Result<T, String> {
        let Some(value) = self.get(name) else { return Ok(choices[0].1) };
        let known = choices.iter().find(|(known, _)| *value == Plain::Text((*known).into()));
        known.map(|(_, choice)| *choice).ok_or_else(|| unfit(name, value))
    }

    fn expect_number(&mut self, name: &'static str, expected: f64) -> Result<(), String> {
        match self.number(name, expected)? {
            number if number == expected => Ok(()),
            number => Err(format!("`{name}` is {number}, and only {expected} is known here")),
        }
    }

    fn expect_all_read(&self) -> Result<(), String> {
        let mut names = self.module.settings.keys();
        match names.find(|name| !self.read.contains(&name.as_str())) {
            Some(name) => {
                Err(format!("`{}` was made with `{name}`, which is unknown here", self.module.class))
            }
            None => Ok(()),
        }
    }
}

fn number(name: &str, value: &Plain) -> Result<f64, String> {
    match value {
        Plain::Int(number) => Ok(*number as f64),
        Plain::Float(number) => Ok(*number),
        other => Err(unfit(name, other)),
    }
}

fn size(name: &str, value: &Plain) -> Result<usize, String> {
    match value {
        Plain::Int(number) => usize::try_from(*number).map_err(|_| unfit(name, value)),
        other => Err(unfit(name, other)),
    }
}

fn unfit(name: &str, value: &Plain) -> String {
    format!("`{name}` is {value:?}, which nothing here corresponds to")
}
