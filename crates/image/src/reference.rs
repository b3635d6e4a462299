//! Image names as docker writes them.
