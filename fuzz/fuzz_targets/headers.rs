#![no_main]

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::target("headers").run(&ALLOCATOR, bytes));
