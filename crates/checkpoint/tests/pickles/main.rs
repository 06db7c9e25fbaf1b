//! Pickles of networks, good ones and such as want to do harm.

mod hostile;
mod memory;
mod small;
mod torch_files;
