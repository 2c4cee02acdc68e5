//! From a locked list to a mounted root, through cached layers.
