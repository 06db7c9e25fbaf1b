//! The vocabulary that nodes share.
