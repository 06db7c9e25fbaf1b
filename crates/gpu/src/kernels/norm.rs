//! Group norm and its gradient.

use tensor::{Conv, Made, Norm, Normalize, NormalizeGradient, Op, Stats, Step, Store, Value};

use crate::call::{Call, View, WORKGROUP};
use crate::schedule::Lowering;
use crate::shader::{Source, source};

static GROUP_NORM: Source = source!("group_norm", "math", "philox", "groups");
static GROUP_NORM_GRADIENT: Source = source!("group_norm_gradient", "math", "philox", "groups");

/// A workgroup reads at least this many channels side by side, 64 bytes: memory comes in such lines.
const RUN: usize = 16;

/// Images `[n, pixels, channels]` that are normalised in groups of channels.
#[derive(Clone, Copy)]
struct Groups {
    n: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
    /// Whether threads take four channels at once.
    wide: bool,
}

/// What is made of a gradient dy.
struct Gradient {
    dy: View,
    /// Sums that are there, or where to write them.
    sums: Option<View>,
    made: Option<View>,
    dx: Option<View>,
    /// Where to write what the norm made, once more.
    activated: Option<View>,
    store: Store,
}

impl Lowering<'_> {
    pub(crate) fn group_stats(&mut self, x: Value, groups: usize, eps: f64, out: &Made) {
        let (from, made) = (self.view(x), self.result(out));
        let size = self.groups(x, groups, &[from]);
        let call = size.call(&GROUP_NORM).constant("MAKE_STATS", 1).constant("APPLY", 0).real("eps", eps);
        let call = self.forward(call, size, from, None).read_maybe("stats", None, false);
        let call = call.write_maybe("made", Some(made), false).write_maybe("y", None, false);
        self.push(call.labelled("statistics"));
    }

    /// The statistics of a convolution's result, unless whoever needs them first works them out.
    pub(crate) fn result_stats(&mut self, conv: &Conv, step: &Step) {
        if let (Some(Stats { groups, eps }), [images, stats]) = (conv.stats, &step.outputs[..])
            && !self.patterns.is_done_elsewhere(stats)
        {
            self.group_stats(images.value, groups, eps, stats);
        }
    }

    pub(crate) fn normalize(&mut self, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let y = self.result(out);
        self.normalize_into(inputs[0], &norm_of(normalize, &inputs[1..]), y);
    }

    /// Normalises images, after it has worked out their statistics if that is left to the first who needs them.
    pub(crate) fn normalize_into(&mut self, x: Value, norm: &Norm, y: View) {
        let from = self.view(x);
        let [scale, shift] = [norm.scale, norm.shift].map(|value| self.view(value));
        let size = self.groups(x, norm.groups, &[from, y, scale, shift]);
        let fused = self.patterns.take_fused(norm.stats);
        let eps = match self.op(norm.stats) {
            Op::GroupStats { eps, .. } => *eps,
            _ => 0.0,
        };
        let (stats, made) = match fused {
            true => (None, Some(self.result(&Made { value: norm.stats, into: None }))),
            false => (Some(self.view(norm.stats)), None),
        };
        let call = size.call(&GROUP_NORM).constant("MAKE_STATS", fused.into()).constant("APPLY", 1);
        let call = self.forward(call.real("eps", eps), size, from, Some(norm));
        let call = call.read_maybe("stats", stats, false).write_maybe("made", made, false);
        let label = if fused { "with statistics" } else { "by statistics" };
        self.push(call.write_maybe("y", Some(y), size.wide).labelled(label));
    }

    pub(crate) fn normalize_sums(&mut self, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let (dy, made) = (self.view(inputs[0]), Some(self.result(out)));
        let gradient = Gradient { dy, sums: None, made, dx: None, activated: None, store: Store::default() };
        self.gradient(normalize, &inputs[1..], gradient, "sums");
    }

    pub(crate) fn normalize_gradient(&mut self, normalize: &Normalize, inputs: &[Value], out: &Made) {
        let (dy, sums) = (self.view(inputs[0]), Some(self.view(inputs[1])));
        let dx = Some(self.result(out));
        let gradient = Gradient { dy, sums, made: None, dx, activated: None, store: Store::default() };
        self.gradient(normalize, &inputs[2..], gradient, "by sums");
    }

    pub(crate) fn normalize_backward(&mut self, gradient: &NormalizeGradient, step: &Step) {
        let NormalizeGradient { normalize, dy, forward, store } = gradient;
        let [dx, made] = [0, 1].map(|at| Some(self.result(&step.outputs[at])));
        let activated = self.patterns.is_loaded_again(forward[1]).then(|| {
            let (x, len) = (self.view(forward[0]), self.shape(forward[0]).len());
            self.work(x.element, len, format!("{} normalised", forward[0]))
        });
        let gradient = Gradient { dy: self.view(*dy), sums: None, made, dx, activated, store: store.clone() };
        self.gradient(normalize, forward, gradient, "with sums");
        if let Some(activated) = activated {
            self.activated.insert(forward[1], activated);
        }
    }

    fn gradient(&mut self, normalize: &Normalize, forward: &[Value], gradient: Gradient, label: &str) {
        let Gradient { dy, sums, made, dx, activated, store } = gradient;
        let (x, norm) = (forward[0], norm_of(normalize, &forward[1..]));
        let from = self.view(x);
        let residual = store.residual.map(|residual| self.view(residual));
        let mut views = vec![from, dy, self.view(norm.scale), self.view(norm.shift)];
        views.extend([sums, made, dx, activated, residual].into_iter().flatten());
        let size = self.groups(x, norm.groups, &views);
        let call = size.call(&GROUP_NORM_GRADIENT).constant("MAKE_SUMS", made.is_some().into());
        let call =
            call.constant("APPLY", dx.is_some().into()).constant("ACTIVATE", activated.is_some().into());
        let call = call.real("factor", store.scale).write_maybe("activated", activated, size.wide);
        let stats = self.view(norm.stats);
        let call = self.forward(call, size, from, Some(&norm)).read_maybe("stats", Some(stats), false);
        let call = call.read_maybe("dy", Some(dy), size.wide).read_maybe("sums", sums, size.wide);
        let call = call.write_maybe("made", made, size.wide).write_maybe("dx", dx, size.wide);
        self.push(call.read_maybe("residual", residual, size.wide).labelled(label));
    }

    /// Binds what is normalised, and how: scale, shift, activation, dropout.
    fn forward(&mut self, call: Call, size: Groups, x: View, norm: Option<&Norm>) -> Call {
        let (scale, shift) = (norm.map(|norm| norm.scale), norm.map(|norm| norm.shift));
        let dropout = norm.and_then(|norm| norm.dropout);
        let row = |value: Option<Value>| match value {
            Some(value) if self.shape(value).rank() > 1 => size.channels,
            _ => 0,
        };
        let call = call.number("scale_row", row(scale)).number("shift_row", row(shift));
        let call = call.constant("SILU", norm.is_some_and(|norm| norm.silu).into());
        let call = call.constant("DROPOUT", dropout.is_some().into());
        let call = call.number("drop_lane", dropout.map_or(0, |(dropout, _)| dropout.lane as usize));
        let call = call.number("drop_below", dropout.map_or(0, |(dropout, _)| dropout.threshold() as usize));
        let call = call.real("drop_scale", dropout.map_or(1.0, |(dropout, _)| dropout.scale()));
        let [scale, shift, keys] =
            [scale, shift, dropout.map(|(_, keys)| keys)].map(|value| value.map(|value| self.view(value)));
        let call = call.read_maybe("x", Some(x), size.wide).read_maybe("scale", scale, size.wide);
        call.read_maybe("shift", shift, size.wide).read_maybe("keys", keys, false)
    }

    /// Whatever is between the samples and the channels counts as pixels.
    fn groups(&self, x: Value, groups: usize, views: &[View]) -> Groups {
        let shape = self.shape(x);
        let (n, channels) = (shape[0], shape.channels());
        let aligned = views.iter().all(|view| view.offset.is_multiple_of(4));
        let wide = aligned && (channels / groups).is_multiple_of(4);
        Groups { n, pixels: shape.len() / (n * channels).max(1), channels, groups, wide }
    }
}

