//! Graphs of tensor operations, their gradients and the plans that devices run.
