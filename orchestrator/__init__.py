"""Plans jobs, sends their tasks, watches events; the public JobService."""
