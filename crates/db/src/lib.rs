//! The only crate with SQL: migrations, and one module for each entity.
