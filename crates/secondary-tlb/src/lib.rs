//! secondary-tlb
