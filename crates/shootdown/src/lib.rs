//! shootdown
