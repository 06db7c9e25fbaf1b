//! Group norm with activation and dropout, and its gradients.

use super::random::dropout;
use super::view::{View, build};
use crate::Normalize;

/// `x [n, pixels, c] -> [n, groups, 2]`: mean and 1/√(variance + eps).
pub fn group_stats(x: View<3>, groups: usize, eps: f64) -> Vec<f64> {
    let [n, pixels, c] = x.sizes;
    let width = c / groups;
    let mean = |formula: &dyn Fn(f64) -> f64, n, group| {
        let mut sum = 0.0;
        for pixel in 0..pixels {
            for c in group * width..(group + 1) * width {
                sum += formula(x.at([n, pixel, c]));
            }
        }
        sum / (pixels * width) as f64
    };
    build([n, groups, 2], |[n, group, which]| {
        let average = mean(&|x| x, n, group);
        if which == 0 { average } else { 1.0 / (mean(&|x| (x - average).powi(2), n, group) + eps).sqrt() }
    })
}

/// The inputs that normalisation and its gradients share.
pub struct Norm<'a> {
    pub normalize: &'a Normalize,
    pub x: View<'a, 3>,
    pub stats: View<'a, 3>,
    /// `[1 or n, c]`.
    pub scale: View<'a, 2>,
    pub shift: View<'a, 2>,
    pub keys: Option<&'a [u32]>,
}

impl Norm<'_> {
    pub fn forward(&self) -> Vec<f64> {
        build(self.x.sizes, |at| {
            let z = self.z(at);
            let y = if self.normalize.silu { z / (1.0 + (-z).exp()) } else { z };
            y * self.kept(at)
        })
    }

    /// `[n, 2, c]`: the sums over pixels of dz and of dz · x̂.
    pub fn sums(&self, dy: View<3>) -> Vec<f64> {
        let [n, pixels, c] = self.x.sizes;
        build([n, 2, c], |[n, which, c]| {
            let term = |pixel| {
                let at = [n, pixel, c];
                self.dz(dy, at) * if which == 0 { 1.0 } else { self.x_hat(at) }
            };
            (0..pixels).map(term).sum()
        })
    }

    /// dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ, with means over the group.
    pub fn gradient(&self, dy: View<3>, sums: View<3>) -> Vec<f64> {
        let [_, pixels, c] = self.x.sizes;
        let width = c / self.normalize.groups;
        build(self.x.sizes, |[n, pixel, c]| {
            let group = c / width;
            let mean = |which| {
                let term = |c| self.of_sample(self.scale, n, c) * sums.at([n, which, c]);
                (group * width..(group + 1) * width).map(term).sum::<f64>() / (pixels * width) as f64
            };
            let at = [n, pixel, c];
            let dx_hat = self.dz(dy, at) * self.of_sample(self.scale, n, c);
            (dx_hat - mean(0) - self.x_hat(at) * mean(1)) * self.stats.at([n, group, 1])
        })
    }

    fn x_hat(&self, at: [usize; 3]) -> f64 {
        let [n, _, c] = at;
        let group = c * self.normalize.groups / self.x.sizes[2];
        (self.x.at(at) - self.stats.at([n, group, 0])) * self.stats.at([n, group, 1])
    }

    /// What the activation sees.
    fn z(&self, at: [usize; 3]) -> f64 {
        let [n, _, c] = at;
        self.x_hat(at) * self.of_sample(self.scale, n, c) + self.of_sample(self.shift, n, c)
    }

    fn dz(&self, dy: View<3>, at: [usize; 3]) -> f64 {
        let z = self.z(at);
        let sigmoid = 1.0 / (1.0 + (-z).exp());
        let slope = if self.normalize.silu { sigmoid * (1.0 + z * (1.0 - sigmoid)) } else { 1.0 };
        dy.at(at) * self.kept(at) * slope
    }

    /// What dropout multiplies the element by.
    fn kept(&self, [n, pixel, c]: [usize; 3]) -> f64 {
        match (self.keys, self.normalize.dropout) {
            (Some(keys), Some(drop)) => dropout(keys, n, pixel * self.x.sizes[2] + c, drop),
            _ => 1.0,
        }
    }

    fn of_sample(&self, numbers: View<2>, n: usize, c: usize) -> f64 {
        numbers.at([n.min(numbers.sizes[0] - 1), c])
    }
}