impl Groups {
    /// A call whose threads share out the groups of all samples as `groups.wgsl` tells.
    fn call(self, source: &'static Source) -> Call {
        let Groups { n, pixels, channels, groups, wide } = self;
        let unit = if wide { 4 } else { 1 };
        let width = channels / groups;
        let units = width / unit;
        let across = units.min(WORKGROUP);
        let filling = WORKGROUP / (across * pixels.clamp(1, WORKGROUP));
        let together = RUN.div_ceil(width).max(filling).min(WORKGROUP / across).clamp(1, groups);
        let lanes = (WORKGROUP / (across * together)).min(pixels).max(1);
        let blocks = groups.div_ceil(together);
        let call = Call::new(source).constant("UNIT", unit).number("pixels", pixels);
        let call = call.number("channels", channels).number("width", width).number("groups", groups);
        let call = call.number("blocks", blocks).number("together", together).number("across", across);
        call.number("lanes", lanes).number("units", units).over(n * blocks)
    }
}

/// What [`Op::Normalize`] does to images, by its other inputs.
fn norm_of(normalize: &Normalize, inputs: &[Value]) -> Norm {
    Norm {
        groups: normalize.groups,
        silu: normalize.silu,
        dropout: normalize.dropout.zip(inputs.get(3).copied()),
        stats: inputs[0],
        scale: inputs[1],
        shift: inputs[2],
    }
}
