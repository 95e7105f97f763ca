"""The embedded host: what runs the package where there is no Pointcept."""
