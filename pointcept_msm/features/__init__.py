"""From a scene to one feature vector a point: extraction, tiles for large scenes, feature files."""
