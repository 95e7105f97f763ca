"""Files: scenes and their formats, weights, checks before reading, writing that leaves a whole file or none."""
