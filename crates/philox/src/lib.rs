//! Counter-based random numbers: the same on every device, thread and batch.
