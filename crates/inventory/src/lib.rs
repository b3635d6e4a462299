//! What is inside an image: operating system and packages.
#![forbid(unsafe_code)]
