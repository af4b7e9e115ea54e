"""make gpu-check: what there is to do on a machine with an NVIDIA GPU, in 8 minutes (docs/cuda.md).

It lies in benchmarks/ because its results go to benchmarks/results/, and because a machine that is
lent for a quarter of an hour has torch, and maybe no pytest. Each step is a process of its own that
writes every row to disk before it begins the next.
"""
