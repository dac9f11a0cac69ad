"""Data and its loaders, each folder with its source."""
