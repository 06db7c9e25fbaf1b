//! Runs tensor programs on the CPU.
