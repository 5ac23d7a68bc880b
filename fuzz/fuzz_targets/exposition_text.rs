#![no_main]

#[path = "../checks/writers/mod.rs"]
mod writers;

use feedwatch::metrics::Format;

libfuzzer_sys::fuzz_target!(|input: &str| writers::check(input, Format::Text));
