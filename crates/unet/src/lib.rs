//! U-Nets of EDM as tensor graphs.
