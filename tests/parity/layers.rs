//! Single layers and the residual block: outputs and every gradient.

use std::collections::BTreeMap;
use std::sync::Arc;

use philox::{Key, stream};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tensor::{Device, Graph, Value, gradients};
use unet::{
    Block, BlockOptions, Conv, ConvOptions, Forward, Heads, Layout, Linear, Norm, Parameter, Parameters,
    Resampling, Start, fourier, positional,
};

use crate::compare::{Tolerance, rms};
use crate::fixtures::{Noise, Numbers, Oracle, Settings, Tensors};
use crate::given_draws::GivenDraws;
use crate::report::{Checks, Failure, Report};
use crate::trial::Trial;

#[derive(Deserialize)]
struct Case {
    name: String,
    layer: String,
    #[serde(default)]
    ctor: Map<String, Json>,
    f32_vs_f64: Option<Noise>,
}

pub fn run(oracle: &Oracle, devices: &[Arc<dyn Device>], report: &mut Report) {
    let cases: Vec<Case> = oracle.cases("layers");
    for file in ["conv2d", "linear_groupnorm", "embeddings", "attention", "unetblock"] {
        let mut tensors = None;
        for case in cases.iter().filter(|case| file_of(&case.layer) == file) {
            let tensors =
                tensors.get_or_insert_with(|| oracle.tensors(&format!("layers/{file}.safetensors")));
            for device in devices {
                report.case("layers", &case.name, &device.name(), |checks| match file {
                    "embeddings" => embedding(case, tensors, device.as_ref(), checks),
                    "attention" => attention(case, tensors, device.as_ref(), checks),
                    _ => learned(case, tensors, device, checks),
                });
            }
        }
    }
    for case in cases.iter().filter(|case| file_of(&case.layer).is_empty()) {
        report.case("layers", &case.name, "-", |_| Err(Failure::NotBuilt(format!("layer `{}`", case.layer))));
    }
}

fn file_of(layer: &str) -> &'static str {
    match layer {
        "Conv2d" => "conv2d",
        "Linear" | "GroupNorm" => "linear_groupnorm",
        "PositionalEmbedding" | "FourierEmbedding" => "embeddings",
        "AttentionOp" => "attention",
        "UNetBlock" => "unetblock",
        _ => "",
    }
}

/// What a case tolerates in its output: 30 times the reference's own noise.
fn tolerance(case: &Case, expected: &[f64]) -> Tolerance {
    let noise = case.f32_vs_f64.map_or(0.0, |noise| 30.0 * noise.max_abs);
    Tolerance::absolute(noise.max(1e-6 * rms(expected)))
}

enum Layer {
    Conv(Conv),
    Linear(Linear),
    Norm(Norm),
    Block(Box<Block>),
}

impl Layer {
    fn new(case: &Case, layout: &mut Layout) -> Result<Self, String> {
        let ctor = Settings(&case.ctor);
        let (inside, out) = (ctor.size("in_channels", 0), ctor.size("out_channels", 0));
        Ok(match case.layer.as_str() {
            "Conv2d" => Layer::Conv(Conv::new(layout, "layer", inside, out, conv_options(&ctor))),
            "Linear" => {
                let (inside, out) = (ctor.size("in_features", 0), ctor.size("out_features", 0));
                Layer::Linear(Linear::new(
                    layout,
                    "layer",
                    inside,
                    out,
                    ctor.flag("bias", true),
                    Start::Zeros,
                ))
            }
            "GroupNorm" => {
                let eps = ctor.number("eps", 1e-5);
                Layer::Norm(Norm::new(layout, "layer", ctor.size("num_channels", 0), eps)?)
            }
            _ => Layer::Block(Box::new(Block::new(layout, "layer", inside, out, &block_options(&ctor))?)),
        })
    }

    fn build(&self, forward: &mut Forward, x: Value, embedding: Option<Value>) -> Value {
        match self {
            Layer::Conv(conv) => conv.build(forward, x),
            Layer::Linear(linear) => linear.build(forward, x),
            Layer::Norm(norm) => norm.build(forward, x),
            Layer::Block(block) => block.build(forward, x, embedding.expect("a block reads an embedding")),
        }
    }
}

fn resampling(ctor: &Settings) -> Option<Resampling> {
    match (ctor.flag("up", false), ctor.flag("down", false)) {
        (true, _) => Some(Resampling::Up),
        (_, true) => Some(Resampling::Down),
        _ => None,
    }
}

