//! What all architectures share between their first and last convolution: an encoder that halves the image from level
//! to level, and a decoder that doubles it again and reads everything that the encoder made.

use tensor::Value;

use crate::sizes::Sizes;
use crate::{Block, BlockOptions, Conv, ConvOptions, Decoder, Encoder, Forward, Layout, Norm, Resampling};

/// From the network's input and its embedding to its output.
#[derive(Clone, Debug)]
pub(crate) struct Trunk {
    first: Conv,
    encoder: Vec<Encode>,
    decoder: Vec<Decode>,
}

/// In what the trunks of the architectures differ.
pub(crate) struct Style {
    /// What blocks have in common; those with attention take its heads.
    pub block: BlockOptions,
    pub encoder: Encoder,
    pub decoder: Decoder,
    /// The channels of the first convolution.
    pub first: usize,
    /// Whether every block of the decoder has attention where its level has, or the last of each level alone.
    pub attention_throughout: bool,
    /// What the layers of the output are called, without `norm`, `conv` and `up`, at a level of this size.
    pub output: fn([usize; 2]) -> String,
}

#[derive(Clone, Debug)]
enum Encode {
    Block(Box<Block>),
    Aside(Aside),
}

/// What the image brings to a level besides what came through the blocks.
#[derive(Clone, Debug)]
enum Aside {
    /// Adds what a 1x1 convolution makes of the halved image.
    Skip { halve: Conv, mix: Conv },
    /// Adds what a convolution makes of the last such sum, halved: at first, of the image.
    Residual(Conv),
}

#[derive(Clone, Debug)]
enum Decode {
    Block {
        block: Box<Block>,
        /// Whether it reads what the encoder made beside what the decoder made.
        joins: bool,
    },
    /// An image; if there is one of a coarser level, its double is added.
    Output { double: Option<Conv>, norm: Norm, conv: Conv },
}

impl Trunk {
    /// # Errors
    /// If the channels of a level do not fall into groups or heads.
    pub fn new(layout: &mut Layout, sizes: &Sizes, style: &Style) -> Result<Self, String> {
        let [h, w] = sizes.image;
        let options = ConvOptions { start: style.block.start, ..Default::default() };
        let first = Conv::new(layout, &format!("enc.{h}x{w}_conv"), sizes.channels_in, style.first, options);
        let mut made = vec![style.first];
        let encoder = encoder(layout, sizes, style, &mut made)?;
        let decoder = decoder(layout, sizes, style, made)?;
        Ok(Trunk { first, encoder, decoder })
    }

    /// `image [n, h, w, channels_in]` and `embedding [n, e]` to `[n, h, w, channels_out]`.
    #[track_caller]
    pub fn build(&self, forward: &mut Forward, image: Value, embedding: Value) -> Value {
        let mut aside = image;
        let mut x = self.first.build(forward, image);
        let mut made = vec![x];
        for step in &self.encoder {
            match step {
                Encode::Block(block) => x = block.build(forward, x, embedding),
                Encode::Aside(step) => {
                    // The sum takes the place of what it was added to.
                    made.pop();
                    (x, aside) = step.add(forward, x, aside);
                }
            }
            made.push(x);
        }
        let mut output = None;
        for step in &self.decoder {
            match step {
                Decode::Block { block, joins } => {
                    let skip = if *joins { made.pop() } else { None };
                    x = skip.map_or(x, |skip| forward.graph.concat(&[x, skip], 3));
                    x = block.build(forward, x, embedding);
                }
                Decode::Output { double, norm, conv } => {
                    let y = norm.build_silu(forward, x, None);
                    let y = conv.build(forward, y);
                    let coarser = double.as_ref().zip(output).map(|(double, y)| double.build(forward, y));
                    output = Some(coarser.map_or(y, |coarser| forward.graph.add(y, coarser)));
                }
            }
        }
        output.expect("the last step of the decoder is an output")
    }
}

impl Aside {
    /// The sum, and what the next of its kind reads.
    fn add(&self, forward: &mut Forward, x: Value, aside: Value) -> (Value, Value) {
        match self {
            Aside::Skip { halve, mix } => {
                let aside = halve.build(forward, aside);
                let mixed = mix.build(forward, aside);
                (forward.graph.add(x, mixed), aside)
            }
            Aside::Residual(conv) => {
                let residual = conv.build(forward, aside);
                let sum = forward.graph.add(residual, x);
                let x = forward.graph.scale(sum, 0.5f64.sqrt());
                (x, x)
            }
        }
    }
}

