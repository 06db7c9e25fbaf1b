//! How each kind of step becomes dispatches; the kernels themselves are the files of `shaders/`.

mod addressing;
mod attention;
mod conv;
mod conv_weight;
mod elementwise;
mod formula;
mod inputs;
mod load;
mod matmul;
mod moves;
mod norm;
mod product;
mod random;
mod reduce;
mod tile;
mod warp;
