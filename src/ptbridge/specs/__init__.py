"""YAML files that a person writes, read into typed specs. Every error says file:line."""
