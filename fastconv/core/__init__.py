"""What is below the public names: the compiled kernels, the operators, autograd and plain calls."""
