#![no_main]

#[path = "../checks/decode/mod.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|input: &str| decode::check(input));
