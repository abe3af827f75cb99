//! Recordings with random damage.
