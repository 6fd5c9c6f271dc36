//! The kernel's counts for this process. Linux only: everything is read from `/proc/self`.

use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The unit of the times in `/proc/self/stat`, which is a hundredth of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Returns the time that all threads have spent on a processor, in user and kernel mode, to a
/// hundredth of a second.
///
/// # Errors
/// An error if `/proc/self/stat` cannot be read.
pub fn cpu_time() -> Result<Duration, Failure> {
    let ticks = stat(11)?.saturating_add(stat(12)?);
    Ok(TICK.saturating_mul(u32::try_from(ticks)?))
}

/// Returns how many pages were mapped in on first touch, without a read from disk.
///
/// # Errors
/// An error if `/proc/self/stat` cannot be read.
pub fn page_faults() -> Result<u64, Failure> {
    stat(7)
}

/// Returns how many bytes were passed to the kernel by calls that write.
///
/// # Errors
/// An error if `/proc/self/io` cannot be read.
pub fn bytes_written() -> Result<u64, Failure> {
    Ok(value("io", "wchar")?.parse()?)
}

/// Returns a memory figure in bytes: `VmRSS` is what is resident now, `VmHWM` the most that ever
/// was.
///
/// # Errors
/// An error if `/proc/self/status` cannot be read.
pub fn memory(name: &str) -> Result<u64, Failure> {
    let kib: u64 = value("status", name)?.trim_end_matches("kB").trim_end().parse()?;
    Ok(kib.saturating_mul(1024))
}

/// Resets `VmHWM` to what is resident now.
///
/// # Errors
/// An error if `/proc/self/clear_refs` cannot be written.
pub fn reset_peak() -> Result<(), Failure> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

/// Returns a number of `/proc/self/stat`, counted from the one after the program's name.
fn stat(at: usize) -> Result<u64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name may contain anything, including parentheses.
    let (_, numbers) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    Ok(numbers.split_whitespace().nth(at).ok_or("too few numbers in /proc/self/stat")?.parse()?)
}

/// Returns the value of a line `name: value` of a file below `/proc/self`.
fn value(file: &str, name: &str) -> Result<String, Failure> {
    let path = format!("/proc/self/{file}");
    let text = std::fs::read_to_string(&path)?;
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(values.next().ok_or_else(|| format!("no {name} in {path}"))?.trim().to_owned())
}
