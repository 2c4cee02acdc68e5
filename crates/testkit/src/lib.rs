//! Development only: a whole system in a temporary folder, tiny packages, story verbs.
