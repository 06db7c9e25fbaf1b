//! How each kind of step becomes dispatches; the kernels themselves are the files of `shaders/`.

mod attention;
mod conv;
mod elementwise;
mod load;
mod matmul;
mod moves;
mod norm;
mod random;
mod reduce;