fn conv_options(ctor: &Settings) -> ConvOptions {
    ConvOptions {
        kernel: ctor.size("kernel", 3),
        resampling: resampling(ctor),
        filter: ctor.list("resample_filter", &[1.0, 1.0]),
        fused: ctor.flag("fused_resample", false),
        bias: ctor.flag("bias", true),
        ..Default::default()
    }
}

fn block_options(ctor: &Settings) -> BlockOptions {
    let heads = match ctor.size("num_heads", 0) {
        0 => Heads::OfChannels(ctor.size("channels_per_head", 64)),
        heads => Heads::Number(heads),
    };
    BlockOptions {
        embedding: ctor.size("emb_channels", 0),
        resampling: resampling(ctor),
        filter: ctor.list("resample_filter", &[1.0, 1.0]),
        attention: ctor.flag("attention", false).then_some(heads),
        adaptive_scale: ctor.flag("adaptive_scale", true),
        resample_proj: ctor.flag("resample_proj", false),
        skip_scale: ctor.number("skip_scale", 1.0),
        eps: ctor.number("eps", 1e-5),
        dropout: ctor.number("dropout", 0.0),
        start: Start::Zeros,
        last: Start::Zeros,
        qkv: Start::Zeros,
    }
}

/// A layer with parameters: its output and the gradients of Σ y · gy.
fn learned(
    case: &Case,
    tensors: &Tensors,
    device: &Arc<dyn Device>,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let raw = |what: &str| tensors.get(&format!("{}/{what}", case.name)).clone();
    let get = |what: &str| raw(what).channels_last();
    let find = |what: &str| tensors.find(&format!("{}/{what}", case.name)).map(Numbers::channels_last);
    let mut layout = Layout::default();
    let layer = Layer::new(case, &mut layout)?;
    let mut arena = layout.import(|parameter| Ok(raw(&param(&parameter.name)).values))?;
    arena.resize(layout.len.max(1), 0.0);

    let mask = find("dropout_mask");
    let mut given = GivenDraws::new(device);
    if let Some(mask) = &mask {
        given = given.draw(stream::DROPOUT, 0, mask);
    }
    let mut trial = Trial::new(&given);
    let arena = trial.input("arena", &Numbers { shape: vec![arena.len()], values: arena })?;
    let parameters = Parameters::windows(&mut trial.graph, arena, &layout);
    let x = trial.input("x", &get("in.x"))?;
    let n = trial.graph.shape(x)[0];
    let embedding = find("in.emb").map(|emb| trial.input("emb", &emb)).transpose()?;
    let keys = Key { seed: 0, stream: stream::DROPOUT, step: 0 };
    let dropout = mask.map(|_| trial.keys("keys", n, keys)).transpose()?;
    let gy = trial.input("gy", &get("gy"))?;

    let graph = &mut trial.graph;
    let spread = embedding.map(|embedding| spread(graph, embedding, n));
    let y = layer.build(&mut Forward { graph, parameters: &parameters, dropout }, x, spread);
    let loss = inner(graph, y, gy);
    let inputs = [("x", Some(x)), ("emb", embedding)].into_iter();
    let mut of: Vec<(String, Value)> =
        inputs.filter_map(|(name, value)| Some((format!("grad.{name}"), value?))).collect();
    let names = layout.parameters.iter().map(|parameter| format!("grad.{}", param(&parameter.name)));
    of.extend(names.zip(parameters.values().iter().copied()));
    let values: Vec<Value> = of.iter().map(|(_, value)| *value).collect();
    let found = gradients(graph, loss, &values);
    graph.output("y", y);
    for ((name, _), gradient) in of.iter().zip(found) {
        graph.output(name, gradient.ok_or_else(|| format!("`{name}` is missing"))?);
    }

    let mut outputs = trial.run()?;
    let expected = get("y").values;
    checks.compare("y", &outputs["y"], &expected, tolerance(case, &expected));
    in_file_order(&layout, &mut outputs);
    for (name, _) in &of {
        let expected = if name.starts_with("grad.param.") { raw(name) } else { get(name) }.values;
        checks.compare(name, &outputs[name], &expected, Tolerance::gradient(&expected));
    }
    for buffer in &layout.buffers {
        let expected = raw(&param(&buffer.name)).values;
        checks.compare(&buffer.name, &buffer.values, &expected, Tolerance::absolute(1e-7));
    }
    Ok(())
}

