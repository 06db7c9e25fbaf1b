//! What this process and others used of the machine.

/// What was used of the machine so far; zeros where there is no `/proc`.
pub struct Usage {
    /// Seconds of processor time of this process.
    pub own: f64,
    /// Seconds of processor time of all processes.
    pub all: f64,
    pub peak_mib: f64,
}

impl Usage {
    pub fn now() -> Self {
        /// Linux counts processor time in hundredths, whatever its own clock.
        const TICKS: f64 = 100.0;
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let sum = |fields: &[&str]| {
            fields.iter().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
        };
        let stat = read("/proc/self/stat");
        let own: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2).collect();
        let stat = read("/proc/stat");
        let all: Vec<&str> = stat.split_whitespace().skip(1).take(3).collect();
        let status = read("/proc/self/status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        let peak_mib = peak.and_then(|kib| kib.trim().parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0);
        Self { own: sum(&own), all: sum(&all), peak_mib }
    }
}
