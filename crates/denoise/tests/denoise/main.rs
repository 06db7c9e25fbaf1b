//! Tests of denoisers on the reference device.

mod ideal;
mod precondition;
mod small;
mod song_unet;
mod weights;
