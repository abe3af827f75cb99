//! address-space
