#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crowdfold_fuzz_bodies::push_task(data));
