//! Tests of denoisers on the reference device.

mod dhariwal_unet;
mod guidance;
mod ideal;
mod precondition;
mod small;
mod song_unet;
mod weights;
