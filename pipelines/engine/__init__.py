"""Spark: session and start, rows, planning, isolation, progress, logs."""
