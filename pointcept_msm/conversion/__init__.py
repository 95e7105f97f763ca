"""Other checkpoints into this package's own format: what each source calls its tensors, and a strict match of names."""
