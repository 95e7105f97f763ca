"""One self-contained web page that shows a scene's features."""
