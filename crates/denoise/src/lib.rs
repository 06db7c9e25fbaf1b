//! Networks as denoisers, preconditioning and ideal denoisers.
