//! Dockerfile syntax: bytes in, instructions with exact places out.
//!
//! The grammar is the one of the Dockerfile reference, and where that is silent, the behaviour of BuildKit's parser.
//! Three promises: no input makes this room panic; every token knows where it stands in the file
//! (line and column, both ends); and a file with mistakes reports all of them at once.
//!
//! - [`parse`] reads a whole file, [`parse_fragment`] a file that may lack `FROM`.
//! - [`expand`] is the variable and quote engine that the builder applies to words.
//! - [`ignore`] reads `.dockerignore`.
#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
pub mod expand;
pub mod ignore;
pub mod mount;
pub mod units;

mod flags;
mod heredoc;
mod instruction;
mod json;
mod logical;
mod parser;
mod pattern;
mod pieces;
mod span;
mod suggest;
mod words;

pub use ast::{
    Add, ArgDeclaration, CommandLine, Comment, Copy, Directive, Dockerfile, Flag, From, Healthcheck, Heredoc,
    Instruction, Kind, NetworkMode, Pair, Run, Security, Source, Stage, Word,
};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use parser::{MAX_FILE_BYTES, Parsed, parse, parse_fragment, parse_instruction};
pub use span::{Position, Span, Spanned};
pub use suggest::nearest;
