//! Runs a command in a root with limits, mounts, no network and a streamed log.
