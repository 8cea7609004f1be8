//! How much memory a process has, from the kernel's account of it.

use anyhow::{Context as _, Result};

/// Resident memory of a process, MiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    pub resident_mib: f64,
    /// The most it ever was.
    pub peak_mib: f64,
}

impl Memory {
    pub fn of(pid: u32) -> Result<Self> {
        let status =
            std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line in its status")?;
            let kib: f64 = line.split_whitespace().next().context("an empty line in its status")?.parse()?;
            anyhow::Ok(kib / 1024.0)
        };
        Ok(Self { resident_mib: mib("VmRSS:")?, peak_mib: mib("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_takes_memory_is_seen_to_have_it() {
        let before = Memory::of(std::process::id()).unwrap();
        let taken = vec![1_u8; 32 << 20];
        let after = Memory::of(std::process::id()).unwrap();
        assert!(after.resident_mib > before.resident_mib + 16.0, "{before:?} {after:?} {}", taken.len());
        assert!(after.peak_mib >= after.resident_mib);
    }
}
