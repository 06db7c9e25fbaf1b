//! What changes while training: the learning rate and the average of the weights (appendix F.2). Time is
//! counted in images seen.

/// The learning rate after `images` images: it rises from 0 to `rate` over `rampup` images, at once if that
/// is 0.
pub fn learning_rate(rate: f64, rampup: f64, images: f64) -> f64 {
    if images < rampup { rate * (images / rampup) } else { rate }
}

/// The half-life of the average after `images` images: `halflife`, but never more than `rampup` times
/// `images`, so that the first weights are soon forgotten.
pub fn ema_halflife(halflife: f64, rampup: Option<f64>, images: f64) -> f64 {
    rampup.map_or(halflife, |rampup| halflife.min(rampup * images))
}

/// How much of the old average stays when a batch of `batch` images moves it; 0 where the half-life is 0.
pub fn ema_beta(batch: f64, halflife: f64) -> f64 {
    0.5f64.powf(batch / halflife.max(1e-8))
}
