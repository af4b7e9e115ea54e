"""Results as text, pictures and the speed section of the README."""
