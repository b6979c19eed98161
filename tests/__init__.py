"""The tests, and the scripts that make shipped files from their sources."""
