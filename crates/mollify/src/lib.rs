//! Train and sample diffusion models from RON pipelines.
