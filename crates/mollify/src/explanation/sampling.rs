//! One way down the noise levels: time steps, churn, and the price of an image.

use std::fmt::{self, Display, Formatter};

use bevy_ecs::prelude::*;
use diffusion::Churn;
use ports::{Curve, Fact, Times};

use super::{Explanation, Told, after, short, write_table};

pub(super) struct Sampling<'a> {
    /// What walks.
    pub(super) walk: &'a Told,
    pub(super) times: &'a Times,
    pub(super) churn: Option<(&'a Told, Churn)>,
    asked: Vec<Asked>,
}

/// A question to a denoiser in every step.
struct Asked {
    denoiser: Entity,
    /// At the end of the step, where images without noise need no answer.
    ahead: bool,
    evaluations: Option<Curve>,
}

impl<'a> Sampling<'a> {
    pub(super) fn of(explanation: &'a Explanation, walk: &'a Told) -> Option<Self> {
        let times = walk.facts.iter().find_map(|fact| match fact {
            Fact::Times(times) => Some(times),
            _ => None,
        })?;
        let mut sampling = Self { walk, times, churn: None, asked: Vec::new() };
        for told in &explanation.nodes {
            let Some(ahead) = ahead(explanation, told, walk.entity) else { continue };
            for fact in &told.facts {
                match fact {
                    Fact::Churn(churn) => sampling.churn = Some((told, *churn)),
                    Fact::Asks(denoiser) => {
                        let facts = explanation.node(*denoiser).into_iter().flat_map(|node| &node.facts);
                        let evaluations = facts.filter_map(|fact| match fact {
                            Fact::Evaluations(of) => Some(of.clone()),
                            _ => None,
                        });
                        let evaluations = evaluations.into_iter().next();
                        sampling.asked.push(Asked { denoiser: *denoiser, ahead, evaluations });
                    }
                    _ => {}
                }
            }
        }
        Some(sampling)
    }

    /// The lowest and the highest noise level of its steps.
    pub(super) fn range(&self) -> (f64, f64) {
        let levels = self.levels();
        let steps = &levels[..levels.len() - 1];
        (steps.iter().copied().fold(f64::INFINITY, f64::min), steps.iter().copied().fold(0.0, f64::max))
    }

    pub(super) fn denoisers(&self) -> impl Iterator<Item = Entity> {
        self.asked.iter().map(|asked| asked.denoiser)
    }

    pub(super) fn steps(&self) -> usize {
        self.times.t.len() - 1
    }

    /// The noise level at each time.
    pub(super) fn levels(&self) -> Vec<f64> {
        self.times.t.iter().map(|t| if *t == 0.0 { 0.0 } else { self.times.path.sigma(*t) }).collect()
    }

    /// How many steps end where they begin.
    pub(super) fn idle(&self) -> usize {
        let levels = self.levels();
        (0..self.steps()).filter(|index| self.raised(*index, levels[*index]) == levels[index + 1]).count()
    }

    /// The noise level at which a step really begins.
    fn raised(&self, index: usize, sigma: f64) -> f64 {
        match (self.times.restarts.get(&index), self.churn) {
            (Some(top), _) => self.times.path.sigma(*top),
            (None, Some((_, churn))) => churn.t_hat(sigma, self.steps()),
            (None, None) => sigma,
        }
    }

    fn evaluations(&self) -> f64 {
        let levels = self.levels();
        let of_step = |index: usize| {
            let cost = |asked: &Asked| {
                let sigma = if asked.ahead { levels[index + 1] } else { self.raised(index, levels[index]) };
                let answer = asked.evaluations.as_ref().map_or(1.0, |of| of(sigma));
                if sigma == 0.0 { 0.0 } else { answer }
            };
            self.asked.iter().map(cost).sum::<f64>()
        };
        (0..self.steps()).map(of_step).sum()
    }
}

/// Whether a node sees images after a step has been taken; `None` if it does not see those of this walk.
fn ahead(explanation: &Explanation, told: &Told, walk: Entity) -> Option<bool> {
    let (mut node, mut ahead) = (told, false);
    for _ in 0..explanation.nodes.len() {
        let before = node.facts.iter().find_map(after)?;
        if before == walk {
            return Some(ahead);
        }
        node = explanation.node(before)?;
        ahead |= node.facts.iter().any(|fact| matches!(fact, Fact::Ahead));
    }
    None
}

impl Display for Sampling<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let levels = self.levels();
        write!(f, "\ntime steps of {}", self.walk.name)?;
        if let Some((told, _)) = self.churn {
            write!(f, ", noise of {}", told.name)?;
        }
        writeln!(f, "\n")?;
        let head = ["step", "t", "sigma", "gamma", "sigma_hat"].map(str::to_owned);
        let mut rows = vec![head.to_vec()];
        for (index, (t, sigma)) in self.times.t.iter().zip(&levels).enumerate() {
            let mut row = vec![index.to_string(), short(*t), short(*sigma)];
            if index < self.steps() {
                let raised = self.raised(index, *sigma);
                row.extend([short(raised / sigma - 1.0), short(raised)]);
            }
            rows.push(row);
        }
        // The middle of a long list shows nothing new.
        const SHOWN: usize = 41;
        if rows.len() > SHOWN + 2 {
            let cut = rows.len() - SHOWN;
            rows.splice(21..21 + cut, [vec!["…".to_owned()]]);
        }
        write_table(f, &rows)?;
        match self.evaluations() {
            0.0 => Ok(()),
            nfe => writeln!(f, "\n  {} steps, {nfe} evaluations of networks an image (NFE)", self.steps()),
        }
    }
}
