"""Measuring: cases, problems, the gate of correctness, timing, the roofline, stages."""
