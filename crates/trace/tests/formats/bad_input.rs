//! Input that is no recording, or half of one.