/// Σ a · b, a scalar.
fn inner(graph: &mut Graph, a: Value, b: Value) -> Value {
    let product = graph.mul(a, b);
    let axes: Vec<usize> = (0..graph.shape(product).rank()).collect();
    let sum = graph.sum(product, &axes);
    graph.reshape(sum, [])
}

/// One embedding for a whole batch of `n`: spreading it is the business of a block's caller.
fn spread(graph: &mut Graph, embedding: Value, n: usize) -> Value {
    if graph.shape(embedding)[0] == n {
        return embedding;
    }
    let zeros = graph.table(vec![0.0; n], [n, 1]);
    graph.add(embedding, zeros)
}

/// Puts the gradients of parameters into the order that files have.
fn in_file_order(layout: &Layout, gradients: &mut BTreeMap<String, Vec<f64>>) {
    for parameter in &layout.parameters {
        if let Some(gradient) = gradients.get_mut(&format!("grad.{}", param(&parameter.name))) {
            *gradient = Parameter { offset: 0, ..parameter.clone() }.to_file(gradient);
        }
    }
}

/// The name of a layer's parameter or buffer in the oracle's files.
fn param(name: &str) -> String {
    format!("param.{}", name.trim_start_matches("layer."))
}

fn embedding(
    case: &Case,
    tensors: &Tensors,
    device: &dyn Device,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let get = |what: &str| tensors.get(&format!("{}/{what}", case.name));
    let ctor = Settings(&case.ctor);
    let mut trial = Trial::new(device);
    let x = trial.input("x", get("in.x"))?;
    let waves = if case.layer == "FourierEmbedding" {
        let frequencies = trial.input("freqs", get("param.freqs"))?;
        fourier(&mut trial.graph, x, frequencies)
    } else {
        let (channels, longest) = (ctor.size("num_channels", 0), ctor.number("max_positions", 10_000.0));
        positional(&mut trial.graph, x, channels, longest, ctor.flag("endpoint", false))
    };
    let y = trial.graph.concat(&waves, 1);
    trial.graph.output("y", y);
    let outputs = trial.run()?;
    let expected = &get("y").values;
    checks.compare("y", &outputs["y"], expected, tolerance(case, expected));
    Ok(())
}

/// The weights of attention and their gradients, then what attention makes of the values.
///
/// The product has one operation for all of attention. Its output is the weights themselves where the values are an
/// identity matrix, for which queries and keys get channels of zeros.
fn attention(
    case: &Case,
    tensors: &Tensors,
    device: &dyn Device,
    checks: &mut Checks,
) -> Result<(), Failure> {
    let get = |what: &str| tensors.get(&format!("{}/{what}", case.name));
    let mut trial = Trial::new(device);
    let [q, k, v, dw] = ["q", "k", "v", "dw"].map(|name| trial.input(name, get(name)));
    let [q, k, v, dw] = [q?, k?, v?, dw?];
    let graph = &mut trial.graph;
    let [n, c, pixels] = [0, 1, 2].map(|axis| graph.shape(q)[axis]);
    let [rows, keys, values] = [q, k, v].map(|x| graph.transpose(x, &[0, 2, 1]));
    let qkv = graph.concat(&[rows, keys, values], 2);
    let a = graph.attention(qkv, 1);
    let a = graph.transpose(a, &[0, 2, 1]);

    let wide = c.max(pixels);
    let scaled = graph.scale(rows, (wide as f64 / c as f64).sqrt());
    let [rows, keys] = [scaled, keys].map(|x| graph.pad(x, &[(0, 0), (0, 0), (0, wide - c)]));
    let identity =
        (0..n * pixels * wide).map(|i| f64::from(u8::from(i / wide % pixels == i % wide))).collect();
    let identity = graph.table(identity, [n, pixels, wide]);
    let qkv = graph.concat(&[rows, keys, identity], 2);
    let w = graph.attention(qkv, 1);
    let w = graph.slice(w, 2, 0..pixels);
    let loss = inner(graph, w, dw);
    let found = gradients(graph, loss, &[q, k]);
    for (name, value) in [("a", Some(a)), ("w", Some(w)), ("dq", found[0]), ("dk", found[1])] {
        graph.output(name, value.ok_or_else(|| format!("`{name}` is missing"))?);
    }

    let outputs = trial.run()?;
    for name in ["w", "a", "dq", "dk"] {
        let expected = &get(name).values;
        checks.compare(name, &outputs[name], expected, Tolerance::gradient(expected));
    }
    Ok(())
}
