"""Pictures of features: colours from PCA, a renderer without a display, a page to click in."""
