//! The Test System: environments, suites, verdicts.
