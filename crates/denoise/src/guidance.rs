//! Guidance: the answers of a denoiser, pushed away from those of a lesser one.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use pipeline::{Constant, Inputs, Mistake, Node, Read, Shapes, This, Wire};
use ports::{Denoise, Denoiser, Explain, Fact, Labels, LabelsOf, Others, Query as Question};
use serde::Deserialize;
use tensor::{Binary, Bindings, Expr, Graph, Shape, Value};

/// Settings of the guidance.
#[derive(Component, Deserialize)]
#[serde(deny_unknown_fields)]
#[require(Constant)]
pub struct Guidance {
    by: Wire<Denoiser>,
    #[serde(default)]
    from: Option<Wire<Denoiser>>,
    weight: f64,
    #[serde(default)]
    min: f64,
    #[serde(default = "no_limit")]
    max: f64,
}

fn no_limit() -> f64 {
    f64::INFINITY
}

impl Node for Guidance {
    type Value = Denoiser;

    const DOC: &'static str = "A denoiser that is pushed away from a lesser one: D = D_from + weight (D_by - D_from).\n\
        Without `from` it is classifier-free guidance by one network, which is asked again without its labels (Ho and \
        Salimans 2022); with a `from` that takes no labels it is the same by two networks; with a worse version of `by` \
        that takes the same labels it is autoguidance (Karras et al. 2024). Each answer costs the evaluations of both \
        denoisers (`nfe`), outside of `min` to `max` only those of `by` (Kynkäänniemi et al. 2024).";

    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("by", "the denoiser that is guided"),
        ("from", "the one to be pushed away from; `by` without labels unless given"),
        ("weight", "how far: 1 for no guidance, 2 for twice the difference of the two"),
        ("min", "the lowest noise level that is guided, 0 unless given"),
        ("max", "the highest noise level that is guided, no limit unless given"),
    ];

    fn check(&self) -> Result<(), Mistake> {
        if !self.weight.is_finite() {
            return Err(Mistake::new(
                "weight",
                format!("`weight` must be a finite number, not {}", self.weight),
            ));
        }
        if self.min >= 0.0 && self.max >= self.min {
            return Ok(());
        }
        let what = format!("noise levels from {} to {} are none at all", self.min, self.max);
        Err(Mistake::new("min", what).help("`min` is 0 or above it, and `max` not below `min`"))
    }

    fn shapes(&self, inputs: &Inputs) -> Result<Shapes, Mistake> {
        let labels = inputs.of(LabelsOf(self.by.node()));
        let image = match self.from {
            Some(from) => inputs.same("from", from, self.by)?,
            None => inputs.of(self.by),
        };
        let length = |labels: &pipeline::Shape| labels.iter().product::<usize>();
        let takes = labels.as_ref().map(length);
        match (self.from, takes) {
            (None, Some(0)) => {
                let what = format!("`{}` takes no labels that could be left out", inputs.name(self.by));
                return Err(Mistake::new("by", what).help("name another denoiser in `from`"));
            }
            (Some(from), Some(takes)) => match inputs.of(LabelsOf(from.node())).as_ref().map(length) {
                Some(other) if other != 0 && other != takes => {
                    let (from, by) = (inputs.name(from), inputs.name(self.by));
                    let what = format!("`{from}` takes labels of {other} classes, but `{by}` of {takes}");
                    return Err(Mistake::new("from", what));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(Shapes::of::<Denoiser>(image).and::<Labels>(labels))
    }
}

impl Explain for Guidance {
    fn explain(&self, others: &Others) -> Vec<Fact> {
        let evaluations = |node| {
            let found = others.find(node, |fact| match fact {
                Fact::Evaluations(of) => Some(of),
                _ => None,
            });
            found.unwrap_or_else(|| Arc::new(|_| 1.0))
        };
        let (by, from) = (self.by.node(), self.from.unwrap_or(self.by).node());
        let (of_by, of_from, range) = (evaluations(by), evaluations(from), self.min..=self.max);
        let both = move |sigma: f64| of_by(sigma) + if range.contains(&sigma) { of_from(sigma) } else { 0.0 };
        let inner = others.facts(by).into_iter().filter(|fact| !matches!(fact, Fact::Evaluations(_)));
        inner.chain([Fact::Evaluations(Arc::new(both))]).collect()
    }
}

/// Puts the two denoisers together.
pub fn guidance(this: This<Guidance>, denoisers: Read<Denoiser>) -> Result<Denoiser> {
    let by = denoisers.get(this.by)?.0.clone();
    let from = denoisers.maybe(this.from)?.map(|from| from.0.clone());
    let Guidance { weight, min, max, .. } = *this;
    let lesser = from.as_ref().unwrap_or(&by);
    if by.image() != lesser.image() || ![0, by.labels()].contains(&lesser.labels()) {
        return Err("`from` takes other images or other labels than `by`".into());
    }
    Ok(Denoiser(Arc::new(GuidedDenoiser { by, from, weight, range: (min, max) })))
}

/// D(x; σ) of a denoiser that is pushed away from another.
#[derive(Clone)]
pub struct GuidedDenoiser {
    pub by: Arc<dyn Denoise>,
    /// `by` without labels if `None`.
    pub from: Option<Arc<dyn Denoise>>,
    pub weight: f64,
    /// The noise levels that are guided, both ends included.
    pub range: (f64, f64),
}

impl GuidedDenoiser {
    fn lesser(&self) -> &dyn Denoise {
        self.from.as_ref().unwrap_or(&self.by).as_ref()
    }
}

impl Denoise for GuidedDenoiser {
    fn image(&self) -> Shape {
        self.by.image()
    }

    fn labels(&self) -> usize {
        self.by.labels()
    }

    fn sigma_range(&self) -> (f64, f64) {
        let (by, from) = (self.by.sigma_range(), self.lesser().sigma_range());
        (by.0.max(from.0), by.1.min(from.1))
    }

    fn round_sigma(&self, sigma: f64) -> f64 {
        self.by.round_sigma(sigma)
    }

    fn evaluations(&self) -> usize {
        self.by.evaluations() + self.lesser().evaluations()
    }

    fn at(&self, sigma: f64) -> Option<&dyn Denoise> {
        if (self.range.0..=self.range.1).contains(&sigma) && self.weight != 1.0 {
            return None;
        }
        Some(self.by.at(sigma).unwrap_or(self.by.as_ref()))
    }

    fn build(&self, graph: &mut Graph, query: &Question) -> Value {
        let [n, length] = [graph.shape(query.x)[0], self.by.labels()];
        let labels = match &self.from {
            Some(from) => query.labels.filter(|_| from.labels() > 0),
            // A label that was dropped is all zeros.
            None => query.labels.map(|_| graph.table(vec![0.0; n * length], [n, length])),
        };
        let by = self.by.build(graph, query);
        let from = self.lesser().build(graph, &Question { labels, ..*query });
        let ((min, max), weight) = (self.range, self.weight);
        graph.map(&[by, from, query.sigma], |v| {
            let guided = v(1) + (v(0) - v(1)) * weight;
            within(v(2), min, max, guided, v(0))
        })
    }

    fn bindings(&self) -> Bindings {
        self.by.bindings().extend(&self.lesser().bindings())
    }
}

/// One formula where min ≤ σ ≤ max, and another elsewhere.
fn within(sigma: Expr, min: f64, max: f64, inside: Expr, outside: Expr) -> Expr {
    let mut within = inside;
    // Devices know no infinite constants.
    if max.is_finite() {
        within = Expr::select(sigma.clone().binary(Binary::LessEqual, max), within, outside.clone());
    }
    if min > 0.0 {
        within = Expr::select(Expr::from(min).binary(Binary::LessEqual, sigma), within, outside);
    }
    within
}
