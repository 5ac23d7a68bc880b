#![no_main]

#[path = "../checks/config/mod.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|input: &str| config::check(input));
