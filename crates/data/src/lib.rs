//! Data sets, loader threads, arrays and pictures on disk.
