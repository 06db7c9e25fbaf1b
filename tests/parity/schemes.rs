//! Preconditionings by the names of the reference.

use diffusion::Scheme;

use crate::fixtures::Settings;
use crate::report::Failure;

/// The preconditioning of a case's configuration.
pub fn scheme(precond: &str, config: &Settings) -> Result<Scheme, Failure> {
    match precond {
        "VPPrecond" => Ok(Scheme::vp()),
        "VEPrecond" => Ok(Scheme::ve()),
        "iDDPMPrecond" => Ok(Scheme::iddpm()),
        "EDMPrecond" => Ok(Scheme::Edm { sigma_data: config.number("sigma_data", 0.5).into() }),
        other => Err(Failure::NotBuilt(other.to_owned())),
    }
}
