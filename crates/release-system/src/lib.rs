//! The Release System: plans, repositories, products.
