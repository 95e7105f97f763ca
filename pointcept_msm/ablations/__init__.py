"""Several trainings that differ in one thing each, over seeds, and the table that compares what their probes say."""