/// The steps of the encoder; adds the channels of everything that it makes to `made`.
fn encoder(
    layout: &mut Layout,
    sizes: &Sizes,
    style: &Style,
    made: &mut Vec<usize>,
) -> Result<Vec<Encode>, String> {
    let mut steps = Vec::new();
    let (mut x, mut aside) = (style.first, sizes.channels_in);
    for (level, ([h, w], out)) in sizes.levels().into_iter().zip(sizes.widths()).enumerate() {
        let at = format!("enc.{h}x{w}");
        if level > 0 {
            let options = block(style, Some(Resampling::Down), false);
            let halve = Block::new(layout, &format!("{at}_down"), x, x, &options)?;
            steps.push(Encode::Block(Box::new(halve)));
            made.push(x);
            let (step, next) = style.aside(layout, &at, aside, x);
            steps.extend(step.map(Encode::Aside));
            aside = next;
        }
        let options = block(style, None, sizes.attention.contains(&h.max(w)));
        for i in 0..sizes.blocks {
            let block = Block::new(layout, &format!("{at}_block{i}"), x, out, &options)?;
            steps.push(Encode::Block(Box::new(block)));
            x = out;
            made.push(x);
        }
    }
    Ok(steps)
}

impl Style {
    /// What is added behind the first block of a level of `x` channels, and how many channels the next of its kind
    /// reads.
    fn aside(&self, layout: &mut Layout, at: &str, aside: usize, x: usize) -> (Option<Aside>, usize) {
        let filter = self.block.filter.clone();
        let plain = ConvOptions { start: self.block.start, ..Default::default() };
        let halved = ConvOptions { resampling: Some(Resampling::Down), filter, ..plain.clone() };
        match self.encoder {
            Encoder::Standard => (None, aside),
            Encoder::Skip => {
                let alone = ConvOptions { kernel: 0, ..halved };
                let halve = Conv::new(layout, &format!("{at}_aux_down"), aside, aside, alone);
                let thin = ConvOptions { kernel: 1, ..plain };
                let mix = Conv::new(layout, &format!("{at}_aux_skip"), aside, x, thin);
                (Some(Aside::Skip { halve, mix }), aside)
            }
            Encoder::Residual => {
                let fused = ConvOptions { fused: true, ..halved };
                let conv = Conv::new(layout, &format!("{at}_aux_residual"), aside, x, fused);
                (Some(Aside::Residual(conv)), x)
            }
        }
    }
}

/// The steps of the decoder, coarsest first.
fn decoder(
    layout: &mut Layout,
    sizes: &Sizes,
    style: &Style,
    mut made: Vec<usize>,
) -> Result<Vec<Decode>, String> {
    let mut steps = Vec::new();
    let mut x = made[made.len() - 1];
    let levels = sizes.levels();
    for (level, ([h, w], out)) in levels.iter().zip(sizes.widths()).enumerate().rev() {
        let mut add = |name: &str, [inside, out]: [usize; 2], joins, options: &BlockOptions| {
            let block = Block::new(layout, &format!("dec.{h}x{w}_{name}"), inside, out, options)?;
            steps.push(Decode::Block { block: Box::new(block), joins });
            Ok::<_, String>(())
        };
        let coarsest = level == levels.len() - 1;
        if coarsest {
            add("in0", [x, x], false, &block(style, None, true))?;
            add("in1", [x, x], false, &block(style, None, false))?;
        } else {
            add("up", [x, x], false, &block(style, Some(Resampling::Up), false))?;
        }
        for i in 0..=sizes.blocks {
            let here = style.attention_throughout || i == sizes.blocks;
            let options = block(style, None, here && sizes.attention.contains(h.max(w)));
            let skip = made.pop().expect("the encoder made as much as the decoder joins");
            add(&format!("block{i}"), [x + skip, out], true, &options)?;
            x = out;
        }
        if level == 0 || style.decoder == Decoder::Skip {
            steps.push(style.output(layout, [*h, *w], x, sizes.channels_out, coarsest)?);
        }
    }
    Ok(steps)
}

impl Style {
    fn output(
        &self,
        layout: &mut Layout,
        at: [usize; 2],
        x: usize,
        out: usize,
        coarsest: bool,
    ) -> Result<Decode, String> {
        let name = (self.output)(at);
        let double = (self.decoder == Decoder::Skip && !coarsest).then(|| {
            let (resampling, filter) = (Some(Resampling::Up), self.block.filter.clone());
            let alone = ConvOptions { kernel: 0, resampling, filter, ..Default::default() };
            Conv::new(layout, &format!("{name}up"), out, out, alone)
        });
        let norm = Norm::new(layout, &format!("{name}norm"), x, self.block.eps)?;
        let last = ConvOptions { start: self.block.last, ..Default::default() };
        Ok(Decode::Output { double, norm, conv: Conv::new(layout, &format!("{name}conv"), x, out, last) })
    }
}

fn block(style: &Style, resampling: Option<Resampling>, attention: bool) -> BlockOptions {
    let BlockOptions { attention: heads, .. } = style.block;
    BlockOptions { resampling, attention: heads.filter(|_| attention), ..style.block.clone() }
}
