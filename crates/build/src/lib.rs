//! Dockerfile to image: plan, cache, solve.
#![forbid(unsafe_code)]
