//! The Release System: plans, repositories, products.

pub mod plan;
