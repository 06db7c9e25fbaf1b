//! Choices that fight each other.

use ports::Fact;

use super::sampling::Sampling;
use super::{Explanation, Told, short};

/// Standard deviations further apart than this are worth a word.
const FAR: f64 = 1.25;
/// Ends of ranges nearer than this are the same.
const NEAR: f64 = 1.001;

impl Explanation {
    pub(super) fn warnings(&self, samplings: &[Sampling]) -> Vec<String> {
        let mut warnings = self.of_data();
        warnings.extend(self.of_training());
        for sampling in samplings {
            warnings.extend(self.of_levels(sampling));
            warnings.extend(of_lengths(sampling));
            warnings.extend(of_churn(sampling));
        }
        warnings
    }

    fn sigma_data(&self) -> impl Iterator<Item = (&Told, f64)> {
        self.all(|fact| match fact {
            Fact::SigmaData(std) => Some(*std),
            _ => None,
        })
    }

    /// Pictures that are not as spread as somebody thinks, and nodes that think differently.
    pub(crate) fn of_data(&self) -> Vec<String> {
        let data = self.all(|fact| match fact {
            Fact::Data { std, pictures } => Some((*std, *pictures)),
            _ => None,
        });
        let mut warnings = Vec::new();
        for (told, (std, pictures)) in data {
            let far = self.sigma_data().filter(|(_, wanted)| !(1.0 / FAR..=FAR).contains(&(std / wanted)));
            let far: Vec<_> =
                far.map(|(node, wanted)| format!("`{}` (sigma_data {wanted})", node.name)).collect();
            if !far.is_empty() {
                warnings.push(format!(
                    "{pictures} pictures of `{}` have a standard deviation of {}, far from what {} are made for",
                    told.name,
                    short(std),
                    far.join(", ")
                ));
            }
        }
        let mut all = self.sigma_data();
        if let Some((first, wanted)) = all.next()
            && let Some((other, differs)) = all.find(|(_, other)| *other != wanted)
        {
            warnings.push(format!(
                "`{}` has a sigma_data of {wanted}, and `{}` one of {differs}",
                first.name, other.name
            ));
        }
        warnings
    }

    /// Training that visits other levels than the denoiser can be asked about.
    fn of_training(&self) -> Vec<String> {
        let visited: Vec<_> = self.visited().collect();
        let known = self.all(|fact| match fact {
            Fact::Levels { low, high, .. } => Some((*low, *high)),
            _ => None,
        });
        let mut warnings = Vec::new();
        for (denoiser, (low, high)) in known {
            for (told, range) in &visited {
                // The thin ends of a distribution never mattered.
                if range.1 < low || range.0 > high {
                    warnings.push(format!(
                        "`{}` draws noise levels of {}, and `{}` knows those of {} only",
                        told.name,
                        ends(*range),
                        denoiser.name,
                        ends((low, high))
                    ));
                }
            }
        }
        warnings
    }

    fn visited(&self) -> impl Iterator<Item = (&Told, (f64, f64))> {
        self.all(|fact| match fact {
            Fact::Visited { low, high } => Some((*low, *high)),
            _ => None,
        })
    }

    /// Steps at noise levels that the denoiser was not made for, or has not seen in training.
    fn of_levels(&self, sampling: &Sampling) -> Vec<String> {
        let mut warnings = Vec::new();
        let range = sampling.range();
        let beyond = |(low, high): (f64, f64)| range.0 * NEAR < low || range.1 > high * NEAR;
        let mut asked: Vec<_> = sampling.denoisers().collect();
        asked.dedup();
        for told in asked.into_iter().filter_map(|node| self.node(node)) {
            let known = told.facts.iter().find_map(|fact| match fact {
                Fact::Levels { low, high, .. } => Some((*low, *high)),
                _ => None,
            });
            if let Some(known) = known.filter(|known| beyond(*known)) {
                warnings.push(format!(
                    "the steps of `{}` go from {}, and `{}` was made for {}; give the time steps a `by`",
                    sampling.walk.name,
                    ends(range),
                    told.name,
                    ends(known)
                ));
            }
        }
        for (told, visited) in self.visited().filter(|(_, visited)| beyond(*visited)) {
            warnings.push(format!(
                "the steps of `{}` go from {}, and training by `{}` hardly sees other levels than {}",
                sampling.walk.name,
                ends(range),
                told.name,
                ends(visited)
            ));
        }
        warnings
    }
}

/// Steps between neighbours that a network rounds to one noise level.
fn of_lengths(sampling: &Sampling) -> Option<String> {
    let (idle, steps) = (sampling.idle(), sampling.steps());
    (idle > 0).then(|| {
        format!(
            "{idle} of {steps} steps of `{}` have no length, as their ends are rounded to one noise level; images stay as \
             they are there, and fewer steps cost less",
            sampling.walk.name
        )
    })
}

/// Noise that comes nowhere, or not all of it.
fn of_churn(sampling: &Sampling) -> Option<String> {
    let (told, churn) = sampling.churn.filter(|(_, churn)| churn.amount > 0.0)?;
    let levels = sampling.levels();
    let steps = sampling.steps();
    if !levels[..steps].iter().any(|sigma| churn.gamma(*sigma, steps) > 0.0) {
        return Some(format!(
            "`{}` adds no noise: no step begins at a noise level of {}",
            told.name,
            ends((churn.min, churn.max))
        ));
    }
    let most = (std::f64::consts::SQRT_2 - 1.0) * steps as f64;
    (churn.amount > most).then(|| {
        format!(
            "`{}` adds as much noise as {steps} steps can take, that of an amount of {}; more steps take more",
            told.name,
            short(most)
        )
    })
}

fn ends((low, high): (f64, f64)) -> String {
    format!("{} to {}", short(low), if high.is_finite() { short(high) } else { "infinity".to_owned() })
}
