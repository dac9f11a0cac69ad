"""Scenarios that ship with the project."""
